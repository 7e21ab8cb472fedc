"""The values that explain a message: "var.n is 3", in Terraform's words, without telling what is sensitive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.language import nodes
from terrarium.language.numbers import to_general
from terrarium.language.operations import OperationError, attribute, element
from terrarium.language.references import references
from terrarium.language.scope import Scope
from terrarium.language.text import quote
from terrarium.language.types import BOOL, NUMBER, STRING, Dynamic, Object
from terrarium.language.values import EPHEMERAL, NULL, SENSITIVE, Unknown, Value

if TYPE_CHECKING:
    from terrarium.language.functions.spec import Function


@dataclass(frozen=True, slots=True)
class CalledFunction:
    """What stands in `Diagnostic.extra` of a mistake in a function call: "while calling format(format, args...)"."""

    name: str
    function: Function

    @property
    def signature(self) -> str:
        """`format(format, args...)`, the name without its namespace."""
        names = [p.name for p in self.function.parameters]
        if self.function.variadic is not None:
            names.append(f"{self.function.variadic.name}...")
        return f"{self.name.rpartition('::')[2]}({', '.join(names)})"


def explain(
    expression: nodes.Expression,
    scope: Scope,
    *,
    unknown: bool = False,
    sensitive: bool = False,
    ephemeral: bool = False,
) -> tuple[tuple[str, str], ...]:
    """(reference, statement) for each reference of the expression whose value may be told.

    `unknown`, `sensitive` and `ephemeral` say that just this caused the message, so that it is worth a statement.
    """
    found: dict[str, str] = {}
    for traversal in references(expression):
        steps = traversal.steps
        root = scope.find(traversal.root)
        while steps and root is not None:
            value = _follow(root, steps)
            if value is None:
                steps = steps[:-1]
                continue
            text = traversal_text(traversal.root, steps)
            if text not in found:
                statement = _statement(value, unknown, sensitive, ephemeral)
                if statement is not None:
                    found[text] = statement
            break
    return tuple(sorted(found.items()))


def _follow(value: Value, steps: tuple[nodes.Step, ...]) -> Value | None:
    try:
        for step in steps:
            value = attribute(value, step.name) if isinstance(step, nodes.Attr) else element(value, step.key)
    except OperationError:
        return None
    return value


def traversal_text(root: str, steps: tuple[nodes.Step, ...]) -> str:
    """`var.a["x"][0]`."""
    text = root
    for step in steps:
        text += f".{step.name}" if isinstance(step, nodes.Attr) else f"[{compact(step.key)}]"
    return text


def _statement(value: Value, unknown: bool, sensitive: bool, ephemeral: bool) -> str | None:
    marks = value.marks
    if SENSITIVE in marks and EPHEMERAL in marks:
        return "has an ephemeral, sensitive value" if sensitive and ephemeral else None
    if SENSITIVE in marks:
        return "has a sensitive value" if sensitive else None
    if EPHEMERAL in marks:
        return "has an ephemeral value" if ephemeral else None
    if isinstance(value.data, Unknown):
        if isinstance(value.type, Dynamic):
            return "will be known only after apply" if unknown else None
        words = value.type.friendly()
        return f"is a {words}{_length(value)}, known only after apply" if unknown else f"is a {words}"
    return f"is {compact(value)}"


_MOST_TOLD = 1024


def _length(value: Value) -> str:
    low, high = value.data.min_length, value.data.max_length
    if not value.type.is_collection:
        return ""
    if low == high:
        return f" of length {low}"
    told = high is not None and high <= _MOST_TOLD
    if low:
        return f" with between {low} and {high} elements" if told else f" with at least {low} elements"
    return f" with up to {high} elements" if told else ""


def compact(value: Value) -> str:
    """A value on one line: primitives whole, others by type and size."""
    if SENSITIVE in value.marks:
        return "(sensitive value)"
    if EPHEMERAL in value.marks:
        return "(ephemeral value)"
    data, type = value.data, value.type
    if data is NULL:
        return "null"
    if isinstance(data, Unknown):
        return "(not yet known)"
    if type == BOOL:
        return "true" if data else "false"
    if type == NUMBER:
        return to_general(data)
    if type == STRING:
        return quote(data)
    if isinstance(type, Object):
        if len(data) == 1:
            return f"object with 1 attribute {quote(next(iter(data)))}"
        return f"object with {len(data)} attributes" if data else "object with no attributes"
    words = type.friendly()
    if len(data) == 1:
        return f"{words} with 1 element"
    return f"{words} with {len(data)} elements" if data else f"empty {words}"
