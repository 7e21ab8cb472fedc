"""A store on disk: SQLite behind one writer thread, read from memory.

Theory of operation. The event loop decides: it checks a write against the newest state, committed or still under way,
and gives it its revision. The writer thread takes whatever waits (group commit: one writer has a commit of its own,
a hundred share one), commits it with synchronous=FULL and tells the loop, which then makes the writes visible in the
order of their revisions, wakes watchers and answers. So what a reader sees is always on disk.

When a commit fails (a full disk), it and all writes behind it fail with `Unavailable`, for they may build on it; their
revisions are given out again, as nobody has seen them. Reads go on; the next write tries the disk anew.

The file holds the newest state and the revision, not the log: after a restart watches from before it get `Compacted`.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terrarium.kube.storage.contract import Conflict, Entry, Event, Page, Revision, Unavailable
from terrarium.kube.storage.state import FIRST_REVISION, State
from terrarium.kube.storage.watchers import LIMIT, Watcher, Watchers

# Not WITHOUT ROWID: with values of kilobytes that makes both gets and loads several times slower.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS store (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
"""
_PUT = (
    "INSERT INTO entries (key, value, revision, created) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision, created = excluded.created"
)
_DELETE = "DELETE FROM entries WHERE key = ?"
_REVISION = (
    "INSERT INTO store (one, revision) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET revision = excluded.revision"
)
_BATCH = 256


@dataclass(slots=True, eq=False)
class _Write:
    event: Event
    done: asyncio.Future[None]
    epoch: int
    """Writes of an epoch that has failed are not tried: they were built on what is not there."""


