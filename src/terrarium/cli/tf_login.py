"""`login` and `logout`: tokens for hosts, kept in `~/.terraform.d/credentials.tfrc.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.files import write_atomic
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_help import help_text
from terrarium.cli.tf_world import World

_DEFAULT = "app.terraform.io"


def credentials_file(world: World) -> Path:
    """Where tokens are kept: a JSON document with `credentials`, by host."""
    return Path(world.environment.get("HOME") or Path.home()) / ".terraform.d" / "credentials.tfrc.json"


def stored(world: World) -> dict[str, Any]:
    """The credentials that are kept, by host."""
    try:
        document = json.loads(credentials_file(world).read_bytes())
    except (OSError, ValueError):
        return {}
    found = document.get("credentials") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _host(world: World, args: Sequence[str], name: str, purpose: str) -> str | int:
    """The host that a command names; an exit code when there is something wrong with it."""
    flags = parse(args, {})
    if len(flags.rest) > 1:
        world.streams.err.write(
            f"The {name} command expects at most one argument: the host to {purpose}.\n{help_text(name)}\n"
        )
        return 1
    host = flags.rest[0].lower() if flags.rest else _DEFAULT
    problem = _bad_host(host)
    return world.fail(problem) if problem is not None else host


def _bad_host(host: str) -> Diagnostic | None:
    name, _, port = host.partition(":")
    bad = next((c for c in name if not re.match(r"[\w.-]", c)), None)
    reason = ""
    if bad is not None:
        reason = f"idna: disallowed rune U+{ord(bad):04X}"
    elif not name or ".." in name or (port and not port.isdigit()):
        reason = "it must be a domain name, and may have a port number after a colon"
    return error("Invalid hostname", f'The given hostname "{host}" is not valid: {reason}.') if reason else None


def login(world: World, args: Sequence[str]) -> int:
    """Asks the host which services it has. A token can only be had from hosts that offer one."""
    host = _host(world, args, "login", "log in to")
    if isinstance(host, int):
        return host
    import urllib.error
    import urllib.request

    url = f"https://{host}/.well-known/terraform.json"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            services = json.loads(answer.read())
    except (urllib.error.URLError, OSError, ValueError) as problem:
        reason = getattr(problem, "reason", problem)
        return world.fail(
            error(
                f"Service discovery failed for {host}",
                f'failed to request discovery document: Get "{url}": {reason}.',
            )
        )
    if not isinstance(services, dict) or not {"login.v1", "tfe.v2"} & services.keys():
        return world.fail(
            error(
                "Host does not support Terraform login",
                f'The given hostname "{host}" does not allow creating Terraform authorization tokens.',
            )
        )
    return _ask(world, host)


def _ask(world: World, host: str) -> int:
    """Takes a token that the user has made at the host, and keeps it."""
    path = credentials_file(world)
    token = world.answer(
        f"Terraform will store the token for {host} in plain text in the following file:\n    {path}\n\n"
        f"Token for {host}:\n  Enter a value: "
    ).strip()
    if not token:
        return world.fail(error("Login cancelled", "No token was given."))
    _write(path, {**stored(world), host: {"token": token}})
    world.out(f"Retrieved token for {host}. It will be used for requests to that host from now on.")
    return 0


def logout(world: World, args: Sequence[str]) -> int:
    host = _host(world, args, "logout", "log out of")
    if isinstance(host, int):
        return host
    known = stored(world)
    if host not in known:
        world.out(f"No credentials for {host} are stored.\n")
        return 0
    path = credentials_file(world)
    world.out(f"Removing the stored credentials for {host} from the following file:\n    {path}\n")
    _write(path, {h: c for h, c in known.items() if h != host})
    world.out(f"Success! Terraform has removed the stored API token for {host}.\n")
    return 0


def _write(path: Path, credentials: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({"credentials": credentials}, indent=2).encode() + b"\n", 0o600)
