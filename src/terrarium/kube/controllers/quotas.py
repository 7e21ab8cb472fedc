"""ResourceQuota status: what a namespace uses of what it may.

Admission adds to `used` as objects are made; this controller works it out anew from what is there, when a quota changes,
when something that counts goes, and now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.client.contract import CONFIG_MAPS, PODS, SECRETS, SERVICES, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.catalogue import Catalogue
from terrarium.kube.controllers.replicasets import REPLICATION_CONTROLLERS
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

QUOTAS = Resource("", "v1", "resourcequotas")
CLAIMS = Resource("", "v1", "persistentvolumeclaims")
CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
COUNTED: Mapping[str, Resource] = {
    "pods": PODS,
    "services": SERVICES,
    "secrets": SECRETS,
    "configmaps": CONFIG_MAPS,
    "persistentvolumeclaims": CLAIMS,
    "replicationcontrollers": REPLICATION_CONTROLLERS,
    "resourcequotas": QUOTAS,
}
Amount = Callable[[Obj], int]
"""In nano units."""
ONE = 1_000_000_000


def _one(obj: Obj) -> int:
    return ONE


def _node_ports(service: Obj) -> int:
    spec = service["spec"]
    if spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        return sum(bool(p.get("nodePort")) for p in spec.get("ports") or ()) * ONE
    return len(spec.get("ports") or ()) * ONE if spec.get("type") in ("NodePort", "LoadBalancer") else 0


def _load_balancers(service: Obj) -> int:
    return ONE if service["spec"].get("type") == "LoadBalancer" else 0


def _pod_resource(kind: str, name: str, pod: Obj) -> int:
    """The pod's requests or limits: the larger of its init containers and the sum of the others, plus overhead."""

    def of(container: Mapping[str, Any]) -> int:
        found = ((container.get("resources") or {}).get(kind) or {}).get(name)
        return Quantity.parse(str(found)).nanos if found is not None else 0

    spec = pod["spec"]
    total = sum(map(of, spec["containers"]))
    sidecars = peak = 0
    for init in spec.get("initContainers") or ():
        if init.get("restartPolicy") == "Always":
            sidecars += of(init)
        else:
            peak = max(peak, sidecars + of(init))
    overhead = (spec.get("overhead") or {}).get(name)
    extra = Quantity.parse(str(overhead)).nanos if overhead is not None else 0
    return max(peak, sidecars + total) + extra


def _storage(class_name: str | None, claim: Obj) -> int:
    if class_name is not None and claim["spec"].get("storageClassName") != class_name:
        return 0
    found = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    return Quantity.parse(str(found)).nanos if found is not None else 0


def _claims_of_class(class_name: str, claim: Obj) -> int:
    return ONE if claim["spec"].get("storageClassName") == class_name else 0


def measure(key: str, catalogue: Catalogue) -> tuple[Resource, Amount] | None:
    """What a key of `hard` counts, and how much each object is; None for a key that nobody knows."""
    if key in COUNTED:
        return COUNTED[key], _one
    if key == "services.nodeports":
        return SERVICES, _node_ports
    if key == "services.loadbalancers":
        return SERVICES, _load_balancers
    if key == "requests.storage":
        return CLAIMS, partial(_storage, None)
    if CLASS_SUFFIX in key:
        class_name, _, what = key.partition(CLASS_SUFFIX)
        return CLAIMS, partial(_storage if what == "requests.storage" else _claims_of_class, class_name)
    if key.startswith("count/"):
        plural, _, group = key.removeprefix("count/").partition(".")
        entry = catalogue.of(Resource(group, "", plural))
        return (entry.resource, _one) if entry is not None else None
    kind, _, name = key.partition(".") if key.startswith(("requests.", "limits.")) else ("requests", "", key)
    return PODS, partial(_pod_resource, kind, name)


def _best_effort(pod: Obj) -> bool:
    everything = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    return not any(
        (c.get("resources") or {}).get(kind, {}).keys() & {"cpu", "memory"}
        for c in everything
        for kind in ("requests", "limits")
    )


def in_scope(pod: Obj, quota: Obj) -> bool:
    """Whether a quota with scopes looks at a pod."""
    spec = quota["spec"]
    terms = [{"scopeName": s, "operator": "Exists"} for s in spec.get("scopes") or ()]
    terms += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    finite = pod["spec"].get("activeDeadlineSeconds") is not None
    for term in terms:
        scope = term["scopeName"]
        if scope == "PriorityClass":
            found = {"name": pod["spec"]["priorityClassName"]} if pod["spec"].get("priorityClassName") else {}
            holds = o.match_expression({"key": "name", **term}, found)
        else:
            holds = {
                "Terminating": finite,
                "NotTerminating": not finite,
                "BestEffort": _best_effort(pod),
                "NotBestEffort": not _best_effort(pod),
            }.get(scope, False)
        if not holds:
            return False
    return True


def used(quota: Obj, objects: Callable[[Resource], Iterable[Obj]], catalogue: Catalogue) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, limit in (quota["spec"].get("hard") or {}).items():
        row = measure(key, catalogue)
        if row is None:
            continue
        resource, amount = row
        items = list(objects(resource))
        if resource == PODS and not key.startswith("count/"):
            items = [p for p in items if o.status(p).get("phase") not in ("Succeeded", "Failed")]
        if resource == PODS:
            items = [p for p in items if in_scope(p, quota)]
        total = sum(map(amount, items))
        format = Quantity.parse(str(limit)).format
        found[key] = str(Quantity(total, format)) if total else "0"
    return found


class ResourceQuotas(Controller):
    name: ClassVar[str] = "resourcequota-controller"
    inputs: ClassVar[Sequence[Resource]] = (QUOTAS, PODS, SERVICES, CLAIMS, CONFIG_MAPS, SECRETS)
    resync: ClassVar[float] = 300.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.catalogue = Catalogue()
        self._also: set[Resource] = set()

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == QUOTAS:
            if new is not None:
                self._follow_counted(new)
                if old is None or old["spec"] != new["spec"] or o.status(new).get("hard") != new["spec"].get("hard"):
                    yield key_of(new)
            for other in self.caches.of(QUOTAS).items(o.namespace(new or old)):  # type: ignore[arg-type]
                if old is None or new is None:
                    yield key_of(other)
            return
        over = old is not None and (
            new is None
            or (resource == PODS and o.active(old) and not o.active(new))
            or (resource == SERVICES and old["spec"] != new["spec"])
        )
        if over and old is not None:
            for quota in self.caches.of(QUOTAS).items(o.namespace(old)):
                yield key_of(quota)

    def _follow_counted(self, quota: Obj) -> None:
        """Resources that only `count/` keys name are followed from the first quota on that names them."""
        for key in quota["spec"].get("hard") or ():
            row = measure(key, self.catalogue)
            if row is not None and row[0] not in self.inputs and row[0] not in self._also:
                self._also.add(row[0])
                self.caches.of(row[0]).on_change(self._handler(row[0]))

    async def sync(self, key: Key, write: Writer) -> float | None:
        quota = self.caches.of(QUOTAS).get(*key)
        if quota is None or o.deleting(quota):
            return None
        for resource in self._also:
            await self.caches.of(resource).synced()
        found = used(quota, lambda r: self.caches.of(r).items(key[0]), self.catalogue)
        hard = {k: str(v) for k, v in (quota["spec"].get("hard") or {}).items()}
        status = {"hard": hard, "used": found}
        if status != {k: o.status(quota).get(k) for k in ("hard", "used")}:
            await write.status(QUOTAS, quota, {**o.status(quota), **status})
        return None
