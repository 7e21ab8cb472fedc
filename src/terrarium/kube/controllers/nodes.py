"""Nodes: their health, the taints that tell of it, the eviction of pods by taints, and pods that nobody looks after.

Theory of operation. A kubelet renews a lease. `NodeHealth` looks every five seconds; a node whose lease has not changed
for 50 s is called Unknown, its pods not ready. Taints follow from conditions at once (NoSchedule) and one node per zone
and ten seconds (NoExecute), unless so many nodes are lost at once that the fault is rather the control plane's.
A jump of the world's clock must not look like the death of all nodes: a leap between two looks counts as one look, and
silence must also have lasted a little real time, in which a kubelet would have renewed its lease.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from terrarium.base.clock import real_monotonic, rfc3339
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import LEASES, NODES, PODS, ApiError, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.daemonsets import tolerates
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

LOOK_SECONDS = 5.0
GRACE_SECONDS = 50.0
STARTUP_SECONDS = 60.0
REAL_SECONDS = 0.25
LEAP_SECONDS = 15.0
EVICTION_PAUSE = 10.0
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
BY_CONDITION: Mapping[str, Mapping[str, str]] = {
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
}
_OURS = frozenset({key for row in BY_CONDITION.values() for key in row.values()} | {UNSCHEDULABLE})


def ready_status(node: Obj) -> str:
    found = o.condition(o.status(node), "Ready")
    return str(found["status"]) if found is not None else "Unknown"


def schedule_taints(node: Obj, now: str) -> list[dict[str, Any]]:
    """The node's taints with the NoSchedule ones that its conditions call for, and without those they don't."""
    wanted = {
        row[c["status"]]
        for c in o.status(node).get("conditions") or ()
        if (row := BY_CONDITION.get(c["type"])) is not None and c["status"] in row
    }
    if node["spec"].get("unschedulable"):
        wanted.add(UNSCHEDULABLE)
    taints = [dict(t) for t in node["spec"].get("taints") or ()]
    kept = [t for t in taints if not (t["effect"] == "NoSchedule" and t["key"] in _OURS and t["key"] not in wanted)]
    have = {t["key"] for t in kept if t["effect"] == "NoSchedule"}
    return kept + [{"key": k, "effect": "NoSchedule", "timeAdded": now} for k in sorted(wanted - have)]


def execute_taints(node: Obj, now: str, evict: bool) -> list[dict[str, Any]]:
    """The node's taints with the NoExecute one of its Ready condition (if `evict`), and without the other one."""
    wanted = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready_status(node), "") if evict else ""
    taints = [dict(t) for t in node["spec"].get("taints") or ()]
    kept = [
        t
        for t in taints
        if not (t["effect"] == "NoExecute" and t["key"] in (NOT_READY, UNREACHABLE) and t["key"] != wanted)
    ]
    if wanted and not any(t["key"] == wanted and t["effect"] == "NoExecute" for t in kept):
        kept.append({"key": wanted, "effect": "NoExecute", "timeAdded": now})
    return kept


def zone_of(node: Obj) -> str:
    labels = o.labels(node)
    return f"{labels.get('topology.kubernetes.io/region', '')}/{labels.get('topology.kubernetes.io/zone', '')}"


def zone_state(ready: int, lost: int) -> str:
    """Normal, partial or full disruption of a zone (ComputeZoneState)."""
    if ready == 0 and lost > 0:
        return "full"
    if lost > 2 and lost / (ready + lost) >= 0.55:
        return "partial"
    return "normal"


@dataclass(slots=True)
class _Health:
    """When the node was last heard of: in the world's time and in real time, and by which sign."""

    sign: tuple[Any, ...]
    heard: float
    real: float


def silenced(node: Obj, health: _Health, now: float, real: float) -> bool:
    posted = any(c.get("lastHeartbeatTime") for c in o.status(node).get("conditions") or ())
    grace = GRACE_SECONDS if posted else STARTUP_SECONDS
    return now - health.heard > grace and real - health.real > REAL_SECONDS


def unknown_conditions(node: Obj, now: str) -> list[dict[str, Any]]:
    """All conditions turned Unknown; missing ones are added as never posted."""
    found = [dict(c) for c in o.status(node).get("conditions") or ()]
    for type in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
        old = next((c for c in found if c["type"] == type), None)
        if old is None:
            created = node["metadata"]["creationTimestamp"]
            found.append(
                {
                    "type": type,
                    "status": "Unknown",
                    "lastHeartbeatTime": created,
                    "lastTransitionTime": now,
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                }
            )
        elif old["status"] != "Unknown":
            old.update(
                status="Unknown",
                reason="NodeStatusUnknown",
                message="Kubelet stopped posting node status.",
                lastTransitionTime=now,
            )
    return found


