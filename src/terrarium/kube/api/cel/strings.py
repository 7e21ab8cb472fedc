"""CEL's string, set and list extensions: `charAt`, `split`, `format`, `sets.contains`, `isSorted` and their kin."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from terrarium.kube.api.cel.operators import Function, add, compare, double_text, kind_of, no_overload, regex, to_string
from terrarium.kube.api.cel.values import Duration, EvalError, Timestamp, UInt, contains, equal, is_number


def _texts(*values: Any) -> None:
    if not all(isinstance(value, str) for value in values):
        raise no_overload()


def _char_at(text: str, at: int) -> str:
    _texts(text)
    if not 0 <= at <= len(text):
        raise EvalError(f"index out of range: {at}")
    return text[at : at + 1]


def _index_of(held: Any, wanted: Any, start: int = 0) -> int:
    if isinstance(held, list):
        return next((i for i, item in enumerate(held) if equal(item, wanted)), -1)
    _texts(held, wanted)
    if not wanted:
        return start
    if not 0 <= start <= len(held):
        raise EvalError(f"index out of range: {start}")
    return int(held.find(wanted, start))


def _last_index_of(held: Any, wanted: Any, last: int | None = None) -> int:
    if isinstance(held, list):
        return next((i for i in range(len(held) - 1, -1, -1) if equal(held[i], wanted)), -1)
    _texts(held, wanted)
    if last is None:
        return int(held.rfind(wanted))
    if not 0 <= last < len(held):
        raise EvalError(f"index out of range: {last}")
    return int(held.rfind(wanted, 0, last + len(wanted)))


def _ascii(text: str, *, upper: bool) -> str:
    _texts(text)
    first, last = ("a", "z") if upper else ("A", "Z")
    return "".join((c.upper() if upper else c.lower()) if first <= c <= last else c for c in text)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    _texts(text, old, new)
    return text.replace(old, new, count)


def _split(text: str, by: str, count: int = -1) -> list[str]:
    _texts(text, by)
    if count == 0:
        return []
    if not by:
        parts = list(text)
        return parts if count < 0 or len(parts) <= count else [*parts[: count - 1], "".join(parts[count - 1 :])]
    return text.split(by, -1 if count < 0 else count - 1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    _texts(text)
    stop = len(text) if end is None else end
    for at in (start, stop):
        if not 0 <= at <= len(text):
            raise EvalError(f"index out of range: {at}")
    if start > stop:
        raise EvalError(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


def _join(parts: Any, between: str = "") -> str:
    if not isinstance(parts, list):
        raise no_overload()
    _texts(between, *parts)
    return between.join(parts)


def _quote(text: str) -> str:
    _texts(text)
    escapes = {
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
        "\\": "\\\\",
        '"': '\\"',
    }
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def _format(text: str, args: list[Any]) -> str:
    """`%s %d %f %e %b %x %X %o %%` with an optional precision."""
    _texts(text)
    out: list[str] = []
    index = used = 0
    while index < len(text):
        if text[index] != "%":
            out.append(text[index])
            index += 1
            continue
        index += 1
        if index >= len(text):
            raise EvalError("unexpected end of string")
        if text[index] == "%":
            out.append("%")
            index += 1
            continue
        precision = 6
        if text[index] == ".":
            start = index = index + 1
            while index < len(text) and text[index].isdigit():
                index += 1
            precision = int(text[start:index] or 0)
        clause = text[index : index + 1]
        index += 1
        if used >= len(args):
            raise EvalError(f"index {used} out of range")
        out.append(_clause(clause, args[used], precision))
        used += 1
    return "".join(out)


def _clause(clause: str, value: Any, precision: int) -> str:
    number = is_number(value)
    match clause:
        case "s":
            return _shown(value)
        case "d" if number:
            return double_text(value) if isinstance(value, float) else str(int(value))
        case "f" if number:
            return f"{float(value):.{precision}f}"
        case "e" if number:
            return f"{float(value):.{precision}e}"
        case "b" if isinstance(value, int):
            return format(int(value), "b")
        case "o" if isinstance(value, int) and number:
            return format(int(value), "o")
        case "x" | "X" if isinstance(value, (int, str, bytes)):
            raw = value.encode() if isinstance(value, str) else value
            text = raw.hex() if isinstance(raw, bytes) else format(int(raw), "x")
            return text.upper() if clause == "X" else text
    if clause not in "sdfeboxX" or not clause:
        raise EvalError(f'could not parse formatting clause: unrecognized formatting clause "{clause}"')
    raise EvalError(f"error during formatting: formatting clause cannot be used on {kind_of(value)}")


def _shown(value: Any) -> str:
    match value:
        case list():
            return "[" + ", ".join(_shown(item) for item in value) + "]"
        case Mapping():
            return "{" + ", ".join(f"{_shown(k)}: {_shown(value[k])}" for k in sorted(value, key=str)) + "}"
        case None:
            return "null"
        case bool() | int() | UInt() | float() | str() | bytes() | Timestamp() | Duration():
            return to_string(value)
    return str(getattr(value, "name", value))


# Lists


def _pairs(held: Any) -> list[tuple[Any, Any]]:
    if not isinstance(held, list):
        raise no_overload()
    return list(itertools.pairwise(held))


def _sorted(held: Any) -> bool:
    return all((compare(a, b) or 0) <= 0 for a, b in _pairs(held))


def _extreme(held: Any, sign: int, name: str) -> Any:
    if not isinstance(held, list):
        raise no_overload()
    if not held:
        raise EvalError(f"{name} called on empty list")
    best = held[0]
    for item in held[1:]:
        if (compare(item, best) or 0) * sign > 0:
            best = item
    return best


def _sum(held: Any) -> Any:
    if not isinstance(held, list):
        raise no_overload()
    if not held:
        return 0
    total = held[0]
    for item in held[1:]:
        total = add(total, item)
    return total


def _sets(a: Any, b: Any) -> None:
    if not isinstance(a, list) or not isinstance(b, list):
        raise no_overload()


def _set_contains(a: Any, b: Any) -> bool:
    _sets(a, b)
    return all(contains(a, item) for item in b)


def _set_intersects(a: Any, b: Any) -> bool:
    _sets(a, b)
    return any(contains(b, item) for item in a)


# Regular expressions


def _find(text: Any, pattern: Any) -> str:
    _texts(text, pattern)
    match = regex(pattern).search(text)
    return match[0] if match else ""


def _find_all(text: Any, pattern: Any, count: int = -1) -> list[str]:
    _texts(text, pattern)
    found = [match[0] for match in regex(pattern).finditer(text)]
    return found if count < 0 else found[:count]


STRINGS: Mapping[str, Function] = {
    "charAt": _char_at,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "lowerAscii": lambda text: _ascii(text, upper=False),
    "upperAscii": lambda text: _ascii(text, upper=True),
    "replace": _replace,
    "split": _split,
    "substring": _substring,
    "trim": lambda text: text.strip(),
    "reverse": lambda text: text[::-1],
    "join": _join,
    "format": _format,
    "strings.quote": _quote,
    "sets.contains": _set_contains,
    "sets.equivalent": lambda a, b: _set_contains(a, b) and _set_contains(b, a),
    "sets.intersects": _set_intersects,
    "isSorted": _sorted,
    "min": lambda held: _extreme(held, -1, "min"),
    "max": lambda held: _extreme(held, 1, "max"),
    "sum": _sum,
    "find": _find,
    "findAll": _find_all,
}
