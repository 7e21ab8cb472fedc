"""Rows of admissionregistration.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import status, strategy, with_status
from terrarium.kube.api.validation import admission as checks

V1 = Group("admissionregistration.k8s.io/v1")

KINDS = (
    V1.row(
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        cluster=True,
        categories=("api-extensions",),
        strategy=strategy(
            "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration", check=[checks.webhooks], generation=True
        ),
    ),
    V1.row(
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        cluster=True,
        categories=("api-extensions",),
        subresources=(
            status("io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy", prepare=prepare.bare_status),
        ),
        strategy=with_status(
            "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy", check=[checks.policy], generation=True
        ),
    ),
    V1.row(
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        cluster=True,
        categories=("api-extensions",),
        strategy=strategy(
            "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
            check=[checks.policy_binding],
            generation=True,
        ),
    ),
    V1.row(
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        cluster=True,
        categories=("api-extensions",),
        strategy=strategy(
            "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
            check=[checks.webhooks],
            generation=True,
        ),
    ),
)
