"""CEL's operators and conversions at run time. Arguments that no overload takes are `no such overload`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from terrarium.kube.api import regexes
from terrarium.kube.api.cel.values import (
    INT_MAX,
    INT_MIN,
    NONE,
    UINT_MAX,
    Duration,
    EvalError,
    Optional,
    Timestamp,
    TypeValue,
    UInt,
    concatenated,
    contains,
    equal,
    is_number,
)

Function = Callable[..., Any]
_NANO = 10**9
_MOMENTS = (Timestamp.parse("0001-01-01T00:00:00Z").ns, Timestamp.parse("9999-12-31T23:59:59.999999999Z").ns)


def no_overload() -> EvalError:
    return EvalError("no such overload")


def kind_of(value: Any) -> str:
    """The name of a value's type."""
    match value:
        case bool():
            return "bool"
        case UInt():
            return "uint"
        case int():
            return "int"
        case float():
            return "double"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case None:
            return "null_type"
        case list():
            return "list"
        case Mapping():
            return "map"
        case Timestamp():
            return "google.protobuf.Timestamp"
        case Duration():
            return "google.protobuf.Duration"
        case Optional():
            return "optional_type"
        case TypeValue():
            return "type"
    return str(getattr(value, "cel_type", "object"))


def _int(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise EvalError("integer overflow")
    return value


def _uint(value: int) -> UInt:
    if not 0 <= value <= UINT_MAX:
        raise EvalError("unsigned integer overflow")
    return UInt(value)


def _moment(ns: int) -> Timestamp:
    if not _MOMENTS[0] <= ns <= _MOMENTS[1]:
        raise EvalError("timestamp overflow")
    return Timestamp(ns)


def _span(ns: int) -> Duration:
    if not INT_MIN <= ns <= INT_MAX:
        raise EvalError("duration overflow")
    return Duration(ns)


def _same_numbers(a: Any, b: Any) -> str:
    """The type that two operands of arithmetic share, or ""."""
    kind = kind_of(a)
    return kind if kind in ("int", "uint", "double") and kind == kind_of(b) else ""


def add(a: Any, b: Any) -> Any:
    match _same_numbers(a, b):
        case "int":
            return _int(a + b)
        case "uint":
            return _uint(int(a) + int(b))
        case "double":
            return a + b
    if isinstance(a, list) and isinstance(b, list):
        return concatenated(a, b)
    if isinstance(a, Timestamp) and isinstance(b, Duration):
        return _moment(a.ns + b.ns)
    if isinstance(a, Duration) and isinstance(b, Timestamp):
        return _moment(a.ns + b.ns)
    if isinstance(a, Duration) and isinstance(b, Duration):
        return _span(a.ns + b.ns)
    if isinstance(a, str) and isinstance(b, str):
        return a + b
    if isinstance(a, bytes) and isinstance(b, bytes):
        return a + b
    raise no_overload()


def subtract(a: Any, b: Any) -> Any:
    match _same_numbers(a, b):
        case "int":
            return _int(a - b)
        case "uint":
            return _uint(int(a) - int(b))
        case "double":
            return a - b
    if isinstance(a, Timestamp) and isinstance(b, Timestamp):
        return _span(a.ns - b.ns)
    if isinstance(a, Timestamp) and isinstance(b, Duration):
        return _moment(a.ns - b.ns)
    if isinstance(a, Duration) and isinstance(b, Duration):
        return _span(a.ns - b.ns)
    raise no_overload()


def multiply(a: Any, b: Any) -> Any:
    match _same_numbers(a, b):
        case "int":
            return _int(a * b)
        case "uint":
            return _uint(int(a) * int(b))
        case "double":
            return a * b
    raise no_overload()


def divide(a: Any, b: Any) -> Any:
    match _same_numbers(a, b):
        case "int" | "uint" as kind:
            if b == 0:
                raise EvalError("division by zero")
            whole = abs(a) // abs(b)
            return UInt(whole) if kind == "uint" else _int(whole if (a < 0) == (b < 0) else -whole)
        case "double":
            if b:
                return a / b
            return float("nan") if not a or a != a else float("inf") if (a > 0) == (str(b)[0] != "-") else float("-inf")
    raise no_overload()


def modulo(a: Any, b: Any) -> Any:
    match _same_numbers(a, b):
        case "int" | "uint" as kind:
            if b == 0:
                raise EvalError("modulus by zero")
            rest = abs(a) % abs(b)
            return UInt(rest) if kind == "uint" else -rest if a < 0 else rest
    raise no_overload()


def negate(a: Any) -> Any:
    match kind_of(a):
        case "int":
            return _int(-a)
        case "double":
            return -a
    raise no_overload()


def compare(a: Any, b: Any) -> int | None:
    """-1, 0 or 1; None where either is not a number (NaN)."""
    if is_number(a) and is_number(b):
        return None if a != a or b != b else int(a > b) - int(a < b)
    if type(a) is type(b) and isinstance(a, str):
        left, right = a.encode("utf-8", "surrogatepass"), b.encode("utf-8", "surrogatepass")
        return int(left > right) - int(left < right)
    if type(a) is type(b) and isinstance(a, (bool, bytes, Timestamp, Duration)):
        return int(a > b) - int(a < b)
    raise no_overload()


def _ordered(holds: Callable[[int], bool]) -> Function:
    def run(a: Any, b: Any) -> bool:
        order = compare(a, b)
        return order is not None and holds(order)

    return run


def index(held: Any, key: Any) -> Any:
    if isinstance(held, Optional):
        return optional_index(held, key)
    if isinstance(held, list):
        if not is_number(key) or key != int(key):
            raise EvalError(f"unsupported index type '{kind_of(key)}' in list")
        if not 0 <= key < len(held):
            raise EvalError(f"index out of bounds: {int(key)}")
        return held[int(key)]
    if isinstance(held, Mapping):
        if key not in held or isinstance(key, (list, dict)):
            raise EvalError(f"no such key: {shown(key)}")
        return held[key]
    raise no_overload()


def optional_index(held: Any, key: Any) -> Optional:
    if isinstance(held, Optional):
        return optional_index(held.value, key) if held.present else NONE
    if isinstance(held, list):
        return Optional(held[int(key)]) if is_number(key) and 0 <= key < len(held) else NONE
    if isinstance(held, Mapping):
        return Optional(held[key]) if key in held else NONE
    raise no_overload()


def member(wanted: Any, held: Any) -> bool:
    if isinstance(held, list):
        return contains(held, wanted)
    if isinstance(held, Mapping):
        return isinstance(wanted, (str, int, float, bool)) and wanted in held
    raise no_overload()


def size(value: Any) -> int:
    if isinstance(value, (str, bytes, list, Mapping)):
        return len(value)
    raise no_overload()


def shown(value: Any) -> str:
    """A key in a message."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value == int(value):
            return str(int(value))
    return str(value)


# Conversions


def to_int(value: Any) -> int:
    match value:
        case bool():
            pass
        case int():
            return _int(int(value))
        case float():
            if value != value or not INT_MIN < value < 2**63:
                raise EvalError("integer overflow")
            return int(value)
        case str():
            if not re.fullmatch(r"[+-]?\d+", value, re.ASCII):
                raise EvalError(f'strconv.ParseInt: parsing "{value}": invalid syntax')
            if not INT_MIN <= int(value) <= INT_MAX:
                raise EvalError(f'strconv.ParseInt: parsing "{value}": value out of range')
            return int(value)
        case Timestamp():
            return value.ns // _NANO
        case Duration():
            return value.ns
    raise no_overload()


def to_uint(value: Any) -> UInt:
    match value:
        case bool():
            pass
        case int():
            return _uint(value)
        case float():
            if value != value or not 0 <= value < 2**64:
                raise EvalError("unsigned integer overflow")
            return UInt(int(value))
        case str():
            if not re.fullmatch(r"\d+", value, re.ASCII):
                raise EvalError(f'strconv.ParseUint: parsing "{value}": invalid syntax')
            return _uint(int(value))
    raise no_overload()


def to_double(value: Any) -> float:
    match value:
        case bool():
            pass
        case int() | float():
            return float(value)
        case str():
            try:
                return float(value)
            except ValueError:
                raise EvalError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None
    raise no_overload()


def to_string(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return double_text(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise EvalError("invalid UTF-8 in bytes, cannot convert to string") from None
        case Timestamp() | Duration():
            return str(value)
    if kind_of(value).startswith("net."):
        return str(value)
    raise no_overload()


def double_text(value: float) -> str:
    """As Go's shortest form prints it."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", text)


_TRUE, _FALSE = (
    frozenset({"1", "t", "T", "TRUE", "true", "True"}),
    frozenset({"0", "f", "F", "FALSE", "false", "False"}),
)


def to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value in _TRUE or value in _FALSE:
            return value in _TRUE
        raise EvalError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
    raise no_overload()


def to_bytes(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            return value.encode()
    raise no_overload()


def to_timestamp(value: Any) -> Timestamp:
    match value:
        case Timestamp():
            return value
        case bool():
            pass
        case int():
            return _moment(value * _NANO)
        case str():
            try:
                return Timestamp.parse(value)
            except ValueError:
                text = f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"'
                raise EvalError(text) from None
    raise no_overload()


def to_duration(value: Any) -> Duration:
    match value:
        case Duration():
            return value
        case bool():
            pass
        case int():
            return _span(value)
        case str():
            try:
                return Duration.parse(value)
            except ValueError:
                raise EvalError(f'time: invalid duration "{value}"') from None
    raise no_overload()


def type_of(value: Any) -> TypeValue:
    return TypeValue(kind_of(value))


# Parts of times


def _zone(name: str) -> tzinfo:
    if match := re.fullmatch(r"([+-]?)(\d\d):(\d\d)", name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise EvalError(f"unknown time zone {name}") from None


def _part(of_moment: Callable[[Any], int], of_duration: int = 0) -> Function:
    """A getter. Of a duration it counts whole units of `of_duration` nanoseconds."""

    def run(value: Any, zone: str = "UTC") -> int:
        if isinstance(value, Timestamp):
            return of_moment(value.moment().astimezone(_zone(zone)))
        if isinstance(value, Duration) and of_duration:
            return abs(value.ns) // of_duration * (-1 if value.ns < 0 else 1)
        raise no_overload()

    return run


def _milliseconds(value: Any, zone: str = "UTC") -> int:
    if isinstance(value, Duration):
        return (abs(value.ns) % _NANO) // 10**6
    if isinstance(value, Timestamp):
        return value.ns % _NANO // 10**6
    raise no_overload()


# Optionals


def _value(held: Any) -> Any:
    if not isinstance(held, Optional):
        raise no_overload()
    if not held.present:
        raise EvalError("optional.none() dereference")
    return held.value


def _has_value(held: Any) -> bool:
    if not isinstance(held, Optional):
        raise no_overload()
    return held.present


def _non_zero(value: Any) -> Optional:
    zero = (
        value is None or value is False or (is_number(value) and value == 0) or value in ("", b"") or value in ([], {})
    )
    return NONE if zero else Optional(value)


def matches(text: Any, pattern: Any) -> bool:
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise no_overload()
    return regex(pattern).search(text) is not None


def regex(pattern: str) -> re.Pattern[str]:
    try:
        return regexes.compiled(pattern)
    except re.error as error:
        raise EvalError(f"error parsing regexp: {error.msg}: `{pattern}`") from None


def strings(run: Callable[[str, str], Any]) -> Function:
    """A function of two strings."""

    def checked(a: Any, b: Any) -> Any:
        if not isinstance(a, str) or not isinstance(b, str):
            raise no_overload()
        return run(a, b)

    return checked


OPERATORS: Mapping[str, Function] = {
    "_+_": add,
    "_-_": subtract,
    "_*_": multiply,
    "_/_": divide,
    "_%_": modulo,
    "-_": negate,
    "_==_": equal,
    "_!=_": lambda a, b: not equal(a, b),
    "_<_": _ordered(lambda order: order < 0),
    "_<=_": _ordered(lambda order: order <= 0),
    "_>_": _ordered(lambda order: order > 0),
    "_>=_": _ordered(lambda order: order >= 0),
    "@in": member,
    "_[_]": index,
    "_[?_]": optional_index,
    "size": size,
    "type": type_of,
    "dyn": lambda value: value,
    "bool": to_bool,
    "bytes": to_bytes,
    "double": to_double,
    "duration": to_duration,
    "int": to_int,
    "string": to_string,
    "timestamp": to_timestamp,
    "uint": to_uint,
    "contains": strings(lambda a, b: b in a),
    "startsWith": strings(str.startswith),
    "endsWith": strings(str.endswith),
    "matches": matches,
    "optional.none": lambda: NONE,
    "optional.of": Optional,
    "optional.ofNonZeroValue": _non_zero,
    "hasValue": _has_value,
    "value": _value,
    "or": lambda a, b: a if _has_value(a) else b,
    "orValue": lambda a, b: a.value if _has_value(a) else b,
    "getFullYear": _part(lambda t: t.year),
    "getMonth": _part(lambda t: t.month - 1),
    "getDate": _part(lambda t: t.day),
    "getDayOfMonth": _part(lambda t: t.day - 1),
    "getDayOfWeek": _part(lambda t: t.isoweekday() % 7),
    "getDayOfYear": _part(lambda t: t.timetuple().tm_yday - 1),
    "getHours": _part(lambda t: t.hour, 3600 * _NANO),
    "getMinutes": _part(lambda t: t.minute, 60 * _NANO),
    "getSeconds": _part(lambda t: t.second, _NANO),
    "getMilliseconds": _milliseconds,
}
