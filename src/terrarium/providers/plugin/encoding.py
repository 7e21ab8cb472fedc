"""Values on the wire: MessagePack by type, with unknowns and what is known of them as extensions.

Source: Terraform's "Wire Format for Terraform Objects and Associated Values" (docs/plugin-protocol).
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import msgpack

from terrarium.language import numbers, type_expressions
from terrarium.language.types import BOOL, NUMBER, STRING, Dynamic, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import NULL, Unknown, Value, map_of, nfc, set_of

_PLAIN_UNKNOWN, _REFINED = 0, 12
_NOT_NULL, _PREFIX, _LOWER, _UPPER, _MIN_LENGTH, _MAX_LENGTH = 1, 2, 3, 4, 5, 6


def pack(value: Value, type: Type) -> bytes:
    """A value of the schema's type, as a provider reads it."""
    packed: bytes = msgpack.packb(_plain(value, type), use_bin_type=True)
    return packed


def _plain(value: Value, type: Type) -> Any:
    if isinstance(type, Dynamic) and not isinstance(value.type, Dynamic):
        return [
            json.dumps(type_expressions.to_json(value.type), separators=(",", ":")).encode(),
            _plain(value, value.type),
        ]
    if value.data is NULL:
        return None
    if isinstance(value.data, Unknown):
        return _unknown(value.data)
    match type:
        case List(element) | Set(element) | Map(element):
            if isinstance(value.data, dict):
                return {key: _plain(member, element) for key, member in value.data.items()}
            return [_plain(member, element) for member in value.data]
        case Tuple(elements):
            return [_plain(member, element) for member, element in zip(value.data, elements, strict=True)]
        case Object(attributes):
            return {name: _plain(value.data[name], attributes[name]) for name in attributes}
    return _number(value.data) if type is NUMBER or isinstance(value.data, int | Fraction | float) else value.data


def _number(data: Any) -> Any:
    """Whole numbers of 64 bits as integers, what a double holds exactly as one, all others in digits."""
    if isinstance(data, bool):
        return data
    if isinstance(data, int) and -(2**63) <= data < 2**64:
        return int(data)
    try:
        near = float(data)
    except OverflowError:
        return numbers.to_text(data)
    return near if Fraction(near) == data else numbers.to_text(data)


def _unknown(known: Unknown) -> msgpack.ExtType:
    rows: dict[int, Any] = {}
    if known.not_null:
        rows[_NOT_NULL] = False
    if known.prefix:
        rows[_PREFIX] = known.prefix
    for key, bound in ((_LOWER, known.lower), (_UPPER, known.upper)):
        if bound is not None:
            rows[key] = [_number(bound[0]), bound[1]]
    if known.min_length:
        rows[_MIN_LENGTH] = known.min_length
    if known.max_length is not None:
        rows[_MAX_LENGTH] = known.max_length
    return msgpack.ExtType(_REFINED, msgpack.packb(rows)) if rows else msgpack.ExtType(_PLAIN_UNKNOWN, b"\0")


def unpack(data: bytes, type: Type) -> Value:
    """A value that a provider has sent. ValueError when it is not of the type."""
    return _value(msgpack.unpackb(data, raw=False, strict_map_key=False), type)


def _value(data: Any, type: Type) -> Value:
    if isinstance(data, msgpack.ExtType):
        return Value(type, _known(data))
    if data is None:
        return Value(type, NULL)
    match type:
        case Dynamic():
            written, inner = data
            return _value(inner, type_expressions.from_json(json.loads(written)))
        case List(element):
            return Value(type, tuple(_value(member, element) for member in data))
        case Set(element):
            return set_of(element, [_value(member, element) for member in data])
        case Map(element):
            return map_of(element, {nfc(key): _value(member, element) for key, member in data.items()})
        case Tuple(elements):
            return Value(type, tuple(_value(m, t) for m, t in zip(data, elements, strict=True)))
        case Object(attributes):
            members = {name: _value(data[name], attributes[name]) for name in sorted(attributes)}
            return Value(type, members)
    if type is STRING or type == STRING:
        return Value(type, nfc(str(data)))
    if type == BOOL:
        return Value(type, bool(data))
    return Value(type, _read_number(data))


def _read_number(data: Any) -> Any:
    if isinstance(data, str):
        found = numbers.parse(data)
        if found is None:
            raise ValueError(f"{data!r} is no number")
        return found
    return numbers.from_float(data) if isinstance(data, float) else int(data)


def _known(data: msgpack.ExtType) -> Unknown:
    if data.code != _REFINED:
        return Unknown()
    rows = msgpack.unpackb(data.data, raw=False, strict_map_key=False)

    def bound(key: int) -> tuple[Any, bool] | None:
        return (_read_number(rows[key][0]), bool(rows[key][1])) if key in rows else None

    return Unknown(
        rows.get(_NOT_NULL) is False,
        rows.get(_PREFIX, ""),
        bound(_LOWER),
        bound(_UPPER),
        rows.get(_MIN_LENGTH, 0),
        rows.get(_MAX_LENGTH),
    )
