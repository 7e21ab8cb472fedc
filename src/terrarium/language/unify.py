"""The one type that several can become: what a conditional's two results, or the elements of a list, agree on.

Structures of equal shape are unified member by member, unequal ones by way of list or map; else the most general of the
types themselves is taken, in the order of `compare`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from terrarium.language.types import DYNAMIC, STRING, Dynamic, List, Map, Object, Set, Tuple, Type

if TYPE_CHECKING:
    from terrarium.language.convert import Conversion


def unify(types: Sequence[Type], unsafe: bool = True) -> tuple[Type, list[Conversion]] | None:
    """The common type and for each given type the conversion to it. None when there is no such type."""
    from terrarium.language.convert import _as_it_is, conversion
    from terrarium.language.values import DYNAMIC_UNKNOWN

    found = unify_types(types, unsafe)
    if found is None:
        return None
    if found == DYNAMIC and len(set(types)) > 1:
        return found, [lambda value, path: DYNAMIC_UNKNOWN.with_marks(value.marks)] * len(types)
    changes: list[Conversion] = []
    for given in types:
        change = _as_it_is if given == found else conversion(given, found, unsafe)
        if change is None:
            return None
        changes.append(change)
    return found, changes


def unify_types(types: Sequence[Type], unsafe: bool = True) -> Type | None:
    """The common type alone."""
    distinct = list(dict.fromkeys(types))
    if not distinct:
        return None
    if len(distinct) == 1:
        return distinct[0]
    return _unify(distinct, unsafe)


def _unify(types: Sequence[Type], unsafe: bool) -> Type | None:
    kinds = {_KINDS.get(t.__class__, "primitive") for t in types}
    shapes = kinds - {"dynamic"}
    dynamic = "dynamic" in kinds
    if shapes in ({"map"}, {"list"}, {"set"}, {"object"}, {"tuple"}) and dynamic:
        return DYNAMIC
    if shapes in ({"map"}, {"list"}, {"set"}):
        return _collections(types, unsafe)
    if shapes == {"object"}:
        return _objects([t for t in types if isinstance(t, Object)], unsafe)
    if shapes == {"tuple"}:
        return _tuples([t for t in types if isinstance(t, Tuple)], unsafe)
    if shapes == {"map", "object"}:
        inner = unify_types([a for t in types if isinstance(t, Object) for a in t.attributes.values()], unsafe)
        as_maps = (
            None
            if inner is None
            else unify_types([t if not isinstance(t, Object) else Map(inner) for t in types], unsafe)
        )
        if isinstance(as_maps, Map) and _all_convert(types, as_maps, unsafe):
            return as_maps
    elif shapes == {"list", "tuple"}:
        inner = unify_types([e for t in types if isinstance(t, Tuple) for e in t.elements], unsafe)
        as_lists = (
            None
            if inner is None
            else unify_types([t if not isinstance(t, Tuple) else List(inner) for t in types], unsafe)
        )
        if isinstance(as_lists, List) and _all_convert(types, as_lists, unsafe):
            return as_lists
    elif {"object", "tuple"} <= shapes:
        return None
    for index in _general_first(types):
        if _all_convert(types, types[index], unsafe):
            return types[index]
    return None


_KINDS: dict[type, str] = {Map: "map", List: "list", Set: "set", Object: "object", Tuple: "tuple", Dynamic: "dynamic"}


def _all_convert(types: Sequence[Type], wanted: Type, unsafe: bool) -> bool:
    from terrarium.language.convert import conversion

    return all(t == wanted or conversion(t, wanted, unsafe) is not None for t in types)


def _collections(types: Sequence[Type], unsafe: bool) -> Type | None:
    inner = unify_types([t.element for t in types if isinstance(t, List | Set | Map)], unsafe)
    if inner is None:
        return None
    first = types[0]
    found = List(inner) if isinstance(first, List) else Set(inner) if isinstance(first, Set) else Map(inner)
    return found if _all_convert(types, found, unsafe) else None


def _objects(types: Sequence[Object], unsafe: bool) -> Type | None:
    names = types[0].attributes.keys()
    if any(t.attributes.keys() != names for t in types[1:]):
        return _objects_as_map(types, unsafe)
    members: dict[str, Type] = {}
    for name in names:
        member = unify_types([t.attributes[name] for t in types], unsafe)
        if member is None:
            return None
        members[name] = member
    found = Object(members)
    return found if _all_convert(types, found, unsafe) else _objects_as_map(types, unsafe)


def _objects_as_map(types: Sequence[Object], unsafe: bool) -> Type | None:
    inner = unify_types([a for t in types for a in t.attributes.values()], unsafe)
    if inner is None:
        return None
    found = Map(inner)
    return found if _all_convert(types, found, unsafe) else None


def _tuples(types: Sequence[Tuple], unsafe: bool) -> Type | None:
    length = len(types[0].elements)
    if any(len(t.elements) != length for t in types[1:]):
        return _tuples_as_list(types, unsafe)
    members: list[Type] = []
    for i in range(length):
        member = unify_types([t.elements[i] for t in types], unsafe)
        if member is None:
            return None
        members.append(member)
    found = Tuple(tuple(members))
    return found if _all_convert(types, found, unsafe) else _tuples_as_list(types, unsafe)


def _tuples_as_list(types: Sequence[Tuple], unsafe: bool) -> Type | None:
    inner = unify_types([e for t in types for e in t.elements], unsafe)
    if inner is None:
        return None
    found = List(inner)
    return found if _all_convert(types, found, unsafe) else None


# --- which type is the more general ----------------------------------------------------------------------------------


def compare(a: Type, b: Type) -> int:
    """Below zero when `a` is the more general, above when `b` is, zero when neither."""
    if isinstance(a, Dynamic) or isinstance(b, Dynamic):
        return 0 if a == b else 1 if isinstance(a, Dynamic) else -1
    if a.is_primitive and b.is_primitive:
        return 0 if a == b or STRING not in (a, b) else -1 if a == STRING else 1
    match a, b:
        case (List(x), List(y)) | (Set(x), Set(y)) | (Map(x), Map(y)):
            return compare(x, y)
        case (List() | Tuple(), Set()) | (List(), Tuple()) | (Map(), Object()):
            return -1
        case (Set(), List() | Tuple()) | (Tuple(), List()) | (Object(), Map()):
            return 1
        case Object(x), Object(y):
            if x.keys() != y.keys():
                return 0
            return _majority([compare(x[name], y[name]) for name in x])
        case Tuple(x), Tuple(y):
            return _majority([compare(p, q) for p, q in zip(x, y, strict=True)]) if len(x) == len(y) else 0
        case _:
            return 0


def _majority(signs: Sequence[int]) -> int:
    less, more = any(s < 0 for s in signs), any(s > 0 for s in signs)
    return 0 if less == more else -1 if less else 1


def _general_first(types: Sequence[Type]) -> list[int]:
    """The indices in an order that puts more general types first, else as given (Kahn's algorithm)."""
    edges: list[list[int]] = [[] for _ in types]
    before = [0] * len(types)
    for i in range(len(types) - 1):
        for j in range(i + 1, len(types)):
            sign = compare(types[i], types[j])
            if sign:
                first, second = (i, j) if sign < 0 else (j, i)
                edges[first].append(second)
                before[second] += 1
    queue = [i for i, n in enumerate(before) if not n]
    for i in queue:
        for j in edges[i]:
            before[j] -= 1
            if not before[j]:
                queue.append(j)
    return queue
