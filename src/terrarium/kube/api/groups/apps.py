"""Rows of apps/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import SCALE, Group
from terrarium.kube.api.prepare import workloads as prepare
from terrarium.kube.api.strategies.make import status, strategy
from terrarium.kube.api.validation import platform, workloads

V1 = Group("apps/v1")

KINDS = (
    V1.row(
        "ControllerRevision",
        "controllerrevisions",
        strategy=strategy(
            "io.k8s.api.apps.v1.ControllerRevision",
            check=[platform.revision],
            check_update=[platform.revision_update],
            meta_on_update=True,
        ),
    ),
    V1.row(
        "DaemonSet",
        "daemonsets",
        short=("ds",),
        categories=("all",),
        subresources=(status("io.k8s.api.apps.v1.DaemonSet", check=[workloads.daemon_set_status]),),
        strategy=strategy(
            "io.k8s.api.apps.v1.DaemonSet",
            create=prepare.daemon_create,
            update=prepare.daemon_update,
            check=[workloads.daemon_set],
            check_update=[workloads.daemon_set_update],
            warnings=workloads.daemon_warnings,
            generation=True,
        ),
    ),
    V1.row(
        "Deployment",
        "deployments",
        short=("deploy",),
        categories=("all",),
        subresources=(
            SCALE,
            status("io.k8s.api.apps.v1.Deployment", prepare=prepare.status, check=[workloads.deployment_status]),
        ),
        strategy=strategy(
            "io.k8s.api.apps.v1.Deployment",
            create=prepare.create,
            update=prepare.update,
            check=[workloads.deployment],
            check_update=[workloads.deployment_update],
            warnings=workloads.template_warnings,
            generation=True,
        ),
    ),
    V1.row(
        "ReplicaSet",
        "replicasets",
        short=("rs",),
        categories=("all",),
        subresources=(
            SCALE,
            status("io.k8s.api.apps.v1.ReplicaSet", check=[workloads.replica_set_status]),
        ),
        strategy=strategy(
            "io.k8s.api.apps.v1.ReplicaSet",
            create=prepare.create,
            update=prepare.update,
            check=[workloads.replica_set],
            check_update=[workloads.replica_set_update],
            warnings=workloads.template_warnings,
            generation=True,
        ),
    ),
    V1.row(
        "StatefulSet",
        "statefulsets",
        short=("sts",),
        categories=("all",),
        subresources=(
            SCALE,
            status("io.k8s.api.apps.v1.StatefulSet", check=[workloads.stateful_set_status]),
        ),
        strategy=strategy(
            "io.k8s.api.apps.v1.StatefulSet",
            create=prepare.create,
            update=prepare.update,
            check=[workloads.stateful_set],
            check_update=[workloads.stateful_set_update],
            warnings=workloads.template_warnings,
            generation=True,
        ),
    ),
)
