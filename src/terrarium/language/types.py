"""The types of values, as in go-cty (docs/concepts.md): primitives, collections, structural types and `any`.

Types are never changed and compare by structure. `friendly` gives the words Terraform's messages use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class Type:
    """Base of all types."""

    __slots__ = ()

    @property
    def is_primitive(self) -> bool:
        return isinstance(self, Primitive)

    @property
    def is_collection(self) -> bool:
        """List, set or map: any number of elements of one type."""
        return isinstance(self, List | Set | Map)

    @property
    def is_structural(self) -> bool:
        """Object or tuple: known members, each of its own type."""
        return isinstance(self, Object | Tuple)

    def has_dynamic(self) -> bool:
        """Whether `any` stands somewhere inside."""
        return False

    def friendly(self) -> str:
        raise NotImplementedError

    def friendly_constraint(self) -> str:
        """The words when the type is what is asked for: `any` becomes "any type", "any single type" inside."""
        return self.friendly()


@dataclass(slots=True, unsafe_hash=True)
class Primitive(Type):
    name: str

    def friendly(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


@dataclass(slots=True, unsafe_hash=True)
class Dynamic(Type):
    """The type of what is not known yet (`any`)."""

    def has_dynamic(self) -> bool:
        return True

    def friendly(self) -> str:
        return "dynamic"

    def friendly_constraint(self) -> str:
        return "any type"

    def __repr__(self) -> str:
        return "any"


STRING = Primitive("string")
NUMBER = Primitive("number")
BOOL = Primitive("bool")
DYNAMIC = Dynamic()
TYPE = Primitive("type")
"""The type of what the console's `type` function gives; such a value only means something by itself."""


def _inside(element: Type) -> str:
    return "any single type" if isinstance(element, Dynamic) else element.friendly_constraint()


@dataclass(slots=True, unsafe_hash=True)
class List(Type):
    element: Type

    def has_dynamic(self) -> bool:
        return self.element.has_dynamic()

    def friendly(self) -> str:
        return f"list of {self.element.friendly()}"

    def friendly_constraint(self) -> str:
        return f"list of {_inside(self.element)}"


@dataclass(slots=True, unsafe_hash=True)
class Set(Type):
    element: Type

    def has_dynamic(self) -> bool:
        return self.element.has_dynamic()

    def friendly(self) -> str:
        return f"set of {self.element.friendly()}"

    def friendly_constraint(self) -> str:
        return f"set of {_inside(self.element)}"


@dataclass(slots=True, unsafe_hash=True)
class Map(Type):
    element: Type

    def has_dynamic(self) -> bool:
        return self.element.has_dynamic()

    def friendly(self) -> str:
        return f"map of {self.element.friendly()}"

    def friendly_constraint(self) -> str:
        return f"map of {_inside(self.element)}"


@dataclass(slots=True, unsafe_hash=True)
class Tuple(Type):
    elements: tuple[Type, ...] = ()

    def has_dynamic(self) -> bool:
        return any(t.has_dynamic() for t in self.elements)

    def friendly(self) -> str:
        return "tuple"


@dataclass(slots=True, eq=False)
class Object(Type):
    """`attributes` in any order: two objects are equal when the sets of pairs are. `optional` names those which may be
    left out of a value that is converted to this type (a type constraint only; values' own types have none)."""

    attributes: Mapping[str, Type] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Object) and self.attributes == other.attributes and self.optional == other.optional

    def __hash__(self) -> int:
        return hash(("object", frozenset(self.attributes.items()), self.optional))

    def has_dynamic(self) -> bool:
        return any(t.has_dynamic() for t in self.attributes.values())

    def friendly(self) -> str:
        return "object"


EMPTY_OBJECT = Object({})
EMPTY_TUPLE = Tuple(())


def without_optional(type: Type) -> Type:
    """The type of values that were converted to this constraint: the same, but no attribute may be left out."""
    match type:
        case List(element) | Set(element) | Map(element):
            inner = without_optional(element)
            return type if inner is element else _collection(type, inner)
        case Tuple(elements):
            members = tuple(without_optional(t) for t in elements)
            return type if all(a is b for a, b in zip(members, elements, strict=True)) else Tuple(members)
        case Object(attributes, optional):
            inside = {name: without_optional(t) for name, t in attributes.items()}
            if not optional and all(inside[name] is attributes[name] for name in inside):
                return type
            return Object(inside)
        case _:
            return type


def _collection(like: Type, element: Type) -> Type:
    """A collection of the same kind with other elements."""
    return List(element) if isinstance(like, List) else Set(element) if isinstance(like, Set) else Map(element)
