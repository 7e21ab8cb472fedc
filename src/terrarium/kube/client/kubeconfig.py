"""Kubeconfig files: where a cluster is, how to trust it and how to log in, exec plugins included."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from terrarium.base.diagnostics import Failure


@dataclass(slots=True)
class Login:
    """How to reach a cluster. `token` may come from an exec plugin and then be renewed by `renew`."""

    server: str
    context: ssl.SSLContext | None = None
    token: str = ""
    token_file: Path | None = None
    basic: str = ""
    exec: Mapping[str, Any] | None = None
    namespace: str = "default"
    headers: dict[str, str] = field(default_factory=dict)

    async def authorization(self) -> str:
        """The Authorization header; "" without one."""
        if self.token_file is not None:
            self.token = self.token_file.read_text().strip()
        if self.exec is not None and not self.token:
            await self.renew()
        if self.token:
            return f"Bearer {self.token}"
        return f"Basic {self.basic}" if self.basic else ""

    async def renew(self) -> bool:
        """Asks the exec plugin again; false where there is none."""
        if self.exec is None:
            return False
        self.token = await run_plugin(self.exec)
        return True


async def run_plugin(plugin: Mapping[str, Any]) -> str:
    """The token that a credential plugin prints (client.authentication.k8s.io ExecCredential)."""
    environment = dict(os.environ)
    environment.update({entry["name"]: entry["value"] for entry in plugin.get("env") or ()})
    environment["KUBERNETES_EXEC_INFO"] = json.dumps(
        {"apiVersion": plugin.get("apiVersion", ""), "kind": "ExecCredential", "spec": {"interactive": False}}
    )
    command = [plugin["command"], *(plugin.get("args") or ())]
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment
        )
    except OSError as error:
        raise Failure(
            f"the credential plugin {command[0]} can't run: {error.strerror}", plugin.get("installHint") or ""
        ) from error
    out, err = await process.communicate()
    if process.returncode:
        raise Failure(f"the credential plugin {command[0]} failed: {err.decode('utf-8', 'replace').strip()}")
    try:
        token = json.loads(out)["status"]["token"]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"the credential plugin {command[0]} printed no token") from None
    return str(token)


def load(path: Path | None = None, context: str = "") -> Login:
    """Reads a kubeconfig: `path`, or the first file of $KUBECONFIG, or ~/.kube/config. `Failure` when it can't be used."""
    if path is None:
        named = [p for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
        path = Path(named[0]) if named else Path.home() / ".kube" / "config"
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise Failure(f"the kubeconfig {path} can't be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise Failure(f"the kubeconfig {path} is no YAML: {error}") from error
    if not isinstance(config, dict):
        raise Failure(f"{path} is no kubeconfig")
    return parse(config, path, context)


def parse(config: Mapping[str, Any], path: Path, context: str = "") -> Login:
    name = context or config.get("current-context", "")
    chosen = _named(config.get("contexts"), name, "context", path)
    cluster = _named(config.get("clusters"), chosen.get("cluster", ""), "cluster", path)
    user = _named(config.get("users"), chosen.get("user", ""), "user", path) if chosen.get("user") else {}
    server = str(cluster.get("server", "")).rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise Failure(f"{path}: the cluster of context {name!r} has no server")
    login = Login(server, namespace=chosen.get("namespace") or "default")
    if server.startswith("https://"):
        login.context = _tls(cluster, user, path.parent)
    login.token = user.get("token", "")
    if user.get("tokenFile"):
        login.token_file = path.parent / user["tokenFile"]
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        login.basic = base64.b64encode(pair.encode()).decode()
    login.exec = user.get("exec")
    return login


def _named(entries: Sequence[Mapping[str, Any]] | None, name: str, what: str, path: Path) -> Mapping[str, Any]:
    for entry in entries or ():
        if entry.get("name") == name:
            found: Mapping[str, Any] = entry.get(what) or {}
            return found
    raise Failure(f"{path}: there is no {what} {name!r}")


def _pem(source: Mapping[str, Any], name: str, folder: Path) -> bytes:
    """A certificate or key given inline (`NAME-data`) or as a file."""
    if data := source.get(f"{name}-data"):
        return base64.b64decode(data)
    if file := source.get(name):
        path: Path = folder / file
        return path.read_bytes()
    return b""


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", folder), _pem(user, "client-key", folder)
    if certificate and key:
        # The ssl module reads certificates from files alone.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context
