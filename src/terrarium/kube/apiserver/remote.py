"""exec, attach and port-forward once they are connected: channels of the client on one side, a kubelet's stream on the other.

Three wires lead here: WebSocket channels (v4, v5), SPDY frames inside a WebSocket (kubectl's port-forward), and raw SPDY
after an HTTP upgrade (older clients).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import orjson

from terrarium.kube.api.hooks import KubeletRefusal, Stream
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.spdy import Closed, Connection, Data, Opened, Reset, SpdyError

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_NAMES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}


class Wire(Protocol):
    """Bytes to and from the client. `receive` gives None at the end."""

    async def send(self, data: bytes) -> None: ...
    async def receive(self) -> bytes | None: ...


class Channels(Protocol):
    """Channels of one remote command. `incoming` gives (channel, data); data None: the client closed it."""

    async def send(self, channel: int, data: bytes) -> None: ...
    def incoming(self) -> AsyncIterator[tuple[int, bytes | None]]: ...
    async def close(self) -> None: ...


class WebSocketChannels:
    """A byte in front of each message says the channel; from v5 on 255 closes one."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, channel: int, data: bytes) -> None:
        await self._wire.send(bytes((channel,)) + data)

    async def incoming(self) -> AsyncIterator[tuple[int, bytes | None]]:
        while (message := await self._wire.receive()) is not None:
            if len(message) >= 2 and message[0] == CLOSE:
                yield message[1], None
            elif message:
                yield message[0], message[1:]

    async def close(self) -> None:
        """The caller closes the WebSocket."""


class SpdyChannels:
    """Each channel is a SPDY stream that the client opens and names by its header `streamtype`."""

    def __init__(self, wire: Wire, expected: int) -> None:
        self._wire = wire
        self._spdy = Connection()
        self._expected = expected
        self._streams: dict[int, int] = {}
        self._waiting: list[tuple[int, bytes | None]] = []

    async def opened(self) -> None:
        """Waits until the client has opened all its streams."""
        while len(self._streams) < self._expected:
            data = await self._wire.receive()
            if data is None:
                raise ConnectionResetError("the client went away")
            await self._take(data)

    async def _take(self, data: bytes) -> None:
        for event in self._spdy.feed(data):
            match event:
                case Opened(stream, headers, _):
                    channel = _NAMES.get(headers.get("streamtype", ""))
                    if channel is None:
                        await self._wire.send(self._spdy.reset(stream))
                        continue
                    self._streams[stream] = channel
                    await self._wire.send(self._spdy.reply(stream))
                case Data(stream, payload, fin):
                    channel = self._streams.get(stream)
                    if channel is not None and payload:
                        self._waiting.append((channel, payload))
                    if channel is not None and fin:
                        self._waiting.append((channel, None))
                case Reset(stream):
                    if (channel := self._streams.get(stream)) is not None:
                        self._waiting.append((channel, None))
                case Closed():
                    pass
        while self._spdy.pending:
            await self._wire.send(self._spdy.pending.pop(0))

    async def send(self, channel: int, data: bytes) -> None:
        for stream, of in self._streams.items():
            if of == channel:
                await self._wire.send(self._spdy.data(stream, data))

    async def incoming(self) -> AsyncIterator[tuple[int, bytes | None]]:
        while True:
            while self._waiting:
                yield self._waiting.pop(0)
            data = await self._wire.receive()
            if data is None:
                return
            await self._take(data)

    async def close(self) -> None:
        for stream in self._streams:
            await self._wire.send(self._spdy.data(stream, b"", fin=True))
        await self._wire.send(self._spdy.goaway())


