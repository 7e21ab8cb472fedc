"""Writes core/v1 Events as client-go's recorder does: repeated ones are counted, floods are folded, and nobody waits.

Three steps, in the order of client-go's EventCorrelator:

1. *Aggregation*: of one object and reason, the tenth different message within ten minutes and those after it become one
   event whose message begins with "(combined from similar events)".
2. *Counting*: the same event again raises `count` and `lastTimestamp` of the one that stands, by a patch.
3. *Limit*: 25 events per object at once and one more each five minutes; the rest is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from terrarium.base.clock import Clock, rfc3339
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import EVENTS, ApiError, Client

log = logging.getLogger(__name__)

MOST_SIMILAR = 10
SIMILAR_WITHIN = 600.0
BURST = 25.0
REFILL_SECONDS = 300.0
REMEMBERED = 4096


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    last: float = 0.0


@dataclass(slots=True)
class _Bucket:
    left: float = BURST
    at: float = 0.0


@dataclass(slots=True)
class _Written:
    name: str
    count: int


def reference(obj: Obj, field_path: str = "") -> dict[str, str]:
    """An ObjectReference to `obj` as events and bindings hold it."""
    meta = obj["metadata"]
    found = {
        "kind": obj.get("kind", ""),
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
        "uid": meta.get("uid", ""),
        "apiVersion": obj.get("apiVersion", ""),
        "resourceVersion": meta.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {k: v for k, v in found.items() if v}


class Recorder:
    """Events of one component. `event` returns at once; a task of the owner's writes them in order."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self._client = client
        self._clock = clock
        self._source = {"component": component} | ({"host": host} if host else {})
        self._queue: asyncio.Queue[tuple[dict[str, str], str, str, str, float, dict[str, str]]] = asyncio.Queue()
        self._similar: OrderedDict[tuple[Any, ...], _Similar] = OrderedDict()
        self._buckets: OrderedDict[tuple[Any, ...], _Bucket] = OrderedDict()
        self._written: OrderedDict[tuple[Any, ...], _Written] = OrderedDict()
        self._stamp = 0

    def start(self, tasks: Tasks) -> None:
        tasks.keep(f"events of {self._source['component']}", self._write)

    def event(self, obj: Obj, kind: str, reason: str, message: str, field_path: str = "", host: str = "") -> None:
        """`kind` is Normal or Warning; `obj` needs kind, apiVersion and metadata (as `reference` reads them)."""
        self.refer(reference(obj, field_path), kind, reason, message, host)

    def refer(self, about: dict[str, str], kind: str, reason: str, message: str, host: str = "") -> None:
        """The same for an object of which only the reference is known."""
        source = self._source | ({"host": host} if host else {})
        self._queue.put_nowait((about, kind, reason, message, self._clock.time(), source))

    async def settled(self) -> None:
        """Waits until what was recorded so far is written."""
        await self._queue.join()

    async def _write(self) -> None:
        while True:
            entry = await self._queue.get()
            try:
                await self._correlate(*entry)
            except (ApiError, OSError) as failure:
                log.info("event %s dropped: %s", entry[2], failure)
            finally:
                self._queue.task_done()

    async def _correlate(
        self, about: dict[str, str], kind: str, reason: str, message: str, now: float, source: dict[str, str]
    ) -> None:
        who = tuple(about.get(k, "") for k in ("kind", "namespace", "name", "uid", "apiVersion"))
        where = (*source.items(),)
        similar = _remember(self._similar, (where, who, kind, reason), _Similar)
        if now - similar.last > SIMILAR_WITHIN:
            similar.messages.clear()
        similar.last = now
        similar.messages.add(message)
        identity: tuple[Any, ...] = (where, who, kind, reason, message, about.get("fieldPath", ""))
        if len(similar.messages) >= MOST_SIMILAR:
            similar.messages.pop()
            message = f"(combined from similar events): {message}"
            identity = (where, who, kind, reason)
        if not self._allowed((where, who), now):
            return
        written = self._written.get(identity)
        if written is not None and await self._count(written, about, message, now):
            return
        name = await self._create(about, kind, reason, message, now, source)
        _remember(self._written, identity, lambda: _Written(name, 1)).name = name

    def _allowed(self, key: tuple[Any, ...], now: float) -> bool:
        bucket = _remember(self._buckets, key, _Bucket)
        bucket.left = min(BURST, bucket.left + (now - bucket.at) / REFILL_SECONDS) if bucket.at else BURST
        bucket.at = now
        if bucket.left < 1.0:
            return False
        bucket.left -= 1.0
        return True

    async def _count(self, written: _Written, about: dict[str, str], message: str, now: float) -> bool:
        patch = {"count": written.count + 1, "lastTimestamp": _time(now), "message": message}
        try:
            await self._client.patch(EVENTS, written.name, patch, about.get("namespace") or "default", type="strategic")
        except ApiError as error:
            if error.code == 404:
                written.count = 0
                return False
            raise
        written.count += 1
        return True

    async def _create(
        self, about: dict[str, str], kind: str, reason: str, message: str, now: float, source: dict[str, str]
    ) -> str:
        namespace = about.get("namespace") or "default"
        # Real names end in the nanoseconds; two events of one moment must still differ.
        self._stamp = max(self._stamp + 1, int(now * 1_000_000_000))
        name = f"{about['name']}.{self._stamp:x}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "source": source,
            "firstTimestamp": _time(now),
            "lastTimestamp": _time(now),
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": source["component"],
            "reportingInstance": source.get("host", ""),
        }
        await self._client.create(EVENTS, event, namespace)
        return name


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def _remember(cache: OrderedDict[tuple[Any, ...], Any], key: tuple[Any, ...], make: Any) -> Any:
    """The entry of `key`, made when there is none; the one not used for longest goes when there are too many."""
    found = cache.get(key)
    if found is None:
        found = cache[key] = make()
        if len(cache) > REMEMBERED:
            cache.popitem(last=False)
    else:
        cache.move_to_end(key)
    return found
