"""Structural schemas seen by CEL: the types of what they describe, and values as expressions see them.

Names of properties that CEL could not spell are escaped (`a-b` is `a__dash__b`); strings of the formats date-time, date,
duration and byte are timestamps, durations and bytes; sets and keyed lists compare and add up as such.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from terrarium.kube.api.cel.lexer import RESERVED
from terrarium.kube.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
    object_of,
)
from terrarium.kube.api.cel.values import Duration, KeyedList, SetList, Timestamp

Schema = Mapping[str, Any]
_FORMATS = {"date-time": TIMESTAMP, "date": TIMESTAMP, "duration": DURATION, "byte": BYTES}
_SCALARS = {"boolean": BOOL, "integer": INT, "number": DOUBLE}
_ESCAPES = {".": "__dot__", "-": "__dash__", "/": "__slash__"}
_WORDS = RESERVED | {"true", "false", "null", "in"}
_METADATA: Schema = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}
_ROOT: Mapping[str, Schema] = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _METADATA}


def escaped(name: str) -> str:
    """A property's name as an identifier, or "" when it has none."""
    if name in _WORDS:
        return f"__{name}__"
    text = name.replace("__", "__underscores__")
    for mark, word in _ESCAPES.items():
        text = text.replace(mark, word)
    return text if text.isascii() and text.isidentifier() else ""


def rooted(schema: Schema) -> Schema:
    """The schema of a whole object (or an embedded one): apiVersion, kind and metadata are always there."""
    given = schema.get("properties") or {}
    meta = {**_METADATA, "properties": _METADATA["properties"]}
    return {**schema, "type": "object", "properties": {**given, **_ROOT, "metadata": meta}}


def type_of(schema: Schema, name: str = "object") -> Type:
    """The type of what a schema describes; DYN where it leaves that open."""
    if schema.get("x-kubernetes-int-or-string"):
        return DYN
    if schema.get("x-kubernetes-embedded-resource"):
        schema = rooted({k: v for k, v in schema.items() if k != "x-kubernetes-embedded-resource"})
    match schema.get("type"):
        case "array":
            items = schema.get("items")
            return list_of(type_of(items, f"{name}.@idx") if isinstance(items, Mapping) else DYN)
        case "object":
            extra = schema.get("additionalProperties")
            if isinstance(extra, Mapping):
                return map_of(STRING, type_of(extra, f"{name}.@elem"))
            properties = schema.get("properties") or {}
            if not properties and (extra or schema.get("x-kubernetes-preserve-unknown-fields")):
                return DYN
            fields = {
                escaped(key): type_of(inner, f"{name}.{key}") for key, inner in properties.items() if escaped(key)
            }
            return object_of(name, fields)
        case "string":
            return _FORMATS.get(schema.get("format", ""), STRING)
        case "boolean" | "integer" | "number" as kind:
            return _SCALARS[kind]
    return DYN


def value_of(value: Any, schema: Schema) -> Any:
    """A JSON value as CEL sees it."""
    match value:
        case dict():
            return _object(value, schema)
        case list():
            return _list(value, schema)
        case str() if schema.get("format") in _FORMATS and schema.get("type") == "string":
            return _formatted(value, schema["format"])
        case int() if schema.get("type") == "number" and not isinstance(value, bool):
            return float(value)
        case float() if schema.get("type") == "integer" and value == int(value):
            return int(value)
    return value


def _object(value: Mapping[str, Any], schema: Schema) -> Any:
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        return {key: value_of(held, extra) for key, held in value.items()}
    if schema.get("x-kubernetes-embedded-resource"):
        schema = rooted({k: v for k, v in schema.items() if k != "x-kubernetes-embedded-resource"})
    properties = schema.get("properties")
    if not properties:
        return value
    made = {}
    for key, held in value.items():
        inner = properties.get(key)
        name = escaped(key)
        if inner is not None and name and (held is not None or inner.get("nullable")):
            made[name] = value_of(held, inner)
    return made


def _list(value: list[Any], schema: Schema) -> list[Any]:
    items = schema.get("items")
    made = [value_of(item, items) for item in value] if isinstance(items, Mapping) else value
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return SetList(made)
        case "map":
            return KeyedList.of(made, [escaped(k) for k in schema.get("x-kubernetes-list-map-keys") or ()])
    return made


def _formatted(text: str, format: str) -> Any:
    try:
        match format:
            case "byte":
                return base64.b64decode(text)
            case "duration":
                return Duration.parse(text)
            case "date":
                return Timestamp.parse(text + "T00:00:00Z")
        return Timestamp.parse(text)
    except (ValueError, binascii.Error):
        return text


# Sizes: how many elements a value may have, for estimates of cost

REQUEST_BYTES = 3 * 1024 * 1024
"""The largest request: no value is bigger."""


def smallest(schema: Schema) -> int:
    """The fewest bytes a value takes in JSON."""
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    match schema.get("type"):
        case "array" | "object":
            if schema.get("type") == "object" and schema.get("properties"):
                required = set(schema.get("required") or ())
                return 2 + sum(
                    len(name) + 4 + smallest(inner)
                    for name, inner in schema["properties"].items()
                    if name in required and "default" not in inner
                )
            return 2
        case "boolean":
            return 4
        case "string":
            return {"date-time": 22, "date": 12, "duration": 3}.get(schema.get("format", ""), 2)
    return 1


def largest(schema: Schema) -> int:
    """The most elements (characters, items, keys) a value may have."""
    if schema.get("x-kubernetes-int-or-string"):
        return REQUEST_BYTES - 2
    match schema.get("type"):
        case "array":
            if (most := schema.get("maxItems")) is not None:
                return int(most)
            items = schema.get("items")
            return (REQUEST_BYTES - 2) // (smallest(items if isinstance(items, Mapping) else {}) + 1)
        case "object":
            extra = schema.get("additionalProperties")
            if (most := schema.get("maxProperties")) is not None and isinstance(extra, Mapping):
                return int(most)
            if isinstance(extra, Mapping):
                return (REQUEST_BYTES - 2) // (smallest(extra) + 6)
            return len(schema.get("properties") or ())
        case "string":
            return _longest(schema)
        case "boolean" | "integer" | "number":
            return 1
    return REQUEST_BYTES - 2


def _longest(schema: Schema) -> int:
    fixed = {"date-time": 20, "date": 10, "duration": 20}.get(schema.get("format", ""))
    if fixed is not None:
        return fixed
    if (values := schema.get("enum")) is not None:
        return max((len(str(v)) for v in values), default=0)
    if (most := schema.get("maxLength")) is not None:
        # A character takes up to four bytes.
        return min(int(most), REQUEST_BYTES)
    return REQUEST_BYTES - 2
