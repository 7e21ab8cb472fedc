"""Finding a world and talking to its process: a line of JSON each way over a socket in the world's folder."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import click

from terrarium.base.diagnostics import Failure

directory_option = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="TERRARIUM_DIR",
    help="The world's folder (default: $TERRARIUM_DIR, else $XDG_STATE_HOME/terrarium).",
)


class NoWorld(Failure):
    """Nothing answers for this folder."""


def world_directory(given: Path | None) -> Path:
    """The folder of the world that a command means."""
    if given is not None:
        return given.expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "terrarium"


def ask(directory: Path, request: dict[str, Any], timeout: float = 60.0) -> dict[str, Any]:
    """Sends one request to the world's process and gives its answer. `NoWorld` when none runs; `Failure` when it says no."""
    path = directory / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            # A socket's address has room for some 100 bytes; the folder's may be longer, so it is reached through /proc.
            folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                connection.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        except OSError:
            raise NoWorld(f"no world is running in {directory}", "Start it with: terrarium up -d") from None
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        except OSError as failure:
            raise Failure(f"the world in {directory} does not answer: {failure}") from None
    if not line:
        raise Failure(f"the world in {directory} ended while it was asked", "See: terrarium logs")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise Failure(answer["error"], answer.get("hint", ""))
    return answer
