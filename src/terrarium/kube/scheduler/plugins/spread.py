"""PodTopologySpread: pods evenly over zones, nodes, racks, as hard constraints and as preferences.

`ln(domains + 2)` weights a preference, so that one with few domains does not drown one with many
(kubernetes/pkg/scheduler/framework/plugins/podtopologyspread, KEP-895, KEP-3022, KEP-3094).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import Code, Cycle, PreFilterAnswer, Rejection, Skip
from terrarium.kube.scheduler.snapshot import NodeInfo, Objects
from terrarium.kube.scheduler.views import Matcher, Pod, Spread, label_selector, spread

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"

SYSTEM_DEFAULTS: tuple[Obj, ...] = (
    {"maxSkew": 3, "topologyKey": HOSTNAME, "whenUnsatisfiable": "ScheduleAnyway"},
    {"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway"},
)


def owner_selector(pod: Pod, objects: Objects) -> Matcher | None:
    """The selector of the Services and the controller a pod belongs to; None when there is none (`DefaultSelector`)."""
    parts: list[Matcher] = []
    for service in objects.all("services"):
        wanted = (service.get("spec") or {}).get("selector")
        same = service["metadata"].get("namespace", "default") == pod.namespace
        if same and wanted and label_selector({"matchLabels": wanted})(pod.labels):
            parts.append(label_selector({"matchLabels": wanted}))
    owner = next((o for o in pod.obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    if owner is not None:
        plural = {
            "ReplicationController": "replicationcontrollers",
            "ReplicaSet": "replicasets",
            "StatefulSet": "statefulsets",
        }
        found = objects.get(plural.get(owner["kind"], ""), owner["name"], pod.namespace)
        if found is not None:
            selector = (found.get("spec") or {}).get("selector")
            if owner["kind"] == "ReplicationController":
                parts.append(label_selector({"matchLabels": selector or {}}))
            elif selector is not None:
                parts.append(label_selector(selector))
    if not parts:
        return None
    return lambda labels: all(part(labels) for part in parts)


@dataclass(slots=True)
class _Hard:
    """Notes of the filter: how many matching pods each domain has, per constraint."""

    constraints: tuple[Spread, ...]
    counts: list[dict[str, int]]

    def copy(self) -> _Hard:
        return _Hard(self.constraints, [dict(c) for c in self.counts])


@dataclass(slots=True)
class _Soft:
    """Notes of the score."""

    constraints: tuple[Spread, ...]
    counts: list[dict[str, int]]
    weights: list[float]
    ignored: frozenset[str]


def _has_keys(node: NodeInfo, constraints: Iterable[Spread]) -> bool:
    return all(c.key in node.node.labels for c in constraints)


def eligible(pod: Pod, node: NodeInfo, constraint: Spread) -> bool:
    """Whether a node's pods count (node inclusion policies)."""
    if constraint.honor_affinity and not pod.allowed_on(node.node):
        return False
    return not constraint.honor_taints or all(
        t.effect not in ("NoSchedule", "NoExecute") or pod.tolerates(t) for t in node.node.taints
    )


def _matching(pods: Iterable[Pod], namespace: str, constraint: Spread) -> int:
    if not constraint.counts:
        return 0
    selector = constraint.selector
    return sum(p.namespace == namespace and not p.deleting and selector(p.labels) for p in pods)


