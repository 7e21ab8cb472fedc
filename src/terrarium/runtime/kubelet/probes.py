"""Startup, readiness and liveness probes of one running container."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from terrarium.base.tasks import Tasks
from terrarium.runtime.contract import RuntimeFailure
from terrarium.runtime.kubelet.podstatus import Container

if TYPE_CHECKING:
    from terrarium.runtime.kubelet.worker import Worker

KINDS = ("startupProbe", "readinessProbe", "livenessProbe")


class Prober:
    def __init__(self, worker: Worker, container: Container, spec: Mapping[str, Any]) -> None:
        self._worker = worker
        self._container = container
        self._spec = spec
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, tasks: Tasks) -> None:
        for kind in KINDS:
            if self._spec.get(kind):
                self._tasks.append(tasks.start(f"{self._container.name} {kind}", self._probe(kind, self._spec[kind])))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _probe(self, kind: str, probe: Mapping[str, Any]) -> None:
        clock, container = self._worker.clock, self._container
        period = float(probe.get("periodSeconds") or 10)
        successes_wanted = int(probe.get("successThreshold") or 1)
        failures_wanted = int(probe.get("failureThreshold") or 3)
        good = bad = 0
        await clock.sleep(float(probe.get("initialDelaySeconds") or 0))
        while True:
            if kind == "startupProbe" or container.started:
                problem = await self._once(probe)
                if problem:
                    good, bad = 0, bad + 1
                    name = kind.removesuffix("Probe").capitalize()
                    self._worker.event("Warning", "Unhealthy", f"{name} probe failed: {problem}", container.name)
                else:
                    good, bad = good + 1, 0
                if bad >= failures_wanted:
                    bad = 0
                    if await self._failed(kind):
                        return
                elif good >= successes_wanted and self._held(kind):
                    return
            await clock.heartbeat(period)

    def _held(self, kind: str) -> bool:
        """True when the probe has nothing more to do."""
        container = self._container
        if kind == "startupProbe" and not container.started:
            container.started = True
            container.ready = not self._spec.get("readinessProbe")
            self._worker.report()
            return True
        if kind == "readinessProbe" and not container.ready:
            container.ready = True
            self._worker.report()
        return False

    async def _failed(self, kind: str) -> bool:
        container = self._container
        if kind == "readinessProbe":
            if container.ready:
                container.ready = False
                self._worker.report()
            return False
        name = kind.removesuffix("Probe")
        await self._worker.restart(container, f"failed {name} probe")
        return True

    async def _once(self, probe: Mapping[str, Any]) -> str:
        """What is wrong, "" for nothing."""
        runtime, sandbox = self._worker.runtime, self._worker.sandbox
        ip = self._worker.ip
        try:
            if "httpGet" in probe:
                wanted = probe["httpGet"]
                port = self._port(wanted["port"])
                status, _ = await runtime.http_get(sandbox, port, wanted.get("path") or "/")
                return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"
            if "exec" in probe:
                process = await runtime.exec(self._container.id, probe["exec"].get("command") or (), False)
                text = b"".join([data async for _, data in process.output()])
                code = await process.wait()
                return "" if code == 0 else f"command failed: {text.decode(errors='replace')}".rstrip()
            if "tcpSocket" in probe:
                connection = await runtime.connect(sandbox, self._port(probe["tcpSocket"]["port"]))
                await connection.close_input()
            return ""
        except RuntimeFailure as failure:
            if "httpGet" in probe:
                wanted = probe["httpGet"]
                url = f"http://{ip}:{wanted['port']}{wanted.get('path') or '/'}"
                return f'Get "{url}": {failure}'
            return str(failure)

    def _port(self, port: int | str) -> int:
        if isinstance(port, int):
            return port
        return next((int(p["containerPort"]) for p in self._spec.get("ports") or () if p.get("name") == port), 0)
