"""Bodies against schemas: what may stand in a body, said as data, and hcl's messages for what may not.

Native and JSON bodies go through the same door. A native body holds its attributes and blocks already; one of JSON
syntax finds out only with the schema which of its properties are blocks (`json_syntax.JsonBody`).

A body which was read in part (`partial=True`) comes back as `remain` without what was taken, for the next schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.suggest import nearest
from terrarium.language.nodes import Attribute, Block, Body


@dataclass(frozen=True, slots=True)
class AttributeSchema:
    name: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class BlockSchema:
    """`labels` are the names of the labels as messages say them: ("type", "name")."""

    type: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BodySchema:
    attributes: tuple[AttributeSchema, ...] = ()
    blocks: tuple[BlockSchema, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What a schema found in a body. `remain` is the body without it."""

    attributes: dict[str, Attribute]
    blocks: tuple[Block, ...]
    remain: Body

    def blocks_of(self, type: str) -> tuple[Block, ...]:
        return tuple(b for b in self.blocks if b.type == type)


@runtime_checkable
class SchemaBody(Protocol):
    """A body which needs the schema to know its own content."""

    def content(self, schema: BodySchema, partial: bool) -> tuple[Content, list[Diagnostic]]: ...

    def just_attributes(self) -> tuple[dict[str, Attribute], list[Diagnostic]]: ...


@dataclass(slots=True, eq=False)
class RemainingBody(Body):
    """A native body of which some names were taken already. `taken` are those, for suggestions."""

    taken: frozenset[str] = field(default_factory=frozenset)


def content(body: Body, schema: BodySchema, partial: bool = False) -> tuple[Content, list[Diagnostic]]:
    """Reads a body by its schema. With `partial`, what the schema doesn't know is left in `remain` without complaint.

    Labels which are too few or too many are reported, and the block is left out.
    """
    if hasattr(body, "content") and isinstance(body, SchemaBody):
        return body.content(schema, partial)
    diagnostics: list[Diagnostic] = []
    attributes: dict[str, Attribute] = {}
    for wanted in schema.attributes:
        attribute = body.attributes.get(wanted.name)
        if attribute is not None:
            attributes[wanted.name] = attribute
        elif wanted.required:
            diagnostics.append(missing_argument(wanted.name, body))
    kinds = {b.type: b for b in schema.blocks}
    blocks: list[Block] = []
    rest: list[Block] = []
    for block in body.blocks:
        kind = kinds.get(block.type)
        if kind is None:
            rest.append(block)
            continue
        wrong = wrong_labels(block, kind)
        if wrong is None:
            blocks.append(block)
        else:
            diagnostics.append(wrong)
    taken = body.taken if isinstance(body, RemainingBody) else frozenset()
    left = {name: a for name, a in body.attributes.items() if name not in attributes}
    if not partial:
        diagnostics += unexpected(schema, attributes, left, rest, taken)
    names = taken | {a.name for a in schema.attributes if a.name in attributes} | set(kinds)
    remain = RemainingBody(body.source, body.start, body.end, left, tuple(rest), frozenset(names))
    return Content(attributes, tuple(blocks), remain), diagnostics


def unexpected(
    schema: BodySchema,
    found: dict[str, Attribute],
    attributes: dict[str, Attribute],
    blocks: list[Block],
    taken: frozenset[str],
) -> list[Diagnostic]:
    """Messages for attributes and blocks which the schema doesn't know."""
    diagnostics: list[Diagnostic] = []
    attribute_names = [a.name for a in schema.attributes]
    block_types = [b.type for b in schema.blocks]
    for name, attribute in attributes.items():
        if name in taken:
            continue
        near = nearest(name, (n for n in attribute_names if n not in found))
        suggestion = ""
        if near:
            suggestion = f' Did you mean "{near}"?'
        elif name in block_types:
            suggestion = f' Did you mean to define a block of type "{name}"?'
        detail = f'An argument named "{name}" is not expected here.{suggestion}'
        diagnostics.append(error("Unsupported argument", detail, attribute.name_range))
    for block in blocks:
        near = nearest(block.type, block_types)
        suggestion = ""
        if near:
            suggestion = f' Did you mean "{near}"?'
        elif block.type in attribute_names:
            suggestion = (
                f' Did you mean to define argument "{block.type}"? If so, use the equals sign to assign it a value.'
            )
        detail = f'Blocks of type "{block.type}" are not expected here.{suggestion}'
        diagnostics.append(error("Unsupported block type", detail, block.type_range))
    return diagnostics


def missing_argument(name: str, body: Body) -> Diagnostic:
    return error(
        "Missing required argument",
        f'The argument "{name}" is required, but no definition was found.',
        body.missing_item_range,
    )


def wrong_labels(block: Block, schema: BlockSchema) -> Diagnostic | None:
    """What is wrong with the number of a native block's labels."""
    given, wanted = len(block.labels), len(schema.labels)
    if given == wanted:
        return None
    body_start = block.body.start
    context = block.source.range(block.start, body_start + 1)
    context = block.source.range(block.start, body_start + 1)
    if given > wanted:
        label = block.labels[wanted]
        expected = "No labels are expected"
        if wanted:
            expected = f"Only {wanted} labels ({', '.join(schema.labels)}) are expected"
        return error(
            f"Extraneous label for {block.type}",
            f"{expected} for {block.type} blocks.",
            block.source.range(label.start, label.end),
            context,
        )
    return error(
        f"Missing {schema.labels[given]} for {block.type}",
        f"All {block.type} blocks must have {wanted} labels ({', '.join(schema.labels)}).",
        block.source.range(body_start, body_start + 1),
        context,
    )


def just_attributes(body: Body) -> tuple[dict[str, Attribute], list[Diagnostic]]:
    """The attributes of a body which may hold no blocks."""
    if isinstance(body, SchemaBody):
        return body.just_attributes()
    diagnostics: list[Diagnostic] = []
    if body.blocks:
        block = body.blocks[0]
        diagnostics.append(error(f'Unexpected "{block.type}" block', "Blocks are not allowed here.", block.type_range))
    return dict(body.attributes), diagnostics
