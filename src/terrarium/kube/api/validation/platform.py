"""Configuration, quotas, nodes, events, leases, budgets, autoscalers, priority and runtime classes, certificates."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation import containers, meta, scheduling
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.workloads import not_over_100, positive_int_or_percent

LARGEST = 1024 * 1024


# -- configuration ----------------------------------------------------------------------------------------------------


def config_map(errors: Errors, obj: Obj, context: Context) -> None:
    total = 0
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in sorted(data):
        errors.invalids(f"data[{key}]", key, names.config_map_key(key))
        if key in binary:
            errors.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        total += len(data[key].encode())
    for key in sorted(binary):
        errors.invalids(f"binaryData[{key}]", key, names.config_map_key(key))
        total += len(base64.b64decode(binary[key] or ""))
    if total > LARGEST:
        errors.too_long("", LARGEST)


def _frozen(errors: Errors, obj: Obj, old: Obj, *fields: str) -> None:
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        errors.forbidden("immutable", "field is immutable when `immutable` is set")
    for name in fields:
        if (obj.get(name) or {}) != (old.get(name) or {}):
            errors.forbidden(name, "field is immutable when `immutable` is set")


def config_map_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    _frozen(errors, obj, context.old, "data", "binaryData")
    config_map(errors, obj, context)


_NEEDS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def secret(errors: Errors, obj: Obj, context: Context) -> None:
    data = obj.get("data") or {}
    total = 0
    for key in sorted(data):
        errors.invalids(f"data[{key}]", key, names.config_map_key(key))
        total += len(base64.b64decode(data[key] or ""))
    if total > LARGEST:
        errors.too_long("data", LARGEST)
    kind = obj.get("type") or ""
    if kind == "kubernetes.io/service-account-token":
        if not at(obj, "metadata", "annotations", "kubernetes.io/service-account.name"):
            errors.required("metadata.annotations[kubernetes.io/service-account.name]")
    elif kind == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
        errors.required("data[username]")
        errors.required("data[password]")
    for key in _NEEDS.get(kind, ()):
        if key not in data:
            errors.required(f"data[{key}]")
        elif kind.startswith("kubernetes.io/docker"):
            try:
                json.loads(base64.b64decode(data[key] or ""))
            except ValueError:
                errors.invalid(f"data[{key}]", "<secret contents redacted>", "invalid character")
        elif kind == "kubernetes.io/ssh-auth" and not data[key]:
            errors.required(f"data[{key}]")


def secret_warnings(obj: Obj, context: Context) -> list[str]:
    """A TLS secret whose pair can't be read is kept, with a warning."""
    if obj.get("type") != "kubernetes.io/tls":
        return []
    data = obj.get("data") or {}
    if b"-----BEGIN" not in base64.b64decode(data.get("tls.crt") or ""):
        return ["tls: failed to find any PEM data in certificate input"]
    if b"-----BEGIN" not in base64.b64decode(data.get("tls.key") or ""):
        return ["tls: failed to find any PEM data in key input"]
    return []


def secret_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    errors.immutable("type", obj.get("type"), context.old.get("type"))
    _frozen(errors, obj, context.old, "data")
    secret(errors, obj, context)


# -- quotas and limits ------------------------------------------------------------------------------------------------

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


# -- nodes ------------------------------------------------------------------------------------------------------------


