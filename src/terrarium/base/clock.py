"""The one clock of a world. Everything that waits or asks for the time does so here.

Theory of operation. Time runs as real time plus an offset; `advance` adds to the offset and wakes every sleeper whose
moment has come, in the order of their moments, so a test or a class may jump 21 days. There are two kinds of waiting:

- a *timer* (`sleep`, `sleep_until`): a TTL, a lease, a back-off. It ends when the clock shows its moment.
- a *transition* (`transition`): something that merely takes long in the real AWS: a cluster that is CREATING, a node
  that boots. At pace `instant` it takes no time, at pace `aws` the real duration (as a timer).
- a *heartbeat* (`heartbeat`): a lease renewal, a periodic look around. A jump doesn't stop for each of its beats (21
  days hold 181,440 lease renewals): it beats once at each moment where the jump stops for a timer, and at the end.

Deadlines of real sockets and processes are no business of the world's time: those use `real_sleep` and `real_monotonic`.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Pace(enum.Enum):
    INSTANT = "instant"
    AWS = "aws"


class Clock:
    """Real time plus an offset that can be advanced. One per world; its sleepers belong to the running event loop.

    `read` gives real seconds since 1970 and may be replaced by a test. `frozen` stops real time: only `advance` moves.
    """

    def __init__(
        self,
        pace: Pace = Pace.INSTANT,
        offset: float = 0.0,
        read: Callable[[], float] = time.time,
        frozen: bool = False,
    ) -> None:
        self.pace = pace
        self._offset = offset
        self._read = read
        self._frozen_at = read() if frozen else None
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._heartbeats: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def offset(self) -> float:
        """Seconds by which this world is ahead of real time."""
        return self._offset

    def time(self) -> float:
        """Seconds since 1970 in this world."""
        return (self._read() if self._frozen_at is None else self._frozen_at) + self._offset

    def now(self) -> datetime:
        """The world's time, aware, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    async def sleep(self, seconds: float) -> None:
        """Waits until the world's clock is `seconds` further."""
        await self.sleep_until(self.time() + seconds)

    async def sleep_until(self, moment: float | datetime) -> None:
        await self._wait(self._sleepers, moment.timestamp() if isinstance(moment, datetime) else moment)

    async def heartbeat(self, seconds: float) -> None:
        """Waits like `sleep`, but a jump over many beats wakes it only where the jump stops anyway."""
        await self._wait(self._heartbeats, self.time() + seconds)

    async def _wait(self, heap: list[tuple[float, int, asyncio.Future[None]]], due: float) -> None:
        import asyncio  # not at the top: a command that never waits starts sooner

        if due <= self.time():
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(heap, (due, next(self._serial), future))
        self._arm()
        await future

    async def transition(self, seconds: float) -> None:
        """Waits as long as the real service would need, or not at all at pace `instant`."""
        import asyncio

        if self.pace is Pace.AWS:
            await self.sleep(seconds)
        else:
            await asyncio.sleep(0)

    async def advance(self, by: timedelta | float) -> datetime:
        """Jumps ahead, firing timers in the order of their moments; each sees the clock at its own moment.

        Returns the new time. Between two moments the event loop runs, so that what a timer starts may set new timers
        which fall into the same jump.
        """
        import asyncio

        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if seconds < 0:
            raise ValueError("a clock can't be turned back")
        target = self.time() + seconds
        while self._sleepers and self._sleepers[0][0] <= target:
            self._offset += max(0.0, self._sleepers[0][0] - self.time())
            self._wake()
            for _ in range(8):
                await asyncio.sleep(0)
        self._offset += max(0.0, target - self.time())
        self._wake()
        return self.now()

    def _wake(self) -> None:
        now = self.time()
        for heap in (self._sleepers, self._heartbeats):
            while heap and heap[0][0] <= now:
                future = heapq.heappop(heap)[2]
                if not future.done():
                    future.set_result(None)
        self._arm()

    def _arm(self) -> None:
        import asyncio

        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for heap in (self._sleepers, self._heartbeats):
            while heap and heap[0][2].done():
                heapq.heappop(heap)
        next_due = min((heap[0][0] for heap in (self._sleepers, self._heartbeats) if heap), default=None)
        if next_due is not None and self._frozen_at is None:
            # A whole day at most, so that a suspended machine or a changed wall clock is noticed.
            wait = min(max(0.0, next_due - self.time()), 86_400.0)
            # A timer may fire a hair early; the millisecond keeps it from spinning.
            self._timer = asyncio.get_running_loop().call_later(wait + 0.001, self._wake)


def rfc3339(moment: datetime) -> str:
    """Seconds precision with `Z`, the form of Kubernetes and most of AWS."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def rfc3339_micro(moment: datetime) -> str:
    """Kubernetes' MicroTime: exactly six digits of a second."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Reads any RFC 3339 time. ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return moment.astimezone(UTC)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def parse_duration(text: str) -> timedelta:
    """Reads `90s`, `1h30m`, `21d`, `1.5h`. ValueError names what was expected."""
    rest, total = text.strip(), 0.0
    if not rest:
        raise ValueError("empty duration; write for example 90s, 1h30m or 21d")
    while rest:
        digits = next((i for i, c in enumerate(rest) if not (c.isdigit() or c == ".")), len(rest))
        letters = next((i for i, c in enumerate(rest[digits:]) if not c.isalpha()), len(rest) - digits)
        unit = rest[digits : digits + letters]
        try:
            total += float(rest[:digits]) * _UNITS[unit]
        except (ValueError, KeyError):
            raise ValueError(f"{text!r} is no duration; write for example 90s, 1h30m or 21d") from None
        rest = rest[digits + letters :]
    return timedelta(seconds=total)


def real_monotonic() -> float:
    """Seconds of real time for deadlines and measurements, never shown as a time of the world."""
    return time.monotonic()


def real_sleep(seconds: float) -> None:
    """Blocks a thread for real time: polling of foreign processes and endpoints only."""
    time.sleep(seconds)


def real_wait(event: threading.Event, seconds: float) -> bool:
    """Waits for real time unless `event` is set first; true when it was set."""
    return event.wait(seconds)


def stopwatch() -> Callable[[], float]:
    """Starts now; each call gives the real seconds since."""
    start = time.perf_counter()
    return lambda: time.perf_counter() - start
