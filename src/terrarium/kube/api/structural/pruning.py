"""What is not in the schema goes, what has a default is filled in."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
ROOT = frozenset({"apiVersion", "kind", "metadata"})
PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"


def prune(value: Any, schema: Schema, path: str = "", *, root: bool = True) -> list[str]:
    """Removes unknown fields in place; their paths."""
    found: list[str] = []
    if isinstance(value, dict):
        properties: Schema = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        whole = root or bool(schema.get(EMBEDDED))
        for key in list(value):
            where = f"{path}.{key}" if path else key
            if whole and key in ROOT:
                continue
            if key in properties:
                found += prune(value[key], properties[key], where, root=False)
            elif isinstance(extra, Mapping):
                found += prune(value[key], extra, where, root=False)
            elif extra is not True and not schema.get(PRESERVE):
                del value[key]
                found.append(where)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(value):
            found += prune(item, schema["items"], f"{path}[{index}]", root=False)
    return found


def default(value: Any, schema: Schema) -> None:
    """Fills in defaults in place; nulls of fields that may not be null go, or become the default."""
    if isinstance(value, dict):
        properties: Schema = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for name, inner in properties.items():
            if value.get(name) is None and name in value and not inner.get("nullable"):
                del value[name]
            if name not in value and "default" in inner:
                value[name] = copy.deepcopy(inner["default"])
            if name in value:
                default(value[name], inner)
        if isinstance(extra, Mapping):
            for key in value:
                if key in properties:
                    continue
                if value[key] is None and not extra.get("nullable") and "default" in extra:
                    value[key] = copy.deepcopy(extra["default"])
                default(value[key], extra)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        items = schema["items"]
        for index, item in enumerate(value):
            if item is None and not items.get("nullable") and "default" in items:
                value[index] = copy.deepcopy(items["default"])
            default(value[index], items)
