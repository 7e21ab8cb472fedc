"""What an expression may cost at most, judged before it ever runs (cel-go's estimator, with Kubernetes' functions).

Sizes of what variables hold come from the caller by path; sizes of computed values follow the functions which make
them, and are unbounded where nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api.cel.checker import called, qualified
from terrarium.kube.api.cel.syntax import Bind, Call, Fold, Ident, ListNode, Literal, MapNode, Node, Select
from terrarium.kube.api.cel.types import Type

INFINITE = (1 << 64) - 1
SCALARS = frozenset({"bool", "int", "uint", "double", "null", "timestamp", "duration"})

Sizes = Callable[[tuple[str, ...]], int | None]
"""The most elements of what stands at a path (`("self", "l", "@items")`), or None."""


def times(a: float, b: float) -> int:
    product = math.ceil(a * b) if b != 1 else a
    return int(min(product, INFINITE))


def plus(*parts: int) -> int:
    return min(sum(parts), INFINITE)


@dataclass(frozen=True, slots=True)
class Estimate:
    """`cost` at most; `path` of what the value is (None: computed), `size` its elements at most where known."""

    cost: int
    path: tuple[str, ...] | None = None
    size: int | None = None


class Estimator:
    def __init__(self, types: Mapping[int, Type], sizes: Sizes) -> None:
        self.types = types
        self.sizes = sizes
        self.scope: dict[str, tuple[tuple[str, ...] | None, int | None]] = {}

    def size(self, node: Node, found: Estimate) -> int:
        if found.size is not None:
            return found.size
        if found.path is not None and (known := self.sizes(found.path)) is not None:
            return known
        if self.types.get(id(node), Type("")).name in SCALARS:
            return 1
        return INFINITE

    def of(self, node: Node) -> Estimate:
        match node:
            case Literal(value=value):
                return Estimate(0, None, len(value) if isinstance(value, (str, bytes)) else 1)
            case Ident(name=name):
                if name in self.scope:
                    path, size = self.scope[name]
                    return Estimate(1, path, size)
                return Estimate(1, (name,))
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case ListNode(items=items):
                parts = [self.of(item) for item in items]
                return Estimate(plus(10, *(p.cost for p in parts)), None, len(items))
            case MapNode(entries=entries):
                costs = [plus(self.of(k).cost, self.of(v).cost) for k, v, _ in entries]
                return Estimate(plus(30, *costs), None, len(entries))
            case Fold():
                return self.fold(node)
            case Bind():
                over = self.of(node.over)
                before = self.scope
                self.scope = {**before, node.name: (over.path, over.size)}
                result = self.of(node.result)
                self.scope = before
                return Estimate(plus(over.cost, result.cost), result.path, result.size)

    def select(self, node: Select) -> Estimate:
        whole = qualified(node)
        if whole and id(node.operand) not in self.types:
            return Estimate(1, (whole,))
        operand = self.of(node.operand)
        if node.test:
            return Estimate(operand.cost, None, 1)
        path = (*operand.path, node.field) if operand.path is not None else None
        return Estimate(plus(operand.cost, 1), path)

    def call(self, node: Call) -> Estimate:
        name, args, _ = called(node)
        parts = [self.of(arg) for arg in args]
        costs = [p.cost for p in parts]
        lengths = [self.size(arg, part) for arg, part in zip(args, parts, strict=True)]
        match name:
            case "_&&_" | "_||_" | "!_":
                return Estimate(plus(*costs, 1 if name == "!_" else 0), None, 1)
            case "_?_:_":
                return Estimate(plus(costs[0], max(costs[1:])), None, max(lengths[1:]))
            case "_[_]" | "_[?_]":
                path = (*parts[0].path, "@items") if parts[0].path is not None else None
                return Estimate(plus(*costs, 1), path)
        own = _CALLS.get(name)
        cost, size = own(lengths, self.types.get(id(args[0]), Type("")) if args else Type("")) if own else (1, None)
        return Estimate(plus(*costs, cost), None, size)

    def fold(self, node: Fold) -> Estimate:
        over = self.of(node.over)
        count = self.size(node.over, over)
        is_map = self.types.get(id(node.over), Type("")).name == "map"
        items = (*over.path, "@items") if over.path is not None else None
        keys = (*over.path, "@keys") if over.path is not None else None
        before = self.scope
        first = (keys, None) if is_map else ((None, 1) if node.second else (items, None))
        self.scope = {**before, node.name: first}
        if node.second:
            self.scope[node.second] = (items, None)
        each = 0
        for part in (node.condition, node.result):
            if part is not None:
                each = plus(each, self.of(part).cost)
        self.scope = before
        # The accumulated value is read and tested on each turn.
        turn = plus(each, _TURN[node.kind])
        return Estimate(plus(over.cost, times(count, turn), _START[node.kind]), None, count)


_TURN = {"all": 2, "exists": 3, "exists_one": 2, "filter": 12, "map": 12, "transformList": 12}
_TURN |= {"transformMap": 32, "transformMapEntry": 32}
_START = {"all": 1, "exists": 1, "exists_one": 2, "filter": 11, "map": 11, "transformList": 11}
_START |= {"transformMap": 31, "transformMapEntry": 31}

Rule = Callable[[list[int], Type], tuple[int, int | None]]


def _compared(lengths: list[int], type: Type) -> tuple[int, int | None]:
    if type.name in SCALARS:
        return 1, 1
    return times(min(lengths[0], lengths[1]), 0.1), 1


def _added(lengths: list[int], type: Type) -> tuple[int, int | None]:
    total = plus(*lengths)
    if type.name in ("string", "bytes", "dyn"):
        return times(total, 0.1), total
    return 1, total if type.name == "list" else 1


def _traversed(lengths: list[int], type: Type) -> tuple[int, int | None]:
    return times(lengths[0], 0.1), lengths[0]


def _matched(lengths: list[int], type: Type) -> tuple[int, int | None]:
    return times(times(plus(lengths[0], 1), 0.1), times(lengths[1], 0.25)), 1


def _each(lengths: list[int], type: Type) -> tuple[int, int | None]:
    return lengths[0], 1


def _pairs(lengths: list[int], type: Type) -> tuple[int, int | None]:
    return times(lengths[0], lengths[1]), 1


_CALLS: Mapping[str, Rule] = {
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"), _compared),
    "_+_": _added,
    "@in": lambda lengths, type: (lengths[1], 1),
    "contains": lambda lengths, type: (times(times(lengths[0], 0.1), times(lengths[1], 0.1)), 1),
    "startsWith": lambda lengths, type: (times(lengths[1], 0.1), 1),
    "endsWith": lambda lengths, type: (times(lengths[1], 0.1), 1),
    "matches": _matched,
    "find": lambda lengths, type: (_matched(lengths, type)[0], lengths[0]),
    "findAll": lambda lengths, type: (_matched(lengths, type)[0], lengths[0]),
    "string": lambda lengths, type: (
        (times(lengths[0], 0.1), lengths[0]) if type.name in ("string", "bytes") else (1, None)
    ),
    "bytes": _traversed,
    "url": _traversed,
    "isURL": _traversed,
    "quantity": _traversed,
    "isQuantity": _traversed,
    "ip": _traversed,
    "cidr": _traversed,
    "lowerAscii": _traversed,
    "upperAscii": _traversed,
    "trim": _traversed,
    "charAt": lambda lengths, type: (times(lengths[0], 0.1), 1),
    "substring": _traversed,
    "split": _traversed,
    "replace": lambda lengths, type: (times(lengths[0], 0.1), plus(times(lengths[0], max(lengths[2], 1)), lengths[2])),
    "join": lambda lengths, type: (lengths[0], None),
    "isSorted": _each,
    "sum": _each,
    "min": _each,
    "max": _each,
    "indexOf": _each,
    "lastIndexOf": _each,
    "sets.contains": _pairs,
    "sets.equivalent": _pairs,
    "sets.intersects": _pairs,
    "size": lambda lengths, type: (1, 1),
}


def estimate(node: Node, types: Mapping[int, Type], sizes: Sizes) -> int:
    """The most that `node` may cost, up to `INFINITE`."""
    return Estimator(types, sizes).of(node).cost


def sizes_of(
    schema: Mapping[str, Any], largest: Callable[[Mapping[str, Any]], int], escaped: Callable[[str], str]
) -> Sizes:
    """Sizes by the paths of `self` and `oldSelf`, which `schema` describes."""

    def size(path: tuple[str, ...]) -> int | None:
        if not path or path[0] not in ("self", "oldSelf"):
            return None
        here: Mapping[str, Any] | None = schema
        for step in path[1:]:
            assert here is not None
            extra, items = here.get("additionalProperties"), here.get("items")
            if step == "@keys":
                return None
            if step == "@items":
                here = items if isinstance(items, Mapping) else extra if isinstance(extra, Mapping) else None
            elif isinstance(extra, Mapping):
                here = extra
            else:
                here = next((v for k, v in (here.get("properties") or {}).items() if escaped(k) == step), None)
            if here is None:
                return None
        return largest(here) if here is not None else None

    return size
