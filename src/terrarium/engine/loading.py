"""Reads the files of a folder into a `Module`: which files count, and which reader each kind of block has.

All mistakes are gathered; a module comes back even so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.configuration import Module
from terrarium.engine.loading_changes import read_import, read_moved, read_removed
from terrarium.engine.loading_modules import read_module_call
from terrarium.engine.loading_objects import read_check, read_resource_block
from terrarium.engine.loading_reader import Loader, blocks
from terrarium.engine.loading_settings import read_misplaced_requirements, read_provider, read_terraform
from terrarium.engine.loading_values import read_locals, read_output, read_variable
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema, content

if TYPE_CHECKING:
    from terrarium.engine.module_tree import Files

FILE = BodySchema(
    attributes=(),
    blocks=blocks(
        "terraform",
        "required_providers",
        "locals",
        "moved",
        "import",
        "removed",
        provider=("name",),
        variable=("name",),
        output=("name",),
        module=("name",),
        resource=("type", "name"),
        data=("type", "name"),
        ephemeral=("type", "name"),
        check=("name",),
    ),
)

_BLOCKS: dict[str, Callable[[Loader, nodes.Block], None]] = {
    "terraform": read_terraform,
    "required_providers": read_misplaced_requirements,
    "provider": read_provider,
    "variable": read_variable,
    "locals": read_locals,
    "output": read_output,
    "module": read_module_call,
    "resource": read_resource_block,
    "data": read_resource_block,
    "ephemeral": read_resource_block,
    "moved": read_moved,
    "removed": read_removed,
    "import": read_import,
    "check": read_check,
}


def is_override(name: str) -> bool:
    stem = name.removesuffix(".json").removesuffix(".tf")
    return stem == "override" or stem.endswith("_override")


def config_names(names: Iterable[str], suffixes: tuple[str, ...] = (".tf", ".tf.json")) -> list[str]:
    """Which files of a folder are configuration: primary ones first, each kind in the order of names."""
    found = sorted(n for n in names if n.endswith(suffixes) and not n.startswith((".", "#")) and not n.endswith("~"))
    return [n for n in found if not is_override(n)] + [n for n in found if is_override(n)]


def parse_text(data: bytes, shown: str) -> tuple[nodes.File, list[Diagnostic]]:
    """Reads one file's bytes, native or JSON by its name. `shown` is its name in messages."""
    from terrarium.language import json_syntax, parser

    text, problems = parser.decode(data, shown)
    file, diagnostics = (json_syntax.parse if shown.endswith(".json") else parser.parse)(text, shown)
    return file, [*problems, *diagnostics]


def shown_path(folder: str, name: str) -> str:
    return name if folder in (".", "") else f"{folder}/{name}"


def load_module(folder: str, files: Files) -> tuple[Module, list[Diagnostic]]:
    """The module in `folder` (relative to the working folder, and so shown). OSError when it can't be listed."""
    loader = Loader(Path(folder))
    parsed: list[tuple[str, nodes.File]] = []
    for name in config_names(files.names(folder)):
        shown = shown_path(folder, name)
        try:
            data = files.read(shown)
        except OSError:
            loader.say(error("Failed to read file", f'The file "{shown}" could not be read.'))
            continue
        file, diagnostics = parse_text(data, shown)
        loader.extend(diagnostics)
        loader.module.unreadable += diagnostics
        loader.module.sources[shown] = file.source
        parsed.append((name, file))
    for name, file in parsed:
        loader.override = is_override(name)
        found, diagnostics = content(file.body, FILE)
        for diagnostic in diagnostics:
            # Terraform reads the headers of `terraform` blocks three times, and says so each time.
            loader.extend([diagnostic] * (3 if diagnostic.summary.endswith(" label for terraform") else 1))
        for block in found.blocks:
            _BLOCKS[block.type](loader, block)
    finish(loader)
    return loader.module, loader.diagnostics


def finish(loader: Loader) -> None:
    """Checks which need the whole module."""
    module = loader.module
    if module.backend is not None and module.cloud is not None:
        loader.say(
            error(
                "Both a backend and cloud configuration are present",
                "A module may declare either one 'cloud' block OR one 'backend' block configuring a state backend. The "
                f"'cloud' block is configured at {module.cloud.range}; a backend is configured at {module.backend.range}. "
                "Remove the backend block to configure HCP Terraform or Terraform Enteprise.",
                module.backend.range,
            )
        )
