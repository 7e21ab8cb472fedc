"""Bodies to values by a provider's schema, with `dynamic` blocks expanded.

`Decoder` turns a schema into the body schemas of the language once and keeps them; decoding ten thousand resources of
one type then costs only their own attributes. Diagnostics are HCL's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, Severity, error
from terrarium.base.source import Range
from terrarium.engine.block_attributes import with_blocks, written_as_blocks
from terrarium.engine.objchange import empty_block
from terrarium.engine.provider import Block, NestedBlock, Nesting
from terrarium.language import nodes
from terrarium.language.bodies import AttributeSchema, BlockSchema, BodySchema, content
from terrarium.language.convert import ConversionError, convert
from terrarium.language.evaluate import evaluate
from terrarium.language.references import references
from terrarium.language.scope import Scope
from terrarium.language.types import List, Map, Object, Set, Type
from terrarium.language.values import NULL, Value, null, object_of, set_of, unknown

Diagnostics = list[Diagnostic]
_DYNAMIC = BlockSchema("dynamic", labels=("type",))
_DYNAMIC_BODY = BodySchema(
    attributes=(
        AttributeSchema("for_each", required=True),
        AttributeSchema("iterator", required=False),
        AttributeSchema("labels", required=False),
    ),
    blocks=(BlockSchema("content", labels=()),),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """One block of a body, written or made by a `dynamic` block. `scope` has its iterator; `whole` is false when the
    number of blocks is not known yet."""

    body: nodes.Body
    scope: Scope
    range: Range
    label: str = ""
    whole: bool = True


class Decoder:
    """Decodes bodies by schemas; keeps what it worked out of each schema."""

    def __init__(self) -> None:
        self._schemas: dict[int, tuple[Block, BodySchema, Type]] = {}
        self._as_blocks: dict[tuple[int, frozenset[str]], tuple[Block, Block]] = {}

    def body_schema(self, block: Block) -> tuple[BodySchema, Type]:
        known = self._schemas.get(id(block))
        if known is None:
            schema = BodySchema(
                attributes=tuple(AttributeSchema(name, required=a.required) for name, a in block.attributes.items()),
                blocks=(
                    *(
                        BlockSchema(name, labels=("key",) if b.nesting is Nesting.MAP else ())
                        for name, b in block.blocks.items()
                    ),
                    _DYNAMIC,
                ),
            )
            known = self._schemas[id(block)] = (block, schema, block.type)
        return known[1], known[2]

    def type(self, block: Block) -> Type:
        return self.body_schema(block)[1]

    def as_written(self, block: Block, body: nodes.Body) -> Block:
        """The schema for one body: attributes that it writes as blocks are blocks."""
        names = written_as_blocks(block, body)
        if not names:
            return block
        known = self._as_blocks.get((id(block), names))
        if known is None:
            known = self._as_blocks[(id(block), names)] = (block, with_blocks(block, names))
        return known[1]

    def decode(self, block: Block, body: nodes.Body, scope: Scope) -> tuple[Value, Diagnostics]:
        """The value of a body. Unknown stands where an expression could not be evaluated."""
        type, plain = self.type(block), block.attributes
        block = self.as_written(block, body)
        schema, _ = self.body_schema(block)
        found, said = content(body, schema)
        diagnostics = list(said)
        members: dict[str, Value] = {}
        given = found.attributes
        for name, attribute in block.attributes.items():
            written = given.get(name)
            wanted = attribute.type
            if written is None:
                members[name] = null(wanted) if not attribute.required else unknown(wanted)
                continue
            value, more = evaluate(written.expression, scope)
            diagnostics.extend(more)
            try:
                members[name] = convert(value, wanted)
            except ConversionError as problem:
                members[name] = unknown(wanted)
                if not more or value.is_known:
                    diagnostics.append(self._wrong_type(name, written, problem, scope))
        if block.blocks or found.blocks:
            self._blocks(block, found.blocks, body, scope, members, diagnostics)
        for name in block.blocks.keys() & plain.keys():
            if members[name].data == ():
                # All its `dynamic` blocks made none: as if it had not been written.
                members[name] = null(plain[name].type)
        return Value(type, {name: members[name] for name in sorted(members)}), diagnostics

    def _wrong_type(self, name: str, written: nodes.Attribute, problem: ConversionError, scope: Scope) -> Diagnostic:
        from terrarium.language.explain import explain

        return Diagnostic(
            Severity.ERROR,
            "Incorrect attribute value type",
            f'Inappropriate value for attribute "{name}": {problem}.',
            written.expression.range,
            written.range,
            values=explain(written.expression, scope),
        )

    def _blocks(
        self,
        block: Block,
        written: tuple[nodes.Block, ...],
        body: nodes.Body,
        scope: Scope,
        members: dict[str, Value],
        diagnostics: Diagnostics,
    ) -> None:
        by_type: dict[str, list[_Found]] = {}
        for one in written:
            if one.type != "dynamic":
                label = one.labels[0].text if one.labels else ""
                by_type.setdefault(one.type, []).append(_Found(one.body, scope, one.header_range, label))
                continue
            type = one.labels[0].text
            nested = block.blocks.get(type)
            if nested is None:
                diagnostics.append(
                    error(
                        "Unsupported block type", f'Blocks of type "{type}" are not expected here.', one.label_range(0)
                    )
                )
                continue
            by_type.setdefault(type, []).extend(self._dynamic(one, nested, scope, diagnostics))
        for name, nested in block.blocks.items():
            members[name] = self._nested(name, nested, by_type.get(name, []), body, diagnostics)

    def _nested(
        self, name: str, nested: NestedBlock, found: list[_Found], body: nodes.Body, diagnostics: Diagnostics
    ) -> Value:
        type = nested.type
        if any(not f.whole for f in found):
            for f in found:
                diagnostics.extend(self.decode(nested.block, f.body, f.scope)[1])
            return unknown(type)
        if nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
            if not found:
                if nested.nesting is Nesting.SINGLE and nested.min_items:
                    diagnostics.append(
                        error(f"Missing {name} block", f'A block of type "{name}" is required here.', _missing(body))
                    )
                return empty_block(nested)
            if len(found) > 1:
                diagnostics.append(
                    error(
                        f"Duplicate {name} block",
                        f'Only one block of type "{name}" is allowed. Previous definition was at {found[0].range}.',
                        found[1].range,
                    )
                )
            value, more = self.decode(nested.block, found[0].body, found[0].scope)
            diagnostics.extend(more)
            return value
        if len(found) < nested.min_items:
            diagnostics.append(
                error(
                    f"Insufficient {name} blocks",
                    f'At least {nested.min_items} "{name}" blocks are required.',
                    found[0].range if found else _missing(body),
                )
            )
        if nested.max_items and len(found) > nested.max_items:
            diagnostics.append(
                error(
                    f"Too many {name} blocks",
                    f'No more than {nested.max_items} "{name}" blocks are allowed',
                    found[nested.max_items].range,
                )
            )
        values: list[Value] = []
        for f in found:
            value, more = self.decode(nested.block, f.body, f.scope)
            diagnostics.extend(more)
            values.append(value)
        match type:
            case Map():
                labelled: dict[str, Value] = {}
                for f, value in zip(found, values, strict=True):
                    if f.label in labelled:
                        diagnostics.append(
                            error(
                                f"Duplicate {name} block",
                                f'A block for {name} "{f.label}" was already defined. Each label must be unique.',
                                f.range,
                            )
                        )
                    labelled[f.label] = value
                return Value(type, {k: labelled[k] for k in sorted(labelled)})
            case Set(element):
                return set_of(element, values)
            case _:
                return Value(type, tuple(values))

    def _dynamic(
        self, block: nodes.Block, nested: NestedBlock, scope: Scope, diagnostics: Diagnostics
    ) -> Iterator[_Found]:
        found, more = content(block.body, _DYNAMIC_BODY)
        diagnostics.extend(more)
        contents = [b for b in found.blocks if b.type == "content"]
        if not contents:
            diagnostics.append(
                error(
                    "Missing dynamic content block",
                    'A dynamic block must have a nested block of type "content" to describe the body of each generated block.',
                    _missing(block.body),
                )
            )
            return
        if len(contents) > 1:
            diagnostics.append(
                error(
                    "Extraneous dynamic content block",
                    "Only one nested content block is allowed for each dynamic block.",
                    contents[1].header_range,
                )
            )
        if "for_each" not in found.attributes:
            return
        expression = found.attributes["for_each"].expression
        iterator = block.labels[0].text
        if "iterator" in found.attributes:
            written = found.attributes["iterator"].expression
            if not isinstance(written, nodes.Traversal) or written.steps:
                diagnostics.append(
                    error(
                        "Invalid expression",
                        "A single static variable reference is required: only attribute access and indexing with constant keys. No calculations, function calls, template expressions, etc are allowed here.",
                        written.range,
                    )
                )
                return
            iterator = written.root
        value, said = evaluate(expression, scope)
        diagnostics.extend(said)
        if said and any(d.severity is Severity.ERROR for d in said):
            return
        body = contents[0].body
        label = ""
        if not value.is_known:
            inner = self._iteration(scope, iterator, unknown(), unknown())
            yield _Found(body, inner, block.header_range, label, whole=False)
            return
        if value.data is NULL:
            diagnostics.append(
                error("Invalid dynamic for_each value", "Cannot use a null value in for_each.", expression.range)
            )
            return
        if not isinstance(value.data, dict | tuple):
            diagnostics.append(
                error(
                    "Invalid dynamic for_each value",
                    f"Cannot use a {value.type.friendly()} value in for_each. An iterable collection is required.",
                    expression.range,
                )
            )
            return
        from terrarium.language.values import number, string

        pairs: list[tuple[Value, Value]]
        if isinstance(value.data, dict):
            pairs = [(string(k), v) for k, v in value.data.items()]
        elif isinstance(value.type, Set):
            pairs = [(v, v) for v in value.data]
        else:
            pairs = [(number(i), v) for i, v in enumerate(value.data)]
        for key, element in pairs:
            if value.marks:
                key, element = key.with_marks(value.marks), element.with_marks(value.marks)
            inner = self._iteration(scope, iterator, key, element)
            if "labels" in found.attributes:
                labels, said = evaluate(found.attributes["labels"].expression, inner)
                diagnostics.extend(said)
                if labels.is_known and isinstance(labels.data, tuple) and labels.data:
                    label = str(labels.data[0].data)
            yield _Found(body, inner, block.header_range, label)

    def _iteration(self, scope: Scope, iterator: str, key: Value, value: Value) -> Scope:
        return scope.child({iterator: object_of({"key": key, "value": value})})


def _missing(body: nodes.Body) -> Range:
    """The place for a message about what a body lacks."""
    return body.missing_item_range


def schema_references(block: Block, body: nodes.Body, decoder: Decoder) -> list[nodes.Traversal]:
    """Every reference in a body, found by its schema (which JSON bodies need); names of iterators are left out."""
    block = decoder.as_written(block, body)
    schema, _ = decoder.body_schema(block)
    found, _ = content(body, schema, partial=True)
    out: list[nodes.Traversal] = []
    for attribute in found.attributes.values():
        out.extend(references(attribute.expression))
    for one in found.blocks:
        if one.type != "dynamic":
            nested = block.blocks.get(one.type)
            if nested is not None:
                out.extend(schema_references(nested.block, one.body, decoder))
            continue
        nested = block.blocks.get(one.labels[0].text)
        inner, _ = content(one.body, _DYNAMIC_BODY, partial=True)
        iterator = one.labels[0].text
        for name, attribute in inner.attributes.items():
            if name == "iterator":
                iterator = attribute.expression.text
                continue
            out.extend(references(attribute.expression))
        if nested is not None:
            for part in inner.blocks:
                out.extend(r for r in schema_references(nested.block, part.body, decoder) if r.root != iterator)
    return out


__all__ = ["Decoder", "List", "Map", "Mapping", "Object", "schema_references"]
