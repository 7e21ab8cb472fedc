"""Admission that completes pods: account and token, priority, tolerations, runtime class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from terrarium.kube.api.hooks import AdmissionRequest, Denied
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.apiserver import mountable
from terrarium.kube.apiserver.plugins import Plugin, is_resource

MIRROR = "kubernetes.io/config.mirror"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def containers(pod: Obj) -> Iterator[dict[str, Any]]:
    spec = pod.get("spec") or {}
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(group) or ()


def _is_mirror(pod: Obj) -> bool:
    return MIRROR in (pod["metadata"].get("annotations") or {})


class ServiceAccount(Plugin):
    """Each pod has an account, and its token mounted unless it says otherwise."""

    name = "ServiceAccount"

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE") or request.obj is None:
            return
        pod = request.obj
        spec = pod.setdefault("spec", {})
        if _is_mirror(pod):
            return
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self.one("", "v1", "serviceaccounts", request.namespace, name)
        if account is None:
            raise Denied(
                f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
            )
        wanted = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
        if wanted:
            self._mount(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]

    def _mount(self, spec: dict[str, Any]) -> None:
        volume = ""
        volumes = spec.get("volumes") or []
        for present in volumes:
            if present.get("name", "").startswith("kube-api-access-"):
                volume = present["name"]
        made = volume or f"kube-api-access-{self._resources.ids.suffix()}"
        needed = False
        for group in ("initContainers", "containers"):
            for container in spec.get(group) or ():
                mounts = container.get("volumeMounts") or []
                if any(mount.get("mountPath") == TOKEN_PATH for mount in mounts):
                    continue
                container["volumeMounts"] = [*mounts, {"name": made, "readOnly": True, "mountPath": TOKEN_PATH}]
                needed = True
        if needed and not volume:
            spec["volumes"] = [*volumes, token_volume(made)]

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE") or request.obj is None:
            return
        pod = request.obj
        if not _is_mirror(pod):
            name = pod["spec"].get("serviceAccountName", "")
            account = await self.one("", "v1", "serviceaccounts", request.namespace, name)
            if account is not None and (why := mountable.refusal(pod, account)):
                raise Denied(why)
            return
        if pod["spec"].get("serviceAccountName"):
            raise Denied("a mirror pod may not reference service accounts")
        for container in containers(pod):
            if any((e.get("valueFrom") or {}).get("secretKeyRef") for e in container.get("env") or ()):
                raise Denied("a mirror pod may not reference secrets")
        for volume in pod["spec"].get("volumes") or ():
            if volume.get("secret"):
                raise Denied("a mirror pod may not reference secrets")
            if any("serviceAccountToken" in s for s in (volume.get("projected") or {}).get("sources") or ()):
                raise Denied("a mirror pod may not use ServiceAccount volume projections")


def token_volume(name: str) -> Obj:
    """The projected volume with token, CA and namespace."""
    return {
        "name": name,
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {
                    "downwardAPI": {
                        "items": [
                            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                        ]
                    }
                },
            ],
        },
    }


class Priority(Plugin):
    """Priority class names become numbers; one class at most is the default."""

    name = "Priority"

    async def admit(self, request: AdmissionRequest) -> None:
        if str(request.resource) != "pods" or request.subresource or request.obj is None:
            return
        spec = request.obj.setdefault("spec", {})
        if request.operation == "UPDATE" and request.old is not None:
            old = request.old.get("spec") or {}
            for field in ("priority", "preemptionPolicy"):
                if spec.get(field) is None and old.get(field) is not None:
                    spec[field] = old[field]
            return
        if request.operation != "CREATE":
            return
        name, value, policy = spec.get("priorityClassName", ""), 0, "PreemptLowerPriority"
        if not name:
            found = await self._default()
            if found is not None:
                name, value = found["metadata"]["name"], found.get("value", 0)
                policy = found.get("preemptionPolicy", policy)
                spec["priorityClassName"] = name
        else:
            named = await self.one("scheduling.k8s.io", "v1", "priorityclasses", "", name)
            if named is None:
                raise Denied(f"no PriorityClass with name {name} was found")
            value, policy = named.get("value", 0), named.get("preemptionPolicy", policy)
        if spec.get("priority") is not None and spec["priority"] != value:
            raise Denied(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
        if spec.get("preemptionPolicy") is not None and spec["preemptionPolicy"] != policy:
            raise Denied(
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
        spec["priority"], spec["preemptionPolicy"] = value, policy

    async def _default(self) -> Obj | None:
        classes = await self.every("scheduling.k8s.io", "v1", "priorityclasses")
        found = [c for c in classes if c.get("globalDefault")]
        # Two can only be there by an accident; the lower one does less harm.
        return min(found, key=lambda c: c.get("value", 0)) if found else None

    async def validate(self, request: AdmissionRequest) -> None:
        if str(request.resource) != "priorityclasses.scheduling.k8s.io" or request.obj is None:
            return
        if not request.obj.get("globalDefault"):
            return
        found = await self._default()
        if found is not None and found["metadata"]["name"] != request.name:
            raise Denied(
                f"PriorityClass {found['metadata']['name']} is already marked as default. Only one default can exist"
            )


class DefaultTolerationSeconds(Plugin):
    """Pods stay five minutes on a node that is not ready or unreachable."""

    name = "DefaultTolerationSeconds"

    async def admit(self, request: AdmissionRequest) -> None:
        if str(request.resource) != "pods" or request.subresource or request.obj is None:
            return
        if request.operation not in ("CREATE", "UPDATE"):
            return
        spec = request.obj.setdefault("spec", {})
        held = spec.get("tolerations") or []
        missing = [key for key in (NOT_READY, UNREACHABLE) if not any(_tolerates(t, key) for t in held)]
        if missing:
            spec["tolerations"] = held + [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300} for key in missing
            ]


def _tolerates(toleration: Obj, key: str) -> bool:
    return toleration.get("key", "") in (key, "") and toleration.get("effect", "") in ("NoExecute", "")


class ExtendedResourceToleration(Plugin):
    """Pods that ask for devices tolerate the taints that keep others off those nodes."""

    name = "ExtendedResourceToleration"

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE", "UPDATE") or request.obj is None:
            return
        pod = request.obj
        found: set[str] = set()
        for container in containers(pod):
            for name in (container.get("resources") or {}).get("requests") or {}:
                if _is_extended(name):
                    found.add(name)
        held = pod["spec"].get("tolerations") or []
        for name in sorted(found):
            if not any(t.get("key") == name and t.get("operator") == "Exists" for t in held):
                held = [*held, {"key": name, "operator": "Exists", "effect": "NoSchedule"}]
        if held:
            pod["spec"]["tolerations"] = held


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


class AlwaysPullImages(Plugin):
    """Every image is pulled, so that nobody uses what another pulled with a secret."""

    name = "AlwaysPullImages"

    async def admit(self, request: AdmissionRequest) -> None:
        if is_resource(request, "pods", "CREATE", "UPDATE") and request.obj is not None:
            for container in containers(request.obj):
                container["imagePullPolicy"] = "Always"


class RuntimeClass(Plugin):
    """A runtime class adds its overhead, its node selector and its tolerations."""

    name = "RuntimeClass"

    async def admit(self, request: AdmissionRequest) -> None:
        found = await self._class(request)
        if found is None or request.obj is None:
            return
        spec = request.obj["spec"]
        overhead = (found.get("overhead") or {}).get("podFixed")
        if overhead:
            if spec.get("overhead") and not _equal(spec["overhead"], overhead):
                raise Denied("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            spec["overhead"] = dict(overhead)
        scheduling = found.get("scheduling") or {}
        selector = spec.get("nodeSelector") or {}
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            if selector.get(key, value) != value:
                raise Denied(
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {selector[key]}"
                )
        if scheduling.get("nodeSelector"):
            spec["nodeSelector"] = {**selector, **scheduling["nodeSelector"]}
        held = spec.get("tolerations") or []
        added = [t for t in scheduling.get("tolerations") or () if t not in held]
        if added:
            spec["tolerations"] = held + added

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE") or request.obj is None:
            return
        found = await self._class(request)
        spec = request.obj["spec"]
        overhead = ((found or {}).get("overhead") or {}).get("podFixed")
        if spec.get("overhead") and not overhead:
            raise Denied("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")

    async def _class(self, request: AdmissionRequest) -> Obj | None:
        if not is_resource(request, "pods", "CREATE") or request.obj is None:
            return None
        name = (request.obj.get("spec") or {}).get("runtimeClassName")
        if not name:
            return None
        found = await self.one("node.k8s.io", "v1", "runtimeclasses", "", name)
        if found is None:
            raise Denied(f'pod rejected: RuntimeClass "{name}" not found')
        return found


def _equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(Quantity.of(a[key]) == Quantity.of(b[key]) for key in a)
