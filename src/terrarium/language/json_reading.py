"""JSON text to values with their places, with hcl's words for mistakes (json/parser.go's rules).

The reader recovers after a mistake to the end of the object or array, and goes on. What the values mean as a
configuration is `json_syntax`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Pos, Range, Source
from terrarium.base.suggest import nearest
from terrarium.language.reading import MAX_DEPTH, too_deep
from terrarium.language.step_parsing import number_value
from terrarium.language.types import NUMBER
from terrarium.language.values import FALSE, TRUE, Value


@dataclass(slots=True, eq=False)
class JsonSource(Source):
    """A JSON text. hcl counts a tab outside of strings as two columns here."""

    def pos(self, offset: int) -> Pos:
        place = Source.pos(self, offset)
        tabs = self.text.count("\t", self.text.rfind("\n", 0, offset) + 1, offset)
        return Pos(place.line, place.column + tabs, place.byte) if tabs else place


# --- values ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Item:
    """Base of JSON values with their stretch of the text. Alone: what could not be read."""

    start: int
    end: int

    @property
    def start_end(self) -> int:
        """Where its beginning ends, which messages underline: a bracket, or the whole of a plain value."""
        return self.end


@dataclass(slots=True, eq=False)
class Text(Item):
    value: str


@dataclass(slots=True, eq=False)
class Plain(Item):
    """A number, `true` or `false`."""

    value: Value


@dataclass(slots=True, eq=False)
class Null(Item):
    pass


@dataclass(slots=True, eq=False)
class Property:
    name: str
    start: int
    end: int
    value: Item


@dataclass(slots=True, eq=False)
class Object(Item):
    properties: list[Property]

    @property
    def start_end(self) -> int:
        return self.start + 1


@dataclass(slots=True, eq=False)
class Array(Item):
    items: list[Item]

    @property
    def start_end(self) -> int:
        return self.start + 1


# --- reading ---------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
      ([{}\[\],:=])                                   # 1 punctuation
    | ("(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*"?)        # 2 string, perhaps broken
    | ([-+.0-9][-+.eE0-9]*)                           # 3 number, perhaps broken
    | ([A-Za-z][A-Za-z_]*)                            # 4 keyword
    | ([^ \t\r\n])                                    # 5
    )""",
    re.VERBOSE,
)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_STRING_START = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_NUMBER = re.compile(r"(-?)((?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_LONE = re.compile("[\ud800-\udfff]")

_STRING_KIND, _NUMBER_KIND, _WORD_KIND, _INVALID_KIND, _END_KIND = "string", "number", "word", "invalid", ""

_VALUE_NEEDED: Final = "A JSON value must start with a brace, a bracket, a number, a string, or a keyword."
_NO_VALUE: Final = {
    "}": ("Missing JSON value", _VALUE_NEEDED),
    "]": ("Missing array element value", _VALUE_NEEDED),
    _END_KIND: ("Missing value", "The JSON data ends prematurely."),
}


class _TooDeep(Exception):
    def __init__(self, at: int) -> None:
        self.at = at


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.kinds: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.at = 0
        self.depth = 0
        self.diagnostics: list[Diagnostic] = []
        self.scan()

    def scan(self) -> None:
        kinds = ("", "", _STRING_KIND, _NUMBER_KIND, _WORD_KIND, _INVALID_KIND)
        at = 0
        end = len(self.text)
        while True:
            match = _TOKEN.match(self.text, at)
            if match is None:
                at = end
                break
            group = match.lastindex or 5
            at = match.end()
            self.kinds.append(match[1] if group == 1 else kinds[group])
            self.starts.append(match.start(group))
            self.ends.append(at)
            if group == 5:
                break
        self.kinds.append(_END_KIND)
        self.starts.append(at)
        self.ends.append(at)

    def peek(self) -> str:
        return self.kinds[self.at]

    def read(self) -> int:
        at = self.at
        if self.kinds[at]:
            self.at = at + 1
        return at

    def say(self, summary: str, detail: str, at: int) -> None:
        if self.kinds[at] != _INVALID_KIND:
            self.say_of(summary, detail, self.starts[at], self.ends[at])
            return
        # hcl takes one byte of a character which can't start anything.
        place = self.source.pos(self.starts[at])
        after = Pos(place.line, place.column + 1, place.byte + 1)
        self.diagnostics.append(error(summary, detail, Range(self.source.filename, place, after)))

    def say_of(self, summary: str, detail: str, start: int, end: int) -> None:
        self.diagnostics.append(error(summary, detail, self.source.range(start, end)))

    def value(self) -> Item:
        kind = self.peek()
        at = self.at
        start, end = self.starts[at], self.ends[at]
        result: Item | None = None
        if kind == "{" or kind == "[":
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise _TooDeep(start)
            result = self.object() if kind == "{" else self.array()
            self.depth -= 1
        elif kind == _STRING_KIND:
            result = self.string(self.read())
        elif kind == _NUMBER_KIND:
            result = self.number(self.read())
        elif kind == _WORD_KIND:
            result = self.keyword(self.read())
        else:
            summary, detail = _NO_VALUE.get(kind, ("Invalid start of value", _VALUE_NEEDED))
            self.say(summary, detail, at)
        return result or Item(start, end)

    def recover(self, at: int, opener: str, closer: str) -> None:
        """Skips to the end of the object or array, beginning with the token at `at`, which was read."""
        opened = 1
        while True:
            kind = self.kinds[at]
            if kind == opener:
                opened += 1
            elif kind == closer:
                opened -= 1
                if opened <= 1:
                    return
            elif kind == _END_KIND:
                return
            at = self.read()

    def object(self) -> Item | None:
        opening = self.read()
        properties: list[Property] = []
        while self.peek() != "}":
            key = self.value()
            if not isinstance(key, Text):
                self.say_of(
                    "Invalid object property name",
                    "A JSON object property name must be a string",
                    key.start,
                    key.start_end,
                )
                return None
            colon = self.read()
            if self.kinds[colon] != ":":
                self.recover(colon, "{", "}")
                if self.kinds[colon] in ("}", ","):
                    summary = "Missing object value"
                    detail = "A JSON object attribute must have a value, introduced by a colon."
                else:
                    summary = "Missing property value colon"
                    detail = "A colon must appear between an object property's name and its value."
                    if self.kinds[colon] == "=":
                        detail = "JSON uses a colon as its name/value delimiter, not an equals sign."
                self.say(summary, detail, colon)
                return None
            properties.append(Property(key.value, key.start, key.end, self.value()))
            kind = self.peek()
            if kind == ",":
                comma = self.read()
                if self.peek() == "}":
                    self.say(
                        "Trailing comma in object",
                        "JSON does not permit a trailing comma after the final property in an object.",
                        comma,
                    )
                    return None
            elif kind == "}":
                break
            elif kind == _END_KIND:
                self.say("Unclosed object", "No closing brace was found for this JSON object.", opening)
                return None
            elif kind == "]":
                self.read()
                self.say("Mismatched braces", "A JSON object must be closed with a brace, not a bracket.", self.at)
                return None
            else:
                self.recover(self.read(), "{", "}")
                self.say(
                    "Missing attribute seperator comma",
                    "A comma must appear between each property definition in an object.",
                    self.at,
                )
                return None
        closing = self.read()
        return Object(self.starts[opening], self.ends[closing], properties)

    def array(self) -> Item | None:
        opening = self.read()
        items: list[Item] = []
        while self.peek() != "]":
            items.append(self.value())
            kind = self.peek()
            if kind == ",":
                comma = self.read()
                if self.peek() == "]":
                    self.say(
                        "Trailing comma in array",
                        "JSON does not permit a trailing comma after the final value in an array.",
                        comma,
                    )
                    return None
                continue
            if kind == "]":
                break
            self.recover(self.read(), "[", "]")
            if kind == _END_KIND:
                self.say("Unclosed object", "No closing bracket was found for this JSON array.", opening)
            elif kind == ":":
                self.say("Invalid array value", "A colon is not used to introduce values in a JSON array.", self.at)
            elif kind == "}":
                self.say("Mismatched brackets", "A JSON array must be closed with a bracket, not a brace.", self.at)
            else:
                self.say(
                    "Missing attribute seperator comma",
                    "A comma must appear between each value in an array.",
                    self.at,
                )
            return None
        closing = self.read()
        return Array(self.starts[opening], self.ends[closing], items)

    def string(self, at: int) -> Item | None:
        start, end = self.starts[at], self.ends[at]
        raw = self.text[start:end]
        if _STRING.fullmatch(raw):
            value = raw[1:-1] if "\\" not in raw else json.loads(raw)
            # Halves of characters, and bytes which are no UTF-8, become the replacement character.
            return Text(start, end, _LONE.sub("\ufffd", value) if not value.isascii() else value)
        self.bad_string(start, raw)
        return None

    def bad_string(self, start: int, raw: str) -> None:
        good = _STRING_START.match(raw)
        read = good.end() if good else 1
        if raw[read : read + 1] == "\\":
            read += 1
            if raw[read : read + 1] == "u":
                read += 1
                while raw[read : read + 1] and raw[read] in "0123456789abcdefABCDEF":
                    read += 1
            read += 1
        place = self.source.pos(start + min(read, len(raw)))
        subject = Range(self.source.filename, place, Pos(place.line, place.column + 1, place.byte + 1))
        detail = "There is a syntax error in the given JSON string."
        context = self.source.range(start, start + len(raw))
        self.diagnostics.append(error("Invalid JSON string", detail, subject, context))

    def number(self, at: int) -> Item | None:
        match = _NUMBER.fullmatch(self.text, self.starts[at], self.ends[at])
        value = number_value(match[2]) if match else None
        if match is None or value is None:
            self.say("Invalid JSON number", "There is a syntax error in the given JSON number.", at)
            return None
        if match[1]:
            value = Value(NUMBER, -value.data)
        return Plain(self.starts[at], self.ends[at], value)

    def keyword(self, at: int) -> Item | None:
        start, end = self.starts[at], self.ends[at]
        word = self.text[start:end]
        if word == "null":
            return Null(start, end)
        if word in ("true", "false"):
            return Plain(start, end, TRUE if word == "true" else FALSE)
        if word in ("undefined", "NaN", "Infinity"):
            detail = f'The JavaScript identifier "{word}" cannot be used in JSON.'
        else:
            near = nearest(word, ("true", "false", "null"))
            detail = f'"{word}" is not a valid JSON keyword.' + (f' Did you mean "{near}"?' if near else "")
        self.say("Invalid JSON keyword", detail, at)
        return None


def read(source: Source) -> tuple[Item, list[Diagnostic]]:
    """The JSON value of a text, and what is wrong with it."""
    reader = _Reader(source)
    try:
        value = reader.value()
        if not reader.diagnostics and reader.peek() != _END_KIND:
            reader.say("Extraneous data after value", "Extra characters appear after the JSON value.", reader.at)
    except _TooDeep as deep:
        reader.diagnostics.append(too_deep(source, deep.at))
        value = Object(0, 0, [])
    return value, reader.diagnostics


# --- places ----------------------------------------------------------------------------------------------------------


def path_at(value: Item, offset: int) -> str:
    """The path of the innermost object or array which holds a character: `resource.aws_vpc.a`, `locals[0]`."""
    steps: list[str] = []
    while True:
        for step, inner in _inside(value):
            if isinstance(inner, Object | Array) and inner.start <= offset < inner.end:
                steps.append(step)
                value = inner
                break
        else:
            return "".join(steps).removeprefix(".")


def _inside(value: Item) -> Iterator[tuple[str, Item]]:
    if isinstance(value, Object):
        yield from (("." + p.name, p.value) for p in value.properties)
    elif isinstance(value, Array):
        yield from ((f"[{i}]", item) for i, item in enumerate(value.items))
