"""Rows of policy/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("policy/v1")

KINDS = (V1.row("PodDisruptionBudget", "poddisruptionbudgets", short=("pdb",), subresources=(STATUS,)),)
