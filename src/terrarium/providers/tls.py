"""The tls provider: private keys, certificate requests and certificates."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Diagnostic
from terrarium.providers.framework import (
    DataSource,
    Drawing,
    Ephemeral,
    Plain,
    Refused,
    Resource,
    SmallProvider,
    complaint,
)
from terrarium.providers.gotime import parse_rfc3339, rfc3339

_ALGORITHMS = ("RSA", "ECDSA", "ED25519")
_CURVES = ("P224", "P256", "P384", "P521")


def _load_key(pem: str, attribute: str = "private_key_pem") -> Any:
    from cryptography.hazmat.primitives import serialization

    try:
        return serialization.load_pem_private_key(pem.encode(), None)
    except ValueError as wrong:
        raise Refused(
            "Failed to parse private key PEM", f"Failed to parse private key given: {wrong}", (attribute,)
        ) from None


def _algorithm(key: Any) -> str:
    name = type(key).__name__
    return "RSA" if "RSA" in name else "ED25519" if "Ed25519" in name else "ECDSA"


def _state_hash(raw: bytes) -> str:
    """An id from bytes: the real provider takes them for text and trims white space first."""
    return hashlib.sha1(raw.strip(b" \t\n\v\f\r")).hexdigest()


def _public(key: Any) -> Plain:
    """What both a private key and the data source show of the public half."""
    from cryptography.hazmat.primitives import serialization

    public = key.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = public.public_bytes(serialization.Encoding.DER, form)
    pem = public.public_bytes(serialization.Encoding.PEM, form).decode()
    shown: Plain = {
        "id": _state_hash(der),
        "public_key_pem": pem,
        "public_key_openssh": "",
        "public_key_fingerprint_md5": "",
        "public_key_fingerprint_sha256": "",
    }
    # OpenSSH knows no keys on the curve P-224.
    if getattr(getattr(key, "curve", None), "name", "") != "secp224r1":
        line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        raw = base64.b64decode(line.split()[1])
        md5 = hashlib.md5(raw).hexdigest()
        shown["public_key_openssh"] = line.decode() + "\n"
        shown["public_key_fingerprint_md5"] = ":".join(md5[i : i + 2] for i in range(0, 32, 2))
        digest = base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
        shown["public_key_fingerprint_sha256"] = f"SHA256:{digest}"
    return shown


class PrivateKey(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        for name, values in (("algorithm", _ALGORITHMS), ("ecdsa_curve", _CURVES)):
            given = config.get(name)
            if isinstance(given, str) and given not in values:
                listed = " ".join(f'"{v}"' for v in values)
                yield complaint(
                    "Invalid Attribute Value Match",
                    f'Attribute {name} value must be one of: [{listed}], got: "{given}"',
                    (name,),
                )

    def create(self, new: Plain) -> Plain:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

        key: Any
        match new["algorithm"]:
            case "RSA":
                key = rsa.generate_private_key(65537, int(new["rsa_bits"]))
            case "ECDSA":
                curves: dict[str, Any] = {
                    "P224": ec.SECP224R1,
                    "P256": ec.SECP256R1,
                    "P384": ec.SECP384R1,
                    "P521": ec.SECP521R1,
                }
                key = ec.generate_private_key(curves[new["ecdsa_curve"]]())
            case _:
                key = ed25519.Ed25519PrivateKey.generate()
        plainly = serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        pkcs8 = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plainly).decode()
        own = pkcs8
        if new["algorithm"] != "ED25519":
            own = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plainly).decode()
        public = _public(key)
        openssh = ""
        if public["public_key_openssh"]:
            openssh = key.private_bytes(pem, serialization.PrivateFormat.OpenSSH, plainly).decode()
        return {
            **new,
            **public,
            "private_key_pem": own,
            "private_key_pem_pkcs8": pkcs8,
            "private_key_openssh": openssh,
        }


class PublicKey(DataSource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        yield from _exactly_one(config, "private_key_openssh", "private_key_pem")

    def read(self, config: Plain) -> Plain:
        from cryptography.hazmat.primitives import serialization

        if config.get("private_key_openssh"):
            try:
                key: Any = serialization.load_ssh_private_key(config["private_key_openssh"].encode(), None)
            except ValueError as wrong:
                raise Refused("Unable to parse private key OpenSSH PEM", str(wrong), ("private_key_openssh",)) from None
        else:
            key = _load_key(config["private_key_pem"])
        return {**config, **_public(key), "algorithm": _algorithm(key)}


def _exactly_one(config: Plain, *names: str) -> Iterable[Diagnostic]:
    count = sum(config.get(name) is not None for name in names)
    if count != 1:
        many = f"{count} attributes" if count else "No attribute"
        for name in names:
            detail = f"{many} specified when one (and only one) of [{','.join(names)}] is required"
            yield complaint("Invalid Attribute Combination", detail, (name,))


def _precise(moment: datetime) -> str:
    """With the fraction of the second, which a certificate itself has no room for."""
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return rfc3339(moment).replace("Z", f"{fraction}Z")


# --- names and extensions


# Argument of `subject` and the object identifier, in the order in which Go writes them.
_NAMES = (
    ("country", "COUNTRY_NAME"),
    ("organization", "ORGANIZATION_NAME"),
    ("organizational_unit", "ORGANIZATIONAL_UNIT_NAME"),
    ("locality", "LOCALITY_NAME"),
    ("province", "STATE_OR_PROVINCE_NAME"),
    ("street_address", "STREET_ADDRESS"),
    ("postal_code", "POSTAL_CODE"),
    ("common_name", "COMMON_NAME"),
    ("serial_number", "SERIAL_NUMBER"),
)


# What ASN.1's PrintableString holds; Go prefers it.
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?*&-]+")


def _name(blocks: list[Plain] | None) -> Any:
    from cryptography import x509
    from cryptography.x509.name import _ASN1Type
    from cryptography.x509.oid import NameOID

    given = blocks[0] if blocks else {}
    parts: list[Any] = []
    for argument, oid in _NAMES:
        values = given.get(argument)
        for value in values if isinstance(values, list) else [values]:
            if value:
                kind = _ASN1Type.PrintableString if _PRINTABLE.fullmatch(value) else _ASN1Type.UTF8String
                parts.append(x509.NameAttribute(getattr(NameOID, oid), value, kind))
    return x509.Name(parts)


def _alternatives(given: Plain) -> Any:
    from cryptography import x509

    names: list[Any] = [x509.DNSName(n) for n in given.get("dns_names") or ()]
    try:
        names.extend(x509.IPAddress(ipaddress.ip_address(a)) for a in given.get("ip_addresses") or ())
    except ValueError as wrong:
        raise Refused("Invalid IP address", f"Failed to parse: {wrong}", ("ip_addresses",)) from None
    names.extend(x509.UniformResourceIdentifier(u) for u in given.get("uris") or ())
    return x509.SubjectAlternativeName(names) if names else None


_KEY_USAGES = (
    ("digital_signature", "digital_signature"),
    ("content_commitment", "content_commitment"),
    ("key_encipherment", "key_encipherment"),
    ("data_encipherment", "data_encipherment"),
    ("key_agreement", "key_agreement"),
    ("cert_signing", "key_cert_sign"),
    ("crl_signing", "crl_sign"),
    ("encipher_only", "encipher_only"),
    ("decipher_only", "decipher_only"),
)
_EXTENDED = {
    "any_extended": "2.5.29.37.0",
    "server_auth": "1.3.6.1.5.5.7.3.1",
    "client_auth": "1.3.6.1.5.5.7.3.2",
    "code_signing": "1.3.6.1.5.5.7.3.3",
    "email_protection": "1.3.6.1.5.5.7.3.4",
    "ipsec_end_system": "1.3.6.1.5.5.7.3.5",
    "ipsec_tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec_user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp_signing": "1.3.6.1.5.5.7.3.9",
    "microsoft_server_gated_crypto": "1.3.6.1.4.1.311.10.3.3",
    "netscape_server_gated_crypto": "2.16.840.1.113730.4.1",
    "microsoft_commercial_code_signing": "1.3.6.1.4.1.311.2.1.22",
    "microsoft_kernel_code_signing": "1.3.6.1.4.1.311.61.1.1",
}


def _hash_for(key: Any) -> Any:
    from cryptography.hazmat.primitives import hashes

    if _algorithm(key) == "ED25519":
        return None
    size = getattr(getattr(key, "curve", None), "key_size", 0)
    return hashes.SHA384() if size == 384 else hashes.SHA512() if size == 521 else hashes.SHA256()


def _certificate(new: Plain, subject: Any, public: Any, issuer: Any, signer: Any, names: Any, authority: Any) -> Plain:
    """Signs, and shows what all certificates show."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    now = Clock().now()
    start = now.replace(microsecond=0)
    end = start + timedelta(hours=int(new["validity_period_hours"]))
    serial = x509.random_serial_number() >> 31
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(serial).not_valid_before(start).not_valid_after(end)
    usages = set(new.get("allowed_uses") or ())
    flags = {name: argument in usages for argument, name in _KEY_USAGES}
    if any(flags.values()):
        flags["key_agreement"] = flags["key_agreement"] or flags["encipher_only"] or flags["decipher_only"]
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    extended = [x509.ObjectIdentifier(_EXTENDED[u]) for u in new.get("allowed_uses") or () if u in _EXTENDED]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    ca = bool(new.get("is_ca_certificate"))
    length = new.get("max_path_length") if ca else None
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=length), critical=True)
    if ca or new.get("set_subject_key_id"):
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    if authority is not None:
        builder = builder.add_extension(authority, critical=False)
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(signer, _hash_for(signer))
    return {
        **new,
        "id": str(serial),
        "cert_pem": signed.public_bytes(serialization.Encoding.PEM).decode(),
        "ready_for_renewal": bool(new.get("ready_for_renewal")),
        "validity_start_time": _precise(now),
        "validity_end_time": _precise(now + (end - start)),
    }


