"""VolumeZone: a volume with a zone or region label is used there only."""

from __future__ import annotations

from terrarium.kube.scheduler.framework import Code, Cycle, PreFilterAnswer, Rejection, Skip
from terrarium.kube.scheduler.plugins.volumes import CLASSES, PVCS, PVS, class_of, missing, volume_of, volumes
from terrarium.kube.scheduler.snapshot import NodeInfo

_SUCCESSORS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
LABELS = (*_SUCCESSORS, *_SUCCESSORS.values())


class VolumeZone:
    name = "VolumeZone"

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        objects, pod = cycle.snapshot.objects, cycle.pod
        wanted: list[tuple[str, frozenset[str]]] = []
        for source in volumes(pod):
            if source.get("persistentVolumeClaim") is None:
                continue
            name = source["persistentVolumeClaim"].get("claimName", "")
            claim = objects.get(PVCS, name, pod.namespace)
            if claim is None:
                return self._no(missing("persistentvolumeclaim", name))
            if not volume_of(claim):
                class_name = class_of(claim)
                if not class_name:
                    return self._no("PersistentVolumeClaim had no pv name and storageClass name")
                storage_class = objects.get(CLASSES, class_name)
                if storage_class is None:
                    return self._no(missing("storageclass.storage.k8s.io", class_name))
                if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
                    continue
                return self._no("PersistentVolume had no name")
            volume = objects.get(PVS, volume_of(claim))
            if volume is None:
                return self._no(missing("persistentvolume", volume_of(claim)))
            labels = volume["metadata"].get("labels") or {}
            for key in LABELS:
                zones = labels[key].split("__") if key in labels else []
                if zones and all(z.strip() for z in zones):
                    wanted.append((key, frozenset(z.strip() for z in zones)))
        if not wanted:
            return Skip.SKIP
        cycle.notes[self.name] = tuple(wanted)
        return None

    @staticmethod
    def _no(reason: str) -> Rejection:
        return Rejection(Code.UNRESOLVABLE, (reason,))

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        labels = node.node.labels
        # A node without any such label is in a cluster without zones.
        if not any(key in labels for key in LABELS):
            return None
        for key, zones in cycle.notes[self.name]:
            value = labels.get(key, labels.get(_SUCCESSORS.get(key, key)))
            if value not in zones:
                return Rejection(
                    Code.UNRESOLVABLE,
                    ("node(s) had no available volume zone",),
                    facts=(("zones", ", ".join(sorted(zones))),),
                )
        return None
