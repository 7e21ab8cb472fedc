"""The live scheduler against our API server: extenders, Permit, other schedulers, preemption, strange objects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.kube.scheduler.live_cluster import SCHEDULER, Live, live

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import EVENTS, NODES, PODS, Resource
from terrarium.kube.scheduler.configuration import effective
from terrarium.kube.scheduler.framework import Cycle, Wait
from terrarium.kube.scheduler.plugins.table import Entry
from terrarium.kube.scheduler.server import Scheduler
from terrarium.kube.scheduler.snapshot import NodeInfo

BASE = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def in_cluster(body: Callable[[Live], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def run() -> None:
        async with live(folder) as cluster:
            await body(cluster)

    asyncio.run(run())


@asynccontextmanager
async def scheduling(cluster: Live, configuration: Obj | None = None, **more: Any) -> AsyncIterator[Scheduler]:
    written = effective({**BASE, **configuration}) if configuration is not None else None
    scheduler = Scheduler(cluster.server.client(SCHEDULER), cluster.clock, cluster.ids, written, **more)
    await scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.close()


async def message(cluster: Live, name: str, reason: str = "Unschedulable") -> str:
    """The text of a pod's PodScheduled condition, once it has that reason."""
    async with asyncio.timeout(10):
        while True:
            pod = await cluster.client.get(PODS, name, "default")
            for condition in pod["status"].get("conditions") or ():
                if condition["type"] == "PodScheduled" and condition.get("reason") == reason:
                    return str(condition["message"])
            await cluster.clock.sleep(0.02)


# --- extenders -----------------------------------------------------------------------------------------------------------


@dataclass
class Extending:
    """An extender that answers each verb with what `answers` makes of the question."""

    answers: dict[str, Callable[[Obj], Any]]
    asked: list[tuple[str, Obj]] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")
        )
        question = json.loads(await reader.readexactly(length))
        verb = head.split(" ")[1].rpartition("/")[2]
        self.asked.append((verb, question))
        answer = self.answers[verb](question)
        status = "200 OK" if answer is not None else "500 Oh"
        body = json.dumps(answer).encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Extending]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
        async with server:
            yield self


def names(question: Obj) -> list[str]:
    return [node["metadata"]["name"] for node in question["Nodes"]["items"]]


def test_extender_filters_scores_and_binds(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        async def bind(question: Obj) -> None:
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": question["PodName"], "namespace": question["PodNamespace"]},
                "target": {"kind": "Node", "name": question["Node"]},
            }
            await cluster.client.create(
                PODS, binding, question["PodNamespace"], name=question["PodName"], subresource="binding"
            )

        binding: list[asyncio.Task[None]] = []

        def bound(question: Obj) -> Obj:
            binding.append(asyncio.create_task(bind(question)))
            return {"Error": ""}

        extending = Extending(
            {
                "filter": lambda q: {
                    "Nodes": {"items": [n for n in q["Nodes"]["items"] if n["metadata"]["name"] != "n1"]},
                    "FailedNodes": {"n1": "n1 is not liked"},
                },
                "prioritize": lambda q: [{"Host": n, "Score": 10 if n == "n3" else 0} for n in names(q)],
                "bind": bound,
            }
        )
        async with extending.running():
            extender = {
                "urlPrefix": extending.url,
                "filterVerb": "filter",
                "prioritizeVerb": "prioritize",
                "bindVerb": "bind",
                "weight": 50,
            }
            async with scheduling(cluster, {"extenders": [extender]}):
                for number in (1, 2, 3):
                    await cluster.node(f"n{number}")
                await cluster.pod("a")
                await cluster.until(lambda placed: placed["a"] != "")
                assert (await cluster.nodes_of_pods())["a"] in ("n2", "n3")
                await cluster.pod("b")
                await cluster.until(lambda placed: placed["b"] == "n3")
        assert {verb for verb, _ in extending.asked} == {"filter", "prioritize", "bind"}
        await asyncio.gather(*binding)

    in_cluster(body, tmp_path)


