"""Planning: configuration, prior state and providers' answers joined into a `Plan`.

Theory of operation. Moves are applied to the state first. Then the configuration's graph is walked once: a resource
node expands to its instances, each is refreshed (unless that is off), its configuration evaluated and planned. What the
state holds and the configuration doesn't name is found after the walk and planned for destruction. The working state of
the walk is `Values`; the prior state is never changed, refreshed objects are collected beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from terrarium.base.clock import Clock, rfc3339
from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.engine.addresses import (
    DATA,
    EPHEMERAL,
    MANAGED,
    AbsResource,
    ConfigResource,
    Instance,
    ModuleInstance,
    ProviderConfig,
    Target,
    is_within,
    module_text,
    parse_provider_config,
    path_of,
    path_text,
)
from terrarium.engine.checks import FAIL, PASS, evaluate_rule
from terrarium.engine.config_graph import Builder, Node, node_of, provider_node, resource_node
from terrarium.engine.configuration import Resource
from terrarium.engine.evaluation import SINGLE, Keys
from terrarium.engine.expansion import expand
from terrarium.engine.graph import Graph
from terrarium.engine.imports import evaluate_import, static_target
from terrarium.engine.moves import apply_moves
from terrarium.engine.objchange import with_unknowns
from terrarium.engine.plan import Action, Mode, OutputChange, Plan, ResourceChange
from terrarium.engine.plan_object import equal, ignoring, plan_managed, schema_marks
from terrarium.engine.plugins import MissingProvider
from terrarium.engine.provider import Provider, Schema
from terrarium.engine.references import Reference, parse
from terrarium.engine.relevance import relevant_attributes
from terrarium.engine.state import OutputState, State, StateObject, sensitive_paths
from terrarium.engine.task import Task
from terrarium.engine.walking import Diagnostics, Session, Walk, located, missing_provider, object_id
from terrarium.language.evaluate import evaluate
from terrarium.language.references import references
from terrarium.language.values import SENSITIVE, Value, null


@dataclass(frozen=True, slots=True)
class Options:
    """How to plan. `replace` are the objects of `-replace`, `imports` those of the `import` command: (address, id)."""

    mode: Mode = Mode.NORMAL
    refresh: bool = True
    targets: tuple[Target, ...] = ()
    replace: tuple[Instance, ...] = ()
    generate: bool = False


class PlanWalk(Walk):
    """The walk of a plan. `results` and `refreshed` are by instance."""

    def __init__(self, session: Session, prior: State, options: Options) -> None:
        super().__init__(session)
        self.prior = prior
        self.options = options
        self.changes: dict[tuple[Instance, str], ResourceChange] = {}
        self.refreshed = prior.copy()
        self.previous_addresses: Mapping[Instance, Instance] = {}
        self.resource_configs: dict[ConfigResource, ProviderConfig] = {}
        self.pending: dict[ConfigResource, set[ModuleInstance]] = {}
        self.dependencies: dict[ConfigResource, int] = {}
        self.wanted: Sequence[Target] = ()
        self.refreshable: Sequence[Target] = ()
        self.imports: dict[Instance, str] = {}
        self.forced_cbd: set[ConfigResource] = set()
        self.seen: set[AbsResource] = set()

    # --- resources ---------------------------------------------------------------------------------------------

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
        diagnostics: Diagnostics = self.take_imports(node)
        if any(rules for rules in (resource.preconditions, resource.postconditions)):
            self.checks.expect("resource", str(node.resource))
        for module in self.values.instances_of(node.path):
            diagnostics += self.expand_resource(node, module, resource, config, provider, schema)
        return diagnostics

    def take_imports(self, node: Node) -> Diagnostics:
        """Evaluates the `import` blocks that are for a resource."""
        diagnostics: Diagnostics = []
        if self.options.mode is Mode.NORMAL:
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
            task = Task(instance, node.resource, resource, config, provider, schema, repetition)
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

    def refreshes(self, address: Instance) -> bool:
        """Whether the object is to be read anew: while destroying targets, only those and what they depend on."""
        return (
            self.options.mode is not Mode.DESTROY
            or not self.refreshable
            or any(is_within(address, t) for t in self.refreshable)
        )

    def skip(self, task: Task) -> None:
        """An instance outside the targets: as it is."""
        held = self.prior.current(task.address)
        if held is not None and held.schema_version == task.schema.version:
            value = held.value(self.plugins.decoder.type(task.schema.block))
            self.values.set_object(task.address, schema_marks(task.schema.block, value))

    def upgraded(self, task: Task, held: StateObject) -> tuple[StateObject, Value | None, Diagnostics]:
        """The object's value in today's schema."""
        type = self.plugins.decoder.type(task.schema.block)
        if held._value is not None:
            return held, held.value(type), []
        if held.schema_version > task.schema.version:
            return (
                held,
                None,
                [
                    error(
                        "Resource instance managed by newer provider version",
                        f"The current state of {task.address} was created by a newer provider version than is currently "
                        "selected. Upgrade the "
                        + task.config.source.rpartition("/")[2]
                        + " provider to work with this state.",
                    )
                ],
            )
        if held.schema_version == task.schema.version:
            try:
                return held, held.value(type), []
            except ValueError:
                pass
        result = task.provider.upgrade(task.address.type, held.schema_version, held.json())
        diagnostics = [replace(d, address=str(task.address)) for d in result.diagnostics]
        if has_errors(diagnostics):
            return held, None, diagnostics
        upgraded = replace(held, schema_version=task.schema.version, attributes=None, _value=result.value, _type=type)
        return upgraded, upgraded.value(type), diagnostics

    def refresh(
        self, task: Task, held: StateObject, value: Value, deposed: str = ""
    ) -> tuple[StateObject | None, Value, Diagnostics]:
        """Reads the object anew; None when it is gone."""
        type = self.plugins.decoder.type(task.schema.block)
        plain = value.unmarked_deep()
        events, id = self.session.events, object_id(value)
        events.refresh_start(task.address, id, deposed)
        result = task.provider.read(task.address.type, plain, held.private)
        diagnostics = [
            located(d, task.resource.body if task.resource else None, str(task.address)) for d in result.diagnostics
        ]
        if has_errors(diagnostics):
            return held, value, diagnostics
        if result.value.is_null:
            events.refresh_done(task.address, id, deposed)
            return None, null(type), diagnostics
        if equal(result.value, plain):
            fresh = held if result.private == held.private else replace(held, private=result.private)
        else:
            from terrarium.engine.state import marked

            again = marked(result.value, held.sensitive)
            fresh = StateObject.of(
                again,
                type,
                schema_version=task.schema.version,
                private=result.private,
                tainted=held.tainted,
                dependencies=held.dependencies,
                create_before_destroy=held.create_before_destroy,
            )
        events.refresh_done(task.address, id, deposed)
        return fresh, fresh.value(type), diagnostics

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
            if self.options.mode is Mode.DESTROY and held is not None:
                diagnostics += self.plan_delete(task, held, visible, "")
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
        diagnostics = [replace(d, address=str(task.address)) for d in result.diagnostics]
        if has_errors(diagnostics):
            return None, diagnostics
        found = next((o for o in result.objects if o.type == task.address.type), None)
        if found is None:
            return None, [*diagnostics, nothing_to_import(task)]
        self.session.events.import_done(task.address, id)
        type = self.plugins.decoder.type(task.schema.block)
        return StateObject.of(found.value, type, schema_version=task.schema.version, private=found.private), diagnostics

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
        from terrarium.language import nodes

        if reference.has_key:
            return instance.key == reference.key
        if isinstance(expression, nodes.IndexExpression) and task.repetition is not None:
            return instance.key == task.address.key
        return True

    def _trigger_changed(self, reference: Reference, change: ResourceChange) -> bool:
        from terrarium.engine.plan_object import at_path
        from terrarium.engine.references import plain_key
        from terrarium.language import nodes

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

    def conditions(self, task: Task, what: str, self_value: Value | None) -> Diagnostics:
        resource = task.resource
        assert resource is not None
        rules = resource.preconditions if what == "precondition" else resource.postconditions
        diagnostics: Diagnostics = []
        severity = Severity.WARNING if self.options.mode is not Mode.NORMAL else Severity.ERROR
        for index, rule in enumerate(rules):
            status, message, more = evaluate_rule(
                self.evaluator, task.address.module, rule, what, task.repetition, self_value, severity
            )
            self.checks.report("resource", str(task.config_resource), str(task.address), (what, index), status, message)
            diagnostics += more
        return diagnostics

    # --- data sources ------------------------------------------------------------------------------------------

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
        from terrarium.engine.state import marked, sensitive_paths

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
            said = [replace(d, severity=Severity.WARNING) for d in said]
            failed = bool(said)
            self.report_nested(task, failed, said)
            value = with_unknowns(block, plain) if failed else result.value
            if not failed:
                self.session.events.read_done(address, object_id(value))
            self.read_later(task, schema_marks(block, marked(value, marks)), "read_because_check_nested")
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

    def report_nested(self, task: Task, failed: bool, said: Sequence[Diagnostic]) -> None:
        assert task.resource is not None
        prefix = module_text(task.address.module)
        address = (f"{prefix}." if prefix else "") + f"check.{task.resource.check}"
        path = path_text(path_of(task.address.module))
        config = (f"{path}." if path else "") + f"check.{task.resource.check}"
        message = ": ".join(t for t in (said[0].summary, said[0].detail) if t) if said else ""
        self.checks.report("check", config, address, ("data", 0), FAIL if failed else PASS, message)

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

    graph: Graph[Node]

    def open_ephemeral(self, task: Task) -> Diagnostics:
        return [
            error(
                "Ephemeral resources are not supported",
                f"{task.address} is an ephemeral resource, which this engine can't open yet.",
                task.resource.range if task.resource else None,
            )
        ]

    # --- what the configuration no longer has ------------------------------------------------------------------

    def orphan_task(self, address: Instance) -> tuple[Task | None, Diagnostics]:
        resource = self.prior.resources[address.resource]
        config = parse_provider_config(resource.provider)
        provider = self.providers.get(config)
        if provider is None:
            if config.source not in self.plugins:
                return None, [missing_provider(config.source)]
            module = self.root.find(config.path)
            declared = module is not None and any(
                a == config.alias and module.module.provider_source(n) == config.source
                for n, a in module.module.providers
            )
            if (config.alias or config.path) and not declared:
                return None, [provider_gone(address, config)]
            said = self.visit_provider(provider_node(config))
            if has_errors(said):
                return None, said
            provider = self.providers[config]
        schema = self.plugins.resource_schema(config.source, address.mode, address.type)
        if schema is None:
            return None, [
                error(
                    "No schema available for resource type"
                    if address.mode == MANAGED
                    else "No schema available for data source",
                    f"The provider {config.source} no longer has the type {address.type}, which the state has for {address}.",
                )
            ]
        return Task(address, address.config, None, config, provider, schema, None), []

    def plan_orphan(self, address: Instance, reason: str) -> Diagnostics:
        if self.options.targets and not any(is_within(address, t) for t in self.wanted):
            return []
        held = self.prior.current(address)
        if held is None:
            return []
        if address.mode != MANAGED:
            self.refreshed.put(address, "", None)
            return []
        task, diagnostics = self.orphan_task(address)
        if task is None:
            return diagnostics
        held, value, more = self.upgraded(task, held)
        diagnostics += more
        if value is None:
            return diagnostics
        fresh: StateObject | None = held
        forgetting = bool(reason) and self.removed_without_destroy(address)
        if self.options.refresh and self.refreshes(address) and not forgetting:
            fresh, value, more = self.refresh(task, held, value)
            diagnostics += more
            if has_errors(more):
                return diagnostics
            if fresh is not held:
                self.refreshed.put(address, str(task.config), fresh)
        if fresh is None or self.options.mode is Mode.REFRESH_ONLY:
            return diagnostics
        return diagnostics + self.plan_delete(task, fresh, schema_marks(task.schema.block, value), reason)

    def plan_delete(self, task: Task, held: StateObject, value: Value, reason: str, deposed: str = "") -> Diagnostics:
        address = task.address
        type = self.plugins.decoder.type(task.schema.block)
        if task.resource is not None and task.resource.prevent_destroy and not deposed:
            # Each object is destroyed for itself: the others are planned all the same.
            self.say([destroy_prevented(address, task.resource)])
            return []
        action = Action.DELETE
        if not deposed and reason and self.removed_without_destroy(address):
            action = Action.FORGET
        private = held.private
        if action is Action.DELETE:
            plain = value.unmarked_deep()
            result = task.provider.plan(address.type, plain, null(type), null(type), held.private)
            said = [located(d, None, str(address)) for d in result.diagnostics]
            if has_errors(said):
                return said
            private = result.private
        self.pending.setdefault(task.config_resource, set()).add(task.address.module)
        self.changes[(address, deposed)] = ResourceChange(
            address,
            str(task.config),
            task.config.source,
            action,
            value,
            value if action is Action.FORGET else null(type),
            self.previous_addresses.get(address),
            deposed,
            "" if action is Action.FORGET else reason,
            private=private,
            schema_version=task.schema.version,
        )
        return []

    def removed_without_destroy(self, address: Instance) -> bool:
        """Whether a `removed` block says that the object is only to be forgotten."""
        from terrarium.engine.moves import removed_for

        removed = removed_for(self.root, address)
        return removed is not None and not removed.destroy

    def plan_deposed(self, address: Instance, key: str) -> Diagnostics:
        instance = self.prior.get(address)
        held = instance.deposed.get(key) if instance else None
        if held is None:
            return []
        task, diagnostics = self.orphan_task(address)
        if task is None:
            return diagnostics
        held, value, more = self.upgraded(task, held)
        diagnostics += more
        if value is None:
            return diagnostics
        fresh: StateObject | None = held
        if self.options.refresh:
            fresh, value, more = self.refresh(task, held, value, key)
            diagnostics += more
            if has_errors(more):
                return diagnostics
            if fresh is not held:
                self.refreshed.put_deposed(address, str(task.config), key, fresh)
        if fresh is None or self.options.mode is Mode.REFRESH_ONLY:
            return diagnostics
        return diagnostics + self.plan_delete(task, fresh, schema_marks(task.schema.block, value), "", key)

    def plan_leftovers(self) -> Diagnostics:
        """Whatever the walk did not come by: removed blocks, and modules that are no more."""
        diagnostics: Diagnostics = []
        for address, resource in list(self.prior.resources.items()):
            if address in self.seen:
                continue
            reason = self._leftover_reason(address)
            for key in list(resource.instances):
                diagnostics += self.plan_orphan(address.instance(key), reason)
                for deposed in resource.instances[key].deposed:
                    diagnostics += self.plan_deposed(address.instance(key), deposed)
        return diagnostics

    def _leftover_reason(self, address: AbsResource) -> str:
        if self.options.mode is Mode.DESTROY:
            return ""
        module = self.root.find(path_of(address.module))
        if module is None:
            return "delete_because_no_module"
        if address.module and address.module not in self.values.instances_of(path_of(address.module)):
            return "delete_because_no_module"
        return "delete_because_no_resource_config"


def _orphan_reason(keys: Keys, key: object) -> str:
    match keys.kind:
        case "single":
            return "delete_because_wrong_repetition"
        case "count":
            return "delete_because_count_index" if isinstance(key, int) else "delete_because_wrong_repetition"
        case _:
            return "delete_because_each_key" if isinstance(key, str) else "delete_because_wrong_repetition"


def self_reference(address: ConfigResource, reference: Reference) -> Diagnostic:
    return error(
        "Self-referential block", f"Configuration for {address} may not refer to itself.", reference.traversal.range
    )


def unknown_type(resource: Resource, source: str, hint: str | None = None) -> Diagnostic:
    kind = "resource type" if resource.mode == MANAGED else "data source"
    detail = f'The provider {source} does not support {kind} "{resource.type}".'
    return error(f"Invalid {kind}", f"{detail} {hint}" if hint else detail, resource.type_range)


def destroy_prevented(address: Instance, resource: Resource) -> Diagnostic:
    return error(
        "Instance cannot be destroyed",
        f"Resource {address} has lifecycle.prevent_destroy set, but the plan calls for this resource to be destroyed. To "
        "avoid this error and continue with the plan, either disable lifecycle.prevent_destroy or reduce the scope of the "
        "plan using the -target option.",
        resource.range,
    )


def nothing_to_import(task: Task) -> Diagnostic:
    return error(
        "Cannot import non-existent remote object",
        f'While attempting to import an existing object to "{task.address}", the provider detected that no object exists '
        "with the given id. Only pre-existing objects can be imported; check that the id is correct and that it is "
        'associated with the provider\'s configured region or endpoint, or use "terraform apply" to create a new remote '
        "object for this resource.",
    )


def provider_gone(address: Instance, config: ProviderConfig) -> Diagnostic:
    return error(
        "Provider configuration not present",
        f"To work with {address} its original provider configuration at {config} is required, but it has been removed. "
        f"This occurs when a provider configuration is removed while objects created by that provider still exist in the "
        f"state. Re-add the provider configuration to destroy {address}, after which you can remove the provider "
        "configuration again.",
    )


# --- the operation -----------------------------------------------------------------------------------------------------


def make_plan(session: Session, prior: State, options: Options, clock: Clock) -> tuple[Plan, Diagnostics]:
    """Plans. The plan is there even after errors (`errored`), with what could be planned."""
    previous = prior
    state, moves, diagnostics = apply_moves(session.root, prior)
    walk = PlanWalk(session, state, options)
    walk.previous_addresses = moves
    builder = Builder(session.root, session.plugins)
    graph = builder.build()
    walk.graph = graph
    walk.resource_configs = builder.providers
    cycles = cycle_errors(graph)
    plan = Plan(options.mode, prior=walk.refreshed, previous=state, targets=options.targets, replace=options.replace)
    plan.variables = dict(session.variables)
    plan.timestamp = rfc3339(clock.now())
    if has_errors(diagnostics) or cycles:
        plan.errored = plan.aborted = True
        return plan, [*diagnostics, *cycles]
    walk.forced_cbd = forced_before_destroy(session, graph)
    from terrarium.engine.targeting import restrict

    if options.targets:
        destroying = options.mode is Mode.DESTROY
        walk.refreshable = restrict(graph, options.targets, session.root)[0]
        walk.wanted, graph = restrict(graph, options.targets, session.root, dependents=destroying)
    walk.say(diagnostics)
    graph.walk(walk.visit, session.parallelism, inline=lambda n: n.kind != "resource", stopped=session.stopped)
    if not has_errors(walk.diagnostics):
        walk.say(missing_import_targets(session, builder))
        walk.say(walk.plan_leftovers())
    forgotten = [c for c in walk.changes.values() if c.action is Action.FORGET]
    if forgotten:
        walk.say([forgetting_warning(forgotten)])
    if options.targets:
        walk.say([targeting_warning()])
    finish(plan, walk, previous)
    return plan, walk.diagnostics


def finish(plan: Plan, walk: PlanWalk, previous: State) -> None:
    """Gathers what the walk found into the plan."""
    plan.errored = has_errors(walk.diagnostics)
    plan.changes = sorted(walk.changes.values(), key=lambda c: (c.address.order, c.deposed))
    plan.aborted = plan.errored and plan.mode is Mode.DESTROY and not plan.changes
    plan.prior = walk.refreshed
    plan.outputs = output_changes(walk, plan)
    if plan.mode is not Mode.DESTROY:
        keep_known_outputs(walk)
    plan.checks = walk.checks.results()
    plan.drift = drift(walk)
    inner = [
        (module, name)
        for module, outputs in walk.values.outputs.items()
        if module
        for name, value in outputs.items()
        if not value.is_null
    ]
    plan.relevant = relevant_attributes(walk.root, plan, inner if plan.mode is Mode.NORMAL else ())


def output_changes(walk: PlanWalk, plan: Plan) -> list[OutputChange]:
    """What happens to the root module's outputs."""
    found: list[OutputChange] = []
    old = walk.prior.outputs
    declared = walk.root.module.outputs
    now = walk.values.outputs.get((), {})
    destroying = plan.mode is Mode.DESTROY
    if destroying and plan.targets:
        return found
    for name in sorted({*old, *declared}):
        before = old.get(name)
        if name in declared and not destroying:
            after = now.get(name)
            if after is None:
                continue
            sensitive = bool(declared[name].sensitive) or SENSITIVE in after.marks
            if before is None:
                if after.is_null:
                    found.append(OutputChange(name, Action.NOOP, None, after, False, sensitive))
                    continue
                found.append(OutputChange(name, Action.CREATE, None, after, False, sensitive))
                continue
            same = after.is_wholly_known and equal(before.value.unmarked_deep(), after.unmarked_deep())
            action = Action.NOOP if same and before.sensitive == sensitive else Action.UPDATE
            found.append(OutputChange(name, action, before.value, after, before.sensitive, sensitive))
        elif before is not None:
            sensitive = before.sensitive
            found.append(OutputChange(name, Action.DELETE, before.value, None, sensitive, sensitive))
    return found


