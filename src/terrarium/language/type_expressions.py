"""Type constraints: read from `type = object({ a = optional(string, "x") })`, printed, and as cty's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Range
from terrarium.language import nodes
from terrarium.language.text import quote
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, Dynamic, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import NULL, Unknown, Value, list_of, map_of, object_of, set_of, tuple_of

# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Defaults:
    """Default values of optional attributes, anywhere inside a type. `children` of collections stand under ""."""

    type: Type
    values: Mapping[str, Value] = field(default_factory=dict)
    children: Mapping[str, Defaults] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values or self.children)


_INVALID = "Invalid type specification"
_PRIMITIVES: Mapping[str, Type] = {"bool": BOOL, "string": STRING, "number": NUMBER}
_NEEDS_ARGUMENT: Mapping[str, str] = {
    "list": "The list type constructor requires one argument specifying the element type.",
    "set": "The set type constructor requires one argument specifying the element type.",
    "map": "The map type constructor requires one argument specifying the element type.",
    "object": "The object type constructor requires one argument specifying the attribute types and values as a map.",
    "tuple": "The tuple type constructor requires one argument specifying the element types as a list.",
}
_COLLECTIONS: Mapping[str, Any] = {"list": List, "set": Set, "map": Map}


def parse_type(expression: nodes.Expression, constraint: bool = True) -> tuple[Type, Defaults, list[Diagnostic]]:
    """The type an expression means, the defaults of its optional attributes, and what is wrong with it.

    `constraint` false: an exact type, in which neither `any` nor `optional` may stand.
    """
    reader = _Reader(constraint)
    type, defaults = reader.read(expression)
    return type, defaults or Defaults(type), reader.diagnostics


Read = tuple[Type, Defaults | None]


class _Reader:
    def __init__(self, constraint: bool) -> None:
        self.constraint = constraint
        self.diagnostics: list[Diagnostic] = []

    def wrong(self, detail: str, subject: Range, context: Range | None = None) -> Read:
        self.diagnostics.append(error(_INVALID, detail, subject, context))
        return DYNAMIC, None

    def read(self, e: nodes.Expression) -> Read:
        from terrarium.language.references import static_name

        if (word := static_name(e)) is not None:
            return self.word(word, e)
        if isinstance(e, nodes.Call):
            return self.call(e)
        return self.wrong(
            "A type specification is either a primitive type keyword (bool, number, string) or a complex type constructor "
            "call, like list(string).",
            e.range,
        )

    def word(self, word: str, e: nodes.Expression) -> Read:
        if word in _PRIMITIVES:
            return _PRIMITIVES[word], None
        if word == "any":
            if self.constraint:
                return DYNAMIC, None
            return self.wrong(
                f"The keyword {quote(word)} cannot be used in this type specification: an exact type is required.",
                e.range,
            )
        if word in _NEEDS_ARGUMENT:
            return self.wrong(_NEEDS_ARGUMENT[word], e.range)
        if word == "optional":
            return self.wrong(
                f"The keyword {quote(word)} is valid only as a modifier for object type attributes.", e.range
            )
        return self.wrong(f"The keyword {quote(word)} is not a valid type specification.", e.range)

    def call(self, e: nodes.Call) -> Read:
        name_range = e.source.range(e.start, e.name_end)
        if e.name in _PRIMITIVES or e.name == "any":
            opening = e.source.text.find("(", e.name_end)
            kind = "Primitive type keyword" if e.name != "any" else "Type constraint keyword"
            return self.wrong(
                f"{kind} {quote(e.name)} does not expect arguments.", e.source.range(opening, e.end), e.range
            )
        if e.name == "optional":
            return self.wrong(
                f"Keyword {quote(e.name)} is valid only as a modifier for object type attributes.", name_range
            )
        if e.name not in _NEEDS_ARGUMENT:
            return self.wrong(f"Keyword {quote(e.name)} is not a valid type constructor.", e.range)
        if len(e.arguments) != 1:
            opening = e.source.text.find("(", e.name_end)
            subject = e.source.range(opening, e.end)
            if len(e.arguments) > 1:
                subject = e.source.range(e.arguments[1].start, e.arguments[-1].end)
            return self.wrong(_NEEDS_ARGUMENT[e.name], subject, e.range)
        argument = e.arguments[0]
        if e.name in _COLLECTIONS:
            element, defaults = self.read(argument)
            type: Type = _COLLECTIONS[e.name](element)
            return type, Defaults(type, {}, {"": defaults}) if defaults else None
        return self.object_type(argument, e) if e.name == "object" else self.tuple_type(argument, e)

    def tuple_type(self, argument: nodes.Expression, e: nodes.Call) -> Read:
        if not isinstance(argument, nodes.TupleExpression):
            return self.wrong("Tuple type constructor requires a list of element types.", argument.range, e.range)
        members = [self.read(item) for item in argument.items]
        type = Tuple(tuple(t for t, _ in members))
        children = {str(i): d for i, (_, d) in enumerate(members) if d}
        return type, Defaults(type, {}, children) if children else None

    def object_type(self, argument: nodes.Expression, e: nodes.Call) -> Read:
        from terrarium.language.references import static_name

        if not isinstance(argument, nodes.ObjectExpression):
            detail = (
                "Object type constructor requires a map whose keys are attribute names and whose values are the "
                "corresponding attribute types."
            )
            return self.wrong(detail, argument.range, e.range)
        attributes: dict[str, Type] = {}
        optional: set[str] = set()
        values: dict[str, Value] = {}
        children: dict[str, Defaults] = {}
        for key, item in argument.items:
            name = static_name(key)
            if name is None:
                self.wrong("Object constructor map keys must be attribute names.", key.range, e.range)
                continue
            if name in attributes:
                self.wrong("Object constructor map keys must be unique.", key.range, e.range)
                continue
            default: nodes.Expression | None = None
            if isinstance(item, nodes.Call) and item.name == "optional":
                opened = self.optional(item)
                if opened is None:
                    continue
                is_optional, item, default = opened
                if is_optional:
                    optional.add(name)
            type, defaults = self.read(item)
            attributes[name] = type
            if defaults:
                children[name] = defaults
            if default is not None:
                value = self.default(default, type)
                if value is not None:
                    values[name] = value
        result = Object(attributes, frozenset(optional))
        return result, Defaults(result, values, children) if values or children else None

    def optional(self, call: nodes.Call) -> tuple[bool, nodes.Expression, nodes.Expression | None] | None:
        """Whether the attribute is optional, its type's expression, and that of its default."""
        opening = call.source.text.find("(", call.name_end)
        inside = call.source.range(opening, call.end)
        if not call.arguments:
            self.wrong("Optional attribute modifier requires the attribute type as its argument.", inside, call.range)
            return None
        if not self.constraint:
            name_range = call.source.range(call.start, call.name_end)
            self.wrong(
                "Optional attribute modifier is only for type constraints, not for exact types.", name_range, call.range
            )
            return False, call.arguments[0], None
        if len(call.arguments) > 2:
            detail = (
                "Optional attribute modifier expects at most two arguments: the attribute type, and a default value."
            )
            self.wrong(detail, inside, call.range)
            return False, call.arguments[0], None
        return True, call.arguments[0], call.arguments[1] if len(call.arguments) == 2 else None

    def default(self, e: nodes.Expression, type: Type) -> Value | None:
        from terrarium.language.convert import ConversionError, convert
        from terrarium.language.evaluate import evaluate
        from terrarium.language.scope import NOTHING_ALLOWED

        value, found = evaluate(e, NOTHING_ALLOWED)
        if found:
            self.diagnostics.extend(found)
            return None
        try:
            return convert(value, type)
        except ConversionError as wrong:
            detail = f"This default value is not compatible with the attribute's type constraint: {wrong.message}."
            self.diagnostics.append(error("Invalid default value for optional attribute", detail, e.range))
            return None


