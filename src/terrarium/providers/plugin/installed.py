"""Packages of providers on this disk: what a filesystem mirror holds, and what an init has installed from it.

A mirror is laid out as Terraform's own: unpacked `HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/`, or packed
`HOST/NAMESPACE/TYPE/terraform-provider-TYPE_VERSION_OS_ARCH.zip`. Hashes of packages are `h1:` (the SHA-256 over the
sorted list of `SHA-256  name` of the files inside) and `zh:` (of the zip itself).
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from terrarium.base.diagnostics import Failure
from terrarium.engine.provider import Provider
from terrarium.providers.plugin.provider import PluginProvider

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
PLATFORM = f"linux_{_MACHINES.get(platform.machine(), platform.machine())}"


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a provider for this platform: a folder, or a zip of it."""

    source: str
    version: str
    path: Path

    @property
    def packed(self) -> bool:
        return self.path.suffix == ".zip"


@dataclass(frozen=True, slots=True)
class Plugin:
    """The factory of an installed provider; `program` is its binary."""

    source: str
    version: str
    program: Path

    def create(self) -> Provider:
        return PluginProvider(self.program)


def in_mirror(mirror: Path, source: str) -> list[Package]:
    """All versions of a provider in a mirror, in no order."""
    folder = mirror / source
    name = source.rpartition("/")[2]
    found = [Package(source, path.parent.name, path) for path in folder.glob(f"*/{PLATFORM}") if path.is_dir()]
    pattern = re.compile(rf"terraform-provider-{re.escape(name)}_(.+)_{PLATFORM}\.zip")
    for path in folder.glob("*.zip"):
        if (match := pattern.fullmatch(path.name)) is not None:
            found.append(Package(source, match[1], path))
    return found


def program_in(folder: Path, source: str) -> Path | None:
    """The provider's binary in an unpacked package."""
    found = sorted(folder.glob(f"terraform-provider-{source.rpartition('/')[2]}*"))
    return next((path for path in found if path.is_file() and os.access(path, os.X_OK)), None)


def install(package: Package, target: Path) -> None:
    """Puts a package into `target`: a link to an unpacked one, the files of a packed one. `Failure` when it can't."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.exists():
            shutil.rmtree(target)
        if not package.packed:
            target.symlink_to(package.path.resolve(), target_is_directory=True)
            return
        target.mkdir()
        with zipfile.ZipFile(package.path) as archive:
            archive.extractall(target)
        program = next(target.glob("terraform-provider-*"), None)
        if program is not None:
            program.chmod(0o755)
    except (OSError, zipfile.BadZipFile) as error:
        raise Failure(f"the package {package.path} can't be installed into {target}: {error}") from None


def installed(folder: Path) -> Iterator[Plugin]:
    """What an init has put into `.terraform/providers`."""
    for target in sorted(folder.glob(f"*/*/*/*/{PLATFORM}")):
        source = "/".join(target.parts[-5:-2])
        program = program_in(target, source)
        if program is not None:
            yield Plugin(source, target.parent.name, program)


def hashes(package: Package) -> Sequence[str]:
    """Its hashes in the form of the lock file."""
    if package.packed:
        with zipfile.ZipFile(package.path) as archive:
            inside = {n: hashlib.sha256(archive.read(n)).hexdigest() for n in archive.namelist() if n[-1:] != "/"}
        whole = hashlib.sha256(package.path.read_bytes()).hexdigest()
        return [_h1(inside), f"zh:{whole}"]
    return [folder_hash(package.path)]


def folder_hash(folder: Path) -> str:
    """The `h1:` hash of an unpacked package."""
    inside = {}
    for path in folder.resolve().rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                inside[path.relative_to(folder.resolve()).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return _h1(inside)


def _h1(inside: dict[str, str]) -> str:
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(inside.items()))
    return "h1:" + base64.b64encode(hashlib.sha256(listing.encode()).digest()).decode()
