"""What CEL values are at run time. JSON values stand for themselves; what JSON lacks has a class here.

int, float, str, bytes, bool, None, list and dict are Python's. Sets and keyed lists of a schema are lists which compare
and concatenate as their kind does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1


class EvalError(Exception):
    """An expression can't be evaluated; the text is cel-go's."""


class UInt(int):
    """An unsigned integer."""


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """Nanoseconds since 1970."""

    ns: int

    @classmethod
    def of(cls, moment: datetime) -> Timestamp:
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return cls((delta.days * 86400 + delta.seconds) * 10**9 + delta.microseconds * 1000)

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        match = _RFC3339.fullmatch(text)
        if match is None:
            raise ValueError(text)
        base = datetime.fromisoformat(match[1].upper().replace(" ", "T") + match[3].upper().replace("Z", "+00:00"))
        fraction = int((match[2] or "")[1:10].ljust(9, "0") or 0)
        return cls(cls.of(base.astimezone(UTC)).ns + fraction)

    def moment(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.ns // 1000)

    def __str__(self) -> str:
        fraction = f"{self.ns % 10**9:09d}".rstrip("0")
        return self.moment().strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """Nanoseconds."""

    ns: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Go's durations: `1h30m`, `-1.5s`, `0`."""
        sign = -1 if text.startswith("-") else 1
        rest = text[1:] if text[:1] in "+-" else text
        if rest == "0":
            return cls(0)
        total, at = 0, 0
        for match in _DURATION.finditer(rest):
            if match.start() != at:
                raise ValueError(text)
            whole, _, fraction = match[1].partition(".")
            unit = _UNITS[match[2]]
            total += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
            at = match.end()
        if not rest or at != len(rest):
            raise ValueError(text)
        return cls(sign * total)

    def __str__(self) -> str:
        """As CEL prints it: seconds."""
        sign = "-" if self.ns < 0 else ""
        whole, rest = divmod(abs(self.ns), 10**9)
        fraction = f"{rest:09d}".rstrip("0")
        return f"{sign}{whole}{'.' + fraction if fraction else ''}s"


@dataclass(frozen=True, slots=True)
class Optional:
    """`optional.of(value)`, or `optional.none()` when not `present`."""

    value: Any = None
    present: bool = True


NONE = Optional(present=False)


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value: what `type(x)` gives."""

    name: str


class SetList(list[Any]):
    """A list of type set: order doesn't count."""


class KeyedList(list[Any]):
    """A list of type map; `keys` are the names that tell its items apart."""

    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, items: Iterable[Any], keys: Sequence[str]) -> KeyedList:
        made = cls(items)
        made.keys = tuple(keys)
        return made

    def key(self, item: Any) -> tuple[Any, ...]:
        return tuple(item.get(k) if isinstance(item, dict) else None for k in self.keys)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """CEL's equality: numbers across their types, everything else only within its own."""
    if is_number(left) or is_number(right):
        return is_number(left) and is_number(right) and left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool) and left is right
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return False
        if isinstance(left, (SetList, KeyedList)) or isinstance(right, (SetList, KeyedList)):
            return _equal_unordered(left, right)
        return all(equal(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return len(left) == len(right) and all(k in right and equal(v, right[k]) for k, v in left.items())
    if isinstance(left, Optional) and isinstance(right, Optional):
        return left.present == right.present and equal(left.value, right.value)
    return type(left) is type(right) and bool(left == right)


def _equal_unordered(left: list[Any], right: list[Any]) -> bool:
    rest = list(right)
    for item in left:
        index = next((i for i, other in enumerate(rest) if equal(item, other)), None)
        if index is None:
            return False
        del rest[index]
    return True


def concatenated(left: list[Any], right: list[Any]) -> list[Any]:
    """`+` of lists: sets unite; a keyed list takes the right side's items over its own of the same key."""
    if isinstance(left, SetList):
        return SetList([*left, *(item for item in right if not any(equal(item, held) for held in left))])
    if isinstance(left, KeyedList):
        merged = {left.key(item): item for item in left}
        merged.update({left.key(item): item for item in right})
        return KeyedList.of(merged.values(), left.keys)
    return [*left, *right]


def contains(values: Iterable[Any], wanted: Any) -> bool:
    return any(equal(wanted, value) for value in values)
