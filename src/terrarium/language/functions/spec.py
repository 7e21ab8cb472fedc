"""What a function is: its parameters, the type of its result, and its few real lines.

Null, unknown and marked arguments are handled here once for all functions (go-cty's `function.Spec`): unless a
parameter says otherwise, null is refused, an unknown argument makes the result unknown, and all marks of the arguments
go to the result. The caller converts arguments to the types of their parameters first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, Dynamic, List, Type
from terrarium.language.unknowns import refined
from terrarium.language.values import NOT_NULL, NULL, UNREFINED, Mark, Unknown, Value

if TYPE_CHECKING:
    from terrarium.base.diagnostics import Diagnostic
    from terrarium.language.nodes import Expression


class FunctionError(Exception):
    """A call failed; `str()` is a clause without a full stop."""


class ArgumentError(FunctionError):
    """One argument does not do. `index` counts all arguments from 0."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: Type
    allow_null: bool = False
    allow_unknown: bool = False
    allow_dynamic: bool = False
    allow_marked: bool = False
    description: str = ""


Body = Callable[[Sequence[Value], Type], Value]
Returns = Type | Callable[[Sequence[Value]], Type]


class Diagnosed(FunctionError):
    """The mistakes of an argument that a lazy function evaluated; they are shown as they are."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("an argument is wrong")
        self.diagnostics = tuple(diagnostics)


class Closure(Protocol):
    """An argument that is not evaluated yet. `node` is None for a member of an expanded last argument."""

    node: Expression | None

    def evaluate(self) -> tuple[Value, list[Diagnostic]]: ...


@dataclass(frozen=True, slots=True)
class Function:
    """`returns` is a type, or finds it from the arguments (which may be unknown). `body` gets arguments and that type.
    A `whole` body finds the type with the value: `returns` is then asked only when something is unknown, so that a
    document is read once.

    `not_null`: the result is never null, which an unknown result then knows too. `lazy` functions get closures of their
    arguments in place of values (`try`, `can`).
    """

    parameters: tuple[Parameter, ...]
    returns: Returns
    body: Body
    variadic: Parameter | None = None
    not_null: bool = True
    description: str = ""
    lazy: Callable[[Sequence[Closure]], Value] | None = field(default=None, repr=False)
    whole: bool = False

    def parameter(self, index: int) -> Parameter | None:
        return self.parameters[index] if index < len(self.parameters) else self.variadic

    def call(self, arguments: Sequence[Value]) -> Value:
        """The result; FunctionError or ArgumentError when there is none."""
        values = list(arguments)
        marks: frozenset[Mark] = frozenset()
        hidden = open_type = False
        for i, value in enumerate(values):
            parameter = self.parameter(i)
            assert parameter is not None
            if not parameter.allow_marked:
                inside = value.marks_deep
                if inside:
                    marks |= inside
                    values[i] = value = value.unmarked_deep()
            if open_type:
                continue
            data = value.data
            if data is NULL and not parameter.allow_null:
                raise ArgumentError(i, "argument must not be null")
            if isinstance(data, Unknown) and not parameter.allow_unknown:
                hidden = True
            open_type = value.type is DYNAMIC and not parameter.allow_dynamic
        if open_type:
            # Even the type of the result is open; what follows in the call isn't looked at.
            return Value(DYNAMIC, UNREFINED, marks)
        if self.whole and not hidden:
            type: Type = DYNAMIC
        else:
            type = self.returns if isinstance(self.returns, Type) else self.returns(values)
        if hidden:
            result = Value(type, UNREFINED)
        else:
            result = self.body(values, type)
        if self.not_null and isinstance(result.data, Unknown) and not isinstance(result.type, Dynamic):
            result = refined(result.type, replace(result.data, not_null=True), result.marks)
        return result.with_marks(marks) if marks else result


def parameters(*pairs: tuple[str, Type]) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, type) for name, type in pairs)


WRAP: Final[dict[Type, Callable[[Any], Value]]] = {
    STRING: lambda x: Value(STRING, x),
    BOOL: lambda x: Value(BOOL, bool(x)),
    NUMBER: lambda x: Value(NUMBER, x),
    List(STRING): lambda x: Value(List(STRING), tuple(Value(STRING, s) for s in x)),
}


def anything(name: str, *, marked: bool = True) -> Parameter:
    """A parameter for any value: of every type, null and unknown ones too, and (if `marked`) with its marks."""
    return Parameter(name, DYNAMIC, allow_null=True, allow_unknown=True, allow_dynamic=True, allow_marked=marked)


def plain(pairs: Sequence[tuple[str, Type]], returns: Type, compute: Callable[..., Any]) -> Function:
    """A function of known, unmarked payloads: `compute` takes and gives plain Python values."""
    wrap = WRAP[returns]
    return Function(parameters(*pairs), returns, lambda values, _: wrap(compute(*(v.data for v in values))))


def unknown_of(type: Type) -> Value:
    return Value(type, UNREFINED if isinstance(type, Dynamic) else NOT_NULL)
