"""What the scheduler decides upon: nodes with what stands on them, and the other objects plugins ask for.

A `NodeInfo` sums up its pods as they come and go, so that a decision never walks all pods for what is a sum. Nodes
are in the real scheduler's order: zones take turns (backend/cache node_tree.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.views import HostPort, Node, Pod, Resources


@dataclass(slots=True, eq=False)
class NodeInfo:
    """A node and the pods that stand (or are assumed to stand) on it."""

    node: Node
    pods: list[Pod] = field(default_factory=list)
    requested: Resources = field(default_factory=dict)
    assumed_cpu: int = 0
    assumed_memory: int = 0
    ports: set[HostPort] = field(default_factory=set)
    with_affinity: list[Pod] = field(default_factory=list)
    with_anti_affinity: list[Pod] = field(default_factory=list)
    """Pods with required anti-affinity: the ones which may keep others away."""
    log: Log | None = None
    """Where changes are noted for whoever follows this node (`fast.columns`), and `row`, its place there."""
    row: int = -1

    @property
    def name(self) -> str:
        return self.node.name

    def add(self, pod: Pod) -> None:
        self.pods.append(pod)
        if pod.has_affinity:
            self.with_affinity.append(pod)
        if pod.anti_affinity:
            self.with_anti_affinity.append(pod)
        self._sum(pod, 1)
        if self.log is not None:
            self.log.append((self, pod, 1))

    def remove(self, pod: Pod) -> None:
        """Takes the pod with the same uid away; ValueError when it is not there."""
        found = next(p for p in self.pods if p.uid == pod.uid)
        self.pods.remove(found)
        if found.has_affinity:
            self.with_affinity.remove(found)
        if found.anti_affinity:
            self.with_anti_affinity.remove(found)
        self._sum(found, -1)
        if self.log is not None:
            self.log.append((self, found, -1))

    def replace(self, node: Node) -> None:
        """Takes the newest state of the node object."""
        same = self.node.same_for_scheduling(node)
        self.node = node
        if self.log is not None and not same:
            self.log.append((self, None, 0))

    def renew(self, pod: Pod) -> bool:
        """Takes the newest state of a pod that stands here; false when it differs for the scheduler, or is not here."""
        for at, known in enumerate(self.pods):
            if known.uid == pod.uid:
                if not known.same_for_others(pod):
                    return False
                self.pods[at] = pod
                pod.group = known.group
                for special in (self.with_affinity, self.with_anti_affinity):
                    if known in special:
                        special[special.index(known)] = pod
                return True
        return False

    def _sum(self, pod: Pod, sign: int) -> None:
        requested = self.requested
        for name, value in pod.requests.items():
            requested[name] = requested.get(name, 0) + sign * value
        self.assumed_cpu += sign * pod.assumed_cpu
        self.assumed_memory += sign * pod.assumed_memory
        # A set, not a count, as in the real scheduler: of two pods that were bound to one port by force, the first that
        # goes frees it.
        if sign > 0:
            self.ports.update(pod.host_ports)
        else:
            self.ports.difference_update(pod.host_ports)

    def free_of(self, wanted: Iterable[HostPort]) -> bool:
        """Whether none of the ports is taken; 0.0.0.0 conflicts with every address."""
        for address, protocol, port in wanted:
            for other, other_protocol, other_port in self.ports:
                if (
                    protocol == other_protocol
                    and port == other_port
                    and (address == other or "0.0.0.0" in (address, other))
                ):
                    return False
        return True

    def copy(self) -> NodeInfo:
        """A copy for what-if; pods and node are shared."""
        return NodeInfo(
            self.node,
            list(self.pods),
            dict(self.requested),
            self.assumed_cpu,
            self.assumed_memory,
            set(self.ports),
            list(self.with_affinity),
            list(self.with_anti_affinity),
        )


Log = list[tuple[NodeInfo, Pod | None, int]]
"""What happened on nodes: a pod came (1) or went (-1), or (None) the node itself changed."""


class Objects:
    """The other objects plugins ask for, by plural: each a mapping from `namespace/name` (or the name) to the object."""

    def __init__(self, tables: Mapping[str, Mapping[str, Obj]] | None = None) -> None:
        self._tables = dict(tables or {})
        self._owners_changed: dict[str, int] = {}

    def owners_version(self, namespace: str) -> int:
        """Grows when a Service or controller of the namespace comes, goes or selects other pods."""
        return self._owners_changed.get(namespace, 0)

    def owner_changed(self, old: Obj | None, new: Obj | None) -> None:
        """Notes a change of an object that selects pods; changes of its other parts don't count."""
        before, after = ((obj.get("spec") or {}).get("selector") if obj is not None else None for obj in (old, new))
        if old is not None and new is not None and before == after:
            return
        metadata = (new or old or {"metadata": {}})["metadata"]
        namespace = metadata.get("namespace") or "default"
        self._owners_changed[namespace] = self.owners_version(namespace) + 1

    def get(self, plural: str, name: str, namespace: str = "") -> Obj | None:
        return self._tables.get(plural, {}).get(f"{namespace}/{name}" if namespace else name)

    def put(self, plural: str, obj: Obj) -> None:
        """Sets a namespaced object, or a cluster-wide one when it has no namespace."""
        metadata = obj["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
        self._tables[plural] = {**self._tables.get(plural, {}), key: obj}
        self.owner_changed(None, obj)

    def all(self, plural: str) -> Iterable[Obj]:
        return self._tables.get(plural, {}).values()

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        found = self.get("namespaces", name)
        if found is None:
            return {"kubernetes.io/metadata.name": name}
        labels: Mapping[str, str] = found["metadata"].get("labels") or {}
        return labels


class Snapshot:
    """All nodes at one moment."""

    def __init__(
        self,
        infos: Iterable[NodeInfo],
        objects: Objects | None = None,
        nominated: Mapping[str, Sequence[Pod]] | None = None,
    ) -> None:
        self.nominated: Mapping[str, Sequence[Pod]] = nominated or {}
        """Pending pods by the node that preemption has made room on for them."""
        self.by_name: dict[str, NodeInfo] = {info.name: info for info in infos}
        self.objects = objects or Objects()
        self._nodes: Sequence[NodeInfo] | None = None
        self._image_states: dict[str, tuple[int, int]] = {}

    @property
    def nodes(self) -> Sequence[NodeInfo]:
        """All nodes, zones taking turns."""
        if self._nodes is None:
            self._nodes = interleave(list(self.by_name.values()))
        return self._nodes

    @classmethod
    def of(cls, nodes: Iterable[Node], pods: Iterable[Pod], objects: Objects | None = None) -> Snapshot:
        infos = {node.name: NodeInfo(node) for node in nodes}
        nominated: dict[str, list[Pod]] = {}
        for pod in pods:
            if (pod.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                continue
            if pod.node_name in infos:
                infos[pod.node_name].add(pod)
            elif not pod.node_name and pod.nominated:
                nominated.setdefault(pod.nominated, []).append(pod)
        return cls(infos.values(), objects, nominated)

    def image_state(self, name: str) -> tuple[int, int]:
        """(size, number of nodes that have it). The size is the one of the first node which reported it."""
        found = self._image_states.get(name)
        if found is None:
            sizes = [info.node.images[name] for info in self.by_name.values() if name in info.node.images]
            found = self._image_states[name] = (sizes[0], len(sizes)) if sizes else (0, 0)
        return found


def interleave(infos: Sequence[NodeInfo]) -> Sequence[NodeInfo]:
    """Zones take turns, each in the order its nodes came."""
    zones: dict[str, list[NodeInfo]] = {}
    for info in infos:
        zones.setdefault(info.node.zone, []).append(info)
    if len(zones) <= 1:
        return infos
    columns = list(zones.values())
    return [column[row] for row in range(max(map(len, columns))) for column in columns if row < len(column)]
