"""Functions of lists, sets and tuples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.base.graphemes import count
from terrarium.language import numbers
from terrarium.language.convert import ConversionError, convert, convert_or_none
from terrarium.language.functions.arguments import whole
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, anything, parameters
from terrarium.language.numbers import Whole
from terrarium.language.operations import equals
from terrarium.language.sets import content, same
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, Dynamic, List, Map, Object, Set, Tuple, Type
from terrarium.language.unify import unify_types
from terrarium.language.unknowns import length_open
from terrarium.language.values import (
    DYNAMIC_UNKNOWN,
    FALSE,
    NO_MARKS,
    NULL,
    TRUE,
    UNREFINED,
    Mark,
    Unknown,
    Value,
    set_of,
    tuple_of,
)

# --- length ----------------------------------------------------------------------------------------------------------


def _length_type(values: Sequence[Value]) -> Type:
    if values[0].type == STRING or isinstance(values[0].type, Tuple | Object | List | Set | Map | Dynamic):
        return NUMBER
    raise FunctionError("argument must be a string, a collection type, or a structural type")


def _length(values: Sequence[Value], _: Type) -> Value:
    value = values[0]
    type, data = value.type, value.data
    # A string hides its marks deep inside nothing; a collection keeps those of its elements to itself.
    marks = value.marks
    if isinstance(type, Tuple):
        return Value(NUMBER, Whole(len(type.elements)), marks)
    if isinstance(type, Object):
        return Value(NUMBER, Whole(len(type.attributes)), marks)
    if isinstance(data, Unknown):
        if type == STRING:
            least = count(data.prefix)
            return Value(NUMBER, Unknown(not_null=True, lower=(least, True)), marks)
        if isinstance(type, Dynamic):
            return Value(NUMBER, Unknown(), marks)
        most = None if data.max_length is None else (data.max_length, True)
        return Value(NUMBER, Unknown(not_null=True, lower=(data.min_length, True), upper=most), marks)
    if type == STRING:
        return Value(NUMBER, Whole(count(data)), marks)
    if length_open(value):
        return Value(NUMBER, Unknown(not_null=True, lower=(1, True), upper=(len(data), True)), marks)
    return Value(NUMBER, Whole(len(data)), marks)


# --- choosing elements -----------------------------------------------------------------------------------------------


def _element_type(values: Sequence[Value]) -> Type:
    type = values[0].type
    if isinstance(type, List):
        return type.element
    if not isinstance(type, Tuple):
        raise FunctionError(f"cannot read elements from {type.friendly()}")
    if isinstance(values[1].data, Unknown):
        return DYNAMIC
    index = whole(values[1], prefix="invalid index: ")
    if not type.elements:
        raise FunctionError("cannot use element function with an empty list")
    if index < 0 and index % len(type.elements):
        # Only lists are counted from behind: for tuples Terraform 1.11 takes Go's remainder, which is negative.
        remainder = index % len(type.elements) - len(type.elements)
        raise FunctionError(f"panic in function implementation: runtime error: index out of range [{remainder}]")
    return type.elements[index % len(type.elements)]


def _element(values: Sequence[Value], type: Type) -> Value:
    index = whole(values[1], prefix="invalid index: ")
    if isinstance(values[0].data, Unknown):
        return Value(type, UNREFINED)
    if not values[0].data:
        raise FunctionError("cannot use element function with an empty list")
    return values[0][index % len(values[0].data)]


def _slice_indices(values: Sequence[Value]) -> tuple[int, int, bool]:
    one = values[0]
    length = len(one.type.elements) if isinstance(one.type, Tuple) else None
    if length is None and not isinstance(one.data, Unknown):
        length = len(one.data)
    bounds: list[int | None] = [None, None]
    for i, name in ((1, "start"), (2, "end")):
        if isinstance(values[i].data, Unknown):
            continue
        index = whole(values[i], i, f"invalid {name} index: ")
        if index < 0:
            raise ArgumentError(i, f"{name} index must not be less than zero")
        if length is not None and index > length:
            raise ArgumentError(i, f"{name} index must not be greater than the length of the list")
        bounds[i - 1] = index
    start, end = bounds
    if start is not None and end is not None and start > end:
        raise ArgumentError(1, "start index must not be greater than end index")
    return start or 0, end or 0, start is not None and end is not None


def _slice_type(values: Sequence[Value]) -> Type:
    type = values[0].type
    if isinstance(type, Set):
        raise ArgumentError(
            0,
            "cannot slice a set, because its elements do not have indices; explicitly convert to a list if the ordering of "
            "the result is not important",
        )
    if not isinstance(type, List | Tuple):
        raise ArgumentError(0, "must be a list or tuple value")
    start, end, known = _slice_indices(values)
    if isinstance(type, List):
        return type
    return Tuple(type.elements[start:end]) if known else DYNAMIC


def _slice(values: Sequence[Value], type: Type) -> Value:
    start, end, _ = _slice_indices(values)
    return Value(type, values[0].data[start:end], values[0].marks)


def _contains(values: Sequence[Value], type: Type) -> Value:
    one, wanted = values
    if not isinstance(one.type, List | Tuple | Set):
        raise FunctionError("argument must be list, tuple, or set")
    unsure = False
    for member in one.data:
        answer = equals(wanted, member)
        if answer.data is True:
            return TRUE
        unsure = unsure or isinstance(answer.data, Unknown)
    return Value(type, Unknown()) if unsure else FALSE


def _index(values: Sequence[Value], type: Type) -> Value:
    one, wanted = values
    if not isinstance(one.type, List | Tuple):
        raise FunctionError("argument must be a list or tuple")
    if not one.data:
        raise FunctionError("cannot search an empty list")
    for i, member in enumerate(one.data):
        answer = equals(member, wanted)
        if isinstance(answer.data, Unknown):
            return Value(type, Unknown())
        if answer.data:
            return Value(NUMBER, Whole(i))
    raise FunctionError("item not found")


_ONE = "must be a list, set, or tuple value with either zero or one elements"


def _one_type(values: Sequence[Value]) -> Type:
    type = values[0].type
    if isinstance(type, List | Set):
        return type.element
    if isinstance(type, Tuple) and len(type.elements) <= 1:
        return type.elements[0] if type.elements else DYNAMIC
    raise ArgumentError(0, _ONE)


def _one(values: Sequence[Value], type: Type) -> Value:
    members = values[0].data
    if not members:
        return Value(type, NULL)
    if len(members) == 1:
        member: Value = members[0]
        return member
    if isinstance(values[0].type, Set) and not values[0].is_wholly_known:
        return Value(type, UNREFINED)
    raise ArgumentError(0, _ONE)


# --- conditions and sums ---------------------------------------------------------------------------------------------


def _all_true(values: Sequence[Value], type: Type) -> Value:
    for member in values[0].data:
        if isinstance(member.data, Unknown):
            return Value(type, Unknown())
        if member.data is not True:
            return FALSE
    return TRUE


def _any_true(values: Sequence[Value], type: Type) -> Value:
    members = values[0].data
    if any(member.data is True for member in members):
        return TRUE
    return Value(type, Unknown()) if any(isinstance(m.data, Unknown) for m in members) else FALSE


def _sum(values: Sequence[Value], type: Type) -> Value:
    one = values[0]
    if not isinstance(one.type, List | Set | Tuple | Map | Object):
        raise ArgumentError(0, "cannot sum noniterable")
    if not one.data:
        raise ArgumentError(0, "cannot sum an empty list")
    if isinstance(one.type, Map | Object):
        raise ArgumentError(0, f"argument must be list, set, or tuple. Received {one.type.friendly()}")
    if not one.is_wholly_known:
        return Value(type, Unknown())
    total: numbers.Number | None = None
    for member in one.data:
        found = None if member.data is NULL else convert_or_none(member, NUMBER)
        if found is None:
            raise ArgumentError(0, "argument must be list, set, or tuple of number values")
        try:
            total = found.data if total is None else numbers.add(total, found.data)
        except ZeroDivisionError:
            raise FunctionError("can't compute sum of opposing infinities") from None
    return Value(NUMBER, total)


# --- building lists --------------------------------------------------------------------------------------------------


def _chunk(values: Sequence[Value], type: Type) -> Value:
    one, size = values[0], whole(values[1].unmarked(), prefix="invalid size: ")
    marks = one.marks | values[1].marks
    if size < 0:
        raise FunctionError("the size argument must be positive")
    members = one.data
    if not size:
        size = max(len(members), 1)
    parts = [Value(one.type, members[i : i + size]) for i in range(0, len(members), size)]
    return Value(type, tuple(parts), marks)


def _compact(values: Sequence[Value], type: Type) -> Value:
    if not values[0].is_wholly_known:
        return Value(type, Unknown())
    return Value(type, tuple(m for m in values[0].data if m.data is not NULL and m.data != ""))


def _distinct(values: Sequence[Value], type: Type) -> Value:
    if not values[0].is_wholly_known:
        return Value(type, Unknown())
    kept: list[Value] = []
    seen: dict[str, list[Value]] = {}
    for member in values[0].data:
        alike = seen.setdefault(content(member), [])
        if not any(same(member, other) for other in alike):
            alike.append(member)
            kept.append(member)
    return Value(type, tuple(kept))


def _concat_type(values: Sequence[Value]) -> Type:
    if not values:
        raise FunctionError("at least one argument is required")
    if all(isinstance(v.type, List) for v in values):
        common = unify_types([v.type for v in values])
        if common is not None:
            return common
    members: list[Type] = []
    for i, value in enumerate(values):
        if isinstance(value.type, Tuple):
            members.extend(value.type.elements)
        elif isinstance(value.type, List):
            if isinstance(value.data, Unknown):
                return DYNAMIC
            members.extend([value.type.element] * len(value.data))
        else:
            raise ArgumentError(i, f"all arguments must be lists or tuples; got {value.type.friendly()}")
    return Tuple(tuple(members))


def _concat(values: Sequence[Value], type: Type) -> Value:
    marks: frozenset[Mark] = NO_MARKS
    members: list[Value] = []
    for i, value in enumerate(values):
        if isinstance(type, List):
            try:
                value = convert(value, type)
            except ConversionError as wrong:
                raise ArgumentError(i, wrong.message) from None
        marks |= value.marks
        members.extend(value.data)
    return Value(type, tuple(members), marks)


def _coalesce_list_type(values: Sequence[Value]) -> Type:
    if not values:
        raise FunctionError("at least one argument is required")
    for value in values:
        if isinstance(value.data, Unknown):
            return DYNAMIC
        if not isinstance(value.type, List | Tuple):
            raise FunctionError("coalescelist arguments must be lists or tuples")
    first = values[0].type
    return first if all(v.type == first for v in values[1:]) else DYNAMIC


def _coalesce_list(values: Sequence[Value], type: Type) -> Value:
    for value in values:
        if isinstance(value.data, Unknown):
            return Value(type, UNREFINED)
        if value.data is not NULL and value.data:
            return value
    raise FunctionError("no non-null arguments")


def _coalesce_type(values: Sequence[Value]) -> Type:
    common = unify_types([v.type for v in values])
    if common is None:
        raise FunctionError("all arguments must have the same type")
    return common


def _coalesce(values: Sequence[Value], type: Type) -> Value:
    for value in values:
        found = convert_or_none(value, type)
        if found is None or found.data is NULL:
            continue
        if isinstance(found.data, Unknown):
            return Value(type, UNREFINED)
        if type == STRING and found.data == "":
            continue
        return found
    raise FunctionError("no non-null, non-empty-string arguments")


class _Hidden(Exception):
    """Something inside is not known, so the length of the result is not either."""


def _flattened(value: Value, marks: set[Mark]) -> list[Value]:
    marks |= value.marks
    if isinstance(value.data, Unknown) or length_open(value):
        raise _Hidden
    found: list[Value] = []
    for member in value.data:
        if member.type == DYNAMIC and isinstance(member.data, Unknown):
            raise _Hidden
        if member.data is not NULL and isinstance(member.type, List | Set | Tuple):
            found.extend(_flattened(member, marks))
        else:
            found.append(member)
    return found


def _flatten_type(values: Sequence[Value]) -> Type:
    if not values[0].is_wholly_known:
        return DYNAMIC
    if not isinstance(values[0].type, List | Set | Tuple):
        raise FunctionError("can only flatten lists, sets and tuples")
    return Tuple(tuple(m.type for m in _flattened(values[0], set())))


def _flatten(values: Sequence[Value], type: Type) -> Value:
    marks: set[Mark] = set()
    if not isinstance(values[0].type, List | Set | Tuple):
        return DYNAMIC_UNKNOWN.with_marks(values[0].marks_deep)  # something inside is unknown; the rest isn't looked at
    try:
        return tuple_of(_flattened(values[0], marks)).with_marks(frozenset(marks))
    except _Hidden:
        return DYNAMIC_UNKNOWN.with_marks(values[0].marks_deep)


def _reverse_type(values: Sequence[Value]) -> Type:
    type = values[0].type
    if isinstance(type, Tuple):
        return Tuple(tuple(reversed(type.elements)))
    if isinstance(type, List | Set):
        return List(type.element)
    raise ArgumentError(0, f"can only reverse list or tuple values, not {type.friendly()}")


def _reverse(values: Sequence[Value], type: Type) -> Value:
    return Value(type, tuple(reversed(values[0].data)), values[0].marks)


def _match_keys_type(values: Sequence[Value]) -> Type:
    if unify_types([values[1].type, values[2].type]) is None:
        raise FunctionError("keys and searchset must be of the same type")
    return values[0].type


def _match_keys(values: Sequence[Value], type: Type) -> Value:
    if len(values[0].data) != len(values[1].data):
        raise FunctionError("length of keys and values should be equal")
    common = unify_types([values[1].type, values[2].type])
    assert common is not None
    keys, wanted = convert(values[1], common), convert(values[2], common)
    if not wanted.data:
        return Value(type, ())
    if not values[0].is_wholly_known or not keys.is_wholly_known:
        return Value(type, Unknown())
    kept: list[Value] = []
    for key, value in zip(keys.data, values[0].data, strict=True):
        for one in wanted.data:
            answer = equals(key, one)
            if isinstance(answer.data, Unknown):
                return Value(type, ())
            if answer.data:
                kept.append(value)
                break
    return Value(type, tuple(kept))


# --- products --------------------------------------------------------------------------------------------------------


def _product_type(values: Sequence[Value]) -> Type:
    if len(values) < 2:
        raise FunctionError("at least two arguments are required")
    elements: list[Type] = []
    for i, value in enumerate(values):
        match value.type:
            case Set(element) | List(element):
                elements.append(element)
            case Tuple(members):
                common = unify_types(members) if members else DYNAMIC
                if common is None:
                    raise ArgumentError(i, "all elements must be of the same type")
                elements.append(common)
            case _:
                raise ArgumentError(i, "a set or a list is required")
    row = Tuple(tuple(elements))
    return Set(row) if any(isinstance(v.type, Set) for v in values) else List(row)


_MOST_ROWS = 10_000_000


def _product(values: Sequence[Value], type: Type) -> Value:
    assert isinstance(type, List | Set)
    row_type = type.element
    assert isinstance(row_type, Tuple)
    marks = NO_MARKS.union(*(v.marks for v in values))
    if any(isinstance(v.data, Unknown) or length_open(v) for v in values):
        return _unknown_product(values, type).with_marks(marks)
    total = 1
    for value in values:
        total *= len(value.data)
    if total > _MOST_ROWS:
        raise FunctionError(f"the product has {total} elements, which is too many")
    columns = [
        [m if m.type == wanted else convert(m, wanted) for m in value.data]
        for value, wanted in zip(values, row_type.elements, strict=True)
    ]
    rows: list[tuple[Value, ...]] = [()]
    for column in columns:
        rows = [(*row, member) for row in rows for member in column]
    made = [Value(Tuple(tuple(m.type for m in row)), row) for row in rows]
    element = made[0].type if made else row_type
    if isinstance(type, Set):
        return set_of(element, made).with_marks(marks)
    return Value(List(element), tuple(made), marks)


def _unknown_product(values: Sequence[Value], type: Type) -> Value:
    most = 1
    for value in values:
        if isinstance(value.type, Tuple):
            longest: int | None = len(value.type.elements)
        else:
            longest = value.data.max_length if isinstance(value.data, Unknown) else len(value.data)
        if longest is None or longest > 1024:
            return Value(type, Unknown())
        most *= longest
        if most > 2048:
            return Value(type, Unknown())
    return Value(type, Unknown(min_length=min(most, 1), max_length=most))


_LIST = Parameter("list", List(DYNAMIC))

FUNCTIONS: Mapping[str, Function] = {
    "alltrue": Function(parameters(("list", List(BOOL))), BOOL, _all_true),
    "anytrue": Function(parameters(("list", List(BOOL))), BOOL, _any_true),
    "chunklist": Function(
        (Parameter("list", List(DYNAMIC), allow_marked=True), Parameter("size", NUMBER, allow_marked=True)),
        lambda values: List(values[0].type),
        _chunk,
    ),
    "coalesce": Function((), _coalesce_type, _coalesce, variadic=anything("vals", marked=False)),
    "coalescelist": Function((), _coalesce_list_type, _coalesce_list, variadic=anything("vals", marked=False)),
    "compact": Function(parameters(("list", List(STRING))), List(STRING), _compact),
    "concat": Function((), _concat_type, _concat, variadic=Parameter("seqs", DYNAMIC, allow_marked=True)),
    "contains": Function((Parameter("list", DYNAMIC), Parameter("value", DYNAMIC)), BOOL, _contains),
    "distinct": Function((_LIST,), lambda values: values[0].type, _distinct),
    "element": Function(
        (Parameter("list", DYNAMIC, allow_marked=True), Parameter("index", NUMBER)),
        _element_type,
        _element,
        not_null=False,
    ),
    "flatten": Function((Parameter("list", DYNAMIC, allow_marked=True),), _flatten_type, _flatten),
    "index": Function((Parameter("list", DYNAMIC), Parameter("value", DYNAMIC)), NUMBER, _index),
    "length": Function(
        (Parameter("value", DYNAMIC, allow_dynamic=True, allow_unknown=True, allow_marked=True),), _length_type, _length
    ),
    "matchkeys": Function(
        parameters(("values", List(DYNAMIC)), ("keys", List(DYNAMIC)), ("searchset", List(DYNAMIC))),
        _match_keys_type,
        _match_keys,
    ),
    "one": Function((Parameter("list", DYNAMIC),), _one_type, _one, not_null=False),
    "reverse": Function((Parameter("list", DYNAMIC, allow_marked=True),), _reverse_type, _reverse),
    "setproduct": Function(
        (), _product_type, _product, variadic=Parameter("sets", DYNAMIC, allow_marked=True, allow_unknown=True)
    ),
    "slice": Function(
        (
            Parameter("list", DYNAMIC, allow_marked=True),
            Parameter("start_index", NUMBER),
            Parameter("end_index", NUMBER),
        ),
        _slice_type,
        _slice,
    ),
    "sum": Function((Parameter("list", DYNAMIC),), NUMBER, _sum),
}
