"""One scheduling cycle as a value: pod and snapshot in, decision with all its reasons out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from terrarium.kube.scheduler.filtering import passes
from terrarium.kube.scheduler.framework import Code, Cycle, CycleError, Framework, OnlyNodes, Rejection, fit_message
from terrarium.kube.scheduler.preemption import Preemption, preempt
from terrarium.kube.scheduler.snapshot import NodeInfo, Snapshot
from terrarium.kube.scheduler.views import Pod

if TYPE_CHECKING:
    from terrarium.kube.scheduler.fast import FastPath

FEWEST_NODES = 100
"""As many feasible nodes are always looked for."""


@dataclass(slots=True)
class Sampling:
    """Looks at a part of a large cluster only, and begins where the last pod's search ended.

    `percentage` 0 is adaptive: half of the nodes at 100, less the larger the cluster is, 5 % at least; 100 is all.
    """

    percentage: int = 100
    start: int = 0

    def limit(self, nodes: int) -> int:
        """How many feasible nodes are enough."""
        if nodes < FEWEST_NODES or self.percentage >= 100:
            return nodes
        share = self.percentage or max(5, 50 - nodes // 125)
        return max(FEWEST_NODES, nodes * share // 100)

    def turn(self, nodes: Sequence[NodeInfo]) -> Sequence[NodeInfo]:
        """The nodes in the order in which this search takes them."""
        at = self.start % len(nodes) if nodes else 0
        return [*nodes[at:], *nodes[:at]] if at else nodes


@dataclass(frozen=True, slots=True)
class Decision:
    """What a cycle came to.

    `node` is where the pod goes, "" when nowhere. `rejected` has the first no of each node; `scores` (raw, normalised)
    per plugin in the order of `feasible`; `best` all nodes with the highest total. `message` is the event's text.
    """

    pod: Pod
    node: str = ""
    feasible: Sequence[str] = ()
    rejected: Mapping[str, Rejection] = field(default_factory=dict)
    pre_filter: Rejection | None = None
    absent: Rejection | None = None
    scores: Mapping[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    totals: Sequence[int] = ()
    best: Sequence[str] = ()
    message: str = ""
    error: str = ""
    preemption: Preemption | None = None
    evaluated: int = 0
    """How many nodes were looked at."""
    fitting: int = 0
    equals: int = 0
    """How many nodes fit, and how many are equally good: known for longer than their names on a large cluster."""

    @property
    def plugins(self) -> frozenset[str]:
        """Those which said no: the ones to ask when something changes."""
        names = {r.plugin for r in self.rejected.values()}
        if self.pre_filter is not None:
            names.add(self.pre_filter.plugin)
        if self.absent is not None:
            names.add(self.absent.plugin)
        return frozenset(names)


def decide(
    framework: Framework,
    pod: Pod,
    snapshot: Snapshot,
    choose: Callable[[Sequence[str]], str],
    sampling: Sampling | None = None,
    fast: FastPath | None = None,
) -> Decision:
    """Looks at every node, or at those of a sample. `choose` takes one among equally good ones; `fast` may know the
    same answer sooner."""
    if fast is not None and sampling is None:
        decision = fast.decide(framework, pod, snapshot, choose)
        if decision is not None:
            return decision if decision.node else _nowhere(framework, pod, snapshot, decision.rejected, choose)
    if not snapshot.nodes:
        # No plugin is asked, so none is remembered as having said no.
        return Decision(pod, message=fit_message(0, {}, None, ""))
    cycle = Cycle(pod, snapshot)
    answer = framework.pre_filter(cycle)
    if isinstance(answer, Rejection):
        return _refused_by_pre_filter(framework, cycle, answer)
    if pod.nominated in snapshot.by_name:
        node = snapshot.by_name[pod.nominated]
        if passes(framework, cycle, node) is None:
            return Decision(pod, node.name, [node.name], best=[node.name], evaluated=1, fitting=1, equals=1)
    feasible, rejected, absent = survey(framework, cycle, answer, sampling)
    names = [n.name for n in feasible]
    evaluated = len(feasible) + len(rejected)
    if sampling is not None and evaluated:
        considered = (
            len(answer.names & snapshot.by_name.keys()) if isinstance(answer, OnlyNodes) else len(snapshot.nodes)
        )
        sampling.start = (sampling.start + evaluated) % considered
    if not feasible:
        preemption = preempt(framework, cycle, rejected, choose) if framework.preempts else None
        message = fit_message(len(snapshot.nodes), rejected, absent, preemption.message if preemption else "")
        return Decision(
            pod, rejected=rejected, absent=absent, message=message, preemption=preemption, evaluated=evaluated
        )
    if len(feasible) == 1:
        return Decision(
            pod, names[0], names, rejected, absent=absent, best=names, evaluated=evaluated, fitting=1, equals=1
        )
    return _score(
        framework,
        cycle,
        feasible,
        Decision(pod, "", names, rejected, absent=absent, evaluated=evaluated, fitting=len(names)),
        choose,
    )


class Survey(NamedTuple):
    """Feasible nodes, why the others are not, and what stands for those nobody looked at."""

    feasible: list[NodeInfo]
    rejected: dict[str, Rejection]
    absent: Rejection | None


def survey(framework: Framework, cycle: Cycle, only: OnlyNodes | None, sampling: Sampling | None = None) -> Survey:
    """Looks at the nodes which PreFilter left, until enough are feasible."""
    nodes: Sequence[NodeInfo] = cycle.snapshot.nodes
    absent: Rejection | None = None
    if only is not None:
        nodes = [n for n in nodes if n.name in only.names]
        limiting: list[str] = cycle.notes["limiting"]
        text = f"node(s) didn't satisfy plugin(s) [{' '.join(limiting)}]"
        absent = Rejection(Code.UNRESOLVABLE, (text,), limiting[0])
    limit = len(nodes) if sampling is None else sampling.limit(len(nodes))
    feasible: list[NodeInfo] = []
    rejected: dict[str, Rejection] = {}
    for node in nodes if sampling is None else sampling.turn(nodes):
        rejection = passes(framework, cycle, node)
        if rejection is not None:
            rejected[node.name] = rejection
        elif len(feasible) == limit:
            break
        else:
            feasible.append(node)
    return Survey(feasible, rejected, absent)


def _score(
    framework: Framework,
    cycle: Cycle,
    feasible: Sequence[NodeInfo],
    found: Decision,
    choose: Callable[[Sequence[str]], str],
) -> Decision:
    """Chooses among several feasible nodes."""
    try:
        framework.pre_score(cycle, feasible)
    except CycleError as failure:
        return replace(found, error=str(failure), message=str(failure))
    scores = framework.score(cycle, feasible)
    totals = [0] * len(feasible)
    for plugin, (_, normalised) in scores.items():
        weight = framework.weights[plugin]
        totals = [t + weight * s for t, s in zip(totals, normalised, strict=True)]
    highest = max(totals)
    best = [node.name for node, t in zip(feasible, totals, strict=True) if t == highest]
    return replace(found, node=choose(best), scores=scores, totals=totals, best=best, equals=len(best))


def _nowhere(
    framework: Framework,
    pod: Pod,
    snapshot: Snapshot,
    rejected: Mapping[str, Rejection],
    choose: Callable[[Sequence[str]], str],
) -> Decision:
    """The fast path found that nothing fits, and why: what remains is whether preemption would help."""
    preemption = None
    if framework.preempts:
        cycle = Cycle(pod, snapshot)
        if any(other.priority < pod.priority for node in snapshot.nodes for other in node.pods):
            # Taking pods away in thought needs the plugins' notes; where nobody can be taken, nobody asks for them.
            framework.pre_filter(cycle)
        preemption = preempt(framework, cycle, rejected, choose)
    message = fit_message(len(snapshot.nodes), rejected, None, preemption.message if preemption else "")
    return Decision(pod, rejected=rejected, message=message, preemption=preemption, evaluated=len(rejected))


def _refused_by_pre_filter(framework: Framework, cycle: Cycle, no: Rejection) -> Decision:
    """Nobody asked the nodes: the one reason stands for all of them, without a count."""
    total = len(cycle.snapshot.nodes)
    preemption = None
    message = f"0/{total} nodes are available: {no.message}."
    if framework.preempts:
        preemption = preempt(framework, cycle, {node.name: no for node in cycle.snapshot.nodes})
        message = f"{message} {preemption.message}" if preemption.message else message
    return Decision(cycle.pod, pre_filter=no, message=message, preemption=preemption)
