"""VolumeRestrictions: disks that only one pod may use at a time, and claims that are ReadWriteOncePod."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import Code, Cycle, PreFilterAnswer, Rejection, Skip
from terrarium.kube.scheduler.plugins.volumes import PVCS, missing, volumes
from terrarium.kube.scheduler.snapshot import NodeInfo
from terrarium.kube.scheduler.views import Pod


def _same_rbd(one: Obj, other: Obj) -> bool:
    monitors = set(one.get("monitors") or ())
    return (
        bool(monitors & set(other.get("monitors") or ()))
        and one.get("pool") == other.get("pool")
        and one.get("image") == other.get("image")
    )


@dataclass(frozen=True, slots=True)
class _Disk:
    """When two volumes of a kind are one disk, and whether several may read it."""

    same: Callable[[Obj, Obj], bool]
    readers: bool = True


_DISKS = {
    "gcePersistentDisk": _Disk(lambda a, b: a.get("pdName") == b.get("pdName")),
    "awsElasticBlockStore": _Disk(lambda a, b: a.get("volumeID") == b.get("volumeID"), readers=False),
    "iscsi": _Disk(lambda a, b: a.get("iqn") == b.get("iqn")),
    "rbd": _Disk(_same_rbd),
}


def conflict(one: Obj, other: Obj) -> bool:
    """Whether two volumes can't be on one node."""
    for kind, disk in _DISKS.items():
        a, b = one.get(kind), other.get(kind)
        if a is None or b is None or not disk.same(a, b):
            continue
        if not (disk.readers and a.get("readOnly") and b.get("readOnly")):
            return True
    return False


@dataclass(slots=True)
class _Notes:
    """The pod's ReadWriteOncePod claims, and how often other pods use them."""

    claims: frozenset[str]
    used: int

    def copy(self) -> _Notes:
        return _Notes(self.claims, self.used)


def _claim_names(pod: Pod) -> list[str]:
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes(pod) if v.get("persistentVolumeClaim")]


class VolumeRestrictions:
    name = "VolumeRestrictions"

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        pod = cycle.pod
        if not volumes(pod):
            return Skip.SKIP
        exclusive: set[str] = set()
        for name in _claim_names(pod):
            claim = cycle.snapshot.objects.get(PVCS, name, pod.namespace)
            if claim is None:
                return Rejection(Code.UNRESOLVABLE, (missing("persistentvolumeclaim", name),))
            if "ReadWriteOncePod" in ((claim.get("spec") or {}).get("accessModes") or ()):
                exclusive.add(name)
        used: set[str] = set()
        if exclusive:
            for node in cycle.snapshot.nodes:
                for other in node.pods:
                    if other.namespace == pod.namespace and volumes(other):
                        used |= exclusive & set(_claim_names(other))
        if not used and not any(kind in volume for volume in volumes(pod) for kind in _DISKS):
            return Skip.SKIP
        cycle.notes[self.name] = _Notes(frozenset(exclusive), len(used))
        return None

    def add_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None:
        self._change(cycle, pod, 1)

    def remove_pod(self, cycle: Cycle, pod: Pod, node: NodeInfo) -> None:
        self._change(cycle, pod, -1)

    def _change(self, cycle: Cycle, other: Pod, by: int) -> None:
        notes: _Notes | None = cycle.notes.get(self.name)
        if notes is not None and other.namespace == cycle.pod.namespace:
            notes.used += by * sum(name in notes.claims for name in _claim_names(other))

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        for volume in volumes(cycle.pod):
            if any(conflict(volume, existing) for other in node.pods for existing in volumes(other)):
                return Rejection(Code.UNSCHEDULABLE, ("node(s) had no available disk",))
        notes: _Notes = cycle.notes[self.name]
        if notes.used > 0:
            text = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
            return Rejection(Code.UNSCHEDULABLE, (text,))
        return None