# --- defaults --------------------------------------------------------------------------------------------------------


def apply_defaults(value: Value, defaults: Defaults) -> Value:
    """The value with defaults in place of absent or null attributes; it may still have to be converted."""
    data = value.data
    if not defaults or data is NULL or isinstance(data, Unknown):
        return value
    type = value.type
    if isinstance(data, tuple):
        members = [_apply_child(defaults, i, member) for i, member in enumerate(data)]
        if all(a is b for a, b in zip(members, data, strict=True)):
            return value
        return _as_collection(type, members).with_marks(value.marks)
    if isinstance(data, dict):
        named = {key: _apply_child(defaults, key, member) for key, member in data.items()}
        for name, default in defaults.values.items():
            has = named.get(name)
            if has is None or has.data is NULL:
                child = defaults.children.get(name)
                named[name] = apply_defaults(default, child) if child else default
            elif isinstance(has.data, Unknown) and default.data is not NULL and not isinstance(has.type, Dynamic):
                from dataclasses import replace

                named[name] = Value(has.type, replace(has.data, not_null=True), has.marks)
        return _as_mapping(type, named).with_marks(value.marks)
    return value


def _apply_child(defaults: Defaults, key: str | int, member: Value) -> Value:
    if (isinstance(key, int) and isinstance(defaults.type, Tuple)) or (
        isinstance(key, str) and isinstance(defaults.type, Object)
    ):
        child = defaults.children.get(str(key))
    else:
        child = defaults.children.get("")
    return member if child is None else apply_defaults(member, child)


