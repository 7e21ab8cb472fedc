"""Nodes as rows of numbers, and what happened to them, in order.

A `Columns` follows the nodes of a snapshot: each `NodeInfo` notes its changes in `log`; `follow` takes them in. Pods of
equal namespace, labels and affinity are one *group*: nobody else can tell them apart, so `standing` only counts them per
row. `entries` is the journal by which classes catch up. What seldom changes (the nodes themselves) has a `version`: when it
grows, classes start anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from terrarium.kube.scheduler.snapshot import Log, NodeInfo, Snapshot
from terrarium.kube.scheduler.views import Pod

Vector = npt.NDArray[Any]

PODS, CPU, MEMORY, STORAGE, ASSUMED_CPU, ASSUMED_MEMORY = range(6)
"""The first fields; the two assumed ones have the capacity of what they assume."""
FIELDS = {"pods": PODS, "cpu": CPU, "memory": MEMORY, "ephemeral-storage": STORAGE}
LIMIT = 2**53
"""Below it sums stay exact as floating point numbers, and a hundredfold fits 64 bits."""
_JOURNAL = 20_000
"""Longest journal; a class that fell further behind starts anew."""

Entry = tuple[int, int, int]
"""(row, group, 1 or -1)"""


@dataclass(slots=True)
class Topology:
    """The domains of one topology key: each row's code, -1 without the label."""

    codes: list[int]
    values: list[str]
    vector: Vector
    own: bool
    """Every row is a domain of its own, numbered like the row: nothing need be looked up."""
    missing: Vector | None
    """True for rows without the label; None when all have it."""


@dataclass(slots=True)
class Group:
    """Pods which others can't tell apart: one of them, and how many stand on which row."""

    sample: Pod
    rows: dict[int, int] = field(default_factory=dict)


def by_namespace(pod: Pod) -> bool:
    """Whether a pod's terms pick namespaces by their labels."""
    if not pod.has_affinity:
        return False
    terms = (*pod.affinity, *pod.anti_affinity, *pod.preferred_affinity, *pod.preferred_anti_affinity)
    return any(term.namespace_selector is not None for term in terms)


def group_key(pod: Pod) -> object:
    """The same for pods that nobody else can tell apart (the reverse need not hold)."""
    if pod.group is None:
        affinity = repr(pod.obj["spec"]["affinity"]) if pod.has_affinity else ""
        pod.group = (pod.namespace, tuple(pod.labels.items()), pod.deleting, affinity)
    return pod.group


