"""`assert` blocks: conditions about what a run has made, evaluated with all that the module knows."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.base.suggest import nearest
from terrarium.engine.configuration import CheckRule
from terrarium.engine.evaluation import Evaluator
from terrarium.engine.references import Reference, parse
from terrarium.engine.testing.model import Run
from terrarium.engine.validate_references import Place, ReferenceRules
from terrarium.engine.walking import Session
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.evaluate import evaluate
from terrarium.language.explain import explain
from terrarium.language.references import references
from terrarium.language.scope import Scope
from terrarium.language.types import BOOL, STRING
from terrarium.language.values import EPHEMERAL, NULL, SENSITIVE, Value, object_of

_UNKNOWN = (
    "Condition expression could not be evaluated at this time. This means you have executed a `run` block with `command = "
    "plan` and one of the values your condition depended on is not known until after the plan has been applied. Either "
    "remove this value from your condition, or execute an `apply` command from this `run` block. Alternatively, if there is "
    "an override for this value, you can make it available during the plan phase by setting `override_during = plan` in the "
    "`override_` block."
)
_HIDDEN = {
    SENSITIVE: (
        "Error message refers to sensitive values",
        "The error expression used to explain this condition refers to sensitive values, so Terraform will not display the "
        "resulting message.\n\nYou can correct this by removing references to sensitive values, or by carefully using the "
        "nonsensitive() function if the expression will not reveal the sensitive data.",
    ),
    EPHEMERAL: (
        "Error message refers to ephemeral values",
        "The error expression used to explain this condition refers to ephemeral values, so Terraform will not display the "
        "resulting message.\n\nYou can correct this by removing references to ephemeral values.",
    ),
}


class Status(enum.Enum):
    """How a run or a file came out; the later, the worse."""

    PENDING = "pending"
    SKIP = "skip"
    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"

    def merged(self, other: Status) -> Status:
        order = list(Status)
        return max(self, other, key=order.index)


@dataclass(slots=True)
class Assertions:
    """Evaluates the assertions of one run. `outputs` are those of earlier runs, `names` all runs of the file."""

    session: Session
    outputs: Mapping[str, Value]
    names: Sequence[str]
    others: Mapping[str, Value]

    def check(self, run: Run) -> tuple[Status, list[Diagnostic]]:
        assert self.session.values is not None
        values = self.session.values
        values.variables.setdefault((), {}).update(
            {n: v for n, v in self.others.items() if n not in self.session.root.module.variables}
        )
        status, diagnostics = Status.PASS, []
        for rule in run.asserts:
            one, more = self._rule(rule)
            status = status.merged(one)
            diagnostics += more
        return status, diagnostics

    def _rule(self, rule: CheckRule) -> tuple[Status, list[Diagnostic]]:
        found: list[Reference] = []
        problems: list[Diagnostic] = []
        for expression in (rule.condition, rule.error_message):
            for traversal in references(expression) if expression is not None else ():
                reference, wrong = self._reference(traversal)
                problems += wrong
                if reference is not None:
                    found.append(reference)
        if has_errors(problems):
            return Status.ERROR, problems
        scope = self._scope(found)
        message, diagnostics = _message(rule, scope)
        value, more = evaluate(rule.condition, scope)
        diagnostics += more
        if has_errors(diagnostics):
            return Status.ERROR, diagnostics

        def refuse(summary: str, detail: str) -> tuple[Status, list[Diagnostic]]:
            shown = explain(rule.condition, scope)
            return Status.ERROR, [
                *diagnostics,
                Diagnostic(Severity.ERROR, summary, detail, rule.condition.range, values=shown),
            ]

        if value.data is NULL:
            return refuse("Invalid condition run", "Condition expression must return either true or false, not null.")
        if not value.is_known:
            return refuse("Unknown condition value", _UNKNOWN)
        try:
            value = convert(value, BOOL)
        except ConversionError as problem:
            return refuse("Invalid condition run", f"Invalid condition run value: {problem}.")
        if value.data is True:
            return Status.PASS, diagnostics
        failed = Diagnostic(
            Severity.ERROR,
            "Test assertion failed",
            message,
            rule.condition.range,
            values=explain(rule.condition, scope),
            extra="assert",
        )
        return Status.FAIL, [*diagnostics, failed]

    def _scope(self, found: Sequence[Reference]) -> Scope:
        session = self.session
        evaluator = Evaluator(
            session.root,
            session.values,  # type: ignore[arg-type]
            session.functions,
            session.workspace,
            session.working_folder,
            plugins=session.plugins,
            known=self._known,
        )
        return evaluator.scope((), found)

    def _known(self, reference: Reference) -> Value | None:
        assert self.session.values is not None
        if reference.kind == "output":
            return self.session.values.outputs.get((), {}).get(reference.name)
        return self.outputs.get(reference.name)

    def _reference(self, traversal: nodes.Traversal) -> tuple[Reference | None, list[Diagnostic]]:
        """What a traversal means in a test file, and what is wrong with it."""
        module = self.session.root
        if traversal.root == "output" and traversal.steps and isinstance(traversal.steps[0], nodes.Attr):
            name = traversal.steps[0].name
            end = traversal.steps[0].end
            reference = Reference("output", name, traversal, rest=traversal.steps[1:], end=end)
            if name in module.module.outputs:
                return reference, []
            near = nearest(name, module.module.outputs)
            hint = f' Did you mean "{near}"?' if near else ""
            detail = f'An output value with the name "{name}" has not been declared.{hint}'
            return None, [error("Reference to undeclared output value", detail, reference.range)]
        parsed = parse(traversal)
        if isinstance(parsed, Diagnostic):
            return None, [parsed]
        if parsed.kind == "run":
            return self._run_reference(parsed)
        if parsed.kind == "var" and parsed.name in self.others:
            return parsed, []
        rules = ReferenceRules(self.session.plugins)
        _, problems, _ = rules.check(module, [traversal], Place())
        hidden = " This variable can be declared with a variable "
        problems = [
            error(d.summary, d.detail.partition(hidden)[0], d.subject) if hidden in d.detail else d for d in problems
        ]
        return parsed, problems

    def _run_reference(self, reference: Reference) -> tuple[Reference | None, list[Diagnostic]]:
        if reference.name in self.outputs:
            return reference, []
        if reference.name in self.names:
            detail = (
                f'The run block "{reference.name}" has not executed yet. You can only reference run blocks that are in the '
                "same test file and will execute before the current run block."
            )
            return None, [error("Reference to unavailable run block", detail, reference.range)]
        near = nearest(reference.name, self.names)
        hint = f' Did you mean "{near}"?' if near else ""
        detail = f'There is no run "{reference.name}" declared in this test suite.{hint}'
        return None, [error("Reference to undeclared run block", detail, reference.range)]


def malformed(run: Run) -> list[Diagnostic]:
    """References in assertions which mean nothing at all: a run with such a one is not even begun."""
    found: list[Diagnostic] = []
    for rule in run.asserts:
        for expression in (rule.condition, rule.error_message):
            for traversal in references(expression) if expression is not None else ():
                reference = parse(traversal)
                if isinstance(reference, Diagnostic):
                    found.append(reference)
    return found


def _message(rule: CheckRule, scope: Scope) -> tuple[str, list[Diagnostic]]:
    """What the assertion says when it fails."""
    assert rule.error_message is not None
    value, found = evaluate(rule.error_message, scope)
    diagnostics = list(found)
    at = rule.error_message.range
    if has_errors(diagnostics):
        return "", diagnostics
    for mark, (summary, detail) in _HIDDEN.items():
        if mark in value.marks_deep:
            return "", [*diagnostics, Diagnostic(Severity.WARNING, summary, detail, at)]
    if not value.is_known:
        return "", diagnostics
    if value.data is NULL:
        wrong = "Unsuitable value for error message: must not be null."
        return "", [*diagnostics, error("Invalid error message", wrong, at)]
    try:
        text = convert(value, STRING).data
    except ConversionError as problem:
        return "", [*diagnostics, error("Invalid error message", f"Unsuitable value for error message: {problem}.", at)]
    return str(text).strip(), diagnostics


def outputs_value(session: Session) -> Value:
    """The outputs of the module under test, as later runs see them."""
    assert session.values is not None
    return object_of(session.values.outputs.get((), {}))
