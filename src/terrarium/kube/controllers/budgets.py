"""PodDisruptionBudgets: how many more pods may be evicted now (the disruption controller)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from terrarium.base.clock import rfc3339
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Resource,
)
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.replicasets import REPLICATION_CONTROLLERS
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

BUDGETS = Resource("policy", "v1", "poddisruptionbudgets")
DISRUPTED_SECONDS = 120.0
"""So long a pod whose eviction was granted counts as going, if it doesn't go."""


@dataclass(frozen=True, slots=True)
class Expected:
    """How many pods there should be, and how many of them must be healthy."""

    pods: int
    healthy: int


def expected(budget: Obj, pods: Sequence[Obj], scale: int | None) -> Expected | None:
    """`scale` is the sum of the replicas of the pods' controllers, None when a pod has none that is known. None: the
    budget can't be worked out."""
    spec = budget["spec"]
    maximum, minimum = spec.get("maxUnavailable"), spec.get("minAvailable")
    if maximum is not None:
        if scale is None:
            return None
        return Expected(scale, max(0, scale - o.percent(maximum, scale, True)))
    if isinstance(minimum, int):
        return Expected(len(pods), minimum)
    if minimum is not None:
        if scale is None:
            return None
        return Expected(scale, o.percent(minimum, scale, True))
    return Expected(len(pods), 0)


def selector_text(selector: dict[str, Any] | None) -> str:
    """A LabelSelector as Go prints it."""
    labels = (selector or {}).get("matchLabels") or {}
    expressions = (selector or {}).get("matchExpressions") or ()
    pairs = "".join(f"{k}: {v}," for k, v in sorted(labels.items()))
    terms = "".join(
        f"LabelSelectorRequirement{{Key:{e['key']},Operator:{e['operator']},Values:[{' '.join(e.get('values') or ())}],}},"
        for e in expressions
    )
    shown = f"map[string]string{{{pairs}}}"
    return f"&LabelSelector{{MatchLabels:{shown},MatchExpressions:[]LabelSelectorRequirement{{{terms}}},}}"


def condition(budget: Obj, allowed: int, now: str) -> list[dict[str, Any]]:
    old = o.condition(o.status(budget), "DisruptionAllowed")
    value = "True" if allowed > 0 else "False"
    fresh = {
        "type": "DisruptionAllowed",
        "status": value,
        "observedGeneration": budget["metadata"].get("generation", 0),
        "lastTransitionTime": old["lastTransitionTime"] if old is not None and old["status"] == value else now,
        "reason": "SufficientPods" if allowed > 0 else "InsufficientPods",
        "message": "",
    }
    others = [dict(c) for c in o.status(budget).get("conditions") or () if c["type"] != "DisruptionAllowed"]
    return [*others, fresh]


def next_status(
    budget: Obj, pods: Sequence[Obj], found: Expected, disrupted: dict[str, str], now: datetime
) -> dict[str, Any]:
    healthy = sum(o.ready(p) and not o.deleting(p) and o.name(p) not in disrupted for p in pods)
    allowed = max(0, healthy - found.healthy) if found.pods > 0 else 0
    status: dict[str, Any] = {
        "observedGeneration": budget["metadata"].get("generation", 0),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": found.healthy,
        "expectedPods": found.pods,
        "conditions": condition(budget, allowed, rfc3339(now)),
    }
    return status | ({"disruptedPods": disrupted} if disrupted else {})


class Disruption(Controller):
    name: ClassVar[str] = "disruption-controller"
    component: ClassVar[str] = "controllermanager"
    inputs: ClassVar[Sequence[Resource]] = (
        BUDGETS,
        PODS,
        REPLICA_SETS,
        DEPLOYMENTS,
        STATEFUL_SETS,
        REPLICATION_CONTROLLERS,
    )

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == BUDGETS:
            yield key_of(new or old)  # type: ignore[arg-type]
        elif resource == PODS:
            for budget in self.caches.of(BUDGETS).items(o.namespace(new or old)):  # type: ignore[arg-type]
                selector = budget["spec"].get("selector")
                if any(o.selects(selector, o.labels(p)) for p in (old, new) if p is not None):
                    yield key_of(budget)
        elif (old or {}).get("spec", {}).get("replicas") != (new or {}).get("spec", {}).get("replicas"):
            for budget in self.caches.of(BUDGETS).items(o.namespace(new or old)):  # type: ignore[arg-type]
                yield key_of(budget)

    async def sync(self, key: Key, write: Writer) -> float | None:
        budget = self.caches.of(BUDGETS).get(*key)
        if budget is None:
            return None
        selector = budget["spec"].get("selector")
        pods = [
            p
            for p in self.caches.of(PODS).items(key[0])
            if o.selects(selector, o.labels(p)) and o.status(p).get("phase") not in ("Succeeded", "Failed")
        ]
        if not pods:
            self.events.event(budget, "Normal", "NoPods", "No matching pods found")
        now = self.clock.now()
        needs_scale = budget["spec"].get("maxUnavailable") is not None or isinstance(
            budget["spec"].get("minAvailable"), str
        )
        if needs_scale and any(o.controller_of(p) is None for p in pods):
            text = (
                f"Pods selected by this PodDisruptionBudget (selector: {selector_text(selector)}) were found to be "
                "unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in "
                'undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an '
                "integer value."
            )
            self.events.event(budget, "Warning", "UnmanagedPods", text)
        found = expected(budget, pods, self._scale(pods))
        if found is None:
            found = Expected(0, 0)
        disrupted, again = self._disrupted(budget, pods, now)
        status = next_status(budget, pods, found, disrupted, now)
        if status != o.status(budget):
            await write.status(BUDGETS, budget, status)
        return again

    def _scale(self, pods: Sequence[Obj]) -> int | None:
        """The size of all workloads that the pods belong to; pods without one are not counted."""
        sizes: dict[str, int] = {}
        for pod in pods:
            owner = self._workload(pod)
            if owner is not None:
                replicas = owner["spec"].get("replicas")
                sizes[o.uid(owner)] = 1 if replicas is None else int(replicas)
        return sum(sizes.values())

    def _workload(self, pod: Obj) -> Obj | None:
        kinds = {
            "ReplicaSet": REPLICA_SETS,
            "StatefulSet": STATEFUL_SETS,
            "ReplicationController": REPLICATION_CONTROLLERS,
            "Deployment": DEPLOYMENTS,
        }
        found: Obj | None = None
        current: Obj | None = pod
        while current is not None:
            ref = o.controller_of(current)
            resource = kinds.get(ref["kind"]) if ref is not None else None
            if ref is None or resource is None:
                break
            current = self.caches.of(resource).get(o.namespace(pod), ref["name"])
            found = current or found
        return found

    def _disrupted(self, budget: Obj, pods: Sequence[Obj], now: datetime) -> tuple[dict[str, str], float | None]:
        """Pods whose eviction was granted and that have not gone yet."""
        present = {o.name(p): p for p in pods}
        kept: dict[str, str] = {}
        again: float | None = None
        for name, since in (o.status(budget).get("disruptedPods") or {}).items():
            pod = present.get(name)
            left = (o.moment(since) or 0.0) + DISRUPTED_SECONDS - now.timestamp()
            if pod is None or o.deleting(pod):
                continue
            if left <= 0:
                self.events.event(pod, "Warning", "NotDeleted", "Pod was expected by PDB to be deleted but it wasn't")
                continue
            kept[name] = since
            again = left if again is None else min(again, left)
        return kept, again
