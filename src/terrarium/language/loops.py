"""What goes over the items of a collection: `for` expressions and splats.

The evaluator for the expressions inside is handed in (`value_of`), since each needs the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from terrarium.base.diagnostics import has_errors
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, common_type, convert
from terrarium.language.mistakes import Diagnostics, Evaluate, fail
from terrarium.language.numbers import Whole
from terrarium.language.scope import Scope
from terrarium.language.text import quote
from terrarium.language.types import BOOL, NUMBER, STRING, Dynamic, List, Map, Object, Set, Tuple, Type
from terrarium.language.unknowns import refined
from terrarium.language.values import DYNAMIC_UNKNOWN, NULL, Mark, Unknown, Value, object_of, tuple_of

# --- splats ----------------------------------------------------------------------------------------------------------


def splat(value_of: Evaluate, e: nodes.Splat, scope: Scope, diagnostics: Diagnostics) -> Value:
    before = len(diagnostics)
    source = value_of(e.of, scope, diagnostics)
    if has_errors(diagnostics[before:]):
        return DYNAMIC_UNKNOWN
    is_sequence = isinstance(source.type, Tuple | List | Set)
    marks = source.marks
    if source.data is NULL:
        if not is_sequence:
            return Value(Tuple(()), (), marks)
        detail = "Splat expressions (with the * symbol) cannot be applied to null sequences."
        return fail(diagnostics, scope, e.of, "Splat of null value", detail, context=e)
    if isinstance(source.type, Dynamic):
        return DYNAMIC_UNKNOWN.with_marks(marks)
    maybe_absent = False
    if not is_sequence:
        maybe_absent = isinstance(source.data, Unknown) and not source.data.not_null
        source = Value(Tuple((source.type,)), (source,), marks)
    if isinstance(source.data, Unknown):
        return _unknown_splat(value_of, e, source, scope, diagnostics)
    failed = False
    members: list[Value] = []
    for item in source.data:
        before = len(diagnostics)
        members.append(value_of(e.each, scope.child({e.item: item}), diagnostics))
        failed = failed or has_errors(diagnostics[before:])
    if maybe_absent:
        return DYNAMIC_UNKNOWN.with_marks(marks)
    if failed:
        # The mistakes are told already; the type may bring more of them to light.
        return Value(_unknown_splat(value_of, e, source, scope, []).type, Unknown(), marks)
    if isinstance(source.type, Tuple):
        return tuple_of(members).with_marks(marks)
    if not members:
        assert isinstance(source.type, List | Set)
        return Value(List(_splat_type(value_of, e, source.type.element, scope, diagnostics)), (), marks)
    one = common_type(members)
    if one is None:
        detail = (
            "The second level of splat expression produced elements of different types, so it isn't possible to construct "
            "a valid list to represent the top-level result.\n\nConsider using a for expression instead, to produce a "
            "tuple-typed result which can therefore have non-homogenous element types."
        )
        return fail(diagnostics, scope, e.each, "Invalid nested splat expressions", detail, context=e)
    return Value(List(one), tuple(m if m.type == one else Value(one, m.data, m.marks) for m in members), marks)


def _splat_type(value_of: Evaluate, e: nodes.Splat, item: Type, scope: Scope, diagnostics: Diagnostics) -> Type:
    return value_of(e.each, scope.child({e.item: Value(item, Unknown())}), diagnostics).type


def _unknown_splat(value_of: Evaluate, e: nodes.Splat, source: Value, scope: Scope, diagnostics: Diagnostics) -> Value:
    if isinstance(source.type, Tuple):
        types = tuple(_splat_type(value_of, e, t, scope, diagnostics) for t in source.type.elements)
        return Value(Tuple(types), Unknown(not_null=True), source.marks)
    assert isinstance(source.type, List | Set)
    result = List(_splat_type(value_of, e, source.type.element, scope, diagnostics))
    known = source.data
    if not isinstance(known, Unknown):
        return Value(result, Unknown(), source.marks)
    lengths = Unknown(not_null=True, min_length=known.min_length, max_length=known.max_length)
    return refined(result, lengths, source.marks)


# --- for -------------------------------------------------------------------------------------------------------------


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


def for_(value_of: Evaluate, e: nodes.ForExpression, scope: Scope, diagnostics: Diagnostics) -> Value:
    collection = value_of(e.collection, scope, diagnostics)
    if collection.data is NULL:
        detail = "A null value cannot be used as the collection in a 'for' expression."
        return fail(diagnostics, scope, e.collection, "Iteration over null value", detail, context=e)
    if isinstance(collection.type, Dynamic):
        return DYNAMIC_UNKNOWN
    if not isinstance(collection.type, List | Set | Map | Tuple | Object):
        words = collection.type.friendly()
        detail = f"A value of type {words} cannot be used as the collection in a 'for' expression."
        return fail(diagnostics, scope, e.collection, "Iteration over non-iterable value", detail, context=e)
    marks = collection.marks
    if e.condition is not None:
        marks_of_condition = _try_condition(value_of, e, scope, diagnostics)
        if marks_of_condition is None:
            return DYNAMIC_UNKNOWN
        if isinstance(collection.data, Unknown):
            marks |= marks_of_condition
    if isinstance(collection.data, Unknown):
        return DYNAMIC_UNKNOWN.with_marks(marks)
    return _Loop(value_of, e, scope, diagnostics, marks).run(collection)


def _bound(e: nodes.ForExpression, scope: Scope, key: Value, member: Value) -> Scope:
    if e.key_name is None:
        return Scope({e.value_name: member}, scope.functions, scope)
    return Scope({e.key_name: key, e.value_name: member}, scope.functions, scope)


def _try_condition(
    value_of: Evaluate, e: nodes.ForExpression, scope: Scope, diagnostics: Diagnostics
) -> frozenset[Mark] | None:
    """Whether the `if` clause may be right at all, seen with unknown items; its marks, or None after an error."""
    assert e.condition is not None
    before = len(diagnostics)
    result = value_of(e.condition, _bound(e, scope, DYNAMIC_UNKNOWN, DYNAMIC_UNKNOWN), diagnostics)
    if result.data is NULL:
        detail = "The value of the 'if' clause must not be null."
        fail(diagnostics, scope, e.condition, "Condition is null", detail, context=e)
        return None
    try:
        convert(result, BOOL)
    except ConversionError as wrong:
        detail = f"The 'if' clause value is invalid: {wrong.message}."
        fail(diagnostics, scope, e.condition, "Invalid 'for' condition", detail, context=e)
        return None
    return None if has_errors(diagnostics[before:]) else result.marks


class _Loop:
    """One run of a `for` expression. `known` turns false when an unknown or a mistake makes the result unknown."""

    __slots__ = ("diagnostics", "e", "known", "marks", "scope", "value_of")

    def __init__(
        self, value_of: Evaluate, e: nodes.ForExpression, scope: Scope, diagnostics: Diagnostics, marks: frozenset[Mark]
    ) -> None:
        self.value_of = value_of
        self.e, self.scope, self.diagnostics, self.marks, self.known = e, scope, diagnostics, marks, True

    def run(self, collection: Value) -> Value:
        e, scope, diagnostics = self.e, self.scope, self.diagnostics
        value_of, node = self.value_of, e.value
        members: list[Value] = []
        named: dict[str, Value] = {}
        groups: dict[str, list[Value]] = {}
        for key, member in elements(collection):
            inner = _bound(e, scope, key, member)
            if e.condition is not None and not self.included(e.condition, inner):
                continue
            if e.key is None:
                members.append(value_of(node, inner, diagnostics))
                continue
            name = self.name(e.key, inner)
            if name is None:
                continue
            value = value_of(node, inner, diagnostics)
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
            fail(self.diagnostics, scope, node, summary, detail, context=self.e)
        self.known = False

    def included(self, node: nodes.Expression, scope: Scope) -> bool:
        answer = self.value_of(node, scope, self.diagnostics)
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
        key = self.value_of(node, scope, self.diagnostics)
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
        fail(self.diagnostics, scope, node, "Duplicate object key", detail, context=self.e)
