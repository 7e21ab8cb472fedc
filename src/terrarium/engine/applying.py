"""Applying: a plan's steps made real, in the order of `apply_graph`. After a failure independent steps go on; those which
depend on it are left out. What comes of it is a new state, with outputs and the results of checks.
"""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, Severity, has_errors
from terrarium.base.ids import Ids
from terrarium.engine.addresses import (
    MANAGED,
    parse_provider_config,
)
from terrarium.engine.apply_graph import build, resources_behind
from terrarium.engine.apply_walk import ApplyWalk, NoRecorder, Recorder
from terrarium.engine.config_graph import Builder
from terrarium.engine.evaluation import Keys
from terrarium.engine.plan import Mode, Plan
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.planning import cycle_errors, forced_before_destroy
from terrarium.engine.state import CheckResult, OutputState, State
from terrarium.engine.walking import Diagnostics, Session
from terrarium.language.values import SENSITIVE


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


__all__ = ["ApplyWalk", "NoRecorder", "Recorder", "apply_plan"]
