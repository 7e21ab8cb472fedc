"""The functions of the built-in provider: files of variables read and written, and values written as expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.engine.addresses import quoted
from terrarium.engine.provider import Parameter, Signature, ValueResult
from terrarium.language.format import format_fragment, format_text
from terrarium.language.numbers import to_text
from terrarium.language.types import DYNAMIC, STRING
from terrarium.language.values import DYNAMIC_UNKNOWN, NULL, Value, null, object_of, string

_NAME = re.compile(r"[^\W\d][\w-]*\Z")

SIGNATURES: Mapping[str, Signature] = {
    "decode_tfvars": Signature(
        (Parameter("src", STRING),),
        DYNAMIC,
        summary="Parse a string containing syntax like that used in a `.tfvars` file",
        description="A rarely-needed function which takes a string containing the content of a `.tfvars` file and returns an "
        "object describing the raw variable values it defines.",
    ),
    "encode_expr": Signature(
        (Parameter("value", DYNAMIC),),
        STRING,
        summary="Produce a string representation of an arbitrary value using Terraform expression syntax",
        description="A rarely-needed function which takes any value and produces a string containing Terraform language "
        "expression syntax approximating that value.",
    ),
    "encode_tfvars": Signature(
        (Parameter("value", DYNAMIC),),
        STRING,
        summary="Produce a string representation of an object using the same syntax as for `.tfvars` files",
        description="A rarely-needed function which takes an object value and produces a string containing a description of "
        "that object using the same syntax as Terraform CLI would expect in a `.tfvars`.",
    ),
}


def call(function: str, arguments: Sequence[Value]) -> ValueResult:
    """Calls one of the functions."""
    body = _BODIES.get(function)
    if body is None:
        return ValueResult(null(), (error("Unknown function", f"There is no function {function}."),))
    return body(arguments[0])


def expression(value: Value) -> str:
    """A value as an expression."""
    data = value.data
    if data is NULL:
        return "null"
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, str):
        return quoted(data)
    if isinstance(data, dict):
        rows = [f"{name(k)} = {expression(v)}" for k, v in data.items()]
        return "{\n" + "\n".join(rows) + "\n}" if rows else "{}"
    if isinstance(data, tuple):
        return "[" + ", ".join(map(expression, data)) + "]"
    return to_text(data)


def name(text: str) -> str:
    """A key of an object: bare where it may be."""
    return text if _NAME.match(text) else quoted(text)


def _refused(text: str) -> ValueResult:
    return ValueResult(null(), (Diagnostic(Severity.ERROR, "Error in function call", text, attribute=(0,)),))


def _failed(text: str) -> ValueResult:
    """Says that the call as a whole went wrong, not its argument alone."""
    return ValueResult(null(), (Diagnostic(Severity.ERROR, "Error in function call", text),))


def _told(diagnostics: Sequence[Diagnostic]) -> str:
    """Diagnostics in one line, as hcl tells them: the first, and how many there are besides."""
    first, *others = diagnostics
    text = f"{first.subject}: {first.summary}; {first.detail}"
    return f"{text}, and {len(others)} other diagnostic(s)" if others else text


def _encode_expression(value: Value) -> ValueResult:
    if not value.is_wholly_known:
        return ValueResult(Value(STRING, DYNAMIC_UNKNOWN.data))
    return ValueResult(string(format_fragment(expression(value))))


def _encode_variables(value: Value) -> ValueResult:
    if value.data is NULL:
        return _refused("cannot encode a null value in tfvars syntax")
    if not value.is_wholly_known:
        return ValueResult(Value(STRING, DYNAMIC_UNKNOWN.data))
    if not isinstance(value.data, dict):
        return _refused(
            "invalid value to encode: must be an object whose attribute names will become the encoded variable names"
        )
    bad = next((k for k in value.data if not _NAME.match(k)), None)
    if bad is not None:
        return _refused(
            f'invalid variable name "{bad}": must be a valid identifier, per Terraform\'s rules for input variable declarations'
        )
    rows = "".join(f"{k} = {expression(v)}\n" for k, v in value.data.items())
    return ValueResult(string(format_text(rows)))


def _decode_variables(value: Value) -> ValueResult:
    from terrarium.engine.loading import parse_text
    from terrarium.language.bodies import just_attributes
    from terrarium.language.evaluate import evaluate
    from terrarium.language.scope import Scope

    if value.data is NULL:
        return _refused("cannot decode tfvars from a null value")
    if not value.is_known:
        return ValueResult(DYNAMIC_UNKNOWN)
    file, problems = parse_text(value.data.encode(), "<decode_tfvars argument>")
    if has_errors(problems):
        return _failed(f"invalid tfvars syntax: {_told(problems)}")
    attributes, problems = just_attributes(file.body)
    if has_errors(problems):
        return _failed(f"invalid tfvars syntax: {_told(problems)}")
    found: dict[str, Value] = {}
    for key, attribute in attributes.items():
        found[key], said = evaluate(attribute.expression, Scope({}, {}))
        if has_errors(said):
            return _failed(f"invalid expression for variable {quoted(key)}: {_told(said)}")
    return ValueResult(object_of(found))


_BODIES: dict[str, Callable[[Value], ValueResult]] = {
    "decode_tfvars": _decode_variables,
    "encode_expr": _encode_expression,
    "encode_tfvars": _encode_variables,
}
