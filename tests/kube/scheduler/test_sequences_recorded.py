"""Recorded end-to-end sequences on our own API server: where pods end, their conditions, and what is told about them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.kube.scheduler.live_cluster import SCHEDULER, Live, live
from tests.kube.scheduler.recordings import cases

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import EVENTS, NODES, PODS, Resource
from terrarium.kube.scheduler.configuration import effective
from terrarium.kube.scheduler.server import Scheduler

BASE = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
KINDS = {"Pod": PODS, "Node": NODES, "PriorityClass": Resource("scheduling.k8s.io", "v1", "priorityclasses")}
QUIET = 0.25
AFTER_ERRORS = 1.2
"""A pod that an error stopped is tried again after a second, and the recording has seen that."""


class Player:
    """Plays the steps of one case."""

    def __init__(self, cluster: Live) -> None:
        self.cluster = cluster
        self.uids: list[str] = []

    async def do(self, step: Obj) -> None:
        client = self.cluster.client
        for item in step.get("objects") or ():
            resource = KINDS[item["kind"]]
            version = f"{resource.group}/{resource.version}" if resource.group else resource.version
            namespace = item["metadata"].get("namespace", "default") if item["kind"] == "Pod" else ""
            made = await client.create(resource, {"apiVersion": version, **item}, namespace)
            if item["kind"] == "Pod":
                self.uids.append(made["metadata"]["uid"])
        if step["op"] == "delete":
            grace = (step.get("options") or {}).get("gracePeriodSeconds")
            await client.delete(KINDS[step["kind"]], step["name"], "default", grace=grace)
        if step["op"] == "patch":
            await client.patch(KINDS[step["kind"]], step["name"], step["patch"], "default")

    async def seen(self) -> tuple[list[Obj], list[Obj]]:
        pods = (await self.cluster.client.list(PODS)).items
        events = (await self.cluster.client.list(EVENTS)).items
        return [self.pod(p) for p in pods], [self.event(e) for e in events]

    async def rest(self) -> tuple[list[Obj], list[Obj]]:
        """What is there once nothing has changed for a while."""
        before, since = await self.seen(), self.cluster.clock.time()
        while True:
            await self.cluster.clock.sleep(0.03)
            now = await self.seen()
            if now != before:
                before, since = now, self.cluster.clock.time()
            quiet = AFTER_ERRORS if "no nodes available" in str(now[0]) else QUIET
            if self.cluster.clock.time() - since > quiet:
                return now

    def text(self, text: str) -> str:
        for number, uid in enumerate(self.uids, 1):
            text = text.replace(uid, f"<uid-{number}>")
        return text

    def pod(self, pod: Obj) -> Obj:
        status = pod.get("status") or {}
        conditions = [
            {k: c[k] for k in ("type", "status", "reason", "message") if c.get(k)}
            for c in status.get("conditions") or ()
        ]
        found = {
            "name": pod["metadata"]["name"],
            "nodeName": pod["spec"].get("nodeName"),
            "nominatedNodeName": status.get("nominatedNodeName"),
            "conditions": conditions,
            "deleting": "deletionTimestamp" in pod["metadata"],
        }
        return {k: v for k, v in found.items() if v}

    def event(self, event: Obj) -> Obj:
        about = event["involvedObject"]
        found = {
            "pod": f"{about['namespace']}/{about['name']}",
            "reason": event["reason"],
            "note": self.text(event["message"]),
            "count": (event.get("series") or {}).get("count"),
        }
        return {k: v for k, v in found.items() if v}


def ordered(found: list[Obj]) -> list[str]:
    return sorted(json.dumps(f, sort_keys=True) for f in found)


def expected(pod: Obj) -> Obj:
    keys = ("name", "nodeName", "nominatedNodeName", "conditions", "deleting")
    return {k: pod[k] for k in keys if pod.get(k)}


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in cases("sequences")])
def test_sequence(case: dict[str, Any], tmp_path: Path) -> None:
    async def run() -> None:
        async with live(tmp_path) as cluster:
            configuration = effective({**BASE, **case["config"]}) if case.get("config") else None
            scheduler = Scheduler(cluster.server.client(SCHEDULER), cluster.clock, cluster.ids, configuration)
            await scheduler.start()
            player = Player(cluster)
            for number, step in enumerate(case["steps"]):
                await player.do(step["step"])
                if "pods" not in step:
                    continue
                pods, events = await player.rest()
                assert ordered(pods) == ordered([expected(p) for p in step["pods"]]), f"pods of step {number}"
                assert ordered(events) == ordered(step.get("events") or []), f"events of step {number}"
            await scheduler.close()

    asyncio.run(run())