def _check_uses(config: Plain) -> Iterable[Diagnostic]:
    hours = config.get("validity_period_hours")
    if isinstance(hours, int) and hours < 0:
        detail = f"Attribute validity_period_hours value must be at least 0, got: {hours}"
        yield complaint("Invalid Attribute Value", detail, ("validity_period_hours",))
    early = config.get("early_renewal_hours")
    if isinstance(early, int) and early < 0:
        detail = f"Attribute early_renewal_hours value must be at least 0, got: {early}"
        yield complaint("Invalid Attribute Value", detail, ("early_renewal_hours",))


class _Certificate(Resource):
    """What makes a certificate due for renewal."""

    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return _check_uses(config)

    def amend(self, plan: Drawing) -> None:
        if plan.prior is None:
            early, whole = plan.members["early_renewal_hours"].data, plan.members["validity_period_hours"].data
            plan.set("ready_for_renewal", isinstance(early, int) and isinstance(whole, int) and early >= whole)
            return
        if plan.config["max_path_length"].is_null and plan.prior["max_path_length"].is_null:
            plan.replace[:] = [path for path in plan.replace if path != ("max_path_length",)]
        end, early = plan.prior["validity_end_time"].data, plan.members["early_renewal_hours"]
        if isinstance(end, str) and early.is_known and not early.is_null:
            due = parse_rfc3339(end) - timedelta(hours=int(early.data))
            if Clock().now() > due:
                plan.set("ready_for_renewal", True)
                plan.replace.append(("ready_for_renewal",))

    def read(self, old: Plain) -> Plain | None:
        due = _due(old)
        if due is not None and Clock().now() > due and not old.get("ready_for_renewal"):
            return {**old, "ready_for_renewal": True}
        return old


