"""Expressions to values. Never raises for a user's mistake: the value is then unknown and the diagnostics say why.

The rules, the order of checks and the words are those of HCL's evaluator (hclsyntax) as Terraform 1.11 has it: both
sides of `&&` and `||` are evaluated, all marks of a conditional's parts go to its result, an unknown part makes the
whole unknown but keeps what is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from terrarium.base.diagnostics import Diagnostic, Severity, has_errors
from terrarium.base.suggest import nearest
from terrarium.language import nodes, operations
from terrarium.language.convert import ConversionError, common_type, convert, unify
from terrarium.language.explain import CalledFunction, explain
from terrarium.language.functions.spec import ArgumentError, Diagnosed, FunctionError
from terrarium.language.numbers import Whole
from terrarium.language.operations import OperationError, attribute, element, equals
from terrarium.language.places import between, start_range
from terrarium.language.references import literal_name, references, static_name
from terrarium.language.scope import NOTHING_ALLOWED, Scope
from terrarium.language.text import nfc, quote, safe_prefix
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, Dynamic, List, Map, Object, Set, Tuple, Type
from terrarium.language.unknowns import either, refined
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

Diagnostics = list[Diagnostic]
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


def _fail(
    diagnostics: Diagnostics,
    scope: Scope,
    about: nodes.Expression,
    summary: str,
    detail: str,
    subject: Any = None,
    context: nodes.Node | None = None,
    extra: object = None,
) -> Value:
    """Adds an error; `about` is the expression whose values explain it, and is underlined unless `subject` is given."""
    diagnostics.append(
        Diagnostic(
            Severity.ERROR,
            summary,
            detail,
            about.range if subject is None else subject,
            None if context is None else context.range,
            explain(about, scope),
            extra=extra,
        )
    )
    return DYNAMIC_UNKNOWN


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
            _fail(diagnostics, scope, part, "Invalid template interpolation value", detail, context=e)
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
                _fail(diagnostics, scope, part, "Invalid template interpolation value", detail, context=e)
                failed = True
                continue
        if known and not failed:
            texts.append(data)
    if known:
        if sum(map(len, texts)) > LONGEST_STRING:
            message = f"The result of this template would be longer than {LONGEST_STRING} characters."
            return _fail(diagnostics, scope, e, "Template result too long", message)
        return Value(STRING, nfc("".join(texts)), marks)
    prefix = "" if failed else safe_prefix("".join(texts).encode()[:128].decode(errors="ignore"))
    return Value(STRING, Unknown(not_null=True, prefix=prefix), marks)


def _template_wrap(e: nodes.TemplateWrap, scope: Scope, diagnostics: Diagnostics) -> Value:
    return _value(e.wrapped, scope, diagnostics)


def _template_if(e: nodes.TemplateIf, scope: Scope, diagnostics: Diagnostics) -> Value:
    return _choose(e, e.condition, e.then, e.otherwise, scope, diagnostics)


def _template_for(e: nodes.TemplateFor, scope: Scope, diagnostics: Diagnostics) -> Value:
    loop = nodes.ForExpression(e.source, e.start, e.end, e.key_name, e.value_name, e.collection, None, e.body, None)
    value = _for(loop, scope, diagnostics)
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
            return _fail(diagnostics, scope, e, "Variables not allowed", detail, subject)
        near = nearest(e.root, sorted(set(scope.names())))
        hint = f" Did you mean {quote(near)}?" if near else ""
        detail = f"There is no variable named {quote(e.root)}.{hint}"
        return _fail(diagnostics, scope, e, "Unknown variable", detail, subject)
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
            return _fail(diagnostics, scope, e, wrong.summary, wrong.detail, subject)
    return value


def _index(e: nodes.IndexExpression, scope: Scope, diagnostics: Diagnostics) -> Value:
    collection = _value(e.collection, scope, diagnostics)
    key = _value(e.key, scope, diagnostics)
    try:
        return element(collection, key)
    except OperationError as wrong:
        opening = e.source.text.find("[", e.collection.end)
        return _fail(diagnostics, scope, e, wrong.summary, wrong.detail, e.source.range(opening, e.end))


def _splat_item(e: nodes.SplatItem, scope: Scope, diagnostics: Diagnostics) -> Value:
    found = scope.find(e)
    return DYNAMIC_UNKNOWN if found is None else found


def _splat(e: nodes.Splat, scope: Scope, diagnostics: Diagnostics) -> Value:
    before = len(diagnostics)
    source = _value(e.of, scope, diagnostics)
    if has_errors(diagnostics[before:]):
        return DYNAMIC_UNKNOWN
    is_sequence = isinstance(source.type, Tuple | List | Set)
    marks = source.marks
    if source.data is NULL:
        if not is_sequence:
            return Value(Tuple(()), (), marks)
        detail = "Splat expressions (with the * symbol) cannot be applied to null sequences."
        return _fail(diagnostics, scope, e.of, "Splat of null value", detail, context=e)
    if isinstance(source.type, Dynamic):
        return DYNAMIC_UNKNOWN.with_marks(marks)
    maybe_absent = False
    if not is_sequence:
        maybe_absent = isinstance(source.data, Unknown) and not source.data.not_null
        source = Value(Tuple((source.type,)), (source,), marks)
    if isinstance(source.data, Unknown):
        return _unknown_splat(e, source, scope, diagnostics)
    failed = False
    members: list[Value] = []
    for item in source.data:
        before = len(diagnostics)
        members.append(_value(e.each, scope.child({e.item: item}), diagnostics))
        failed = failed or has_errors(diagnostics[before:])
    if maybe_absent:
        return DYNAMIC_UNKNOWN.with_marks(marks)
    if failed:
        # The mistakes are told already; the type may bring more of them to light.
        return Value(_unknown_splat(e, source, scope, []).type, Unknown(), marks)
    if isinstance(source.type, Tuple):
        return tuple_of(members).with_marks(marks)
    if not members:
        assert isinstance(source.type, List | Set)
        return Value(List(_splat_type(e, source.type.element, scope, diagnostics)), (), marks)
    one = common_type(members)
    if one is None:
        detail = (
            "The second level of splat expression produced elements of different types, so it isn't possible to construct "
            "a valid list to represent the top-level result.\n\nConsider using a for expression instead, to produce a "
            "tuple-typed result which can therefore have non-homogenous element types."
        )
        return _fail(diagnostics, scope, e.each, "Invalid nested splat expressions", detail, context=e)
    return Value(List(one), tuple(m if m.type == one else Value(one, m.data, m.marks) for m in members), marks)


def _splat_type(e: nodes.Splat, item: Type, scope: Scope, diagnostics: Diagnostics) -> Type:
    return _value(e.each, scope.child({e.item: Value(item, Unknown())}), diagnostics).type


def _unknown_splat(e: nodes.Splat, source: Value, scope: Scope, diagnostics: Diagnostics) -> Value:
    if isinstance(source.type, Tuple):
        types = tuple(_splat_type(e, t, scope, diagnostics) for t in source.type.elements)
        return Value(Tuple(types), Unknown(not_null=True), source.marks)
    assert isinstance(source.type, List | Set)
    result = List(_splat_type(e, source.type.element, scope, diagnostics))
    known = source.data
    if not isinstance(known, Unknown):
        return Value(result, Unknown(), source.marks)
    lengths = Unknown(not_null=True, min_length=known.min_length, max_length=known.max_length)
    return refined(result, lengths, source.marks)


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
            _fail(found, scope, e.left, "Invalid operand", detail, context=e)
    right_found: Diagnostics = []
    right = _value(e.right, scope, right_found)
    b = right
    if right.type is not operands:
        try:
            b = convert(right, operands)
        except ConversionError as wrong:
            detail = f"Unsuitable value for right operand: {wrong.message}."
            _fail(found, scope, e.right, "Invalid operand", detail, context=e)
    if found or left_found or right_found:
        found = [*left_found, *right_found, *found]
        if has_errors(found):
            return Value(result, Unknown(), a.marks | b.marks), found
    marks = a.marks | b.marks
    try:
        value = compute(a.unmarked(), b.unmarked()) if marks else compute(a, b)
    except OperationError as wrong:
        _fail(found, scope, e, wrong.summary, wrong.detail)
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
        _fail(diagnostics, scope, e.operand, "Invalid operand", detail, context=e)
    except OperationError as wrong:
        _fail(diagnostics, scope, e, wrong.summary, wrong.detail)
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
            return _fail(diagnostics, scope, e, "Inconsistent conditional result types", detail, subject, e)
        type, (first, second) = unified
        changes = (first, second)
    choice = _value(condition, scope, diagnostics)
    marks = choice.marks | yes.marks | no.marks
    if choice.data is NULL:
        detail = "The condition value is null. Conditions must either be true or false."
        _fail(diagnostics, scope, condition, "Null condition", detail, context=e)
        return Value(type, Unknown())
    if isinstance(choice.data, Unknown):
        return either(type, yes, no).with_marks(marks)
    try:
        chosen = convert(choice, BOOL).data
    except ConversionError:
        detail = "The condition expression must be of type bool."
        _fail(diagnostics, scope, condition, "Incorrect condition type", detail, context=e)
        return Value(type, Unknown())
    result, change, found = (yes, changes[0], then_found) if chosen else (no, changes[1], otherwise_found)
    diagnostics.extend(found)
    if change is not None:
        try:
            result = change(result, ())
        except ConversionError as wrong:
            which, branch = ("true", then) if chosen else ("false", otherwise or then)
            detail = f"The {which} result value has the wrong type: {wrong.message}."
            _fail(diagnostics, scope, branch, "Inconsistent conditional result types", detail, context=e)
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
            _fail(diagnostics, scope, key_node, "Null value as key", detail, value_node.range)
            known = False
            continue
        marks |= key.marks
        try:
            text = convert(key.unmarked(), STRING)
        except ConversionError as wrong:
            detail = f"Can't use this value as a key: {wrong.message}."
            _fail(diagnostics, scope, key_node, "Incorrect key type", detail)
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


def elements(collection: Value) -> Iterator[tuple[Value, Value]]:
    """Keys and members of a known collection or structure, in order; a set's members are their own keys."""
    data = collection.data
    if isinstance(data, dict):
        for name, member in data.items():
            yield Value(STRING, name), member
    elif isinstance(collection.type, Set):
        for member in data:
            yield member, member
    else:
        for i, member in enumerate(data):
            yield Value(NUMBER, Whole(i)), member


