"""Where states are kept. The local backend: files in the working folder, one per workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock
from terrarium.engine.state import State
from terrarium.engine.state_file import read
from terrarium.engine.state_store import LocalStore
from terrarium.language.values import NULL, Value

# The backends which Terraform knows, with the names of their settings where a rule needs them.
BACKENDS: Mapping[str, frozenset[str] | None] = {
    "local": frozenset({"path", "workspace_dir"}),
    **dict.fromkeys(
        ("azurerm", "cloud", "consul", "cos", "gcs", "http", "inmem", "kubernetes", "oss", "pg", "remote", "s3")
    ),
}


def local_settings(data_folder: Path) -> Mapping[str, Any]:
    """The settings of the initialised local backend; empty when none was configured."""
    try:
        document = json.loads((data_folder / "terraform.tfstate").read_bytes())
    except (OSError, ValueError):
        return {}
    backend = document.get("backend") or {}
    if backend.get("type") != "local":
        return {}
    config = backend.get("config")
    return config if isinstance(config, dict) else {}


def state_path(settings: Mapping[str, Any], workspace: str) -> Path:
    """The state file of a workspace."""
    if workspace != "default":
        return Path(settings.get("workspace_dir") or "terraform.tfstate.d") / workspace / "terraform.tfstate"
    return Path(settings.get("path") or "terraform.tfstate")


def open_store(
    data_folder: Path,
    workspace: str,
    state: str = "",
    state_out: str = "",
    backup: str = "",
    clock: Clock | None = None,
) -> LocalStore:
    """The store of the current workspace. Flags of the local backend win over its settings."""
    path = state_path(local_settings(data_folder), workspace)
    read_path = Path(state) if state else path
    path = Path(state_out) if state_out else read_path
    kept: Path | None = path.with_name(path.name + ".backup")
    if backup:
        kept = None if backup == "-" else Path(backup)
    return LocalStore(path, kept, read_path, clock)


def read_remote(backend: str, settings: Mapping[str, Value], workspace: str) -> State | None:
    """The state that `terraform_remote_state` reads. ValueError for settings that can't be."""
    if backend != "local":
        raise ValueError(f'There is no backend type named "{backend}" here that a state can be read from.')
    plain: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in ("path", "workspace_dir"):
            raise ValueError(f'Unsupported argument: an argument named "{name}" is not expected here.')
        plain[name] = None if value.data is NULL else value.data
    path = state_path(plain, workspace)
    try:
        return read(path.read_bytes())
    except FileNotFoundError:
        return None


__all__ = ["local_settings", "open_store", "read_remote", "state_path"]
