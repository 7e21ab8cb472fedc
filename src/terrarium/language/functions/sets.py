"""Set algebra."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from terrarium.language.convert import ConversionError, convert
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter
from terrarium.language.sets import content, same
from terrarium.language.types import DYNAMIC, Set, Type
from terrarium.language.unify import unify_types
from terrarium.language.values import Unknown, Value, set_of

Members = Sequence[Value]


def _type(values: Sequence[Value]) -> Type:
    elements: list[Type] = []
    for value in values:
        assert isinstance(value.type, Set)
        if not isinstance(value.data, Unknown) and not value.data and value.type.element == DYNAMIC:
            continue  # an empty set literal goes with any other
        elements.append(value.type.element)
    if not elements:
        return Set(DYNAMIC)
    common = unify_types(elements)
    if common is None:
        raise FunctionError("given sets must all have compatible element types")
    return Set(common)


def _operation(
    combine: Callable[[Members, Members], Members],
    parameters: tuple[Parameter, ...],
    variadic: Parameter | None,
    unknowns: bool,
) -> Function:
    def body(values: Sequence[Value], type: Type) -> Value:
        members: Members = ()
        inside = {v.type.element for v in values if isinstance(v.type, Set) and len(v)} if type == Set(DYNAMIC) else ()
        if len(inside) > 1:
            raise FunctionError("given sets must all have compatible element types")
        for i, value in enumerate(values):
            try:
                value = convert(value, type)
            except ConversionError as wrong:
                raise ArgumentError(i, wrong.message) from None
            if not unknowns and not value.is_wholly_known:
                return Value(type, Unknown())
            members = combine(members, value.data) if i else value.data
        assert isinstance(type, Set)
        return set_of(members[0].type if members and type.element == DYNAMIC else type.element, members)

    return Function(parameters, _type, body, variadic=variadic)


def _split(members: Members, others: Members) -> tuple[list[Value], list[Value]]:
    """The members that are among the others, and those that are not."""
    known: dict[str, list[Value]] = {}
    for other in others:
        known.setdefault(content(other), []).append(other)
    inside: list[Value] = []
    outside: list[Value] = []
    for member in members:
        found = any(same(member, other) for other in known.get(content(member), ()))
        (inside if found else outside).append(member)
    return inside, outside


def _parameter(name: str) -> Parameter:
    return Parameter(name, Set(DYNAMIC), allow_dynamic=True)


_FIRST, _OTHERS = (_parameter("first_set"),), _parameter("other_sets")

FUNCTIONS: Mapping[str, Function] = {
    "setintersection": _operation(lambda a, b: _split(a, b)[0], _FIRST, _OTHERS, False),
    "setsubtract": _operation(lambda a, b: _split(a, b)[1], (_parameter("a"), _parameter("b")), None, False),
    "setunion": _operation(lambda a, b: [*a, *b], _FIRST, _OTHERS, True),
}
