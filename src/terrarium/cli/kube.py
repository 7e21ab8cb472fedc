"""`terrarium kube serve`: one API server without AWS, for tests of controllers, clients and for curiosity."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from terrarium.base.clock import parse_duration
from terrarium.base.diagnostics import Failure, UsageFailure

if TYPE_CHECKING:
    from terrarium.base.clock import Clock
    from terrarium.base.ids import Ids
    from terrarium.kube.apiserver.server import ApiServer
    from terrarium.kube.storage.contract import Storage
    from terrarium.runtime.kubelet.manager import Kubelets

COMPONENTS = ("controllers", "scheduler", "kubelet")
_SHOWN = {"controllers": "controller-manager", "scheduler": "scheduler"}
"""How component statuses call them."""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `serve`, checked."""

    port: int
    host: str
    kubeconfig: Path | None
    storage: str
    etcd: str
    """`host:port`"""
    folder: Path | None
    token_file: Path | None
    minor: int
    components: frozenset[str]
    scheduler_config: Path | None
    enable: tuple[str, ...]
    disable: tuple[str, ...]
    audit_log: Path | None
    nodes: int
    service_range: str
    gates: Mapping[str, bool]
    event_seconds: float
    manager: Manager
    advertise: str


@dataclass(frozen=True, slots=True)
class Manager:
    """The flags of kube-controller-manager among them. `pod_range` is "" when nodes get none of it."""

    pod_range: str
    mask: int
    finished_pods: int
    autoscaler_seconds: float


GATES = ("WatchList",)
"""The feature gates that make a difference."""


def gates_of(text: str | None) -> dict[str, bool]:
    """`A=true,B=false`. UsageFailure for gates there aren't."""
    found: dict[str, bool] = {}
    for pair in _names(text):
        name, _, value = pair.partition("=")
        if name not in GATES:
            raise UsageFailure(f"unrecognized feature gate: {name}", f"Known: {', '.join(GATES)}.")
        if value not in ("true", "false"):
            raise UsageFailure(f"invalid value of {name}: {value}", "Write true or false.")
        found[name] = value == "true"
    return found


def _range(flag: str, text: str, mask: int = 0) -> str:
    """A range of addresses, checked; `mask` is the size of parts that must fit into it."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as wrong:
        raise UsageFailure(
            f"{flag} {text!r} is no range of addresses: {wrong}", "Write for example 10.2.0.0/16."
        ) from None
    if mask and not network.prefixlen <= mask <= network.max_prefixlen:
        raise UsageFailure(f"--node-cidr-mask-size {mask} does not fit {flag} {text}")
    return text


def _address(flag: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise UsageFailure(f"{flag} {text!r} is no address", "Write for example 10.0.0.10.") from None


def _seconds(flag: str, text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        raise UsageFailure(f"{flag} {text!r} is no duration", "Write for example 15s or 1h.") from None


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
@click.option("--etcd-servers", default="127.0.0.1:2379", show_default=True, help="The etcd of --storage etcd.")
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
@click.option("--feature-gates", help="Name=true|false, separated by commas, as kube-apiserver's.")
@click.option("--service-cluster-ip-range", default="10.100.0.0/16", show_default=True, help="ClusterIPs of Services.")
@click.option("--advertise-address", default="", help="Where the Service kubernetes leads to [--host].")
@click.option("--event-ttl", default="1h", show_default=True, help="How long events are kept.")
@click.option("--allocate-node-cidrs/--no-allocate-node-cidrs", help="Give each node a part of --cluster-cidr.")
@click.option("--cluster-cidr", default="10.244.0.0/16", show_default=True, help="Addresses of pods.")
@click.option("--node-cidr-mask-size", default=24, show_default=True, help="The size of a node's part.")
@click.option("--terminated-pod-gc-threshold", default=12_500, show_default=True, help="Finished pods that are kept.")
@click.option(
    "--horizontal-pod-autoscaler-sync-period", default="15s", show_default=True, help="Between looks at metrics."
)
@click.option("--audit-log", type=click.Path(path_type=Path), help="Write audit events here, one JSON a line.")
def serve(
    port: int,
    host: str,
    kubeconfig: Path | None,
    storage: str,
    etcd_servers: str,
    folder: Path | None,
    token_file: Path | None,
    kubernetes_version: str,
    with_: str | None,
    without: str | None,
    nodes: int,
    scheduler_config: Path | None,
    enable_admission_plugins: str | None,
    disable_admission_plugins: str | None,
    feature_gates: str | None,
    service_cluster_ip_range: str,
    advertise_address: str,
    event_ttl: str,
    allocate_node_cidrs: bool,
    cluster_cidr: str,
    node_cidr_mask_size: int,
    terminated_pod_gc_threshold: int,
    horizontal_pod_autoscaler_sync_period: str,
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
        etcd_servers.split(",")[0].removeprefix("http://"),
        folder,
        token_file,
        minor_of(kubernetes_version),
        frozenset(components) - frozenset(_names(without)),
        scheduler_config,
        _names(enable_admission_plugins),
        _names(disable_admission_plugins),
        audit_log,
        nodes,
        _range("--service-cluster-ip-range", service_cluster_ip_range),
        gates_of(feature_gates),
        _seconds("--event-ttl", event_ttl),
        Manager(
            _range("--cluster-cidr", cluster_cidr, node_cidr_mask_size) if allocate_node_cidrs else "",
            node_cidr_mask_size,
            terminated_pod_gc_threshold,
            _seconds("--horizontal-pod-autoscaler-sync-period", horizontal_pod_autoscaler_sync_period),
        ),
        _address("--advertise-address", advertise_address),
    )
    _run(options)


@kube.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def assets(folder: Path) -> None:
    """Write stand-ins for kube-apiserver and etcd, for test suites that use controller-runtime's envtest."""
    from terrarium.cli.kube_envtest import write_assets

    write_assets(folder)
    click.echo(f"export KUBEBUILDER_ASSETS={folder.resolve()}")


