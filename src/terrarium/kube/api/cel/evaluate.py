"""Evaluation: a tree becomes closures once, which run on variables many times under a cost limit.

Costs follow cel-go: a selection or a name costs 1, a list 10, a map 30, a call 1 or by the lengths of what it reads.
`&&` and `||` forgive an error on one side when the other decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api.cel.checker import TYPE_NAMES, called, qualified
from terrarium.kube.api.cel.extensions import EXTENSIONS
from terrarium.kube.api.cel.operators import OPERATORS, Function, kind_of, no_overload
from terrarium.kube.api.cel.strings import STRINGS
from terrarium.kube.api.cel.syntax import Bind, Call, Fold, Ident, ListNode, Literal, MapNode, Node, Select
from terrarium.kube.api.cel.values import NONE, EvalError, Optional, TypeValue

COST_LIMIT = 1_000_000
"""Of one evaluation."""
BUDGET = 10_000_000
"""Of all rules of one object, and of all policies of one request."""

FUNCTIONS: Mapping[str, Function] = {**OPERATORS, **STRINGS, **EXTENSIONS}


class CostError(EvalError):
    """The expression costs too much."""


@dataclass(slots=True)
class Meter:
    left: int = COST_LIMIT

    def spend(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise CostError("operation cancelled: actual cost limit exceeded")


Scope = dict[str, Any]
"""Variables by name; "" holds the meter."""
Step = Callable[[Scope], Any]


@dataclass(frozen=True, slots=True)
class Thunk:
    """A variable that is computed when it is read."""

    value: Callable[[], Any]


def run(step: Step, variables: Mapping[str, Any], limit: int = COST_LIMIT) -> tuple[Any, int]:
    """The value and what it cost. Raises `EvalError`."""
    meter = Meter(limit)
    try:
        return step({**variables, "": meter}), limit - meter.left
    except RecursionError:
        raise EvalError("expression is nested too deeply") from None


def build(node: Node, names: frozenset[str]) -> Step:
    """The closures of a tree; `names` are the declared variables (some hold a dot)."""
    return _Builder(names).step(node)


class _Builder:
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def step(self, node: Node) -> Step:
        match node:
            case Literal(value=value):
                return lambda scope: value
            case Ident(name=name):
                return self.name(name)
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case ListNode():
                return self.list(node)
            case MapNode():
                return self.map(node)
            case Fold():
                return self.fold(node)
            case Bind():
                return self.bind(node)

    def name(self, name: str) -> Step:
        if name in TYPE_NAMES and name not in self.names:
            value = TypeValue(name)
            return lambda scope: value

        def read(scope: Scope) -> Any:
            scope[""].spend(1)
            try:
                held = scope[name]
            except KeyError:
                raise EvalError(f"no such attribute(s): {name}") from None
            return held.value() if isinstance(held, Thunk) else held

        return read

    def select(self, node: Select) -> Step:
        whole = qualified(node)
        if whole and (whole in self.names or whole in TYPE_NAMES):
            return self.name(whole)
        operand, field, optional = self.step(node.operand), node.field, node.optional
        if node.test:

            def test(scope: Scope) -> bool:
                return _has(operand(scope), field)

            return test

        def select(scope: Scope) -> Any:
            held = operand(scope)
            scope[""].spend(1)
            return _optional_field(held, field) if optional or isinstance(held, Optional) else _field(held, field)

        return select

    def call(self, node: Call) -> Step:
        name, args, _ = called(node)
        special = _LOGIC.get(name)
        steps = [self.step(arg) for arg in args]
        if special is not None:
            return special(*steps)
        function = FUNCTIONS[name]
        cost = _COSTS.get(name)

        def apply(scope: Scope) -> Any:
            values = [step(scope) for step in steps]
            scope[""].spend(cost(values) if cost is not None else 1)
            try:
                return function(*values)
            except (TypeError, AttributeError):
                raise no_overload() from None

        return apply

    def list(self, node: ListNode) -> Step:
        steps = [(self.step(item), index in node.optional) for index, item in enumerate(node.items)]

        def make(scope: Scope) -> list[Any]:
            scope[""].spend(10)
            made: list[Any] = []
            for step, optional in steps:
                value = step(scope)
                if not optional:
                    made.append(value)
                elif isinstance(value, Optional) and value.present:
                    made.append(value.value)
            return made

        return make

    def map(self, node: MapNode) -> Step:
        steps = [(self.step(k), self.step(v), optional) for k, v, optional in node.entries]

        def make(scope: Scope) -> dict[Any, Any]:
            scope[""].spend(30)
            made: dict[Any, Any] = {}
            for key_step, value_step, optional in steps:
                key, value = key_step(scope), value_step(scope)
                if not isinstance(key, (str, bool, int)):
                    raise EvalError(f"unsupported key type: {kind_of(key)}")
                if key in made:
                    raise EvalError(f"Failed with repeated key: {key}")
                if not optional:
                    made[key] = value
                elif isinstance(value, Optional) and value.present:
                    made[key] = value.value
            return made

        return make

    def fold(self, node: Fold) -> Step:
        inner = _Builder(self.names - {node.name, node.second})
        over = self.step(node.over)
        condition = inner.step(node.condition) if node.condition is not None else None
        result = inner.step(node.result) if node.result is not None else None
        gather = _FOLDS[node.kind]
        first, second = node.name, node.second

        def run(scope: Scope) -> Any:
            held = over(scope)
            own = dict(scope)
            meter: Meter = scope[""]

            def each() -> Any:
                for key, value, element in _elements(held, two=bool(second)):
                    meter.spend(1)
                    if second:
                        own[first], own[second] = key, value
                    else:
                        own[first] = element
                    yield own, key, element

            return gather(each(), condition, result)

        return run

    def bind(self, node: Bind) -> Step:
        over, name, kind = self.step(node.over), node.name, node.kind
        result = _Builder(self.names - {name}).step(node.result)

        def run(scope: Scope) -> Any:
            held = over(scope)
            if not isinstance(held, Optional):
                raise no_overload()
            if not held.present:
                return NONE
            value = result({**scope, name: held.value})
            return Optional(value) if kind == "optMap" else value

        return run


def _has(held: Any, field: str) -> bool:
    if isinstance(held, Optional):
        return held.present and _has(held.value, field)
    if isinstance(held, Mapping):
        return field in held
    raise no_overload()


def _field(held: Any, field: str) -> Any:
    if not isinstance(held, Mapping):
        raise no_overload() if held is not None else EvalError(f"no such key: {field}")
    try:
        return held[field]
    except KeyError:
        raise EvalError(f"no such key: {field}") from None


def _optional_field(held: Any, field: str) -> Optional:
    if isinstance(held, Optional):
        return _optional_field(held.value, field) if held.present else NONE
    if not isinstance(held, Mapping):
        raise no_overload()
    return Optional(held[field]) if field in held else NONE


def _elements(held: Any, *, two: bool) -> Any:
    """Of each: index or key, value, and what a single variable stands for."""
    if isinstance(held, list):
        return ((index, value, value) for index, value in enumerate(held))
    if isinstance(held, Mapping):
        return ((key, value, key) for key, value in held.items())
    raise no_overload()


# Logic


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise no_overload()


def _decided(left: Step, right: Step, deciding: bool) -> Step:
    """`||` (deciding True) and `&&` (False)."""

    def logic(scope: Scope) -> bool:
        try:
            if _bool(left(scope)) is deciding:
                return deciding
        except CostError:
            raise
        except EvalError as error:
            try:
                if _bool(right(scope)) is deciding:
                    return deciding
            except CostError:
                raise
            except EvalError:
                pass
            raise error from None
        return _bool(right(scope))

    return logic


def _choose(condition: Step, yes: Step, no: Step) -> Step:
    return lambda scope: (yes if _bool(condition(scope)) else no)(scope)


def _not(step: Step) -> Step:
    def negated(scope: Scope) -> bool:
        scope[""].spend(1)
        return not _bool(step(scope))

    return negated


_LOGIC: Mapping[str, Callable[..., Step]] = {
    "_&&_": lambda a, b: _decided(a, b, False),
    "_||_": lambda a, b: _decided(a, b, True),
    "_?_:_": _choose,
    "!_": _not,
}


# Macros


def _quantified(each: Any, condition: Step, deciding: bool) -> bool:
    failed: EvalError | None = None
    for scope, _, _ in each:
        try:
            if _bool(condition(scope)) is deciding:
                return deciding
        except CostError:
            raise
        except EvalError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return not deciding


def _exactly_one(each: Any, condition: Step, result: Step | None) -> bool:
    return sum(_bool(condition(scope)) for scope, _, _ in each) == 1


def _filtered(each: Any, condition: Step, result: Step | None) -> list[Any]:
    return [element for scope, _, element in each if _bool(condition(scope))]


def _mapped(each: Any, condition: Step | None, result: Step) -> list[Any]:
    return [result(scope) for scope, _, _ in each if condition is None or _bool(condition(scope))]


def _mapped_values(each: Any, condition: Step | None, result: Step) -> dict[Any, Any]:
    return {key: result(scope) for scope, key, _ in each if condition is None or _bool(condition(scope))}


def _mapped_entries(each: Any, condition: Step | None, result: Step) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for scope, _, _ in each:
        if condition is not None and not _bool(condition(scope)):
            continue
        for key, value in result(scope).items():
            if key in made:
                raise EvalError(f"insert failed: key '{key}' already exists")
            made[key] = value
    return made


_FOLDS: Mapping[str, Callable[..., Any]] = {
    "all": lambda each, condition, _: _quantified(each, condition, False),
    "exists": lambda each, condition, _: _quantified(each, condition, True),
    "exists_one": _exactly_one,
    "filter": _filtered,
    "map": _mapped,
    "transformList": _mapped,
    "transformMap": _mapped_values,
    "transformMapEntry": _mapped_entries,
}


# Costs of calls that read as much as they are given


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, list, Mapping)) else 1


def _tenth(count: int) -> int:
    return -(-count // 10)


_COSTS: Mapping[str, Callable[[list[Any]], int]] = {
    "_==_": lambda a: _tenth(min(_length(a[0]), _length(a[1]))),
    "_!=_": lambda a: _tenth(min(_length(a[0]), _length(a[1]))),
    "_+_": lambda a: _tenth(_length(a[0]) + _length(a[1])) if isinstance(a[0], (str, bytes)) else 1,
    "@in": lambda a: _length(a[1]) if isinstance(a[1], list) else 1,
    "contains": lambda a: _tenth(_length(a[0])) * _tenth(_length(a[1])),
    "startsWith": lambda a: _tenth(_length(a[1])),
    "endsWith": lambda a: _tenth(_length(a[1])),
    "matches": lambda a: _tenth(_length(a[0]) + 1) * -(-_length(a[1]) // 4),
    "string": lambda a: _tenth(_length(a[0])),
    "bytes": lambda a: _tenth(_length(a[0])),
    "sets.contains": lambda a: _length(a[0]) * _length(a[1]),
    "sets.equivalent": lambda a: _length(a[0]) * _length(a[1]),
    "sets.intersects": lambda a: _length(a[0]) * _length(a[1]),
    "isSorted": lambda a: _length(a[0]),
    "sum": lambda a: _length(a[0]),
    "min": lambda a: _length(a[0]),
    "max": lambda a: _length(a[0]),
    "indexOf": lambda a: _length(a[0]),
    "lastIndexOf": lambda a: _length(a[0]),
    "split": lambda a: _tenth(_length(a[0])),
    "replace": lambda a: _tenth(_length(a[0])),
    "join": lambda a: _length(a[0]),
    "find": lambda a: _tenth(_length(a[0]) + 1) * -(-_length(a[1]) // 4),
    "findAll": lambda a: _tenth(_length(a[0]) + 1) * -(-_length(a[1]) // 4),
    "url": lambda a: _tenth(_length(a[0])),
    "quantity": lambda a: _tenth(_length(a[0])),
}
