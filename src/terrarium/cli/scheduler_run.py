"""What the scheduler's commands need of the world: signals, kubeconfigs, a terminal."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.kube.api.kinds import Obj


@dataclass(frozen=True, slots=True)
class Where:
    """Where health and metrics are served; `port` None: nowhere."""

    address: str
    port: int | None
    plain: bool
    certificate: Path | None
    key: Path | None


def run(configuration: Obj, kubeconfig: Path | None, context: str, where: Where, seed: str | None) -> None:
    """Schedules until SIGTERM or SIGINT."""
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        runner.run(_run(configuration, kubeconfig, context, where, seed))


async def _run(configuration: Obj, kubeconfig: Path | None, context: str, where: Where, seed: str | None) -> None:
    from terrarium.base.clock import Clock
    from terrarium.base.ids import Ids
    from terrarium.kube.client.http import HttpClient, Transport
    from terrarium.kube.client.kubeconfig import load
    from terrarium.kube.scheduler.program import Options, Program

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    named = configuration["clientConnection"].get("kubeconfig")
    login = load(kubeconfig or (Path(named) if named else None), context)
    transport = Transport(login, "kube-scheduler/terrarium")
    options = Options(
        configuration,
        bool(configuration["leaderElection"].get("leaderElect")),
        socket.gethostname(),
        where.address,
        where.port,
        where.plain,
        where.certificate,
        where.key,
    )
    program = Program(HttpClient(transport), Clock(), Ids(seed), options)
    print(f"Scheduling for {login.server}", file=sys.stderr)
    try:
        await program.run(stopping)
    finally:
        await transport.close()


def listed(kubeconfig: Path | None) -> list[Obj]:
    """Everything a scheduler would see in a cluster."""
    return asyncio.run(_listed(kubeconfig))


async def _listed(kubeconfig: Path | None) -> list[Obj]:
    from terrarium.base.diagnostics import Failure
    from terrarium.kube.client.contract import NODES, PODS, ApiError, Resource
    from terrarium.kube.client.http import HttpClient, Transport
    from terrarium.kube.client.kubeconfig import load
    from terrarium.kube.scheduler.resources import CONTEXT

    login = load(kubeconfig)
    transport = Transport(login)
    client = HttpClient(transport)
    classes = Resource("scheduling.k8s.io", "v1", "priorityclasses")
    found: list[Obj] = []
    try:
        for resource in (NODES, PODS, classes, *CONTEXT.values()):
            more = ""
            while True:
                page = await client.list(resource, limit=500, next=more)
                found += page.items
                more = page.next
                if not more:
                    break
    except ApiError as error:
        raise Failure(f"{login.server} does not show its objects: {error}") from error
    except OSError as error:
        raise Failure(f"{login.server} can't be reached: {error}") from error
    finally:
        await transport.close()
    return found


def show_simulation(answer: dict[str, Any]) -> None:
    """Prints what `simulate` found."""
    from terrarium.cli.explain import show

    first, failed = answer["first"], answer["failed"]
    if answer["asked"] != 1:
        wanted = "as many as fit" if answer["asked"] == 0 else str(answer["asked"])
        print(f"{answer['placed']} copies of {first['namespace']}/{first['name']} fit (asked: {wanted})")
        width = max((len(n) for n in answer["perNode"]), default=4)
        for node, count in answer["perNode"].items():
            print(f"  {node:<{width}}  {count}")
        if failed is not None:
            print("\nThe next one finds no node:")
            show(failed)
        return
    if answer["node"]:
        print(f"{first['namespace']}/{first['name']} would go to {answer['node']}")
    show(first | {"summary": first["summary"].replace("It runs on", "It would run on")})
