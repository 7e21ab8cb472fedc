"""Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers, PodTemplates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.selectors import from_label_selector
from terrarium.kube.api.validation import meta, pod_warnings, pods
from terrarium.kube.api.validation.fields import Errors, Raw, at

MISMATCH = "`selector` does not match template `labels`"


def intstr(value: Any) -> Raw:
    """An IntOrString as Go prints its inside."""
    if isinstance(value, str):
        return Raw(f'intstr.IntOrString{{Type:1, IntVal:0, StrVal:"{value}"}}')
    return Raw(f'intstr.IntOrString{{Type:0, IntVal:{value or 0}, StrVal:""}}')


PERCENT_MESSAGE = names.regex_error(
    "a valid percent string must be a numeric string followed by an ending '%'", names.PERCENT, "1%", "93%"
)


def positive_int_or_percent(errors: Errors, value: Any, path: str) -> None:
    if value is None:
        return
    if isinstance(value, str):
        if not re.fullmatch(names.PERCENT, value):
            errors.invalid(path, intstr(value), PERCENT_MESSAGE)
    else:
        errors.not_negative(path, value)


def not_over_100(errors: Errors, value: Any, path: str) -> None:
    if isinstance(value, str) and re.fullmatch(names.PERCENT, value) and int(value[:-1]) > 100:
        errors.invalid(path, intstr(value), "must not be greater than 100%")


def _is_zero(value: Any) -> bool:
    return value is None or value == 0 or (isinstance(value, str) and value.rstrip("%") == "0")


def selector_and_template(errors: Errors, spec: Obj, kind: str, *, required: bool = True) -> None:
    """The selector's form, and that it fits the template's labels."""
    selector = spec.get("selector")
    if selector is None:
        errors.required("spec.selector")
    else:
        meta.label_selector(errors, selector, "spec.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.invalid(
                "spec.selector", Raw(gotext.label_selector(selector)), f"empty selector is invalid for {kind}"
            )
    if selector is not None and not meta.converts(selector):
        errors.invalid("spec.selector", Raw(gotext.label_selector(selector)), "invalid label selector")
    else:
        template_labels(errors, spec, selector)


def template_labels(errors: Errors, spec: Obj, selector: Any) -> None:
    labels = at(spec, "template", "metadata", "labels")
    matches = from_label_selector(selector)
    empty = selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions")
    if not empty and not matches.matches(labels):
        errors.invalid("spec.template.metadata.labels", Raw(gotext.string_map(labels)), MISMATCH)


def _template(errors: Errors, spec: Obj, *, path: str = "spec.template") -> None:
    pods.template_spec(errors, spec.get("template") or {}, path)


def _always(errors: Errors, spec: Obj) -> None:
    policy = at(spec, "template", "spec", "restartPolicy")
    if policy and policy != "Always":
        errors.unsupported("spec.template.spec.restartPolicy", policy, ("Always",))


def _no_deadline(errors: Errors, spec: Obj, kind: str) -> None:
    if at(spec, "template", "spec", "activeDeadlineSeconds") is not None:
        errors.forbidden(
            "spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"
        )


def _set_template(errors: Errors, spec: Obj, kind: str) -> None:
    """A template of ReplicaSets, Deployments and controllers."""
    _template(errors, spec)
    _always(errors, spec)
    _no_deadline(errors, spec, kind)


def deployment(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    errors.not_negative("spec.replicas", spec.get("replicas"))
    selector = spec.get("selector")
    if selector is None:
        errors.required("spec.selector")
    else:
        meta.label_selector(errors, selector, "spec.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.invalid(
                "spec.selector", Raw(gotext.label_selector(selector)), "empty selector is invalid for deployment"
            )
    if selector is not None and not meta.converts(selector):
        errors.invalid("spec.selector", Raw(gotext.label_selector(selector)), "invalid label selector")
    else:
        template_labels(errors, spec, selector)
        _set_template(errors, spec, "ReplicaSet")
    _deployment_strategy(errors, spec.get("strategy") or {})
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        errors.not_negative("spec.progressDeadlineSeconds", deadline)
        if deadline <= (spec.get("minReadySeconds") or 0):
            errors.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _deployment_strategy(errors: Errors, strategy: Obj) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    path = "spec.strategy"
    if kind == "Recreate":
        if rolling is not None:
            errors.forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        if rolling is None:
            errors.required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
            return
        _rolling(errors, rolling, f"{path}.rollingUpdate")
    else:
        errors.unsupported(path, _printed(strategy, "Deployment", "Deployment"), ("Recreate", "RollingUpdate"))


def _printed(strategy: Obj, kind: str, rolling: str) -> Raw:
    """A strategy as Go prints it."""
    held = "nil" if strategy.get("rollingUpdate") is None else "0xc000000000"
    word = "Strategy" if kind == "Deployment" else "UpdateStrategy"
    return Raw(
        f"apps.{kind}{word}{{Type:{gotext.quote(strategy.get('type') or '')}, "
        f"RollingUpdate:(*apps.RollingUpdate{rolling})({held})}}"
    )


def _rolling(errors: Errors, rolling: Obj, path: str) -> None:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    positive_int_or_percent(errors, unavailable, f"{path}.maxUnavailable")
    positive_int_or_percent(errors, surge, f"{path}.maxSurge")
    if _is_zero(unavailable) and _is_zero(surge):
        errors.invalid(f"{path}.maxUnavailable", intstr(unavailable), "may not be 0 when `maxSurge` is 0")
    not_over_100(errors, unavailable, f"{path}.maxUnavailable")


def fixed_selector(errors: Errors, obj: Obj, old: Obj) -> None:
    fresh, held = at(obj, "spec", "selector"), at(old, "spec", "selector")
    if fresh != held:
        errors.invalid(
            "spec.selector", Raw(gotext.label_selector(fresh)) if fresh is not None else None, "field is immutable"
        )


def deployment_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    deployment(errors, obj, context)
    fixed_selector(errors, obj, context.old)


def deployment_status(errors: Errors, obj: Obj, context: Context) -> None:
    status = obj.get("status") or {}
    for name in (
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ):
        errors.not_negative(f"status.{name}", status.get(name))
    if status.get("collisionCount") is not None:
        errors.not_negative("status.collisionCount", status["collisionCount"])
        held = at(context.old, "status", "collisionCount")
        if held is not None and status["collisionCount"] < held:
            errors.invalid("status.collisionCount", status["collisionCount"], "cannot be decremented")
    _not_more(errors, status, "replicas", ("updatedReplicas", "readyReplicas", "availableReplicas"))
    if (status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        errors.invalid(
            "status.availableReplicas", status.get("availableReplicas") or 0, "cannot be greater than readyReplicas"
        )


def _not_more(errors: Errors, status: Obj, limit: str, fields: Sequence[str]) -> None:
    for name in fields:
        if (status.get(name) or 0) > (status.get(limit) or 0):
            errors.invalid(f"status.{name}", status.get(name) or 0, f"cannot be greater than status.{limit}")


def replica_set_status(errors: Errors, obj: Obj, context: Context) -> None:
    status = obj.get("status") or {}
    for name in ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"):
        errors.not_negative(f"status.{name}", status.get(name))
    _not_more(errors, status, "replicas", ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"))
    if (status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        errors.invalid(
            "status.availableReplicas", status.get("availableReplicas") or 0, "cannot be greater than readyReplicas"
        )


def replica_set(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    errors.not_negative("spec.replicas", spec.get("replicas"))
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector_and_template(errors, spec, "deployment")
    if spec.get("selector") is None or meta.converts(spec.get("selector")):
        _set_template(errors, spec, "ReplicaSet")


def replica_set_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    replica_set(errors, obj, context)
    fixed_selector(errors, obj, context.old)


def controller(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector") or {}
    if not selector:
        errors.required("spec.selector")
    errors.not_negative("spec.replicas", spec.get("replicas"))
    if spec.get("template") is None:
        errors.required("spec.template")
        return
    labels = at(spec, "template", "metadata", "labels") or {}
    if selector and any(labels.get(k) != v for k, v in selector.items()):
        errors.invalid("spec.template.metadata.labels", Raw(gotext.string_map(labels or None)), MISMATCH)
    _set_template(errors, spec, "ReplicationController")


def stateful_set(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    management = spec.get("podManagementPolicy")
    if not management:
        errors.required("spec.podManagementPolicy")
    elif management not in ("OrderedReady", "Parallel"):
        errors.invalid("spec.podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'")
    strategy = spec.get("updateStrategy") or {}
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        errors.required("spec.updateStrategy")
    elif kind == "OnDelete":
        if rolling is not None:
            printed = (
                f"apps.RollingUpdateStatefulSetStrategy{{Partition:{rolling.get('partition') or 0}, "
                "MaxUnavailable:(*intstr.IntOrString)(nil)}"
            )
            errors.invalid(
                "spec.updateStrategy.rollingUpdate", Raw(printed), "only allowed for updateStrategy 'RollingUpdate'"
            )
    elif kind == "RollingUpdate":
        errors.not_negative("spec.updateStrategy.rollingUpdate.partition", (rolling or {}).get("partition"))
    else:
        errors.invalid(
            "spec.updateStrategy",
            _printed(strategy, "StatefulSet", "StatefulSetStrategy"),
            "must be 'RollingUpdate' or 'OnDelete'",
        )
    policy = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for name in ("whenDeleted", "whenScaled"):
        errors.one_of(f"spec.persistentVolumeClaimRetentionPolicy.{name}", policy.get(name), ("Retain", "Delete"))
    errors.not_negative("spec.replicas", spec.get("replicas"))
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors.not_negative("spec.ordinals.start", at(spec, "ordinals", "start"))
    selector = spec.get("selector")
    if selector is None:
        errors.required("spec.selector")
    else:
        meta.label_selector(errors, selector, "spec.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.invalid(
                "spec.selector", Raw(gotext.label_selector(selector)), "empty selector is invalid for statefulset"
            )
    if selector is not None and not meta.converts(selector):
        errors.invalid("spec.selector", Raw(gotext.label_selector(selector)), "")
    else:
        template_labels(errors, spec, selector)
        _template(errors, spec)
    _always(errors, spec)
    _no_deadline(errors, spec, "StatefulSet")


_SET_FREE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
SET_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def stateful_set_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    stateful_set(errors, obj, context)
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    if {k: v for k, v in spec.items() if k not in _SET_FREE} != {k: v for k, v in old.items() if k not in _SET_FREE}:
        errors.forbidden("spec", SET_FIXED)


def stateful_set_status(errors: Errors, obj: Obj, context: Context) -> None:
    status = obj.get("status") or {}
    for name in (
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "observedGeneration",
        "collisionCount",
    ):
        errors.not_negative(f"status.{name}", status.get(name))
    _not_more(errors, status, "replicas", ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"))


def daemon_set(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    selector = spec.get("selector")
    meta.label_selector(errors, selector, "spec.selector")
    if selector is None or meta.converts(selector):
        template_labels(errors, spec, selector)
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.invalid("spec.selector", Raw(gotext.label_selector(selector)), "empty selector is invalid for daemonset")
    _template(errors, spec)
    _always(errors, spec)
    _no_deadline(errors, spec, "DaemonSet")
    errors.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "RollingUpdate":
        rolling = strategy.get("rollingUpdate")
        if rolling is None:
            errors.required("spec.updateStrategy.rollingUpdate")
        else:
            _daemon_rolling(errors, rolling, "spec.updateStrategy.rollingUpdate")
    elif strategy.get("type") != "OnDelete":
        printed = _printed(strategy, "DaemonSet", "DaemonSet")
        errors.unsupported("spec.updateStrategy", printed, ("RollingUpdate", "OnDelete"))
    errors.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))


def _daemon_rolling(errors: Errors, rolling: Obj, path: str) -> None:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    positive_int_or_percent(errors, unavailable, f"{path}.maxUnavailable")
    positive_int_or_percent(errors, surge, f"{path}.maxSurge")
    not_over_100(errors, unavailable, f"{path}.maxUnavailable")
    not_over_100(errors, surge, f"{path}.maxSurge")
    if not _is_zero(unavailable) and not _is_zero(surge):
        errors.invalid(f"{path}.maxSurge", intstr(surge), "may not be set when maxUnavailable is non-zero")
    elif _is_zero(unavailable) and _is_zero(surge):
        errors.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def daemon_set_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    daemon_set(errors, obj, context)
    fixed_selector(errors, obj, context.old)


def daemon_set_status(errors: Errors, obj: Obj, context: Context) -> None:
    status = obj.get("status") or {}
    for name in (
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    ):
        errors.not_negative(f"status.{name}", status.get(name))


def pod_template(errors: Errors, obj: Obj, context: Context) -> None:
    _template(errors, {"template": obj.get("template")}, path="template")


# -- warnings ---------------------------------------------------------------------------------------------------------

NAME_WARNING = (
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
    "a DNS label is recommended: [{}]"
)


def name_warnings(obj: Obj, context: Context) -> list[str]:
    faults = names.dns_label(at(obj, "metadata", "name") or "") if context.old is None else []
    return [NAME_WARNING.format(" ".join(faults))] if faults else []


def template_warnings(obj: Obj, context: Context) -> Sequence[str]:
    found = name_warnings(obj, context) if obj.get("kind") != "DaemonSet" else []
    return found + pod_warnings.spec_warnings(at(obj, "spec", "template", "spec") or {}, "spec.template.spec")


def daemon_warnings(obj: Obj, context: Context) -> Sequence[str]:
    return pod_warnings.spec_warnings(at(obj, "spec", "template", "spec") or {}, "spec.template.spec")


def cron_warnings(obj: Obj, context: Context) -> Sequence[str]:
    found = name_warnings(obj, context)
    return found + pod_warnings.spec_warnings(
        at(obj, "spec", "jobTemplate", "spec", "template", "spec") or {}, "spec.jobTemplate.spec.template.spec"
    )
