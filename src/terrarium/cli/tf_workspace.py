"""`workspace`: several states for one configuration."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from terrarium.base.files import write_atomic
from terrarium.cli.tf_flags import WrongUse, parse, wants_help
from terrarium.cli.tf_world import World
from terrarium.engine.backends import local_settings, state_path
from terrarium.engine.state_file import BadState, read, write

_FLAGS = {
    "lock": "bool",
    "lock-timeout": "duration",
    "no-color": "bool",
    "state": "text",
    "force": "bool",
    "or-create": "bool",
}


def workspace(world: World, args: Sequence[str]) -> int:
    words = [a for a in args if not a.startswith("-")]
    command = _COMMANDS.get(words[0]) if words else None
    if command is None:
        from terrarium.cli.tf_help import help_text

        world.out(help_text("workspace"))
        return 0 if wants_help(args) else 1
    rest = list(args)
    rest.remove(words[0])
    return command(world, rest)


def _folder(world: World) -> Path:
    return Path(local_settings(world.data_folder).get("workspace_dir") or "terraform.tfstate.d")


def names(world: World) -> list[str]:
    """All workspaces; the default one always exists."""
    folder = _folder(world)
    found = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    return ["default", *found]


def _select(world: World, name: str) -> None:
    world.data_folder.mkdir(parents=True, exist_ok=True)
    write_atomic(world.data_folder / "environment", name.encode(), 0o644)


def _error(world: World, text: str) -> int:
    world.streams.out.flush()
    world.streams.err.write(text + "\n")
    return 1


def _valid(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_.~-]+", name)) and name not in (".", "..")


_INVALID = '\nThe workspace name "{}" is not allowed. The name must contain only URL safe\ncharacters, and no path separators.\n'
_OVERRIDDEN = (
    "\nThe selected workspace is currently overridden using the TF_WORKSPACE\nenvironment variable.\n\nTo select a new "
    "workspace, either update this environment variable or unset\nit and then run this command again.\n"
)


def show(world: World, args: Sequence[str]) -> int:
    parse(args, _FLAGS)
    world.out(world.workspace)
    return 0


def list_(world: World, args: Sequence[str]) -> int:
    parse(args, _FLAGS, permute=True)
    current = world.workspace
    rows = [("* " if name == current else "  ") + name for name in names(world)]
    world.out("\n".join(rows) + "\n")
    return 0


def select(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS, permute=True)
    if world.environment.get("TF_WORKSPACE"):
        return _error(world, _OVERRIDDEN)
    if len(flags.rest) != 1:
        raise WrongUse("Expected a single argument: NAME.\n")
    name = flags.rest[0]
    if not _valid(name):
        return _error(world, _INVALID.format(name))
    if name == world.workspace:
        return 0
    if name not in names(world):
        if not flags.flag("or-create"):
            return _error(
                world,
                f'\nWorkspace "{name}" doesn\'t exist.\n\nYou can create this workspace with the "new" subcommand \nor include the "-or-create" flag with the "select" subcommand.',
            )
        _create(world, name)
        _select(world, name)
        world.out(_created(name))
        return 0
    _select(world, name)
    world.out(f'Switched to workspace "{name}".')
    return 0


def _created(name: str) -> str:
    return (
        f'Created and switched to workspace "{name}"!\n\nYou\'re now on a new, empty workspace. Workspaces isolate their state,\nso if you run '
        '"terraform plan" Terraform will not see any existing state\nfor this configuration.'
    )


def _create(world: World, name: str) -> None:
    (_folder(world) / name).mkdir(parents=True, exist_ok=True)


def new(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS, permute=True)
    if len(flags.rest) != 1:
        raise WrongUse("Expected a single argument: NAME.\n")
    name = flags.rest[0]
    if not _valid(name):
        return _error(world, _INVALID.format(name))
    if world.environment.get("TF_WORKSPACE"):
        return _error(world, _OVERRIDDEN)
    if name in names(world):
        return _error(world, f'Workspace "{name}" already exists')
    _create(world, name)
    _select(world, name)
    world.out(_created(name))
    if flags.text("state"):
        source = Path(flags.text("state"))
        try:
            data = write(read(source.read_bytes()))
        except OSError as problem:
            return _error(world, f"open {source}: {(problem.strerror or '').lower()}")
        except BadState as failure:
            return _error(world, str(failure))
        write_atomic(state_path(local_settings(world.data_folder), name), data, 0o644)
    return 0


def delete(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS, permute=True)
    if len(flags.rest) != 1:
        raise WrongUse("Expected a single argument: NAME.\n")
    name = flags.rest[0]
    if name not in names(world):
        return _error(
            world,
            f'Workspace "{name}" doesn\'t exist.\n\nYou can create this workspace with the "new" subcommand \nor include the "-or-create" flag with the "select" subcommand.',
        )
    if name == world.workspace:
        return _error(
            world,
            f'\nWorkspace "{name}" is your active workspace.\n\nYou cannot delete the currently active workspace. Please switch\nto another workspace and try again.',
        )
    if name == "default":
        return _error(world, "default state can not be deleted")
    path = state_path(local_settings(world.data_folder), name)
    try:
        state = read(path.read_bytes())
    except OSError:
        state = None
    held = [str(a) for a in state.addresses()] if state is not None else []
    if held and not flags.flag("force"):
        lines = "\n".join(f"  - {a}" for a in held[:5])
        from terrarium.base.diagnostics import error

        return world.fail(
            error(
                "Workspace is not empty",
                f'Workspace "{name}" is currently tracking the following resource instances:\n{lines}\n\nDeleting this workspace would cause Terraform to lose track of any associated remote objects, which would then require you to delete them manually outside of Terraform. You should destroy these objects with Terraform before deleting the workspace.\n\nIf you want to delete this workspace anyway, and have Terraform forget about these managed objects, use the -force option to disable this safety check.',
            )
        )
    shutil.rmtree(path.parent, ignore_errors=True)
    world.out(f'Deleted workspace "{name}"!')
    if held:
        world.out(
            f'WARNING: "{name}" was non-empty.\nThe resources managed by the deleted workspace may still exist,\nbut are no longer manageable by '
            "Terraform since the state has\nbeen deleted."
        )
    return 0


_COMMANDS: dict[str, Callable[[World, Sequence[str]], int]] = {
    "show": show,
    "list": list_,
    "select": select,
    "new": new,
    "delete": delete,
}
