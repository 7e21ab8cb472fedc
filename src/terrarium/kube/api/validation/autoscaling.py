"""PodDisruptionBudgets and HorizontalPodAutoscalers."""

from __future__ import annotations

import re
from typing import Any

from terrarium.kube.api import names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.workloads import not_over_100, positive_int_or_percent


def budget(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    if low is not None and high is not None:
        errors.invalid(
            "spec", Raw("policy.PodDisruptionBudgetSpec{}"), "minAvailable and maxUnavailable cannot be both set"
        )
    for name, value in (("minAvailable", low), ("maxUnavailable", high)):
        if value is not None:
            positive_int_or_percent(errors, value, f"spec.{name}")
            not_over_100(errors, value, f"spec.{name}")
    meta.label_selector(errors, spec.get("selector"), "spec.selector")
    if spec.get("unhealthyPodEvictionPolicy") is not None:
        errors.one_of(
            "spec.unhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"], ("AlwaysAllow", "IfHealthyBudget")
        )


def budget_status(errors: Errors, obj: Obj, context: Context) -> None:
    status = obj.get("status") or {}
    conditions(errors, status.get("conditions"), "status.conditions")
    for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        errors.not_negative(f"status.{name}", status.get(name))


def conditions(errors: Errors, held: Any, path: str) -> None:
    """`metav1.Condition` lists."""
    seen: set[str] = set()
    for where, condition in items(held, path):
        kind = condition.get("type") or ""
        if not kind:
            errors.required(f"{where}.type", "must be set")
        else:
            if kind in seen:
                errors.duplicate(f"{where}.type", kind)
            seen.add(kind)
            errors.invalids(f"{where}.type", kind, names.qualified_name(kind))
        errors.one_of(f"{where}.status", condition.get("status"), ("False", "True", "Unknown"))
        errors.not_negative(f"{where}.observedGeneration", condition.get("observedGeneration"))
        if condition.get("lastTransitionTime") is None:
            errors.required(f"{where}.lastTransitionTime", "must be set")
        reason = condition.get("reason") or ""
        if not reason:
            errors.required(f"{where}.reason", "must be set")
        elif len(reason) > 1024:
            errors.too_long(f"{where}.reason", 1024)
        elif not re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", reason):
            errors.invalid(
                f"{where}.reason",
                reason,
                names.regex_error(
                    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
                    "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
                    "my_name",
                    "MY_NAME",
                    "MyName",
                    "ReasonA,ReasonB",
                    "ReasonA:ReasonB",
                ),
            )
        if len(condition.get("message") or "") > 32 * 1024:
            errors.too_long(f"{where}.message", 32 * 1024)


_METRICS = {
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "External": "external",
}
_METRIC_NAMES = ("ContainerResource", "External", "Object", "Pods", "Resource")


