"""The arithmetic of Deployments: which ReplicaSet is the new one, how many pods each may have, and what the status says.

All pure, over a Deployment and its ReplicaSets as dictionaries. The rules are those of kube-controller-manager 1.33
(pkg/controller/deployment): at most `replicas + maxSurge` pods, at least `replicas - maxUnavailable` available ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from terrarium.base.clock import rfc3339
from terrarium.kube.api.kinds import Obj
from terrarium.kube.controllers import objects as o

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
ROLLBACK = "deprecated.deployment.rollback.to"
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
        ROLLBACK,
    }
)

TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"
AVAILABLE = "NewReplicaSetAvailable"
NO_DEADLINE = 2**31 - 1


def replicas(obj: Obj) -> int:
    found = obj["spec"].get("replicas")
    return 1 if found is None else int(found)


def strategy(deployment: Obj) -> str:
    return str((deployment["spec"].get("strategy") or {}).get("type") or "RollingUpdate")


def bounds(deployment: Obj) -> tuple[int, int]:
    """(surge, unavailable) in pods. Both zero would stand still, so one unavailable is then allowed."""
    if strategy(deployment) != "RollingUpdate":
        return 0, 0
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    size = replicas(deployment)
    surge = o.percent(rolling.get("maxSurge"), size, True, "25%")
    unavailable = o.percent(rolling.get("maxUnavailable"), size, False, "25%")
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, size)


def has_deadline(deployment: Obj) -> bool:
    return deployment["spec"].get("progressDeadlineSeconds") not in (None, NO_DEADLINE)


def number(obj: Obj, annotation: str) -> int | None:
    text = o.notes(obj).get(annotation)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def revision(replica_set: Obj) -> int:
    return number(replica_set, REVISION) or 0


def _by_age(replica_set: Obj) -> tuple[datetime, str]:
    return o.created(replica_set), o.name(replica_set)


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Equal but for the hash label."""
    return without_hash(one) == without_hash(other)


def without_hash(template: Mapping[str, Any]) -> dict[str, Any]:
    meta = dict(template.get("metadata") or {})
    meta["labels"] = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH}
    return {**template, "metadata": {k: v for k, v in meta.items() if v}}


def revision_before(sets: Sequence[Obj]) -> int:
    """The second highest revision; 0 when there is none."""
    numbers = sorted({revision(s) for s in sets}, reverse=True)
    return numbers[1] if len(numbers) > 1 else 0


def find_new(deployment: Obj, sets: Sequence[Obj]) -> Obj | None:
    """The oldest ReplicaSet with the Deployment's template."""
    template = deployment["spec"]["template"]
    return next((s for s in sorted(sets, key=_by_age) if same_template(s["spec"]["template"], template)), None)


def new_replica_set(deployment: Obj, digest: str) -> Obj:
    template = deployment["spec"]["template"]
    meta = template.get("metadata") or {}
    labels = {**(meta.get("labels") or {}), HASH: digest}
    selector = dict(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: digest}
    spec: dict[str, Any] = {
        "replicas": 0,
        "selector": selector,
        "template": {**template, "metadata": {**meta, "labels": labels}},
    }
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": f"{o.name(deployment)}-{digest}",
            "namespace": o.namespace(deployment),
            "labels": labels,
            "ownerReferences": [o.controller_reference(deployment, "Deployment", "apps/v1")],
        },
        "spec": spec,
    }


def sized(deployment: Obj, notes: Mapping[str, str]) -> dict[str, str]:
    """A ReplicaSet's annotations with the Deployment's present size."""
    size = replicas(deployment)
    return {**notes, DESIRED: str(size), MAXIMUM: str(size + bounds(deployment)[0])}


def annotated(deployment: Obj, replica_set: Obj, revision: int, exists: bool) -> dict[str, str]:
    """What the annotations of the new ReplicaSet should be: the Deployment's own, its revision, and the history of
    revisions which it had before."""
    notes = dict(o.notes(replica_set))
    notes |= {k: v for k, v in o.notes(deployment).items() if k not in NOT_COPIED}
    before = notes.get(REVISION, "")
    old = int(before) if before.isdigit() else 0
    if old < revision:
        notes[REVISION] = str(revision)
        if before:
            history = notes.get(HISTORY, "")
            notes[HISTORY] = f"{history},{before}" if history else before
    return notes if exists else sized(deployment, notes)


def new_size(deployment: Obj, sets: Sequence[Obj], new: Obj) -> int:
    """How many pods the new ReplicaSet may have now. `sets` are all, with or without the new one."""
    wanted, present = replicas(deployment), replicas(new)
    if strategy(deployment) == "Recreate":
        return wanted
    if present >= wanted:
        return wanted
    total = sum(map(replicas, sets))
    room = wanted + bounds(deployment)[0] - total
    return present if room <= 0 else present + min(room, wanted - present)


