"""NodeResourcesFit and NodeResourcesBalancedAllocation: whether a pod fits, and how full nodes should become."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from terrarium.kube.scheduler.framework import Code, Cycle, PreFilterAnswer, Rejection, Skip, Unnormalised
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.views import Pod

NATIVE = ("cpu", "memory", "ephemeral-storage")
BOTH = (("cpu", 1), ("memory", 1))


def _is_scalar(name: str) -> bool:
    """Extended resources, huge pages and attachable volumes: what a pod may not ask for at all."""
    return name not in (*NATIVE, "pods")


def least(requested: int, capacity: int) -> int:
    """LeastAllocated: the emptier the better."""
    return 0 if capacity == 0 or requested > capacity else (capacity - requested) * 100 // capacity


def most(requested: int, capacity: int) -> int:
    """MostAllocated: the fuller the better."""
    return 0 if capacity == 0 else min(requested, capacity) * 100 // capacity


def broken_line(shape: Sequence[tuple[int, int]]) -> Callable[[int], int]:
    """A function through (utilisation, score) points, flat outside them, in Go's integer arithmetic."""

    def line(at: int) -> int:
        for index, (x, y) in enumerate(shape):
            if at <= x:
                if index == 0:
                    return y
                x0, y0 = shape[index - 1]
                # Go's division cuts towards zero.
                return y0 + int((y - y0) * (at - x0) / (x - x0))
        return shape[-1][1]

    return line


@dataclass(frozen=True, slots=True)
class Scoring:
    """A scoring strategy: its type, the resources and weights it looks at, and the shape of the ratio type."""

    type: str = "LeastAllocated"
    resources: tuple[tuple[str, int], ...] = BOTH
    shape: tuple[tuple[int, int], ...] = ()
    """(utilisation 0…100, score 0…10)"""


def _use(pod: Pod, node: NodeInfo, resource: str, assumed: bool) -> tuple[int, int]:
    """(requested with this pod, allocatable); (0, 0) for a scalar resource the pod does not ask for."""
    asked = pod.requests.get(resource, 0)
    if asked == 0 and _is_scalar(resource):
        return 0, 0
    capacity = node.node.allocatable.get(resource, 0)
    if assumed and resource == "cpu":
        return node.assumed_cpu + pod.assumed_cpu, capacity
    if assumed and resource == "memory":
        return node.assumed_memory + pod.assumed_memory, capacity
    return node.requested.get(resource, 0) + asked, capacity


class NodeResourcesFit(Unnormalised):
    """A pod goes where what it asks for is free."""

    name = "NodeResourcesFit"

    def __init__(
        self, scoring: Scoring = Scoring(), ignored: Sequence[str] = (), ignored_groups: Sequence[str] = ()
    ) -> None:
        self.scoring = scoring
        self._ignored = frozenset(ignored)
        self._ignored_groups = frozenset(ignored_groups)
        self.line = broken_line([(x, y * 10) for x, y in scoring.shape]) if scoring.shape else None

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        return None

    def counts(self, name: str) -> bool:
        """Whether a scalar resource is looked at at all."""
        if name in self._ignored:
            return False
        group, slash, _ = name.partition("/")
        return not (slash and group in self._ignored_groups)

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        lacking = self.insufficient(cycle.pod, node)
        if not lacking:
            return None
        return Rejection(
            Code.UNSCHEDULABLE,
            tuple(reason for reason, _, _ in lacking),
            facts=tuple((r, (asked, free)) for r, asked, free in lacking),
        )

    def insufficient(self, pod: Pod, node: NodeInfo) -> list[tuple[str, int, int]]:
        """(reason, asked, free) for everything that is short on a node."""
        allocatable, requested = node.node.allocatable, node.requested
        lacking: list[tuple[str, int, int]] = []
        places = allocatable.get("pods", 0)
        if len(node.pods) + 1 > places:
            lacking.append(("Too many pods", 1, places - len(node.pods)))
        for name in (*NATIVE, *(n for n in pod.requests if _is_scalar(n))):
            asked = pod.requests.get(name, 0)
            if asked <= 0 or not (name in NATIVE or self.counts(name)):
                continue
            free = allocatable.get(name, 0) - requested.get(name, 0)
            if asked > free:
                lacking.append((f"Insufficient {name}", asked, free))
        return lacking

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None:
        return None

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        total = weights = 0
        # The ratio's shape speaks of what is really asked for… only the other two assume a use for those who don't say.
        ratio = self.line is not None
        for name, weight in self.scoring.resources:
            used, capacity = _use(cycle.pod, node, name, assumed=True)
            if capacity == 0:
                continue
            if ratio:
                assert self.line is not None
                part = self.line(100 if used > capacity else used * 100 // capacity)
                if part > 0:
                    total += part * weight
                    weights += weight
                continue
            part = least(used, capacity) if self.scoring.type == "LeastAllocated" else most(used, capacity)
            total += part * weight
            weights += weight
        if weights == 0:
            return 0
        return math.floor(total / weights + 0.5) if ratio else total // weights


class NodeResourcesBalancedAllocation(Unnormalised):
    """Prefers nodes whose resources fill evenly."""

    name = "NodeResourcesBalancedAllocation"

    def __init__(self, resources: tuple[tuple[str, int], ...] = BOTH) -> None:
        self.resources = resources

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None:
        asks = any(cycle.pod.requests.get(name, 0) for name, _ in self.resources)
        return None if asks else Skip.SKIP

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        fractions = []
        for name, _ in self.resources:
            used, capacity = _use(cycle.pod, node, name, assumed=False)
            if capacity:
                fractions.append(min(1.0, used / capacity))
        deviation = 0.0
        if len(fractions) == 2:
            deviation = abs((fractions[0] - fractions[1]) / 2)
        elif len(fractions) > 2:
            mean = sum(fractions) / len(fractions)
            deviation = math.sqrt(sum((f - mean) * (f - mean) for f in fractions) / len(fractions))
        return int((1 - deviation) * 100.0)
