"""Events are kept for an hour after they were last written, on the server's clock."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from terrarium.base.clock import Clock
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.storage.contract import Compacted, Conflict, Progress, SlowWatcher, Unavailable

EVENT_SECONDS = 3600.0
_PREFIX = "/registry/events/"


@dataclass(frozen=True, slots=True)
class _Due:
    at: datetime
    key: str
    revision: int


class EventExpiry:
    """`keep` runs for ever. All live equally long, so what was written first is due first: a queue is enough."""

    def __init__(self, resources: Resources, clock: Clock, seconds: float = EVENT_SECONDS) -> None:
        self._storage = resources.storage
        self._clock = clock
        self._life = timedelta(seconds=seconds)
        self._queue: deque[_Due] = deque()
        self._filled = asyncio.Event()

    async def keep(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._remove())

    async def _follow(self) -> None:
        while True:
            page = await self._storage.list(_PREFIX)
            self._queue.clear()
            for entry in sorted(page.entries, key=lambda entry: entry.revision):
                self._add(entry.key, entry.revision)
            try:
                async for batch in self._storage.watch(_PREFIX, page.revision):
                    if isinstance(batch, Progress):
                        continue
                    for event in batch:
                        if not event.deleted:
                            self._add(event.entry.key, event.entry.revision)
            except (Compacted, SlowWatcher):
                continue

    def _add(self, key: str, revision: int) -> None:
        self._queue.append(_Due(self._clock.now() + self._life, key, revision))
        self._filled.set()

    async def _remove(self) -> None:
        while True:
            if not self._queue:
                self._filled.clear()
                await self._filled.wait()
            due = self._queue[0]
            left = (due.at - self._clock.now()).total_seconds()
            if left > 0:
                await self._clock.sleep(left)
                continue
            self._queue.popleft()
            try:
                await self._storage.delete(due.key, expect=due.revision)
            except Conflict:
                continue  # Written again since (then it is due later), or gone.
            except Unavailable:
                self._queue.appendleft(due)
                await self._clock.sleep(1)