class NodeHealth(Controller):
    """Keys are nodes; `_look` also walks over all of them every five seconds."""

    name: ClassVar[str] = "node-controller"
    inputs: ClassVar[Sequence[Resource]] = (NODES, LEASES, PODS)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._health: dict[str, _Health] = {}
        self._evicted_at: dict[str, float] = {}
        """By zone: when a node was last given a NoExecute taint."""

    def indexes(self) -> None:
        self.caches.of(PODS).add_index("node", _node_of)

    def start(self, tasks: Tasks) -> None:
        super().start(tasks)
        tasks.keep("node health", self._look)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource != NODES:
            return
        found = new or old
        assert found is not None
        if old is None and found is not None:
            self._tell(
                found, "RegisteredNode", f"Node {o.name(found)} event: Registered Node {o.name(found)} in Controller"
            )
        if new is None:
            self._health.pop(o.name(found), None)
            self._tell(
                found, "RemovingNode", f"Node {o.name(found)} event: Removing Node {o.name(found)} from Controller"
            )
            return
        yield key_of(found)

    def _tell(self, node: Obj, reason: str, text: str) -> None:
        about = {"kind": "Node", "name": o.name(node), "uid": o.uid(node), "apiVersion": "v1"}
        self.events.refer(about, "Normal", reason, text)

    async def sync(self, key: Key, write: Writer) -> float | None:
        node = self.caches.of(NODES).get(*key)
        if node is None:
            return None
        self._hear(node)
        taints = schedule_taints(node, rfc3339(self.clock.now()))
        if ready_status(node) == "True":
            taints = execute_taints({**node, "spec": {**node["spec"], "taints": taints}}, "", False)
        await self._set_taints(node, taints, write)
        return None

    async def _set_taints(self, node: Obj, taints: list[dict[str, Any]], write: Writer) -> None:
        if taints != (node["spec"].get("taints") or []):
            meta = {"resourceVersion": node["metadata"]["resourceVersion"]}
            await write.patch(NODES, node, {"metadata": meta, "spec": {"taints": taints or None}}, type="merge")

    def _hear(self, node: Obj) -> _Health:
        lease = self.caches.of(LEASES).get("kube-node-lease", o.name(node))
        beats = tuple(c.get("lastHeartbeatTime") for c in o.status(node).get("conditions") or ())
        sign = ((lease or {}).get("spec", {}).get("renewTime"), beats)
        health = self._health.get(o.name(node))
        if health is None:
            health = self._health[o.name(node)] = _Health(sign, self.clock.time(), real_monotonic())
        elif health.sign != sign:
            health.sign, health.heard, health.real = sign, self.clock.time(), real_monotonic()
        return health

    async def _look(self) -> None:
        nodes = self.caches.of(NODES)
        await nodes.synced()
        await self.caches.of(LEASES).synced()
        before = self.clock.time()
        while True:
            await self.clock.heartbeat(LOOK_SECONDS)
            leap = self.clock.time() - before - LOOK_SECONDS
            before = self.clock.time()
            if leap > LEAP_SECONDS:
                for health in self._health.values():
                    health.heard += leap
            for node in list(nodes.items()):
                try:
                    await self._look_at(node)
                except ApiError as error:
                    if error.code not in (404, 409):
                        raise
            await self._evict(list(nodes.items()))

    async def _look_at(self, node: Obj) -> None:
        health = self._hear(node)
        if not silenced(node, health, self.clock.time(), real_monotonic()):
            if ready_status(node) == "False":
                await self._pods_not_ready(node)
            return
        was = ready_status(node)
        now = rfc3339(self.clock.now())
        conditions = unknown_conditions(node, now)
        write = Writer(self.client, self.caches)
        if conditions != o.status(node).get("conditions"):
            node = await write.status(NODES, node, {**o.status(node), "conditions": conditions})
            await write.settle()
        if was == "True":
            self._tell(node, "NodeNotReady", f"Node {o.name(node)} status is now: NodeNotReady")
        await self._pods_not_ready(node)

    async def _pods_not_ready(self, node: Obj) -> None:
        now = rfc3339(self.clock.now())
        for pod in self.caches.of(PODS).indexed("node", o.name(node)):
            if not o.ready(pod):
                continue
            patch = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]}
            write = Writer(self.client, self.caches)
            await write.patch(PODS, pod, {"status": patch}, subresource="status")
            await write.settle()
            self.events.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _evict(self, nodes: Sequence[Obj]) -> None:
        """Gives lost nodes their NoExecute taint, as fast as the state of their zone allows."""
        zones: dict[str, list[Obj]] = {}
        for node in nodes:
            zones.setdefault(zone_of(node), []).append(node)
        states = {
            zone: zone_state(
                sum(ready_status(n) == "True" for n in members), sum(ready_status(n) != "True" for n in members)
            )
            for zone, members in zones.items()
        }
        if states and all(state == "full" for state in states.values()):
            return
        now = self.clock.time()
        for zone, members in zones.items():
            if states[zone] == "partial" and len(members) <= 50:
                continue
            for node in sorted(members, key=o.name):
                if ready_status(node) == "True" or now - self._evicted_at.get(zone, -EVICTION_PAUSE) < EVICTION_PAUSE:
                    continue
                taints = execute_taints(node, rfc3339(self.clock.now()), True)
                if taints == (node["spec"].get("taints") or []):
                    continue
                self._evicted_at[zone] = now
                write = Writer(self.client, self.caches)
                try:
                    await self._set_taints(node, taints, write)
                except ApiError as error:
                    if error.code not in (404, 409):
                        raise


