"""Jobs and CronJobs."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api import cron, gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.selectors import from_label_selector
from terrarium.kube.api.times import parse_time
from terrarium.kube.api.validation import meta, pods
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.workloads import MISMATCH, fixed_selector

JOB_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_COUNTED = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
)


def job_spec(errors: Errors, spec: Obj, path: str) -> None:
    """`validateJobSpec`: counts, modes, policies, template."""
    for name in _COUNTED:
        errors.not_negative(f"{path}.{name}", spec.get(name))
    if spec.get("maxFailedIndexes") is not None:
        errors.not_negative(f"{path}.maxFailedIndexes", spec["maxFailedIndexes"])
        if spec.get("backoffLimitPerIndex") is None:
            errors.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if spec.get("managedBy") is not None:
        errors.invalids(f"{path}.managedBy", spec["managedBy"], _domain_path(spec["managedBy"]))
        if len(spec["managedBy"]) > 63:
            errors.too_long(f"{path}.managedBy", 63)
    mode = spec.get("completionMode")
    indexed = mode == "Indexed"
    if mode is not None:
        errors.one_of(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))
        if indexed:
            if spec.get("completions") is None:
                errors.required(f"{path}.completions", "when completion mode is Indexed")
            if (spec.get("parallelism") or 0) > 100_000:
                errors.invalid(
                    f"{path}.parallelism",
                    spec["parallelism"],
                    "must be less than or equal to 100000 when completion mode is Indexed",
                )
    if not indexed:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(name) is not None:
                errors.invalid(f"{path}.{name}", spec[name], "requires indexed completion mode")
    if spec.get("podFailurePolicy") is not None:
        _failure_policy(errors, spec, path)
    if spec.get("successPolicy") is not None:
        if not indexed:
            errors.invalid(f"{path}.successPolicy", Raw("batch.SuccessPolicy{}"), "requires indexed completion mode")
        else:
            _success_policy(errors, spec, f"{path}.successPolicy.rules")
    replacement = spec.get("podReplacementPolicy")
    if replacement is not None:
        known = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
        errors.one_of(f"{path}.podReplacementPolicy", replacement, known)
    pods.template_spec(errors, spec.get("template") or {}, f"{path}.template")
    policy = at(spec, "template", "spec", "restartPolicy") or ""
    where = f"{path}.template.spec.restartPolicy"
    if policy in ("", "Always"):
        errors.required(where, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        errors.unsupported(where, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        errors.invalid(where, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _domain_path(text: str) -> list[str]:
    domain, slash, rest = text.partition("/")
    if not slash or not domain or not rest:
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    return names.dns_subdomain(domain)


def _failure_policy(errors: Errors, spec: Obj, path: str) -> None:
    rules_path = f"{path}.podFailurePolicy.rules"
    containers = {
        c.get("name") for n in ("containers", "initContainers") for c in at(spec, "template", "spec", n) or ()
    }
    for where, rule in items(at(spec, "podFailurePolicy", "rules"), rules_path):
        action = rule.get("action") or ""
        if not action:
            errors.required(f"{where}.action", 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]')
        elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            errors.invalid(f"{where}.action", action, "requires the backoffLimitPerIndex to be set")
        elif action not in _ACTIONS:
            errors.unsupported(f"{where}.action", action, _ACTIONS)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes is not None:
            _exit_codes(errors, codes, f"{where}.onExitCodes", containers)
        for inner, condition in items(conditions, f"{where}.onPodConditions"):
            kind = condition.get("type") or ""
            errors.invalids(f"{inner}.type", kind, names.qualified_name(kind))
            errors.one_of(f"{inner}.status", condition.get("status"), ("False", "True", "Unknown"))
        if codes is not None and conditions:
            errors.invalid(where, Raw(""), "specifying both OnExitCodes and OnPodConditions is not supported")
        if codes is None and not conditions:
            errors.invalid(where, Raw(""), "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_codes(errors: Errors, codes: Obj, path: str, containers: set[Any]) -> None:
    operator = codes.get("operator") or ""
    if not operator:
        errors.required(f"{path}.operator", 'valid values: ["In" "NotIn"]')
    elif operator not in ("In", "NotIn"):
        errors.unsupported(f"{path}.operator", operator, ("In", "NotIn"))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        errors.invalid(
            f"{path}.containerName", name, "must be one of the container or initContainer names in the pod template"
        )
    values = codes.get("values") or []
    if not values:
        errors.invalid(f"{path}.values", Raw("[]int32{}"), "at least one value is required")
    elif len(values) > 255:
        errors.too_many(f"{path}.values", len(values), 255)
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in values[:index]:
            errors.duplicate(f"{path}.values[{index}]", value)
    if values != sorted(values):
        errors.invalid(f"{path}.values", Raw(gotext.v(values)), "must be ordered")


def _success_policy(errors: Errors, spec: Obj, path: str) -> None:
    rules = at(spec, "successPolicy", "rules") or []
    if not rules:
        errors.required(path, "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > 20:
        errors.too_many(path, len(rules), 20)
    for where, rule in items(rules, path):
        count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
        if count is None and indexes is None:
            errors.required(where, "at least one of succeededCount or succeededIndexes must be specified")
        if count is not None and count < 1:
            errors.invalid(f"{where}.succeededCount", count, "must be greater than or equal to 1")
        if count is not None and count > (spec.get("completions") or 0):
            errors.invalid(
                f"{where}.succeededCount",
                count,
                f"must be less than or equal to {spec.get('completions') or 0} (the number of specified completions)",
            )


def _whole_job_spec(errors: Errors, spec: Obj) -> None:
    selector = spec.get("selector")
    if selector is None:
        errors.required("spec.selector")
    else:
        meta.label_selector(errors, selector, "spec.selector")
    if selector is None or meta.converts(selector):
        labels = at(spec, "template", "metadata", "labels")
        if not from_label_selector(selector).matches(labels):
            errors.invalid("spec.template.metadata.labels", Raw(gotext.string_map(labels)), MISMATCH)
    job_spec(errors, spec, "spec")


def job(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    if at(obj, "metadata", "labels") == at(spec, "template", "metadata", "labels"):
        # The job has its template's labels, but only once it has been checked.
        errors[:] = [error for error in errors if error.field != "metadata.labels"]
    _generated_selector(errors, obj)
    _whole_job_spec(errors, spec)
    if (
        spec.get("completionMode") == "Indexed"
        and spec.get("completions")
        and not names.dns_label(at(obj, "metadata", "name") or "")
    ):
        last = f"{obj['metadata']['name']}-{spec['completions'] - 1}"
        for _ in names.dns_label(last):
            errors.invalid(
                "metadata.name", obj["metadata"]["name"], f"will not able to create pod with invalid DNS label: {last}"
            )


def _generated_selector(errors: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    if spec.get("manualSelector"):
        return
    selector, held = spec.get("selector"), obj.get("metadata") or {}
    if selector is None:
        return
    labels = at(spec, "template", "metadata", "labels") or {}
    printed = Raw(gotext.string_map(labels))
    for key, value in (
        ("controller-uid", held.get("uid", "")),
        (JOB_UID, held.get("uid", "")),
        ("job-name", held.get("name", "")),
        (JOB_NAME, held.get("name", "")),
    ):
        if key not in labels:
            errors.required(f"spec.template.metadata.labels[{key}]", f"must be '{value}'")
        elif labels[key] != value:
            errors.invalid(f"spec.template.metadata.labels[{key}]", printed, f"must be '{value}'")
    expected = (
        {"matchLabels": {JOB_UID: held.get("uid", "")}},
        {"matchLabels": {"controller-uid": held.get("uid", "")}},
    )
    if {k: v for k, v in selector.items() if v} not in expected:
        errors.invalid("spec.selector", Raw(gotext.label_selector(selector)), "`selector` not auto-generated")


def job_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    job(errors, obj, context)
    # The real one checks the spec once as that of a job and once as that of an update.
    _whole_job_spec(errors, spec)
    _completions(errors, spec, old)
    fixed_selector(errors, obj, context.old)
    _job_template(errors, spec, old, context.old)
    for name, printed in (
        ("completionMode", ...),
        ("podFailurePolicy", Raw("batch.PodFailurePolicy{}")),
        ("backoffLimitPerIndex", ...),
        ("managedBy", ...),
        ("successPolicy", Raw("batch.SuccessPolicy{}")),
    ):
        if spec.get(name) != old.get(name):
            value = spec.get(name)
            errors.invalid(f"spec.{name}", value if printed is ... or value is None else printed, "field is immutable")


def _completions(errors: Errors, spec: Obj, old: Obj) -> None:
    fresh, held = spec.get("completions"), old.get("completions")
    if fresh == held:
        return
    indexed = spec.get("completionMode") == "Indexed"
    if not indexed or held is None or fresh is None:
        errors.invalid("spec.completions", fresh, "field is immutable")
    elif fresh != spec.get("parallelism") or held != old.get("parallelism"):
        errors.invalid("spec.completions", fresh, "can only be modified in tandem with spec.parallelism")


def _job_template(errors: Errors, spec: Obj, old: Obj, stored: Obj) -> None:
    fresh, held = spec.get("template") or {}, old.get("template") or {}
    suspended = old.get("suspend") and at(stored, "status", "startTime") is None
    if suspended:
        fresh, held = _schedulable(fresh), _schedulable(held)
    if fresh != held:
        errors.invalid("spec.template", Raw("core.PodTemplateSpec{}"), "field is immutable")


def _schedulable(template: Obj) -> Obj:
    """A template without what may change while a job is suspended."""
    spec = dict(template.get("spec") or {})
    affinity = dict(spec.get("affinity") or {})
    affinity.pop("nodeAffinity", None)
    spec["affinity"] = affinity or None
    for name in ("nodeSelector", "tolerations", "schedulingGates"):
        spec.pop(name, None)
    held = {k: v for k, v in (template.get("metadata") or {}).items() if k not in ("labels", "annotations")}
    return {"metadata": held, "spec": spec}


def _condition(status: Obj, kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in status.get("conditions") or ())


def job_status(errors: Errors, obj: Obj, context: Context) -> None:
    status, old = obj.get("status") or {}, at(context.old, "status") or {}
    for name in ("active", "succeeded", "failed", "ready", "terminating"):
        errors.not_negative(f"status.{name}", status.get(name))
    if status.get("ready") is not None and status["ready"] > (status.get("active") or 0):
        errors.invalid("status.ready", status["ready"], "cannot set more ready pods than active")
    complete, failed = _condition(status, "Complete"), _condition(status, "Failed")
    if complete:
        if status.get("completionTime") is None:
            errors.required("status.completionTime", "completionTime is required for Complete jobs")
    elif status.get("completionTime") is not None:
        moment = parse_time(status["completionTime"])
        errors.invalid(
            "status.completionTime",
            Raw(moment.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")),
            "cannot set completionTime when there is no Complete=True condition",
        )
    if (complete or failed) and (status.get("active") or 0) > 0:
        errors.invalid("status.active", status["active"], "active>0 is invalid for finished job")
    if complete and not _condition(status, "SuccessCriteriaMet"):
        errors.invalid(
            "status.conditions",
            Raw(""),
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        )
    if (complete or failed) and status.get("startTime") is None:
        errors.required("status.startTime", "startTime is required for finished job")
    for kind in ("Failed", "Complete"):
        if _condition(old, kind) and not _condition(status, kind):
            errors.invalid("status.conditions", Raw(""), f"cannot disable the terminal {kind}=True condition")
    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        if _condition(old, kind) and not _condition(status, kind):
            errors.invalid("status.conditions", Raw(""), f"cannot disable the {kind}=True condition")


def cron_job(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    schedule = spec.get("schedule") or ""
    if not schedule:
        errors.required("spec.schedule")
    else:
        _schedule(errors, schedule, spec.get("timeZone"))
    if spec.get("timeZone") is not None:
        _zone(errors, spec["timeZone"])
    errors.not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    errors.required_one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    template = spec.get("jobTemplate") or {}
    inner = template.get("spec") or {}
    if inner.get("manualSelector"):
        errors.unsupported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    job_spec(errors, inner, "spec.jobTemplate.spec")
    if inner.get("selector") is not None:
        errors.invalid(
            "spec.jobTemplate.spec.selector",
            Raw(gotext.label_selector(inner["selector"])),
            "`selector` will be auto-generated",
        )
    errors.not_negative("spec.successfulJobsHistoryLimit", spec.get("successfulJobsHistoryLimit"))
    errors.not_negative("spec.failedJobsHistoryLimit", spec.get("failedJobsHistoryLimit"))


def _schedule(errors: Errors, schedule: str, zone: Any) -> None:
    if "TZ" in schedule:
        errors.invalid("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
        return
    fault = cron.fault(schedule)
    if fault:
        errors.invalid("spec.schedule", schedule, fault)


def _zone(errors: Errors, zone: str) -> None:
    if not zone:
        errors.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local":
        errors.invalid(
            "spec.timeZone",
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        )
    elif not cron.known_zone(zone):
        errors.invalid("spec.timeZone", zone, f"unknown time zone {zone}")


def cron_job_create(errors: Errors, obj: Obj, context: Context) -> None:
    cron_job(errors, obj, context)
    name = at(obj, "metadata", "name") or ""
    if len(name) > 52:
        errors.invalid("metadata.name", name, "must be no more than 52 characters")
