"""DefaultPreemption: whom to evict so that a pod fits, and where that hurts least.

A decision only: nobody is evicted here (kubernetes/pkg/scheduler/framework/preemption and plugins/defaultpreemption).
Start times are compared as text, which RFC 3339 in UTC allows; a pod without one counts as the youngest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.filtering import passes
from terrarium.kube.scheduler.framework import Code, Cycle, Framework, Point, Rejection, count_reasons
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.views import Pod, label_selector

NOT_HELPFUL = Rejection(Code.UNRESOLVABLE, ("Preemption is not helpful for scheduling",), "DefaultPreemption")
NO_VICTIMS = Rejection(Code.UNRESOLVABLE, ("No preemption victims found for incoming pod",), "DefaultPreemption")
_YOUNGEST = "9999"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node on which the pod would fit without `victims` (the most important first)."""

    node: str
    victims: tuple[Pod, ...]
    pdb_violations: int = 0


@dataclass(frozen=True, slots=True)
class Preemption:
    """What preemption found. `chosen` are all nodes that are equally good; `message` is the failure's text."""

    eligible: bool = True
    why: str = ""
    potential: Sequence[str] = ()
    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    not_helpful: Mapping[str, Rejection] = field(default_factory=dict)
    chosen: Sequence[str] = ()
    message: str = ""

    @property
    def nominate(self) -> str:
        """What happens to `status.nominatedNodeName`: set, clear or keep."""
        return "set" if self.chosen else "clear" if self.eligible else "keep"


def preempt(
    framework: Framework,
    cycle: Cycle,
    rejected: Mapping[str, Rejection],
    choose: Callable[[Sequence[str]], str] = lambda names: names[0],
) -> Preemption:
    """Looks for victims on nodes where taking pods away could help, until there are candidates enough (DefaultPreemption's
    `minCandidateNodes…`). In a large cluster it begins at the node that `choose` gives."""
    why = _ineligible(cycle, rejected)
    if why:
        return Preemption(False, why, message=f"preemption: {why}")
    snapshot = cycle.snapshot
    total = len(snapshot.nodes)
    potential = [n for n in snapshot.nodes if n.name in rejected and rejected[n.name].code is Code.UNSCHEDULABLE]
    candidates: dict[str, Candidate] = {}
    not_helpful: dict[str, Rejection] = {}
    budgets = list(snapshot.objects.all("poddisruptionbudgets"))
    enough = _enough(framework, len(potential))
    turn = potential
    if enough < len(potential):
        begin = [n.name for n in potential].index(choose([n.name for n in potential]))
        turn = [*potential[begin:], *potential[:begin]]
    for node in turn:
        if len(candidates) >= enough and any(c.pdb_violations == 0 for c in candidates.values()):
            break
        found = victims_on(framework, cycle, node, budgets)
        if isinstance(found, Rejection):
            not_helpful[node.name] = found
        else:
            candidates[node.name] = found
    names = [n.name for n in potential]
    if candidates:
        return Preemption(True, "", names, candidates, not_helpful, best(list(candidates.values())))
    parts = count_reasons([*not_helpful.values(), *([NOT_HELPFUL] * (total - len(not_helpful)))])
    message = f"preemption: 0/{total} nodes are available: {', '.join(parts)}." if total else ""
    return Preemption(True, "", names, {}, not_helpful, (), message)


def _enough(framework: Framework, nodes: int) -> int:
    plugin = next((p for p in framework.points.get(Point.POST_FILTER, ()) if p.name == "DefaultPreemption"), None)
    return nodes if plugin is None else plugin.post_filter(nodes)


def _ineligible(cycle: Cycle, rejected: Mapping[str, Rejection]) -> str:
    pod = cycle.pod
    if (pod.obj.get("spec") or {}).get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = pod.nominated
    if nominated:
        known = rejected.get(nominated)
        if known is not None and known.code is Code.UNRESOLVABLE:
            return ""
        node = cycle.snapshot.by_name.get(nominated)
        if node is not None and any(p.priority < pod.priority and _leaving(p) for p in node.pods):
            return "not eligible due to a terminating pod on the nominated node."
    return ""


