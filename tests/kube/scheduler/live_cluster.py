"""Our own API server, in process and over HTTPS, for tests of a scheduler that runs beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.kube.api.builtin import registry
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.server import ApiServer, ServerConfig
from terrarium.kube.client.contract import NODES, PODS, Client
from terrarium.kube.client.http import HttpClient, Transport
from terrarium.kube.client.kubeconfig import parse
from terrarium.kube.storage.memory import MemoryStorage

SCHEDULER = "system:kube-scheduler"


class Live:
    """A running server; `client` is its administrator."""

    def __init__(self, server: ApiServer, clock: Clock, ids: Ids) -> None:
        self.server = server
        self.clock = clock
        self.ids = ids
        self.client: Client = server.client()
        self.transports: list[Transport] = []

    def over_http(self, user: str = SCHEDULER) -> HttpClient:
        """A client over HTTPS with a certificate of that user's own, and nobody's rights but that user's."""
        login = parse(yaml.safe_load(self.server.kubeconfig(user)), Path("kubeconfig"))
        transport = Transport(login)
        self.transports.append(transport)
        return HttpClient(transport)

    async def node(self, name: str, cpu: str = "4", pods: str = "110", **labels: str) -> None:
        amounts = {"cpu": cpu, "memory": "8Gi", "pods": pods}
        node: Obj = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
            "status": {"allocatable": amounts, "capacity": amounts},
        }
        await self.client.create(NODES, node)

    async def pod(self, name: str, cpu: str = "100m", **spec: Any) -> Obj:
        container = {"name": "c", "image": "registry.k8s.io/pause:3.9", "resources": {"requests": {"cpu": cpu}}}
        pod: Obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [container], **spec},
        }
        return await self.client.create(PODS, pod, "default")

    async def nodes_of_pods(self) -> dict[str, str]:
        """Where each pod is, "" for nowhere."""
        found = await self.client.list(PODS, "default")
        return {p["metadata"]["name"]: p["spec"].get("nodeName", "") for p in found.items}

    async def until(self, holds: Callable[[dict[str, str]], bool], seconds: float = 20.0) -> dict[str, str]:
        """Waits until the placement is as it should be."""
        async with asyncio.timeout(seconds):
            while True:
                placed = await self.nodes_of_pods()
                if holds(placed):
                    return placed
                await self.clock.sleep(0.02)


@asynccontextmanager
async def live(folder: Path) -> AsyncIterator[Live]:
    clock, ids = Clock(), Ids(7)
    config = ServerConfig(folder, port=0, disable_admission=("ServiceAccount", "TaintNodesByCondition"))
    server = ApiServer(config, MemoryStorage(), registry(33), clock, ids)
    await server.start()
    cluster = Live(server, clock, ids)
    try:
        yield cluster
    finally:
        for transport in cluster.transports:
            await transport.close()
        await server.close()
