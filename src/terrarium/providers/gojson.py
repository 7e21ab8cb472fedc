"""JSON into a map of texts, with the messages of Go's `encoding/json` about what it is not."""

from __future__ import annotations

import json
from typing import Any

_LITERALS = {"n": "null", "t": "true", "f": "false"}


def decode_texts(text: str) -> dict[str, str]:
    """The object's members, null as an empty text. ValueError has Go's words."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as wrong:
        raise ValueError(_syntax(text, wrong.pos)) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValueError(f"json: cannot unmarshal {_kind(data)} into Go value of type map[string]string")
    for value in data.values():
        if value is not None and not isinstance(value, str):
            raise ValueError(f"json: cannot unmarshal {_kind(value)} into Go value of type string")
    return {key: value or "" for key, value in data.items()}


def _kind(data: Any) -> str:
    if isinstance(data, bool):
        return "bool"
    if isinstance(data, int | float):
        return "number"
    if isinstance(data, str):
        return "string"
    return "array" if isinstance(data, list) else "object"


def _syntax(text: str, at: int) -> str:
    rest = text[at:].lstrip(" \t\r\n")
    if not rest:
        return "unexpected end of JSON input"
    literal = _LITERALS.get(rest[0])
    if literal is not None:
        for got, want in zip(rest[1:], literal[1:], strict=False):
            if got != want:
                return f"invalid character {_quoted(got)} in literal {literal} (expecting {_quoted(want)})"
    if not text[:at].strip():
        return f"invalid character {_quoted(rest[0])} looking for beginning of value"
    try:
        json.JSONDecoder().raw_decode(text.lstrip())
    except json.JSONDecodeError:
        return f"invalid character {_quoted(rest[0])} looking for beginning of value"
    return f"invalid character {_quoted(rest[0])} after top-level value"


def _quoted(character: str) -> str:
    if character == "'":
        return "'\\''"
    return {"\n": "'\\n'", "\t": "'\\t'", "\r": "'\\r'"}.get(character, f"'{character}'")
