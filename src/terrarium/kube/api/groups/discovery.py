"""Rows of discovery.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group

V1 = Group("discovery.k8s.io/v1")

KINDS = (V1.row("EndpointSlice", "endpointslices"),)
