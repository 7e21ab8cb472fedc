"""Values as plain Python data and back: what modules that call an API or a library like to work with.

Null is `None`, unknown is `UNKNOWN`, sets are lists, whole numbers `int` and others `float`. The way back is led by a
type or a block and forgives what APIs vary in: numbers written as text, times as `datetime`, missing members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from terrarium.base.clock import rfc3339
from terrarium.engine.provider import Block, Nesting
from terrarium.language.numbers import Real
from terrarium.language.types import BOOL, NUMBER, STRING, Dynamic, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import (
    NULL,
    Value,
    boolean,
    list_of,
    map_of,
    null,
    number,
    set_of,
    string,
    unknown,
)


class Unknowable:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN: Final = Unknowable()


def plain(value: Value) -> Any:
    """The value as plain data."""
    data = value.data
    if data is NULL:
        return None
    if not value.is_known:
        return UNKNOWN
    if isinstance(data, dict):
        return {key: plain(part) for key, part in data.items()}
    if isinstance(data, tuple):
        return [plain(part) for part in data]
    return float(data) if isinstance(data, Fraction) else data


def value_of(type: Type, data: Any) -> Value:
    """Plain data as a value of this type."""
    if isinstance(data, Value):
        return data
    if data is None:
        return null(type)
    if data is UNKNOWN:
        return unknown(type)
    match type:
        case List(element):
            return list_of(element, (value_of(element, d) for d in data))
        case Set(element):
            return set_of(element, (value_of(element, d) for d in data))
        case Map(element):
            return map_of(element, {key: value_of(element, d) for key, d in data.items()})
        case Object(attributes):
            return Value(type, {name: value_of(attributes[name], data.get(name)) for name in sorted(attributes)})
        case Tuple(elements):
            return Value(type, tuple(value_of(t, d) for t, d in zip(elements, data, strict=True)))
        case Dynamic():
            return guessed(data)
    return _primitive(type, data)


def block_value(block: Block, data: Mapping[str, Any]) -> Value:
    """Plain data as a value of this block; blocks that are missing are empty, as the language makes them."""
    members: dict[str, Value] = {}
    for name, attribute in block.attributes.items():
        members[name] = value_of(attribute.type, data.get(name))
    for name, nested in block.blocks.items():
        members[name] = _nested(nested.type, nested.block, nested.nesting, data.get(name))
    return Value(block.type, {name: members[name] for name in sorted(members)})


def guessed(data: Any) -> Value:
    """Plain JSON-like data as a value of the type it shows (objects and tuples)."""
    from terrarium.language.values import object_of, tuple_of

    match data:
        case Value():
            return data
        case None:
            return null()
        case bool():
            return boolean(data)
        case int() | float() | Fraction():
            return number(data)
        case str():
            return string(data)
        case Mapping():
            return object_of({str(key): guessed(d) for key, d in data.items()})
        case Iterable():
            return tuple_of(guessed(d) for d in data)
    raise TypeError(f"no value for {data!r}")


def _nested(type: Type, block: Block, nesting: Nesting, data: Any) -> Value:
    if data is UNKNOWN:
        return unknown(type)
    match nesting:
        case Nesting.LIST:
            return list_of(block.type, (block_value(block, d) for d in data or ()))
        case Nesting.SET:
            return set_of(block.type, (block_value(block, d) for d in data or ()))
        case Nesting.MAP:
            return map_of(block.type, {key: block_value(block, d) for key, d in (data or {}).items()})
    return null(type) if data is None else block_value(block, data)


def _primitive(type: Type, data: Any) -> Value:
    if type == STRING:
        return string(_text(data))
    if type == BOOL:
        return boolean(data if isinstance(data, bool) else str(data).lower() == "true")
    assert type == NUMBER
    if isinstance(data, str):
        return number(Fraction(data))
    if isinstance(data, float) and not data.is_integer():
        return number(Real.of(Fraction(data), 53))
    return number(data)


def _text(data: Any) -> str:
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, datetime):
        return rfc3339(data)
    return str(data)
