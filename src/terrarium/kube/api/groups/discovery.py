"""Rows of discovery.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import strategy
from terrarium.kube.api.validation import services as checks

V1 = Group("discovery.k8s.io/v1")

KINDS = (
    V1.row(
        "EndpointSlice",
        "endpointslices",
        strategy=strategy(
            "io.k8s.api.discovery.v1.EndpointSlice",
            create=prepare.slice_create,
            update=prepare.slice_update,
            check=[checks.endpoint_slice],
            check_update=[checks.endpoint_slice_update],
            meta_on_update=True,
        ),
    ),
)
