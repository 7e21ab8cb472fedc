"""The walk visits dependencies first, leaves out what depends on a failure, and names cycles."""

import threading

import pytest

from terrarium.engine.graph import Graph


def graph(edges: dict[str, str]) -> Graph[str]:
    made: Graph[str] = Graph()
    for node, after in edges.items():
        made.add(node, after.split())
    return made


@pytest.mark.parametrize("parallelism", [1, 4])
def test_dependencies_come_first(parallelism: int) -> None:
    seen: list[str] = []
    lock = threading.Lock()

    def visit(node: str) -> bool:
        with lock:
            seen.append(node)
        return True

    edges = {"a": "", "b": "a", "c": "a", "d": "b c", "e": ""}
    assert graph(edges).walk(visit, parallelism) == set()
    assert sorted(seen) == list("abcde")
    for node, after in edges.items():
        assert all(seen.index(other) < seen.index(node) for other in after.split())


def test_what_depends_on_a_failure_is_left_out() -> None:
    seen: list[str] = []

    def visit(node: str) -> bool:
        seen.append(node)
        return node != "a"

    assert graph({"a": "", "b": "a", "c": "b", "d": ""}).walk(visit, 1) == {"b", "c"}
    assert sorted(seen) == ["a", "d"]


def test_cycles_are_found() -> None:
    found = graph({"a": "b", "b": "c", "c": "a", "d": "a"}).cycles()
    assert [sorted(group) for group in found] == [["a", "b", "c"]]


def test_a_defect_in_a_visit_is_raised() -> None:
    def visit(node: str) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        graph({"a": ""}).walk(visit, 2)
