"""Objects as Go's typed structures would read and print them.

An API server decodes every body into structures and encodes them again for its answer. That is where unknown fields
disappear, `null` becomes nothing, empty values of `omitempty` fields vanish, structures that are no pointers appear
(`status: {}`, `creationTimestamp: null`), and quantities and times take their canonical text.

Theory of operation: for each type a converter is compiled once per minor version, a closure from value to value. It
notes unknown fields in a list with paths relative to itself, which parents prefix only when something was noted; wrong
types raise at once, as the first one is the one that is told.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity, QuantityError
from terrarium.kube.api.schema import Field, Schema, Struct, Type, schema
from terrarium.kube.api.times import TimeError, micro_time, parse_duration, time

Converter = Callable[[Any, list[str]], Any]


class DecodeError(ValueError):
    """A body that does not fit its kind; `str()` is the text behind `X in version "v1" cannot be handled as a X: `."""


class _Mismatch(Exception):
    """A value of the wrong JSON type, on its way up to where the path and the structure's name are known."""

    def __init__(self, found: str, type: str) -> None:
        super().__init__(found, type)
        self.found = found
        self.type = type
        self.struct = ""
        self.path: list[str] = []

    def text(self) -> str:
        if not self.struct:
            return f"json: cannot unmarshal {self.found} into Go value of type {self.type}"
        path = ".".join(reversed(self.path))
        return f"json: cannot unmarshal {self.found} into Go struct field {self.struct}.{path} of type {self.type}"


@dataclass(frozen=True, slots=True)
class Decoded:
    obj: Obj
    unknown: tuple[str, ...]
    """Paths of unknown fields in the order of the document: `spec.containers[0].bar`."""


def decode(obj: Any, name: str, minor: int = 33) -> Decoded:
    """Reads a client's object as structure `name`. Raises `DecodeError`. What is not built in passes unchanged."""
    if name not in schema(minor)._raw:
        return Decoded(obj, ())
    unknown: list[str] = []
    try:
        value = _converters(minor).struct(name)(obj, unknown)
    except _Mismatch as wrong:
        raise DecodeError(wrong.text()) from None
    return Decoded(value, tuple(unknown))


def encode(obj: Obj, name: str, minor: int = 33) -> Obj:
    """The object as structure `name` prints it: for an object that our own code made or changed."""
    return decode(obj, name, minor).obj


def encode_part(value: Any, name: str, minor: int = 33) -> Any:
    """A part of an object (a pod template, a spec) as structure `name` prints it."""
    try:
        return _converters(minor).struct(name)(value, [])
    except _Mismatch as wrong:
        raise DecodeError(wrong.text()) from None


def json_type(value: Any) -> str:
    """What JSON calls the type of a value."""
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case None:
            return "null"
    return "object"


def _string(value: Any, unknown: list[str]) -> Any:
    if isinstance(value, str):
        return value
    raise _Mismatch(json_type(value), "string")


def _bool(value: Any, unknown: list[str]) -> Any:
    if value is True or value is False:
        return value
    raise _Mismatch(json_type(value), "bool")


def _integer(name: str, low: int, high: int) -> Converter:
    def convert(value: Any, unknown: list[str]) -> Any:
        if type(value) is int:
            if low <= value <= high:
                return value
            raise _Mismatch(f"number {value}", name)
        if isinstance(value, float):
            raise _Mismatch(f"number {value!r}", name)
        raise _Mismatch(json_type(value), name)

    return convert


def _float(value: Any, unknown: list[str]) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise _Mismatch(json_type(value), "float64")


def _bytes(value: Any, unknown: list[str]) -> Any:
    if not isinstance(value, str):
        raise _Mismatch(json_type(value), "[]uint8")
    text = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DecodeError(f"illegal base64 data at input byte {_base64_fault(text)}") from None
    return text


_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


def _base64_fault(text: str) -> int:
    found = _NOT_BASE64.search(text)
    if found is None:
        return len(text) - len(text) % 4
    if text[found.start()] == "=" and found.start() % 4 >= 2:
        return min(found.start() + 1, len(text))
    return found.start()


_HUGE = 2**63 - 1
_SCALARS: dict[str, Converter] = {
    "string": _string,
    "bool": _bool,
    "int32": _integer("int32", -(2**31), 2**31 - 1),
    "int64": _integer("int64", -(2**63), _HUGE),
    "int": _integer("int", -(2**63), _HUGE),
    "uint8": _integer("uint8", 0, 255),
    "uint32": _integer("uint32", 0, 2**32 - 1),
    "uint64": _integer("uint64", 0, 2**64 - 1),
    "float64": _float,
    "bytes": _bytes,
}


