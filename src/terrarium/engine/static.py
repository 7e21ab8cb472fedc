"""Expressions which must be read without evaluating anything: references, keywords, lists of them, and constants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from terrarium.base.diagnostics import Diagnostic, error, warning
from terrarium.base.source import Pos
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.places import start_range
from terrarium.language.types import BOOL, STRING, Primitive
from terrarium.language.values import NULL, Value

Diagnostics = list[Diagnostic]
_NOT_A_REFERENCE = (
    "A single static variable reference is required: only attribute access and indexing with constant keys. "
    "No calculations, function calls, template expressions, etc are allowed here."
)
_QUOTED_REFERENCE = (
    "In this context, references are expected literally rather than in quotes. Terraform 0.11 and earlier required "
    "quotes, but quoted references are now deprecated and will be removed in a future version of Terraform. Remove "
    "the quotes surrounding this reference to silence this warning."
)
_QUOTED_KEYWORD = (
    "In this context, keywords are expected literally rather than in quotes. Terraform 0.11 and earlier required "
    "quotes, but quoted keywords are now deprecated and will be removed in a future version of Terraform. Remove the "
    "quotes surrounding this keyword to silence this warning."
)
_NAME = re.compile(r"[^\W\d][\w-]*\Z")


def valid_name(text: str) -> bool:
    """Whether a text may name a variable, a resource …"""
    return bool(_NAME.match(text))


def is_json(expression: nodes.Node) -> bool:
    return expression.source.filename.endswith(".json")


def constant_string(expression: nodes.Expression) -> str | None:
    """The text of a quoted string without any templates in it."""
    if isinstance(expression, nodes.Parenthesised):
        return None
    if isinstance(expression, nodes.Literal) and isinstance(expression.value.data, str):
        return expression.value.data
    if isinstance(expression, nodes.Template):
        if not expression.parts:
            return ""
        if all(isinstance(p, nodes.Literal) for p in expression.parts):
            return "".join(p.value.data for p in expression.parts if isinstance(p, nodes.Literal))
    return None


def _traversal_from_text(expression: nodes.Expression, text: str) -> tuple[nodes.Traversal | None, Diagnostics]:
    """A reference in quotes. Its places are those in the string, as far as there are no escapes in it."""
    from terrarium.language import parser

    at = expression.range.start
    if not is_json(expression):
        at = Pos(at.line, at.column + 1, at.byte + 1)
    return parser.parse_traversal(text, expression.source.filename, at)


def unquoted_json(expression: nodes.Expression) -> nodes.Expression:
    """The expression that a string of a JSON file holds, where JSON writes what is no template (types)."""
    text = constant_string(expression) if is_json(expression) else None
    if text is None:
        return expression
    from terrarium.language import parser

    inner, diagnostics = parser.parse_expression(text, expression.source.filename, expression.range.start)
    if isinstance(inner, nodes.Traversal) and not inner.steps:
        # A word alone has the place of the string around it.
        inner = nodes.Traversal(expression.source, expression.start, expression.end, inner.root, expression.end)
    return expression if diagnostics else inner


def traversal(expression: nodes.Expression, quoted: bool = True) -> tuple[nodes.Traversal | None, Diagnostics]:
    """A static reference. In quotes it is read too (`quoted`), with a warning unless the file is JSON."""
    if isinstance(expression, nodes.Traversal):
        return expression, []
    text = constant_string(expression)
    if text is not None and (quoted or is_json(expression)):
        found, problems = _traversal_from_text(expression, text)
        if not is_json(expression):
            old = warning("Quoted references are deprecated", _QUOTED_REFERENCE, expression.range)
            return (None if problems else found), [*problems, old]
        if not problems:
            return found, []
    return None, [error("Invalid expression", _NOT_A_REFERENCE, expression.range)]


def keyword(expression: nodes.Expression) -> tuple[str, Diagnostics]:
    """A bare word, or "" when the expression is none. A quoted one gives a warning."""
    if isinstance(expression, nodes.Traversal) and not expression.steps:
        return expression.root, []
    text = constant_string(expression)
    if text is None:
        return "", []
    if is_json(expression):
        return text, []
    return text, [warning("Quoted keywords are deprecated", _QUOTED_KEYWORD, expression.range)]


def bare_keyword(expression: nodes.Expression) -> str:
    """A bare word (in JSON: a string), or ""."""
    quoted = constant_string(expression) is not None and not is_json(expression)
    return "" if quoted else keyword(expression)[0]


def items(expression: nodes.Expression) -> tuple[Sequence[nodes.Expression], Diagnostics]:
    """The items of a list written out."""
    if isinstance(expression, nodes.TupleExpression):
        return expression.items, []
    return (), [error("Invalid expression", "A static list expression is required.", start_range(expression))]


def references_list(expression: nodes.Expression) -> tuple[list[nodes.Traversal], Diagnostics]:
    """The references of `depends_on` and its like."""
    members, diagnostics = items(expression)
    found: list[nodes.Traversal] = []
    for member in members:
        one, more = traversal(member)
        diagnostics = [*diagnostics, *more]
        if one is not None:
            found.append(one)
    return found, diagnostics


def constant(expression: nodes.Expression) -> tuple[Value | None, Diagnostics]:
    """The value of an expression in which nothing may be referred to; None after errors."""
    from terrarium.language.evaluate import evaluate
    from terrarium.language.scope import NOTHING_ALLOWED

    value, diagnostics = evaluate(expression, NOTHING_ALLOWED)
    return (None if diagnostics else value), list(diagnostics)


def constant_of(expression: nodes.Expression, type: Primitive) -> tuple[object, Diagnostics]:
    """A constant bool, string or number as a Python value; None after errors."""
    value, diagnostics = constant(expression)
    if value is None:
        if any("not allowed" in d.summary for d in diagnostics):
            diagnostics = [
                *diagnostics,
                error("Unsuitable value type", "Unsuitable value: value must be known", expression.range),
            ]
        return None, diagnostics
    try:
        converted = convert(value, type)
    except ConversionError as problem:
        return None, [
            *diagnostics,
            error(
                "Unsuitable value type",
                f"Unsuitable value: {problem.message}",
                start_range(expression),
                expression.range,
            ),
        ]
    if converted.data is NULL:
        return None, [
            *diagnostics,
            error("Unsuitable value type", "Unsuitable value: null value is not allowed", expression.range),
        ]
    if not converted.is_known:
        return None, [
            *diagnostics,
            error("Unsuitable value type", "Unsuitable value: value must be known", expression.range),
        ]
    return converted.data, diagnostics


def constant_bool(expression: nodes.Expression) -> tuple[bool | None, Diagnostics]:
    value, diagnostics = constant_of(expression, BOOL)
    return (value if isinstance(value, bool) else None), diagnostics


def constant_text(expression: nodes.Expression) -> tuple[str | None, Diagnostics]:
    value, diagnostics = constant_of(expression, STRING)
    return (value if isinstance(value, str) else None), diagnostics


def whole(value: object) -> int | None:
    """An integer out of a number's payload."""
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        return None
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else None
    return value
