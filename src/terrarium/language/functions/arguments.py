"""Numbers out of arguments, as the integers and floats that Go's functions want."""

from __future__ import annotations

from fractions import Fraction

from terrarium.language.functions.spec import ArgumentError, FunctionError
from terrarium.language.values import Value

_MOST = 2**63 - 1


def whole(value: Value, index: int | None = None, prefix: str = "") -> int:
    """A 64-bit integer; FunctionError (or ArgumentError for `index`) when the number is none."""
    number = value.data
    if not isinstance(number, int) or not -_MOST - 1 <= number <= _MOST:
        message = f"{prefix}value must be a whole number, between {-_MOST - 1} and {_MOST}"
        raise FunctionError(message) if index is None else ArgumentError(index, message)
    return int(number)


def big(value: Value) -> int:
    """An integer of any size."""
    if not isinstance(value.data, int):
        raise FunctionError("value must be a whole number")
    return int(value.data)


def real(value: Value) -> float:
    """The nearest float64."""
    number: int | Fraction | float = value.data
    try:
        return float(number)
    except OverflowError:
        raise FunctionError("value must be between -1.797693e+308 and 1.797693e+308 inclusive") from None
