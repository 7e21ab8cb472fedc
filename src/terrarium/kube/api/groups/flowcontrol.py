"""Rows of flowcontrol.apiserver.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("flowcontrol.apiserver.k8s.io/v1")

KINDS = (
    V1.row("FlowSchema", "flowschemas", cluster=True, subresources=(STATUS,)),
    V1.row("PriorityLevelConfiguration", "prioritylevelconfigurations", cluster=True, subresources=(STATUS,)),
)
