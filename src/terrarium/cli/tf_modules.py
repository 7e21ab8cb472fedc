"""Installing the modules that a configuration calls (`init`, `get`), with the manifest of where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.base.files import write_atomic
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_init_says import Says
from terrarium.cli.tf_world import World, too_many_arguments
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.loading import load_module
from terrarium.engine.module_sources import SourceError, parse_module_source
from terrarium.engine.module_tree import Disk, Installed, joined_folder, manifest_text


def install_modules(
    world: World,
    root: ModuleNode,
    upgrade: bool,
    say: Callable[[str, str], None],
    others: Sequence[ModuleNode] = (),
) -> tuple[dict[str, Installed], bool, list[Diagnostic]]:
    """Finds the folder of every call and writes the manifest; true when there were calls. `others` have calls of their
    own, beside those of the configuration (test files)."""
    if not root.module.calls and not others:
        path = world.data_folder / "modules" / "modules.json"
        if path.exists():
            write_atomic(path, manifest_text({"": Installed("", "", ".")}).encode(), 0o644)
        return {}, False, []
    say(
        "[reset][bold]Upgrading modules..." if upgrade else "[reset][bold]Initializing modules...",
        "initializing_modules_message",
    )
    manifest = {"": Installed("", "", ".")}
    diagnostics: list[Diagnostic] = []
    known = world.manifest()
    for node in (root, *others):
        _install(world, node, ".", manifest, {} if upgrade else known, diagnostics, say)
    folder = world.data_folder / "modules"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "modules.json", manifest_text(manifest).encode(), 0o644)
    return manifest, True, diagnostics


def _install(
    world: World,
    node: ModuleNode,
    folder: str,
    manifest: dict[str, Installed],
    known: dict[str, Installed],
    diagnostics: list[Diagnostic],
    say: Callable[[str, str], None],
) -> None:
    for name, call in sorted(node.module.calls.items()):
        path = (*node.path, name)
        key = ".".join(path)
        try:
            source = parse_module_source(call.source, call.version is not None)
        except SourceError:
            continue
        if source.kind != "local":
            diagnostics.append(
                error(
                    "Failed to download module"
                    if source.kind == "remote"
                    else "Error accessing remote module registry",
                    f'Could not install module "{name}" ({call.range.filename}:{call.range.start.line}) from {call.source}: only modules in '
                    "local folders can be installed without a network.",
                    call.source_range,
                )
            )
            continue
        where = joined_folder(folder, call.source)
        if len(path) > 60:
            diagnostics.append(
                error(
                    "Module calls itself",
                    f"The module at {where} calls itself, so there is no end to its installation.",
                    call.range,
                )
            )
            return
        if not Path(where).is_dir():
            say(f"- {key} in", "")
            diagnostics.append(
                error(
                    "Unreadable module directory",
                    f"Unable to evaluate directory symlink: lstat {_first_missing(where)}: no such file or directory",
                )
            )
            diagnostics.append(
                error(
                    "Unreadable module directory",
                    f'The directory  could not be read for module "{name}" at {call.range.filename}:{call.range.start.line}.',
                )
            )
            manifest[key] = Installed(key, call.source, "")
            continue
        before = known.get(key)
        if before is None or before.folder != where or before.source != call.source:
            say(f"- {key} in {where}", "")
        manifest[key] = Installed(key, call.source, where)
        module, found = load_module(where, Disk())
        world.sources.update(module.sources)
        diagnostics += found
        child = ModuleNode(path, module, call, node)
        node.children[name] = child
        _install(world, child, where, manifest, known, diagnostics, say)


def _first_missing(where: str) -> str:
    parts = Path(where).parts
    for count in range(1, len(parts) + 1):
        if not Path(*parts[:count]).exists():
            return parts[count - 1] if parts[0] != ".." else str(Path(*parts[:count]))
    return where


def get(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"update": "bool", "no-color": "bool", "test-directory": "text"})
    if flags.flag("no-color"):
        world.colour = False
    if flags.rest:
        return too_many_arguments(world)
    module, diagnostics = load_module(".", Disk())
    world.sources.update(module.sources)
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    say = Says(world, False)

    def rows(text: str, code: str) -> None:
        if text.startswith("- "):
            say(text)

    _, _, more = install_modules(world, ModuleNode((), module), flags.flag("update"), rows)
    world.say(more)
    return 1 if has_errors(more) else 0
