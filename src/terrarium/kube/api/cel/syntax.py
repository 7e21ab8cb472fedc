"""What a CEL expression is after parsing: a tree of nodes, each with its place in the source, and errors with theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    at: int
    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`; `test` for `has(operand.field)`, `optional` for `operand.?field`."""

    at: int
    operand: Node
    field: str
    test: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or with `target` a method. Operators have CEL's names: `_+_`, `!_`, `_[_]`, `_?_:_`, `@in`."""

    at: int
    function: str
    target: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListNode:
    at: int
    items: tuple[Node, ...]
    optional: frozenset[int] = frozenset()
    """Indices of the items written `?item`."""


@dataclass(frozen=True, slots=True)
class MapNode:
    at: int
    entries: tuple[tuple[Node, Node, bool], ...]
    """Key, value, and whether the key is written `?key`."""


@dataclass(frozen=True, slots=True)
class Fold:
    """A macro over a list or a map: `kind` is all, exists, exists_one, map, filter, transformList, transformMap or
    transformMapEntry. `second` is the second variable of the two-variable forms."""

    at: int
    kind: str
    over: Node
    name: str
    second: str
    condition: Node | None
    result: Node | None


@dataclass(frozen=True, slots=True)
class Bind:
    """`optMap` and `optFlatMap`: `result` is evaluated with `name` standing for the value of an optional."""

    at: int
    kind: str
    over: Node
    name: str
    result: Node


Node = Literal | Ident | Select | Call | ListNode | MapNode | Fold | Bind


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong with an expression, and where (an offset in characters)."""

    at: int
    message: str


class CompileError(Exception):
    """An expression does not parse or its types do not fit. The text is that of cel-go: all problems, in their order."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(_shown(source, problem) for problem in self.problems))


def _shown(source: str, problem: Problem) -> str:
    before = source[: problem.at]
    line = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1)
    text = source.split("\n")[line].replace("\t", " ")
    marks = "".join("．" if ord(c) > 0x7F else "." for c in text[:column]) + "." * (column - len(text))
    return f"ERROR: <input>:{line + 1}:{column + 1}: {problem.message}\n | {text}\n | {marks}^"
