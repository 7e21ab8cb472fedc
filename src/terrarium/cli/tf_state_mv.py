"""`state mv` and `state replace-provider`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from terrarium.base.diagnostics import error
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_world import World
from terrarium.engine.addresses import (
    AbsResource,
    AddressError,
    ConfigResource,
    Instance,
    Target,
    module_text,
    parse_provider_config,
    parse_source,
    parse_target,
    quoted,
)
from terrarium.engine.state import ResourceState, State

_FLAGS = {
    "dry-run": "bool",
    "backup": "text",
    "backup-out": "text",
    "state": "text",
    "state-out": "text",
    "lock": "bool",
    "lock-timeout": "text",
    "ignore-remote-version": "bool",
    "auto-approve": "bool",
}


def _text(target: Target) -> str:
    return str(target) if isinstance(target, AbsResource | Instance) else module_text(target)


def _pairs(state: State, source: Target, target: Target) -> list[tuple[Instance, Instance]] | str:
    """Which instances move where; a text says why they can't."""
    found = [a for a, _, _ in state.instances()]
    if not isinstance(source, AbsResource | Instance):
        if isinstance(target, AbsResource | Instance):
            return f"Cannot move {_text(source)} to {_text(target)}: the target must also be a module."
        length = len(source)
        return [(a, a._replace(module=(*target, *a.module[length:]))) for a in found if a.module[:length] == source]
    if not isinstance(target, AbsResource | Instance):
        return f"Cannot move {_text(source)} to {_text(target)}: the target must also be a resource."
    if source.mode != target.mode or source.type != target.type:
        return f"Cannot move {_text(source)} to {_text(target)}: resource types don't match."
    if isinstance(source, Instance) or isinstance(target, Instance):
        key = source.key if isinstance(source, Instance) else None
        start = Instance(source.module, source.mode, source.type, source.name, key)
        end = target if isinstance(target, Instance) else target.instance(None)
        return [(start, end)] if start in found else []
    return [(a, target.instance(a.key)) for a in found if a.resource == source]


def move(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS)
    if len(flags.rest) != 2:
        world.streams.err.write("Exactly two arguments expected.\n\n")
        return 1
    dry = flags.flag("dry-run")
    try:
        source, target = (parse_target(t) for t in flags.rest)
    except AddressError as problem:
        return world.fail(error("Invalid target address", problem.detail))
    store = world.store(flags.text("state"), flags.text("state-out"), flags.text("backup"))
    with store.locked("state-mv", flags.flag("lock", True) and not dry):
        state = store.load()
        pairs = _pairs(state, source, target)
        if isinstance(pairs, str):
            return world.fail(error("Invalid state move request", pairs))
        if not pairs:
            return world.fail(
                error(
                    "Invalid target address",
                    f"Cannot move {_text(source)}: does not match anything in the current state.",
                )
            )
        for _, new in pairs:
            if state.get(new) is not None and not any(o == new for o, _ in pairs):
                return world.fail(
                    error(
                        "Invalid target address",
                        f"Cannot move to {_text(target)}: there is already a resource instance at that address in the current state.",
                    )
                )
        prefix = "Would move" if dry else "Move"
        world.out(f"{prefix} {quoted(_text(source))} to {quoted(_text(target))}")
        if dry:
            return 0
        for old, new in pairs:
            state.move(old, new)
        _forget_dependencies(state, {old.config for old, _ in pairs})
        store.finish(state)
    world.out("Successfully moved 1 object(s).")
    return 0


def _forget_dependencies(state: State, moved: set[ConfigResource]) -> None:
    """Nothing depends any longer on what is not there under its old name."""
    for _, _, instance in state.instances():
        held = instance.current
        if held is not None and moved & set(held.dependencies):
            kept = tuple(d for d in held.dependencies if d not in moved)
            instance.current = replace(held, dependencies=kept)


def replace_provider(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS)
    if len(flags.rest) != 2:
        world.streams.err.write("Exactly two arguments expected.\n\n")
        return 1
    try:
        old, new = (parse_source(t) for t in flags.rest)
    except ValueError as problem:
        return world.fail(error("Invalid provider source string", f'"{problem}" is not a provider source address.'))
    store = world.store(flags.text("state"), "", flags.text("backup"))
    with store.locked("state-replace-provider", flags.flag("lock", True)):
        state = store.load()
        found = [a for a, r in state.resources.items() if parse_provider_config(r.provider).source == old]
        if not found:
            world.out("No matching resources found.")
            return 0
        world.out(
            "Terraform will perform the following actions:\n\n  ~ Updating provider:\n    - "
            + old
            + "\n    + "
            + new
            + "\n"
        )
        world.out(f"Changing {len(found)} resources:\n\n" + "\n".join(f"  {a}" for a in found))
        if not flags.flag("auto-approve"):
            world.streams.print(
                "\nDo you want to make these changes?\nOnly 'yes' will be accepted to continue.\n\nEnter a value: "
            )
            if sys.stdin.readline().strip() != "yes":
                world.out("Cancelled replacing providers.")
                return 0
        for address in found:
            resource = state.resources[address]
            config = parse_provider_config(resource.provider)._replace(source=new)
            state.resources[address] = ResourceState(str(config), resource.instances)
        store.finish(state)
    world.out(f"\nSuccessfully replaced provider for {len(found)} resources.")
    return 0


__all__ = ["Path", "move", "replace_provider"]
