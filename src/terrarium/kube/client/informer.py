"""A cache of a resource that keeps itself true: list once, then watch; list again when the watch is too old.

Theory of operation. One loop lists in pages and watches from the list's revision. Every change goes through `_set`, which
compares with what is cached, so handlers see each difference once, also those that a new list reveals (among them
objects that vanished while nobody watched). Handlers run in the loop's task and must not wait; they usually put a key
into a queue. Objects are shared: nobody changes them.

`Informers` shares one informer between all who ask for the same resource and selection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from terrarium.base.clock import Clock
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError, Client, Resource

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace ("" for cluster-wide objects) and name."""
Handler = Callable[[Obj | None, Obj | None], None]
Index = Callable[[Obj], Iterable[str]]

PAGE = 500
_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 30.0


def key_of(obj: Obj) -> Key:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


class Informer:
    """The objects of `resource` in `namespace` ("" for all) that `labels` and `fields` select.

    `trim` gives what is to be kept of an object, which must leave its name, uid and resourceVersion.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        clock: Clock,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        trim: Callable[[Obj], Obj] | None = None,
    ) -> None:
        self.resource = resource
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._trim = trim
        self._objects: dict[str, dict[str, Obj]] = {}
        self._handlers: list[Handler] = []
        self._indexes: dict[str, tuple[Index, dict[str, dict[Key, Obj]]]] = {}
        self._synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.revision = ""
        """The resourceVersion up to which the cache has seen everything."""

    def start(self, tasks: Tasks) -> None:
        """Begins to follow, in `tasks`. Starting again does nothing."""
        if self._task is None:
            self._task = tasks.keep(f"informer {self.resource}", self._follow)

    async def synced(self) -> None:
        """Waits until the first list has been taken in."""
        await self._synced.wait()

    @property
    def has_synced(self) -> bool:
        return self._synced.is_set()

    def get(self, namespace: str, name: str) -> Obj | None:
        return self._objects.get(namespace, {}).get(name)

    def items(self, namespace: str = "") -> Iterable[Obj]:
        """The cached objects, of one namespace or of all; a snapshot that later changes don't touch."""
        if namespace:
            return list(self._objects.get(namespace, {}).values())
        return [obj for group in self._objects.values() for obj in group.values()]

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def on_change(self, callback: Handler) -> None:
        """`callback(old, new)`: new None is a deletion, old None an addition. What is cached already comes at once."""
        self._handlers.append(callback)
        for obj in self.items():
            self._tell(callback, None, obj)

    def add_index(self, name: str, of: Index) -> None:
        """Keeps `indexed(name, value)` answering which objects `of` gives `value` for (a node name, an owner's uid)."""
        if name in self._indexes:
            return
        table: dict[str, dict[Key, Obj]] = {}
        self._indexes[name] = (of, table)
        for obj in self.items():
            for value in of(obj):
                table.setdefault(value, {})[key_of(obj)] = obj

    def indexed(self, name: str, value: str) -> Iterable[Obj]:
        return list(self._indexes[name][1].get(value, {}).values())

    async def _follow(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            listed, since = "", self._clock.time()
            try:
                await self._list()
                listed, since = self.revision, self._clock.time()
                while True:
                    before = self.revision
                    await self._watch()
                    if self.revision == before:
                        # A watch that ends without a word must not make a busy loop.
                        await self._clock.sleep(0.05)
            except ApiError as error:
                failure: ApiError | OSError = error
            except OSError as error:
                failure = error
            # A watch that told something, or lasted, was worth its list; only then the next one comes at once.
            if listed and (self.revision != listed or self._clock.time() - since > _LONGEST_PAUSE):
                pause = _SHORTEST_PAUSE
                if isinstance(failure, ApiError) and failure.code == 410:
                    continue
            level = logging.WARNING if isinstance(failure, ApiError) and failure.code != 410 else logging.INFO
            log.log(level, "%s: %s; trying again in %.2f s", self.resource, failure, pause)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _list(self) -> None:
        seen: set[Key] = set()
        next_page = ""
        while True:
            page = await self._client.list(
                self.resource,
                self._namespace,
                labels=self._labels,
                fields=self._fields,
                limit=PAGE,
                next=next_page,
            )
            for obj in page.items:
                seen.add(key_of(obj))
                self._set(key_of(obj), obj if self._trim is None else self._trim(obj))
            next_page = page.next
            if not next_page:
                break
        for group in list(self._objects.values()):
            for obj in list(group.values()):
                if key_of(obj) not in seen:
                    self._set(key_of(obj), None)
        self.revision = page.revision
        self._synced.set()

    async def _watch(self) -> None:
        stream = self._client.watch(
            self.resource, self._namespace, revision=self.revision, labels=self._labels, fields=self._fields
        )
        async for event in stream:
            if event.type == "ERROR":
                raise ApiError(event.object)
            if event.type != "BOOKMARK":
                obj = event.object if self._trim is None else self._trim(event.object)
                self._set(key_of(obj), None if event.type == "DELETED" else obj, obj)
            self.revision = event.object["metadata"]["resourceVersion"]

    def _set(self, key: Key, new: Obj | None, last: Obj | None = None) -> None:
        """Takes one object in. `last` is the final state of a deleted one, which handlers get as `old`."""
        namespace, name = key
        group = self._objects.get(namespace, {})
        old = group.get(name)
        if new is None:
            if old is None:
                return
            del group[name]
            if not group:
                self._objects.pop(namespace, None)
        else:
            if old is not None and _version(old) == _version(new):
                return
            self._objects.setdefault(namespace, {})[name] = new
        for of, table in self._indexes.values():
            for value in of(old) if old is not None else ():
                entries = table.get(value, {})
                entries.pop(key, None)
                if not entries:
                    table.pop(value, None)
            for value in of(new) if new is not None else ():
                table.setdefault(value, {})[key] = new  # type: ignore[assignment]
        if new is not None and old is not None and _uid(old) != _uid(new):
            # Deleted and made again between two lists: two things happened, not one.
            for handler in self._handlers:
                self._tell(handler, old, None)
            old = None
        for handler in self._handlers:
            self._tell(handler, last if new is None and last is not None else old, new)

    def _tell(self, handler: Handler, old: Obj | None, new: Obj | None) -> None:
        try:
            handler(old, new)
        except Exception:
            # One reader's defect must not take the cache from the others.
            log.exception("a handler of %s failed", self.resource)


def _version(obj: Obj) -> object:
    return obj["metadata"].get("resourceVersion"), _uid(obj)


def _uid(obj: Obj) -> object:
    return obj["metadata"].get("uid")


class Informers:
    """Informers shared by resource and selection; all run in `tasks`."""

    def __init__(self, client: Client, clock: Clock, tasks: Tasks) -> None:
        self._client = client
        self._clock = clock
        self._tasks = tasks
        self._informers: dict[tuple[Resource, str, str, str], Informer] = {}

    def of(self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "") -> Informer:
        """The one informer of this selection, started."""
        key = (resource, namespace, labels, fields)
        informer = self._informers.get(key)
        if informer is None:
            informer = Informer(self._client, resource, self._clock, namespace, labels, fields)
            self._informers[key] = informer
            informer.start(self._tasks)
        return informer

    async def synced(self) -> None:
        """Waits for all that have been asked for."""
        for informer in list(self._informers.values()):
            await informer.synced()
