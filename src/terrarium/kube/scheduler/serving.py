"""The scheduler's own door: /healthz, /livez, /readyz for everybody, /metrics and /configz for who may read them.

HTTP/1.1, GET and HEAD alone, over TLS with a certificate of its own when none is given (as kube-scheduler does). Who is
asking is told by the cluster: a bearer token goes into a TokenReview, the user into a SubjectAccessReview.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Failure
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError, Client, Resource

log = logging.getLogger(__name__)

_TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews")
_ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews")
ALWAYS_ALLOWED = ("/healthz", "/livez", "/readyz")
_LONGEST_HEAD = 64 * 1024
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str
    type: str = "text/plain; charset=utf-8"


Check = Callable[[], str]
"""A health check: "" when all is well, else what is wrong."""
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
}


class Door:
    """`healthy` and `ready` are checks by name; `pages` gives the text of the other paths."""

    def __init__(
        self,
        client: Client,
        healthy: Mapping[str, Check],
        ready: Mapping[str, Check],
        pages: Mapping[str, Callable[[], str]],
    ) -> None:
        self._client = client
        self._health = {"/healthz": healthy, "/livez": healthy, "/readyz": {**healthy, **ready}}
        self._pages = pages
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        try:
            self._server = await asyncio.start_server(self._serve, host, port, ssl=context, limit=_LONGEST_HEAD)
        except OSError as error:
            raise Failure(f"can't listen on {host}:{port}: {error.strerror or error}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                method, path, headers = await _read(reader)
                answer = await self.answer(method, path, headers)
                body = answer.body.encode()
                head = (
                    f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nContent-Type: {answer.type}\r\n"
                    f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + (b"" if method == "HEAD" else body))
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as failure:
            log.debug("a request for health or metrics broke off: %s", failure)
        finally:
            writer.close()

    async def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """What a request gets."""
        bare, _, query = path.partition("?")
        if method not in ("GET", "HEAD"):
            return Answer(405, "only GET and HEAD\n")
        root = next((p for p in ALWAYS_ALLOWED if bare == p or bare.startswith(p + "/")), None)
        if root is not None:
            return _judge(root, bare, "verbose" in query.split("&"), self._health[root])
        refusal = await self._allowed(bare, headers)
        if refusal is not None:
            return refusal
        page = self._pages.get(bare)
        if page is None:
            return Answer(404, "404 page not found\n")
        text = page()
        return Answer(
            200, text, "application/json" if text.startswith("{") else "text/plain; version=0.0.4; charset=utf-8"
        )

    async def _allowed(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        user: Obj = {"username": "system:anonymous", "groups": ["system:unauthenticated"]}
        try:
            if scheme.lower() == "bearer" and token:
                review = await self._client.create(
                    _TOKEN_REVIEWS,
                    {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token.strip()}},
                )
                status = review.get("status") or {}
                if not status.get("authenticated"):
                    return Answer(401, "Unauthorized\n")
                user = status.get("user") or {}
            spec = {
                "user": user.get("username", ""),
                "groups": user.get("groups") or [],
                "nonResourceAttributes": {"path": path, "verb": "get"},
            }
            asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
            access = await self._client.create(_ACCESS_REVIEWS, asked)
        except (ApiError, OSError) as failure:
            return Answer(500, f"can't ask the cluster who this is: {failure}\n")
        if (access.get("status") or {}).get("allowed"):
            return None
        text = f'forbidden: User "{spec["user"]}" cannot get path "{path}"'
        status_object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": text,
            "reason": "Forbidden",
            "details": {},
            "code": 403,
        }
        return Answer(403, json.dumps(status_object) + "\n", "application/json")


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.partition(":") for line in head[1:] if line)
    return method, path, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _judge(root: str, path: str, verbose: bool, checks: Mapping[str, Check]) -> Answer:
    """A health answer in the form of Kubernetes' components."""
    name = path.removeprefix(root).strip("/")
    if name and name not in checks:
        return Answer(404, "404 page not found\n")
    chosen = {name: checks[name]} if name else checks
    wrong = {check: text for check, of in chosen.items() if (text := of())}
    if not wrong and not verbose:
        return Answer(200, "ok")
    lines = [f"[-]{c} failed: {wrong[c]}" if c in wrong else f"[+]{c} ok" for c in chosen]
    lines.append(f"{root.strip('/')} check {'failed' if wrong else 'passed'}")
    return Answer(500 if wrong else 200, "\n".join(lines) + "\n")


def certificate(clock: Clock, host: str, chain: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """TLS with the given files, or with a certificate made for this run."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if chain is not None and key is not None:
        try:
            context.load_cert_chain(chain, key)
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"the certificate {chain} with key {key} can't be used: {error}") from error
        return context
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(_made(clock, host))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _made(clock: Clock, host: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{host}@kube-scheduler")])
    names = [x509.DNSName("localhost"), x509.DNSName(host)]
    now = clock.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
