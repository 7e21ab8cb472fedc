"""Graphs as text for Graphviz (`graph`).

The short form shows resources alone. The long ones show what an operation walks, in the names and the shape that
Terraform gives it: our own nodes are renamed, the junctions which only we have are taken out, a node that closes each
provider and one root are put in, and edges that others imply are left away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.addresses import MANAGED, Instance, ProviderConfig, parse_provider_config, path_text
from terrarium.engine.apply_graph import REPLACED, ApplyNode, Step, build
from terrarium.engine.config_graph import Builder, Node
from terrarium.engine.graph import Graph
from terrarium.engine.plan import Mode, Plan
from terrarium.engine.state import State
from terrarium.engine.walking import Session

_HEAD = ["digraph G {", '  rankdir = "RL";', '  node [shape = rect, fontname = "sans-serif"];']
_NOTHING = [
    "  /* This configuration does not contain any resources.         */",
    "  /* For a more detailed graph, try: terraform graph -type=plan */",
]


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
    resources = sorted(
        (n for n in graph.after if n.kind == "resource"), key=lambda n: (path_text(n.path), n.mode != "data", str(n))
    )
    lines = list(_HEAD) if resources else [*_HEAD, *_NOTHING]
    for path in sorted({n.path for n in resources}, key=path_text):
        inside = [n for n in resources if n.path == path]
        if path:
            name = path_text(path)
            lines += [f'  subgraph "cluster_{name}" {{', f'    label = "{name}"', '    fontname = "sans-serif"']
            lines += [f'    "{n}" [label="{str(n).removeprefix(name + ".")}"];' for n in inside]
            lines.append("  }")
        else:
            lines += [f'  "{n}" [label="{n}"];' for n in inside]
    for node in resources:
        behind = _minimal(graph, _resources_behind(graph, node))
        lines += [f'  "{node}" -> "{other}";' for other in resources if other in behind]
    return "\n".join([*lines, "}"]) + "\n", []


def _minimal(graph: Graph[Node], found: set[Node]) -> set[Node]:
    """Without those that another one already depends on."""
    covered: set[Node] = set()
    for node in found:
        covered |= graph.ancestors(graph.after[node])
    return found - covered


# --- what operations walk ----------------------------------------------------------------------------------------------


def operation_graph(session: Session, kind: str, cycles: bool, state: State) -> str:
    """The graph of an operation that has not been planned. `kind`: plan, plan-refresh-only, plan-destroy, apply."""
    graph = Builder(session.root, session.plugins).build()
    if kind == "plan-destroy":
        return _Drawing(*_destroying(graph, state)).text(cycles)
    named: Graph[str] = Graph()
    shapes: list[tuple[str, str, str]] = []
    for node, before in graph.after.items():
        if node != _ROOT:
            named.add(_name(node), map(_name, before))
            shapes += _shape(node)
        if node.kind == "check" and kind == "plan":
            report = f"{node} (report)"
            named.add(_name(node), [report])
            named.add(report)
    return _Drawing(named, shapes, _provided(graph)).text(cycles)


def plan_graph(session: Session, plan: Plan, cycles: bool) -> str:
    """The graph of the steps that make a plan real."""
    builder = Builder(session.root, session.plugins)
    graph = builder.build()
    steps = build(plan, graph, plan.prior, builder.providers)
    named: Graph[str] = Graph()
    shapes: list[tuple[str, str, str]] = []
    provided: dict[str, ProviderConfig] = {}
    configs = {c.address: parse_provider_config(c.provider) for c in plan.changes}
    destroying = plan.mode is Mode.DESTROY
    for node, before in steps.after.items():
        if (
            _is_junction(node, steps)
            or node == _ROOT
            or (destroying and isinstance(node, Node) and node.kind == "call")
        ):
            continue
        around: set[str] = set()
        for other in _spliced(before, steps):
            around.add(_name(other))
        named.add(_name(node), around)
        shapes += _shape(node)
        if isinstance(node, Step):
            address = node.address
            if isinstance(address, Instance):
                provided[_name(node)] = configs[address]
            elif address in builder.providers:
                provided[_name(node)] = builder.providers[address]
    if destroying:
        for address, _, instance in plan.prior.instances():
            if address.mode != MANAGED and instance.current is not None:
                named.add(f"{address} (destroy)")
                shapes.append((f"{address} (destroy)", str(address.config), "box"))
        for name in session.root.module.outputs:
            named.add(f"output.{name} (expand)")
    return _Drawing(named, shapes, provided).text(cycles)


_ROOT = Node("close", (), "")
_SHAPES = {"resource": "box", "provider": "diamond", "expand": "box", "apply": "box", "destroy": "box"}


def _is_junction(node: ApplyNode, steps: Graph[ApplyNode]) -> bool:
    """Whether a node only says that all instances of a resource are done."""
    return isinstance(node, Node) and node.kind == "resource" and Step("expand", node.resource) in steps


def _spliced(before: Iterable[ApplyNode], steps: Graph[ApplyNode]) -> Iterable[ApplyNode]:
    for node in before:
        if _is_junction(node, steps):
            yield from steps.after[node]
        else:
            yield node


def _name(node: ApplyNode) -> str:
    if isinstance(node, Step):
        match node.kind:
            case "apply":
                return str(node.address)
            case "destroy" if node.deposed:
                key = "" if node.deposed == REPLACED else f" {node.deposed}"
                return f"{node.address} (destroy deposed{key})"
            case _:
                return f"{node.address} ({node.kind})"
    if node.kind in ("resource", "check"):
        return f"{node} (expand)"
    if node.kind == "var" and not node.path:
        return f"var.{node.name}"
    return str(node)


def _shape(node: ApplyNode) -> list[tuple[str, str, str]]:
    """(name, label, shape) of a node which has a line of its own."""
    if isinstance(node, Step):
        config = node.address.config if isinstance(node.address, Instance) else node.address
        return [(_name(node), str(config), "box")]
    if node.kind == "var" and not node.path:
        return [(_name(node), f"var.{node.name}", "note")]
    shape = _SHAPES.get(node.kind)
    return [(_name(node), str(node), shape)] if shape else []


def _provided(graph: Graph[Node]) -> dict[str, ProviderConfig]:
    """The provider that each node uses."""
    return {
        _name(node): ProviderConfig(p.path, p.type, p.name)
        for node, before in graph.after.items()
        if node.kind == "resource"
        for p in before
        if p.kind == "provider"
    }


def _destroying(
    graph: Graph[Node], state: State
) -> tuple[Graph[str], list[tuple[str, str, str]], dict[str, ProviderConfig]]:
    """What a state holds, in the reverse of the order in which it depends on each other; outputs stand alone."""
    named: Graph[str] = Graph()
    shapes: list[tuple[str, str, str]] = []
    provided: dict[str, ProviderConfig] = {}
    for address, provider, instance in state.instances():
        name = f"{address.config} (destroy)"
        config = parse_provider_config(provider)
        named.add(name, [str(config)])
        named.add(str(config))
        shapes += [(name, str(address.config), "box")]
        provided[name] = config
        if (str(config), str(config), "diamond") not in shapes:
            shapes.append((str(config), str(config), "diamond"))
        if instance.current is not None:
            for other in instance.current.dependencies:
                if other.mode == MANAGED:
                    named.add(f"{other} (destroy)", [name])
    held = {str(a.config) for a, _, _ in state.instances()}
    named.keep({n for n in named.after if not n.endswith(" (destroy)") or n.removesuffix(" (destroy)") in held})
    for node in graph.after:
        if node.kind == "output" and not node.path:
            named.add(_name(node))
    return named, shapes, provided


class _Drawing:
    """A graph of names, completed and written down. `shapes`: (name, label, shape); `provided`: the provider of those
    nodes that use one."""

    def __init__(
        self, graph: Graph[str], shapes: Iterable[tuple[str, str, str]], provided: Mapping[str, ProviderConfig]
    ) -> None:
        self.graph = graph
        self.shapes = shapes
        for name, config in provided.items():
            if str(config) in graph:
                graph.add(f"{config} (close)", [name, str(config)])
        used = {other for before in graph.after.values() for other in before}
        if graph.after:
            graph.add("root", [n for n in graph.after if n not in used])
        graph.remove_missing()

    def text(self, mark_cycles: bool) -> str:
        lines = ["digraph {", '\tcompound = "true"', '\tnewrank = "true"', '\tsubgraph "root" {']
        lines += [
            f'\t\t"{_quoted(name)}" [label = "{_quoted(label, "")}", shape = "{shape}"]'
            for name, label, shape in sorted(self.shapes)
        ]
        circles = self.graph.cycles()
        circular = {(a, b) for group in circles for a in group for b in group} if mark_cycles else set()
        edges = self._all() if circles else self._reduced()
        lines += sorted(
            f'\t\t"{_quoted(a)}" -> "{_quoted(b)}"'
            + (' [color = "red", penwidth = "2.0"]' if (a, b) in circular else "")
            for a, b in edges
        )
        return "\n".join([*lines, "\t}", "}"]) + "\n"

    def _all(self) -> Iterable[tuple[str, str]]:
        return [(node, other) for node, before in self.graph.after.items() for other in before]

    def _reduced(self) -> Iterable[tuple[str, str]]:
        """The edges that no longer way implies. Sets of nodes are bits of a number."""
        order = self.graph.order()
        bit = {name: 1 << i for i, name in enumerate(order)}
        below: dict[str, int] = {}
        edges: list[tuple[str, str]] = []
        for node in order:
            implied = 0
            for other in self.graph.after[node]:
                implied |= below[other]
            edges += [(node, other) for other in self.graph.after[node] if not bit[other] & implied]
            below[node] = implied
            for other in self.graph.after[node]:
                below[node] |= bit[other]
        return edges


def _quoted(name: str, prefix: str = "[root] ") -> str:
    return (prefix + name).replace("\\", "\\\\").replace('"', '\\"')


__all__ = ["operation_graph", "plan_graph", "resource_graph"]