def node(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    scheduling.taints(errors, spec.get("taints"), "metadata.taints")
    _node_capacity(errors, obj)
    _cidrs(errors, spec)
    if (spec.get("configSource") or None) is not None:
        errors.forbidden("spec.configSource", "configSource may not be set")


def _node_capacity(errors: Errors, obj: Obj) -> None:
    for side in ("capacity", "allocatable"):
        held = at(obj, "status", side) or {}
        for name in sorted(held):
            containers.resource_value(errors, name, Quantity.of(held[name]), f"status.{side}.{name}")


def _cidrs(errors: Errors, spec: Obj) -> None:
    held = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    for index, text in enumerate(held):
        try:
            ok = "/" in text and bool(ipaddress.ip_network(text, strict=False))
        except ValueError:
            ok = False
        if not ok:
            errors.invalid(
                f"spec.podCIDRs[{index}]", text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            )


def node_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    _node_capacity(errors, obj)
    addresses = at(obj, "status", "addresses") or []
    seen: list[Any] = []
    for where, address in items(addresses, "status.addresses"):
        if address in seen:
            errors.duplicate(
                where, Raw(f'core.NodeAddress{{Type:"{address.get("type")}", Address:"{address.get("address")}"}}')
            )
        seen.append(address)
    held = old.get("podCIDRs") or []
    if held and (spec.get("podCIDRs") or []) != held:
        errors.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if old.get("providerID") and spec.get("providerID") != old.get("providerID"):
        errors.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')
    scheduling.taints(errors, spec.get("taints"), "metadata.taints")


# -- events and leases ------------------------------------------------------------------------------------------------

EVENTS = "events.k8s.io/v1"


def event(errors: Errors, obj: Obj, context: Context) -> None:
    """Core events are hardly checked; those of events.k8s.io fully."""
    namespace = at(obj, "metadata", "namespace") or ""
    modern = obj.get("apiVersion") == EVENTS
    involved = (obj.get("regarding") if modern else obj.get("involvedObject")) or {}
    target = involved.get("namespace") or ""
    if target:
        if namespace != target:
            errors.invalid("involvedObject.namespace", target, "does not match event.namespace")
    elif namespace not in ("", "default", "kube-system"):
        errors.invalid("involvedObject.namespace", target, "does not match event.namespace")
    if not modern or context.old is not None:
        return
    if obj.get("eventTime") is None:
        errors.required("eventTime")
    for name, limit in (("reportingController", 128), ("reportingInstance", 128), ("action", 128), ("reason", 128)):
        text = obj.get(name) or ""
        if not text:
            errors.required(name)
        elif name == "reportingController":
            errors.invalids(name, text, names.qualified_name(text))
        elif len(text) > limit:
            errors.invalid(name, "", f"can have at most {limit} characters")
    if len(obj.get("note") or "") > 1024:
        errors.invalid("message", "", "can have at most 1024 characters")
    if obj.get("type") not in ("Normal", "Warning"):
        errors.invalid("type", "", f"has invalid value: {obj.get('type') or ''}")
    for old, told in (
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("deprecatedSource", "source"),
    ):
        if obj.get(old):
            errors.invalid(told, "", "needs to be unset")


_EVENT_FIXED = (
    "regarding",
    "reason",
    "action",
    "reportingController",
    "reportingInstance",
    "type",
    "related",
    "eventTime",
)


def event_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    event(errors, obj, context)
    if obj.get("apiVersion") == EVENTS:
        for name in _EVENT_FIXED:
            path = {"regarding": "involvedObject"}.get(name, name)
            if (obj.get(name) or None) != (context.old.get(name) or None):
                errors.invalid(path, Raw(gotext.v(obj.get(name))), "field is immutable")


def lease(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    if spec.get("leaseDurationSeconds") is not None and spec["leaseDurationSeconds"] <= 0:
        errors.invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
    if spec.get("leaseTransitions") is not None and spec["leaseTransitions"] < 0:
        errors.invalid("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0")
    if spec.get("holderIdentity") is not None and not spec["holderIdentity"]:
        errors.invalid("spec.holderIdentity", "", "must not be empty")


# -- policy, autoscaling, classes -------------------------------------------------------------------------------------


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


def priority_class(errors: Errors, obj: Obj, context: Context) -> None:
    name, value = at(obj, "metadata", "name") or "", obj.get("value") or 0
    if name.startswith("system-"):
        known = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
        if name not in known:
            errors.forbidden(
                "metadata.name",
                "priority class names with 'system-' prefix are reserved for system use only. error: "
                + f"{name} is not a known system priority class",
            )
        elif value != known[name]:
            errors.forbidden(
                "metadata.name",
                f"priority class names with 'system-' prefix are reserved for system use only. error: value of {name} PriorityClass must be {known[name]}",
            )
    elif value > 1_000_000_000:
        errors.forbidden("value", f"maximum allowed value of a user defined priority is {1_000_000_000}")
    if obj.get("preemptionPolicy") is not None:
        errors.required_one_of("preemptionPolicy", obj["preemptionPolicy"], ("PreemptLowerPriority", "Never"))


def priority_class_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    if (obj.get("value") or 0) != (context.old.get("value") or 0):
        errors.forbidden("value", "may not be changed in an update.")
    errors.immutable("preemptionPolicy", obj.get("preemptionPolicy"), context.old.get("preemptionPolicy"))


def runtime_class(errors: Errors, obj: Obj, context: Context) -> None:
    handler = obj.get("handler") or ""
    errors.invalids("handler", handler, names.dns_label(handler))
    fixed = at(obj, "overhead", "podFixed")
    if fixed is not None:
        for name in sorted(fixed):
            where = f"overhead.limits[{name}]"
            containers.container_resource_name(errors, name, where)
            containers.resource_value(errors, name, Quantity.of(fixed[name]), where)
    selected = obj.get("scheduling")
    if selected is not None:
        meta.labels(errors, selected.get("nodeSelector"), "scheduling.nodeSelector")
        scheduling.tolerations(errors, selected.get("tolerations"), "scheduling.tolerations")


def runtime_class_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    errors.immutable("handler", obj.get("handler"), context.old.get("handler"))


# -- certificates and the rest ----------------------------------------------------------------------------------------

USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)


def certificate_request(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    _request(errors, spec.get("request"))
    usages = spec.get("usages") or []
    if not usages:
        errors.required("spec.usages")
    for index, usage in enumerate(usages):
        if usage not in USAGES:
            errors.unsupported(f"spec.usages[{index}]", usage, USAGES)
        elif usage in usages[:index]:
            errors.duplicate(f"spec.usages[{index}]", usage)
    signer = spec.get("signerName") or ""
    _signer(errors, signer)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        errors.invalid(
            "spec.expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)"
        )


def _request(errors: Errors, request: Any) -> None:
    from cryptography import x509

    try:
        x509.load_pem_x509_csr(base64.b64decode(request or ""))
    except ValueError:
        raw = base64.b64decode(request or "")
        printed = "[]byte{" + ", ".join(f"0x{byte:x}" for byte in raw) + "}"
        errors.invalid("spec.request", Raw(printed), "PEM block type must be CERTIFICATE REQUEST")


def _signer(errors: Errors, signer: str) -> None:
    if not signer:
        errors.required("spec.signerName")
        return
    if len(signer) > 571:
        errors.too_long("spec.signerName", 571)
    domain, slash, path = signer.partition("/")
    if not slash:
        errors.invalid(
            "spec.signerName", signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        )
        return
    if len(domain.split(".")) < 2:
        errors.invalid("spec.signerName", signer, "should be a domain with at least two segments separated by dots")
    for fault in names.dns_subdomain(domain):
        errors.invalid("spec.signerName", signer, f"validating label {gotext.quote(domain)}: {fault}")
    for fault in names.dns_subdomain(path):
        errors.invalid("spec.signerName", signer, f"validating label {gotext.quote(path)}: {fault}")


def certificate_update(errors: Errors, obj: Obj, context: Context) -> None:
    held = at(obj, "status", "certificate")
    if held and b"BEGIN CERTIFICATE" not in base64.b64decode(held):
        errors.invalid("status.certificate", "<certificate data>", "must contain at least one CERTIFICATE PEM block")
    certificate_conditions(errors, obj)


_DECISIONS = ("Approved", "Denied")


def _kinds(obj: Any) -> list[str]:
    return [c.get("type") or "" for c in at(obj, "status", "conditions") or ()]


def _kept_decisions(errors: Errors, obj: Obj, context: Context, *, adding: bool) -> None:
    fresh, held = _kinds(obj), _kinds(context.old)
    for kind in (*_DECISIONS, "Failed"):
        if kind in held and kind not in fresh:
            errors.forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"')
        if not adding and kind in _DECISIONS and kind in fresh and kind not in held:
            errors.forbidden("status.conditions", f'updates may not add a condition of type "{kind}"')


def certificate_status(errors: Errors, obj: Obj, context: Context) -> None:
    """Its signer may not decide on it."""
    _kept_decisions(errors, obj, context, adding=False)
    certificate_update(errors, obj, context)


def certificate_approval(errors: Errors, obj: Obj, context: Context) -> None:
    """A decision stays."""
    _kept_decisions(errors, obj, context, adding=True)
    certificate_update(errors, obj, context)


def certificate_conditions(errors: Errors, obj: Obj) -> None:
    seen: dict[str, int] = {}
    for where, condition in items(at(obj, "status", "conditions"), "status.conditions"):
        kind = condition.get("type") or ""
        if not kind:
            errors.required(f"{where}.type")
        elif kind in ("Approved", "Denied", "Failed") and condition.get("status") not in ("True",):
            if not condition.get("status"):
                errors.required(f"{where}.status")
            else:
                errors.unsupported(f"{where}.status", condition["status"], ("True",))
        if kind in ("Approved", "Denied") and {"Approved", "Denied"} - {kind} & set(seen):
            errors.invalid(f"{where}.type", kind, "Approved and Denied conditions are mutually exclusive")
        if kind in seen:
            errors.duplicate(f"{where}.type", kind)
        seen[kind] = 1


def revision(errors: Errors, obj: Obj, context: Context) -> None:
    if obj.get("data") is None:
        errors.required("data", "data is mandatory")
    if (obj.get("revision") or 0) < 0:
        errors.invalid("revision", obj["revision"], "must be greater than or equal to 0")


def revision_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    if obj.get("data") != context.old.get("data"):
        errors.invalid("data", Raw(gotext.v(obj.get("data"))), "field is immutable")
    revision(errors, obj, context)


def namespace_finalize(errors: Errors, obj: Obj, context: Context) -> None:
    for index, name in enumerate(at(obj, "spec", "finalizers") or ()):
        errors.invalids(f"spec.finalizers[{index}]", name, names.qualified_name(name))
        if "/" not in name and name not in meta.STANDARD_FINALIZERS:
            errors.invalid(
                f"spec.finalizers[{index}]", name, "name is neither a standard finalizer name nor is it fully qualified"
            )


def namespace_status(errors: Errors, obj: Obj, context: Context) -> None:
    phase = at(obj, "status", "phase")
    if not at(obj, "metadata", "deletionTimestamp"):
        if phase != "Active":
            errors.invalid("status.Phase", phase or "", "may only be 'Active' if `deletionTimestamp` is empty")
    elif phase != "Terminating":
        errors.invalid("status.Phase", phase or "", "may only be 'Terminating' if `deletionTimestamp` is not empty")
