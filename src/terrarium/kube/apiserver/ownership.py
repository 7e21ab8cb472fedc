"""Who owns which fields: `kube.api.managed` at work for plain writes, and server-side apply as an operation."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from terrarium.kube.api import managed
from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.api.shapes import Shape
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.records import Record, fresh
from terrarium.kube.client.contract import ApiError

if TYPE_CHECKING:
    from terrarium.kube.apiserver.api import Api, Patch, Target
    from terrarium.kube.apiserver.resources import Call


def track(
    obj: Obj,
    old: Obj | None,
    kind: Kind,
    manager: str,
    now: datetime,
    subresource: str,
    minor: int,
    shape: Shape | None,
) -> None:
    """Sets the managed fields of `obj` for a write by `manager` over `old` (None: it is made)."""
    entries = managed.track_update(old, obj, kind, manager, now, subresource=subresource, minor=minor, shape=shape)
    if entries:
        obj["metadata"]["managedFields"] = fresh(entries)
    else:
        obj["metadata"].pop("managedFields", None)


async def apply(api: Api, target: Target, patch: Patch, call: Call) -> tuple[int, Record]:
    """Server-side apply: makes the object when there is none."""
    kind, resources = target.kind, api.resources
    now = resources.clock.now()
    body = patch.body
    if isinstance(body, dict):
        meta = body.setdefault("metadata", {})
        if isinstance(meta, dict):
            _check_names(target, meta)

    def named(obj: Obj) -> Obj:
        obj["metadata"].setdefault("name", target.name)
        if kind.namespaced:
            obj["metadata"].setdefault("namespace", target.namespace)
        return obj

    def merged(live: Obj | None) -> managed.Applied:
        try:
            return managed.apply(
                live,
                body,
                kind,
                call.manager,
                now,
                force=patch.force,
                subresource=target.subresource,
                minor=resources.minor,
                shape=resources.shape(kind),
            )
        except managed.ApplyConflict as conflict:
            raise errors.status(409, "Conflict", str(conflict), {"causes": conflict.causes}) from None
        except managed.ApplyError as wrong:
            raise errors.status(wrong.code, wrong.reason, wrong.message) from None

    def change(old: Obj) -> Obj:
        applied = merged(old)
        if not applied.changed:
            return old
        return api.read(target, named(fresh(applied.obj)), call)

    found = await resources.find(kind, target.namespace, target.name)
    if found is None:
        if target.subresource:
            raise errors.not_found(kind, target.name)
        if isinstance(body, dict) and isinstance(body.get("metadata"), dict) and body["metadata"].get("uid"):
            raise errors.conflict(kind, target.name, errors.uid_precondition(body["metadata"]["uid"], ""))
        await api.allow(call.user, "create", target)
        made = api.read(target, named(fresh(merged(None).obj)), call)
        made["metadata"].pop("resourceVersion", None)
        try:
            return 201, await resources.create(kind, target.namespace, made, call, track=False)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
    record = await resources.update(
        kind, target.namespace, target.name, change, call, subresource=target.subresource, track=False
    )
    return 200, record


def _check_names(target: Target, meta: Obj) -> None:
    """The configuration's name and namespace are those of the path."""
    name = meta.get("name") or target.name
    if not meta.get("name") and meta.get("generateName"):
        raise errors.bad_request(
            f"the name of the object ({target.name} based on URL) was undeterminable: name must be provided"
        )
    if name != target.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({target.name})")
    if target.kind.namespaced:
        namespace = meta.get("namespace") or target.namespace
        if namespace != target.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