def _node_of(pod: Obj) -> Iterable[str]:
    if pod["spec"].get("nodeName"):
        yield pod["spec"]["nodeName"]


# -- eviction by taints ---------------------------------------------------------------------------------------------


def seconds_left(pod: Obj, taints: Sequence[Mapping[str, Any]]) -> float | None:
    """How long a pod may stay on a node with these NoExecute taints: 0 not at all, None for ever."""
    tolerations = pod["spec"].get("tolerations") or ()
    left: float | None = None
    for taint in taints:
        matching = [t for t in tolerations if tolerates([t], taint)]
        if not matching:
            return 0.0
        for toleration in matching:
            seconds = toleration.get("tolerationSeconds")
            if seconds is not None:
                left = max(0.0, float(seconds)) if left is None else min(left, max(0.0, float(seconds)))
    return left


def at_the_end(pod: Obj, condition: Mapping[str, Any]) -> dict[str, Any]:
    """A strategic merge patch of conditions that puts a new one behind the others."""
    types = [c["type"] for c in o.status(pod).get("conditions") or () if c["type"] != condition["type"]]
    order = [{"type": type} for type in [*types, condition["type"]]]
    return {"$setElementOrder/conditions": order, "conditions": [dict(condition)]}


class TaintEviction(Controller):
    """Keys are pods. A pod's time runs from when its node got the taints."""

    # It works with the rights of the node controller, as the real one does.
    name: ClassVar[str] = "node-controller"
    component: ClassVar[str] = "taint-eviction-controller"
    inputs: ClassVar[Sequence[Resource]] = (PODS, NODES)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._since: dict[str, float] = {}
        """By uid of the pod: from when on it is counted."""

    def indexes(self) -> None:
        self.caches.of(PODS).add_index("node", _node_of)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == PODS:
            if new is None and old is not None:
                self._since.pop(o.uid(old), None)
            elif new is not None and (old is None or _eviction_view(old) != _eviction_view(new)):
                yield key_of(new)
        elif new is not None and (old is None or _execute(old) != _execute(new)):
            for pod in self.caches.of(PODS).indexed("node", o.name(new)):
                yield key_of(pod)

    async def sync(self, key: Key, write: Writer) -> float | None:
        pod = self.caches.of(PODS).get(*key)
        if pod is None or o.deleting(pod) or not pod["spec"].get("nodeName"):
            return None
        node = self.caches.of(NODES).get("", pod["spec"]["nodeName"])
        taints = _execute(node) if node is not None else []
        left = seconds_left(pod, taints) if taints else None
        uid, now = o.uid(pod), self.clock.time()
        if left is None:
            if self._since.pop(uid, None) is not None:
                self._tell(pod, "Cancelling deletion of Pod")
            return None
        since = self._since.setdefault(uid, now)
        if since + left > now:
            return since + left - now
        self._tell(pod, "Marking for deletion Pod")
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": rfc3339(self.clock.now()),
        }
        try:
            await write.patch(PODS, pod, {"status": at_the_end(pod, condition)}, subresource="status")
            await write.delete(PODS, pod)
        except ApiError as error:
            if error.code != 404:
                raise
        return None

    def _tell(self, pod: Obj, text: str) -> None:
        about = {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": o.namespace(pod),
            "name": o.name(pod),
            "uid": o.uid(pod),
        }
        self.events.refer(about, "Normal", "TaintManagerEviction", f"{text} {o.namespace(pod)}/{o.name(pod)}")


def _execute(node: Obj) -> list[dict[str, Any]]:
    return [t for t in node["spec"].get("taints") or () if t["effect"] == "NoExecute"]


def _eviction_view(pod: Obj) -> tuple[Any, ...]:
    return pod["spec"].get("nodeName"), pod["spec"].get("tolerations"), o.deleting(pod)


# -- pods that nobody looks after -----------------------------------------------------------------------------------


