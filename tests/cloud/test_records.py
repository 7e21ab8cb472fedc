"""The document store's writer survives those who no longer wait for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from terrarium.cloud.records import Records


def test_a_cancelled_writer_does_not_stop_the_others(tmp_path: Path) -> None:
    async def play() -> None:
        records = Records(tmp_path / "cloud.db")
        records.open()
        for number in range(50):
            hasty = asyncio.ensure_future(records.put("kind", f"hasty-{number}", {"n": number}))
            await asyncio.sleep(0)
            hasty.cancel()
            await asyncio.gather(hasty, return_exceptions=True)
            async with asyncio.timeout(10):
                await records.put("kind", f"patient-{number}", {"n": number})
        records.close()

        again = Records(tmp_path / "cloud.db")
        again.open()
        assert {f"patient-{n}" for n in range(50)} <= {key for key, _ in again.scan("kind")}
        again.close()

    asyncio.run(play())
