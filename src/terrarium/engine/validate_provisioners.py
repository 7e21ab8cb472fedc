"""What can be said of provisioners before they run: whether they exist, and the rules of their arguments."""

from __future__ import annotations

from collections.abc import Callable

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.evaluation import Diagnostics
from terrarium.engine.provisioning import SCHEMAS
from terrarium.language.values import NULL, Value


def missing_provisioners(root: ModuleNode) -> Diagnostics:
    """Provisioners which nobody has."""
    wanted = {
        provisioner.type
        for module in root.walk()
        for resource in module.module.resources.values()
        for provisioner in resource.provisioners
    }
    return [missing_provisioner(type) for type in sorted(wanted - SCHEMAS.keys())]


def missing_provisioner(type: str) -> Diagnostic:
    return error(
        "Missing required provisioner plugin",
        f"This configuration requires provisioner plugin \"{type}\", which isn't available. If you're intending to use an "
        "external provisioner plugin, you must install it manually into one of the plugin search directories before running "
        "Terraform.",
    )


def _remote_exec(value: Value) -> Diagnostics:
    given = [name for name in ("inline", "script", "scripts") if value.data[name].data is not NULL]
    if len(given) == 1:
        return []
    return [
        error(
            "Invalid remote-exec provisioner configuration", 'Only one of "inline", "script", or "scripts" must be set'
        )
    ]


def _file(value: Value) -> Diagnostics:
    given = [name for name in ("source", "content") if value.data[name].data is not NULL]
    if len(given) == 1:
        return []
    return [error("Cannot set both 'source' and 'content'" if given else "Must provide one of 'source' or 'content'")]


RULES: dict[str, Callable[[Value], Diagnostics]] = {
    "local-exec": lambda value: [],
    "remote-exec": _remote_exec,
    "file": _file,
}
