"""The controller manager: which controllers there are, and their common life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.client.contract import Client
from terrarium.kube.controllers.budgets import Disruption
from terrarium.kube.controllers.clusterroles import ClusterRoles
from terrarium.kube.controllers.cronjobs import CronJobs
from terrarium.kube.controllers.daemonsets import DaemonSets
from terrarium.kube.controllers.deployments import Deployments
from terrarium.kube.controllers.endpoints import Endpoints, EndpointSlices
from terrarium.kube.controllers.garbage import GarbageCollector
from terrarium.kube.controllers.jobs import FinishedJobs, Jobs, OrphanJobPods
from terrarium.kube.controllers.namespaces import DefaultServiceAccounts, Namespaces, RootCertificates
from terrarium.kube.controllers.nodes import NodeHealth, NodeRanges, NodeTtl, PodGarbage, TaintEviction
from terrarium.kube.controllers.quotas import ResourceQuotas
from terrarium.kube.controllers.replicasets import ReplicaSets, ReplicationControllers
from terrarium.kube.controllers.runner import Caches, Controller
from terrarium.kube.controllers.statefulsets import StatefulSets

CONTROLLERS: Sequence[type[Controller]] = (
    Deployments,
    ReplicaSets,
    ReplicationControllers,
    StatefulSets,
    DaemonSets,
    Jobs,
    OrphanJobPods,
    FinishedJobs,
    Namespaces,
    DefaultServiceAccounts,
    RootCertificates,
    EndpointSlices,
    Endpoints,
    GarbageCollector,
    NodeHealth,
    NodeRanges,
    NodeTtl,
    TaintEviction,
    PodGarbage,
    CronJobs,
    Disruption,
    ClusterRoles,
    ResourceQuotas,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What kube-controller-manager takes as flags."""

    root_ca: str = ""
    """PEM bundle for the ConfigMap kube-root-ca.crt; without it that controller does not run."""
    disabled: frozenset[str] = frozenset()
    """Names of controllers that shall not run (`--controllers=-name`)."""
    terminated_pod_gc_threshold: int = 12_500
    node_cidrs: str = ""
    """A range from which each node gets a part (`--allocate-node-cidrs --cluster-cidr`); "" for none."""
    node_cidr_mask: int = 24
    """The size of such a part (`--node-cidr-mask-size`)."""
    autoscaler_period: float = 15.0


class ControllerManager:
    """All controllers of a cluster, over one set of caches. `client` must be allowed to act as service accounts."""

    def __init__(self, client: Client, clock: Clock, ids: Ids, options: Options | None = None) -> None:
        self.options = options or Options()
        self._tasks = Tasks("controllers")
        self.caches = Caches(client, clock, self._tasks)
        self.controllers: list[Controller] = []
        for kind in CONTROLLERS:
            if kind.name in self.options.disabled:
                continue
            controller = kind(client, clock, ids, self.caches)
            controller.configure(self.options)
            if controller.wanted:
                self.controllers.append(controller)

    async def start(self) -> None:
        """Starts all; returns at once. They begin to work as soon as their caches are filled."""
        for controller in self.controllers:
            controller.start(self._tasks)

    async def synced(self) -> None:
        await self.caches.synced()

    async def close(self) -> None:
        await self._tasks.close()
