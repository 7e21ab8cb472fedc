"""`show`: the state or a saved plan, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from terrarium.base.diagnostics import error
from terrarium.cli.tf import bad_options
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_run import renderer
from terrarium.cli.tf_world import World
from terrarium.engine.addresses import Instance
from terrarium.engine.plan_file import BadPlan, is_plan_file, load
from terrarium.engine.state import State
from terrarium.engine.state_file import BadState, dumps, read
from terrarium.engine.state_text import StateText


def object_text(world: World, state: State, address: Instance) -> str:
    """One object as `state show` prints it."""
    return StateText(world.plugins, world.colour).instance(state, address)


def show(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"json": "bool", "no-color": "bool", "var": "many", "var-file": "many"})
    if flags.flag("no-color"):
        world.colour = False
    if len(flags.rest) > 1:
        return bad_options(
            world,
            "show",
            [error("Too many command line arguments", "Expected at most one positional argument.")],
            False,
        )
    as_json = flags.flag("json")
    if not flags.rest or not flags.rest[0]:
        store = world.store()
        try:
            state = store.load()
        except BadState as failure:
            return world.fail(failure.diagnostics())
        return _state(world, state, as_json)
    path = Path(flags.rest[0])
    if is_plan_file(path):
        return _plan(world, path, as_json)
    try:
        data = path.read_bytes()
        state = read(data)
    except OSError as problem:
        words = (problem.strerror or "").lower()
        return world.fail(
            error(
                "Failed to read the given file as a state or plan file",
                f"State read error: Error loading statefile: open {path}: {words}\n\nPlan read error: couldn't load the provided path as either "
                f"a local plan file (open {path}: {words}) or a saved cloud plan (open {path}: {words})",
            )
        )
    except BadState as failure:
        return world.fail(
            error("Failed to read the given file as a state or plan file", f"State read error: {failure}")
        )
    return _state(world, state, as_json)


def _state(world: World, state: State, as_json: bool) -> int:
    if as_json:
        from terrarium.engine.state_json import state_document

        world.out(dumps(state_document(state, world.plugins)).decode())
        return 0
    text = StateText(world.plugins, world.colour)
    if not state.outputs and not state.resources:
        world.out("No state." if not state.lineage else "The state file is empty. No resources are represented.")
        return 0
    try:
        shown = text.whole(state)
    except ValueError as problem:  # attributes which don't fit their type
        world.streams.err.write(f"Failed to marshal state to json: {problem}\n")
        return 1
    world.streams.print(shown)
    return 0


def _plan(world: World, path: Path, as_json: bool) -> int:
    from terrarium.engine.module_tree import Snapshot, load_tree

    try:
        saved = load(path)
    except BadPlan as failure:
        return world.fail(error("Failed to read the given file as a state or plan file", f"Plan read error: {failure}"))
    if as_json:
        from terrarium.engine.plan_json import plan_document

        root, _ = load_tree(Snapshot(saved.files), saved.manifest)
        world.out(dumps(plan_document(saved.plan, root, world.plugins)).decode())
        return 0
    world.streams.print(renderer(world).render(saved.plan))
    return 0
