"""The long lists of a decision, made when somebody asks for them.

A decision over thousands of nodes is one node and a few vectors. `Detail` keeps the vectors, and turns them into names,
rejections and scores on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar, overload

import numpy as np

from terrarium.kube.scheduler.fast.columns import Vector
from terrarium.kube.scheduler.framework import Rejection

T = TypeVar("T")
Part = tuple[str, Vector, Vector]
"""A plugin's raw and normalised scores by row."""


class Detail:
    """What a decision looked like, by row. `no` is 0 for feasible rows, `total` their score."""

    __slots__ = ("_explain", "_feasible", "names", "no", "parts", "total")

    def __init__(
        self, names: Sequence[str], no: Vector, total: Vector | None, parts: Sequence[Part],
        explain: Callable[[int, int], Rejection],
    ) -> None:  # fmt: skip
        self.names = names
        self.no = no
        self.total = total
        self.parts = parts
        self._explain = explain
        self._feasible: Vector | None = None

    @property
    def rows(self) -> Vector:
        if self._feasible is None:
            self._feasible = np.flatnonzero(self.no == 0)
        return self._feasible

    def feasible(self) -> list[str]:
        return [self.names[row] for row in self.rows.tolist()]

    def totals(self) -> list[int]:
        return [] if self.total is None else [int(t) for t in self.total[self.rows]]

    def no_worse(self) -> Vector:
        assert self.total is not None
        found: Vector = self.total == self.total.max(initial=0)
        return found

    def best(self) -> list[str]:
        if self.total is None:
            return self.feasible()
        return [self.names[row] for row in np.flatnonzero(self.no_worse()).tolist()]

    def rejected(self) -> dict[str, Rejection]:
        rows = np.flatnonzero(self.no)
        codes = self.no[rows].tolist()
        return {self.names[row]: self._explain(code, row) for row, code in zip(rows.tolist(), codes, strict=True)}

    def scores(self) -> dict[str, tuple[list[int], list[int]]]:
        rows = self.rows
        return {name: (raw[rows].tolist(), normalised[rows].tolist()) for name, raw, normalised in self.parts}


class Later(Sequence[T]):
    """A list that is made when it is first looked at."""

    __slots__ = ("_items", "_make")

    def __init__(self, make: Callable[[], list[T]]) -> None:
        self._make = make
        self._items: list[T] | None = None

    @property
    def _made(self) -> list[T]:
        if self._items is None:
            self._items = self._make()
        return self._items

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        return self._made[at]

    def __iter__(self) -> Iterator[T]:
        return iter(self._made)


class Names(Sequence[str]):
    """The names of some rows."""

    __slots__ = ("_names", "_rows")

    def __init__(self, names: Sequence[str], rows: Vector) -> None:
        self._names = names
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self._names[row] for row in self._rows[at].tolist()]
        return self._names[int(self._rows[at])]


class LaterMapping(Mapping[str, T]):
    """A dictionary that is made when it is first looked at."""

    __slots__ = ("_items", "_make")

    def __init__(self, make: Callable[[], dict[str, T]]) -> None:
        self._make = make
        self._items: dict[str, T] | None = None

    @property
    def _made(self) -> dict[str, T]:
        if self._items is None:
            self._items = self._make()
        return self._items

    def __getitem__(self, key: str) -> T:
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
