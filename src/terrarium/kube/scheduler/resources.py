"""Which resources the scheduler reads, and how it sees those beside pods and nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import NAMESPACES, REPLICA_SETS, SERVICES, STATEFUL_SETS, Resource
from terrarium.kube.client.informer import Informer
from terrarium.kube.scheduler.snapshot import Objects

CONTEXT: Mapping[str, Resource] = {
    "namespaces": NAMESPACES,
    "services": SERVICES,
    "replicasets": REPLICA_SETS,
    "statefulsets": STATEFUL_SETS,
    "replicationcontrollers": Resource("", "v1", "replicationcontrollers"),
    "persistentvolumeclaims": Resource("", "v1", "persistentvolumeclaims"),
    "persistentvolumes": Resource("", "v1", "persistentvolumes"),
    "storageclasses": Resource("storage.k8s.io", "v1", "storageclasses"),
    "csinodes": Resource("storage.k8s.io", "v1", "csinodes"),
    "csidrivers": Resource("storage.k8s.io", "v1", "csidrivers"),
    "csistoragecapacities": Resource("storage.k8s.io", "v1", "csistoragecapacities"),
    "volumeattachments": Resource("storage.k8s.io", "v1", "volumeattachments"),
    "poddisruptionbudgets": Resource("policy", "v1", "poddisruptionbudgets"),
}
"""What plugins ask for, by plural."""

SELECTING = ("services", "replicasets", "statefulsets", "replicationcontrollers")
"""Kinds which select the pods that belong to them."""

EVENTFUL: Mapping[str, str] = {
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "persistentvolumes": "PersistentVolume",
    "storageclasses": "StorageClass",
    "csinodes": "CSINode",
    "csidrivers": "CSIDriver",
    "csistoragecapacities": "CSIStorageCapacity",
    "volumeattachments": "VolumeAttachment",
}
"""Kinds whose changes may help a pod that waits."""


class InformerObjects(Objects):
    """`Objects` out of informers' caches."""

    def __init__(self, informers: Mapping[str, Informer]) -> None:
        super().__init__()
        self._informers = informers
        for plural in SELECTING:
            informers[plural].on_change(self.owner_changed)

    def get(self, plural: str, name: str, namespace: str = "") -> Obj | None:
        informer = self._informers.get(plural)
        return informer.get(namespace, name) if informer is not None else None

    def all(self, plural: str) -> Iterable[Obj]:
        informer = self._informers.get(plural)
        return informer.items() if informer is not None else ()
