"""Conditions: preconditions, postconditions, assertions, and the record of how they came out.

`Checks` gathers results by configuration object, from several threads, and reports them in the form that plans and
states keep.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from terrarium.base.diagnostics import Diagnostic, Severity, has_errors
from terrarium.engine.addresses import ModuleInstance, module_text, path_of, path_text
from terrarium.engine.configuration import CheckRule
from terrarium.engine.evaluation import Diagnostics, Evaluator, Repetition
from terrarium.engine.state import CheckResult
from terrarium.language.convert import ConversionError, convert
from terrarium.language.explain import explain
from terrarium.language.scope import Scope
from terrarium.language.types import BOOL, STRING
from terrarium.language.values import EPHEMERAL, NULL, SENSITIVE, Value

PASS, FAIL, UNKNOWN, ERROR = "pass", "fail", "unknown", "error"
_SUMMARY = {
    "precondition": "Resource precondition failed",
    "postcondition": "Resource postcondition failed",
    "output precondition": "Module output value precondition failed",
    "assert": "Check block assertion failed",
    "validation": "Invalid value for variable",
}
_UNKNOWN_ASSERT = "The condition could not be evaluated at this time, a result will be known when this plan is applied."


class Origin(str):
    """`extra` of what a condition says: equal to "check", and it knows the object that the condition belongs to."""

    __slots__ = ("address", "config", "kind")
    kind: str
    config: str
    address: str

    @classmethod
    def of(cls, kind: str, config: str, address: str) -> Origin:
        origin = cls("check")
        origin.kind, origin.config, origin.address = kind, config, address
        return origin


def originating(diagnostics: Sequence[Diagnostic], kind: str, config: str, address: str) -> Diagnostics:
    """Diagnostics of conditions, with the object they come from. `kind` as in `Checks`."""
    return [replace(d, extra=Origin.of(kind, config, address)) if d.extra == "check" else d for d in diagnostics]


def of_nested_data(diagnostics: Sequence[Diagnostic], module: ModuleInstance, check: str) -> Diagnostics:
    """What a check's own data source says: its errors become warnings, and belong to the check."""
    origin = Origin.of("check", _named(path_text(path_of(module)), check), _named(module_text(module), check))
    return [
        replace(d, severity=Severity.WARNING, extra=origin) if d.severity is Severity.ERROR else d for d in diagnostics
    ]


def _named(module: str, check: str) -> str:
    return f"{module}.check.{check}" if module else f"check.{check}"


def _worst(statuses: Sequence[str]) -> str:
    for status in (ERROR, FAIL, UNKNOWN):
        if status in statuses:
            return status
    return PASS


