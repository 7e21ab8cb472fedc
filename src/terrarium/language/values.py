"""Values of the language, with the three things plain Python values lack: null, unknown, and marks.

A `Value` is immutable: a type, the payload in Python's terms, and marks. Payload by type:

| type | payload |
| --- | --- |
| string | `str` (NFC) |
| number | `int`, or `fractions.Fraction` when not whole; infinite as `float("inf")` (see `number`) |
| bool | `bool` |
| list, tuple | `tuple[Value, ...]` |
| set | `tuple[Value, ...]`, without duplicates, in the order of cty's set iteration |
| map, object | `dict[str, Value]`, keys sorted; never changed after construction |
| any type | `NULL`, or an `Unknown` with what is nevertheless known about it |

Marks (`SENSITIVE`, `EPHEMERAL`) stand on the value they were put on; `marks_deep` gathers those inside. Whoever works
on a payload must carry its marks on: `with_marks`, and for functions the caller does it for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type


@dataclass(frozen=True, slots=True)
class Unknown:
    """What is known of an unknown value (cty's refinements). All fields may only ever become narrower.

    `lower`/`upper` are (number, inclusive); `prefix` a known start of a string; lengths are those of collections.
    """

    not_null: bool = False
    prefix: str = ""
    lower: tuple[int | Fraction, bool] | None = None
    upper: tuple[int | Fraction, bool] | None = None
    min_length: int = 0
    max_length: int | None = None


class Null:
    """The payload of null values; there is one, `NULL`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NULL"


NULL: Final = Null()
UNREFINED: Final = Unknown()
NOT_NULL: Final = Unknown(not_null=True)

Mark = str
SENSITIVE: Final[Mark] = "sensitive"
EPHEMERAL: Final[Mark] = "ephemeral"
TYPE_MARK: Final[Mark] = "type"
"""On the results of the console's `type` function, which may be no part of an expression."""
NO_MARKS: Final[frozenset[Mark]] = frozenset()


# Not frozen, though never changed: evaluating makes very many of them, and frozen ones take twice as long to make.
@dataclass(slots=True)
class Value:
    """A typed value. Build with the helpers below, which keep the payload's form true."""

    type: Type
    data: Any
    marks: frozenset[Mark] = NO_MARKS

    # Equality of dataclasses compares type, payload and marks: "the same value as data". The language's `==`, which
    # may be unknown, is `evaluate.equals`.

    def __hash__(self) -> int:
        data = self.data
        if isinstance(data, dict):
            return hash((self.type, tuple(data.items())))
        return hash((self.type, data))

    @property
    def is_null(self) -> bool:
        return self.data is NULL

    @property
    def is_known(self) -> bool:
        """Whether the value itself is known; parts of it may be unknown."""
        return not isinstance(self.data, Unknown)

    @property
    def is_wholly_known(self) -> bool:
        return all(isinstance(part.data, Unknown) is False for part in walk(self))

    def marked(self, *marks: Mark) -> Value:
        return self.with_marks(frozenset(marks))

    def with_marks(self, marks: frozenset[Mark]) -> Value:
        """This value with these marks added."""
        if marks <= self.marks:
            return self
        return Value(self.type, self.data, self.marks | marks)

    def unmarked(self) -> Value:
        """Without the marks of its own; those inside stay."""
        return Value(self.type, self.data) if self.marks else self

    def unmarked_deep(self) -> Value:
        return _unmark(self)

    @property
    def marks_deep(self) -> frozenset[Mark]:
        """All marks on the value or anywhere inside."""
        found: set[Mark] = set()
        for part in walk(self):
            found |= part.marks
        return frozenset(found)

    def __getitem__(self, key: str | int) -> Value:
        """A member of a known object, map, list or tuple. KeyError, IndexError when there is none."""
        member: Value = self.data[key]
        return member.with_marks(self.marks) if self.marks else member

    def __iter__(self) -> Iterator[Value]:
        """The elements of a known collection or structure, in order, without its own marks."""
        data = self.data
        if isinstance(data, dict):
            return iter(data.values())
        if isinstance(data, tuple):
            return iter(data)
        raise TypeError(f"{self.type.friendly()} has no elements")

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        raise TypeError("a Value is no Python truth value: look at .data")

    def __repr__(self) -> str:
        marks = f" marks={sorted(self.marks)}" if self.marks else ""
        return f"<{self.type!r} {self.data!r}{marks}>"


def nfc(text: str) -> str:
    """The text in Unicode's normal form C."""
    from terrarium.language.text import nfc as normalise

    return normalise(text)


TRUE: Final = Value(BOOL, True)
FALSE: Final = Value(BOOL, False)
DYNAMIC_UNKNOWN: Final = Value(DYNAMIC, UNREFINED)
EMPTY_STRING: Final = Value(STRING, "")
DYNAMIC_NULL: Final = Value(DYNAMIC, NULL)


def string(text: str) -> Value:
    """A string value; callers which take text from outside normalise it to NFC first (`values.nfc`)."""
    return Value(STRING, text)


def number(value: int | Fraction | float) -> Value:
    """A number value. Whole fractions become `int`; the 512-bit rounding of cty is `convert.rounded`."""
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            return Value(NUMBER, value)
        value = Fraction(value)
    if isinstance(value, Fraction) and value.denominator == 1:
        value = value.numerator
    return Value(NUMBER, int(value) if isinstance(value, bool) else value)


def boolean(value: bool) -> Value:
    return TRUE if value else FALSE


def null(type: Type = DYNAMIC) -> Value:
    return Value(type, NULL)


def unknown(type: Type = DYNAMIC, known: Unknown = UNREFINED) -> Value:
    """An unknown value. `any` can't be refined but by not being null."""
    return Value(type, known)


def list_of(element: Type, items: Iterable[Value]) -> Value:
    return Value(List(element), tuple(items))


def set_of(element: Type, items: Iterable[Value]) -> Value:
    """A set; equal elements fall together, and the order is cty's (`convert.set_order`).

    Marks of elements become marks of the whole set, since which elements there are depends on all of them.
    """
    from terrarium.language.sets import set_order

    members = list(items)
    marks: frozenset[Mark] = NO_MARKS
    if any(m.marks_deep for m in members):
        marks = frozenset().union(*(m.marks_deep for m in members))
        members = [m.unmarked_deep() for m in members]
    return Value(Set(element), set_order(element, members), marks)


def map_of(element: Type, items: Mapping[str, Value]) -> Value:
    return Value(Map(element), {key: items[key] for key in sorted(items)})


def tuple_of(items: Iterable[Value]) -> Value:
    members = tuple(items)
    return Value(Tuple(tuple(m.type for m in members)), members)


def object_of(items: Mapping[str, Value]) -> Value:
    members = {key: items[key] for key in sorted(items)}
    return Value(Object({key: value.type for key, value in members.items()}), members)


def walk(value: Value) -> Iterator[Value]:
    """The value and every part of it, outer parts first."""
    pending = [value]
    while pending:
        part = pending.pop()
        yield part
        if isinstance(part.data, tuple):
            pending.extend(reversed(part.data))
        elif isinstance(part.data, dict):
            pending.extend(reversed(part.data.values()))


Path = tuple[Any, ...]
"""Steps into a value: attribute names and map keys as `str`, list indices as `int`, set elements as `Value`."""


def walk_paths(value: Value, path: Path = ()) -> Iterator[tuple[Path, Value]]:
    """Every part with its path, outer parts first."""
    yield path, value
    if isinstance(value.data, dict):
        for key, part in value.data.items():
            yield from walk_paths(part, (*path, key))
    elif isinstance(value.data, tuple):
        by_value = isinstance(value.type, Set)
        for index, part in enumerate(value.data):
            yield from walk_paths(part, (*path, part if by_value else index))


def _unmark(value: Value) -> Value:
    data = value.data
    if isinstance(data, tuple):
        parts = tuple(_unmark(p) for p in data)
        if all(a is b for a, b in zip(parts, data, strict=True)):
            return value.unmarked()
        return Value(value.type, parts)
    if isinstance(data, dict):
        members = {k: _unmark(p) for k, p in data.items()}
        if all(members[k] is data[k] for k in data):
            return value.unmarked()
        return Value(value.type, members)
    return value.unmarked()
