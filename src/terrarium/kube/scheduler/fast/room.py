"""What stands on a node, as vectors: does a pod fit, are its ports free, and how full would the node be.

The arithmetic is that of `plugins.resources`, written for all rows at once. It is exact: amounts stay below 2^53. When a few
rows change, `classes` asks the plain plugins about them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from terrarium.kube.scheduler.fast.columns import ASSUMED_CPU, ASSUMED_MEMORY, PODS, Columns, Vector
from terrarium.kube.scheduler.framework import Code, Cycle, Rejection
from terrarium.kube.scheduler.plugins.resources import (
    NATIVE,
    NodeResourcesBalancedAllocation,
    NodeResourcesFit,
)
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.views import Pod

Score = Callable[[Columns], Vector]
"""Raw scores of all rows, 0…100."""


class RoomFilter(Protocol):
    """A filter that looks at what stands on each node. `sub` is 0 where the pod fits, else why not, for `rejection`."""

    name: str

    def sub(self, columns: Columns) -> Vector: ...
    def sub_of(self, node: NodeInfo) -> int: ...
    def rejection(self, sub: int) -> Rejection: ...
    def rejection_of(self, sub: int, node: NodeInfo) -> Rejection:
        """The same with the node's numbers."""
        ...


class Fit:
    """NodeResourcesFit's filter: a bit for everything that is short."""

    def __init__(self, plugin: NodeResourcesFit, cycle: Cycle, columns: Columns) -> None:
        pod = cycle.pod
        self.name = plugin.name
        self._cycle = cycle
        self._plugin = plugin
        asked = [("Too many pods", PODS, 1)]
        scalars = [n for n in pod.requests if n not in (*NATIVE, "pods") and plugin.counts(n)]
        for name in (*NATIVE, *scalars):
            if pod.requests.get(name, 0) > 0:
                asked.append((f"Insufficient {name}", columns.field(name), pod.requests[name]))
        self._reasons = [reason for reason, _, _ in asked]
        self._fields = np.array([field for _, field, _ in asked], np.intp)
        self._asked = np.array([[amount] for _, _, amount in asked], np.int64)
        self._bits = np.array([1 << at for at in range(len(asked))], np.int16)

    def sub(self, columns: Columns) -> Vector:
        total = len(columns.infos)
        used, capacity = columns.used[self._fields, :total], columns.capacity[self._fields, :total]
        found: Vector = self._bits @ (used + self._asked > capacity)
        return found

    def sub_of(self, node: NodeInfo) -> int:
        short = self._plugin.insufficient(self._cycle.pod, node)
        return sum(1 << self._reasons.index(reason) for reason, _, _ in short)

    def rejection(self, sub: int) -> Rejection:
        reasons = tuple(reason for at, reason in enumerate(self._reasons) if sub >> at & 1)
        return Rejection(Code.UNSCHEDULABLE, reasons, self.name)

    def rejection_of(self, sub: int, node: NodeInfo) -> Rejection:
        return (self._plugin.filter(self._cycle, node) or self.rejection(sub)).by(self.name)


class Ports:
    """NodePorts' filter, node by node."""

    def __init__(self, name: str, pod: Pod) -> None:
        self.name = name
        self._wanted = pod.host_ports

    def sub(self, columns: Columns) -> Vector:
        return np.array([self.sub_of(info) for info in columns.infos], np.int16)

    def sub_of(self, node: NodeInfo) -> int:
        return int(not node.free_of(self._wanted))

    def rejection(self, sub: int) -> Rejection:
        return Rejection(Code.UNSCHEDULABLE, ("node(s) didn't have free ports for the requested pod ports",), self.name)

    def rejection_of(self, sub: int, node: NodeInfo) -> Rejection:
        return self.rejection(sub)


def _use(columns: Columns, field: int, more: int) -> tuple[Vector, Vector]:
    """(requested with the pod, allocatable)"""
    total = len(columns.infos)
    return columns.used[field, :total] + more, columns.capacity[field, :total]


def fit_score(plugin: NodeResourcesFit, pod: Pod, columns: Columns) -> Score:
    """NodeResourcesFit's score by its strategy."""
    resources: list[tuple[int, int, int]] = []
    """(field, what the pod adds, weight)"""
    for name, weight in plugin.scoring.resources:
        if name == "cpu":
            resources.append((ASSUMED_CPU, pod.assumed_cpu, weight))
        elif name == "memory":
            resources.append((ASSUMED_MEMORY, pod.assumed_memory, weight))
        elif name in NATIVE or pod.requests.get(name, 0):
            resources.append((columns.field(name), pod.requests.get(name, 0), weight))
    line = plugin.line
    table = np.array([line(at) for at in range(101)], np.int64) if line is not None else None
    prefers_empty = plugin.scoring.type == "LeastAllocated"

    def score(columns: Columns) -> Vector:
        total: Vector | int = 0
        weights: Vector | int = 0
        for field, more, weight in resources:
            used, capacity = _use(columns, field, more)
            there = capacity > 0
            whole = capacity if there.all() else np.maximum(capacity, 1)
            if table is not None:
                part = table[np.where(used > capacity, 100, used * 100 // whole)]
                counted = there & (part > 0)
                total = total + np.where(counted, part, 0) * weight
                weights = weights + counted * weight
                continue
            if prefers_empty:
                part = np.maximum(capacity - used, 0) * 100 // whole
            else:
                part = np.minimum(used, capacity) * 100 // whole
            total = total + part * weight
            weights = weights + (weight if whole is capacity else there * weight)
        if isinstance(total, int):
            return np.zeros(len(columns.infos), np.int16)
        weights = np.maximum(weights, 1)
        if table is not None:
            return np.floor(total / weights + 0.5).astype(np.int16)
        return (total // weights).astype(np.int16)

    return score


def balance_score(plugin: NodeResourcesBalancedAllocation, pod: Pod, columns: Columns) -> Score:
    """NodeResourcesBalancedAllocation's score."""
    if len(plugin.resources) != 2 or any(name not in NATIVE for name, _ in plugin.resources):
        return _one_by_one(plugin, pod)
    (one, _), (two, _) = plugin.resources
    fields = [(columns.field(name), pod.requests.get(name, 0)) for name in (one, two)]

    def score(columns: Columns) -> Vector:
        (used, capacity), (other_used, other_capacity) = (_use(columns, *field) for field in fields)
        there = (capacity > 0) & (other_capacity > 0)
        if there.all():
            fraction = np.minimum(used / capacity, 1.0)
            other = np.minimum(other_used / other_capacity, 1.0)
            deviation = np.abs((fraction - other) / 2)
        else:
            fraction = np.minimum(used / np.maximum(capacity, 1), 1.0)
            other = np.minimum(other_used / np.maximum(other_capacity, 1), 1.0)
            # With one resource there is nothing to balance.
            deviation = np.where(there, np.abs((fraction - other) / 2), 0.0)
        return ((1 - deviation) * 100.0).astype(np.int16)

    return score


def _one_by_one(plugin: NodeResourcesBalancedAllocation, pod: Pod) -> Score:
    def score(columns: Columns) -> Vector:
        cycle = Cycle(pod, None)  # type: ignore[arg-type]
        return np.array([plugin.score(cycle, info) for info in columns.infos], np.int16)

    return score
