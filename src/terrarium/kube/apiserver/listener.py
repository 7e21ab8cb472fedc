"""The socket: TLS by asyncio, HTTP/1.1 and WebSocket by uvicorn's protocols, without its process management.

A small subclass of each protocol puts the user of the connection's client certificate into the ASGI scope.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import Any

from httptools import HttpParserInvalidMethodError
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import ServerState

from terrarium.base.diagnostics import Failure
from terrarium.kube.apiserver.messages import Receive, Scope, Send
from terrarium.kube.apiserver.pki import peer_user

_STATUS = (
    b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server does not allow this method '
    b'on the requested resource","reason":"MethodNotAllowed","details":{},"code":405}\n'
)
_NOT_ALLOWED = (
    b"HTTP/1.1 405 Method Not Allowed\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_STATUS), _STATUS)
)


class _Peer:
    """The application as seen from one connection."""

    def __init__(self, app: Any, transport: asyncio.BaseTransport, take: Any = None) -> None:
        self._app = app
        self._take = take
        self._abort = getattr(transport, "abort", transport.close)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls is not None else None
        self._user = peer_user(certificate["subject"]) if certificate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {
            **scope.get("extensions", {}),
            "terrarium.peer": self._user,
            "terrarium.hijack": self._take,
            "terrarium.abort": self._abort,
        }
        await self._app(scope, receive, send)


class Taken(asyncio.Protocol):
    """A connection after an upgrade that uvicorn knows nothing of: plain bytes, as `remote.Wire`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._waiting.put_nowait(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.put_nowait(None)
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
            await self._writable.wait()

    async def receive(self) -> bytes | None:
        return await self._waiting.get()

    async def close(self) -> None:
        self._transport.close()


_HEAD_SECONDS = 32.0
"""For how long a client may take to say what it wants, as kube-apiserver has it."""


class _Http(HttpToolsProtocol):
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _Peer(self.app, transport, self._take)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._wait_for_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _head_is_here(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def send_400_response(self, msg: str) -> None:
        if isinstance(sys.exc_info()[1], HttpParserInvalidMethodError):
            # The parser knows no such method; the API has an answer to any.
            self.transport.write(_NOT_ALLOWED)
            self.transport.close()
            return
        super().send_400_response(msg)

    def _take(self, headers: dict[str, str]) -> Taken:
        """Answers an upgrade and hands the connection over: SPDY, which ASGI has no word for."""
        taken = Taken(self.transport)
        self.cycle.response_complete = True
        self.cycle.response_started = True
        self.connections.discard(self)
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.transport.write("\r\n".join(lines).encode())
        self.transport.set_protocol(taken)
        return taken


class _WebSocket(WSProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _Peer(self.app, transport)  # type: ignore[assignment]


class Listener:
    """Serves `app` on `host`:`port` (0: a free one) until closed."""

    def __init__(self, app: Any, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._config = Config(
            app,
            http=_Http,
            ws=_WebSocket,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=120,
            ws_max_size=8 * 1024 * 1024,
            ws_ping_interval=None,
            server_header=False,
            date_header=False,
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Binds; returns the port. `Failure` when it is taken."""
        if not self._config.loaded:
            self._config.load()
        try:
            bound = socket.create_server((self._host, self._port), backlog=1024)
        except OSError as error:
            raise Failure(
                f"can't listen on {self._host}:{self._port}: {error.strerror}",
                "Choose another port, or 0 for a free one.",
            ) from error
        bound.setblocking(False)

        def protocol() -> asyncio.Protocol:
            return _Http(config=self._config, server_state=self._state, app_state={})

        self._server = await asyncio.get_running_loop().create_server(
            protocol, sock=bound, ssl=self._context, backlog=1024
        )
        port: int = bound.getsockname()[1]
        return port

    async def close(self) -> None:
        """Stops accepting, ends what streams, and gives what is under way a moment."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(2):
                while self._state.tasks or self._state.connections:
                    await asyncio.wait(self._state.tasks, timeout=0.05) if self._state.tasks else await asyncio.sleep(0)
        except TimeoutError:
            pass
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        self._server = None