def _for(e: nodes.ForExpression, scope: Scope, diagnostics: Diagnostics) -> Value:
    collection = _value(e.collection, scope, diagnostics)
    if collection.data is NULL:
        detail = "A null value cannot be used as the collection in a 'for' expression."
        return _fail(diagnostics, scope, e.collection, "Iteration over null value", detail, context=e)
    if isinstance(collection.type, Dynamic):
        return DYNAMIC_UNKNOWN
    if not isinstance(collection.type, List | Set | Map | Tuple | Object):
        words = collection.type.friendly()
        detail = f"A value of type {words} cannot be used as the collection in a 'for' expression."
        return _fail(diagnostics, scope, e.collection, "Iteration over non-iterable value", detail, context=e)
    marks = collection.marks
    if e.condition is not None:
        marks_of_condition = _try_condition(e, scope, diagnostics)
        if marks_of_condition is None:
            return DYNAMIC_UNKNOWN
        if isinstance(collection.data, Unknown):
            marks |= marks_of_condition
    if isinstance(collection.data, Unknown):
        return DYNAMIC_UNKNOWN.with_marks(marks)
    return _Loop(e, scope, diagnostics, marks).run(collection)


def _bound(e: nodes.ForExpression, scope: Scope, key: Value, member: Value) -> Scope:
    if e.key_name is None:
        return Scope({e.value_name: member}, scope.functions, scope)
    return Scope({e.key_name: key, e.value_name: member}, scope.functions, scope)


