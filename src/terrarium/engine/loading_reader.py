"""What the readers of all kinds of blocks share: gathering diagnostics, small reading steps, the module being built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from terrarium.base.diagnostics import Diagnostic, Severity, error
from terrarium.base.source import Range
from terrarium.engine import static
from terrarium.engine.configuration import CheckRule, Module, ProviderRef
from terrarium.engine.versions import is_constraint
from terrarium.language import nodes
from terrarium.language.bodies import AttributeSchema, BlockSchema, BodySchema, Content, content
from terrarium.language.convert import ConversionError, convert
from terrarium.language.references import references
from terrarium.language.types import STRING
from terrarium.language.values import NULL

BAD_CONSTRAINT = "This string does not use correct version constraint syntax."
NAME_DETAIL = (
    "A name must start with a letter or underscore and may contain only letters, digits, underscores, and dashes."
)


def attributes(*names: str, required: tuple[str, ...] = ()) -> tuple[AttributeSchema, ...]:
    return tuple(AttributeSchema(n, required=n in required) for n in (*names, *required))


def blocks(*names: str, **labelled: tuple[str, ...]) -> tuple[BlockSchema, ...]:
    return (
        *(BlockSchema(n, labels=()) for n in names),
        *(BlockSchema(n, labels=names_) for n, names_ in labelled.items()),
    )


_RULE = BodySchema(attributes=attributes(required=("condition", "error_message")), blocks=())


class Repeating(Protocol):
    count: nodes.Expression | None
    for_each: nodes.Expression | None


class Reader:
    """Gathers diagnostics while blocks are read, with the small reading steps that all share."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def say(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics.extend(diagnostics)

    def content(self, body: nodes.Body, schema: BodySchema, partial: bool = False) -> Content:
        found, diagnostics = content(body, schema, partial=partial)
        self.extend(diagnostics)
        return found

    def just_attributes(self, body: nodes.Body) -> Mapping[str, nodes.Attribute]:
        from terrarium.language.bodies import just_attributes

        found, diagnostics = just_attributes(body)
        self.extend(diagnostics)
        return found

    def escaped(self, found: Content, what: str, kind: str) -> nodes.Body:
        """What is left of a body, with the contents of a `_ {…}` block in it: arguments named like meta-arguments.

        `what` says what such arguments are, `kind` in what kind of block.
        """
        rest: nodes.Body = found.remain
        first: nodes.Block | None = None
        for block in found.blocks_of("_"):
            if first is None:
                first, rest = block, merged(rest, block.body)
                continue
            self.say(
                error(
                    "Duplicate escaping block",
                    f'The special block type "_" can be used to force particular arguments to be interpreted as {what} rather '
                    f"than as meta-arguments, but each {kind} block can have only one such block. The first escaping block was "
                    f"at {first.header_range}.",
                    block.header_range,
                )
            )
        return rest

    def text(self, expression: nodes.Expression) -> str | None:
        value, diagnostics = static.constant_text(expression)
        self.extend(diagnostics)
        return value

    def version_constraint(self, attribute: nodes.Attribute) -> str | None:
        """A version constraint as written; None after mistakes, and for null."""
        expression = attribute.expression
        value, diagnostics = static.constant(expression)
        self.extend(diagnostics)
        if value is None or value.data is NULL:
            return None
        try:
            text = convert(value, STRING).data
        except ConversionError:
            detail = f"A string value is required for {attribute.name}."
            self.say(error("Invalid version constraint", detail, expression.range))
            return None
        if not isinstance(text, str) or not is_constraint(text):
            self.say(error("Invalid version constraint", BAD_CONSTRAINT, expression.range))
            return None
        return text

    def boolean(self, expression: nodes.Expression) -> bool | None:
        value, diagnostics = static.constant_bool(expression)
        self.extend(diagnostics)
        return value

    def references(self, expression: nodes.Expression) -> list[nodes.Traversal]:
        found, diagnostics = static.references_list(expression)
        self.extend(diagnostics)
        return found

    def only(self, found: Sequence[nodes.Block], type: str, where: str) -> nodes.Block | None:
        """The first of some blocks; there may be no others."""
        for block in found[1:]:
            detail = f"{where} already has a {type} block at {found[0].header_range}."
            self.say(error(f"Duplicate {type} block", detail, block.header_range))
        return found[0] if found else None

    def reserved(self, found: Sequence[nodes.Block], where: str) -> None:
        for block in found:
            self.say(
                error(
                    f"Reserved block type name in {where} block",
                    f'The block type name "{block.type}" is reserved for use by Terraform in a future version.',
                    block.type_range,
                )
            )

    def repetition(self, attributes: Mapping[str, nodes.Attribute], into: Repeating) -> None:
        if "count" in attributes:
            into.count = attributes["count"].expression
        if "for_each" in attributes:
            into.for_each = attributes["for_each"].expression
        if into.count is not None and into.for_each is not None:
            self.say(
                error(
                    'Invalid combination of "count" and "for_each"',
                    'The "count" and "for_each" meta-arguments are mutually-exclusive, only one should be used to be '
                    "explicit about the number of resources to be created.",
                    attributes["for_each"].name_range,
                )
            )


