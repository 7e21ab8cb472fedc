"""The simulated `Runtime`: containers are coroutines, their logs are real files.

What runs is written to a journal in the runtime's folder, one line for each start and end; after a restart the journal
is read and every container that had not ended is played again from its start, in its own time, with the lines that its
log already holds left out (see `process`). A process without a known program runs until it is stopped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.runtime.contract import ContainerSpec, Exit, Network, RuntimeFailure, SandboxSpec, Usage
from terrarium.runtime.simulated import images
from terrarium.runtime.simulated.commands import COMMANDS
from terrarium.runtime.simulated.process import Exited, Machine, Process
from terrarium.runtime.simulated.shell import SHELLS, Shell, run_command

LARGEST_LOG = 10 * 1024 * 1024
_INTERACTIVE = SHELLS


class Log:
    """A log in the CRI's format: time, stream, F or P, text. The first `skip` lines are there already."""

    def __init__(self, path: Path, skip: int = 0) -> None:
        self._path = path
        self._skip = skip
        self._open = {1: "", 2: ""}
        self._size = -1

    def write(self, moment: float, stream: int, text: str) -> None:
        text = self._open[stream] + text
        *lines, self._open[stream] = text.split("\n")
        if lines:
            self._append(moment, stream, lines, "F")

    def close(self, moment: float) -> None:
        for stream, rest in self._open.items():
            if rest:
                self._append(moment, stream, [rest], "P")
        self._open = {1: "", 2: ""}

    def _append(self, moment: float, stream: int, lines: list[str], tag: str) -> None:
        if self._skip:
            dropped = min(self._skip, len(lines))
            self._skip -= dropped
            lines = lines[dropped:]
        if not lines:
            return
        stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        name = "stdout" if stream == 1 else "stderr"
        data = "".join(f"{stamp} {name} {tag} {line}\n" for line in lines).encode()
        if self._size < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._size = self._path.stat().st_size if self._path.exists() else 0
        if self._size > LARGEST_LOG:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._size = 0
        with self._path.open("ab") as file:
            file.write(data)
        self._size += len(data)


@dataclass(slots=True)
class _Sandbox:
    id: str
    spec: SandboxSpec
    containers: dict[str, _Container] = field(default_factory=dict)


@dataclass(slots=True)
class _Container:
    id: str
    spec: ContainerSpec
    sandbox: _Sandbox
    image: images.Image
    machine: Machine
    log: Log
    started: float
    ended: asyncio.Future[Exit]
    task: asyncio.Task[None] | None = None
    exit: Exit | None = None


