"""The types of an expression, and all places where they don't fit, with cel-go's texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from terrarium.kube.api import regexes
from terrarium.kube.api.cel.declarations import NAMESPACES, Overload, functions
from terrarium.kube.api.cel.syntax import (
    Bind,
    Call,
    CompileError,
    Fold,
    Ident,
    ListNode,
    Literal,
    MapNode,
    Node,
    Problem,
    Select,
)
from terrarium.kube.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    ERROR,
    INT,
    NULL,
    STRING,
    TYPE,
    UINT,
    Bindings,
    Type,
    list_of,
    map_of,
    optional_of,
    variable,
)
from terrarium.kube.api.cel.values import Duration, Timestamp, UInt

TYPE_NAMES = frozenset(
    [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "type",
        "null_type",
        "optional_type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "net.IP",
        "net.CIDR",
        "kubernetes.URL",
        "kubernetes.Quantity",
        "kubernetes.Semver",
    ]
)
"""Identifiers that stand for a type."""

_LITERALS: Mapping[str, Callable[[str], object]] = {
    "duration": Duration.parse,
    "timestamp": Timestamp.parse,
    "matches": regexes.compiled,
}
"""Functions whose argument is checked at once when it is written out."""


def qualified(node: Node) -> str:
    """`a.b.c` of a chain of plain selections, or ""."""
    match node:
        case Ident(name=name):
            return name
        case Select(operand=operand, field=field, test=False, optional=False):
            front = qualified(operand)
            return f"{front}.{field}" if front else ""
    return ""


def called(node: Call) -> tuple[str, tuple[Node, ...], bool]:
    """What a call names: the function, its arguments, and whether it is a method (its first argument the target)."""
    if node.target is None:
        return node.function, node.args, False
    front = qualified(node.target)
    if front in NAMESPACES and f"{front}.{node.function}" in functions():
        return f"{front}.{node.function}", node.args, False
    return node.function, (node.target, *node.args), True


class Checker:
    """Infers types of one tree. `types` holds the type of each node that was asked, by identity."""

    def __init__(self, variables: Mapping[str, Type]) -> None:
        self.variables = dict(variables)
        self.bindings = Bindings()
        self.problems: list[Problem] = []
        self.types: dict[int, Type] = {}

    def wrong(self, at: int, message: str) -> Type:
        self.problems.append(Problem(at, message))
        return ERROR

    def of(self, node: Node) -> Type:
        found = self._of(node)
        self.types[id(node)] = found
        return found

    def _of(self, node: Node) -> Type:
        match node:
            case Literal(value=value):
                return _literal(value)
            case Ident():
                return self.ident(node)
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

    def ident(self, node: Ident) -> Type:
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name in TYPE_NAMES:
            return TYPE
        return self.wrong(node.at, f"undeclared reference to '{node.name}' (in container '')")

    def select(self, node: Select) -> Type:
        name = qualified(node)
        if name and (name in self.variables or name in TYPE_NAMES):
            return self.variables.get(name, TYPE)
        operand = self.bindings.resolve(self.of(node.operand))
        optional = node.optional
        if operand.name == "optional_type":
            optional, operand = True, self.bindings.resolve(operand.params[0])
        found = self.field(node, operand)
        if node.test:
            return BOOL
        if optional and found is not ERROR:
            return found if found.name == "optional_type" else optional_of(found)
        return found

    def field(self, node: Select, operand: Type) -> Type:
        if operand.form == "object":
            found = (operand.fields or {}).get(node.field)
            return found if found is not None else self.wrong(node.at, f"undefined field '{node.field}'")
        if operand.name == "map":
            return operand.params[1]
        if operand.name in ("dyn", "!error!") or operand.form == "variable":
            return DYN if operand is not ERROR else ERROR
        return self.wrong(node.at, f"type '{operand}' does not support field selection")

    def call(self, node: Call) -> Type:
        name, args, method = called(node)
        types = [self.of(arg) for arg in args]
        overloads = functions().get(name)
        if overloads is None:
            return self.wrong(node.at, f"undeclared reference to '{name}' (in container '')")
        last = args[-1] if args else node
        if name in _LITERALS and isinstance(last, Literal) and isinstance(last.value, str):
            try:
                _LITERALS[name](last.value)
            except (ValueError, re.error):
                self.wrong(last.at, f"invalid {name} argument")
        return self.resolve(node.at, name, overloads, types, method=method)

    def resolve(self, at: int, name: str, overloads: Sequence[Overload], types: list[Type], *, method: bool) -> Type:
        if any(t is ERROR for t in types):
            return ERROR
        result: Type | None = None
        for overload in overloads:
            if overload.method != method or len(overload.args) != len(types):
                continue
            trial = self.bindings.copy()
            names: dict[str, Type] = {}
            wanted = [_fresh(arg, names, trial) for arg in overload.args]
            answer = _fresh(overload.result, names, trial)
            if not all(trial.assign(w, t) for w, t in zip(wanted, types, strict=True)):
                continue
            self.bindings = trial
            found = self.bindings.resolve(answer)
            if result is None:
                result = found
            elif result != found:
                result = DYN
        if result is None:
            return self.wrong(
                at, no_overload(name, [self.bindings.resolve(t, free=False) for t in types], method=method)
            )
        return result

    def list(self, node: ListNode) -> Type:
        held: Type | None = None
        for index, item in enumerate(node.items):
            found = self.of(item)
            if index in node.optional:
                resolved = self.bindings.resolve(found)
                found = resolved.params[0] if resolved.name == "optional_type" else resolved
            held = self.same(item.at, held, found)
        return list_of(held if held is not None else self.bindings.fresh())

    def map(self, node: MapNode) -> Type:
        key: Type | None = None
        value: Type | None = None
        for k, v, optional in node.entries:
            key = self.same(k.at, key, self.of(k))
            found = self.of(v)
            if optional:
                resolved = self.bindings.resolve(found)
                found = resolved.params[0] if resolved.name == "optional_type" else resolved
            value = self.same(v.at, value, found)
        fresh = self.bindings.fresh
        return map_of(key if key is not None else fresh(), value if value is not None else fresh())

    def same(self, at: int, held: Type | None, found: Type) -> Type:
        """Literals hold values of one type."""
        if held is None:
            return found
        joined = self.bindings.join(held, found)
        if joined is not None:
            return joined
        self.wrong(at, f"expected type '{held}' but found '{self.bindings.resolve(found)}'")
        return held

    def fold(self, node: Fold) -> Type:
        over = self.bindings.resolve(self.of(node.over))
        first, second = self.elements(node, over)
        names = {node.name: first, **({node.second: second} if node.second else {})}
        if not node.second:
            names[node.name] = second if over.name == "list" else first
        before = self.variables
        self.variables = {**before, **names}
        condition = self.of(node.condition) if node.condition is not None else None
        result = self.of(node.result) if node.result is not None else None
        self.variables = before
        return self.folded(node, over, first, condition, result)

    def elements(self, node: Fold, over: Type) -> tuple[Type, Type]:
        """Types of the index or key, and of the element."""
        if over.name == "list":
            return INT, over.params[0]
        if over.name == "map":
            return over.params[0], over.params[1]
        if over.name not in ("dyn", "!error!") and over.form != "variable":
            text = f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)"
            return self.wrong(node.over.at, text), ERROR
        return DYN, DYN

    def folded(self, node: Fold, over: Type, key: Type, condition: Type | None, result: Type | None) -> Type:
        tables = functions()
        match node.kind:
            case "all" | "exists":
                name = "_&&_" if node.kind == "all" else "_||_"
                assert condition is not None
                self.resolve(node.at, name, tables[name], [BOOL, condition], method=False)
                return BOOL
            case "exists_one":
                assert condition is not None
                self.resolve(node.at, "_?_:_", tables["_?_:_"], [condition, INT, INT], method=False)
                return BOOL
        if condition is not None:
            held = list_of(variable("_element")) if result is None else list_of(result)
            self.resolve(node.at, "_?_:_", tables["_?_:_"], [condition, held, held], method=False)
        match node.kind:
            case "filter":
                return list_of(over.params[0] if over.params else DYN)
            case "transformMap":
                return map_of(key, result or DYN)
            case "transformMapEntry":
                return result or DYN
        return list_of(result or DYN)

    def bind(self, node: Bind) -> Type:
        over = self.bindings.resolve(self.of(node.over))
        held = over.params[0] if over.name == "optional_type" else DYN
        if over.name not in ("optional_type", "dyn", "!error!"):
            return self.wrong(node.at, no_overload("hasValue", [over], method=True))
        before = self.variables
        self.variables = {**before, node.name: held}
        result = self.of(node.result)
        self.variables = before
        return optional_of(result) if node.kind == "optMap" else result


def _literal(value: object) -> Type:
    match value:
        case bool():
            return BOOL
        case UInt():
            return UINT
        case int():
            return INT
        case float():
            return DOUBLE
        case str():
            return STRING
        case bytes():
            return BYTES
    return NULL


def _fresh(type: Type, names: dict[str, Type], bindings: Bindings) -> Type:
    if type.form == "variable":
        if type.name not in names:
            names[type.name] = bindings.fresh()
        return names[type.name]
    if type.params:
        return replace(type, params=tuple(_fresh(p, names, bindings) for p in type.params))
    return type


def no_overload(name: str, types: Sequence[Type], *, method: bool) -> str:
    shown = [str(t) for t in types]
    applied = f"{shown[0]}.({', '.join(shown[1:])})" if method else f"({', '.join(shown)})"
    return f"found no matching overload for '{name}' applied to '{applied}'"


def check(source: str, node: Node, variables: Mapping[str, Type]) -> tuple[Type, dict[int, Type]]:
    """The type of an expression, and those of its nodes by identity. Raises `CompileError`."""
    checker = Checker(variables)
    found = checker.of(node)
    if checker.problems:
        raise CompileError(source, checker.problems)
    resolve = checker.bindings.resolve
    return resolve(found, free=False), {key: resolve(held, free=False) for key, held in checker.types.items()}