class Loader(Reader):
    """Builds one module; `override` is true while override files are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.module = Module(folder)
        self.override = False

    # --- names -------------------------------------------------------------------------------------------------

    def name_of(self, block: nodes.Block, what: str, index: int = 0) -> str:
        label = block.labels[index]
        if not static.valid_name(label.text):
            self.say(error(f"Invalid {what} name", NAME_DETAIL, block.label_range(index)))
        return label.text

    def missing_base(self, what: str, kind: str, name: str, at: Range) -> None:
        summary = f"Missing base {what} to override"
        subject = {"variable": "a variable", "output": "an output", "local value": "a local value"}.get(
            kind, f"a {kind}"
        )
        verb = "defined" if kind in ("output", "local value") else "declared"
        self.say(
            error(
                summary,
                f'There is no {kind} named "{name}". An override file can only override {subject} that was already '
                f"{verb} in a primary configuration file.",
                at,
            )
        )

    def keep_dependencies(self, written: Sequence[nodes.Traversal]) -> None:
        """`depends_on` in an override file is refused."""
        if written:
            self.say(error("Unsupported override", "The depends_on argument may not be overridden.", written[0].range))

    def duplicate(self, what: str, detail: str, first: Range, at: Range) -> None:
        self.say(error(f"Duplicate {what}", detail.format(first), at))


def read_check_rule(reader: Reader, block: nodes.Block, what: str, override: bool) -> CheckRule | None:
    """A precondition, postcondition, validation or assertion."""
    if override and what != "assert":
        reader.say(
            error(
                f"Can't override {what} blocks", f'Override files cannot override "{what}" blocks.', block.header_range
            )
        )
        return None
    found = reader.content(block.body, _RULE)
    condition = found.attributes.get("condition")
    message = found.attributes.get("error_message")
    if condition is None:
        return None
    if not references(condition.expression):
        reader.say(
            error(
                f"Invalid {what} expression",
                "The condition expression must refer to at least one object from elsewhere in the configuration, or else "
                "its result would not be checking anything.",
                condition.expression.range,
            )
        )
    return CheckRule(condition.expression, message.expression if message else None, block.header_range)


def read_provider_ref(reader: Reader, expression: nodes.Expression, argument: str) -> ProviderRef | None:
    """`aws` or `aws.west`, also in quotes."""
    reference, diagnostics = static.traversal(expression)
    if reference is None:
        reader.extend(d for d in diagnostics if d.severity is not Severity.ERROR)
        detail = (
            f"The {argument} argument requires a provider type name, optionally followed by a period and then a "
            "configuration alias."
        )
        reader.say(error(_PROVIDER_REF, detail, expression.range))
        return None
    reader.extend(diagnostics)
    names = [s.name for s in reference.steps if isinstance(s, nodes.Attr)]
    if len(reference.steps) > 1:
        detail = (
            f"The {argument} argument requires a provider type name, optionally followed by a period and then a "
            "configuration alias."
        )
        reader.say(error(_PROVIDER_REF, detail, expression.range))
        return None
    if len(names) != len(reference.steps):
        step = reference.steps[0]
        detail = "Provider name must either stand alone or be followed by a period and then a configuration alias."
        reader.say(error(_PROVIDER_REF, detail, reference.source.range(step.start, step.end)))
        return None
    at = reference.source.range(reference.start, reference.root_end)
    return ProviderRef(reference.root, names[0] if names else "", at)


_PROVIDER_REF = "Invalid provider configuration reference"


def merged(base: nodes.Body, over: nodes.Body) -> nodes.Body:
    """A body with another laid over it: its arguments replace, its blocks replace all of their type."""
    types = {b.type for b in over.blocks}
    types |= {b.labels[0].text for b in over.blocks if b.type == "dynamic" and b.labels}
    kept = [
        b
        for b in base.blocks
        if not (b.type in types or (b.type == "dynamic" and b.labels and b.labels[0].text in types))
    ]
    return replace(base, attributes={**base.attributes, **over.attributes}, blocks=(*kept, *over.blocks))
