"""A work queue: each key once, never two workers on one key, later again when asked (client-go's workqueue).

A key that is added while it is worked on comes again when it is done. Failures come again after 5 ms, doubling up to
1,000 s, on the world's clock.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Generic, TypeVar

from terrarium.base.clock import Clock

Key = TypeVar("Key")

FIRST_PAUSE = 0.005
LONGEST_PAUSE = 1000.0


class Queue(Generic[Key]):
    def __init__(self, clock: Clock, first_pause: float = FIRST_PAUSE, longest_pause: float = LONGEST_PAUSE) -> None:
        self._clock = clock
        self._first = first_pause
        self._longest = longest_pause
        self._ready: dict[Key, None] = {}
        self._working: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._later: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}
        self._serial = itertools.count()
        self._wanted = asyncio.Event()
        self._earlier = asyncio.Event()

    def add(self, key: Key) -> None:
        if key in self._working:
            self._dirty.add(key)
        else:
            self._ready[key] = None
            self._wanted.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """An earlier moment asked before for the same key stays."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.time() + seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._serial), key))
        if self._later[0][2] == key:
            self._earlier.set()

    def failed(self, key: Key) -> None:
        """Comes again after a pause that doubles with each failure in a row."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.add_after(key, min(self._first * 2.0 ** min(count, 40), self._longest))

    def succeeded(self, key: Key) -> None:
        self._failures.pop(key, None)

    async def get(self) -> Key:
        while not self._ready:
            self._wanted.clear()
            await self._wanted.wait()
        key = next(iter(self._ready))
        del self._ready[key]
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        self._working.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    @property
    def idle(self) -> bool:
        return not (self._ready or self._working or self._dirty)

    async def alarm(self) -> None:
        """The loop that moves keys whose moment has come; the runner keeps it going."""
        while True:
            self._earlier.clear()
            now = self._clock.time()
            while self._later and self._later[0][0] <= now:
                due, _, key = heapq.heappop(self._later)
                if self._due.get(key) == due:
                    del self._due[key]
                    self.add(key)
            sleep = asyncio.ensure_future(self._clock.sleep_until(self._later[0][0])) if self._later else None
            earlier = asyncio.ensure_future(self._earlier.wait())
            waiting = {earlier} if sleep is None else {earlier, sleep}
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
