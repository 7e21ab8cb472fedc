"""Background loops, each owned by somebody: they start here, are watched here, and end when their owner closes.

A loop that ends with an exception is a defect of ours: it is logged with its traceback and started again after a pause
that doubles (at most 30 s), so that one bad object can't switch off a controller for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """A group of named background tasks. `close` cancels all and waits for them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more may be started."""
        return self._closed

    def start(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Runs a coroutine once; a crash is logged."""
        if self._closed:
            coroutine.close()
            raise RuntimeError(f"task group {self.name} is closed")
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine, name=f"{self.name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Runs a loop for as long as the group lives, starting it again after a crash."""
        return self.start(name, self._keep(name, loop))

    async def _keep(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        pause = 0.1
        while True:
            try:
                await loop()
                return
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("%s/%s crashed; starting it again in %.1f s", self.name, name, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 30.0)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("%s crashed", task.get_name(), exc_info=failure)

    async def close(self) -> None:
        self._closed = True
        tasks = [t for t in self._tasks if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
