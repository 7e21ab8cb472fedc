"""The shared level-triggered runner: what all controllers have in common, so that each is only its decision.

Theory of operation. A controller names the resources it reads (`inputs`); every change of one of them becomes keys
(`keys`), keys go through a queue, and `sync(key)` decides from the whole present state in the informers' caches and
writes through `self.write`. Caches lag behind writes, so the runner remembers what a sync wrote and takes the key up
again only when the caches show it: what client-go's controllers do with "expectations", said once for all of them.
A refused write (`ApiError`) or a lost connection brings the key back after a pause that doubles. `resync` brings all
keys of the first input back at an interval, for controllers that look at time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError, Client, Resource
from terrarium.kube.client.informer import Informer, Informers
from terrarium.kube.client.recorder import Recorder
from terrarium.kube.controllers.queue import Queue

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace ("" for cluster-wide objects) and name."""

_CATCH_UP_SECONDS = 3.0
"""Of real time: a write that no cache shows by then is forgotten (its object was removed, or the watch is broken)."""


def key_of(obj: Obj) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


class Caches:
    """The shared informers, and the moment when one of them has seen a write."""

    def __init__(self, client: Client, clock: Clock, tasks: Tasks) -> None:
        self._informers = Informers(client, clock, tasks)
        self._followed: dict[Resource, Informer] = {}
        self._waiting: dict[Resource, list[tuple[Callable[[], bool], asyncio.Future[None]]]] = {}
        self._seen: dict[Resource, int] = {}

    def of(self, resource: Resource) -> Informer:
        found = self._followed.get(resource)
        if found is None:
            found = self._followed[resource] = self._informers.of(resource)
            found.on_change(lambda old, new: self._changed(resource, new or old))
        return found

    def follows(self, resource: Resource) -> bool:
        return resource in self._followed

    async def synced(self) -> None:
        await self._informers.synced()

    def seen(self, resource: Resource, revision: int) -> bool:
        cache = self._followed[resource]
        return revision <= max(self._seen.get(resource, 0), int(cache.revision or 0))

    async def until(self, resource: Resource, condition: Callable[[], bool]) -> None:
        """Waits until `condition`, looked at after each change of the cache, holds, or for three seconds."""
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        waiting = self._waiting.setdefault(resource, [])
        waiting.append(entry)
        try:
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                await future
        except TimeoutError:
            log.debug("%s: a write did not come back in time", resource)
        finally:
            if entry in waiting:
                waiting.remove(entry)

    def _changed(self, resource: Resource, obj: Obj | None) -> None:
        if obj is not None:
            revision = int(obj["metadata"].get("resourceVersion") or 0)
            self._seen[resource] = max(self._seen.get(resource, 0), revision)
        waiting = self._waiting.get(resource)
        if waiting:
            for entry in [e for e in waiting if e[0]()]:
                waiting.remove(entry)
                if not entry[1].done():
                    entry[1].set_result(None)