def _try_condition(e: nodes.ForExpression, scope: Scope, diagnostics: Diagnostics) -> frozenset[Mark] | None:
    """Whether the `if` clause may be right at all, seen with unknown items; its marks, or None after an error."""
    assert e.condition is not None
    before = len(diagnostics)
    result = _value(e.condition, _bound(e, scope, DYNAMIC_UNKNOWN, DYNAMIC_UNKNOWN), diagnostics)
    if result.data is NULL:
        detail = "The value of the 'if' clause must not be null."
        _fail(diagnostics, scope, e.condition, "Condition is null", detail, context=e)
        return None
    try:
        convert(result, BOOL)
    except ConversionError as wrong:
        detail = f"The 'if' clause value is invalid: {wrong.message}."
        _fail(diagnostics, scope, e.condition, "Invalid 'for' condition", detail, context=e)
        return None
    return None if has_errors(diagnostics[before:]) else result.marks


class _Loop:
    """One run of a `for` expression. `known` turns false when an unknown or a mistake makes the result unknown."""

    __slots__ = ("diagnostics", "e", "known", "marks", "scope")

    def __init__(self, e: nodes.ForExpression, scope: Scope, diagnostics: Diagnostics, marks: frozenset[Mark]) -> None:
        self.e, self.scope, self.diagnostics, self.marks, self.known = e, scope, diagnostics, marks, True

    def run(self, collection: Value) -> Value:
        e, scope, diagnostics = self.e, self.scope, self.diagnostics
        evaluate_value, node = _EVALUATE[e.value.__class__], e.value
        members: list[Value] = []
        named: dict[str, Value] = {}
        groups: dict[str, list[Value]] = {}
        for key, member in elements(collection):
            inner = _bound(e, scope, key, member)
            if e.condition is not None and not self.included(e.condition, inner):
                continue
            if e.key is None:
                members.append(evaluate_value(node, inner, diagnostics))
                continue
            name = self.name(e.key, inner)
            if name is None:
                continue
            value = evaluate_value(node, inner, diagnostics)
            if e.group:
                groups.setdefault(name, []).append(value)
            elif name in named:
                self.duplicate(e.key, name, inner)
            else:
                named[name] = value
        if not self.known:
            return DYNAMIC_UNKNOWN.with_marks(self.marks)
        if e.key is None:
            return tuple_of(members).with_marks(self.marks)
        if e.group:
            named = {name: tuple_of(values) for name, values in groups.items()}
        return object_of(named).with_marks(self.marks)

    def wrong(self, node: nodes.Expression, scope: Scope, summary: str, detail: str) -> None:
        if self.known:
            _fail(self.diagnostics, scope, node, summary, detail, context=self.e)
        self.known = False

    def included(self, node: nodes.Expression, scope: Scope) -> bool:
        answer = _value(node, scope, self.diagnostics)
        if answer.data is NULL:
            self.wrong(node, scope, "Invalid 'for' condition", "The value of the 'if' clause must not be null.")
            return False
        self.marks |= answer.marks
        if isinstance(answer.data, Unknown):
            self.known = False
            return False
        try:
            return bool(convert(answer, BOOL).data)
        except ConversionError as wrong:
            detail = f"The 'if' clause value is invalid: {wrong.message}."
            self.wrong(node, scope, "Invalid 'for' condition", detail)
            return False

    def name(self, node: nodes.Expression, scope: Scope) -> str | None:
        key = _value(node, scope, self.diagnostics)
        if key.data is NULL:
            detail = "Key expression in 'for' expression must not produce a null value."
            self.wrong(node, scope, "Invalid object key", detail)
            return None
        self.marks |= key.marks
        if isinstance(key.data, Unknown):
            self.known = False
            return None
        try:
            text: str = convert(key.unmarked(), STRING).data
        except ConversionError as wrong:
            self.wrong(
                node, scope, "Invalid object key", f"The key expression produced an invalid result: {wrong.message}."
            )
            return None
        return text

    def duplicate(self, node: nodes.Expression, name: str, scope: Scope) -> None:
        detail = (
            f"Two different items produced the key {quote(name)} in this 'for' expression. If duplicates are expected, use "
            "the ellipsis (...) after the value expression to enable grouping by key."
        )
        _fail(self.diagnostics, scope, node, "Duplicate object key", detail, context=self.e)


