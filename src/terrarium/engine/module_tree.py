"""The tree of modules: each call's folder, found in the manifest that `init` wrote, loaded and joined.

Files come from a `Files` door, so that a plan file can bring its own copy of the configuration.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine.addresses import ModulePath, path_text
from terrarium.engine.configuration import Import, ModuleNode
from terrarium.engine.imports import static_target
from terrarium.engine.loading import load_module
from terrarium.engine.module_sources import SourceError, is_local, parse_module_source
from terrarium.engine.state import TERRAFORM_VERSION
from terrarium.engine.validate_providers import provider_problems
from terrarium.engine.versions import Constraint, Version, constraint_text


class Files(Protocol):
    """Where configuration files are read from. Paths are relative to the working folder."""

    def names(self, folder: str) -> list[str]:
        """The files of a folder. OSError when there is no such folder."""
        ...

    def read(self, path: str) -> bytes: ...


class Disk:
    """The real files."""

    def __init__(self, base: Path = Path()) -> None:
        self.base = base

    def names(self, folder: str) -> list[str]:
        return [p.name for p in (self.base / folder).iterdir() if not p.is_dir()]

    def read(self, path: str) -> bytes:
        return (self.base / path).read_bytes()


class Snapshot:
    """A copy of files, as a plan file holds it."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)

    def names(self, folder: str) -> list[str]:
        prefix = "" if folder in (".", "") else f"{folder}/"
        return [p[len(prefix) :] for p in self.files if p.startswith(prefix) and "/" not in p[len(prefix) :]]

    def read(self, path: str) -> bytes:
        return self.files[path].encode()


@dataclass(frozen=True, slots=True)
class Installed:
    """An entry of `.terraform/modules/modules.json`. `key` is the dotted path of calls, "" for the root."""

    key: str
    source: str
    folder: str
    version: str = ""


def read_manifest(text: str) -> dict[str, Installed]:
    """The manifest's entries by key; nothing when it can't be read."""
    try:
        found = json.loads(text)["Modules"]
        return {m["Key"]: Installed(m["Key"], m["Source"], m["Dir"], m.get("Version", "")) for m in found}
    except (ValueError, KeyError, TypeError):
        return {}


def manifest_text(modules: Mapping[str, Installed]) -> str:
    """The manifest as Terraform writes it."""
    rows = []
    for key in sorted(modules):
        m = modules[key]
        row = {"Key": m.key, "Source": m.source}
        if m.version:
            row["Version"] = m.version
        row["Dir"] = m.folder
        rows.append(row)
    return json.dumps({"Modules": rows}, separators=(",", ":"), ensure_ascii=False)


def joined_folder(parent: str, source: str) -> str:
    """The folder of a local module, relative to the working folder."""
    return posixpath.normpath(posixpath.join(parent, source))


def load_tree(files: Files, manifest: Mapping[str, Installed], root: str = ".") -> tuple[ModuleNode, list[Diagnostic]]:
    """The whole configuration. Modules which are not installed are diagnosed and left out."""
    module, diagnostics = load_module(root, files)
    node = ModuleNode((), module)
    diagnostics += core_version_problems(node, "")
    if has_errors(diagnostics):
        return node, diagnostics  # what a module calls is of interest only once it can be read itself
    _children(node, files, manifest, diagnostics, root)
    diagnostics += import_providers(node)
    diagnostics += provider_problems(node)
    return node, diagnostics


