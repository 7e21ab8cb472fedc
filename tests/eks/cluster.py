"""A cluster in process for tests: the API server in memory, controllers, a kubelet, Fargate, and an honest small cloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.cloud.hooks import Subnet
from terrarium.eks.fargate.fargate import Fargate
from terrarium.eks.hosting import ClusterId, ClusterRecord
from terrarium.kube.api import builtin
from terrarium.kube.apiserver.server import ApiServer, ServerConfig
from terrarium.kube.client.contract import Client
from terrarium.kube.controllers.manager import ControllerManager, Options
from terrarium.kube.storage.memory import MemoryStorage
from terrarium.runtime.kubelet.manager import Kubelets
from terrarium.runtime.simulated.runtime import SimulatedRuntime

RECORD = ClusterRecord(
    ClusterId("ap-northeast-2", "study"),
    "arn:aws:eks:ap-northeast-2:444455556666:cluster/study",
    "1.30",
    "eks.49",
    "172.20.0.0/16",
    "vpc-1",
    ("subnet-a", "subnet-b"),
    "sg-1",
    "https://oidc.eks.ap-northeast-2.amazonaws.com/id/1",
    "API",
    False,
)


@dataclass
class SmallCloud:
    """Two subnets which give addresses in order."""

    given: dict[str, str] = field(default_factory=dict)
    """Address by interface."""
    about: dict[str, str] = field(default_factory=dict)
    """Description by interface."""

    async def subnet(self, region: str, id: str) -> Subnet | None:
        zones = {"subnet-a": "a", "subnet-b": "b"}
        if id not in zones:
            return None
        return Subnet(id, "vpc-1", f"{region}{zones[id]}", f"apne2-az{zones[id]}", "10.10.0.0/20", False)

    async def allocate_address(self, region: str, subnet: str, description: str) -> tuple[str, str]:
        await asyncio.sleep(0)
        number = len(self.about) + 4
        third = {"subnet-a": 10, "subnet-b": 20}[subnet]
        self.given[f"eni-{number}"] = f"10.10.{third}.{number}"
        self.about[f"eni-{number}"] = description
        return f"eni-{number}", self.given[f"eni-{number}"]

    async def release_address(self, region: str, interface: str) -> None:
        del self.given[interface]

    async def call(self, service: str, operation: str, parameters: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        filters = {f["Name"]: f["Values"] for f in parameters["Filters"]}
        found = [i for i, a in self.given.items() if a in filters.get("private-ip-address", [a])]
        return {"NetworkInterfaces": [{"NetworkInterfaceId": i, "Description": self.about[i]} for i in found]}


@dataclass
class World:
    server: ApiServer
    client: Client
    clock: Clock
    kubelets: Kubelets
    fargate: Fargate
    cloud: SmallCloud


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    clock, ids, cloud = Clock(), Ids(7), SmallCloud()
    kubelets = Kubelets(clock, ids, [SimulatedRuntime(clock, ids, folder / "runtime")], folder / "pods")
    fargate = Fargate(RECORD, clock, ids, cloud, kubelets)
    server = ApiServer(
        ServerConfig(folder / "server", port=None, minor=30, service_range=RECORD.service_cidr),
        MemoryStorage(),
        builtin.registry(30),
        clock,
        ids,
        admission=fargate.admission,
        kubelet=kubelets,
    )
    await server.start()
    controllers = ControllerManager(server.client(), clock, ids, Options(root_ca=server.ca.decode()))
    await kubelets.start(server.client())
    await controllers.start()
    await fargate.start(server.client())
    try:
        yield World(server, server.client(), clock, kubelets, fargate, cloud)
    finally:
        await fargate.close()
        await controllers.close()
        await kubelets.close()
        await server.close()


async def eventually(look: Callable[[], Any], rounds: int = 400) -> Any:
    """What `look` (a coroutine function) gives as soon as it is true; its last answer when it never is."""
    found = None
    for _ in range(rounds):
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.01)  # real work goes on in threads meanwhile
    return found
