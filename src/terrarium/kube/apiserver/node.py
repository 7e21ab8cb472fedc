"""The node authoriser: what a kubelet may read is what the pods on its node refer to.

Each resource that is subdivided has a rule here; of all others a kubelet has what the table of the role system:node
says. A refusal is "no opinion" with a reason: another authoriser may still say yes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from terrarium.kube.api.hooks import Attributes, Decision, User
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.resources import Resources

PREFIX, GROUP = "system:node:", "system:nodes"
_READS = ("get", "list", "watch")
_CHANGES = ("get", "create", "update", "patch", "delete")
_ACCOUNTS_SINCE = 34
"""The minor version from which kubelets may read service accounts (for credential providers)."""
_ALLOW = Decision("allow")


def _no(reason: str = "") -> Decision:
    return Decision("no opinion", reason)


def is_node(user: User) -> bool:
    return user.name.startswith(PREFIX) and GROUP in user.groups


def node_of(attributes: Attributes) -> str:
    """The node that a user is; "" for other users."""
    return attributes.user.name.removeprefix(PREFIX) if is_node(attributes.user) else ""


class NodeAuthorizer:
    """Asked only about users of the group system:nodes."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def authorize(self, attributes: Attributes) -> Decision:
        node = node_of(attributes)
        if not node or attributes.resource is None:
            return _no()
        rule = _RULES.get(str(attributes.resource))
        if rule is None:
            return _ALLOW if _plain(attributes) else _no()
        return await rule(self, attributes, node)

    # What is referred to

    async def _all(self, group: str, plural: str, namespace: str = "") -> list[Obj]:
        kind = self._resources.registry.resource(group, "v1", plural)
        return await self._resources.all(kind, namespace) if kind is not None else []

    async def _pods(self, node: str, namespace: str) -> list[Obj]:
        pods = await self._all("", "pods", namespace)
        return [pod for pod in pods if pod.get("spec", {}).get("nodeName") == node]

    async def _related(self, attributes: Attributes, node: str) -> bool:
        resource = attributes.resource
        assert resource is not None
        if resource.plural == "volumeattachments":
            attachments = await self._all(resource.group, resource.plural)
            return any(
                a["metadata"]["name"] == attributes.name and a["spec"].get("nodeName") == node for a in attachments
            )
        pods = await self._pods(node, attributes.namespace)
        if resource.plural == "pods":
            return any(pod["metadata"]["name"] == attributes.name for pod in pods)
        if resource.plural == "persistentvolumes":
            claims = {
                (pod["metadata"]["namespace"], name)
                for pod in pods
                for name in references(pod, "persistentvolumeclaims")
            }
            return any(
                (claim["metadata"]["namespace"], claim["metadata"]["name"]) in claims
                for claim in await self._all("", "persistentvolumeclaims")
                if claim["spec"].get("volumeName") == attributes.name
            )
        return any(attributes.name in references(pod, resource.plural) for pod in pods)

    async def _relation(self, attributes: Attributes, node: str) -> Decision:
        if not attributes.name:
            return _no("No Object name found")
        if await self._related(attributes, node):
            return _ALLOW
        return _no(f"no relationship found between node '{node}' and this object")

    # The rules

    async def _read(self, attributes: Attributes, node: str) -> Decision:
        """Reads (lists and watches too, by name) of namespaced objects."""
        if attributes.verb not in _READS:
            return _no("can only read resources of this type")
        if attributes.subresource:
            return _no("cannot read subresource")
        if not attributes.namespace:
            return _no("can only read namespaced object of this type")
        return await self._relation(attributes, node)

    async def _get(self, attributes: Attributes, node: str) -> Decision:
        if attributes.verb != "get":
            return _no("can only get individual resources of this type")
        if attributes.subresource:
            return _no("cannot get subresource")
        return await self._relation(attributes, node)

    async def _claim(self, attributes: Attributes, node: str) -> Decision:
        if attributes.subresource != "status":
            return await self._get(attributes, node)
        if attributes.verb not in ("get", "update", "patch"):
            return _no("can only get/update/patch this type")
        return await self._relation(attributes, node)

    async def _account(self, attributes: Attributes, node: str) -> Decision:
        if attributes.verb == "get" and not attributes.subresource:
            if self._resources.minor < _ACCOUNTS_SINCE:
                return _no("not allowed to get service accounts")
            return await self._read(attributes, node)
        if attributes.verb != "create" or not attributes.name:
            return _no("can only create tokens for individual service accounts")
        if attributes.subresource != "token":
            return _no("can only create token subresource of service account")
        return await self._relation(attributes, node)

    async def _pod(self, attributes: Attributes, node: str) -> Decision:
        if attributes.subresource:
            return _ALLOW if _plain(attributes) else _no()
        if attributes.verb in ("list", "watch") and not attributes.name:
            if f"spec.nodeName={node}" in attributes.fields.replace("==", "=").split(","):
                return _ALLOW
            return _no("can only list/watch pods with spec.nodeName field selector")
        if attributes.verb in _READS:
            return await self._relation(attributes, node)
        return _ALLOW if _plain(attributes) else _no()

    async def _lease(self, attributes: Attributes, node: str) -> Decision:
        if attributes.verb not in _CHANGES:
            return _no("can only get, create, update, patch, or delete a node lease")
        if attributes.namespace != "kube-node-lease":
            return _no('can only access leases in the "kube-node-lease" system namespace')
        if attributes.verb != "create" and attributes.name != node:
            return _no("can only access node lease with the same name as the requesting node")
        return _ALLOW

    async def _csi_node(self, attributes: Attributes, node: str) -> Decision:
        if attributes.verb not in _CHANGES:
            return _no("can only get, create, update, patch, or delete a CSINode")
        if attributes.subresource:
            return _no("cannot authorize CSINode subresources")
        if attributes.verb != "create" and attributes.name != node:
            return _no("can only access CSINode with the same name as the requesting node")
        return _ALLOW

    async def _node(self, attributes: Attributes, node: str) -> Decision:
        if not attributes.subresource and attributes.verb in _READS and attributes.name != node:
            if attributes.name:
                return _no(f"node '{node}' cannot read '{attributes.name}', only its own Node object")
            return _no(f"node '{node}' cannot read all nodes, only its own Node object")
        return _ALLOW if _plain(attributes) else _no()