def keep_known_outputs(walk: PlanWalk) -> None:
    """Outputs whose value is certain already belong to the refreshed state."""
    declared = walk.root.module.outputs
    for name, value in walk.values.outputs.get((), {}).items():
        if value.is_null:
            walk.refreshed.outputs.pop(name, None)
        elif value.is_wholly_known:
            sensitive = bool(declared[name].sensitive) or SENSITIVE in value.marks
            walk.refreshed.outputs[name] = OutputState(value.unmarked_deep(), sensitive)


def drift(walk: PlanWalk) -> list[ResourceChange]:
    """How objects differ from what the state remembered."""
    found: list[ResourceChange] = []
    for address, provider, instance in walk.prior.instances():
        held = instance.current
        if held is None or address.mode != MANAGED:
            continue
        moved = walk.previous_addresses.get(address)
        now = walk.refreshed.current(address)
        if now is held and moved is None:
            continue
        config = parse_provider_config(provider)
        if config.source not in walk.plugins:
            continue
        schema = walk.plugins.resource_schema(config.source, address.mode, address.type)
        if schema is None:
            continue
        type = walk.plugins.decoder.type(schema.block)
        try:
            before = schema_marks(schema.block, held.value(type))
        except ValueError:
            continue
        after = schema_marks(schema.block, now.value(type)) if now is not None else null(type)
        same = now is not None and equal(before.unmarked_deep(), after.unmarked_deep())
        action = Action.DELETE if now is None else Action.NOOP if same else Action.UPDATE
        if action is Action.NOOP and moved is None:
            continue
        found.append(
            ResourceChange(
                address, provider, config.source, action, before, after, moved, schema_version=schema.version
            )
        )
    return sorted(found, key=lambda c: c.address.order)