class Writer:
    """The client of one controller for one sync; remembers what was written, so that `settle` can wait for the caches."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self.client = client
        self._caches = caches
        self._pending: list[tuple[Resource, Callable[[], bool]]] = []

    async def create(self, resource: Resource, obj: Obj, namespace: str = "") -> Obj:
        return self._wrote(resource, await self.client.create(resource, obj, namespace))

    async def update(self, resource: Resource, obj: Obj, subresource: str = "") -> Obj:
        return self._wrote(resource, await self.client.update(resource, obj, subresource=subresource))

    async def status(self, resource: Resource, obj: Obj, status: dict[str, Any]) -> Obj:
        """Replaces the status of `obj`, at the revision in which it was read."""
        return await self.update(resource, {**obj, "status": status}, "status")

    async def patch(
        self, resource: Resource, obj: Obj, patch: Any, type: Any = "strategic", subresource: str = ""
    ) -> Obj:
        meta = obj["metadata"]
        written = await self.client.patch(
            resource, meta["name"], patch, meta.get("namespace", ""), type=type, subresource=subresource
        )
        return self._wrote(resource, written)

    async def delete(self, resource: Resource, obj: Obj, **options: Any) -> None:
        namespace, name = key_of(obj)
        uid = obj["metadata"].get("uid")
        await self.client.delete(resource, name, namespace, **options)
        if self._caches.follows(resource):
            cache = self._caches.of(resource)

            def gone() -> bool:
                now = cache.get(namespace, name)
                return now is None or now["metadata"].get("uid") != uid or "deletionTimestamp" in now["metadata"]

            self._pending.append((resource, gone))

    def _wrote(self, resource: Resource, obj: Obj) -> Obj:
        revision = obj.get("metadata", {}).get("resourceVersion")
        if revision and self._caches.follows(resource):
            number = int(revision)
            namespace, name = key_of(obj)
            cache = self._caches.of(resource)

            def shown() -> bool:
                if self._caches.seen(resource, number):
                    return True
                now = cache.get(namespace, name)
                return now is not None and int(now["metadata"]["resourceVersion"]) >= number

            self._pending.append((resource, shown))
        return obj

    async def settle(self) -> None:
        """Waits until the caches show all that was written."""
        pending, self._pending = self._pending, []
        for resource, condition in pending:
            await self._caches.until(resource, condition)


class Controller:
    """The base of all: state what you read, turn changes into keys, and bring one key's world to what it should be."""

    name: ClassVar[str]
    """Of its service account in kube-system."""
    component: ClassVar[str] = ""
    """Source of its events; its name when empty."""
    inputs: ClassVar[Sequence[Resource]]
    workers: ClassVar[int] = 5
    resync: ClassVar[float] = 0.0
    first_pause: ClassVar[float] = 0.005
    """The first pause after a failure; it doubles from there."""

    def __init__(self, client: Client, clock: Clock, ids: Ids, caches: Caches) -> None:
        self.client = client.acting_as(
            f"system:serviceaccount:kube-system:{self.name}",
            ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
        )
        self.clock = clock
        self.ids = ids
        self.caches = caches
        self.queue: Queue[Any] = Queue(clock, self.first_pause)
        self.events = Recorder(self.client, clock, self.component or self.name)

    wanted: bool = True
    """False when its options leave it nothing to do."""

    def configure(self, options: Any) -> None:
        """Takes what it needs from the manager's options, before the start."""

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        """The keys that a change touches. By default those of the first input itself."""
        if resource == self.inputs[0]:
            yield key_of(new or old)  # type: ignore[arg-type]

    async def sync(self, key: Key, write: Writer) -> float | None:
        """Brings the key's world to what it should be; a number asks to look again after so many seconds."""
        raise AssertionError(f"{type(self).__name__} has no sync")

    def indexes(self) -> None:
        """Adds the indexes it needs to its caches, before anything is read."""

    def start(self, tasks: Tasks) -> None:
        for resource in self.inputs:
            self.caches.of(resource)
        self.indexes()
        self.events.start(tasks)
        tasks.keep(f"{self.name} alarm", self.queue.alarm)
        for number in range(self.workers):
            tasks.keep(f"{self.name} {number}", self._work)
        tasks.start(f"{self.name} start", self._follow(tasks))

    async def _follow(self, tasks: Tasks) -> None:
        for resource in self.inputs:
            await self.caches.of(resource).synced()
        for resource in self.inputs:
            self.caches.of(resource).on_change(self._handler(resource))
        if self.resync:
            tasks.keep(f"{self.name} resync", self._resync)

    def _handler(self, resource: Resource) -> Callable[[Obj | None, Obj | None], None]:
        def changed(old: Obj | None, new: Obj | None) -> None:
            for key in self.keys(resource, old, new):
                self.queue.add(key)

        return changed

    async def _resync(self) -> None:
        while True:
            await self.clock.heartbeat(self.resync)
            for obj in self.caches.of(self.inputs[0]).items():
                self.queue.add(key_of(obj))

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._once(key)
            finally:
                self.queue.done(key)

    async def _once(self, key: Key) -> None:
        write = Writer(self.client, self.caches)
        try:
            again = await self.sync(key, write)
        except ApiError as error:
            log.debug("%s %s: %s", self.name, key, error)
            self.queue.failed(key)
        except OSError as error:
            log.info("%s %s: %s", self.name, key, error)
            self.queue.failed(key)
        except Exception:
            # Our own defect: it must not stop the other keys, and must be seen.
            log.exception("%s failed on %s", self.name, key)
            self.queue.failed(key)
        else:
            self.queue.succeeded(key)
            if again is not None:
                self.queue.add_after(key, again)
        await write.settle()
