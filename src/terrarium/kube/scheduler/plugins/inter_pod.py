"""InterPodAffinity: near these pods, away from those, as demands and as preferences of either side.

Counts are kept per (topology key, value), so that a node is judged by looking at its own labels only
(kubernetes/pkg/scheduler/framework/plugins/interpodaffinity).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from terrarium.kube.scheduler.framework import Code, Cycle, PreFilterAnswer, Rejection, Skip
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.views import Pod, PodTerm

Domain = tuple[str, str]
"""(topology key, value)"""


def _bump(counts: dict[Domain, int], key: Domain, by: int) -> None:
    left = counts.get(key, 0) + by
    if left:
        counts[key] = left
    else:
        counts.pop(key, None)


@dataclass(slots=True)
class _Notes:
    """How many pods per domain: those that keep this one away, those it wants, those it shuns."""

    existing_anti: dict[Domain, int] = field(default_factory=dict)
    wanted: dict[Domain, int] = field(default_factory=dict)
    shunned: dict[Domain, int] = field(default_factory=dict)

    def copy(self) -> _Notes:
        return _Notes(dict(self.existing_anti), dict(self.wanted), dict(self.shunned))


class InterPodAffinity:
    name = "InterPodAffinity"

    def __init__(self, hard_weight: int = 1, ignore_preferred_of_existing: bool = False) -> None:
        self.hard_weight = hard_weight
        self.ignore_existing = ignore_preferred_of_existing

    # --- filter ----------------------------------------------------------------------------------------------------

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        notes = _Notes()
        pod = cycle.pod
        for node in cycle.snapshot.nodes:
            for other in node.with_anti_affinity:
                self._count_existing(cycle, notes, other, node, 1)
        if pod.affinity or pod.anti_affinity:
            for node in cycle.snapshot.nodes:
                for other in node.pods:
                    self._count_incoming(cycle, notes, other, node, 1)
        elif not notes.existing_anti:
            return Skip.SKIP
        cycle.notes[self.name] = notes
        return None

    def _count_existing(self, cycle: Cycle, notes: _Notes, other: Pod, node: NodeInfo, by: int) -> None:
        labels = cycle.snapshot.objects.namespace_labels(cycle.pod.namespace)
        for term in other.anti_affinity:
            value = node.node.labels.get(term.topology_key)
            if value is not None and term.matches(cycle.pod, labels):
                _bump(notes.existing_anti, (term.topology_key, value), by)

    def _count_incoming(self, cycle: Cycle, notes: _Notes, other: Pod, node: NodeInfo, by: int) -> None:
        pod = cycle.pod
        labels = cycle.snapshot.objects.namespace_labels(other.namespace)
        if pod.affinity and all(t.matches(other, labels) for t in pod.affinity):
            for term in pod.affinity:
                value = node.node.labels.get(term.topology_key)
                if value is not None:
                    _bump(notes.wanted, (term.topology_key, value), by)
        for term in pod.anti_affinity:
            value = node.node.labels.get(term.topology_key)
            if value is not None and term.matches(other, labels):
                _bump(notes.shunned, (term.topology_key, value), by)

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        notes: _Notes = cycle.notes[self.name]
        pod, labels = cycle.pod, node.node.labels
        if not self._wanted(cycle, notes, node):
            return Rejection(Code.UNRESOLVABLE, ("node(s) didn't match pod affinity rules",))
        if notes.shunned:
            for term in pod.anti_affinity:
                if notes.shunned.get((term.topology_key, labels.get(term.topology_key, "")), 0) > 0:
                    return Rejection(
                        Code.UNSCHEDULABLE,
                        ("node(s) didn't match pod anti-affinity rules",),
                        facts=(("topologyKey", term.topology_key),),
                    )
        if notes.existing_anti and any(notes.existing_anti.get(item, 0) > 0 for item in labels.items()):
            return Rejection(Code.UNSCHEDULABLE, ("node(s) didn't satisfy existing pods anti-affinity rules",))
        return None

    def _wanted(self, cycle: Cycle, notes: _Notes, node: NodeInfo) -> bool:
        pod, there = cycle.pod, True
        for term in pod.affinity:
            value = node.node.labels.get(term.topology_key)
            if value is None:
                return False
            if notes.wanted.get((term.topology_key, value), 0) <= 0:
                there = False
        if there:
            return True
        # The first of a group that wants to stay together has nobody to join yet.
        labels = cycle.snapshot.objects.namespace_labels(pod.namespace)
        return not notes.wanted and all(t.matches(pod, labels) for t in pod.affinity)

    def add_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None:
        self._change(cycle, pod, node, 1)

    def remove_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None:
        self._change(cycle, pod, node, -1)

    def _change(self, cycle: Cycle, pod: Pod, node: NodeInfo, by: int) -> None:
        notes: _Notes | None = cycle.notes.get(self.name)
        if notes is not None:
            self._count_existing(cycle, notes, pod, node, by)
            self._count_incoming(cycle, notes, pod, node, by)

    # --- score -----------------------------------------------------------------------------------------------------

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None:
        pod = cycle.pod
        own = bool(pod.preferred_affinity or pod.preferred_anti_affinity)
        # A pod with preferences of its own is compared with everything, also when existing preferences are to be ignored.
        if not own and self.ignore_existing:
            return Skip.SKIP
        scores: dict[Domain, int] = {}
        own_labels = cycle.snapshot.objects.namespace_labels(pod.namespace)
        for node in cycle.snapshot.nodes:
            # Without preferences of its own, only pods with affinity can matter to this one.
            for other in node.pods if own else node.with_affinity:
                labels = cycle.snapshot.objects.namespace_labels(other.namespace)
                self._weigh(scores, pod.preferred_affinity, other, labels, node, 1)
                self._weigh(scores, pod.preferred_anti_affinity, other, labels, node, -1)
                if self.hard_weight > 0:
                    for term in other.affinity:
                        value = node.node.labels.get(term.topology_key)
                        if value is not None and term.matches(pod, own_labels):
                            scores[(term.topology_key, value)] = (
                                scores.get((term.topology_key, value), 0) + self.hard_weight
                            )
                self._weigh(scores, other.preferred_affinity, pod, own_labels, node, 1)
                self._weigh(scores, other.preferred_anti_affinity, pod, own_labels, node, -1)
        if not scores:
            return Skip.SKIP
        cycle.notes["score/" + self.name] = scores
        return None

    @staticmethod
    def _weigh(
        scores: dict[Domain, int],
        terms: Iterable[PodTerm],
        other: Pod,
        labels: Mapping[str, str],
        node: NodeInfo,
        sign: int,
    ) -> None:
        for term in terms:
            value = node.node.labels.get(term.topology_key)
            if value is not None and term.matches(other, labels):
                scores[(term.topology_key, value)] = scores.get((term.topology_key, value), 0) + sign * term.weight

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        scores: dict[Domain, int] = cycle.notes["score/" + self.name]
        labels = node.node.labels
        return sum(scores.get(item, 0) for item in labels.items())

    def normalise(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        low, high = min(scores), max(scores)
        if high == low:
            return [0] * len(scores)
        return [int(100.0 * (float(s - low) / float(high - low))) for s in scores]
