"""PodSecurity, NodeRestriction and the rules for owner references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import AdmissionRequest, Attributes, Denied
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.node import GROUP as NODES
from terrarium.kube.apiserver.node import PREFIX, references
from terrarium.kube.apiserver.plugins import Plugin
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.client.contract import Resource

# PodSecurity: each check gives the text of what is wrong, in the standard's words; "" when a pod passes.

Check = Callable[[Obj, dict[str, Any]], str]
"""Of pod metadata and pod spec."""

_BASE_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SYSCTLS = frozenset(
    [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    ]
)
_VOLUMES = frozenset(
    [
        "configMap",
        "downwardAPI",
        "emptyDir",
        "projected",
        "secret",
        "csi",
        "persistentVolumeClaim",
        "ephemeral",
        "image",
    ]
)
_SELINUX = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})


def _each(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for group in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(group) or ()]


def _context(container: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = container.get("securityContext") or {}
    return found


def _named(what: str, names: Sequence[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(quote(n) for n in names)}"


def _host_namespaces(meta: Obj, spec: dict[str, Any]) -> str:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _privileged(meta: Obj, spec: dict[str, Any]) -> str:
    found = [c["name"] for c in _each(spec) if _context(c).get("privileged")]
    return f"privileged ({_named('container', found)} must not set securityContext.privileged=true)" if found else ""


def _capabilities_baseline(meta: Obj, spec: dict[str, Any]) -> str:
    names: list[str] = []
    extra: set[str] = set()
    for container in _each(spec):
        added = set((_context(container).get("capabilities") or {}).get("add") or ()) - _BASE_CAPABILITIES
        if added:
            names.append(container["name"])
            extra |= added
    if not names:
        return ""
    shown = ", ".join(quote(n) for n in sorted(extra))
    return (
        f"non-default capabilities ({_named('container', names)} must not include {shown} in "
        "securityContext.capabilities.add)"
    )


def _host_path(meta: Obj, spec: dict[str, Any]) -> str:
    found = [v["name"] for v in spec.get("volumes") or () if v.get("hostPath") is not None]
    return f"hostPath volumes ({_named('volume', found)})" if found else ""


def _host_ports(meta: Obj, spec: dict[str, Any]) -> str:
    names: list[str] = []
    ports: set[int] = set()
    for container in _each(spec):
        used = {p["hostPort"] for p in container.get("ports") or () if p.get("hostPort")}
        if used:
            names.append(container["name"])
            ports |= used
    if not names:
        return ""
    verb = "use" if len(names) > 1 else "uses"
    plural = "s" if len(ports) > 1 else ""
    return f"hostPort ({_named('container', names)} {verb} hostPort{plural} {', '.join(str(p) for p in sorted(ports))})"


def _seccomp_baseline(meta: Obj, spec: dict[str, Any]) -> str:
    found: list[str] = []
    if ((spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type") == "Unconfined":
        found.append('pod must not set securityContext.seccompProfile.type to "Unconfined"')
    names = [c["name"] for c in _each(spec) if (_context(c).get("seccompProfile") or {}).get("type") == "Unconfined"]
    if names:
        found.append(f'{_named("container", names)} must not set securityContext.seccompProfile.type to "Unconfined"')
    return f"seccompProfile ({'; '.join(found)})" if found else ""


def _sysctls(meta: Obj, spec: dict[str, Any]) -> str:
    found = [s["name"] for s in (spec.get("securityContext") or {}).get("sysctls") or () if s["name"] not in _SYSCTLS]
    return f"forbidden sysctls ({', '.join(found)})" if found else ""


def _proc_mount(meta: Obj, spec: dict[str, Any]) -> str:
    found = [c for c in _each(spec) if _context(c).get("procMount", "Default") != "Default"]
    if not found:
        return ""
    kinds = ", ".join(sorted({quote(_context(c)["procMount"]) for c in found}))
    return f"procMount ({_named('container', [c['name'] for c in found])} must not set securityContext.procMount to {kinds})"


def _selinux(meta: Obj, spec: dict[str, Any]) -> str:
    holders = [spec.get("securityContext") or {}, *(_context(c) for c in _each(spec))]
    types = {(h.get("seLinuxOptions") or {}).get("type", "") for h in holders} - _SELINUX
    if types:
        shown = ", ".join(quote(t) for t in sorted(types))
        return f"seLinuxOptions (forbidden types {shown})"
    if any((h.get("seLinuxOptions") or {}).get(f) for h in holders for f in ("user", "role")):
        return "seLinuxOptions (user or role may not be set)"
    return ""


def _host_process(meta: Obj, spec: dict[str, Any]) -> str:
    found = [c["name"] for c in _each(spec) if (_context(c).get("windowsOptions") or {}).get("hostProcess")]
    if found:
        return (
            f"hostProcess ({_named('container', found)} must not set securityContext.windowsOptions.hostProcess=true)"
        )
    return ""


def _apparmor(meta: Obj, spec: dict[str, Any]) -> str:
    values = {
        (h.get("appArmorProfile") or {}).get("type", "")
        for h in (spec.get("securityContext") or {}, *map(_context, _each(spec)))
    }
    if "Unconfined" in values:
        return 'forbidden AppArmor profile (pod or container must not set AppArmor profile type to "Unconfined")'
    return ""


def _escalation(meta: Obj, spec: dict[str, Any]) -> str:
    found = [c["name"] for c in _each(spec) if _context(c).get("allowPrivilegeEscalation") is not False]
    if not found or _windows(spec):
        return ""
    return (
        f"allowPrivilegeEscalation != false ({_named('container', found)} must set "
        "securityContext.allowPrivilegeEscalation=false)"
    )


def _capabilities_restricted(meta: Obj, spec: dict[str, Any]) -> str:
    if _windows(spec):
        return ""
    keeps: list[str] = []
    adds: list[str] = []
    extra: set[str] = set()
    for container in _each(spec):
        capabilities = _context(container).get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            keeps.append(container["name"])
        added = set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}
        if added:
            adds.append(container["name"])
            extra |= added
    found: list[str] = []
    if keeps:
        found.append(f'{_named("container", keeps)} must set securityContext.capabilities.drop=["ALL"]')
    if adds:
        shown = ", ".join(quote(n) for n in sorted(extra))
        found.append(f"{_named('container', adds)} must not include {shown} in securityContext.capabilities.add")
    return f"unrestricted capabilities ({'; '.join(found)})" if found else ""


def _restricted_volumes(meta: Obj, spec: dict[str, Any]) -> str:
    names: list[str] = []
    types: set[str] = set()
    for volume in spec.get("volumes") or ():
        kind = next((key for key in volume if key != "name"), "unknown")
        if kind not in _VOLUMES:
            names.append(volume["name"])
            types.add(kind)
    if not names:
        return ""
    verb = "use" if len(names) > 1 else "uses"
    plural = "s" if len(types) > 1 else ""
    return f"restricted volume types ({_named('volume', names)} {verb} restricted volume type{plural} {', '.join(quote(t) for t in sorted(types))})"


def _non_root(meta: Obj, spec: dict[str, Any]) -> str:
    pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    found: list[str] = []
    if pod is False:
        found.append("pod must not set securityContext.runAsNonRoot=false")
    explicit = [c["name"] for c in _each(spec) if _context(c).get("runAsNonRoot") is False]
    if explicit:
        found.append(f"{_named('container', explicit)} must not set securityContext.runAsNonRoot=false")
    if found:
        return f"runAsNonRoot != true ({'; '.join(found)})"
    missing = [c["name"] for c in _each(spec) if _context(c).get("runAsNonRoot") is None]
    if pod is True or not missing:
        return ""
    return f"runAsNonRoot != true (pod or {_named('container', missing)} must set securityContext.runAsNonRoot=true)"


def _run_as_user(meta: Obj, spec: dict[str, Any]) -> str:
    found: list[str] = []
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        found.append("pod must not set runAsUser=0")
    names = [c["name"] for c in _each(spec) if _context(c).get("runAsUser") == 0]
    if names:
        found.append(f"{_named('container', names)} must not set runAsUser=0")
    return f"runAsUser=0 ({'; '.join(found)})" if found else ""


def _seccomp_restricted(meta: Obj, spec: dict[str, Any]) -> str:
    if _windows(spec):
        return ""
    allowed = ("RuntimeDefault", "Localhost")
    pod = ((spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    explicit = [
        c["name"]
        for c in _each(spec)
        if (_context(c).get("seccompProfile") or {}).get("type", allowed[0]) not in allowed
    ]
    found: list[str] = []
    if pod is not None and pod not in allowed:
        found.append(f"pod must not set securityContext.seccompProfile.type to {quote(pod)}")
    if explicit:
        found.append(
            f'{_named("container", explicit)} must not set securityContext.seccompProfile.type to "Unconfined"'
        )
    if found:
        return f"seccompProfile ({'; '.join(found)})"
    missing = [c["name"] for c in _each(spec) if (_context(c).get("seccompProfile") or {}).get("type") is None]
    if pod is not None or not missing:
        return ""
    return (
        f"seccompProfile (pod or {_named('container', missing)} must set securityContext.seccompProfile.type to "
        '"RuntimeDefault" or "Localhost")'
    )


def _windows(spec: dict[str, Any]) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("apparmor", _apparmor),
    ("both", _host_namespaces),
    ("baseline", _host_path),
    ("both", _host_ports),
    ("both", _privileged),
    ("both", _proc_mount),
    ("both", _selinux),
    ("baseline", _seccomp_baseline),
    ("both", _sysctls),
    ("both", _host_process),
    ("baseline", _capabilities_baseline),
    ("restricted", _escalation),
    ("restricted", _capabilities_restricted),
    ("restricted", _restricted_volumes),
    ("restricted", _non_root),
    ("restricted", _run_as_user),
    ("restricted", _seccomp_restricted),
)
"""In the order of their texts. `restricted` replaces what `baseline` says of the same matter."""


def violations(level: str, meta: Obj, spec: dict[str, Any]) -> str:
    """What keeps a pod from a level, joined; "" when nothing does."""
    if level not in ("baseline", "restricted"):
        return ""
    other = "baseline" if level == "restricted" else "restricted"
    found = [check(meta, spec) for of, check in _CHECKS if of != other]
    return ", ".join(text for text in found if text)


_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}


class PodSecurity(Plugin):
    """The Pod Security Standards by labels of the namespace: `enforce` refuses, `warn` warns."""

    name = "PodSecurity"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.operation not in ("CREATE", "UPDATE") or request.obj is None or not request.namespace:
            return
        resource = str(request.resource)
        if request.subresource and request.subresource != "ephemeralcontainers":
            return
        if resource != "pods" and resource not in _TEMPLATES:
            return
        namespace = await self.one("", "v1", "namespaces", "", request.namespace)
        labels = (namespace or {}).get("metadata", {}).get("labels") or {}
        pod: Any = request.obj
        for step in _TEMPLATES.get(resource, ()):
            pod = (pod or {}).get(step)
        if not pod:
            return
        meta, spec = pod.get("metadata") or {}, pod.get("spec") or {}
        if resource == "pods":
            level = labels.get("pod-security.kubernetes.io/enforce", "")
            if request.operation == "UPDATE" and request.old and request.old.get("spec") == request.obj.get("spec"):
                return
            if text := violations(level, meta, spec):
                raise Denied(f'violates PodSecurity "{level}:{_version(labels, "enforce")}": {text}')
        level = labels.get("pod-security.kubernetes.io/warn", "")
        if text := violations(level, meta, spec):
            request.warnings.append(f'would violate PodSecurity "{level}:{_version(labels, "warn")}": {text}')


def _version(labels: Mapping[str, str], mode: str) -> str:
    return labels.get(f"pod-security.kubernetes.io/{mode}-version", "latest")


class NodeRestriction(Plugin):
    """A kubelet may only change its own node and the pods that are bound to it."""

    name = "NodeRestriction"
    _FREE = frozenset(
        [
            "kubernetes.io/hostname",
            "kubernetes.io/arch",
            "kubernetes.io/os",
            "beta.kubernetes.io/instance-type",
            "node.kubernetes.io/instance-type",
            "failure-domain.beta.kubernetes.io/region",
            "topology.kubernetes.io/region",
            "failure-domain.beta.kubernetes.io/zone",
            "topology.kubernetes.io/zone",
            "beta.kubernetes.io/os",
            "beta.kubernetes.io/arch",
        ]
    )

    async def admit(self, request: AdmissionRequest) -> None:
        user = request.user
        if not user.name.startswith(PREFIX) or NODES not in user.groups:
            return
        node = user.name.removeprefix(PREFIX)
        rule = _NODE_RULES.get(str(request.resource))
        if rule is not None:
            await rule(self, request, node)

    async def _pods(self, request: AdmissionRequest, node: str) -> None:
        if request.operation == "CREATE" and not request.subresource:
            pod = request.obj or {}
            annotations = pod.get("metadata", {}).get("annotations") or {}
            if "kubernetes.io/config.mirror" not in annotations:
                raise Denied(
                    f'pod does not have "kubernetes.io/config.mirror" annotation, node {quote(node)} can only create mirror pods'
                )
            if (pod.get("spec") or {}).get("nodeName") != node:
                raise Denied(f"node {quote(node)} can only create pods with spec.nodeName set to itself")
            await self._mirror(pod, node)
            return
        old = request.old
        if old is None and request.name:
            old = await self.one("", "v1", "pods", request.namespace, request.name)
        if old is not None and (old.get("spec") or {}).get("nodeName") != node:
            if request.operation == "DELETE":
                raise Denied(f"node {quote(node)} can only delete pods with spec.nodeName set to itself")
            if request.subresource == "status":
                raise Denied(f"node {quote(node)} can only update pod status for pods with spec.nodeName set to itself")
            if request.subresource == "eviction":
                raise Denied(f"node {node} can only evict pods with spec.nodeName set to itself")
        if request.operation == "UPDATE" and request.subresource == "status" and old is not None:
            before, after = (held.get("metadata", {}).get("labels") or {} for held in (old, request.obj or {}))
            if before != after:
                raise Denied(f"node {quote(node)} cannot update labels through pod status")

    async def _mirror(self, pod: Obj, node: str) -> None:
        """A mirror pod belongs to its node, and refers to nothing else."""
        owners = pod.get("metadata", {}).get("ownerReferences") or []
        if len(owners) > 1:
            raise Denied(f"node {quote(node)} can only create pods with a single owner reference set to itself")
        owner = owners[0] if owners else {}
        if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
            raise Denied(f"node {quote(node)} can only create pods with an owner reference set to itself")
        if not owner.get("controller"):
            raise Denied(f"node {quote(node)} can only create pods with a controller owner reference set to itself")
        if owner.get("blockOwnerDeletion"):
            raise Denied(f"node {quote(node)} must not set blockOwnerDeletion on an owner reference")
        held = await self.one("", "v1", "nodes", "", node)
        if held is not None and held["metadata"]["uid"] != owner.get("uid"):
            text = f"node {node} UID mismatch: expected {owner.get('uid', '')} got {held['metadata']['uid']}"
            raise Denied(text)
        if pod["spec"].get("serviceAccountName"):
            raise Denied(f"node {quote(node)} can not create pods that reference a service account")
        for plural in ("secrets", "configmaps", "persistentvolumeclaims"):
            if any(references(pod, plural)):
                raise Denied(f"node {quote(node)} can not create pods that reference {plural}")

    async def _nodes(self, request: AdmissionRequest, node: str) -> None:
        if request.name != node:
            raise Denied(f"node {quote(node)} is not allowed to modify node {quote(request.name)}")
        if request.obj is None:
            return
        new = request.obj["metadata"].get("labels") or {}
        old = ((request.old or {}).get("metadata") or {}).get("labels") or {}
        changed = {key for key in {*new, *old} if new.get(key) != old.get(key)}
        forbidden = sorted(key for key in changed if self._is_kept(key))
        if forbidden:
            verb = "set" if request.operation == "CREATE" else "modify"
            raise Denied(f"is not allowed to {verb} labels: {', '.join(forbidden)}")
        if request.operation == "UPDATE" and request.old is not None and not request.subresource:
            before = (request.old.get("spec") or {}).get("taints") or []
            if ((request.obj.get("spec") or {}).get("taints") or []) != before:
                raise Denied(f"node {quote(node)} is not allowed to modify taints")

    def _is_kept(self, key: str) -> bool:
        prefix = key.partition("/")[0] if "/" in key else ""
        if prefix == "node-restriction.kubernetes.io" or prefix.endswith(".node-restriction.kubernetes.io"):
            return True
        if not (prefix.endswith(("kubernetes.io", "k8s.io"))):
            return False
        if prefix in ("kubelet.kubernetes.io", "node.kubernetes.io") or prefix.endswith(
            (".kubelet.kubernetes.io", ".node.kubernetes.io")
        ):
            return False
        return key not in self._FREE

    async def _tokens(self, request: AdmissionRequest, node: str) -> None:
        if request.subresource != "token" or request.obj is None:
            return
        bound = (request.obj.get("spec") or {}).get("boundObjectRef") or {}
        if bound.get("kind") != "Pod" or not bound.get("name"):
            raise Denied("node requested token not bound to a pod")
        if not bound.get("uid"):
            raise Denied("node requested token with a pod binding without a uid")
        pod = await self.one("", "v1", "pods", request.namespace, bound["name"])
        if pod is not None and (pod.get("spec") or {}).get("nodeName") != node:
            raise Denied("node requested token bound to a pod scheduled on a different node")

    async def _csi_nodes(self, request: AdmissionRequest, node: str) -> None:
        if request.name != node:
            raise Denied("can only access CSINode with the same name as the requesting node")

    async def _leases(self, request: AdmissionRequest, node: str) -> None:
        if request.namespace != "kube-node-lease":
            raise Denied('can only access leases in the "kube-node-lease" system namespace')
        if request.name != node:
            raise Denied("can only access node lease with the same name as the requesting node")


_NODE_RULES = {
    "serviceaccounts": NodeRestriction._tokens,
    "pods": NodeRestriction._pods,
    "nodes": NodeRestriction._nodes,
    "leases.coordination.k8s.io": NodeRestriction._leases,
    "csinodes.storage.k8s.io": NodeRestriction._csi_nodes,
}


class OwnerReferences(Plugin):
    """Who changes an object's owners must be allowed to delete it, and who sets `blockOwnerDeletion` to change the
    owner's finalizers."""

    name = "OwnerReferencesPermissionEnforcement"

    def __init__(self, resources: Resources, authorizer: Union) -> None:
        super().__init__(resources)
        self._authorizer = authorizer

    async def validate(self, request: AdmissionRequest) -> None:
        if request.obj is None:
            return
        new = request.obj["metadata"].get("ownerReferences") or []
        old = ((request.old or {}).get("metadata") or {}).get("ownerReferences") or []
        if new == old:
            return
        if request.operation != "CREATE":
            own = Attributes(
                request.user, "delete", request.resource, request.subresource, request.namespace, request.name
            )
            decision = await self._authorizer.authorize(own)
            if decision.verdict != "allow":
                raise Denied(f"cannot set an ownerRef on a resource you can't delete: {decision.reason}, <nil>")
        for reference in new:
            if not reference.get("blockOwnerDeletion") or reference in old:
                continue
            group, _, version = reference.get("apiVersion", "").rpartition("/")
            kind = self._resources.registry.kind(group, version, reference.get("kind", ""))
            if kind is None:
                continue
            target = Resource(group, version, kind.plural)
            name = reference.get("name", "")
            asked = Attributes(
                request.user, "update", target, "finalizers", request.namespace if kind.namespaced else "", name
            )
            decision = await self._authorizer.authorize(asked)
            if decision.verdict != "allow":
                raise Denied(
                    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: "
                    + f"{decision.reason}, <nil>"
                )
