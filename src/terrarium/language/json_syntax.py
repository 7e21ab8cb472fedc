"""JSON syntax (`.tf.json`, `.tfvars.json`): the same meaning as native syntax, written in JSON (hcl's json/spec.md).

Theory of operation. JSON can't say which properties are arguments and which are blocks, so a file is first read into
plain JSON values with their places, and a `JsonBody` answers only when a schema comes (`bodies.content`): then a
property becomes an attribute, whose value is turned into the same expression nodes as native syntax has, or blocks,
with the labels peeled off one object at a time. Strings are templates. Where a schema allows neither variables nor
functions, a string means itself; it is kept for that as the template's `verbatim`.
"""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Pos, Range, Source
from terrarium.base.suggest import nearest
from terrarium.language.bodies import BodySchema, Content, missing_argument
from terrarium.language.json_reading import Array, Item, JsonSource, Null, Object, Plain, Property, Text, read
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
from terrarium.language.templates import normal
from terrarium.language.values import DYNAMIC_NULL, DYNAMIC_UNKNOWN, string


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
