"""A simulated process: its own time, its streams, its environment and files.

Theory of operation. A process has a moment of its own, which begins when it was started and moves with each `sleep`.
While that moment is behind the world's clock nothing is waited for, so a process that is played again after a restart of
the program, or woken after a long jump of the clock, catches up by itself and stamps each line with the time at which it
would have been written. The first sleeps of a process are timers; one that sleeps again and again beats like a heart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from terrarium.base.clock import Clock
from terrarium.runtime.contract import Network

_TIMERS = 16


class Exited(Exception):
    """Ends a script: `exit N`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Machine:
    """What all processes of one container share."""

    clock: Clock
    network: Network | None
    namespace: str
    host_name: str
    ip: str
    image: str
    mounts: Mapping[str, Path]
    files: dict[str, str] = field(default_factory=dict)
    """Written by the scripts themselves; they live as long as the container."""
    handles_term: bool = False
    """Whether a script set a trap for SIGTERM; without one the first process of a container ignores it."""

    def read(self, path: str) -> str | None:
        """A file's text; None when there is none."""
        if path in self.files:
            return self.files[path]
        for mount in sorted(self.mounts, key=len, reverse=True):
            if path == mount or path.startswith(mount.rstrip("/") + "/"):
                real = self.mounts[mount] / path[len(mount) :].lstrip("/")
                if real.is_file():
                    return real.read_text(errors="replace")
        return {
            "/etc/hostname": f"{self.host_name}\n",
            "/etc/hosts": f"127.0.0.1\tlocalhost\n{self.ip}\t{self.host_name}\n",
            "/etc/resolv.conf": f"search {self.namespace}.svc.cluster.local svc.cluster.local cluster.local\n"
            "nameserver 172.20.0.10\noptions ndots:5\n",
        }.get(path)

    def listing(self, path: str) -> list[str] | None:
        """The names in a folder; None when there is no such folder."""
        names: set[str] = set()
        base = path.rstrip("/") + "/"
        for known in [*self.files, *self.mounts]:
            if known.startswith(base):
                names.add(known[len(base) :].split("/")[0])
        for mount, real in self.mounts.items():
            if path == mount or path.startswith(mount.rstrip("/") + "/"):
                folder = real / path[len(mount) :].lstrip("/")
                if folder.is_dir():
                    names |= {p.name for p in folder.iterdir() if not p.name.startswith("..")}
                    return sorted(names)
        if path == "/":
            names |= {"bin", "dev", "etc", "home", "lib", "proc", "root", "sys", "tmp", "usr", "var"}
        return sorted(names) if names or path in ("/tmp", "/") else None

    def write(self, path: str, text: str, append: bool = False) -> None:
        for mount in sorted(self.mounts, key=len, reverse=True):
            if path.startswith(mount.rstrip("/") + "/"):
                real = self.mounts[mount] / path[len(mount) :].lstrip("/")
                real.parent.mkdir(parents=True, exist_ok=True)
                with real.open("a" if append else "w") as file:
                    file.write(text)
                return
        self.files[path] = (self.files.get(path, "") if append else "") + text


Output = Callable[[int, str], None]
"""Takes (stream, text); 1 is stdout, 2 stderr."""


@dataclass(slots=True)
class Process:
    machine: Machine
    environment: dict[str, str]
    output: Output
    moment: float
    folder: str = "/"
    input: str = ""
    sleeps: int = 0

    async def sleep(self, seconds: float) -> None:
        """`inf` waits until the process is ended."""
        clock = self.machine.clock
        if seconds == float("inf"):
            await asyncio.get_running_loop().create_future()
        self.moment += seconds
        self.sleeps += 1
        left = self.moment - clock.time()
        if left <= 0:
            if self.sleeps % 64 == 0:
                await asyncio.sleep(0)
        elif self.sleeps <= _TIMERS:
            await clock.sleep(left)
        else:
            await clock.heartbeat(left)

    def child(self, output: Output, input: str = "") -> Process:
        """A process with the same machine, environment and time, and other streams."""
        return Process(self.machine, self.environment, output, self.moment, self.folder, input, self.sleeps)

    def path(self, text: str) -> str:
        if text.startswith("/"):
            return text
        base = self.folder.rstrip("/")
        parts: list[str] = []
        for part in f"{base}/{text}".split("/"):
            if part == "..":
                parts[-1:] = []
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)
