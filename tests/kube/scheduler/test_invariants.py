"""Whatever happens, no pod is bound twice and no node gets more than it has: random operations with random faults.

`OPERATIONS=100000 pytest tests/kube/scheduler/test_invariants.py` runs as many as one has patience for.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from tests.kube.scheduler.fake_cluster import FakeCluster, Faults

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.fast import FastPath
from terrarium.kube.scheduler.server import Scheduler
from terrarium.kube.scheduler.views import pod_requests, read_node

OPERATIONS = int(os.environ.get("OPERATIONS") or 3000)
"""Read when the module is, before the tests take the environment away."""


def node(name: str, cpu: int, draw: random.Random) -> Obj:
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": draw.choice("abc")}
    taints = [{"key": "k", "value": "v", "effect": "NoSchedule"}] if draw.random() < 0.1 else []
    allocatable = {"cpu": f"{cpu}m", "memory": "64Gi", "pods": str(draw.randint(2, 12))}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {"allocatable": allocatable},
    }


def pod(name: str, draw: random.Random) -> Obj:
    app = draw.choice("xyz")
    spec: dict[str, Any] = {
        "schedulerName": "default-scheduler",
        "priority": draw.choice((0, 0, 0, 10, 100)),
        "containers": [{"name": "c", "resources": {"requests": {"cpu": f"{draw.choice((50, 100, 400, 900))}m"}}}],
    }
    kind = draw.random()
    if kind < 0.1:
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": app}},
            }
        ]
    elif kind < 0.2:
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    elif kind < 0.25:
        spec["schedulingGates"] = [{"name": "wait"}]
    elif kind < 0.3:
        spec["tolerations"] = [{"operator": "Exists"}]
    return {"metadata": {"name": name, "namespace": "default", "labels": {"app": app}}, "spec": spec, "status": {}}


class World:
    """The operations, and what has to hold after each of them."""

    def __init__(self, seed: int, fewest_nodes: int) -> None:
        self.fewest_nodes = fewest_nodes
        self.draw = random.Random(seed)
        faults = Faults(error=0.02, lost=0.02, gone=0.01, broken_watch=0.01)
        self.cluster = FakeCluster(self.draw, faults)
        self.clock = Clock(frozen=True)
        self.seed = seed
        self.serial = 0
        self.checked = 0
        self.bound = Counter[str]()
        self.scheduler = self._scheduler()
        self.operations: list[tuple[int, Callable[[], None]]] = [
            (40, self.add_pod),
            (20, self.delete_pod),
            (8, self.add_node),
            (4, self.delete_node),
            (6, self.touch_node),
            (6, self.open_gate),
            (4, self.bind_elsewhere),
            (4, self.finish_pod),
        ]

    def _scheduler(self) -> Scheduler:
        return Scheduler(self.cluster, self.clock, Ids(self.seed), fast=FastPath(self.fewest_nodes))

    def add_pod(self) -> None:
        self.serial += 1
        # A name that comes back is another pod.
        name = f"p{self.serial % 400}"
        taken = ("default", name) in self.cluster.tables.get("pods", {})
        if not taken and len(self.cluster.objects("pods")) < 150:
            self.cluster.put("pods", pod(name, self.draw) | {"kind": "Pod"})

    def _some(self, plural: str, which: Callable[[Obj], bool] = lambda obj: True) -> Obj | None:
        found = [o for o in self.cluster.objects(plural) if which(o)]
        return self.draw.choice(found) if found else None

    def delete_pod(self) -> None:
        found = self._some("pods")
        if found is not None:
            self.cluster.drop("pods", "default", found["metadata"]["name"])

    def add_node(self) -> None:
        self.serial += 1
        if len(self.cluster.objects("nodes")) < 20:
            self.cluster.put("nodes", node(f"n{self.serial}", self.draw.choice((500, 1000, 4000)), self.draw))

    def delete_node(self) -> None:
        found = self._some("nodes")
        if found is not None:
            name = found["metadata"]["name"]
            self.cluster.drop("nodes", "", name)
            # The node's pods go with it.
            for its in [p for p in self.cluster.objects("pods") if p["spec"].get("nodeName") == name]:
                self.cluster.drop("pods", "default", its["metadata"]["name"])

    def touch_node(self) -> None:
        found = self._some("nodes")
        if found is not None:
            spec = {**found["spec"], "unschedulable": self.draw.random() < 0.3}
            self.cluster.put("nodes", {**found, "metadata": dict(found["metadata"]), "spec": spec})

    def open_gate(self) -> None:
        found = self._some("pods", lambda p: bool(p["spec"].get("schedulingGates")))
        if found is not None:
            spec = {k: v for k, v in found["spec"].items() if k != "schedulingGates"}
            self.cluster.put("pods", {**found, "metadata": dict(found["metadata"]), "spec": spec})

    def bind_elsewhere(self) -> None:
        """Another scheduler takes a pod of ours, where there is room."""
        waiting = self._some("pods", lambda p: not p["spec"].get("nodeName") and not p["spec"].get("schedulingGates"))
        home = self._some("nodes")
        # Only onto a node that keeps room for whatever our scheduler has under way.
        if waiting is None or home is None or self.room(home)["cpu"] < 3000 or self.room(home)["pods"] < 6:
            return
        spec = {**waiting["spec"], "nodeName": home["metadata"]["name"]}
        self.cluster.put("pods", {**waiting, "metadata": dict(waiting["metadata"]), "spec": spec})

    def finish_pod(self) -> None:
        found = self._some("pods", lambda p: bool(p["spec"].get("nodeName")))
        if found is not None:
            self.cluster.put("pods", {**found, "metadata": dict(found["metadata"]), "status": {"phase": "Succeeded"}})

    def room(self, of: Obj) -> dict[str, int]:
        view = read_node(of)
        left = {"cpu": view.allocatable["cpu"], "pods": view.allocatable["pods"]}
        for its in self.cluster.objects("pods"):
            if its["spec"].get("nodeName") == view.name and its["status"].get("phase") != "Succeeded":
                left["cpu"] -= pod_requests(its).get("cpu", 0)
                left["pods"] -= 1
        return left

    def check(self) -> None:
        for binding in self.cluster.bindings[self.checked :]:
            self.bound[binding.uid] += 1
            assert self.bound[binding.uid] == 1, f"{binding.uid} was bound twice"
        self.checked = len(self.cluster.bindings)
        used: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for its in self.cluster.objects("pods"):
            home = its["spec"].get("nodeName")
            if home and its["status"].get("phase") != "Succeeded":
                used[home][0] += pod_requests(its).get("cpu", 0)
                used[home][1] += 1
        for found in self.cluster.objects("nodes"):
            view = read_node(found)
            cpu, pods = used[view.name]
            assert cpu <= view.allocatable["cpu"], f"{view.name} is overcommitted: {cpu}m of {view.allocatable}"
            assert pods <= view.allocatable["pods"], f"{view.name} has {pods} pods of {view.allocatable}"

    async def settle(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)


async def play(seed: int, operations: int, fewest_nodes: int) -> World:
    world = World(seed, fewest_nodes)
    draw = world.draw
    await start(world)
    weights = [weight for weight, _ in world.operations]
    for number in range(operations):
        draw.choices(world.operations, weights)[0][1]()
        await world.settle(draw.choice((0, 1, 2, 5, 20)))
        if number % 20 == 0:
            await world.clock.advance(draw.choice((0.1, 1.0, 3.0)))
        if number % 1000 == 999:
            # It dies in the middle of everything, and another one takes over.
            await world.scheduler.close()
            world.scheduler = world._scheduler()
            await start(world)
        if number % 5 == 0:
            world.check()
    return world


async def start(world: World) -> None:
    starting = asyncio.create_task(world.scheduler.start())
    while not starting.done():
        # Lists may fail and be tried again after a pause.
        await world.clock.advance(0.1)
        await world.settle(20)
    await starting


@pytest.mark.parametrize(
    ("seed", "fewest_nodes"), [pytest.param(1, 200, id="plain plugins"), pytest.param(2, 1, id="fast path")]
)
def test_never_twice_never_too_much(seed: int, fewest_nodes: int) -> None:
    async def run() -> None:
        world = await play(seed, OPERATIONS // 2, fewest_nodes)
        # When the faults stop, everything that fits finds its place, and nothing is forgotten.
        world.cluster.faults = Faults()
        for number in range(3):
            world.cluster.put("nodes", {**node(f"large-{number}", 4_000_000, random.Random(1)), "spec": {}})
            world.cluster.objects("nodes")[-1]["status"]["allocatable"]["pods"] = "1000"
        for _ in range(40):
            await world.clock.advance(10.0)
            await world.settle(300)
        world.check()
        assert world.cluster.bindings
        left = [
            p["metadata"]["name"]
            for p in world.cluster.objects("pods")
            if not p["spec"].get("nodeName")
            and not p["spec"].get("schedulingGates")
            and not p["spec"].get("affinity")
            and not p["spec"].get("topologySpreadConstraints")
        ]
        assert not left, f"these wait although there is room: {left}"
        assert world.scheduler.metrics_text().count("scheduler_pending_pods") > 1
        await world.scheduler.close()

    asyncio.run(run())
