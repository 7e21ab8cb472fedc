"""The smaller commands: console, fmt, force-unlock, graph, login, logout, metadata, modules, providers, version."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_output import indented
from terrarium.cli.tf_world import World
from terrarium.engine.addresses import BUILTIN
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
    from terrarium.cli.tf_run import functions_session, gathered_variables
    from terrarium.cli.tf_view import Lines
    from terrarium.engine import variables
    from terrarium.engine.console_scope import console_scope

    flags = parse(args, {"state": "text", "var": "many", "var-file": "many", "plan": "bool", "no-color": "bool"})
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    gathered = gathered_variables(world, root, flags)
    values, more = variables.settle(root.module, gathered, need_all=False)
    if has_errors(more):
        return world.fail(more)
    state = world.store(flags.text("state")).load()
    session = functions_session(world, root, values, flags, Lines(lambda text: None, False), False, lambda: False)
    session.functions = world.functions(False, console=True)
    return run(flags.rest, console_scope(session, state), colour=world.colour)


def force_unlock(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"force": "bool"})
    if len(flags.rest) != 1:
        world.streams.err.write("Expected a single argument: LOCK_ID\n")
        return 1
    store = world.store()
    info = store.read_lock_info()
    if info.get("ID") != flags.rest[0]:
        world.streams.err.write(
            f'Failed to unlock state: lock ID "{flags.rest[0]}" does not match existing lock ID "{info.get("ID", "")}"\n'
            if info
            else "Local state cannot be unlocked by another process\n"
        )
        return 1
    if not flags.flag("force"):
        answer = world.answer(
            "Do you really want to force-unlock?\n  Terraform will remove the lock on the remote state.\n  This will allow local Terraform commands to modify this state, even though it\n  may still be in use. Only 'yes' will be accepted to confirm.\n\n  Enter a value: "
        )
        if answer != "yes":
            world.out("force-unlock cancelled.")
            return 1
    store.lock_info.unlink(missing_ok=True)
    world.out(
        "Terraform state has been successfully unlocked!\n\nThe state has been unlocked, and Terraform commands should now be able to\nobtain a new lock on the remote state."
    )
    return 0


def graph(world: World, args: Sequence[str]) -> int:
    from terrarium.cli.tf_run import functions_session
    from terrarium.cli.tf_view import Lines
    from terrarium.engine.graph_text import operation_graph, resource_graph

    flags = parse(
        args,
        {
            "type": "text",
            "draw-cycles": "bool",
            "plan": "text",
            "module-depth": "int",
            "verbose": "bool",
            "var": "many",
            "var-file": "many",
        },
    )
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    session = functions_session(world, root, {}, flags, Lines(lambda text: None, False), True, lambda: False)
    kind = flags.text("type")
    if kind in ("", "plan-refresh-only") and not kind:
        text, problems = resource_graph(session)
        if problems:
            return world.fail(problems)
        world.out(text, end="")
        return 0
    if kind not in ("plan", "plan-refresh-only", "plan-destroy", "apply"):
        return world.fail(
            error(
                "Invalid graph type",
                'The -type=... argument must be either "plan", "plan-refresh-only", "plan-destroy", or "apply".',
            )
        )
    world.out(operation_graph(session, kind, flags.flag("draw-cycles")), end="")
    return 0


def providers(world: World, args: Sequence[str]) -> int:
    """The tree of provider requirements, or their schemas as JSON."""
    from terrarium.engine.dependencies import state_providers

    words = [a for a in args if not a.startswith("-")]
    if words[:1] == ["schema"]:
        return _schema(world, args)
    if words[:1] in (["lock"], ["mirror"]):
        return world.fail(
            error(
                f"Command not available: providers {words[0]}",
                "The providers of this program are built in: there are no packages to lock or to mirror.",
            )
        )
    parse(args, {"test-directory": "text", "no-color": "bool", "var": "many", "var-file": "many"})
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    lines = ["", "Providers required by configuration:", "."]
    lines += _requirement_rows(root, "")
    text = "\n".join(lines) + "\n"
    state = world.store().load()
    found = sorted(state_providers(state))
    if found:
        text += "\nProviders required by state:\n\n" + "".join(f"    provider[{source}]\n\n" for source in found)
    world.streams.print(text)
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


def _schema(world: World, args: Sequence[str]) -> int:
    from terrarium.engine.schema_json import provider_json

    flags = parse(args, {"json": "bool"}, permute=True)
    if not flags.flag("json"):
        world.streams.err.write("The `terraform providers schema` command requires the `-json` flag.\n")
        return 1
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    from terrarium.engine.dependencies import requirements

    document = {
        "format_version": "1.0",
        "provider_schemas": {
            s: provider_json(world.plugins.schema(s)) for s in requirements(root) if s in world.plugins
        },
    }
    world.out(json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    return 0


def modules(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"json": "bool", "no-color": "bool", "var": "many", "var-file": "many"})
    root, diagnostics = _loaded(world)
    if root is None:
        return world.fail(diagnostics)
    rows = [
        {"key": ".".join(n.path), "source": n.call.source, "version": n.version}
        for n in root.walk()
        if n.call is not None
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

        print(help_text("metadata", []))
        return 127
    flags = parse([a for a in args if a != "functions"], {"json": "bool"})
    if not flags.flag("json"):
        world.streams.err.write("The `terraform metadata functions` command requires the `-json` flag.\n")
        return 1
    from terrarium.engine.schema_json import functions_json

    world.out(json.dumps(functions_json(world.functions(False)), separators=(",", ":"), ensure_ascii=False))
    return 0


def login(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {})
    host = flags.rest[0] if flags.rest else "app.terraform.io"
    return world.fail(
        error(
            "Login is not available",
            f"This program can't obtain credentials for {host}. Put a token for it into the CLI configuration file instead.",
        )
    )


def logout(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {})
    host = flags.rest[0] if flags.rest else "app.terraform.io"
    world.out(f"No credentials for {host} are stored.")
    return 0


def push(world: World, args: Sequence[str]) -> int:
    world.streams.err.write('Command "terraform push" is no longer supported.\n')
    return 1


def autocomplete(install: bool) -> int:
    """Puts the completion line into the user's shell profiles, or takes it out."""
    import pwd

    home = Path(pwd.getpwuid(__import__("os").getuid()).pw_dir)
    program = sys.argv[0]
    rows = {
        ".bashrc": f"complete -C {program} terraform",
        ".bash_profile": f"complete -C {program} terraform",
        ".profile": f"complete -C {program} terraform",
        ".zshrc": f"autoload -U +X bashcompinit && bashcompinit\ncomplete -o nospace -C {program} terraform",
    }
    done = False
    for name, line in rows.items():
        path = home / name
        if not path.exists():
            continue
        text = path.read_text()
        if install and line not in text:
            path.write_text(f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}\n{line}\n")
            done = True
        elif not install and line in text:
            path.write_text(text.replace(f"\n{line}\n", ""))
            done = True
        if name != ".zshrc" and done:
            continue
    if not done:
        print(
            "Error executing CLI: Did not find any shells to install"
            if install
            else "Error executing CLI: Did not find any shells to uninstall",
            file=sys.stderr,
        )
        return 1
    return 0


__all__ = ["BUILTIN"]
