"""Planning: configuration, prior state and providers' answers joined into a `Plan`.

Theory of operation. Moves are applied to the state first. Then the configuration's graph is walked once (`plan_walk`).
What the state holds and the configuration doesn't name is found after the walk and planned for destruction. The working
state of the walk is `Values`; the prior state is never changed, refreshed objects are collected beside it. Destroying
takes two walks: a normal plan, which shows what exists and whether the configuration makes sense, and another one which
plans the end of all of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from terrarium.base.clock import Clock, rfc3339
from terrarium.base.diagnostics import error, has_errors
from terrarium.engine.addresses import MANAGED, ConfigResource, Instance, Target, is_within, sorted_instances
from terrarium.engine.config_graph import Builder, Node, resource_node
from terrarium.engine.graph import Graph
from terrarium.engine.moves import apply_moves, removed_problems
from terrarium.engine.plan import Action, Mode, Plan
from terrarium.engine.plan_base import Options
from terrarium.engine.plan_messages import (
    excluded_by_targets,
    forgetting_warning,
    nothing_to_import,
    targeting_warning,
)
from terrarium.engine.plan_results import drift, finish, keep_known_outputs
from terrarium.engine.plan_walk import PlanWalk
from terrarium.engine.state import State
from terrarium.engine.targeting import restrict
from terrarium.engine.walking import Diagnostics, Session


def make_plan(session: Session, prior: State, options: Options, clock: Clock) -> tuple[Plan, Diagnostics]:
    """Plans. The plan is there even after errors (`errored`), with what could be planned."""
    state, moves, diagnostics = apply_moves(session.root, prior)
    builder = Builder(session.root, session.plugins)
    graph = builder.build()
    broken = [*removed_problems(session.root), *cycle_errors(graph)]
    plan = Plan(options.mode, prior=state, previous=state, targets=options.targets, replace=options.replace)
    plan.variables = dict(session.variables)
    plan.timestamp = rfc3339(clock.now())
    if broken:
        plan.errored = plan.aborted = True
        return plan, [*diagnostics, *broken]

    outside = excluded_moves(moves, options.targets)
    if outside:
        plan.errored = plan.aborted = True
        return plan, [excluded_by_targets(outside)]

    def walked(held: State, how: Options, before: PlanWalk | None = None) -> PlanWalk:
        walk = PlanWalk(session, held, how)
        walk.previous_addresses = moves
        walk.resource_configs = builder.providers
        walk.graph = graph
        walk.forced_cbd = forced
        walk.providers.update(before.providers if before is not None else {})
        walk.say(diagnostics)
        _walk(walk, graph)
        return walk

    forced = forced_before_destroy(session, graph)
    if options.mode is Mode.DESTROY and options.refresh and not state.empty:
        seen = walked(state, replace(options, mode=Mode.NORMAL, before_destroy=True))
        if has_errors(seen.diagnostics):
            plan.errored = plan.aborted = True
            return plan, seen.diagnostics
        keep_known_outputs(seen)
        walk = walked(seen.refreshed, replace(options, refresh=False), seen)
        finish(plan, walk, drift(seen))
    else:
        walk = walked(state, options)
        if has_errors(diagnostics):
            # Moves that can't be are likely to be behind whatever else is wrong.
            plan.errored = plan.aborted = True
            return plan, diagnostics
        finish(plan, walk, drift(walk))
    return plan, walk.diagnostics


def excluded_moves(moves: Mapping[Instance, Instance], targets: Sequence[Target]) -> list[Instance]:
    """Ends of moves that targets leave out: with half of a move nothing right can be planned."""
    if not targets:
        return []
    ends = {end for move in moves.items() for end in move}
    return sorted_instances(end for end in ends if not any(is_within(end, t) for t in targets))


def _walk(walk: PlanWalk, graph: Graph[Node]) -> None:
    """One pass over the graph, and over what is not in it."""
    session, options = walk.session, walk.options
    if options.targets:
        destroying = options.mode is Mode.DESTROY
        walk.refreshable = restrict(graph, options.targets, session.root)[0]
        walk.wanted, graph = restrict(graph, options.targets, session.root, dependents=destroying)
        walk.values.partial = True
    try:
        graph.walk(walk.visit, session.parallelism, inline=walk.inline, stopped=session.stopped)
    finally:
        walk.say(walk.ephemerals.close())
    if not has_errors(walk.diagnostics) and not options.before_destroy:
        walk.say(walk.plan_generated())
    walk.say(walk.plan_leftovers())
    forgotten = [c for c in walk.changes.values() if c.action is Action.FORGET]
    if forgotten:
        walk.say([forgetting_warning(forgotten)])
    if options.targets and not options.before_destroy:
        walk.say([targeting_warning()])


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


__all__ = ["Options", "PlanWalk", "cycle_errors", "forced_before_destroy", "make_plan", "nothing_to_import"]
