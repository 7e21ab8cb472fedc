"""Rows of apps/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import SCALE, STATUS, Group

V1 = Group("apps/v1")

KINDS = (
    V1.row("ControllerRevision", "controllerrevisions"),
    V1.row("DaemonSet", "daemonsets", short=("ds",), categories=("all",), subresources=(STATUS,)),
    V1.row(
        "Deployment",
        "deployments",
        short=("deploy",),
        categories=("all",),
        subresources=(
            SCALE,
            STATUS,
        ),
    ),
    V1.row(
        "ReplicaSet",
        "replicasets",
        short=("rs",),
        categories=("all",),
        subresources=(
            SCALE,
            STATUS,
        ),
    ),
    V1.row(
        "StatefulSet",
        "statefulsets",
        short=("sts",),
        categories=("all",),
        subresources=(
            SCALE,
            STATUS,
        ),
    ),
)
