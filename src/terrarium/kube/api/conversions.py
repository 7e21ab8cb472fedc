"""Between versions of a kind that has several: Events of the core group and events.k8s.io, HorizontalPodAutoscalers.

A conversion takes a fresh object and the apiVersion wanted, and gives the object in that version.
"""

from __future__ import annotations

import json
from typing import Any

from terrarium.kube.api import typed
from terrarium.kube.api.kinds import Obj

EVENTS = "events.k8s.io/v1"
_CORE_TO_EVENTS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENTS_TO_CORE = {new: old for old, new in _CORE_TO_EVENTS.items()}
_SHAPES = {"v1": "io.k8s.api.core.v1.Event", EVENTS: "io.k8s.api.events.v1.Event"}


def event(obj: Obj, version: str) -> Obj:
    """`v1` or `events.k8s.io/v1`: the fields have other names."""
    if obj.get("apiVersion") == version:
        return obj
    names = _CORE_TO_EVENTS if version == EVENTS else _EVENTS_TO_CORE
    made = {names.get(key, key): value for key, value in obj.items()}
    made["apiVersion"] = version
    return typed.encode(made, _SHAPES[version])


_ALPHA = "autoscaling.alpha.kubernetes.io/"
_V1, _V2 = "autoscaling/v1", "autoscaling/v2"


def autoscaler(obj: Obj, version: str) -> Obj:
    """`autoscaling/v1` holds one CPU target; what else v2 has goes through annotations."""
    if obj.get("apiVersion") == version:
        return obj
    return _to_v1(obj) if version == _V1 else _to_v2(obj)


def _is_cpu(metric: Any) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or resource.get("current") or {}
    return (
        metric.get("type") == "Resource"
        and resource.get("name") == "cpu"
        and target.get("averageUtilization") is not None
    )


def _to_v1(obj: Obj) -> Obj:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    meta = dict(obj.get("metadata") or {})
    annotations = dict(meta.get("annotations") or {})
    metrics = spec.pop("metrics", None) or []
    cpu = next((m for m in metrics if _is_cpu(m)), None)
    if cpu is not None:
        spec["targetCPUUtilizationPercentage"] = cpu["resource"]["target"]["averageUtilization"]
    rest = [m for m in metrics if m is not cpu]
    current = status.pop("currentMetrics", None) or []
    used = next((m for m in current if _is_cpu(m)), None)
    if used is not None:
        status["currentCPUUtilizationPercentage"] = used["resource"]["current"]["averageUtilization"]
    for name, value in (
        ("metrics", rest),
        ("current-metrics", [m for m in current if m is not used]),
        ("behavior", spec.pop("behavior", None)),
        ("conditions", status.pop("conditions", None)),
    ):
        if value:
            annotations[_ALPHA + name] = json.dumps(value, separators=(",", ":"))
    if annotations:
        meta["annotations"] = annotations
    return typed.encode(
        {**obj, "apiVersion": _V1, "metadata": meta, "spec": spec, "status": status},
        "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    )


def _read(annotations: dict[str, Any], name: str) -> Any:
    try:
        return json.loads(annotations.pop(_ALPHA + name, "null"))
    except ValueError:
        return None


def _to_v2(obj: Obj) -> Obj:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    meta = dict(obj.get("metadata") or {})
    annotations = dict(meta.get("annotations") or {})
    metrics = _read(annotations, "metrics") or []
    wanted = spec.pop("targetCPUUtilizationPercentage", None)
    if wanted is not None:
        target = {"type": "Utilization", "averageUtilization": wanted}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    current = _read(annotations, "current-metrics") or []
    used = status.pop("currentCPUUtilizationPercentage", None)
    if used is not None:
        held = {"averageUtilization": used, "averageValue": "0"}
        current.insert(0, {"type": "Resource", "resource": {"name": "cpu", "current": held}})
    behavior, conditions = _read(annotations, "behavior"), _read(annotations, "conditions")
    if metrics:
        spec["metrics"] = metrics
    if behavior:
        spec["behavior"] = behavior
    if current:
        status["currentMetrics"] = current
    if conditions:
        status["conditions"] = conditions
    meta.pop("annotations", None)
    if annotations:
        meta["annotations"] = annotations
    return typed.encode(
        {**obj, "apiVersion": _V2, "metadata": meta, "spec": spec, "status": status},
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    )
