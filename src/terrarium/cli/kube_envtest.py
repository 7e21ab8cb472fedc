"""Stand-ins for the programs that envtest of controller-runtime starts: kube-apiserver and etcd, by their own flags.

`terrarium kube assets FOLDER` writes them; with `KUBEBUILDER_ASSETS=FOLDER` test suites for real control planes run
against ours, with the certificates and users that they make themselves. The stand-in for etcd only says that it is well:
the API server keeps its objects in memory.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from terrarium.base.diagnostics import Failure, UsageFailure

_TAKEN = frozenset(
    [
        "bind-address",
        "cert-dir",
        "client-ca-file",
        "disable-admission-plugins",
        "enable-admission-plugins",
        "feature-gates",
        "secure-port",
        "service-account-issuer",
        "service-account-signing-key-file",
        "service-cluster-ip-range",
        "tls-cert-file",
        "tls-private-key-file",
        "token-auth-file",
    ]
)
_NEEDLESS = frozenset(
    [
        "advertise-address",
        "allow-privileged",
        "api-audiences",
        "authorization-mode",
        "etcd-servers",
        "insecure-port",
        "runtime-config",
        "service-account-key-file",
        "storage-backend",
        "v",
        "watch-cache",
    ]
)
"""Flags that say what is so anyway, or what makes no difference here."""


def flags_of(arguments: Sequence[str]) -> dict[str, list[str]]:
    """`--name=value`, `--name value` and `--name` as Go's flag packages read them. UsageFailure for what is no flag."""
    found: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest:
        given = rest.pop(0)
        if not given.startswith("-"):
            raise UsageFailure(f"unknown argument {given!r}", "Flags begin with --.")
        name, equals, value = given.lstrip("-").partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else "true"
        found.setdefault(name, []).append(value)
    return found


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags of kube-apiserver come to here. `ignored` are flags that have no counterpart."""

    host: str
    port: int
    folder: Path | None
    certificate: Path | None
    key: Path | None
    client_ca: Path | None
    signing_key: Path | None
    issuer: str
    service_range: str
    tokens: Path | None
    enable: tuple[str, ...]
    disable: tuple[str, ...]
    gates: Mapping[str, bool]
    ignored: tuple[str, ...] = field(default=())


def settings(arguments: Sequence[str]) -> Settings:
    from terrarium.cli.kube import GATES

    flags = flags_of(arguments)

    def last(name: str, default: str = "") -> str:
        return flags.get(name, [default])[-1]

    def file(name: str) -> Path | None:
        return Path(last(name)) if last(name) else None

    def names(name: str) -> tuple[str, ...]:
        return tuple(part for text in flags.get(name, ()) for part in text.split(",") if part)

    folder = file("cert-dir")
    certificate, key = file("tls-cert-file"), file("tls-private-key-file")
    if certificate is None and folder is not None and (folder / "apiserver.crt").exists():
        certificate, key = folder / "apiserver.crt", folder / "apiserver.key"
    if not last("secure-port", "6443").isdigit():
        raise UsageFailure(f"invalid argument {last('secure-port')!r} for --secure-port")
    gates = dict(pair.split("=", 1) for pair in names("feature-gates") if "=" in pair)
    return Settings(
        last("bind-address", "127.0.0.1"),
        int(last("secure-port", "6443")),
        folder,
        certificate,
        key,
        file("client-ca-file"),
        file("service-account-signing-key-file"),
        last("service-account-issuer", "https://kubernetes.default.svc"),
        last("service-cluster-ip-range", "10.0.0.0/24"),
        file("token-auth-file"),
        names("enable-admission-plugins"),
        names("disable-admission-plugins"),
        {name: value == "true" for name, value in gates.items() if name in GATES},
        tuple(name for name in flags if name not in _TAKEN | _NEEDLESS),
    )


def apiserver(arguments: Sequence[str] | None = None) -> None:
    """Runs until SIGTERM."""
    _told(lambda: asyncio.run(_serve(settings(sys.argv[1:] if arguments is None else arguments))))


async def _serve(wanted: Settings) -> None:
    from terrarium.base.clock import Clock
    from terrarium.base.ids import Ids
    from terrarium.kube.api.builtin import registry
    from terrarium.kube.apiserver.authentication import StaticTokens
    from terrarium.kube.apiserver.pki import Given
    from terrarium.kube.apiserver.server import ApiServer, ServerConfig
    from terrarium.kube.storage.memory import MemoryStorage

    stopping = _stopping()
    for name in wanted.ignored:
        print(f"kube-apiserver (terrarium): --{name} makes no difference here", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="terrarium-kube-") as scratch:
        config = ServerConfig(
            Path(scratch),
            host=wanted.host,
            port=wanted.port,
            service_range=wanted.service_range,
            issuer=wanted.issuer,
            enable_admission=wanted.enable,
            disable_admission=wanted.disable,
            given=Given(wanted.certificate, wanted.key, wanted.client_ca, wanted.signing_key),
            watch_list=wanted.gates.get("WatchList"),
        )
        tokens = [StaticTokens.read(wanted.tokens)] if wanted.tokens else []
        server = ApiServer(config, MemoryStorage(), registry(config.minor), Clock(), Ids(), authenticators=tokens)
        await server.start()
        print(f"Serving securely on {wanted.host}:{server.port}", file=sys.stderr)
        try:
            await stopping.wait()
        finally:
            await server.close()


_WELL = b'{"health":"true","reason":""}'


def etcd(arguments: Sequence[str] | None = None) -> None:
    """Answers /health on each client address until SIGTERM."""
    _told(lambda: asyncio.run(_well(flags_of(sys.argv[1:] if arguments is None else arguments))))


async def _well(flags: Mapping[str, Sequence[str]]) -> None:
    stopping = _stopping()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.close()
            return
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(_WELL) + _WELL)
        await writer.drain()
        writer.close()

    servers = []
    for url in ",".join(flags.get("listen-client-urls", ["http://localhost:2379"])).split(","):
        parts = urlsplit(url)
        try:
            servers.append(await asyncio.start_server(answer, parts.hostname, parts.port or 2379))
        except OSError as error:
            raise Failure(f"etcd can't listen on {url}: {error.strerror}") from error
    print("ready to serve client requests", file=sys.stderr)
    await stopping.wait()
    for server in servers:
        server.close()


def _stopping() -> asyncio.Event:
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


def _told(run: object) -> None:
    assert callable(run)
    try:
        run()
    except Failure as failure:
        print(f"Error: {failure}", file=sys.stderr)
        raise SystemExit(1) from None


_PROGRAMS = {"kube-apiserver": "apiserver", "etcd": "etcd"}


def write_assets(folder: Path) -> list[Path]:
    """The stand-ins as executables in `folder`, with kubectl beside them. `Failure` when it can't be written."""
    made: list[Path] = []
    texts = {
        name: f"#!{sys.executable}\nfrom terrarium.cli.kube_envtest import {function}\n\n{function}()\n"
        for name, function in _PROGRAMS.items()
    }
    kubectl = shutil.which("kubectl")
    real = f'exec "{kubectl}" "$@"' if kubectl else f'exec "{sys.executable}" -m terrarium kubectl "$@"'
    texts["kubectl"] = f"#!/bin/sh\n{real}\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            path.write_text(text)
            path.chmod(0o755)
            made.append(path)
    except OSError as error:
        raise Failure(f"{folder} can't be written: {error.strerror}") from error
    return made
