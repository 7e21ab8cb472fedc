"""Who owns which field: managedFields on updates, and server-side apply.

Theory of operation. Each manager (a name, an operation, a version, a subresource) owns a set of field paths. An update
gives its manager what it changed and takes that from the others. An apply says the whole of what its manager wants: it is
merged into the live object, what the manager applied before and no longer wants goes unless another owns it, and a field
another manager owns with another value is a conflict unless forced. (`structured-merge-diff` and apimachinery's
`managedfields` are the models.)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from terrarium.kube.api import fieldsets, typed
from terrarium.kube.api.fieldsets import EMPTY, Fields, Path, ShapeError
from terrarium.kube.api.gotext import compact_json, quote
from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.api.patches import equal
from terrarium.kube.api.shapes import Shape, of_struct
from terrarium.kube.api.times import format_time

BEFORE_FIRST = "before-first-apply"
ANCIENT = "ancient-changes"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
MOST_UPDATERS = 10

_STRIPPED = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ]
)


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """An entry's identity. An applier's version is no part of it."""

    operation: str
    name: str
    version: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    manager: Manager
    version: str
    paths: tuple[Path, ...]

    def title(self) -> str:
        text = quote(self.manager.name)
        if self.manager.subresource:
            text += f' with subresource "{self.manager.subresource}"'
        if self.manager.operation == "Update":
            text += f" using {self.version}"
        return text


class ApplyConflict(Exception):
    """409 Conflict: others own fields with other values. `causes` are those of the Status."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = tuple(sorted(conflicts, key=lambda c: c.title()))
        self.causes: list[dict[str, str]] = []
        count = 0
        parts: list[str] = []
        for conflict in self.conflicts:
            paths = sorted(fieldsets.text(path) for path in conflict.paths)
            count += len(paths)
            for path in paths:
                self.causes.append(
                    {"reason": "FieldManagerConflict", "message": f"conflict with {conflict.title()}", "field": path}
                )
            if len(paths) == 1:
                parts.append(f"conflict with {conflict.title()}: {paths[0]}")
            else:
                parts.append(f"conflicts with {conflict.title()}:\n" + "\n".join(f"- {path}" for path in paths))
        word = "conflict" if count == 1 else "conflicts"
        self.message = f"Apply failed with {count} {word}: " + "\n".join(parts)
        super().__init__(self.message)


class ApplyError(Exception):
    """The applied object can't be used: `code` 500 when it doesn't fit its schema, 400 when it is no such object."""

    def __init__(self, message: str, code: int = 500, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class _Managed:
    """The decoded managedFields."""

    fields: dict[Manager, Fields] = field(default_factory=dict)
    versions: dict[Manager, str] = field(default_factory=dict)
    times: dict[Manager, str] = field(default_factory=dict)

    def copy(self) -> _Managed:
        return _Managed(dict(self.fields), dict(self.versions), dict(self.times))

    def drop(self, manager: Manager) -> None:
        self.fields.pop(manager, None)
        self.versions.pop(manager, None)
        self.times.pop(manager, None)


def _decode(entries: Any) -> _Managed:
    made = _Managed()
    for entry in entries or ():
        if not entry or not entry.get("operation"):
            continue
        operation, version = entry["operation"], entry.get("apiVersion", "")
        manager = Manager(
            operation, entry.get("manager", ""), "" if operation == "Apply" else version, entry.get("subresource", "")
        )
        made.fields[manager] = made.fields.get(manager, EMPTY) | fieldsets.decode(entry.get("fieldsV1"))
        made.versions[manager] = version
        if entry.get("time"):
            made.times[manager] = entry["time"]
    return made


def _encode(managed: _Managed) -> list[dict[str, Any]]:
    entries = []
    for manager, owned in managed.fields.items():
        if not owned:
            continue
        entry: dict[str, Any] = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": managed.versions.get(manager, manager.version),
        }
        if manager in managed.times:
            entry["time"] = managed.times[manager]
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = fieldsets.encode(owned)
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    entries.sort(key=_order)
    return entries


