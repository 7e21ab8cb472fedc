"""A world: one folder, one process, one event loop, and everything in it joined."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from terrarium.base.clock import Clock, Pace, rfc3339
from terrarium.base.diagnostics import Failure
from terrarium.base.files import FileLock, Locked
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.cloud.server import AwsEndpoint
from terrarium.eks.service import EksService
from terrarium.stack.clusters import Clusters
from terrarium.stack.control import Control
from terrarium.stack.settings import AWS_PORT, CONSOLE_PORT, Settings, load
from terrarium.stack.views import console

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """How to start. None keeps what the world had, or the default for a new one; port 0 means any free one."""

    folder: Path
    pace: Pace | None = None
    aws_port: int | None = None
    console_port: int | None = None
    ephemeral: bool = False


class _Server(uvicorn.Server):
    """Leaves signals to the world."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class World:
    """Everything of one folder. `start` opens it, `close` shuts it in an orderly way; a kill loses nothing either."""

    def __init__(self, options: WorldOptions) -> None:
        self._options = options
        self.folder = options.folder
        self.stopped = asyncio.Event()
        self._closers = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Opens or makes the world. `Failure` says what is in the way; nothing is left open then."""
        try:
            await self._start()
        except BaseException:
            await self._closers.aclose()
            raise

    async def _start(self) -> None:
        options, folder, closers = self._options, self.folder, self._closers
        self._enter_folder()
        known = load(folder)
        self.settings = settings = known or Settings(
            account=Ids().text(12, "123456789"),
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
            aws_port=AWS_PORT,
            console_port=CONSOLE_PORT,
        )
        if options.pace is not None:
            settings.pace = options.pace.value
        # A port that was asked for holds from now on; one that was found free once is found again at the next start.
        settings.aws_port = settings.aws_port if options.aws_port is None else options.aws_port
        settings.console_port = settings.console_port if options.console_port is None else options.console_port
        self.clock = Clock(Pace(settings.pace), settings.ahead)
        (folder / "aws").mkdir(exist_ok=True, mode=0o700)
        ids = Ids()

        self.aws = AwsEndpoint(folder / "aws", self.clock, ids, account=settings.account, region=settings.region)
        self.clusters = Clusters(folder, self.clock, ids, self.aws.view)
        self.eks = EksService(self.aws.records, self.aws.view, self.clusters, self.clock, ids, settings.account)
        self.clusters.join(self.eks)
        self.aws.add(self.eks)
        closers.push_async_callback(self.clusters.close)
        closers.push_async_callback(self.aws.close)
        await self.aws.start(HOST, settings.aws_port)
        settings.aws_port = int(self.aws.url.rpartition(":")[2])
        self.clusters.hosts = frozenset((f"{HOST}:{settings.aws_port}", f"localhost:{settings.aws_port}"))
        settings.console_port = await self._start_console(settings.console_port)
        settings.save(folder)
        if not (folder / "kubeconfig").exists():
            descriptor = os.open(folder / "kubeconfig", os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(descriptor, b"apiVersion: v1\nkind: Config\n")
            os.close(descriptor)
        control = Control(folder, self._handlers())
        closers.push_async_callback(control.close)
        await control.start()
        self.aws.warm()
        tasks = Tasks("world")
        closers.push_async_callback(tasks.close)
        tasks.start("warm", self.clusters.warm())
        tasks.start("warm view", self.aws.view.warm())

    def _enter_folder(self) -> None:
        folder = self.folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = FileLock(folder / "lock").acquire(f"process {os.getpid()}")
        except Locked as locked:
            raise Failure(
                f"a world is already running in {folder} ({locked.holder})",
                "Use it with: terrarium status, or stop it with: terrarium down",
            ) from None
        except OSError as failure:
            raise Failure(f"can't use {folder}: {failure.strerror}", "Choose another folder with --dir.") from None
        self._closers.callback(lock.release)

    async def _start_console(self, port: int) -> int:
        listener = listen(port, "console", "--console-port")
        app = console(self.clock, self.aws, self.eks, self.clusters)
        config = uvicorn.Config(
            app, ws="none", log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        server = _Server(config)
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))

        async def close() -> None:
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)

        self._closers.push_async_callback(close)
        bound: int = listener.getsockname()[1]
        return bound

    async def close(self) -> None:
        await self._closers.aclose()
        if self._options.ephemeral:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- what may be asked of it -----------------------------------------------------------------------------------

    def _handlers(self) -> Mapping[str, Any]:
        async def status(_: Mapping[str, Any]) -> dict[str, Any]:
            return self.status()

        async def stop(_: Mapping[str, Any]) -> dict[str, Any]:
            self.stopped.set()
            return {}

        async def advance(request: Mapping[str, Any]) -> dict[str, Any]:
            await self.clock.advance(float(request["seconds"]))
            self.settings.ahead = self.clock.offset
            self.settings.save(self.folder)
            # What the jump set off has its turn before anybody looks.
            await self.clusters.settle()
            return {"clock": rfc3339(self.clock.now()), "ahead": self.clock.offset}

        async def environment(_: Mapping[str, Any]) -> dict[str, Any]:
            return {"variables": self.environment()}

        async def explain(request: Mapping[str, Any]) -> dict[str, Any]:
            return self.clusters.explain(request["cluster"], request["namespace"], request["name"])

        async def kubeconfig(request: Mapping[str, Any]) -> dict[str, Any]:
            return {"kubeconfig": self.clusters.admin_kubeconfig(request.get("cluster", ""))}

        return {
            "status": status,
            "stop": stop,
            "advance": advance,
            "environment": environment,
            "explain pod": explain,
            "kubeconfig": kubeconfig,
        }

    def status(self) -> dict[str, Any]:
        """What `terrarium status` shows."""
        return {
            "directory": str(self.folder),
            "pid": os.getpid(),
            "pace": self.settings.pace,
            "clock": rfc3339(self.clock.now()),
            "ahead": self.clock.offset,
            "account": self.settings.account,
            "region": self.settings.region,
            "aws": self.aws.url,
            "console": f"http://{HOST}:{self.settings.console_port}",
            "clusters": self.clusters.summaries(),
        }

    def environment(self) -> dict[str, str]:
        """What clients need to find this world and to be let in."""
        admin = self.aws.admin
        return {
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_ACCESS_KEY_ID": admin.access_key,
            "AWS_SECRET_ACCESS_KEY": admin.secret,
            "AWS_REGION": self.settings.region,
            "AWS_DEFAULT_REGION": self.settings.region,
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "TERRARIUM_DIR": str(self.folder),
        }


def listen(port: int, what: str, option: str) -> socket.socket:
    """A listening socket on loopback. `Failure` names the port and how to choose another."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as failure:
        listener.close()
        if failure.errno == errno.EADDRINUSE:
            raise Failure(f"port {port} for the {what} is taken", f"Choose another with {option} (0: any).") from None
        raise Failure(f"can't listen on port {port}: {failure.strerror}", f"Choose another with {option}.") from None
    listener.listen(128)
    return listener


def serve(options: WorldOptions, ready: Callable[[dict[str, Any]], None]) -> None:
    """Runs a world until it is told to stop (SIGTERM, SIGINT, `terrarium down`). `ready` gets its status once it answers."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )

    async def run() -> None:
        world = World(options)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, world.stopped.set)
        await world.start()
        try:
            ready(world.status())
            await world.stopped.wait()
        finally:
            await world.close()

    try:
        import uvloop

        uvloop.run(run())
    except ImportError:
        asyncio.run(run())
