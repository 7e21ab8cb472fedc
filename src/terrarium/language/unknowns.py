"""What is certain about a value that is not known yet."""

from __future__ import annotations

from typing import Any

from terrarium.language.types import NUMBER, Dynamic, List, Map, Set, Type
from terrarium.language.values import NO_MARKS, NULL, UNREFINED, Mark, Unknown, Value


def refined(type: Type, known: Unknown, marks: frozenset[Mark] = NO_MARKS) -> Value:
    """An unknown value of which this is known; where that leaves but one possibility, the value itself.

    A list of known length is a list of unknown elements, a number with one bound is that number.
    """
    if not known.not_null:
        return Value(type, known, marks)
    if isinstance(type, List | Set | Map) and known.min_length == known.max_length:
        length = known.min_length
        if not length:
            return Value(type, {} if isinstance(type, Map) else (), marks)
        if isinstance(type, List) or (isinstance(type, Set) and length == 1):
            return Value(type, (Value(type.element, UNREFINED),) * length, marks)
    if known.lower is not None and known.lower == known.upper and known.lower[1]:
        return Value(type, known.lower[0], marks)
    return Value(type, known, marks)


def either(type: Type, a: Value, b: Value) -> Value:
    """One of two values, it is not known which: what holds for both holds for the result."""
    if a.data is NULL and b.data is NULL:
        return Value(type, NULL)
    not_null = definitely_not_null(a) and definitely_not_null(b)
    if isinstance(type, Dynamic):
        return Value(type, Unknown(not_null=not_null))
    if a.data is NULL or b.data is NULL:
        return Value(type, Unknown())
    if a.type == NUMBER and b.type == NUMBER:
        (a_low, a_high), (b_low, b_high) = _bounds(a), _bounds(b)
        low = None if a_low is None or b_low is None else _outer(a_low, b_low, min)
        high = None if a_high is None or b_high is None else _outer(a_high, b_high, max)
        return refined(type, Unknown(not_null=not_null, lower=low, upper=high))
    if a.type == b.type and a.type.is_collection:
        (a_least, a_most), (b_least, b_most) = lengths(a), lengths(b)
        most = None if a_most is None or b_most is None else max(a_most, b_most)
        return refined(type, Unknown(not_null=not_null, min_length=min(a_least, b_least), max_length=most))
    return Value(type, Unknown(not_null=not_null))


def definitely_not_null(value: Value) -> bool:
    return value.data.not_null if isinstance(value.data, Unknown) else value.data is not NULL


def _bounds(value: Value) -> tuple[Any, Any]:
    if isinstance(value.data, Unknown):
        return value.data.lower, value.data.upper
    return (value.data, True), (value.data, True)


def _outer(a: tuple[Any, bool], b: tuple[Any, bool], choose: Any) -> tuple[Any, bool]:
    if a[0] == b[0]:
        return a[0], a[1] or b[1]
    return a if choose(a[0], b[0]) == a[0] else b


def lengths(value: Value) -> tuple[int, int | None]:
    """The least and the greatest length of a collection."""
    if isinstance(value.data, Unknown):
        return value.data.min_length, value.data.max_length
    return len(value.data), len(value.data)


def length_open(value: Value) -> bool:
    """Whether a known set holds unknown elements, which may yet fall together with others."""
    return isinstance(value.type, Set) and len(value.data) > 1 and not value.is_wholly_known
