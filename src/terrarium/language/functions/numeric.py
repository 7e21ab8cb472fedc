"""Functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from terrarium.language import numbers
from terrarium.language.functions import floats
from terrarium.language.functions.arguments import real, whole
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters
from terrarium.language.text import quote
from terrarium.language.types import DYNAMIC, NUMBER, STRING, List, Type
from terrarium.language.values import Value


def _abs(values: Sequence[Value], _: Type) -> Value:
    number = values[0].data
    return Value(NUMBER, numbers.negate(number) if number < 0 else number if number else 0)


def _ceil(values: Sequence[Value], _: Type) -> Value:
    number = values[0].data
    return Value(NUMBER, -((-number).__floor__()) if isinstance(number, Fraction) else number)


def _floor(values: Sequence[Value], _: Type) -> Value:
    number = values[0].data
    return Value(NUMBER, number.__floor__() if isinstance(number, Fraction) else number)


def _log(values: Sequence[Value], _: Type) -> Value:
    top, bottom = floats.log(real(values[0])), floats.log(real(values[1]))
    if bottom == 0:
        result = math.nan if top == 0 or math.isnan(top) else math.copysign(math.inf, top) * math.copysign(1, bottom)
    elif math.isinf(top) and math.isinf(bottom):
        result = math.nan
    else:
        result = top / bottom
    return _float(result)


def _pow(values: Sequence[Value], _: Type) -> Value:
    return _float(floats.power(real(values[0]), real(values[1])))


def _float(result: float) -> Value:
    if math.isnan(result):
        raise FunctionError("result is not a number")
    return Value(NUMBER, numbers.from_float(result))


def _signum(values: Sequence[Value], _: Type) -> Value:
    number = whole(values[0])
    return Value(NUMBER, numbers.Whole((number > 0) - (number < 0)))


def _extreme(want_less: bool) -> Function:
    def body(values: Sequence[Value], _: Type) -> Value:
        if not values:
            raise FunctionError("must pass at least one number")
        best = values[0]
        for value in values[1:]:
            if value.data < best.data if want_less else value.data > best.data:
                best = value
        return best

    return Function((), NUMBER, body, variadic=Parameter("numbers", NUMBER, allow_dynamic=True))


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _parse_int_type(values: Sequence[Value]) -> Type:
    if values[0].type != STRING:
        raise ArgumentError(0, f"first argument must be a string, not {values[0].type.friendly()}")
    return NUMBER


def _parse_int(values: Sequence[Value], _: Type) -> Value:
    text: str = values[0].data
    base = whole(values[1], 1)
    if not 2 <= base <= 62:
        raise ArgumentError(1, "base must be a whole number between 2 and 62 inclusive")
    digits = text[1:] if text[:1] in ("+", "-") else text
    known = _DIGITS[:base] if base > 36 else _DIGITS[:base] + _DIGITS[:base].upper()
    if not digits or any(c not in known for c in digits):
        raise ArgumentError(0, f"cannot parse {quote(text)} as a base {base} integer")
    if base == 10:
        number = numbers.from_digits(digits)
    elif base <= 36:
        number = int(digits, base) if base & (base - 1) == 0 or len(digits) < 2000 else _slow(digits.lower(), base)
    else:
        number = _slow(digits, base)
    number = -number if text[0] == "-" else number
    return Value(NUMBER, numbers.Whole(number, max(64, number.bit_length())))


def _slow(digits: str, base: int) -> int:
    number = 0
    for char in digits:
        number = number * base + _DIGITS.index(char)
    return number


def _range(values: Sequence[Value], _: Type) -> Value:
    if not 1 <= len(values) <= 3:
        raise FunctionError("must have one, two, or three arguments")
    if len(values) == 1:
        start, end = numbers.Whole(0), values[0].data
    else:
        start, end = values[0].data, values[1].data
    step = values[2].data if len(values) == 3 else numbers.Whole(-1 if end < start else 1)
    down = step < 0
    if down and end > start:
        raise ArgumentError(1, "end must be less than start when step is negative")
    if not down and end < start:
        raise ArgumentError(1, "end must be greater than start when step is positive")
    found: list[Value] = []
    number: numbers.Number = start
    while number > end if down else number < end:
        if len(found) >= 1024:
            raise FunctionError(
                "more than 1024 values were generated; either decrease the difference between start and end or use a "
                "smaller step"
            )
        found.append(Value(NUMBER, number))
        number = numbers.add(number, step)
    return Value(List(NUMBER), tuple(found))


_NUM = Parameter("num", NUMBER)

FUNCTIONS: Mapping[str, Function] = {
    "abs": Function((Parameter("num", NUMBER, allow_dynamic=True),), NUMBER, _abs),
    "ceil": Function((_NUM,), NUMBER, _ceil),
    "floor": Function((_NUM,), NUMBER, _floor),
    "log": Function(parameters(("num", NUMBER), ("base", NUMBER)), NUMBER, _log),
    "pow": Function(parameters(("num", NUMBER), ("power", NUMBER)), NUMBER, _pow),
    "signum": Function((_NUM,), NUMBER, _signum),
    "max": _extreme(False),
    "min": _extreme(True),
    "parseint": Function(parameters(("number", DYNAMIC), ("base", NUMBER)), _parse_int_type, _parse_int),
    "range": Function((), List(NUMBER), _range, variadic=Parameter("params", NUMBER)),
}
