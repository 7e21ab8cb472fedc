"""The variables of a run: from its own block, its file's, and what was given from outside, in this order.

What the module doesn't declare is kept too, since assertions may refer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from terrarium.base.diagnostics import Diagnostic, error, has_errors, warning
from terrarium.base.source import Pos, Range
from terrarium.base.suggest import nearest
from terrarium.engine import variables
from terrarium.engine.configuration import Module, Variable
from terrarium.engine.references import Reference, parse
from terrarium.engine.testing.model import Run, TestFile
from terrarium.engine.walking import typed_variable
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, format_path
from terrarium.language.evaluate import evaluate
from terrarium.language.references import references
from terrarium.language.scope import Scope
from terrarium.language.values import NULL, Value, object_of, unknown

Functions = Mapping[str, Any]
_NOWHERE = Range("", Pos(0, 0, 0), Pos(0, 0, 0))


@dataclass(slots=True)
class Inputs:
    """`values` are the module's variables, `others` what else has a value."""

    values: dict[str, Value] = field(default_factory=dict)
    others: dict[str, Value] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


@dataclass(slots=True)
class Known:
    """What may be referred to. `outputs` are those of earlier runs, `names` all runs of the file."""

    given: Mapping[str, variables.Given]
    functions: Functions
    outputs: Mapping[str, Value] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def inputs_of(run: Run, file: TestFile, module: Module, known: Known) -> Inputs:
    """All variables of a run, with what is wrong with them."""
    found = Inputs()
    outside = _Outside(module, known)
    used = _used(run, module)
    from_file: dict[str, Value] = {}
    for name, attribute in file.variables.items():
        if name in module.variables or name in used:
            value, problems = _evaluated(attribute.expression, known, outside.value, {}, _file_reference)
            found.diagnostics += problems
            from_file[name] = value
    if has_errors(found.diagnostics):
        return found

    def available(name: str) -> Value | None:
        return from_file[name] if name in from_file else outside.value(name)

    for name, attribute in run.variables.items():
        value, problems = _evaluated(attribute.expression, known, available, known.outputs, _run_reference)
        found.diagnostics += problems
        if has_errors(problems):
            continue
        variable = module.variables.get(name)
        if variable is not None:
            _fit(found, variable, value, attribute.expression)
            continue
        found.others[name] = value
        if name not in used:
            found.diagnostics.append(
                warning(
                    "Value for undeclared variable",
                    f'The module under test does not declare a variable named "{name}", but it is declared in run block '
                    f'"{run.name}".',
                    attribute.expression.range,
                )
            )
    for name, value in from_file.items():
        if name in run.variables:
            continue
        variable = module.variables.get(name)
        if variable is None:
            found.others[name] = value
        else:
            _fit(found, variable, value, file.variables[name].expression)
    for name, given in known.given.items():
        if name in found.values or name in found.others or name in run.variables:
            continue
        if name in module.variables:
            value_or_none, problems = variables.value_of(module.variables[name], given)
            found.diagnostics += problems
            found.values[name] = unknown(module.variables[name].type) if value_or_none is None else value_or_none
        elif name in used:
            loose = outside.value(name)
            if loose is not None:
                found.others[name] = loose
    for name, variable in module.variables.items():
        if name in found.values or name in run.variables:
            continue
        if variable.default is not None:
            found.values[name] = variable.default
            continue
        found.values[name] = unknown(variable.type)
        found.diagnostics.append(
            error(
                "No value for required variable",
                f'The module under test for run block "{run.name}" has a required variable "{name}" with no set value. Use a '
                '-var or -var-file command line argument or add this variable into a "variables" block within the test file '
                "or run block.",
                variable.range,
            )
        )
    return found


def _used(run: Run, module: Module) -> set[str]:
    """The variables that a run's own expressions refer to."""
    expressions: list[nodes.Expression] = [a.expression for a in run.variables.values()]
    for rule in run.asserts:
        expressions += [e for e in (rule.condition, rule.error_message) if e is not None]
    found = set()
    for expression in expressions:
        for traversal in references(expression):
            reference = parse(traversal)
            if isinstance(reference, Reference) and reference.kind == "var":
                found.add(reference.name)
    return found


