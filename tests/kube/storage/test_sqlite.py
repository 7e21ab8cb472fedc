"""What only a store on disk can show: recovery, and a disk that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from terrarium.kube.storage.contract import Compacted, Unavailable
from terrarium.kube.storage.sqlite import SqliteStorage

WRITER = """
import asyncio, sys
from pathlib import Path
from terrarium.kube.storage.sqlite import SqliteStorage

async def main():
    storage = SqliteStorage(Path(sys.argv[1]))
    await storage.start()
    async def write(worker):
        n = 0
        while True:
            entry = await storage.put(f"/w/{worker}/{n}", b"x" * 500, expect=0)
            print(entry.key, entry.revision, flush=True)
            n += 1
    await asyncio.gather(*(write(w) for w in range(16)))

asyncio.run(main())
"""


def test_recovers_with_its_revision(tmp_path: Path) -> None:
    async def run() -> None:
        first = SqliteStorage(tmp_path / "s.db")
        await first.start()
        a = await first.put("/a", b"1", expect=0)
        b = await first.put("/b", b"1", expect=0)
        last = await first.delete("/b", expect=b.revision)
        await first.close()
        second = SqliteStorage(tmp_path / "s.db")
        await second.start()
        assert second.revision == last.revision
        assert (await second.list("/")).entries == [a]
        with pytest.raises(Compacted):
            await second.get("/a", at=a.revision)
        c = await second.put("/c", b"1", expect=0)
        assert c.revision == last.revision + 1
        await second.close()

    asyncio.run(run())


def test_keeps_what_it_acknowledged_before_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(400)]
    os.kill(process.pid, signal.SIGKILL)
    lines += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    acknowledged = [line.split() for line in lines if line.endswith("\n")]

    async def run() -> None:
        storage = SqliteStorage(path)
        await storage.start()
        for key, revision in acknowledged:
            entry = await storage.get(key)
            assert entry is not None and entry.revision == int(revision)
        await storage.close()

    asyncio.run(run())


def test_a_disk_that_fails_refuses_writes_and_heals(tmp_path: Path) -> None:
    async def run() -> None:
        storage = SqliteStorage(tmp_path / "s.db")
        await storage.start()
        first = await storage.put("/a", b"1", expect=0)
        # Another process that holds the write lock stands for a disk that does not take writes.
        lock = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
        lock.execute("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        results = await asyncio.gather(
            storage.put("/b", b"1", expect=0), storage.put("/c", b"1", expect=0), return_exceptions=True
        )
        assert [type(r) for r in results] == [Unavailable, Unavailable]
        assert (await storage.list("/")).entries == [first]
        lock.execute("DROP TRIGGER full")
        lock.close()
        healed = await storage.put("/b", b"2", expect=0)
        assert healed.revision == first.revision + 1
        await storage.close()

    asyncio.run(run())


def test_backup_while_it_runs(tmp_path: Path) -> None:
    async def run() -> None:
        storage = SqliteStorage(tmp_path / "s.db")
        await storage.start()
        entry = await storage.put("/a", b"1", expect=0)
        await storage.backup(tmp_path / "copy.db")
        await storage.close()
        copy = SqliteStorage(tmp_path / "copy.db")
        await copy.start()
        assert (copy.revision, await copy.get("/a")) == (entry.revision, entry)
        await copy.close()

    asyncio.run(run())
