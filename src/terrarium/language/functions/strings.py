"""Functions of text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from terrarium.base.graphemes import clusters
from terrarium.language.functions.arguments import whole
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters, plain
from terrarium.language.text import SPACES, nfc
from terrarium.language.types import BOOL, NUMBER, STRING, List, Type
from terrarium.language.values import FALSE, NULL, TRUE, Unknown, Value, boolean

# What Go's simple case mappings leave alone or map otherwise than Python's full ones.
_SPECIAL_UPPER: Final = {"ß": "ß", "ŉ": "ŉ", "ǰ": "ǰ", "ΐ": "ΐ", "ΰ": "ΰ", "և": "և"}


def _simple(char: str, changed: str) -> str:
    """Go maps one character to one character only."""
    return changed if len(changed) == 1 else char


def upper(text: str) -> str:
    if text.isascii():
        return text.upper()
    return "".join(_SPECIAL_UPPER.get(c) or _upper(c) for c in text)


def _upper(char: str) -> str:
    changed = char.upper()
    # Letters with iota subscript have a simple upper case, which Python only gives as their title case.
    return changed if len(changed) == 1 else _simple(char, char.title())


def lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return "".join("i" if c == "İ" else _simple(c, c.lower()) for c in text)


def title(text: str) -> str:
    """Go's `strings.Title`: letters that begin a word in title case, the others as they are."""
    result: list[str] = []
    previous = " "
    for char in text:
        result.append(_simple(char, char.title()) if _separates(previous) else char)
        previous = char
    return "".join(result)


def _separates(char: str) -> bool:
    if char.isascii():
        return not (char.isalnum() or char == "_")
    category = unicodedata.category(char)
    if category[0] == "L" or category == "Nd":
        return False
    return char in SPACES


def split(separator: str, text: str) -> list[str]:
    if separator:
        return text.split(separator)
    return list(text)


def _substr(values: Sequence[Value], _: Type) -> Value:
    text: str = values[0].data
    offset, length = whole(values[1]), whole(values[2])
    parts = text if text.isascii() else (clusters(text))
    if offset < 0:
        offset += len(parts)
    elif length == 0:
        return Value(STRING, "")
    rest = parts[max(offset, 0) :]
    # A length of 0 behind a negative offset is never reached by Go's count, which starts at one.
    chosen = rest if length <= 0 else rest[:length]
    return Value(STRING, chosen if isinstance(chosen, str) else "".join(chosen))


def _join(values: Sequence[Value], type: Type) -> Value:
    separator, lists = values[0].data, values[1:]
    if not lists:
        raise FunctionError("at least one list is required")
    if not all(v.is_wholly_known for v in lists):
        return Value(type, Unknown())
    items: list[str] = []
    for at, one in enumerate(lists):
        for i, member in enumerate(one.data):
            if member.data is NULL:
                where = f"element {i} of list {at + 1}" if len(lists) > 1 else f"element {i}"
                raise ArgumentError(at + 1, f"{where} is null; cannot concatenate null values")
            items.append(member.data)
    return Value(STRING, nfc(separator.join(items)))


def _sort(values: Sequence[Value], type: Type) -> Value:
    one = values[0]
    if not one.is_wholly_known:
        known = (
            one.data if isinstance(one.data, Unknown) else Unknown(min_length=len(one.data), max_length=len(one.data))
        )
        return Value(type, Unknown(min_length=known.min_length, max_length=known.max_length))
    for i, member in enumerate(one.data):
        if member.data is NULL:
            raise FunctionError(f"given list element {i} is null; a null string cannot be sorted")
    return Value(type, tuple(sorted(one.data, key=lambda member: member.data)))


def _indent(values: Sequence[Value], _: Type) -> Value:
    spaces = whole(values[0])
    if spaces < 0:
        raise FunctionError("panic in function implementation: strings: negative Repeat count")
    if spaces * max(values[1].data.count("\n"), 1) > 1 << 28:
        raise FunctionError("the result is too long")
    return Value(STRING, values[1].data.replace("\n", "\n" + " " * spaces))


def _starts_with(values: Sequence[Value], type: Type) -> Value:
    text, prefix = values[0].data, values[1].data
    if not isinstance(text, Unknown):
        return boolean(text.startswith(prefix))
    if not prefix or text.prefix.startswith(prefix):
        return TRUE
    if text.prefix and len(text.prefix.encode()) >= len(prefix.encode()):
        return FALSE
    return Value(type, Unknown())


_NEWLINES = re.compile(r"(?:\r\n?|\n)*\Z")


def _replace(values: Sequence[Value], _: Type) -> Value:
    text, old, new = (v.data for v in values)
    if len(old) > 1 and old[0] == "/" and old[-1] == "/":
        from terrarium.language.functions.regular import replace_all

        return Value(STRING, nfc(replace_all(old[1:-1], text, new)))
    return Value(STRING, nfc(text.replace(old, new)))


def _text(compute: object, *names: str) -> Function:
    return plain([(name, STRING) for name in names], STRING, lambda *texts: nfc(compute(*texts)))  # type: ignore[operator]


FUNCTIONS: Mapping[str, Function] = {
    "chomp": _text(lambda s: _NEWLINES.sub("", s), "str"),
    "endswith": plain([("str", STRING), ("suffix", STRING)], BOOL, str.endswith),
    "indent": Function(parameters(("spaces", NUMBER), ("str", STRING)), STRING, _indent),
    "join": Function(parameters(("separator", STRING)), STRING, _join, variadic=Parameter("lists", List(STRING))),
    "lower": _text(lower, "str"),
    "replace": Function(parameters(("str", STRING), ("substr", STRING), ("replace", STRING)), STRING, _replace),
    "sort": Function((Parameter("list", List(STRING), allow_unknown=True),), List(STRING), _sort),
    "split": plain([("separator", STRING), ("str", STRING)], List(STRING), split),
    "startswith": Function(
        (Parameter("str", STRING, allow_unknown=True), Parameter("prefix", STRING)), BOOL, _starts_with
    ),
    "strcontains": plain([("str", STRING), ("substr", STRING)], BOOL, lambda s, part: part in s),
    "strrev": _text(lambda s: "".join(reversed(clusters(s))), "str"),
    "substr": Function(parameters(("str", STRING), ("offset", NUMBER), ("length", NUMBER)), STRING, _substr),
    "title": _text(title, "str"),
    "trim": _text(lambda s, cut: s.strip(cut) if cut else s, "str", "cutset"),
    "trimprefix": _text(str.removeprefix, "str", "prefix"),
    "trimspace": _text(lambda s: s.strip(SPACES), "str"),
    "trimsuffix": _text(str.removesuffix, "str", "suffix"),
    "upper": _text(upper, "str"),
}
