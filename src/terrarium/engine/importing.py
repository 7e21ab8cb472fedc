"""The `import` command: one existing object taken into the state, without a plan."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine.addresses import Instance
from terrarium.engine.config_graph import Builder, provider_node
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.planning import Options, PlanWalk, nothing_to_import
from terrarium.engine.state import State
from terrarium.engine.task import Task
from terrarium.engine.walking import Session


def import_object(session: Session, state: State, address: Instance, id: str) -> list[Diagnostic]:
    """Reads the object and puts it into `state`."""
    walk = PlanWalk(session, state, Options())
    builder = Builder(session.root, session.plugins)
    graph = builder.build()
    config = builder.providers[address.config]
    needed = graph.ancestors([provider_node(config)])
    graph.keep(needed)
    graph.walk(walk.visit, session.parallelism, inline=lambda n: n.kind != "resource")
    if has_errors(walk.diagnostics):
        return walk.diagnostics
    schema = session.plugins.resource_schema(config.source, address.mode, address.type)
    resource = session.root.resource(address.config)
    assert schema is not None
    task = Task(address, address.config, resource, config, walk.providers[config], schema, None)
    held, diagnostics = walk.import_object(task, id)
    if held is None or has_errors(diagnostics):
        return [*walk.diagnostics, *diagnostics]
    if state.current(address) is not None:
        return [
            error(
                "Resource already managed by Terraform",
                f"Terraform is already managing a remote object for {address}. To import to this address you must first remove the existing "
                "object from the state.",
            )
        ]
    type = session.plugins.decoder.type(schema.block)
    fresh, _, more = walk.refresh(task, held, schema_marks(schema.block, held.value(type)))
    diagnostics += more
    if fresh is None:
        return [*diagnostics, nothing_to_import(task)]
    if not has_errors(diagnostics):
        state.put(address, str(config), fresh)
    return diagnostics
