"""In which order a plan's changes are to be made: pure, from the changes, the configuration's graph and the state.

A resource of the configuration becomes two nodes, `expand` (its instances are counted) and the node itself, which is
done when all its instances are; between them stand the steps. Objects are destroyed in the reverse of the order in which
they depend on each other, as the state remembers it; a replacement destroys first unless it must create first, and then
destroys after all that depended on the old object has been changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
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
from terrarium.engine.state import NO_DEPENDENCIES, Dependencies, State, StateObject


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


@dataclass(frozen=True, slots=True)
class Behind:
    """For each node the resources that it depends on, directly or not, as bits of a number. Bits are in the order of the
    addresses in `texts`."""

    masks: Mapping[Node, int]
    texts: tuple[str, ...]

    def dependencies(self, node: Node) -> Dependencies:
        """What an object of the resource at a node depends on."""
        mask = self.masks.get(node, 0)
        if not mask:
            return NO_DEPENDENCIES
        chosen = bin(mask)[:1:-1].encode().translate(_BITS)
        return Dependencies(tuple(compress(self.texts, chosen)))


_BITS = bytes.maketrans(b"01", b"\x00\x01")


def resources_behind(graph: Graph[Node]) -> Behind:
    """What each node of a configuration's graph depends on."""
    resources = sorted((str(n.resource), n) for n in graph.after if n.kind == "resource" and n.mode != EPHEMERAL)
    own = {node: 1 << i for i, (_, node) in enumerate(resources)}
    masks: dict[Node, int] = {}
    for node in graph.order():
        mask = 0
        for before in graph.after[node]:
            mask |= masks[before] | own.get(before, 0)
        masks[node] = mask
    return Behind(masks, tuple(text for text, _ in resources))


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
    names = {str(config): config for config in destroyers}
    needs = _provider_needs(plan, graph, names)
    needed = [(c, _depends_on(c, state, names) | needs[c.provider]) for c in plan.changes]
    chains = _Chains(needed, names) if not before_destroy else None
    for change, depends_on in needed:
        depends_on.discard(str(change.address.config))
        if not depends_on:
            continue
        mine = [
            s
            for s in destroyers.get(change.address.config, ())
            if s.address == change.address and s.deposed in (change.deposed, REPLACED)
        ]
        apply = Step("apply", change.address)
        for text in chains.nearest(depends_on) if chains is not None else depends_on:
            other = names[text]
            for destroy in destroyers[other]:
                for own in mine:
                    if own.deposed != REPLACED or other in before_destroy:
                        result.add(destroy, [own])
        if apply not in result or change.action is Action.DELETE:
            continue
        for text in depends_on:
            other = names[text]
            for destroy in destroyers[other]:
                if other in before_destroy:
                    result.add(destroy, [apply])
                elif change.action in (Action.UPDATE, Action.REPLACE) and not _reaches(result, destroy, apply):
                    result.add(apply, [destroy])
    if before_destroy:
        _after_dependents(graph, result, destroyers, before_destroy)


def _held(change: ResourceChange, state: State) -> StateObject | None:
    instance = state.get(change.address)
    if instance is None:
        return None
    return instance.deposed.get(change.deposed) if change.deposed else instance.current


def _depends_on(change: ResourceChange, state: State, names: Mapping[str, ConfigResource]) -> set[str]:
    """Of the resources `names` those which a changed object depends on, as the state remembers it."""
    held = _held(change, state)
    return set() if held is None else names.keys() & held.dependencies.texts


def _provider_needs(plan: Plan, graph: Graph[Node], names: Mapping[str, ConfigResource]) -> dict[str, set[str]]:
    """What the configuration of each provider depends on."""
    needs: dict[str, set[str]] = {}
    for provider in {c.provider for c in plan.changes}:
        node = provider_node(parse_provider_config(provider))
        behind = graph.ancestors([node]) if node in graph else set()
        found = {str(n.resource) for n in behind if n.kind == "resource" and n.mode == MANAGED}
        needs[provider] = found & names.keys()
    return needs


class _Chains:
    """Keeps the number of edges small: what is destroyed before something that is itself destroyed before another needs
    no edge to that one. Resources are bits, those that depend on less first."""

    def __init__(self, needed: Sequence[tuple[ResourceChange, set[str]]], names: Mapping[str, ConfigResource]) -> None:
        behind: dict[str, set[str]] = {}
        for change, depends_on in needed:
            text = str(change.address.config)
            if text in names:
                behind[text] = behind[text] | depends_on if text in behind else depends_on
        for text in names:
            behind.setdefault(text, set())
        self.order = sorted(names, key=lambda text: (len(behind[text]), text))
        self.bit = {text: 1 << i for i, text in enumerate(self.order)}
        self.covered = {text: self.mask(found | {text}) for text, found in behind.items()}

    def mask(self, texts: set[str]) -> int:
        return sum(map(self.bit.__getitem__, texts))

    def nearest(self, texts: set[str]) -> Iterable[str]:
        """Those which no other one is sure to come before."""
        rest = self.mask(texts)
        while rest:
            text = self.order[rest.bit_length() - 1]
            yield text
            rest &= ~self.covered[text]


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