class PodTopologySpread:
    name = "PodTopologySpread"

    def __init__(self, defaults: Sequence[Obj] = SYSTEM_DEFAULTS, system: bool = True) -> None:
        self._defaults = tuple(defaults)
        self.system = system

    def constraints(self, cycle: Cycle, hard: bool) -> tuple[Spread, ...]:
        """The pod's own constraints, else the defaults with the selector of its owners."""
        pod = cycle.pod
        if pod.spreads:
            return tuple(c for c in pod.spreads if c.hard is hard)
        wanted = [c for c in self._defaults if (c.get("whenUnsatisfiable") == "DoNotSchedule") is hard]
        if not wanted:
            return ()
        selector = owner_selector(pod, cycle.snapshot.objects)
        if selector is None:
            return ()
        found = []
        for written in wanted:
            c = spread(written, pod.labels)
            found.append(Spread(c.key, c.max_skew, c.hard, selector, c.min_domains, c.honor_affinity, c.honor_taints))
        return tuple(found)

    # --- filter ----------------------------------------------------------------------------------------------------

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        constraints = self.constraints(cycle, hard=True)
        if not constraints:
            return Skip.SKIP
        pod = cycle.pod
        notes = _Hard(constraints, [{} for _ in constraints])
        for node in cycle.snapshot.nodes:
            if not _has_keys(node, constraints):
                continue
            for counts, c in zip(notes.counts, constraints, strict=True):
                if eligible(pod, node, c):
                    value = node.node.labels[c.key]
                    counts[value] = counts.get(value, 0) + _matching(node.pods, pod.namespace, c)
        cycle.notes[self.name] = notes
        return None

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        notes: _Hard = cycle.notes[self.name]
        pod = cycle.pod
        for counts, c in zip(notes.counts, notes.constraints, strict=True):
            value = node.node.labels.get(c.key)
            text = "node(s) didn't match pod topology spread constraints"
            if value is None:
                return Rejection(Code.UNRESOLVABLE, (f"{text} (missing required label)",), facts=(("label", c.key),))
            lowest = 0 if len(counts) < c.min_domains else min(counts.values(), default=0)
            skew = counts.get(value, 0) + (1 if c.selector(pod.labels) else 0) - lowest
            if skew > c.max_skew:
                return Rejection(
                    Code.UNSCHEDULABLE,
                    (text,),
                    facts=(("topologyKey", c.key), ("domain", value), ("skew", skew), ("maxSkew", c.max_skew)),
                )
        return None

    def add_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None:
        self._change(cycle, pod, node, 1)

    def remove_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None:
        self._change(cycle, pod, node, -1)

    def _change(self, cycle: Cycle, other: Pod, node: NodeInfo, sign: int) -> None:
        notes: _Hard | None = cycle.notes.get(self.name)
        pod = cycle.pod
        if notes is None or other.namespace != pod.namespace or not _has_keys(node, notes.constraints):
            return
        for counts, c in zip(notes.counts, notes.constraints, strict=True):
            if c.selector(other.labels) and eligible(pod, node, c):
                value = node.node.labels[c.key]
                counts[value] = counts.get(value, 0) + sign

    # --- score -----------------------------------------------------------------------------------------------------

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None:
        pod = cycle.pod
        constraints = self.constraints(cycle, hard=False)
        if not constraints:
            return Skip.SKIP
        # The system's defaults must not punish nodes which merely lack a zone label.
        need_all = bool(pod.spreads) or not self.system
        counts: list[dict[str, int]] = [{} for _ in constraints]
        ignored: set[str] = set()
        for node in nodes:
            if need_all and not _has_keys(node, constraints):
                ignored.add(node.name)
                continue
            for domain, c in zip(counts, constraints, strict=True):
                if c.key != HOSTNAME:
                    # Nodes without the label are a domain of their own where they are not ignored.
                    domain.setdefault(node.node.labels.get(c.key, ""), 0)
        sizes = [
            len(nodes) - len(ignored) if c.key == HOSTNAME else len(domain)
            for domain, c in zip(counts, constraints, strict=True)
        ]
        for node in cycle.snapshot.nodes:
            if need_all and not _has_keys(node, constraints):
                continue
            for domain, c in zip(counts, constraints, strict=True):
                value = node.node.labels.get(c.key, "")
                if value in domain and eligible(pod, node, c):
                    domain[value] += _matching(node.pods, pod.namespace, c)
        cycle.notes["score/" + self.name] = _Soft(
            constraints, counts, [math.log(s + 2) for s in sizes], frozenset(ignored)
        )
        return None

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        notes: _Soft = cycle.notes["score/" + self.name]
        if node.name in notes.ignored:
            return 0
        total = 0.0
        for domain, weight, c in zip(notes.counts, notes.weights, notes.constraints, strict=True):
            value = node.node.labels.get(c.key)
            if value is None:
                continue
            count = _matching(node.pods, cycle.pod.namespace, c) if c.key == HOSTNAME else domain.get(value, 0)
            total += float(count) * weight + float(c.max_skew - 1)
        return math.floor(total + 0.5)

    def normalise(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        notes: _Soft = cycle.notes["score/" + self.name]
        counted = [s for s, node in zip(scores, nodes, strict=True) if node.name not in notes.ignored]
        low, high = min(counted, default=0), max(counted, default=0)
        return [
            0 if node.name in notes.ignored else 100 if high == 0 else 100 * (high + low - s) // high
            for s, node in zip(scores, nodes, strict=True)
        ]
