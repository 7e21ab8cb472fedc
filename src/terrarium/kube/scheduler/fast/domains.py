"""Pods that look at other pods: topology spread and inter-pod affinity, as counts per topology domain.

A `Tally` is a number per domain of one topology key. What a standing pod adds to which tally depends on its group only, so
it is worked out once per group (`contributions`) and then added or taken as pods come and go. The judges turn tallies
into vectors: the filter's answer and the score of every node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from terrarium.kube.scheduler.fast.columns import Columns, Topology, Vector
from terrarium.kube.scheduler.framework import Code, Rejection
from terrarium.kube.scheduler.plugins.inter_pod import InterPodAffinity
from terrarium.kube.scheduler.plugins.spread import HOSTNAME, eligible
from terrarium.kube.scheduler.views import Pod, PodTerm, Spread

NamespaceLabels = Callable[[str], Mapping[str, str]]


class Tally:
    """A number per domain; `pairs` counts how many single additions it is made of. Rows outside `within` don't count."""

    __slots__ = ("_codes", "_values", "_within", "pairs", "topology")

    def __init__(self, topology: Topology, within: Sequence[bool] | None = None) -> None:
        self.topology = topology
        self.pairs = 0
        self._codes = topology.codes
        self._within = within
        # The last place is for rows without the label (code -1), and stays 0.
        self._values: Vector = np.zeros(len(topology.values) + 1, np.int64)

    def add(self, row: int, amount: int, times: int) -> None:
        """Adds `amount` for each of `times` pods on a row (taken away when negative)."""
        code = self._codes[row]
        if code >= 0 and (self._within is None or self._within[row]):
            self._values[code] += amount * times
            self.pairs += times

    def clear(self) -> None:
        self._values[:] = 0
        self.pairs = 0

    def at(self, row: int) -> int:
        return int(self._values[self._codes[row]])

    @property
    def domains(self) -> Vector:
        return self._values[:-1]

    def spread_out(self, by_domain: Vector) -> Vector:
        """A vector by domain (and one place for "no domain") as a vector by row."""
        if self.topology.own:
            return by_domain[:-1]
        return by_domain.take(self.topology.vector, mode="wrap")

    def by_row(self) -> Vector:
        return self.spread_out(self._values)


Contribution = tuple[Tally, int]


class Judge(Protocol):
    """A plugin's view of the other pods, for one class."""

    name: str

    def contributions(self, other: Pod) -> list[Contribution]:
        """What a standing pod adds to which tallies."""
        ...

    def tallies(self) -> Iterable[Tally]: ...


class DomainFilter(Judge, Protocol):
    def sub(self) -> Vector | None:
        """For each row 0, or why not, for `rejection`; None when all rows pass."""
        ...

    def rejection(self, sub: int) -> Rejection: ...

    def rejection_at(self, sub: int, row: int) -> Rejection:
        """The same with the numbers of this moment."""
        ...


class DomainScore(Judge, Protocol):
    def score(self, feasible: Vector) -> tuple[Vector, Vector] | None:
        """(raw, normalised) by row, of meaning where `feasible`; None when the plugin has nothing to say."""
        ...


# --- topology spread -----------------------------------------------------------------------------------------------


def _rows_with_all(columns: Columns, constraints: Sequence[Spread]) -> list[bool]:
    return [all(c.key in info.node.labels for c in constraints) for info in columns.infos]


def _within(columns: Columns, pod: Pod, constraint: Spread, keyed: Sequence[bool]) -> list[bool] | None:
    """Rows whose pods count for a constraint; None for all."""
    found = [k and eligible(pod, info, constraint) for k, info in zip(keyed, columns.infos, strict=True)]
    return None if all(found) else found


def _counted(pod: Pod, other: Pod, constraint: Spread) -> bool:
    return (
        constraint.counts
        and other.namespace == pod.namespace
        and not other.deleting
        and constraint.selector(other.labels)
    )


