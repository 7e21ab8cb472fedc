"""Small questions about Kubernetes objects that several controllers ask. All pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from terrarium.base.clock import parse_rfc3339
from terrarium.kube.api.kinds import Obj


def uid(obj: Obj) -> str:
    return str(obj["metadata"].get("uid", ""))


def name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def namespace(obj: Obj) -> str:
    return str(obj["metadata"].get("namespace", ""))


def labels(obj: Obj) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def notes(obj: Obj) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def status(obj: Obj) -> dict[str, Any]:
    return obj.get("status") or {}


def deleting(obj: Obj) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def created(obj: Obj) -> datetime:
    return parse_rfc3339(obj["metadata"]["creationTimestamp"])


def moment(text: str | None) -> float | None:
    """Seconds since 1970 of a timestamp, None for none."""
    return parse_rfc3339(text).timestamp() if text else None


def controller_of(obj: Obj) -> dict[str, Any] | None:
    """The ownerReference of the managing controller."""
    return next((r for r in obj["metadata"].get("ownerReferences") or () if r.get("controller")), None)


def owned_by(obj: Obj, owner_uid: str) -> bool:
    ref = controller_of(obj)
    return ref is not None and ref.get("uid") == owner_uid


def owner_uids(obj: Obj) -> Iterable[str]:
    """For an index: the uid of the controller, or `orphan/<namespace>` when there is none."""
    ref = controller_of(obj)
    yield ref["uid"] if ref is not None else f"orphan/{namespace(obj)}"


def controller_reference(owner: Obj, kind: str, api_version: str) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def match_expression(expression: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    return {
        "In": key in found and found[key] in values,
        "NotIn": key not in found or found[key] not in values,
        "Exists": key in found,
        "DoesNotExist": key not in found,
    }.get(expression["operator"], False)


def selects(selector: Mapping[str, Any] | None, found: Mapping[str, str]) -> bool:
    """A LabelSelector: null selects nothing, empty selects everything."""
    if selector is None:
        return False
    return all(found.get(k) == v for k, v in (selector.get("matchLabels") or {}).items()) and all(
        match_expression(e, found) for e in selector.get("matchExpressions") or ()
    )


def condition(obj_status: Mapping[str, Any], type: str) -> dict[str, Any] | None:
    return next((c for c in obj_status.get("conditions") or () if c["type"] == type), None)


def active(pod: Obj) -> bool:
    return status(pod).get("phase") not in ("Succeeded", "Failed") and not deleting(pod)


def ready(pod: Obj) -> bool:
    found = condition(status(pod), "Ready")
    return found is not None and found["status"] == "True"


def available(pod: Obj, min_ready_seconds: int, now: datetime) -> bool:
    found = condition(status(pod), "Ready")
    if found is None or found["status"] != "True":
        return False
    if not min_ready_seconds:
        return True
    since = moment(found.get("lastTransitionTime"))
    return since is not None and since + min_ready_seconds <= now.timestamp()


def percent(value: int | str | None, of: int, round_up: bool, default: int | str = 0) -> int:
    """An IntOrString as a number; a percentage is taken of `of`."""
    found = default if value is None else value
    if isinstance(found, int):
        return found
    share = int(found.rstrip("%")) * of / 100
    return math.ceil(share) if round_up else math.floor(share)


def pod_from_template(template: Mapping[str, Any], owner: Obj, reference: Mapping[str, Any]) -> Obj:
    """What every workload controller sends to make a pod (GetPodFromTemplate)."""
    meta = template.get("metadata") or {}
    pod_meta: dict[str, Any] = {"generateName": f"{name(owner)}-"}
    for key in ("labels", "annotations", "finalizers"):
        if meta.get(key):
            pod_meta[key] = meta[key]
    pod_meta["ownerReferences"] = [dict(reference)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta, "spec": template.get("spec") or {}}


def _log_rank(age: float) -> int:
    """Ages are compared on a logarithmic scale of nanoseconds, so that about equally old pods are equal."""
    nanoseconds = int(age * 1_000_000_000)
    return nanoseconds.bit_length() - 1 if nanoseconds > 0 else -1


def deletion_order(pods: Sequence[Obj], on_same_node: Mapping[str, int], now: datetime) -> list[Obj]:
    """The pods in the order in which a workload gives them up (ActivePodsWithRanks)."""
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}

    def cost(pod: Obj) -> int:
        try:
            return int(notes(pod).get("controller.kubernetes.io/pod-deletion-cost", "0"))
        except ValueError:
            return 0

    def key(pod: Obj) -> tuple[Any, ...]:
        ready_now = ready(pod)
        ready_at = moment((condition(status(pod), "Ready") or {}).get("lastTransitionTime")) if ready_now else None
        restarts = max((c.get("restartCount", 0) for c in status(pod).get("containerStatuses") or ()), default=0)
        return (
            bool((pod.get("spec") or {}).get("nodeName")),
            phases.get(status(pod).get("phase", "Pending"), 0),
            ready_now,
            cost(pod),
            -on_same_node.get((pod.get("spec") or {}).get("nodeName", ""), 0),
            -1 if ready_at is None else _log_rank(now.timestamp() - ready_at),
            -restarts,
            _log_rank((now - created(pod)).total_seconds()),
            uid(pod),
        )

    return sorted(pods, key=key)


def with_condition(conditions: Iterable[Mapping[str, Any]], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Conditions with `new` in: an equal status and reason changes nothing, an equal status keeps its transition
    time, and a changed condition moves to the end (SetDeploymentCondition and its like)."""
    found = [dict(c) for c in conditions]
    old = next((c for c in found if c["type"] == new["type"]), None)
    if old is not None and (old["status"], old.get("reason")) == (new["status"], new.get("reason")):
        return found
    fresh = dict(new)
    if old is not None and old["status"] == new["status"]:
        fresh["lastTransitionTime"] = old.get("lastTransitionTime")
    return [c for c in found if c["type"] != new["type"]] + [fresh]


def without_condition(conditions: Iterable[Mapping[str, Any]], type: str) -> list[dict[str, Any]]:
    return [dict(c) for c in conditions if c["type"] != type]
