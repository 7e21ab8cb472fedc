"""The scheduling framework: extension points, the plugins' answers, and one run through them for one pod.

A plugin is a small class that has the methods of the points it takes part in. The framework owns order, weights,
skipping, normalising and messages (kubernetes/pkg/scheduler/framework, docs "Scheduling Framework").
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.snapshot import NodeInfo, Snapshot
from terrarium.kube.scheduler.views import Pod


class Code(enum.Enum):
    """Why not. Preemption may help where a node is `UNSCHEDULABLE`, never where it is `UNRESOLVABLE`."""

    UNSCHEDULABLE = "Unschedulable"
    UNRESOLVABLE = "UnschedulableAndUnresolvable"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A plugin's no. `reasons` are the texts users see; `facts` the numbers behind them, for `explain`."""

    code: Code
    reasons: tuple[str, ...]
    plugin: str = ""
    facts: tuple[tuple[str, object], ...] = ()

    def by(self, plugin: str) -> Rejection:
        return self if self.plugin else Rejection(self.code, self.reasons, plugin, self.facts)

    @property
    def message(self) -> str:
        return ", ".join(self.reasons)


@dataclass(frozen=True, slots=True)
class Change:
    """An object to be written before a pod is bound; `claim` is the claim for whose sake."""

    plural: str
    obj: Obj
    claim: Obj


class CycleError(Exception):
    """The cycle can't go on: something is wrong with an object, not with the fit."""


class Skip(enum.Enum):
    """A PreFilter or PreScore plugin has nothing to say about this pod: its later points are left out."""

    SKIP = "Skip"


@dataclass(frozen=True, slots=True)
class OnlyNodes:
    """A PreFilter result: no other nodes need be looked at."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wait:
    """A Permit plugin wants to think about it: the pod waits, bound by nobody, for at most `seconds`."""

    seconds: float


PreFilterAnswer = OnlyNodes | Rejection | Skip | None


@dataclass(slots=True)
class Cycle:
    """What belongs to one pod's attempt: the snapshot and each plugin's own notes, by plugin name."""

    pod: Pod
    snapshot: Snapshot
    notes: dict[str, Any] = field(default_factory=dict)
    skip_filter: set[str] = field(default_factory=set)
    skip_score: set[str] = field(default_factory=set)

    def copy(self) -> Cycle:
        """For what-if: notes which a plugin may change are copied by that plugin's `copy_notes`."""
        notes = {k: v.copy() if hasattr(v, "copy") else v for k, v in self.notes.items()}
        return Cycle(self.pod, self.snapshot, notes, set(self.skip_filter), set(self.skip_score))


class Plugin(Protocol):
    name: str


@runtime_checkable
class PreEnqueuePlugin(Protocol):
    name: str

    def pre_enqueue(self, pod: Pod) -> Rejection | None: ...


@runtime_checkable
class PreFilterPlugin(Protocol):
    name: str

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer: ...


@runtime_checkable
class FilterPlugin(Protocol):
    name: str

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None: ...


@runtime_checkable
class WhatIfPlugin(Protocol):
    """A PreFilter plugin whose notes follow pods which are added to or taken from a node in thought."""

    name: str

    def add_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None: ...
    def remove_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None: ...


@runtime_checkable
class PreScorePlugin(Protocol):
    name: str

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None: ...


@runtime_checkable
class ScorePlugin(Protocol):
    """`score` gives the raw score of a node, `normalise` turns all of them into 0…100."""

    name: str

    def score(self, cycle: Cycle, node: NodeInfo) -> int: ...
    def normalise(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]: ...


