"""Rows of rbac.authorization.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group

V1 = Group("rbac.authorization.k8s.io/v1")

KINDS = (
    V1.row("ClusterRoleBinding", "clusterrolebindings", cluster=True),
    V1.row("ClusterRole", "clusterroles", cluster=True),
    V1.row("RoleBinding", "rolebindings"),
    V1.row("Role", "roles"),
)