def _many_connections() -> None:
    """As many open files as the machine lets this process have: each client holds one."""
    try:
        import resource
    except ImportError:
        return  # No such limit on this system.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(options: Options) -> None:
    # Objects are trees that live for long: looking for cycles in them often costs time (and pauses) and finds nothing.
    gc.set_threshold(50_000, 20, 100)
    _many_connections()
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
        service_range=options.service_range,
        watch_list=options.gates.get("WatchList"),
        event_seconds=options.event_seconds,
        advertise=options.advertise,
        components=tuple(_SHOWN[name] for name in COMPONENTS if name in options.components and name in _SHOWN),
        metrics="always" if "kubelet" in options.components else "never",
    )
    tokens = [StaticTokens.read(options.token_file)] if options.token_file else []
    kubelets = Kubelets(clock, ids, [SimulatedRuntime(clock, ids, folder / "runtime")], folder / "pods")
    async with AsyncExitStack() as stack:
        server = ApiServer(
            config,
            _storage(options, folder, clock),
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


def _storage(options: Options, folder: Path, clock: Clock) -> Storage:
    if options.storage == "sqlite":
        from terrarium.kube.storage.sqlite import SqliteStorage

        return SqliteStorage(folder / "store.db")
    if options.storage == "etcd":
        from terrarium.kube.storage.etcd import EtcdStorage

        return EtcdStorage(options.etcd, clock=clock)
    from terrarium.kube.storage.memory import MemoryStorage

    return MemoryStorage()


async def _start_components(
    server: ApiServer, kubelets: Kubelets, clock: Clock, ids: Ids, options: Options, stack: AsyncExitStack
) -> None:
    """Starts what shall run beside the server; each is closed before the server is."""
    wanted = options.components
    if "controllers" in wanted:
        from terrarium.kube.controllers.manager import ControllerManager

        controllers = ControllerManager(server.client(), clock, ids, _manager_options(options, server))
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


def _manager_options(options: Options, server: ApiServer) -> Any:
    from terrarium.kube.controllers.manager import Options as ManagerOptions

    manager = options.manager
    return ManagerOptions(
        root_ca=server.ca.decode(),
        terminated_pod_gc_threshold=manager.finished_pods,
        node_cidrs=manager.pod_range,
        node_cidr_mask=manager.mask,
        autoscaler_period=manager.autoscaler_seconds,
    )


def _scheduler_config(path: Path | None) -> Any:
    if path is None:
        return None
    from terrarium.kube.scheduler.configuration import load

    return load(path)
