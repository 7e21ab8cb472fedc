"""Functions of maps and objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.language.convert import ConversionError, convert
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters
from terrarium.language.text import quote
from terrarium.language.types import DYNAMIC, EMPTY_OBJECT, STRING, Dynamic, List, Map, Object, Tuple, Type
from terrarium.language.values import NO_MARKS, NULL, SENSITIVE, UNREFINED, Mark, Unknown, Value, object_of


def _keys_type(values: Sequence[Value]) -> Type:
    type = values[0].type
    if isinstance(type, Map):
        return List(STRING)
    if isinstance(type, Object):
        return Tuple((STRING,) * len(type.attributes))
    raise ArgumentError(0, "must have map or object type")


def _keys(values: Sequence[Value], type: Type) -> Value:
    one = values[0]
    names = sorted(one.type.attributes) if isinstance(one.type, Object) else one.data
    if isinstance(names, Unknown):
        return Value(type, UNREFINED, one.marks)
    return Value(type, tuple(Value(STRING, name) for name in names), one.marks)


def _values_type(values: Sequence[Value]) -> Type:
    type = values[0].type
    if isinstance(type, Map):
        return List(type.element)
    if isinstance(type, Object):
        return Tuple(tuple(type.attributes[name] for name in sorted(type.attributes)))
    raise FunctionError("values() requires a map as the first argument")


def _values(values: Sequence[Value], type: Type) -> Value:
    return Value(type, tuple(values[0].data.values()), values[0].marks)


def _lookup_type(values: Sequence[Value]) -> Type:
    if len(values) > 3:
        raise FunctionError(f"lookup() takes two or three arguments, got {len(values)}")
    of, key = values[0], values[1]
    match of.type:
        case Object(attributes):
            if isinstance(key.data, Unknown):
                return DYNAMIC
            if key.data in attributes:
                return attributes[key.data]
            if len(values) == 3:
                return values[2].type
            raise ArgumentError(0, f"the given object has no attribute {quote(key.data)}")
        case Map(element):
            if len(values) == 3:
                try:
                    convert(values[2], element)
                except ConversionError:
                    message = "the default value must have the same type as the map elements"
                    raise ArgumentError(2, message) from None
            return element
        case _:
            raise ArgumentError(0, "lookup() requires a map as the first argument")


def _lookup(values: Sequence[Value], type: Type) -> Value:
    of, key = values[0], values[1]
    marks = of.marks | key.marks
    if isinstance(of.data, Unknown) or isinstance(key.data, Unknown):
        return Value(type, UNREFINED, marks)
    if key.data in of.data:
        member: Value = of.data[key.data]
        return member.with_marks(marks)
    if len(values) == 3:
        try:
            return convert(values[2], type).with_marks(marks)
        except ConversionError as wrong:
            raise FunctionError(wrong.message) from None
    shown = "(sensitive value)" if SENSITIVE in key.marks else quote(key.data)
    raise FunctionError(f"lookup failed to find key {shown}")


def _merge_type(values: Sequence[Value]) -> Type:
    if not values:
        return EMPTY_OBJECT
    attributes: dict[str, Type] = {}
    types: list[Type] = []
    known = True
    for value in values:
        match value.type:
            case Dynamic():
                return DYNAMIC
            case Object(members):
                if value.data is NULL:
                    types.append(EMPTY_OBJECT)
                    continue
                attributes.update(members)
            case Map(element):
                if isinstance(value.data, Unknown):
                    known = False
                elif value.data is not NULL:
                    attributes.update(dict.fromkeys(value.data, element))
            case _:
                message = f"arguments must be maps or objects, got {quote(value.type.friendly())}"
                raise FunctionError(message)
        types.append(value.type)
    if all(t == types[0] for t in types[1:]):
        return types[0]
    return Object(attributes) if known else DYNAMIC


def _merge(values: Sequence[Value], type: Type) -> Value:
    marks: frozenset[Mark] = NO_MARKS
    members: dict[str, Value] = {}
    for value in values:
        if value.data is NULL:
            continue
        if not isinstance(value.data, dict):  # comes here after a null of no type only
            raise FunctionError(f"arguments must be maps or objects, got {quote(value.type.friendly())}")
        marks |= value.marks
        members.update(value.data)
    if isinstance(type, Map):
        return Value(type, {key: members[key] for key in sorted(members)}, marks)
    return object_of(members).with_marks(marks)


def _zip_type(values: Sequence[Value]) -> Type:
    keys, members = values
    match members.type:
        case List(element):
            return Map(element)
        case Tuple(elements):
            if not keys.is_wholly_known:
                return DYNAMIC
            _same_length(len(keys.data), len(elements))
            for i, key in enumerate(keys.data):
                if key.data is NULL:
                    raise FunctionError(f"keys list has null value at index {i}")
            return Object({key.data: t for key, t in zip(keys.data, elements, strict=True)})
        case _:
            raise FunctionError("values argument must be a list or tuple value")


def _same_length(keys: int, members: int) -> None:
    if keys != members:
        raise FunctionError(f"number of keys ({keys}) does not match number of values ({members})")


def _zip(values: Sequence[Value], type: Type) -> Value:
    keys, members = values
    marks = keys.marks | members.marks
    if not keys.is_wholly_known:
        return Value(type, UNREFINED, marks)
    _same_length(len(keys.data), len(members.data))
    made: dict[str, Value] = {}
    for i, (key, member) in enumerate(zip(keys.data, members.data, strict=True)):
        if key.data is NULL:
            raise FunctionError(f"keys list has null value at index {i}")
        marks |= key.marks
        made[key.data] = member
    ordered = {key: made[key] for key in sorted(made)}
    return Value(type, ordered, marks) if isinstance(type, Map) else object_of(ordered).with_marks(marks)


def _transpose(values: Sequence[Value], type: Type) -> Value:
    if not values[0].is_wholly_known:
        return Value(type, Unknown())
    turned: dict[str, list[str]] = {}
    for key, members in values[0].data.items():
        if members.data is NULL:
            raise FunctionError("input must not contain null list")
        for member in members.data:
            if member.data is NULL:
                raise FunctionError("input list must not contain null string")
            turned.setdefault(member.data, []).append(key)
    made = {
        key: Value(List(STRING), tuple(Value(STRING, name) for name in sorted(turned[key]))) for key in sorted(turned)
    }
    return Value(type, made)


_MAP_OF_LISTS = Map(List(STRING))

FUNCTIONS: Mapping[str, Function] = {
    "keys": Function((Parameter("inputMap", DYNAMIC, allow_unknown=True, allow_marked=True),), _keys_type, _keys),
    "lookup": Function(
        (
            Parameter("inputMap", DYNAMIC, allow_unknown=True, allow_marked=True),
            Parameter("key", STRING, allow_unknown=True, allow_marked=True),
        ),
        _lookup_type,
        _lookup,
        variadic=Parameter(
            "default", DYNAMIC, allow_null=True, allow_unknown=True, allow_dynamic=True, allow_marked=True
        ),
        not_null=False,
    ),
    "merge": Function(
        (),
        _merge_type,
        _merge,
        variadic=Parameter("maps", DYNAMIC, allow_null=True, allow_dynamic=True, allow_marked=True),
    ),
    "transpose": Function(parameters(("values", _MAP_OF_LISTS)), _MAP_OF_LISTS, _transpose),
    "values": Function((Parameter("mapping", DYNAMIC, allow_marked=True),), _values_type, _values),
    "zipmap": Function(
        (Parameter("keys", List(STRING), allow_marked=True), Parameter("values", DYNAMIC, allow_marked=True)),
        _zip_type,
        _zip,
    ),
}
