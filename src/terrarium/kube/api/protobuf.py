"""Objects in Kubernetes' protobuf: the envelope, the messages of all built-in kinds, and frames of watch streams.

A body is the four bytes `k8s\\0` and a `runtime.Unknown` message, which names apiVersion and kind and holds the object's
own message. The messages are read and written by the table of `schema` (field numbers and types); nothing is generated.
Kubernetes writes proto2 without packed lists; both forms are read.
"""

from __future__ import annotations

import base64
import json
import struct as binary
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from terrarium.kube.api.groups.rows import schema_name
from terrarium.kube.api.kinds import GroupVersion, Obj
from terrarium.kube.api.schema import Field, Schema, Struct, Type, schema
from terrarium.kube.api.times import duration_nanos, format_duration, format_micro_time, format_time, parse_time

MAGIC = b"k8s\x00"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


class ProtobufError(ValueError):
    """Bytes that are no Kubernetes protobuf, or an object which has no message."""


def message_name(api_version: str, kind: str, minor: int = 33) -> str | None:
    """The structure of a kind: of its group's package, or of meta/v1 (DeleteOptions, Status and their like)."""
    shapes = schema(minor)
    name = schema_name(GroupVersion.parse(api_version), kind)
    if shapes.struct(name) is not None:
        return name
    return META + kind if shapes.struct(META + kind) is not None else None


def decode(body: bytes, minor: int = 33) -> Obj:
    """The object in an enveloped body, with apiVersion and kind. Empty values are as the writer wrote them: pass the
    result through `typed.decode`. Raises `ProtobufError`."""
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    api_version = kind = ""
    raw = b""
    try:
        for number, _, value in _fields(body[4:]):
            if number == 1:
                names = {n: v.decode() for n, _, v in _fields(value)}
                api_version, kind = names.get(1, ""), names.get(2, "")
            elif number == 2:
                raw = value
        name = message_name(api_version, kind, minor)
        if name is None:
            raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
        obj = _Reader(schema(minor)).message(name, raw)
    except (IndexError, binary.error, UnicodeDecodeError, TypeError, AttributeError) as broken:
        raise ProtobufError(f"unexpected end or form of protobuf data: {broken}") from None
    return {"kind": kind, "apiVersion": api_version, **obj}


def encode(obj: Obj, minor: int = 33) -> bytes:
    """The enveloped body of an object or list of a built-in kind. Raises `ProtobufError` for others."""
    api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    name = message_name(api_version, kind, minor)
    if name is None:
        raise ProtobufError(f"{kind} of {api_version} has no protobuf form")
    raw = _Writer(schema(minor)).message(name, obj)
    meta = _bytes(1, api_version.encode()) + _bytes(2, kind.encode())
    return MAGIC + _bytes(1, meta) + _bytes(2, raw) + _bytes(3, b"") + _bytes(4, b"")


def encode_event(type: str, obj: Obj, minor: int = 33) -> bytes:
    """One frame of a watch stream: four bytes of length, then a `meta.v1.WatchEvent` with the enveloped object."""
    event = _bytes(1, type.encode()) + _bytes(2, _bytes(1, encode(obj, minor)))
    return len(event).to_bytes(4, "big") + event


def decode_event(frame: bytes, minor: int = 33) -> tuple[str, Obj]:
    """Type and object of a frame without its length."""
    type, obj = "", b""
    for number, _, value in _fields(frame):
        if number == 1:
            type = value.decode()
        elif number == 2:
            obj = next((v for n, _, v in _fields(value) if n == 1), b"")
    return type, decode(obj, minor)


# -- the wire ---------------------------------------------------------------------------------------------------------


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise ProtobufError("proto: integer overflow")


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        match wire:
            case 0:
                value, at = _varint(data, at)
            case 1:
                value, at = data[at : at + 8], at + 8
            case 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
                if len(value) < size:
                    raise ProtobufError("unexpected EOF")
            case 5:
                value, at = data[at : at + 4], at + 4
            case _:
                raise ProtobufError(f"proto: illegal wireType {wire}")
        yield number, wire, value


