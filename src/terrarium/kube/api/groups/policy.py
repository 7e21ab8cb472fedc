"""Rows of policy/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import status, with_status
from terrarium.kube.api.validation import autoscaling as checks

V1 = Group("policy/v1")

KINDS = (
    V1.row(
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        short=("pdb",),
        subresources=(status("io.k8s.api.policy.v1.PodDisruptionBudget", check=[checks.budget_status]),),
        strategy=with_status(
            "io.k8s.api.policy.v1.PodDisruptionBudget", check=[checks.budget], generation=True, unconditional=False
        ),
    ),
)
