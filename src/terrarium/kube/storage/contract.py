"""What a store promises (etcd's own promises), whatever keeps it. One contract suite runs on every implementation.

- Revisions are one growing counter for the whole store; each acknowledged write has one of its own.
- A write that was acknowledged is on disk (where there is one) and visible to every read that starts afterwards.
- A watch from revision R gives every write after R to a matching key, once, in order, and never one that was refused.
- After `compact(R)` reads at, and watches from, revisions before R raise `Compacted`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

Revision = int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value; `revision` is that of its last write, `created` that of its first."""

    key: str
    value: bytes
    revision: Revision
    created: Revision


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in key order, read at `revision`. `more` says that the limit cut; `remaining` how many are left then."""

    entries: Sequence[Entry]
    revision: Revision
    more: bool = False
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A write. `entry` is the new state (for a deletion: the last state, with the deletion's revision); `previous`
    the state before, None for a creation."""

    entry: Entry
    previous: Entry | None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """A watch's word that everything up to `revision` has been given (for bookmarks)."""

    revision: Revision


class StorageError(Exception):
    """Base of what a store refuses."""


class Conflict(StorageError):
    """The key is not at the expected revision; `current` is what is there (None: nothing)."""

    def __init__(self, key: str, current: Entry | None) -> None:
        super().__init__(f"{key} changed")
        self.key = key
        self.current = current


class Compacted(StorageError):
    """The asked revision is no longer kept; `oldest` is."""

    def __init__(self, revision: Revision, oldest: Revision) -> None:
        super().__init__(f"revision {revision} has been compacted; the oldest is {oldest}")
        self.oldest = oldest


class Future(StorageError):
    """The asked revision has not been written yet."""


class Unavailable(StorageError):
    """The disk (or the etcd) can't take writes now; reads go on where memory has the answer."""


class SlowWatcher(StorageError):
    """The watcher fell too far behind and was dropped; it must list again."""


class Storage(Protocol):
    async def start(self) -> None:
        """Opens and recovers. Nothing else may be called before."""
        ...

    async def close(self) -> None: ...

    @property
    def revision(self) -> Revision:
        """That of the last acknowledged write."""
        ...

    async def get(self, key: str, at: Revision = 0) -> Entry | None:
        """`at` 0: now."""
        ...

    async def put(self, key: str, value: bytes, *, expect: Revision) -> Entry:
        """Writes when the key is at revision `expect` (0: absent), else raises `Conflict`."""
        ...

    async def delete(self, key: str, *, expect: Revision) -> Entry:
        """Removes; returns the last state with the deletion's revision. `Conflict` when it is not as expected."""
        ...

    async def list(self, prefix: str, *, at: Revision = 0, start: str = "", limit: int = 0) -> Page:
        """Keys with `prefix`, from the first one >= `start`, at most `limit` (0: all)."""
        ...

    def watch(self, prefix: str, since: Revision) -> AsyncIterator[Sequence[Event] | Progress]:
        """Batches of writes after `since` (0: from now on). Ends with `Compacted` or `SlowWatcher`."""
        ...

    async def compact(self, revision: Revision) -> None: ...
