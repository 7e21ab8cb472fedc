"""Who owns which fields: the door to `kube.api.managed` for writes that are no server-side apply."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.records import Record

if TYPE_CHECKING:
    from terrarium.kube.apiserver.api import Api, Patch, Target
    from terrarium.kube.apiserver.resources import Call


def track_create(obj: Obj, kind: Kind, manager: str, now: datetime) -> None:
    obj["metadata"].pop("managedFields", None)


def track_update(obj: Obj, old: Obj, kind: Kind, manager: str, now: datetime, subresource: str) -> None:
    obj["metadata"].pop("managedFields", None)
    if "managedFields" in old["metadata"]:
        obj["metadata"]["managedFields"] = old["metadata"]["managedFields"]


async def apply(api: Api, target: Target, patch: Patch, call: Call) -> tuple[int, Record]:
    """Server-side apply."""
    raise errors.method_not_allowed()
