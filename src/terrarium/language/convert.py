"""Conversion of values between types, by cty's rules (go-cty docs/convert.md).

`conversion(given, wanted)` decides from the types alone and gives a function over values, or None when there is no way;
only text to number or bool can still fail once there are values. Safe conversions never fail; unsafe ones may.
Null stays null and unknown stays unknown, with what is known about it; marks stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from terrarium.language.mismatch import mismatch
from terrarium.language.numbers import parse, rounded, to_text
from terrarium.language.sets import set_order
from terrarium.language.types import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    Dynamic,
    List,
    Map,
    Object,
    Primitive,
    Set,
    Tuple,
    Type,
    without_optional,
)
from terrarium.language.unify import unify, unify_types
from terrarium.language.unknowns import refined
from terrarium.language.values import (
    FALSE,
    NULL,
    TRUE,
    UNREFINED,
    Path,
    Unknown,
    Value,
    set_of,
)

__all__ = [
    "Conversion",
    "ConversionError",
    "conversion",
    "convert",
    "format_path",
    "mismatch",
    "rounded",
    "set_order",
    "to_text",
    "unify",
]

Conversion = Callable[[Value, Path], Value]
K = TypeVar("K", int, str)


class ConversionError(Exception):
    """A value does not fit. `path` leads to the part that doesn't; `message` is cty's words, without a full stop."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def convert(value: Value, type: Type) -> Value:
    """The value as `type`; ConversionError when it can't be."""
    given = value.type
    if given is type:
        return value
    if given == without_optional(type):
        return value
    change = conversion(given, type)
    if change is None:
        raise ConversionError((), mismatch(given, type))
    return change(value, ())


def convert_or_none(value: Value, type: Type) -> Value | None:
    try:
        return convert(value, type)
    except ConversionError:
        return None


def format_path(path: Path) -> str:
    """A path as Terraform writes it in messages: `.name["key"][0]`."""
    from terrarium.language.text import quote

    text = ""
    for step in path:
        if isinstance(step, Key):
            text += f"[{quote(step)}]"
        elif isinstance(step, str):
            text += f".{step}"
        elif isinstance(step, int):
            text += f"[{step}]"
        else:
            text += "[...]"
    return text


class Key(str):
    """A key of a map in a path, where a plain `str` is the name of an attribute."""

    __slots__ = ()


def conversion(given: Type, wanted: Type, unsafe: bool = True) -> Conversion | None:
    """How values of one type become values of another; None when the types don't allow it."""
    known = _known(given, wanted, unsafe)
    if known is None:
        return None
    if isinstance(wanted, Dynamic):
        return _as_it_is

    def change(value: Value, path: Path) -> Value:
        if value.marks:
            return change(value.unmarked(), path).with_marks(value.marks)
        data = value.data
        if data is NULL:
            return Value(_fill(value.type, without_optional(wanted)), NULL)
        if isinstance(data, Unknown):
            return _unknown(value, _fill(value.type, without_optional(wanted)))
        return known(value, path)

    return change


def _as_it_is(value: Value, path: Path) -> Value:
    return value


