"""Which names an expression refers to, found without evaluating it."""

from __future__ import annotations

from collections.abc import Iterator

from terrarium.language import nodes
from terrarium.language.types import BOOL, DYNAMIC
from terrarium.language.values import NULL


def static_name(expression: nodes.Expression) -> str | None:
    """The expression read as a bare word (`string`, `all`, `true`); None when it is none."""
    if isinstance(expression, nodes.Traversal):
        return None if expression.steps else expression.root
    if isinstance(expression, nodes.Literal):
        value = expression.value
        if value.type == BOOL:
            return "true" if value.data else "false"
        if value.data is NULL and value.type == DYNAMIC:
            return "null"
    return None


def literal_name(key: nodes.Expression) -> str | None:
    """The key of an object's item when it is a bare word or a plain string, which needs no evaluation."""
    if isinstance(key, nodes.Template):
        if len(key.parts) == 1 and isinstance(part := key.parts[0], nodes.Literal) and isinstance(part.value.data, str):
            return part.value.data
        return None
    return static_name(key)


def references(expression: nodes.Expression) -> list[nodes.Traversal]:
    """All traversals whose root is not bound inside the expression by a `for`, in the order written."""
    found: list[nodes.Traversal] = []
    pending: list[tuple[nodes.Expression, frozenset[str]]] = [(expression, frozenset())]
    while pending:
        node, bound = pending.pop()
        if isinstance(node, nodes.Traversal):
            if node.root not in bound:
                found.append(node)
            continue
        pending.extend(reversed(list(_children(node, bound))))
    return found


def _children(e: nodes.Expression, bound: frozenset[str]) -> Iterator[tuple[nodes.Expression, frozenset[str]]]:
    match e:
        case nodes.Literal() | nodes.SplatItem():
            return
        case nodes.Template():
            yield from ((part, bound) for part in e.parts)
        case nodes.TemplateWrap():
            yield e.wrapped, bound
        case nodes.TemplateIf() | nodes.Conditional():
            yield e.condition, bound
            yield e.then, bound
            if e.otherwise is not None:
                yield e.otherwise, bound
        case nodes.TemplateFor():
            yield e.collection, bound
            yield e.body, bound | {e.value_name, e.key_name or e.value_name}
        case nodes.RelativeTraversal():
            yield e.of, bound
        case nodes.IndexExpression():
            yield e.collection, bound
            yield e.key, bound
        case nodes.Splat():
            yield e.of, bound
            yield e.each, bound
        case nodes.Call():
            yield from ((argument, bound) for argument in e.arguments)
        case nodes.Unary():
            yield e.operand, bound
        case nodes.Binary():
            yield e.left, bound
            yield e.right, bound
        case nodes.Parenthesised():
            yield e.inner, bound
        case nodes.TupleExpression():
            yield from ((item, bound) for item in e.items)
        case nodes.ObjectExpression():
            for key, value in e.items:
                if static_name(key) is None:
                    yield key, bound
                yield value, bound
        case nodes.ForExpression():
            yield e.collection, bound
            inner = bound | {e.value_name, e.key_name or e.value_name}
            for part in (e.key, e.value, e.condition):
                if part is not None:
                    yield part, inner
        case _:
            raise TypeError(f"no expression: {type(e).__name__}")
