"""Changing types and marks; `try` and `can`; the console's `type`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.base.diagnostics import Diagnostic, has_errors
from terrarium.language.convert import ConversionError, conversion, convert
from terrarium.language.functions.spec import ArgumentError, Closure, Function, FunctionError, Parameter, anything
from terrarium.language.mismatch import mismatch
from terrarium.language.text import quote
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, TYPE, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import (
    DYNAMIC_UNKNOWN,
    EPHEMERAL,
    FALSE,
    NULL,
    SENSITIVE,
    TRUE,
    TYPE_MARK,
    Unknown,
    Value,
)


def _to(wanted: Type) -> Function:
    def returns(values: Sequence[Value]) -> Type:
        given = values[0].type
        if given != wanted and conversion(given, wanted) is None:
            match given, wanted:
                case (Tuple(), Tuple()) | (Object(), Object()):
                    message = f"incompatible {given.friendly()} type for conversion: {mismatch(given, wanted)}"
                case _:
                    message = f"cannot convert {given.friendly()} to {wanted.friendly_constraint()}"
            raise ArgumentError(0, message)
        return wanted

    def body(values: Sequence[Value], type: Type) -> Value:
        value = values[0]
        try:
            return convert(value, type)
        except ConversionError:
            pass
        given = value.type.friendly()
        target = wanted.friendly_constraint()
        if SENSITIVE in value.marks_deep:
            message = f"cannot convert this sensitive {given} to {target}"
        elif value.type == STRING and wanted == BOOL:
            message = f'cannot convert {quote(value.data)} to bool; only the strings "true" or "false" are allowed'
        elif value.type == STRING and wanted == NUMBER:
            shown = quote(value.data)
            message = f"cannot convert {shown} to number; given string must be a decimal representation of a number"
        else:
            message = f"cannot convert {given} to {target}"
        raise ArgumentError(0, message)

    # Nothing is carried over from what is unknown but its marks.
    only = Parameter("v", DYNAMIC, allow_null=True, allow_dynamic=True, allow_marked=True)
    return Function((only,), returns, body, not_null=False)


# --- marks -----------------------------------------------------------------------------------------------------------


def _sensitive(values: Sequence[Value], _: Type) -> Value:
    return values[0].marked(SENSITIVE)


def _nonsensitive(values: Sequence[Value], _: Type) -> Value:
    value = values[0]
    return Value(value.type, value.data, value.marks - {SENSITIVE})


def _is_sensitive(values: Sequence[Value], type: Type) -> Value:
    if SENSITIVE in values[0].marks:
        return TRUE
    return Value(type, Unknown()) if isinstance(values[0].data, Unknown) else FALSE


def without_ephemeral(value: Value) -> Value:
    """Null in place of every part that is ephemeral."""
    marks = value.marks - {EPHEMERAL}
    if EPHEMERAL in value.marks:
        return Value(value.type, NULL, marks)
    data = value.data
    if isinstance(data, dict):
        return Value(value.type, {key: without_ephemeral(member) for key, member in data.items()}, marks)
    if isinstance(data, tuple):
        return Value(value.type, tuple(without_ephemeral(member) for member in data), marks)
    return value


def _same_type(values: Sequence[Value]) -> Type:
    return values[0].type


def _marking(body: object) -> Function:
    return Function((anything("value"),), _same_type, body, not_null=False)  # type: ignore[arg-type]


# --- try and can -----------------------------------------------------------------------------------------------------


def _try(closures: Sequence[Closure]) -> Value:
    if not closures:
        raise FunctionError("at least one argument is required")
    found: list[Diagnostic] = []
    for closure in closures:
        value, diagnostics = closure.evaluate()
        found.extend(diagnostics)
        if has_errors(diagnostics):
            continue
        # With anything unknown inside, this argument may yet fail, and another be taken.
        return value if value.is_wholly_known else DYNAMIC_UNKNOWN
    lines = [
        f"- {d.summary} (at {d.subject})\n  {d.detail}\n" if d.subject else f"- {d.summary}\n  {d.detail}\n"
        for d in found
    ]
    raise FunctionError(
        "no expression succeeded:\n" + "".join(lines) + "\nAt least one expression must produce a successful result"
    )


def _can(closures: Sequence[Closure]) -> Value:
    value, diagnostics = closures[0].evaluate()
    if has_errors(diagnostics):
        return FALSE
    return TRUE if value.is_wholly_known else Value(BOOL, Unknown())


def _never(values: Sequence[Value], _: Type) -> Value:
    raise AssertionError("lazy functions are called with closures")


def _type_of(values: Sequence[Value], _: Type) -> Value:
    return Value(TYPE, values[0].type, frozenset({TYPE_MARK}))


def _gone(name: str, instead: str) -> Function:
    def returns(values: Sequence[Value]) -> Type:
        raise FunctionError(
            f'the "{name}" function was deprecated in Terraform v0.12 and is no longer available; use {instead} syntax to '
            f"write a literal {name}"
        )

    return Function((), returns, _never, variadic=anything("vals"))


CONSOLE_FUNCTIONS: Mapping[str, Function] = {
    "type": Function(
        (Parameter("value", DYNAMIC, allow_null=True, allow_unknown=True, allow_dynamic=True),), TYPE, _type_of
    ),
}

FUNCTIONS: Mapping[str, Function] = {
    "can": Function((Parameter("expression", DYNAMIC),), BOOL, _never, lazy=_can),
    "ephemeralasnull": _marking(lambda values, _: without_ephemeral(values[0])),
    "issensitive": Function((anything("value"),), BOOL, _is_sensitive, not_null=False),
    "list": _gone("list", "tolist([ ... ])"),
    "map": _gone("map", "tomap({ ... })"),
    "nonsensitive": _marking(_nonsensitive),
    "sensitive": _marking(_sensitive),
    "tobool": _to(BOOL),
    "tolist": _to(List(DYNAMIC)),
    "tomap": _to(Map(DYNAMIC)),
    "tonumber": _to(NUMBER),
    "toset": _to(Set(DYNAMIC)),
    "tostring": _to(STRING),
    "try": Function((), DYNAMIC, _never, variadic=Parameter("expressions", DYNAMIC), lazy=_try),
}
