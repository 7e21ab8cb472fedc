"""`state mv` and `state replace-provider`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.cli.tf_flags import WrongUse, parse
from terrarium.cli.tf_world import World
from terrarium.engine.addresses import (
    AbsResource,
    AddressError,
    ConfigResource,
    Instance,
    ModuleInstance,
    Target,
    module_text,
    parse_provider_config,
    parse_source,
    parse_target,
    quoted,
)
from terrarium.engine.state import Dependencies, ResourceState, State
from terrarium.engine.state_store import LocalStore

_FLAGS = {
    "dry-run": "bool",
    "backup": "text",
    "backup-out": "text",
    "state": "text",
    "state-out": "text",
    "lock": "bool",
    "lock-timeout": "duration",
    "ignore-remote-version": "bool",
    "auto-approve": "bool",
}


def _text(target: Target) -> str:
    return str(target) if isinstance(target, AbsResource | Instance) else module_text(target)


class Refused(Exception):
    """A move that can't be made: what is wrong, in the words of a diagnostic."""

    def __init__(self, summary: str, detail: str) -> None:
        super().__init__(detail)
        self.diagnostic = error(summary, detail)


_SOURCE, _TARGET, _REQUEST = "Invalid source address", "Invalid target address", "Invalid state move request"
Moves = list[tuple[Target, Target]]


def _moves(state: State, source: Target, target: Target) -> Moves:
    """What moves where: modules, whole resources or single instances. Refused."""
    if isinstance(source, AbsResource):
        held = state.resources.get(source)
        if held is None:
            return []
        if list(held.instances) == [None]:
            source = source.instance(None)  # a resource that does not repeat: its one object may get a key
    if not isinstance(source, AbsResource | Instance):
        return _module_moves(state, source, target)
    if isinstance(source, Instance) and state.get(source) is None:
        return []
    if not isinstance(target, AbsResource | Instance):
        raise Refused(
            _TARGET, f"Cannot move {_text(source)} to {_text(target)}: the target must also be a resource instance."
        )
    if isinstance(source, AbsResource) and isinstance(target, Instance):
        raise Refused(
            _TARGET,
            f"Cannot move {_text(source)} to {_text(target)}: the source is a whole resource (not a resource instance) so "
            "the target must also be a whole resource.",
        )
    if source.mode != target.mode:
        kind = "managed resource" if source.mode == "managed" else "data resource"
        raise Refused(
            _REQUEST,
            f"Cannot move {_text(source)} to {_text(target)}: a {kind} can be moved only to another {kind} address.",
        )
    if source.type != target.type:
        raise Refused(_REQUEST, f"Cannot move {_text(source)} to {_text(target)}: resource types don't match.")
    if isinstance(source, AbsResource):
        if target in state.resources:
            raise Refused(
                _TARGET,
                f"Cannot move to {_text(target)}: there is already a resource at that address in the current state.",
            )
        return [(source, target)]
    end = target if isinstance(target, Instance) else target.instance(None)
    if state.get(end) is not None:
        raise Refused(
            _TARGET,
            f"Cannot move to {end}: there is already a resource instance at that address in the current state.",
        )
    return [(source, end)]


def _module_moves(state: State, source: ModuleInstance, target: Target) -> Moves:
    inside = sorted({a.module for a in state.resources if a.module[: len(source)] == source}, key=module_text)
    if inside and isinstance(target, AbsResource | Instance):
        raise Refused(_TARGET, f"Cannot move {_text(source)} to {_text(target)}: the target must also be a module.")
    if isinstance(target, AbsResource | Instance):
        return []
    taken = {a.module for a in state.resources}
    moves: Moves = []
    for module in inside:
        new = (*target, *module[len(source) :])
        if new in taken:
            raise Refused(
                _TARGET,
                f"Cannot move to {module_text(new)}: there is already a module at that address in the current state.",
            )
        moves.append((module, new))
    return moves


def _pairs(state: State, source: Target, target: Target) -> list[tuple[Instance, Instance]]:
    """The instances of one move."""
    found = [a for a, _, _ in state.instances()]
    match source, target:
        case Instance(), Instance():
            return [(source, target)]
        case AbsResource(), AbsResource():
            return [(a, target.instance(a.key)) for a in found if a.resource == source]
        case _:
            assert not isinstance(target, AbsResource | Instance)
            return [(a, a._replace(module=target)) for a in found if a.module == source]


def move(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS)
    if len(flags.rest) != 2:
        raise WrongUse("Exactly two arguments expected.\n")
    dry = flags.flag("dry-run")
    targets: list[Target] = []
    problems: list[Diagnostic] = []
    for text in flags.rest:
        try:
            targets.append(parse_target(text))
        except AddressError as problem:
            problems.append(error(problem.summary, problem.detail))
    if problems:
        return world.fail(problems)
    source, target = targets
    store = world.store(flags.text("state"), "", flags.text("backup") or "timestamp")
    other = world.store(flags.text("state-out"), "", flags.text("backup-out") or "timestamp")
    elsewhere = bool(flags.text("state-out")) and other.path != store.path
    with store.locked("state-mv", flags.flag("lock", True) and not dry):
        state = store.load()
        try:
            moves = _moves(state, source, target)
        except Refused as refused:
            return world.fail(refused.diagnostic)
        if not moves:
            return world.fail(
                error(_SOURCE, f"Cannot move {_text(source)}: does not match anything in the current state.")
            )
        for old, new in moves:
            world.out(f"{'Would move' if dry else 'Move'} {quoted(_text(old))} to {quoted(_text(new))}")
        if dry:
            return 0
        pairs = [pair for old, new in moves for pair in _pairs(state, old, new)]
        _forget_dependencies(state, {old.config for old, _ in pairs})
        if elsewhere:
            _give(state, other.load(), pairs, other)
        else:
            for old, new in pairs:
                state.move(old, new)
        store.finish(state)
    world.out(f"Successfully moved {len(moves)} object(s).")
    return 0


def _give(state: State, receiver: State, pairs: Sequence[tuple[Instance, Instance]], store: LocalStore) -> None:
    """Moves instances into another state. That one is written first: rather twice there than not at all."""
    for old, new in pairs:
        resource = state.resources[old.resource]
        held = resource.instances.pop(old.key)
        receiver.resources.setdefault(new.resource, ResourceState(resource.provider)).instances[new.key] = held
        if not resource.instances:
            del state.resources[old.resource]
    store.finish(receiver)


def _forget_dependencies(state: State, moved: set[ConfigResource]) -> None:
    """Nothing depends any longer on what is not there under its old name."""
    for _, _, instance in state.instances():
        held = instance.current
        if held is not None and held.dependencies and moved & set(held.dependencies):
            kept = Dependencies.of(d for d in held.dependencies if d not in moved)
            instance.current = replace(held, dependencies=kept)


def replace_provider(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS)
    if len(flags.rest) != 2:
        raise WrongUse("Exactly two arguments expected.\n")
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


__all__ = ["move", "replace_provider"]
