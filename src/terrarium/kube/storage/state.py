"""The memory of a store: what is there now, in key order, and the log of writes since the last compaction.

Theory of operation. The log is a list in the order of revisions (which have gaps where others write to the same etcd).
An older state is never kept as such: it is today's state with the later writes of the log undone, which each of them can
tell (`previous`). That makes a write cheap and a read of the past proportional to what happened since.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence

from terrarium.kube.storage.contract import Compacted, Entry, Event, Future, Page, Revision

FIRST_REVISION = 1
"""The revision of an empty store, as in etcd: the first write is 2."""


class SortedKeys:
    """A sorted set of strings in chunks, so that adding to a hundred thousand costs what adding to a thousand does."""

    CHUNK = 1024

    def __init__(self, keys: Sequence[str] = ()) -> None:
        ordered = sorted(keys)
        self._chunks = [ordered[i : i + self.CHUNK] for i in range(0, len(ordered), self.CHUNK)] or [[]]
        self._firsts = [chunk[0] if chunk else "" for chunk in self._chunks]

    def _chunk_of(self, key: str) -> int:
        return max(0, bisect_right(self._firsts, key) - 1)

    def add(self, key: str) -> None:
        at = self._chunk_of(key)
        chunk = self._chunks[at]
        insort(chunk, key)
        self._firsts[at] = chunk[0]
        if len(chunk) > 2 * self.CHUNK:
            half = len(chunk) // 2
            self._chunks[at : at + 1] = [chunk[:half], chunk[half:]]
            self._firsts[at : at + 1] = [chunk[0], chunk[half]]

    def remove(self, key: str) -> None:
        at = self._chunk_of(key)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, key)]
        if chunk:
            self._firsts[at] = chunk[0]
        elif len(self._chunks) > 1:
            del self._chunks[at], self._firsts[at]
        else:
            self._firsts[at] = ""

    def first(self, start: str) -> str:
        """The first key >= `start`, "" when there is none."""
        at = self._chunk_of(start)
        for chunk in self._chunks[at : at + 2]:
            found = bisect_left(chunk, start)
            if found < len(chunk):
                return chunk[found]
        return ""

    def since(self, start: str) -> Iterator[str]:
        """Keys from the first >= `start`. The set must not change while this is read."""
        at = self._chunk_of(start)
        chunk = self._chunks[at]
        yield from chunk[bisect_left(chunk, start) :]
        for chunk in self._chunks[at + 1 :]:
            yield from chunk


class State:
    """Entries, their order and the log. Not one of its methods waits."""

    def __init__(self, entries: Sequence[Entry] = (), revision: Revision = FIRST_REVISION) -> None:
        self._entries = {entry.key: entry for entry in entries}
        self._keys = SortedKeys(list(self._entries))
        self._log: list[Event] = []
        self.oldest: Revision = revision
        """The oldest revision that can still be read."""
        self.revision: Revision = revision

    def current(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def apply(self, event: Event) -> None:
        """Takes in the next write."""
        entry = event.entry
        assert entry.revision > self.revision, "writes come in the order of their revisions"
        if event.deleted:
            del self._entries[entry.key]
            self._keys.remove(entry.key)
        else:
            if event.previous is None:
                self._keys.add(entry.key)
            self._entries[entry.key] = entry
        self._log.append(event)
        self.revision = entry.revision

    def advance(self, revision: Revision) -> None:
        """Revisions up to this one are somebody else's."""
        self.revision = max(self.revision, revision)

    def _position(self, revision: Revision) -> int:
        """Where in the log the writes after `revision` begin."""
        return bisect_right(self._log, revision, key=_revision_of)

    def _check(self, at: Revision) -> None:
        if at > self.revision:
            raise Future(f"revision {at} has not been written yet; the last is {self.revision}")
        if at < self.oldest:
            raise Compacted(at, self.oldest)

    def events(self, since: Revision) -> Sequence[Event]:
        """Writes after `since`. `Compacted` when some of them are no longer kept."""
        if since < self.oldest:
            raise Compacted(since, self.oldest)
        return self._log[self._position(since) :]

    def get(self, key: str, at: Revision) -> Entry | None:
        if at == 0 or at == self.revision:
            return self._entries.get(key)
        self._check(at)
        entry = self._entries.get(key)
        if entry is not None and entry.revision <= at:
            return entry
        for event in self.events(at):
            if event.entry.key == key:
                return event.previous
        return entry

    def list(self, prefix: str, at: Revision, start: str, limit: int) -> Page:
        if at == 0:
            at = self.revision
        self._check(at)
        start = max(start, prefix)
        if at == self.revision and not self._keys.first(start).startswith(prefix):
            # Most questions of admission are about kinds of which there is none.
            return Page([], at, more=False, remaining=0)
        past: dict[str, Entry | None] = {}
        for event in self.events(at):
            key = event.entry.key
            if key >= start and key.startswith(prefix) and key not in past:
                past[key] = event.previous
        # Keys that were there then and are gone now; the others are found among today's.
        gone = sorted(key for key, entry in past.items() if entry is not None and key not in self._entries)
        found: list[Entry] = []
        left = 0
        for key in _merge(self._keys.since(start), gone, prefix):
            entry = past[key] if key in past else self._entries[key]
            if entry is None:
                continue
            if limit and len(found) == limit:
                left += 1
            else:
                found.append(entry)
        return Page(found, at, more=left > 0, remaining=left)

    def compact(self, revision: Revision) -> None:
        """Forgets the writes up to `revision`: its state remains readable, older ones do not."""
        if revision > self.revision:
            raise Future(f"revision {revision} has not been written yet; the last is {self.revision}")
        if revision > self.oldest:
            del self._log[: self._position(revision)]
            self.oldest = revision


def _revision_of(event: Event) -> Revision:
    return event.entry.revision


def _merge(keys: Iterator[str], gone: Sequence[str], prefix: str) -> Iterator[str]:
    """Both in order, up to the end of `prefix`. They have no key in common."""
    if not gone:
        for key in keys:
            if not key.startswith(prefix):
                return
            yield key
        return
    rest = iter(gone)
    missing = next(rest, None)
    for key in keys:
        if not key.startswith(prefix):
            break
        while missing is not None and missing < key:
            yield missing
            missing = next(rest, None)
        yield key
    if missing is not None:
        yield missing
        yield from rest