# --- calls -----------------------------------------------------------------------------------------------------------


def _call(e: nodes.Call, scope: Scope, diagnostics: Diagnostics) -> Value:
    function = scope.functions.get(e.name) if scope.functions is not None else None
    if function is None:
        return _unknown_function(e, scope, diagnostics)
    extra = CalledFunction(e.name, function)
    arguments: list[Any] = list(e.arguments)  # nodes, or values out of an expanded last argument
    if e.expand_final:
        expanded = _expand(e, scope, diagnostics, extra)
        if expanded is None:
            return DYNAMIC_UNKNOWN
        arguments[-1:] = expanded
    count = len(function.parameters)
    if len(arguments) < count:
        at_least = " at least" if function.variadic is not None else ""
        detail = (
            f"Function {quote(e.name)} expects{at_least} {count} argument(s). "
            f"Missing value for {quote(function.parameters[len(arguments)].name)}."
        )
        subject = e.source.range(e.end - 1, e.end)
        return _fail(diagnostics, scope, e, "Not enough function arguments", detail, subject, e, extra)
    if function.variadic is None and len(arguments) > count:
        detail = f"Function {quote(e.name)} expects only {count} argument(s)."
        subject = start_range(_node(e, arguments, count))
        return _fail(diagnostics, scope, e, "Too many function arguments", detail, subject, e, extra)
    if function.lazy is not None:
        closures = [_Closure(argument, scope) for argument in arguments]
        lazy = function.lazy
        return _result(e, lambda: lazy(closures), arguments, function, scope, diagnostics)
    before = len(diagnostics)
    values: list[Value] = []
    for i, argument in enumerate(arguments):
        value = argument if isinstance(argument, Value) else _EVALUATE[argument.__class__](argument, scope, diagnostics)
        parameter = function.parameters[i] if i < count else function.variadic
        assert parameter is not None
        if value.type is not parameter.type and parameter.type is not DYNAMIC:
            try:
                value = convert(value, parameter.type)
            except ConversionError as wrong:
                _bad_argument(e, arguments, i, parameter.name, wrong.message, scope, diagnostics, extra)
        values.append(value)
    if len(diagnostics) > before and has_errors(diagnostics[before:]):
        return DYNAMIC_UNKNOWN
    return _result(e, lambda: function.call(values), arguments, function, scope, diagnostics)


