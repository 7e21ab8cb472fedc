"""One running cluster: an API server, controllers, a scheduler, kubelets and Fargate, joined.

This module is imported when the first cluster starts: a world without one need not pay for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from terrarium.base.clock import Clock
from terrarium.base.files import write_atomic
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.cloud.hooks import CloudView
from terrarium.eks.access import AccessPolicies
from terrarium.eks.addons_in_cluster import AddonInstaller
from terrarium.eks.fargate.fargate import Fargate
from terrarium.eks.hosting import ClusterAddress, ClusterRecord, Issue, Nodegroup
from terrarium.eks.service import EksService
from terrarium.eks.tokens import EksTokens
from terrarium.eks.versions import VERSIONS
from terrarium.eks.workers import Workers
from terrarium.kube.api.builtin import registry
from terrarium.kube.apiserver.server import ApiServer, ServerConfig
from terrarium.kube.controllers.manager import ControllerManager, Options
from terrarium.kube.scheduler.server import Scheduler
from terrarium.kube.storage.sqlite import SqliteStorage
from terrarium.runtime.kubelet.manager import Kubelets
from terrarium.runtime.simulated.runtime import SimulatedRuntime


def kubelet_version(kubernetes: str) -> str:
    """What EKS's nodes of a minor version call themselves."""
    return f"v{VERSIONS[kubernetes].patch}-eks-113cf36"


class Cluster:
    """One running cluster. `start` opens its folder, `close` shuts it in the opposite order."""

    def __init__(
        self,
        folder: Path,
        record: ClusterRecord,
        clock: Clock,
        ids: Ids,
        eks: EksService,
        view: CloudView,
        hosts: Callable[[], frozenset[str]],
    ) -> None:
        self.record = record
        self.folder = folder
        self._stack = AsyncExitStack()
        self._tasks = Tasks(f"cluster {record.id}")
        version = kubelet_version(record.version)
        config = ServerConfig(
            folder,
            port=_port(folder),
            minor=VERSIONS[record.version].minor,
            version=version,
            service_range=record.service_cidr,
            issuer=record.oidc_issuer,
            audiences=("https://kubernetes.default.svc", record.oidc_issuer),
            cluster=record.id.name,
        )
        runtime = SimulatedRuntime(clock, ids, folder / "runtime")
        self.kubelets = Kubelets(clock, ids, [runtime], folder / "pods")
        self.fargate = Fargate(record, clock, ids, view, self.kubelets)
        self.server = ApiServer(
            config,
            SqliteStorage(folder / "store.db"),
            registry(config.minor),
            clock,
            ids,
            authenticators=[EksTokens(eks.ground, record.id, hosts)],
            authorizers=[AccessPolicies(eks.ground, record.id)],
            admission=self.fargate.admission,
            kubelet=self.kubelets,
        )
        admin = self.server.client()
        self.controllers = ControllerManager(admin, clock, ids, Options(root_ca=self.server.ca.decode()))
        self.scheduler = Scheduler(self.server.client("system:kube-scheduler"), clock, ids)
        self.installer = AddonInstaller(admin, record.id.region)
        self.workers = Workers(record.id.region, record.id.name, view, self.kubelets)

    async def start(self) -> ClusterAddress:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return ClusterAddress(self.server.url, self.server.ca)

    async def _start(self) -> None:
        await self.server.start()
        self._stack.push_async_callback(self.server.close)
        write_atomic(self.folder / "cluster.json", json.dumps({"port": self.server.port}).encode())
        await self.kubelets.start(self.server.client())
        self._stack.push_async_callback(self.kubelets.close)
        await self.controllers.start()
        self._stack.push_async_callback(self.controllers.close)
        await self.scheduler.start()
        self._stack.push_async_callback(self.scheduler.close)
        await self.fargate.start(self.server.client())
        self._stack.push_async_callback(self.fargate.close)
        self._stack.push_async_callback(self._tasks.close)
        # The first pod wants a token soon; nobody has to wait for the key until then.
        self._tasks.start("warm tokens", asyncio.to_thread(self.server.tokens.warm))

    async def nodegroups_changed(self, groups: Sequence[Nodegroup]) -> Mapping[str, Sequence[Issue]]:
        return await self.workers.apply(groups, {v: kubelet_version(v) for v in VERSIONS})

    async def close(self) -> None:
        await self._stack.aclose()


def _port(folder: Path) -> int:
    """The port this cluster has had; 0 for a new one."""
    try:
        return int(json.loads((folder / "cluster.json").read_bytes())["port"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0
