"""The scheduling queue: active, back-off, unschedulable, gated (kube-scheduler backend/queue).

Theory of operation. `pop` gives the most urgent pod of the active queue; when that is empty, of the back-off queue,
before its back-off is over (PopFromBackoffQ). A pod that found no node waits among the unschedulable ones until an
event may help it, in the eyes of a plugin that rejected it, or until five minutes have passed. Events that come while
a pod is being tried are kept in one log that all such pods share, and count when it fails. Back-off is counted in whole
seconds, so that pods which failed within one second are ordered by priority. All moments are seconds, handed in.

Unschedulable pods are kept by the set of plugins that rejected them: an event that none of a set cares for costs one
look, however many pods wait for something else.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from terrarium.kube.scheduler.events import Event
from terrarium.kube.scheduler.views import Pod

UNSCHEDULABLE_SECONDS = 300.0
WHERE = ("active", "backoff", "unschedulable", "gated")


@dataclass(slots=True, eq=False)
class Queued:
    """A pod that waits, or (`where` "") is being tried.

    `where` is active, backoff, unschedulable or gated; `plugins` are those which said no; `since` is when it was queued
    or last failed; `came_from` the queue it was popped from; `added` when it first came.
    """

    pod: Pod
    since: float
    where: str = ""
    attempts: int = 0
    plugins: frozenset[str] = frozenset()
    came_from: str = ""
    serial: int = 0
    added: float = 0.0
    own_changes: list[Event] = field(default_factory=list)
    """What happened to the pod itself while it was being tried."""
    mark: int = 0
    """Where the log of events stood when the try began."""
    stamp: int = 0
    """Grows with each move; an entry of a heap with an older one is void."""


@dataclass(slots=True, frozen=True)
class _Happened:
    event: Event
    concerns: Callable[[Pod], bool] | None


class Queue:
    """`gate` names the plugin that keeps a pod out, or ""; `helps` says whether an event may help a rejected pod;
    `interested` whether any of some plugins wants to hear of it at all."""

    def __init__(
        self,
        gate: Callable[[Pod], str],
        helps: Callable[[Queued, Event], bool],
        initial_backoff: float = 1.0,
        longest_backoff: float = 10.0,
        interested: Callable[[frozenset[str], Event], bool] = lambda plugins, event: True,
    ) -> None:
        self._gate = gate
        self._helps = helps
        self._interested = interested
        self._initial = initial_backoff
        self._longest = longest_backoff
        self._pods: dict[str, Queued] = {}
        self._counts = dict.fromkeys(WHERE, 0)
        self._unschedulable: dict[frozenset[str], dict[str, Queued]] = {}
        self._active = _Heap("active")
        # Whom an error stopped, and no plugin, waits for the whole of its back-off; the others may be popped early.
        self._backoff = _Heap("backoff")
        self._errors = _Heap("backoff")
        self._serial = itertools.count()
        self._in_flight: dict[str, Queued] = {}
        self._log: deque[_Happened] = deque()
        self._log_start = 0

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many pods wait in each queue."""
        return self._counts

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def get(self, key: str) -> Queued | None:
        """The pod that waits or is being tried."""
        return self._pods.get(key) or self._in_flight.get(key)

    def waiting(self) -> Iterable[Queued]:
        return self._pods.values()

    def any_active(self) -> bool:
        return self._counts["active"] > 0

    def backoff_until(self, queued: Queued) -> float:
        """When a pod's back-off ends, in whole seconds; 0 when it has not failed yet."""
        return 0.0 if queued.attempts == 0 else float(math.floor(self._due(queued)))

    def _due(self, queued: Queued) -> float:
        # More doublings than these reach any longest back-off.
        return queued.since + min(self._initial * 2.0 ** min(queued.attempts - 1, 40), self._longest)

    def _backing_off(self, queued: Queued, now: float) -> bool:
        return queued.attempts > 0 and self.backoff_until(queued) >= math.floor(now)

    # --- pods come, change and go ----------------------------------------------------------------------------------

    def add(self, pod: Pod, now: float) -> None:
        """A new pending pod."""
        if pod.key in self._pods or pod.key in self._in_flight:
            self.update(pod, (), now)
            return
        queued = Queued(pod, now, serial=next(self._serial), added=now)
        self._pods[pod.key] = queued
        self._place(queued, now)

    def update(self, pod: Pod, changes: Iterable[Event], now: float) -> None:
        """A changed pod; `changes` are the events which the change means."""
        flying = self._in_flight.get(pod.key)
        if flying is not None:
            flying.pod = pod
            flying.own_changes += changes
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
            self._move(queued, "active")

    def remove(self, key: str) -> None:
        queued = self._pods.pop(key, None)
        if queued is not None:
            self._leave(queued)
        self._land(key)

    def _leave(self, queued: Queued) -> None:
        if queued.where:
            self._counts[queued.where] -= 1
        if queued.where == "unschedulable":
            group = self._unschedulable[queued.plugins]
            del group[queued.pod.key]
            if not group:
                del self._unschedulable[queued.plugins]
        queued.where = ""
        queued.stamp += 1

    def _move(self, queued: Queued, where: str, plugins: frozenset[str] | None = None) -> None:
        self._leave(queued)
        if plugins is not None:
            queued.plugins = plugins
        queued.where = where
        self._counts[where] += 1
        urgency = (-queued.pod.priority, queued.since, queued.serial)
        if where == "active":
            self._active.push(urgency, queued)
        elif where == "backoff":
            heap = self._backoff if queued.plugins else self._errors
            heap.push((self.backoff_until(queued), *urgency), queued)
        elif where == "unschedulable":
            self._unschedulable.setdefault(queued.plugins, {})[queued.pod.key] = queued

    def _place(self, queued: Queued, now: float) -> None:
        gate = self._gate(queued.pod)
        if gate:
            self._move(queued, "gated", queued.plugins | {gate})
        else:
            self._move(queued, "backoff" if self._backing_off(queued, now) else "active")

    def look_again(self, key: str, now: float, at_once: bool = False) -> None:
        """The gate of a gated pod may have opened: it waits for events like any other, or (`at_once`) is tried."""
        queued = self._pods.get(key)
        if queued is None or (queued.where != "gated" and not at_once):
            return
        if at_once:
            self._place(queued, now)
        elif not self._gate(queued.pod):
            self._move(queued, "unschedulable")

    # --- pods are tried --------------------------------------------------------------------------------------------

    def pop(self, active_only: bool = False) -> Queued | None:
        """The next pod to try, or None."""
        queued = self._active.pop()
        if queued is None and not active_only:
            queued = self._backoff.pop()
        if queued is None:
            return None
        queued.came_from = queued.where
        self._leave(queued)
        del self._pods[queued.pod.key]
        queued.attempts += 1
        queued.plugins = frozenset()
        queued.own_changes = []
        queued.mark = self._log_start + len(self._log)
        self._in_flight[queued.pod.key] = queued
        return queued

    def _land(self, key: str, queued: Queued | None = None) -> bool:
        """Ends a try; the events which only it waited for are forgotten. False when there was no such try (any more)."""
        flying = self._in_flight.get(key)
        if flying is None or (queued is not None and flying is not queued):
            return False
        del self._in_flight[key]
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is None:
            self._log_start += len(self._log)
            self._log.clear()
        else:
            while self._log_start < oldest.mark:
                self._log.popleft()
                self._log_start += 1
        return True

    def put_back(self, queued: Queued) -> None:
        """The pod was popped too early: it is as if it had not been."""
        if self._land(queued.pod.key, queued):
            queued.attempts -= 1
            self._pods[queued.pod.key] = queued
            self._move(queued, "active")

    def done(self, queued: Queued) -> None:
        """The pod has its node (or is no longer to be scheduled)."""
        self._land(queued.pod.key, queued)

    def failed(self, queued: Queued, plugins: frozenset[str], now: float) -> bool:
        """The pod found no node: it waits, unless something that may help happened meanwhile. Without plugins (an
        error) it is tried again after its back-off. False when nobody waits for the pod any more."""
        if self._in_flight.get(queued.pod.key) is not queued:
            return False
        queued.since = now
        queued.plugins = plugins
        missed = list(itertools.islice(self._log, queued.mark - self._log_start, None)) if self._log else []
        self._land(queued.pod.key, queued)
        self._pods[queued.pod.key] = queued
        if (
            not plugins
            or any(self._helps(queued, change) for change in queued.own_changes)
            or any(
                (m.concerns is None or m.concerns(queued.pod))
                and self._interested(plugins, m.event)
                and self._helps(queued, m.event)
                for m in missed
            )
        ):
            self._place(queued, now)
        else:
            self._move(queued, "unschedulable")
        return True

    # --- time passes, things happen --------------------------------------------------------------------------------

    def happened(self, event: Event, now: float, concerns: Callable[[Pod], bool] | None = None) -> None:
        """Something happened in the cluster: pods which it may help (of those it concerns) are tried again."""
        if self._in_flight:
            self._log.append(_Happened(event, concerns))
        for plugins in [p for p in self._unschedulable if self._interested(p, event)]:
            for queued in list(self._unschedulable.get(plugins, {}).values()):
                if (concerns is None or concerns(queued.pod)) and self._helps(queued, event):
                    self._place(queued, now)

    def flush_backoff(self, now: float) -> None:
        """Pods whose back-off is over become active (each second)."""
        for heap in (self._backoff, self._errors):
            while (queued := heap.first()) is not None:
                if queued.since > now:
                    # The clock was set back: nobody waits longer for that.
                    queued.since = now
                    self._move(queued, "backoff")
                elif self._backing_off(queued, now):
                    break
                else:
                    self._place(queued, now)

    def next_error(self) -> float | None:
        """When the first of the pods that an error stopped has waited for its back-off, to the moment."""
        queued = self._errors.first()
        return None if queued is None else self._due(queued)

    def flush_errors(self, now: float) -> None:
        """Pods that an error stopped are tried again as soon as their back-off is over: they need not be put into an
        order with others that fail within the same second."""
        while (queued := self._errors.first()) is not None and self._due(queued) <= now:
            gate = self._gate(queued.pod)
            self._move(queued, "gated" if gate else "active", queued.plugins | {gate} if gate else None)

    def flush_unschedulable(self, now: float) -> None:
        """Pods which waited for five minutes are tried again (each 30 seconds)."""
        for group in list(self._unschedulable.values()):
            for queued in list(group.values()):
                queued.since = min(queued.since, now)
                if now - queued.since > UNSCHEDULABLE_SECONDS:
                    self._place(queued, now)


class _Heap:
    """Pods in one queue by urgency. An entry of a pod that moved since is passed over."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._items: list[tuple[tuple[float, ...], int, Queued, int]] = []
        self._count = itertools.count()

    def push(self, urgency: tuple[float, ...], queued: Queued) -> None:
        heapq.heappush(self._items, (urgency, next(self._count), queued, queued.stamp))

    def first(self) -> Queued | None:
        """The most urgent, which stays."""
        while self._items:
            _, _, queued, stamp = self._items[0]
            if queued.where == self._where and queued.stamp == stamp:
                return queued
            heapq.heappop(self._items)
        return None

    def pop(self) -> Queued | None:
        queued = self.first()
        if queued is not None:
            heapq.heappop(self._items)
        return queued
