"""A class of pods, and what every plugin says of every node for it.

`no` is 0 where the pod fits, else the number (from 1) of the filter that refuses in its five low bits, and that filter's
own `sub` above them. `base` is the weighted sum of the scores that depend on one node alone. Both follow the journal row
by row; what depends on domains or on all feasible nodes together is worked out at each decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from terrarium.kube.scheduler.fast.columns import Columns, Vector
from terrarium.kube.scheduler.fast.detail import Part
from terrarium.kube.scheduler.fast.domains import (
    AffinityFilter,
    AffinityScore,
    Contribution,
    DomainFilter,
    DomainScore,
    Judge,
    NamespaceLabels,
    SpreadFilter,
    SpreadScore,
)
from terrarium.kube.scheduler.fast.room import Fit, Ports, RoomFilter, Score, balance_score, fit_score
from terrarium.kube.scheduler.framework import Cycle, Framework, Rejection, ScorePlugin, Skip
from terrarium.kube.scheduler.plugins.basic import ImageLocality, TaintToleration, image_name
from terrarium.kube.scheduler.plugins.inter_pod import InterPodAffinity
from terrarium.kube.scheduler.plugins.node_affinity import NodeAffinity
from terrarium.kube.scheduler.plugins.resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from terrarium.kube.scheduler.plugins.spread import PodTopologySpread
from terrarium.kube.scheduler.snapshot import NodeInfo, Snapshot
from terrarium.kube.scheduler.views import Node, Pod

BITS = 5
"""Low bits of `no`: the number of the filter."""
_EMPTY = NodeInfo(Node({}, "", {}, (), False, {}))
_FAR_BEHIND = 4000
"""From so many entries on, adding one by one is no faster than counting anew."""
_MOST_STATES = 10_000


class Verdict(NamedTuple):
    """A class's vectors at the moment of a decision."""

    no: Vector
    total: Vector
    """Infeasible rows are below 0."""
    parts: Sequence[Part]
    fitting: int


