"""How a mistake in an expression is noted, and what the parts of the evaluator are to one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.language import nodes
from terrarium.language.explain import explain
from terrarium.language.scope import Scope
from terrarium.language.values import DYNAMIC_UNKNOWN, Value

Diagnostics = list[Diagnostic]
Evaluate = Callable[[nodes.Expression, Scope, Diagnostics], Value]
"""The evaluator, as loops and calls get it handed in for the expressions inside them."""


def fail(
    diagnostics: Diagnostics,
    scope: Scope,
    about: nodes.Expression,
    summary: str,
    detail: str,
    subject: Any = None,
    context: nodes.Node | None = None,
    extra: object = None,
) -> Value:
    """Adds an error; `about` is the expression whose values explain it, and is underlined unless `subject` is given."""
    diagnostics.append(
        Diagnostic(
            Severity.ERROR,
            summary,
            detail,
            about.range if subject is None else subject,
            None if context is None else context.range,
            explain(about, scope),
            extra=extra,
        )
    )
    return DYNAMIC_UNKNOWN
