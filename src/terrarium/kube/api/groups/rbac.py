"""Rows of rbac.authorization.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api import names
from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import strategy
from terrarium.kube.api.validation import rbac as checks

V1 = Group("rbac.authorization.k8s.io/v1")

KINDS = (
    V1.row(
        "ClusterRoleBinding",
        "clusterrolebindings",
        cluster=True,
        strategy=strategy(
            "io.k8s.api.rbac.v1.ClusterRoleBinding",
            name=names.path_segment,
            check=[checks.binding],
            check_update=[checks.binding_update],
            meta_on_update=True,
            create_on_update=True,
        ),
    ),
    V1.row(
        "ClusterRole",
        "clusterroles",
        cluster=True,
        strategy=strategy(
            "io.k8s.api.rbac.v1.ClusterRole",
            name=names.path_segment,
            check=[checks.cluster_role],
            create_on_update=True,
        ),
    ),
    V1.row(
        "RoleBinding",
        "rolebindings",
        strategy=strategy(
            "io.k8s.api.rbac.v1.RoleBinding",
            name=names.path_segment,
            check=[checks.binding],
            check_update=[checks.binding_update],
            meta_on_update=True,
            create_on_update=True,
        ),
    ),
    V1.row(
        "Role",
        "roles",
        strategy=strategy(
            "io.k8s.api.rbac.v1.Role", name=names.path_segment, check=[checks.role], create_on_update=True
        ),
    ),
)
