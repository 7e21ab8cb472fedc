"""Rows of storage.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import status, strategy, with_status
from terrarium.kube.api.validation import attachments
from terrarium.kube.api.validation import storage as checks

V1 = Group("storage.k8s.io/v1")

KINDS = (
    V1.row(
        "CSIDriver",
        "csidrivers",
        cluster=True,
        strategy=strategy(
            "io.k8s.api.storage.v1.CSIDriver",
            update=prepare.spec_counts,
            check=[checks.csi_driver],
            check_update=[checks.csi_driver, checks.csi_driver_update],
        ),
    ),
    V1.row(
        "CSINode",
        "csinodes",
        cluster=True,
        strategy=strategy(
            "io.k8s.api.storage.v1.CSINode", check=[attachments.node], check_update=[attachments.node_update]
        ),
    ),
    V1.row(
        "CSIStorageCapacity",
        "csistoragecapacities",
        strategy=strategy("io.k8s.api.storage.v1.CSIStorageCapacity", check=[attachments.capacity]),
    ),
    V1.row(
        "StorageClass",
        "storageclasses",
        cluster=True,
        short=("sc",),
        strategy=strategy(
            "io.k8s.api.storage.v1.StorageClass",
            check=[checks.storage_class],
            check_update=[checks.storage_class_update],
        ),
    ),
    V1.row(
        "VolumeAttachment",
        "volumeattachments",
        cluster=True,
        subresources=(status("io.k8s.api.storage.v1.VolumeAttachment"),),
        strategy=with_status("io.k8s.api.storage.v1.VolumeAttachment", check=[attachments.attachment]),
    ),
)
