"""Where messages about an expression point: often only at its beginning (HCL's `StartRange`)."""

from __future__ import annotations

from terrarium.base.source import Range
from terrarium.language import nodes


def start_range(e: nodes.Expression) -> Range:
    """The part of an expression to underline when the rest of it may be long."""
    source = e.source
    match e:
        case nodes.Parenthesised(inner=inner):
            return start_range(inner)
        case nodes.Binary(left=inner) | nodes.Conditional(condition=inner):
            return start_range(inner)
        case nodes.Call():
            return source.range(e.start, source.text.find("(", e.name_end) + 1)
        case nodes.TupleExpression() | nodes.ObjectExpression() | nodes.ForExpression() | nodes.Unary():
            return source.range(e.start, e.start + 1)
        case nodes.IndexExpression():
            opening = source.text.find("[", e.collection.end)
            return source.range(opening, opening + 1)
        case nodes.Splat():
            marker = source.text.find("[*]" if e.full else ".", e.of.end)
            return source.range(marker, marker + 3 if e.full else source.text.find("*", marker) + 1)
        case nodes.Template(parts=parts) if parts:
            return start_range(parts[0])
        case _:
            return e.range


def between(first: nodes.Node, last: nodes.Node) -> Range:
    """From the start of one node to the end of another."""
    return first.source.range(first.start, last.end)