_quantity_text = lru_cache(maxsize=16_384)(lambda text: str(Quantity.of(text)))
"""The same few amounts come again and again."""


def _quantity(value: Any, unknown: list[str]) -> Any:
    try:
        return _quantity_text(value) if isinstance(value, str) else str(Quantity.of(value))
    except QuantityError as wrong:
        raise DecodeError(str(wrong)) from None


def _intstr(value: Any, unknown: list[str]) -> Any:
    if isinstance(value, str):
        return value
    if type(value) is int and -(2**31) <= value < 2**31:
        return value
    found = json_type(value)
    text = f"number {value}" if found == "number" else found
    raise DecodeError(f"json: cannot unmarshal {text} into Go value of type int32")


def _timed(parse: Callable[[str], str]) -> Converter:
    def convert(value: Any, unknown: list[str]) -> Any:
        if not isinstance(value, str):
            raise DecodeError(f"json: cannot unmarshal {json_type(value)} into Go value of type string")
        try:
            return parse(value)
        except TimeError as wrong:
            raise DecodeError(str(wrong)) from None

    return convert


def _as_is(value: Any, unknown: list[str]) -> Any:
    return value


_EMPTY: dict[str, Any] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "int": 0,
    "uint8": 0,
    "uint32": 0,
    "uint64": 0,
    "float64": 0,
    "bytes": None,
    "quantity": "0",
    "intstr": 0,
    "duration": "0s",
}


_PLAIN: dict[str, builtins.type] = {"string": str, "bool": bool}


def _plain_type(type: Type | None) -> builtins.type | None:
    """The class whose values need no converting; None where each must be looked at."""
    return _PLAIN.get(type.name) if type is not None and type.shape == "scalar" else None


_EMPTY_COUNTS = frozenset({("ObjectMeta", "managedFields"), ("HPAScalingRules", "policies")})
"""Lists which are something else when empty than when they were not given: they stay, as None."""


