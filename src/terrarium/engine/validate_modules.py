"""Module calls against the modules they call: arguments missing, unknown or superfluous; providers passed and not."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, error, warning
from terrarium.engine.addresses import path_text
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.walking import Session
from terrarium.language.bodies import AttributeSchema, BodySchema, content


def module_problems(session: Session) -> list[Diagnostic]:
    """What is wrong with all calls."""
    diagnostics: list[Diagnostic] = []
    for node in session.root.walk():
        if node.call is not None:
            diagnostics += _arguments(node)
            diagnostics += _empty_providers(node)
    return diagnostics


def _arguments(node: ModuleNode) -> list[Diagnostic]:
    assert node.call is not None
    schema = BodySchema(
        attributes=tuple(AttributeSchema(n, required=v.required) for n, v in node.module.variables.items()), blocks=()
    )
    return list(content(node.call.body, schema)[1])


def _empty_providers(node: ModuleNode) -> list[Diagnostic]:
    """Empty provider blocks in child modules, the old way of declaring a need."""
    diagnostics: list[Diagnostic] = []
    for (name, alias), block in node.module.providers.items():
        if alias or block.body.attributes or block.body.blocks:
            continue
        diagnostics.append(
            warning(
                "Redundant empty provider block",
                'Earlier versions of Terraform used empty provider blocks ("proxy provider configurations") for child modules to declare their '
                "need to be passed a provider configuration by their callers. That approach was ambiguous and is now deprecated.\n\nIf you control "
                "this module, you can migrate to the new declaration syntax by removing all of the empty provider "
                f'"{name}" blocks and then adding or updating an entry like the following to the required_providers block of '
                f'{path_text(node.path)}:\n    {name} = {{\n      source = "hashicorp/{name}"\n    }}',
                block.range,
            )
        )
    return diagnostics


__all__ = ["error", "module_problems"]
