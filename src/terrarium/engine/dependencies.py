"""Which providers a configuration and a state need, with what version constraints, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.addresses import BUILTIN, parse_provider_config
from terrarium.engine.config_graph import provider_for
from terrarium.engine.configuration import ModuleNode, implied_provider
from terrarium.engine.imports import static_target
from terrarium.engine.lock_file import read_locks
from terrarium.engine.plugins import Plugins
from terrarium.engine.state import State


@dataclass(slots=True)
class Requirement:
    """A provider and all constraints on its version."""

    source: str
    constraints: list[str] = field(default_factory=list)


def requirements(root: ModuleNode, state: State | None = None) -> dict[str, Requirement]:
    """The providers needed, by source in sorted order."""
    found: dict[str, Requirement] = {}

    def need(source: str, constraint: str = "") -> None:
        entry = found.setdefault(source, Requirement(source))
        if constraint and constraint not in entry.constraints:
            entry.constraints.append(constraint)

    for node in root.walk():
        module = node.module
        for required in module.required.values():
            need(required.source, required.version)
        for block in module.providers.values():
            need(module.provider_source(block.name), block.version or "")
        for resource in module.resources.values():
            need(provider_for(node, module.resource_provider(resource)).source)
        for taken in module.imports:
            target = static_target(taken.to)
            if target is not None and not target.path:
                need(module.provider_source(taken.provider.name if taken.provider else implied_provider(target.type)))
    if state is not None:
        for source in state_providers(state):
            need(source)
    return {source: found[source] for source in sorted(found)}


def state_providers(state: State) -> Iterable[str]:
    return {parse_provider_config(r.provider).source for r in state.resources.values()}


def unavailable(root: ModuleNode, plugins: Plugins, data_folder: Path) -> Diagnostic | None:
    """What keeps the configuration from being used: providers that `init` has not recorded."""
    locks = read_locks(Path(".terraform.lock.hcl"))
    missing: list[str] = []
    for source in requirements(root):
        if source == BUILTIN:
            continue
        if source not in locks:
            missing.append(f"- provider {source}: required by this configuration but no version is selected")
        elif source not in plugins:
            missing.append(
                f"- provider {source}: there is no package for {source} {locks[source].version} cached in {data_folder}/providers"
            )
    if not missing:
        return None
    return error(
        "Inconsistent dependency lock file",
        "The following dependency selections recorded in the lock file are inconsistent with the current configuration:\n"
        + "\n".join(f"  {m}" for m in missing)
        + "\n\nTo make the initial dependency selections that will initialize the dependency lock file, run:\n  terraform init",
    )
