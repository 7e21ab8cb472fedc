"""Graphs as text for Graphviz (`graph`)."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.addresses import path_text
from terrarium.engine.config_graph import Builder, Node
from terrarium.engine.graph import Graph
from terrarium.engine.walking import Session


def _resources_behind(graph: Graph[Node], node: Node) -> set[Node]:
    """The nearest resources that a node depends on."""
    found: set[Node] = set()
    pending = list(graph.after[node])
    seen: set[Node] = set()
    while pending:
        other = pending.pop()
        if other in seen:
            continue
        seen.add(other)
        if other.kind == "resource":
            found.add(other)
        elif other.kind != "provider":
            pending.extend(graph.after[other])
    return found


def resource_graph(session: Session) -> tuple[str, list[Diagnostic]]:
    """The default graph: resources alone, by module."""
    graph = Builder(session.root, session.plugins).build()
    cycles = [
        error("Cycle: " + ", ".join(f"{n} (expand)" if n.kind == "resource" else str(n) for n in group))
        for group in graph.cycles()
    ]
    if cycles:
        return "", cycles
    lines = ["digraph G {", '  rankdir = "RL";', '  node [shape = rect, fontname = "sans-serif"];']
    resources = sorted(
        (n for n in graph.after if n.kind == "resource"), key=lambda n: (path_text(n.path), n.mode != "data", str(n))
    )
    for path in sorted({n.path for n in resources}, key=path_text):
        inside = [n for n in resources if n.path == path]
        if path:
            name = path_text(path)
            lines += [f'  subgraph "cluster_{name}" {{', f'    label = "{name}"', '    fontname = "sans-serif"']
            lines += [f'    "{n}" [label="{str(n).removeprefix(name + ".")}"];' for n in inside]
            lines.append("  }")
        else:
            lines += [f'  "{n}" [label="{n}"];' for n in inside]
    edges = {(str(n), str(o)) for n in resources for o in _minimal(graph, _resources_behind(graph, n))}
    lines += [f'  "{a}" -> "{b}";' for a, b in sorted(edges)]
    return "\n".join([*lines, "}"]) + "\n", []


def _minimal(graph: Graph[Node], found: set[Node]) -> set[Node]:
    """Without those that another one already depends on."""
    covered: set[Node] = set()
    for node in found:
        covered |= graph.ancestors(graph.after[node])
    return found - covered


def operation_graph(session: Session, kind: str, cycles: bool) -> str:
    """The graph that an operation walks."""
    graph = Builder(session.root, session.plugins).build()

    def name(node: Node) -> str:
        text = f"{node} (expand)" if node.kind == "resource" else str(node)
        if node.kind == "var" and not node.path:
            text = f"var.{node.name}"
        return ("[root] " + text).replace('"', '\\"')

    lines = ["digraph {", '\tcompound = "true"', '\tnewrank = "true"', '\tsubgraph "root" {']
    shapes = {"resource": "box", "provider": "diamond"}
    for node in sorted(graph.after, key=name):
        shape = "note" if node.kind == "var" and not node.path else shapes.get(node.kind)
        if shape:
            label = str(node).replace('"', '\\"') if node.kind != "var" else f"var.{node.name}"
            lines.append(f'\t\t"{name(node)}" [label = "{label}", shape = "{shape}"]')
    edges: list[tuple[str, str]] = []
    for node, before in graph.after.items():
        if node == Node("close", (), ""):
            continue
        edges += [(name(node), name(other)) for other in _minimal(graph, set(before))]
    circular = {(name(a), name(b)) for group in graph.cycles() for a in group for b in group} if cycles else set()
    for a, b in sorted(edges):
        mark = ' [color = "red", penwidth = "2.0"]' if (a, b) in circular else ""
        lines.append(f'\t\t"{a}" -> "{b}"{mark}')
    return "\n".join([*lines, "\t}", "}"]) + "\n"