class PodGarbage(Controller):
    """Every 20 s: pods of nodes that are gone (after 40 s), pods that end without ever having had a node, and finished
    ones beyond the threshold."""

    name: ClassVar[str] = "pod-garbage-collector"
    component: ClassVar[str] = "pod-garbage-collector"
    inputs: ClassVar[Sequence[Resource]] = (PODS, NODES)
    EVERY: ClassVar[float] = 20.0
    QUARANTINE: ClassVar[float] = 40.0
    threshold = 12_500

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._missing: dict[str, float] = {}

    def configure(self, options: Any) -> None:
        self.threshold = options.terminated_pod_gc_threshold

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        return ()

    def start(self, tasks: Tasks) -> None:
        super().start(tasks)
        tasks.keep("pod garbage", self._sweep)

    async def _sweep(self) -> None:
        pods, nodes = self.caches.of(PODS), self.caches.of(NODES)
        await pods.synced()
        await nodes.synced()
        while True:
            await self.clock.heartbeat(self.EVERY)
            everything = list(pods.items())
            ended = [p for p in everything if o.status(p).get("phase") in ("Succeeded", "Failed") and not o.deleting(p)]
            surplus = len(ended) - self.threshold
            if self.threshold > 0 and surplus > 0:
                for pod in sorted(ended, key=lambda p: (o.created(p), o.name(p)))[:surplus]:
                    await self._remove(pod, "")
            now = self.clock.time()
            lost = {str(p["spec"]["nodeName"]) for p in everything if p["spec"].get("nodeName")}
            lost = {name for name in lost if nodes.get("", name) is None}
            self._missing = {name: self._missing.get(name, now) for name in lost}
            for pod in everything:
                node = pod["spec"].get("nodeName", "")
                if node in lost and now - self._missing[node] >= self.QUARANTINE:
                    await self._remove(pod, "PodGC: node no longer exists")
                elif not node and o.deleting(pod):
                    await self._remove(pod, "")

    async def _remove(self, pod: Obj, why: str) -> None:
        write = Writer(self.client, self.caches)
        try:
            if o.status(pod).get("phase") not in ("Succeeded", "Failed"):
                status: dict[str, Any] = {"phase": "Failed"}
                if why:
                    condition = {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "DeletionByPodGC",
                        "message": why,
                        "lastTransitionTime": rfc3339(self.clock.now()),
                    }
                    status |= at_the_end(pod, condition)
                await write.patch(PODS, pod, {"status": status}, subresource="status")
            await write.delete(PODS, pod, grace=0)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


# -- what every node gets -------------------------------------------------------------------------------------------

TTL = "node.alpha.kubernetes.io/ttl"
TTL_STEPS: Sequence[tuple[int, int]] = ((100, 0), (500, 15), (1000, 30), (2000, 60))
"""Up to how many nodes kubelets may keep objects how long."""


class NodeTtl(Controller):
    """Tells kubelets by an annotation how long they may keep Secrets and ConfigMaps."""

    name: ClassVar[str] = "ttl-controller"
    inputs: ClassVar[Sequence[Resource]] = (NODES,)

    async def sync(self, key: Key, write: Writer) -> float | None:
        nodes = self.caches.of(NODES)
        node = nodes.get(*key)
        if node is None:
            return None
        seconds = next((ttl for limit, ttl in TTL_STEPS if len(nodes) <= limit), 300)
        if o.notes(node).get(TTL) != str(seconds):
            await write.patch(NODES, node, {"metadata": {"annotations": {TTL: str(seconds)}}})
        return None


class NodeRanges(Controller):
    """Gives each node a part of the cluster's range of pod addresses (`--allocate-node-cidrs`)."""

    name: ClassVar[str] = "node-controller"
    inputs: ClassVar[Sequence[Resource]] = (NODES,)
    workers: ClassVar[int] = 1
    ranges = ""
    mask = 24

    def configure(self, options: Any) -> None:
        self.ranges = options.node_cidrs
        self.mask = options.node_cidr_mask
        self.wanted = bool(self.ranges)

    async def sync(self, key: Key, write: Writer) -> float | None:
        nodes = self.caches.of(NODES)
        node = nodes.get(*key)
        if node is None or node["spec"].get("podCIDR"):
            return None
        taken = {n["spec"].get("podCIDR") for n in nodes.items()}
        subnets = ipaddress.ip_network(self.ranges).subnets(new_prefix=self.mask)
        free = next((str(s) for s in subnets if str(s) not in taken), None)
        if free is None:
            self.events.event(
                node, "Normal", "CIDRNotAvailable", f"Node {o.name(node)} status is now: CIDRNotAvailable"
            )
            return 30.0
        await write.patch(NODES, node, {"spec": {"podCIDR": free, "podCIDRs": [free]}})
        return None
