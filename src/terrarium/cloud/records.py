"""The cloud's own memory on disk: small JSON documents by table and key, and the journal, in one SQLite file.

Theory of operation. Everything is read from memory; SQLite is only written to, by one thread which takes all that
waits, writes it in one transaction and syncs once (group commit, WAL, synchronous=FULL). A write is visible in memory
at once and durable when its `await` returns, so an answer given after that `await` survives a kill at any moment.

When the disk refuses, whoever waits is told, so nothing is acknowledged; but memory is then ahead of the disk. What
could not be written stays first in line and goes with the next transaction that succeeds, so that the two agree again as
soon as there is room.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import orjson

from terrarium.base.diagnostics import Failure

Document = dict[str, Any]
Statement = tuple[str, tuple[Any, ...]]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, content BLOB NOT NULL);
"""


class StorageFailure(Failure):
    """The world's folder can't be read or written."""


class Records:
    """Documents in tables. `put` and `delete` are durable when awaited; reads come from memory.

    Documents handed out are the stored ones: callers replace them, they don't change them in place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tables: dict[str, dict[str, Document]] = {}
        self._waiting: queue.SimpleQueue[tuple[list[Statement], Future[None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._unwritten: list[Statement] = []
        """What the disk has refused so far; the writer's."""

    def open(self) -> None:
        """Opens or makes the file and reads all documents. `StorageFailure` when it can't."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            database = self._connect()
            try:
                for kind, key, body in database.execute("SELECT kind, key, body FROM record"):
                    self._tables.setdefault(kind, {})[key] = orjson.loads(body)
            finally:
                database.close()
        except (OSError, sqlite3.Error) as failure:
            raise StorageFailure(
                f"The cloud's records in {self.path} can't be opened: {failure}",
                "Check the folder's permissions and free space; `terrarium reset` starts an empty world.",
            ) from None
        self._thread = threading.Thread(target=self._write, name="cloud-records", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.path.chmod(0o600)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(_SCHEMA)
        return database

    def close(self) -> None:
        """Writes what waits and closes the file."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    # Reading

    def get(self, kind: str, key: str) -> Document | None:
        return self._tables.get(kind, {}).get(key)

    def scan(self, kind: str, prefix: str = "") -> list[tuple[str, Document]]:
        """All documents of a table whose key begins with `prefix`, in the order of their keys."""
        return sorted((k, d) for k, d in self._tables.get(kind, {}).items() if k.startswith(prefix))

    # Writing

    async def put(self, kind: str, key: str, document: Mapping[str, Any]) -> None:
        await asyncio.wrap_future(self.put_soon(kind, key, document))

    async def delete(self, kind: str, key: str) -> None:
        await asyncio.wrap_future(self.delete_soon(kind, key))

    def put_soon(self, kind: str, key: str, document: Mapping[str, Any]) -> Future[None]:
        """Visible at once; the future ends when it is durable."""
        body = orjson.dumps(document)
        self._tables.setdefault(kind, {})[key] = dict(document)
        return self.submit([("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind, key, body))])

    def delete_soon(self, kind: str, key: str) -> Future[None]:
        self._tables.get(kind, {}).pop(key, None)
        return self.submit([("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))])

    def submit(self, statements: list[Statement]) -> Future[None]:
        """Hands statements to the writer; they are written in the order of submission, each list whole or not at all."""
        future: Future[None] = Future()
        if self._thread is None:
            future.set_exception(StorageFailure(f"{self.path} is closed"))
        else:
            self._waiting.put((statements, future))
        return future

    def read(self, query: str, parameters: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows straight from the file, on a connection of its own (the journal at start)."""
        database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            yield from database.execute(query, parameters)
        finally:
            database.close()

    def _write(self) -> None:
        database = self._connect()
        try:
            while True:
                first = self._waiting.get()
                if first is None:
                    return
                batch, last = [first], False
                while len(batch) < 1000:
                    try:
                        further = self._waiting.get_nowait()
                    except queue.Empty:
                        break
                    if further is None:
                        last = True
                        break
                    batch.append(further)
                self._commit(database, batch)
                if last:
                    return
        finally:
            database.close()

    def _commit(self, database: sqlite3.Connection, batch: list[tuple[list[Statement], Future[None]]]) -> None:
        # Whoever waited may be gone (a cancelled request); what it asked for is in memory already, so it is written all
        # the same. From here on nobody can cancel, and every future may be told how it went.
        told = [future for _, future in batch if future.set_running_or_notify_cancel()]
        statements = [*self._unwritten, *(statement for listed, _ in batch for statement in listed)]
        try:
            database.execute("BEGIN IMMEDIATE")
            for statement, parameters in statements:
                database.execute(statement, parameters)
            database.execute("COMMIT")
        except sqlite3.Error as failure:
            if database.in_transaction:
                database.execute("ROLLBACK")
            self._unwritten = statements
            for future in told:
                future.set_exception(StorageFailure(f"{self.path} can't be written: {failure}"))
            return
        self._unwritten = []
        for future in told:
            future.set_result(None)
