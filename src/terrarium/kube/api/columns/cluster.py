"""Networking, storage classes, roles, admission, scheduling, certificates, flow control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from terrarium.kube.api.columns.make import AGE, CREATED, NAME, NONE, UNSET, at, column, number, string
from terrarium.kube.api.kinds import Column, Obj
from terrarium.kube.api.times import age


def _set(*path: str) -> Any:
    return lambda obj: bool(at(obj, *path))


def _class(ingress: Obj) -> str:
    name = at(ingress, "spec", "ingressClassName")
    return name if name is not None else NONE


def _hosts(ingress: Obj) -> str:
    hosts: list[str] = []
    more = 0
    for rule in at(ingress, "spec", "rules") or ():
        if rule.get("host"):
            if len(hosts) < 3:
                hosts.append(rule["host"])
            else:
                more += 1
    if not hosts:
        return "*"
    return ",".join(hosts) + (f" + {more} more..." if more else "")


def _address(ingress: Obj) -> str:
    held = at(ingress, "status", "loadBalancer", "ingress") or ()
    return ",".join(i.get("ip") or i.get("hostname") or "" for i in held)


def _parameters(held: Obj) -> str:
    ref = at(held, "spec", "parameters")
    if not ref:
        return NONE
    kind = ref.get("kind", "")
    if ref.get("apiGroup"):
        kind = f"{kind}.{ref['apiGroup']}"
    return f"{kind}/{ref.get('name', '')}"


def _parent(held: Obj) -> str:
    ref = at(held, "spec", "parentRef")
    if not ref:
        return NONE
    group = f"{ref['resource']}.{ref['group']}" if ref.get("group") else ref.get("resource", "")
    name = f"{ref['namespace']}/{ref.get('name', '')}" if ref.get("namespace") else ref.get("name", "")
    return f"{group}/{name}"


def _role(binding: Obj) -> str:
    ref = binding.get("roleRef") or {}
    return f"{ref.get('kind', '')}/{ref.get('name', '')}"


def _subjects(kind: str) -> Any:
    def read(binding: Obj) -> str:
        found = []
        for subject in binding.get("subjects") or ():
            if subject.get("kind") == kind:
                name = subject.get("name", "")
                found.append(f"{subject.get('namespace', '')}/{name}" if kind == "ServiceAccount" else name)
        return ", ".join(found)

    return read


def _sc_name(held: Obj) -> str:
    annotations = at(held, "metadata", "annotations") or {}
    name = str(at(held, "metadata", "name") or "")
    default = any(
        annotations.get(f"storageclass{beta}.kubernetes.io/is-default-class") == "true" for beta in ("", ".beta")
    )
    return f"{name} (default)" if default else name


def _tokens(driver: Obj) -> str:
    held = [t.get("audience", "") for t in at(driver, "spec", "tokenRequests") or ()]
    return ",".join(held) if held else UNSET


def _csr_condition(csr: Obj) -> str:
    kinds = {c.get("type") for c in at(csr, "status", "conditions") or ()}
    words = []
    if "Denied" in kinds:
        words.append("Denied")
    elif "Approved" in kinds:
        words.append("Approved")
    else:
        words.append("Pending")
    if "Failed" in kinds:
        words.append("Failed")
    if at(csr, "status", "certificate"):
        words.append("Issued")
    return ",".join(words)


def _csr_duration(csr: Obj) -> str:
    seconds = at(csr, "spec", "expirationSeconds")
    return age(seconds) if seconds is not None else NONE


def _available(service: Obj) -> str:
    condition = next((c for c in at(service, "status", "conditions") or () if c.get("type") == "Available"), None)
    if condition is None:
        return "Unknown"
    if condition.get("status") == "True":
        return "True"
    return f"{condition.get('status')} ({condition.get('reason', '')})"


def _service(held: Obj) -> str:
    ref = at(held, "spec", "service")
    return f"{ref.get('namespace', '')}/{ref.get('name', '')}" if ref else "Local"


def _param_kind(policy: Obj) -> str:
    held = at(policy, "spec", "paramKind")
    return f"{held.get('apiVersion', '')}/{held.get('kind', '')}" if held else UNSET


def _param_ref(binding: Obj) -> str:
    held = at(binding, "spec", "paramRef")
    if not held:
        return UNSET
    if held.get("namespace"):
        return f"{held['namespace']}/{held.get('name') or '*'}"
    return str(held.get("name") or "*")


def _missing(schema: Obj) -> str:
    condition = next((c for c in at(schema, "status", "conditions") or () if c.get("type") == "Dangling"), None)
    return str(condition.get("status")) if condition else "?"


def _limited(*path: str) -> Any:
    def read(level: Obj) -> Any:
        spec = level.get("spec") or {}
        held = spec.get("limited") or spec.get("exempt") or {}
        if path == ("nominalConcurrencyShares",):
            value = held.get("nominalConcurrencyShares")
        else:
            value = at(held, "limitResponse", "queuing", *path)
        return NONE if value is None else value

    return read


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "ingresses.networking.k8s.io": (
        NAME,
        column(
            "Class",
            _class,
            about="The name of the IngressClass resource that should be used for additional configuration",
        ),
        column("Hosts", _hosts, about="Hosts that incoming requests are matched against before the ingress rule"),
        column("Address", _address, about="Address is a list containing ingress points for the load-balancer"),
        column(
            "Ports",
            lambda i: "80, 443" if at(i, "spec", "tls") else "80",
            about="Ports of TLS configurations that open",
        ),
        AGE,
    ),
    "ingressclasses.networking.k8s.io": (
        NAME,
        column(
            "Controller", string("spec", "controller"), about="Controller that is responsible for handling this class"
        ),
        column("Parameters", _parameters, about="A reference to a resource with additional parameters"),
        AGE,
    ),
    "ipaddresses.networking.k8s.io": (
        NAME,
        column("ParentRef", _parent, about="@networking.v1.IPAddressSpec.parentRef"),
        replace(AGE, unnamed=True),
    ),
    "servicecidrs.networking.k8s.io": (
        NAME,
        column("CIDRs", lambda c: ",".join(at(c, "spec", "cidrs") or ()), about="@networking.v1.ServiceCIDRSpec.cidrs"),
        AGE,
    ),
    **{
        f"{plural}.rbac.authorization.k8s.io": (
            NAME,
            column("Role", _role, about=f"@rbac.v1.{kind}.roleRef~"),
            AGE,
            column("Users", _subjects("User"), wide=True, about=f"Users in the {word}"),
            column("Groups", _subjects("Group"), wide=True, about=f"Groups in the {word}"),
            column("ServiceAccounts", _subjects("ServiceAccount"), wide=True, about=f"ServiceAccounts in the {word}"),
        )
        for plural, kind, word in (
            ("rolebindings", "RoleBinding", "roleBinding"),
            ("clusterrolebindings", "ClusterRoleBinding", "clusterRoleBinding"),
        )
    },
    "roles.rbac.authorization.k8s.io": (NAME, CREATED),
    "clusterroles.rbac.authorization.k8s.io": (NAME, CREATED),
    "customresourcedefinitions.apiextensions.k8s.io": (NAME, CREATED),
    "csistoragecapacities.storage.k8s.io": (NAME, CREATED),
    "storageclasses.storage.k8s.io": (
        column("Name", _sc_name, format="name", about="@meta.v1.ObjectMeta.name"),
        column("Provisioner", string("provisioner"), about="@storage.v1.StorageClass.provisioner"),
        column("ReclaimPolicy", string("reclaimPolicy"), about="@storage.v1.StorageClass.reclaimPolicy"),
        column("VolumeBindingMode", string("volumeBindingMode"), about="@storage.v1.StorageClass.volumeBindingMode"),
        column(
            "AllowVolumeExpansion",
            lambda c: bool(c.get("allowVolumeExpansion")),
            about="@storage.v1.StorageClass.allowVolumeExpansion",
        ),
        AGE,
    ),
    "csinodes.storage.k8s.io": (
        NAME,
        column(
            "Drivers",
            lambda n: len(at(n, "spec", "drivers") or ()),
            "integer",
            about="Drivers indicates the number of CSI drivers registered on the node",
        ),
        AGE,
    ),
    "csidrivers.storage.k8s.io": (
        NAME,
        *(
            column(
                label,
                _set("spec", field),
                "boolean",
                about=f"@storage.v1.CSIDriverSpec.{field}",
            )
            for label, field in (
                ("AttachRequired", "attachRequired"),
                ("PodInfoOnMount", "podInfoOnMount"),
                ("StorageCapacity", "storageCapacity"),
            )
        ),
        column("TokenRequests", _tokens, about="@storage.v1.CSIDriverSpec.tokenRequests"),
        column(
            "RequiresRepublish",
            lambda d: bool(at(d, "spec", "requiresRepublish")),
            "boolean",
            about="@storage.v1.CSIDriverSpec.requiresRepublish",
        ),
        column(
            "Modes",
            lambda d: ",".join(at(d, "spec", "volumeLifecycleModes") or ()) or NONE,
            about="@storage.v1.CSIDriverSpec.volumeLifecycleModes",
        ),
        AGE,
    ),
    "volumeattachments.storage.k8s.io": (
        NAME,
        column(
            "Attacher", string("spec", "attacher"), format="name", about="@storage.v1.VolumeAttachmentSpec.attacher"
        ),
        column(
            "PV",
            string("spec", "source", "persistentVolumeName"),
            about="@storage.v1.VolumeAttachmentSource.persistentVolumeName",
        ),
        column("Node", string("spec", "nodeName"), about="@storage.v1.VolumeAttachmentSpec.nodeName"),
        column(
            "Attached",
            lambda v: bool(at(v, "status", "attached")),
            "boolean",
            about="@storage.v1.VolumeAttachmentStatus.attached",
        ),
        AGE,
    ),
    **{
        f"{plural}.admissionregistration.k8s.io": (
            NAME,
            column(
                "Webhooks",
                lambda w: len(w.get("webhooks") or ()),
                "integer",
                about="Webhooks indicates the number of webhooks registered in this configuration",
            ),
            AGE,
        )
        for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
    },
    "validatingadmissionpolicies.admissionregistration.k8s.io": (
        NAME,
        column(
            "Validations",
            lambda p: len(at(p, "spec", "validations") or ()),
            "integer",
            about="Validations indicates the number of validation rules defined in this configuration",
        ),
        column(
            "ParamKind", _param_kind, about="ParamKind specifies the kind of resources used to parameterize this policy"
        ),
        AGE,
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": (
        NAME,
        column(
            "PolicyName",
            string("spec", "policyName"),
            about="PolicyName indicates the policy definition which the policy binding binded to",
        ),
        column("ParamRef", _param_ref, about="ParamRef indicates the param resource which sets the configration param"),
        AGE,
    ),
    "apiservices.apiregistration.k8s.io": (
        NAME,
        column("Service", _service, about="The reference to the service that hosts this API endpoint."),
        column("Available", _available, about="Whether this service is available."),
        AGE,
    ),
    "priorityclasses.scheduling.k8s.io": (
        NAME,
        column("Value", number("value"), "integer", about="@scheduling.v1.PriorityClass.value"),
        column(
            "Global-Default",
            lambda p: bool(p.get("globalDefault")),
            "boolean",
            about="@scheduling.v1.PriorityClass.globalDefault",
        ),
        AGE,
        column("PreemptionPolicy", string("preemptionPolicy"), about="@scheduling.v1.PriorityClass.preemptionPolicy"),
    ),
    "runtimeclasses.node.k8s.io": (
        NAME,
        column("Handler", string("handler")),
        AGE,
    ),
    "leases.coordination.k8s.io": (
        NAME,
        column("Holder", string("spec", "holderIdentity"), about="@coordination.v1.LeaseSpec.holderIdentity"),
        AGE,
    ),
    "certificatesigningrequests.certificates.k8s.io": (
        NAME,
        AGE,
        column(
            "SignerName",
            lambda c: at(c, "spec", "signerName") or NONE,
            about="@certificates.v1beta1.CertificateSigningRequestSpec.signerName",
        ),
        column(
            "Requestor", string("spec", "username"), about="@certificates.v1beta1.CertificateSigningRequestSpec.request"
        ),
        column(
            "RequestedDuration", _csr_duration, about="@certificates.v1.CertificateSigningRequestSpec.expirationSeconds"
        ),
        column("Condition", _csr_condition, about="@certificates.v1beta1.CertificateSigningRequestStatus.conditions"),
    ),
    "flowschemas.flowcontrol.apiserver.k8s.io": (
        NAME,
        column(
            "PriorityLevel",
            string("spec", "priorityLevelConfiguration", "name"),
            about="@flowcontrol.v1.PriorityLevelConfigurationReference.name",
        ),
        column(
            "MatchingPrecedence",
            number("spec", "matchingPrecedence"),
            about="@flowcontrol.v1.FlowSchemaSpec.matchingPrecedence",
        ),
        column(
            "DistinguisherMethod",
            lambda s: at(s, "spec", "distinguisherMethod", "type") or NONE,
            about="@flowcontrol.v1.FlowSchemaSpec.distinguisherMethod",
        ),
        AGE,
        column("MissingPL", _missing, about="references a broken or non-existent PriorityLevelConfiguration"),
    ),
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": (
        NAME,
        column("Type", string("spec", "type"), about="@flowcontrol.v1.PriorityLevelConfigurationSpec.type"),
        column(
            "NominalConcurrencyShares",
            _limited("nominalConcurrencyShares"),
            about="@flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
        ),
        column("Queues", _limited("queues"), about="@flowcontrol.v1.QueuingConfiguration.queues"),
        column("HandSize", _limited("handSize"), about="@flowcontrol.v1.QueuingConfiguration.handSize"),
        column(
            "QueueLengthLimit",
            _limited("queueLengthLimit"),
            about="@flowcontrol.v1.QueuingConfiguration.queueLengthLimit",
        ),
        AGE,
    ),
}
