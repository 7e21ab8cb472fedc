"""The walk of a plan: each resource expands to its instances; each is refreshed (unless that is off), its configuration
evaluated, and planned. The prior state is never changed; what was read anew is collected beside it.
"""

from __future__ import annotations

from dataclasses import replace

from terrarium.base.diagnostics import error, has_errors
from terrarium.engine.addresses import DATA, MANAGED, AbsResource, Instance, ModuleInstance, ProviderConfig, is_within
from terrarium.engine.config_graph import Node, provider_for, provider_node
from terrarium.engine.configuration import Import, ProviderRef, Resource, implied_provider
from terrarium.engine.ephemeral import misused
from terrarium.engine.evaluation import Keys
from terrarium.engine.expansion import expand
from terrarium.engine.imports import evaluate_import, static_target
from terrarium.engine.plan import Action, Mode, ResourceChange
from terrarium.engine.plan_data import DataPlanning
from terrarium.engine.plan_messages import (
    destroy_prevented,
    missing_import_targets,
    nothing_to_import,
    self_reference,
    unknown_type,
)
from terrarium.engine.plan_object import at_path, ignoring, plan_managed, schema_marks
from terrarium.engine.plan_orphans import OrphanPlanning
from terrarium.engine.plugins import MissingProvider
from terrarium.engine.provider import Provider, Schema
from terrarium.engine.references import Reference, plain_key
from terrarium.engine.state import StateObject, sensitive_paths
from terrarium.engine.task import Task
from terrarium.engine.walking import Diagnostics, located, missing_provider
from terrarium.language import nodes
from terrarium.language.values import Value, null


