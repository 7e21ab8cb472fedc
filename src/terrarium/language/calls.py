"""Calls of functions: arguments fitted to parameters, and what went wrong told as Terraform tells it.

The evaluator for the arguments is handed in (`value_of`), since each needs the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from terrarium.base.diagnostics import has_errors
from terrarium.base.suggest import nearest
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.explain import CalledFunction
from terrarium.language.functions.spec import ArgumentError, Diagnosed, FunctionError
from terrarium.language.mistakes import Diagnostics, Evaluate, fail
from terrarium.language.places import start_range
from terrarium.language.scope import Scope
from terrarium.language.text import quote
from terrarium.language.types import DYNAMIC, Dynamic, List, Set, Tuple
from terrarium.language.values import DYNAMIC_UNKNOWN, NULL, Unknown, Value


def call(value_of: Evaluate, e: nodes.Call, scope: Scope, diagnostics: Diagnostics) -> Value:
    function = scope.functions.get(e.name) if scope.functions is not None else None
    if function is None:
        return _unknown_function(e, scope, diagnostics)
    extra = CalledFunction(e.name, function)
    arguments: list[Any] = list(e.arguments)  # nodes, or values out of an expanded last argument
    if e.expand_final:
        expanded = _expand(value_of, e, scope, diagnostics, extra)
        if expanded is None:
            return DYNAMIC_UNKNOWN
        arguments[-1:] = expanded
    count = len(function.parameters)
    if len(arguments) < count:
        at_least = " at least" if function.variadic is not None else ""
        detail = (
            f"Function {quote(e.name)} expects{at_least} {count} argument(s). "
            f"Missing value for {quote(function.parameters[len(arguments)].name)}."
        )
        subject = e.source.range(e.end - 1, e.end)
        return fail(diagnostics, scope, e, "Not enough function arguments", detail, subject, e, extra)
    if function.variadic is None and len(arguments) > count:
        detail = f"Function {quote(e.name)} expects only {count} argument(s)."
        subject = start_range(_node(e, arguments, count))
        return fail(diagnostics, scope, e, "Too many function arguments", detail, subject, e, extra)
    if function.lazy is not None:
        closures = [_Closure(argument, scope, value_of) for argument in arguments]
        lazy = function.lazy
        return _result(e, lambda: lazy(closures), arguments, function, scope, diagnostics)
    before = len(diagnostics)
    values: list[Value] = []
    for i, argument in enumerate(arguments):
        value = argument if isinstance(argument, Value) else value_of(argument, scope, diagnostics)
        parameter = function.parameters[i] if i < count else function.variadic
        assert parameter is not None
        if value.type is not parameter.type and parameter.type is not DYNAMIC:
            try:
                value = convert(value, parameter.type)
            except ConversionError as wrong:
                _bad_argument(e, arguments, i, parameter.name, wrong.message, scope, diagnostics, extra)
        values.append(value)
    if len(diagnostics) > before and has_errors(diagnostics[before:]):
        return DYNAMIC_UNKNOWN
    return _result(e, lambda: function.call(values), arguments, function, scope, diagnostics)


class _Closure:
    """An argument for a lazy function: an expression with its scope, or a value out of an expanded last argument."""

    __slots__ = ("node", "scope", "value", "value_of")

    def __init__(self, argument: nodes.Expression | Value, scope: Scope, value_of: Evaluate) -> None:
        self.node = argument if isinstance(argument, nodes.Expression) else None
        self.value = argument if isinstance(argument, Value) else DYNAMIC_UNKNOWN
        self.scope = scope
        self.value_of = value_of

    def evaluate(self) -> tuple[Value, Diagnostics]:
        if self.node is None:
            return self.value, []
        found: Diagnostics = []
        value = self.value_of(self.node, self.scope, found)
        return (DYNAMIC_UNKNOWN if found and has_errors(found) else value), found


def _node(e: nodes.Call, arguments: Sequence[Any], index: int) -> nodes.Expression:
    argument = arguments[index]
    return argument if isinstance(argument, nodes.Expression) else e.arguments[-1]


def _bad_argument(
    e: nodes.Call,
    arguments: Sequence[Any],
    index: int,
    name: str,
    why: str,
    scope: Scope,
    diagnostics: Diagnostics,
    extra: CalledFunction,
) -> Value:
    node = _node(e, arguments, index)
    detail = f"Invalid value for {quote(name)} parameter: {why}."
    return fail(diagnostics, scope, node, "Invalid function argument", detail, start_range(node), e, extra)


def _result(
    e: nodes.Call,
    run: Callable[[], Value],
    arguments: Sequence[Any],
    function: Any,
    scope: Scope,
    diagnostics: Diagnostics,
) -> Value:
    extra = CalledFunction(e.name, function)
    try:
        return run()
    except ArgumentError as wrong:
        parameter = function.parameter(wrong.index)
        if parameter is not None and wrong.index < len(arguments):
            return _bad_argument(e, arguments, wrong.index, parameter.name, str(wrong), scope, diagnostics, extra)
        if parameter is not None:
            detail = f"Invalid value for {quote(parameter.name)} parameter: {wrong}."
            return fail(diagnostics, scope, e, "Invalid function argument", detail, extra=extra)
        message = str(wrong)
    except Diagnosed as wrong:
        diagnostics.extend(wrong.diagnostics)
        return DYNAMIC_UNKNOWN
    except FunctionError as wrong:
        message = str(wrong)
    detail = f"Call to function {quote(e.name)} failed: {message}."
    return fail(diagnostics, scope, e, "Error in function call", detail, start_range(e), e, extra)


def _expand(
    value_of: Evaluate, e: nodes.Call, scope: Scope, diagnostics: Diagnostics, extra: CalledFunction
) -> list[Value] | None:
    """The values of a last argument with `...`; None when they are not known, or wrong."""
    node = e.arguments[-1]
    before = len(diagnostics)
    value = value_of(node, scope, diagnostics)
    if has_errors(diagnostics[before:]):
        return None
    summary = "Invalid expanding argument value"
    if not isinstance(value.type, Dynamic | Tuple | List | Set):
        detail = "The expanding argument (indicated by ...) must be of a tuple, list, or set type."
        fail(diagnostics, scope, node, summary, detail, context=e, extra=extra)
        return None
    if value.data is NULL:
        detail = "The expanding argument (indicated by ...) must not be null."
        fail(diagnostics, scope, node, summary, detail, context=e, extra=extra)
        return None
    if isinstance(value.data, Unknown):
        return None
    return [member.with_marks(value.marks) for member in value.data]


def _unknown_function(e: nodes.Call, scope: Scope, diagnostics: Diagnostics) -> Value:
    if scope.functions is None:
        return fail(diagnostics, scope, e, "Function calls not allowed", "Functions may not be called here.")
    _, separator, name = e.name.rpartition("::")
    if separator:
        first, *others = e.name.split("::")
        if first != "provider":
            detail = (
                f'The function namespace {quote(first)} is not valid. Provider function calls must use the "provider::" '
                "namespace prefix."
            )
        elif len(others) < 2:
            detail = 'The function call must include the provider name after the "provider::" prefix.'
        else:
            detail = (
                f"There is no function named {quote(e.name)}. Ensure that provider name {quote(others[0])} is declared in this "
                f"module's required_providers block, and that this provider offers a function named {quote(name)}."
            )
        subject = e.source.range(e.start, e.name_end)
        return fail(diagnostics, scope, e, "Unknown provider function", detail, subject, e)
    near = nearest(e.name, sorted(scope.functions))
    hint = f" Did you mean {quote(near)}?" if near else ""
    detail = f"There is no function named {quote(e.name)}.{hint}"
    subject = e.source.range(e.start, e.name_end)
    return fail(diagnostics, scope, e, "Call to unknown function", detail, subject, e)