class Unnormalised:
    """Scores which are 0…100 already."""

    def normalise(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        return scores


def default_normalise(scores: list[int], *, reverse: bool = False) -> list[int]:
    """Stretches scores so that the highest is 100 (`helper.DefaultNormalizeScore`)."""
    highest = max(scores, default=0)
    if highest == 0:
        return [100] * len(scores) if reverse else scores
    stretched = [s * 100 // highest for s in scores]
    return [100 - s for s in stretched] if reverse else stretched


class Point(enum.Enum):
    """An extension point, by its name in the configuration; the method tells whether a plugin takes part."""

    PRE_ENQUEUE = ("preEnqueue", "pre_enqueue")
    QUEUE_SORT = ("queueSort", "less")
    PRE_FILTER = ("preFilter", "pre_filter")
    FILTER = ("filter", "filter")
    POST_FILTER = ("postFilter", "post_filter")
    PRE_SCORE = ("preScore", "pre_score")
    SCORE = ("score", "score")
    RESERVE = ("reserve", "reserve")
    PERMIT = ("permit", "permit")
    PRE_BIND = ("preBind", "pre_bind")
    BIND = ("bind", "bind")
    POST_BIND = ("postBind", "post_bind")

    @property
    def key(self) -> str:
        return self.value[0]

    def takes(self, plugin: object) -> bool:
        return hasattr(plugin, self.value[1])


@dataclass(slots=True)
class Framework:
    """One profile: the plugins of each point in order, and the weights of those which score."""

    profile: str
    points: Mapping[Point, Sequence[Any]]
    weights: Mapping[str, int]
    percentage: int = 0
    """percentageOfNodesToScore of the profile; 0 when it leaves that to the configuration."""

    @property
    def pre_enqueues(self) -> Sequence[PreEnqueuePlugin]:
        return self.points.get(Point.PRE_ENQUEUE, ())

    @property
    def pre_filters(self) -> Sequence[PreFilterPlugin]:
        return self.points.get(Point.PRE_FILTER, ())

    @property
    def filters(self) -> Sequence[FilterPlugin]:
        return self.points.get(Point.FILTER, ())

    @property
    def what_ifs(self) -> Sequence[WhatIfPlugin]:
        return [p for p in self.pre_filters if isinstance(p, WhatIfPlugin)]

    @property
    def pre_scores(self) -> Sequence[PreScorePlugin]:
        return self.points.get(Point.PRE_SCORE, ())

    @property
    def scores(self) -> Sequence[ScorePlugin]:
        return self.points.get(Point.SCORE, ())

    @property
    def preempts(self) -> bool:
        return any(p.name == "DefaultPreemption" for p in self.points.get(Point.POST_FILTER, ()))

    def pre_enqueue(self, pod: Pod) -> Rejection | None:
        for plugin in self.pre_enqueues:
            rejection = plugin.pre_enqueue(pod)
            if rejection is not None:
                return rejection.by(plugin.name)
        return None

    def pre_filter(self, cycle: Cycle) -> Rejection | OnlyNodes | None:
        """Runs PreFilter; an unresolvable no ends it at once, a resolvable one when all have spoken."""
        names: frozenset[str] | None = None
        limiting: list[str] = []
        pending: Rejection | None = None
        for plugin in self.pre_filters:
            answer = plugin.pre_filter(cycle)
            if isinstance(answer, Rejection):
                pending = answer.by(plugin.name)
                if pending.code is not Code.UNSCHEDULABLE:
                    return pending
            elif isinstance(answer, Skip):
                cycle.skip_filter.add(plugin.name)
            elif isinstance(answer, OnlyNodes):
                limiting.append(plugin.name)
                names = answer.names if names is None else names & answer.names
                if not names:
                    together = " simultaneously" if len(limiting) > 1 else ""
                    listed = " ".join(limiting)
                    text = f"node(s) didn't satisfy plugin(s) [{listed}]{together}"
                    return Rejection(Code.UNRESOLVABLE, (text,), limiting[-1])
        if pending is not None:
            return pending
        if names is None:
            return None
        cycle.notes["limiting"] = limiting
        return OnlyNodes(names)

    def reserve(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        """The first plugin that can't keep its promise for the chosen node."""
        for plugin in self.points.get(Point.RESERVE, ()):
            rejection: Rejection | None = plugin.reserve(cycle, node)
            if rejection is not None:
                return rejection.by(plugin.name)
        return None

    def unreserve(self, cycle: Cycle, node: NodeInfo) -> None:
        """Gives back what Reserve took, last plugin first; for plugins which hold something."""
        for plugin in reversed(self.points.get(Point.RESERVE, ())):
            if hasattr(plugin, "unreserve"):
                plugin.unreserve(cycle, node)

    def permit(self, cycle: Cycle, node: NodeInfo) -> Rejection | Mapping[str, float] | None:
        """A no, or the plugins that want to wait, each with its seconds."""
        waits: dict[str, float] = {}
        for plugin in self.points.get(Point.PERMIT, ()):
            answer: Rejection | Wait | None = plugin.permit(cycle, node)
            if isinstance(answer, Rejection):
                return answer.by(plugin.name)
            if isinstance(answer, Wait):
                waits[plugin.name] = answer.seconds
        return waits or None

    def post_bind(self, cycle: Cycle, node: NodeInfo) -> None:
        """Tells plugins that the pod is bound."""
        for plugin in self.points.get(Point.POST_BIND, ()):
            plugin.post_bind(cycle, node)

    def pre_bind(self, cycle: Cycle, node: NodeInfo) -> Sequence[Change]:
        """What is to be written before the pod is bound to the node."""
        return [c for plugin in self.points.get(Point.PRE_BIND, ()) for c in plugin.pre_bind(cycle, node)]

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        """The first plugin that says no to a node."""
        skip = cycle.skip_filter
        for plugin in self.filters:
            if plugin.name not in skip:
                rejection = plugin.filter(cycle, node)
                if rejection is not None:
                    return rejection.by(plugin.name)
        return None

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> None:
        for plugin in self.pre_scores:
            try:
                if plugin.pre_score(cycle, nodes) is Skip.SKIP:
                    cycle.skip_score.add(plugin.name)
            except CycleError as failure:
                raise CycleError(f'running PreScore plugin "{plugin.name}": {failure}') from None

    def score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> dict[str, tuple[list[int], list[int]]]:
        """(raw, normalised) scores of each plugin that takes part, in the order of `nodes`."""
        result: dict[str, tuple[list[int], list[int]]] = {}
        for plugin in self.scores:
            if plugin.name not in cycle.skip_score:
                raw = [plugin.score(cycle, node) for node in nodes]
                result[plugin.name] = (raw, plugin.normalise(cycle, nodes, list(raw)))
        return result


def count_reasons(rejections: Iterable[Rejection]) -> list[str]:
    """`3 Insufficient cpu` for each reason, sorted as text, the number included."""
    counts = Counter(reason for rejection in rejections for reason in rejection.reasons)
    return sorted(f"{count} {reason}" for reason, count in counts.items())


def fit_message(total: int, rejections: Mapping[str, Rejection], absent: Rejection | None, preemption: str) -> str:
    """The text of the FailedScheduling event (framework `FitError.Error`). `absent` speaks for nodes not looked at."""
    if total == 0:
        return "no nodes available to schedule pods"
    missing = [absent] * (total - len(rejections)) if absent is not None else []
    parts = count_reasons([*rejections.values(), *missing])
    text = f"0/{total} nodes are available:" + (f" {', '.join(parts)}." if parts else "")
    return f"{text} {preemption}" if preemption else text
