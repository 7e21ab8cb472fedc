"""The journal: every mutating call that moto has answered, in order, so that a restart can play them again.

An entry holds the request without its signature, the seed of the random source and the world's time at the call, and
what the call drew from sources that no seed controls (private keys). See docs/decisions/0003-aws-state.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from terrarium.cloud.records import Records


@dataclass(frozen=True, slots=True)
class Entry:
    service: str
    region: str
    operation: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    access_key: str
    seed: str
    time: float
    """Seconds since 1970 in the world at the call."""
    status: int = 0
    """What moto answered; a replay that answers otherwise is reported."""
    drawn: list[Any] = field(default_factory=list)
    """Values of `tape` sources in the order they were drawn."""


class Journal:
    """Appends and reads entries. Used from one thread."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._next = 1
        self._last: Future[None] = Future()
        self._last.set_result(None)

    def durable(self) -> Future[None]:
        """Ends when everything appended so far is on the disk; what the disk has refused is tried again."""
        if self._last.done() and self._last.exception() is not None:
            self._last = self._records.submit([])
        return self._last

    def load(self) -> Iterator[tuple[Entry, bytes]]:
        for seq, body, content in self._records.read("SELECT seq, body, content FROM journal ORDER BY seq"):
            self._next = seq + 1
            yield Entry(**orjson.loads(body)), content

    @property
    def length(self) -> int:
        return self._next - 1

    def append(self, entry: Entry, content: bytes) -> None:
        statement = ("INSERT INTO journal VALUES (?, ?, ?)", (self._next, orjson.dumps(asdict(entry)), content))
        self._next += 1
        self._last = self._records.submit([statement])
