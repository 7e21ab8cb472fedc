"""Admission for certificate requests: who may approve and sign for a signer, and what subjects a request may have."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import AdmissionRequest, Attributes, Denied
from terrarium.kube.apiserver.authorization import MASTERS, Union
from terrarium.kube.apiserver.plugins import Plugin
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.client.contract import Resource

_REQUESTS = "certificatesigningrequests.certificates.k8s.io"
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"


class _Signers(Plugin):
    def __init__(self, resources: Resources, authorizer: Union) -> None:
        super().__init__(resources)
        self._authorizer = authorizer

    async def _may(self, request: AdmissionRequest, verb: str, signer: str) -> bool:
        """For the signer itself, or for all of its domain."""
        target = Resource("certificates.k8s.io", "*", "signers")
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            decision = await self._authorizer.authorize(Attributes(request.user, verb, target, name=name))
            if decision.verdict == "allow":
                return True
        return False


def _signer(request: AdmissionRequest) -> str:
    held = request.old or request.obj or {}
    return str((held.get("spec") or {}).get("signerName") or "")


class CertificateApproval(_Signers):
    """Who approves or denies a request must be allowed to `approve` for its signer."""

    name = "CertificateApproval"

    async def validate(self, request: AdmissionRequest) -> None:
        if str(request.resource) != _REQUESTS or request.subresource != "approval" or request.operation != "UPDATE":
            return
        signer = _signer(request)
        if not await self._may(request, "approve", signer):
            raise Denied(f"user not permitted to approve requests with signerName {quote(signer)}")


class CertificateSigning(_Signers):
    """Who issues a certificate, or says that it failed, must be allowed to `sign` for its signer."""

    name = "CertificateSigning"

    async def validate(self, request: AdmissionRequest) -> None:
        if str(request.resource) != _REQUESTS or request.subresource != "status" or request.operation != "UPDATE":
            return
        if _issued(request.obj) == _issued(request.old):
            return
        signer = _signer(request)
        if not await self._may(request, "sign", signer):
            raise Denied(f"user not permitted to sign requests with signerName {quote(signer)}")


def _issued(obj: Any) -> tuple[str, list[Any]]:
    status = (obj or {}).get("status") or {}
    failed = [c for c in status.get("conditions") or () if c.get("type") == "Failed"]
    return str(status.get("certificate") or ""), failed


class CertificateSubjectRestriction(Plugin):
    """Nobody asks for a client certificate of system:masters."""

    name = "CertificateSubjectRestriction"

    async def validate(self, request: AdmissionRequest) -> None:
        if str(request.resource) != _REQUESTS or request.subresource or request.operation != "CREATE":
            return
        spec = (request.obj or {}).get("spec") or {}
        if spec.get("signerName") != _CLIENT_SIGNER:
            return
        if MASTERS in _organizations(spec.get("request") or ""):
            raise Denied(f"use of {_CLIENT_SIGNER} signer with {MASTERS} group is not allowed")


def _organizations(request: str) -> list[str]:
    """The groups that a request asks for."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        asked = x509.load_pem_x509_csr(base64.b64decode(request))
    except (ValueError, binascii.Error) as wrong:
        raise Denied(f"failed to parse CSR: {wrong}") from None
    return [str(name.value) for name in asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
