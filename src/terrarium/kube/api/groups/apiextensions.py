"""Rows of apiextensions.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import status, strategy
from terrarium.kube.api.validation import definitions

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
        subresources=(status("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"),),
        strategy=strategy(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
            create=prepare.definition_create,
            check=[definitions.definition],
            check_update=[definitions.definition_update],
            meta_on_update=True,
            update=prepare.definition_update,
            generation=True,
            unconditional=False,
        ),
    ),
)
