"""The ASGI application: who asks for what, handed to the API, and its answer in the form that was asked for.

Plain ASGI on purpose: routing is a split of the path, and a GET is a lookup and a splice of bytes.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from terrarium.kube.api.hooks import Attributes, User
from terrarium.kube.api.kinds import Kind
from terrarium.kube.apiserver import authentication, bodies, errors, negotiate, requests
from terrarium.kube.apiserver.aggregation import Aggregation
from terrarium.kube.apiserver.api import Api, Target
from terrarium.kube.apiserver.audit import Audit
from terrarium.kube.apiserver.authentication import Authentication
from terrarium.kube.apiserver.handlers import Handlers
from terrarium.kube.apiserver.messages import Receive, Reply, Request, Scope, Send
from terrarium.kube.apiserver.metrics import Metrics
from terrarium.kube.apiserver.pages import Pages, not_found_page
from terrarium.kube.apiserver.requests import Info
from terrarium.kube.client.contract import ApiError, Resource
from terrarium.kube.storage.contract import Unavailable

log = logging.getLogger(__name__)

_GZIP_FROM = 128 * 1024
_STUCK_SECONDS = 60.0
"""For how long a client may read nothing of a stream that has something for it."""
Streams = Callable[[Request, Target, Receive, Send], Awaitable[None]]


class App:
    """`api/…` and `apis/…` go to `Handlers`, all else to `Pages`; WebSockets to `streams`."""

    def __init__(
        self,
        api: Api,
        authentication: Authentication,
        handlers: Handlers,
        pages: Pages,
        streams: Streams,
        metrics: Metrics,
        audit: Audit | None = None,
        aggregation: Aggregation | None = None,
    ) -> None:
        self._api = api
        self._authentication = authentication
        self._handlers = handlers
        self._pages = pages
        self._streams = streams
        self._metrics = metrics
        self._audit = audit
        self._aggregation = aggregation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        query = requests.parse_query(scope["query_string"].decode("latin-1"))
        method = scope.get("method", "GET")
        info = requests.parse(method, scope["path"], query)
        request = Request(scope, receive, info)
        if scope["type"] == "websocket":
            await self._websocket(request, receive, send)
            return
        seconds = self._metrics.begin(info)
        try:
            reply = await self._answer(request)
        except authentication.ImpersonationError as wrong:
            body = f'Internal Server Error: "{scope["path"]}": {wrong}\n'
            reply = Reply(500, body.encode(), "text/plain; charset=utf-8")
        except ApiError as error:
            reply = self._failure(request, error)
        except Unavailable as error:
            reply = self._failure(request, errors.internal(str(error)))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s failed", method, scope["path"])
            reply = self._failure(request, errors.internal("this is a defect of the server; its log says more"))
        for text in request.warnings:
            reply.headers.append(("warning", f"299 - {_quoted(text)}"))
        self._metrics.end(info, reply.status, seconds)
        if self._audit is not None:
            self._audit.write(request, reply.status)
        if reply.status == 101:
            # The connection was taken over and has been served to its end.
            return
        await _send(request, reply, send)

    async def _answer(self, request: Request) -> Reply:
        await self._authenticate(request)
        info = request.info
        kind = self._kind(info)
        await self._authorize(request.user, info)
        if self._aggregation is not None and (remote := self._aggregation.of(info)) is not None:
            return await self._aggregation.answer(request, remote)
        if not info.resource:
            return await self._pages.answer(request)
        if kind is None:
            return self._no_kind(info)
        if not _scoped(info, kind):
            if not kind.schema:
                return not_found_page()
            raise errors.unknown_path()
        target = _target(info, kind)
        return await self._handlers.answer(request, target)

    def _kind(self, info: Info) -> Kind | None:
        return self._api.resources.registry.resource(info.group, info.version, info.resource)

    def _no_kind(self, info: Info) -> Reply:
        if info.group and self._pages.discovery.custom_only(info.group):
            return not_found_page()
        raise errors.unknown_path()

    async def _authenticate(self, request: Request) -> None:
        peer = request.scope.get("extensions", {}).get("terrarium.peer")
        user = await self._authentication.user(request.headers, peer)
        other = authentication.impersonated(request.pairs)
        if other is not None:
            await self._may_impersonate(user, other)
            user = other
        request.user = user

    async def _may_impersonate(self, user: User, other: User) -> None:
        def ask(resource: Resource, name: str, namespace: str = "", sub: str = "") -> Attributes:
            return Attributes(user, "impersonate", resource, sub, namespace, name)

        extra = Resource("authentication.k8s.io", "v1", "userextras")
        parts = other.name.split(":")
        if other.name.startswith("system:serviceaccount:") and len(parts) == 4:
            asked = [ask(Resource("", "v1", "serviceaccounts"), parts[3], parts[2])]
        else:
            asked = [ask(Resource("", "v1", "users"), other.name)]
        added = (authentication.AUTHENTICATED, authentication.UNAUTHENTICATED)
        implied = authentication.service_account_groups(other.name)
        asked += [ask(Resource("", "v1", "groups"), g) for g in other.groups if g not in added and g not in implied]
        if other.uid:
            asked.append(ask(Resource("authentication.k8s.io", "v1", "uids"), other.uid))
        asked += [ask(extra, value, sub=key) for key, values in other.extra.items() for value in values]
        for attributes in asked:
            await self._api.authorizer.check(attributes)

    async def _authorize(self, user: User, info: Info) -> None:
        if not info.resource:
            await self._api.authorizer.check(Attributes(user, info.verb, path=info.path))
            return
        resource = Resource(info.group, info.version, info.resource)
        name = info.name
        if info.verb in ("list", "watch", "deletecollection") and not name:
            name = _field_name(info.first("fieldSelector"))
        await self._api.authorizer.check(
            Attributes(
                user,
                info.verb,
                resource,
                info.subresource,
                info.namespace,
                name,
                info.path,
                info.first("fieldSelector"),
            )
        )

    async def _websocket(self, request: Request, receive: Receive, send: Send) -> None:
        protocols = [p.strip() for p in request.headers.get("sec-websocket-protocol", "").split(",")]
        if token := authentication.websocket_bearer(protocols):
            request.headers["authorization"] = f"Bearer {token}"
        try:
            await self._authenticate(request)
            info = request.info
            await self._authorize(request.user, info)
            kind = self._kind(info)
            if kind is None or not _scoped(info, kind) or not info.subresource:
                raise errors.unknown_path()
            target = _target(info, kind)
            self._api.check_verb(target, "get")
            await self._streams(request, target, receive, send)
        except ApiError as error:
            reply = self._failure(request, error)
            await _refuse(reply, send)

    def _failure(self, request: Request, error: ApiError) -> Reply:
        """A Status, in a form that the client reads if there is one."""
        try:
            form = negotiate.choose(request.headers.get("accept"), request.info.query, request.agent, shapes=False)
        except ApiError:
            form = negotiate.PLAIN
        body, content_type = bodies.encode(error.status, form)
        reply = Reply(error.code, body, content_type)
        retry = error.status.get("details", {}).get("retryAfterSeconds")
        if retry:
            reply.headers.append(("retry-after", str(retry)))
        return reply


def _target(info: Info, kind: Kind) -> Target:
    return Target(kind, info.namespace if kind.namespaced else "", info.name, info.subresource)


def _scoped(info: Info, kind: Kind) -> bool:
    """Whether a path has the shape that the kind's scope asks for."""
    if info.rest and not _takes_path(info, kind):
        return False
    if kind.namespaced:
        return bool(info.namespace) or not info.name
    if kind.plural == "namespaces" and not kind.group_version.group:
        return True
    return not info.namespace