def _due(old: Plain) -> datetime | None:
    end = old.get("validity_end_time")
    return parse_rfc3339(end) - timedelta(hours=int(old.get("early_renewal_hours") or 0)) if end else None


class SelfSigned(_Certificate):
    def create(self, new: Plain) -> Plain:
        from cryptography import x509

        key = _load_key(new["private_key_pem"])
        name, public = _name(new.get("subject")), key.public_key()
        authority = (
            x509.AuthorityKeyIdentifier.from_issuer_public_key(public) if new.get("set_authority_key_id") else None
        )
        made = _certificate(new, name, public, name, key, _alternatives(new), authority)
        return {**made, "key_algorithm": _algorithm(key)}


class Request(Resource):
    def create(self, new: Plain) -> Plain:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        key = _load_key(new["private_key_pem"])
        builder = x509.CertificateSigningRequestBuilder().subject_name(_name(new.get("subject")))
        names = _alternatives(new)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        request = builder.sign(key, _hash_for(key))
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        digest = _state_hash(request.public_bytes(serialization.Encoding.DER))
        return {**new, "id": digest, "cert_request_pem": pem, "key_algorithm": _algorithm(key)}


class LocallySigned(_Certificate):
    def create(self, new: Plain) -> Plain:
        from cryptography import x509

        signer = _load_key(new["ca_private_key_pem"], "ca_private_key_pem")
        try:
            authority = x509.load_pem_x509_certificate(new["ca_cert_pem"].encode())
        except ValueError as wrong:
            raise Refused("Failed to parse CA certificate", str(wrong), ("ca_cert_pem",)) from None
        try:
            request = x509.load_pem_x509_csr(new["cert_request_pem"].encode())
        except ValueError as wrong:
            raise Refused("Failed to parse certificate request", str(wrong), ("cert_request_pem",)) from None
        try:
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = None
        try:
            key_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            known = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
        except x509.ExtensionNotFound:
            known = None
        made = _certificate(new, request.subject, request.public_key(), authority.subject, signer, names, known)
        return {**made, "ca_key_algorithm": _algorithm(signer)}


# --- certificates as data


