"""Applying: a plan's steps made real, in the order of `apply_graph`, each remembered in the state as it ends.

Whatever a provider reports is put into the state, and the state's store told of it, before anything is said about it to
the user: an object that was ever shown as created can't be lost. After a failure independent steps go on; those which
depend on it are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
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
from terrarium.engine.apply_graph import REPLACED, ApplyNode, Behind, build, resources_behind
from terrarium.engine.checks import evaluate_rule, of_nested_data, originating
from terrarium.engine.config_graph import Builder, Node, resource_node
from terrarium.engine.configuration import Resource
from terrarium.engine.evaluation import Keys, Repetition
from terrarium.engine.expansion import expand
from terrarium.engine.graph import Graph
from terrarium.engine.objchange import proposed_new, with_unknowns, without_unknowns, without_write_only
from terrarium.engine.plan import Action, Mode, Plan, ResourceChange
from terrarium.engine.plan_object import equal, schema_marks
from terrarium.engine.planning import cycle_errors, forced_before_destroy
from terrarium.engine.provider import Provider, Schema, is_quick
from terrarium.engine.provisioning import run_provisioners
from terrarium.engine.state import CheckResult, OutputState, ResourceState, State, StateObject, marked, sensitive_paths
from terrarium.engine.walking import Diagnostics, Session, Walk, located, missing_provider, object_id
from terrarium.language.values import NULL, SENSITIVE, Value, null


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


def incompatible(planned: Value, actual: Value, path: tuple[object, ...]) -> str:
    """How a value breaks the promise of an earlier, partly unknown one; "" when it doesn't."""
    from terrarium.language.types import Set

    if not planned.is_known:
        return ""
    if not actual.is_known:
        return f"{_at(path)}: was known, but now unknown"
    if (planned.data is NULL) != (actual.data is NULL):
        return f"{_at(path)}: was {_brief(planned)}, but now {_brief(actual)}"
    if planned.data is NULL:
        return ""
    if isinstance(planned.data, dict) and isinstance(actual.data, dict):
        for key, part in planned.data.items():
            if key not in actual.data:
                return f"{_at((*path, key))}: element {key!r} has vanished".replace("'", '"')
            found = incompatible(part, actual.data[key], (*path, key))
            if found:
                return found
        extra = [k for k in actual.data if k not in planned.data]
        return f'{_at(path)}: new element "{extra[0]}" has appeared' if extra else ""
    if isinstance(planned.data, tuple) and isinstance(actual.data, tuple):
        if isinstance(planned.type, Set):
            if planned.is_wholly_known and set(planned.data) != set(actual.data):
                return f"{_at(path)}: planned set element does not correlate with any element in actual"
            return ""
        if len(planned.data) != len(actual.data):
            return f"{_at(path)}: new element {min(len(planned.data), len(actual.data))} has {'appeared' if len(actual.data) > len(planned.data) else 'vanished'}"
        for i, (a, b) in enumerate(zip(planned.data, actual.data, strict=True)):
            if found := incompatible(a, b, (*path, i)):
                return found
        return ""
    if planned.data != actual.data:
        return f"{_at(path)}: was {_brief(planned)}, but now {_brief(actual)}"
    return ""


def _at(path: Sequence[object]) -> str:
    return "".join(f".{p}" if isinstance(p, str) else f"[{p}]" for p in path) or "."


def _brief(value: Value) -> str:
    from terrarium.language.explain import compact

    return (
        "null"
        if value.data is NULL
        else "cty."
        + {"string": "StringVal", "number": "NumberIntVal", "bool": "BoolVal"}.get(value.type.friendly(), "Value")
        + f"({compact(value)})"
    )


def _bug(source: str) -> str:
    return "This is a bug in the provider, which should be reported in the provider's own issue tracker."


def inconsistent(address: Instance, source: str, what: str, final_plan: bool = False) -> Diagnostic:
    if final_plan:
        return error(
            "Provider produced inconsistent final plan",
            f"When expanding the plan for {address} to include new values learned so far during apply, provider "
            f'"{source}" produced an invalid new value for {what}.\n\n{_bug(source)}',
        )
    return error(
        "Provider produced inconsistent result after apply",
        f'When applying changes to {address}, provider "provider[\\"{source}\\"]" produced an unexpected new value: {what}.'
        f"\n\n{_bug(source)}",
    )


def still_unknown(address: Instance, source: str) -> Diagnostic:
    return error(
        "Provider returned invalid result object after apply",
        f"After the apply operation, the provider still indicated an unknown value for {address}. All values must be known "
        f"after apply, so this is always a bug in the provider and should be reported in the provider's own repository. "
        "Terraform will still save the other known object values in the state.",
    )


