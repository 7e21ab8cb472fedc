"""Planning data sources: read at once when everything that they ask with is known and nothing they wait for will change;
else during apply.
"""

from __future__ import annotations

from dataclasses import replace

from terrarium.base.diagnostics import has_errors
from terrarium.engine.addresses import MANAGED, path_of
from terrarium.engine.checks import of_nested_data
from terrarium.engine.config_graph import Node, node_of, resource_node
from terrarium.engine.objchange import with_unknowns, without_unknowns
from terrarium.engine.plan import Action, Mode, ResourceChange
from terrarium.engine.plan_base import PlanBase
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.references import Reference, parse
from terrarium.engine.state import StateObject, marked, sensitive_paths
from terrarium.engine.task import Task
from terrarium.engine.walking import Diagnostics, located, object_id
from terrarium.language.references import references
from terrarium.language.values import Value, null


class DataPlanning(PlanBase):
    """The part of the walk that reads data sources, or puts them off until apply."""

    def plan_data(self, task: Task) -> Diagnostics:
        address, block, resource = task.address, task.schema.block, task.resource
        assert resource is not None
        type = self.plugins.decoder.type(block)
        if self.options.mode is Mode.DESTROY and not self.options.refresh:
            held = self.prior.current(address)
            if held is not None:
                self.values.set_object(address, schema_marks(block, held.value(type)))
            return []
        diagnostics = self.conditions(task, "precondition", None)
        if has_errors(diagnostics):
            return diagnostics
        config, more = self.decode(block, resource.body, address.module, task.repetition)
        diagnostics += [replace(d, address=d.address or str(address)) for d in more]
        if has_errors(more):
            return diagnostics
        plain = config.unmarked_deep()
        said = task.provider.validate_data(address.type, plain)
        diagnostics += [located(d, resource.body, str(address)) for d in said]
        if has_errors(diagnostics):
            return diagnostics
        waits = self.waits_for_changes(task)
        marks = sensitive_paths(config)
        if not plain.is_wholly_known or waits:
            planned = schema_marks(block, marked(with_unknowns(block, plain), marks))
            if self.options.mode is Mode.DESTROY:
                # What goes away needs no fresh answer, and there is no later in which it could be asked for.
                held = self.prior.current(address)
                self.values.set_object(address, planned if held is None else schema_marks(block, held.value(type)))
                return diagnostics
            reason = "read_because_config_unknown" if not plain.is_wholly_known else "read_because_dependency_pending"
            self.read_later(task, planned, reason)
            return diagnostics + self.conditions(task, "postcondition", planned)
        self.session.events.read_start(address)
        result = task.provider.read_data(address.type, plain)
        said = [located(d, resource.body, str(address)) for d in result.diagnostics]
        nested = resource.check is not None
        if nested:
            said = of_nested_data(said, address.module, resource.check or "")
            failed = bool(said)
            self.report_nested(resource, address, failed, said)
            value = with_unknowns(block, plain) if failed else result.value
            if not failed:
                self.session.events.read_done(address, object_id(value))
            visible = schema_marks(block, marked(value, marks))
            self.read_later(task, visible, "read_because_check_nested")
            held = StateObject.of(without_unknowns(visible), type, schema_version=task.schema.version)
            self.refreshed.put(address, str(task.config), held)
            return diagnostics + said
        diagnostics += said
        if has_errors(said):
            self.session.events.read_failed(address)
            return diagnostics
        value = schema_marks(block, marked(result.value, marks))
        self.session.events.read_done(address, object_id(value))
        self.values.set_object(address, value)
        held = StateObject.of(value, type, schema_version=task.schema.version)
        self.refreshed.put(address, str(task.config), held)
        return diagnostics + self.conditions(task, "postcondition", value)

    def read_later(self, task: Task, planned: Value, reason: str) -> None:
        self.values.set_object(task.address, planned)
        if self.options.mode is not Mode.NORMAL:
            # Such plans change no configured object, so that what the data source waits for never comes.
            return
        self.pending.setdefault(task.config_resource, set()).add(task.address.module)
        self.changes[(task.address, "")] = ResourceChange(
            task.address,
            str(task.config),
            task.config.source,
            Action.READ,
            null(planned.type),
            planned,
            reason=reason,
            schema_version=task.schema.version,
        )

    def waits_for_changes(self, task: Task) -> bool:
        """Whether something that it depends on will change: what `depends_on` names, its own or that of a module around
        it, and the managed resources that it refers to by name. With conditions it is everything behind it, since a
        change there may be what makes them hold."""
        resource = task.resource
        assert resource is not None
        path = task.config_resource.path
        if resource.preconditions or resource.postconditions:
            return self._pending_behind(task, resource_node(*task.config_resource))
        named: list[tuple[tuple[str, ...], Reference | object]] = [(path, parse(t)) for t in resource.depends_on]
        module = self.root.find(path)
        while module is not None and module.parent is not None and module.call is not None:
            named += [(module.parent.path, parse(t)) for t in module.call.depends_on]
            module = module.parent
        found: list[Reference | object] = list(self.body_references(task.schema.block, resource.body))
        for expression in (resource.count, resource.for_each):
            found += [parse(t) for t in references(expression)] if expression is not None else []
        named += [(path, r) for r in found if isinstance(r, Reference) and r.kind == "resource" and r.mode == MANAGED]
        for where, reference in named:
            node = node_of(where, reference) if isinstance(reference, Reference) else None
            if node is not None and self._pending_behind(task, node):
                return True
        return False

    def _pending_behind(self, task: Task, node: Node) -> bool:
        """Whether a node, or a managed resource that it depends on, will change. Dependencies are known by configuration:
        changes in another instance of the data source's own module don't count."""
        if not self.pending:
            return False
        module = task.address.module
        return any(
            n.kind == "resource"
            and n.mode == MANAGED
            and any(m == module or path_of(m) != path_of(module) for m in self.pending.get(n.resource, ()))
            for n in self.graph.ancestors([node])
        )
