"""The world's own door for `terrarium status, clock, explain, down`: a line of JSON each way over a socket in its folder.

Whoever may enter the folder (0700) may ask; there is no other authentication.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Failure

log = logging.getLogger(__name__)

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
LONGEST_LINE = 1 << 20


class Control:
    """Serves `handlers`, by the request's `do`."""

    def __init__(self, folder: Path, handlers: Mapping[str, Handler]) -> None:
        self._folder = folder
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        path = self._folder / "control.sock"
        path.unlink(missing_ok=True)
        # The address of a socket has room for some 100 bytes; through /proc the folder may be as deep as it likes.
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            address = f"/proc/self/fd/{folder}/{path.name}"
            self._server = await asyncio.start_unix_server(self._serve, address, limit=LONGEST_LINE)
        finally:
            os.close(folder)
        path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        (self._folder / "control.sock").unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as failure:
            log.info("control: %s", failure)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            handler = self._handlers[request["do"]]
        except (ValueError, KeyError, TypeError):
            return {
                "error": "the world does not understand this request",
                "hint": "Is this terrarium older or newer than it?",
            }
        try:
            return await handler(request)
        except Failure as failure:
            return {"error": str(failure), "hint": failure.hint}
        except Exception:
            log.exception("control: %s", request.get("do"))
            return {"error": "the world failed to answer", "hint": "See: terrarium logs"}
