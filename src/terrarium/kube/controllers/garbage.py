"""The garbage collector: what is owned goes with its owners; deletion in the foreground, background, or with orphans.

Theory of operation. It follows every resource, and keeps by uid which objects name an owner. One round looks at one
object and asks, in this order:

1. Is it being deleted and holds the `orphan` finalizer? Its dependents forget it, then the finalizer goes.
2. Is it being deleted and holds `foregroundDeletion`? Dependents that block it are looked at; when there is none left
   the finalizer goes.
3. Has it owners? Each is *solid* (exists and stays), *waiting* (being deleted in the foreground) or *gone*. With a
   solid owner only the other references are dropped; without one the object is deleted.

An owner is looked up in the caches first; that it is gone is believed only when the API server says so.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.catalogue import CRDS, IGNORED, Catalogue, Entry
from terrarium.kube.controllers.runner import Controller, Writer

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_NEW_KINDS_SECONDS = 30.0


class Item(NamedTuple):
    resource: Resource
    namespace: str
    name: str


class Owner(enum.Enum):
    SOLID = "solid"
    WAITING = "waiting"
    GONE = "gone"
    UNKNOWN = "unknown"
    """Of a kind nobody serves: nothing can be said."""


class Step(enum.Enum):
    NOTHING = "nothing"
    DROP_REFERENCES = "drop references"
    DELETE = "delete"
    DELETE_FOREGROUND = "delete in the foreground"


def decide(owners: Mapping[str, Owner], has_dependents: bool) -> tuple[Step, Sequence[str]]:
    """What to do with an object whose owners (by uid) are in these states; the uids are those to drop."""
    states = set(owners.values())
    if not owners or Owner.UNKNOWN in states:
        return Step.NOTHING, ()
    if Owner.SOLID in states:
        drop = [uid for uid, state in owners.items() if state is not Owner.SOLID]
        return (Step.DROP_REFERENCES, drop) if drop else (Step.NOTHING, ())
    if Owner.WAITING in states and has_dependents:
        return Step.DELETE_FOREGROUND, ()
    return Step.DELETE, ()


def holds(obj: Obj, finalizer: str) -> bool:
    return finalizer in (obj["metadata"].get("finalizers") or ())


def waits_for_dependents(obj: Obj) -> bool:
    return o.deleting(obj) and holds(obj, FOREGROUND)


class GarbageCollector(Controller):
    name: ClassVar[str] = "generic-garbage-collector"
    component: ClassVar[str] = "garbage-collector-controller"
    inputs: ClassVar[Sequence[Resource]] = (CRDS,)
    workers: ClassVar[int] = 20

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.catalogue = Catalogue()
        self._dependents: dict[str, set[Item]] = {}
        self._owners: dict[Item, tuple[str, ...]] = {}
        self._by_uid: dict[str, Item] = {}
        self._followed: set[Resource] = set()
        self._tasks: Tasks | None = None

    def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        super().start(tasks)
        tasks.keep("garbage collector kinds", self._learn)
        self._follow_kinds()

    async def _learn(self) -> None:
        crds = self.caches.of(CRDS)
        await crds.synced()
        while True:
            self.catalogue.take_crds(crds)
            self._follow_kinds()
            await self.clock.heartbeat(_NEW_KINDS_SECONDS)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Any]:
        return ()

    def _follow_kinds(self) -> None:
        for entry in self.catalogue:
            key = (entry.resource.group, entry.resource.plural)
            if entry.resource not in self._followed and key not in IGNORED:
                self._followed.add(entry.resource)
                self.caches.of(entry.resource).on_change(self._graph(entry))

    def _graph(self, entry: Entry) -> Any:
        def changed(old: Obj | None, new: Obj | None) -> None:
            obj = new or old
            assert obj is not None
            item = Item(entry.resource, o.namespace(obj), o.name(obj))
            uid = o.uid(obj)
            if new is None:
                self._forget(item, uid)
                return
            self._by_uid[uid] = item
            refs = tuple(r["uid"] for r in new["metadata"].get("ownerReferences") or ())
            before = self._owners.get(item, ())
            if refs != before:
                self._relink(item, before, refs)
            if refs or o.deleting(new):
                self.queue.add(item)
            if waits_for_dependents(new) and (old is None or not waits_for_dependents(old)):
                for dependent in self._dependents.get(uid, ()):
                    self.queue.add(dependent)

        return changed

    def _forget(self, item: Item, uid: str) -> None:
        if self._by_uid.get(uid) == item:
            del self._by_uid[uid]
        self._relink(item, self._owners.pop(item, ()), ())
        for dependent in self._dependents.get(uid, ()):
            self.queue.add(dependent)

    def _relink(self, item: Item, before: Iterable[str], now: Sequence[str]) -> None:
        for uid in before:
            links = self._dependents.get(uid)
            if links is not None:
                links.discard(item)
                if not links:
                    del self._dependents[uid]
            if uid not in now and uid in self._by_uid:
                # An owner that waited for this one may go on.
                self.queue.add(self._by_uid[uid])
        for uid in now:
            self._dependents.setdefault(uid, set()).add(item)
        if now:
            self._owners[item] = tuple(now)
        else:
            self._owners.pop(item, None)

    async def sync(self, key: Any, write: Writer) -> float | None:
        item: Item = key
        cached = self.caches.of(item.resource).get(item.namespace, item.name)
        if cached is None:
            return None
        if o.deleting(cached) and holds(cached, ORPHAN):
            await self._orphan(item, cached, write)
        elif waits_for_dependents(cached):
            await self._wait_for_dependents(item, cached, write)
        elif not o.deleting(cached):
            await self._look_at_owners(item, cached, write)
        return None

    def _dependents_of(self, obj: Obj) -> list[tuple[Item, Obj]]:
        found = []
        for item in list(self._dependents.get(o.uid(obj), ())):
            dependent = self.caches.of(item.resource).get(item.namespace, item.name)
            if dependent is not None:
                found.append((item, dependent))
        return found

    async def _orphan(self, item: Item, obj: Obj, write: Writer) -> None:
        for dependent_item, dependent in self._dependents_of(obj):
            await self._drop(dependent_item, dependent, [o.uid(obj)], write)
        await self._remove_finalizer(item, obj, ORPHAN, write)

    async def _wait_for_dependents(self, item: Item, obj: Obj, write: Writer) -> None:
        blocking = [
            (dependent_item, dependent)
            for dependent_item, dependent in self._dependents_of(obj)
            if any(
                r["uid"] == o.uid(obj) and r.get("blockOwnerDeletion")
                for r in dependent["metadata"].get("ownerReferences") or ()
            )
        ]
        if not blocking:
            await self._remove_finalizer(item, obj, FOREGROUND, write)
        for dependent_item, dependent in blocking:
            if not o.deleting(dependent):
                self.queue.add(dependent_item)

    async def _look_at_owners(self, item: Item, cached: Obj, write: Writer) -> None:
        refs = cached["metadata"].get("ownerReferences") or ()
        if not refs:
            return
        owners = {ref["uid"]: await self._owner(item, cached, ref, write) for ref in refs}
        dependents = self._dependents_of(cached)
        step, drop = decide(owners, bool(dependents))
        if step is Step.NOTHING:
            return
        if step is Step.DROP_REFERENCES:
            await self._drop(item, cached, drop, write)
            return
        if step is Step.DELETE_FOREGROUND and any(waits_for_dependents(d) for _, d in dependents):
            # A circle of objects that wait for each other: this one no longer blocks its owners.
            await self._unblock(cached, item, write)
        policy = "Foreground" if step is Step.DELETE_FOREGROUND else "Background"
        if holds(cached, ORPHAN):
            policy = "Orphan"
        elif holds(cached, FOREGROUND):
            policy = "Foreground"
        try:
            await write.delete(item.resource, cached, propagation=policy, uid=o.uid(cached))
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _owner(self, item: Item, obj: Obj, ref: Mapping[str, Any], write: Writer) -> Owner:
        known = self._by_uid.get(ref["uid"])
        entry = self.catalogue.of_kind(ref["apiVersion"], ref["kind"])
        if known is not None and known.namespace in ("", item.namespace):
            owner = self.caches.of(known.resource).get(known.namespace, known.name)
            if owner is not None and o.uid(owner) == ref["uid"]:
                return Owner.WAITING if waits_for_dependents(owner) else Owner.SOLID
        if entry is None:
            return Owner.UNKNOWN
        if entry.namespaced and (not item.namespace or (known is not None and known.namespace != item.namespace)):
            self._tell_wrong_namespace(item, obj, ref)
            return Owner.GONE if item.namespace else Owner.UNKNOWN
        try:
            owner = await write.client.get(entry.resource, ref["name"], item.namespace if entry.namespaced else "")
        except ApiError as error:
            if error.code == 404:
                return Owner.GONE
            raise
        if o.uid(owner) != ref["uid"]:
            return Owner.GONE
        return Owner.WAITING if waits_for_dependents(owner) else Owner.SOLID

    def _tell_wrong_namespace(self, item: Item, obj: Obj, ref: Mapping[str, Any]) -> None:
        where = f'namespace "{item.namespace}"' if item.namespace else 'namespace ""'
        text = (
            f"ownerRef [{ref['apiVersion']}/{ref['kind']}, namespace: {item.namespace}, name: {ref['name']}, "
            f"uid: {ref['uid']}] does not exist in {where}"
        )
        entry = self.catalogue.of(item.resource)
        assert entry is not None
        about = {"kind": entry.kind, "apiVersion": entry.api_version, "metadata": obj["metadata"]}
        self.events.event(about, "Warning", "OwnerRefInvalidNamespace", text)

    async def _drop(self, item: Item, obj: Obj, uids: Sequence[str], write: Writer) -> None:
        left = [r for r in obj["metadata"].get("ownerReferences") or () if r["uid"] not in uids]
        await self._patch(item, obj, {"ownerReferences": left or None}, write)

    async def _unblock(self, obj: Obj, item: Item, write: Writer) -> None:
        refs = [{**r, "blockOwnerDeletion": False} for r in obj["metadata"]["ownerReferences"]]
        await self._patch(item, obj, {"ownerReferences": refs}, write)

    async def _remove_finalizer(self, item: Item, obj: Obj, finalizer: str, write: Writer) -> None:
        left = [f for f in obj["metadata"].get("finalizers") or () if f != finalizer]
        await self._patch(item, obj, {"finalizers": left or None}, write)

    async def _patch(self, item: Item, obj: Obj, meta: dict[str, Any], write: Writer) -> None:
        """Replaces lists of the metadata, if the object is still at the revision they were read from."""
        guarded = {**meta, "uid": o.uid(obj), "resourceVersion": obj["metadata"]["resourceVersion"]}
        try:
            await write.patch(item.resource, obj, {"metadata": guarded}, type="merge")
        except ApiError as error:
            if error.code != 404:
                raise
