"""Tables: what the server prints for `kubectl get` (meta.k8s.io Table)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terrarium.kube.api.columns.make import AGE, NAME
from terrarium.kube.api.documentation import field_text
from terrarium.kube.api.kinds import Column, Kind, Obj

DEFAULT: tuple[Column, ...] = (NAME, AGE)
"""Of kinds without columns of their own."""

_FINISHED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


@dataclass(frozen=True, slots=True)
class TableOptions:
    """`include_object`: None, Metadata or Object. `headers` False leaves out the column definitions, as later events of
    a watch do. `metadata` is that of the list."""

    include_object: str = "Metadata"
    version: str = "v1"
    metadata: Mapping[str, Any] | None = None
    headers: bool = True


def table(kind: Kind, objs: Sequence[Obj], now: datetime, options: TableOptions = TableOptions()) -> Obj:
    """The Table of objects of one kind."""
    columns = kind.columns or DEFAULT
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{options.version}",
        "metadata": dict(options.metadata or {}),
        "columnDefinitions": [definition(column) for column in columns if not column.unnamed]
        if options.headers
        else None,
        "rows": [row(columns, obj, now, options) for obj in objs],
    }


def definition(column: Column) -> Obj:
    text = column.description
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": field_text(text[1:]) if text.startswith("@") else text,
        "priority": column.priority,
    }


def row(columns: Sequence[Column], obj: Obj, now: datetime, options: TableOptions) -> Obj:
    made: Obj = {"cells": [column.value(obj, now) for column in columns]}
    phase = (obj.get("status") or {}).get("phase") if obj.get("kind") == "Pod" else None
    if phase in _FINISHED:
        made["conditions"] = [{"type": "Completed", "status": "True", "reason": phase, "message": _FINISHED[phase]}]
    match options.include_object:
        case "Object":
            made["object"] = obj
        case "None":
            made["object"] = None
        case _:
            made["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": f"meta.k8s.io/{options.version}",
                "metadata": obj.get("metadata") or {},
            }
    return made
