"""In which order a plan's changes are to be made: pure, from the changes, the configuration's graph and the state.

A resource of the configuration becomes two nodes, `expand` (its instances are counted) and the node itself, which is
done when all its instances are; between them stand the steps. Objects are destroyed in the reverse of the order in which
they depend on each other, as the state remembers it; a replacement destroys first unless it must create first, and then
destroys after all that depended on the old object has been changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from terrarium.engine.addresses import (
    EPHEMERAL,
    MANAGED,
    ConfigResource,
    Instance,
    ProviderConfig,
    parse_provider_config,
)
from terrarium.engine.config_graph import Node, provider_node, resource_node
from terrarium.engine.graph import Graph
from terrarium.engine.plan import Action, Mode, Plan, ResourceChange
from terrarium.engine.state import State


class Step(NamedTuple):
    """`kind`: apply (create, update, read …), destroy, expand. `deposed` is "" or a key; of a replacement that creates
    first it is "replaced"."""

    kind: str
    address: Instance | ConfigResource
    deposed: str = ""

    def __str__(self) -> str:
        return f"{self.address} ({self.kind})" if self.kind != "apply" else str(self.address)


ApplyNode = Node | Step
REPLACED = "replaced"


def resource_masks(graph: Graph[Node]) -> tuple[dict[Node, int], list[ConfigResource]]:
    """For each node the resources that it depends on, directly or not, as bits; and what each bit means."""
    masks: dict[Node, int] = {}
    bits: list[ConfigResource] = []
    own: dict[Node, int] = {}
    for node in graph.order():
        mask = 0
        for before in graph.after[node]:
            mask |= masks[before] | own.get(before, 0)
        masks[node] = mask
        if node.kind == "resource" and node.mode != EPHEMERAL:
            own[node] = 1 << len(bits)
            bits.append(node.resource)
    return masks, bits


def named(mask: int, bits: list[ConfigResource]) -> tuple[ConfigResource, ...]:
    """The resources of a mask."""
    found: list[ConfigResource] = []
    while mask:
        low = mask & -mask
        found.append(bits[low.bit_length() - 1])
        mask ^= low
    return tuple(found)


def build(
    plan: Plan, graph: Graph[Node], state: State, providers: Mapping[ConfigResource, ProviderConfig]
) -> Graph[ApplyNode]:
    """The graph of an apply."""
    result: Graph[ApplyNode] = Graph()
    destroying = plan.mode is Mode.DESTROY
    needed = {provider_node(parse_provider_config(c.provider)) for c in plan.changes if c.action is not Action.NOOP}
    if destroying:
        kept = graph.ancestors(n for n in needed if n in graph)
        for node in kept:
            result.add(node, graph.after[node] & kept)
    else:
        for node, before in graph.after.items():
            result.add(node, before)
            if node.kind == "resource":
                expand = Step("expand", node.resource)
                result.add(expand, before)
                result.after[node] = {expand}
    for node in needed:
        if node not in result:
            result.add(node)
    destroyers: dict[ConfigResource, list[Step]] = {}
    before_destroy: set[ConfigResource] = set()
    for change in plan.changes:
        _add_steps(change, result, graph, destroying, destroyers)
        if change.action is Action.CREATE_REPLACE:
            before_destroy.add(change.address.config)
    _order_destroys(plan, result, graph, state, destroyers, before_destroy)
    result.remove_missing()
    return result


def _add_steps(
    change: ResourceChange,
    result: Graph[ApplyNode],
    graph: Graph[Node],
    destroying: bool,
    destroyers: dict[ConfigResource, list[Step]],
) -> None:
    config = change.address.config
    node = resource_node(*config)
    provider = provider_node(parse_provider_config(change.provider))
    applied = change.action in (Action.CREATE, Action.UPDATE, Action.READ, Action.REPLACE, Action.CREATE_REPLACE)
    apply = Step("apply", change.address)
    if applied:
        result.add(apply, [Step("expand", config), provider])
        if node in graph and not destroying:
            result.add(node, [apply])
    destroy: Step | None = None
    match change.action:
        case Action.DELETE | Action.FORGET:
            destroy = Step("destroy", change.address, change.deposed)
        case Action.REPLACE:
            destroy = Step("destroy", change.address)
            result.add(apply, [destroy])
        case Action.CREATE_REPLACE:
            destroy = Step("destroy", change.address, REPLACED)
            result.add(destroy, [apply])
    if destroy is not None:
        result.add(destroy, [provider])
        destroyers.setdefault(config, []).append(destroy)


def _order_destroys(
    plan: Plan,
    result: Graph[ApplyNode],
    graph: Graph[Node],
    state: State,
    destroyers: dict[ConfigResource, list[Step]],
    before_destroy: set[ConfigResource],
) -> None:
    if not destroyers:
        return
    provider_needs: dict[str, set[ConfigResource]] = {}
    for change in plan.changes:
        instance = state.get(change.address)
        held = (instance.deposed.get(change.deposed) if change.deposed else instance.current) if instance else None
        depends_on = set(held.dependencies) if held is not None else set()
        if change.provider not in provider_needs:
            node = provider_node(parse_provider_config(change.provider))
            behind = graph.ancestors([node]) if node in graph else set()
            provider_needs[change.provider] = {n.resource for n in behind if n.kind == "resource" and n.mode == MANAGED}
        depends_on |= provider_needs[change.provider]
        depends_on.discard(change.address.config)
        mine = [
            s
            for s in destroyers.get(change.address.config, ())
            if s.address == change.address and s.deposed in (change.deposed, REPLACED)
        ]
        apply = Step("apply", change.address)
        for other in depends_on & destroyers.keys():
            for destroy in destroyers[other]:
                for own in mine:
                    if own.deposed != REPLACED or other in before_destroy:
                        result.add(destroy, [own])
                if apply in result and change.action is not Action.DELETE:
                    if other in before_destroy:
                        result.add(destroy, [apply])
                    elif change.action in (Action.UPDATE, Action.REPLACE) and not _reaches(result, destroy, apply):
                        result.add(apply, [destroy])
    if before_destroy:
        _after_dependents(graph, result, destroyers, before_destroy)


def _reaches(graph: Graph[ApplyNode], start: ApplyNode, wanted: ApplyNode) -> bool:
    return wanted in graph.after.get(start, ())


def _after_dependents(
    graph: Graph[Node],
    result: Graph[ApplyNode],
    destroyers: dict[ConfigResource, list[Step]],
    before_destroy: set[ConfigResource],
) -> None:
    """What is destroyed late waits for everything that refers to the resource in the configuration."""
    dependents: dict[Node, list[Node]] = {}
    for node, before in graph.after.items():
        for other in before:
            dependents.setdefault(other, []).append(node)
    for config in before_destroy:
        pending = list(dependents.get(resource_node(*config), ()))
        seen: set[Node] = set()
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            if node.kind == "resource":
                for destroy in destroyers.get(config, ()):
                    if destroy.deposed == REPLACED and node in result:
                        result.add(destroy, [node])
            elif node.kind != "close" or node.path:
                pending.extend(dependents.get(node, ()))
