"""What is known of images: a table (`images.json`), and which references name no image at all."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from terrarium.runtime.contract import RuntimeFailure

_REFERENCE = re.compile(
    r"(?:(?P<host>(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?::\d+)?)/)?"
    r"(?P<path>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Image:
    """How an image behaves. `serves` 0: nothing listens by the image's own doing."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    serves: tuple[int, ...] = ()
    page: str = ""
    log: str = ""
    size: int = 0
    says: tuple[str, ...] = ()
    exits: int | None = None
    """It ends at once with this code, after what it says."""
    known: bool = True


@cache
def _table() -> Mapping[str, Any]:
    text = resources.files("terrarium.runtime.simulated").joinpath("images.json").read_text()
    found: Mapping[str, Any] = json.loads(text)
    return found


def full_name(reference: str) -> str:
    """`nginx` as `docker.io/library/nginx:latest`. `RuntimeFailure` when it is no reference."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        text = f'Failed to apply default image tag "{reference}": couldn\'t parse image name "{reference}": '
        raise RuntimeFailure("InvalidImageName", text + "invalid reference format")
    host, path = match["host"], match["path"]
    if host is not None and not ("." in host or ":" in host or host == "localhost"):
        host, path = None, f"{host}/{path}"
    if host is None:
        host = "docker.io"
        path = path if "/" in path else f"library/{path}"
    suffix = f"@{match['digest']}" if match["digest"] else f":{match['tag'] or 'latest'}"
    return f"{host}/{path}{suffix}"


def look_up(reference: str) -> Image:
    """The row of an image, by the last part of its name. `RuntimeFailure` when there can't be such an image."""
    name = full_name(reference)
    table = _table()
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in table["impossible"]):
        raise RuntimeFailure("ErrImagePull", _refusal(name))
    path = name.split("@")[0].rpartition(":")[0]
    row = table["images"].get(path.rsplit("/", 1)[-1])
    known = row is not None
    row = row if row is not None else table["unknown"]
    serves = (*((row["serves"],) if row.get("serves") else ()), *row.get("also_serves", ()))
    return Image(
        tuple(row.get("entrypoint", ())),
        tuple(row.get("command", ())),
        serves,
        table["pages"].get(row.get("page", ""), ""),
        row.get("log", ""),
        row.get("size", 0),
        tuple(row.get("says", ())),
        row.get("exits"),
        known,
    )


def _refusal(name: str) -> str:
    """As containerd words it: a missing tag of a known repository is "not found", anything else is a refusal."""
    path = name.partition("@")[0].rpartition(":")[0]
    begin = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": '
    if path.rsplit("/", 1)[-1] in _table()["images"]:
        return f"rpc error: code = NotFound desc = {begin}{name}: not found"
    if name.startswith("docker.io/"):
        return (
            f"rpc error: code = Unknown desc = {begin}pull access denied, repository does not exist or may require "
            "authorization: server message: insufficient_scope: authorization failed"
        )
    return f"rpc error: code = NotFound desc = {begin}{name}: not found"


def digest(reference: str) -> str:
    """A digest reference that is always the same for the same name."""
    name = full_name(reference)
    if "@" in name:
        return name
    path = name.rpartition(":")[0]
    return f"{path}@sha256:{hashlib.sha256(name.encode()).hexdigest()}"
