"""JSON syntax (`.tf.json`, `.tfvars.json`): the same meaning as native syntax, written in JSON (hcl's json/spec.md).

Theory of operation. JSON can't say which properties are arguments and which are blocks, so a file is first read into
plain JSON values with their places, and a `JsonBody` answers only when a schema comes (`bodies.content`): then a
property becomes an attribute, whose value is turned into the same expression nodes as native syntax has, or blocks,
with the labels peeled off one object at a time. Strings are templates. Where a schema allows neither variables nor
functions, a string means itself; it is kept for that as the template's `verbatim`.

The reader is hcl's: it recovers after a mistake to the end of the object or array, and goes on.
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
from terrarium.language.bodies import BodySchema, Content, missing_argument
from terrarium.language.nodes import (
    Attribute,
    Block,
    Body,
    Expression,
    File,
    Label,
    Literal,
    ObjectExpression,
    Template,
    TemplateWrap,
    TupleExpression,
)
from terrarium.language.parser import parse_template
from terrarium.language.reading import MAX_DEPTH, too_deep
from terrarium.language.step_parsing import number_value
from terrarium.language.templates import normal
from terrarium.language.types import NUMBER
from terrarium.language.values import DYNAMIC_NULL, DYNAMIC_UNKNOWN, FALSE, TRUE, Value, string


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


def parse(text: str, filename: str) -> tuple[File, list[Diagnostic]]:
    """A file of JSON syntax. Its body is a `JsonBody`, which `bodies.content` reads like any other."""
    source = JsonSource(filename, text)
    value, diagnostics = read(source)
    if not isinstance(value, Object | Array):
        diagnostics.append(
            error(
                "Root value must be object",
                "The root value in a JSON-based configuration must be either a JSON object or a JSON array of objects.",
                source.range(value.start, value.start_end),
            )
        )
        value = Object(0, 0, [])
    return File(source, JsonBody(source, value)), diagnostics


# --- bodies ----------------------------------------------------------------------------------------------------------


class JsonBody(Body):
    """A JSON value as a body. It has no blocks until a schema asks for them."""

    __slots__ = ("_attributes", "hidden", "value")

    def __init__(self, source: Source, value: Item, hidden: frozenset[str] = frozenset()) -> None:
        self.source = source
        self.start = value.start
        self.end = value.end
        self.value = value
        self.hidden = hidden
        self._attributes: dict[str, Attribute] | None = None

    @property
    def attributes(self) -> dict[str, Attribute]:  # type: ignore[override]
        """All properties, read as arguments; the first of a name."""
        if self._attributes is None:
            found: dict[str, Attribute] = {}
            for one in self._properties(None)[0]:
                if one.name not in found and one.name not in self.hidden and one.name != "//":
                    found[one.name] = self._attribute(one, [])
            self._attributes = found
        return self._attributes

    @property
    def blocks(self) -> tuple[Block, ...]:  # type: ignore[override]
        return ()

    @property
    def missing_item_range(self) -> Range:
        value = self.value
        if isinstance(value, Object):
            return self.source.range(max(value.end - 1, 0), value.end)
        return self.source.range(value.start, value.start_end)

    def _attribute(self, one: Property, diagnostics: list[Diagnostic]) -> Attribute:
        expression = to_expression(self.source, one.value, diagnostics)
        return Attribute(self.source, one.start, one.value.end, one.name, one.start, one.end, expression)

    def _say(self, diagnostics: list[Diagnostic], summary: str, detail: str, value: Item) -> None:
        diagnostics.append(error(summary, detail, self.source.range(value.start, value.start_end)))

    def _properties(self, label: str | None, value: Item | None = None) -> tuple[list[Property], list[Diagnostic]]:
        """The properties of an object, or of all objects of an array. `label` is named when they stand for labels."""
        value = self.value if value is None else value
        purpose = f"specify {label} labels for this block" if label else "define arguments and child blocks"
        summary = "Incorrect JSON value type"
        diagnostics: list[Diagnostic] = []
        if isinstance(value, Null):
            return [], diagnostics
        if isinstance(value, Object):
            return value.properties, diagnostics
        found: list[Property] = []
        if isinstance(value, Array):
            for item in value.items:
                if isinstance(item, Object):
                    found += item.properties
                else:
                    self._say(diagnostics, summary, f"A JSON object is required here, to {purpose}.", item)
        else:
            detail = f"Either a JSON object or JSON array of objects is required here, to {purpose}."
            self._say(diagnostics, summary, detail, value)
        return found, diagnostics

    def content(self, schema: BodySchema, partial: bool) -> tuple[Content, list[Diagnostic]]:
        properties, diagnostics = self._properties(None)
        attribute_names = {a.name for a in schema.attributes}
        labels = {b.type: b.labels for b in schema.blocks}
        attributes: dict[str, Attribute] = {}
        blocks: list[Block] = []
        used = set(self.hidden)
        for one in properties:
            name = one.name
            if name in self.hidden:
                continue
            if name in attribute_names:
                existing = attributes.get(name)
                if existing is not None:
                    detail = f'The argument "{name}" was already set at {existing.range}.'
                    diagnostics.append(self._at(one, "Duplicate argument", detail))
                    continue
                attributes[name] = self._attribute(one, diagnostics)
                used.add(name)
            elif name in labels:
                self._unpack(one.value, one, labels[name], (), blocks, diagnostics)
                used.add(name)
        for wanted in schema.attributes:
            if wanted.required and wanted.name not in attributes:
                diagnostics.append(missing_argument(wanted.name, self))
        if not partial:
            diagnostics += self._extraneous(schema, properties, used)
        remain = JsonBody(self.source, self.value, frozenset(used))
        return Content(attributes, tuple(blocks), remain), diagnostics

    def _at(self, one: Property, summary: str, detail: str) -> Diagnostic:
        subject = self.source.range(one.start, one.end)
        return error(summary, detail, subject, self.source.range(one.start, one.value.end))

    def _extraneous(self, schema: BodySchema, properties: list[Property], used: set[str]) -> list[Diagnostic]:
        known = [a.name for a in schema.attributes if a.name not in used] + [b.type for b in schema.blocks]
        found: list[Diagnostic] = self._properties(None)[1]
        for one in properties:
            if one.name not in used and one.name != "//":
                near = nearest(one.name, known)
                suggestion = f' Did you mean "{near}"?' if near else ""
                detail = f'No argument or block type is named "{one.name}".{suggestion}'
                found.append(self._at(one, "Extraneous JSON object property", detail))
        return found

    def _unpack(
        self,
        value: Item,
        origin: Property,
        left: tuple[str, ...],
        labels: tuple[Label, ...],
        blocks: list[Block],
        diagnostics: list[Diagnostic],
    ) -> None:
        """Peels off one label after the other, down to the blocks."""
        if left:
            properties, wrong = self._properties(left[0], value)
            diagnostics += wrong
            if not properties:
                detail = (
                    f"At least one object property is required, whose name represents the {origin.name} "
                    f"block's {left[0]}."
                )
                self._say(diagnostics, "Missing block label", detail, value)
            for one in properties:
                label = Label(one.name, one.start, one.end)
                self._unpack(one.value, origin, left[1:], (*labels, label), blocks, diagnostics)
        elif isinstance(value, Object):
            blocks.append(JsonBlock(self.source, value, value, origin, labels))
        elif isinstance(value, Array):
            blocks += [JsonBlock(self.source, value, item, origin, labels) for item in value.items]
        elif not isinstance(value, Null):
            detail = (
                "Either a JSON object or a JSON array is required, representing the contents of one or more "
                f'"{origin.name}" blocks.'
            )
            self._say(diagnostics, "Incorrect JSON value type", detail, value)

    def just_attributes(self) -> tuple[dict[str, Attribute], list[Diagnostic]]:
        diagnostics: list[Diagnostic] = []
        attributes: dict[str, Attribute] = {}
        if not isinstance(self.value, Object):
            detail = "A JSON object is required here, setting the arguments for this block."
            self._say(diagnostics, "Incorrect JSON value type", detail, self.value)
            return attributes, diagnostics
        for one in self.value.properties:
            if one.name == "//" or one.name in self.hidden:
                continue
            existing = attributes.get(one.name)
            if existing is not None:
                detail = f'The argument "{one.name}" was already set at {existing.range}.'
                subject = self.source.range(one.start, one.end)
                diagnostics.append(error("Duplicate attribute definition", detail, subject))
                continue
            attributes[one.name] = self._attribute(one, diagnostics)
        return attributes, diagnostics


class JsonBlock(Block):
    """A block of JSON syntax. Its header is the bracket which opens it, its type the name of the property."""

    __slots__ = ("opening", "type_start")

    def __init__(self, source: Source, outer: Item, value: Item, origin: Property, labels: tuple[Label, ...]) -> None:
        self.source = source
        self.start = value.start
        self.end = value.end
        self.type = origin.name
        self.type_start = origin.start
        self.type_end = origin.end
        self.labels = labels
        self.opening = outer.start
        self.header_end = outer.start + 1
        self.body = JsonBody(source, value)

    @property
    def header_range(self) -> Range:
        return self.source.range(self.opening, self.header_end)

    @property
    def type_range(self) -> Range:
        return self.source.range(self.type_start, self.type_end)


# --- expressions ---------------------------------------------------------------------------------------------------


def to_expression(source: Source, value: Item, diagnostics: list[Diagnostic]) -> Expression:
    """A JSON value as an expression. What is wrong with templates in it goes to `diagnostics`."""
    start, end = value.start, value.end
    if isinstance(value, Text):
        return _string(source, value.value, start, end, diagnostics)
    if isinstance(value, Plain):
        return Literal(source, start, end, value.value)
    if isinstance(value, Null):
        return Literal(source, start, end, DYNAMIC_NULL)
    if isinstance(value, Array):
        items = tuple(to_expression(source, item, diagnostics) for item in value.items)
        return TupleExpression(source, start, end, items)
    if isinstance(value, Object):
        pairs = tuple(
            (_string(source, p.name, p.start, p.end, diagnostics), to_expression(source, p.value, diagnostics))
            for p in value.properties
        )
        return ObjectExpression(source, start, end, pairs)
    return Literal(source, start, end, DYNAMIC_UNKNOWN)


def _string(source: Source, text: str, start: int, end: int, diagnostics: list[Diagnostic]) -> Expression:
    if "${" not in text and "%{" not in text:
        return Template(source, start, end, (Literal(source, start, end, string(normal(text))),), verbatim=text)
    place = source.pos(start)
    inner, wrong = parse_template(text, source.filename, Pos(place.line, place.column + 1, place.byte + 1))
    diagnostics += wrong
    if isinstance(inner, TemplateWrap):
        return TemplateWrap(source, start, end, inner.wrapped, text)
    parts = inner.parts if isinstance(inner, Template) else (inner,)
    return Template(source, start, end, parts, verbatim=text)


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
