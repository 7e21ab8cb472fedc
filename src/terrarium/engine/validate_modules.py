"""Module calls against the modules they call: arguments missing, unknown or superfluous."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.walking import Session
from terrarium.language.bodies import AttributeSchema, BodySchema, content


def module_problems(session: Session) -> list[Diagnostic]:
    """What is wrong with all calls."""
    diagnostics: list[Diagnostic] = []
    for node in session.root.walk():
        if node.call is not None:
            diagnostics += _arguments(node)
    return diagnostics


def _arguments(node: ModuleNode) -> list[Diagnostic]:
    assert node.call is not None
    schema = BodySchema(
        attributes=tuple(AttributeSchema(n, required=v.required) for n, v in node.module.variables.items()), blocks=()
    )
    return list(content(node.call.body, schema)[1])
