"""WATCH: from the store's writes to events of one selection, each encoded once for all who watch it.

An object that comes into a selection is ADDED, one that leaves it DELETED, whatever was written. A watch without a
resourceVersion (or from 0) begins with what there is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.lists import Selection, parse_revision
from terrarium.kube.apiserver.records import Record
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.client.contract import EventType
from terrarium.kube.storage.contract import Compacted, Entry, Event, Progress, SlowWatcher


@dataclass(frozen=True, slots=True)
class Change:
    """An event of a watch; `revision` is where the watch stands behind it."""

    type: EventType
    record: Record
    revision: int


def expired(asked: int, oldest: int) -> Obj:
    """The Status in an ERROR event."""
    return errors.status(410, "Expired", f"too old resource version: {asked} ({oldest})").status


class Watching:
    """One watch. Iterating gives batches; an empty batch means: nothing, but all up to `revision` was told.

    Ends with `ApiError` 410 when the revision is too old, or when the reader was too slow.
    """

    def __init__(
        self,
        resources: Resources,
        kind: Kind,
        namespace: str,
        selection: Selection,
        revision: str,
        initial: bool | None = None,
    ) -> None:
        self.kind = kind
        self._resources = resources
        self._selection = selection
        self._prefix = resources.prefix(kind, namespace if kind.namespaced else "")
        self._from = parse_revision(revision)
        self._initial = self._from == 0 if initial is None else initial
        self.revision = self._from
        self._source: AsyncIterator[object] | None = None

    async def first(self) -> list[Change]:
        """Opens the watch and gives what it begins with. `ApiError` 410 when the revision is too old."""
        storage = self._resources.storage
        initial: list[Change] = []
        if self._initial:
            # The watch is opened at the list's revision, and no write can come between: reads are from memory.
            page = await storage.list(self._prefix)
            self.revision = page.revision
            records = [self._resources.records.of(entry) for entry in page.entries]
            await self._resources.ready(self.kind, records)
            for entry, record in zip(page.entries, records, strict=True):
                if self._selection.fits(record, self.kind):
                    initial.append(Change("ADDED", record, entry.revision))
            since = page.revision
        else:
            since = self._from or storage.revision
        try:
            self._source = storage.watch(self._prefix, since)
        except Compacted as gone:
            raise errors.status(410, "Expired", f"too old resource version: {since} ({gone.oldest})") from None
        return initial

    def __aiter__(self) -> Watching:
        return self

    async def __anext__(self) -> list[Change]:
        assert self._source is not None
        try:
            batch = await self._source.__anext__()
        except SlowWatcher as slow:
            raise errors.status(410, "Expired", f"too old resource version: {self.revision} ({slow})") from None
        if isinstance(batch, Progress):
            self.revision = max(self.revision, batch.revision)
            return []
        assert isinstance(batch, Sequence)
        if self._resources.converts(self.kind):
            entries = [e for event in batch for e in (event.entry, event.previous) if e is not None]
            await self._resources.ready(self.kind, [self._resources.records.of(entry) for entry in entries])
        return list(self._changes(batch))

    def _changes(self, batch: Iterable[Event]) -> Iterable[Change]:
        records = self._resources.records
        for event in batch:
            entry = event.entry
            self.revision = entry.revision
            if not self._selection:
                kind: EventType = "DELETED" if event.deleted else "MODIFIED" if event.previous else "ADDED"
                yield Change(kind, records.of(entry), entry.revision)
                continue
            new = None if event.deleted else records.of(entry)
            old = records.of(event.previous) if event.previous else None
            was = old is not None and self._selection.fits(old, self.kind)
            fits = new is not None and self._selection.fits(new, self.kind)
            if fits and new is not None:
                yield Change("MODIFIED" if was else "ADDED", new, entry.revision)
            elif was and event.previous is not None:
                # What leaves is told as it last was in the selection, at the revision at which it left.
                last = Entry(entry.key, event.previous.value, entry.revision, entry.created)
                yield Change("DELETED", records.of(last) if event.deleted else Record(last), entry.revision)

    def close(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()
