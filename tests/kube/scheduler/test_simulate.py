"""What-if: where a pod would go and how many fit, among objects out of files; and what would make it fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from terrarium.base.diagnostics import Failure
from terrarium.cli.scheduler import scheduler
from terrarium.kube.scheduler.simulate import explain_pod, pod_of, read_objects, read_pod_file, simulate


def node(name: str, cpu: str = "4", memory: str = "8Gi", taint: str = "", **labels: str) -> dict[str, Any]:
    key, _, effect = taint.partition(":")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {"taints": [{"key": key, "value": "yes", "effect": effect}]} if taint else {},
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": "10"}},
    }


def pod(cpu: str = "1", memory: str = "1Gi", name: str = "web", on: str = "", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    placed = {"nodeName": on} if on else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"containers": [container], **placed, **spec},
    }


ANTI = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
        ]
    }
}
SPREAD = [
    {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
]


@pytest.mark.parametrize(
    ("objects", "wanted", "repeat", "placed"),
    [
        pytest.param([node("a"), node("b", "2")], pod(), 0, {"a": 4, "b": 2}, id="as many as fit"),
        pytest.param([node("a"), node("b")], pod(), 3, None, id="a number"),
        pytest.param([node("a"), pod("3500m", name="old", on="a")], pod("500m"), 0, {"a": 1}, id="what runs counts"),
        pytest.param(
            [node("a"), node("b")], pod("100m", affinity=ANTI), 0, {"a": 1, "b": 1}, id="copies see each other"
        ),
        pytest.param([node("a", taint="k:NoSchedule")], pod(), 0, {}, id="none"),
        pytest.param([], pod(), 0, {}, id="no nodes"),
        pytest.param([node("a")], pod("0", "0"), 0, {"a": 10}, id="as many as there are places"),
    ],
)
def test_capacity(
    objects: list[dict[str, Any]], wanted: dict[str, Any], repeat: int, placed: dict[str, int] | None
) -> None:
    answer = simulate(objects, wanted, repeat=repeat)
    if placed is None:
        assert sum(answer["perNode"].values()) == repeat
    else:
        assert answer["perNode"] == placed
    assert answer["fits"] is bool(answer["perNode"])


@pytest.mark.parametrize(
    ("objects", "wanted", "texts"),
    [
        pytest.param(
            [node("a", disk="hdd"), node("b", disk="hdd")],
            pod(nodeSelector={"disk": "ssd"}),
            ["remove nodeSelector disk=ssd: 2 nodes fit (a, b)"],
            id="node selector",
        ),
        pytest.param(
            [node("a", "2"), node("b", "2500m")], pod("3"), ["needs 500m more cpu on b"], id="the node that lacks least"
        ),
        pytest.param(
            [node("a", "2"), node("b", "2")], pod("2500m"), ["needs 500m more cpu on any of a, b"], id="alike nodes"
        ),
        pytest.param(
            [node("a", taint="gpu:NoSchedule")],
            pod(),
            ["tolerate taint gpu=yes:NoSchedule: 1 node fits (a)"],
            id="taint",
        ),
        pytest.param(
            [node("a", memory="512Mi", taint="gpu:NoSchedule"), node("b", taint="gpu:NoSchedule")],
            pod(),
            [
                "tolerate taint gpu=yes:NoSchedule: 1 node fits (b)",
                "tolerate taint gpu=yes:NoSchedule and needs 512Mi more memory on a",
            ],
            id="one change is better than two",
        ),
        pytest.param(
            [node("a", zone="x"), node("b", "100m", zone="y"), pod(on="a")],
            pod(name="web2", topologySpreadConstraints=SPREAD)
            | {"metadata": {"name": "web2", "labels": {"app": "web"}}},
            [
                "relax the topology spread constraint on zone: 1 node fits (a)",
                "needs 900m more cpu on b",
            ],
            id="spread",
        ),
        pytest.param(
            [node("a"), pod(on="a")],
            pod(name="web2", affinity=ANTI),
            ["remove the required pod anti-affinity on kubernetes.io/hostname: 1 node fits (a)"],
            id="anti-affinity",
        ),
    ],
)
def test_what_would_help(objects: list[dict[str, Any]], wanted: dict[str, Any], texts: list[str]) -> None:
    failed = simulate(objects, wanted)["failed"]
    assert sorted(change["text"] for change in failed["changes"]) == sorted(texts)


def test_what_is_said_to_help_does(tmp_path: Path) -> None:
    """Whatever is told as certain: a pod changed that way finds one of those nodes."""
    objects = [
        node("a", "2", disk="ssd"),
        node("b", "8", taint="k:NoSchedule"),
        node("c", "8", disk="ssd", taint="k:NoSchedule"),
    ]
    (first, *_) = simulate(objects, pod("3", nodeSelector={"disk": "ssd"}))["failed"]["changes"]
    assert first["certain"]
    tolerant = pod("3", nodeSelector={"disk": "ssd"}, tolerations=[{"key": "k", "operator": "Exists"}])
    assert simulate(objects, tolerant)["node"] == "c"
    assert {"c"} in [
        set(c["nodes"]) for c in simulate(objects, pod("3", nodeSelector={"disk": "ssd"}))["failed"]["changes"]
    ]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job", "CronJob", "ReplicaSet", "DaemonSet"])
def test_workloads(kind: str) -> None:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod()["spec"]}
    spec: dict[str, Any] = {"template": template}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    found = pod_of({"kind": kind, "metadata": {"name": "w", "namespace": "shop"}, "spec": spec})
    assert (found["metadata"]["name"], found["metadata"]["namespace"]) == ("w-simulated", "shop")
    assert found["metadata"]["labels"] == {"app": "x"}
    assert simulate([node("a")], found)["node"] == "a"


def test_limits_and_priorities_count() -> None:
    """The pod is taken as an API server would store it."""
    wanted = pod()
    wanted["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "3"}}
    wanted["spec"]["priorityClassName"] = "high"
    classes = [{"kind": "PriorityClass", "metadata": {"name": "high"}, "value": 100}]
    low = pod("2", name="low", on="a")
    failed = simulate([node("a"), low, *classes], wanted)["failed"]
    assert failed["asks"] == {"cpu": "3"}
    assert failed["priority"] == 100
    assert "room is being made on a by evicting default/low" in failed["details"]


def test_explains_a_pod_of_a_dump() -> None:
    objects = [node("a", "500m"), pod()]
    said = explain_pod(objects, "default", "web")
    assert [c["text"] for c in said["changes"]] == ["needs 500m more cpu on a"]
    with pytest.raises(Failure, match='no pod "other"'):
        explain_pod(objects, "default", "other")


BAD = {
    "no YAML": ("a: [", "neither YAML nor JSON"),
    "no object": ("- 1\n", "no Kubernetes object"),
    "no metadata": ("kind: Node\n", "has no metadata"),
}


@pytest.mark.parametrize(("text", "words"), [pytest.param(*case, id=name) for name, case in BAD.items()])
def test_bad_snapshots(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.yaml"
    file.write_text(text)
    with pytest.raises(Failure, match=words):
        read_objects(file)


def test_bad_pods(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(node("a")))
    with pytest.raises(Failure, match="neither a pod nor a workload"):
        read_pod_file(file)
    with pytest.raises(Failure, match="waiting for scheduling gates"):
        simulate([node("a")], pod(schedulingGates=[{"name": "g"}]))
    with pytest.raises(Failure, match="no profile is called other"):
        simulate([node("a")], pod(schedulerName="other"))
    with pytest.raises(Failure, match="Node broken of the snapshot is not well formed"):
        simulate([{"kind": "Node", "metadata": {"name": "broken"}, "spec": {"taints": 5}}], pod())
    with pytest.raises(Failure, match="has no YAML or JSON files"):
        read_objects(tmp_path.joinpath("empty").mkdir() or tmp_path / "empty")


def test_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    (folder / "nodes.yaml").write_text(yaml.safe_dump({"kind": "NodeList", "items": [node("a")]}))
    (folder / "pods.json").write_text(json.dumps({"kind": "List", "items": [pod("3", name="old", on="a")]}))
    wanted = tmp_path / "pod.yaml"
    wanted.write_text(yaml.safe_dump(pod("500m")))
    run = CliRunner().invoke

    answer = run(scheduler, ["simulate", "--snapshot", str(folder), "--pod", str(wanted), "--repeat", "0"])
    assert answer.exit_code == 0, answer.output
    assert "2 copies of default/web fit (asked: as many as fit)" in answer.output
    assert "needs 500m more cpu on a" in answer.output
    answer = run(scheduler, ["simulate", "--snapshot", str(folder), "--pod", str(wanted), "--json"])
    assert json.loads(answer.output)["node"] == "a"
    answer = run(scheduler, ["simulate", "--snapshot", str(folder), "--pod", str(wanted), "--repeat", "3"])
    assert answer.exit_code == 1
    assert run(scheduler, ["simulate", "--pod", str(wanted)]).exit_code == 2
