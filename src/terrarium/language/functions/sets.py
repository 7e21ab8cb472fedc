"""Set algebra."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from terrarium.language.convert import ConversionError, convert
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter
from terrarium.language.sets import same
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


def _inside(one: Value, members: Members) -> bool:
    return any(same(one, other) for other in members)


def _parameter(name: str) -> Parameter:
    return Parameter(name, Set(DYNAMIC), allow_dynamic=True)


_FIRST, _OTHERS = (_parameter("first_set"),), _parameter("other_sets")

FUNCTIONS: Mapping[str, Function] = {
    "setintersection": _operation(lambda a, b: [m for m in a if _inside(m, b)], _FIRST, _OTHERS, False),
    "setsubtract": _operation(
        lambda a, b: [m for m in a if not _inside(m, b)], (_parameter("a"), _parameter("b")), None, False
    ),
    "setunion": _operation(lambda a, b: [*a, *b], _FIRST, _OTHERS, True),
}
