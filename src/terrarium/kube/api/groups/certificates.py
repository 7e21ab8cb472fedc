"""Rows of certificates.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.strategies.make import status, strategy
from terrarium.kube.api.validation import platform
from terrarium.kube.api.validation.fields import Errors

V1 = Group("certificates.k8s.io/v1")


def certificate_check(errors: Errors, obj: Obj, context: Context) -> None:
    platform.certificate_update(errors, obj, context)


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
                check=[certificate_check],
            ),
            status(
                "io.k8s.api.certificates.v1.CertificateSigningRequest",
                prepare=prepare.certificate_status,
                check=[certificate_check],
            ),
        ),
        strategy=strategy(
            "io.k8s.api.certificates.v1.CertificateSigningRequest",
            create=prepare.certificate_create,
            update=prepare.certificate_update,
            check=[platform.certificate_request],
        ),
    ),
)
