"""Syntax nodes. Each knows its source and its stretch of it; none knows how it was written (native or JSON syntax).

Names follow HCL's specification (hclsyntax/spec.md). Nodes are immutable in use; the parser alone builds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from terrarium.base.source import Range, Source
from terrarium.language.values import Value


@dataclass(slots=True, eq=False)
class Node:
    """`start` and `end` are character offsets into `source.text`."""

    source: Source = field(repr=False)
    start: int = field(repr=False)
    end: int = field(repr=False)

    @property
    def range(self) -> Range:
        return self.source.range(self.start, self.end)

    @property
    def text(self) -> str:
        """The node as it was written."""
        return self.source.text[self.start : self.end]


class Expression(Node):
    """Base of expressions."""

    __slots__ = ()


# --- expressions ---------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Literal(Expression):
    """A number, `true`, `false`, `null`, or a part of a template that is plain text."""

    value: Value


@dataclass(slots=True, eq=False)
class Template(Expression):
    """A quoted string or heredoc. Parts are `Literal`s of strings and expressions, in order.

    One plain part means a constant string. `"${x}"` alone is a `TemplateWrap` instead. A string of JSON syntax is a
    template too, and has its text in `verbatim`: where neither variables nor functions are allowed, it means just that.
    """

    parts: tuple[Expression, ...]
    heredoc: bool = False
    verbatim: str | None = None


@dataclass(slots=True, eq=False)
class TemplateWrap(Expression):
    """`"${x}"` with nothing around it: the value of x, of whatever type. `verbatim` as in `Template`."""

    wrapped: Expression
    verbatim: str | None = None


@dataclass(slots=True, eq=False)
class TemplateIf(Expression):
    """`%{ if c }…%{ else }…%{ endif }` inside a template."""

    condition: Expression
    then: Expression
    otherwise: Expression | None


@dataclass(slots=True, eq=False)
class TemplateFor(Expression):
    """`%{ for k, v in c }…%{ endfor }` inside a template."""

    key_name: str | None
    value_name: str
    collection: Expression
    body: Expression


# Not frozen, though never changed: a file has very many of them, and frozen ones take twice as long to make.
@dataclass(slots=True, unsafe_hash=True)
class Attr:
    """`.name` of a traversal; `start`/`end` are offsets in the traversal's source."""

    name: str
    start: int
    end: int


@dataclass(slots=True, unsafe_hash=True)
class Index:
    """`[key]` with a constant key, or the legacy `.0`."""

    key: Value
    start: int
    end: int


Step = Attr | Index


@dataclass(slots=True, eq=False)
class Traversal(Expression):
    """A root name and constant steps from it: `var.a`, `module.m["x"].out`, `path.module`."""

    root: str
    root_end: int
    steps: tuple[Step, ...] = ()


@dataclass(slots=True, eq=False)
class RelativeTraversal(Expression):
    """Constant steps from any expression: `f(x).name[0]`."""

    of: Expression
    steps: tuple[Step, ...]


@dataclass(slots=True, eq=False)
class IndexExpression(Expression):
    """`collection[key]` with a key that is computed. `bracket` is where the opening bracket stands."""

    collection: Expression
    key: Expression
    bracket: int = 0

    @property
    def bracket_range(self) -> Range:
        return self.source.range(self.bracket, self.end)


@dataclass(slots=True, eq=False)
class Splat(Expression):
    """`of.*` (attribute-only, `full` false) or `of[*]`; `each` is evaluated with the item in place of `SplatItem`."""

    of: Expression
    each: Expression
    item: SplatItem
    full: bool


@dataclass(slots=True, eq=False)
class SplatItem(Expression):
    """Stands for the item inside a splat's `each`."""


@dataclass(slots=True, eq=False)
class Call(Expression):
    """`name(args…)`; provider functions are called `provider::p::f`."""

    name: str
    name_end: int
    arguments: tuple[Expression, ...]
    expand_final: bool = False


@dataclass(slots=True, eq=False)
class Unary(Expression):
    operator: str
    operand: Expression


@dataclass(slots=True, eq=False)
class Binary(Expression):
    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Conditional(Expression):
    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(slots=True, eq=False)
class Parenthesised(Expression):
    inner: Expression


@dataclass(slots=True, eq=False)
class TupleExpression(Expression):
    items: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class ObjectExpression(Expression):
    """Items in the order written. A key that is a bare name is a `Traversal` without steps, which means its own text
    (`key_is_name`); a key in parentheses is evaluated."""

    items: tuple[tuple[Expression, Expression], ...]


@dataclass(slots=True, eq=False)
class ForExpression(Expression):
    """`[for …]` (`key` is None) or `{for … : key => value}`; `group` is the `...` of the object form."""

    key_name: str | None
    value_name: str
    collection: Expression
    key: Expression | None
    value: Expression
    condition: Expression | None
    group: bool = False


# --- bodies --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Attribute(Node):
    """`name = expression`; the node's stretch is the whole definition."""

    name: str
    name_start: int
    name_end: int
    expression: Expression

    @property
    def name_range(self) -> Range:
        return self.source.range(self.name_start, self.name_end)


@dataclass(slots=True, unsafe_hash=True)
class Label:
    text: str
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Block(Node):
    """`type "label" { … }`. `header_end` ends the header (`type "label"`); `body_end` is past the closing brace."""

    type: str
    type_end: int
    labels: tuple[Label, ...]
    header_end: int
    body: Body

    @property
    def header_range(self) -> Range:
        return self.source.range(self.start, self.header_end)

    @property
    def type_range(self) -> Range:
        return self.source.range(self.start, self.type_end)

    def label_range(self, index: int) -> Range:
        label = self.labels[index]
        return self.source.range(label.start, label.end)


@dataclass(slots=True, eq=False)
class Body(Node):
    """Attributes and blocks in the order written. Duplicate attributes are diagnosed by the parser; the first stays.

    A body of JSON syntax (`json_syntax.JsonBody`) has the same attributes and blocks once a schema is applied.
    """

    attributes: dict[str, Attribute]
    blocks: tuple[Block, ...]

    @property
    def missing_item_range(self) -> Range:
        """Where a message about something that is missing points: the opening brace."""
        return self.source.range(self.start, self.start)

    def blocks_of(self, type: str) -> Iterator[Block]:
        return (b for b in self.blocks if b.type == type)


@dataclass(slots=True, eq=False)
class File:
    """A parsed file. `body` is there even after errors, with what could be read."""

    source: Source
    body: Body
    comments: tuple[Any, ...] = ()
