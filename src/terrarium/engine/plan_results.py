"""What a finished walk comes to: changes in order, outputs, drift, relevant attributes, check results."""

from __future__ import annotations

from terrarium.base.diagnostics import has_errors
from terrarium.engine.addresses import MANAGED, parse_provider_config
from terrarium.engine.plan import Action, Mode, OutputChange, Plan, ResourceChange
from terrarium.engine.plan_object import equal, schema_marks
from terrarium.engine.plan_walk import PlanWalk
from terrarium.engine.relevance import relevant_attributes
from terrarium.engine.state import OutputState
from terrarium.language.values import SENSITIVE, null


def finish(plan: Plan, walk: PlanWalk, drifted: list[ResourceChange]) -> None:
    """Gathers what the walk found into the plan. `drifted` is how objects differ from what the state remembered."""
    plan.errored = has_errors(walk.diagnostics)
    plan.changes = sorted(walk.changes.values(), key=lambda c: (c.address.order, c.deposed))
    plan.aborted = plan.errored and plan.mode is Mode.DESTROY and not plan.changes
    plan.prior = walk.refreshed
    plan.outputs = output_changes(walk, plan)
    if plan.mode is not Mode.DESTROY:
        keep_known_outputs(walk)
    plan.checks = walk.checks.results()
    plan.drift = drifted
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