def _fit(found: Inputs, variable: Variable, value: Value, written: nodes.Expression) -> None:
    """Converts a value to the variable's type."""
    found.values[variable.name] = unknown(variable.type)
    try:
        value = typed_variable(variable, value)
    except ConversionError as problem:
        where = format_path(problem.path)
        text = f"{where}: {problem.message}" if where else problem.message
        found.diagnostics.append(
            error(
                "Invalid value for input variable",
                f"The given value is not suitable for var.{variable.name} declared at {variable.range}: {text}.",
                written.range,
            )
        )
        return
    if value.data is NULL and not variable.is_nullable:
        found.diagnostics.append(
            error(
                "Required variable not set",
                f"The given value is not suitable for var.{variable.name} defined at {variable.range}: required variable "
                "may not be set to null.",
                written.range,
            )
        )
        return
    found.values[variable.name] = value


class _Outside:
    """The values given on the command line, in files and in the environment, as variables of a test file see them."""

    def __init__(self, module: Module, known: Known) -> None:
        self._module = module
        self._given = known.given

    def value(self, name: str) -> Value | None:
        given = self._given.get(name)
        if given is None:
            return None
        variable = self._module.variables.get(name) or Variable(name, _NOWHERE)
        value, _ = variables.value_of(variable, given)
        return value


Refuse = Callable[[Reference, Known], Diagnostic | None]


def _file_reference(reference: Reference, known: Known) -> Diagnostic | None:
    if reference.kind == "var":
        return None
    return error(
        "Invalid reference",
        "You can only reference global variables within the test file variables block.",
        reference.range,
    )


def _run_reference(reference: Reference, known: Known) -> Diagnostic | None:
    if reference.kind == "var":
        return None
    if reference.kind != "run":
        return error(
            "Invalid reference",
            "You can only reference earlier run blocks, file level, and global variables while defining variables from "
            "inside a run block.",
            reference.range,
        )
    if reference.name in known.outputs:
        return None
    if reference.name in known.names:
        return error(
            "Reference to unavailable run block",
            f'The run block "{reference.name}" has not executed yet. You can only reference run blocks that are in the same '
            "test file and will execute before the current run block.",
            reference.range,
        )
    return error(
        "Reference to unknown run block",
        f'The run block "{reference.name}" does not exist within this test file. You can only reference run blocks that are '
        "in the same test file and will execute before the current run block.",
        reference.range,
    )


def _evaluated(
    expression: nodes.Expression,
    known: Known,
    available: Callable[[str], Value | None],
    outputs: Mapping[str, Value],
    refuse: Refuse,
) -> tuple[Value, list[Diagnostic]]:
    """An expression of a `variables` block. Only some objects may be referred to there."""
    diagnostics: list[Diagnostic] = []
    found: dict[str, Value] = {}
    for traversal in _unique(references(expression)):
        reference = parse(traversal)
        if isinstance(reference, Diagnostic):
            diagnostics.append(reference)
            continue
        problem = refuse(reference, known)
        if problem is not None:
            diagnostics.append(problem)
            continue
        if reference.kind == "var":
            value = available(reference.name)
            if value is None:
                diagnostics.append(_unavailable(reference, refuse is _file_reference, known))
            else:
                found[reference.name] = value
    if diagnostics:
        return unknown(), diagnostics
    roots = {"var": object_of(found)} if found else {}
    if outputs:
        roots["run"] = object_of(dict(outputs))
    value, more = evaluate(expression, Scope(roots, known.functions))
    return value, [replace(d, values=()) for d in more]


def _unavailable(reference: Reference, in_file: bool, known: Known) -> Diagnostic:
    near = nearest(reference.name, known.given)
    where = "You can only reference global variables." if in_file else (
        "You can only reference variables defined at the file or global levels."
    )  # fmt: skip
    return error(
        "Reference to unavailable variable",
        f'The input variable "{reference.name}" is not available to the current context. {where}'
        + (f' Did you mean "{near}"?' if near else ""),
        reference.range,
    )


def _unique(found: Iterable[nodes.Traversal]) -> list[nodes.Traversal]:
    return list({(t.start, t.end): t for t in found}.values())
