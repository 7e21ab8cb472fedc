"""The scheduling queue: active, back-off, unschedulable, gated (kube-scheduler backend/queue).

Theory of operation. `pop` gives the most urgent pod of the active queue; when that is empty, of the back-off queue,
before its back-off is over (PopFromBackoffQ). A pod that found no node waits among the unschedulable ones until an
event may help it, in the eyes of a plugin that rejected it, or until five minutes have passed. Events that come while
a pod is being tried are remembered, and count when it fails. Back-off is counted in whole seconds, so that pods which
failed within one second are ordered by priority. All moments are seconds, handed in.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from terrarium.kube.scheduler.events import Event
from terrarium.kube.scheduler.views import Pod

UNSCHEDULABLE_SECONDS = 300.0


@dataclass(slots=True, eq=False)
class Queued:
    """A pod that waits, or (`where` "") is being tried.

    `where` is active, backoff, unschedulable or gated; `plugins` are those which said no; `since` is when it was queued
    or last failed; `came_from` the queue it was popped from.
    """

    pod: Pod
    since: float
    where: str = ""
    attempts: int = 0
    plugins: frozenset[str] = frozenset()
    came_from: str = ""
    serial: int = 0
    missed: list[Event] = field(default_factory=list)


class Queue:
    """`gate` names the plugin that keeps a pod out, or ""; `helps` says whether an event may help a rejected pod."""

    def __init__(
        self,
        gate: Callable[[Pod], str],
        helps: Callable[[Queued, Event], bool],
        initial_backoff: float = 1.0,
        longest_backoff: float = 10.0,
    ) -> None:
        self._gate = gate
        self._helps = helps
        self._initial = initial_backoff
        self._longest = longest_backoff
        self._pods: dict[str, Queued] = {}
        # By queue and key, so that the common steps never walk the pods that wait elsewhere.
        self._queues: dict[str, dict[str, Queued]] = {w: {} for w in ("active", "backoff", "unschedulable", "gated")}
        self._heap = _Heap()
        self._serial = itertools.count()
        self._in_flight: dict[str, Queued] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, key: str) -> Queued | None:
        return self._pods.get(key)

    def waiting(self) -> Iterable[Queued]:
        return self._pods.values()

    def any_active(self) -> bool:
        return bool(self._queues["active"])

    def backoff_until(self, queued: Queued) -> float:
        """When a pod's back-off ends, in whole seconds; 0 when it has not failed yet."""
        if queued.attempts == 0:
            return 0.0
        return float(math.floor(queued.since + min(self._initial * 2 ** (queued.attempts - 1), self._longest)))

    def _backing_off(self, queued: Queued, now: float) -> bool:
        return queued.attempts > 0 and self.backoff_until(queued) >= math.floor(now)

    # --- pods come, change and go ----------------------------------------------------------------------------------

    def add(self, pod: Pod, now: float) -> None:
        """A new pending pod."""
        if pod.key in self._pods or pod.key in self._in_flight:
            self.update(pod, (), now)
            return
        queued = Queued(pod, now, serial=next(self._serial))
        self._pods[pod.key] = queued
        self._place(queued, now)

    def update(self, pod: Pod, changes: Iterable[Event], now: float) -> None:
        """A changed pod; `changes` are the events which the change means."""
        flying = self._in_flight.get(pod.key)
        if flying is not None:
            flying.pod = pod
            flying.missed += changes
            return
        queued = self._pods.get(pod.key)
        if queued is None:
            self.add(pod, now)
            return
        queued.pod = pod
        if queued.where == "gated" or (
            queued.where == "unschedulable" and any(self._helps(queued, change) for change in changes)
        ):
            self._place(queued, now)
        elif queued.where == "active":
            self._heap.push(queued)

    def remove(self, key: str) -> None:
        queued = self._pods.pop(key, None)
        if queued is not None:
            self._queues[queued.where].pop(key, None)
            queued.where = ""
        self._in_flight.pop(key, None)

    def _move(self, queued: Queued, where: str) -> None:
        key = queued.pod.key
        if queued.where:
            self._queues[queued.where].pop(key, None)
        queued.where = where
        self._queues[where][key] = queued
        if where == "active":
            self._heap.push(queued)

    def _place(self, queued: Queued, now: float) -> None:
        gate = self._gate(queued.pod)
        if gate:
            queued.plugins |= {gate}
            self._move(queued, "gated")
        else:
            self._move(queued, "backoff" if self._backing_off(queued, now) else "active")

    # --- pods are tried --------------------------------------------------------------------------------------------

    def pop(self, active_only: bool = False) -> Queued | None:
        """The next pod to try, or None."""
        queued = self._heap.pop()
        if queued is None and not active_only:
            # Whom an error stopped, and no plugin, waits for the whole of its back-off.
            queued = min(
                (q for q in self._queues["backoff"].values() if q.plugins),
                key=lambda q: (self.backoff_until(q), -q.pod.priority, q.since, q.serial),
                default=None,
            )
        if queued is None:
            return None
        del self._queues[queued.where][queued.pod.key]
        del self._pods[queued.pod.key]
        queued.came_from, queued.where = queued.where, ""
        queued.attempts += 1
        queued.plugins = frozenset()
        queued.missed = []
        self._in_flight[queued.pod.key] = queued
        return queued

    def done(self, queued: Queued) -> None:
        """The pod has its node (or is no longer to be scheduled)."""
        self._in_flight.pop(queued.pod.key, None)

    def failed(self, queued: Queued, plugins: frozenset[str], now: float) -> None:
        """The pod found no node: it waits, unless something that may help happened meanwhile. Without plugins (an
        error) it is tried again after its back-off."""
        if self._in_flight.pop(queued.pod.key, None) is None:
            return
        queued.since = now
        queued.plugins = plugins
        self._pods[queued.pod.key] = queued
        if not plugins or any(self._helps(queued, event) for event in queued.missed):
            self._place(queued, now)
        else:
            self._move(queued, "unschedulable")

    # --- time passes, things happen --------------------------------------------------------------------------------

    def happened(self, event: Event, now: float) -> None:
        """Something happened in the cluster: pods which it may help are tried again."""
        for flying in self._in_flight.values():
            flying.missed.append(event)
        for queued in list(self._queues["unschedulable"].values()):
            if self._helps(queued, event):
                self._place(queued, now)

    def flush_backoff(self, now: float) -> None:
        """Pods whose back-off is over become active (each second)."""
        for queued in [q for q in self._queues["backoff"].values() if not self._backing_off(q, now)]:
            self._place(queued, now)

    def flush_unschedulable(self, now: float) -> None:
        """Pods which waited for five minutes are tried again (each 30 seconds)."""
        for queued in [q for q in self._queues["unschedulable"].values() if now - q.since > UNSCHEDULABLE_SECONDS]:
            self._place(queued, now)


class _Heap:
    """The active pods by priority, then by when they were queued. An entry of a pod that left is passed over."""

    def __init__(self) -> None:
        self._items: list[tuple[int, float, int, int, Queued]] = []
        self._count = itertools.count()

    def push(self, queued: Queued) -> None:
        item = (-queued.pod.priority, queued.since, queued.serial, next(self._count), queued)
        heapq.heappush(self._items, item)

    def pop(self) -> Queued | None:
        while self._items:
            priority, *_, queued = heapq.heappop(self._items)
            if queued.where == "active" and -priority == queued.pod.priority:
                return queued
        return None
