"""`-target`: which part of a graph is wanted when only some objects are."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.engine.addresses import AbsResource, Instance, Target, path_of
from terrarium.engine.config_graph import Node
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.graph import Graph


def _names(target: Target, node: Node) -> bool:
    """Whether a target means the resource of a node, or a part of it."""
    if isinstance(target, Instance | AbsResource):
        return path_of(target.module) == node.path and (target.mode, target.type, target.name) == (
            node.mode,
            node.type,
            node.name,
        )
    path = path_of(target)
    return node.path[: len(path)] == path


def restrict(
    graph: Graph[Node], targets: Sequence[Target], root: ModuleNode, dependents: bool = False
) -> tuple[list[Target], Graph[Node]]:
    """The graph of the targets and all they depend on, and the objects wanted: the targets themselves, and of what they
    depend on everything. With `dependents` also what depends on the targets (for destroying)."""
    chosen = {n for n in graph.after if n.kind == "resource" and any(_names(t, n) for t in targets)}
    if dependents:
        reverse: Graph[Node] = Graph()
        for node, before in graph.after.items():
            reverse.add(node)
            for other in before:
                reverse.add(other, [node])
        more = {n for n in reverse.ancestors(chosen) if n.kind == "resource"}
    else:
        more = {n for n in graph.ancestors(chosen) if n.kind == "resource"}
    wanted: list[Target] = list(targets)
    for node in more - chosen:
        wanted.append(AbsResource(tuple((name, None) for name in node.path), node.mode, node.type, node.name))
    kept = graph.ancestors(chosen | (more if dependents else set()))
    for node in graph.after:
        if node.kind == "output" and not node.path:
            needs = {n for n in graph.ancestors([node]) if n.kind == "resource"}
            if needs and needs <= kept:
                kept |= graph.ancestors([node])
    restricted: Graph[Node] = Graph()
    restricted.after = {n: before & kept for n, before in graph.after.items() if n in kept}
    return wanted, restricted
