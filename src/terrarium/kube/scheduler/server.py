"""The loop around the decisions: watch, decide, bind, and write down why.

It sees the cluster through `kube.client` only, so it runs in process or against any cluster. One task decides, pod by
pod; binding and writing conditions happen beside it, on the assumption that a bound pod stands where it was put.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from terrarium.base.clock import Clock, rfc3339, rfc3339_micro
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import (
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    STATEFUL_SETS,
    ApiError,
    Client,
    Resource,
)
from terrarium.kube.client.informer import Informer
from terrarium.kube.scheduler.cycle import Decision, decide
from terrarium.kube.scheduler.explain import explain
from terrarium.kube.scheduler.framework import Point
from terrarium.kube.scheduler.profiles import frameworks
from terrarium.kube.scheduler.queue import Queue, Queued
from terrarium.kube.scheduler.snapshot import NodeInfo, Objects, Snapshot
from terrarium.kube.scheduler.views import Pod, read_node, read_pod

log = logging.getLogger(__name__)

REPLICATION_CONTROLLERS = Resource("", "v1", "replicationcontrollers")
REMEMBERED = 2000
"""Decisions kept for `explain`."""

_CONTEXT = {
    "namespaces": NAMESPACES,
    "services": SERVICES,
    "replicasets": REPLICA_SETS,
    "statefulsets": STATEFUL_SETS,
    "replicationcontrollers": REPLICATION_CONTROLLERS,
}


class _InformerObjects(Objects):
    """`Objects` out of the informers' caches."""

    def __init__(self, informers: Mapping[str, Informer]) -> None:
        super().__init__()
        self._informers = informers

    def get(self, plural: str, name: str, namespace: str = "") -> Obj | None:
        informer = self._informers.get(plural)
        return informer.get(namespace, name) if informer is not None else None

    def all(self, plural: str) -> Any:
        informer = self._informers.get(plural)
        return informer.items() if informer is not None else ()


