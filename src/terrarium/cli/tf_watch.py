"""`plan --watch`: plans again whenever a file of the configuration is saved, until Ctrl-C.

Theory of operation. One process keeps what is costly: the interpreter, schemas, functions. Files are looked at every
twentieth of a second by their times and sizes, in the folders of all modules and where variables and the state are. Only
the first plan refreshes (unless `-refresh=true` asks for it): what was refreshed is as fresh as the last plan, and a save
is to be answered at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from terrarium.base.clock import real_monotonic, real_sleep
from terrarium.base.diagnostics import DiagnosedFailure, Failure
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_world import World
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.events import Progress
from terrarium.engine.plan import Mode

_EVERY = 0.05
_SUFFIXES = (".tf", ".tf.json", ".tfvars", ".tfvars.json")

Seen = Mapping[str, tuple[int, int]]


def watch(world: World, flags: Parsed, mode: Mode) -> int:
    """Plans, and plans again after each change. Ends with Ctrl-C (exit code 0)."""
    folders: set[Path] = {Path()}
    refresh = flags.flags.get("refresh")
    try:
        while True:
            before = seen(folders, world)
            root, seconds = _plan(world, flags, mode)
            if root is not None:
                folders = {Path(), *(node.module.folder for node in root.walk())}
            if refresh is None:
                flags.flags["refresh"] = False
            files = len(before)
            world.out(
                f"\nPlanned in {seconds * 1000:.0f} ms. Watching {files} file{'' if files == 1 else 's'}; Ctrl-C ends."
            )
            while changed(before, seen(folders, world)) == ():
                real_sleep(_EVERY)
            names = changed(before, seen(folders, world))
            world.out(f"\n{'─' * world.width}\nChanged: {', '.join(names)}\n")
    except KeyboardInterrupt:
        world.out("")
        return 0


def seen(folders: Iterable[Path], world: World) -> dict[str, tuple[int, int]]:
    """Times and sizes of all files that matter to a plan."""
    found: dict[str, tuple[int, int]] = {}
    for folder in folders:
        try:
            entries = [p for p in folder.iterdir() if p.name.endswith(_SUFFIXES)]
        except OSError:
            continue
        for path in entries:
            _look(path, found)
    _look(Path("terraform.tfstate"), found)
    _look(world.data_folder / "modules" / "modules.json", found)
    _look(Path(".terraform.lock.hcl"), found)
    return found


def _look(path: Path, found: dict[str, tuple[int, int]]) -> None:
    try:
        status = path.stat()
    except OSError:
        return
    found[path.as_posix()] = (status.st_mtime_ns, status.st_size)


def changed(before: Seen, after: Seen) -> tuple[str, ...]:
    """The files that came, went or changed."""
    return tuple(sorted(n for n in {*before, *after} if before.get(n) != after.get(n)))


def _plan(world: World, flags: Parsed, mode: Mode) -> tuple[ModuleNode | None, float]:
    """One plan, shown; and how long it took."""
    from terrarium.cli.tf_prepare import make
    from terrarium.cli.tf_run import renderer
    from terrarium.cli.tf_world import failure_diagnostic

    began = real_monotonic()
    world.sources.clear()
    store = root = None
    try:
        found, root, store, diagnostics = make(world, flags, mode, "Plan", lambda: False, events=Progress())
        if found is not None and not found.aborted:
            world.streams.print(renderer(world).render(found))
        world.say(diagnostics)
    except DiagnosedFailure as failure:
        world.say(failure.diagnostics)
    except Failure as failure:
        world.fail(failure_diagnostic(failure))
    finally:
        if store is not None:
            store.unlock()
        world.plugins.close()
    return root, real_monotonic() - began


__all__ = ["changed", "seen", "watch"]
