"""The scope of `console`: the root module as expressions in it see it, with values from the state."""

from __future__ import annotations

from collections.abc import Callable

from terrarium.base.diagnostics import Diagnostic, has_errors, warning
from terrarium.engine.addresses import parse_provider_config
from terrarium.engine.config_graph import Builder, Node
from terrarium.engine.evaluation import Keys
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.state import State
from terrarium.engine.validate_references import Place, ReferenceRules
from terrarium.engine.validation import cycle_problems
from terrarium.engine.walking import Diagnostics, Session, Walk
from terrarium.language import nodes
from terrarium.language.evaluate import evaluate_partly
from terrarium.language.references import references
from terrarium.language.render import in_order
from terrarium.language.scope import Scope


class ConsoleWalk(Walk):
    """Gives names their values; resources have those of the state."""

    allow_unknown_keys = True

    def visit_local(self, node: Node) -> Diagnostics:
        """A local value with a mistake in it is shown as far as it goes."""
        local = self.module(node).module.locals[node.name]
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            scope = self.evaluator.scope(instance, self.evaluator.references(local.expression))
            value, more = evaluate_partly(local.expression, scope)
            diagnostics += more
            self.values.locals.setdefault(instance, {})[node.name] = value
        return diagnostics

    def visit_resource(self, node: Node) -> Diagnostics:
        return []

    def visit_provider(self, node: Node) -> Diagnostics:
        return []

    def visit_check(self, node: Node) -> Diagnostics:
        return []


MakeScope = Callable[[nodes.Expression], tuple[Scope, list[Diagnostic]]]

_WITH_PROBLEMS = "Due to the problems above, some expressions may produce unexpected results."


def console_scope(session: Session, state: State) -> tuple[MakeScope | None, list[Diagnostic]]:
    """What makes the scope for an expression and says which of its references mean nothing; and what is wrong with the
    configuration, which the console tells first. Only with a cycle there is no scope at all."""
    graph = Builder(session.root, session.plugins).build()
    cycles = cycle_problems(session.root, graph)
    if cycles:
        return None, cycles
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
    graph.walk(walk.visit, 1)
    problems = in_order(walk.diagnostics)
    if has_errors(problems):
        problems.append(warning(_WITH_PROBLEMS, ""))
    rules = ReferenceRules(session.plugins)

    def make(expression: nodes.Expression) -> tuple[Scope, list[Diagnostic]]:
        found, diagnostics, _ = rules.check(session.root, references(expression), Place())
        return walk.evaluator.scope((), found), diagnostics

    return make, problems


def names(session: Session) -> list[str]:
    """What a person may type in the console of this configuration: functions, and the addresses of what it declares."""
    module = session.root.module
    found = [name for name in session.functions if "::" not in name]
    found += [f"var.{name}" for name in module.variables]
    found += [f"local.{name}" for name in module.locals]
    found += [f"module.{name}" for name in module.calls]
    found += [resource.local for resource in module.resources.values()]
    return [*found, "path.module", "path.root", "path.cwd", "terraform.workspace"]