def shrink(deployment: Obj, new: Obj | None, old: Sequence[Obj]) -> list[dict[str, int]]:
    """Sizes for the old ReplicaSets, in two stages: pods that are not available first, then as many available ones as
    the rest can do without."""
    total_old = sum(map(replicas, old))
    if new is None or total_old == 0:
        return []
    least = replicas(deployment) - bounds(deployment)[1]
    new_unavailable = replicas(new) - o.status(new).get("availableReplicas", 0)
    most = total_old + replicas(new) - least - new_unavailable
    if most <= 0:
        return []
    sizes = {o.name(s): replicas(s) for s in old}
    by_age = sorted(old, key=_by_age)
    broken: dict[str, int] = {}
    for replica_set in by_age:
        unhealthy = replicas(replica_set) - o.status(replica_set).get("availableReplicas", 0)
        step = min(most, unhealthy)
        if step > 0:
            broken[o.name(replica_set)] = sizes[o.name(replica_set)] = replicas(replica_set) - step
            most -= step
    spare = sum(o.status(s).get("availableReplicas", 0) for s in [*old, new]) - least
    healthy: dict[str, int] = {}
    for replica_set in by_age:
        step = min(spare, sizes[o.name(replica_set)])
        if step > 0:
            healthy[o.name(replica_set)] = sizes[o.name(replica_set)] - step
            spare -= step
    return [broken, healthy]


def proportional(deployment: Obj, new: Obj | None, old: Sequence[Obj]) -> dict[str, int]:
    """Sizes when the Deployment's size changed: one living ReplicaSet follows it; several share it in proportion."""
    wanted = replicas(deployment)
    living = [s for s in [*old, *([new] if new is not None else [])] if replicas(s) > 0]
    if len(living) <= 1:
        only = living[0] if living else new or max(old, key=_by_age, default=None)
        return {o.name(only): wanted} if only is not None and replicas(only) != wanted else {}
    if new is not None and _saturated(deployment, new):
        return {o.name(s): 0 for s in sorted(old, key=_by_age) if replicas(s) > 0}
    if strategy(deployment) != "RollingUpdate":
        return {}
    allowed = wanted + bounds(deployment)[0] if wanted > 0 else 0
    change = allowed - sum(map(replicas, living))
    # Growing gives to the larger and newer first, shrinking takes from the larger and older first.
    living.sort(key=_by_age, reverse=change > 0)
    living.sort(key=replicas, reverse=True)
    sizes, given = {}, 0
    for replica_set in living:
        part = _share(deployment, replica_set, change, given) if change else 0
        sizes[o.name(replica_set)] = replicas(replica_set) + part
        given += part
    if change:
        first = o.name(living[0])
        sizes[first] = max(0, sizes[first] + change - given)
    return sizes


def _saturated(deployment: Obj, new: Obj) -> bool:
    wanted = replicas(deployment)
    return bool(number(new, DESIRED) == replicas(new) == o.status(new).get("availableReplicas", 0) == wanted)


def _share(deployment: Obj, replica_set: Obj, change: int, given: int) -> int:
    size, wanted = replicas(replica_set), replicas(deployment)
    if size == 0 or change == given:
        return 0
    if wanted == 0:
        part = -size
    else:
        before = number(replica_set, MAXIMUM) or o.status(deployment).get("replicas", 0)
        if not before:
            return 0
        part = math.floor(size * (wanted + bounds(deployment)[0]) / before + 0.5) - size
    left = change - given
    return min(part, left) if change > 0 else max(part, left)