class Checks:
    """Results of conditions. An object is known from `expect` on; it is `unknown` until something is reported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[tuple[str, str], dict[str, dict[tuple[str, int], tuple[str, str]]]] = {}

    def expect(self, kind: str, config: str) -> None:
        with self._lock:
            self._objects.setdefault((kind, config), {})

    def report(self, kind: str, config: str, address: str, rule: tuple[str, int], status: str, message: str) -> None:
        with self._lock:
            objects = self._objects.setdefault((kind, config), {})
            objects.setdefault(address, {})[rule] = (status, message)

    def expect_object(self, kind: str, config: str, address: str) -> None:
        with self._lock:
            self._objects.setdefault((kind, config), {}).setdefault(address, {})

    def failed(self, kind: str, config: str, address: str) -> bool:
        """Whether something about an object has failed already."""
        rules = self._objects.get((kind, config), {}).get(address, {})
        return any(status in (FAIL, ERROR) for status, _ in rules.values())

    def results(self) -> tuple[CheckResult, ...]:
        found = []
        for (kind, config), objects in sorted(self._objects.items()):
            rows = []
            for address, rules in sorted(objects.items()):
                status = _worst([s for s, _ in rules.values()]) if rules else UNKNOWN
                messages = tuple(sorted(m for s, m in rules.values() if s == FAIL and m))
                rows.append((address, status, messages))
            overall = _worst([status for _, status, _ in rows]) if rows else UNKNOWN
            found.append(CheckResult(kind, config, overall, tuple(rows)))
        return tuple(found)

    def __bool__(self) -> bool:
        return bool(self._objects)


def evaluate_rule(
    evaluator: Evaluator,
    module: ModuleInstance,
    rule: CheckRule,
    what: str,
    repetition: Repetition | None = None,
    self_value: Value | None = None,
    severity: Severity = Severity.ERROR,
) -> tuple[str, str, Diagnostics]:
    """One condition: (status, message, diagnostics). `what` is a key of `_SUMMARY`."""
    found = list(evaluator.references(rule.condition))
    if rule.error_message is not None:
        found += evaluator.references(rule.error_message)
    scope = evaluator.scope(module, found, repetition, self_value)
    return evaluate_in(scope, rule, what, severity, evaluator.applying)


def evaluate_in(
    scope: Scope, rule: CheckRule, what: str, severity: Severity = Severity.ERROR, applying: bool = False
) -> tuple[str, str, Diagnostics]:
    from terrarium.language.evaluate import evaluate

    value, diagnostics = evaluate(rule.condition, scope)
    diagnostics = [replace(d, severity=severity) for d in diagnostics]
    if any(d for d in diagnostics if d.severity is severity):
        return ERROR, "", diagnostics

    subject = "validation condition" if what == "validation" else "condition"
    wrong = "Invalid variable validation result" if what == "validation" else "Invalid condition result"

    def refuse(detail: str, summary: str = wrong) -> tuple[str, str, Diagnostics]:
        problem = Diagnostic(severity, summary, detail, rule.condition.range, values=explain(rule.condition, scope))
        return ERROR, "", [*diagnostics, problem]

    if not value.is_known:
        if what == "assert":
            later = Diagnostic(
                Severity.WARNING,
                "Check block assertion known after apply",
                _UNKNOWN_ASSERT,
                rule.condition.range,
                values=explain(rule.condition, scope),
                extra="check",
            )
            return UNKNOWN, "", [*diagnostics, later]
        return UNKNOWN, "", diagnostics
    if value.data is NULL:
        return refuse(f"{subject[0].upper()}{subject[1:]} expression must return either true or false, not null.")
    try:
        value = convert(value, BOOL)
    except ConversionError as problem:
        return refuse(f"Invalid {subject} result value: {problem}.")
    if value.data is True:
        return PASS, "", diagnostics
    message, more = _message(scope, rule, what)
    summary = _SUMMARY[what]
    failed = Diagnostic(
        severity, summary, message, rule.condition.range, values=explain(rule.condition, scope), extra="check"
    )
    return FAIL, message, [*diagnostics, *more, failed]


# Marks of values which no message may tell: their article, and what may be done about it.
_WITHHELD = {
    SENSITIVE: (
        "a",
        "carefully using the nonsensitive() function if the expression will not reveal the sensitive data.",
    ),
    EPHEMERAL: (
        "an",
        "using the ephemeralasnull() function on the references to not reveal ephemeral data.",
    ),
}


def _message(scope: Scope, rule: CheckRule, what: str) -> tuple[str, Diagnostics]:
    from terrarium.language.evaluate import evaluate

    default = "This check failed, but has an invalid error message as described in the other accompanying messages."
    if rule.error_message is None:
        return "This check failed, but has no error message.", []
    value, diagnostics = evaluate(rule.error_message, scope)
    if has_errors(diagnostics):
        return default, list(diagnostics)
    at = rule.error_message.range
    if not value.is_known:
        return "Error message is not known yet.", [
            Diagnostic(
                Severity.ERROR,
                "Invalid error message",
                "Unsuitable value for error message: expression refers to values that won't be known until the apply phase.",
                at,
                values=explain(rule.error_message, scope, unknown=True),
            )
        ]
    if value.data is NULL:
        return default, [
            Diagnostic(
                Severity.ERROR, "Invalid error message", "Unsuitable value for error message: must not be null.", at
            )
        ]
    try:
        value = convert(value, STRING)
    except ConversionError as problem:
        return default, [
            Diagnostic(Severity.ERROR, "Invalid error message", f"Unsuitable value for error message: {problem}.", at)
        ]
    for mark, (article, withheld) in _WITHHELD.items():
        if mark in value.marks_deep:
            own = what == "validation"
            text = (
                f"The error message included {article} {mark} value, so it will not be displayed." if own else default
            )
            warning = Diagnostic(
                Severity.WARNING,
                f"Error message refers to {mark} values",
                f"The error expression used to explain this condition refers to {mark} values, so Terraform will not display "
                f"the resulting message.\n\nYou can correct this by removing references to {mark} values, or by {withheld}",
                at,
                values=explain(rule.error_message, scope, sensitive=mark == SENSITIVE) if own else (),
            )
            return text, [warning]
    empty = "Failed to evaluate condition error message." if what == "validation" else default
    return value.data.strip() or empty, list(diagnostics)
