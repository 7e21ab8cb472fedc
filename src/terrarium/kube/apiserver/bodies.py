"""Bodies to objects and objects to bodies, in the three media types."""

from __future__ import annotations

import json
from typing import Any

import orjson

from terrarium.kube.api import json_faults, typed
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.negotiate import JSON, PROTOBUF, YAML, Form, media_type
from terrarium.kube.client.contract import ApiError

LARGEST = 3 * 1024 * 1024
DEEPEST = 200
"""Levels of lists and objects in a body."""
DEEPEST = 200
"""Levels of lists and objects in a body."""


def unsupported() -> ApiError:
    return errors.status(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {JSON}, {YAML}, {PROTOBUF}",
    )


_HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
"""What the real server reads first of every body, in Go's words."""


def decode(body: bytes, content_type: str, expected: str) -> tuple[dict[str, Any], list[str]]:
    """The object in a body (empty for `null`), and what it says twice, as warnings word it. `expected` is the kind for
    messages. 400 and 415 as `ApiError`."""
    media = media_type(content_type) or JSON
    twice: list[str] = []
    value: Any
    if media == JSON:
        value = decode_json(body, expected)
        twice = [f'duplicate field "{path}"' for path in duplicates(body)]
    elif media == YAML:
        from terrarium.kube.api import yaml_bodies

        try:
            value, twice = yaml_bodies.load(body), yaml_bodies.duplicates(body)
        except yaml_bodies.YamlError as wrong:
            raise unread(str(wrong), body, expected) from None
    elif media == PROTOBUF:
        from terrarium.kube.api import protobuf

        try:
            return protobuf.decode(body), []
        except protobuf.ProtobufError as wrong:
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {expected}): {wrong}"
            ) from None
    else:
        raise unsupported()
    return _headed(value, body, expected), twice


def unread(why: str, body: bytes, expected: str) -> ApiError:
    """A body that is no object of any kind."""
    return errors.bad_request(
        f"the object provided is unrecognized (must be of type {expected}): {why} ({begin(body)})"
    )


_FRONT = "couldn't get version/kind; json parse error: "


def _headed(value: Any, body: bytes, expected: str) -> dict[str, Any]:
    """An object whose kind and apiVersion are texts, if they are there."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        name = typed.json_type(value)
        raise unread(f"{_FRONT}json: cannot unmarshal {name} into Go value of type {_HEAD}", body, expected)
    for field in ("apiVersion", "kind"):
        held = value.get(field)
        if held is not None and not isinstance(held, str):
            name = typed.json_type(held)
            text = f"{_FRONT}json: cannot unmarshal {name} into Go struct field .{field} of type string"
            raise unread(text, body, expected)
    return value


def decode_json(body: bytes, expected: str) -> Any:
    fault = "exceeded max depth"
    if not too_deep(body):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
        try:
            # Numbers beyond 64 bits, which Go reads too, and bytes that are no text, which it replaces.
            return _clean(json.loads(body.decode("utf-8", "replace")))
        except ValueError:
            fault = json_fault(body)
    raise unread(f"{_FRONT}{fault}", body, expected)


def too_deep(body: bytes) -> bool:
    """Whether lists and objects of a JSON text are nested deeper than can be stored."""
    if body.count(b"{") + body.count(b"[") <= DEEPEST:
        return False
    depth = deepest = 0
    quoted = escaped = False
    for char in body:
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == 0x5C
            quoted = char != 0x22
        elif char == 0x22:
            quoted = True
        elif char in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif char in b"}]":
            depth -= 1
        if deepest > DEEPEST:
            return True
    return False


def _clean(value: Any) -> Any:
    """Halves of surrogate pairs replaced, as Go does when it reads them."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list():
            return [_clean(item) for item in value]
    return value


def begin(body: bytes, most: int = 30) -> str:
    """How a body begins, for messages: JSON as text, anything else in hexadecimal."""
    if not body:
        return "<empty>"
    shown = body[:most].decode("utf-8", "replace") if body[:1] == b"{" else body[:most].hex()
    return f"{shown} ..." if len(body) > most else shown


def json_fault(body: bytes) -> str:
    """What Go says of JSON it can't read."""
    return json_faults.fault(body) or "exceeded max depth"


def duplicates(body: bytes) -> list[str]:
    """Paths of keys that stand twice in one object. Cheap when there are none: only counted where it may be."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in items:
            if key in made:
                found.append(key)
            made[key] = value
        return made

    try:
        json.loads(body, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return []
    if not found:
        return []
    return _duplicate_paths(body)


class _Pairs(list[tuple[str, Any]]):
    """An object as pairs, to tell it from an array."""


def _duplicate_paths(body: bytes) -> list[str]:
    paths: list[str] = []

    def walk(value: Any, path: str) -> None:
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for key, inner in value:
                here = f"{path}.{key}" if path else key
                if key in seen:
                    paths.append(here)
                seen.add(key)
                walk(inner, here)
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                walk(inner, f"{path}[{i}]")

    walk(json.loads(body, object_pairs_hook=_Pairs), "")
    return paths


def encode(value: Obj, form: Form) -> tuple[bytes, str]:
    """An object's bytes and their Content-Type."""
    if form.media == YAML:
        from terrarium.kube.api import yaml_bodies

        return yaml_bodies.dump(value), YAML
    if form.media == PROTOBUF:
        from terrarium.kube.api import protobuf

        return protobuf.encode(value), PROTOBUF
    return encode_json(value, form.pretty), JSON


def encode_json(value: Any, pretty: bool = False) -> bytes:
    """Compact JSON ends with a newline, pretty JSON does not."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else orjson.OPT_APPEND_NEWLINE)
