"""What names mean where an expression is evaluated: variables and functions, inner ones over outer ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from terrarium.language.values import Value

if TYPE_CHECKING:
    from terrarium.language.functions.spec import Function


class Scope:
    """Variables and functions. `variables` None says that none may be used here, `functions` None the same of functions.

    A child sees what its parents have; `for` and splats make one for each item, so that is cheap. Keys of `variables`
    are names; a splat's own item is kept under its syntax node.
    """

    __slots__ = ("functions", "parent", "variables")

    def __init__(
        self,
        variables: Mapping[Any, Value] | None = None,
        functions: Mapping[str, Function] | None = None,
        parent: Scope | None = None,
    ) -> None:
        self.variables = variables
        self.functions: Mapping[str, Function] | None = functions
        if functions is None and parent is not None:
            self.functions = parent.functions
        self.parent = parent

    def child(self, variables: Mapping[Any, Value]) -> Scope:
        return Scope(variables, self.functions, self)

    def find(self, name: object) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            if scope.variables is not None and (found := scope.variables.get(name)) is not None:
                return found
            scope = scope.parent
        return None

    @property
    def allows_variables(self) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if scope.variables is not None:
                return True
            scope = scope.parent
        return False

    def names(self) -> Iterator[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from (name for name in scope.variables or () if isinstance(name, str))
            scope = scope.parent


NOTHING_ALLOWED = Scope()
"""For what must be constant: no variables, no functions."""
