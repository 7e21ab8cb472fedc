"""The scheduler as a program of its own beside any cluster: leader election, its door, and an orderly end."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from terrarium.base.clock import Clock, real_monotonic
from terrarium.base.diagnostics import Failure
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import Client
from terrarium.kube.scheduler.election import Election, Elector
from terrarium.kube.scheduler.server import Scheduler
from terrarium.kube.scheduler.serving import Door, certificate

log = logging.getLogger(__name__)

_GRACE = 5.0
"""Seconds for what is under way when the end comes."""
_IMPATIENT = 10.0
"""Seconds after which it says what it waits for at the start."""
_STUCK = 30.0
"""A loop that has not turned for so long is not alive."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. `port` 0 takes a free one, None opens no door."""

    configuration: Obj
    elect: bool
    host: str = "terrarium"
    address: str = "127.0.0.1"
    port: int | None = 10259
    plain: bool = False
    certificate: Path | None = None
    key: Path | None = None


class Program:
    """One instance against one cluster."""

    def __init__(self, client: Client, clock: Clock, ids: Ids, options: Options) -> None:
        self._client = client
        self._clock = clock
        self._ids = ids
        self._options = options
        self._tasks = Tasks("scheduler program")
        self._scheduler = Scheduler(client, clock, ids, options.configuration, host=options.host)
        self._elector: Elector | None = None
        if options.elect:
            election = Election.read(options.configuration.get("leaderElection") or {})
            self._elector = Elector(client, clock, ids, election, f"{options.host}_{ids.uuid()}")
        self._leads = not options.elect
        self._beat = real_monotonic()
        self.door = Door(
            client,
            {"ping": lambda: "", "loop": self._stuck},
            {"informer-sync": self._unsynced, "leaderElection": lambda: ""},
            {"/metrics": self._metrics, "/configz": self._configuration},
        )

    @property
    def leads(self) -> bool:
        return self._leads

    @property
    def scheduler(self) -> Scheduler:
        return self._scheduler

    async def run(self, stopping: asyncio.Event) -> None:
        """Runs until `stopping` is set. `Failure` when the leadership is lost."""
        options = self._options
        self._tasks.keep("beat", self._beats)
        if options.port is not None:
            context = None
            if not options.plain:
                context = certificate(self._clock, options.host, options.certificate, options.key)
            await self.door.start(options.address, options.port, context)
        lost = asyncio.Event()
        leading = self._tasks.start("lead", self._lead(lost))
        try:
            waits = [asyncio.create_task(stopping.wait()), asyncio.create_task(lost.wait())]
            try:
                await asyncio.wait([*waits, leading], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if leading.done() and not leading.cancelled() and (failure := leading.exception()) is not None:
                raise failure
            if lost.is_set():
                # Another one may be at work already: whatever is under way stops here.
                self._leads = False
                raise Failure("leader election lost", "Another instance schedules now; start this one again.")
        finally:
            # Nothing renews the lease any more when it is released.
            leading.cancel()
            await asyncio.wait([leading])
            await self._end()

    async def _end(self) -> None:
        await self.door.close()
        leads, self._leads = self._leads, False
        if leads:
            try:
                async with asyncio.timeout(_GRACE):
                    await self._scheduler.finish()
            except TimeoutError:
                log.warning("not everything that was under way could be finished; the next instance does it")
        await self._scheduler.close()
        if self._elector is not None:
            try:
                async with asyncio.timeout(_GRACE):
                    await self._elector.release()
            except TimeoutError:
                log.warning("the lease could not be released; it ends by itself")
        await self._tasks.close()

    async def _lead(self, lost: asyncio.Event) -> None:
        # The caches are filled before there is anything to decide, so that a new leader begins at once.
        await self._scheduler.watch()
        if self._elector is not None:
            await self._elector.acquire()
        self._leads = True
        self._scheduler.begin()
        if self._elector is not None:
            await self._elector.hold()
            lost.set()
        else:
            await asyncio.Event().wait()

    async def _beats(self) -> None:
        patience = real_monotonic() + _IMPATIENT
        while True:
            self._beat = real_monotonic()
            if self._beat > patience and not self._scheduler.synced:
                log.warning("the cluster has not yet shown its %s", ", ".join(self._scheduler.unseen))
                patience = self._beat + _IMPATIENT
            await asyncio.sleep(0)
            await self._clock.heartbeat(1.0)

    def _stuck(self) -> str:
        silent = real_monotonic() - self._beat
        return f"the loop has not turned for {silent:.0f} s" if silent > _STUCK else ""

    def _unsynced(self) -> str:
        unseen = self._scheduler.unseen
        return f"not listed yet: {', '.join(unseen)}" if unseen else ""

    def _metrics(self) -> str:
        name = (self._options.configuration.get("leaderElection") or {}).get("resourceName") or "kube-scheduler"
        self._scheduler.metrics.leader.set(1 if self._leads else 0, name)
        return self._scheduler.metrics_text()

    def _configuration(self) -> str:
        return json.dumps({"kubescheduler.config.k8s.io": self._options.configuration})
