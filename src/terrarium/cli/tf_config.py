"""The CLI configuration: where providers may be installed from, and which are overridden for development.

`$TF_CLI_CONFIG_FILE`, else `~/.terraformrc`, in Terraform's language or JSON. Without `provider_installation` the usual
folders are mirrors: `terraform.d/plugins`, `~/.terraform.d/plugins`, and `terraform/plugins` in the XDG data folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.base.diagnostics import Diagnostic, error, warning

if TYPE_CHECKING:
    from terrarium.language.nodes import Block


_OVERRIDES = re.compile(r"dev_overrides\s*\{([^}]*)\}")
_OVERRIDE = re.compile(r'"([^"]+)"\s*=\s*"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder of packages, and for which providers it is asked."""

    path: Path
    include: tuple[str, ...] = ("*/*/*",)
    exclude: tuple[str, ...] = ()

    def serves(self, source: str) -> bool:
        return any(fnmatch(source, p) for p in self.include) and not any(fnmatch(source, p) for p in self.exclude)


@dataclass(frozen=True, slots=True)
class CliConfig:
    mirrors: tuple[Mirror, ...] = ()
    overrides: Mapping[str, Path] = field(default_factory=dict)
    """Folders with a provider's binary, by source: `dev_overrides`."""
    diagnostics: tuple[Diagnostic, ...] = ()


def read(environment: Mapping[str, str]) -> CliConfig:
    """The configuration that holds for a command; what is wrong with it comes as diagnostics."""
    home = Path(environment.get("HOME") or Path.home())
    given = environment.get("TF_CLI_CONFIG_FILE") or environment.get("TERRAFORM_CONFIG")
    path = Path(given) if given else home / ".terraformrc"
    try:
        text = path.read_text()
    except OSError:
        said: tuple[Diagnostic, ...] = ()
        if given:
            detail = f'The CLI configuration file at "{path}" does not exist.'
            said = (warning("Unable to open CLI configuration file", detail),)
        return CliConfig(_usual(home, environment), diagnostics=said)
    from terrarium.language import parser

    text, overrides = _overrides(text)
    file, diagnostics = parser.parse(text, str(path))
    blocks = [block for block in file.body.blocks if block.type == "provider_installation"]
    if not blocks:
        return CliConfig(_usual(home, environment), overrides, tuple(diagnostics))
    found: list[Diagnostic] = list(diagnostics)
    mirrors: list[Mirror] = []
    for method in blocks[0].body.blocks:
        match method.type:
            case "filesystem_mirror":
                mirrors += _mirror(method, found)
            case "direct" | "network_mirror" | "dev_overrides":
                pass  # nothing is downloaded; overrides are known already
            case _:
                found.append(
                    error(
                        "Invalid provider_installation method block",
                        f'Unknown provider installation method "{method.type}".',
                    )
                )
    return CliConfig(tuple(mirrors), overrides, tuple(found))


def _usual(home: Path, environment: Mapping[str, str]) -> tuple[Mirror, ...]:
    data = environment.get("XDG_DATA_HOME") or str(home / ".local/share")
    others = (environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(os.pathsep)
    folders = [Path("terraform.d/plugins"), home / ".terraform.d/plugins"]
    folders += [Path(folder) / "terraform/plugins" for folder in (data, *others)]
    return tuple(Mirror(folder) for folder in folders if folder.is_dir())


def _mirror(block: Block, found: list[Diagnostic]) -> list[Mirror]:
    from terrarium.engine.static import constant_string, items

    at = block.body.attributes
    path = constant_string(at["path"].expression) if "path" in at else None
    if not path:
        found.append(
            error("Invalid filesystem_mirror", "A filesystem_mirror block needs the argument path.", block.range)
        )
        return []

    def patterns(name: str) -> tuple[str, ...]:
        listed = [constant_string(e) or "" for e in items(at[name].expression)[0]] if name in at else []
        return tuple(_full(pattern) for pattern in listed)

    return [Mirror(Path(path).expanduser(), patterns("include") or ("*/*/*",), patterns("exclude"))]


def _full(pattern: str) -> str:
    """`hashicorp/aws` is `registry.terraform.io/hashicorp/aws`."""
    return pattern if pattern.count("/") == 2 else f"registry.terraform.io/{pattern}"


def _overrides(text: str) -> tuple[str, dict[str, Path]]:
    """The text without what stands in `dev_overrides`, and that: its names are quoted, as only HCL's first version has
    them."""
    found = _OVERRIDES.search(text)
    if found is None:
        return text, {}
    pairs = _OVERRIDE.findall(found[1])
    return text[: found.start(1)] + text[found.end(1) :], {_full(name): Path(path).expanduser() for name, path in pairs}
