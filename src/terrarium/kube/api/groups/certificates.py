"""Rows of certificates.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group, sub

V1 = Group("certificates.k8s.io/v1")

KINDS = (
    V1.row(
        "CertificateSigningRequest",
        "certificatesigningrequests",
        cluster=True,
        short=("csr",),
        subresources=(
            sub("approval"),
            STATUS,
        ),
    ),
)
