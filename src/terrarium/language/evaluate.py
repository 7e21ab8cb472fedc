"""Expressions to values. Never raises for a user's mistake: the value is then unknown and the diagnostics say why.

The rules, the order of checks and the words are those of HCL's evaluator (hclsyntax) as Terraform 1.11 has it: both
sides of `&&` and `||` are evaluated, all marks of a conditional's parts go to its result, an unknown part makes the
whole unknown but keeps what is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from terrarium.base.diagnostics import Diagnostic, Severity, has_errors
from terrarium.base.suggest import nearest
from terrarium.language import nodes, operations
from terrarium.language.calls import call
from terrarium.language.convert import ConversionError, convert, unify
from terrarium.language.loops import for_, splat
from terrarium.language.mistakes import Diagnostics, fail
from terrarium.language.operations import OperationError, attribute, element, equals
from terrarium.language.places import between
from terrarium.language.references import literal_name, references, static_name
from terrarium.language.scope import NOTHING_ALLOWED, Scope
from terrarium.language.text import nfc, quote, safe_prefix
from terrarium.language.types import BOOL, DYNAMIC, STRING, Dynamic
from terrarium.language.unknowns import either
from terrarium.language.values import (
    DYNAMIC_UNKNOWN,
    EMPTY_STRING,
    NO_MARKS,
    NULL,
    Mark,
    Unknown,
    Value,
    object_of,
    tuple_of,
)

__all__ = ["equals", "evaluate", "literal_or_none", "references", "static_name"]

LONGEST_STRING: Final = 1 << 28
"""Templates of templates can double their length at every step; this ends them before memory does."""


def evaluate(expression: nodes.Expression, scope: Scope) -> tuple[Value, Diagnostics]:
    """The value of an expression, and what is wrong with it. With errors the value is unknown."""
    value, diagnostics = evaluate_partly(expression, scope)
    if diagnostics and has_errors(diagnostics):
        return DYNAMIC_UNKNOWN, diagnostics
    return value, diagnostics


def evaluate_partly(expression: nodes.Expression, scope: Scope) -> tuple[Value, Diagnostics]:
    """As `evaluate`, but with errors the value is what the parts without them make."""
    diagnostics: Diagnostics = []
    try:
        value = _EVALUATE[expression.__class__](expression, scope, diagnostics)
    except RecursionError:
        message = "This expression is nested too deeply to be evaluated."
        return DYNAMIC_UNKNOWN, [Diagnostic(Severity.ERROR, "Expression too complex", message, expression.range)]
    return value, diagnostics


def literal_or_none(expression: nodes.Expression) -> Value | None:
    """The value of an expression that needs neither variables nor functions; None for others."""
    value, diagnostics = evaluate(expression, NOTHING_ALLOWED)
    return None if diagnostics else value


def _value(expression: nodes.Expression, scope: Scope, diagnostics: Diagnostics) -> Value:
    return _EVALUATE[expression.__class__](expression, scope, diagnostics)


# --- literals and templates ------------------------------------------------------------------------------------------


def _literal(e: nodes.Literal, scope: Scope, diagnostics: Diagnostics) -> Value:
    return e.value


def _template(e: nodes.Template, scope: Scope, diagnostics: Diagnostics) -> Value:
    parts = e.parts
    if len(parts) == 1 and isinstance(parts[0], nodes.Literal):
        return parts[0].value if parts[0].value.type is STRING else convert(parts[0].value, STRING)
    texts: list[str] = []
    known, failed = True, False
    marks: frozenset[Mark] = NO_MARKS
    for part in parts:
        before = len(diagnostics)
        value = _EVALUATE[part.__class__](part, scope, diagnostics)
        failed = failed or len(diagnostics) > before
        data = value.data
        if data is NULL:
            detail = "The expression result is null. Cannot include a null value in a string template."
            fail(diagnostics, scope, part, "Invalid template interpolation value", detail, context=e)
            failed = True
            continue
        if value.marks:
            marks |= value.marks
        if isinstance(data, Unknown):
            if known and data.prefix:
                texts.append(data.prefix)
            known = False
            continue
        if value.type is not STRING:
            try:
                data = convert(value, STRING).data
            except ConversionError as wrong:
                detail = f"Cannot include the given value in a string template: {wrong.message}."
                fail(diagnostics, scope, part, "Invalid template interpolation value", detail, context=e)
                failed = True
                continue
        if known and not failed:
            texts.append(data)
    if known:
        if sum(map(len, texts)) > LONGEST_STRING:
            message = f"The result of this template would be longer than {LONGEST_STRING} characters."
            return fail(diagnostics, scope, e, "Template result too long", message)
        return Value(STRING, nfc("".join(texts)), marks)
    prefix = "" if failed else safe_prefix("".join(texts).encode()[:128].decode(errors="ignore"))
    return Value(STRING, Unknown(not_null=True, prefix=prefix), marks)


def _template_wrap(e: nodes.TemplateWrap, scope: Scope, diagnostics: Diagnostics) -> Value:
    return _value(e.wrapped, scope, diagnostics)


def _template_if(e: nodes.TemplateIf, scope: Scope, diagnostics: Diagnostics) -> Value:
    return _choose(e, e.condition, e.then, e.otherwise, scope, diagnostics)


def _template_for(e: nodes.TemplateFor, scope: Scope, diagnostics: Diagnostics) -> Value:
    loop = nodes.ForExpression(e.source, e.start, e.end, e.key_name, e.value_name, e.collection, None, e.body, None)
    value = for_(_value, loop, scope, diagnostics)
    data = value.data
    if isinstance(data, Unknown):
        return Value(STRING, Unknown(), value.marks)
    texts: list[str] = []
    marks = value.marks
    for member in data:
        if isinstance(member.data, Unknown):
            return Value(STRING, Unknown(), marks)
        marks |= member.marks
        texts.append(convert(member, STRING).data)
    return Value(STRING, "".join(texts), marks)


# --- references ------------------------------------------------------------------------------------------------------


def _traversal(e: nodes.Traversal, scope: Scope, diagnostics: Diagnostics) -> Value:
    value = scope.find(e.root)
    if value is None:
        subject = e.source.range(e.start, e.root_end)
        if not scope.allows_variables:
            detail = "Variables may not be used here."
            return fail(diagnostics, scope, e, "Variables not allowed", detail, subject)
        near = nearest(e.root, sorted(set(scope.names())))
        hint = f" Did you mean {quote(near)}?" if near else ""
        detail = f"There is no variable named {quote(e.root)}.{hint}"
        return fail(diagnostics, scope, e, "Unknown variable", detail, subject)
    return _steps(e, value, e.steps, scope, diagnostics) if e.steps else value


def _relative(e: nodes.RelativeTraversal, scope: Scope, diagnostics: Diagnostics) -> Value:
    value = _value(e.of, scope, diagnostics)
    return _steps(e, value, e.steps, scope, diagnostics)


def _steps(
    e: nodes.Expression, value: Value, steps: Sequence[nodes.Step], scope: Scope, diagnostics: Diagnostics
) -> Value:
    for step in steps:
        try:
            value = attribute(value, step.name) if isinstance(step, nodes.Attr) else element(value, step.key)
        except OperationError as wrong:
            subject = e.source.range(step.start, step.end)
            return fail(diagnostics, scope, e, wrong.summary, wrong.detail, subject)
    return value


def _index(e: nodes.IndexExpression, scope: Scope, diagnostics: Diagnostics) -> Value:
    collection = _value(e.collection, scope, diagnostics)
    key = _value(e.key, scope, diagnostics)
    try:
        return element(collection, key)
    except OperationError as wrong:
        opening = e.source.text.find("[", e.collection.end)
        return fail(diagnostics, scope, e, wrong.summary, wrong.detail, e.source.range(opening, e.end))


def _splat(e: nodes.Splat, scope: Scope, diagnostics: Diagnostics) -> Value:
    return splat(_value, e, scope, diagnostics)


def _splat_item(e: nodes.SplatItem, scope: Scope, diagnostics: Diagnostics) -> Value:
    found = scope.find(e)
    return DYNAMIC_UNKNOWN if found is None else found


# --- operators -------------------------------------------------------------------------------------------------------


def _binary(e: nodes.Binary, scope: Scope, diagnostics: Diagnostics) -> Value:
    # Long chains lean to the left: go down without recursion, then come back up.
    chain: list[nodes.Binary] = [e]
    while isinstance(chain[-1].left, nodes.Binary):
        chain.append(chain[-1].left)
    found: Diagnostics = []
    left = _value(chain[-1].left, scope, found)
    for node in reversed(chain):
        left, found = _operate(node, left, found, scope)
    diagnostics.extend(found)
    return left


def _operate(e: nodes.Binary, left: Value, left_found: Diagnostics, scope: Scope) -> tuple[Value, Diagnostics]:
    operands, result, compute = operations.BINARY[e.operator]
    found: Diagnostics = []
    a, b = left, left
    if left.type is not operands:
        try:
            a = convert(left, operands)
        except ConversionError as wrong:
            detail = f"Unsuitable value for left operand: {wrong.message}."
            fail(found, scope, e.left, "Invalid operand", detail, context=e)
    right_found: Diagnostics = []
    right = _value(e.right, scope, right_found)
    b = right
    if right.type is not operands:
        try:
            b = convert(right, operands)
        except ConversionError as wrong:
            detail = f"Unsuitable value for right operand: {wrong.message}."
            fail(found, scope, e.right, "Invalid operand", detail, context=e)
    if found or left_found or right_found:
        found = [*left_found, *right_found, *found]
        if has_errors(found):
            return Value(result, Unknown(), a.marks | b.marks), found
    marks = a.marks | b.marks
    try:
        value = compute(a.unmarked(), b.unmarked()) if marks else compute(a, b)
    except OperationError as wrong:
        fail(found, scope, e, wrong.summary, wrong.detail)
        return Value(result, Unknown()), found
    return (value.with_marks(marks) if marks else value), found


def _unary(e: nodes.Unary, scope: Scope, diagnostics: Diagnostics) -> Value:
    type = operations.UNARY[e.operator]
    before = len(diagnostics)
    value = _value(e.operand, scope, diagnostics)
    try:
        value = convert(value, type)
        if has_errors(diagnostics[before:]):
            return Value(type, Unknown())
        return operations.unary(e.operator, value.unmarked()).with_marks(value.marks)
    except ConversionError as wrong:
        detail = f"Unsuitable value for unary operand: {wrong.message}."
        fail(diagnostics, scope, e.operand, "Invalid operand", detail, context=e)
    except OperationError as wrong:
        fail(diagnostics, scope, e, wrong.summary, wrong.detail)
    return Value(type, Unknown())


def _parenthesised(e: nodes.Parenthesised, scope: Scope, diagnostics: Diagnostics) -> Value:
    return _value(e.inner, scope, diagnostics)


def _conditional(e: nodes.Conditional, scope: Scope, diagnostics: Diagnostics) -> Value:
    return _choose(e, e.condition, e.then, e.otherwise, scope, diagnostics)


def _is_plain_null(value: Value) -> bool:
    return value.data is NULL and isinstance(value.type, Dynamic) and not value.marks


def _choose(
    e: nodes.Expression,
    condition: nodes.Expression,
    then: nodes.Expression,
    otherwise: nodes.Expression | None,
    scope: Scope,
    diagnostics: Diagnostics,
) -> Value:
    """`condition ? then : otherwise`; both results are evaluated, because together they tell the type."""
    then_found: Diagnostics = []
    otherwise_found: Diagnostics = []
    yes = _value(then, scope, then_found)
    no = EMPTY_STRING if otherwise is None else _value(otherwise, scope, otherwise_found)
    changes: tuple[Any, Any] = (None, None)
    if _is_plain_null(yes):
        type = no.type
    elif _is_plain_null(no):
        type = yes.type
    elif isinstance(yes.type, Dynamic) or isinstance(no.type, Dynamic):
        type = DYNAMIC
    elif yes.type == no.type:
        type = yes.type
    else:
        unified = unify([yes.type, no.type])
        if unified is None:
            from terrarium.language.conditionals import describe

            detail = "The true and false result expressions must have consistent types. "
            detail += f"{describe(yes.type, no.type)}."
            subject = then.range if otherwise is None else between(then, otherwise)
            return fail(diagnostics, scope, e, "Inconsistent conditional result types", detail, subject, e)
        type, (first, second) = unified
        changes = (first, second)
    choice = _value(condition, scope, diagnostics)
    marks = choice.marks | yes.marks | no.marks
    if choice.data is NULL:
        detail = "The condition value is null. Conditions must either be true or false."
        fail(diagnostics, scope, condition, "Null condition", detail, context=e)
        return Value(type, Unknown())
    if isinstance(choice.data, Unknown):
        return either(type, yes, no).with_marks(marks)
    try:
        chosen = convert(choice, BOOL).data
    except ConversionError:
        detail = "The condition expression must be of type bool."
        fail(diagnostics, scope, condition, "Incorrect condition type", detail, context=e)
        return Value(type, Unknown())
    result, change, found = (yes, changes[0], then_found) if chosen else (no, changes[1], otherwise_found)
    diagnostics.extend(found)
    if change is not None:
        try:
            result = change(result, ())
        except ConversionError as wrong:
            which, branch = ("true", then) if chosen else ("false", otherwise or then)
            detail = f"The {which} result value has the wrong type: {wrong.message}."
            fail(diagnostics, scope, branch, "Inconsistent conditional result types", detail, context=e)
            result = Value(type, Unknown())
    elif _is_plain_null(result):
        result = Value(type, NULL)
    return result.with_marks(marks) if marks else result


# --- tuples, objects, for --------------------------------------------------------------------------------------------


def _tuple(e: nodes.TupleExpression, scope: Scope, diagnostics: Diagnostics) -> Value:
    return tuple_of([_EVALUATE[item.__class__](item, scope, diagnostics) for item in e.items])


def _object(e: nodes.ObjectExpression, scope: Scope, diagnostics: Diagnostics) -> Value:
    members: dict[str, Value] = {}
    marks: frozenset[Mark] = NO_MARKS
    known = True
    for key_node, value_node in e.items:
        name = literal_name(key_node)
        if name is not None:
            members[name] = _EVALUATE[value_node.__class__](value_node, scope, diagnostics)
            continue
        before = len(diagnostics)
        key = _key(key_node, scope, diagnostics)
        failed = has_errors(diagnostics[before:])
        value = _value(value_node, scope, diagnostics)
        if failed:
            known = False
            continue
        if key.data is NULL:
            detail = "Can't use a null value as a key."
            fail(diagnostics, scope, key_node, "Null value as key", detail, value_node.range)
            known = False
            continue
        marks |= key.marks
        try:
            text = convert(key.unmarked(), STRING)
        except ConversionError as wrong:
            detail = f"Can't use this value as a key: {wrong.message}."
            fail(diagnostics, scope, key_node, "Incorrect key type", detail)
            known = False
            continue
        if isinstance(text.data, Unknown):
            known = False
            continue
        members[text.data] = value
    if not known:
        return DYNAMIC_UNKNOWN
    return object_of(members).with_marks(marks) if marks else object_of(members)


def _key(node: nodes.Expression, scope: Scope, diagnostics: Diagnostics) -> Value:
    if isinstance(node, nodes.Traversal) and node.steps:
        detail = (
            "If this expression is intended to be a reference, wrap it in parentheses. If it's instead intended as a "
            "literal name containing periods, wrap it in quotes to create a string literal."
        )
        diagnostics.append(Diagnostic(Severity.ERROR, "Ambiguous attribute key", detail, node.range))
        return DYNAMIC_UNKNOWN
    return _value(node, scope, diagnostics)


def _for(e: nodes.ForExpression, scope: Scope, diagnostics: Diagnostics) -> Value:
    return for_(_value, e, scope, diagnostics)


def _call(e: nodes.Call, scope: Scope, diagnostics: Diagnostics) -> Value:
    return call(_value, e, scope, diagnostics)


_EVALUATE: dict[type, Callable[[Any, Scope, Diagnostics], Value]] = {
    nodes.Literal: _literal,
    nodes.Template: _template,
    nodes.TemplateWrap: _template_wrap,
    nodes.TemplateIf: _template_if,
    nodes.TemplateFor: _template_for,
    nodes.Traversal: _traversal,
    nodes.RelativeTraversal: _relative,
    nodes.IndexExpression: _index,
    nodes.Splat: _splat,
    nodes.SplatItem: _splat_item,
    nodes.Call: _call,
    nodes.Unary: _unary,
    nodes.Binary: _binary,
    nodes.Conditional: _conditional,
    nodes.Parenthesised: _parenthesised,
    nodes.TupleExpression: _tuple,
    nodes.ObjectExpression: _object,
    nodes.ForExpression: _for,
}
