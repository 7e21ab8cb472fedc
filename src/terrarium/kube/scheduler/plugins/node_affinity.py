"""NodeAffinity: node selectors and node affinity, required and preferred, and a profile's own `addedAffinity`."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import (
    Code,
    Cycle,
    CycleError,
    OnlyNodes,
    PreFilterAnswer,
    Rejection,
    Skip,
    default_normalise,
)
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.views import NodeTerm, node_term


def _names(term: NodeTerm) -> frozenset[str] | None:
    """The nodes a term can mean at all by metadata.name; None when it does not say."""
    found: frozenset[str] | None = None
    for operator, values in term.names:
        if operator == "In":
            found = frozenset(values) if found is None else found & frozenset(values)
    return found


class NodeAffinity:
    name = "NodeAffinity"

    def __init__(self, added: Obj | None = None) -> None:
        added = added or {}
        required = added.get("requiredDuringSchedulingIgnoredDuringExecution")
        self._required = tuple(node_term(t) for t in required["nodeSelectorTerms"]) if required else None
        self._preferred = tuple(
            (t["weight"], node_term(t["preference"]))
            for t in added.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        )

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        pod = cycle.pod
        if self._required is None and not pod.node_selector and pod.required_nodes is None:
            return Skip.SKIP
        if not pod.required_nodes:
            return None
        union: set[str] = set()
        for term in pod.required_nodes:
            names = _names(term)
            if names is None:
                return None
            union |= names
        if not union:
            return Rejection(Code.UNRESOLVABLE, ("pod affinity terms conflict",))
        return OnlyNodes(frozenset(union))

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        if self._required is not None and not any(t.matches(node.node) for t in self._required):
            return Rejection(Code.UNRESOLVABLE, ("node(s) didn't match scheduler-enforced node affinity",))
        if not cycle.pod.allowed_on(node.node):
            return Rejection(Code.UNRESOLVABLE, ("node(s) didn't match Pod's node affinity/selector",))
        return None

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None:
        preferred = cycle.pod.preferred_nodes
        if not preferred and not self._preferred:
            return Skip.SKIP
        errors = [f"[{at}].{term.error}" for at, (_, term) in enumerate(preferred) if term.error]
        if errors:
            raise CycleError(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")
        return None

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        # An empty preferred term matches nothing; a weight of 0 counts nothing either way.
        return sum(weight for weight, term in (*self._preferred, *cycle.pod.preferred_nodes) if term.matches(node.node))

    def normalise(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        return default_normalise(scores)