def absent_after_apply(address: Instance, source: str) -> Diagnostic:
    return error(
        "Provider produced inconsistent result after apply",
        f'When applying changes to {address}, provider "provider[\\"{source}\\"]" produced an unexpected new value: Root '
        f"object was present, but now absent.\n\n{_bug(source)}",
    )


# --- the operation -----------------------------------------------------------------------------------------------------


def apply_plan(session: Session, plan: Plan, recorder: Recorder, ids: Ids) -> tuple[State, dict[str, int], Diagnostics]:
    """Executes a plan. The state is what came of it, also after errors."""
    state = plan.prior.copy()
    walk = ApplyWalk(session, plan, state, recorder, ids)
    builder = Builder(session.root, session.plugins)
    graph = builder.build()
    walk.resource_configs = builder.providers
    walk.behind = resources_behind(graph)
    walk.before_destroy = forced_before_destroy(session, graph)
    if plan.targets:
        from terrarium.engine.targeting import restrict

        _, graph = restrict(graph, plan.targets, session.root, dependents=plan.mode is Mode.DESTROY)
    if plan.mode is Mode.DESTROY:
        preload(walk, state)
    steps = build(plan, graph, state, builder.providers)
    cycles = cycle_errors(steps)  # type: ignore[arg-type]
    if cycles:
        return state, walk.counts, cycles
    try:
        steps.walk(walk.visit_node, session.parallelism, inline=walk.inline, stopped=session.stopped)
    finally:
        walk.say(walk.ephemerals.close())
    if plan.mode is Mode.REFRESH_ONLY or plan.mode is Mode.NORMAL:
        keep_outputs(walk, state)
    else:
        _drop_outputs(walk, state)
    if walk.checks or plan.checks:
        state.checks = merged_checks(walk, plan)
    else:
        state.checks = None
    if not has_errors(walk.diagnostics):
        state.resources = {a: r for a, r in state.resources.items() if r.instances}
    if plan.targets:
        walk.say([incomplete_warning()])
    return state, walk.counts, walk.diagnostics


def preload(walk: ApplyWalk, state: State) -> None:
    """While destroying, values are what the state has: providers may still need them."""
    for address, provider, instance in state.instances():
        if instance.current is None:
            continue
        source = parse_provider_config(provider).source
        if source not in walk.plugins:
            continue
        schema = walk.plugins.resource_schema(source, address.mode, address.type)
        if schema is None:
            continue
        try:
            value = instance.current.value(walk.plugins.decoder.type(schema.block))
        except ValueError:
            continue
        walk.values.set_object(address, schema_marks(schema.block, value))
        keys = walk.values.keys.get(address.resource)
        found = (*keys.keys, address.key) if keys is not None else (address.key,)
        kind = "single" if address.key is None else "count" if isinstance(address.key, int) else "each"
        walk.values.keys[address.resource] = Keys(kind, found, {})


def keep_outputs(walk: ApplyWalk, state: State) -> None:
    declared = walk.root.module.outputs
    for name, value in walk.values.outputs.get((), {}).items():
        if value.is_null:
            state.outputs.pop(name, None)
        elif value.is_wholly_known:
            sensitive = bool(declared[name].sensitive) or SENSITIVE in value.marks
            state.outputs[name] = OutputState(value.unmarked_deep(), sensitive)
    for name in list(state.outputs):
        if name not in declared:
            del state.outputs[name]


def _drop_outputs(walk: ApplyWalk, state: State) -> None:
    if not walk.plan.targets and not has_errors(walk.diagnostics):
        state.outputs.clear()
        state.resources = {a: r for a, r in state.resources.items() if a.mode == MANAGED}


def merged_checks(walk: ApplyWalk, plan: Plan) -> tuple[CheckResult, ...] | None:
    """Results of this apply. What it did not come by has the result of the plan; after errors nothing is known of it."""
    mine = {(c.kind, c.address): c for c in walk.checks.results()}
    failed = has_errors(walk.diagnostics)
    merged = [mine.pop((c.kind, c.address), _unknown(c) if failed else c) for c in plan.checks]
    merged += mine.values()
    return tuple(sorted(merged, key=lambda c: (c.kind, c.address))) or None


def _unknown(check: CheckResult) -> CheckResult:
    return CheckResult(check.kind, check.address, "unknown", tuple((a, "unknown", ()) for a, _, _ in check.objects))


def incomplete_warning() -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        "Applied changes may be incomplete",
        "The plan was created with the -target option in effect, so some changes requested in the configuration may have "
        "been ignored and the output values may not be fully updated. Run the following command to verify that no other "
        "changes are pending:\n    terraform plan\n\nNote that the -target option is not suitable for routine use, and is "
        "provided only for exceptional situations such as recovering from errors or mistakes, or when Terraform "
        "specifically suggests to use it as part of an error message.",
    )


__all__ = ["ApplyWalk", "Graph", "NoRecorder", "Recorder", "apply_plan", "incompatible"]