@pytest.mark.parametrize(
    ("ignorable", "answer", "reason", "words"),
    [
        pytest.param(
            False,
            lambda q: {"NodeNames": [], "FailedNodes": dict.fromkeys(q["NodeNames"], "not liked")},
            "Unschedulable",
            "0/1 nodes are available: 1 not liked.",
            id="refuses",
        ),
        pytest.param(False, lambda q: {"Error": "out of sorts"}, "SchedulerError", "out of sorts", id="fails"),
        pytest.param(False, lambda q: None, "SchedulerError", "failed filter with extender at URL", id="breaks"),
        pytest.param(
            False, lambda q: {"NodeNames": ["other"]}, "SchedulerError", 'claims a filtered node "other"', id="invents"
        ),
        pytest.param(True, lambda q: None, "", "", id="breaks and may"),
    ],
)
def test_extender_that_knows_the_nodes(
    ignorable: bool, answer: Callable[[Obj], Any], reason: str, words: str, tmp_path: Path
) -> None:
    async def body(cluster: Live) -> None:
        extending = Extending({"filter": answer})
        async with extending.running():
            extender = {
                "urlPrefix": extending.url,
                "filterVerb": "filter",
                "nodeCacheCapable": True,
                "ignorable": ignorable,
                "managedResources": [{"name": "example.com/thing", "ignoredByScheduler": True}],
            }
            async with scheduling(cluster, {"extenders": [extender]}):
                await cluster.node("n1")
                await cluster.pod("free")
                resources = {"requests": {"example.com/thing": "1"}, "limits": {"example.com/thing": "1"}}
                await cluster.pod("asks", containers=[{"name": "c", "image": "i", "resources": resources}])
                await cluster.until(lambda placed: placed["free"] == "n1")
                if reason:
                    assert words in await message(cluster, "asks", reason)
                    assert (await cluster.nodes_of_pods())["asks"] == ""
                else:
                    await cluster.until(lambda placed: placed["asks"] == "n1")
        # Pods that ask for nothing it manages are none of its business.
        assert {question["Pod"]["metadata"]["name"] for _, question in extending.asked} == {"asks"}

    in_cluster(body, tmp_path)


def test_extender_agrees_to_victims(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        def agree(question: Obj) -> Obj:
            victims = question["NodeNameToVictims"]
            assert set(victims) == {"n1", "n2"}
            uids = [{"UID": pod["metadata"]["uid"]} for pod in victims["n2"]["Pods"]]
            return {"NodeNameToMetaVictims": {"n2": {"Pods": uids, "NumPDBViolations": 0}}}

        extending = Extending({"preempt": agree})
        async with extending.running():
            extender = {"urlPrefix": extending.url, "preemptVerb": "preempt"}
            async with scheduling(cluster, {"extenders": [extender]}):
                await cluster.node("n1", cpu="1")
                await cluster.node("n2", cpu="1")
                await cluster.pod("v1", cpu="900m", nodeName="n1", terminationGracePeriodSeconds=0)
                await cluster.pod("v2", cpu="900m", nodeName="n2", terminationGracePeriodSeconds=0)
                await cluster.pod("urgent", cpu="900m", priorityClassName="system-cluster-critical")
                placed = await cluster.until(lambda placed: placed["urgent"] != "")
                assert placed == {"urgent": "n2", "v1": "n1"}

    in_cluster(body, tmp_path)


# --- Permit --------------------------------------------------------------------------------------------------------------


class Hold:
    """Makes pods with a label wait."""

    name = "Hold"

    def permit(self, cycle: Cycle, node: NodeInfo) -> Wait | None:
        return Wait(0.3) if "hold" in cycle.pod.labels else None


@pytest.mark.parametrize("allow", [pytest.param(True, id="allowed"), pytest.param(False, id="timed out")])
def test_permit(allow: bool, tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        written = {"profiles": [{"schedulerName": "default-scheduler"}]}
        configuration = effective({**BASE, **written})
        configuration["profiles"][0]["plugins"]["permit"] = {"enabled": [{"name": "Hold"}]}
        scheduler = Scheduler(
            cluster.server.client(SCHEDULER),
            cluster.clock,
            cluster.ids,
            configuration,
            plugins={"Hold": Entry(lambda args: Hold())},
        )
        await scheduler.start()
        await cluster.node("n1", cpu="1")
        pod = await cluster.pod("held", cpu="800m")
        await cluster.client.delete(PODS, "held", "default", grace=0, uid=pod["metadata"]["uid"])
        container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "800m"}}}
        held = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "held", "namespace": "default", "labels": {"hold": "yes"}},
            "spec": {"containers": [container]},
        }
        await cluster.client.create(PODS, held, "default")
        async with asyncio.timeout(10):
            while not scheduler.waiting:
                await cluster.clock.sleep(0.01)
        (waiting,) = scheduler.waiting
        assert (waiting.pod.name, waiting.node, waiting.plugins) == ("held", "n1", {"Hold"})
        # Its place is taken while it waits.
        await cluster.pod("other", cpu="800m")
        assert "1 Insufficient cpu" in await message(cluster, "other")
        if allow:
            waiting.allow("Hold")
            await cluster.until(lambda placed: placed["held"] == "n1")
        else:
            await cluster.until(lambda placed: placed["other"] == "n1")
            events = (await cluster.client.list(EVENTS, "default")).items
            assert any("rejected due to timeout after waiting 0.3s at plugin Hold" in e["message"] for e in events)
        await scheduler.close()

    in_cluster(body, tmp_path)


