"""The scheduler's pages over a real decision: what they show, and that their JSON twins say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.console.test_pages import Answer
from tests.console.test_pages import get as get_page

from terrarium.kube.scheduler.simulate import simulate


def objects() -> list[dict[str, Any]]:
    def node(name: str, cpu: str, **labels: str) -> dict[str, Any]:
        return {
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
            "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "10"}},
        }

    return [node("fast", "4", disk="ssd"), node("slow", "4"), node("<tiny>", "100m", disk="ssd")]


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}],
    },
}


class Scheduling:
    async def decisions(self, cluster: str) -> dict[str, Any] | None:
        row = {"namespace": "default", "name": "web", "result": "scheduled", "node": "fast", "message": "", "at": "now"}
        return {"clock": "now", "pace": "real", "cluster": cluster, "decisions": [row]} if cluster == "study" else None

    async def placement(self, cluster: str, namespace: str, name: str) -> dict[str, Any] | None:
        if name != "web":
            return None
        answer = simulate(objects(), POD)
        explanation = answer["first"]
        return {
            "clock": "now",
            "pace": "real",
            "cluster": cluster,
            "explanation": explanation,
            "heatMap": answer["heatMap"],
        }


def get(path: str) -> Answer:
    return get_page(path, scheduling=Scheduling())


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param(
            "/eks/clusters/study/scheduler",
            ['href="/eks/clusters/study/scheduler/default/web"', ">scheduled<"],
            id="decisions",
        ),
        pytest.param(
            "/eks/clusters/study/scheduler/default/web",
            [
                "the only one of 3 nodes that fits",
                "NodeResourcesFit ×1",
                'title="NodeAffinity: yes"',
                "Insufficient cpu (asks 1, free 100m)",
                "&lt;tiny&gt;",
                "warm10",
            ],
            id="heat map",
        ),
    ],
)
def test_page(path: str, shown: list[str]) -> None:
    answer = get(path)
    assert answer.status == 200
    text = answer.body.decode()
    for part in shown:
        assert part in text
    assert "<tiny>" not in text


def test_twin() -> None:
    answer = get("/eks/clusters/study/scheduler/default/web.json")
    heat = json.loads(answer.body)["heatMap"]
    fast, slow, tiny = (next(n for n in heat["nodes"] if n["node"] == name) for name in ("fast", "slow", "<tiny>"))
    assert fast["fits"] and set(fast["scores"]) <= set(heat["scores"])
    assert fast["total"] == sum(heat["scores"][p] * s for p, s in fast["scores"].items())
    assert list(slow["noes"]) == ["NodeAffinity"]
    assert list(tiny["noes"]) == ["NodeResourcesFit"]


@pytest.mark.parametrize(
    "path",
    ["/eks/clusters/nothing/scheduler", "/eks/clusters/study/scheduler/default/nobody", "/eks/clusters/study/schedule"],
)
def test_nothing_there(path: str) -> None:
    assert get(path).status == 404


def test_without_a_scheduler() -> None:
    assert get_page("/eks/clusters/study/scheduler").status == 404
