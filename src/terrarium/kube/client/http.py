"""Any cluster over HTTP/1.1: `contract.Client` by kubeconfig, with nothing but asyncio streams.

Connections are kept and used again; a watch has one of its own. A lost connection is an `OSError`; a request that can be
sent twice (a read) is tried once more on a fresh connection when a kept one turns out to be closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import orjson

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError, ObjectList, PatchType, Resource, WatchEvent
from terrarium.kube.client.kubeconfig import Login

_PATCHES: Mapping[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_KEPT = 64
Headers = Sequence[tuple[str, str]]
_LINE = 64 * 1024 * 1024


def path_of(resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    parts = [root]
    if namespace:
        parts.append(f"namespaces/{quote(namespace, safe='')}")
    parts.append(resource.plural)
    if name:
        parts.append(quote(name, safe=""))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        """Hangs up at once: nothing that was asked is still awaited, so there is nothing to say goodbye for."""
        self.writer.transport.abort()


@dataclass(slots=True)
class _Head:
    status: int
    headers: dict[str, str]

    @property
    def chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def keeps(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


class Transport:
    """Connections to one server, shared by all clients of it (also by those that act as others)."""

    def __init__(self, login: Login, agent: str = "terrarium") -> None:
        self.login = login
        self.agent = agent
        parts = urlsplit(login.server)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._prefix = parts.path.rstrip("/")
        self._idle: list[_Connection] = []
        self._address = parts.netloc

    async def _connect(self) -> _Connection:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self.login.context, limit=_LINE)
        return _Connection(reader, writer)

    async def _send(self, connection: _Connection, method: str, path: str, headers: Headers, body: bytes) -> _Head:
        lines = [f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {self._address}", f"User-Agent: {self.agent}"]
        if token := await self.login.authorization():
            lines.append(f"Authorization: {token}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method not in ("GET", "DELETE"):
            lines.append(f"Content-Length: {len(body)}")
        connection.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await connection.writer.drain()
        first = await connection.reader.readline()
        if not first:
            raise ConnectionResetError("the server closed the connection")
        status = int(first.split(b" ", 2)[1])
        found: dict[str, str] = {}
        while (line := (await connection.reader.readline()).strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            found[name.strip().lower()] = value.strip()
        return _Head(status, found)

    async def request(self, method: str, path: str, headers: Headers, body: bytes = b"") -> tuple[int, bytes]:
        """One request and its whole answer. `OSError` when the connection is lost."""
        for attempt in (0, 1):
            kept = self._idle.pop() if self._idle else None
            connection = kept or await self._connect()
            try:
                head = await self._send(connection, method, path, headers, body)
                data = await _whole(connection.reader, head)
            except (OSError, asyncio.IncompleteReadError, ValueError, IndexError) as error:
                connection.close()
                if kept is not None and (method == "GET" or isinstance(error, ConnectionResetError)) and attempt == 0:
                    await self.close()
                    continue
                raise error if isinstance(error, OSError) else ConnectionError(str(error)) from error
            except BaseException:
                connection.close()
                raise
            if head.keeps and len(self._idle) < _KEPT:
                self._idle.append(connection)
            else:
                connection.close()
            if head.status == 401 and attempt == 0 and await self.login.renew():
                continue
            return head.status, data
        raise AssertionError("the loop returns or raises")

    async def stream(self, path: str, headers: Headers) -> AsyncIterator[bytes]:
        """Lines of a streamed answer. An answer of failure is raised as `ApiError`."""
        connection = await self._connect()
        try:
            head = await self._send(connection, "GET", path, headers, b"")
            if head.status >= 400:
                raise failure_of(head.status, await _whole(connection.reader, head))
            buffer = bytearray()
            async for part in _parts(connection.reader, head):
                buffer += part
                while (end := buffer.find(b"\n")) >= 0:
                    line = bytes(buffer[:end])
                    del buffer[: end + 1]
                    if line:
                        yield line
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the server closed the connection") from error
        finally:
            connection.close()

    async def close(self) -> None:
        """Hangs up on the connections that are kept for later."""
        while self._idle:
            self._idle.pop().close()
        # The loop has its turn, in which the transports let go of their sockets.
        await asyncio.sleep(0)


async def _parts(reader: asyncio.StreamReader, head: _Head) -> AsyncIterator[bytes]:
    if not head.chunked:
        while data := await reader.read(65536):
            yield data
        return
    while True:
        size = int((await reader.readline()).strip() or b"0", 16)
        data = await reader.readexactly(size) if size else b""
        await reader.readline()
        if not size:
            return
        yield data


async def _whole(reader: asyncio.StreamReader, head: _Head) -> bytes:
    if head.status in (204, 304):
        return b""
    if head.chunked or "content-length" not in head.headers:
        return b"".join([part async for part in _parts(reader, head)])
    return await reader.readexactly(int(head.headers["content-length"]))


def failure_of(status: int, data: bytes) -> ApiError:
    """An answer of failure as the error that it is, whether or not it is a Status."""
    try:
        found = orjson.loads(data)
    except ValueError:
        found = None
    if isinstance(found, dict) and found.get("kind") == "Status":
        return ApiError({"code": status, **found})
    text = data.decode("utf-8", "replace").strip()
    return ApiError({"kind": "Status", "status": "Failure", "code": status, "message": text, "reason": ""})


class HttpClient:
    """`contract.Client` over a `Transport`, as its login's user or impersonating another."""

    def __init__(self, transport: Transport, user: str = "", groups: Sequence[str] = ()) -> None:
        self._transport = transport
        self._user = user
        self._groups = tuple(groups)

    def acting_as(self, user: str, groups: Sequence[str] = ()) -> HttpClient:
        return HttpClient(self._transport, user, groups)

    def _all_headers(self, content_type: str = "") -> Headers:
        headers = [("Accept", "application/json")]
        if self._user:
            headers.append(("Impersonate-User", self._user))
        headers += [("Impersonate-Group", group) for group in self._groups]
        if content_type:
            headers.append(("Content-Type", content_type))
        return headers

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Obj:
        chosen = {key: value for key, value in (query or {}).items() if value}
        target = f"{path}?{urlencode(chosen)}" if chosen else path
        data = orjson.dumps(body) if body is not None else b""
        status, answer = await self._transport.request(
            method, target, self._all_headers(content_type if data else ""), data
        )
        if status >= 400:
            raise failure_of(status, answer)
        found: Obj = orjson.loads(answer) if answer else {}
        return found

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Obj:
        return await self._call("GET", path_of(resource, namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        next: str = "",
        revision: str = "",
    ) -> ObjectList:
        query = {
            "labelSelector": labels,
            "fieldSelector": fields,
            "limit": str(limit) if limit else "",
            "continue": next,
            "resourceVersion": revision,
        }
        found = await self._call("GET", path_of(resource, namespace), query)
        kind, version = str(found.get("kind", "")).removesuffix("List"), found.get("apiVersion", "")
        # Items of a list leave out what the list says for all; readers of single objects want it.
        items = [{"kind": kind, "apiVersion": version, **item} for item in found.get("items") or ()]
        meta = found.get("metadata") or {}
        return ObjectList(items, meta.get("resourceVersion", ""), meta.get("continue", ""))

    async def watch(
        self, resource: Resource, namespace: str = "", *, revision: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": revision,
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        path = f"{path_of(resource, namespace)}?{urlencode({k: v for k, v in query.items() if v})}"
        async for line in self._transport.stream(path, self._all_headers()):
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                raise ApiError(event["object"])
            yield WatchEvent(event["type"], event["object"])

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        space = namespace or (obj.get("metadata") or {}).get("namespace", "")
        return await self._call("POST", path_of(resource, space, name, subresource), None, obj)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        meta = obj["metadata"]
        return await self._call(
            "PUT", path_of(resource, meta.get("namespace", ""), meta["name"], subresource), None, obj
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        manager: str = "",
        force: bool = False,
    ) -> Obj:
        if type == "apply" and not manager:
            manager = self._transport.agent
        query = {"fieldManager": manager, "force": "true" if force else ""}
        return await self._call("PATCH", path_of(resource, namespace, name, subresource), query, patch, _PATCHES[type])

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        propagation: Literal["", "Background", "Foreground", "Orphan"] = "",
        uid: str = "",
        revision: str = "",
    ) -> Obj:
        body: Obj = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if propagation:
            body["propagationPolicy"] = propagation
        conditions = {key: value for key, value in (("uid", uid), ("resourceVersion", revision)) if value}
        if conditions:
            body["preconditions"] = conditions
        return await self._call("DELETE", path_of(resource, namespace, name), None, body)
