"""What every store promises: one suite for all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.contracts.etcd import etcd

from terrarium.kube.storage.contract import Compacted, Conflict, Event, Future, Progress, SlowWatcher, Storage
from terrarium.kube.storage.etcd import EtcdStorage
from terrarium.kube.storage.memory import MemoryStorage
from terrarium.kube.storage.sqlite import SqliteStorage

__all__ = ["etcd"]

Case = Callable[[Storage], Awaitable[None]]
MAKERS: dict[str, Callable[[Path, pytest.FixtureRequest], Storage]] = {
    "memory": lambda path, request: MemoryStorage(limit=100),
    "sqlite": lambda path, request: SqliteStorage(path / "store.db", limit=100),
    "etcd": lambda path, request: EtcdStorage(request.getfixturevalue("etcd"), f"/{uuid.uuid4()}", limit=100),
}


async def events(storage: Storage, prefix: str, since: int, count: int) -> list[Event]:
    found: list[Event] = []
    async for batch in storage.watch(prefix, since):
        if not isinstance(batch, Progress):
            found.extend(batch)
        if len(found) >= count:
            break
    return found


async def revisions_grow_by_one(storage: Storage) -> None:
    first = await storage.put("/a", b"1", expect=0)
    second = await storage.put("/b", b"1", expect=0)
    third = await storage.put("/a", b"2", expect=first.revision)
    gone = await storage.delete("/b", expect=second.revision)
    assert [e.revision - first.revision for e in (second, third, gone)] == [1, 2, 3]
    assert (third.created, gone.created) == (first.revision, second.revision)
    assert storage.revision == gone.revision
    assert await storage.get("/b") is None
    assert await storage.get("/a") == third


async def wrong_expectations_conflict(storage: Storage) -> None:
    first = await storage.put("/a", b"1", expect=0)
    for expect in (0, first.revision + 1):
        with pytest.raises(Conflict) as refused:
            await storage.put("/a", b"2", expect=expect)
        assert refused.value.current == first
    with pytest.raises(Conflict) as missing:
        await storage.delete("/nothing", expect=5)
    assert missing.value.current is None
    assert storage.revision == first.revision


async def one_of_many_writers_wins(storage: Storage) -> None:
    async def add(word: bytes) -> bool:
        try:
            await storage.put("/a", word, expect=0)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(add(bytes([i])) for i in range(40)))) == 1


async def counters_lose_no_write(storage: Storage) -> None:
    entry = await storage.put("/n", b"0", expect=0)

    async def count(times: int) -> None:
        for _ in range(times):
            while True:
                now = await storage.get("/n")
                assert now is not None
                try:
                    await storage.put("/n", b"%d" % (int(now.value) + 1), expect=now.revision)
                    break
                except Conflict:
                    pass

    await asyncio.gather(*(count(10) for _ in range(8)))
    last = await storage.get("/n")
    assert last is not None and last.value == b"80" and last.created == entry.created


async def lists_are_in_key_order_and_paged(storage: Storage) -> None:
    for key in ("/p/b/1", "/p/a/2", "/p/a-b/1", "/q/x", "/p/a/1"):
        await storage.put(key, b"", expect=0)
    whole = await storage.list("/p/")
    assert [e.key for e in whole.entries] == ["/p/a-b/1", "/p/a/1", "/p/a/2", "/p/b/1"]
    page = await storage.list("/p/", limit=3)
    assert (len(page.entries), page.more, page.remaining) == (3, True, 1)
    rest = await storage.list("/p/", start=page.entries[-1].key + "\0", limit=3)
    assert ([e.key for e in rest.entries], rest.more) == (["/p/b/1"], False)


async def the_past_can_be_read(storage: Storage) -> None:
    a = await storage.put("/p/a", b"1", expect=0)
    b = await storage.put("/p/b", b"1", expect=0)
    then = storage.revision
    await storage.put("/p/a", b"2", expect=a.revision)
    await storage.delete("/p/b", expect=b.revision)
    await storage.put("/p/c", b"1", expect=0)
    await storage.put("/p/b", b"9", expect=0)
    assert (await storage.list("/p/", at=then)).entries == [a, b]
    assert (await storage.list("/p/", at=then, start="/p/b")).entries == [b]
    assert await storage.get("/p/a", at=then) == a
    assert await storage.get("/p/c", at=then) is None
    assert [e.key for e in (await storage.list("/p/", at=then + 2)).entries] == ["/p/a"]
    with pytest.raises(Future):
        await storage.list("/p/", at=storage.revision + 1)


async def compaction_forgets(storage: Storage) -> None:
    a = await storage.put("/p/a", b"1", expect=0)
    b = await storage.put("/p/a", b"2", expect=a.revision)
    c = await storage.put("/p/a", b"3", expect=b.revision)
    await storage.compact(b.revision)
    with pytest.raises(Compacted) as refused:
        await storage.get("/p/a", at=a.revision)
    assert refused.value.oldest == b.revision
    assert (await storage.list("/p/", at=b.revision)).entries == [b]
    with pytest.raises(Compacted):
        await events(storage, "/p/", a.revision, 1)
    assert [e.entry for e in await events(storage, "/p/", b.revision, 1)] == [c]


async def watches_tell_every_write_once(storage: Storage) -> None:
    a = await storage.put("/p/a", b"1", expect=0)
    watching = asyncio.create_task(events(storage, "/p/", a.revision, 4))
    b = await storage.put("/p/b", b"1", expect=0)
    await asyncio.sleep(0)
    await storage.put("/q/other", b"", expect=0)
    with pytest.raises(Conflict):
        await storage.put("/p/a", b"refused", expect=0)
    a2 = await storage.put("/p/a", b"2", expect=a.revision)
    gone = await storage.delete("/p/b", expect=b.revision)
    again = await storage.put("/p/b", b"2", expect=0)
    async with asyncio.timeout(10):
        seen = await watching
    assert seen == [Event(b, None), Event(a2, a), Event(gone, b, deleted=True), Event(again, None)]
    assert await events(storage, "/p/", a.revision, 4) == seen


async def a_watch_from_now_skips_the_past_and_from_the_future_waits(storage: Storage) -> None:
    await storage.put("/p/a", b"1", expect=0)
    from_now = asyncio.create_task(events(storage, "/p/", 0, 2))
    later = asyncio.create_task(events(storage, "/p/", storage.revision + 1, 1))
    await asyncio.sleep(0)
    b = await storage.put("/p/b", b"1", expect=0)
    c = await storage.put("/p/c", b"1", expect=0)
    async with asyncio.timeout(10):
        assert [e.entry for e in await from_now] == [b, c]
        assert [e.entry for e in await later] == [c]


async def a_watcher_that_never_reads_is_dropped(storage: Storage) -> None:
    slow, quick = storage.watch("/p/", 0), storage.watch("/p/", 0)
    entry = await storage.put("/p/a", b"0", expect=0)
    for i in range(90):
        entry = await storage.put("/p/a", b"%d" % i, expect=entry.revision)
    count = 0
    async for batch in quick:
        count += 0 if isinstance(batch, Progress) else len(batch)
        if count == 91:
            break
    for i in range(20):
        entry = await storage.put("/p/a", b"%d" % i, expect=entry.revision)
    with pytest.raises(SlowWatcher):
        async for _ in slow:
            pass
    async for batch in quick:
        if not isinstance(batch, Progress):
            assert len(batch) == 20
            break


async def many_keys_stay_in_order(storage: Storage) -> None:
    names = [f"/p/{(i * 7919) % 5000:05}" for i in range(5000)]
    entries = await asyncio.gather(*(storage.put(name, b"", expect=0) for name in names))
    await asyncio.gather(*(storage.delete(e.key, expect=e.revision) for e in entries if int(e.key[3:]) % 3))
    left = [e.key for e in (await storage.list("/p/")).entries]
    assert left == [f"/p/{i:05}" for i in range(0, 5000, 3)]


CASES: list[Case] = [
    revisions_grow_by_one,
    wrong_expectations_conflict,
    one_of_many_writers_wins,
    counters_lose_no_write,
    lists_are_in_key_order_and_paged,
    the_past_can_be_read,
    compaction_forgets,
    watches_tell_every_write_once,
    a_watch_from_now_skips_the_past_and_from_the_future_waits,
    a_watcher_that_never_reads_is_dropped,
    many_keys_stay_in_order,
]


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_storage(case: Case, maker: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    storage = MAKERS[maker](tmp_path, request)

    async def run() -> None:
        await storage.start()
        try:
            await case(storage)
        finally:
            await storage.close()

    asyncio.run(run())


def test_two_stores_on_one_etcd(etcd: str) -> None:
    """What one acknowledges, the other shows at once; others' keys and a lost companion disturb nobody."""

    async def run() -> None:
        prefix = f"/{uuid.uuid4()}"
        one, two, stranger = EtcdStorage(etcd, prefix), EtcdStorage(etcd, prefix), EtcdStorage(etcd, f"{prefix}-other")
        for store in (one, two, stranger):
            await store.start()
        watching = asyncio.create_task(events(two, "/p/", 0, 3))
        await asyncio.sleep(0)
        a = await one.put("/p/a", b"1", expect=0)
        await stranger.put("/p/a", b"not ours", expect=0)
        assert await two.get("/p/a") == a
        b = await two.put("/p/a", b"2", expect=a.revision)
        assert (await one.list("/p/")).entries == [b]
        with pytest.raises(Conflict) as refused:
            await one.put("/p/a", b"3", expect=a.revision)
        assert refused.value.current == b
        await one.close()
        gone = await two.delete("/p/a", expect=b.revision)
        async with asyncio.timeout(10):
            assert await watching == [Event(a, None), Event(b, a), Event(gone, b, deleted=True)]
        again = EtcdStorage(etcd, prefix)
        await again.start()
        assert (await again.list("/p/")).entries == []
        assert await events(two, "/p/", b.revision, 1) == [Event(gone, b, deleted=True)]
        for store in (two, stranger, again):
            await store.close()

    asyncio.run(run())
