"""Resources that nobody stores: their objects are made when they are asked for (metrics, component statuses)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from terrarium.base.clock import Clock, rfc3339
from terrarium.kube.api.columns.make import at, column, name_of
from terrarium.kube.api.hooks import KubeletDoor
from terrarium.kube.api.kinds import Column, GroupVersion, Kind, Obj, Registry
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.client.contract import ApiError

METRICS = GroupVersion("metrics.k8s.io", "v1beta1")
_WINDOW = "15s"
"""The time that a measurement stands for."""
_COMPONENTS = {"scheduler": 10259, "controller-manager": 10257}


class Source(Protocol):
    """Gives the objects of one resource. `missing` is how a name that is not there is called."""

    missing: str

    async def objects(self, namespace: str) -> Sequence[Obj]: ...


# -- metrics.k8s.io ---------------------------------------------------------------------------------------------------


class Usage:
    """What containers use, as the nodes' kubelets tell: `{node: {namespace/pod: {container: (cpu, memory)}}}`."""

    def __init__(self, resources: Resources, kubelet: KubeletDoor) -> None:
        self._resources = resources
        self._kubelet = kubelet

    async def nodes(self) -> dict[str, Mapping[str, Mapping[str, tuple[int, int]]]]:
        kind = self._resources.registry.resource("", "v1", "nodes")
        found: dict[str, Mapping[str, Mapping[str, tuple[int, int]]]] = {}
        for node in await self._resources.all(kind) if kind is not None else ():
            name = node["metadata"]["name"]
            try:
                found[name] = await self._kubelet.usage(name)
            except (ApiError, KeyError, OSError):
                continue  # A node whose kubelet does not answer has no metrics.
        return found

    async def labels(self, plural: str) -> dict[str, Mapping[str, str]]:
        """The labels of all objects, by `namespace/name`."""
        kind = self._resources.registry.resource("", "v1", plural)
        objs = await self._resources.all(kind) if kind is not None else []
        return {_key(obj): obj["metadata"].get("labels") or {} for obj in objs}


def _key(obj: Obj) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _amounts(cpu: int, memory: int) -> dict[str, str]:
    return {"cpu": f"{cpu}n" if cpu else "0", "memory": f"{memory // 1024}Ki" if memory else "0"}


class _Measured:
    def __init__(self, usage: Usage, clock: Clock) -> None:
        self._usage = usage
        self._clock = clock

    def _object(self, kind: str, name: str, namespace: str, labels: Mapping[str, str]) -> Obj:
        now = rfc3339(self._clock.now())
        meta: Obj = {"name": name, "creationTimestamp": now}
        if namespace:
            meta["namespace"] = namespace
        if labels:
            meta["labels"] = dict(labels)
        return {"kind": kind, "apiVersion": str(METRICS), "metadata": meta, "timestamp": now, "window": _WINDOW}


class PodMetrics(_Measured):
    missing = "podmetrics.metrics.k8s.io"

    async def objects(self, namespace: str) -> Sequence[Obj]:
        labels = await self._usage.labels("pods")
        found: list[Obj] = []
        for pods in (await self._usage.nodes()).values():
            for key, containers in pods.items():
                space, _, name = key.partition("/")
                if (namespace and space != namespace) or key not in labels or not containers:
                    continue
                pod = self._object("PodMetrics", name, space, labels[key])
                pod["containers"] = [{"name": c, "usage": _amounts(*used)} for c, used in containers.items()]
                found.append(pod)
        return sorted(found, key=_key)


class NodeMetrics(_Measured):
    missing = "nodemetrics.metrics.k8s.io"

    async def objects(self, namespace: str) -> Sequence[Obj]:
        labels = await self._usage.labels("nodes")
        found: list[Obj] = []
        for name, pods in sorted((await self._usage.nodes()).items()):
            used = [amounts for containers in pods.values() for amounts in containers.values()]
            node = self._object("NodeMetrics", name, "", labels.get(f"/{name}", {}))
            node["usage"] = _amounts(sum(cpu for cpu, _ in used), sum(memory for _, memory in used))
            found.append(node)
        return found


def _used(obj: Obj, resource: str) -> str:
    from terrarium.kube.api.quantity import Quantity

    parts = obj.get("containers") or [obj]
    nanos = sum(Quantity.parse(str(at(part, "usage", resource) or "0")).nanos for part in parts)
    return f"{nanos // 10**6}m" if resource == "cpu" else f"{nanos // 10**9 // 1024}Ki"


_COLUMNS: tuple[Column, ...] = (
    column("Name", name_of, format="name", about="Name of the resource"),
    column("cpu", lambda obj: _used(obj, "cpu")),
    column("memory", lambda obj: _used(obj, "memory")),
    column("Window", lambda obj: str(obj.get("window", ""))),
)


def serve_metrics(registry: Registry, on: bool) -> None:
    """Puts the kinds of metrics.k8s.io into a registry, or takes them out."""
    for kind, plural, namespaced in (("NodeMetrics", "nodes", False), ("PodMetrics", "pods", True)):
        row = Kind(METRICS, kind, plural, "", namespaced, verbs=("get", "list"), columns=_COLUMNS)
        if on:
            registry.add(row)
        else:
            registry.remove(row)


def metrics(resources: Resources, kubelet: KubeletDoor, clock: Clock) -> dict[str, Source]:
    """The sources of metrics.k8s.io by resource."""
    usage = Usage(resources, kubelet)
    return {
        f"nodes.{METRICS.group}": NodeMetrics(usage, clock),
        f"pods.{METRICS.group}": PodMetrics(usage, clock),
    }


# -- component statuses -----------------------------------------------------------------------------------------------


class ComponentStatuses:
    """The control plane as the deprecated API shows it. `running` are the components that are there."""

    missing = "componentstatus"

    def __init__(self, running: Sequence[str]) -> None:
        self._running = running

    async def objects(self, namespace: str) -> Sequence[Obj]:
        found = [self._status("etcd-0", "")]
        for name, port in _COMPONENTS.items():
            why = (
                f'Get "https://127.0.0.1:{port}/healthz": dial tcp 127.0.0.1:{port}: connect: connection refused'
                if name not in self._running
                else ""
            )
            found.append(self._status(name, why))
        return sorted(found, key=lambda status: str(status["metadata"]["name"]))

    @staticmethod
    def _status(name: str, why: str) -> Obj:
        condition = {"type": "Healthy", "status": "False" if why else "True", "message": why or "ok"}
        return {
            "kind": "ComponentStatus",
            "apiVersion": "v1",
            "metadata": {"name": name, "creationTimestamp": None},
            "conditions": [condition],
        }
