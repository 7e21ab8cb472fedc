"""What the console shows, read from the EKS service and each cluster's API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from terrarium.base.clock import Clock, rfc3339
from terrarium.cloud.server import AwsEndpoint
from terrarium.console.views import ClusterView, NodeView, PodView, WorldView
from terrarium.eks.service import EksService
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import NODES, PODS, ApiError
from terrarium.stack.clusters import Clusters

if TYPE_CHECKING:
    from terrarium.kube.scheduler.server import Scheduler


def console(clock: Clock, aws: AwsEndpoint, eks: EksService, clusters: Clusters) -> Any:
    """The console as an ASGI application which is loaded when somebody looks at it."""
    app: Any = None

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        nonlocal app
        if app is None:
            from terrarium.console.app import create

            source = ConsoleSource(clock, aws, eks, clusters)
            app = create(source, source)
        await app(scope, receive, send)

    return asgi


class ConsoleSource:
    """Implements `console.views.Source` and `console.scheduler.SchedulerSource`."""

    def __init__(self, clock: Clock, aws: AwsEndpoint, eks: EksService, clusters: Clusters) -> None:
        self._clock = clock
        self._aws = aws
        self._eks = eks
        self._clusters = clusters

    async def world(self) -> WorldView:
        views = []
        for id, cluster in self._eks.ground.clusters():
            running = self._clusters.running(id)
            nodes: tuple[NodeView, ...] = ()
            pending: tuple[PodView, ...] = ()
            if running is not None:
                client = running.server.client()
                try:
                    node_list, pod_list = await client.list(NODES), await client.list(PODS)
                    nodes, pending = arrange(node_list.items, pod_list.items)
                except ApiError:
                    # A cluster on its way up or down has no nodes to show.
                    pass
            views.append(
                ClusterView(
                    id.name,
                    cluster["version"],
                    cluster["status"],
                    cluster.get("endpoint") or "",
                    id.region,
                    nodes,
                    pending,
                )
            )
        return WorldView(rfc3339(self._clock.now()), self._clock.pace.value, self._aws.url, tuple(views))

    def _scheduler(self, cluster: str) -> Scheduler | None:
        for id, _ in self._eks.ground.clusters():
            running = self._clusters.running(id)
            if id.name == cluster and running is not None:
                return running.scheduler
        return None

    def _moment(self, cluster: str) -> dict[str, Any]:
        return {"clock": rfc3339(self._clock.now()), "pace": self._clock.pace.value, "cluster": cluster}

    async def decisions(self, cluster: str) -> dict[str, Any] | None:
        scheduler = self._scheduler(cluster)
        if scheduler is None:
            return None
        rows = [row | {"at": rfc3339(datetime.fromtimestamp(row["at"], UTC))} for row in scheduler.looked_at()]
        return self._moment(cluster) | {"decisions": rows}

    async def placement(self, cluster: str, namespace: str, name: str) -> dict[str, Any] | None:
        scheduler = self._scheduler(cluster)
        if scheduler is None:
            return None
        explanation, heat = scheduler.explain(namespace, name), scheduler.heat_map(namespace, name)
        if explanation is None or heat is None:
            return None
        return self._moment(cluster) | {"explanation": explanation, "heatMap": heat}


def arrange(nodes: Any, pods: Any) -> tuple[tuple[NodeView, ...], tuple[PodView, ...]]:
    """Nodes with their pods, and the pods that have no node."""
    by_node: dict[str, list[PodView]] = {}
    for pod in pods:
        view = pod_view(pod)
        by_node.setdefault(view.node, []).append(view)
    return tuple(node_view(n, by_node.get(n["metadata"]["name"], [])) for n in nodes), tuple(by_node.get("", ()))


def node_view(node: Obj, pods: list[PodView]) -> NodeView:
    labels = node["metadata"].get("labels") or {}
    status = node.get("status") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    return NodeView(
        node["metadata"]["name"],
        labels.get("eks.amazonaws.com/compute-type") or ("ec2" if "eks.amazonaws.com/nodegroup" in labels else ""),
        labels.get("topology.kubernetes.io/zone", ""),
        ready,
        (status.get("nodeInfo") or {}).get("kubeletVersion", ""),
        tuple(pods),
    )


def pod_view(pod: Obj) -> PodView:
    """One line about a pod; the reason is that of its PodScheduled condition or of a waiting container."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    phase = status.get("phase", "Pending")
    reason = next(
        (
            c.get("message", "")
            for c in status.get("conditions") or ()
            if c["status"] == "False" and c["type"] == "PodScheduled"
        ),
        "",
    )
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            phase = waiting["reason"]
            reason = waiting.get("message", "") or reason
    if spec.get("schedulingGates"):
        phase = "SchedulingGated"
    if meta.get("deletionTimestamp"):
        phase = "Terminating"
    annotations = meta.get("annotations") or {}
    return PodView(
        meta.get("namespace", ""),
        meta["name"],
        phase,
        spec.get("nodeName", ""),
        annotations.get("CapacityProvisioned", ""),
        reason,
    )
