"""The scheduling queue: active, back-off, unschedulable, gated (kube-scheduler backend/queue).

Theory of operation. `pop` gives the most urgent pod of the active queue; when that is empty, of the back-off queue,
before its back-off is over (PopFromBackoffQ). A pod that found no node waits among the unschedulable ones until an
event makes it worth another try, or until five minutes have passed. Events that come while a pod is being tried are
remembered, and count when it fails. All moments are seconds of the world's clock, handed in.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from terrarium.kube.scheduler.views import Pod

UNSCHEDULABLE_SECONDS = 300.0


@dataclass(slots=True)
class Queued:
    """A pod that waits. `where` is active, backoff, unschedulable or gated; `plugins` are those which said no."""

    pod: Pod
    since: float
    where: str = "active"
    attempts: int = 0
    backoff_until: float = 0.0
    plugins: frozenset[str] = frozenset()


class Queue:
    """`gated` says whether a pod may not be tried yet."""

    def __init__(
        self, gated: Callable[[Pod], bool], initial_backoff: float = 1.0, longest_backoff: float = 10.0
    ) -> None:
        self._gated = gated
        self._initial = initial_backoff
        self._longest = longest_backoff
        self._pods: dict[str, Queued] = {}
        self._active: list[tuple[int, float, int, Queued]] = []
        self._backoff: list[tuple[float, int, float, int, Queued]] = []
        self._serial = itertools.count()
        self._in_flight: dict[str, Queued] = {}
        self._moves = 0
        self._moves_at_pop: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, key: str) -> Queued | None:
        return self._pods.get(key)

    def waiting(self) -> Iterable[Queued]:
        return self._pods.values()

    def add(self, pod: Pod, now: float) -> None:
        """A new pending pod, or a changed one: whatever changed may make it fit."""
        known = self._pods.get(pod.key)
        if pod.key in self._in_flight:
            self._in_flight[pod.key].pod = pod
            self._moves += 1
            return
        queued = known or Queued(pod, now)
        queued.pod = pod
        self._pods[pod.key] = queued
        self._place(queued, now)

    def remove(self, key: str) -> None:
        self._pods.pop(key, None)
        self._in_flight.pop(key, None)

    def _place(self, queued: Queued, now: float) -> None:
        if self._gated(queued.pod):
            queued.where = "gated"
        elif queued.backoff_until > now:
            queued.where = "backoff"
            item = (queued.backoff_until, -queued.pod.priority, queued.since, next(self._serial), queued)
            heapq.heappush(self._backoff, item)
        else:
            queued.where = "active"
            queued.since = now
            heapq.heappush(self._active, (-queued.pod.priority, now, next(self._serial), queued))

    def pop(self) -> Queued | None:
        """The next pod to try, or None."""
        heaps: tuple[tuple[str, list[Any]], ...] = (("active", self._active), ("backoff", self._backoff))
        for name, heap in heaps:
            while heap:
                queued: Queued = heapq.heappop(heap)[-1]
                if self._pods.get(queued.pod.key) is queued and queued.where == name:
                    del self._pods[queued.pod.key]
                    queued.where = "in flight"
                    queued.attempts += 1
                    self._in_flight[queued.pod.key] = queued
                    self._moves_at_pop[queued.pod.key] = self._moves
                    return queued
        return None

    def done(self, queued: Queued) -> None:
        """The pod has its node (or is no longer to be scheduled)."""
        self._in_flight.pop(queued.pod.key, None)
        self._moves_at_pop.pop(queued.pod.key, None)

    def failed(self, queued: Queued, plugins: frozenset[str], now: float) -> None:
        """The pod found no node: it waits, unless something happened meanwhile."""
        if self._in_flight.pop(queued.pod.key, None) is None:
            return
        moved = self._moves != self._moves_at_pop.pop(queued.pod.key, self._moves)
        queued.since = now
        queued.plugins = plugins
        queued.backoff_until = now + min(self._initial * 2 ** (queued.attempts - 1), self._longest)
        self._pods[queued.pod.key] = queued
        if moved or not plugins:
            self._place(queued, now)
        else:
            queued.where = "unschedulable"

    def move(self, now: float, helps: Callable[[Queued], bool] = lambda queued: True) -> None:
        """Something happened in the cluster: pods which it may help are tried again."""
        self._moves += 1
        for queued in [q for q in self._pods.values() if q.where == "unschedulable"]:
            if helps(queued):
                self._place(queued, now)

    def flush(self, now: float) -> None:
        """Pods whose back-off is over become active, and those which waited five minutes are tried again."""
        while self._backoff and self._backoff[0][0] <= now:
            queued = heapq.heappop(self._backoff)[-1]
            if self._pods.get(queued.pod.key) is queued and queued.where == "backoff":
                self._place(queued, now)
        for queued in [q for q in self._pods.values() if q.where == "unschedulable"]:
            if now - queued.since > UNSCHEDULABLE_SECONDS:
                self._place(queued, now)
