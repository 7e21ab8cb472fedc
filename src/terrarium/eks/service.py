"""The EKS service: its parts put together, as the AWS endpoint takes it."""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.cloud.hooks import CloudView, Operation
from terrarium.cloud.records import Records
from terrarium.eks.addons import Addons
from terrarium.eks.associations import Associations
from terrarium.eks.clusters import Clusters
from terrarium.eks.entries import Entries
from terrarium.eks.ground import Ground
from terrarium.eks.hosting import ClusterHost
from terrarium.eks.nodegroups import Nodegroups
from terrarium.eks.profiles import Profiles
from terrarium.eks.tags import Tags
from terrarium.eks.updates import Updates


class EksService:
    """Implements `cloud.hooks.Service`. `start` begins again what a restart cut off, and starts the clusters."""

    name = "eks"

    def __init__(
        self, records: Records, view: CloudView, host: ClusterHost, clock: Clock, ids: Ids, account: str
    ) -> None:
        self.ground = Ground(records, clock, ids, view, host, account, Tasks("eks"))
        self.updates = Updates(self.ground)
        self.entries = Entries(self.ground)
        self.clusters = Clusters(self.ground, self.updates, self.entries)
        self.profiles = Profiles(self.ground, self.entries)
        self.associations = Associations(self.ground)
        self.addons = Addons(self.ground, self.updates, self.associations)
        self.nodegroups = Nodegroups(self.ground, self.updates, self.entries)
        self.tags = Tags(self.ground)

    @property
    def operations(self) -> Mapping[str, Operation]:
        parts = (
            self.clusters,
            self.updates,
            self.entries,
            self.profiles,
            self.associations,
            self.addons,
            self.nodegroups,
            self.tags,
        )
        return {name: operation for part in parts for name, operation in part.operations.items()}

    async def start(self) -> None:
        await self.updates.resume()
        await self.clusters.resume()
        await self.profiles.resume()
        await self.addons.resume()
        await self.nodegroups.resume()

    async def close(self) -> None:
        await self.ground.tasks.close()
        await self.clusters.stop()
