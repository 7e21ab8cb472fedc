"""`providers`: which are needed, by what; their schemas; the lock file's checksums; mirrors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from terrarium.base.diagnostics import error, has_errors
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_help import help_text
from terrarium.cli.tf_world import World, too_many_arguments
from terrarium.engine.addresses import BUILTIN, display_source
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.dependencies import requirements, state_providers
from terrarium.engine.lock_file import read_locks
from terrarium.engine.schema_json import provider_json


def providers(world: World, args: Sequence[str]) -> int:
    """The tree of provider requirements, or one of the commands below."""
    words = [a for a in args if not a.startswith("-")]
    command = _COMMANDS.get(words[0]) if words else None
    if command is not None:
        rest = list(args)
        rest.remove(words[0])
        return command(world, rest)
    flags = parse(args, {"test-directory": "text", "no-color": "bool", "var": "many", "var-file": "many"})
    if flags.flag("no-color"):
        world.colour = False
    if len(flags.rest) > 1 or (flags.rest and not Path(flags.rest[0]).is_dir()):
        return too_many_arguments(world)
    root, diagnostics = world.configuration()
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    lines = ["", "Providers required by configuration:", "."]
    lines += _requirement_rows(root, "")
    text = "\n".join(lines) + "\n"
    found = sorted(state_providers(world.store().load()))
    if found:
        text += "\nProviders required by state:\n\n" + "".join(f"    provider[{source}]\n\n" for source in found)
    world.streams.print(text + "\n")
    world.say(diagnostics)
    return 0


def _requirement_rows(node: ModuleNode, lead: str) -> list[str]:
    from terrarium.engine.versions import Constraint

    module = node.module
    needs: dict[str, str] = {}
    for required in module.required.values():
        needs[required.source] = required.version
    for (name, _), block in module.providers.items():
        needs.setdefault(module.provider_source(name), block.version or "")
    for resource in module.resources.values():
        needs.setdefault(module.provider_source(module.resource_provider(resource).name), "")
    rows: list[tuple[str, list[str]]] = []
    for source in sorted(needs):
        constraint = f" {Constraint.parse(needs[source])}" if needs[source] else ""
        rows.append((f"provider[{source}]{constraint}", []))
    for name in sorted(node.children):
        rows.append((f"module.{name}", [name]))
    lines: list[str] = []
    for index, (text, child) in enumerate(rows):
        last = index == len(rows) - 1
        lines.append(f"{lead}{'└── ' if last else '├── '}{text}")
        for name in child:
            lines += _requirement_rows(node.children[name], lead + ("    " if last else "│   "))
    return lines


def schema(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"json": "bool", "no-color": "bool", "var": "many", "var-file": "many"}, permute=True)
    if not flags.flag("json"):
        world.streams.err.write(
            f"The `terraform providers schema` command requires the `-json` flag.\n\n{help_text('providers schema')}\n"
        )
        return 1
    root, diagnostics = world.configuration()
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    document = {
        "format_version": "1.0",
        "provider_schemas": {
            s: provider_json(world.plugins.schema(s))
            for s in requirements(root, world.store().load())
            if s in world.plugins
        },
    }
    world.out(json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    return 0


def lock(world: World, args: Sequence[str]) -> int:
    """Providers that come with this program have no packages, and so no checksums to add."""
    flags = parse(
        args,
        {
            "fs-mirror": "text",
            "net-mirror": "text",
            "platform": "many",
            "enable-plugin-cache": "bool",
            "no-color": "bool",
        },
    )
    if flags.flag("no-color"):
        world.colour = False
    if flags.text("fs-mirror") and flags.text("net-mirror"):
        return world.fail(
            error(
                "Invalid installation method options",
                "The -fs-mirror and -net-mirror command line options are mutually-exclusive.",
            )
        )
    root, diagnostics = world.configuration()
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    locks = read_locks(Path(".terraform.lock.hcl"))
    missing = [s for s in requirements(root, world.store().load()) if s != BUILTIN and s not in locks]
    if missing:
        return world.fail(
            error(
                "Could not retrieve providers for locking",
                f'No version is selected yet for {", ".join(map(display_source, missing))}: run "terraform init" first.',
            )
        )
    world.say(diagnostics)
    world.out_painted(
        "\n[bold][green]Success![reset] [bold]Terraform has validated the lock file and found no need for changes.[reset]"
    )
    return 0


def mirror(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"platform": "many", "no-color": "bool"})
    if flags.flag("no-color"):
        world.colour = False
    if not flags.rest:
        return world.fail(
            error(
                "No output directory specified",
                "The providers mirror command requires an output directory as a command-line argument.",
            )
        )
    root, diagnostics = world.configuration()
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    for source in requirements(root, world.store().load()):
        if source == BUILTIN:
            world.out(f"- Skipping {source} because it is built in to Terraform CLI")
        else:
            world.out(f"- Skipping {display_source(source)} because it comes with this program: it has no package")
    folder = flags.rest[0]
    if not Path(folder).exists():
        return world.fail(
            error(
                "Failed to update indexes",
                "Could not scan the output directory to get package metadata for the JSON indexes: cannot search "
                f"{folder}: lstat {folder}: no such file or directory.",
            )
        )
    return 0


_COMMANDS: dict[str, Callable[[World, Sequence[str]], int]] = {"lock": lock, "mirror": mirror, "schema": schema}