class _Closure:
    """An argument for a lazy function: an expression with its scope, or a value out of an expanded last argument."""

    __slots__ = ("node", "scope", "value")

    def __init__(self, argument: nodes.Expression | Value, scope: Scope) -> None:
        self.node = argument if isinstance(argument, nodes.Expression) else None
        self.value = argument if isinstance(argument, Value) else DYNAMIC_UNKNOWN
        self.scope = scope

    def evaluate(self) -> tuple[Value, Diagnostics]:
        return (self.value, []) if self.node is None else evaluate(self.node, self.scope)


def _node(e: nodes.Call, arguments: Sequence[Any], index: int) -> nodes.Expression:
    argument = arguments[index]
    return argument if isinstance(argument, nodes.Expression) else e.arguments[-1]


def _bad_argument(
    e: nodes.Call,
    arguments: Sequence[Any],
    index: int,
    name: str,
    why: str,
    scope: Scope,
    diagnostics: Diagnostics,
    extra: CalledFunction,
) -> Value:
    node = _node(e, arguments, index)
    detail = f"Invalid value for {quote(name)} parameter: {why}."
    return _fail(diagnostics, scope, node, "Invalid function argument", detail, start_range(node), e, extra)


def _result(
    e: nodes.Call,
    run: Callable[[], Value],
    arguments: Sequence[Any],
    function: Any,
    scope: Scope,
    diagnostics: Diagnostics,
) -> Value:
    extra = CalledFunction(e.name, function)
    try:
        return run()
    except ArgumentError as wrong:
        parameter = function.parameter(wrong.index)
        if parameter is not None and wrong.index < len(arguments):
            return _bad_argument(e, arguments, wrong.index, parameter.name, str(wrong), scope, diagnostics, extra)
        if parameter is not None:
            detail = f"Invalid value for {quote(parameter.name)} parameter: {wrong}."
            return _fail(diagnostics, scope, e, "Invalid function argument", detail, extra=extra)
        message = str(wrong)
    except Diagnosed as wrong:
        diagnostics.extend(wrong.diagnostics)
        return DYNAMIC_UNKNOWN
    except FunctionError as wrong:
        message = str(wrong)
    detail = f"Call to function {quote(e.name)} failed: {message}."
    return _fail(diagnostics, scope, e, "Error in function call", detail, start_range(e), e, extra)