def _leaving(pod: Pod) -> bool:
    """Whether the pod goes because of an earlier preemption."""
    conditions = (pod.obj.get("status") or {}).get("conditions") or ()
    return pod.deleting and any(
        c["type"] == "DisruptionTarget" and c["status"] == "True" and c.get("reason") == "PreemptionByScheduler"
        for c in conditions
    )


def _importance(pod: Pod) -> tuple[int, str]:
    """The most important first: higher priority, then longer running."""
    return -pod.priority, pod.start_time or _YOUNGEST


def victims_on(framework: Framework, cycle: Cycle, node: NodeInfo, budgets: Sequence[Obj]) -> Candidate | Rejection:
    """Takes away all pods of lower priority; if the pod then fits, brings back as many as possible."""
    lower = sorted((p for p in node.pods if p.priority < cycle.pod.priority), key=_importance)
    if not lower:
        return NO_VICTIMS
    state, info = cycle.copy(), node.copy()
    for pod in lower:
        _take(framework, state, pod, info)
    rejection = passes(framework, state, info)
    if rejection is not None:
        return rejection
    violating, harmless = split_by_budgets(lower, budgets)
    victims: list[Pod] = []
    violations = 0
    for group, counted in ((violating, True), (harmless, False)):
        for pod in group:
            _give(framework, state, pod, info)
            if passes(framework, state, info) is not None:
                _take(framework, state, pod, info)
                victims.append(pod)
                violations += counted
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def _take(framework: Framework, state: Cycle, pod: Pod, info: NodeInfo) -> None:
    info.remove(pod)
    for plugin in framework.what_ifs:
        if plugin.name not in state.skip_filter:
            plugin.remove_pod(state, pod, info)


def _give(framework: Framework, state: Cycle, pod: Pod, info: NodeInfo) -> None:
    info.add(pod)
    for plugin in framework.what_ifs:
        if plugin.name not in state.skip_filter:
            plugin.add_pod(state, pod, info)


def split_by_budgets(pods: Iterable[Pod], budgets: Sequence[Obj]) -> tuple[list[Pod], list[Pod]]:
    """(those whose eviction breaks a PodDisruptionBudget, the others), in the given order."""
    left = [(b.get("status") or {}).get("disruptionsAllowed", 0) for b in budgets]
    violating: list[Pod] = []
    harmless: list[Pod] = []
    for pod in pods:
        breaks = False
        if pod.labels:
            for at, budget in enumerate(budgets):
                if (budget["metadata"].get("namespace") or "default") != pod.namespace:
                    continue
                selector = (budget.get("spec") or {}).get("selector") or {}
                if not (selector.get("matchLabels") or selector.get("matchExpressions")):
                    continue
                if not label_selector(selector)(pod.labels):
                    continue
                if pod.name in ((budget.get("status") or {}).get("disruptedPods") or {}):
                    continue
                left[at] -= 1
                breaks = breaks or left[at] < 0
        (violating if breaks else harmless).append(pod)
    return violating, harmless


def best(candidates: Sequence[Candidate]) -> Sequence[str]:
    """The nodes where preemption hurts least; each rule decides only among those which were equal before."""
    # No victims at all is better than any; the rules below could not compare it.
    free = [c.node for c in candidates if not c.victims]
    if free:
        return free
    rules = (
        lambda c: c.pdb_violations,
        lambda c: c.victims[0].priority,
        # Every victim counts, also those of negative priority.
        lambda c: sum(v.priority + 2**31 for v in c.victims),
        lambda c: len(c.victims),
    )
    left = list(candidates)
    for rule in rules:
        lowest = min(map(rule, left))
        left = [c for c in left if rule(c) == lowest]
        if len(left) == 1:
            return [left[0].node]
    latest = max(map(_earliest_start, left))
    return [c.node for c in left if _earliest_start(c) == latest]


def _earliest_start(candidate: Candidate) -> str:
    highest = candidate.victims[0].priority
    return min(v.start_time or _YOUNGEST for v in candidate.victims if v.priority == highest)
