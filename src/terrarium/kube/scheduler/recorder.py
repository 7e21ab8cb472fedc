"""Writes down what the scheduler found: events, pod conditions, nominations.

Theory of operation. Nothing here is waited for by a decision. What concerns one pod is written in order, by one of a few
writers; pods do not wait for each other. Events follow client-go's `tools/events`: what happens to the same version of
an object for the same reason is one event; its second time is written as a series, later ones are only counted and
written when the series is over (six minutes without another) or each half hour.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from terrarium.base.clock import Clock, rfc3339, rfc3339_micro
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import EVENTS, PODS, ApiError, Client
from terrarium.kube.scheduler.views import Pod

log = logging.getLogger(__name__)

FINISHED_SECONDS = 360.0
REFRESH_SECONDS = 1800.0
WRITERS = 8
MOST_WAITING = 20_000
"""Events beyond this many unwritten ones are dropped, as the real recorder does when its channel is full."""
MOST_REMEMBERED = 20_000
LONGEST_NOTE = 1024

Write = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class _Series:
    """An event which was written, and how often it happened since."""

    name: str
    namespace: str
    count: int
    last: float
    written: float
    unwritten: bool = False


def note_of(text: str) -> str:
    """An event's note: the API takes at most 1,024 bytes."""
    if len(text.encode()) <= LONGEST_NOTE:
        return text
    return text.encode()[: LONGEST_NOTE - 4].decode("utf-8", "ignore") + " ..."


def reference(pod: Pod) -> Obj:
    """A reference to a pod, as events carry it."""
    metadata = pod.obj["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": pod.name,
        "namespace": pod.namespace,
        "uid": metadata.get("uid", ""),
        "resourceVersion": metadata.get("resourceVersion", ""),
    }


class Recorder:
    """Writes events, conditions and nominations through `client`, in `tasks`."""

    def __init__(self, client: Client, clock: Clock, ids: Ids, tasks: Tasks, host: str) -> None:
        self._client = client
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._host = host
        self._queues: list[asyncio.Queue[Write]] = []
        self._series: OrderedDict[tuple[str, ...], _Series] = OrderedDict()
        self._writing: dict[str, int] = {}
        self.on_written: Callable[[Pod, Obj | None], None] = lambda pod, obj: None
        """Called with a pod, and its new state, when its status has been written (None: it could not be)."""
        self.dropped = 0
        self.waiting = 0

    def start(self) -> None:
        for number in range(WRITERS):
            queue: asyncio.Queue[Write] = asyncio.Queue()
            self._queues.append(queue)
            self._tasks.keep(f"writer {number}", lambda queue=queue: self._write_all(queue))  # type: ignore[misc]

    async def drain(self) -> None:
        """Waits until everything handed in so far has been tried."""
        for queue in self._queues:
            await queue.join()

    async def _write_all(self, queue: asyncio.Queue[Write]) -> None:
        while True:
            write = await queue.get()
            try:
                await write()
            except (ApiError, OSError) as failure:
                log.info("can't write what was found: %s", failure)
            finally:
                self.waiting -= 1
                queue.task_done()

    def _later(self, pod: Pod, write: Write) -> None:
        self.waiting += 1
        self._queues[hash(pod.uid) % WRITERS].put_nowait(write)

    def writing(self, pod: Pod) -> bool:
        """Whether the pod's status is still to be written."""
        return pod.uid in self._writing

    # --- conditions ------------------------------------------------------------------------------------------------

    def unscheduled(self, pod: Pod, reason: str, message: str, nominate: str | None) -> None:
        """Why the pod has no node, and for which it waits: `nominate` "" clears that, None leaves it as it is."""
        condition: Obj = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": message,
            "lastProbeTime": None,
        }
        conditions = (pod.obj.get("status") or {}).get("conditions") or ()
        known = next((c for c in conditions if c["type"] == "PodScheduled"), None)
        said = known is not None and all(known.get(k) == condition[k] for k in ("status", "reason", "message"))
        renominated = nominate is not None and nominate != pod.nominated
        if said and not renominated:
            return
        if known is None or known.get("status") != "False":
            condition["lastTransitionTime"] = rfc3339(self._clock.now())
        status: Obj = {"conditions": [condition]}
        if renominated:
            status["nominatedNodeName"] = nominate or None
        self._patch_status(pod, status)

    def clear_nomination(self, pod: Pod) -> None:
        self._patch_status(pod, {"nominatedNodeName": None})

    def _patch_status(self, pod: Pod, status: Obj) -> None:
        # The uid makes the server refuse when another pod has taken the name.
        uid = pod.obj["metadata"].get("uid")
        patch = {**({"metadata": {"uid": uid}} if uid else {}), "status": status}
        self._writing[pod.uid] = self._writing.get(pod.uid, 0) + 1
        self._later(pod, functools.partial(self._write_status, pod, patch))

    async def _write_status(self, pod: Pod, patch: Obj) -> None:
        written: Obj | None = None
        try:
            written = await self._client.patch(
                PODS, pod.name, patch, pod.namespace, type="strategic", subresource="status"
            )
        finally:
            left = self._writing.pop(pod.uid) - 1
            if left:
                self._writing[pod.uid] = left
            self.on_written(pod, written)

    # --- events ----------------------------------------------------------------------------------------------------

    def event(
        self, pod: Pod, type: str, reason: str, action: str, note: str, related: Pod | None = None, by: str = ""
    ) -> None:
        """One event about the pod; `related` is the other pod concerned, `by` the profile when it isn't the pod's."""
        if self.waiting >= MOST_WAITING:
            self.dropped += 1
            return
        controller = by or pod.scheduler_name
        version = str(pod.obj["metadata"].get("resourceVersion", ""))
        key = (pod.uid, version, type, reason, action, controller, related.uid if related is not None else "")
        now = self._clock.time()
        known = self._series.get(key)
        if known is not None:
            known.count += 1
            known.last = now
            if known.count == 2:
                self._later(pod, functools.partial(self._write_series, known, 2))
            else:
                known.unwritten = True
            return
        name = f"{pod.name}.{self._ids.hex(16)}"
        self._series[key] = _Series(name, pod.namespace, 1, now, now)
        if len(self._series) > MOST_REMEMBERED:
            self._series.popitem(last=False)
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": pod.namespace},
            "involvedObject": reference(pod),
            "reason": reason,
            "message": note_of(note),
            "type": type,
            "action": action,
            "eventTime": rfc3339_micro(self._clock.now()),
            "firstTimestamp": None,
            "lastTimestamp": None,
            "source": {},
            "reportingComponent": controller,
            "reportingInstance": f"{controller}-{self._host}",
        }
        if related is not None:
            event["related"] = reference(related)
        self._later(pod, lambda: self._client.create(EVENTS, event, pod.namespace))

    async def _write_series(self, series: _Series, count: int) -> None:
        series.unwritten = series.count != count
        series.written = self._clock.time()
        last = rfc3339_micro(datetime.fromtimestamp(series.last, UTC))
        change = {"series": {"count": count, "lastObservedTime": last}}
        await self._client.patch(EVENTS, series.name, change, series.namespace, type="merge")

    async def finish_series(self) -> None:
        """Writes the counts of series which are over or have not been written for long, and forgets what is over."""
        now = self._clock.time()
        for key, series in list(self._series.items()):
            over = now - series.last > FINISHED_SECONDS
            if series.unwritten and (over or now - series.written > REFRESH_SECONDS):
                try:
                    await self._write_series(series, series.count)
                except (ApiError, OSError) as failure:
                    log.info("can't count up an event: %s", failure)
            if over:
                self._series.pop(key, None)
