"""The clock: timers fire in order when time is moved, and transitions take what the pace says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from terrarium.base.clock import Clock, Pace, parse_duration, parse_rfc3339, rfc3339, rfc3339_micro


def frozen(pace: Pace = Pace.INSTANT) -> Clock:
    return Clock(pace, read=lambda: 1_000_000.0, frozen=True)


def test_timers_fire_in_the_order_of_their_moments_and_see_them() -> None:
    clock = frozen()
    seen: list[tuple[str, float]] = []

    async def timer(name: str, seconds: float, then: float = 0.0) -> None:
        await clock.sleep(seconds)
        seen.append((name, clock.time() - 1_000_000.0))
        if then:
            await clock.sleep(then)
            seen.append((name + "'", clock.time() - 1_000_000.0))

    async def play() -> None:
        tasks = [asyncio.create_task(c) for c in (timer("late", 60), timer("early", 10, then=20), timer("never", 600))]
        await asyncio.sleep(0)
        await clock.advance(60)
        await asyncio.sleep(0)
        tasks[2].cancel()

    asyncio.run(play())
    assert [name for name, _ in seen] == ["early", "early'", "late"]
    assert [at for _, at in seen] == pytest.approx([10, 30, 60])


def test_a_jump_ends_exactly_where_it_should() -> None:
    clock = frozen()
    before = clock.now()
    after = asyncio.run(clock.advance(timedelta(days=21)))
    assert after - before == timedelta(days=21)


def test_time_is_not_turned_back() -> None:
    with pytest.raises(ValueError, match="turned back"):
        asyncio.run(frozen().advance(-1))


def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = frozen()

    async def play() -> None:
        task = asyncio.create_task(clock.sleep(5))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await clock.advance(10)

    asyncio.run(play())


@pytest.mark.parametrize(("pace", "done"), [(Pace.INSTANT, True), (Pace.AWS, False)], ids=["instant", "aws"])
def test_a_transition_takes_what_the_pace_says(pace: Pace, done: bool) -> None:
    async def play() -> tuple[bool, bool]:
        clock = frozen(pace)
        task = asyncio.create_task(clock.transition(600))
        for _ in range(3):
            await asyncio.sleep(0)
        at_once = task.done()
        await clock.advance(600)
        for _ in range(3):
            await asyncio.sleep(0)
        return at_once, task.done()

    assert asyncio.run(play()) == (done, True)


def test_without_jumps_a_timer_ends_by_itself() -> None:
    async def play() -> bool:
        clock = Clock()
        before = clock.time()
        await clock.sleep(0.02)
        return clock.time() - before >= 0.02

    assert asyncio.run(play())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("21d", 1_814_400), ("1.5h", 5400), ("250ms", 0.25), ("2w", 1_209_600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "5 parsecs", "1h-2m", "..s", "٣s x"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


def test_times_as_text() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert rfc3339(moment) == "2026-01-02T03:04:05Z"
    assert rfc3339_micro(moment) == "2026-01-02T03:04:05.000006Z"
    assert parse_rfc3339("2026-01-02T12:04:05.000006+09:00") == moment