class PodClass:
    """Pods of one kind in one profile; built for one version of the columns."""

    def __init__(
        self, framework: Framework, columns: Columns, snapshot: Snapshot, pod: Pod, labels: NamespaceLabels
    ) -> None:
        self.version = columns.version
        self.owners_version = snapshot.objects.owners_version(pod.namespace)
        self._labels = labels
        self._columns = columns
        self._weights = framework.weights
        self._number = {p.name: at for at, p in enumerate(framework.filters, 1)}
        self._said: dict[int, Rejection] = {}
        self._refused: dict[int, Rejection] = {}
        """What filters that look at the node alone said."""
        self._rooms: list[RoomFilter] = []
        self._domain_filters: list[DomainFilter] = []
        self._order: list[str] = []
        """The plugins that score, in their order."""
        self._room_scores: dict[str, Score] = {}
        self._room_plugins: list[ScorePlugin] = []
        self._domain_scores: dict[str, DomainScore] = {}
        self._raw: dict[str, Vector] = {}
        """Raw scores that the node alone decides, and that are normalised among the feasible ones."""
        self._kept: dict[str, Vector] = {}
        """Scores of 0…100 by row, kept true."""
        self._same_parts: dict[str, Part] = {}
        """Scores that never change."""
        # A weight may be anything; 100 points of each must fit.
        small = 100 * sum(framework.weights.values()) < 2**15 - 1
        self._type: type[np.signedinteger] = np.int16 if small else np.int64

        cycle = self._cycle = Cycle(pod, snapshot)
        self._fixed: Vector = np.zeros(len(columns.infos), self._type)
        """The part of the total that never changes."""
        self._build_filters(framework, cycle)
        self._build_scores(framework, cycle)
        self._rooms_by_number = {self._number[room.name]: room for room in self._rooms}
        self._domains_by_number = {self._number[judge.name]: judge for judge in self._domain_filters}
        self._judges: list[Judge] = [*self._domain_filters, *self._domain_scores.values()]
        self._contributions: dict[int, list[Contribution]] = {}
        self._no: Vector = self._static.copy()
        self._base: Vector = np.zeros(len(columns.infos), self._type)
        self._alone: Vector = self._base
        """The total where nothing but `base` counts: below 0 on infeasible rows."""
        self._by_state: dict[tuple[int, ...], tuple[int, int, list[int]]] = {}
        self._by_ports = bool(pod.host_ports)
        self._kept_rooms = [self._kept[p.name] for p in self._room_plugins]
        self.seen = columns.end
        self._refresh_all()
        self._count_all()

    # --- building --------------------------------------------------------------------------------------------------

    def _build_filters(self, framework: Framework, cycle: Cycle) -> None:
        columns, pod = self._columns, cycle.pod
        self._static: Vector = np.zeros(len(columns.infos), np.int16)
        for plugin in framework.filters:
            number = self._number[plugin.name]
            match plugin.name:
                case "NodeUnschedulable" | "TaintToleration":
                    self._ask(plugin, cycle, number, columns.special)
                case "NodeAffinity":
                    assert isinstance(plugin, NodeAffinity)
                    if plugin.pre_filter(cycle) is not Skip.SKIP:
                        self._ask(plugin, cycle, number, range(len(columns.infos)))
                case "NodePorts":
                    if pod.host_ports:
                        self._rooms.append(Ports(plugin.name, pod))
                case "NodeResourcesFit":
                    assert isinstance(plugin, NodeResourcesFit)
                    self._rooms.append(Fit(plugin, cycle, columns))
                case "PodTopologySpread":
                    assert isinstance(plugin, PodTopologySpread)
                    constraints = plugin.constraints(cycle, hard=True)
                    if constraints:
                        self._domain_filters.append(SpreadFilter(columns, pod, constraints))
                case "InterPodAffinity":
                    self._domain_filters.append(AffinityFilter(columns, pod, self._labels))

    def _ask(self, plugin: object, cycle: Cycle, number: int, rows: Sequence[int]) -> None:
        """Asks a plain plugin about rows, and keeps its first noes."""
        for row in rows:
            if self._static[row] == 0:
                rejection = plugin.filter(cycle, self._columns.infos[row])  # type: ignore[attr-defined]
                if rejection is not None:
                    self._static[row] = number
                    self._refused[row] = rejection.by(plugin.name)  # type: ignore[attr-defined]

    def _build_scores(self, framework: Framework, cycle: Cycle) -> None:
        columns, pod = self._columns, cycle.pod
        everyone = range(len(columns.infos))
        for plugin in framework.scores:
            match plugin:
                case TaintToleration():
                    raw = self._scored(plugin, cycle, columns.special, 0)
                    if raw.any():
                        self._raw[plugin.name] = raw
                    else:
                        self._fix(plugin.name, raw, 100)
                case NodeAffinity():
                    if plugin.pre_score(cycle, ()) is Skip.SKIP:
                        continue
                    self._raw[plugin.name] = self._scored(plugin, cycle, everyone, 0)
                case NodeResourcesFit():
                    self._keep_room(plugin, fit_score(plugin, pod, columns))
                case NodeResourcesBalancedAllocation():
                    if plugin.pre_score(cycle, ()) is Skip.SKIP:
                        continue
                    self._keep_room(plugin, balance_score(plugin, pod, columns))
                case ImageLocality():
                    names = {image_name(image) for image in pod.images}
                    rows = [row for row in everyone if not names.isdisjoint(columns.infos[row].node.images)]
                    elsewhere = plugin.score(cycle, _EMPTY)
                    raw = self._scored(plugin, cycle, rows, elsewhere)
                    self._fix(plugin.name, raw, raw)
                case PodTopologySpread():
                    constraints = plugin.constraints(cycle, hard=False)
                    if not constraints:
                        continue
                    strict = bool(pod.spreads) or not plugin.system
                    self._domain_scores[plugin.name] = SpreadScore(columns, pod, constraints, strict)
                case InterPodAffinity():
                    self._domain_scores[plugin.name] = AffinityScore(columns, pod, self._labels, plugin)
                case _:
                    continue
            self._order.append(plugin.name)

    def _fix(self, name: str, raw: Vector, normalised: Vector | int) -> None:
        """Takes in scores that never change."""
        vector = np.full(len(raw), normalised, np.int8)
        self._same_parts[name] = (name, raw.astype(np.int16), vector)
        self._fixed += vector * self._type(self._weights[name])

    def _keep_room(self, plugin: ScorePlugin, score: Score) -> None:
        self._room_plugins.append(plugin)
        self._room_scores[plugin.name] = score
        self._kept[plugin.name] = np.zeros(len(self._columns.infos), np.int8)

    def _scored(self, plugin: object, cycle: Cycle, rows: Sequence[int], elsewhere: int) -> Vector:
        found: Vector = np.full(len(self._columns.infos), elsewhere, np.int64)
        for row in rows:
            found[row] = plugin.score(cycle, self._columns.infos[row])  # type: ignore[attr-defined]
        return found

    # --- following -------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Takes in the journal since last time."""
        columns = self._columns
        if self.seen == columns.end:
            return
        if self.seen < columns.base or columns.end - self.seen > _FAR_BEHIND:
            self._refresh_all()
            self._count_all()
        else:
            entries = columns.entries[self.seen - columns.base :]
            self._refresh({row for row, _, _ in entries})
            for row, group, sign in entries:
                for tally, amount in self._contributed(group):
                    tally.add(row, amount, sign)
        self.seen = columns.end

    def _refresh_all(self) -> None:
        """Works out for all rows what depends on what stands there."""
        columns = self._columns
        no = self._static
        for room in self._rooms:
            sub = room.sub(columns)
            said = (sub << BITS) + np.int16(self._number[room.name]) * (sub != 0)
            no = np.where(no == 0, said, no)
        self._no[:] = no
        self._base[:] = self._fixed
        for name, score in self._room_scores.items():
            raw = score(columns)
            self._kept[name][:] = raw
            self._base += raw * self._type(self._weights[name])
        self._alone = np.where(self._no == 0, self._base, self._type(-1))

    def _refresh(self, rows: Iterable[int]) -> None:
        """The same for a few rows, each through the plain plugins unless another row in its state has been asked."""
        states, known, kept = self._columns.states, self._by_state, self._kept_rooms
        for row in rows:
            state = states[row]
            found = known.get(state)
            if found is None:
                found = self._ask_room(row)
                if not self._by_ports:
                    known[state] = found
            said, weighted, raws = found
            no = self._static[row] or said
            self._no[row] = no
            for vector, raw in zip(kept, raws, strict=True):
                vector[row] = raw
            base = self._fixed[row] + weighted
            self._base[row] = base
            self._alone[row] = -1 if no else base

    def _ask_room(self, row: int) -> tuple[int, int, list[int]]:
        """What the filters say of a row (as in `no`), its weighted scores and the raw ones."""
        if len(self._by_state) >= _MOST_STATES:
            self._by_state.clear()
        info, said = self._columns.infos[row], 0
        for room in self._rooms:
            sub = room.sub_of(info)
            if sub:
                said = (sub << BITS) + self._number[room.name]
                break
        raws = [plugin.score(self._cycle, info) for plugin in self._room_plugins]
        weighted = sum(raw * self._weights[p.name] for raw, p in zip(raws, self._room_plugins, strict=True))
        return said, weighted, raws

    def _contributed(self, group: int) -> list[Contribution]:
        found = self._contributions.get(group)
        if found is None:
            sample = self._columns.groups[group].sample
            found = [c for judge in self._judges for c in judge.contributions(sample)]
            self._contributions[group] = found
        return found

    def _count_all(self) -> None:
        for judge in self._judges:
            for tally in judge.tallies():
                tally.clear()
        self._contributions = {n: c for n, c in self._contributions.items() if n in self._columns.groups}
        for number, group in self._columns.groups.items():
            if group.rows:
                for tally, amount in self._contributed(number):
                    for row, times in group.rows.items():
                        tally.add(row, amount, times)

    # --- deciding --------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """What holds now."""
        no = self._no
        for judge in self._domain_filters:
            sub = judge.sub()
            if sub is not None:
                said = (sub << BITS) + np.int16(self._number[judge.name]) * (sub != 0)
                no = np.where(no == 0, said, no)
        fitting = len(no) - int(np.count_nonzero(no))
        if fitting == 0:
            return Verdict(no, self._base, (), 0)
        parts = dict(self._same_parts)
        if fitting > 1:
            parts |= {name: (name, kept, kept) for name, vector in self._kept.items() for kept in [vector.copy()]}
        if no is self._no and not self._raw and not self._domain_scores:
            return self._verdict(no.copy(), self._alone.copy(), parts, fitting)
        feasible = no == 0
        total = self._base
        for name, raw in self._raw.items():
            normalised = _stretched(raw, feasible, reverse=name == "TaintToleration")
            parts[name] = (name, raw, normalised)
            total = total + (normalised * self._weights[name]).astype(self._type)
        for name, domain in self._domain_scores.items():
            found = domain.score(feasible)
            if found is not None:
                parts[name] = (name, *found)
                total = total + (found[1] * self._weights[name]).astype(self._type)
        total = total.copy() if fitting == len(no) else np.where(feasible, total, self._type(-1))
        return self._verdict(no.copy() if no is self._no else no, total, parts, fitting)

    def _verdict(self, no: Vector, total: Vector, parts: Mapping[str, Part], fitting: int) -> Verdict:
        return Verdict(no, total, [parts[name] for name in self._order if name in parts], fitting)

    def rejections(self, no: Vector) -> dict[str, Rejection]:
        """What all values of `no` mean at this moment, with the numbers behind them."""
        columns, known = self._columns, dict[tuple[object, ...], Rejection]()
        found: dict[str, Rejection] = {}
        for row, code in enumerate(no.tolist()):
            rejection = self._refused.get(row)
            if rejection is None:
                number = code & (1 << BITS) - 1
                domains = self._domains_by_number.get(number)
                if domains is not None:
                    rejection = domains.rejection_at(code >> BITS, row)
                else:
                    state = (code, *columns.states[row])
                    rejection = known.get(state)
                    if rejection is None:
                        room = self._rooms_by_number[number]
                        rejection = known[state] = room.rejection_of(code >> BITS, columns.infos[row])
            found[columns.names[row]] = rejection
        return found

    def rejection(self, code: int, row: int) -> Rejection:
        """What a value of `no` means, without numbers, which may have changed since."""
        if row in self._refused:
            return self._refused[row]
        found = self._said.get(code)
        if found is None:
            number, sub = code & (1 << BITS) - 1, code >> BITS
            judges: Sequence[RoomFilter | DomainFilter] = [*self._rooms, *self._domain_filters]
            judge = next(j for j in judges if self._number[j.name] == number)
            found = self._said[code] = judge.rejection(sub)
        return found


def _stretched(raw: Vector, feasible: Vector, reverse: bool) -> Vector:
    """`framework.default_normalise` among the feasible rows."""
    highest = int(np.max(raw, where=feasible, initial=0))
    if highest == 0:
        return np.full(len(raw), 100, np.int64) if reverse else raw
    stretched: Vector = raw * 100 // highest
    return 100 - stretched if reverse else stretched
