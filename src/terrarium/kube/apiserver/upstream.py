"""Requests of the API server itself to other servers: webhooks and aggregated APIs.

One connection for each request, HTTP/1.1 over TLS. Services are found as kube-apiserver finds them: by their ClusterIP's
endpoints, with the certificate checked for `<name>.<namespace>.svc`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.resources import Resources

_LIMIT = 1024 * 1024
Headers = Sequence[tuple[str, str]]


class UpstreamError(Exception):
    """Another server could not be asked, or did not answer; `str()` says why."""


class ServiceNotFound(UpstreamError):
    """There is no such Service, or nothing behind it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, and whom to expect there (`name`, also the Host header)."""

    host: str
    port: int
    name: str
    path: str = "/"

    @classmethod
    def of_url(cls, url: str) -> Address:
        parts = urlsplit(url)
        path = parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        return cls(parts.hostname or "", parts.port or 443, parts.netloc, path)


class ServiceAddresses:
    """From a Service to one of its endpoints."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def of(self, namespace: str, name: str, port: int, path: str = "/") -> Address:
        """Raises `ServiceNotFound`."""
        services = self._resources.registry.resource("", "v1", "services")
        record = await self._resources.find(services, namespace, name) if services is not None else None
        if services is None or record is None:
            raise ServiceNotFound(f'service "{name}" not found')
        service = record.obj(services)
        spec = service["spec"]
        expected = f"{name}.{namespace}.svc"
        if spec.get("type") == "ExternalName":
            return Address(spec.get("externalName", ""), port, expected, path)
        held = next((p for p in spec.get("ports") or () if p.get("port") == port), None)
        if held is None:
            raise ServiceNotFound(f'no service port {port} found for service "{name}"')
        for host, number in await self._endpoints(namespace, name, held):
            return Address(host, number, expected, path)
        raise ServiceNotFound(f'no endpoints available for service "{name}"')

    async def _endpoints(self, namespace: str, name: str, port: Obj) -> list[tuple[str, int]]:
        kind = self._resources.registry.resource("discovery.k8s.io", "v1", "endpointslices")
        found: list[tuple[str, int]] = []
        for piece in await self._resources.all(kind, namespace) if kind is not None else ():
            if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
                continue
            for held in piece.get("ports") or ():
                if (held.get("name") or "") != (port.get("name") or "") or not held.get("port"):
                    continue
                for endpoint in piece.get("endpoints") or ():
                    if (endpoint.get("conditions") or {}).get("ready", True) and endpoint.get("addresses"):
                        found.append((endpoint["addresses"][0], held["port"]))
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` gives the parts as they come; `close` must be called, or the body read to its end."""

    status: int
    headers: list[tuple[str, str]]
    body: AsyncIterator[bytes]
    connection: asyncio.StreamWriter

    async def whole(self) -> bytes:
        try:
            return b"".join([part async for part in self.body])
        except (OSError, asyncio.IncompleteReadError, ValueError) as wrong:
            raise UpstreamError(str(wrong) or "unexpected EOF") from None
        finally:
            self.close()

    def close(self) -> None:
        self.connection.transport.abort()


async def ask(
    address: Address, context: ssl.SSLContext | None, method: str, headers: Headers, body: bytes, seconds: float
) -> Answer:
    """Sends a request and waits at most `seconds` for the head of its answer. Raises `UpstreamError`."""
    try:
        async with asyncio.timeout(seconds):
            return await _ask(address, context, method, headers, body)
    except TimeoutError:
        raise UpstreamError("context deadline exceeded") from None
    except ssl.SSLError as wrong:
        raise UpstreamError(f"tls: failed to verify certificate: {wrong.reason or wrong}") from None
    except OSError as wrong:
        raise UpstreamError(f"dial tcp {address.host}:{address.port}: connect: {wrong.strerror or wrong}") from None
    except (ValueError, IndexError, asyncio.IncompleteReadError):
        raise UpstreamError("malformed HTTP response") from None


async def _ask(address: Address, context: ssl.SSLContext | None, method: str, headers: Headers, body: bytes) -> Answer:
    name = urlsplit(f"//{address.name}").hostname or address.host
    reader, writer = await asyncio.open_connection(
        address.host, address.port, ssl=context, server_hostname=name if context is not None else None, limit=_LIMIT
    )
    try:
        lines = [f"{method} {address.path} HTTP/1.1", f"Host: {address.name}", "Connection: close"]
        lines += [f"{key}: {value}" for key, value in headers]
        if body or method not in ("GET", "HEAD", "DELETE"):
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)
        await writer.drain()
        status = int((await reader.readline()).split(b" ", 2)[1])
        found: list[tuple[str, str]] = []
        while line := (await reader.readline()).strip():
            key, _, value = line.decode("latin-1").partition(":")
            found.append((key.strip().lower(), value.strip()))
        return Answer(status, found, _body(reader, status, dict(found)), writer)
    except BaseException:
        writer.transport.abort()
        raise


async def _body(reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if status in (204, 304):
        return
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).strip() or b"0", 16):
            yield await reader.readexactly(size)
            await reader.readline()
        return
    left = int(headers["content-length"]) if "content-length" in headers else None
    while left is None or left > 0:
        part = await reader.read(65536 if left is None else min(left, 65536))
        if not part:
            return
        left = None if left is None else left - len(part)
        yield part
