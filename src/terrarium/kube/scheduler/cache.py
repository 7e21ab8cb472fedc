"""What stands where: nodes, the pods on them (assumed ones among them), and pods that wait for room made on a node.

An assumed pod is one that was decided upon and is not yet known to be bound. It counts as placed at once; when its
binding fails it is forgotten, unless the cluster has meanwhile said where the pod really is.
"""

from __future__ import annotations

from terrarium.kube.scheduler.snapshot import NodeInfo, Objects, Snapshot
from terrarium.kube.scheduler.views import Node, Pod


class Cache:
    """The scheduler's own picture of the cluster. One writer: the loop's thread."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._infos: dict[str, NodeInfo] = {}
        self._snapshot: Snapshot | None = None
        self._placed: dict[str, tuple[Pod, str]] = {}
        """uid: (pod, node), also for nodes nobody has heard of yet."""
        self._by_node: dict[str, dict[str, Pod]] = {}
        self._assumed: dict[str, str] = {}
        """uid: node, until the cluster says so itself."""
        self._nominated: dict[str, list[Pod]] = {}
        self._nominated_to: dict[str, str] = {}

    @property
    def nodes(self) -> int:
        return len(self._infos)

    @property
    def pods(self) -> int:
        return len(self._placed)

    @property
    def assumed(self) -> int:
        return len(self._assumed)

    def snapshot(self) -> Snapshot:
        """The cluster as it is now. The same one until a node changes; pods come and go in it."""
        if self._snapshot is None:
            self._snapshot = Snapshot(self._infos.values(), self._objects)
            self._snapshot.nominated = self._nominated
        return self._snapshot

    # --- nodes -----------------------------------------------------------------------------------------------------

    def set_node(self, node: Node) -> None:
        info = self._infos.get(node.name)
        if info is None:
            info = self._infos[node.name] = NodeInfo(node)
            for pod in self._by_node.get(node.name, {}).values():
                info.add(pod)
        else:
            same = info.node.same_for_scheduling(node)
            info.replace(node)
            if same:
                return
        self._snapshot = None

    def drop_node(self, name: str) -> None:
        if self._infos.pop(name, None) is not None:
            self._snapshot = None

    # --- pods ------------------------------------------------------------------------------------------------------

    def stands(self, uid: str) -> str:
        """The node a pod stands on, "" for none."""
        known = self._placed.get(uid)
        return known[1] if known is not None else ""

    def assume(self, pod: Pod, node: str) -> None:
        """The pod is as good as there."""
        self._put(pod, node)
        self._assumed[pod.uid] = node

    def confirm(self, pod: Pod, node: str) -> None:
        """The cluster says that the pod is there."""
        self._assumed.pop(pod.uid, None)
        known = self._placed.get(pod.uid)
        if (
            known is not None
            and known[1] == node
            and known[0].start_time == pod.start_time
            and known[0].same_for_others(pod)
        ):
            # Nobody can tell the two apart, so the sums over the node's pods stay.
            self._placed[pod.uid] = (pod, node)
            self._by_node[node][pod.uid] = pod
            if node in self._infos:
                self._infos[node].renew(pod)
            return
        self._put(pod, node)

    def forget(self, pod: Pod, node: str) -> bool:
        """Takes an assumption back; false when the cluster has decided otherwise (or the pod is gone)."""
        if self._assumed.get(pod.uid) != node:
            return False
        self.lift(pod.uid)
        return True

    def lift(self, uid: str) -> Pod | None:
        """Takes a pod away from its node; gives it as it stood."""
        self._assumed.pop(uid, None)
        known = self._placed.pop(uid, None)
        if known is None:
            return None
        pod, node = known
        there = self._by_node[node]
        del there[uid]
        if not there:
            del self._by_node[node]
        info = self._infos.get(node)
        if info is not None:
            info.remove(pod)
        return pod

    def _put(self, pod: Pod, node: str) -> None:
        self.lift(pod.uid)
        self._placed[pod.uid] = (pod, node)
        self._by_node.setdefault(node, {})[pod.uid] = pod
        info = self._infos.get(node)
        if info is not None:
            info.add(pod)

    # --- nominations -----------------------------------------------------------------------------------------------

    def nominate(self, pod: Pod, node: str) -> None:
        """Notes for which node a pending pod waits, "" for none."""
        known = self._nominated_to.pop(pod.uid, "")
        if known:
            left = [p for p in self._nominated[known] if p.uid != pod.uid]
            if left:
                self._nominated[known] = left
            else:
                del self._nominated[known]
        if node:
            self._nominated_to[pod.uid] = node
            self._nominated.setdefault(node, []).append(pod)

    def nominated(self, node: str) -> list[Pod]:
        """Pods that wait for the node."""
        return list(self._nominated.get(node, ()))
