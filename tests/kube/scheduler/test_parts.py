"""Small parts of the live scheduler: the queue's limits, history within bounds, metrics, events in series."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.cache import Cache
from terrarium.kube.scheduler.cycle import Decision
from terrarium.kube.scheduler.events import Event
from terrarium.kube.scheduler.framework import Code, Rejection
from terrarium.kube.scheduler.history import ATTEMPTS, History
from terrarium.kube.scheduler.metrics import Histogram, Metrics
from terrarium.kube.scheduler.queue import Queue
from terrarium.kube.scheduler.recorder import Recorder, note_of
from terrarium.kube.scheduler.snapshot import Objects
from terrarium.kube.scheduler.views import Pod, read_node, read_pod


def pod(name: str, priority: int = 0, uid: str = "", cpu: str = "1", **status: Any) -> Pod:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return read_pod(
        {
            "metadata": {"name": name, "uid": uid or name, "resourceVersion": "1"},
            "spec": {"priority": priority, "containers": [container]},
            "status": status,
        }
    )


NO = frozenset(("NodeResourcesFit",))
EVENT = Event("Node", "Add")


def queue(helps: bool = True) -> Queue:
    return Queue(lambda pod: "", lambda queued, event: helps)


def test_a_pod_may_fail_for_ever() -> None:
    waiting = queue()
    waiting.add(pod("p"), 0.0)
    now = 0.0
    for _ in range(3000):
        queued = waiting.pop()
        assert queued is not None
        assert waiting.failed(queued, frozenset(), now)
        now += 12
        waiting.flush_backoff(now)
    assert waiting.get("default/p").attempts == 3000  # type: ignore[union-attr]


def test_a_clock_that_is_set_back_delays_nobody() -> None:
    waiting = queue()
    for name, plugins in (("rejected", NO), ("error", frozenset[str]())):
        waiting.add(pod(name), 1e9)
        queued = waiting.pop()
        assert queued is not None
        waiting.failed(queued, plugins, 1e9)
    waiting.happened(EVENT, 1e9)
    assert waiting.counts["backoff"] == 2
    waiting.flush_backoff(1000.0)
    waiting.flush_backoff(1003.0)
    assert waiting.counts["active"] == 2


def test_what_happened_while_it_was_tried() -> None:
    waiting = queue()
    for name in ("first", "second"):
        waiting.add(pod(name), 0.0)
    first, second = waiting.pop(), waiting.pop()
    assert first is not None and second is not None
    waiting.happened(EVENT, 1.0)
    waiting.failed(first, NO, 1.0)
    assert waiting.counts["backoff"] == 1
    waiting.add(pod("third"), 1.0)
    third = waiting.pop(active_only=True)
    assert third is not None
    # Nothing has happened since the third began.
    waiting.failed(third, NO, 1.0)
    assert waiting.counts["unschedulable"] == 1
    waiting.done(second)
    assert waiting.in_flight == 0


def test_a_name_that_comes_back_is_another_pod() -> None:
    waiting = queue()
    waiting.add(pod("p", uid="old"), 0.0)
    old = waiting.pop()
    assert old is not None
    waiting.remove("default/p")
    waiting.add(pod("p", uid="new"), 1.0)
    new = waiting.pop()
    assert new is not None
    assert not waiting.failed(old, NO, 2.0)
    waiting.done(old)
    assert waiting.get("default/p") is new


def test_only_pods_it_concerns() -> None:
    waiting = queue()
    for name, priority in (("low", 1), ("high", 9)):
        waiting.add(pod(name, priority), 0.0)
        queued = waiting.pop()
        assert queued is not None
        waiting.failed(queued, NO, 0.0)
    waiting.happened(EVENT, 100.0, lambda other: other.priority < 5)
    assert waiting.get("default/low").where == "active"  # type: ignore[union-attr]
    assert waiting.get("default/high").where == "unschedulable"  # type: ignore[union-attr]


def test_forgets_only_its_own_assumption() -> None:
    cache = Cache(Objects())
    cache.set_node(read_node({"metadata": {"name": "a"}, "status": {"allocatable": {"cpu": "2", "pods": "9"}}}))
    cache.set_node(read_node({"metadata": {"name": "b"}, "status": {"allocatable": {"cpu": "2", "pods": "9"}}}))
    its = pod("p")
    cache.assume(its, "a")
    assert cache.snapshot().by_name["a"].requested["cpu"] == 1000
    # Another scheduler put it elsewhere; our own binding then fails.
    cache.confirm(its, "b")
    assert not cache.forget(its, "a")
    assert cache.snapshot().by_name["a"].requested["cpu"] == 0
    assert cache.snapshot().by_name["b"].requested["cpu"] == 1000
    cache.drop_node("b")
    cache.set_node(read_node({"metadata": {"name": "b"}, "status": {"allocatable": {"cpu": "2", "pods": "9"}}}))
    assert cache.snapshot().by_name["b"].requested["cpu"] == 1000


def decision(name: str, nodes: int) -> Decision:
    no = Rejection(Code.UNSCHEDULABLE, ("Insufficient cpu",), "NodeResourcesFit")
    return Decision(pod(name), rejected={f"n{n}": no for n in range(nodes)}, message="no", evaluated=nodes)


def test_history_is_bounded() -> None:
    history = History(pods=50, verdicts=1000)
    for number in range(200):
        for attempt in range(ATTEMPTS + 5):
            history.decided(f"u{number}", decision(f"p{number}", 100), attempt + 1, float(attempt))
    assert len(history) == 50
    kept = [record for _, record in history.latest()]
    assert sum(record.verdicts for record in kept) <= 1000
    assert kept[0].decision is not None
    assert kept[-1].decision is None
    # What is no longer whole still says what came of it.
    assert [a.number for a in kept[-1].attempts] == list(range(6, ATTEMPTS + 6))
    assert kept[-1].attempts[0].refused == {"NodeResourcesFit": 100}
    for uid, _ in history.latest():
        history.forget(uid)
    assert len(history) == 0
    history.decided("huge", decision("huge", 5000), 1, 0.0)
    assert history.get("huge").decision is not None  # type: ignore[union-attr]


def test_metrics_text() -> None:
    histogram = Histogram("h", "Help.", (0.1, 1.0), ("result",))
    for value in (0.05, 0.1, 5.0):
        histogram.observe(value, 'a"b')
    assert list(histogram.lines()) == [
        'h_bucket{result="a\\"b",le="0.1"} 2',
        'h_bucket{result="a\\"b",le="1"} 2',
        'h_bucket{result="a\\"b",le="+Inf"} 3',
        'h_sum{result="a\\"b"} 5.15',
        'h_count{result="a\\"b"} 3',
    ]
    text = Metrics().text()
    assert "# TYPE scheduler_schedule_attempts_total counter" in text.splitlines()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        pytest.param("short", "short", id="short"),
        pytest.param("x" * 1024, "x" * 1024, id="just fits"),
        pytest.param("x" * 1025, "x" * 1020 + " ...", id="cut"),
        pytest.param("é" * 600, "é" * 510 + " ...", id="cut between characters"),
    ],
)
def test_notes(text: str, note: str) -> None:
    assert note_of(text) == note


class Written:
    """Takes down what the recorder writes."""

    def __init__(self) -> None:
        self.created: list[Obj] = []
        self.patched: list[Obj] = []

    async def create(self, resource: Any, obj: Obj, namespace: str = "", **more: Any) -> Obj:
        self.created.append(obj)
        return obj

    async def patch(self, resource: Any, name: str, patch: Obj, namespace: str = "", **more: Any) -> Obj:
        self.patched.append(patch)
        return patch


def test_events_in_series() -> None:
    async def run() -> None:
        clock, written, tasks = Clock(frozen=True), Written(), Tasks("test")
        recorder = Recorder(written, clock, Ids(1), tasks, "host")  # type: ignore[arg-type]
        recorder.start()
        one = pod("p")
        for number in range(5):
            recorder.event(one, "Warning", "FailedScheduling", "Scheduling", f"text {number}")
        await recorder.drain()
        # The second time makes it a series; the third to fifth are only counted.
        assert [e["message"] for e in written.created] == ["text 0"]
        assert [p["series"]["count"] for p in written.patched] == [2]
        await clock.advance(400)
        await recorder.finish_series()
        assert [p["series"]["count"] for p in written.patched] == [2, 5]
        recorder.event(one, "Warning", "FailedScheduling", "Scheduling", "later")
        await recorder.drain()
        assert len(written.created) == 2
        await tasks.close()

    asyncio.run(run())
