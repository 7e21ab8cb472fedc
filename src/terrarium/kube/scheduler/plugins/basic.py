"""Plugins which look at one node and one field: gates, name, cordon, taints, ports, images."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.kube.scheduler.framework import (
    Code,
    Cycle,
    PreFilterAnswer,
    Rejection,
    Skip,
    Unnormalised,
    default_normalise,
)
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.views import Pod, Taint


class SchedulingGates:
    """Keeps a pod out of the queue as long as a gate stands."""

    name = "SchedulingGates"

    def pre_enqueue(self, pod: Pod) -> Rejection | None:
        if not pod.gates:
            return None
        return Rejection(Code.UNRESOLVABLE, (f"waiting for scheduling gates: [{' '.join(pod.gates)}]",))


class PrioritySort:
    """The queue's order: higher priority first, then who has waited longer (`queue.Queue` keeps it)."""

    name = "PrioritySort"

    def less(self, one: tuple[int, float], other: tuple[int, float]) -> bool:
        """Compares (priority, moment of queueing)."""
        return (-one[0], one[1]) < (-other[0], other[1])


class DefaultPreemption:
    """Makes room by evicting pods of lower priority (`preemption.preempt` decides whom)."""

    name = "DefaultPreemption"

    def __init__(self, percentage: int = 10, absolute: int = 100) -> None:
        self.percentage = percentage
        self.absolute = absolute

    def post_filter(self, nodes: int) -> int:
        """How many candidates are looked at."""
        return min(nodes, max(nodes * self.percentage // 100, self.absolute))


class DefaultBinder:
    """Binds through the API's binding subresource (`server.Scheduler` does it)."""

    name = "DefaultBinder"

    def bind(self, pod: Pod, node: str) -> dict[str, object]:
        """The Binding to create."""
        metadata = {"name": pod.name, "namespace": pod.namespace, "uid": pod.obj["metadata"].get("uid", "")}
        return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": {"kind": "Node", "name": node}}


class NodeName:
    """A pod that names its node goes nowhere else."""

    name = "NodeName"

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        wanted = cycle.pod.node_name
        if wanted and wanted != node.name:
            return Rejection(Code.UNRESOLVABLE, ("node(s) didn't match the requested node name",))
        return None


UNSCHEDULABLE_TAINT = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable:
    """Keeps pods off cordoned nodes, unless they tolerate the taint that stands for it."""

    name = "NodeUnschedulable"

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        if node.node.unschedulable and not cycle.pod.tolerates(UNSCHEDULABLE_TAINT):
            return Rejection(Code.UNRESOLVABLE, ("node(s) were unschedulable",))
        return None


class TaintToleration:
    """Keeps a pod off nodes with taints which it does not tolerate, and prefers those with fewer soft ones."""

    name = "TaintToleration"

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        for taint in node.node.taints:
            if taint.effect in ("NoSchedule", "NoExecute") and not cycle.pod.tolerates(taint):
                return Rejection(
                    Code.UNRESOLVABLE,
                    (f"node(s) had untolerated taint {taint}",),
                    facts=(("taint", f"{taint.key}={taint.value}:{taint.effect}"),),
                )
        return None

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None:
        return None

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        soft = [t for t in cycle.pod.tolerations if t.effect in ("", "PreferNoSchedule")]
        return sum(
            taint.effect == "PreferNoSchedule" and not any(t.tolerates(taint) for t in soft)
            for taint in node.node.taints
        )

    def normalise(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        return default_normalise(scores, reverse=True)


class NodePorts:
    """No two pods with the same host port on one node."""

    name = "NodePorts"

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        return None if cycle.pod.host_ports else Skip.SKIP

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        if node.free_of(cycle.pod.host_ports):
            return None
        return Rejection(Code.UNSCHEDULABLE, ("node(s) didn't have free ports for the requested pod ports",))


_MEBIBYTE = 1024 * 1024


def image_name(name: str) -> str:
    """With the tag that is meant when none is written."""
    return name if ":" in name[name.rfind("/") + 1 :] else f"{name}:latest"


class ImageLocality(Unnormalised):
    """Prefers nodes which have the pod's images, weighted by how widely an image is spread."""

    name = "ImageLocality"

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        pod, total = cycle.pod, len(cycle.snapshot.nodes)
        there = 0
        for image in pod.images:
            name = image_name(image)
            if name in node.node.images:
                size, count = cycle.snapshot.image_state(name)
                there += int(float(size) * (float(count) / float(total)))
        low, high = 23 * _MEBIBYTE, 1000 * _MEBIBYTE * len(pod.images)
        return 100 * (min(max(there, low), high) - low) // (high - low)
