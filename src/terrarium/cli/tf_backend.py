"""The backend of a working folder: what the configuration says against what `init` has recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.base.files import write_atomic
from terrarium.cli.tf_world import World
from terrarium.engine.configuration import Backend, ModuleNode
from terrarium.engine.state import TERRAFORM_VERSION
from terrarium.language.bodies import AttributeSchema, BodySchema, content
from terrarium.language.evaluate import evaluate
from terrarium.language.scope import NOTHING_ALLOWED
from terrarium.language.values import NULL

LOCAL = BodySchema(attributes=(AttributeSchema("path"), AttributeSchema("workspace_dir")))
KNOWN = ("azurerm", "consul", "cos", "gcs", "http", "kubernetes", "local", "oss", "pg", "remote", "s3")


def configured(root: ModuleNode, overrides: Mapping[str, str]) -> tuple[dict[str, Any] | None, list[Diagnostic]]:
    """The settings that the configuration's backend block gives; None when there is no block."""
    backend = root.module.backend
    if backend is None:
        return None, []
    if backend.type != "local":
        if backend.type in KNOWN:
            return None, [
                error(
                    "Backend not supported",
                    f'The backend "{backend.type}" is not available here; use the local one.',
                    backend.range,
                )
            ]
        return None, [
            error("Unsupported backend type", f'There is no backend type named "{backend.type}".', backend.range)
        ]
    found, diagnostics = content(backend.body, LOCAL)
    settings: dict[str, Any] = {"path": None, "workspace_dir": None}
    for name, attribute in found.attributes.items():
        value, more = evaluate(attribute.expression, NOTHING_ALLOWED)
        diagnostics += more
        if not has_errors(more):
            settings[name] = None if value.data is NULL else value.data
    for name, text in overrides.items():
        if name not in settings:
            diagnostics.append(
                error(
                    "Invalid backend configuration argument",
                    f'The backend configuration argument "{name}" given on the command line is not expected for the selected backend type.',
                )
            )
            continue
        settings[name] = text
    return settings, list(diagnostics)


def record_path(world: World) -> Path:
    return world.data_folder / "terraform.tfstate"


def recorded(world: World) -> dict[str, Any] | None:
    """What `init` wrote of the backend."""
    try:
        document = json.loads(record_path(world).read_bytes())
    except (OSError, ValueError):
        return None
    backend = document.get("backend")
    return backend if isinstance(backend, dict) else None


def record(world: World, backend: Backend, settings: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    """Writes down the backend that is in use; `written` are the settings of the block alone, without overrides."""
    document = {
        "version": 3,
        "terraform_version": TERRAFORM_VERSION,
        "backend": {"type": backend.type, "config": dict(settings), "hash": hash_of(written)},
    }
    world.data_folder.mkdir(parents=True, exist_ok=True)
    write_atomic(record_path(world), json.dumps(document, indent=2).encode(), 0o644)


def hash_of(settings: Mapping[str, Any]) -> int:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def needs_init(world: World, root: ModuleNode) -> Diagnostic | None:
    """The message when the backend must be initialised (again) before anything else."""
    known = recorded(world)
    backend = root.module.backend
    if backend is not None and backend.type not in KNOWN:
        return error(
            "Invalid backend type",
            f'There is no backend type named "{backend.type}".',
            backend.type_range or backend.range,
        )
    settings, diagnostics = configured(root, {})
    reason = ""
    if root.module.backend is not None and diagnostics and has_errors(diagnostics):
        reason = f'Initial configuration of the requested backend "{root.module.backend.type}"' if known is None else ""
    elif settings is not None and known is None:
        reason = 'Initial configuration of the requested backend "local"'
    elif settings is None and known is not None and root.module.backend is None:
        reason = f'Unsetting the previously set backend "{known["type"]}"'
    elif settings is not None and known is not None and known.get("hash") != hash_of(settings):
        reason = "Backend configuration block has changed"
    if not reason:
        return None
    return error(
        'Backend initialization required, please run "terraform init"'
        if not reason.startswith("Backend")
        else 'Backend initialization required: please run "terraform init"',
        f"Reason: {reason}\n\n"
        'The "backend" is the interface that Terraform uses to store state,\nperform operations, etc. If this message is showing up, it '
        "means that the\nTerraform configuration you're using is using a custom configuration for\nthe Terraform backend.\n\n"
        "Changes to backend configurations require reinitialization. This allows\nTerraform to set up the new configuration, copy "
        'existing state, etc. Please run\n"terraform init" with either the "-reconfigure" or "-migrate-state" flags to\nuse the current '
        "configuration.\n\nIf the change reason above is incorrect, please verify your configuration\nhasn't changed and try again. At "
        "this point, no changes to your existing\nconfiguration or state have been made.",
    )
