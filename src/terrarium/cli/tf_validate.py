"""`validate`: whether the configuration is consistent in itself, without state or remote objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_world import World, indented
from terrarium.language.render import Renderer, in_order, paint, wrap


def validate(world: World, args: Sequence[str]) -> int:
    flags = parse(
        args,
        {
            "json": "bool",
            "no-color": "bool",
            "no-tests": "bool",
            "test-directory": "text",
            "var": "many",
            "var-file": "many",
        },
    )
    if flags.flag("no-color"):
        world.colour = False
    if len(flags.rest) > 1:
        return world.fail(error("Too many command line arguments", "Expected at most one positional argument."))
    tests = None if flags.flag("no-tests") else flags.text("test-directory") or "tests"
    diagnostics = found(world, tests)
    if flags.flag("json"):
        return as_json(world, diagnostics)
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    world.say(diagnostics)
    note = ", but there were some validation warnings as shown above" if diagnostics else ""
    text = paint(f"[green][bold]Success![reset] The configuration is valid{note}.\n", world.colour)
    world.out(wrap(text, world.width))
    return 0


def found(world: World, tests: str | None = None) -> list[Diagnostic]:
    """Everything that is wrong with the configuration of the working folder, and with the test files there and in its
    folder `tests`, if that is given."""
    from terrarium.engine.validation import validate as check
    from terrarium.engine.walking import Session

    root, diagnostics = world.configuration()
    if tests is not None and any(f for folder in (Path(), Path(tests)) for f in folder.glob("*.tftest.*")):
        from terrarium.engine.testing.reading import test_problems

        problems, sources = test_problems(Path(), tests)
        world.sources.update(sources)
        diagnostics += problems
    if has_errors(diagnostics):
        return diagnostics
    session = Session(root, world.plugins, {}, world.workspace, world.original_folder, functions=world.functions(True))
    diagnostics += check(session)
    if len(diagnostics) < 2:
        return diagnostics
    from terrarium.cli.tf_prepare import unique

    return unique(diagnostics)


def as_json(world: World, diagnostics: Sequence[Diagnostic]) -> int:
    renderer = Renderer(world.sources)
    ordered = in_order(diagnostics)
    errors = sum(d.severity is Severity.ERROR for d in ordered)
    document = {
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": len(ordered) - errors,
        "diagnostics": [renderer.to_json(d) for d in ordered],
    }
    world.out(indented(document))
    return 0 if errors == 0 else 1