def exit_status(code: int) -> Obj:
    """What the error channel says of an exit code."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str, code: int = 500, reason: str = "InternalError") -> Obj:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}


async def command(channels: Channels, start: Callable[[], Awaitable[Stream]]) -> None:
    """Runs one exec or attach to its end and tells its exit code."""
    try:
        stream = await start()
    except KubeletRefusal as refusal:
        await channels.send(ERROR, orjson.dumps(failure_status(str(refusal), refusal.code, refusal.reason)))
        await channels.close()
        return

    async def feed() -> None:
        async for channel, data in channels.incoming():
            if channel == STDIN:
                if data is None:
                    await stream.close_input()
                else:
                    await stream.write(data)
            elif channel == RESIZE and data:
                size = orjson.loads(data)
                await stream.resize(int(size.get("Width", 0)), int(size.get("Height", 0)))

    async def show() -> int:
        async for channel, data in stream.output():
            await channels.send(channel, data)
        return await stream.wait()

    feeding, showing = asyncio.ensure_future(feed()), asyncio.ensure_future(show())
    try:
        done, _ = await asyncio.wait({feeding, showing}, return_when=asyncio.FIRST_COMPLETED)
        if showing not in done:
            # The client left: what it started is not waited for.
            await feeding
            return
        await channels.send(ERROR, orjson.dumps(exit_status(await showing)))
        await channels.close()
    finally:
        for task in (feeding, showing):
            task.cancel()
        await asyncio.gather(feeding, showing, return_exceptions=True)


Connect = Callable[[int], Awaitable[Stream]]


async def forward_spdy(wire: Wire, connect: Connect) -> None:
    """Port-forward over SPDY: for each connection the client opens a data and an error stream with one request id."""
    spdy = Connection()
    errors: dict[str, int] = {}
    inputs: dict[int, asyncio.Queue[bytes | None]] = {}
    tasks: set[asyncio.Task[None]] = set()

    async def serve(stream: int, headers: Mapping[str, str], queue: asyncio.Queue[bytes | None]) -> None:
        port = int(headers.get("port", "0") or 0)
        error = errors.get(headers.get("requestid", ""))
        try:
            target = await connect(port)
        except (KubeletRefusal, OSError) as refusal:
            if error is not None:
                await wire.send(spdy.data(error, str(refusal).encode(), fin=True))
            await wire.send(spdy.data(stream, b"", fin=True))
            return
        await _join(target, queue, lambda data: wire.send(spdy.data(stream, data)))
        await wire.send(spdy.data(stream, b"", fin=True))
        if error is not None:
            await wire.send(spdy.data(error, b"", fin=True))

    try:
        while (data := await wire.receive()) is not None:
            for event in spdy.feed(data):
                match event:
                    case Opened(stream, headers, _):
                        await wire.send(spdy.reply(stream))
                        if headers.get("streamtype") == "error":
                            errors[headers.get("requestid", "")] = stream
                        else:
                            inputs[stream] = asyncio.Queue()
                            task = asyncio.ensure_future(serve(stream, headers, inputs[stream]))
                            tasks.add(task)
                            task.add_done_callback(tasks.discard)
                    case Data(stream, payload, fin) if stream in inputs:
                        if payload:
                            inputs[stream].put_nowait(payload)
                        if fin:
                            inputs.pop(stream).put_nowait(None)
                    case Reset(stream):
                        if (queue := inputs.pop(stream, None)) is not None:
                            queue.put_nowait(None)
                    case Closed():
                        return
                    case _:
                        pass
            while spdy.pending:
                await wire.send(spdy.pending.pop(0))
    except SpdyError:
        return
    finally:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def forward_channels(wire: Wire, ports: Sequence[int], connect: Connect) -> None:
    """Port-forward over WebSocket channels: two for each port (data, error), each begun with the port's number."""
    inputs: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in ports]

    async def serve(index: int, port: int) -> None:
        for channel in (2 * index, 2 * index + 1):
            await wire.send(bytes((channel,)) + struct.pack("<H", port))
        try:
            target = await connect(port)
        except (KubeletRefusal, OSError) as refusal:
            await wire.send(bytes((2 * index + 1,)) + str(refusal).encode())
            return
        await _join(target, inputs[index], lambda data: wire.send(bytes((2 * index,)) + data))

    tasks = [asyncio.ensure_future(serve(i, port)) for i, port in enumerate(ports)]
    try:
        while (message := await wire.receive()) is not None:
            if message and message[0] % 2 == 0 and message[0] // 2 < len(inputs):
                inputs[message[0] // 2].put_nowait(message[1:])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _join(target: Stream, source: asyncio.Queue[bytes | None], send: Callable[[bytes], Awaitable[None]]) -> None:
    """Copies both ways until the pod's side ends."""

    async def feed() -> None:
        while (data := await source.get()) is not None:
            await target.write(data)
        await target.close_input()

    feeding = asyncio.ensure_future(feed())
    try:
        async for _, data in target.output():
            await send(data)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
