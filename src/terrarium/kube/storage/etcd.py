"""A store in etcd v3, which several API servers may share: writes go to etcd, reads come from a memory that follows it.

Theory of operation. One watch of the whole key space feeds the memory, so every revision of etcd is seen, also those of
other users of it. A write is a transaction on the key's modification revision; its caller is answered when the memory
has come to that revision. A read of the present first asks etcd which revision it is at (one question for all who wait
for it to be asked) and waits until the memory is there, so it sees whatever any server had acknowledged before. When
the watch breaks it goes on from where it was; if etcd has compacted that meanwhile, everything is read anew and those
who watch have to list again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from terrarium.base.clock import Clock
from terrarium.base.tasks import Tasks
from terrarium.kube.storage.contract import Compacted, Conflict, Entry, Event, Page, Revision, Unavailable
from terrarium.kube.storage.state import State
from terrarium.kube.storage.watchers import LIMIT, Watcher, Watchers

if TYPE_CHECKING:
    from aetcd import rpc

log = logging.getLogger(__name__)

_PAGE = 500
_EVERYTHING = b"\0"
_RETRY_SECONDS = 0.2


class EtcdStorage:
    """`contract.Storage` in the etcd at `address` (`host:port`), under keys that begin with `prefix`."""

    def __init__(
        self, address: str, prefix: str = "/terrarium", limit: int = LIMIT, clock: Clock | None = None
    ) -> None:
        self._address = address
        self._prefix = prefix.encode()
        self._clock = clock or Clock()
        self._state = State()
        self._watchers = Watchers(limit)
        self._tasks = Tasks(f"etcd {address}")
        self._channel: Any = None
        self._kv: Any = None
        self._reached: list[tuple[Revision, asyncio.Future[None]]] = []
        self._question: asyncio.Task[Revision] | None = None
        self._asking = asyncio.Lock()

    async def start(self) -> None:
        """Connects and reads everything. `Unavailable` when nothing answers."""
        from aetcd import rpc

        self._rpc = rpc
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = rpc.insecure_channel(self._address, options=options)
        self._kv = rpc.KVStub(self._channel)
        self._state = await self._load()
        self._tasks.keep("watch", self._follow)

    async def close(self) -> None:
        self._watchers.close()
        await self._tasks.close()
        for _, waiting in self._reached:
            if not waiting.done():
                waiting.set_exception(Unavailable("the store is closed"))
        if self._channel is not None:
            await self._channel.close()

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=10)
        except self._rpc.AioRpcError as error:
            raise Unavailable(f"etcd at {self._address}: {error.details()}") from error

    # --- following etcd --------------------------------------------------------------------------------------------

    async def _load(self) -> State:
        entries: list[Entry] = []
        start, end, at = self._prefix, _after(self._prefix), 0
        while True:
            request = self._rpc.RangeRequest(key=start, range_end=end, limit=_PAGE, revision=at)
            answer = await self._call(self._kv.Range, request)
            at = at or answer.header.revision
            entries += [self._entry(kv) for kv in answer.kvs]
            if not answer.more:
                return State(entries, at)
            start = answer.kvs[-1].key + b"\0"

    def _entry(self, kv: rpc.KeyValue) -> Entry:
        return Entry(kv.key[len(self._prefix) :].decode(), kv.value, kv.mod_revision, kv.create_revision)

    async def _follow(self) -> None:
        """Follows the key space for ever, over lost connections."""
        while True:
            try:
                await self._watch_once()
            except self._rpc.AioRpcError as error:
                log.warning("etcd at %s: %s; trying again", self._address, error.details())
            except Unavailable as error:
                log.warning("%s; trying again", error)
            await self._clock.heartbeat(_RETRY_SECONDS)

    async def _watch_once(self) -> None:
        stub = self._rpc.WatchStub(self._channel)
        call = stub.Watch()
        since = self._state.revision + 1
        create = self._rpc.WatchCreateRequest(key=_EVERYTHING, range_end=_EVERYTHING, start_revision=since)
        try:
            await call.write(self._rpc.WatchRequest(create_request=create))
            async for answer in call:
                if answer.compact_revision:
                    await self._start_anew()
                    return
                self._take_in(answer)
        finally:
            call.cancel()

    async def _start_anew(self) -> None:
        state = await self._load()
        self._watchers.end(Compacted(self._state.revision, state.revision))
        self._state = state
        self._tell()

    def _take_in(self, answer: Any) -> None:
        events = []
        for found in answer.events:
            kv = found.kv
            if not kv.key.startswith(self._prefix):
                continue
            key = kv.key[len(self._prefix) :].decode()
            previous = self._state.current(key)
            if found.type == self._rpc.Event.EventType.DELETE:
                if previous is None:
                    continue
                entry = Entry(key, previous.value, kv.mod_revision, previous.created)
                event = Event(entry, previous, deleted=True)
            else:
                event = Event(self._entry(kv), previous)
            self._state.apply(event)
            events.append(event)
        if answer.events:
            # Writes to keys of others are revisions, too.
            self._state.advance(answer.events[-1].kv.mod_revision)
        self._watchers.publish(events)
        self._tell()

    def _tell(self) -> None:
        waiting, self._reached = self._reached, []
        for revision, future in waiting:
            if revision > self._state.revision:
                self._reached.append((revision, future))
            elif not future.done():
                future.set_result(None)

    async def _reach(self, revision: Revision) -> None:
        if revision > self._state.revision:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._reached.append((revision, future))
            await future

    async def _catch_up(self) -> None:
        """Until the memory holds whatever was acknowledged, by whomever, before this was called."""
        if self._question is None:
            self._question = asyncio.get_running_loop().create_task(self._ask())
        await self._reach(await asyncio.shield(self._question))

    async def _ask(self) -> Revision:
        async with self._asking:
            self._question = None  # whoever comes from here on needs a later answer
            request = self._rpc.RangeRequest(key=self._prefix, count_only=True)
            answer = await self._call(self._kv.Range, request)
            revision: Revision = answer.header.revision
            return revision

    # --- contract.Storage ------------------------------------------------------------------------------------------

    @property
    def revision(self) -> Revision:
        return self._state.revision

    async def get(self, key: str, at: Revision = 0) -> Entry | None:
        if at == 0 or at > self._state.revision:
            await self._catch_up()
        return self._state.get(key, at)

    async def list(self, prefix: str, *, at: Revision = 0, start: str = "", limit: int = 0) -> Page:
        if at == 0 or at > self._state.revision:
            await self._catch_up()
        return self._state.list(prefix, at, start, limit)

    def watch(self, prefix: str, since: Revision) -> Watcher:
        backlog: Sequence[Event] = self._state.events(since) if 0 < since < self._state.revision else ()
        return self._watchers.add(prefix, since, backlog, self._state.revision)

    async def put(self, key: str, value: bytes, *, expect: Revision) -> Entry:
        name = self._prefix + key.encode()
        put = self._rpc.RequestOp(request_put=self._rpc.PutRequest(key=name, value=value, prev_kv=True))
        revision, answer = await self._write(key, name, expect, put)
        created = answer.response_put.prev_kv.create_revision or revision
        return Entry(key, value, revision, created)

    async def delete(self, key: str, *, expect: Revision) -> Entry:
        name = self._prefix + key.encode()
        if expect == 0:
            current = await self.get(key)
            raise Conflict(key, current)
        delete = self._rpc.RequestOp(request_delete_range=self._rpc.DeleteRangeRequest(key=name, prev_kv=True))
        revision, answer = await self._write(key, name, expect, delete)
        last = answer.response_delete_range.prev_kvs[0]
        return Entry(key, last.value, revision, last.create_revision)

    async def _write(self, key: str, name: bytes, expect: Revision, change: Any) -> tuple[Revision, Any]:
        """A change of one key if it is at the expected revision; what etcd answered, once the memory holds it."""
        compare = self._rpc.Compare(
            key=name,
            target=self._rpc.Compare.CompareTarget.MOD,
            result=self._rpc.Compare.CompareResult.EQUAL,
            mod_revision=expect,
        )
        look = self._rpc.RequestOp(request_range=self._rpc.RangeRequest(key=name))
        answer = await self._call(
            self._kv.Txn, self._rpc.TxnRequest(compare=[compare], success=[change], failure=[look])
        )
        if not answer.succeeded:
            found = answer.responses[0].response_range.kvs
            raise Conflict(key, self._entry(found[0]) if found else None)
        revision: Revision = answer.header.revision
        await self._reach(revision)
        return revision, answer.responses[0]

    async def compact(self, revision: Revision) -> None:
        await self._catch_up()
        self._state.compact(revision)
        try:
            await self._kv.Compact(self._rpc.CompactionRequest(revision=revision), timeout=10)
        except self._rpc.AioRpcError as error:
            # Another server may have done it already.
            if error.code() is not self._rpc.StatusCode.OUT_OF_RANGE:
                raise Unavailable(f"etcd at {self._address}: {error.details()}") from error


def _after(prefix: bytes) -> bytes:
    """The first key after all that begin with `prefix`."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
