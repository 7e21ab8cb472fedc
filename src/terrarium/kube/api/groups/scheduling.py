"""Rows of scheduling.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import strategy
from terrarium.kube.api.validation import platform

V1 = Group("scheduling.k8s.io/v1")

KINDS = (
    V1.row(
        "PriorityClass",
        "priorityclasses",
        cluster=True,
        short=("pc",),
        strategy=strategy(
            "io.k8s.api.scheduling.v1.PriorityClass",
            create=prepare.priority_create,
            check=[platform.priority_class],
            check_update=[platform.priority_class_update],
        ),
    ),
)
