"""Rows of authorization.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import CREATE, Group

V1 = Group("authorization.k8s.io/v1")

KINDS = (
    V1.row("LocalSubjectAccessReview", "localsubjectaccessreviews", verbs=CREATE),
    V1.row("SelfSubjectAccessReview", "selfsubjectaccessreviews", cluster=True, verbs=CREATE),
    V1.row("SelfSubjectRulesReview", "selfsubjectrulesreviews", cluster=True, verbs=CREATE),
    V1.row("SubjectAccessReview", "subjectaccessreviews", cluster=True, verbs=CREATE),
)
