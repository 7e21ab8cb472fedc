"""Values as JSON and back: cty's encoding, which state files, plan files and `jsonencode` use.

With a type that holds `any`, a part of unknown type is written as `{"value": …, "type": …}`. Numbers keep all their
digits: whole ones are `int`, others `Exact` floats which remember their text; `loads` and `dumps` know these.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from terrarium.language import type_expressions
from terrarium.language.numbers import from_float, parse, to_text
from terrarium.language.text import nfc
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, Dynamic, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import NULL, Path, Unknown, Value, map_of, number, set_of


class JsonError(ValueError):
    """Text that is no JSON, or data that does not fit a type. `path` leads to the part; `trailing` is where more text
    stands after a whole value."""

    def __init__(self, message: str, path: Path = (), trailing: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.trailing = trailing


class Exact(float):
    """A number of JSON with the digits it was written with."""

    text: str

    def __new__(cls, text: str) -> Exact:
        self = super().__new__(cls, text)
        self.text = text
        return self


# --- values to data --------------------------------------------------------------------------------------------------


def to_json(value: Value, type: Type) -> Any:
    """Plain data (`json.dumps` may write it, `dumps` writes it exactly). JsonError for unknown values."""
    data = value.data
    if isinstance(data, Unknown):
        raise JsonError("value is not known")
    if isinstance(type, Dynamic) and not isinstance(value.type, Dynamic):
        return {"value": to_json(value, value.type), "type": type_expressions.to_json(value.type)}
    if data is NULL:
        return None
    match type:
        case List(element) | Set(element):
            return [to_json(member, element) for member in data]
        case Map(element):
            return {key: to_json(member, element) for key, member in data.items()}
        case Tuple(elements):
            return [to_json(member, t) for member, t in zip(data, elements, strict=True)]
        case Object(attributes):
            return {name: to_json(data[name], attributes[name]) for name in sorted(attributes)}
    if type == NUMBER:
        if isinstance(data, float):
            raise JsonError("cannot serialize infinity as JSON")
        text = to_text(data)
        return int(data) if isinstance(data, int) and len(text) < 4000 and text == str(int(data)) else Exact(text)
    return data if type in (STRING, BOOL) else repr(data)


_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def dumps_text(text: str) -> str:
    """A JSON string as Go writes it: `<`, `>` and `&` escaped, other characters as they are."""
    quoted = json.dumps(text, ensure_ascii=False)
    for char, escape in _ESCAPES.items():
        if char in quoted:
            quoted = quoted.replace(char, escape)
    return quoted


def dumps(data: Any) -> str:
    """Compact JSON of data from `to_json`, with keys in order and strings as Go writes them."""
    parts: list[str] = []
    _write(data, parts.append)
    return "".join(parts)


def _write(data: Any, write: Callable[[str], object]) -> None:
    if isinstance(data, str):
        write(dumps_text(data))
    elif isinstance(data, dict):
        write("{")
        for i, (key, member) in enumerate(data.items()):
            write(f"{',' if i else ''}{dumps_text(key)}:")
            _write(member, write)
        write("}")
    elif isinstance(data, list):
        write("[")
        for i, member in enumerate(data):
            if i:
                write(",")
            _write(member, write)
        write("]")
    elif isinstance(data, Exact):
        write(data.text)
    else:
        write(json.dumps(data))


def encode(value: Value) -> str:
    """`jsonencode`: the value by its own type. JsonError for unknown and infinite values."""
    return dumps(to_json(value, value.type))


# --- data to values --------------------------------------------------------------------------------------------------


def _no_constant(name: str) -> Any:
    raise json.JSONDecodeError(f"{name} is no number of JSON", name, 0)


def loads(text: str) -> Any:
    """Data of a JSON document, numbers with all their digits. JsonError when it is none."""
    try:
        return json.loads(text, parse_float=Exact, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise JsonError("exceeded max depth") from None
    except json.JSONDecodeError as wrong:
        from terrarium.language.json_errors import complaint

        raise JsonError(complaint(text) or wrong.msg, (), wrong.pos if wrong.msg == "Extra data" else None) from None


def _integer(text: str) -> int | Exact:
    return int(text) if len(text) < 4000 and text != "-0" else Exact(text)


def implied_type(data: Any) -> Type:
    """The type that plain data has by itself: lists are tuples, objects are objects, null is `any`."""
    if data is None:
        return DYNAMIC
    if isinstance(data, bool):
        return BOOL
    if isinstance(data, int | float | Fraction):
        return NUMBER
    if isinstance(data, str):
        return STRING
    if isinstance(data, list):
        return Tuple(tuple(implied_type(member) for member in data))
    return Object({_clean(name): implied_type(data[name]) for name in sorted(data)})


def from_json(data: Any, type: Type, path: Path = ()) -> Value:
    """The value of data written for this type. JsonError when it does not fit."""
    match type:
        case Dynamic():
            if data is None:
                return Value(type, NULL)
            if not isinstance(data, dict) or not {"value", "type"} >= data.keys() or "type" not in data:
                raise JsonError("a value of unknown type needs its type beside it", path)
            return from_json(data.get("value"), type_expressions.from_json(data["type"]), path)
        case _ if data is None:
            return Value(type, NULL)
        case List(element) | Set(element):
            members = [from_json(m, element, (*path, i)) for i, m in enumerate(_need(data, list, "a list", path))]
            if isinstance(element, Dynamic) or element.has_dynamic():
                from terrarium.language.convert import sequence

                kind = "set" if isinstance(type, Set) else "list"
                return sequence(type, members, path, kind) if members else Value(type, ())
            return set_of(element, members) if isinstance(type, Set) else Value(type, tuple(members))
        case Map(element):
            items = _need(data, dict, "a map", path)
            return map_of(element, {_clean(k): from_json(items[k], element, (*path, k)) for k in items})
        case Tuple(elements):
            given = _need(data, list, "a tuple", path)
            if len(given) != len(elements):
                raise JsonError(f"a tuple of {len(elements)} elements is required", path)
            parts = tuple(from_json(m, t, (*path, i)) for i, (m, t) in enumerate(zip(given, elements, strict=True)))
            return Value(Tuple(tuple(p.type for p in parts)), parts)
        case Object(attributes):
            return _object(_need(data, dict, "an object", path), attributes, path)
    return _primitive(data, type, path)


def _object(items: dict[str, Any], attributes: Any, path: Path) -> Value:
    given = {_clean(k): v for k, v in items.items()}
    for name in given:
        if name not in attributes:
            raise JsonError(f'unsupported attribute "{name}"', path)
    for name in attributes:
        if name not in given:
            raise JsonError(f'missing required attribute "{name}"', path)
    members = {n: from_json(given[n], attributes[n], (*path, n)) for n in sorted(attributes)}
    return Value(Object({n: m.type for n, m in members.items()}), members)


def _need(data: Any, kind: type, words: str, path: Path) -> Any:
    if not isinstance(data, kind):
        raise JsonError(f"{words} is required", path)
    return data


def _primitive(data: Any, type: Type, path: Path) -> Value:
    """cty reads primitives leniently: a number in quotes is a number, a number may become a string."""
    if type == STRING:
        if isinstance(data, str):
            return Value(STRING, _clean(data))
        if isinstance(data, bool):
            return Value(STRING, "true" if data else "false")
        if isinstance(data, int | float):
            return Value(STRING, data.text if isinstance(data, Exact) else to_text(_number(data)))
    elif type == NUMBER:
        if isinstance(data, str) and (found := parse(data)) is not None:
            return Value(NUMBER, found)
        if isinstance(data, int | float) and not isinstance(data, bool):
            return Value(NUMBER, _number(data))
    elif type == BOOL:
        if isinstance(data, bool):
            return Value(BOOL, data)
        if data in ("true", "1", "false", "0"):
            return Value(BOOL, data in ("true", "1"))
    raise JsonError(f"a {type.friendly()} is required", path)


def _number(data: int | float) -> Any:
    if isinstance(data, int):
        return number(data).data if data.bit_length() <= 512 else parse(to_text(data))
    found = parse(data.text if isinstance(data, Exact) else repr(data))
    return from_float(data) if found is None else found


def _clean(text: str) -> str:
    """Text in normal form; halves of surrogate pairs become the replacement character, as in Go."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return nfc(text)


def decode(text: str) -> Value:
    """`jsondecode`. A closing bracket after the value, and all behind it, isn't looked at (as by Go's decoder)."""
    try:
        data = loads(text)
    except JsonError as wrong:
        if wrong.trailing is None or text[wrong.trailing] not in "]}":
            raise
        data = loads(text[: wrong.trailing])
    return from_json(data, implied_type(data))