def _as_collection(type: Type, members: list[Value]) -> Value:
    from terrarium.language.unify import unify

    if isinstance(type, Tuple) or not members:
        return tuple_of(members)
    one = unify([m.type for m in members])
    if one is None:
        return tuple_of(members)
    common, changes = one
    converted = [change(member, ()) for change, member in zip(changes, members, strict=True)]
    return set_of(common, converted) if isinstance(type, Set) else list_of(common, converted)


def _as_mapping(type: Type, named: dict[str, Value]) -> Value:
    from terrarium.language.unify import unify

    if isinstance(type, Object) or not named:
        return object_of(named)
    names = sorted(named)
    one = unify([named[name].type for name in names])
    if one is None:
        return object_of(named)
    common, changes = one
    return map_of(common, {name: change(named[name], ()) for change, name in zip(changes, names, strict=True)})


# --- text and JSON ---------------------------------------------------------------------------------------------------


def to_text(type: Type) -> str:
    """The type as it would be written in a configuration."""
    match type:
        case Dynamic():
            return "any"
        case List(element):
            return f"list({to_text(element)})"
        case Set(element):
            return f"set({to_text(element)})"
        case Map(element):
            return f"map({to_text(element)})"
        case Tuple(elements):
            return f"tuple([{', '.join(to_text(t) for t in elements)}])"
        case Object(attributes, optional):
            parts = [
                f"{name} = optional({to_text(t)})" if name in optional else f"{name} = {to_text(t)}"
                for name, t in sorted(attributes.items())
            ]
            return "object({" + ", ".join(parts) + "})"
    return type.friendly()


def to_json(type: Type) -> Any:
    """cty's JSON of a type: `"string"`, `["list", "string"]`, `["object", {"a": "number"}]`."""
    match type:
        case Dynamic():
            return "dynamic"
        case List(element):
            return ["list", to_json(element)]
        case Set(element):
            return ["set", to_json(element)]
        case Map(element):
            return ["map", to_json(element)]
        case Tuple(elements):
            return ["tuple", [to_json(t) for t in elements]]
        case Object(attributes, optional):
            members = {name: to_json(attributes[name]) for name in sorted(attributes)}
            return ["object", members, sorted(optional)] if optional else ["object", members]
    return type.friendly()


def from_json(data: Any) -> Type:
    """The type of cty's JSON. ValueError when it is none."""
    match data:
        case "dynamic":
            return DYNAMIC
        case str() if data in _PRIMITIVES:
            return _PRIMITIVES[data]
        case ["list" | "set" | "map" as kind, element]:
            made: Type = _COLLECTIONS[kind](from_json(element))
            return made
        case ["tuple", list(elements)]:
            return Tuple(tuple(from_json(t) for t in elements))
        case ["object", dict(attributes)]:
            return Object({name: from_json(t) for name, t in attributes.items()})
        case ["object", dict(attributes), list(optional)]:
            return Object({name: from_json(t) for name, t in attributes.items()}, frozenset(optional))
        case _:
            raise ValueError(f"no type: {data!r}")
