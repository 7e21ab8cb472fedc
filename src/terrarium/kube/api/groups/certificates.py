"""Rows of certificates.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import status, strategy
from terrarium.kube.api.validation import certificates as checks

V1 = Group("certificates.k8s.io/v1")


KINDS = (
    V1.row(
        "CertificateSigningRequest",
        "certificatesigningrequests",
        cluster=True,
        short=("csr",),
        subresources=(
            status(
                "io.k8s.api.certificates.v1.CertificateSigningRequest",
                name="approval",
                prepare=prepare.certificate_approval,
                check=[checks.certificate_approval],
            ),
            status(
                "io.k8s.api.certificates.v1.CertificateSigningRequest",
                prepare=prepare.certificate_status,
                check=[checks.certificate_status],
            ),
        ),
        strategy=strategy(
            "io.k8s.api.certificates.v1.CertificateSigningRequest",
            create=prepare.certificate_create,
            update=prepare.certificate_update,
            check=[checks.certificate_request],
        ),
    ),
)