def _put(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(number: int, value: bytes) -> bytes:
    return _put(number << 3 | 2) + _put(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _put(number << 3) + _put(value)


def _signed(value: int, bits: int = 64) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


_INTEGERS = {"int32": 32, "int64": 64, "int": 64}


def _wrapped(type: Type) -> bool:
    """Named lists (`ExtraValue`) are messages of their own on the wire, with their elements in field 1."""
    return type.shape == "list" and not type.go.removeprefix("*").startswith("[]")


class _Reader:
    def __init__(self, shapes: Schema) -> None:
        self.shapes = shapes
        self.specials: dict[str, Callable[[bytes], Any]] = {
            "time": lambda data: self._time(data, format_time),
            "microtime": lambda data: self._time(data, format_micro_time),
            "duration": lambda data: format_duration(_signed(self._first(data, 0))),
            "quantity": lambda data: self._first(data, b"").decode() or "0",
            "intstr": self._intstr,
            "raw": self._raw,
            "fields": self._raw,
            "json": self._raw,
            "schema|list": self._schema_or_list,
            "schema|bool": self._schema_or_bool,
            "schema|strings": self._schema_or_list,
        }

    def message(self, name: str, data: bytes) -> Obj:
        return self._struct(self.shapes[name], data)

    def _struct(self, struct: Struct, data: bytes) -> Obj:
        by_number = {item.number: item for item in struct.declared if item.number}
        made: Obj = {}
        for number, wire, value in _fields(data):
            item = by_number.get(number)
            if item is not None:
                self._field(made, item, wire, value)
        return made

    def _field(self, made: Obj, item: Field, wire: int, value: Any) -> None:
        type = item.type
        if item.inline and not item.json:
            made.update(self._struct(self.shapes[type.name], value))
        elif type.shape == "list" and not _wrapped(type):
            assert type.element is not None
            into = made.setdefault(item.json, [])
            if wire == 2 and type.element.shape == "scalar" and type.element.name not in ("string", "bytes"):
                at = 0
                while at < len(value):
                    one, at = _varint(value, at)
                    into.append(self._value(type.element, one))
            else:
                into.append(self._value(type.element, value))
        elif type.shape == "map":
            assert type.element is not None
            entry = {n: v for n, _, v in _fields(value)}
            held = entry.get(2)
            into = made.setdefault(item.json, {})
            into[entry.get(1, b"").decode()] = (
                self._value(type.element, held) if held is not None else self._empty(type.element)
            )
        else:
            made[item.json] = self._value(type, value)

    def _empty(self, type: Type) -> Any:
        return self._value(type, 0 if type.name in ("bool", "int32", "int64") else b"")

    def _value(self, type: Type, value: Any) -> Any:
        match type.shape:
            case "struct":
                return self._struct(self.shapes[type.name], value)
            case "special":
                return self.specials[type.name](value)
            case "list":
                assert type.element is not None
                return [self._value(type.element, v) for n, _, v in _fields(value) if n == 1]
        match type.name:
            case "string":
                return value.decode()
            case "bytes":
                return base64.b64encode(value).decode()
            case "bool":
                return bool(value)
            case "float64":
                return binary.unpack("<d", value)[0]
            case "uint8" | "uint32" | "uint64":
                return value
        return _signed(value, _INTEGERS[type.name])

    @staticmethod
    def _first(data: bytes, missing: Any) -> Any:
        return next((v for n, _, v in _fields(data) if n == 1), missing)

    @staticmethod
    def _time(data: bytes, form: Callable[[datetime], str]) -> str | None:
        parts = {n: v for n, _, v in _fields(data)}
        if not parts:
            return None
        moment = _EPOCH + timedelta(seconds=_signed(parts.get(1, 0)), microseconds=parts.get(2, 0) // 1000)
        return form(moment)

    @staticmethod
    def _intstr(data: bytes) -> int | str:
        parts = {n: v for n, _, v in _fields(data)}
        if parts.get(1, 0):
            text: str = parts.get(3, b"").decode()
            return text
        return _signed(parts.get(2, 0), 32)

    def _raw(self, data: bytes) -> Any:
        raw = self._first(data, b"")
        if raw.startswith(MAGIC):
            return decode(raw, self.shapes.minor)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except ValueError as wrong:
            raise ProtobufError(str(wrong)) from None

    def _schema_or_list(self, data: bytes) -> Any:
        many: list[Any] = []
        one = None
        for number, _, value in _fields(data):
            if number == 1:
                one = self.message(_PROPS, value)
            elif number == 2:
                many.append(value)
        if one is not None:
            return one
        return [v.decode() for v in many] if all(_is_text(v) for v in many) else [self.message(_PROPS, v) for v in many]

    def _schema_or_bool(self, data: bytes) -> Any:
        parts = {n: v for n, _, v in _fields(data)}
        return self.message(_PROPS, parts[2]) if 2 in parts else bool(parts.get(1, 0))


def _is_text(value: bytes) -> bool:
    return bool(value) and value.isascii() and value.decode().isprintable()


class _Writer:
    def __init__(self, shapes: Schema) -> None:
        self.shapes = shapes
        self.specials: dict[str, Callable[[Any], bytes]] = {
            "time": self._time,
            "microtime": self._time,
            "duration": lambda value: _number(1, duration_nanos(value)),
            "quantity": lambda value: _bytes(1, str(value).encode()),
            "intstr": self._intstr,
            "raw": self._raw,
            "fields": self._raw,
            "json": self._raw,
            "schema|list": self._schema_or_many,
            "schema|bool": self._schema_or_bool,
            "schema|strings": self._schema_or_many,
        }

    def message(self, name: str, obj: Obj) -> bytes:
        return self._struct(self.shapes[name], obj)

    def _struct(self, struct: Struct, obj: Obj) -> bytes:
        out = []
        for item in struct.declared:
            if not item.number:
                continue
            if item.inline and not item.json:
                inner = self.shapes[item.type.name]
                if any(name in obj for name in inner.fields):
                    out.append(_bytes(item.number, self._struct(inner, obj)))
                continue
            value = obj.get(item.json)
            if value is not None:
                out.append(self._field(item, value))
        return b"".join(out)

    def _field(self, item: Field, value: Any) -> bytes:
        type, number = item.type, item.number
        if type.shape == "list" and not _wrapped(type):
            assert type.element is not None
            return b"".join(self._value(number, type.element, one) for one in value)
        if type.shape == "map":
            assert type.element is not None
            return b"".join(
                _bytes(number, _bytes(1, key.encode()) + self._value(2, type.element, value[key]))
                for key in sorted(value)
            )
        return self._value(number, type, value)

    def _value(self, number: int, type: Type, value: Any) -> bytes:
        match type.shape:
            case "struct":
                return _bytes(number, self._struct(self.shapes[type.name], value or {}))
            case "special":
                return _bytes(number, self.specials[type.name](value))
            case "list":
                element = type.element
                assert element is not None
                return _bytes(number, b"".join(self._value(1, element, one) for one in value or ()))
        match type.name:
            case "string":
                return _bytes(number, (value or "").encode())
            case "bytes":
                return _bytes(number, base64.b64decode(value or ""))
            case "float64":
                return _put(number << 3 | 1) + binary.pack("<d", value)
        return _number(number, int(value))

    @staticmethod
    def _time(value: str | None) -> bytes:
        if value is None:
            return b""
        span = parse_time(value) - _EPOCH
        return _number(1, span.days * 86400 + span.seconds) + _number(2, span.microseconds * 1000)

    @staticmethod
    def _intstr(value: int | str) -> bytes:
        if isinstance(value, str):
            return _number(1, 1) + _number(2, 0) + _bytes(3, value.encode())
        return _number(1, 0) + _number(2, value) + _bytes(3, b"")

    @staticmethod
    def _raw(value: Any) -> bytes:
        if value is None:
            return b""
        return _bytes(1, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())

    def _schema_or_many(self, value: Any) -> bytes:
        if isinstance(value, Sequence) and not isinstance(value, str):
            many = (v.encode() if isinstance(v, str) else self.message(_PROPS, v) for v in value)
            return b"".join(_bytes(2, one) for one in many)
        return _bytes(1, self.message(_PROPS, value))

    def _schema_or_bool(self, value: Any) -> bytes:
        if isinstance(value, bool):
            return _number(1, value)
        return _number(1, 1) + _bytes(2, self.message(_PROPS, value))
