"""ResourceQuotas and LimitRanges."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation import containers
from terrarium.kube.api.validation.fields import Errors, Raw, at, items

_SCOPES = (
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
)
_QUOTA_RESOURCES = (
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
)
_BEST_EFFORT = ("pods",)
_POD_RESOURCES = (
    "pods",
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
)


def _scoped(scope: str, resource: str) -> bool:
    if scope == "BestEffort":
        return resource in _BEST_EFFORT
    return resource in _POD_RESOURCES


def quota(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    amounts(errors, spec.get("hard"), "spec.hard", _quota_name)
    amounts(errors, at(obj, "status", "hard"), "status.hard", _quota_name)
    amounts(errors, at(obj, "status", "used"), "status.used", _quota_name)
    scopes = spec.get("scopes") or []
    if scopes:
        printed = Raw(gotext.strings(scopes).replace("[]string", "[]core.ResourceQuotaScope"))
        known = True
        for scope in scopes:
            if scope not in _SCOPES:
                errors.invalid("spec.scopes", printed, "unsupported scope")
                known = False
            for resource in sorted(spec.get("hard") or {}):
                if scope in _SCOPES and not _scoped(scope, resource):
                    errors.invalid("spec.scopes", printed, "unsupported scope applied to resource")
        if known and (
            {"BestEffort", "NotBestEffort"} <= set(scopes) or {"Terminating", "NotTerminating"} <= set(scopes)
        ):
            errors.invalid("spec.scopes", printed, "conflicting scopes")
    _scope_selector(errors, spec.get("scopeSelector"))


def _scope_selector(errors: Errors, selector: Any) -> None:
    path = "spec.scopeSelector.matchExpressions"
    for expression in (selector or {}).get("matchExpressions") or ():
        scope, operator, values = (
            expression.get("scopeName"),
            expression.get("operator"),
            expression.get("values") or (),
        )
        if scope not in _SCOPES:
            errors.invalid(f"{path}.scopeName", scope or "", "unsupported scope")
        if (
            scope in ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
            and operator != "Exists"
        ):
            errors.invalid(
                f"{path}.operator",
                operator or "",
                "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
            )
        if operator in ("In", "NotIn"):
            if not values:
                errors.required(
                    f"{path}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                )
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                errors.invalid(
                    f"{path}.values",
                    Raw(gotext.strings(list(values))),
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
                )
        else:
            errors.invalid(f"{path}.operator", operator or "", "not a valid selector operator")


def _quota_name(errors: Errors, name: str, path: str) -> None:
    containers.resource_name(errors, name, path)
    if (
        "/" not in name
        and name not in _QUOTA_RESOURCES
        and not name.startswith(("hugepages-", "requests.hugepages-", "limits.hugepages-"))
    ):
        errors.invalid(path, Raw(name), "must be a standard resource for quota")


def amounts(errors: Errors, held: Any, path: str, rule: Any) -> None:
    for name in sorted(held or {}):
        where = f"{path}[{name}]"
        rule(errors, name, where)
        containers.resource_value(errors, name, Quantity.of(held[name]), where)


def quota_update(errors: Errors, obj: Obj, context: Context) -> None:
    quota(errors, obj, context)
    fresh, held = set(at(obj, "spec", "scopes") or ()), set(at(context.old, "spec", "scopes") or ())
    if fresh != held:
        printed = gotext.strings(at(obj, "spec", "scopes")).replace("[]string", "[]core.ResourceQuotaScope")
        errors.invalid("spec.scopes", Raw(printed), "field is immutable")


def limit_range(errors: Errors, obj: Obj, context: Context) -> None:
    seen: set[str] = set()
    for where, item in items(at(obj, "spec", "limits"), "spec.limits"):
        kind = item.get("type") or ""
        errors.invalids(f"{where}.type", kind, names.qualified_name(kind))
        if kind in seen:
            errors.duplicate(f"{where}.type", kind)
        seen.add(kind)
        _limits(errors, item, kind, where)


def _limits(errors: Errors, item: Obj, kind: str, path: str) -> None:
    sides = {
        n: {k: Quantity.of(v) for k, v in (item.get(n) or {}).items()}
        for n in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
    }
    keys: set[str] = set()
    for name in ("max", "min"):
        for key in sorted(sides[name]):
            _limit_name(errors, key, kind, f"{path}.{name}[{key}]")
            keys.add(key)
    if kind == "Pod":
        for name in ("default", "defaultRequest"):
            if sides[name]:
                errors.forbidden(f"{path}.{name}", "may not be specified when `type` is 'Pod'")
    else:
        for name in ("default", "defaultRequest"):
            for key in sorted(sides[name]):
                _limit_name(errors, key, kind, f"{path}.{name}[{key}]")
                keys.add(key)
    if kind == "PersistentVolumeClaim" and "storage" not in sides["min"] and "storage" not in sides["max"]:
        errors.required(
            f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"
        )
    for key in sorted(sides["maxLimitRequestRatio"]):
        _limit_name(errors, key, kind, f"{path}.maxLimitRequestRatio[{key}]")
        keys.add(key)
    for key in sorted(keys):
        _bounds(errors, sides, key, path)


_ORDERED = (
    ("min", "max", "min", "min value {a} is greater than max value {b}"),
    ("min", "defaultRequest", "defaultRequest", "min value {a} is greater than default request value {b}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {a} is greater than max value {b}"),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {a} is greater than default limit value {b}",
    ),
    ("min", "default", "default", "min value {a} is greater than default value {b}"),
    ("default", "max", "default", "default value {a} is greater than max value {b}"),
)


def _bounds(errors: Errors, sides: dict[str, dict[str, Quantity]], key: str, path: str) -> None:
    for low, high, told, text in _ORDERED:
        a, b = sides[low].get(key), sides[high].get(key)
        if a is not None and b is not None and a > b:
            # The real one names the side whose path it tells, except that defaults are told by the upper bound.
            printed = b if told == "default" or told == high else a
            errors.invalid(f"{path}.{told}[{key}]", containers.quantity_text(printed), text.format(a=a, b=b))
    ratio = sides["maxLimitRequestRatio"].get(key)
    if ratio is not None and ratio.nanos < 10**9:
        errors.invalid(
            f"{path}.maxLimitRequestRatio[{key}]", containers.quantity_text(ratio), f"ratio {ratio} is less than 1"
        )
    top, bottom = sides["max"].get(key), sides["min"].get(key)
    if ratio is not None and top is not None and bottom is not None and bottom:
        limit = top.nanos / bottom.nanos
        if ratio.nanos / 10**9 > limit:
            errors.invalid(
                f"{path}.maxLimitRequestRatio[{key}]",
                containers.quantity_text(ratio),
                f"ratio {ratio} is greater than max/min = {limit:f}",
            )
    if containers.is_extended(key) or containers.is_hugepages(key):
        request, limited = sides["defaultRequest"].get(key), sides["default"].get(key)
        if limited is None and request is not None:
            errors.required(f"{path}.default[{key}]", "default limit must be set when default request is set")


def _limit_name(errors: Errors, name: str, kind: str, path: str) -> None:
    if kind in ("Pod", "Container"):
        containers.container_resource_name(errors, name, path)
    else:
        containers.resource_name(errors, name, path)
