"""`terrarium kube serve`: one API server without AWS, for tests of controllers, clients and for curiosity."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from terrarium.base.diagnostics import Failure, UsageFailure

if TYPE_CHECKING:
    from terrarium.base.clock import Clock
    from terrarium.base.ids import Ids
    from terrarium.kube.apiserver.server import ApiServer
    from terrarium.kube.storage.contract import Storage
    from terrarium.runtime.kubelet.manager import Kubelets

COMPONENTS = ("controllers", "scheduler", "kubelet")


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `serve`, checked."""

    port: int
    host: str
    kubeconfig: Path | None
    storage: str
    folder: Path | None
    token_file: Path | None
    minor: int
    components: frozenset[str]
    scheduler_config: Path | None
    enable: tuple[str, ...]
    disable: tuple[str, ...]
    audit_log: Path | None
    nodes: int


@click.group()
def kube() -> None:
    """The Kubernetes API server alone, without AWS."""


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def minor_of(version: str) -> int:
    """33 of `1.33`, `v1.33.2` or `33`. UsageFailure else."""
    parts = version.removeprefix("v").split(".")
    text = parts[1] if len(parts) > 1 and parts[0] == "1" else parts[0]
    if not text.isdigit():
        raise UsageFailure(f"{version!r} is no Kubernetes version", "Write for example 1.33.")
    return int(text)


@kube.command()
@click.option("--port", default=6443, show_default=True, help="Where to listen; 0 takes a free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), help="Write an administrator's kubeconfig here when ready."
)
@click.option("--storage", type=click.Choice(["memory", "sqlite", "etcd"]), default="memory", show_default=True)
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="Where keys and the SQLite file live [a new folder]."
)
@click.option("--token-file", type=click.Path(path_type=Path), help='Static tokens: token,user,uid,"groups" a line.')
@click.option("--kubernetes-version", default="1.33", show_default=True)
@click.option("--with", "with_", help="What runs beside the API server: controllers,scheduler,kubelet.")
@click.option("--without", help="What of --with not to run.")
@click.option("--nodes", default=1, show_default=True, help="Simulated nodes, with kubelet.")
@click.option("--scheduler-config", type=click.Path(path_type=Path), help="A KubeSchedulerConfiguration file.")
@click.option("--enable-admission-plugins", help="Further admission plugins, by name.")
@click.option("--disable-admission-plugins", help="Default admission plugins to leave out.")
@click.option("--audit-log", type=click.Path(path_type=Path), help="Write audit events here, one JSON a line.")
def serve(
    port: int,
    host: str,
    kubeconfig: Path | None,
    storage: str,
    folder: Path | None,
    token_file: Path | None,
    kubernetes_version: str,
    with_: str | None,
    without: str | None,
    nodes: int,
    scheduler_config: Path | None,
    enable_admission_plugins: str | None,
    disable_admission_plugins: str | None,
    audit_log: Path | None,
) -> None:
    """Run a Kubernetes API server until SIGTERM or Ctrl-C."""
    components = _names(with_)
    for name in (*components, *_names(without)):
        if name not in COMPONENTS:
            raise UsageFailure(f"there is no component {name!r}", f"There are {', '.join(COMPONENTS)}.")
    if storage == "sqlite" and folder is None:
        raise UsageFailure("--storage sqlite needs a place for its file", "Add --dir FOLDER.")
    options = Options(
        port,
        host,
        kubeconfig,
        storage,
        folder,
        token_file,
        minor_of(kubernetes_version),
        frozenset(components) - frozenset(_names(without)),
        scheduler_config,
        _names(enable_admission_plugins),
        _names(disable_admission_plugins),
        audit_log,
        nodes,
    )
    _run(options)


def _run(options: Options) -> None:
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with tempfile.TemporaryDirectory(prefix="terrarium-kube-") as scratch, runner:
        runner.run(_serve(options, options.folder or Path(scratch)))


async def _serve(options: Options, folder: Path) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    from terrarium.base.clock import Clock
    from terrarium.base.ids import Ids
    from terrarium.kube.api.builtin import registry
    from terrarium.kube.apiserver.authentication import StaticTokens
    from terrarium.kube.apiserver.server import ApiServer, ServerConfig
    from terrarium.runtime.kubelet.manager import Kubelets
    from terrarium.runtime.simulated.runtime import SimulatedRuntime

    clock, ids = Clock(), Ids()
    config = ServerConfig(
        folder,
        host=options.host,
        port=options.port,
        minor=options.minor,
        enable_admission=options.enable,
        disable_admission=options.disable,
        audit_log=options.audit_log,
    )
    tokens = [StaticTokens.read(options.token_file)] if options.token_file else []
    kubelets = Kubelets(clock, ids, [SimulatedRuntime(clock, ids, folder / "runtime")], folder / "pods")
    async with AsyncExitStack() as stack:
        server = ApiServer(
            config,
            _storage(options, folder),
            registry(options.minor),
            clock,
            ids,
            authenticators=tokens,
            kubelet=kubelets,
        )
        await server.start()
        stack.push_async_callback(server.close)
        await _start_components(server, kubelets, clock, ids, options, stack)
        if options.kubeconfig is not None:
            _write(options.kubeconfig, server.admin_kubeconfig())
        print(f"The Kubernetes API is ready at {server.url}", file=sys.stderr)
        await stopping.wait()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, since others wait for the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        raise Failure(f"the kubeconfig {path} can't be written: {error.strerror}") from error


def _storage(options: Options, folder: Path) -> Storage:
    if options.storage == "sqlite":
        from terrarium.kube.storage.sqlite import SqliteStorage

        return SqliteStorage(folder / "store.db")
    if options.storage == "etcd":
        raise Failure("storage in etcd is not supported yet", "Use --storage sqlite or memory.")
    from terrarium.kube.storage.memory import MemoryStorage

    return MemoryStorage()


async def _start_components(
    server: ApiServer, kubelets: Kubelets, clock: Clock, ids: Ids, options: Options, stack: AsyncExitStack
) -> None:
    """Starts what shall run beside the server; each is closed before the server is."""
    wanted = options.components
    if "controllers" in wanted:
        from terrarium.kube.controllers.manager import ControllerManager
        from terrarium.kube.controllers.manager import Options as ManagerOptions

        controllers = ControllerManager(server.client(), clock, ids, ManagerOptions(root_ca=server.ca.decode()))
        await controllers.start()
        stack.push_async_callback(controllers.close)
    if "scheduler" in wanted:
        from terrarium.kube.scheduler.server import Scheduler

        user = server.client("system:kube-scheduler")
        scheduler = Scheduler(user, clock, ids, _scheduler_config(options.scheduler_config))
        await scheduler.start()
        stack.push_async_callback(scheduler.close)
    if "kubelet" in wanted:
        from terrarium.runtime.kubelet.nodes import NodeSpec

        await kubelets.start(server.client())
        stack.push_async_callback(kubelets.close)
        for number in range(1, options.nodes + 1):
            await kubelets.add_node(NodeSpec(f"node-{number}", address=f"10.0.0.{number}"))


def _scheduler_config(path: Path | None) -> Any:
    if path is None:
        return None
    from terrarium.kube.scheduler.configuration import load

    return load(path)
