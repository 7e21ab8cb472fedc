"""Rows of storage.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("storage.k8s.io/v1")

KINDS = (
    V1.row("CSIDriver", "csidrivers", cluster=True),
    V1.row("CSINode", "csinodes", cluster=True),
    V1.row("CSIStorageCapacity", "csistoragecapacities"),
    V1.row("StorageClass", "storageclasses", cluster=True, short=("sc",)),
    V1.row("VolumeAttachment", "volumeattachments", cluster=True, subresources=(STATUS,)),
)
