"""The walk of an apply: each step of a plan made real, and remembered in the state as it ends.

Whatever a provider reports is put into the state, and the state's store told of it, before anything is said about it to
the user: an object that was ever shown as created can't be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from terrarium.base.diagnostics import error, has_errors
from terrarium.base.ids import Ids
from terrarium.engine.addresses import (
    DATA,
    EPHEMERAL,
    MANAGED,
    AbsResource,
    ConfigResource,
    Instance,
    ProviderConfig,
    parse_provider_config,
)
from terrarium.engine.apply_graph import REPLACED, ApplyNode, Behind
from terrarium.engine.checks import evaluate_rule, of_nested_data, originating
from terrarium.engine.config_graph import Node, resource_node
from terrarium.engine.configuration import Resource
from terrarium.engine.conformity import absent_after_apply, incompatible, inconsistent, still_unknown
from terrarium.engine.evaluation import Keys, Repetition
from terrarium.engine.expansion import expand
from terrarium.engine.objchange import proposed_new, with_unknowns, without_unknowns, without_write_only
from terrarium.engine.plan import Action, Mode, Plan, ResourceChange
from terrarium.engine.plan_object import equal, schema_marks
from terrarium.engine.provider import Provider, Schema, is_quick
from terrarium.engine.provisioning import run_provisioners
from terrarium.engine.state import ResourceState, State, StateObject, marked, sensitive_paths
from terrarium.engine.walking import Diagnostics, Session, Walk, located, missing_provider, object_id
from terrarium.language.values import Value, null


class Recorder(Protocol):
    """Keeps a state that changes: told of each object as it becomes something else. `counted` is false for what is only
    the first half of a change; the serial of the state counts the others."""

    def record(self, state: State, address: Instance, counted: bool = True) -> None: ...


class NoRecorder:
    def record(self, state: State, address: Instance, counted: bool = True) -> None: ...


class ApplyWalk(Walk):
    """The walk of an apply. `state` is changed as objects are."""

    applying = True

    def __init__(self, session: Session, plan: Plan, state: State, recorder: Recorder, ids: Ids) -> None:
        super().__init__(session)
        self.plan = plan
        self.state = state
        self.recorder = recorder
        self.ids = ids
        self.changes: dict[Instance, ResourceChange] = {c.address: c for c in plan.changes if not c.deposed}
        self.deposed_changes = {(c.address, c.deposed): c for c in plan.changes if c.deposed}
        self.replaced_keys: dict[Instance, str] = {}
        self.resource_configs: Mapping[ConfigResource, ProviderConfig] = {}
        self.behind = Behind({}, ())
        self.keys: dict[Instance, Repetition | None] = {}
        self.before_destroy: set[ConfigResource] = set()
        self.counts = {"add": 0, "change": 0, "remove": 0, "import": 0}

    # --- nodes -------------------------------------------------------------------------------------------------

    def visit_node(self, node: ApplyNode) -> bool:
        if isinstance(node, Node):
            return self.visit(node)
        match node.kind:
            case "expand":
                assert isinstance(node.address, ConfigResource)
                return self.say(self.expand(node.address))
            case "apply":
                assert isinstance(node.address, Instance)
                return self.say(self.apply(node.address))
            case _:
                assert isinstance(node.address, Instance)
                return self.say(self.destroy(node.address, node.deposed))

    def inline(self, node: ApplyNode) -> bool:
        """Whether a visit is too short to be worth a thread."""
        if isinstance(node, Node) or node.kind == "expand":
            return node.kind != "provider"
        address = node.address
        if not isinstance(address, Instance) or address.mode != MANAGED:
            return False
        change = self.deposed_changes.get((address, node.deposed)) or self.changes[address]
        resource = self.root.resource(address.config)
        if resource is None or resource.provisioners:
            return False
        return is_quick(self.providers.get(parse_provider_config(change.provider)))

    def visit_resource(self, node: Node) -> Diagnostics:
        """All instances are done; but what providers need while destroying has no steps of its own."""
        if node.mode == EPHEMERAL and self.plan.mode is Mode.DESTROY:
            return self.expand(node.resource)
        return []

    def expand(self, config: ConfigResource) -> Diagnostics:
        resource = self.root.resource(config)
        assert resource is not None
        provider = self.resource_configs[config]
        schema = self.plugins.resource_schema(provider.source, config.mode, config.type)
        assert schema is not None
        if resource.preconditions or resource.postconditions:
            self.checks.expect("resource", str(config))
        diagnostics: Diagnostics = []
        for module in self.values.instances_of(config.path):
            address = AbsResource(module, config.mode, config.type, config.name)
            keys, more = expand(self.evaluator, module, resource)
            diagnostics += more
            self.values.keys[address] = keys
            # The resource is known from now on, even should nothing come of its instances.
            if config.mode != EPHEMERAL:
                with self._lock:
                    self.state.resources.setdefault(address, ResourceState(str(provider)))
            if config.mode == EPHEMERAL:
                for key in keys.keys:
                    instance = address.instance(key)
                    asked = self.session.stand_in(instance, self.providers[provider])
                    diagnostics += self.ephemerals.open(instance, resource, asked, schema, keys.repetition(key))
                continue
            for key in keys.keys:
                diagnostics += self.settle(address.instance(key), resource, schema, keys)
        return diagnostics

    def settle(self, instance: Instance, resource: Resource, schema: Schema, keys: Keys) -> Diagnostics:
        """An instance which nothing is done to has its value from the state, or from the plan."""
        self.keys[instance] = keys.repetition(instance.key)
        change = self.changes.get(instance)
        if change is not None and change.action is not Action.NOOP:
            return []
        held = self.state.current(instance)
        if held is None:
            return []
        value = schema_marks(schema.block, held.value(self.plugins.decoder.type(schema.block)))
        self.values.set_object(instance, value)
        if change is not None and change.importing is not None:
            self.session.events.import_apply(instance, change.importing)
            self.counts["import"] += 1
        if not (resource.preconditions or resource.postconditions):
            return []
        diagnostics = self.conditions(instance, resource, "precondition", None)
        return diagnostics + self.conditions(instance, resource, "postcondition", value)

    def conditions(self, address: Instance, resource: Resource, what: str, self_value: Value | None) -> Diagnostics:
        rules = resource.preconditions if what == "precondition" else resource.postconditions
        diagnostics: Diagnostics = []
        for index, rule in enumerate(rules):
            status, message, more = evaluate_rule(
                self.evaluator, address.module, rule, what, self.keys.get(address), self_value
            )
            self.checks.report("resource", str(address.config), str(address), (what, index), status, message)
            diagnostics += originating(more, "resource", str(address.config), str(address))
        return diagnostics

    # --- create, update, read ----------------------------------------------------------------------------------

    def provider_of(self, change: ResourceChange) -> tuple[Provider | None, Schema | None, Diagnostics]:
        config = parse_provider_config(change.provider)
        provider = self.providers.get(config)
        if provider is None:
            return None, None, [missing_provider(config.source)]
        schema = self.plugins.resource_schema(config.source, change.address.mode, change.address.type)
        return self.session.stand_in(change.address, provider), schema, []

    def apply(self, address: Instance) -> Diagnostics:
        change = self.changes[address]
        provider, schema, diagnostics = self.provider_of(change)
        if provider is None or schema is None:
            return diagnostics
        resource = self.root.resource(address.config)
        assert resource is not None
        diagnostics = self.conditions(address, resource, "precondition", None)
        if has_errors(diagnostics):
            return diagnostics
        config, more = self.decode(schema.block, resource.body, address.module, self.keys.get(address))
        diagnostics += [replace(d, address=d.address or str(address)) for d in more]
        if has_errors(more):
            return diagnostics
        check = provider.validate_data if address.mode == DATA else provider.validate_resource
        said = check(address.type, config.unmarked_deep())
        diagnostics += [located(d, resource.body, str(address)) for d in said]
        if has_errors(diagnostics):
            return diagnostics
        if address.mode == DATA:
            return diagnostics + self.read(address, change, resource, provider, schema, config)
        return diagnostics + self.change(address, change, resource, provider, schema, config)

    def read(
        self,
        address: Instance,
        change: ResourceChange,
        resource: Resource,
        provider: Provider,
        schema: Schema,
        config: Value,
    ) -> Diagnostics:
        plain = config.unmarked_deep()
        if not plain.is_wholly_known:
            return [
                error(
                    "Configuration contains unknown value",
                    "A data source's configuration is still not known.",
                    resource.range,
                )
            ]
        self.session.events.read_start(address)
        result = provider.read_data(address.type, plain)
        said = [located(d, resource.body, str(address)) for d in result.diagnostics]
        if resource.check is not None:
            failed = has_errors(said)
            said = of_nested_data(said, address.module, resource.check)
            self.report_nested(resource, address, failed, said)
            if failed:
                # The check has failed; whatever else refers to the data source has to do without it.
                value = schema_marks(schema.block, with_unknowns(schema.block, plain))
                type = self.plugins.decoder.type(schema.block)
                held = StateObject.of(without_unknowns(value), type, schema_version=schema.version)
                self.put(address, change.provider, held)
                self.values.set_object(address, value)
                return said
        if has_errors(said):
            self.session.events.read_failed(address)
            return said
        value = schema_marks(schema.block, marked(result.value, sensitive_paths(config)))
        held = StateObject.of(value, self.plugins.decoder.type(schema.block), schema_version=schema.version)
        self.put(address, change.provider, held)
        self.values.set_object(address, value)
        self.session.events.read_done(address, object_id(value))
        return said + self.conditions(address, resource, "postcondition", value)

    def put(self, address: Instance, provider: str, held: StateObject | None) -> None:
        with self._lock:
            self.state.put(address, provider, held)
            self.recorder.record(self.state, address)

    def put_deposed(self, address: Instance, provider: str, key: str, held: StateObject | None) -> None:
        with self._lock:
            self.state.put_deposed(address, provider, key, held)
            self.recorder.record(self.state, address)

    def change(
        self,
        address: Instance,
        change: ResourceChange,
        resource: Resource,
        provider: Provider,
        schema: Schema,
        config: Value,
    ) -> Diagnostics:
        block = schema.block
        type = self.plugins.decoder.type(block)
        creating = change.action is not Action.UPDATE
        held = None if creating else self.state.current(address)
        deposed = ""
        if change.action is Action.CREATE_REPLACE:
            old = self.state.current(address)
            if old is not None:
                deposed = self.ids.hex(8)
                with self._lock:
                    self.state.put_deposed(address, change.provider, deposed, old)
                    self.state.put(address, change.provider, None)
                    self.recorder.record(self.state, address, counted=False)
                self.replaced_keys[address] = deposed
        prior = null(type) if held is None else held.value(type).unmarked_deep()
        plain = config.unmarked_deep()
        if resource.ignore_all or resource.ignore_changes:
            from terrarium.engine.plan_object import ignoring

            plain = ignoring(prior, plain, resource.ignore_all, resource.ignore_changes)
        private = change.private if not creating else b""
        again = provider.plan(
            address.type, prior, proposed_new(block, prior, plain), plain, held.private if held is not None else private
        )
        diagnostics = [located(d, resource.body, str(address)) for d in again.diagnostics]
        if has_errors(diagnostics):
            self._restore(address, change.provider, deposed)
            return diagnostics
        planned = without_write_only(block, again.planned)
        unexpected = "" if again.legacy else incompatible(change.after.unmarked_deep(), planned, ())
        if unexpected:
            self._restore(address, change.provider, deposed)
            return [*diagnostics, inconsistent(address, change.source, unexpected, final_plan=True)]
        action = Action.CREATE if creating else Action.UPDATE
        events = self.session.events
        if change.importing is not None:
            events.import_apply(address, change.importing)
        if held is not None and equal(planned, prior) and not hidden_change(held, config):
            # What was unknown has turned out to be as it was.
            visible = schema_marks(block, held.value(type))
            self.values.set_object(address, visible)
            return diagnostics + self.conditions(address, resource, "postcondition", visible)
        events.apply_start(address, action, object_id(change.before) if not creating else "")
        result = provider.apply(address.type, prior, planned, plain, again.private)
        said = [located(d, resource.body, str(address)) for d in result.diagnostics]
        diagnostics += said
        failed = has_errors(said)
        value = without_write_only(block, result.value)
        if failed and value.is_null and not creating and held is not None:
            value = prior
        if not value.is_null and not value.is_wholly_known:
            if not failed:
                diagnostics.append(still_unknown(address, change.source))
                failed = True
            value = without_unknowns(value)
        if not failed and not value.is_null and not result.legacy:
            wrong = incompatible(planned, value, ())
            if wrong:
                diagnostics.append(inconsistent(address, change.source, wrong))
                failed = True
        if value.is_null:
            if not failed:
                diagnostics.append(absent_after_apply(address, change.source))
            self._restore(address, change.provider, deposed)
            events.apply_failed(address, action)
            return diagnostics
        marks = sensitive_paths(config)
        node = resource_node(*address.config)
        new = StateObject.of(
            schema_marks(block, marked(value, marks)),
            type,
            schema_version=schema.version,
            private=result.private,
            tainted=(failed and creating) or (held is not None and held.tainted and failed),
            dependencies=self.behind.dependencies(node),
            create_before_destroy=address.config in self.before_destroy,
        )
        self.put(address, change.provider, new)
        visible = new.value(type)
        self.values.set_object(address, visible)
        if failed:
            events.apply_failed(address, action)
            return diagnostics
        if creating and resource.provisioners:
            said = run_provisioners(self, address, resource, visible, self.keys.get(address), destroy=False)
            diagnostics += said
            if has_errors(said):
                self.put(address, change.provider, new.with_taint(True))
                events.apply_failed(address, action)
                return diagnostics
        self.counts["add" if creating else "change"] += 1
        self.counts["import"] += change.importing is not None
        events.apply_done(address, action, object_id(visible))
        return diagnostics + self.conditions(address, resource, "postcondition", visible)

    def _restore(self, address: Instance, provider: str, deposed: str) -> None:
        """Nothing came of the new object: the old one is the current one again."""
        if not deposed:
            with self._lock:
                self.state.drop_if_empty(address.resource)
            return
        self.replaced_keys.pop(address, None)
        with self._lock:
            instance = self.state.get(address)
            old = instance.deposed.get(deposed) if instance else None
            self.state.put(address, provider, old)
            self.state.put_deposed(address, provider, deposed, None)
            self.recorder.record(self.state, address)

    # --- destroy -----------------------------------------------------------------------------------------------

    def destroy(self, address: Instance, deposed: str) -> Diagnostics:
        change = self.deposed_changes.get((address, deposed)) or self.changes[address]
        key = deposed
        if deposed == REPLACED:
            key = self.replaced_keys.get(address, "")
            if not key:
                return []
        instance = self.state.get(address)
        held = (instance.deposed.get(key) if key else instance.current) if instance else None
        if held is None:
            return []
        if change.action is Action.FORGET:
            self.put(address, change.provider, None)
            return []
        provider, schema, diagnostics = self.provider_of(change)
        if provider is None or schema is None:
            return diagnostics
        type = self.plugins.decoder.type(schema.block)
        value = held.value(type)
        plain = value.unmarked_deep()
        events, id = self.session.events, object_id(schema_marks(schema.block, value))
        events.apply_start(address, Action.DELETE, id, key)
        if not key and not held.tainted:
            said = self.destroy_provisioners(address, value)
            diagnostics += said
            if has_errors(said):
                events.apply_failed(address, Action.DELETE, key)
                return diagnostics
        planned = provider.plan(address.type, plain, null(type), null(type), held.private)
        result = provider.apply(address.type, plain, null(type), null(type), planned.private)
        resource = self.root.resource(address.config)
        said = [located(d, resource.body if resource else None, str(address)) for d in result.diagnostics]
        diagnostics += said
        if has_errors(said):
            kept = held
            if not result.value.is_null and result.value.is_wholly_known and not equal(result.value, plain):
                kept = StateObject.of(
                    marked(result.value, held.sensitive), type, schema_version=schema.version, private=result.private,
                    tainted=held.tainted, dependencies=held.dependencies, create_before_destroy=held.create_before_destroy,
                )  # fmt: skip
            if key:
                self.put_deposed(address, change.provider, key, kept)
            else:
                self.put(address, change.provider, kept)
            events.apply_failed(address, Action.DELETE, key)
            return diagnostics
        if key:
            self.put_deposed(address, change.provider, key, None)
        else:
            self.put(address, change.provider, None)
        self.counts["remove"] += 1
        events.apply_done(address, Action.DELETE, id, key)
        return diagnostics

    def destroy_provisioners(self, address: Instance, value: Value) -> Diagnostics:
        resource = self.root.resource(address.config)
        if resource is None:
            from terrarium.engine.moves import removed_for

            removed = removed_for(self.root, address)
            if removed is None or not removed.provisioners:
                return []
            resource = Resource(MANAGED, address.type, address.name, None, removed.range, removed.range)  # type: ignore[arg-type]
            resource.provisioners = removed.provisioners
        if not any(p.when_destroy for p in resource.provisioners):
            return []
        repetition = _from_key(address)
        return run_provisioners(self, address, resource, value, repetition, destroy=True)


def hidden_change(held: StateObject, config: Value) -> bool:
    """Whether the configuration hides other parts than the state does."""
    return bool(set(sensitive_paths(config)) - set(held.sensitive))


def _from_key(address: Instance) -> Repetition | None:
    """What `each.key` and `count.index` are, out of the address alone."""
    from terrarium.language.values import number, string, unknown

    if isinstance(address.key, int):
        return Repetition(count=number(address.key))
    if isinstance(address.key, str):
        return Repetition(each_key=string(address.key), each_value=unknown())
    return None
