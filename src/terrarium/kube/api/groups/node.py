"""Rows of node.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import strategy
from terrarium.kube.api.validation import platform

V1 = Group("node.k8s.io/v1")

KINDS = (
    V1.row(
        "RuntimeClass",
        "runtimeclasses",
        cluster=True,
        strategy=strategy(
            "io.k8s.api.node.v1.RuntimeClass",
            check=[platform.runtime_class],
            check_update=[platform.runtime_class_update],
            create_on_update=True,
        ),
    ),
)