def cycle_errors(graph: Graph[Node]) -> Diagnostics:
    found: Diagnostics = []
    for group in graph.cycles():
        if len(group) > 1:
            found.append(error("Cycle: " + ", ".join(map(str, group))))
    return found


def forced_before_destroy(session: Session, graph: Graph[Node]) -> set[ConfigResource]:
    """The resources to be created before they are destroyed: those which say so, and all that those depend on."""
    declared = [
        resource_node(module.path, r.mode, r.type, r.name)
        for module in session.root.walk()
        for r in module.module.resources.values()
        if r.create_before_destroy
    ]
    return {n.resource for n in graph.ancestors(declared) if n.kind == "resource" and n.mode == MANAGED}


def missing_import_targets(session: Session, builder: Builder) -> Diagnostics:
    """`import` blocks for resources that the configuration doesn't have."""
    found: Diagnostics = []
    for block in session.root.module.imports:
        target = static_target(block.to)
        if target is not None and target not in builder.providers:
            found.append(
                error(
                    "Configuration for import target does not exist",
                    f"The configuration for the given import target {target} does not exist. If you wish to automatically generate config for "
                    "this resource, use the -generate-config-out option within terraform plan. Otherwise, make sure the target resource exists "
                    "within your configuration. For example:\n\n  terraform plan -generate-config-out=generated.tf",
                    block.to.range,
                )
            )
    return found


def forgetting_warning(forgotten: Sequence[ResourceChange]) -> Diagnostic:
    lines = "".join(f"\n - {c.address}" for c in sorted(forgotten, key=lambda c: c.address.order))
    return Diagnostic(
        Severity.WARNING,
        "Some objects will no longer be managed by Terraform",
        f"If you apply this plan, Terraform will discard its tracking information for the following objects, but it will not delete them:{lines}"
        "\n\nAfter applying this plan, Terraform will no longer manage these objects. You will need to import them into Terraform to manage "
        "them again.",
    )


def targeting_warning() -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        "Resource targeting is in effect",
        "You are creating a plan with the -target option, which means that the result of this plan may not represent all of "
        "the changes requested by the current configuration.\n\nThe -target option is not for routine use, and is provided "
        "only for exceptional situations such as recovering from errors or mistakes, or when Terraform specifically "
        "suggests to use it as part of an error message.",
    )


__all__ = ["EPHEMERAL", "SINGLE", "Options", "PlanWalk", "cycle_errors", "evaluate", "make_plan"]
