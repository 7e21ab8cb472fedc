"""Rows of admissionregistration.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("admissionregistration.k8s.io/v1")

KINDS = (
    V1.row(
        "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", cluster=True, categories=("api-extensions",)
    ),
    V1.row(
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        cluster=True,
        categories=("api-extensions",),
        subresources=(STATUS,),
    ),
    V1.row(
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        cluster=True,
        categories=("api-extensions",),
    ),
    V1.row(
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        cluster=True,
        categories=("api-extensions",),
    ),
)
