"""EKS's access policies, as the rules they grant (EKS user guide, "Review access policy permissions").

A rule is written as in RBAC. `admin`, `edit` and `view` follow Kubernetes' user-facing roles of these names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ARN_PREFIX = "arn:aws:eks::aws:cluster-access-policy/"
READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")


@dataclass(frozen=True, slots=True)
class Rule:
    verbs: Sequence[str]
    groups: Sequence[str] = ()
    resources: Sequence[str] = ()
    """`pods/log` names a subresource, `*` everything."""
    paths: Sequence[str] = ()
    """Paths that are no resources; `/x/*` a prefix."""
    names: Sequence[str] = ()

    def allows(self, verb: str, group: str, resource: str, name: str = "") -> bool:
        return (
            bool(self.resources)
            and _in(verb, self.verbs)
            and _in(group, self.groups)
            and (_in(resource, self.resources) or ("/" in resource and f"*/{resource.split('/')[1]}" in self.resources))
            and (not self.names or name in self.names)
        )

    def allows_path(self, verb: str, path: str) -> bool:
        return _in(verb, self.verbs) and any(
            p in ("*", path) or (p.endswith("*") and path.startswith(p[:-1])) for p in self.paths
        )


def _in(value: str, allowed: Sequence[str]) -> bool:
    return "*" in allowed or value in allowed


_WORKLOADS = (
    "daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets", "replicasets/scale",
    "statefulsets", "statefulsets/scale",
)  # fmt: skip
_CORE = (
    "configmaps", "endpoints", "persistentvolumeclaims", "pods", "replicationcontrollers",
    "replicationcontrollers/scale", "serviceaccounts", "services",
)  # fmt: skip
_STATUS = (
    "bindings", "events", "limitranges", "namespaces", "namespaces/status", "persistentvolumeclaims/status", "pods/log",
    "pods/status", "replicationcontrollers/status", "resourcequotas", "resourcequotas/status", "services/status",
)  # fmt: skip

_VIEW = (
    Rule(READ, [""], (*_CORE, *_STATUS)),
    Rule(READ, ["apps"], (*_WORKLOADS, "controllerrevisions", "daemonsets/status", "deployments/status",
                          "replicasets/status", "statefulsets/status")),
    Rule(READ, ["autoscaling"], ("horizontalpodautoscalers", "horizontalpodautoscalers/status")),
    Rule(READ, ["batch"], ("cronjobs", "cronjobs/status", "jobs", "jobs/status")),
    Rule(READ, ["networking.k8s.io"], ("ingresses", "ingresses/status", "networkpolicies")),
    Rule(READ, ["policy"], ("poddisruptionbudgets", "poddisruptionbudgets/status")),
    Rule(READ, ["discovery.k8s.io"], ("endpointslices",)),
    Rule(READ, ["metrics.k8s.io"], ("pods", "nodes")),
)  # fmt: skip
_EDIT = (
    *_VIEW,
    Rule(READ, [""], ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy")),
    Rule(WRITE, [""], (*_CORE, "secrets", "events", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy",
                       "pods/eviction", "services/proxy", "serviceaccounts/token")),
    Rule(["impersonate"], [""], ("serviceaccounts",)),
    Rule(WRITE, ["apps"], _WORKLOADS),
    Rule(WRITE, ["autoscaling"], ("horizontalpodautoscalers",)),
    Rule(WRITE, ["batch"], ("cronjobs", "jobs")),
    Rule(WRITE, ["networking.k8s.io"], ("ingresses", "networkpolicies")),
    Rule(WRITE, ["policy"], ("poddisruptionbudgets",)),
    Rule((*READ, *WRITE), ["coordination.k8s.io"], ("leases",)),
)  # fmt: skip
_ADMIN = (
    *_EDIT,
    Rule(["create"], ["authorization.k8s.io"], ("localsubjectaccessreviews",)),
    Rule((*READ, *WRITE), ["rbac.authorization.k8s.io"], ("rolebindings", "roles")),
)
_ALL = (Rule(["*"], ["*"], ["*"]), Rule(["*"], paths=["*"]))
_READ_ALL = (Rule(READ, ["*"], ["*"]), Rule(["get"], paths=["*"]))
_LEASES = (Rule(("get", "create", "update", "patch", "watch", "list"), ["coordination.k8s.io"], ("leases",)),)
_CONTROLLER = (
    Rule((*READ, "patch", "update", "create", "delete"), ["karpenter.sh", "eks.amazonaws.com"], ["*"]),
    Rule((*READ, "patch", "update", "delete"), [""], ("nodes", "nodes/status", "pods", "pods/eviction", "services",
                                                      "services/status", "persistentvolumes", "persistentvolumeclaims")),
    Rule(("create",), [""], ("nodes", "pods/eviction", "persistentvolumes")),
    Rule(("create", "patch", "update"), ["", "events.k8s.io"], ("events",)),
    Rule(READ, ["apps", "batch", "policy", "storage.k8s.io", "networking.k8s.io", "discovery.k8s.io",
                "scheduling.k8s.io"], ["*"]),
    Rule((*READ, "patch", "update", "create", "delete"), ["elbv2.k8s.aws", "elbv2.eks.amazonaws.com",
                                                          "storage.k8s.io"], ["*"]),
    Rule(("patch", "update"), ["networking.k8s.io"], ("ingresses", "ingresses/status")),
    Rule(READ, [""], ("namespaces", "endpoints", "secrets", "configmaps")),
)  # fmt: skip
_NODE = (
    Rule(READ, [""], ("nodes", "pods", "services", "endpoints", "configmaps", "secrets", "namespaces",
                      "persistentvolumes", "persistentvolumeclaims", "serviceaccounts")),
    Rule(("create", "patch", "update", "delete"), [""], ("nodes", "nodes/status", "pods", "pods/status")),
    Rule(("create", "patch", "update"), ["", "events.k8s.io"], ("events",)),
    Rule(("create",), [""], ("serviceaccounts/token", "pods/eviction")),
    Rule(("create",), ["authentication.k8s.io", "authorization.k8s.io"], ["*"]),
    Rule((*READ, *WRITE), ["coordination.k8s.io"], ("leases",)),
    Rule((*READ, *WRITE), ["eks.amazonaws.com"], ["*"]),
    Rule(READ, ["discovery.k8s.io", "storage.k8s.io", "node.k8s.io", "networking.k8s.io"], ["*"]),
    Rule(("create", "patch", "update", "delete"), ["storage.k8s.io"], ("csinodes", "volumeattachments")),
    Rule((*READ, "create"), ["certificates.k8s.io"], ("certificatesigningrequests",)),
)  # fmt: skip
_INSIGHTS = (
    Rule(READ, [""], ("nodes", "pods", "services", "endpoints", "namespaces", "configmaps")),
    Rule(READ, ["apps", "batch", "apiregistration.k8s.io", "admissionregistration.k8s.io"], ["*"]),
    Rule(["get"], paths=["/metrics", "/version", "/healthz", "/livez", "/readyz"]),
)

POLICIES: Mapping[str, Sequence[Rule]] = {
    "AmazonEKSClusterAdminPolicy": _ALL,
    "AmazonEKSAdminPolicy": _ADMIN,
    "AmazonEKSEditPolicy": _EDIT,
    "AmazonEKSViewPolicy": _VIEW,
    "AmazonEKSAdminViewPolicy": _READ_ALL,
    "AmazonEKSSecretReaderPolicy": (Rule(READ, [""], ("secrets",)),),
    "AmazonEKSClusterInsightsPolicy": _INSIGHTS,
    "AmazonEKSAutoNodePolicy": _NODE,
    "AmazonEKSBlockStoragePolicy": _LEASES,
    "AmazonEKSLoadBalancingPolicy": _LEASES,
    "AmazonEKSNetworkingPolicy": _LEASES,
    "AmazonEKSComputePolicy": _LEASES,
    "AmazonEKSBlockStorageClusterPolicy": _CONTROLLER,
    "AmazonEKSLoadBalancingClusterPolicy": _CONTROLLER,
    "AmazonEKSNetworkingClusterPolicy": _CONTROLLER,
    "AmazonEKSComputeClusterPolicy": _CONTROLLER,
    "AmazonEKSHybridPolicy": (Rule(("list",), [""], ("nodes",)),),
    "AmazonAIOpsAssistantPolicy": _READ_ALL[:1],
    "AmazonARCRegionSwitchScalingPolicy": (
        Rule(("get", "list"), ["apps"], ("deployments", "replicasets", "statefulsets")),
        Rule(("get", "update", "patch"), ["*"], ("*/scale",)),
    ),
}
# What a namespace scope can't hold: these need the whole cluster.
CLUSTER_ONLY = frozenset(("AmazonEKSClusterInsightsPolicy", "AmazonEKSAutoNodePolicy", "AmazonEKSHybridPolicy"))