def autoscaler(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if low is not None and low < 1:
        errors.invalid("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        errors.invalid("spec.maxReplicas", high, "must be greater than 0")
    if low is not None and high < low:
        errors.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    _reference(errors, spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    metrics = spec.get("metrics")
    _metrics(errors, metrics, low)
    behavior = spec.get("behavior")
    if behavior is not None:
        for name in ("scaleUp", "scaleDown"):
            if behavior.get(name) is not None:
                _scaling(errors, behavior[name], f"spec.behavior.{name}")
    if obj.get("apiVersion") == "autoscaling/v1":
        target = spec.get("targetCPUUtilizationPercentage")
        if target is not None and target < 1:
            errors.invalid("spec.metrics[0].resource.target.averageUtilization", target, "must be greater than 0")


def autoscaler_status(errors: Errors, obj: Obj, context: Context) -> None:
    for name in ("currentReplicas", "desiredReplicas"):
        errors.not_negative(f"status.{name}", at(obj, "status", name))


def _reference(errors: Errors, ref: Obj, path: str) -> None:
    for name in ("kind", "name"):
        if not ref.get(name):
            errors.required(f"{path}.{name}")
        else:
            errors.invalids(f"{path}.{name}", ref[name], names.path_segment(ref[name]))


def _metrics(errors: Errors, metrics: Any, low: Any) -> None:
    for where, metric in items(metrics, "spec.metrics"):
        _metric(errors, metric, where)
    if low == 0 and not any(m.get("type") in ("Object", "External") for m in metrics or ()):
        errors.forbidden(
            "spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas"
        )


def _metric(errors: Errors, metric: Obj, path: str) -> None:
    kind = metric.get("type") or ""
    if not kind:
        errors.required(f"{path}.type", "must specify a metric source type")
    if kind not in _METRIC_NAMES:
        errors.unsupported(f"{path}.type", kind, _METRIC_NAMES)
    given = [
        name for name in ("object", "external", "pods", "resource", "containerResource") if metric.get(name) is not None
    ]
    wanted = _METRICS.get(kind)
    if wanted is None:
        errors.unsupported(f"{path}.type", kind, _METRIC_NAMES)
        return
    if wanted not in given:
        errors.required(f"{path}.{wanted}", "must populate information for the given metric source")
    for name in given:
        source = metric[name] or {}
        if name != wanted:
            errors.forbidden(f"{path}.{name}", "must populate the given metric source only")
        else:
            _SOURCES[name](errors, source, f"{path}.{name}")


def _target(errors: Errors, target: Obj, path: str) -> None:
    kind = target.get("type") or ""
    if not kind:
        errors.required(f"{path}.type", "must specify a metric target type")
    errors.one_of(f"{path}.type", kind, ("Utilization", "Value", "AverageValue"))
    if target.get("averageUtilization") is not None and target["averageUtilization"] < 1:
        errors.invalid(f"{path}.averageUtilization", target["averageUtilization"], "must be greater than 0")
    for name in ("value", "averageValue"):
        if target.get(name) is not None and Quantity.of(target[name]).nanos <= 0:
            errors.invalid(f"{path}.{name}", str(target[name]), "must be positive")


def _metric_name(errors: Errors, metric: Obj, path: str) -> None:
    if not metric.get("name"):
        errors.required(f"{path}.name")
    else:
        errors.invalids(f"{path}.name", metric["name"], names.path_segment(metric["name"]))


def _object_source(errors: Errors, source: Obj, path: str) -> None:
    _reference(errors, source.get("describedObject") or {}, f"{path}.describedObject")
    _metric_name(errors, source.get("metric") or {}, f"{path}.metric")
    target = source.get("target") or {}
    _target(errors, target, f"{path}.target")
    if target.get("value") is None and target.get("averageValue") is None:
        errors.required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _pods_source(errors: Errors, source: Obj, path: str) -> None:
    _metric_name(errors, source.get("metric") or {}, f"{path}.metric")
    target = source.get("target") or {}
    _target(errors, target, f"{path}.target")
    if target.get("averageValue") is None or Quantity.of(target["averageValue"]).nanos <= 0:
        errors.required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _external_source(errors: Errors, source: Obj, path: str) -> None:
    _metric_name(errors, source.get("metric") or {}, f"{path}.metric")
    target = source.get("target") or {}
    _target(errors, target, f"{path}.target")
    if target.get("value") is None and target.get("averageValue") is None:
        errors.required(f"{path}.target.averageValue", "must set either a target value for metric or a per-pod target")
    if target.get("value") is not None and target.get("averageValue") is not None:
        errors.forbidden(f"{path}.target.value", "may not set both a target value for metric and a per-pod target")


def _resource_source(errors: Errors, source: Obj, path: str) -> None:
    if not source.get("name"):
        errors.required(f"{path}.name", "must specify a resource name")
    target = source.get("target") or {}
    _target(errors, target, f"{path}.target")
    if target.get("averageUtilization") is None and target.get("averageValue") is None:
        errors.required(
            f"{path}.target.averageUtilization", "must set either a target raw value or a target utilization"
        )
    if target.get("averageUtilization") is not None and target.get("averageValue") is not None:
        errors.forbidden(f"{path}.target.averageValue", "may not set both a target raw value and a target utilization")


def _container_source(errors: Errors, source: Obj, path: str) -> None:
    if not source.get("container"):
        errors.required(f"{path}.container", "must specify a container name")
    _resource_source(errors, source, path)


_SOURCES = {
    "object": _object_source,
    "pods": _pods_source,
    "external": _external_source,
    "resource": _resource_source,
    "containerResource": _container_source,
}


def _scaling(errors: Errors, rules: Obj, path: str) -> None:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        errors.invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > 3600:
        errors.invalid(f"{path}.stabilizationWindowSeconds", window, "must be less than or equal to 3600")
    if rules.get("selectPolicy") is not None:
        errors.one_of(f"{path}.selectPolicy", rules["selectPolicy"], ("Disabled", "Max", "Min"))
    if not rules.get("policies"):
        errors.required(f"{path}.policies", "must specify at least one Policy")
    for where, policy in items(rules.get("policies"), f"{path}.policies"):
        errors.one_of(f"{where}.type", policy.get("type"), ("Percent", "Pods"))
        if (policy.get("value") or 0) <= 0:
            errors.invalid(f"{where}.value", policy.get("value") or 0, "must be greater than zero")
        period = policy.get("periodSeconds") or 0
        if period <= 0:
            errors.invalid(f"{where}.periodSeconds", period, "must be greater than zero")
        if period > 1800:
            errors.invalid(f"{where}.periodSeconds", period, "must be less than or equal to 1800")
