"""The metadata of custom objects: that of the object itself and of resources embedded in it, read as ObjectMeta. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.kube.api import typed
from terrarium.kube.api.schema import OBJECT_META, schema

Schema = Mapping[str, Any]
_ROOT = frozenset({"apiVersion", "kind", "metadata"})


def read(value: Any, structure: Schema, minor: int, path: str = "", *, root: bool = True) -> list[str]:
    """Reads metadata in place; paths of what was unknown.

    Raises `typed.DecodeError` for metadata of the object that is none; embedded such stays for validation to refuse.
    """
    found: list[str] = []
    if isinstance(value, dict):
        if root or structure.get("x-kubernetes-embedded-resource"):
            found += _own(value, minor, f"{path}.metadata" if path else "metadata", root=root)
        properties: Schema = structure.get("properties") or {}
        extra = structure.get("additionalProperties")
        for key, inner in value.items():
            held = properties.get(key) or (extra if isinstance(extra, Mapping) else None)
            if held is not None and not (root and key in _ROOT):
                found += read(inner, held, minor, f"{path}.{key}" if path else key, root=False)
    elif isinstance(value, list) and isinstance(structure.get("items"), Mapping):
        for index, item in enumerate(value):
            found += read(item, structure["items"], minor, f"{path}[{index}]", root=False)
    return found


def _own(value: dict[str, Any], minor: int, path: str, *, root: bool) -> list[str]:
    meta = value.get("metadata")
    if root and meta is not None and not isinstance(meta, dict):
        kind = typed.json_type(meta)
        raise typed.DecodeError(f"json: cannot unmarshal {kind} into Go struct field .metadata of type v1.ObjectMeta")
    if not isinstance(meta, dict):
        return []
    try:
        read_as = typed.encode_part(meta, OBJECT_META, minor)
    except typed.DecodeError:
        if root:
            raise
        return []
    known = schema(minor)[OBJECT_META].fields
    value["metadata"] = {k: v for k, v in read_as.items() if v is not None and k in known}
    return [f"{path}.{key}" for key in meta if key not in known]
