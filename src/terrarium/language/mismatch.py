"""Why a type does not fit another, in cty's words."""

from __future__ import annotations

from terrarium.language.text import quote
from terrarium.language.types import DYNAMIC, List, Map, Object, Set, Tuple, Type


def mismatch(given: Type, wanted: Type) -> str:
    """A clause without a full stop, as "string required"."""
    match given, wanted:
        case Object(), Object():
            return _objects(given, wanted)
        case Tuple(), List(element) if element == DYNAMIC:
            return "all list elements must have the same type"
        case Tuple(), Set(element) if element == DYNAMIC:
            return "all set elements must have the same type"
        case Object(), Map(element) if element == DYNAMIC:
            return "all map elements must have the same type"
        case Tuple() | Object(), List() | Set() | Map():
            return _from_structure(given, wanted)
        case List() | Set() | Map(), List() | Set() | Map():
            return _from_collection(given, wanted)
    return f"{wanted.friendly_constraint()} required"


def _objects(given: Object, wanted: Object) -> str:
    from terrarium.language.convert import conversion

    missing = sorted(n for n in wanted.attributes if n not in given.attributes and n not in wanted.optional)
    if len(missing) == 1:
        return f"attribute {quote(missing[0])} is required"
    if len(missing) == 2:
        return f"attributes {quote(missing[0])} and {quote(missing[1])} are required"
    if missing:
        return f"attributes {', '.join(quote(n) for n in missing[:-1])}, and {quote(missing[-1])} are required"
    for unsafe in (True, False):
        for name in sorted(wanted.attributes):
            has = given.attributes.get(name)
            if has is None or has == wanted.attributes[name]:
                continue
            if conversion(has, wanted.attributes[name], unsafe) is None:
                return f"attribute {quote(name)}: {mismatch(has, wanted.attributes[name])}"
    return "incorrect object attributes"


def _from_structure(given: Type, wanted: List | Set | Map) -> str:
    from terrarium.language.convert import conversion

    members: list[tuple[str, Type]]
    if isinstance(given, Tuple) and not isinstance(wanted, Map):
        members = [(str(i), t) for i, t in enumerate(given.elements)]
    elif isinstance(given, Object) and isinstance(wanted, Map):
        members = [(quote(name), given.attributes[name]) for name in sorted(given.attributes)]
    else:
        return f"{wanted.friendly_constraint()} required"
    for name, member in members:
        if member != wanted.element and conversion(member, wanted.element) is None:
            return f"element {name}: {mismatch(member, wanted.element)}"
    return f"all elements must be {wanted.element.friendly_constraint()}"


def _from_collection(given: List | Set | Map, wanted: List | Set | Map) -> str:
    if isinstance(given, Map) != isinstance(wanted, Map):
        return f"{wanted.friendly_constraint()} required"
    noun = "map" if isinstance(wanted, Map) else "set" if isinstance(wanted, Set) else "list"
    return f"incorrect {noun} element type: {mismatch(given.element, wanted.element)}"
