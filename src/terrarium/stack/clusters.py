"""The clusters of a world: behind each EKS record an API server, controllers, a scheduler, kubelets and Fargate."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Failure
from terrarium.base.files import write_atomic
from terrarium.base.ids import Ids
from terrarium.cloud.hooks import CloudView
from terrarium.eks.access import AccessPolicies
from terrarium.eks.addons_in_cluster import AddonInstaller
from terrarium.eks.fargate.fargate import Fargate
from terrarium.eks.hosting import (
    Addon,
    ClusterAddress,
    ClusterId,
    ClusterRecord,
    FargateProfile,
    Issue,
    Nodegroup,
)
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

log = logging.getLogger(__name__)


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

    async def close(self) -> None:
        await self._stack.aclose()


def _port(folder: Path) -> int:
    """The port this cluster has had; 0 for a new one."""
    try:
        return int(json.loads((folder / "cluster.json").read_bytes())["port"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


class Clusters:
    """Implements `eks.hosting.ClusterHost`."""

    def __init__(self, folder: Path, clock: Clock, ids: Ids, view: CloudView) -> None:
        self._folder = folder / "clusters"
        self._clock = clock
        self._ids = ids
        self._view = view
        self._eks: EksService | None = None
        self._running: dict[ClusterId, Cluster] = {}
        self._locks: dict[ClusterId, asyncio.Lock] = {}
        self.hosts: frozenset[str] = frozenset()
        """`host:port` of the world's AWS endpoint, as tokens name it."""

    def join(self, eks: EksService) -> None:
        """The service whose clusters these are; the two need each other, so one comes later."""
        self._eks = eks

    def _home(self, cluster: ClusterId) -> Path:
        return self._folder / cluster.region / cluster.name

    def _lock(self, cluster: ClusterId) -> asyncio.Lock:
        return self._locks.setdefault(cluster, asyncio.Lock())

    def running(self, cluster: ClusterId) -> Cluster | None:
        return self._running.get(cluster)

    # --- ClusterHost -----------------------------------------------------------------------------------------------

    async def start(self, record: ClusterRecord) -> ClusterAddress:
        async with self._lock(record.id):
            known = self._running.get(record.id)
            if known is not None:
                return ClusterAddress(known.server.url, known.server.ca)
            home = self._home(record.id)
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            assert self._eks is not None
            cluster = Cluster(home, record, self._clock, self._ids, self._eks, self._view, lambda: self.hosts)
            address = await cluster.start()
            self._running[record.id] = cluster
            return address

    async def stop(self, cluster: ClusterId) -> None:
        async with self._lock(cluster):
            known = self._running.pop(cluster, None)
            if known is not None:
                await known.close()

    async def delete(self, cluster: ClusterId) -> None:
        await self.stop(cluster)
        shutil.rmtree(self._home(cluster), ignore_errors=True)

    async def version_changed(self, record: ClusterRecord) -> None:
        await self.stop(record.id)
        await self.start(record)

    async def profiles_changed(self, cluster: ClusterId, profiles: Sequence[FargateProfile]) -> None:
        known = self._running.get(cluster)
        if known is not None:
            await known.fargate.profiles_changed(profiles)

    async def addons_changed(self, cluster: ClusterId, addons: Sequence[Addon]) -> None:
        known = self._running.get(cluster)
        if known is not None:
            await known.installer.apply(addons)

    async def addon_issues(self, cluster: ClusterId, addon: str) -> Sequence[Issue]:
        known = self._running.get(cluster)
        return await known.installer.issues(addon) if known is not None else ()

    async def access_changed(self, cluster: ClusterId) -> None:
        """Tokens and policies read the entries themselves."""

    async def nodegroups_changed(
        self, cluster: ClusterId, groups: Sequence[Nodegroup]
    ) -> Mapping[str, Sequence[Issue]]:
        known = self._running.get(cluster)
        if known is None:
            return {}
        return await known.workers.apply(groups, {v: kubelet_version(v) for v in VERSIONS})

    # --- for the world ---------------------------------------------------------------------------------------------

    async def close(self) -> None:
        for cluster in list(self._running):
            await self.stop(cluster)

    async def settle(self) -> None:
        """Lets what was set off run: controllers, kubelets and stores take turns on the loop and in threads."""
        for _ in range(200):
            await asyncio.sleep(0)

    def summaries(self) -> list[dict[str, Any]]:
        assert self._eks is not None
        return [
            {
                "name": id.name,
                "region": id.region,
                "version": cluster["version"],
                "status": cluster["status"],
                "endpoint": cluster.get("endpoint"),
            }
            for id, cluster in self._eks.ground.clusters()
        ]

    def _named(self, name: str) -> list[Cluster]:
        return [c for id, c in self._running.items() if not name or name in (id.name, str(id))]

    def explain(self, cluster: str, namespace: str, name: str) -> dict[str, Any]:
        """Why a pod is where it is, from whichever cluster has it. `Failure` when none or several have."""
        found = []
        for candidate in self._named(cluster):
            answer = candidate.fargate.explain(namespace, name) or candidate.scheduler.explain(namespace, name)
            if answer is not None:
                found.append(answer | {"cluster": candidate.record.id.name})
        if not found:
            where = f"cluster {cluster}" if cluster else "any cluster of this world"
            raise Failure(f'no pod "{name}" in namespace "{namespace}" of {where}', "See: kubectl get pods -A")
        if len(found) > 1:
            names = ", ".join(f["cluster"] for f in found)
            raise Failure(f"clusters {names} have such a pod", "Say which with --cluster.")
        return found[0]

    def admin_kubeconfig(self, name: str) -> str:
        found = self._named(name)
        if not found:
            raise Failure(
                f"no cluster {name!r} is running" if name else "no cluster is running", "See: terrarium status"
            )
        if len(found) > 1:
            raise Failure("more than one cluster is running", "Say which with --cluster.")
        return found[0].server.admin_kubeconfig()
