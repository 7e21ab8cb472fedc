"""Rows of apiregistration.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api import names
from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import status, with_status
from terrarium.kube.api.validation import aggregation

V1 = Group("apiregistration.k8s.io/v1")

KINDS = (
    V1.row(
        "APIService",
        "apiservices",
        cluster=True,
        categories=("api-extensions",),
        subresources=(
            status("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService", prepare=prepare.bare_status),
        ),
        strategy=with_status(
            "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
            name=names.path_segment,
            check=[aggregation.api_service],
            unconditional=False,
        ),
    ),
)
