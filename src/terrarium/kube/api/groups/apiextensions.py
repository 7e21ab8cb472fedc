"""Rows of apiextensions.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("apiextensions.k8s.io/v1")

KINDS = (
    V1.row(
        "CustomResourceDefinition",
        "customresourcedefinitions",
        cluster=True,
        short=(
            "crd",
            "crds",
        ),
        categories=("api-extensions",),
        subresources=(STATUS,),
    ),
)