# --- others, and strange things ----------------------------------------------------------------------------------------------


def test_explains(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        async with scheduling(cluster) as scheduler:
            await cluster.node("n1", cpu="1", disk="ssd")
            await cluster.node("n2", cpu="4")
            await cluster.pod("p", cpu="2", nodeSelector={"disk": "ssd"})
            await message(cluster, "p")
            said = scheduler.explain("default", "p")
            assert said is not None
            texts = [change["text"] for change in said["changes"]]
            assert texts == ["needs 1 more cpu on n1", "remove nodeSelector disk=ssd: 1 node fits (n2)"]
            assert said["queue"]["where"] == "unschedulable"
            (attempt,) = said["attempts"]
            assert (attempt["number"], attempt["result"]) == (1, "unschedulable")
            assert attempt["refused"] == {"NodeAffinity": 1, "NodeResourcesFit": 1}
            (first,) = [n for n in said["nodes"] if n["node"] == "n1"]
            assert (first["asked"]["cpu"], first["free"]["cpu"]) == ("2", "1")
            await cluster.pod("g", schedulingGates=[{"name": "example.com/wait"}])
            async with asyncio.timeout(10):
                while (gated := scheduler.explain("default", "g")) is None:
                    await cluster.clock.sleep(0.01)
            assert gated["gates"] == ["example.com/wait"]
            assert gated["queue"]["where"] == "gated"
            await cluster.pod("q", cpu="100m", nodeSelector={"disk": "ssd"})
            await cluster.until(lambda placed: placed["q"] == "n1")
            found = scheduler.explain("default", "q")
            assert found is not None
            assert found["summary"] == "It runs on n1, the only one of 2 nodes that fits."
            heat = scheduler.heat_map("default", "q")
            assert heat is not None
            assert [(n["node"], n["fits"]) for n in heat["nodes"]] == [("n1", True), ("n2", False)]
            assert scheduler.explain("default", "nobody") is None
            assert [row["name"] for row in scheduler.looked_at()] == ["q", "p"]

    in_cluster(body, tmp_path)


def test_another_scheduler_was_faster(tmp_path: Path) -> None:
    """Two schedulers of one name: each pod is bound once, and neither is confused by the other's bindings."""

    async def body(cluster: Live) -> None:
        async with scheduling(cluster), scheduling(cluster):
            for number in range(3):
                await cluster.node(f"n{number}", cpu="1")
            for number in range(30):
                await cluster.pod(f"p{number}", cpu="100m")
            placed = await cluster.until(lambda placed: len(placed) == 30 and all(placed.values()))
        counts = {node: list(placed.values()).count(node) for node in placed.values()}
        assert sum(counts.values()) == 30

    in_cluster(body, tmp_path)


STRANGE: dict[str, dict[str, Any]] = {
    "a thousand constraints": {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": f"example.com/{n}", "whenUnsatisfiable": "ScheduleAnyway"}
            for n in range(1000)
        ]
    },
    "a huge quantity": {
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"memory": "1000000000000Ei"}}}]
    },
    "unknown things": {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "resources": {"requests": {"example.com/dongle": "1"}, "limits": {"example.com/dongle": "1"}},
            }
        ]
    },
    "a node that never was": {"nodeSelector": {"kubernetes.io/hostname": "never"}},
    "a claim that never was": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "never"}}]},
}


