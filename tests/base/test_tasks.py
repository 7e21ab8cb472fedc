"""Task groups: a crashed loop starts again, and closing ends everything."""

from __future__ import annotations

import asyncio
import logging

import pytest

from terrarium.base.tasks import Tasks


def test_a_loop_that_crashes_is_logged_and_starts_again(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    async def play() -> None:
        tasks = Tasks("group")
        done = asyncio.Event()

        async def loop() -> None:
            runs.append(1)
            if len(runs) == 1:
                raise RuntimeError("a bad object")
            done.set()

        tasks.keep("loop", loop)
        await asyncio.wait_for(done.wait(), 5)
        await tasks.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(play())
    assert len(runs) == 2
    assert "group/loop crashed" in caplog.text


def test_closing_ends_what_runs_and_lets_nothing_new_in() -> None:
    async def play() -> bool:
        tasks = Tasks("group")
        task = tasks.start("forever", asyncio.Event().wait())
        await asyncio.sleep(0)
        await tasks.close()
        with pytest.raises(RuntimeError, match="closed"):
            tasks.start("late", asyncio.sleep(0))
        return task.cancelled()

    assert asyncio.run(play())