def _expand(e: nodes.Call, scope: Scope, diagnostics: Diagnostics, extra: CalledFunction) -> list[Value] | None:
    """The values of a last argument with `...`; None when they are not known, or wrong."""
    node = e.arguments[-1]
    before = len(diagnostics)
    value = _value(node, scope, diagnostics)
    if has_errors(diagnostics[before:]):
        return None
    summary = "Invalid expanding argument value"
    if not isinstance(value.type, Dynamic | Tuple | List | Set):
        detail = "The expanding argument (indicated by ...) must be of a tuple, list, or set type."
        _fail(diagnostics, scope, node, summary, detail, context=e, extra=extra)
        return None
    if value.data is NULL:
        detail = "The expanding argument (indicated by ...) must not be null."
        _fail(diagnostics, scope, node, summary, detail, context=e, extra=extra)
        return None
    if isinstance(value.data, Unknown):
        return None
    return [member.with_marks(value.marks) for member in value.data]


def _unknown_function(e: nodes.Call, scope: Scope, diagnostics: Diagnostics) -> Value:
    if scope.functions is None:
        return _fail(diagnostics, scope, e, "Function calls not allowed", "Functions may not be called here.")
    _, separator, name = e.name.rpartition("::")
    if separator:
        first, *others = e.name.split("::")
        if first != "provider":
            detail = (
                f'The function namespace {quote(first)} is not valid. Provider function calls must use the "provider::" '
                "namespace prefix."
            )
        elif len(others) < 2:
            detail = 'The function call must include the provider name after the "provider::" prefix.'
        else:
            detail = (
                f"There is no function named {quote(e.name)}. Ensure that provider name {quote(others[0])} is declared in this "
                f"module's required_providers block, and that this provider offers a function named {quote(name)}."
            )
        subject = e.source.range(e.start, e.name_end)
        return _fail(diagnostics, scope, e, "Unknown provider function", detail, subject, e)
    near = nearest(e.name, sorted(scope.functions))
    hint = f" Did you mean {quote(near)}?" if near else ""
    detail = f"There is no function named {quote(e.name)}.{hint}"
    subject = e.source.range(e.start, e.name_end)
    return _fail(diagnostics, scope, e, "Call to unknown function", detail, subject, e)


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
