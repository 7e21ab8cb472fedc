"""Replay of conversations with the queue: a store that starts empty, a clock that stands still between the steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.cycle import decide
from terrarium.kube.scheduler.events import events
from terrarium.kube.scheduler.hints import helps
from terrarium.kube.scheduler.profiles import frameworks
from terrarium.kube.scheduler.queue import Queue, Queued
from terrarium.kube.scheduler.replay.plugins import CLUSTER_WIDE, tables
from terrarium.kube.scheduler.snapshot import Objects, Snapshot
from terrarium.kube.scheduler.views import Pod, read_node, read_pod

_MILLISECOND = 0.001


def plural(kind: str) -> str:
    """The resource of a kind, as far as the scheduler knows kinds."""
    lower = kind.lower()
    return lower[:-1] + "ies" if lower.endswith("y") else lower + ("es" if lower.endswith("s") else "s")


class _World:
    """The store, the queue and the clock of one conversation."""

    def __init__(self) -> None:
        self.now = 0.0
        self.profiles = frameworks()
        self.store: dict[str, dict[str, Obj]] = {}
        self.queue = Queue(self._gate, lambda q, event: helps(q.plugins, q.pod, event, self._objects()))
        self.other_events: list[Obj] = []

    def _gate(self, pod: Pod) -> str:
        rejection = self.profiles[pod.scheduler_name].pre_enqueue(pod)
        return rejection.plugin if rejection is not None else ""

    def _objects(self) -> Objects:
        return Objects(tables({k: v.values() for k, v in self.store.items()}))

    # --- the store -------------------------------------------------------------------------------------------------

    def change(self, kind: str, name: str, obj: Obj | None) -> None:
        """Creates, replaces or (None) deletes an object, and tells the queue."""
        home = self.store.setdefault(plural(kind), {})
        namespace = (obj or {"metadata": {}})["metadata"].get("namespace") or "default"
        key = name if "/" in name or plural(kind) in CLUSTER_WIDE or kind == "Node" else f"{namespace}/{name}"
        old = home.get(key)
        if obj is None:
            home.pop(key, None)
        else:
            home[key] = obj
        if kind == "Pod":
            self._pod_changed(old, obj)
        else:
            self._tell(kind, old, obj)

    def _tell(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        for event in events(kind, old, new):
            self.queue.happened(event, self.now)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = read_pod(new or old or {})
        if pod.node_name:
            before = old if old is not None and (old.get("spec") or {}).get("nodeName") else None
            self._tell("Pod", before, new)
        elif pod.scheduler_name not in self.profiles:
            return
        elif new is None:
            self.queue.remove(pod.key)
        elif old is None:
            self.queue.add(pod, self.now)
        else:
            self.queue.update(pod, events("Pod", old, new), self.now)

    # --- cycles ----------------------------------------------------------------------------------------------------

    def attempt(self, follow: Mapping[str, str], active_only: bool = False) -> Obj | None:
        """One scheduling cycle; None when nothing can be popped."""
        queued = self.queue.pop(active_only)
        if queued is None:
            return None
        pod = queued.pod
        said: Obj = {"pod": pod.key, "from": queued.came_from, "event": "FailedScheduling"}
        if pod.deleting:
            self.queue.done(queued)
            return said | {"note": f"skip schedule deleting pod: {pod.key}"}
        pods = [read_pod(o) for o in self.store.get("pods", {}).values()]
        nodes = [read_node(o) for o in self.store.get("nodes", {}).values()]
        snapshot = Snapshot.of(nodes, pods, self._objects())
        decision = decide(self.profiles[pod.scheduler_name], pod, snapshot, lambda best: best[0])
        if not decision.node:
            self.queue.failed(queued, decision.plugins if not decision.error else frozenset(), self.now)
            if decision.preemption is not None and decision.preemption.chosen:
                self._evict(pod, decision.preemption.chosen[0], decision.preemption.candidates)
            return said | {"note": decision.message}
        node = follow.get(pod.key, decision.node)
        self.queue.done(queued)
        bound = copy.deepcopy(pod.obj)
        bound.setdefault("spec", {})["nodeName"] = node
        self.change("Pod", pod.key, bound)
        return said | {"event": "Scheduled", "note": f"Successfully assigned {pod.key} to {node}"}

    def _evict(self, pod: Pod, node: str, candidates: Mapping[str, Any]) -> None:
        nominated = copy.deepcopy(pod.obj)
        nominated.setdefault("status", {})["nominatedNodeName"] = node
        self.change("Pod", pod.key, nominated)
        for victim in candidates[node].victims:
            self.other_events.append(
                {"pod": victim.key, "event": "Preempted", "note": f"Preempted by pod {pod.uid} on node {node}"}
            )
            self.change("Pod", victim.key, None)

    def queues(self) -> Obj:
        return {q.pod.key: self._shown(q) for q in self.queue.waiting()}

    def _shown(self, queued: Queued) -> Obj:
        shown: Obj = {"queue": queued.where, "attempts": queued.attempts, "timestamp": round(queued.since, 3)}
        if queued.where == "backoff":
            shown["backoffExpiration"] = self.queue.backoff_until(queued)
        if queued.plugins:
            shown["unschedulablePlugins"] = sorted(queued.plugins)
        return shown


def converse(case: Obj) -> Obj:
    """Answers a conversation: what each step did, and the queue after it."""
    world = _World()
    steps = []
    for asked in case["steps"]:
        step = asked["step"]
        said: Obj = {}
        match step["op"]:
            case "create" | "update":
                world.change(step["kind"], step["object"]["metadata"]["name"], step["object"])
                world.now += _MILLISECOND
            case "delete":
                world.change(step["kind"], step["name"], None)
                world.now += _MILLISECOND
            case "schedule-one":
                said["attempt"] = world.attempt(step.get("follow") or {}) or "nothing to pop"
            case "schedule-active":
                said["attempts"] = []
                while (tried := world.attempt(step.get("follow") or {}, active_only=True)) is not None:
                    said["attempts"].append(tried)
                    world.now += _MILLISECOND
            case "advance":
                world.now += step["seconds"]
            case "flush-backoff":
                world.queue.flush_backoff(world.now)
            case "flush-unschedulable":
                world.queue.flush_unschedulable(world.now)
        said |= {"now": round(world.now, 3), "queues": world.queues(), "otherEvents": world.other_events}
        world.other_events = []
        steps.append(said)
    return {"id": case["id"], "steps": steps}
