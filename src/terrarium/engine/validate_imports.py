"""Mistakes in `import` blocks that show without a plan."""

from __future__ import annotations

from collections.abc import Iterator

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine import static
from terrarium.engine.configuration import Import, ModuleNode
from terrarium.engine.evaluation import Diagnostics, Evaluator, Repetition
from terrarium.engine.expansion import for_each
from terrarium.engine.imports import import_id_problem, static_target
from terrarium.engine.loading_changes import NEEDS_RESOURCE
from terrarium.engine.references import module_and_resource
from terrarium.engine.validate_references import NOWHERE
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.types import STRING, Set
from terrarium.language.values import SENSITIVE, number


def import_problems(root: ModuleNode, evaluator: Evaluator) -> Diagnostics:
    """Mistakes in `import` blocks that need no plan."""
    diagnostics: Diagnostics = []
    for block in root.module.imports:
        for repetition in _import_repetitions(root, evaluator, block, diagnostics):
            more = _target_problems(root, evaluator, block, repetition)
            if not has_errors(more):
                more += _id_problems(root, evaluator, block, repetition)
            diagnostics += more
            if has_errors(more):
                break
    return diagnostics


def _import_repetitions(
    root: ModuleNode, evaluator: Evaluator, block: Import, diagnostics: Diagnostics
) -> Iterator[Repetition | None]:
    """`each` for every element of `for_each`, which for imports may be a list too; once when there is none."""
    if block.for_each is None:
        yield None
        return
    value, more = evaluator.evaluate(block.for_each, ())
    if has_errors(more) or not isinstance(value.data, tuple) or isinstance(value.type, Set):
        keys, more = for_each(evaluator, (), block.for_each, allow_unknown=True)
        diagnostics += more
        yield from (keys.repetition(key) for key in keys.keys)
        return
    yield from (Repetition(each_key=number(i), each_value=v) for i, v in enumerate(value.data))


def _target_problems(
    root: ModuleNode, evaluator: Evaluator, block: Import, repetition: Repetition | None
) -> Diagnostics:
    """Whether `to` names an instance that the resource can have."""
    address = static_target(block.to)
    resource = root.resource(address) if address is not None else None
    if isinstance(block.to, nodes.Traversal):
        end = module_and_resource(block.to)
        key = None if isinstance(end, Diagnostic) else end.key
    elif repetition is None:
        _, said = static.traversal(block.to, quoted=False)
        return [*said, error("Invalid address", NEEDS_RESOURCE, NOWHERE)]
    elif isinstance(block.to, nodes.IndexExpression):
        value, more = evaluator.evaluate(block.to.key, (), repetition)
        if has_errors(more) or not value.is_known:
            return more
        key = value.data if isinstance(value.data, str) else static.whole(value.data)
    else:
        return []
    if resource is None:
        return []
    wrong = ""
    if isinstance(key, str):
        wrong = "" if resource.for_each is not None else "does not use for_each"
    elif isinstance(key, int):
        wrong = "" if resource.count is not None else "does not use count"
    elif resource.repeats:
        wrong = "is using for_each" if resource.for_each is not None else "is using count"
    if not wrong:
        return []
    return [error("Invalid import 'to' expression", f"The target resource {wrong}.", block.to.range)]


def _id_problems(root: ModuleNode, evaluator: Evaluator, block: Import, repetition: Repetition | None) -> Diagnostics:
    value, diagnostics = evaluator.evaluate(block.id, (), repetition)
    if has_errors(diagnostics) or not value.is_known or SENSITIVE in value.marks:
        return diagnostics
    try:
        convert(value, STRING)
    except ConversionError as problem:
        detail = f"Invalid expression value: {problem}."
        return [*diagnostics, error("Incorrect value type", detail, block.id.range)]
    problem_ = import_id_problem(value)
    return [*diagnostics, error("Invalid import id argument", problem_, block.id.range)] if problem_ else diagnostics