def history_to_drop(deployment: Obj, old: Sequence[Obj]) -> list[Obj]:
    """Old ReplicaSets beyond revisionHistoryLimit, those of the lowest revisions, if nothing of them is left."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit in (None, NO_DEADLINE):
        return []
    alive = sorted((s for s in old if not o.deleting(s)), key=lambda s: (revision(s), _by_age(s)))
    return [
        s
        for s in alive[: max(0, len(alive) - int(limit))]
        if not o.status(s).get("replicas")
        and replicas(s) == 0
        and s["metadata"].get("generation", 0) <= o.status(s).get("observedGeneration", 0)
    ]


# -- status ---------------------------------------------------------------------------------------------------------


def new_condition(type: str, value: str, reason: str, message: str, now: str) -> dict[str, Any]:
    return {
        "type": type,
        "status": value,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def counts(deployment: Obj, sets: Sequence[Obj], new: Obj | None, now: str) -> dict[str, Any]:
    """Counts and the Available condition; other conditions stay. Zeros are left out, as Go leaves them out."""
    present = [o.status(s) for s in sets]
    available = sum(s.get("availableReplicas", 0) for s in present)
    old = o.status(deployment)
    status: dict[str, Any] = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": sum(s.get("replicas", 0) for s in present),
        "updatedReplicas": o.status(new).get("replicas", 0) if new is not None else 0,
        "readyReplicas": sum(s.get("readyReplicas", 0) for s in present),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas, sets)) - available),
    }
    status = {k: v for k, v in status.items() if v}
    if old.get("collisionCount") is not None:
        status["collisionCount"] = old["collisionCount"]
    if available >= replicas(deployment) - bounds(deployment)[1]:
        words = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        words = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    found = new_condition("Available", *words, now)
    status["conditions"] = o.with_condition(old.get("conditions") or (), found)
    return status


def complete(deployment: Obj, status: Mapping[str, Any]) -> bool:
    wanted = replicas(deployment)
    return all(status.get(k, 0) == wanted for k in ("updatedReplicas", "replicas", "availableReplicas")) and int(
        status.get("observedGeneration", 0)
    ) >= int(deployment["metadata"].get("generation", 0))


def progressing(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    def waiting(status: Mapping[str, Any]) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    return (
        int(new.get("updatedReplicas", 0)) > int(old.get("updatedReplicas", 0))
        or waiting(new) < waiting(old)
        or int(new.get("readyReplicas", 0)) > int(old.get("readyReplicas", 0))
        or int(new.get("availableReplicas", 0)) > int(old.get("availableReplicas", 0))
    )


def timed_out(deployment: Obj, status: Mapping[str, Any], now: datetime) -> bool:
    found = o.condition(status, "Progressing")
    if found is None or found.get("reason") == AVAILABLE:
        return False
    if found.get("reason") == TIMED_OUT:
        return True
    since = o.moment(found.get("lastUpdateTime")) or now.timestamp()
    return float(since) + int(deployment["spec"]["progressDeadlineSeconds"]) < now.timestamp()


def rollout_status(deployment: Obj, sets: Sequence[Obj], new: Obj | None, now: datetime) -> dict[str, Any]:
    """Counts, and what is to be said about progress and about ReplicaSets which can't make pods."""
    text = rfc3339(now)
    old = o.status(deployment)
    status = counts(deployment, sets, new, text)
    conditions = status["conditions"]
    standing = o.condition(old, "Progressing")
    what = f'ReplicaSet "{o.name(new)}"' if new is not None else f'Deployment "{o.name(deployment)}"'
    done = (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and standing is not None
        and standing.get("reason") == AVAILABLE
    )
    if not has_deadline(deployment):
        conditions = o.without_condition(conditions, "Progressing")
    elif not done:
        if complete(deployment, status):
            found = new_condition("Progressing", "True", AVAILABLE, f"{what} has successfully progressed.", text)
            conditions = o.with_condition(conditions, found)
        elif progressing(old, status):
            found = new_condition("Progressing", "True", "ReplicaSetUpdated", f"{what} is progressing.", text)
            if standing is not None and standing["status"] == "True":
                found["lastTransitionTime"] = standing["lastTransitionTime"]
            conditions = [*o.without_condition(conditions, "Progressing"), found]
        elif timed_out(deployment, status, now):
            found = new_condition("Progressing", "False", TIMED_OUT, f"{what} has timed out progressing.", text)
            conditions = o.with_condition(conditions, found)
    failure = _failure(sets, new)
    if failure is not None:
        conditions = o.with_condition(conditions, failure)
    else:
        conditions = o.without_condition(conditions, "ReplicaFailure")
    return {**status, "conditions": conditions}


def _failure(sets: Sequence[Obj], new: Obj | None) -> dict[str, Any] | None:
    """The new ReplicaSet's complaint, else that of an old one."""
    ordered = sorted(sets, key=lambda s: new is None or o.uid(s) != o.uid(new))
    for replica_set in ordered:
        found = o.condition(o.status(replica_set), "ReplicaFailure")
        if found is not None:
            return {
                "type": "ReplicaFailure",
                "status": found["status"],
                "lastUpdateTime": found.get("lastTransitionTime"),
                "lastTransitionTime": found.get("lastTransitionTime"),
                "reason": found.get("reason", ""),
                "message": found.get("message", ""),
            }
    return None


def seconds_to_deadline(deployment: Obj, status: Mapping[str, Any], now: datetime) -> float | None:
    """When a rollout that stands still must be looked at again."""
    found = o.condition(status, "Progressing")
    if not has_deadline(deployment) or found is None or complete(deployment, status):
        return None
    if found.get("reason") in (TIMED_OUT, AVAILABLE):
        return None
    since = o.moment(found.get("lastUpdateTime")) or now.timestamp()
    return max(0.0, since + int(deployment["spec"]["progressDeadlineSeconds"]) - now.timestamp()) + 1.0
