"""Defaults of the remaining groups: networking, rbac, storage, scheduling, admission, extensions, flow control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.kube.api.defaults import Default, Rule
from terrarium.kube.api.kinds import Obj

RBAC = "rbac.authorization.k8s.io"


def _policy_types(spec: Obj) -> None:
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _subject(subject: Obj) -> None:
    if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
        subject["apiGroup"] = RBAC


def _crd(spec: Obj) -> None:
    names = spec.setdefault("names", {})
    if not names.get("singular"):
        names["singular"] = names.get("kind", "").lower()
    if not names.get("listKind") and names.get("kind"):
        names["listKind"] = names["kind"] + "List"
    if spec.get("conversion") is None:
        spec["conversion"] = {"strategy": "None"}


def _stored_versions(crd: Obj) -> None:
    status = crd.setdefault("status", {}) or {}
    if not status.get("storedVersions"):
        stored = [v["name"] for v in crd.get("spec", {}).get("versions") or () if v.get("storage")]
        if stored:
            status["storedVersions"] = stored
    crd["status"] = status


def _priority_level(spec: Obj) -> None:
    if spec.get("exempt") is not None:
        spec["exempt"].setdefault("nominalConcurrencyShares", 0)
        spec["exempt"].setdefault("lendablePercent", 0)


_QUEUING = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}


def _queuing(queuing: Obj) -> None:
    queuing.update({name: value for name, value in _QUEUING.items() if not queuing.get(name)})


_WEBHOOK = (
    Default("failurePolicy", "Fail"),
    Default("matchPolicy", "Equivalent"),
    Default("namespaceSelector", {}),
    Default("objectSelector", {}),
    Default("timeoutSeconds", 10),
)

RULES: Mapping[str, Sequence[Rule]] = {
    "networking.v1.NetworkPolicySpec": (_policy_types,),
    "networking.v1.NetworkPolicyPort": (Default("protocol", "TCP"),),
    "networking.v1.IngressClassParametersReference": (Default("scope", "Cluster"),),
    "rbac.v1.RoleRef": (Default("apiGroup", RBAC),),
    "rbac.v1.Subject": (_subject,),
    "storage.v1.StorageClass": (Default("reclaimPolicy", "Delete"), Default("volumeBindingMode", "Immediate")),
    "storage.v1.CSIDriverSpec": (
        Default("attachRequired", True),
        Default("podInfoOnMount", False),
        Default("storageCapacity", False),
        Default("fsGroupPolicy", "ReadWriteOnceWithFSType"),
        Default("requiresRepublish", False),
        Default("seLinuxMount", False),
        lambda spec: None if spec.get("volumeLifecycleModes") else spec.update(volumeLifecycleModes=["Persistent"]),
    ),
    "scheduling.v1.PriorityClass": (Default("preemptionPolicy", "PreemptLowerPriority"),),
    "admissionregistration.v1.ValidatingWebhook": _WEBHOOK,
    "admissionregistration.v1.MutatingWebhook": (*_WEBHOOK, Default("reinvocationPolicy", "Never")),
    "admissionregistration.v1.Rule": (Default("scope", "*"),),
    "admissionregistration.v1.ServiceReference": (Default("port", 443),),
    "admissionregistration.v1.ValidatingAdmissionPolicySpec": (Default("failurePolicy", "Fail"),),
    "admissionregistration.v1.MatchResources": (
        Default("matchPolicy", "Equivalent"),
        Default("namespaceSelector", {}),
        Default("objectSelector", {}),
    ),
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec": (_crd,),
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition": (_stored_versions,),
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference": (Default("port", 443),),
    "kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference": (Default("port", 443),),
    "authentication.v1.TokenRequestSpec": (Default("expirationSeconds", 3600),),
    "flowcontrol.v1.FlowSchemaSpec": (
        lambda spec: None if spec.get("matchingPrecedence") else spec.update(matchingPrecedence=1000),
    ),
    "flowcontrol.v1.PriorityLevelConfigurationSpec": (_priority_level,),
    "flowcontrol.v1.LimitedPriorityLevelConfiguration": (
        Default("nominalConcurrencyShares", 30),
        Default("lendablePercent", 0),
    ),
    "flowcontrol.v1.QueuingConfiguration": (_queuing,),
}
