"""The order of sets: cty iterates elements by value where they are primitive, else by a text made of their content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from terrarium.language.numbers import equal, to_general
from terrarium.language.text import quote
from terrarium.language.types import BOOL, NUMBER, STRING, Object, Type
from terrarium.language.values import NULL, Unknown, Value


def set_order(element: Type, items: Iterable[Value]) -> tuple[Value, ...]:
    """The items without duplicates in the order in which cty iterates them. Unknown items are never equal to others."""
    values = list(items)
    if len(values) < 2:
        return tuple(values)
    ranked = sorted((_rank(element, v), i) for i, v in enumerate(values))
    result: list[Value] = []
    last: Value | None = None
    last_rank: Any = None
    for rank, i in ranked:
        value = values[i]
        if last is not None and rank == last_rank and any(same(value, v) for v in _tail(result, rank, element)):
            continue
        result.append(value)
        last, last_rank = value, rank
    return tuple(result)


def _tail(result: list[Value], rank: Any, element: Type) -> Iterable[Value]:
    """The elements at the end with the same rank (different ones may share it: long fractions)."""
    for value in reversed(result):
        if _rank(element, value) != rank:
            return
        yield value


def _rank(element: Type, value: Value) -> tuple[int, Any]:
    data = value.data
    if data is NULL:
        return (2, "")
    if isinstance(data, Unknown):
        return (1, "")
    if element in (STRING, NUMBER, BOOL):
        return (0, data)
    return (0, _content(value))


def content(value: Value) -> str:
    """A text which equal values share, for finding candidates; different values may share it too."""
    return _content(value)


def _content(value: Value) -> str:
    data = value.data
    if isinstance(data, Unknown):
        return "?"
    if data is NULL:
        return "~"
    type = value.type
    if type == STRING:
        return quote(data)
    if type == NUMBER:
        return to_general(data)
    if type == BOOL:
        return "T" if data else "F"
    if isinstance(data, dict):
        if isinstance(type, Object):
            return "<" + "".join(_content(data[name]) + ";" for name in sorted(data)) + ">"
        return "{" + "".join(f"{quote(key)}:{_content(member)};" for key, member in data.items()) + "}"
    members = "".join(_content(member) + ";" for member in data)
    return f"[{members}]" if type.is_collection else f"<{members}>"


def same(a: Value, b: Value) -> bool:
    """Whether two unmarked values are certainly equal: `==` is known and true."""
    x, y = a.data, b.data
    if isinstance(x, Unknown) or isinstance(y, Unknown):
        return False
    if x is NULL or y is NULL:
        return x is y
    if isinstance(x, dict):
        return isinstance(y, dict) and x.keys() == y.keys() and all(same(x[k], y[k]) for k in x)
    if isinstance(x, tuple):
        return isinstance(y, tuple) and len(x) == len(y) and all(same(p, q) for p, q in zip(x, y, strict=True))
    if a.type == NUMBER:
        return equal(x, y)
    return bool(x == y)