def _children(
    node: ModuleNode, files: Files, manifest: Mapping[str, Installed], diagnostics: list[Diagnostic], folder: str
) -> None:
    for name, call in sorted(node.module.calls.items()):
        path = (*node.path, name)
        installed = manifest.get(".".join(path))
        try:
            source = parse_module_source(call.source, call.version is not None) if call.source else None
        except SourceError:
            continue  # loading has said so
        if source is None:
            continue
        if installed is None:
            diagnostics.append(
                not_installed(
                    'This module is not yet installed. Run "terraform init" to install all modules required by this configuration.',
                    call.range,
                )
            )
            continue
        if not _same_source(installed.source, call.source):
            diagnostics.append(
                error(
                    "Module source has changed",
                    'The source address was changed since this module was installed. Run "terraform init" to install all '
                    "modules required by this configuration.",
                    call.source_range,
                )
            )
            continue
        where = installed.folder
        try:
            if not where:
                raise FileNotFoundError(where)
            module, found = load_module(where, files)
        except OSError:
            diagnostics.append(
                not_installed(
                    f'This module\'s local cache directory {where} could not be read. Run "terraform init" to install all modules required by this configuration.',
                    call.range,
                )
            )
            continue
        child = ModuleNode(path, module, call, node, version=installed.version)
        node.children[name] = child
        diagnostics += found
        diagnostics += [misplaced_import(block, path) for block in module.imports]
        diagnostics += core_version_problems(child, call.source)
        if len(path) < 200:
            _children(child, files, manifest, diagnostics, where)


def misplaced_import(block: Import, path: ModulePath) -> Diagnostic:
    return error(
        "Invalid import configuration",
        f'An import block was detected in "{path_text(path)}". Import blocks are only allowed in the root module.',
        block.range,
    )


_IMPORT_PROVIDER = (
    "The provider argument can only be specified in import blocks that will generate configuration.\n\nUse the {} to "
    "configure {}."
)


def import_providers(root: ModuleNode) -> Iterator[Diagnostic]:
    """`provider` in an import block is for resources which are still to be written."""
    for block in root.module.imports:
        target = static_target(block.to) if block.provider_range is not None else None
        if target is None:
            continue
        if target.path:
            what = "providers argument within the module block"
            for_ = "providers for all resources within a module, including imported resources"
        elif root.resource(target) is not None:
            what = "provider argument in the target resource block"
            for_ = "the provider for a resource with explicit provider configuration"
        else:
            continue
        detail = _IMPORT_PROVIDER.format(what, for_)
        yield error("Invalid import provider argument", detail, block.provider_range)


def _same_source(installed: str, written: str) -> bool:
    if installed == written:
        return True
    if is_local(installed) or is_local(written):
        return posixpath.normpath(installed) == posixpath.normpath(written)
    return installed.removeprefix("registry.terraform.io/") == written.removeprefix("registry.terraform.io/")


def not_installed(detail: str, at: object) -> Diagnostic:
    return error("Module not installed", detail, at)  # type: ignore[arg-type]


def core_version_problems(node: ModuleNode, source: str) -> list[Diagnostic]:
    """Whether the module's `required_version` admits the version that we are."""
    found: list[Diagnostic] = []
    for required in node.module.core_versions:
        constraint = Constraint.parse(required.constraint)
        if term := next((t for t in constraint.terms if t[1].pre), None):
            found.append(
                error(
                    "Invalid required_version constraint",
                    f"Prerelease version constraints are not supported: {constraint_text(term)}. Remove the prerelease "
                    "information from the constraint. Prerelease versions of terraform will match constraints using their "
                    "version core only.",
                    required.range,
                )
            )
            continue
        if constraint.allows(Version.parse(TERRAFORM_VERSION)):
            continue
        advice = (
            "To proceed, either choose another supported Terraform version or update this version constraint. Version "
            "constraints are normally set for good reason, so updating the constraint may lead to other errors or unexpected "
            "behavior."
        )
        if node.path:
            name = ".".join(f"module.{n}" for n in node.path)
            detail = f"Module {name} (from {source}) does not support Terraform version {TERRAFORM_VERSION}. {advice}"
        else:
            detail = f"This configuration does not support Terraform version {TERRAFORM_VERSION}. {advice}"
        found.append(error("Unsupported Terraform Core version", detail, required.range))
    return found
