"""ReplicaSet and ReplicationController: as many pods as asked for, and a status that counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from terrarium.base.clock import rfc3339
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import PODS, REPLICA_SETS, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.pods import OWNER, PodControl, carry_out, claim, slow_start, terminating
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

BURST = 500
REPLICATION_CONTROLLERS = Resource("", "v1", "replicationcontrollers")


@dataclass(frozen=True, slots=True)
class Scale:
    """How many pods to make, and which to give up."""

    create: int = 0
    delete: Sequence[Obj] = ()


def wanted(owner: Obj) -> int:
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def reconcile(owner: Obj, pods: Sequence[Obj], related: Sequence[Obj], now: datetime) -> Scale:
    """`pods` are the owner's active ones; `related` those of its siblings too (they make a node count as crowded)."""
    if o.deleting(owner):
        return Scale()
    missing = wanted(owner) - len(pods)
    if missing >= 0:
        return Scale(create=min(missing, BURST))
    surplus = min(-missing, BURST)
    if surplus == len(pods):
        return Scale(delete=pods)
    crowd = Counter(p["spec"].get("nodeName", "") for p in related if o.active(p) and p["spec"].get("nodeName"))
    return Scale(delete=o.deletion_order(pods, crowd, now)[:surplus])


def failure_condition(missing: int, message: str, now: datetime) -> dict[str, Any]:
    return {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": rfc3339(now),
        "reason": "FailedCreate" if missing > 0 else "FailedDelete",
        "message": message,
    }


def next_status(owner: Obj, pods: Sequence[Obj], failure: str, now: datetime) -> dict[str, Any]:
    """The status that the pods seen before this round justify. Zero counts but `replicas` are left out, as in Go."""
    spec = owner["spec"]
    template_labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    counts = {
        "fullyLabeledReplicas": sum(all(o.labels(p).get(k) == v for k, v in template_labels.items()) for p in pods),
        "readyReplicas": sum(map(o.ready, pods)),
        "availableReplicas": sum(o.available(p, spec.get("minReadySeconds") or 0, now) for p in pods),
        "observedGeneration": owner["metadata"].get("generation", 0),
    }
    old = o.status(owner)
    conditions = [dict(c) for c in old.get("conditions") or ()]
    standing = o.condition(old, "ReplicaFailure")
    if failure and standing is None:
        conditions.append(failure_condition(wanted(owner) - len(pods), failure, now))
    elif not failure and standing is not None:
        conditions = o.without_condition(conditions, "ReplicaFailure")
    status: dict[str, Any] = {"replicas": len(pods)} | {k: v for k, v in counts.items() if v}
    return status | ({"conditions": conditions} if conditions else {})


class ReplicaSets(Controller):
    name: ClassVar[str] = "replicaset-controller"
    resource: ClassVar[Resource] = REPLICA_SETS
    kind: ClassVar[str] = "ReplicaSet"
    api_version: ClassVar[str] = "apps/v1"
    inputs: ClassVar[Sequence[Resource]] = (REPLICA_SETS, PODS)

    def indexes(self) -> None:
        self.caches.of(PODS).add_index(OWNER, o.owner_uids)
        self.caches.of(self.resource).add_index(OWNER, o.owner_uids)

    def selects(self, owner: Obj, pod: Obj) -> bool:
        return o.selects(owner["spec"].get("selector"), o.labels(pod))

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == self.resource:
            yield key_of(new or old)  # type: ignore[arg-type]
            return
        for pod in (old, new):
            if pod is None:
                continue
            ref = o.controller_of(pod)
            if ref is not None:
                if ref["kind"] == self.kind:
                    yield o.namespace(pod), ref["name"]
            elif not o.deleting(pod):
                for owner in self.caches.of(self.resource).items(o.namespace(pod)):
                    if self.selects(owner, pod):
                        yield key_of(owner)

    async def sync(self, key: Key, write: Writer) -> float | None:
        owner = self.caches.of(self.resource).get(*key)
        if owner is None:
            return None
        pods = self.caches.of(PODS)
        mine = [p for p in pods.indexed(OWNER, o.uid(owner)) if o.namespace(p) == key[0]]
        orphans = pods.indexed(OWNER, f"orphan/{key[0]}")
        found = claim(owner, [p for p in [*mine, *orphans] if o.active(p)], lambda p: self.selects(owner, p))
        reference = o.controller_reference(owner, self.kind, self.api_version)
        owned = await carry_out(found, write, PODS, reference)
        now = self.clock.now()
        scale = reconcile(owner, owned, [*owned, *self._siblings(owner)], now)
        control = PodControl(self, write, owner, self.kind)
        failure = None
        if scale.create:
            pod = o.pod_from_template(owner["spec"]["template"], owner, reference)
            failure = (await slow_start(scale.create, lambda _: control.create(pod))).failure
            if failure is not None and terminating(failure):
                failure = None
        elif scale.delete:
            failure = await control.delete_all(scale.delete)
        status = next_status(owner, owned, str(failure) if failure else "", now)
        if status != o.status(owner):
            await write.status(self.resource, owner, status)
        if failure is not None:
            raise failure
        seconds = owner["spec"].get("minReadySeconds") or 0
        full = status.get("readyReplicas", 0) == wanted(owner) != status.get("availableReplicas", 0)
        return float(seconds) if seconds and full else None

    def _siblings(self, owner: Obj) -> list[Obj]:
        """Pods of the other ReplicaSets of the same Deployment."""
        ref = o.controller_of(owner)
        if ref is None:
            return []
        pods = self.caches.of(PODS)
        return [
            pod
            for other in self.caches.of(self.resource).indexed(OWNER, ref["uid"])
            if o.uid(other) != o.uid(owner)
            for pod in pods.indexed(OWNER, o.uid(other))
        ]


class ReplicationControllers(ReplicaSets):
    name = "replication-controller"
    resource = REPLICATION_CONTROLLERS
    kind = "ReplicationController"
    api_version = "v1"
    inputs = (REPLICATION_CONTROLLERS, PODS)

    def selects(self, owner: Obj, pod: Obj) -> bool:
        selector = owner["spec"].get("selector") or {}
        return bool(selector) and all(o.labels(pod).get(k) == v for k, v in selector.items())
