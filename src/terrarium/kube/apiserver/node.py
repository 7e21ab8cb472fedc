"""The node authoriser: what a kubelet may read is what the pods on its node refer to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from terrarium.kube.api.hooks import Attributes, Decision
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.resources import Resources

PREFIX, GROUP = "system:node:", "system:nodes"
_READS = ("get", "list", "watch")


def node_of(attributes: Attributes) -> str:
    """The node that a user is; "" for other users."""
    user = attributes.user
    return user.name.removeprefix(PREFIX) if user.name.startswith(PREFIX) and GROUP in user.groups else ""


class NodeAuthorizer:
    """Asked only about users of the group system:nodes; the rest of their rights is RBAC's system:node."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def authorize(self, attributes: Attributes) -> Decision:
        node = node_of(attributes)
        if not node or attributes.resource is None:
            return Decision("no opinion")
        rule = _RULES.get(str(attributes.resource))
        if rule is None:
            return Decision("allow") if _plain(attributes) else Decision("no opinion")
        return await rule(self, attributes, node)

    async def _pods(self, node: str, namespace: str) -> list[Obj]:
        kind = self._resources.registry.resource("", "v1", "pods")
        if kind is None:
            return []
        pods = await self._resources.all(kind, namespace)
        return [pod for pod in pods if pod.get("spec", {}).get("nodeName") == node]

    async def _referred(self, attributes: Attributes, node: str) -> Decision:
        """Reads of one object that a pod of the node names."""
        resource = attributes.resource
        assert resource is not None
        if attributes.verb not in _READS or attributes.subresource:
            return Decision("no opinion", "can only read resources of this type")
        if not attributes.name:
            return Decision("no opinion", "No Object name found")
        for pod in await self._pods(node, attributes.namespace):
            if attributes.name in _references(pod, resource.plural):
                return Decision("allow")
        return Decision("no opinion", f"no relationship found between node '{node}' and this object")

    async def _token(self, attributes: Attributes, node: str) -> Decision:
        if attributes.verb != "create" or attributes.subresource != "token":
            return await self._referred(attributes, node) if attributes.verb in _READS else Decision("no opinion")
        for pod in await self._pods(node, attributes.namespace):
            if pod["spec"].get("serviceAccountName", "default") == attributes.name:
                return Decision("allow")
        return Decision("no opinion", f"no relationship found between node '{node}' and this object")

    async def _pod(self, attributes: Attributes, node: str) -> Decision:
        if attributes.verb in ("list", "watch") and not attributes.name:
            if f"spec.nodeName={node}" not in attributes.fields.replace("==", "=").split(","):
                return Decision("no opinion", "can only list/watch pods with spec.nodeName field selector")
            return Decision("allow")
        if attributes.verb == "get" and not attributes.subresource and attributes.name:
            for pod in await self._pods(node, attributes.namespace):
                if pod["metadata"]["name"] == attributes.name:
                    return Decision("allow")
            return Decision("no opinion", f"no relationship found between node '{node}' and this object")
        return Decision("allow") if _plain(attributes) else Decision("no opinion")

    async def _lease(self, attributes: Attributes, node: str) -> Decision:
        if attributes.namespace != "kube-node-lease":
            return Decision("no opinion", 'can only access leases in the "kube-node-lease" system namespace')
        if attributes.verb != "create" and attributes.name != node:
            return Decision("no opinion", "can only access node lease with the same name as the requesting node")
        return Decision("allow")

    async def _node(self, attributes: Attributes, node: str) -> Decision:
        if attributes.verb in ("list", "watch") and attributes.name != node:
            return Decision("no opinion", f"node '{node}' cannot read all nodes, only its own Node object")
        if attributes.verb == "get" and attributes.name != node:
            return Decision("no opinion", f"node '{node}' cannot read '{attributes.name}', only its own Node object")
        return Decision("allow") if _plain(attributes) else Decision("no opinion")


def _references(pod: Obj, plural: str) -> Iterable[str]:
    """Names of the secrets, config maps, claims and accounts that a pod uses."""
    spec: dict[str, Any] = pod.get("spec", {})
    if plural == "serviceaccounts":
        yield spec.get("serviceAccountName", "default")
        return
    if plural == "persistentvolumeclaims":
        for volume in spec.get("volumes") or ():
            if "persistentVolumeClaim" in volume:
                yield volume["persistentVolumeClaim"].get("claimName", "")
        return
    if plural == "secrets":
        for ref in spec.get("imagePullSecrets") or ():
            yield ref.get("name", "")
    singular = {"secrets": "secret", "configmaps": "configMap"}.get(plural, "")
    for volume in spec.get("volumes") or ():
        source = volume.get(singular) or {}
        yield source.get("secretName") or source.get("name", "")
        for projected in (volume.get("projected") or {}).get("sources") or ():
            yield (projected.get(singular) or {}).get("name", "")
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            for source in container.get("envFrom") or ():
                yield (source.get(f"{singular}Ref") or {}).get("name", "")
            for variable in container.get("env") or ():
                yield ((variable.get("valueFrom") or {}).get(f"{singular}KeyRef") or {}).get("name", "")


_RULES = {
    "secrets": NodeAuthorizer._referred,
    "configmaps": NodeAuthorizer._referred,
    "persistentvolumeclaims": NodeAuthorizer._referred,
    "persistentvolumes": NodeAuthorizer._referred,
    "serviceaccounts": NodeAuthorizer._token,
    "pods": NodeAuthorizer._pod,
    "leases.coordination.k8s.io": NodeAuthorizer._lease,
    "nodes": NodeAuthorizer._node,
}
_KUBELET: dict[tuple[str, str], tuple[str, ...]] = {
    ("nodes", ""): ("create", "get", "list", "watch", "update", "patch"),
    ("nodes", "status"): ("update", "patch"),
    ("pods", ""): ("list", "watch", "create", "delete"),
    ("pods", "status"): ("update", "patch"),
    ("pods", "eviction"): ("create",),
    ("services", ""): ("get", "list", "watch"),
    ("events", ""): ("create", "update", "patch"),
    ("events.events.k8s.io", ""): ("create", "update", "patch"),
    ("tokenreviews.authentication.k8s.io", ""): ("create",),
    ("subjectaccessreviews.authorization.k8s.io", ""): ("create",),
    ("localsubjectaccessreviews.authorization.k8s.io", ""): ("create",),
    ("certificatesigningrequests.certificates.k8s.io", ""): ("create", "get", "list", "watch"),
    ("csidrivers.storage.k8s.io", ""): ("get", "list", "watch"),
    ("csinodes.storage.k8s.io", ""): ("create", "delete", "get", "patch", "update"),
    ("volumeattachments.storage.k8s.io", ""): ("get",),
    ("runtimeclasses.node.k8s.io", ""): ("get", "list", "watch"),
}
"""What every kubelet may do (the rules of the role system:node)."""


def _plain(attributes: Attributes) -> bool:
    return attributes.verb in _KUBELET.get((str(attributes.resource), attributes.subresource), ())