class Columns:
    """The nodes of the newest snapshot that was followed."""

    def __init__(self) -> None:
        self.infos: list[NodeInfo] = []
        self.names: Sequence[str] = ()
        self.version = 0
        self.fields: dict[str, int] = dict(FIELDS)
        self.used: Vector = np.zeros((6, 0), np.int64)
        self.capacity: Vector = np.zeros((6, 0), np.int64)
        self.states: list[tuple[int, ...]] = []
        """Each row's numbers at once: equal states get equal answers from whoever looks at room alone."""
        self._shapes: dict[tuple[int, ...], int] = {}
        self._row_shapes: list[int] = []
        """Equal capacities have one number."""
        self.entries: list[Entry] = []
        self.base = 0
        """How many entries were dropped from the journal's beginning."""
        self._odd_use: set[str] = set()
        self._odd_nodes: set[str] = set()
        self._log: Log = []
        self._snapshot: Snapshot | None = None
        self._scalars: list[str] = []
        self._group_numbers: dict[object, int] = {}
        self._next_group = 0
        self.groups: dict[int, Group] = {}
        self.sensitive = False
        """Whether a pod that stands, or stood, picks namespaces by their labels."""
        self._topologies: dict[str, Topology] = {}
        self._special: Sequence[int] | None = None

    @property
    def end(self) -> int:
        """The journal's end, to be remembered by who has read up to it."""
        return self.base + len(self.entries)

    @property
    def odd(self) -> bool:
        """Whether any node has amounts that are no sensible numbers: then the plain plugins decide."""
        return bool(self._odd_use or self._odd_nodes)

    # --- following -------------------------------------------------------------------------------------------------

    def follow(self, snapshot: Snapshot) -> None:
        """Takes in what happened since the last call."""
        if self._log:
            self._drain()
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._reconcile(snapshot)

    def _drain(self) -> None:
        touched: set[int] = set()
        renewed: set[int] = set()
        for info, pod, sign in self._log:
            row = info.row
            if pod is None:
                renewed.add(row)
                continue
            number = self._count(pod, row, sign)
            self.entries.append((row, number, sign))
            touched.add(row)
        self._log.clear()
        for row in touched:
            self._load_use(row)
        if renewed:
            for row in renewed:
                self._load_node(row)
                self._load_use(row)
            self.renew()
        elif len(self.entries) > _JOURNAL:
            self._forget()

    def renew(self) -> None:
        """Makes all classes start anew."""
        self.version += 1
        self._topologies.clear()
        self._special = None
        self._forget()

    def _forget(self) -> None:
        """Drops the journal, and groups of which no pod is left."""
        self.base += len(self.entries)
        self.entries.clear()
        if len(self.groups) > 1000:
            kept = {number for number, group in self.groups.items() if group.rows}
            self.groups = {n: g for n, g in self.groups.items() if n in kept}
            self._group_numbers = {k: n for k, n in self._group_numbers.items() if n in kept}

    def _count(self, pod: Pod, row: int, sign: int) -> int:
        number = self._number(pod)
        rows = self.groups[number].rows
        left = rows.get(row, 0) + sign
        if left:
            rows[row] = left
        else:
            del rows[row]
        return number

    def _number(self, pod: Pod) -> int:
        key = group_key(pod)
        number = self._group_numbers.get(key)
        if number is None:
            number = self._group_numbers[key] = self._next_group
            self._next_group += 1
            self.groups[number] = Group(pod)
            self.sensitive = self.sensitive or by_namespace(pod)
        return number

    def _reconcile(self, snapshot: Snapshot) -> None:
        """Nodes that came get rows at the end; the last row moves to where a node went."""
        by_name = snapshot.by_name
        gone = [info for info in self.infos if by_name.get(info.name) is not info]
        come = [info for info in by_name.values() if info.log is not self._log]
        if not gone and not come:
            return
        for info in gone:
            self._remove(info)
        if come:
            self._append(come)
        self.names = [info.name for info in self.infos]
        self.renew()

    def _remove(self, info: NodeInfo) -> None:
        row, last = info.row, len(self.infos) - 1
        info.log, info.row = None, -1
        for pod in info.pods:
            self._count(pod, row, -1)
        self._odd_use.discard(info.name)
        self._odd_nodes.discard(info.name)
        moved, state, shape = self.infos.pop(), self.states.pop(), self._row_shapes.pop()
        if row == last:
            return
        for number in {self._number(pod) for pod in moved.pods}:
            rows = self.groups[number].rows
            rows[row] = rows.pop(last)
        self.infos[row], self.states[row], self._row_shapes[row] = moved, state, shape
        moved.row = row
        self.used[:, row] = self.used[:, last]
        self.capacity[:, row] = self.capacity[:, last]

    def _append(self, come: Sequence[NodeInfo]) -> None:
        start, total = len(self.infos), len(self.infos) + len(come)
        fields = 6 + len(self._scalars)
        if self.used.shape[1] < total:
            room = total + total // 4
            for name in ("used", "capacity"):
                grown = np.zeros((fields, room), np.int64)
                grown[:, :start] = getattr(self, name)[:, :start]
                setattr(self, name, grown)
        for row, info in enumerate(come, start):
            assert info.log is None, "a node is followed by one fast path only"
            info.log, info.row = self._log, row
            self.infos.append(info)
            self.states.append(())
            self._row_shapes.append(0)
            for pod in info.pods:
                self._count(pod, row, 1)
            self._load_node(row)
            self._load_use(row)

    # --- numbers ---------------------------------------------------------------------------------------------------

    def field(self, resource: str) -> int:
        """The field of a resource; a new one gets a field."""
        found = self.fields.get(resource)
        if found is None:
            found = self.fields[resource] = 6 + len(self._scalars)
            self._scalars.append(resource)
            empty = np.zeros((1, self.used.shape[1]), np.int64)
            self.used, self.capacity = np.vstack((self.used, empty)), np.vstack((self.capacity, empty))
            for row in range(len(self.infos)):
                self._load_node(row)
                self._load_use(row)
        return found

    def _load_use(self, row: int) -> None:
        info = self.infos[row]
        r = info.requested
        values = [
            len(info.pods),
            r.get("cpu", 0),
            r.get("memory", 0),
            r.get("ephemeral-storage", 0),
            info.assumed_cpu,
            info.assumed_memory,
        ]
        if self._scalars:
            values += [r.get(name, 0) for name in self._scalars]
        if min(values) < 0 or max(values) >= LIMIT:
            self._odd_use.add(info.name)
        else:
            self.used[:, row] = values
            self.states[row] = (self._row_shapes[row], *values)
            self._odd_use.discard(info.name)

    def _load_node(self, row: int) -> None:
        info = self.infos[row]
        a = info.node.allocatable
        cpu, memory = a.get("cpu", 0), a.get("memory", 0)
        values = [a.get("pods", 0), cpu, memory, a.get("ephemeral-storage", 0), cpu, memory]
        values += [a.get(name, 0) for name in self._scalars]
        if min(values) < 0 or max(values) >= LIMIT:
            self._odd_nodes.add(info.name)
        else:
            self.capacity[:, row] = values
            self._row_shapes[row] = self._shapes.setdefault(tuple(values), len(self._shapes))
            self._odd_nodes.discard(info.name)

    # --- what classes ask for --------------------------------------------------------------------------------------

    def topology(self, key: str) -> Topology:
        found = self._topologies.get(key)
        if found is None:
            known: dict[str, int] = {}
            codes = []
            for info in self.infos:
                value = info.node.labels.get(key)
                codes.append(-1 if value is None else known.setdefault(value, len(known)))
            vector = np.array(codes, np.intp)
            found = self._topologies[key] = Topology(
                codes, list(known), vector, len(known) == len(codes), vector < 0 if -1 in codes else None
            )
        return found

    @property
    def special(self) -> Sequence[int]:
        """Rows with taints, or cordoned."""
        if self._special is None:
            self._special = [row for row, i in enumerate(self.infos) if i.node.taints or i.node.unschedulable]
        return self._special
