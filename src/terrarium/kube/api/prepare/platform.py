"""The other kinds on their way in."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare.common import bump_generation, keep, keep_meta, meta_of, spec_of
from terrarium.kube.api.times import format_time

SNAPSHOTS = "snapshot.storage.k8s.io"


def namespace_create(obj: Obj, context: Context) -> None:
    obj["status"] = {"phase": "Active"}
    spec = spec_of(obj)
    finalizers = list(spec.get("finalizers") or ())
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    spec["finalizers"] = finalizers
    _named(obj)


def _named(obj: Obj) -> None:
    meta = meta_of(obj)
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}


def namespace_update(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "spec", "status")
    _named(obj)


def namespace_finalize(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "status")


def volume_create(obj: Obj, context: Context) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": format_time(context.now)}
    spec_of(obj).pop("volumeAttributesClassName", None)


def volume_status(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "spec")
    status, old = obj.get("status") or {}, context.old.get("status") or {}
    if status.get("phase") != old.get("phase"):
        if status.get("lastPhaseTransitionTime") in (None, old.get("lastPhaseTransitionTime")):
            status["lastPhaseTransitionTime"] = format_time(context.now)
    elif status.get("lastPhaseTransitionTime") is None and old.get("lastPhaseTransitionTime"):
        status["lastPhaseTransitionTime"] = old["lastPhaseTransitionTime"]
    obj["status"] = status


def claim_create(obj: Obj, context: Context) -> None:
    obj["status"] = {"phase": "Pending"}
    spec = spec_of(obj)
    spec.pop("volumeAttributesClassName", None)
    _sources(spec)


def claim_update(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "status")
    old = context.old.get("spec") or {}
    spec = spec_of(obj)
    if not old.get("volumeAttributesClassName"):
        spec.pop("volumeAttributesClassName", None)
    if not old.get("dataSource") and not old.get("dataSourceRef"):
        _sources(spec)
    elif spec.get("dataSourceRef") is None and spec.get("dataSource") == old.get("dataSource"):
        spec["dataSourceRef"] = old.get("dataSourceRef")


def _sources(spec: Obj) -> None:
    """`dataSource` may name a claim or a snapshot only; it and `dataSourceRef` follow each other."""
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None:
        known = (source.get("kind"), source.get("apiGroup") or "")
        if known not in (("PersistentVolumeClaim", ""), ("VolumeSnapshot", SNAPSHOTS)):
            spec.pop("dataSource")
            source = None
    if ref is not None and ref.get("namespace"):
        ref.pop("namespace")
    if source is not None and ref is None:
        spec["dataSourceRef"] = {k: source.get(k) for k in ("apiGroup", "kind", "name")}
    elif ref is not None and source is None:
        spec["dataSource"] = {k: ref.get(k) for k in ("apiGroup", "kind", "name")}


def certificate_create(obj: Obj, context: Context) -> None:
    obj.pop("status", None)
    spec = spec_of(obj)
    spec["username"], spec["uid"], spec["groups"] = context.user, context.uid, list(context.groups)
    spec["extra"] = {key: list(values) for key, values in context.extra.items()}


def certificate_update(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "spec", "status")


def certificate_status(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "spec")
    status, old = obj.get("status") or {}, context.old.get("status") or {}
    approvals = ("Approved", "Denied")
    given = list(status.get("conditions") or ())
    held = [c for c in old.get("conditions") or () if c.get("type") in approvals]
    known = {c.get("type") for c in held}
    fresh = [c for c in given if c.get("type") not in known]
    status["conditions"] = _stamped(held + fresh, old.get("conditions") or (), context)
    obj["status"] = status


def certificate_approval(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "spec")
    status, old = obj.get("status") or {}, context.old.get("status") or {}
    status["certificate"] = old.get("certificate")
    status["conditions"] = _stamped(status.get("conditions") or (), old.get("conditions") or (), context)
    obj["status"] = status


def _stamped(conditions: Any, old: Any, context: Context) -> list[Obj]:
    before = {c.get("type"): c for c in old}
    made = []
    for given in conditions:
        condition = dict(given)
        held = before.get(condition.get("type"))
        if condition.get("lastUpdateTime") is None:
            condition["lastUpdateTime"] = format_time(context.now)
        if condition.get("lastTransitionTime") is None:
            if held and held.get("status") == condition.get("status") and held.get("lastTransitionTime"):
                condition["lastTransitionTime"] = held["lastTransitionTime"]
            else:
                condition["lastTransitionTime"] = format_time(context.now)
        made.append(condition)
    return made


def slice_create(obj: Obj, context: Context) -> None:
    meta_of(obj)["generation"] = 1


def slice_update(obj: Obj, context: Context) -> None:
    """Labels count too for the generation of an EndpointSlice."""
    assert context.old is not None
    old = context.old
    keep_meta(obj, old, "generation")
    names = ("endpoints", "ports", "addressType")
    changed = any((obj.get(n) or None) != (old.get(n) or None) for n in names)
    if changed or (meta_of(obj).get("labels") or {}) != (old["metadata"].get("labels") or {}):
        bump_generation(obj, old)


def spec_counts(obj: Obj, context: Context) -> None:
    """Kinds whose generation begins with their first change."""
    assert context.old is not None
    keep_meta(obj, context.old, "generation")
    if obj.get("spec") != context.old.get("spec"):
        bump_generation(obj, context.old)


def bare_status(obj: Obj, context: Context) -> None:
    """Status updates of kinds that keep all metadata clients write."""
    assert context.old is not None
    keep(obj, context.old, "spec")
    keep_meta(obj, context.old, "labels", "annotations", "finalizers", "ownerReferences", "generateName")


def priority_create(obj: Obj, context: Context) -> None:
    meta_of(obj)["generation"] = 1


def definition_create(obj: Obj, context: Context) -> None:
    stored = [v["name"] for v in spec_of(obj).get("versions") or () if v.get("storage")]
    obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored[:1]}
    _definition_fields(spec_of(obj))


def definition_update(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "status")
    status = dict(obj.get("status") or {})
    for version in spec_of(obj).get("versions") or ():
        if version.get("storage"):
            held = list(status.get("storedVersions") or ())
            if version["name"] not in held:
                status["storedVersions"] = [*held, version["name"]]
    obj["status"] = status
    _definition_fields(spec_of(obj))


def _definition_fields(spec: Obj) -> None:
    if spec.get("preserveUnknownFields") is False:
        spec.pop("preserveUnknownFields")
