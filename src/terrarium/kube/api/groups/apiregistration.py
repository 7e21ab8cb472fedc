"""Rows of apiregistration.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("apiregistration.k8s.io/v1")

KINDS = (V1.row("APIService", "apiservices", cluster=True, categories=("api-extensions",), subresources=(STATUS,)),)
