"""The loop around the decisions: watch, decide, bind, and write down why.

It sees the cluster through `kube.client` only, so it runs in process or against any cluster. One task decides, pod by
pod; binding and writing conditions happen beside it, on the assumption that a bound pod stands where it was put.
What it knows is in `cache` and `queue`, both of which a restart builds anew out of the cluster.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from terrarium.base.clock import Clock, stopwatch
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import NODES, PODS, Client
from terrarium.kube.client.informer import Informer
from terrarium.kube.scheduler.binding import BIND_SECONDS, Binder, NotBound, Plan, Waiting
from terrarium.kube.scheduler.cache import Cache
from terrarium.kube.scheduler.cycle import Decision, Sampling, decide
from terrarium.kube.scheduler.events import Event, events
from terrarium.kube.scheduler.eviction import Evictions
from terrarium.kube.scheduler.explain import explain, heat_map
from terrarium.kube.scheduler.extenders import decide_with, read_extenders
from terrarium.kube.scheduler.fast import FastPath
from terrarium.kube.scheduler.framework import Cycle, Framework, Rejection, fit_message
from terrarium.kube.scheduler.hints import helps, interested
from terrarium.kube.scheduler.history import History
from terrarium.kube.scheduler.metrics import Metrics
from terrarium.kube.scheduler.plugins.table import Entry
from terrarium.kube.scheduler.profiles import frameworks
from terrarium.kube.scheduler.queue import Queue, Queued
from terrarium.kube.scheduler.recorder import Recorder
from terrarium.kube.scheduler.resources import CONTEXT, EVENTFUL, InformerObjects
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.trim import Trim
from terrarium.kube.scheduler.views import Node, Pod, read_node, read_pod

log = logging.getLogger(__name__)

_FLUSH_UNSCHEDULABLE = 30
"""Every so many seconds pods that waited too long are looked for."""


class Scheduler:
    """Schedules the pods of its profiles. Reads pods, nodes and what plugins ask for; writes bindings, pod conditions
    and events.

    `configuration` is an effective KubeSchedulerConfiguration (`configuration.load`); `plugins` are plugins beside the
    default ones, for its profiles to enable.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        ids: Ids,
        configuration: Obj | None = None,
        plugins: Mapping[str, Entry] | None = None,
        host: str = "terrarium",
        fast: FastPath | None = None,
    ) -> None:
        written = configuration or {}
        self._client = client
        self._clock = clock
        self._ids = ids
        self._frameworks = frameworks(configuration, plugins)
        self._extenders = read_extenders(configuration)
        self._sampling = {
            name: Sampling(share)
            for name, framework in self._frameworks.items()
            if 0 < (share := framework.percentage or written.get("percentageOfNodesToScore") or 0) < 100
        }
        self._tasks = Tasks("scheduler")
        self._pods = Informer(client, PODS, clock, trim=None if self._extenders else Trim())
        self._nodes = Informer(client, NODES, clock)
        self._context = {plural: Informer(client, resource, clock) for plural, resource in CONTEXT.items()}
        self._objects = InformerObjects(self._context)
        self._cache = Cache(self._objects)
        self._fast = fast or FastPath()
        self._queue = Queue(
            self._gate,
            lambda queued, event: helps(queued.plugins, queued.pod, event, self._objects),
            float(written.get("podInitialBackoffSeconds") or 1),
            float(written.get("podMaxBackoffSeconds") or 10),
            interested,
        )
        self._recorder = Recorder(client, clock, ids, self._tasks, host)
        self._binder = Binder(
            client,
            clock,
            self._context["persistentvolumeclaims"],
            self._extenders,
            _bind_seconds(written),
            lambda queued: self._queue.get(queued.pod.key) is queued,
        )
        self._evictions = Evictions(client, clock, self._recorder, self._turn_back)
        self._history = History()
        self.metrics = Metrics()
        self._wake = asyncio.Event()
        self._deciding: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._held: dict[str, Queued] = {}
        """Pods to be tried again whose last failure is still being written down, by uid."""
        self._recorder.on_written = self._written

    @property
    def synced(self) -> bool:
        """Whether everything it decides upon has been seen once."""
        return not self.unseen

    @property
    def unseen(self) -> Sequence[str]:
        """The resources which have not been listed yet."""
        return [str(i.resource) for i in self._informers() if not i.has_synced]

    def _informers(self) -> Iterable[Informer]:
        return self._nodes, *self._context.values(), self._pods

    async def start(self) -> None:
        """Sees everything once, then schedules."""
        await self.watch()
        self.begin()

    async def watch(self) -> None:
        """Follows the cluster without touching it, until everything has been seen once."""
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)
        for plural, kind in EVENTFUL.items():
            self._context[plural].on_change(self._other_changed(kind))
        for informer in self._informers():
            informer.start(self._tasks)
        for informer in self._informers():
            await informer.synced()
        self._fast.prepare(self._cache.snapshot())

    def begin(self) -> None:
        """Decides and binds from now on."""
        self._recorder.start()
        self._deciding = self._tasks.keep("decide", self._decide_all)
        self._tasks.keep("flush", self._flush)

    async def finish(self) -> None:
        """Decides no more, and waits for what is under way: bindings, evictions, what is still to be written."""
        if self._deciding is not None:
            self._deciding.cancel()
            await asyncio.wait([self._deciding])
        while self._under_way:
            await asyncio.wait(set(self._under_way))
        await self._recorder.drain()

    async def close(self) -> None:
        await self._tasks.close()

    def _beside(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.start(name, coroutine)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    @property
    def waiting(self) -> Sequence[Waiting]:
        """Pods that Permit plugins hold back; each can be allowed or rejected."""
        return tuple(self._binder.waiting.values())

    def explain(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Why a pod is where it is, or is not, as data; None when there is no such pod."""
        found = self._pods.get(namespace, name)
        if found is None:
            return None
        pod = read_pod(found)
        queued = self._queue.get(pod.key)
        framework = self._frameworks.get(pod.scheduler_name)
        return explain(
            pod, self._history.get(pod.uid), queued, framework, self._cache.snapshot(), self._queue.backoff_until
        )

    def heat_map(self, namespace: str, name: str) -> dict[str, Any] | None:
        """What each plugin says of each node for a pod, asked now; None when there is no such pod."""
        found = self._pods.get(namespace, name)
        if found is None:
            return None
        pod = read_pod(found)
        framework = self._frameworks.get(pod.scheduler_name) or next(iter(self._frameworks.values()))
        record = self._history.get(pod.uid)
        if not pod.node_name:
            return heat_map(pod, framework, self._cache.snapshot())
        # Of pods that stand only what others must know is kept; the decision has the pod as it was.
        if record is not None and record.decision is not None:
            pod = replace(record.decision.pod, node_name=pod.node_name)
            return heat_map(pod, framework, self._cache.snapshot())
        answer = heat_map(pod, framework, self._cache.snapshot())
        return answer | {"problem": "What the pod demanded of its node is no longer known: it was placed long ago."}

    def looked_at(self, most: int = 200) -> list[dict[str, Any]]:
        """The pods of the last decisions, the newest first: namespace, name, node, message."""
        rows: list[dict[str, Any]] = []
        for _, record in self._history.latest():
            if record.decision is not None and len(rows) < most:
                pod = record.decision.pod
                last = record.attempts[-1]
                rows.append(
                    {
                        "namespace": pod.namespace,
                        "name": pod.name,
                        "result": last.result,
                        "node": last.node,
                        "message": last.message,
                        "at": last.at,
                    }
                )
        return rows

    def metrics_text(self) -> str:
        """Its metrics in Prometheus' text format."""
        metrics = self.metrics
        metrics.queues(self._queue.counts)
        metrics.cache.set(self._cache.nodes, "nodes")
        metrics.cache.set(self._cache.pods, "pods")
        metrics.cache.set(self._cache.assumed, "assumed_pods")
        metrics.events.set(self._recorder.dropped)
        metrics.unschedulable.values.clear()
        for queued in self._queue.waiting():
            for plugin in queued.plugins:
                metrics.unschedulable.add(plugin, queued.pod.scheduler_name)
        return metrics.text()

    # --- what happens in the cluster -------------------------------------------------------------------------------

    def _gate(self, pod: Pod) -> str:
        if pod.uid in self._evictions.under_way:
            return "DefaultPreemption"
        rejection = self._frameworks[pod.scheduler_name].pre_enqueue(pod)
        return rejection.plugin if rejection is not None else ""

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            assert old is not None
            self._cache.drop_node(old["metadata"]["name"])
        else:
            self._cache.set_node(read_node(new))
        self._tell(events("Node", old, new))

    def _other_changed(self, kind: str) -> Callable[[Obj | None, Obj | None], None]:
        return lambda old, new: self._tell(events(kind, old, new))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        obj = new if new is not None else old
        assert obj is not None
        pod = read_pod(obj)
        gone = new is None or (new.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        waited_for = _waited_for(old)
        if gone or pod.node_name or waited_for or pod.nominated:
            # What was decided a moment ago stays until the cluster has heard of it.
            self._cache.nominate(pod, "" if gone or pod.node_name else pod.nominated)
        if gone:
            if new is None:
                self._history.forget(pod.uid)
            self._queue.remove(pod.key)
            if self._cache.lift(pod.uid) is not None or pod.node_name:
                self._tell(events("Pod", obj, None))
            else:
                self._no_longer_waits(pod, waited_for)
            self._turn_back(pod, "", "removed")
        elif pod.node_name:
            self._queue.remove(pod.key)
            self._cache.confirm(pod, pod.node_name)
            stood = old is not None and bool((old.get("spec") or {}).get("nodeName"))
            self._tell(events("Pod", old if stood else None, obj))
            if not stood:
                self._no_longer_waits(pod, waited_for)
        elif not self._cache.stands(pod.uid) and pod.scheduler_name in self._frameworks:
            if old is None:
                self._queue.add(pod, self._clock.time())
            else:
                # A changed status is no event, but the pod that waits must be the newest.
                changes = () if _same_for_scheduling(old, obj) else events("Pod", old, obj)
                self._queue.update(pod, changes, self._clock.time())
            if waited_for != pod.nominated:
                self._no_longer_waits(pod, waited_for)
        self._wake.set()

    def _no_longer_waits(self, pod: Pod, node: str) -> None:
        """Room was kept for the pod on a node, and is no longer: as if it had stood there and gone, for pods that are
        not more important than it."""
        if node:
            before = {**pod.obj, "status": {**(pod.obj.get("status") or {}), "nominatedNodeName": node}}
            event = Event("AssignedPod", "Delete", before, None)
            self._queue.happened(event, self._clock.time(), lambda other: other.priority <= pod.priority)
            self._wake.set()

    def _turn_back(self, pod: Pod, plugin: str = "DefaultPreemption", text: str = "preempted") -> bool:
        """Stops a pod which Permit plugins hold back; false when there is no such pod."""
        waiting = self._binder.waiting.get(pod.uid)
        if waiting is not None:
            waiting.reject(plugin, text)
        return waiting is not None

    def _tell(self, happened: Iterable[Event]) -> None:
        for event in happened:
            self._queue.happened(event, self._clock.time())
            self._wake.set()

    async def _flush(self) -> None:
        last = math.floor(self._clock.time())
        while True:
            # On whole seconds, since back-offs end on them; those after errors end when they end.
            now = self._clock.time()
            due = self._queue.next_error()
            await self._clock.heartbeat(max(0.001, min(1.0 - now % 1.0, 1.0 if due is None else due - now)))
            now = self._clock.time()
            self._queue.flush_errors(now)
            if math.floor(now) != last:
                self._queue.flush_backoff(now)
            if math.floor(now) // _FLUSH_UNSCHEDULABLE != last // _FLUSH_UNSCHEDULABLE:
                self._queue.flush_unschedulable(now)
                await self._recorder.finish_series()
            last = math.floor(now)
            self._wake.set()

    # --- deciding --------------------------------------------------------------------------------------------------

    async def _decide_all(self) -> None:
        while True:
            queued = self._queue.pop()
            if queued is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._recorder.writing(queued.pod):
                # What is written about it has to be in the order in which it happened.
                self._held[queued.pod.uid] = queued
                continue
            try:
                await self._schedule(queued)
            except Exception as failure:
                # One strange object must not stop the others; the pod itself is tried again.
                log.exception("%s: deciding upon it failed", queued.pod.key)
                text = f"internal error: {type(failure).__name__}: {failure}"
                self._failed(queued, Decision(queued.pod, error=text, message=text))
            # Watchers and clients have their turn between two decisions.
            await asyncio.sleep(0)

    def _written(self, pod: Pod, obj: Obj | None) -> None:
        queued = self._queue.get(pod.key)
        if obj is not None and queued is not None and queued.pod.uid == pod.uid:
            queued.pod = read_pod(obj)
        held = self._held.pop(pod.uid, None)
        if held is not None:
            self._queue.put_back(held)
            self._wake.set()

    async def _schedule(self, queued: Queued) -> None:
        pod = queued.pod
        if pod.deleting:
            self._queue.done(queued)
            self._recorder.event(
                pod, "Warning", "FailedScheduling", "Scheduling", f"skip schedule deleting pod: {pod.key}"
            )
            return
        took = stopwatch()
        framework = self._frameworks[pod.scheduler_name]
        decision = await self._decide(framework, pod)
        self.metrics.algorithm_seconds.observe(took())
        if self._queue.get(pod.key) is not queued:
            # It went away, or somebody else bound it, while extenders were asked.
            return
        if decision.node:
            self._go(queued, decision, framework)
        else:
            self._failed(queued, decision)
        result = "scheduled" if decision.node else "error" if decision.error else "unschedulable"
        self.metrics.attempts.add(pod.scheduler_name, result)
        self.metrics.attempt_seconds.observe(took(), pod.scheduler_name, result)

    async def _decide(self, framework: Framework, pod: Pod) -> Decision:
        snapshot, sampling = self._cache.snapshot(), self._sampling.get(pod.scheduler_name)
        if self._extenders:
            return await decide_with(self._extenders, framework, pod, snapshot, self._choose, sampling)
        return decide(framework, pod, snapshot, self._choose, sampling, self._fast)

    def _choose(self, names: Sequence[str]) -> str:
        return names[self._ids.below(len(names))]

    def _go(self, queued: Queued, decision: Decision, framework: Framework) -> None:
        """Reserves the node and lets the binding begin."""
        pod, snapshot = queued.pod, self._cache.snapshot()
        node = snapshot.by_name.get(decision.node)
        if node is None:
            # The node was deleted while extenders were asked.
            text = f'node "{decision.node}" is gone'
            self._failed(queued, Decision(pod, error=text, message=text))
            return
        cycle = Cycle(pod, snapshot)
        refused = framework.reserve(cycle, node)
        permit: Rejection | Mapping[str, float] | None = None
        if refused is None:
            permit = framework.permit(cycle, node)
            refused = permit if isinstance(permit, Rejection) else None
        if refused is not None:
            framework.unreserve(cycle, node)
            message = fit_message(1, {node.name: refused}, None, "")
            self._failed(queued, Decision(pod, rejected={node.name: refused}, message=message))
            return
        changes = framework.pre_bind(cycle, node)
        self._history.decided(pod.uid, decision, queued.attempts, self._clock.time())
        self._cache.assume(pod, node.name)
        self._cache.nominate(pod, "")
        waits = permit if isinstance(permit, Mapping) else {}
        self._beside(f"bind {pod.key}", self._bind(Plan(queued, decision, framework, cycle, changes, waits)))

    def _failed(self, queued: Queued, decision: Decision) -> None:
        """The pod has no node: it waits, and why is written down; perhaps others make room for it."""
        pod, found = queued.pod, decision.preemption
        now = self._clock.time()
        self._history.decided(pod.uid, decision, queued.attempts, now)
        nominate: str | None = ""
        if found is not None and found.nominate == "keep":
            nominate = None
        elif found is not None and found.chosen:
            nominate = self._choose(found.chosen)
        elif found is None and not decision.error and not self._frameworks[pod.scheduler_name].preempts:
            nominate = None
        if nominate and found is not None:
            victims = found.candidates[nominate].victims
            self.metrics.preemptions.add()
            self.metrics.victims.observe(len(victims))
            weaker = [p for p in self._cache.nominated(nominate) if p.priority < pod.priority]
            if victims:
                self._evictions.under_way.add(pod.uid)
            self._beside(f"preempt for {pod.key}", self._preempt(pod, nominate, victims, weaker))
        self._cache.nominate(pod, pod.nominated if nominate is None else nominate)
        self._recorder.event(pod, "Warning", "FailedScheduling", "Scheduling", decision.message)
        reason = "SchedulerError" if decision.error else "Unschedulable"
        if self._queue.failed(queued, frozenset() if decision.error else decision.plugins, now):
            self._recorder.unscheduled(pod, reason, decision.message, nominate)

    # --- beside the decisions ----------------------------------------------------------------------------------------

    async def _preempt(self, pod: Pod, node: str, victims: Sequence[Pod], weaker: Sequence[Pod]) -> None:
        for other in weaker:
            # Pods of lower priority that waited for the same node have to look again: for another one, perhaps.
            self._recorder.clear_nomination(other)

        def last_one_is_due() -> None:
            self._queue.look_again(pod.key, self._clock.time())

        if not await self._evictions.evict(pod, node, victims, last_one_is_due):
            self._queue.look_again(pod.key, self._clock.time(), at_once=True)
            self._wake.set()

    async def _bind(self, plan: Plan) -> None:
        pod, node, queued = plan.pod, plan.decision.node, plan.queued
        try:
            await self._binder.bind(plan)
        except NotBound as failure:
            self._not_bound(plan, failure)
            return
        self._queue.done(queued)
        plan.framework.post_bind(plan.cycle, self._node(node))
        self.metrics.pod_attempts.observe(queued.attempts)
        self.metrics.pod_seconds.observe(self._clock.time() - queued.added, str(min(queued.attempts, 15)))
        self._recorder.event(pod, "Normal", "Scheduled", "Binding", f"Successfully assigned {pod.key} to {node}")

    def _node(self, name: str) -> NodeInfo:
        """A node which may have been deleted since it was decided upon."""
        found = self._cache.snapshot().by_name.get(name)
        return found if found is not None else NodeInfo(Node({}, name, {}, (), False, {}))

    def _not_bound(self, plan: Plan, failure: NotBound) -> None:
        pod, node, queued = plan.pod, plan.decision.node, plan.queued
        now = self._clock.time()
        plan.framework.unreserve(plan.cycle, self._node(node))
        forgotten = self._cache.forget(pod, node)
        self.metrics.attempts.add(pod.scheduler_name, "unschedulable" if failure.plugins else "error")
        self._history.failed(pod.uid, queued.attempts, now, str(failure))
        if failure.gone:
            self._queue.done(queued)
        elif self._queue.failed(queued, failure.plugins, now):
            reason = "Unschedulable" if failure.plugins else "SchedulerError"
            self._recorder.event(pod, "Warning", "FailedScheduling", "Scheduling", str(failure))
            self._recorder.unscheduled(pod, reason, str(failure), "")
        if forgotten:
            # Whoever could use the room that it had been given.
            stood = {**pod.obj, "spec": {**(pod.obj.get("spec") or {}), "nodeName": node}}
            event = Event("AssignedPod", "Delete", stood, None)
            self._queue.happened(event, now, lambda other: other.uid != pod.uid)
            self._wake.set()


def _bind_seconds(configuration: Obj) -> Callable[[Framework], float]:
    seconds = {
        profile.get("schedulerName") or "default-scheduler": (config.get("args") or {}).get("bindTimeoutSeconds")
        for profile in configuration.get("profiles") or ()
        for config in profile.get("pluginConfig") or ()
        if config["name"] == "VolumeBinding"
    }
    return lambda framework: float(seconds.get(framework.profile) or BIND_SECONDS)


def _waited_for(old: Obj | None) -> str:
    """The node that room was being made on for a pod which had none."""
    if old is None or (old.get("spec") or {}).get("nodeName"):
        return ""
    return str((old.get("status") or {}).get("nominatedNodeName") or "")


def _same_for_scheduling(old: Obj, new: Obj) -> bool:
    """Whether only the status of a pending pod changed."""

    def essence(pod: Obj) -> tuple[object, ...]:
        meta = pod["metadata"]
        return pod.get("spec"), meta.get("labels"), meta.get("annotations"), meta.get("deletionTimestamp")

    return essence(old) == essence(new)