class SqliteStorage:
    """`contract.Storage` in the file `path`. Only one process may have it open."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self._path = path
        self._state = State()
        self._watchers = Watchers(limit)
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._pending: dict[str, _Write] = {}
        self._next = FIRST_REVISION + 1
        self._epoch = 0
        self._failed_epoch = -1
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Opens and recovers. `Unavailable` when the file can't be opened or is no store."""
        self._loop = asyncio.get_running_loop()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._state = await asyncio.to_thread(self._recover)
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"{self._path}: {error}") from error
        self._next = self._state.revision + 1
        self._thread = threading.Thread(target=self._write_loop, name=f"store {self._path.name}", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        return connection

    def _recover(self) -> State:
        connection = self._connect()
        try:
            connection.executescript(_SCHEMA)
            row = connection.execute("SELECT revision FROM store").fetchone()
            entries = [
                Entry(*fields) for fields in connection.execute("SELECT key, value, revision, created FROM entries")
            ]
        finally:
            connection.close()
        self._path.chmod(0o600)
        return State(entries, row[0] if row else FIRST_REVISION)

    async def close(self) -> None:
        """Waits for the writes under way."""
        self._watchers.close()
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
            # The last commits' news may still be on its way to the loop.
            await asyncio.sleep(0)

    @property
    def revision(self) -> Revision:
        return self._state.revision

    async def get(self, key: str, at: Revision = 0) -> Entry | None:
        return self._state.get(key, at)

    async def list(self, prefix: str, *, at: Revision = 0, start: str = "", limit: int = 0) -> Page:
        return self._state.list(prefix, at, start, limit)

    def watch(self, prefix: str, since: Revision) -> Watcher:
        backlog = self._state.events(since) if 0 < since < self._state.revision else ()
        return self._watchers.add(prefix, since, backlog, self._state.revision)

    async def compact(self, revision: Revision) -> None:
        self._state.compact(revision)

    async def put(self, key: str, value: bytes, *, expect: Revision) -> Entry:
        current = await self._expected(key, expect)
        revision = self._next
        entry = Entry(key, value, revision, current.created if current else revision)
        await self._write(Event(entry, current))
        return entry

    async def delete(self, key: str, *, expect: Revision) -> Entry:
        current = await self._expected(key, expect)
        if current is None:
            raise Conflict(key, None)
        last = Entry(key, current.value, self._next, current.created)
        await self._write(Event(last, current, deleted=True))
        return last

    async def _expected(self, key: str, expect: Revision) -> Entry | None:
        """The newest entry when it is as expected. Only a settled write may refuse another."""
        while True:
            pending = self._pending.get(key)
            if pending is None:
                current = self._state.current(key)
            else:
                current = None if pending.event.deleted else pending.event.entry
            if (current.revision if current else 0) == expect:
                return current
            if pending is None:
                raise Conflict(key, current)
            try:
                await asyncio.shield(pending.done)
            except Unavailable:
                pass

    async def _write(self, event: Event) -> None:
        if self._thread is None or self._loop is None:
            raise Unavailable("the store is closed")
        write = _Write(event, self._loop.create_future(), self._epoch)
        # Somebody who gave up waiting must not leave an unread failure behind.
        write.done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._next += 1
        self._pending[event.entry.key] = write
        self._queue.put(write)
        await asyncio.shield(write.done)

    def _settle(self, batch: Sequence[_Write], failure: Exception | None) -> None:
        """In the loop: the writer's word about a batch."""
        if failure is not None and batch[0].epoch == self._epoch:
            self._epoch += 1
            self._pending.clear()
            self._next = self._state.revision + 1
        for write in batch:
            if failure is not None:
                if not write.done.done():
                    write.done.set_exception(Unavailable(f"{self._path}: {failure}"))
                continue
            self._state.apply(write.event)
            if self._pending.get(write.event.entry.key) is write:
                del self._pending[write.event.entry.key]
            if not write.done.done():
                write.done.set_result(None)
        if failure is None:
            self._watchers.publish([write.event for write in batch])

    def _write_loop(self) -> None:
        """The writer thread."""
        loop = self._loop
        assert loop is not None
        connection: sqlite3.Connection | None = None
        running = True
        while running:
            batch, running = _take(self._queue)
            stale = [write for write in batch if write.epoch <= self._failed_epoch]
            if stale:
                loop.call_soon_threadsafe(self._settle, stale, Unavailable("an earlier write failed"))
                batch = batch[len(stale) :]
            if not batch:
                continue
            failure: Exception | None = None
            try:
                if connection is None:
                    connection = self._connect()
                self._commit(connection, batch)
            except (sqlite3.Error, OSError) as error:
                failure = error
                self._failed_epoch = batch[-1].epoch
                if connection is not None and connection.in_transaction:
                    try:
                        connection.execute("ROLLBACK")
                    except sqlite3.Error:
                        connection.close()
                        connection = None
            loop.call_soon_threadsafe(self._settle, batch, failure)
        if connection is not None:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[_Write]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for write in batch:
            entry = write.event.entry
            if write.event.deleted:
                connection.execute(_DELETE, (entry.key,))
            else:
                connection.execute(_PUT, (entry.key, entry.value, entry.revision, entry.created))
        connection.execute(_REVISION, (batch[-1].event.entry.revision,))
        connection.execute("COMMIT")

    async def backup(self, target: Path) -> None:
        """Copies the whole store, as it is on disk now, into the file `target` while it runs."""

        def copy() -> None:
            source, copied = self._connect(), sqlite3.connect(target)
            try:
                source.backup(copied)
            finally:
                source.close()
                copied.close()
            target.chmod(0o600)

        try:
            await asyncio.to_thread(copy)
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"{target}: {error}") from error


def _take(waiting: queue.SimpleQueue[_Write | None]) -> tuple[list[_Write], bool]:
    """Waits for writes and takes all there are, up to a batch; false when the store is closing."""
    batch: list[_Write] = []
    item = waiting.get()
    while item is not None:
        batch.append(item)
        if len(batch) >= _BATCH:
            break
        try:
            item = waiting.get_nowait()
        except queue.Empty:
            break
    return batch, item is not None