def test_goes_on_whatever_comes(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        async with scheduling(cluster) as scheduler:
            await cluster.node("good")
            bare: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "bare"}}
            await cluster.client.create(NODES, bare)
            for number, spec in enumerate(STRANGE.values()):
                await cluster.pod(f"strange-{number}", **spec)
            await cluster.pod("plain")
            placed = await cluster.until(lambda placed: placed["plain"] == "good" and placed["strange-0"] == "good")
            assert [placed[f"strange-{n}"] for n in range(1, len(STRANGE))] == [""] * (len(STRANGE) - 1)
            for number in range(1, len(STRANGE)):
                assert (await message(cluster, f"strange-{number}")).startswith("0/2 nodes are available")
                said = scheduler.explain("default", f"strange-{number}")
                assert said is not None and said["summary"]

    in_cluster(body, tmp_path)


def test_a_node_goes_between_decision_and_binding(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        async with scheduling(cluster):
            await cluster.node("n1")
            await cluster.pod("a")
            await cluster.until(lambda placed: placed["a"] == "n1")
            await cluster.client.delete(NODES, "n1")
            await cluster.pod("b")
            assert await message(cluster, "b") == "no nodes available to schedule pods"
            await cluster.node("n2")
            await cluster.until(lambda placed: placed["b"] == "n2", 15)
            events = (await cluster.client.list(EVENTS, "default")).items
            assert {e["reason"] for e in events} == {"Scheduled", "FailedScheduling"}

    in_cluster(body, tmp_path)


def test_needs_no_more_than_its_role(tmp_path: Path) -> None:
    """What it may not do, it does not ask for: the role's own rules are all that it uses."""

    async def body(cluster: Live) -> None:
        roles = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
        bindings = (await cluster.client.list(roles)).items
        own = {
            b["roleRef"]["name"]
            for b in bindings
            for s in b.get("subjects") or ()
            if (s["kind"], s["name"]) == ("User", SCHEDULER)
        }
        assert own == {"system:kube-scheduler", "system:volume-scheduler"}

    in_cluster(body, tmp_path)


def test_volumes_are_waited_for(tmp_path: Path) -> None:
    """A claim without a volume is given its node, and the pod is bound once a volume is there; if it goes, nobody waits."""

    async def body(cluster: Live) -> None:
        claims = Resource("", "v1", "persistentvolumeclaims")
        classes = Resource("storage.k8s.io", "v1", "storageclasses")
        await cluster.client.create(
            classes,
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": "late"},
                "provisioner": "example.com/disks",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
        )
        for name in ("a", "b"):
            spec = {
                "storageClassName": "late",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            }
            claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
            await cluster.client.create(claims, claim, "default")
        async with scheduling(cluster) as scheduler:
            await cluster.node("n1")
            for name in ("a", "b"):
                await cluster.pod(name, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": name}}])
            async with asyncio.timeout(10):
                for name in ("a", "b"):
                    while True:
                        claim = await cluster.client.get(claims, name, "default")
                        notes = claim["metadata"].get("annotations") or {}
                        if notes.get("volume.kubernetes.io/selected-node") == "n1":
                            break
                        await cluster.clock.sleep(0.02)
            await cluster.client.delete(PODS, "b", "default", grace=0)
            # What a provisioner and the volume controller would do.
            volume = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": "disk"},
                "spec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "late",
                    "hostPath": {"path": "/disk"},
                    "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "a"},
                },
            }
            await cluster.client.create(Resource("", "v1", "persistentvolumes"), volume)
            claim = await cluster.client.get(claims, "a", "default")
            notes = {**claim["metadata"]["annotations"], "pv.kubernetes.io/bind-completed": "yes"}
            spec = {**claim["spec"], "volumeName": "disk"}
            await cluster.client.update(
                claims, {**claim, "metadata": {**claim["metadata"], "annotations": notes}, "spec": spec}
            )
            assert (await cluster.until(lambda placed: placed["a"] == "n1")) == {"a": "n1"}
            async with asyncio.timeout(5):
                await scheduler.finish()

    in_cluster(body, tmp_path)
