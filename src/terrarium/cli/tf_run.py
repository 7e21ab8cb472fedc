"""`plan`, `apply`, `destroy` and `refresh`: a plan shown, kept in a file, or made real."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from terrarium.base.diagnostics import DiagnosedFailure, Diagnostic, error, has_errors
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_interrupt import interruptible
from terrarium.cli.tf_options import APPLY, COMMON, PLAN, options
from terrarium.cli.tf_prepare import begin, checked_configuration, functions_session, gathered_variables, make, unique
from terrarium.cli.tf_saved import load_saved, save_plan
from terrarium.cli.tf_view import Lines
from terrarium.cli.tf_world import World
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.plan import Action, Mode, Plan
from terrarium.engine.plan_text import PlanText
from terrarium.engine.state import State
from terrarium.engine.state_store import LocalStore
from terrarium.language.printing import console_text
from terrarium.language.render import paint, wrap


def renderer(world: World) -> PlanText:
    return PlanText(world.plugins, world.colour, world.width, world.automation)


def write_generated(found: Plan, path: str) -> str:
    """Writes the configuration that was made for imported objects. The path when that is to be told: Terraform does so only
    when the last of all changes has such configuration."""
    from terrarium.engine.generating import file_text

    objects = [(c.generated, c.importing or "") for c in found.changes if c.generated]
    if not objects:
        return ""
    Path(path).write_text(file_text(objects))
    return path if found.changes[-1].generated else ""


def plan(world: World, args: Sequence[str]) -> int:
    extra = "To specify a working directory for the plan, use the global -chdir flag."
    flags, mode = options(args, PLAN, 0, extra)
    begin(world, flags)
    if flags.flag("watch"):
        from terrarium.cli.tf_watch import watch

        return watch(world, flags, mode)
    if flags.flag("json"):
        from terrarium.cli.tf_json_ui import plan_json

        return plan_json(world, flags, mode)
    with interruptible(world) as stopped:
        found, root, store, diagnostics = make(world, flags, mode, "Plan", stopped)
    try:
        if found is None or root is None or store is None:
            return world.fail(diagnostics)
        path = flags.text("out")
        if path and not found.aborted:
            save_plan(world, found, root, store, Path(path))
        generated = write_generated(found, flags.text("generate-config-out"))
        text = renderer(world)
        if not found.aborted:
            world.streams.print(text.render(found))
        world.say([d for d in diagnostics if d.severity.value == "warning"])
        if found.errored:
            world.say([d for d in diagnostics if d.severity.value == "error"])
            return 1
        if found.applyable:
            world.streams.print(footer(world, path, text, generated))
    finally:
        if store is not None:
            store.unlock()
    return 2 if flags.flag("detailed-exitcode") and found.applyable else 0


def footer(world: World, path: str, text: PlanText, generated: str = "") -> str:
    """What comes after a plan: where it was saved, or that it was not; and where configuration was written."""
    rule = text.rule() + "\n"
    if generated:
        written = (
            f"Terraform has generated configuration and written it to {generated}. Please review the configuration and edit "
            "it as necessary before adding it to version control."
        )
        rule += wrap(written, world.width - 1) + "\n" + ("\n" if path and not world.automation else "")
    elif world.automation:
        return ""
    if world.automation:
        return rule
    if not path:
        if generated:
            return rule
        note = (
            "Note: You didn't use the -out option to save this plan, so Terraform can't guarantee to take exactly these actions "
            'if you run "terraform apply" now.'
        )
        return rule + wrap(note, world.width - 1) + "\n"
    return (
        f"{rule}Saved the plan to: {path}\n\nTo perform exactly these actions, run the following command to apply:\n"
        f'    terraform apply "{path}"\n'
    )


def apply(world: World, args: Sequence[str], destroy: bool = False) -> int:
    flags, mode = options(args, APPLY, 1, "Expected at most one positional argument.", destroy)
    flags.flags["command"] = "destroy" if destroy else "apply"
    begin(world, flags)
    if destroy and flags.rest:
        return world.fail(
            error(
                "Destroy can't be called with a plan file",
                f'If this plan was created using plan -destroy, apply it using:\n  terraform apply "{flags.rest[0]}"',
            )
        )
    if flags.flag("json"):
        from terrarium.cli.tf_json_ui import apply_json

        return apply_json(world, flags, mode)
    if flags.rest:
        return apply_saved(world, flags, Path(flags.rest[0]))
    with interruptible(world) as stopped:
        found, root, store, diagnostics = make(world, flags, mode, "Apply", stopped)
        try:
            if found is None or root is None or store is None:
                return world.fail(diagnostics)
            return _confirm_and_apply(world, flags, found, root, store, diagnostics, stopped)
        finally:
            if store is not None:
                store.unlock()


def _confirm_and_apply(
    world: World,
    flags: Parsed,
    found: Plan,
    root: ModuleNode,
    store: LocalStore,
    diagnostics: Sequence[Diagnostic],
    stopped: Callable[[], bool],
) -> int:
    if found.errored:
        if found.changes or any(o.action is not Action.NOOP for o in found.outputs):
            world.streams.print(renderer(world).render(found))
        world.say(diagnostics)
        return 1
    world.streams.print(renderer(world).render(found))
    if not found.applyable or flags.flag("auto-approve"):
        return execute(world, flags, found, root, store, stopped, later=without_checks(diagnostics))
    # Whoever is asked shall know what there is to know.
    world.say(diagnostics)
    if not confirmed(world, found):
        world.out("\nDestroy cancelled." if found.mode is Mode.DESTROY else "\nApply cancelled.")
        return 1
    return execute(world, flags, found, root, store, stopped)


def without_checks(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """What a plan said, for after the apply: without the checks, which have been made again by then."""
    return [d for d in diagnostics if d.extra != "check"]


_QUESTIONS = {
    Mode.NORMAL: (
        "Do you want to perform these actions?",
        "Terraform will perform the actions described above.\n  Only 'yes' will be accepted to approve.",
    ),
    Mode.DESTROY: (
        "Do you really want to destroy all resources?",
        "Terraform will destroy all your managed infrastructure, as shown above.\n  There is no undo. Only 'yes' will be accepted to confirm.",
    ),
    Mode.REFRESH_ONLY: (
        "Would you like to update the Terraform state to reflect these detected changes?",
        "Terraform will write these changes to the state without modifying any real infrastructure.\n  There is no undo. Only 'yes' will be accepted to confirm.",
    ),
}


def confirmed(world: World, found: Plan) -> bool:
    """Whether the user says yes."""
    question, description = _QUESTIONS[found.mode]
    if world.workspace != "default":
        question = question[:-1] + f' in workspace "{world.workspace}"?'
    world.streams.print(
        paint(f"\n[bold]{question}[reset]\n  {description}\n\n  [bold]Enter a value:[reset] ", world.colour)
    )
    line = sys.stdin.readline()
    world.streams.print("\n")
    if not line:
        raise DiagnosedFailure([error("error asking for approval: EOF")])
    return line.rstrip("\r\n") == "yes"


def execute(
    world: World,
    flags: Parsed,
    found: Plan,
    root: ModuleNode,
    store: LocalStore,
    stopped: Callable[[], bool],
    saved: bool = False,
    later: Sequence[Diagnostic] = (),
) -> int:
    """Applies a plan and says how it went, and `later`: what is still to be said of the plan."""
    from terrarium.engine.applying import apply_plan

    lines = Lines(world.streams.print, world.colour)
    session = functions_session(world, root, found.variables, flags, lines, False, stopped, found.timestamp)
    destroying = flags.text("command") == "destroy"
    state, counts, diagnostics = apply_plan(session, found, store, world.ids)
    lines.close()
    store.finish(state)
    diagnostics = [*later, *diagnostics]
    world.say([d for d in diagnostics if d.severity.value == "warning"])
    if has_errors(diagnostics):
        world.say([d for d in diagnostics if d.severity.value == "error"])
        return 1
    if stopped():
        return world.fail(
            error("Execution halted", "The operation was interrupted. What was done has been saved in the state.")
        )
    world.streams.print(paint(f"\n[reset][bold][green]{summary(counts, destroying, saved)}[reset]\n", world.colour))
    if flags.text("state-out") and not state.empty:
        note = (
            "The state of your infrastructure has been saved to the path below. This state is required to modify and destroy your "
            "infrastructure, so keep it safe. To inspect the complete state use the `terraform show` command."
        )
        world.streams.print("\n" + wrap(note, world.width - 1) + f"\n\nState path: {flags.text('state-out')}\n")
    if not destroying and state.outputs:
        world.streams.print(
            paint("\n[reset][bold][green]Outputs:[reset]\n\n", world.colour) + outputs_text(state) + "\n"
        )
    return 0


def summary(counts: Mapping[str, int], destroying: bool, saved: bool = False) -> str:
    """`Apply complete! Resources: 1 added, 0 changed, 0 destroyed.`"""
    if destroying and not saved:
        return f"Destroy complete! Resources: {counts['remove']} destroyed."
    imported = f"{counts['import']} imported, " if counts["import"] else ""
    return f"Apply complete! Resources: {imported}{counts['add']} added, {counts['change']} changed, {counts['remove']} destroyed."


def outputs_text(state: State) -> str:
    """All outputs as `output` shows them."""
    rows = []
    for name in sorted(state.outputs):
        output = state.outputs[name]
        rows.append(f"{name} = " + ("<sensitive>" if output.sensitive else console_text(output.value)))
    return "\n".join(rows)


def apply_saved(world: World, flags: Parsed, path: Path) -> int:
    """Applies a plan file."""
    with interruptible(world) as stopped:
        found, root, store, diagnostics = load_saved(world, flags, path)
        if found is None or root is None or store is None:
            return world.fail(diagnostics)
        try:
            return execute(world, flags, found, root, store, stopped, saved=True)
        finally:
            store.unlock()


def destroy(world: World, args: Sequence[str]) -> int:
    return apply(world, args, destroy=True)


def refresh(world: World, args: Sequence[str]) -> int:
    """Applies a refresh-only plan without asking."""
    flags, _ = options(args, COMMON, 0, "Expected at most one positional argument.")
    begin(world, flags)
    with interruptible(world) as stopped:
        found, root, store, diagnostics = make(world, flags, Mode.REFRESH_ONLY, "Refresh", stopped)
        try:
            if found is None or root is None or store is None or found.errored:
                return world.fail(diagnostics)
            world.say(diagnostics)
            from terrarium.engine.applying import apply_plan

            lines = Lines(world.streams.print, world.colour)
            session = functions_session(world, root, found.variables, flags, lines, False, stopped, found.timestamp)
            state, _, more = apply_plan(session, found, store, world.ids)
            store.finish(state)
            world.say(more)
            if has_errors(more):
                return 1
            if state.outputs:
                world.streams.print(
                    paint("\n[reset][bold][green]Outputs:[reset]\n\n", world.colour) + outputs_text(state) + "\n"
                )
            return 0
        finally:
            if store is not None:
                store.unlock()


__all__ = [
    "Action",
    "apply",
    "begin",
    "checked_configuration",
    "destroy",
    "functions_session",
    "gathered_variables",
    "interruptible",
    "make",
    "plan",
    "refresh",
    "renderer",
    "save_plan",
    "summary",
    "unique",
]