class _Converters:
    """The compiled converters of one minor version."""

    def __init__(self, shapes: Schema) -> None:
        self._shapes = shapes
        self._structs: dict[str, Converter] = {}
        self._specials: dict[str, Converter] = {
            "time": _timed(time),
            "microtime": _timed(micro_time),
            "duration": _timed(parse_duration),
            "quantity": _quantity,
            "intstr": _intstr,
            "raw": _as_is,
            "json": _as_is,
            "fields": _as_is,
            "schema|list": self._schema_or_list,
            "schema|bool": self._schema_or_bool,
            "schema|strings": self._schema_or_strings,
        }

    def struct(self, name: str) -> Converter:
        found = self._structs.get(name)
        if found is None:
            # Structures may contain themselves: the name stands for the converter until it is made.
            self._structs[name] = lambda value, unknown: self._structs[name](value, unknown)
            found = self._structs[name] = self._compile(self._shapes[name])
        return found

    def type(self, type: Type) -> Converter:
        match type.shape:
            case "scalar":
                convert = _SCALARS[type.name]
                go = type.go.removeprefix("*")
                return convert if go in ("", type.name, "[]uint8") else _named(convert, go)
            case "special":
                return self._specials[type.name]
            case "list":
                assert type.element is not None
                return self._list(type, self.type(type.element), self._zero(type.element))
            case "map":
                assert type.element is not None
                return self._map(type, self.type(type.element), self._zero(type.element))
            case "struct":
                return self.struct(type.name)

    def _zero(self, type: Type) -> Callable[[], Any]:
        """What Go prints for the zero value."""
        if type.pointer or type.shape in ("list", "map"):
            return lambda: None
        if type.shape == "struct":
            convert = self.struct(type.name)
            return lambda: convert({}, [])
        empty = _EMPTY.get(type.name)
        return lambda: empty

    def _list(self, type: Type, convert: Converter, zero: Callable[[], Any]) -> Converter:
        go = type.go.removeprefix("*")
        plain = _plain_type(type.element)

        def run(value: Any, unknown: list[str]) -> Any:
            if not isinstance(value, list):
                raise _Mismatch(json_type(value), go)
            if plain is not None and all(item.__class__ is plain for item in value):
                return value.copy()
            made = []
            for index, item in enumerate(value):
                if item is None:
                    made.append(zero())
                    continue
                before = len(unknown)
                made.append(convert(item, unknown))
                if len(unknown) > before:
                    for at in range(before, len(unknown)):
                        unknown[at] = f"[{index}].{unknown[at]}"
            return made

        return run

    def _map(self, type: Type, convert: Converter, zero: Callable[[], Any]) -> Converter:
        go = type.go.removeprefix("*")
        plain = _plain_type(type.element)

        def run(value: Any, unknown: list[str]) -> Any:
            if not isinstance(value, dict):
                raise _Mismatch(json_type(value), go)
            if plain is not None and all(item.__class__ is plain for item in value.values()):
                return value.copy()
            made = {}
            for key, item in value.items():
                if item is None:
                    made[key] = zero()
                    continue
                before = len(unknown)
                made[key] = convert(item, unknown)
                if len(unknown) > before:
                    for at in range(before, len(unknown)):
                        unknown[at] = f"{key}.{unknown[at]}"
            return made

        return run

    def _compile(self, struct: Struct) -> Converter:
        converters: dict[str, tuple[Converter, bool, bool, builtins.type | None]] = {}
        always: list[tuple[str, Callable[[], Any]]] = []
        fixed: dict[str, Any] = {}
        for item in struct.fields.values():
            drops = item.omitempty and not item.type.pointer and item.type.shape in ("scalar", "list", "map")
            drops = drops and (struct.short, item.json) not in _EMPTY_COUNTS
            named = item.type.shape in ("struct", "map")
            converters[item.json] = (self.type(item.type), drops, named, _plain_type(item.type))
            if self._always(item):
                if item.type.shape == "struct" and not item.type.pointer:
                    always.append((item.json, self._zero(item.type)))
                else:
                    fixed[item.json] = self._zero(item.type)()
        short = struct.short
        go = ".".join(struct.name.split(".")[-2:])

        def run(value: Any, unknown: list[str]) -> Any:
            if not isinstance(value, dict):
                raise _Mismatch(json_type(value), go)
            made: dict[str, Any] = {}
            before = len(unknown)
            for key, item in value.items():
                found = converters.get(key)
                if found is None:
                    unknown.append(key)
                    before += 1
                    continue
                if item is None:
                    continue
                convert, drops, named, plain = found
                if item.__class__ is not plain:
                    try:
                        item = convert(item, unknown)
                    except _Mismatch as wrong:
                        wrong.path.append(key)
                        wrong.struct = wrong.struct or short
                        raise
                    if len(unknown) > before:
                        dot = "." if named else ""
                        for at in range(before, len(unknown)):
                            unknown[at] = f"{key}{dot}{unknown[at]}"
                        before = len(unknown)
                if not item and (drops or item == []):
                    # An empty list comes back from storage as none at all.
                    if drops:
                        continue
                    item = None
                made[key] = item
            for key, empty in fixed.items():
                if key not in made:
                    made[key] = empty
            for key, zero in always:
                if key not in made:
                    made[key] = zero()
            return made

        return run

    @staticmethod
    def _always(item: Field) -> bool:
        """Whether the field is printed even when it was not given."""
        if not item.omitempty:
            return True
        if item.type.pointer:
            return False
        return item.type.shape == "struct" or item.type.shape == "special"

    def _schema(self) -> Converter:
        return self.struct("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")

    def _schema_or_list(self, value: Any, unknown: list[str]) -> Any:
        if isinstance(value, list):
            return [self._schema()(item, unknown) for item in value]
        return self._schema()(value, unknown)

    def _schema_or_bool(self, value: Any, unknown: list[str]) -> Any:
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            raise DecodeError("boolean or JSON schema expected")
        return self._schema()(value, unknown)

    def _schema_or_strings(self, value: Any, unknown: list[str]) -> Any:
        return value if isinstance(value, list) else self._schema()(value, unknown)


def _named(convert: Converter, go: str) -> Converter:
    """A scalar of a named Go type: only the text of a refusal differs."""

    def run(value: Any, unknown: list[str]) -> Any:
        try:
            return convert(value, unknown)
        except _Mismatch as wrong:
            raise _Mismatch(wrong.found, go) from None

    return run


@lru_cache(maxsize=8)
def _converters(minor: int) -> _Converters:
    return _Converters(schema(minor))
