"""`import` blocks: which existing objects are to be taken in, under which addresses."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.engine.addresses import ConfigResource, Instance, ModulePath
from terrarium.engine.configuration import Import
from terrarium.engine.evaluation import Evaluator, Repetition
from terrarium.engine.expansion import for_each
from terrarium.engine.references import MoveEnd, module_and_resource
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.evaluate import evaluate
from terrarium.language.explain import explain
from terrarium.language.scope import Scope
from terrarium.language.types import STRING
from terrarium.language.values import EPHEMERAL, NULL, SENSITIVE, Value

Diagnostics = list[Diagnostic]


def static_target(to: nodes.Expression) -> ConfigResource | None:
    """The resource that an import block is for, whatever its keys are."""
    expression = to
    while isinstance(expression, nodes.IndexExpression | nodes.RelativeTraversal):
        expression = expression.collection if isinstance(expression, nodes.IndexExpression) else expression.of
    if not isinstance(expression, nodes.Traversal):
        return None
    end = module_and_resource(expression)
    if isinstance(end, Diagnostic) or end.is_module:
        return None
    path: ModulePath = tuple(name for name, _ in end.module)
    return ConfigResource(path, end.mode, end.type, end.name)


def evaluate_import(evaluator: Evaluator, block: Import) -> tuple[dict[Instance, str], Diagnostics]:
    """The addresses and ids that one block gives."""
    if block.for_each is None:
        return _one(evaluator, block, None)
    keys, diagnostics = for_each(evaluator, (), block.for_each, allow_unknown=False)
    found: dict[Instance, str] = {}
    for key in keys.keys:
        more, said = _one(evaluator, block, keys.repetition(key))
        found.update(more)
        diagnostics += said
    return found, diagnostics


def _one(evaluator: Evaluator, block: Import, repetition: Repetition | None) -> tuple[dict[Instance, str], Diagnostics]:
    target, diagnostics = _target(evaluator, block.to, repetition)
    if target is None:
        return {}, diagnostics
    scope = evaluator.scope((), evaluator.references(block.id), repetition)
    value, more = evaluate(block.id, scope)
    diagnostics += more
    if has_errors(diagnostics):
        return {}, diagnostics
    problem = import_id_problem(value)
    if problem:
        return {}, [
            *diagnostics,
            Diagnostic(
                Severity.ERROR, "Invalid import id argument", problem, block.id.range, values=explain(block.id, scope)
            ),
        ]
    return {target: convert(value, STRING).data}, diagnostics


def import_id_problem(value: Value) -> str:
    """What is wrong with the value of an `id`, or ""."""
    if value.data is NULL:
        return "The import ID cannot be null."
    if not value.is_known:
        return (
            'The import block "id" argument depends on resource attributes that cannot be determined until apply, so '
            "Terraform cannot plan to import this resource."
        )
    if SENSITIVE in value.marks:
        return "The import ID cannot be sensitive."
    if EPHEMERAL in value.marks:
        return "The import ID cannot be ephemeral."
    try:
        text = convert(value, STRING).data
    except ConversionError as problem:
        return f"The import ID value is unsuitable: {problem}."
    if text == "":
        return "The import ID value evaluates to an empty string, please provide a non-empty value."
    return ""


def _target(
    evaluator: Evaluator, to: nodes.Expression, repetition: Repetition | None
) -> tuple[Instance | None, Diagnostics]:
    end: MoveEnd | Diagnostic
    if isinstance(to, nodes.IndexExpression) and isinstance(to.collection, nodes.Traversal):
        end = module_and_resource(to.collection)
        if isinstance(end, Diagnostic):
            return None, [end]
        key, diagnostics = evaluator.evaluate(to.key, (), repetition)
        if has_errors(diagnostics) or not key.is_known or not isinstance(key.data, str | int):
            said = diagnostics or [
                error("Invalid index expression", "Import block contained an invalid index expression.", to.key.range)
            ]
            return None, said
        data = key.data if isinstance(key.data, str) else int(key.data)
        return Instance(end.module, end.mode, end.type, end.name, data), []
    if not isinstance(to, nodes.Traversal):
        return None, [error("Invalid import address", "The import address is not a resource address.", to.range)]
    end = module_and_resource(to)
    if isinstance(end, Diagnostic):
        return None, [end]
    return Instance(end.module, end.mode, end.type, end.name, end.key), []


__all__ = ["Scope", "evaluate_import", "import_id_problem", "static_target"]
