"""The scope of `console`: the root module as expressions in it see it, with values from the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrarium.base.diagnostics import Diagnostic
from terrarium.engine.addresses import parse_provider_config
from terrarium.engine.config_graph import Builder, Node
from terrarium.engine.evaluation import Keys
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.state import State
from terrarium.engine.validate_references import Place, ReferenceRules
from terrarium.engine.walking import Diagnostics, Session, Walk
from terrarium.language import nodes
from terrarium.language.references import references
from terrarium.language.scope import Scope


class ConsoleWalk(Walk):
    """Gives names their values; resources have those of the state."""

    allow_unknown_keys = True

    def visit_resource(self, node: Node) -> Diagnostics:
        return []

    def visit_provider(self, node: Node) -> Diagnostics:
        return []

    def visit_check(self, node: Node) -> Diagnostics:
        return []


def console_scope(session: Session, state: State) -> Callable[[nodes.Expression], tuple[Scope, list[Diagnostic]]]:
    """What makes the scope for an expression, and says which of its references mean nothing."""
    walk = ConsoleWalk(session)
    for address, provider, instance in state.instances():
        source = parse_provider_config(provider).source
        if instance.current is None or source not in session.plugins:
            continue
        schema = session.plugins.resource_schema(source, address.mode, address.type)
        if schema is None:
            continue
        value = instance.current.value(session.plugins.decoder.type(schema.block))
        walk.values.set_object(address, schema_marks(schema.block, value))
        known = walk.values.keys.get(address.resource)
        keys = (*(known.keys if known else ()), address.key)
        kind = "single" if address.key is None else "count" if isinstance(address.key, int) else "each"
        walk.values.keys[address.resource] = Keys(kind, keys)
    graph = Builder(session.root, session.plugins).build()
    graph.walk(walk.visit, 1)
    rules = ReferenceRules(session.plugins)

    def make(expression: nodes.Expression) -> tuple[Scope, list[Diagnostic]]:
        found, diagnostics, _ = rules.check(session.root, references(expression), Place())
        return walk.evaluator.scope((), found), diagnostics

    return make


__all__ = ["Any", "console_scope"]
