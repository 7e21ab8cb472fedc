"""The private certificate authority of one cluster, and the certificates and kubeconfigs that come from it.

All keys are P-256. Everything lies in one folder that only its owner may read, and is made again only when missing,
so that kubeconfigs outlive restarts.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from terrarium.kube.api.hooks import User

_LIFE = timedelta(days=3650)
# A clock that was set back a little, or the world's against the machine's, must not refuse a new certificate.
_BEFORE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Given:
    """Files that somebody else made, in place of the authority's own: the server's certificate and key, the CA of client
    certificates, the key of service account tokens. All PEM."""

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    service_account_key: Path | None = None


class Authority:
    """A CA in `folder`; `now` is the time of certificates (real time, as TLS libraries check it)."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        self._now = now
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        kept = self._read("ca")
        if kept is None:
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("kubernetes")
            certificate = (
                self._builder(name, name, key.public_key())
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .add_extension(_usage(authority=True), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .sign(key, hashes.SHA256())
            )
            kept = KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))
            self._write("ca", kept)
        self.certificate = kept.certificate
        self._ca = x509.load_pem_x509_certificate(kept.certificate)
        ca_key = serialization.load_pem_private_key(kept.key, None)
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        self._key = ca_key

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _BEFORE)
            .not_valid_after(self._now + _LIFE)
        )

    def server(self, hosts: Sequence[str]) -> KeyPair:
        """The server's certificate for names and addresses; made again when they change."""
        kept = self._read("server")
        if kept is not None and _hosts(kept.certificate) == sorted(hosts):
            return kept
        return self._issue("server", _name("kube-apiserver"), ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def client(self, file: str, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A client certificate: its common name is the user, its organisations are the groups."""
        return self._read(file) or self._issue(file, _name(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self, file: str, subject: x509.Name, purpose: x509.ObjectIdentifier, hosts: Sequence[str] = ()
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(subject, self._ca.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(h) for h in hosts]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pair = KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))
        self._write(file, pair)
        return pair

    def sign(self, request: bytes, life: timedelta, *, server: bool = False) -> bytes:
        """Signs a certificate request (PEM) as it asks, for a client or a server. ValueError when it is none."""
        csr = x509.load_pem_x509_csr(request)
        key = csr.public_key()
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(self._ca.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _BEFORE)
            .not_valid_after(self._now + life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        for extension in csr.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def service_account_key(self, given: Given | None = None) -> bytes:
        """The RSA key that signs service account tokens, PEM; made once, as making it takes a while."""
        if given is not None and given.service_account_key is not None:
            return given.service_account_key.read_bytes()
        path = self._folder / "sa.key"
        if not path.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            _secret(path, _pem(key))
        return path.read_bytes()

    def context(self, hosts: Sequence[str], given: Given | None = None) -> ssl.SSLContext:
        """TLS for the server: asks for client certificates of this CA (or the given one), but does not insist."""
        given = given or Given()
        certificate, key = given.certificate, given.key
        if certificate is None or key is None:
            self.server(hosts)
            certificate, key = self._folder / "server.crt", self._folder / "server.key"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self._folder / "ca.crt")
        if given.client_ca is not None:
            context.load_verify_locations(given.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context

    def identify(self, context: ssl.SSLContext) -> None:
        """Adds the front proxy's certificate: aggregated servers believe what its bearer says of users."""
        self.client("front-proxy", "front-proxy-client")
        context.load_cert_chain(self._folder / "front-proxy.crt", self._folder / "front-proxy.key")

    def _read(self, name: str) -> KeyPair | None:
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        if not (certificate.exists() and key.exists()):
            return None
        return KeyPair(certificate.read_bytes(), key.read_bytes())

    def _write(self, name: str, pair: KeyPair) -> None:
        _secret(self._folder / f"{name}.key", pair.key)
        _secret(self._folder / f"{name}.crt", pair.certificate)


def kubeconfig(server: str, authority: bytes, pair: KeyPair, name: str = "terrarium", user: str = "admin") -> str:
    """A kubeconfig with one cluster, user and context. JSON, which is YAML, so that every reader takes it."""
    import json

    def data(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": data(authority)}}],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": data(pair.certificate), "client-key-data": data(pair.key)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return json.dumps(config, indent=2) + "\n"


def peer_user(subject: Sequence[Sequence[tuple[str, str]]]) -> User | None:
    """The user of a client certificate, from the `subject` that `getpeercert` gives."""
    name, groups = "", []
    for part in subject:
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name, groups=tuple(groups)) if name else None


def _name(common: str, organisations: Sequence[str] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organisations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hosts(certificate: bytes) -> list[str]:
    try:
        names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return []
    return sorted(str(name.value) for name in names.value)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _secret(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(data)
