"""HTTP requests and answers as values, between ASGI and the handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrarium.kube.api.hooks import User
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.bodies import LARGEST
from terrarium.kube.apiserver.requests import Info

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Reply:
    """An answer. `stream` in place of `body` sends as it comes; `headers` beside Content-Type."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None


class Request:
    """One HTTP request. Header names are lower case; several values of one are joined by commas."""

    def __init__(self, scope: Scope, receive: Receive, info: Info) -> None:
        self.scope = scope
        self.info = info
        self.user = User("")
        self.warnings: list[str] = []
        self._receive = receive
        self._body: bytes | None = None
        raw: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self.pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
        self.headers: dict[str, str] = {}
        for name, value in self.pairs:
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    @property
    def agent(self) -> str:
        return self.headers.get("user-agent", "")

    async def body(self, limit: int = LARGEST) -> bytes:
        """The whole body; 413 when it is larger than `limit`."""
        if self._body is None:
            parts: list[bytes] = []
            size = 0
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError("the client went away")
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise errors.too_large(f"Request entity too large: limit is {limit}")
                parts.append(part)
                if not message.get("more_body"):
                    break
            self._body = b"".join(parts)
        return self._body

    async def gone(self) -> None:
        """Returns when the client has gone away. Only after the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
