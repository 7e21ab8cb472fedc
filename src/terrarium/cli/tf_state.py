"""`state …`, `taint` and `untaint`: looking at a state and changing it by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.cli.tf_flags import WrongUse, parse, wants_help
from terrarium.cli.tf_world import World
from terrarium.engine.addresses import (
    AbsResource,
    AddressError,
    Instance,
    Target,
    is_within,
    module_text,
    parse_instance,
    parse_target,
)
from terrarium.engine.state import State
from terrarium.engine.state_file import BadState, read, write


def state(world: World, args: Sequence[str]) -> int:
    words = [a for a in args if not a.startswith("-")]
    command = _COMMANDS.get(words[0]) if words else None
    if command is None:
        from terrarium.cli.tf_help import help_text

        world.out(help_text("state"))
        return 0 if wants_help(args) else 1
    rest = list(args)
    rest.remove(words[0])
    try:
        return command(world, rest)
    except BadState as failure:
        world.streams.err.write(f"Failed to load state: {failure}\n")
        return 1


def _no_state() -> str:
    return (
        "No state file was found!\n\nState management commands require a state file. Run this command\nin a directory where Terraform has been run "
        "or use the -state flag\nto point the command to a specific state location."
    )


def list_(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"state": "text", "id": "text"})
    store = world.store(flags.text("state"))
    found = store.load()
    if not store.read_path.exists():
        world.streams.err.write(_no_state() + "\n")
        return 1
    wanted: list[Target] = []
    problems: list[Diagnostic] = []
    for text in flags.rest:
        try:
            wanted.append(parse_target(text))
        except AddressError as problem:
            problems.append(error(problem.summary, problem.detail))
            continue
        missing = _unknown(found, wanted[-1])
        if missing is not None:
            problems.append(missing)
    if problems:
        return world.fail(problems)
    for address in found.addresses():
        if wanted and not any(is_within(address, t) for t in wanted):
            continue
        if flags.text("id"):
            held = found.current(address)
            if held is None or held.json().get("id") != flags.text("id"):
                continue
        world.out(str(address))
    return 0


def _unknown(state: State, target: Target) -> Diagnostic | None:
    """The message about something that a state doesn't have."""
    match target:
        case Instance():
            there, kind = state.get(target) is not None, "resource instance"
        case AbsResource():
            there, kind = target in state.resources, "resource"
        case _:
            there, kind = any(a.module[: len(target)] == target for a in state.resources), "module"
    if there:
        return None
    return error(f"Unknown {kind}", _UNKNOWN[kind].format(module_text(target) if kind == "module" else target))  # type: ignore[arg-type]


_UNKNOWN = {
    "module": (
        "The current state contains no module at {}. If you've just added this module to the configuration, you must run "
        '"terraform apply" first to create the module\'s entry in the state.'
    ),
    "resource": (
        "The current state contains no resource {}. If you've just added this resource to the configuration, you must run "
        '"terraform apply" first to create the resource\'s entry in the state.'
    ),
    "resource instance": (
        "The current state contains no resource instance {}. If you've just added its resource to the configuration or have "
        'changed the count or for_each arguments, you must run "terraform apply" first to update the resource\'s entry in the '
        "state."
    ),
}


def show(world: World, args: Sequence[str]) -> int:
    from terrarium.cli.tf_show import object_text

    flags = parse(args, {"state": "text", "no-color": "bool"})
    if flags.flag("no-color"):
        world.colour = False
    if len(flags.rest) != 1:
        raise WrongUse("Exactly one argument expected.")
    try:
        address = parse_instance(flags.rest[0])
    except AddressError as problem:
        world.streams.err.write(
            f'Error parsing instance address: {flags.rest[0]}\n\nThis command requires that the address references one specific instance.\nTo view the available instances, use "terraform state list". Please modify \nthe address to reference a specific instance.\n'
        )
        del problem
        return 1
    store = world.store(flags.text("state"))
    found = store.load()
    if not store.read_path.exists():
        world.streams.err.write(_no_state() + "\n")
        return 1
    if found.current(address) is None:
        world.streams.err.write(
            'No instance found for the given address!\n\nThis command requires that the address references one specific instance.\nTo view the available instances, use "terraform state list". Please modify \nthe address to reference a specific instance.\n'
        )
        return 1
    world.out(object_text(world, found, address))
    return 0


def pull(world: World, args: Sequence[str]) -> int:
    parse(args, {})
    found = world.store().load()
    if found.lineage or not found.empty:
        world.streams.print(write(found).decode())
    return 0


