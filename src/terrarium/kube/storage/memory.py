"""A store in memory, gone with its process: for tests, `kube serve --storage memory`, and the heart of the others."""

from __future__ import annotations

from terrarium.kube.storage.contract import Conflict, Entry, Event, Page, Revision
from terrarium.kube.storage.state import State
from terrarium.kube.storage.watchers import LIMIT, Watcher, Watchers


class MemoryStorage:
    """`contract.Storage` without a disk. `limit` is how many events may wait for one watcher."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._state = State()
        self._watchers = Watchers(limit)

    async def start(self) -> None:
        """Nothing to recover."""

    async def close(self) -> None:
        self._watchers.close()

    @property
    def revision(self) -> Revision:
        return self._state.revision

    async def get(self, key: str, at: Revision = 0) -> Entry | None:
        return self._state.get(key, at)

    async def put(self, key: str, value: bytes, *, expect: Revision) -> Entry:
        current = self._expected(key, expect)
        revision = self._state.revision + 1
        entry = Entry(key, value, revision, current.created if current else revision)
        self._write(Event(entry, current))
        return entry

    async def delete(self, key: str, *, expect: Revision) -> Entry:
        current = self._expected(key, expect)
        if current is None:
            raise Conflict(key, None)
        last = Entry(key, current.value, self._state.revision + 1, current.created)
        self._write(Event(last, current, deleted=True))
        return last

    def _expected(self, key: str, expect: Revision) -> Entry | None:
        current = self._state.current(key)
        if (current.revision if current else 0) != expect:
            raise Conflict(key, current)
        return current

    def _write(self, event: Event) -> None:
        self._state.apply(event)
        self._watchers.publish((event,))

    async def list(self, prefix: str, *, at: Revision = 0, start: str = "", limit: int = 0) -> Page:
        return self._state.list(prefix, at, start, limit)

    def watch(self, prefix: str, since: Revision) -> Watcher:
        backlog = self._state.events(since) if 0 < since < self._state.revision else ()
        return self._watchers.add(prefix, since, backlog, self._state.revision)

    async def compact(self, revision: Revision) -> None:
        self._state.compact(revision)
