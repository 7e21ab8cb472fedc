"""The smaller commands: console, fmt, force-unlock, metadata, modules, version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.cli.tf_flags import WrongUse, parse, wants_help
from terrarium.cli.tf_world import World, indented

if TYPE_CHECKING:
    from terrarium.engine.configuration import ModuleNode


def fmt(world: World, args: Sequence[str]) -> int:
    from terrarium.cli.tf_fmt import fmt as run

    return run(list(args))


def version(world: World, args: Sequence[str]) -> int:
    from terrarium.cli.tf import VERSION, _platform
    from terrarium.engine.lock_file import read_locks

    flags = parse(args, {"json": "bool", "v": "bool", "version": "bool"})
    locks = read_locks(Path(".terraform.lock.hcl"))
    if flags.flag("json"):
        document = {
            "terraform_version": VERSION,
            "platform": _platform(),
            "provider_selections": {source: lock.version for source, lock in sorted(locks.items())},
            "terraform_outdated": False,
        }
        world.out(indented(document))
        return 0
    world.out(f"Terraform v{VERSION}\non {_platform()}")
    for source, lock in sorted(locks.items()):
        world.out(f"+ provider {source} v{lock.version}")
    return 0


def _loaded(world: World) -> tuple[ModuleNode | None, list[Diagnostic]]:
    root, diagnostics = world.configuration()
    return (None if has_errors(diagnostics) else root), diagnostics


def console(world: World, args: Sequence[str]) -> int:
    """An expression at a time, against the state's values."""
    from terrarium.cli.tf_console import console as run
    from terrarium.engine import variables
    from terrarium.engine.console_scope import console_scope, names
    from terrarium.engine.walking import Session

    flags = parse(args, {"state": "text", "var": "many", "var-file": "many", "plan": "bool", "no-color": "bool"})
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    given = [(name, value) for name, value in flags.many if name in ("var", "var-file")]
    gathered = variables.gather(Path(), world.environment, given, root.module.variables)
    world.sources.update(gathered.sources)
    values, more = variables.settle(root.module, gathered, need_all=False)
    if has_errors(more):
        return world.fail(more)
    state = world.store(flags.text("state")).load()
    functions = world.functions(False, console=True)
    session = Session(root, world.plugins, values, world.workspace, world.original_folder, functions=functions)
    make, problems = console_scope(session, state)
    if make is None:
        return world.fail(problems)
    world.say(problems)
    return run(flags.rest, make, lambda: names(session), colour=world.colour, width=world.message_width)


def force_unlock(world: World, args: Sequence[str]) -> int:
    """A lock on a local state belongs to a process: the only one that can be taken away is one which a dead process has
    left behind, and that is not in anybody's way."""
    flags = parse(args, {"force": "bool", "no-color": "bool"})
    if len(flags.rest) != 1:
        raise WrongUse("Expected a single argument: LOCK_ID")
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    world.streams.err.write("Local state cannot be unlocked by another process\n")
    return 1


def modules(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"json": "bool", "no-color": "bool", "var": "many", "var-file": "many"})
    if flags.rest:
        code = world.fail(error("Too many command line arguments", "Expected no positional arguments"))
        world.streams.err.write("\nFor more help on using this command, run:\n  terraform modules -help\n")
        return code
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    rows = [
        {"key": n.path[-1], "source": n.call.source, "version": n.version} for n in root.walk() if n.call is not None
    ]
    if flags.flag("json"):
        world.out(json.dumps({"format_version": "1.0", "modules": rows}, separators=(",", ":")))
        return 0
    if not rows:
        world.out("No modules found in configuration.")
        return 0
    world.out("\nModules declared by configuration:\n.")

    def tree(node: ModuleNode, lead: str) -> None:
        names = sorted(node.children)
        for index, name in enumerate(names):
            child = node.children[name]
            last = index == len(names) - 1
            source = child.call.source if child.call is not None else ""
            shown = f"{source} {child.version}".strip() if child.version else source
            world.out(f'{lead}{"└── " if last else "├── "}"{name}"[{shown}]')
            tree(child, lead + ("    " if last else "│   "))

    tree(root, "")
    return 0


def metadata(world: World, args: Sequence[str]) -> int:
    words = [a for a in args if not a.startswith("-")]
    if words[:1] != ["functions"]:
        from terrarium.cli.tf_help import help_text

        world.out(help_text("metadata"))
        return 0 if wants_help(args) else 1
    flags = parse([a for a in args if a != "functions"], {"json": "bool"})
    if not flags.flag("json"):
        from terrarium.cli.tf_help import help_text

        world.streams.err.write(
            f"The `terraform metadata functions` command requires the `-json` flag.\n\n{help_text('metadata functions')}\n"
        )
        return 1
    from terrarium.engine.schema_json import functions_json

    world.out(json.dumps(functions_json(world.functions(False)), separators=(",", ":"), ensure_ascii=False))
    return 0


def push(world: World, args: Sequence[str]) -> int:
    return world.fail(
        error(
            'Command "terraform push" is no longer supported',
            "It sent configuration to a service which no longer exists.",
        )
    )
