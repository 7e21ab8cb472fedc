"""Rows of coordination.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import strategy
from terrarium.kube.api.validation import platform

V1 = Group("coordination.k8s.io/v1")

KINDS = (
    V1.row(
        "Lease",
        "leases",
        strategy=strategy(
            "io.k8s.api.coordination.v1.Lease", check=[platform.lease], create_on_update=True, unconditional=False
        ),
    ),
)
