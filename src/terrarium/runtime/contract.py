"""What a kubelet asks of a runtime, modelled on the CRI, in terms of pods and containers.

Three implementations: `simulated` (plays the commands it knows), `containers` (crun), `microvms`. All are held to
one contract suite. Log files are in the CRI's format, under the world's folder, so that they outlive the process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A pod's ground: names, address and where its files are. `directory` is the pod's own and empty at first."""

    uid: str
    namespace: str
    name: str
    node: str
    ip: str
    directory: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One start of a container. `command` and `args` as in the pod, already expanded; empty means the image's own."""

    name: str
    image: str
    command: Sequence[str]
    args: Sequence[str]
    env: Mapping[str, str]
    working_directory: str
    attempt: int
    mounts: Mapping[str, Path]
    """Path in the container to path on the host."""
    cpu_millis: int = 0
    memory_bytes: int = 0
    tty: bool = False
    stdin: bool = False
    ports: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended; `reason` is Completed, Error, OOMKilled, StartError, ContainerCannotRun …"""

    code: int
    reason: str
    message: str = ""
    signal: int = 0
    at: float = 0.0
    """When it ended, in seconds since 1970 of the world; 0 when the runtime doesn't know."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in nanoseconds since the start, memory in bytes now."""

    cpu_nanoseconds: int
    memory_bytes: int


class RuntimeFailure(Exception):
    """A step that failed; `reason` is what the container's waiting state shows (ErrImagePull, CreateContainerError …)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Process(Protocol):
    """A running exec or attach: three streams and an end."""

    async def write(self, data: bytes) -> None: ...
    async def close_input(self) -> None: ...
    async def resize(self, width: int, height: int) -> None: ...
    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1, stdout) and (2, stderr) pieces until the end."""
        ...

    async def wait(self) -> int: ...


class Runtime(Protocol):
    """All ids are the runtime's own strings. Every call may raise `RuntimeFailure`."""

    name: str

    async def start(self) -> None:
        """Recovers what an earlier process left running."""
        ...

    async def close(self) -> None:
        """Lets go of everything; pods of real runtimes go on running."""
        ...

    async def pull(self, image: str, policy: str) -> tuple[str, int]:
        """Makes the image ready; gives its digest reference and its size in bytes."""
        ...

    async def start_sandbox(self, spec: SandboxSpec) -> str: ...

    async def remove_sandbox(self, sandbox: str) -> None:
        """Ends what still runs and frees everything. Removing twice is no error."""
        ...

    async def start_container(self, sandbox: str, spec: ContainerSpec, log: Path) -> str:
        """Starts it, writing CRI log lines to `log`; gives the container's id (`simulated://…`)."""
        ...

    async def stop_container(self, container: str, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds of the world's time; returns when it has ended."""
        ...

    async def wait(self, container: str) -> Exit: ...

    async def exec(self, container: str, command: Sequence[str], tty: bool) -> Process: ...

    async def http_get(self, sandbox: str, port: int, path: str) -> tuple[int, bytes]:
        """What the pod answers on a port: for probes, the API server's proxy and load balancers."""
        ...

    async def connect(self, sandbox: str, port: int) -> Process:
        """A TCP connection into the pod (port-forward); `output` gives stream 1 only."""
        ...

    async def usage(self, container: str) -> Usage: ...


class Unreachable(Exception):
    """A pod could not reach what it asked for; `reason` is `host` (no such name) or `refused`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Network(Protocol):
    """What a pod without a network of its own (a simulated one) reaches: Services and pods of its cluster."""

    async def fetch(self, namespace: str, host: str, port: int, path: str) -> tuple[int, bytes]:
        """An HTTP GET: (status, body). Raises `Unreachable`."""
        ...

    async def resolve(self, namespace: str, host: str) -> str | None:
        """The address of a name; None when there is no such name."""
        ...


@runtime_checkable
class NetworkUser(Protocol):
    """A runtime that wants a `Network`."""

    def use_network(self, network: Network) -> None: ...