class SimulatedRuntime:
    """`directory` holds the journal; log files are where the kubelet says."""

    name = "simulated"

    def __init__(self, clock: Clock, ids: Ids, directory: Path) -> None:
        self._clock = clock
        self._ids = ids
        self._journal = directory / "journal.jsonl"
        self._tasks = Tasks("simulated")
        self._sandboxes: dict[str, _Sandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._network: Network | None = None
        self._lines: list[str] = []

    def use_network(self, network: Network) -> None:
        """Gives the pods somebody to talk to."""
        self._network = network
        for container in self._containers.values():
            container.machine.network = network

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        sandboxes: dict[str, Mapping[str, Any]] = {}
        containers: dict[str, Mapping[str, Any]] = {}
        if self._journal.exists():
            for line in self._journal.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    # The last line of a process that was killed while it wrote.
                    continue
                self._replay(entry, sandboxes, containers)
        for entry in sandboxes.values():
            self._restore_sandbox(entry)
        for entry in containers.values():
            self._restore_container(entry)
        self._journal.write_text("".join(json.dumps(e) + "\n" for e in [*sandboxes.values(), *containers.values()]))

    @staticmethod
    def _replay(
        entry: Mapping[str, Any], sandboxes: dict[str, Mapping[str, Any]], containers: dict[str, Mapping[str, Any]]
    ) -> None:
        kind = entry["is"]
        if kind == "sandbox":
            sandboxes[entry["id"]] = entry
        elif kind == "container":
            containers[entry["id"]] = entry
        elif kind == "exit" and entry["id"] in containers:
            containers[entry["id"]] = {**containers[entry["id"]], "exit": entry["exit"]}
        elif kind == "removed":
            sandboxes.pop(entry["id"], None)
            for id in [i for i, c in containers.items() if c["sandbox"] == entry["id"]]:
                del containers[id]

    def _restore_sandbox(self, entry: Mapping[str, Any]) -> None:
        spec = SandboxSpec(**{**entry["spec"], "directory": Path(entry["spec"]["directory"])})
        self._sandboxes[entry["id"]] = _Sandbox(entry["id"], spec)

    def _restore_container(self, entry: Mapping[str, Any]) -> None:
        sandbox = self._sandboxes.get(entry["sandbox"])
        if sandbox is None:
            return
        raw = dict(entry["spec"])
        raw["mounts"] = {k: Path(v) for k, v in raw["mounts"].items()}
        path = Path(entry["log"])
        ended = Exit(**entry["exit"]) if entry.get("exit") else None
        skip = path.read_bytes().count(b"\n") if path.exists() else 0
        self._run(entry["id"], sandbox, ContainerSpec(**raw), path, entry["started"], ended, skip)

    async def close(self) -> None:
        await self._tasks.close()

    def _note(self, entry: Mapping[str, Any]) -> None:
        with self._journal.open("a") as file:
            file.write(json.dumps(entry, default=str) + "\n")

    # -- the contract -----------------------------------------------------------------------------------------------

    async def pull(self, image: str, policy: str) -> tuple[str, int]:
        row = images.look_up(image)
        return images.digest(image), row.size

    async def start_sandbox(self, spec: SandboxSpec) -> str:
        id = self._ids.hex(64)
        self._sandboxes[id] = _Sandbox(id, spec)
        self._note({"is": "sandbox", "id": id, "spec": asdict(spec)})
        return id

    async def remove_sandbox(self, sandbox: str) -> None:
        found = self._sandboxes.pop(sandbox, None)
        if found is None:
            return
        for container in found.containers.values():
            self._end(container, Exit(137, "Error", signal=9))
            self._containers.pop(container.id, None)
        self._note({"is": "removed", "id": sandbox})

    async def start_container(self, sandbox: str, spec: ContainerSpec, log: Path) -> str:
        found = self._sandbox(sandbox)
        id = f"simulated://{self._ids.hex(64)}"
        started = self._clock.time()
        words = self._words(spec, images.look_up(spec.image))
        if words and not self._runnable(words, spec):
            name = words[0]
            text = (
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
                f'failed: unable to start container process: error during container init: exec: "{name}": '
            )
            tail = f"stat {name}: no such file or directory" if "/" in name else "executable file not found in $PATH"
            raise RuntimeFailure("RunContainerError", f"{text}{tail}")
        self._run(id, found, spec, log, started, None, 0)
        entry = {"is": "container", "id": id, "sandbox": sandbox, "spec": asdict(spec), "log": str(log)}
        self._note({**entry, "started": started})
        return id

    async def stop_container(self, container: str, grace: float) -> None:
        found = self._containers.get(container)
        if found is None or found.exit is not None:
            return
        words = self._words(found.spec, found.image)
        program = words[0].rsplit("/", 1)[-1] if words else ""
        # The first process of a container ignores SIGTERM unless it handles it: servers do, plain commands don't.
        plain = program in _INTERACTIVE or program in COMMANDS
        if plain and program != "pause" and not found.machine.handles_term:
            await self._clock.transition(grace)
            self._end(found, Exit(137, "Error", signal=9))
        else:
            self._end(found, Exit(0, "Completed") if not plain else Exit(143, "Error", signal=15))

    async def wait(self, container: str) -> Exit:
        return await asyncio.shield(self._container(container).ended)

    async def exec(self, container: str, command: Sequence[str], tty: bool) -> Execution:
        found = self._container(container)
        if found.exit is not None:
            raise RuntimeFailure("ContainerNotRunning", "container not running")
        name = command[0].rsplit("/", 1)[-1] if command else ""
        if name not in _INTERACTIVE and name not in COMMANDS:
            tail = f'exec: "{command[0]}": executable file not found in $PATH' if command else "no command"
            raise RuntimeFailure(
                "ExecFailed",
                f"OCI runtime exec failed: exec failed: unable to start container process: {tail}: unknown",
            )
        execution = Execution(found.machine, dict(self._environment(found)), found.spec.working_directory, tty)
        execution.begin(self._tasks, list(command))
        return execution

    async def http_get(self, sandbox: str, port: int, path: str) -> tuple[int, bytes]:
        for container in self._sandbox(sandbox).containers.values():
            if container.exit is None and self._listens(container, port):
                return self._answer(container, path)
        raise RuntimeFailure(
            "ConnectionRefused", f"dial tcp {self._sandbox(sandbox).spec.ip}:{port}: connect: connection refused"
        )

    async def connect(self, sandbox: str, port: int) -> Forwarded:
        found = self._sandbox(sandbox)
        if not any(c.exit is None and self._listens(c, port) for c in found.containers.values()):
            raise RuntimeFailure(
                "ConnectionRefused", f"failed to connect to localhost:{port} inside namespace: connection refused"
            )
        return Forwarded(self, sandbox, port)

    async def usage(self, container: str) -> Usage:
        found = self._container(container)
        seconds = max(0.0, self._clock.time() - found.started)
        # An idle share of what was asked for: enough for `top` and the autoscalers to have something to read.
        millis = max(1, found.spec.cpu_millis // 20)
        memory = found.spec.memory_bytes // 4 or 8 * 1024 * 1024
        return Usage(int(seconds * millis * 1_000_000), memory)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _sandbox(self, id: str) -> _Sandbox:
        found = self._sandboxes.get(id)
        if found is None:
            raise RuntimeFailure("SandboxNotFound", f"sandbox {id} not found")
        return found

    def _container(self, id: str) -> _Container:
        found = self._containers.get(id)
        if found is None:
            raise RuntimeFailure("ContainerNotFound", f"container {id} not found")
        return found

    @staticmethod
    def _words(spec: ContainerSpec, image: images.Image) -> list[str]:
        """What is run: as the pod says, else as the image does."""
        if spec.command:
            return [*spec.command, *spec.args]
        return [*image.entrypoint, *(spec.args or image.command)]

    def _runnable(self, words: Sequence[str], spec: ContainerSpec) -> bool:
        """Whether such a program can be there. Images of programs we don't know may hold anything."""
        name = words[0].rsplit("/", 1)[-1]
        image = images.look_up(spec.image)
        own = {w.rsplit("/", 1)[-1] for w in (*image.entrypoint[:1], *image.command[:1])}
        return name in _INTERACTIVE or name in COMMANDS or name in own or not image.known or bool(image.serves)

    def _environment(self, container: _Container) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME": container.machine.host_name,
            "HOME": "/root",
            **container.spec.env,
        }

    def _run(
        self,
        id: str,
        sandbox: _Sandbox,
        spec: ContainerSpec,
        log: Path,
        started: float,
        ended: Exit | None,
        skip: int,
    ) -> None:
        ip = sandbox.spec.ip
        machine = Machine(
            self._clock, self._network, sandbox.spec.namespace, sandbox.spec.name, ip, spec.image, spec.mounts
        )
        future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        image = images.look_up(spec.image)
        container = _Container(id, spec, sandbox, image, machine, Log(log, skip), started, future, exit=ended)
        self._containers[id] = container
        sandbox.containers[id] = container
        if ended is not None:
            future.set_result(ended)
            return
        words = self._words(spec, image)
        if image.says or self._program(words):
            container.task = self._tasks.start(f"container {id[-12:]}", self._play(container, words))

    @staticmethod
    def _program(words: Sequence[str]) -> bool:
        name = words[0].rsplit("/", 1)[-1] if words else ""
        return name in _INTERACTIVE or (name in COMMANDS and name != "pause")

    async def _play(self, container: _Container, words: list[str]) -> None:
        def output(stream: int, text: str) -> None:
            container.log.write(process.moment, stream, text)

        folder = container.spec.working_directory or "/"
        process = Process(container.machine, self._environment(container), output, container.started, folder)
        for line in container.image.says if not container.spec.command else ():
            output(1, line + "\n")
        if container.image.exits is not None and not container.spec.command:
            code = container.image.exits
        elif not self._program(words):
            return
        elif len(words) == 1 and words[0].rsplit("/", 1)[-1] in _INTERACTIVE:
            # A shell without a script reads its input: nothing there ends it at once, a kept-open one waits.
            if container.spec.stdin or container.spec.tty:
                return
            code = 0
        else:
            try:
                code = await run_command(process, words)
            except Exited as exited:
                code = exited.code
        container.log.close(process.moment)
        container.task = None
        self._end(container, Exit(code, "Completed" if code == 0 else "Error"), process.moment)

    def _end(self, container: _Container, exit: Exit, moment: float | None = None) -> None:
        if container.exit is not None:
            return
        if container.task is not None:
            container.task.cancel()
            container.log.close(self._clock.time())
        finished = moment if moment is not None else self._clock.time()
        container.exit = Exit(exit.code, exit.reason, exit.message, exit.signal, finished)
        if not container.ended.done():
            container.ended.set_result(container.exit)
        self._note({"is": "exit", "id": container.id, "exit": asdict(container.exit)})

    def _listens(self, container: _Container, port: int) -> bool:
        if self._program(self._words(container.spec, container.image)):
            return False
        if container.image.known:
            # A server of its own ports; a declared port may move it (`httpd` configured for 8080).
            return port in container.image.serves or (bool(container.image.serves) and port in container.spec.ports)
        return port in container.spec.ports

    def _answer(self, container: _Container, path: str) -> tuple[int, bytes]:
        image = container.image
        body = self._content(container, path)
        status = 200 if body is not None else 404
        data = body if body is not None else b"<html><head><title>404 Not Found</title></head></html>\n"
        if image.log:
            stamp = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
            line = f'{container.machine.ip} - - [{stamp}] "GET {path} HTTP/1.1" {status} {len(data)} "-" "curl/8.7.1" "-"\n'
            container.log.write(self._clock.time(), 1, line)
        return status, data

    def _content(self, container: _Container, path: str) -> bytes | None:
        """The page: what is mounted where the server looks, else the image's own; None for a page that is not there."""
        plain = path.split("?")[0]
        if container.image.log:
            name = "index.html" if plain in ("", "/") else plain.lstrip("/")
            for root in ("/usr/share/nginx/html/", "/usr/local/apache2/htdocs/"):
                text = container.machine.read(root + name)
                if text is not None:
                    return text.encode()
            if plain not in ("", "/", "/index.html"):
                return None
        return container.image.page.encode()


class Execution:
    """A command inside a running container, or a shell that is fed line by line."""

    def __init__(self, machine: Machine, environment: dict[str, str], folder: str, tty: bool) -> None:
        self._machine = machine
        self._tty = tty
        self._pieces: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._typed = ""
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = Process(machine, environment, self._output, machine.clock.time(), folder or "/")

    def begin(self, tasks: Tasks, command: list[str]) -> None:
        tasks.start("exec", self._run(command))

    def _output(self, stream: int, text: str) -> None:
        data = text.replace("\n", "\r\n") if self._tty else text
        self._pieces.put_nowait((1 if self._tty else stream, data.encode()))

    async def _run(self, command: list[str]) -> None:
        code = 137
        try:
            name = command[0].rsplit("/", 1)[-1]
            if name in _INTERACTIVE and all(c in ("-i", "-l", "-il") for c in command[1:]):
                code = await self._interactive(command)
            else:
                code = await run_command(self._process, command)
        except Exited as exited:
            code = exited.code
        finally:
            self._pieces.put_nowait(None)
            if not self._code.done():
                self._code.set_result(code)

    async def _interactive(self, command: list[str]) -> int:
        shell = Shell(self._process, command)
        while True:
            if self._tty:
                self._output(1, f"{self._process.folder} # ")
            line = await self._lines.get()
            if line is None:
                return shell.status
            self._process.moment = max(self._process.moment, self._machine.clock.time())
            await shell.line(line)

    async def write(self, data: bytes) -> None:
        text = data.decode(errors="replace").replace("\r", "\n")
        if self._tty:
            if "\x04" in text:
                await self.close_input()
                return
            self._output(1, text)
        *lines, self._typed = (self._typed + text).split("\n")
        for line in lines:
            self._lines.put_nowait(line)

    async def close_input(self) -> None:
        if self._typed:
            self._lines.put_nowait(self._typed)
            self._typed = ""
        self._lines.put_nowait(None)

    async def resize(self, width: int, height: int) -> None:
        """The simulated terminal has no size."""

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def wait(self) -> int:
        return await asyncio.shield(self._code)


class Forwarded:
    """A forwarded connection: each HTTP request that comes is answered, everything else is taken silently."""

    def __init__(self, runtime: SimulatedRuntime, sandbox: str, port: int) -> None:
        self._runtime = runtime
        self._sandbox = sandbox
        self._port = port
        self._taken = b""
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def write(self, data: bytes) -> None:
        self._taken += data
        while b"\r\n\r\n" in self._taken:
            request, _, self._taken = self._taken.partition(b"\r\n\r\n")
            words = request.split(b"\r\n", 1)[0].split()
            path = words[1].decode(errors="replace") if len(words) > 1 else "/"
            try:
                status, body = await self._runtime.http_get(self._sandbox, self._port, path)
            except RuntimeFailure:
                await self.close_input()
                return
            head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Not Found'}\r\nContent-Length: {len(body)}\r\n\r\n"
            self._pieces.put_nowait(head.encode() + body)

    async def close_input(self) -> None:
        self._pieces.put_nowait(None)

    async def resize(self, width: int, height: int) -> None:
        """No terminal."""

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        while (piece := await self._pieces.get()) is not None:
            yield 1, piece

    async def wait(self) -> int:
        return 0