class SpreadFilter:
    """Constraints with DoNotSchedule. `sub` is 2·constraint + 1 without the label, + 2 where the skew would be too high."""

    name = "PodTopologySpread"

    def __init__(self, columns: Columns, pod: Pod, constraints: Sequence[Spread]) -> None:
        self._pod = pod
        self._constraints = constraints
        keyed = _rows_with_all(columns, constraints)
        self._tallies: list[Tally] = []
        self._present: list[Vector | None] = []
        """Domains that count, per constraint; None for all of them."""
        self._sizes: list[int] = []
        for c in constraints:
            topology = columns.topology(c.key)
            within = _within(columns, pod, c, keyed)
            present = None
            if within is not None:
                present = np.zeros(len(topology.values), bool)
                present[topology.vector[np.array(within, bool)]] = True
            self._tallies.append(Tally(topology, within))
            self._present.append(present)
            self._sizes.append(len(topology.values) if present is None else int(present.sum()))

    def tallies(self) -> Iterable[Tally]:
        return self._tallies

    def contributions(self, other: Pod) -> list[Contribution]:
        return [
            (tally, 1)
            for c, tally in zip(self._constraints, self._tallies, strict=True)
            if _counted(self._pod, other, c)
        ]

    def sub(self) -> Vector | None:
        found: Vector | None = None
        for at, (c, tally) in enumerate(zip(self._constraints, self._tallies, strict=True)):
            counts, missing = tally.domains, tally.topology.missing
            most = c.max_skew + self._lowest(at) - (1 if c.selector(self._pod.labels) else 0)
            no = np.zeros(len(counts) + 1, np.int16)
            np.multiply(counts > most, 2 * at + 2, out=no[:-1], casting="unsafe")
            answer = tally.spread_out(no)
            if missing is not None:
                answer = np.where(missing, np.int16(2 * at + 1), answer)
            found = answer if found is None else np.where(found == 0, answer, found)
        return found

    def rejection(self, sub: int) -> Rejection:
        constraint = self._constraints[(sub - 1) // 2]
        text = "node(s) didn't match pod topology spread constraints"
        if sub % 2:
            facts = (("label", constraint.key),)
            return Rejection(Code.UNRESOLVABLE, (f"{text} (missing required label)",), self.name, facts)
        more = (("topologyKey", constraint.key), ("maxSkew", constraint.max_skew))
        return Rejection(Code.UNSCHEDULABLE, (text,), self.name, more)

    def rejection_at(self, sub: int, row: int) -> Rejection:
        said = self.rejection(sub)
        if sub % 2:
            return said
        at = (sub - 1) // 2
        c, tally = self._constraints[at], self._tallies[at]
        code = tally.topology.codes[row]
        skew = int(tally.domains[code]) + (1 if c.selector(self._pod.labels) else 0) - self._lowest(at)
        facts = (
            ("topologyKey", c.key),
            ("domain", tally.topology.values[code]),
            ("skew", skew),
            ("maxSkew", c.max_skew),
        )
        return Rejection(said.code, said.reasons, said.plugin, facts)

    def _lowest(self, at: int) -> int:
        """The fewest pods in any domain that counts."""
        counts, present = self._tallies[at].domains, self._present[at]
        if self._sizes[at] < self._constraints[at].min_domains or not self._sizes[at]:
            return 0
        return int(counts.min() if present is None else counts[present].min())


class SpreadScore:
    """Constraints with ScheduleAnyway. `strict`: nodes which lack one of the labels are left out."""

    name = "PodTopologySpread"

    def __init__(self, columns: Columns, pod: Pod, constraints: Sequence[Spread], strict: bool) -> None:
        self._pod = pod
        self._constraints = constraints
        rows = _rows_with_all(columns, constraints)
        self._ignored = np.array([not r for r in rows], bool) if strict and not all(rows) else None
        keyed = rows if strict else [True] * len(rows)
        self._tallies = [
            # A host counts what stands on it, whatever the policies say.
            Tally(columns.topology(c.key), None if c.key == HOSTNAME else _within(columns, pod, c, keyed))
            for c in constraints
        ]

    def tallies(self) -> Iterable[Tally]:
        return self._tallies

    def contributions(self, other: Pod) -> list[Contribution]:
        return [
            (tally, 1)
            for c, tally in zip(self._constraints, self._tallies, strict=True)
            if _counted(self._pod, other, c)
        ]

    def score(self, feasible: Vector) -> tuple[Vector, Vector] | None:
        counted = feasible if self._ignored is None else feasible & ~self._ignored
        everywhere = bool(counted.all())
        total: Vector = np.zeros(len(feasible), np.float64)
        for c, tally in zip(self._constraints, self._tallies, strict=True):
            topology = tally.topology
            if c.key == HOSTNAME:
                size = int(np.count_nonzero(counted))
            elif everywhere:
                size = len(topology.values) + (topology.missing is not None)
            else:
                size = int(np.count_nonzero(np.bincount(topology.vector[counted] + 1)))
            # Nodes without the label get nothing from it.
            by_domain = tally.domains * math.log(size + 2) + float(c.max_skew - 1)
            total += tally.spread_out(np.append(by_domain, 0.0))
        raw = np.floor(total + 0.5).astype(np.int64)
        if self._ignored is not None:
            raw[self._ignored] = 0
        among = raw if everywhere else raw[counted]
        low, high = (int(among.min()), int(among.max())) if len(among) else (0, 0)
        normalised = np.full(len(raw), 100, np.int64) if high == 0 else 100 * (high + low - raw) // high
        if self._ignored is not None:
            normalised[self._ignored] = 0
        return raw, normalised


# --- inter-pod affinity --------------------------------------------------------------------------------------------


def _by_key(columns: Columns, terms: Sequence[PodTerm]) -> dict[str, Tally]:
    return {key: Tally(columns.topology(key)) for key in dict.fromkeys(t.topology_key for t in terms)}


class AffinityFilter:
    """Required terms of the class, and those of standing pods against it. `sub`: 1 wanted pods are not there, 2 shunned
    ones are, 3 somebody there shuns this one."""

    name = "InterPodAffinity"

    def __init__(self, columns: Columns, pod: Pod, namespace_labels: NamespaceLabels) -> None:
        self._columns = columns
        self._pod = pod
        self._labels = namespace_labels
        self._wanted = _by_key(columns, pod.affinity)
        self._shunned = _by_key(columns, pod.anti_affinity)
        self._shunning: dict[str, Tally] = {}
        own = namespace_labels(pod.namespace)
        self._first_of_group = all(t.matches(pod, own) for t in pod.affinity)

    def tallies(self) -> Iterable[Tally]:
        return [*self._wanted.values(), *self._shunned.values(), *self._shunning.values()]

    def contributions(self, other: Pod) -> list[Contribution]:
        pod, found = self._pod, list[Contribution]()
        if other.anti_affinity:
            own = self._labels(pod.namespace)
            for term in other.anti_affinity:
                if term.matches(pod, own):
                    key = term.topology_key
                    if key not in self._shunning:
                        self._shunning[key] = Tally(self._columns.topology(key))
                    found.append((self._shunning[key], 1))
        if pod.affinity or pod.anti_affinity:
            labels = self._labels(other.namespace)
            if pod.affinity and all(t.matches(other, labels) for t in pod.affinity):
                found += [(self._wanted[t.topology_key], 1) for t in pod.affinity]
            found += [(self._shunned[t.topology_key], 1) for t in pod.anti_affinity if t.matches(other, labels)]
        return found

    def sub(self) -> Vector | None:
        found: Vector | None = None
        if self._shunning:
            found = self._any_above(self._shunning, 3, None)
        if self._shunned:
            found = self._any_above(self._shunned, 2, found)
        if self._wanted:
            alone = self._first_of_group and not any(t.pairs for t in self._wanted.values())
            for tally in self._wanted.values():
                lacks = tally.topology.missing if alone else tally.by_row() <= 0
                if lacks is not None:
                    found = lacks.astype(np.int16) if found is None else np.where(lacks, np.int16(1), found)
        return found

    @staticmethod
    def _any_above(tallies: Mapping[str, Tally], sub: int, found: Vector | None) -> Vector | None:
        """Sets `sub` where any tally is above 0."""
        for tally in tallies.values():
            if tally.pairs:
                there = tally.by_row() > 0
                found = (
                    there.astype(np.int16) * np.int16(sub) if found is None else np.where(there, np.int16(sub), found)
                )
        return found

    def rejection(self, sub: int) -> Rejection:
        code, text = _AFFINITY[sub]
        return Rejection(code, (text,), self.name)

    def rejection_at(self, sub: int, row: int) -> Rejection:
        said = self.rejection(sub)
        if sub != 2:
            return said
        key = next(t.topology_key for t in self._pod.anti_affinity if self._shunned[t.topology_key].at(row) > 0)
        return Rejection(said.code, said.reasons, said.plugin, (("topologyKey", key),))


_AFFINITY = {
    1: (Code.UNRESOLVABLE, "node(s) didn't match pod affinity rules"),
    2: (Code.UNSCHEDULABLE, "node(s) didn't match pod anti-affinity rules"),
    3: (Code.UNSCHEDULABLE, "node(s) didn't satisfy existing pods anti-affinity rules"),
}


class AffinityScore:
    """Preferences of the class, and those of standing pods for or against it."""

    name = "InterPodAffinity"

    def __init__(self, columns: Columns, pod: Pod, namespace_labels: NamespaceLabels, plugin: InterPodAffinity) -> None:
        self._columns = columns
        self._pod = pod
        self._labels = namespace_labels
        self._hard_weight = plugin.hard_weight
        own = bool(pod.preferred_affinity or pod.preferred_anti_affinity)
        self._silent = plugin.ignore_existing and not own
        self._tallies: dict[str, Tally] = {}

    def tallies(self) -> Iterable[Tally]:
        return self._tallies.values()

    def contributions(self, other: Pod) -> list[Contribution]:
        if self._silent:
            return []
        pod, weights = self._pod, list[tuple[str, int]]()
        if pod.preferred_affinity or pod.preferred_anti_affinity:
            labels = self._labels(other.namespace)
            weights += [(t.topology_key, t.weight) for t in pod.preferred_affinity if t.matches(other, labels)]
            weights += [(t.topology_key, -t.weight) for t in pod.preferred_anti_affinity if t.matches(other, labels)]
        if other.has_affinity:
            own = self._labels(pod.namespace)
            if self._hard_weight > 0:
                weights += [(t.topology_key, self._hard_weight) for t in other.affinity if t.matches(pod, own)]
            weights += [(t.topology_key, t.weight) for t in other.preferred_affinity if t.matches(pod, own)]
            weights += [(t.topology_key, -t.weight) for t in other.preferred_anti_affinity if t.matches(pod, own)]
        for key, _ in weights:
            if key not in self._tallies:
                self._tallies[key] = Tally(self._columns.topology(key))
        return [(self._tallies[key], weight) for key, weight in weights]

    def score(self, feasible: Vector) -> tuple[Vector, Vector] | None:
        raw: Vector | None = None
        for tally in self._tallies.values():
            if tally.pairs:
                raw = tally.by_row() if raw is None else raw + tally.by_row()
        if raw is None:
            return None
        among = raw if feasible.all() else raw[feasible]
        # The tally goes on counting.
        raw = raw.copy()
        low, high = int(among.min()), int(among.max())
        if low == high:
            return raw, np.zeros(len(raw), np.int64)
        return raw, (100.0 * ((raw - low) / float(high - low))).astype(np.int64)