def _takes_path(info: Info, kind: Kind) -> bool:
    return info.subresource == "proxy" and "proxy" in kind.subresources


def _field_name(selector: str) -> str:
    """The name in `metadata.name=x`: what resourceNames of a rule are compared with."""
    for part in selector.split(","):
        field, _, value = part.partition("=")
        if field.strip() == "metadata.name" and not field.endswith("!"):
            return value.lstrip("=").strip()
    return ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    pairs = [("content-type", reply.content_type)] if reply.content_type else []
    if not any(name == "cache-control" for name, _ in reply.headers):
        pairs.append(("cache-control", "no-cache, private"))
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in (*pairs, *reply.headers)]


async def _send(request: Request, reply: Reply, send: Send) -> None:
    headers = _headers(reply)
    if reply.stream is not None:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await _send_stream(request, reply.stream, send)
        return
    body = reply.body
    if len(body) >= _GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        body = await asyncio.to_thread(gzip.compress, body, 4)
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_stream(request: Request, stream: AsyncIterator[bytes], send: Send) -> None:
    """Sends what comes until it ends or the client goes away."""
    await request.body()

    async def pump() -> None:
        # An empty first part puts the headers on the wire: a watch may be silent for long.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async for part in stream:
            try:
                async with asyncio.timeout(_STUCK_SECONDS):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            except TimeoutError:
                # A reader that does not read: what waits for it is let go with its connection.
                if (abort := request.scope.get("extensions", {}).get("terrarium.abort")) is not None:
                    abort()
                return
        await send({"type": "http.response.body", "body": b""})

    pumping = asyncio.ensure_future(pump())
    leaving = asyncio.ensure_future(request.gone())
    try:
        await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (pumping, leaving):
            task.cancel()
        await asyncio.gather(pumping, leaving, return_exceptions=True)
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


async def _refuse(reply: Reply, send: Send) -> None:
    """A refusal in place of the WebSocket handshake."""
    headers = [*_headers(reply), (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": reply.body})
