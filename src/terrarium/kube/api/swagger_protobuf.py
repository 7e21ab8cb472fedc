"""The OpenAPI version 2 document in protobuf, the only form in which client-go asks for it.

The messages are those of gnostic's `openapi.v2`: a table of field numbers and types. Maps are lists of named entries,
and values of any type are texts of YAML (JSON is YAML).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"

_EXTENSION = "x-"
# Of a type: a scalar's name, `[X]` a list, `{X}` a map as named entries below field 1, `<X` a choice wrapped in field n.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Document": {
        "swagger": (1, "string"),
        "info": (2, "Info"),
        "paths": (8, "Paths"),
        "definitions": (9, "{Schema}"),
        "security": (12, "[SecurityRequirement]"),
        "securityDefinitions": (13, "{SecurityDefinition}"),
    },
    "Info": {"title": (1, "string"), "version": (2, "string")},
    "PathItem": {
        "get": (2, "Operation"),
        "put": (3, "Operation"),
        "post": (4, "Operation"),
        "delete": (5, "Operation"),
        "options": (6, "Operation"),
        "head": (7, "Operation"),
        "patch": (8, "Operation"),
        "parameters": (9, "[Parameter]"),
    },
    "Operation": {
        "tags": (1, "[string]"),
        "description": (3, "string"),
        "operationId": (5, "string"),
        "produces": (6, "[string]"),
        "consumes": (7, "[string]"),
        "parameters": (8, "[Parameter]"),
        "responses": (9, "{Response}"),
        "schemes": (10, "[string]"),
        _EXTENSION: (13, "extension"),
    },
    "Body": {
        "description": (1, "string"),
        "name": (2, "string"),
        "in": (3, "string"),
        "required": (4, "bool"),
        "schema": (5, "Schema"),
    },
    "Query": {
        "required": (1, "bool"),
        "in": (2, "string"),
        "description": (3, "string"),
        "name": (4, "string"),
        "type": (6, "string"),
        "uniqueItems": (20, "bool"),
    },
    "Path": {
        "required": (1, "bool"),
        "in": (2, "string"),
        "description": (3, "string"),
        "name": (4, "string"),
        "type": (5, "string"),
        "uniqueItems": (19, "bool"),
    },
    "PlainResponse": {"description": (1, "string"), "schema": (2, "SchemaItem")},
    "SecurityScheme": {
        "type": (1, "string"),
        "name": (2, "string"),
        "in": (3, "string"),
        "description": (4, "string"),
    },
    "Schema": {
        "$ref": (1, "string"),
        "format": (2, "string"),
        "title": (3, "string"),
        "description": (4, "string"),
        "default": (5, "any"),
        "multipleOf": (6, "double"),
        "maximum": (7, "double"),
        "exclusiveMaximum": (8, "bool"),
        "minimum": (9, "double"),
        "exclusiveMinimum": (10, "bool"),
        "maxLength": (11, "int"),
        "minLength": (12, "int"),
        "pattern": (13, "string"),
        "maxItems": (14, "int"),
        "minItems": (15, "int"),
        "uniqueItems": (16, "bool"),
        "maxProperties": (17, "int"),
        "minProperties": (18, "int"),
        "required": (19, "[string]"),
        "enum": (20, "[any]"),
        "additionalProperties": (21, "Additional"),
        "type": (22, "Types"),
        "items": (23, "Items"),
        "allOf": (24, "[Schema]"),
        "properties": (25, "{Schema}"),
        "example": (30, "any"),
        _EXTENSION: (31, "extension"),
    },
}


def encode(document: Mapping[str, Any]) -> bytes:
    """The `openapi.v2.Document` of a Swagger document."""
    return _message("Document", document)


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _sized(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _sized(number, text.encode())


def _any(value: Any) -> bytes:
    return _text(2, json.dumps(value) + "\n")


def _message(name: str, value: Mapping[str, Any]) -> bytes:
    fields = _MESSAGES[name]
    parts: list[bytes] = []
    extension = fields.get(_EXTENSION)
    for key, held in value.items():
        entry = fields.get(key)
        if entry is not None:
            parts.append(_field(*entry, held))
        elif extension is not None and key.startswith(_EXTENSION):
            parts.append(_sized(extension[0], _text(1, key) + _sized(2, _any(held))))
    return b"".join(parts)


def _field(number: int, kind: str, value: Any) -> bytes:
    if kind.startswith("["):
        return b"".join(_field(number, kind[1:-1], item) for item in value)
    if kind.startswith("{"):
        entries = (_sized(1, _text(1, key) + _field(2, kind[1:-1], item)) for key, item in value.items())
        return _sized(number, b"".join(entries))
    match kind:
        case "string":
            return _text(number, str(value))
        case "bool":
            return _varint(number << 3) + (b"\x01" if value else b"\x00")
        case "int":
            return _varint(number << 3) + _varint(int(value) & (1 << 64) - 1)
        case "double":
            return _varint(number << 3 | 1) + struct.pack("<d", float(value))
        case "any":
            return _sized(number, _any(value))
    choice = _CHOICES.get(kind)
    return _sized(number, choice(value) if choice is not None else _message(kind, value))


def _parameter(value: Mapping[str, Any]) -> bytes:
    if value["in"] == "body":
        return _sized(1, _sized(1, _message("Body", value)))
    inner = _sized(3, _message("Query", value)) if value["in"] == "query" else _sized(4, _message("Path", value))
    return _sized(1, _sized(2, inner))


def _additional(value: Any) -> bytes:
    return _sized(1, _message("Schema", value)) if isinstance(value, Mapping) else _field(2, "bool", value)


_CHOICES: Mapping[str, Callable[[Any], bytes]] = {
    "Parameter": _parameter,
    "Additional": _additional,
    "Types": lambda value: b"".join(_text(1, name) for name in ([value] if isinstance(value, str) else value)),
    "Items": lambda value: _sized(1, _message("Schema", value)),
    "SchemaItem": lambda value: _sized(1, _message("Schema", value)),
    "Response": lambda value: _sized(1, _message("PlainResponse", value)),
    "SecurityDefinition": lambda value: _sized(2, _message("SecurityScheme", value)),
    "SecurityRequirement": lambda value: b"".join(_sized(1, _text(1, key) + _sized(2, b"")) for key in value),
    "Paths": lambda value: b"".join(
        _sized(2, _text(1, path) + _sized(2, _message("PathItem", item))) for path, item in value.items()
    ),
}
"""Messages that wrap what they hold in one of several fields."""