class Certificates(DataSource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        yield from _exactly_one(config, "content", "url")
        url = config.get("url")
        if isinstance(url, str):
            scheme = url.partition("://")[0]
            if scheme not in ("https", "tls"):
                yield complaint(
                    "Invalid URL scheme",
                    f'URL "{url}" expected to use scheme from ["https" "tls"], got: "{scheme}"',
                    ("url",),
                )

    def read(self, config: Plain) -> Plain:
        from cryptography import x509

        content = config.get("content")
        if content is None:
            content = _fetched(config["url"])
        try:
            found = x509.load_pem_x509_certificates(content.encode())
        except ValueError:
            raise Refused(
                "Failed to decoded PEM", "Value is not a valid PEM encoding of a certificate", ("content",)
            ) from None
        shown = [_shown(c) for c in found]
        whole = "".join(str(c["cert_pem"]) for c in shown)
        verify = config.get("verify_chain")
        return {
            **config,
            "verify_chain": True if verify is None else verify,
            "id": hashlib.sha1(whole.encode()).hexdigest(),
            "certificates": shown,
        }


def _fetched(url: str) -> str:
    import ssl
    import urllib.parse

    parts = urllib.parse.urlsplit(url)
    port = parts.port or 443
    try:
        return ssl.get_server_certificate((parts.hostname or "", port), timeout=30)
    except OSError as wrong:
        reason = "connect: connection refused" if isinstance(wrong, ConnectionRefusedError) else str(wrong)
        raise Refused(
            "Failed to identify fetch peer certificates",
            f"failed to fetch certificates from URL '{parts.scheme}': Get \"{url}\": "
            f"dial tcp {parts.hostname}:{port}: {reason}",
        ) from None


_SIGNATURES = {
    "sha256WithRSAEncryption": "SHA256-RSA",
    "sha384WithRSAEncryption": "SHA384-RSA",
    "sha512WithRSAEncryption": "SHA512-RSA",
    "sha1WithRSAEncryption": "SHA1-RSA",
    "ecdsa-with-SHA256": "ECDSA-SHA256",
    "ecdsa-with-SHA384": "ECDSA-SHA384",
    "ecdsa-with-SHA512": "ECDSA-SHA512",
    "ed25519": "Ed25519",
}


def _shown(certificate: Any) -> Plain:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        basics = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        ca, length = basics.ca, basics.path_length
    except x509.ExtensionNotFound:
        ca, length = False, None
    algorithm = _algorithm(certificate.public_key())
    signed = certificate.signature_algorithm_oid._name
    return {
        "cert_pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "is_ca": ca,
        "issuer": _distinguished(certificate.issuer),
        "max_path_length": -1 if length is None else length,
        "not_after": rfc3339(certificate.not_valid_after_utc),
        "not_before": rfc3339(certificate.not_valid_before_utc),
        "public_key_algorithm": "Ed25519" if algorithm == "ED25519" else algorithm,
        "serial_number": str(certificate.serial_number),
        "sha1_fingerprint": hashlib.sha1(certificate.public_bytes(serialization.Encoding.DER)).hexdigest(),
        "signature_algorithm": _SIGNATURES.get(signed, signed),
        "subject": _distinguished(certificate.subject),
        "version": certificate.version.value + 1,
    }


def _distinguished(name: Any) -> str:
    """As Go prints a name: the most particular part first."""
    text: str = name.rfc4514_string()
    return text


class EphemeralKey(Ephemeral):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return PrivateKey().validate(config)

    def open(self, config: Plain) -> Plain:
        whole = {
            **config,
            "rsa_bits": config.get("rsa_bits") or 2048,
            "ecdsa_curve": config.get("ecdsa_curve") or "P224",
        }
        return PrivateKey().create(whole)


class EphemeralPublicKey(Ephemeral):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return PublicKey().validate(config)

    def open(self, config: Plain) -> Plain:
        return PublicKey().read(config)


class TlsProvider(SmallProvider):
    name = "tls"
    ephemerals: ClassVar[Mapping[str, Ephemeral]] = {
        "tls_private_key": EphemeralKey(),
        "tls_public_key": EphemeralPublicKey(),
    }
    resources: ClassVar[Mapping[str, Resource]] = {
        "tls_cert_request": Request(),
        "tls_locally_signed_cert": LocallySigned(),
        "tls_private_key": PrivateKey(),
        "tls_self_signed_cert": SelfSigned(),
    }
    data_sources: ClassVar[Mapping[str, DataSource]] = {
        "tls_certificate": Certificates(),
        "tls_public_key": PublicKey(),
    }


def create() -> TlsProvider:
    return TlsProvider()
