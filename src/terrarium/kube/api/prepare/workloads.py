"""Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs and ReplicationControllers on their way in."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare.common import keep, keep_meta, meta_of, spec_of
from terrarium.kube.api.prepare.pods import drop_template

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
LEGACY_UID, LEGACY_NAME = "controller-uid", "job-name"
JOB_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


def create(obj: Obj, context: Context) -> None:
    obj.pop("status", None)
    drop_template(spec_of(obj), context)


def update(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "status")
    drop_template(spec_of(obj), context)


def status(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "spec")
    keep_meta(obj, context.old, "labels")


def daemon_create(obj: Obj, context: Context) -> None:
    create(obj, context)
    annotations = {**(meta_of(obj).get("annotations") or {})}
    annotations.setdefault(TEMPLATE_GENERATION, "1")
    meta_of(obj)["annotations"] = annotations


def daemon_update(obj: Obj, context: Context) -> None:
    update(obj, context)
    assert context.old is not None
    held = (context.old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "1")
    annotations = {**(meta_of(obj).get("annotations") or {})}
    if _template(obj) != _template(context.old):
        held = str(int(held) + 1)
    annotations[TEMPLATE_GENERATION] = held
    meta_of(obj)["annotations"] = annotations


def _template(obj: Obj) -> Any:
    return (obj.get("spec") or {}).get("template")


def job_create(obj: Obj, context: Context) -> None:
    obj.pop("status", None)
    spec = spec_of(obj)
    drop_template(spec, context)
    if not spec.get("manualSelector"):
        spec.setdefault("manualSelector", False)
        if spec["manualSelector"] is None:
            spec["manualSelector"] = False
        _job_selector(obj)


def _job_selector(obj: Obj) -> None:
    spec, meta = spec_of(obj), meta_of(obj)
    uid, name = meta.get("uid", ""), meta.get("name", "")
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    labels = dict(template.get("labels") or {})
    for key, value in ((LEGACY_UID, uid), (JOB_UID, uid), (LEGACY_NAME, name), (JOB_NAME, name)):
        labels.setdefault(key, value)
    template["labels"] = labels
    own = dict(meta.get("labels") or {})
    if own:
        for key in (LEGACY_UID, JOB_UID, LEGACY_NAME, JOB_NAME):
            own.setdefault(key, labels[key])
        meta["labels"] = own
    else:
        meta["labels"] = dict(labels)
    selector = spec.get("selector")
    if selector is None:
        selector = spec["selector"] = {}
    held = dict(selector.get("matchLabels") or {})
    held.setdefault(JOB_UID, uid)
    selector["matchLabels"] = held


def job_status(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "spec")


def cron_create(obj: Obj, context: Context) -> None:
    obj.pop("status", None)
    drop_template(spec_of(obj), context, "jobTemplate", "spec")


def cron_update(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "status")
    drop_template(spec_of(obj), context, "jobTemplate", "spec")
