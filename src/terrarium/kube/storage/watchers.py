"""Who waits for writes: each watcher has a bounded queue of the same shared event objects.

A watcher that does not read is dropped when its queue is full, and hurts nobody else; it must list again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from terrarium.kube.storage.contract import Event, Progress, Revision, SlowWatcher, StorageError

LIMIT = 20_000
"""Events that may wait for one watcher."""
BATCH = 64
"""Events that are handed out together: what the server joins into one write to the socket."""


class Watcher:
    """One watch. Iterate it; a cancelled `__anext__` loses nothing. `close` (or the end of the store) ends it."""

    def __init__(
        self, owner: Watchers, prefix: str, since: Revision, backlog: Iterable[Event], revision: Revision, limit: int
    ) -> None:
        self.prefix = prefix
        self._owner = owner
        self._since = since
        self._queue: deque[Event] = deque(backlog)
        # The store's word that all up to now has been given, said once the backlog is read.
        self._caught_up: Progress | None = Progress(max(since, revision))
        self._limit = limit
        self._error: StorageError | None = None
        self._closed = False
        self._waiting: asyncio.Future[None] | None = None

    def offer(self, event: Event) -> None:
        if event.entry.revision <= self._since:
            return
        if len(self._queue) >= self._limit:
            self.end(SlowWatcher(f"more than {self._limit} events wait to be read"))
            return
        self._queue.append(event)
        self._wake()

    def end(self, error: StorageError | None) -> None:
        """No more events. What waits is dropped when there is an error, since the reader must list again."""
        if error is not None:
            self._error = error
            self._queue.clear()
        self._closed = True
        self._owner.remove(self)
        self._wake()

    def close(self) -> None:
        self.end(None)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def __aiter__(self) -> Watcher:
        return self

    def ready(self) -> Sequence[Event] | Progress | None:
        """What can be had without waiting, or None."""
        if self._queue:
            queue = self._queue
            return [queue.popleft() for _ in range(min(len(queue), BATCH))]
        if self._caught_up is not None and not self._closed:
            progress, self._caught_up = self._caught_up, None
            return progress
        return None

    async def __anext__(self) -> Sequence[Event] | Progress:
        while True:
            found = self.ready()
            if found is not None:
                return found
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._closed:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None

    async def aclose(self) -> None:
        self.close()


class Watchers:
    """All watchers of a store, by prefix."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._by_prefix: dict[str, dict[Watcher, None]] = {}
        self._limit = limit

    def add(self, prefix: str, since: Revision, backlog: Sequence[Event], revision: Revision) -> Watcher:
        """`backlog`: writes after `since`, of any key; `revision`: the store's now."""
        mine = [event for event in backlog if event.entry.key.startswith(prefix)]
        watcher = Watcher(self, prefix, since, mine, revision, self._limit)
        self._by_prefix.setdefault(prefix, {})[watcher] = None
        return watcher

    def remove(self, watcher: Watcher) -> None:
        group = self._by_prefix.get(watcher.prefix, {})
        group.pop(watcher, None)
        if not group:
            self._by_prefix.pop(watcher.prefix, None)

    def publish(self, events: Iterable[Event]) -> None:
        for event in events:
            key = event.entry.key
            for prefix in [p for p in self._by_prefix if key.startswith(p)]:
                for watcher in list(self._by_prefix.get(prefix, ())):
                    watcher.offer(event)

    def end(self, error: StorageError | None) -> None:
        """Ends every watch; with an error, its reader has to list again."""
        for group in list(self._by_prefix.values()):
            for watcher in list(group):
                watcher.end(error)

    def close(self) -> None:
        self.end(None)
