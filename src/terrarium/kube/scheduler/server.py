"""The loop around the decisions: watch, decide, bind, and write down why.

It sees the cluster through `kube.client` only, so it runs in process or against any cluster. One task decides, pod by
pod; binding and writing conditions happen beside it, on the assumption that a bound pod stands where it was put.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from terrarium.kube.scheduler.events import Event, events
from terrarium.kube.scheduler.explain import explain
from terrarium.kube.scheduler.framework import Change, Cycle, Point
from terrarium.kube.scheduler.hints import helps
from terrarium.kube.scheduler.plugins.volumes import fully_bound
from terrarium.kube.scheduler.profiles import frameworks
from terrarium.kube.scheduler.queue import Queue, Queued
from terrarium.kube.scheduler.snapshot import NodeInfo, Objects, Snapshot
from terrarium.kube.scheduler.views import Pod, read_node, read_pod

log = logging.getLogger(__name__)

REPLICATION_CONTROLLERS = Resource("", "v1", "replicationcontrollers")
BIND_SECONDS = 600.0
"""How long a pod waits for its volumes to be bound (VolumeBindingArgs.bindTimeoutSeconds)."""
REMEMBERED = 2000
"""Decisions kept for `explain`."""

_CONTEXT = {
    "namespaces": NAMESPACES,
    "services": SERVICES,
    "replicasets": REPLICA_SETS,
    "statefulsets": STATEFUL_SETS,
    "replicationcontrollers": REPLICATION_CONTROLLERS,
    "persistentvolumeclaims": Resource("", "v1", "persistentvolumeclaims"),
    "persistentvolumes": Resource("", "v1", "persistentvolumes"),
    "storageclasses": Resource("storage.k8s.io", "v1", "storageclasses"),
    "csinodes": Resource("storage.k8s.io", "v1", "csinodes"),
    "csidrivers": Resource("storage.k8s.io", "v1", "csidrivers"),
    "csistoragecapacities": Resource("storage.k8s.io", "v1", "csistoragecapacities"),
    "volumeattachments": Resource("storage.k8s.io", "v1", "volumeattachments"),
    "poddisruptionbudgets": Resource("policy", "v1", "poddisruptionbudgets"),
}

_EVENTFUL = {
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "persistentvolumes": "PersistentVolume",
    "storageclasses": "StorageClass",
    "csinodes": "CSINode",
    "csidrivers": "CSIDriver",
    "csistoragecapacities": "CSIStorageCapacity",
    "volumeattachments": "VolumeAttachment",
}
"""Kinds whose changes may help a pod that waits."""


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
        self._queue = Queue(self._gate, lambda queued, event: helps(queued.plugins, queued.pod, event, self._objects))
        self._infos: dict[str, NodeInfo] = {}
        self._snapshot: Snapshot | None = None
        self._placed: dict[str, tuple[Pod, str]] = {}
        """Pods that stand on a node, assumed ones among them: uid to (pod, node)."""
        self._nominated: dict[str, list[Pod]] = {}
        self._nominated_to: dict[str, str] = {}
        """Pending pods for which preemption has made room: by node, and where each waits to go."""
        self._wake = asyncio.Event()
        self._decisions: OrderedDict[str, Decision] = OrderedDict()
        self._written: dict[str, tuple[str, str, int]] = {}
        """The last FailedScheduling event of a pod: uid to (event name, text, count)."""

    async def start(self) -> None:
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)
        for plural, kind in _EVENTFUL.items():
            self._context[plural].on_change(self._other_changed(kind))
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

    def _gate(self, pod: Pod) -> str:
        rejection = self._frameworks[pod.scheduler_name].pre_enqueue(pod)
        return rejection.plugin if rejection is not None else ""

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
            info.node = node
        happened = events("Node", old, new)
        if happened:
            self._snapshot = None
            self._tell(happened)

    def _other_changed(self, kind: str) -> Callable[[Obj | None, Obj | None], None]:
        return lambda old, new: self._tell(events(kind, old, new))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        gone = new is None or (new.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        obj = new if new is not None else old
        assert obj is not None
        pod = read_pod(obj)
        self._nominate(pod, "" if gone or pod.node_name else pod.nominated)
        if gone:
            self._queue.remove(pod.key)
            if self._lift(pod.uid) or pod.node_name:
                self._tell(events("Pod", obj, None))
            return
        if pod.node_name:
            self._queue.remove(pod.key)
            self._stand(pod, pod.node_name)
            stood = old is not None and bool((old.get("spec") or {}).get("nodeName"))
            self._tell(events("Pod", old if stood else None, obj))
            return
        if pod.uid in self._placed or pod.scheduler_name not in self._frameworks:
            return
        if old is None:
            self._queue.add(pod, self._clock.time())
        else:
            # A changed status is no event, but the pod that waits must be the newest.
            changes = () if _same_pod_for_scheduling(old, obj) else events("Pod", old, obj)
            self._queue.update(pod, changes, self._clock.time())
        self._wake.set()

    def _push_aside(self, pod: Pod, node: str) -> None:
        """Pods of lower priority that waited for the same node have to look again: for another one, perhaps."""
        for other in [p for p in self._nominated.get(node, ()) if p.priority < pod.priority]:
            self._nominate(other, "")
            self._tasks.start(f"clear {other.key}", self._clear_nomination(other))

    async def _clear_nomination(self, pod: Pod) -> None:
        change = {"status": {"nominatedNodeName": None}}
        try:
            await self._client.patch(PODS, pod.name, change, pod.namespace, type="merge", subresource="status")
        except (ApiError, OSError) as failure:
            log.info("%s: can't take its nomination back: %s", pod.key, failure)

    def _nominate(self, pod: Pod, node: str) -> None:
        """Notes for which node a pending pod waits, "" for none."""
        known = self._nominated_to.pop(pod.uid, "")
        if known:
            self._nominated[known] = [p for p in self._nominated.get(known, ()) if p.uid != pod.uid]
        if node:
            self._nominated_to[pod.uid] = node
            self._nominated.setdefault(node, []).append(pod)

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

    def _tell(self, happened: Iterable[Event]) -> None:
        for event in happened:
            self._queue.happened(event, self._clock.time())
        self._wake.set()

    async def _flush(self) -> None:
        while True:
            await self._clock.heartbeat(1.0)
            now = self._clock.time()
            self._queue.flush_backoff(now)
            self._queue.flush_unschedulable(now)
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
        if pod.deleting:
            self._queue.done(queued)
            note = f"skip schedule deleting pod: {pod.key}"
            self._tasks.start(f"report {pod.key}", self._event(pod, "Warning", "FailedScheduling", "Scheduling", note))
            return
        if self._snapshot is None:
            self._snapshot = Snapshot(self._infos.values(), self._objects, self._nominated)
        decision = decide(
            self._frameworks[pod.scheduler_name], pod, self._snapshot, lambda best: best[self._ids.below(len(best))]
        )
        self._decisions[pod.uid] = decision
        self._decisions.move_to_end(pod.uid)
        while len(self._decisions) > REMEMBERED:
            self._decisions.popitem(last=False)
        if decision.node:
            changes = self._frameworks[pod.scheduler_name].pre_bind(
                Cycle(pod, self._snapshot), self._snapshot.by_name[decision.node]
            )
            self._stand(pod, decision.node)
            self._nominate(pod, "")
            self._tasks.start(f"bind {pod.key}", self._bind(queued, decision, changes))
            return
        self._queue.failed(queued, frozenset() if decision.error else decision.plugins, self._clock.time())
        nominate, victims = "", list[Pod]()
        found = decision.preemption
        if found is not None and found.chosen:
            nominate = found.chosen[self._ids.below(len(found.chosen))]
            victims = list(found.candidates[nominate].victims)
            self._push_aside(pod, nominate)
        keep = pod.nominated if found is not None and found.nominate == "keep" else nominate
        self._nominate(pod, keep)
        self._tasks.start(f"report {pod.key}", self._report(pod, decision, keep, victims))

    async def _bind(self, queued: Queued, decision: Decision, changes: Sequence[Change]) -> None:
        pod = queued.pod
        binding = self._frameworks[pod.scheduler_name].points[Point.BIND][0].bind(pod, decision.node)
        try:
            for change in changes:
                await self._client.update(_CONTEXT[change.plural], change.obj)
            if changes:
                await self._volumes_ready(changes)
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

    async def _volumes_ready(self, changes: Sequence[Change]) -> None:
        """Waits until every claim has its volume; OSError after the time VolumeBinding gives it."""
        claims = [(c.claim["metadata"].get("namespace") or "default", c.claim["metadata"]["name"]) for c in changes]
        deadline = self._clock.time() + BIND_SECONDS
        while self._clock.time() < deadline:
            found = [self._context["persistentvolumeclaims"].get(*claim) for claim in claims]
            if all(claim is not None and fully_bound(claim) for claim in found):
                return
            await self._clock.sleep(0.1)
        raise OSError('running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded')

    async def _evict(self, pod: Pod, node: str, victims: Sequence[Pod]) -> None:
        """Takes the victims of a preemption away: they are told why, then deleted."""
        text = f"{pod.scheduler_name}: preempting to accommodate a higher priority pod"
        for victim in victims:
            condition = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "PreemptionByScheduler",
                "message": text,
                "lastTransitionTime": rfc3339(self._clock.now()),
            }
            known = [c["type"] for c in (victim.obj.get("status") or {}).get("conditions") or ()]
            order = [{"type": t} for t in dict.fromkeys((*known, "DisruptionTarget"))]
            status = {"status": {"$setElementOrder/conditions": order, "conditions": [condition]}}
            try:
                await self._client.patch(
                    PODS, victim.name, status, victim.namespace, type="strategic", subresource="status"
                )
                await self._client.delete(
                    PODS, victim.name, victim.namespace, uid=victim.obj["metadata"].get("uid", "")
                )
            except (ApiError, OSError) as failure:
                log.info("%s: can't evict it: %s", victim.key, failure)
                continue
            note = f"Preempted by pod {pod.uid} on node {node}"
            await self._event(victim, "Normal", "Preempted", "Preempting", note, pod.scheduler_name)

    async def _report(self, pod: Pod, decision: Decision, nominate: str, victims: Sequence[Pod]) -> None:
        await self._say_why(pod, decision, nominate)
        await self._evict(pod, nominate, victims)

    async def _say_why(self, pod: Pod, decision: Decision, nominate: str) -> None:
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
        said = known is not None and all(known.get(k) == condition[k] for k in ("status", "reason", "message"))
        if said and nominate == pod.nominated:
            return
        if known is None or known.get("status") != "False":
            condition["lastTransitionTime"] = rfc3339(self._clock.now())
        nomination = {"nominatedNodeName": nominate or None} if nominate != pod.nominated else {}
        try:
            await self._client.patch(
                PODS,
                pod.name,
                {"status": {"conditions": [condition]} | nomination},
                pod.namespace,
                type="strategic",
                subresource="status",
            )
        except (ApiError, OSError) as failure:
            log.info("%s: can't write its condition: %s", pod.key, failure)

    async def _event(self, pod: Pod, type: str, reason: str, action: str, note: str, by: str = "") -> None:
        """One event for each text; the same text again counts up its series (client-go tools/events)."""
        # The API takes at most 1,024 bytes.
        if len(note.encode()) > 1024:
            note = note.encode()[:1020].decode("utf-8", "ignore") + " ..."
        now = rfc3339_micro(self._clock.now())
        written = self._written.get(pod.uid)
        try:
            # The version counts too: after its condition was written, the pod's next event is another one.
            same = f"{note}@{pod.obj['metadata'].get('resourceVersion', '')}"
            if written is not None and written[1] == same:
                name, _, count = written
                self._written[pod.uid] = (name, same, count + 1)
                series = {"series": {"count": count + 1, "lastObservedTime": now}}
                await self._client.patch(EVENTS, name, series, pod.namespace, type="merge")
                return
            name = f"{pod.name}.{self._ids.hex(16)}"
            self._written[pod.uid] = (name, same, 1)
            await self._client.create(
                EVENTS, self._event_object(pod, name, type, reason, action, note, now, by), pod.namespace
            )
        except (ApiError, OSError) as failure:
            log.info("%s: can't write an event: %s", pod.key, failure)

    def _event_object(
        self, pod: Pod, name: str, type: str, reason: str, action: str, note: str, now: str, by: str
    ) -> Obj:
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
            "reportingComponent": by or pod.scheduler_name,
            "reportingInstance": f"{by or pod.scheduler_name}-terrarium",
        }


def _same_pod_for_scheduling(old: Obj, new: Obj) -> bool:
    """Whether only the status of a pending pod changed."""

    def essence(pod: Obj) -> tuple[object, ...]:
        meta = pod["metadata"]
        return pod.get("spec"), meta.get("labels"), meta.get("annotations"), meta.get("deletionTimestamp")

    return essence(old) == essence(new)
