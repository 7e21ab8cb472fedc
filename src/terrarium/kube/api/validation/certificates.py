"""CertificateSigningRequests."""

from __future__ import annotations

import base64
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation.fields import Errors, Raw, at, items

USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)


def certificate_request(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    _request(errors, spec.get("request"))
    usages = spec.get("usages") or []
    if not usages:
        errors.required("spec.usages")
    for index, usage in enumerate(usages):
        if usage not in USAGES:
            errors.unsupported(f"spec.usages[{index}]", usage, USAGES)
        elif usage in usages[:index]:
            errors.duplicate(f"spec.usages[{index}]", usage)
    signer = spec.get("signerName") or ""
    _signer(errors, signer)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        errors.invalid(
            "spec.expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)"
        )


def _request(errors: Errors, request: Any) -> None:
    from cryptography import x509

    try:
        x509.load_pem_x509_csr(base64.b64decode(request or ""))
    except ValueError:
        raw = base64.b64decode(request or "")
        printed = "[]byte{" + ", ".join(f"0x{byte:x}" for byte in raw) + "}"
        errors.invalid("spec.request", Raw(printed), "PEM block type must be CERTIFICATE REQUEST")


def _signer(errors: Errors, signer: str) -> None:
    if not signer:
        errors.required("spec.signerName")
        return
    if len(signer) > 571:
        errors.too_long("spec.signerName", 571)
    domain, slash, path = signer.partition("/")
    if not slash:
        errors.invalid(
            "spec.signerName", signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        )
        return
    if len(domain.split(".")) < 2:
        errors.invalid("spec.signerName", signer, "should be a domain with at least two segments separated by dots")
    for fault in names.dns_subdomain(domain):
        errors.invalid("spec.signerName", signer, f"validating label {gotext.quote(domain)}: {fault}")
    for fault in names.dns_subdomain(path):
        errors.invalid("spec.signerName", signer, f"validating label {gotext.quote(path)}: {fault}")


def certificate_update(errors: Errors, obj: Obj, context: Context) -> None:
    held = at(obj, "status", "certificate")
    if held and b"BEGIN CERTIFICATE" not in base64.b64decode(held):
        errors.invalid("status.certificate", "<certificate data>", "must contain at least one CERTIFICATE PEM block")
    certificate_conditions(errors, obj)


_DECISIONS = ("Approved", "Denied")


def _kinds(obj: Any) -> list[str]:
    return [c.get("type") or "" for c in at(obj, "status", "conditions") or ()]


def _kept_decisions(errors: Errors, obj: Obj, context: Context, *, adding: bool) -> None:
    fresh, held = _kinds(obj), _kinds(context.old)
    for kind in (*_DECISIONS, "Failed"):
        if kind in held and kind not in fresh:
            errors.forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"')
        if not adding and kind in _DECISIONS and kind in fresh and kind not in held:
            errors.forbidden("status.conditions", f'updates may not add a condition of type "{kind}"')


def certificate_status(errors: Errors, obj: Obj, context: Context) -> None:
    """Its signer may not decide on it."""
    _kept_decisions(errors, obj, context, adding=False)
    certificate_update(errors, obj, context)


def certificate_approval(errors: Errors, obj: Obj, context: Context) -> None:
    """A decision stays."""
    _kept_decisions(errors, obj, context, adding=True)
    certificate_update(errors, obj, context)


def certificate_conditions(errors: Errors, obj: Obj) -> None:
    seen: dict[str, int] = {}
    for where, condition in items(at(obj, "status", "conditions"), "status.conditions"):
        kind = condition.get("type") or ""
        if not kind:
            errors.required(f"{where}.type")
        elif kind in ("Approved", "Denied", "Failed") and condition.get("status") not in ("True",):
            if not condition.get("status"):
                errors.required(f"{where}.status")
            else:
                errors.unsupported(f"{where}.status", condition["status"], ("True",))
        if kind in ("Approved", "Denied") and {"Approved", "Denied"} - {kind} & set(seen):
            errors.invalid(f"{where}.type", kind, "Approved and Denied conditions are mutually exclusive")
        if kind in seen:
            errors.duplicate(f"{where}.type", kind)
        seen[kind] = 1
