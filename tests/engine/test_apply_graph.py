"""In which order objects are destroyed, and that long chains need few edges for it."""

from terrarium.engine.addresses import ConfigResource, Instance
from terrarium.engine.apply_graph import Step, build, resources_behind
from terrarium.engine.config_graph import Node, resource_node
from terrarium.engine.graph import Graph
from terrarium.engine.plan import Action, Mode, Plan, ResourceChange
from terrarium.engine.state import Dependencies, State, StateObject
from terrarium.language.types import DYNAMIC
from terrarium.language.values import null

PROVIDER = 'provider["terraform.io/builtin/terraform"]'
COUNT = 200


def address(i: int) -> Instance:
    return Instance((), "managed", "terraform_data", f"r{i}", None)


def destroyed(count: int) -> tuple[Plan, State]:
    """A chain in a state (each depends on all before it), and the plan of its end."""
    state = State()
    plan = Plan(Mode.DESTROY, prior=state)
    before: list[ConfigResource] = []
    for i in range(count):
        state.put(address(i), PROVIDER, StateObject(attributes={}, dependencies=Dependencies.of(before)))
        before.append(address(i).config)
        nothing = null(DYNAMIC)
        plan.changes.append(ResourceChange(address(i), PROVIDER, "x", Action.DELETE, nothing, nothing))
    return plan, state


def test_dependents_go_first_with_few_edges() -> None:
    plan, state = destroyed(COUNT)
    graph = build(plan, Graph(), state, {})
    order = [n.address for n in graph.order() if isinstance(n, Step)]
    assert order == [address(i) for i in reversed(range(COUNT))]
    assert sum(len(before) for before in graph.after.values()) < 3 * COUNT


def test_everything_behind_a_node_is_a_dependency() -> None:
    graph: Graph[Node] = Graph()
    nodes = [resource_node((), "managed", "t", name) for name in ("c", "a", "b")]
    local = Node("local", (), "l")
    for node, after in zip([nodes[0], local, nodes[1], nodes[2]], [[], [nodes[0]], [local], [nodes[1]]], strict=True):
        graph.add(node, after)
    behind = resources_behind(graph)
    assert [behind.dependencies(n).texts for n in nodes] == [(), ("t.c",), ("t.a", "t.c")]
    assert list(behind.dependencies(nodes[1])) == [ConfigResource((), "managed", "t", "c")]
