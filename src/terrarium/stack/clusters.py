"""The clusters of a world: behind each EKS record a running cluster, started and stopped as the record says."""

from __future__ import annotations

import asyncio
import importlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Failure
from terrarium.base.ids import Ids
from terrarium.cloud.hooks import CloudView
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

if TYPE_CHECKING:
    from terrarium.stack.cluster import Cluster


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
            from terrarium.stack.cluster import Cluster

            cluster = Cluster(home, record, self._clock, self._ids, self._eks, self._view, lambda: self.hosts)
            address = await cluster.start()
            self._running[record.id] = cluster
        # After a restart nothing changes, so nobody tells: what should be there is read from the records.
        await cluster.fargate.profiles_changed(self._eks.profiles.in_force(record.id))
        if groups := self._eks.nodegroups.wanted(record.id):
            await cluster.nodegroups_changed(groups)
        if addons := self._eks.addons.installed(record.id):
            await cluster.installer.apply(addons)
        return address

    async def stop(self, cluster: ClusterId) -> None:
        async with self._lock(cluster):
            known = self._running.pop(cluster, None)
            if known is not None:
                await known.close()

    async def delete(self, cluster: ClusterId) -> None:
        known = self._running.get(cluster)
        if known is not None:
            await known.fargate.clear()
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
        return await known.nodegroups_changed(groups)

    # --- for the world ---------------------------------------------------------------------------------------------

    async def close(self) -> None:
        for cluster in list(self._running):
            await self.stop(cluster)

    async def warm(self) -> None:
        """Loads what a first cluster needs, beside everything else."""
        await asyncio.to_thread(importlib.import_module, "terrarium.stack.cluster")

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
