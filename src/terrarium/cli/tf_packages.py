"""Installing provider programs from mirrors on disk into `.terraform/providers`, held to the hashes of the lock file."""

from __future__ import annotations

from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, Failure, error
from terrarium.cli.tf_config import CliConfig
from terrarium.cli.tf_init_says import Says
from terrarium.engine.lock_file import Lock
from terrarium.engine.versions import Constraint, Version
from terrarium.providers.plugin.installed import PLATFORM, Package, hashes, in_mirror, install


def find_package(
    config: CliConfig, source: str, constraint: Constraint, locked: Lock | None, *, upgrade: bool
) -> Package | None:
    """The newest package that the constraint allows, or the locked one unless an upgrade is wanted."""
    found: list[tuple[Version, Package]] = []
    for mirror in config.mirrors:
        for package in in_mirror(mirror.path, source) if mirror.serves(source) else ():
            try:
                version = Version.parse(package.version)
            except ValueError:
                continue
            if locked is not None and not upgrade:
                if package.version == locked.version:
                    return package
            elif constraint.allows(version):
                found.append((version, package))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def install_package(
    folder: Path, package: Package, locked: Lock | None, shown: str, say: Says
) -> tuple[Lock, list[Diagnostic]]:
    """Puts it where the commands look for it. A package whose hash is none of the lock file's is refused."""
    target = folder / package.source / package.version / PLATFORM
    known = locked.hashes if locked is not None and locked.version == package.version else ()
    lock = Lock(package.source, package.version, "", known)
    if known and target.exists():
        say(f"- Using previously-installed {shown} v{package.version}", "")
        return lock, []
    say(f"- Installing {shown} v{package.version}...", "")
    found = hashes(package)
    if known and not set(known) & set(found):
        return lock, [
            error(
                "Failed to install provider",
                f"Error while installing {shown} v{package.version}: the local package for {package.source} "
                f"{package.version} doesn't match any of the checksums previously recorded in the dependency lock file",
            )
        ]
    try:
        install(package, target)
    except Failure as failure:
        return lock, [
            error("Failed to install provider", f"Error while installing {shown} v{package.version}: {failure}")
        ]
    say(f"- Installed {shown} v{package.version} (unauthenticated)", "")
    return Lock(package.source, package.version, "", tuple(sorted({*known, *found}))), []