def push(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"force": "bool", "lock": "bool", "lock-timeout": "duration", "ignore-remote-version": "bool"})
    if len(flags.rest) != 1:
        raise WrongUse("Exactly one argument expected.")
    source = flags.rest[0]
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        if not data.strip():
            world.streams.err.write(f'Error reading source state "{source}": no state\n')
            return 1
        given = read(data)
    except OSError as problem:
        world.streams.err.write(f"open {source}: {(problem.strerror or '').lower()}\n")
        return 1
    except BadState as failure:
        world.streams.err.write(f'Error reading source state "{source}": {failure}\n')
        return 1
    store = world.store()
    with store.locked("state-push", flags.flag("lock", True)):
        current = store.load()
        if not flags.flag("force") and current.lineage and not current.empty:
            if given.lineage != current.lineage:
                world.streams.err.write(
                    f'Failed to write state: cannot import state with lineage "{given.lineage}" over unrelated state with lineage "{current.lineage}"\n'
                )
                return 1
            if given.serial < current.serial:
                world.streams.err.write(
                    f"Failed to write state: cannot import state with serial {given.serial} over newer state with serial {current.serial}\n"
                )
                return 1
        if not current.empty or given.lineage != current.lineage or not given.empty:
            # Something changes: the serial tells.
            given.serial += bool(current.lineage) and write(replace(given, serial=0)) != write(
                replace(current, serial=0)
            )
        store.replace(write(given))
    return 0


def remove(world: World, args: Sequence[str]) -> int:
    flags = parse(
        args,
        {
            "dry-run": "bool",
            "backup": "text",
            "state": "text",
            "lock": "bool",
            "lock-timeout": "duration",
            "ignore-remote-version": "bool",
        },
    )
    if not flags.rest:
        raise WrongUse("At least one address is required.\n")
    store = world.store(flags.text("state"), "", flags.text("backup") or "timestamp")
    dry = flags.flag("dry-run")
    with store.locked("state-rm", flags.flag("lock", True)):
        found = store.load()
        gone: list[Instance] = []
        for text in flags.rest:
            try:
                target = parse_target(text)
            except AddressError as problem:
                return world.fail(error(problem.summary, problem.detail))
            matched = sorted((a for a, _, _ in found.instances() if is_within(a, target)), key=lambda a: a.order)
            if not matched and not dry:
                return world.fail(
                    error(
                        "Invalid target address",
                        'No matching objects found. To view the available instances, use "terraform state list". Please modify the address to reference a specific instance.',
                    )
                )
            gone += [a for a in matched if a not in gone]
        for address in gone:
            world.out(("Would remove " if dry else "Removed ") + str(address))
            if not dry:
                resource = found.resources[address.resource]
                del resource.instances[address.key]
                if not resource.instances:
                    del found.resources[address.resource]
        if dry:
            if not gone:
                world.out("Would have removed nothing.")
            return 0
        store.finish(found)
        world.out(f"Successfully removed {len(gone)} resource instance(s).")
    return 0


def move(world: World, args: Sequence[str]) -> int:
    from terrarium.cli.tf_state_mv import move as run

    return run(world, args)


def replace_provider(world: World, args: Sequence[str]) -> int:
    from terrarium.cli.tf_state_mv import replace_provider as run

    return run(world, args)


_COMMANDS: dict[str, Callable[[World, Sequence[str]], int]] = {
    "list": list_,
    "show": show,
    "pull": pull,
    "push": push,
    "rm": remove,
    "mv": move,
    "replace-provider": replace_provider,
}


def taint(world: World, args: Sequence[str]) -> int:
    return _mark(world, args, True)


def untaint(world: World, args: Sequence[str]) -> int:
    return _mark(world, args, False)


def _mark(world: World, args: Sequence[str], tainted: bool) -> int:
    name = "taint" if tainted else "untaint"
    flags = parse(
        args,
        {
            "allow-missing": "bool",
            "backup": "text",
            "state": "text",
            "state-out": "text",
            "lock": "bool",
            "lock-timeout": "duration",
            "ignore-remote-version": "bool",
        },
    )
    if len(flags.rest) != 1:
        raise WrongUse(f"The {name} command expects exactly one argument.", quiet=True)
    try:
        address = parse_instance(flags.rest[0])
    except AddressError as problem:
        return world.fail(error(problem.summary, problem.detail))
    if address.mode != "managed":
        world.streams.err.write(f"Resource instance {address} cannot be {name}ed\n")
        return 1
    store = world.store(flags.text("state"), flags.text("state-out"), flags.text("backup"))
    with store.locked(name, flags.flag("lock", True)):
        found = store.load()
        held = found.current(address)
        if held is None:
            if flags.flag("allow-missing"):
                from terrarium.base.diagnostics import warning

                world.say(
                    [
                        warning(
                            "No such resource instance",
                            f"Resource instance {address} was not found, but this is not an error because -allow-missing was set.",
                        )
                    ]
                )
                return 0
            return world.fail(
                error(
                    "No such resource instance",
                    f'There is no resource instance in the state with the address {address}. If the resource configuration has just been added, you must run "terraform apply" once to create the corresponding instance(s) before they can be tainted.',
                )
            )
        if not tainted and not held.tainted:
            return world.fail(
                error(
                    "Resource instance is not tainted",
                    f"Resource instance {address} is not currently tainted, and so it cannot be untainted.",
                )
            )
        provider = found.resources[address.resource].provider
        found.put(address, provider, held.with_taint(tainted))
        store.finish(found)
    world.out(
        f"Resource instance {address} has been " + ("marked as tainted." if tainted else "successfully untainted.")
    )
    return 0
