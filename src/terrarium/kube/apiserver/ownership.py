"""Who owns which fields: the door to `kube.api.managed` for writes that are no server-side apply."""

from __future__ import annotations

from datetime import datetime

from terrarium.kube.api.kinds import Kind, Obj


def track_create(obj: Obj, kind: Kind, manager: str, now: datetime) -> None:
    obj["metadata"].pop("managedFields", None)


def track_update(obj: Obj, old: Obj, kind: Kind, manager: str, now: datetime, subresource: str) -> None:
    obj["metadata"].pop("managedFields", None)
    if "managedFields" in old["metadata"]:
        obj["metadata"]["managedFields"] = old["metadata"]["managedFields"]
