"""Rows of flowcontrol.apiserver.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import status, with_status
from terrarium.kube.api.validation import flowcontrol

V1 = Group("flowcontrol.apiserver.k8s.io/v1")

KINDS = (
    V1.row(
        "FlowSchema",
        "flowschemas",
        cluster=True,
        subresources=(status("io.k8s.api.flowcontrol.v1.FlowSchema"),),
        strategy=with_status("io.k8s.api.flowcontrol.v1.FlowSchema", check=[flowcontrol.flow_schema], generation=True),
    ),
    V1.row(
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        cluster=True,
        subresources=(status("io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration"),),
        strategy=with_status(
            "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration", check=[flowcontrol.priority_level], generation=True
        ),
    ),
)