class PlanWalk(DataPlanning, OrphanPlanning):
    """The walk of a plan."""

    def visit_resource(self, node: Node) -> Diagnostics:
        resource = self.module(node).module.resources[(node.mode, node.type, node.name)]
        config = self.resource_configs[node.resource]
        provider = self.providers.get(config)
        try:
            schema = self.plugins.resource_schema(config.source, node.mode, node.type)
        except MissingProvider as missing:
            return [missing_provider(missing.source)]
        if schema is None or provider is None:
            return (
                []
                if schema is not None
                else [unknown_type(resource, config.source, self.plugins.hint(resource.mode, resource.type))]
            )
        self.visited.add(node.resource)
        diagnostics: Diagnostics = self.take_imports(node)
        if any(rules for rules in (resource.preconditions, resource.postconditions)):
            self.checks.expect("resource", str(node.resource))
        for module in self.values.instances_of(node.path):
            diagnostics += self.expand_resource(node, module, resource, config, provider, schema)
        return diagnostics

    def take_imports(self, node: Node) -> Diagnostics:
        """Evaluates the `import` blocks that are for a resource."""
        diagnostics: Diagnostics = []
        if self.options.mode is Mode.NORMAL and not self.options.before_destroy:
            for block in self.root.module.imports:
                if static_target(block.to) == node.resource:
                    found, more = evaluate_import(self.evaluator, block)
                    self.imports.update(found)
                    diagnostics += more
        return diagnostics

    def expand_resource(
        self,
        node: Node,
        module: ModuleInstance,
        resource: Resource,
        config: ProviderConfig,
        provider: Provider,
        schema: Schema,
    ) -> Diagnostics:
        address = AbsResource(module, node.mode, node.type, node.name)
        for expression in (resource.count, resource.for_each):
            for reference in self.evaluator.references(expression) if expression is not None else ():
                if (reference.kind, reference.mode, reference.type, reference.name) == (
                    "resource",
                    node.mode,
                    node.type,
                    node.name,
                ):
                    return [self_reference(node.resource, reference)]
        keys, diagnostics = expand(self.evaluator, module, resource)
        if has_errors(diagnostics):
            return diagnostics
        self.values.keys[address] = keys
        self.seen.add(address)
        if resource.preconditions or resource.postconditions:
            for key in keys.keys:
                self.checks.expect_object("resource", str(node.resource), str(address.instance(key)))
        existing = self.prior.resources.get(address)
        for key in keys.keys:
            instance = address.instance(key)
            repetition = keys.repetition(key)
            asked = self.session.stand_in(instance, provider)
            task = Task(instance, node.resource, resource, config, asked, schema, repetition)
            if self.options.targets and not any(is_within(instance, t) for t in self.wanted):
                self.skip(task)
                continue
            if node.mode == MANAGED:
                more = self.plan_instance(task)
            elif node.mode == DATA:
                more = self.plan_data(task)
            else:
                more = self.open_ephemeral(task)
            diagnostics += more
        if existing is not None:
            for key in list(existing.instances):
                if key not in keys.keys:
                    diagnostics += self.plan_orphan(address.instance(key), _orphan_reason(keys, key))
                for deposed in existing.instances[key].deposed:
                    diagnostics += self.plan_deposed(address.instance(key), deposed)
        return diagnostics

    def plan_instance(self, task: Task) -> Diagnostics:
        address, block = task.address, task.schema.block
        assert task.resource is not None
        type = self.plugins.decoder.type(block)
        value: Value = null(type)
        diagnostics: Diagnostics = []
        held = self.prior.current(address)
        importing = self.imports.get(address) if held is None else None
        imported_id: str | None = None
        if importing is not None:
            held, more = self.import_object(task, importing)
            diagnostics += more
            if has_errors(more):
                return diagnostics
            imported_id = importing
        if held is not None:
            held, upgraded, more = self.upgraded(task, held)
            diagnostics += more
            if upgraded is None:
                return diagnostics
            value = upgraded
            fresh: StateObject | None = held
            if (self.options.refresh and self.refreshes(address)) or importing is not None:
                fresh, value, more = self.refresh(task, held, value)
                diagnostics += more
                if has_errors(more):
                    return diagnostics
                if fresh is None and importing is not None:
                    return [*diagnostics, nothing_to_import(task)]
            if fresh is not self.prior.current(address):
                self.refreshed.put(address, str(task.config), fresh)
            held = fresh
        if self.options.mode is not Mode.NORMAL:
            visible = schema_marks(block, value)
            if held is not None:
                self.values.set_object(address, visible)
            if self.options.mode is Mode.DESTROY:
                return diagnostics + (self.plan_delete(task, held, visible, "") if held is not None else [])
            if held is not None:
                diagnostics += self.conditions(task, "precondition", None)
                diagnostics += self.conditions(task, "postcondition", visible)
            return diagnostics
        return diagnostics + self.plan_update(task, held, value, imported_id)

    def plan_update(self, task: Task, held: StateObject | None, prior: Value, imported_id: str | None) -> Diagnostics:
        address, block, resource = task.address, task.schema.block, task.resource
        assert resource is not None
        diagnostics = self.conditions(task, "precondition", None)
        if has_errors(diagnostics):
            return diagnostics
        own = self.self_references(task)
        if own:
            return diagnostics + own
        config, more = self.decode(block, resource.body, address.module, task.repetition)
        diagnostics += [replace(d, address=d.address or str(address)) for d in more]
        if has_errors(more):
            return diagnostics
        diagnostics += [located(d, resource.body, str(address)) for d in misused(block, config)]
        if has_errors(diagnostics):
            return diagnostics
        said = task.provider.validate_resource(address.type, config.unmarked_deep())
        diagnostics += [located(d, resource.body, str(address)) for d in said]
        if has_errors(diagnostics):
            return diagnostics
        if held is not None and (resource.ignore_all or resource.ignore_changes):
            config = ignoring(prior, config, resource.ignore_all, resource.ignore_changes)
        forced = ""
        if held is not None:
            if address in self.options.replace:
                forced = "replace_by_request"
            elif self.triggered(task):
                forced = "replace_by_triggers"
        before_destroy = task.config_resource in self.forced_cbd
        decision = plan_managed(
            task.provider,
            address.type,
            block,
            self.plugins.decoder.type(block),
            held,
            prior,
            config,
            before_destroy,
            forced,
            str(address),
        )
        diagnostics += [located(d, resource.body, str(address)) for d in decision.diagnostics]
        if has_errors(diagnostics):
            return diagnostics
        prevented = resource.prevent_destroy and decision.action.replaces
        self.values.set_object(address, decision.planned)
        if decision.action is not Action.NOOP:
            self.pending.setdefault(task.config_resource, set()).add(task.address.module)
        before = schema_marks(block, prior)
        self.changes[(address, "")] = ResourceChange(
            address,
            str(task.config),
            task.config.source,
            decision.action,
            before,
            decision.planned,
            self.previous_addresses.get(address),
            reason=decision.reason,
            replace=decision.replace,
            private=decision.private,
            schema_version=task.schema.version,
            importing=imported_id,
            hidden=sensitive_paths(config),
        )
        if prevented:
            return [*diagnostics, destroy_prevented(address, resource)]
        return diagnostics + self.conditions(task, "postcondition", decision.planned)

    def self_references(self, task: Task) -> Diagnostics:
        """A block that refers to itself can't be evaluated."""
        assert task.resource is not None
        wanted = ("resource", task.address.mode, task.address.type, task.address.name)
        return [
            self_reference(task.config_resource, reference)
            for reference in self.body_references(task.schema.block, task.resource.body)
            if (reference.kind, reference.mode, reference.type, reference.name) == wanted
            for _ in range(2)
        ]

    def import_object(self, task: Task, id: str) -> tuple[StateObject | None, Diagnostics]:
        self.session.events.import_start(task.address, id)
        result = task.provider.import_(task.address.type, id)
        diagnostics = list(result.diagnostics)
        if has_errors(diagnostics):
            return None, diagnostics
        found = next((o for o in result.objects if o.type == task.address.type), None)
        if found is None:
            return None, [*diagnostics, nothing_to_import(task)]
        self.session.events.import_done(task.address, id)
        type = self.plugins.decoder.type(task.schema.block)
        return StateObject.of(found.value, type, schema_version=task.schema.version, private=found.private), diagnostics

    def plan_generated(self) -> Diagnostics:
        """Objects of `import` blocks which have no configuration: it is written for them, where that was asked for."""
        if self.options.mode is not Mode.NORMAL:
            return []
        missing = [b for b in self.root.module.imports if static_target(b.to) not in (None, *self.resource_configs)]
        if not self.options.generate:
            return missing_import_targets(self.root, self.resource_configs)
        diagnostics: Diagnostics = []
        for block in missing:
            wanted, more = evaluate_import(self.evaluator, block)
            diagnostics += more
            for address, id in wanted.items():
                diagnostics += self.generate(address, id, block)
        return diagnostics

    def generate(self, address: Instance, id: str, block: Import) -> Diagnostics:
        """Takes in one object, writes its configuration, and plans it with that."""
        from terrarium.engine.generating import parsed, resource_text

        if address.module or address.key is not None:
            return missing_import_targets(self.root, self.resource_configs)
        module = self.root.module
        implied = implied_provider(address.type)
        ref = block.provider or ProviderRef(implied)
        config = provider_for(self.root, ref)
        if config not in self.providers:
            said = self.visit_provider(provider_node(config))
            if has_errors(said):
                return said
        schema = self.plugins.resource_schema(config.source, address.mode, address.type)
        if schema is None:
            return [
                error(
                    "Invalid resource type",
                    f'The provider {config.source} does not support resource type "{address.type}".',
                    block.to.range,
                )
            ]
        task = Task(address, address.config, None, config, self.providers[config], schema, None)
        held, diagnostics = self.import_object(task, id)
        if held is None:
            return diagnostics
        value = held.value(self.plugins.decoder.type(schema.block))
        fresh, value, more = self.refresh(task, held, value)
        diagnostics += more
        if fresh is None or has_errors(diagnostics):
            return [*diagnostics, nothing_to_import(task)] if fresh is None else diagnostics
        named = "" if ref == ProviderRef(implied) and module.local_name(config.source) == implied else str(ref)
        text = resource_text(address, schema.block, schema_marks(schema.block, value), named)
        self.refreshed.put(address, str(config), fresh)
        self.seen.add(address.resource)
        again = replace(task, resource=parsed(address, text))
        diagnostics += self.plan_update(again, fresh, value, id)
        change = self.changes.get((address, ""))
        if change is not None:
            self.changes[(address, "")] = replace(change, generated=text)
        return diagnostics

    def triggered(self, task: Task) -> bool:
        """Whether something that `replace_triggered_by` names is going to change."""
        assert task.resource is not None
        for expression in task.resource.replace_triggered_by:
            for reference in self.evaluator.references(expression):
                if reference.kind != "resource":
                    continue
                address = AbsResource(task.address.module, reference.mode, reference.type, reference.name)
                for (instance, _), change in list(self.changes.items()):
                    if instance.resource != address or not self._meant(reference, expression, instance, task):
                        continue
                    if self._trigger_changed(reference, change):
                        return True
        return False

    def _meant(self, reference: Reference, expression: object, instance: Instance, task: Task) -> bool:
        if reference.has_key:
            return instance.key == reference.key
        if isinstance(expression, nodes.IndexExpression) and task.repetition is not None:
            return instance.key == task.address.key
        return True

    def _trigger_changed(self, reference: Reference, change: ResourceChange) -> bool:
        if change.action is Action.NOOP or change.action is Action.READ:
            return False
        if not reference.rest:
            return change.action in (Action.UPDATE, Action.REPLACE, Action.CREATE_REPLACE, Action.DELETE, Action.CREATE)
        path = tuple(s.name if isinstance(s, nodes.Attr) else plain_key(s.key) for s in reference.rest)
        if change.action is Action.CREATE or change.action is Action.DELETE:
            return True
        before, after = at_path(change.before, path), at_path(change.after, path)
        if before is None or after is None:
            return before is not after
        return before != after or not after.is_wholly_known

    def open_ephemeral(self, task: Task) -> Diagnostics:
        assert task.resource is not None
        return self.ephemerals.open(task.address, task.resource, task.provider, task.schema, task.repetition)


def _orphan_reason(keys: Keys, key: object) -> str:
    match keys.kind:
        case "single":
            return "delete_because_wrong_repetition"
        case "count":
            return "delete_because_count_index" if isinstance(key, int) else "delete_because_wrong_repetition"
        case _:
            return "delete_because_each_key" if isinstance(key, str) else "delete_because_wrong_repetition"
