"""Pages and their JSON twins, over a source that shows one small world."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, field

import pytest

from terrarium.console.app import create
from terrarium.console.scheduler import SchedulerSource
from terrarium.console.views import ClusterView, NodeView, PodView, WorldView

REFUSAL = "Pod not supported on Fargate: fields not supported: HostNetwork"
RUNNING = PodView("kube-system", "coredns-1", "Running", "fargate-1", "0.25vCPU 0.5GB", "")
PENDING = PodView("default", "<b>root</b>", "Pending", "", "", REFUSAL)
NODE = NodeView("fargate-1", "fargate", "ap-northeast-2a", True, "v1.33.0", (RUNNING,))
STUDY = ClusterView("study", "1.33", "ACTIVE", "https://127.0.0.1:1", "ap-northeast-2", (NODE,), (PENDING,))
EMPTY = ClusterView("empty", "1.32", "CREATING", "", "ap-northeast-2", (), ())
WORLD = WorldView("2025-01-01 00:00:00", "real", "http://127.0.0.1:2", (STUDY, EMPTY))


@dataclass(frozen=True)
class Shown:
    shown: WorldView

    async def world(self) -> WorldView:
        return self.shown


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def get(
    path: str,
    *,
    world: WorldView = WORLD,
    host: str = "127.0.0.1:8080",
    accept: str = "text/html",
    scheduling: SchedulerSource | None = None,
) -> Answer:
    """One GET, as a server hands it to the application."""
    answer = Answer()
    parts = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, object]:
        if (part := next(parts, None)) is not None:
            return part
        return await asyncio.get_running_loop().create_future()  # a client that stays until it has its answer

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", host.encode()), (b"accept", accept.encode())],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
    }
    asyncio.run(create(Shown(world), scheduling)(scope, receive, send))
    return answer


@pytest.mark.parametrize(
    ("path", "shown", "hidden"),
    [
        pytest.param(
            "/eks/clusters",
            ["Clusters <small>2</small>", 'href="/eks/clusters/study"', "http://127.0.0.1:2", "pace real", "ACTIVE"],
            ["There is no cluster yet"],
            id="list",
        ),
        pytest.param(
            "/eks/clusters/study",
            ["Pending pods <small>1</small>", REFUSAL, "coredns-1", "0.25vCPU 0.5GB", "ap-northeast-2a"],
            ["No nodes.", "No pods."],
            id="cluster",
        ),
        pytest.param(
            "/eks/clusters/empty", ["No nodes.", "no endpoint yet"], ["Pending pods", "coredns"], id="cluster-without-nodes"
        ),
        pytest.param("/eks/clusters/study", ["&lt;b&gt;root&lt;/b&gt;"], ["<b>root</b>"], id="names-are-text"),
        pytest.param("/static/console.css", ["{"], ["<html"], id="style-sheet"),
    ],
)  # fmt: skip
def test_a_page(path: str, shown: list[str], hidden: list[str]) -> None:
    answer = get(path)
    text = answer.body.decode()
    assert answer.status == 200
    assert [s for s in shown if s not in text] == []
    assert [h for h in hidden if h in text] == []


def test_a_world_without_clusters_says_how_to_make_one() -> None:
    answer = get("/eks/clusters", world=WorldView("now", "real", "http://127.0.0.1:2", ()))
    assert b"aws eks create-cluster" in answer.body


ONE = {"clock": WORLD.clock, "pace": WORLD.pace, "cluster": asdict(STUDY)}


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        pytest.param("/eks/clusters.json", "*/*", asdict(WORLD), id="list-by-address"),
        pytest.param("/eks/clusters", "application/json", asdict(WORLD), id="list-by-accept"),
        pytest.param("/eks/clusters/study.json", "*/*", ONE, id="cluster-by-address"),
        pytest.param("/eks/clusters/study", "application/json", ONE, id="cluster-by-accept"),
    ],
)
def test_the_twin_has_the_same_data(path: str, accept: str, expected: dict[str, object]) -> None:
    answer = get(path, accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.body) == json.loads(json.dumps(expected))


@pytest.mark.parametrize("path", ["/eks/clusters/none", "/eks/clusters/none.json", "/nowhere", "/static/none.css"])
def test_what_is_not_there_is_404(path: str) -> None:
    assert get(path).status == 404


def test_a_missing_cluster_leads_back() -> None:
    text = get("/eks/clusters/<none>").body.decode()
    assert "&lt;none&gt;" in text
    assert 'href="/eks/clusters"' in text


def test_the_root_leads_to_the_clusters() -> None:
    answer = get("/")
    assert (answer.status, answer.headers["location"]) == (307, "/eks/clusters")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("example.com", 400),
        ("127.0.0.1.example.com", 400),
        ("localhost.example.com:8080", 400),
        ("", 400),
    ],
)  # fmt: skip
def test_only_loopback_names_are_answered(host: str, status: int) -> None:
    answer = get("/eks/clusters.json", host=host)
    assert answer.status == status
    assert (b"study" in answer.body) == (status == 200)
