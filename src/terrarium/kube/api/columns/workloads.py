"""Workloads, budgets and autoscalers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from terrarium.kube.api.columns.make import (
    AGE,
    META,
    NAME,
    NONE,
    UNKNOWN,
    at,
    column,
    containers_and_images,
    labels,
    name_of,
    number,
    selector,
    since,
    string,
    timed,
)
from terrarium.kube.api.kinds import Column, Obj
from terrarium.kube.api.times import age, parse_time

SELECTOR = column("Selector", lambda obj: selector(at(obj, "spec", "selector")), wide=True)


def _of(type: str) -> Column:
    return column("Selector", SELECTOR_VALUE, wide=True, about=f"@{type}.selector")


def SELECTOR_VALUE(obj: Obj) -> str:
    return selector(at(obj, "spec", "selector"))


def _completions(job: Obj) -> str:
    done = at(job, "status", "succeeded") or 0
    wanted = at(job, "spec", "completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = at(job, "spec", "parallelism") or 0
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _duration(job: Obj, now: datetime) -> str:
    start, end = at(job, "status", "startTime"), at(job, "status", "completionTime")
    if start is None:
        return ""
    if end is None:
        return since(start, now)
    return age((parse_time(end) - parse_time(start)).total_seconds())


def _job_status(job: Obj) -> str:
    held = {c.get("type") for c in at(job, "status", "conditions") or () if c.get("status") == "True"}
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if kind in held:
            return word
    if at(job, "metadata", "deletionTimestamp"):
        return "Terminating"
    for kind, word in (
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
    ):
        if kind in held:
            return word
    return "Running"


def _last(cron: Obj, now: datetime) -> str:
    last = at(cron, "status", "lastScheduleTime")
    return since(last, now) if last else NONE


def _reference(hpa: Obj) -> str:
    ref = at(hpa, "spec", "scaleTargetRef") or {}
    return f"{ref.get('kind', '')}/{ref.get('name', '')}"


def _current(metric: Mapping[str, Any], *path: str) -> Any:
    return at(metric, *path)


_SOURCES = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def _metric(spec: Obj, status: Obj | None) -> str:
    """`current/target` of one metric."""
    name = _SOURCES.get(spec.get("type", ""), "")
    if not name:
        return "<unknown type>"
    target = at(spec, name, "target") or {}
    current = at(status or {}, name, "current") or {}
    if name in ("resource", "containerResource"):
        prefix = f"{at(spec, name, 'name')}: "
        if target.get("averageValue") is not None:
            return f"{prefix}{current.get('averageValue') or UNKNOWN}/{target['averageValue']}"
        used = current.get("averageUtilization")
        shown = f"{used}%" if used is not None else UNKNOWN
        wanted = target.get("averageUtilization")
        return f"{prefix}{shown}/{f'{wanted}%' if wanted is not None else '<auto>'}"
    if name == "pods":
        return f"{current.get('averageValue') or UNKNOWN}/{target.get('averageValue')}"
    if target.get("averageValue") is not None:
        return f"{current.get('averageValue') or UNKNOWN}/{target['averageValue']} (avg)"
    return f"{current.get('value') or UNKNOWN}/{target.get('value')}"


def _targets(hpa: Obj) -> str:
    if hpa.get("apiVersion") == "autoscaling/v1":
        return _targets_of_v1(hpa)
    specs = at(hpa, "spec", "metrics") or []
    statuses = at(hpa, "status", "currentMetrics") or []
    if not specs:
        return NONE
    shown = [_metric(spec, statuses[index] if index < len(statuses) else None) for index, spec in enumerate(specs)]
    text = ", ".join(shown[:2])
    return f"{text} + {len(shown) - 2} more..." if len(shown) > 2 else text


def _targets_of_v1(hpa: Obj) -> str:
    wanted, current = (
        at(hpa, "spec", "targetCPUUtilizationPercentage"),
        at(hpa, "status", "currentCPUUtilizationPercentage"),
    )
    if wanted is None:
        return NONE
    return f"cpu: {f'{current}%' if current is not None else UNKNOWN}/{wanted}%"


def _or(value: Any, empty: str) -> str:
    return empty if value is None else str(value)


SCALE: tuple[Column, ...] = (
    column("Name", name_of, about=META + "name"),
    column("Desired", number("spec", "replicas"), "integer", about="@autoscaling.v1.ScaleSpec.replicas"),
    column("Available", number("status", "replicas"), "integer", about="@autoscaling.v1.ScaleStatus.replicas"),
    AGE,
)
"""Of the subresource `scale`, whatever has it."""

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "deployments.apps": (
        NAME,
        column(
            "Ready",
            lambda d: f"{at(d, 'status', 'readyReplicas') or 0}/{at(d, 'spec', 'replicas') or 0}",
            about="Number of the pod with ready state",
        ),
        column("Up-to-date", number("status", "updatedReplicas"), about="@apps.v1.DeploymentStatus.updatedReplicas"),
        column("Available", number("status", "availableReplicas"), about="@apps.v1.DeploymentStatus.availableReplicas"),
        AGE,
        *containers_and_images(),
        column("Selector", SELECTOR_VALUE, wide=True, about="@extensions.v1beta1.DeploymentSpec.selector"),
    ),
    "replicasets.apps": (
        NAME,
        column("Desired", number("spec", "replicas"), "integer", about="@apps.v1.ReplicaSetSpec.replicas"),
        column("Current", number("status", "replicas"), "integer", about="@apps.v1.ReplicaSetStatus.replicas"),
        column("Ready", number("status", "readyReplicas"), "integer", about="@apps.v1.ReplicaSetStatus.readyReplicas"),
        AGE,
        *containers_and_images(),
        _of("extensions.v1beta1.ReplicaSetSpec"),
    ),
    "replicationcontrollers": (
        NAME,
        column("Desired", number("spec", "replicas"), "integer", about="@core.v1.ReplicationControllerSpec.replicas"),
        column(
            "Current", number("status", "replicas"), "integer", about="@core.v1.ReplicationControllerStatus.replicas"
        ),
        column(
            "Ready",
            number("status", "readyReplicas"),
            "integer",
            about="@core.v1.ReplicationControllerStatus.readyReplicas",
        ),
        AGE,
        *containers_and_images(),
        column(
            "Selector",
            lambda obj: labels(at(obj, "spec", "selector")),
            wide=True,
            about="@core.v1.ReplicationControllerSpec.selector",
        ),
    ),
    "statefulsets.apps": (
        NAME,
        column(
            "Ready",
            lambda s: f"{at(s, 'status', 'readyReplicas') or 0}/{at(s, 'spec', 'replicas') or 0}",
            about="Number of the pod with ready state",
        ),
        AGE,
        *containers_and_images(),
    ),
    "daemonsets.apps": (
        NAME,
        column(
            "Desired",
            number("status", "desiredNumberScheduled"),
            "integer",
            about="@apps.v1.DaemonSetStatus.desiredNumberScheduled",
        ),
        column(
            "Current",
            number("status", "currentNumberScheduled"),
            "integer",
            about="@apps.v1.DaemonSetStatus.currentNumberScheduled",
        ),
        column(
            "Ready", number("status", "numberReady"), "integer", about="@extensions.v1beta1.DaemonSetStatus.numberReady"
        ),
        column(
            "Up-to-date",
            number("status", "updatedNumberScheduled"),
            "integer",
            about="@apps.v1.DaemonSetStatus.updatedNumberScheduled",
        ),
        column(
            "Available",
            number("status", "numberAvailable"),
            "integer",
            about="@apps.v1.DaemonSetStatus.numberAvailable",
        ),
        column(
            "Node Selector",
            lambda d: labels(at(d, "spec", "template", "spec", "nodeSelector")),
            about="@core.v1.PodSpec.nodeSelector",
        ),
        AGE,
        *containers_and_images(),
        _of("extensions.v1beta1.DaemonSetSpec"),
    ),
    "controllerrevisions.apps": (
        NAME,
        column("Controller", lambda r: _controller(r), about="Controller of the object"),
        column("Revision", number("revision"), about="@apps.v1beta1.ControllerRevision.revision"),
        AGE,
    ),
    "jobs.batch": (
        NAME,
        column("Status", _job_status, about="Status of the job."),
        column("Completions", _completions, about="@batch.v1.JobStatus.succeeded"),
        timed("Duration", _duration, about="Time required to complete the job."),
        AGE,
        *containers_and_images(),
        _of("batch.v1.JobSpec"),
    ),
    "cronjobs.batch": (
        NAME,
        column("Schedule", string("spec", "schedule"), about="@batch.v1.CronJobSpec.schedule"),
        column("Timezone", lambda c: at(c, "spec", "timeZone") or NONE, about="@batch.v1.CronJobSpec.timeZone"),
        column("Suspend", lambda c: _suspended(c), "boolean", about="@batch.v1.CronJobSpec.suspend"),
        column(
            "Active", lambda c: len(at(c, "status", "active") or ()), "integer", about="@batch.v1.CronJobStatus.active"
        ),
        timed("Last Schedule", _last, about="@batch.v1.CronJobStatus.lastScheduleTime"),
        AGE,
        *containers_and_images("spec", "jobTemplate", "spec", "template", "spec"),
        column(
            "Selector",
            lambda c: selector(at(c, "spec", "jobTemplate", "spec", "selector")),
            wide=True,
            about="@batch.v1.JobSpec.selector",
        ),
    ),
    "podtemplates": (
        NAME,
        column(
            "Containers",
            lambda t: ",".join(c.get("name", "") for c in at(t, "template", "spec", "containers") or ()),
            about="Names of each container in the template.",
        ),
        column(
            "Images",
            lambda t: ",".join(c.get("image", "") for c in at(t, "template", "spec", "containers") or ()),
            about="Images referenced by each container in the template.",
        ),
        column(
            "Pod Labels",
            lambda t: labels(at(t, "template", "metadata", "labels")),
            about="The labels for the pod template.",
        ),
    ),
    "horizontalpodautoscalers.autoscaling": (
        NAME,
        column("Reference", _reference, about="@autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef"),
        column("Targets", _targets, about="@autoscaling.v2.HorizontalPodAutoscalerSpec.metrics~"),
        column(
            "MinPods",
            lambda h: _or(at(h, "spec", "minReplicas"), UNSET_),
            about="@autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas",
        ),
        column(
            "MaxPods", number("spec", "maxReplicas"), about="@autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas"
        ),
        column(
            "Replicas",
            number("status", "currentReplicas"),
            about="@autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas",
        ),
        AGE,
    ),
    "poddisruptionbudgets.policy": (
        NAME,
        column(
            "Min Available",
            lambda b: _or(at(b, "spec", "minAvailable"), "N/A"),
            about="The minimum number of pods that must be available.",
        ),
        column(
            "Max Unavailable",
            lambda b: _or(at(b, "spec", "maxUnavailable"), "N/A"),
            about="The maximum number of pods that may be unavailable.",
        ),
        column(
            "Allowed Disruptions",
            number("status", "disruptionsAllowed"),
            "integer",
            about="Calculated number of pods that may be disrupted at this time.",
        ),
        AGE,
    ),
}

UNSET_ = "<unset>"


def _suspended(cron: Obj) -> str:
    held = at(cron, "spec", "suspend")
    return UNSET_ if held is None else "True" if held else "False"


def _controller(revision: Obj) -> str:
    owner = next((o for o in at(revision, "metadata", "ownerReferences") or () if o.get("controller")), None)
    if owner is None:
        return NONE
    group = (owner.get("apiVersion") or "").rpartition("/")[0]
    kind = (owner.get("kind") or "").lower()
    return f"{kind}.{group}/{owner.get('name', '')}" if group else f"{kind}/{owner.get('name', '')}"
