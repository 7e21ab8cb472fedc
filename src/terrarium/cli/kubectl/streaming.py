"""exec and attach: the channels of a container over a WebSocket (v5.channel.k8s.io), wired to this terminal.

Each message begins with a byte that names its channel: 0 standard input, 1 output, 2 error, 3 the outcome (a Status),
4 the terminal's size, 255 "this channel ends".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from urllib.parse import urlencode, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, RejectData, Request

from terrarium.base.diagnostics import Failure
from terrarium.kube.client.kubeconfig import Login

STDIN, STDOUT, STDERR, OUTCOME, RESIZE, END = 0, 1, 2, 3, 4, 255
PROTOCOL = "v5.channel.k8s.io"


async def run(login: Login, path: str, query: Sequence[tuple[str, str]], *, stdin: bool, terminal: bool) -> int:
    """Runs a command in a container and gives its exit status. `Failure` when it can't be started."""
    parts = urlsplit(login.server)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=login.context)
    socket = WSConnection(ConnectionType.CLIENT)
    headers = [(b"Authorization", token.encode())] if (token := await login.authorization()) else []
    target = f"{parts.path.rstrip('/')}{path}?{urlencode(query)}"
    request = Request(host=parts.netloc, target=target, subprotocols=[PROTOCOL], extra_headers=headers)
    writer.write(socket.send(request))
    sending: asyncio.Task[None] | None = None
    message = b""
    refusal = b""
    try:
        with _raw(terminal):
            while data := await reader.read(65536):
                socket.receive_data(data)
                for event in socket.events():
                    if isinstance(event, RejectData):
                        refusal += event.data
                        if event.body_finished:
                            raise Failure(_refusal(refusal))
                    elif isinstance(event, RejectConnection) and not event.has_body:
                        raise Failure(f"the server refused: status {event.status_code}")
                    elif isinstance(event, AcceptConnection):
                        if terminal:
                            size = shutil.get_terminal_size()
                            text = json.dumps({"Width": size.columns, "Height": size.lines}).encode()
                            writer.write(socket.send(BytesMessage(bytes([RESIZE]) + text)))
                        if stdin:
                            sending = asyncio.create_task(_send_input(socket, writer))
                    elif isinstance(event, Ping):
                        writer.write(socket.send(event.response()))
                    elif isinstance(event, BytesMessage):
                        message += event.data
                        if event.message_finished:
                            outcome = _received(message)
                            message = b""
                            if outcome is not None:
                                return outcome
                    elif isinstance(event, CloseConnection):
                        return 0
    finally:
        if sending is not None:
            sending.cancel()
        writer.transport.abort()
    return 0


def _received(message: bytes) -> int | None:
    """Writes output where it belongs; the exit status when the outcome has come."""
    channel, data = message[0], message[1:]
    if channel in (STDOUT, STDERR):
        stream = sys.stdout if channel == STDOUT else sys.stderr
        stream.buffer.write(data)
        stream.flush()
    elif channel == OUTCOME:
        return _exit_status(data)
    return None


def _exit_status(data: bytes) -> int:
    status = json.loads(data or b"{}")
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode":
            print(f"command terminated with exit code {cause['message']}", file=sys.stderr)
            return int(cause["message"])
    raise Failure(status.get("message") or "the command could not be run")


def _refusal(data: bytes) -> str:
    try:
        message: str = json.loads(data)["message"]
    except (ValueError, KeyError, TypeError):
        return data.decode("utf-8", "replace").strip() or "the server refused the connection"
    return message


async def _send_input(socket: WSConnection, writer: asyncio.StreamWriter) -> None:
    while data := await asyncio.to_thread(os.read, sys.stdin.fileno(), 65536):
        writer.write(socket.send(BytesMessage(bytes([STDIN]) + data)))
        await writer.drain()
    writer.write(socket.send(BytesMessage(bytes([END, STDIN]))))


@contextlib.contextmanager
def _raw(terminal: bool) -> Iterator[None]:
    """Keys go to the container as they are typed."""
    if not terminal or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
