"""An API server for tests: in memory, on a free port, with a kubelet that echoes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.kube.api.builtin import registry
from terrarium.kube.api.hooks import KubeletRefusal, LogOptions, User
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.authentication import StaticTokens
from terrarium.kube.apiserver.server import ApiServer, ServerConfig
from terrarium.kube.storage.contract import Storage
from terrarium.kube.storage.memory import MemoryStorage


class Echo:
    """A stream that gives back what it gets, in upper case, after a greeting; `exit N` ends it with a code."""

    def __init__(self, greeting: bytes, code: int = 0, *, listens: bool = False) -> None:
        self._queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._code = code
        if greeting:
            self._queue.put_nowait((1, greeting))
        if not listens:
            self._queue.put_nowait(None)

    async def write(self, data: bytes) -> None:
        self._queue.put_nowait((1, data.upper()))

    async def close_input(self) -> None:
        self._queue.put_nowait(None)

    async def resize(self, width: int, height: int) -> None:
        self._queue.put_nowait((1, f"{width}x{height}".encode()))

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        while (item := await self._queue.get()) is not None:
            yield item

    async def wait(self) -> int:
        return self._code


Usage = Mapping[str, Mapping[str, Mapping[str, tuple[int, int]]]]


class EchoKubelet:
    """A kubelet whose containers print their orders."""

    async def logs(self, pod: Obj, options: LogOptions) -> AsyncIterator[bytes]:
        if options.previous:
            raise KubeletRefusal(f'previous terminated container "{options.container}" in pod "x" not found')
        for number in range(options.tail_lines or 3):
            yield f"{options.container} line {number}\n".encode()

    async def exec(self, pod: Obj, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Echo:
        code = int(command[1]) if command[0] == "exit" else 0
        return Echo(f"{container}: {' '.join(command)}\n".encode(), code, listens=stdin)

    async def attach(self, pod: Obj, container: str, *, stdin: bool, tty: bool) -> Echo:
        return Echo(b"attached\n", listens=stdin)

    async def connect(self, pod: Obj, port: int) -> Echo:
        if port == 9:
            raise KubeletRefusal("connection refused")
        return Echo(f"port {port}\n".encode(), listens=True)

    async def proxy(
        self, pod: Obj, port: int, method: str, path: str, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        return 200, {"Content-Type": "text/plain"}, f"{method} {port} {path}".encode()

    def __init__(self, used: Usage | None = None) -> None:
        self._used = used or {}

    async def usage(self, node: str) -> Mapping[str, Mapping[str, tuple[int, int]]]:
        return self._used.get(node, {})


TOKENS = {
    "admin-token": User("admin", "admin-uid", ("system:masters",)),
    "alice-token": User("alice", "alice-uid"),
}


@asynccontextmanager
async def cluster(
    folder: Path, *, port: int | None = None, storage: Storage | None = None, usage: Usage | None = None, **config: Any
) -> AsyncIterator[ApiServer]:
    """`config` are further settings of `ServerConfig`."""
    server = ApiServer(
        ServerConfig(folder, port=port, **config),
        storage or MemoryStorage(),
        registry(33),
        Clock(),
        Ids(7),
        authenticators=[StaticTokens(TOKENS)],
        kubelet=EchoKubelet(usage),
    )
    await server.start()
    try:
        yield server
    finally:
        await server.close()