def _known(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    match wanted:
        case Dynamic():
            return _as_it_is
        case _ if unsafe and isinstance(given, Dynamic):
            return lambda value, path: convert(value, wanted)
        case Primitive():
            if not isinstance(given, Primitive):
                return None
            return _PRIMITIVE_SAFE.get((given, wanted)) or (_PRIMITIVE_UNSAFE.get((given, wanted)) if unsafe else None)
        case Object():
            if isinstance(given, Object):
                return _object_to_object(given, wanted, unsafe)
            return _map_to_object(given, wanted) if isinstance(given, Map) and unsafe else None
        case Tuple():
            return _tuple_to_tuple(given, wanted, unsafe) if isinstance(given, Tuple) else None
        case List(element) | Set(element):
            if isinstance(given, Tuple):
                return _tuple_to_sequence(given, wanted, element, unsafe)
            if not isinstance(given, List | Set):
                return None
            if isinstance(wanted, Set) and isinstance(given, List) and not unsafe:
                return None
            return _collection_to_sequence(given, wanted, element, unsafe)
        case Map(element):
            if isinstance(given, Map):
                inner = conversion(given.element, element, unsafe)
                return None if inner is None else _map_to_map(given, element, inner)
            return _object_to_map(given, element, unsafe) if isinstance(given, Object) else None
        case _:
            return None


# --- primitives ------------------------------------------------------------------------------------------------------


def _text_to_number(value: Value, path: Path) -> Value:
    number = parse(value.data)
    if number is None:
        raise ConversionError(path, "a number is required")
    return Value(NUMBER, number)


def _text_to_bool(value: Value, path: Path) -> Value:
    text: str = value.data
    if text in ("true", "1"):
        return TRUE
    if text in ("false", "0"):
        return FALSE
    hint = f'; to convert from string, use lowercase "{text.lower()}"' if text.lower() in ("true", "false") else ""
    raise ConversionError(path, f"a bool is required{hint}")


_PRIMITIVE_SAFE: Mapping[tuple[Type, Type], Conversion] = {
    (STRING, STRING): _as_it_is,
    (NUMBER, NUMBER): _as_it_is,
    (BOOL, BOOL): _as_it_is,
    (NUMBER, STRING): lambda value, path: Value(STRING, to_text(value.data)),
    (BOOL, STRING): lambda value, path: Value(STRING, "true" if value.data else "false"),
}
_PRIMITIVE_UNSAFE: Mapping[tuple[Type, Type], Conversion] = {
    (STRING, NUMBER): _text_to_number,
    (STRING, BOOL): _text_to_bool,
}

# --- structures ------------------------------------------------------------------------------------------------------


def _member(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    """As `conversion`, but equal types need no check."""
    return _as_it_is if given == wanted else conversion(given, wanted, unsafe)


def _object_to_object(given: Object, wanted: Object, unsafe: bool) -> Conversion | None:
    changes: dict[str, Conversion] = {}
    missing: dict[str, Value] = {}
    for name in sorted(wanted.attributes):
        attribute = wanted.attributes[name]
        if (has := given.attributes.get(name)) is None:
            if name not in wanted.optional:
                return None
            missing[name] = Value(without_optional(attribute), NULL)
            continue
        change = _member(has, attribute, unsafe)
        if change is None:
            return None
        changes[name] = change

    names = sorted(wanted.attributes)

    def apply(value: Value, path: Path) -> Value:
        data = value.data
        return _object(
            (name, missing[name] if name in missing else _plain_null(changes[name](data[name], (*path, name))))
            for name in names
        )

    return apply


def _object(members: Iterable[tuple[str, Value]]) -> Value:
    data = dict(members)
    return Value(Object({name: member.type for name, member in data.items()}), data)


def _plain_null(value: Value) -> Value:
    return Value(without_optional(value.type), NULL, value.marks) if value.data is NULL else value


def _map_to_object(given: Map, wanted: Object) -> Conversion | None:
    changes: dict[str, Conversion | None] = {}
    for name, attribute in wanted.attributes.items():
        changes[name] = _member(given.element, attribute, True)
        if changes[name] is None and name not in wanted.optional:
            return None

    def apply(value: Value, path: Path) -> Value:
        members: dict[str, Value] = {}
        for name, member in value.data.items():
            if name not in changes:
                continue
            change = changes[name]
            if change is None:
                words = mismatch(member.type, wanted.attributes[name])
                raise ConversionError(path, f'map element type is incompatible with attribute "{name}": {words}')
            members[name] = _plain_null(change(member, (*path, Key(name))))
        for name, attribute in wanted.attributes.items():
            if name not in members:
                if name not in wanted.optional:
                    raise ConversionError(path, f'map has no element for required attribute "{name}"')
                members[name] = Value(without_optional(attribute), NULL)
        return _object((name, members[name]) for name in sorted(members))

    return apply


def _tuple_to_tuple(given: Tuple, wanted: Tuple, unsafe: bool) -> Conversion | None:
    if len(given.elements) != len(wanted.elements):
        return None
    changes = [_member(a, b, unsafe) for a, b in zip(given.elements, wanted.elements, strict=True)]
    if any(change is None for change in changes):
        return None

    def apply(value: Value, path: Path) -> Value:
        members = tuple(
            change(member, (*path, i))
            for i, (change, member) in enumerate(zip(changes, value.data, strict=True))
            if change is not None
        )
        return Value(Tuple(tuple(m.type for m in members)), members)

    return apply


# --- collections -----------------------------------------------------------------------------------------------------


def common_type(members: Sequence[Value]) -> Type | None:
    """The type all members have, where those of unknown type fit in anywhere; None when they differ."""
    found: Type = DYNAMIC
    for member in members:
        if found == DYNAMIC:
            found = member.type
        elif member.type is not found and member.type != DYNAMIC and member.type != found:
            return None
    return found


def sequence(like: Type, members: Sequence[Value], path: Path, kind: str) -> Value:
    """A list or set (as `like`) of members which must be of one type."""
    found = common_type(members)
    if found is None:
        raise ConversionError(path, f"element types must all match for conversion to {kind}")
    typed = [m if m.type is found or m.type == found else Value(found, m.data, m.marks) for m in members]
    return set_of(found, typed) if isinstance(like, Set) else Value(List(found), tuple(typed))


def _collection_to_sequence(given: List | Set, wanted: List | Set, element: Type, unsafe: bool) -> Conversion | None:
    change = _member(given.element, element, unsafe)
    if change is None:
        return None
    kind = "set" if isinstance(wanted, Set) else "list"
    empty = given.element if element == DYNAMIC else without_optional(element)
    open_length = isinstance(given, Set) and kind == "list"

    def apply(value: Value, path: Path) -> Value:
        if open_length and len(value.data) > 1 and not value.is_wholly_known:
            return Value(List(empty), UNREFINED)  # unknown elements may yet fall together with others
        members = [_plain_null(change(member, (*path, i))) for i, member in enumerate(value.data)]
        if not members:
            return Value(Set(empty) if kind == "set" else List(empty), ())
        return sequence(wanted, members, path, kind)

    return apply


def _tuple_to_sequence(given: Tuple, wanted: List | Set, element: Type, unsafe: bool) -> Conversion | None:
    is_set = isinstance(wanted, Set)
    if not given.elements:
        empty = Value(Set(without_optional(element)) if is_set else List(without_optional(element)), ())
        return lambda value, path: empty
    if element == DYNAMIC:
        found = unify_types(given.elements, unsafe)
        if found is None or (found == DYNAMIC and any(t != DYNAMIC for t in given.elements)):
            return None
        element = found
    known: dict[Type, Conversion | None] = {}
    changes: list[Conversion] = []
    for member in given.elements:
        if member not in known:
            known[member] = _member(member, element, unsafe)
        change = known[member]
        if change is None:
            return None
        changes.append(change)

    def apply(value: Value, path: Path) -> Value:
        members = [
            change(member, (*path, i)) for i, (change, member) in enumerate(zip(changes, value.data, strict=True))
        ]
        if is_set:
            return sequence(wanted, [_plain_null(m) for m in members], path, "set")
        members = list(_unified(dict(enumerate(members)), path, unsafe).values())
        return sequence(wanted, members, path, "list")

    return apply


def _unified(members: dict[K, Value], path: Path, unsafe: bool) -> dict[K, Value]:
    """The members as the one type that all can become (they may differ where `any` was asked for)."""
    found = common_type(list(members.values()))
    if found is not None:
        return members
    one = unify_types([m.type for m in members.values()], unsafe)
    if one is None:
        raise ConversionError(path, "cannot find a common base type for all elements")
    result: dict[K, Value] = {}
    for key, member in members.items():
        change = _member(member.type, one, unsafe)
        assert change is not None
        result[key] = change(member, (*path, key))
    return result


def _map(members: dict[str, Value], path: Path, message: str) -> Value:
    found = common_type(list(members.values()))
    if found is None:
        raise ConversionError(path, message)
    return Value(Map(found), {k: m if m.type == found else Value(found, m.data, m.marks) for k, m in members.items()})


def _map_to_map(given: Map, element: Type, change: Conversion) -> Conversion:
    empty = given.element if element == DYNAMIC else without_optional(element)

    def apply(value: Value, path: Path) -> Value:
        members = {key: change(member, (*path, Key(key))) for key, member in value.data.items()}
        if not members:
            return Value(Map(empty), {})
        if element.is_collection or isinstance(element, Object):
            members = _unified(members, path, False)
        return _map(members, path, "element types must all match for conversion to map")

    return apply


def _object_to_map(given: Object, element: Type, unsafe: bool) -> Conversion | None:
    if not given.attributes:
        empty = Value(Map(without_optional(element)), {})
        return lambda value, path: empty
    if element == DYNAMIC:
        found = unify_types([given.attributes[name] for name in sorted(given.attributes)], unsafe)
        if found is None:
            return None
        element = found
    changes: dict[str, Conversion] = {}
    for name, attribute in given.attributes.items():
        change = _member(attribute, element, unsafe)
        if change is None:
            return None
        changes[name] = change

    def apply(value: Value, path: Path) -> Value:
        members = {name: changes[name](member, (*path, Key(name))) for name, member in value.data.items()}
        if element.is_collection or isinstance(element, Object):
            members = _unified(members, path, unsafe)
        return _map(members, path, "attribute types must all match for conversion to map")

    return apply


# --- null and unknown ------------------------------------------------------------------------------------------------


def _fill(given: Type, wanted: Type) -> Type:
    """The wanted type with the given one in the places of `any`."""
    if isinstance(given, Dynamic):
        return wanted
    match wanted:
        case Dynamic():
            return given
        case Map(element):
            if isinstance(given, Map):
                return Map(_fill(given.element, element))
            if isinstance(given, Object):
                return Map(_fill(unify_types(list(given.attributes.values())) or DYNAMIC, element))
            return wanted
        case Object(attributes):
            if isinstance(given, Map):
                return Object({name: _fill(given.element, t) for name, t in attributes.items()})
            if isinstance(given, Object):
                return Object({name: _fill(given.attributes.get(name, DYNAMIC), t) for name, t in attributes.items()})
            return wanted
        case Set(element) | List(element):
            make: Callable[[Type], Type] = Set if isinstance(wanted, Set) else List
            if isinstance(given, Set | List):
                return make(_fill(given.element, element))
            if isinstance(given, Tuple):
                return make(_fill(unify_types(given.elements) or DYNAMIC, element))
            return wanted
        case Tuple(elements):
            if isinstance(given, Tuple) and len(given.elements) == len(elements):
                return Tuple(tuple(_fill(a, b) for a, b in zip(given.elements, elements, strict=True)))
            return wanted
        case _:
            return wanted


def _unknown(value: Value, type: Type) -> Value:
    """An unknown value of the new type, with what the old one tells about it."""
    known: Unknown = value.data
    given = value.type
    low, high = 0, None
    match given, type:
        case Object(attributes), Map():
            low = high = len(attributes)
        case Tuple(elements), List():
            low = high = len(elements)
        case Tuple(elements), Set():
            low, high = min(len(elements), 1), len(elements)
        case List() | Set() | Map(), List() | Map():
            low, high = known.min_length, known.max_length
        case List() | Set(), Set():
            low, high = min(known.min_length, 1), known.max_length
        case _:
            pass
    if isinstance(type, Dynamic):
        return Value(type, Unknown(not_null=known.not_null))
    return refined(type, Unknown(not_null=known.not_null, min_length=low, max_length=high))