_VOLUME_SECRETS = (
    ("secret", "secretName"),
    ("azureFile", "secretName"),
    ("cephfs", "secretRef", "name"),
    ("cinder", "secretRef", "name"),
    ("csi", "nodePublishSecretRef", "name"),
    ("flexVolume", "secretRef", "name"),
    ("iscsi", "secretRef", "name"),
    ("rbd", "secretRef", "name"),
    ("scaleIO", "secretRef", "name"),
    ("storageos", "secretRef", "name"),
)
"""Where volumes name secrets."""


def references(pod: Obj, plural: str) -> Iterable[str]:
    """Names of the secrets, config maps, claims and accounts that a pod uses."""
    spec: dict[str, Any] = pod.get("spec", {})
    if plural == "serviceaccounts":
        yield spec.get("serviceAccountName", "default")
        return
    for volume in spec.get("volumes") or ():
        if plural == "persistentvolumeclaims":
            yield (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
            if "ephemeral" in volume:
                yield f"{pod['metadata']['name']}-{volume['name']}"
        elif plural == "secrets":
            for path in _VOLUME_SECRETS:
                held: Any = volume
                for step in path:
                    held = (held or {}).get(step)
                yield held or ""
        else:
            yield (volume.get("configMap") or {}).get("name", "")
        for projected in (volume.get("projected") or {}).get("sources") or ():
            yield (projected.get(_SINGULAR.get(plural, "")) or {}).get("name", "")
    if plural == "secrets":
        for ref in spec.get("imagePullSecrets") or ():
            yield ref.get("name", "")
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            for source in container.get("envFrom") or ():
                yield (source.get(f"{_SINGULAR.get(plural)}Ref") or {}).get("name", "")
            for variable in container.get("env") or ():
                yield ((variable.get("valueFrom") or {}).get(f"{_SINGULAR.get(plural)}KeyRef") or {}).get("name", "")


_SINGULAR = {"secrets": "secret", "configmaps": "configMap"}
_RULES = {
    "secrets": NodeAuthorizer._read,
    "configmaps": NodeAuthorizer._read,
    "persistentvolumeclaims": NodeAuthorizer._claim,
    "persistentvolumes": NodeAuthorizer._get,
    "volumeattachments.storage.k8s.io": NodeAuthorizer._get,
    "serviceaccounts": NodeAuthorizer._account,
    "pods": NodeAuthorizer._pod,
    "leases.coordination.k8s.io": NodeAuthorizer._lease,
    "csinodes.storage.k8s.io": NodeAuthorizer._csi_node,
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
    ("runtimeclasses.node.k8s.io", ""): ("get", "list", "watch"),
}
"""What every kubelet may do (the rules of the role system:node)."""


def _plain(attributes: Attributes) -> bool:
    return attributes.verb in _KUBELET.get((str(attributes.resource), attributes.subresource), ())
