"""`graph`: dependencies in the DOT language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from terrarium.base.diagnostics import error, has_errors
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_run import functions_session
from terrarium.cli.tf_view import Lines
from terrarium.cli.tf_world import World, too_many_arguments
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.graph_text import operation_graph, plan_graph, resource_graph
from terrarium.engine.walking import Session

_FLAGS = {
    "type": "text",
    "draw-cycles": "bool",
    "plan": "text",
    "module-depth": "int",
    "verbose": "bool",
    "var": "many",
    "var-file": "many",
    "no-color": "bool",
}
_KINDS = ("plan", "plan-refresh-only", "plan-destroy", "apply")


def graph(world: World, args: Sequence[str]) -> int:
    flags = parse(args, _FLAGS)
    if flags.rest:
        return too_many_arguments(world)
    kind, path = flags.text("type"), flags.text("plan")

    def session_of(root: ModuleNode) -> Session:
        return functions_session(world, root, {}, flags, Lines(lambda text: None, False), True, lambda: False)

    if path:
        return _of_plan(world, path, flags.flag("draw-cycles"), session_of)
    root, diagnostics = world.configuration(absolute=True)
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    session = session_of(root)
    if not kind:
        text, problems = resource_graph(session)
        if problems:
            return world.fail(problems)
        world.out(text, end="")
        return 0
    if kind not in _KINDS:
        return world.fail(
            error(
                "Unsupported graph type",
                'The -type=... argument must be either "plan", "plan-refresh-only", "plan-destroy", or "apply".',
            )
        )
    world.out(operation_graph(session, kind, flags.flag("draw-cycles"), world.store().load()), end="")
    return 0


def _of_plan(world: World, path: str, cycles: bool, session_of) -> int:  # type: ignore[no-untyped-def]
    from terrarium.engine.module_tree import Snapshot, load_tree
    from terrarium.engine.plan_file import BadPlan, load

    try:
        saved = load(Path(path))
    except BadPlan as failure:
        world.streams.err.write(f"{failure}\n")
        return 1
    except OSError as problem:
        world.streams.err.write(f"stat {path}: {(problem.strerror or '').lower()}\n")
        return 1
    root, diagnostics = load_tree(Snapshot(saved.files), saved.manifest)
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    world.out(plan_graph(session_of(root), saved.plan, cycles), end="")
    return 0
