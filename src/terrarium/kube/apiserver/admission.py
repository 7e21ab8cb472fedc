"""The chain of admission: the built-in plugins in kube-apiserver's order, with those that were handed in among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from terrarium.base.diagnostics import UsageFailure
from terrarium.base.suggest import nearest
from terrarium.kube.api.hooks import Admission
from terrarium.kube.apiserver import (
    plugins_certificates,
    plugins_limits,
    plugins_namespace,
    plugins_optional,
    plugins_pods,
    plugins_security,
    policies,
    webhooks,
)
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.resources import Resources

Maker = Callable[[Resources, Union], Admission]

PLUGINS: Mapping[str, Maker] = {
    "AlwaysAdmit": lambda resources, _: plugins_optional.AlwaysAdmit(resources),
    "NamespaceAutoProvision": lambda resources, _: plugins_optional.NamespaceAutoProvision(resources),
    "NamespaceLifecycle": lambda resources, _: plugins_namespace.NamespaceLifecycle(resources),
    "NamespaceExists": lambda resources, _: plugins_optional.NamespaceExists(resources),
    "LimitPodHardAntiAffinityTopology": lambda resources, _: plugins_optional.LimitPodHardAntiAffinityTopology(
        resources
    ),
    "LimitRanger": lambda resources, _: plugins_limits.LimitRanger(resources),
    "ServiceAccount": lambda resources, _: plugins_pods.ServiceAccount(resources),
    "NodeRestriction": lambda resources, _: plugins_security.NodeRestriction(resources),
    "TaintNodesByCondition": lambda resources, _: plugins_namespace.TaintNodesByCondition(resources),
    "AlwaysPullImages": lambda resources, _: plugins_pods.AlwaysPullImages(resources),
    "PodNodeSelector": lambda resources, _: plugins_optional.PodNodeSelector(resources),
    "PodSecurity": lambda resources, _: plugins_security.PodSecurity(resources),
    "Priority": lambda resources, _: plugins_pods.Priority(resources),
    "PodTolerationRestriction": lambda resources, _: plugins_optional.PodTolerationRestriction(resources),
    "DefaultTolerationSeconds": lambda resources, _: plugins_pods.DefaultTolerationSeconds(resources),
    "ExtendedResourceToleration": lambda resources, _: plugins_pods.ExtendedResourceToleration(resources),
    "DefaultStorageClass": lambda resources, _: plugins_namespace.DefaultStorageClass(resources),
    "StorageObjectInUseProtection": lambda resources, _: plugins_namespace.StorageObjectInUseProtection(resources),
    "OwnerReferencesPermissionEnforcement": plugins_security.OwnerReferences,
    "PersistentVolumeClaimResize": lambda resources, _: plugins_namespace.ClaimResize(resources),
    "RuntimeClass": lambda resources, _: plugins_pods.RuntimeClass(resources),
    "CertificateApproval": plugins_certificates.CertificateApproval,
    "CertificateSigning": plugins_certificates.CertificateSigning,
    "CertificateSubjectRestriction": lambda resources, _: plugins_certificates.CertificateSubjectRestriction(resources),
    "DefaultIngressClass": lambda resources, _: plugins_namespace.DefaultIngressClass(resources),
    "DenyServiceExternalIPs": lambda resources, _: plugins_optional.DenyServiceExternalIPs(resources),
    "ResourceQuota": lambda resources, _: plugins_limits.ResourceQuota(resources),
    "AlwaysDeny": lambda resources, _: plugins_optional.AlwaysDeny(resources),
}
"""By kube-apiserver's names, in the order in which they run."""
OFF = frozenset(
    [
        "AlwaysAdmit",
        "AlwaysDeny",
        "AlwaysPullImages",
        "DenyServiceExternalIPs",
        "LimitPodHardAntiAffinityTopology",
        "NamespaceAutoProvision",
        "NamespaceExists",
        "OwnerReferencesPermissionEnforcement",
        "PodNodeSelector",
        "PodTolerationRestriction",
    ]
)
"""Off unless enabled. NodeRestriction and ExtendedResourceToleration are on, as in EKS."""
WITHOUT_EFFECT = frozenset(
    [
        "ClusterTrustBundleAttest",
        "EventRateLimit",
        "ImagePolicyWebhook",
        "MutatingAdmissionPolicy",
        "PodTopologyLabels",
    ]
)
"""Names that may be given though there is nothing to switch: they are about APIs that are not served, or do nothing
without a configuration file of their own."""


WEBHOOKS = ("MutatingAdmissionWebhook", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook")
"""What users of the cluster add by configuration. They come behind all that may change an object."""


def _outside(
    resources: Resources, authorizer: Union, before: Sequence[Admission], disable: Sequence[str]
) -> list[Admission]:
    made: list[Admission] = [
        webhooks.MutatingWebhooks(resources, authorizer, before),
        policies.ValidatingPolicies(resources, authorizer),
        webhooks.ValidatingWebhooks(resources, authorizer),
    ]
    return [plugin for plugin in made if plugin.name not in disable]


def chain(
    resources: Resources,
    authorizer: Union,
    more: Sequence[Admission],
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
) -> list[Admission]:
    """All that run. `more` come in front of ResourceQuota, which must see the final object."""
    known = {*PLUGINS, *WEBHOOKS, *WITHOUT_EFFECT}
    for name in (*enable, *disable):
        if name not in known:
            near = nearest(name, sorted(known))
            raise UsageFailure(
                f"there is no admission plugin {name!r}",
                f"Did you mean {near}?" if near else f"There are: {', '.join(PLUGINS)}.",
            )
    made: list[Admission] = []
    for name, maker in PLUGINS.items():
        if name == "ResourceQuota":
            made.extend(more)
            made.extend(_outside(resources, authorizer, list(made), disable))
        if name in disable or (name in OFF and name not in enable):
            continue
        made.append(maker(resources, authorizer))
    return made