def _order(entry: Mapping[str, Any]) -> tuple[str, ...]:
    times = entry.get("time", "")
    return (entry["operation"], times, entry["manager"], entry["apiVersion"], entry.get("subresource", ""))


# What a write through one door doesn't touch, and so doesn't own: the status through the main one, the spec through
# the status.
_STATUS_RESETS: Mapping[str, tuple[Path, ...]] = {
    "deployments.apps": (("f:spec",), ("f:metadata", "f:labels")),
    "pods": (("f:spec",), ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")),
    **dict.fromkeys(
        (
            "flowschemas.flowcontrol.apiserver.k8s.io",
            "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            "volumeattachments.storage.k8s.io",
        ),
        (("f:metadata",), ("f:spec",)),
    ),
}


def resets(kind: Kind, subresource: str) -> tuple[Path, ...]:
    """Paths a write to the kind, or to its subresource, doesn't own."""
    if not subresource:
        if kind.resource == "certificatesigningrequests.certificates.k8s.io":
            return (("f:spec",), ("f:status",))
        return (("f:status",),) if "status" in kind.subresources else ()
    if subresource in ("status", "approval"):
        return _STATUS_RESETS.get(kind.resource, (("f:spec",),))
    return ()


def _bare(obj: Obj | None, kind: Kind, minor: int) -> Obj:
    """The object without managedFields, as it is printed; for None what an empty object prints."""
    made: Obj = dict(obj) if obj is not None else {}
    if "metadata" in made:
        made["metadata"] = {key: value for key, value in (made["metadata"] or {}).items() if key != "managedFields"}
    made.setdefault("apiVersion", str(kind.group_version))
    made.setdefault("kind", kind.kind)
    try:
        return typed.encode(made, kind.schema, minor) if kind.schema else made
    except typed.DecodeError:
        return made


@lru_cache(maxsize=1024)
def _empty(schema: str, version: str, kind: str, minor: int) -> Obj:
    """What an empty object prints. Shared, so only for comparing."""
    made: Obj = {"apiVersion": version, "kind": kind}
    return typed.encode(made, schema, minor) if schema else made


def _is_reset(meta: Mapping[str, Any]) -> bool:
    """Whether a client gave `[]` (read as None) or `[{}]`."""
    if "managedFields" not in meta:
        return False
    entries = meta["managedFields"] or []
    return len(entries) == 0 or (len(entries) == 1 and not any((entries[0] or {}).values()))


def _is_valid(entries: Any) -> bool:
    """Whether entries that a client gave can be read. Others are ignored."""
    return all(
        entry.get("operation") in ("Apply", "Update")
        and entry.get("fieldsType") == "FieldsV1"
        and _is_tree(entry.get("fieldsV1"))
        for entry in entries or ()
    )


def _is_tree(tree: Any) -> bool:
    if not isinstance(tree, Mapping):
        return tree is None
    return all(
        key == "." or (key[:2] in ("f:", "k:", "v:", "i:") and len(key) > 2 and _is_tree(inner))
        for key, inner in tree.items()
    )


def track_update(
    live: Obj | None,
    new: Obj,
    kind: Kind,
    manager: str,
    now: datetime,
    *,
    subresource: str = "",
    minor: int = 33,
    shape: Shape | None = None,
) -> list[dict[str, Any]]:
    """The managedFields of `new`, written by `manager` over `live` (None: created). `new` is decoded and defaulted; its
    own managedFields count when a client gave them, and `[{}]` forgets all. Custom resources bring their `shape`."""
    shape = shape or of_struct(kind.schema, minor)
    old_entries = ((live or {}).get("metadata") or {}).get("managedFields")
    new_entries = (new.get("metadata") or {}).get("managedFields")
    if not subresource and _is_reset(new.get("metadata") or {}):
        managed = _Managed()
    elif subresource or not _is_valid(new_entries):
        managed = _decode(old_entries)
    else:
        managed = _decode(new_entries)
        if not managed.fields:
            managed = _decode(old_entries)
    if not managed.fields and live is not None and (live.get("metadata") or {}).get("uid"):
        # Nobody has been tracked on this object: nobody is now.
        return []
    who = Manager("Update", manager, str(kind.group_version), subresource)
    nothing = live is None
    before = _empty(kind.schema, str(kind.group_version), kind.kind, minor) if nothing else _bare(live, kind, minor)
    after = _bare(new, kind, minor)
    ignored = resets(kind, subresource)
    if not managed.fields and (outline := fieldsets.skeleton(before, after, shape)) is not None:
        # Nobody owned anything: the writer owns what it set, and objects made alike are owned alike.
        mine = _owned(outline, ignored)
        if mine:
            managed.fields[who], managed.versions[who] = mine, str(kind.group_version)
            managed.times[who] = format_time(now)
        return _encode(managed)
    managed = _update(managed, before, after, who, str(kind.group_version), shape, ignored, now)
    return _encode(_capped(managed))


@lru_cache(maxsize=2048)
def _owned(outline: fieldsets.Skeleton, ignored: tuple[Path, ...]) -> Fields:
    """What a first writer owns."""
    return fieldsets.without(fieldsets.outlined(outline), ignored) - _STRIPPED


def _update(
    managed: _Managed,
    before: Obj,
    after: Obj,
    who: Manager,
    version: str,
    shape: Shape,
    ignored: tuple[Path, ...],
    now: datetime,
) -> _Managed:
    difference = fieldsets.compare(before, after, shape)
    made = managed.copy()
    changed = fieldsets.without(difference.modified | difference.added, ignored)
    removed = fieldsets.without(difference.removed, ignored)
    for manager, owned in managed.fields.items():
        left = owned - changed - removed
        if left:
            made.fields[manager] = left
        else:
            made.drop(manager)
    mine = changed - _STRIPPED
    if mine:
        made.fields[who] = mine | made.fields.get(who, EMPTY)
        made.versions[who] = version
        made.times[who] = format_time(now)
    return made


def _capped(managed: _Managed) -> _Managed:
    """At most ten managers by update: the oldest become one."""
    updaters = [m for m in managed.fields if m.operation == "Update" and not m.subresource]
    if len(updaters) <= MOST_UPDATERS:
        return managed
    updaters.sort(key=lambda m: (managed.times.get(m, ""), m.name))
    made = managed.copy()
    first: dict[str, Manager] = {}
    length = len(updaters)
    for manager in updaters:
        if length <= MOST_UPDATERS:
            break
        version = managed.versions.get(manager, manager.version)
        if version not in first:
            first[version] = manager
            continue
        bucket = Manager("Update", ANCIENT, version)
        if bucket not in made.fields:
            made.fields[bucket] = made.fields[first[version]]
            made.drop(first[version]) if first[version] != bucket else None
        made.fields[bucket] |= made.fields[manager]
        made.versions[bucket] = version
        time = made.times.get(manager, "")
        made.drop(manager)
        made.times[bucket] = time
        length -= 1
    return made


@dataclass(frozen=True, slots=True)
class Applied:
    """`obj` with its managedFields; `changed` False: neither object nor owners changed, keep what is stored."""

    obj: Obj
    changed: bool


def apply(
    live: Obj | None,
    config: Any,
    kind: Kind,
    manager: str,
    now: datetime,
    *,
    force: bool = False,
    subresource: str = "",
    minor: int = 33,
    shape: Shape | None = None,
) -> Applied:
    """Server-side apply of `config` by `manager` onto `live` (None: it makes the object).

    The result wants the kind's defaults and the rest of an update or creation. Raises `ApplyConflict` and `ApplyError`.
    """
    shape = shape or of_struct(kind.schema, minor)
    _check_type(config, kind)
    meta = config.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    if meta.get("managedFields") is not None:
        raise ApplyError("metadata.managedFields must be nil", 400, "BadRequest")
    version = str(kind.group_version)
    try:
        fieldsets.check(config, shape)
        wanted = fieldsets.of(config, shape)
    except ShapeError as wrong:
        place = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {kind.group_version.group}/{kind.group_version.version}"
        raise ApplyError(f"failed to create typed patch object ({place}, Kind={kind.kind}): {wrong}") from None
    before = _bare(live, kind, minor)
    managed = stored = _decode(((live or {}).get("metadata") or {}).get("managedFields"))
    if not managed.fields and live is not None:
        first = Manager("Update", BEFORE_FIRST, version, subresource)
        managed = _update(
            managed, _bare(None, kind, minor), before, first, version, shape, resets(kind, subresource), now
        )
    who = Manager("Apply", manager, "", subresource)
    ignored = resets(kind, subresource)
    try:
        obj, made, same = _apply(before, config, wanted, managed, who, version, shape, ignored, force)
    except ApplyConflict as conflict:
        if manager != KUBECTL or not _from_last_applied(conflict, before, shape):
            raise
        obj, made, same = _apply(before, config, wanted, managed, who, version, shape, ignored, True)
    if manager == KUBECTL and LAST_APPLIED in ((live or {}).get("metadata") or {}).get("annotations", {}):
        obj = _with_last_applied(obj, config)
        same = False
    if same and made.fields == stored.fields and live is not None:
        return Applied(live, False)
    if not same or live is None:
        # An apply that changes nothing but owners leaves the time of its entry as it was.
        made.times[who] = format_time(now)
    entries = _encode(made)
    result = dict(obj)
    result["metadata"] = {**(obj.get("metadata") or {})}
    if entries:
        result["metadata"]["managedFields"] = entries
    return Applied(result, True)


def _check_type(config: Any, kind: Kind) -> None:
    # What is no text is read as none.
    held = {k: v for k, v in config.items() if isinstance(v, str)} if isinstance(config, dict) else {}
    api_version, name = held.get("apiVersion", ""), held.get("kind", "")
    if (api_version, name) != (str(kind.group_version), kind.kind):
        shown = api_version if "/" in api_version else f"/{api_version}"
        raise ApplyError(f"invalid object type: {shown}, Kind={name}", 400, "BadRequest")


def _apply(
    before: Obj,
    config: Obj,
    wanted: Fields,
    managed: _Managed,
    who: Manager,
    version: str,
    shape: Shape,
    ignored: tuple[Path, ...],
    force: bool,
) -> tuple[Obj, _Managed, bool]:
    merged = fieldsets.merge(before, config, shape)
    last = managed.fields.get(who, EMPTY)
    made = managed.copy()
    made.fields[who] = fieldsets.without(wanted, ignored) - _STRIPPED
    made.versions[who] = version
    if last:
        merged = _identified(_prune(merged, made, last, shape), before)
    difference = fieldsets.compare(before, merged, shape)
    changed = fieldsets.without(difference.modified | difference.added, ignored)
    removed = fieldsets.without(difference.removed, ignored)
    conflicts = []
    for manager, owned in managed.fields.items():
        if manager == who:
            continue
        clash = owned & changed
        if clash:
            conflicts.append(Conflict(manager, managed.versions.get(manager, ""), tuple(sorted(clash))))
    if conflicts and not force:
        raise ApplyConflict(conflicts)
    for manager in list(made.fields):
        if manager == who:
            continue
        left = made.fields[manager] - changed - removed
        if left:
            made.fields[manager] = left
        else:
            made.drop(manager)
    if not made.fields[who]:
        made.drop(who)
    return merged, made, equal(before, merged)


def _identified(merged: Obj, before: Obj) -> Obj:
    """With the metadata that nobody can own or take away: name, uid and their kin."""
    was = before.get("metadata") or {}
    kept = {key: was[key] for key in was if ("f:metadata", f"f:{key}") in _STRIPPED}
    return {**merged, "metadata": {**kept, **(merged.get("metadata") or {})}}


def _prune(merged: Obj, managed: _Managed, last: Fields, shape: Shape) -> Obj:
    """Without what the manager applied before, except what anybody still owns and what only dangled."""
    pruned = fieldsets.remove(merged, fieldsets.named_members(last, shape), shape) or {}
    owned = frozenset().union(*managed.fields.values())
    whole = fieldsets.named_members(fieldsets.of(merged, shape), shape)
    kept = fieldsets.named_members(fieldsets.of(pruned, shape), shape)
    pruned = fieldsets.remove(merged, whole - (kept | fieldsets.named_members(owned, shape)), shape) or {}
    kept = fieldsets.named_members(fieldsets.of(pruned, shape), shape)
    dangling = (whole - kept) & fieldsets.named_members(last, shape)
    return fieldsets.remove(merged, dangling, shape) or {}


def _from_last_applied(conflict: ApplyConflict, before: Obj, shape: Shape) -> bool:
    """Whether all that is in conflict was set by client-side apply and still is as it set it."""
    text = ((before.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return False
    try:
        last = json.loads(text)
        fieldsets.check(last, shape)
    except ValueError:
        return False
    difference = fieldsets.compare(before, last, shape)
    allowed = fieldsets.of(last, shape) - difference.modified - difference.added - difference.removed
    return all(path in allowed for found in conflict.conflicts for path in found.paths)


def _with_last_applied(obj: Obj, config: Obj) -> Obj:
    """Client-side appliers go on to see what was applied last."""
    bare = dict(config)
    meta = dict(bare.get("metadata") or {})
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key != LAST_APPLIED}
    meta.pop("annotations", None)
    if annotations:
        meta["annotations"] = annotations
    bare["metadata"] = meta
    held = dict(obj["metadata"])
    held["annotations"] = {**(held.get("annotations") or {}), LAST_APPLIED: compact_json(bare) + "\n"}
    return {**obj, "metadata": held}


# -- scale ------------------------------------------------------------------------------------------------------------

SCALE_VERSION = "autoscaling/v1"
_SCALE_REPLICAS: Path = ("f:spec", "f:replicas")


def scale_entries(entries: Any, replicas: Path = _SCALE_REPLICAS) -> list[dict[str, Any]]:
    """The managedFields of an object's Scale: who owns its replicas (at `replicas` in the object itself)."""
    held, made = _decode(entries), _Managed()
    for manager, owned in held.fields.items():
        if replicas in owned:
            twin = manager if manager.operation == "Apply" else dataclasses.replace(manager, version=SCALE_VERSION)
            made.fields[twin] = frozenset({_SCALE_REPLICAS})
            made.versions[twin] = SCALE_VERSION
            if manager in held.times:
                made.times[twin] = held.times[manager]
    return _encode(made)


def scaled_entries(entries: Any, scale: Any, version: str, replicas: Path = _SCALE_REPLICAS) -> list[dict[str, Any]]:
    """The managedFields of an object (in `version`) after its Scale was written with the entries `scale`. Who owns the
    replicas through the Scale has an entry of its own for them, which has no time."""
    held, wanted = _decode(entries), _decode(scale)
    kept, moved = _Managed(), _Managed()
    for manager, owned in held.fields.items():
        left = owned if manager in wanted.fields else owned - {replicas}
        if left:
            kept.fields[manager], kept.versions[manager] = left, held.versions.get(manager, manager.version)
            if manager in held.times:
                kept.times[manager] = held.times[manager]
    for manager in wanted.fields:
        if replicas not in kept.fields.get(manager, EMPTY):
            twin = manager if manager.operation == "Apply" else dataclasses.replace(manager, version=version)
            moved.fields[twin], moved.versions[twin] = frozenset({replicas}), version
    return sorted([*_encode(kept), *_encode(moved)], key=_order)


def taken_scale(manager: str) -> list[dict[str, Any]]:
    """The managedFields of a Scale whose replicas one manager has just changed."""
    made = _Managed()
    who = Manager("Update", manager, SCALE_VERSION, "scale")
    made.fields[who], made.versions[who] = frozenset({_SCALE_REPLICAS}), SCALE_VERSION
    return _encode(made)
