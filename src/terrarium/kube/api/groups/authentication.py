"""Rows of authentication.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import CREATE, Group

V1 = Group("authentication.k8s.io/v1")

KINDS = (
    V1.row("SelfSubjectReview", "selfsubjectreviews", cluster=True, verbs=CREATE),
    V1.row("TokenReview", "tokenreviews", cluster=True, verbs=CREATE),
)