class Scheduler:
    """Schedules the pods of its profiles. Reads pods, nodes and what plugins ask for; writes bindings, pod conditions
    and events."""

    def __init__(self, client: Client, clock: Clock, ids: Ids, configuration: Obj | None = None) -> None:
        self._client = client
        self._clock = clock
        self._ids = ids
        self._frameworks = frameworks(configuration)
        self._tasks = Tasks("scheduler")
        self._pods = Informer(client, PODS, clock)
        self._nodes = Informer(client, NODES, clock)
        self._context = {plural: Informer(client, resource, clock) for plural, resource in _CONTEXT.items()}
        self._objects = _InformerObjects(self._context)
        self._queue = Queue(self._gated)
        self._infos: dict[str, NodeInfo] = {}
        self._snapshot: Snapshot | None = None
        self._placed: dict[str, tuple[Pod, str]] = {}
        """Pods that stand on a node, assumed ones among them: uid to (pod, node)."""
        self._wake = asyncio.Event()
        self._decisions: OrderedDict[str, Decision] = OrderedDict()
        self._written: dict[str, tuple[str, str, int]] = {}
        """The last FailedScheduling event of a pod: uid to (event name, text, count)."""

    async def start(self) -> None:
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)
        for informer in (self._nodes, *self._context.values(), self._pods):
            informer.start(self._tasks)
        for informer in (self._nodes, *self._context.values(), self._pods):
            await informer.synced()
        self._tasks.keep("decide", self._decide_all)
        self._tasks.keep("flush", self._flush)

    async def close(self) -> None:
        await self._tasks.close()

    def explain(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Why a pod is where it is, or is not, as data; None when there is no such pod."""
        found = self._pods.get(namespace, name)
        if found is None:
            return None
        return explain(found, self._decisions.get(found["metadata"].get("uid", "")), len(self._infos))

    # --- what happens in the cluster -------------------------------------------------------------------------------

    def _gated(self, pod: Pod) -> bool:
        framework = self._frameworks.get(pod.scheduler_name)
        return framework is None or framework.pre_enqueue(pod) is not None

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            assert old is not None
            self._infos.pop(old["metadata"]["name"], None)
        else:
            node = read_node(new)
            info = self._infos.get(node.name)
            if info is None:
                info = self._infos[node.name] = NodeInfo(node)
                for pod, name in self._placed.values():
                    if name == node.name:
                        info.add(pod)
            elif old is not None and _same_for_scheduling(old, new):
                info.node = node
                return
            info.node = node
        self._snapshot = None
        self._something_happened()

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        gone = new is None or (new.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        obj = new if new is not None else old
        assert obj is not None
        pod = read_pod(obj)
        if pod.node_name and not gone:
            self._queue.remove(pod.key)
            self._stand(pod, pod.node_name)
            if old is None or not (old.get("spec") or {}).get("nodeName"):
                self._something_happened()
            return
        if gone:
            self._queue.remove(pod.key)
            if self._lift(pod.uid):
                self._something_happened()
            return
        if pod.uid in self._placed:
            return
        if pod.scheduler_name in self._frameworks and not pod.deleting:
            if old is not None and _same_pod_for_scheduling(old, obj):
                return
            self._queue.add(pod, self._clock.time())
            self._wake.set()

    def _stand(self, pod: Pod, node: str) -> None:
        self._lift(pod.uid)
        self._placed[pod.uid] = (pod, node)
        if node in self._infos:
            self._infos[node].add(pod)

    def _lift(self, uid: str) -> bool:
        known = self._placed.pop(uid, None)
        if known is None:
            return False
        if known[1] in self._infos:
            self._infos[known[1]].remove(known[0])
        return True

    def _something_happened(self) -> None:
        self._queue.move(self._clock.time())
        self._wake.set()

    async def _flush(self) -> None:
        while True:
            await self._clock.heartbeat(1.0)
            self._queue.flush(self._clock.time())
            self._wake.set()

    # --- deciding --------------------------------------------------------------------------------------------------

    async def _decide_all(self) -> None:
        while True:
            queued = self._queue.pop()
            if queued is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._decide(queued)
            # Watchers and clients have their turn between two decisions.
            await asyncio.sleep(0)

    def _decide(self, queued: Queued) -> None:
        pod = queued.pod
        if self._snapshot is None:
            self._snapshot = Snapshot(self._infos.values(), self._objects)
        decision = decide(
            self._frameworks[pod.scheduler_name], pod, self._snapshot, lambda best: best[self._ids.below(len(best))]
        )
        self._decisions[pod.uid] = decision
        self._decisions.move_to_end(pod.uid)
        while len(self._decisions) > REMEMBERED:
            self._decisions.popitem(last=False)
        if decision.node:
            self._stand(pod, decision.node)
            self._tasks.start(f"bind {pod.key}", self._bind(queued, decision))
        else:
            self._queue.failed(queued, decision.plugins, self._clock.time())
            self._tasks.start(f"report {pod.key}", self._report(pod, decision))

    async def _bind(self, queued: Queued, decision: Decision) -> None:
        pod = queued.pod
        binding = self._frameworks[pod.scheduler_name].points[Point.BIND][0].bind(pod, decision.node)
        try:
            await self._client.create(PODS, binding, pod.namespace, name=pod.name, subresource="binding")
        except (ApiError, OSError) as failure:
            self._lift(pod.uid)
            gone = isinstance(failure, ApiError) and failure.code == 404
            if gone:
                self._queue.done(queued)
            else:
                self._queue.failed(queued, frozenset(), self._clock.time())
                await self._event(pod, "Warning", "FailedScheduling", "Scheduling", str(failure))
            return
        self._queue.done(queued)
        await self._event(pod, "Normal", "Scheduled", "Binding", f"Successfully assigned {pod.key} to {decision.node}")

    async def _report(self, pod: Pod, decision: Decision) -> None:
        await self._event(pod, "Warning", "FailedScheduling", "Scheduling", decision.message)
        reason = "SchedulerError" if decision.error else "Unschedulable"
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": decision.message,
            "lastProbeTime": None,
        }
        known = next(
            (c for c in (pod.obj.get("status") or {}).get("conditions") or () if c["type"] == "PodScheduled"), None
        )
        if known is not None and all(known.get(k) == condition[k] for k in ("status", "reason", "message")):
            return
        if known is None or known.get("status") != "False":
            condition["lastTransitionTime"] = rfc3339(self._clock.now())
        try:
            await self._client.patch(
                PODS,
                pod.name,
                {"status": {"conditions": [condition]}},
                pod.namespace,
                type="strategic",
                subresource="status",
            )
        except (ApiError, OSError) as failure:
            log.info("%s: can't write its condition: %s", pod.key, failure)

    async def _event(self, pod: Pod, type: str, reason: str, action: str, note: str) -> None:
        """One event for each text; the same text again counts up its series (client-go tools/events)."""
        # The API takes at most 1,024 bytes.
        if len(note.encode()) > 1024:
            note = note.encode()[:1020].decode("utf-8", "ignore") + " ..."
        now = rfc3339_micro(self._clock.now())
        written = self._written.get(pod.uid)
        try:
            if written is not None and written[1] == note:
                name, _, count = written
                self._written[pod.uid] = (name, note, count + 1)
                series = {"series": {"count": count + 1, "lastObservedTime": now}}
                await self._client.patch(EVENTS, name, series, pod.namespace, type="merge")
                return
            name = f"{pod.name}.{self._ids.hex(16)}"
            self._written[pod.uid] = (name, note, 1)
            await self._client.create(
                EVENTS, self._event_object(pod, name, type, reason, action, note, now), pod.namespace
            )
        except (ApiError, OSError) as failure:
            log.info("%s: can't write an event: %s", pod.key, failure)

    def _event_object(self, pod: Pod, name: str, type: str, reason: str, action: str, note: str, now: str) -> Obj:
        metadata = pod.obj["metadata"]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": pod.namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod.name,
                "namespace": pod.namespace,
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "reason": reason,
            "message": note,
            "type": type,
            "action": action,
            "eventTime": now,
            "firstTimestamp": None,
            "lastTimestamp": None,
            "source": {},
            "reportingComponent": pod.scheduler_name,
            "reportingInstance": f"{pod.scheduler_name}-terrarium",
        }


def _same_for_scheduling(old: Obj, new: Obj) -> bool:
    """Whether only a node's heartbeat changed."""

    def essence(node: Obj) -> tuple[object, ...]:
        status = node.get("status") or {}
        meta = node["metadata"]
        conditions = [(c["type"], c["status"]) for c in status.get("conditions") or ()]
        return (
            node.get("spec"),
            meta.get("labels"),
            meta.get("annotations"),
            status.get("allocatable"),
            status.get("images"),
            conditions,
        )

    return essence(old) == essence(new)


def _same_pod_for_scheduling(old: Obj, new: Obj) -> bool:
    """Whether only the status of a pending pod changed."""

    def essence(pod: Obj) -> tuple[object, ...]:
        meta = pod["metadata"]
        return pod.get("spec"), meta.get("labels"), meta.get("annotations"), meta.get("deletionTimestamp")

    return essence(old) == essence(new)
