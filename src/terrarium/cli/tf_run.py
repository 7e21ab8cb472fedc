"""`plan`, `apply`, `destroy` and `refresh`: from flags to a plan, and from a plan to a changed world."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from terrarium.base.diagnostics import DiagnosedFailure, Diagnostic, error, has_errors, warning
from terrarium.cli.tf_flags import Parsed, parse
from terrarium.cli.tf_view import Lines
from terrarium.cli.tf_world import World
from terrarium.engine import variables
from terrarium.engine.addresses import AddressError, Instance, Target, parse_instance, parse_target
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.events import Progress
from terrarium.engine.plan import Action, Mode, Plan
from terrarium.engine.plan_text import PlanText
from terrarium.engine.planning import Options, make_plan
from terrarium.engine.state import State
from terrarium.engine.state_file import BadState
from terrarium.engine.state_store import LocalStore, StateLocked
from terrarium.engine.walking import FROM_PROVIDER, Session
from terrarium.language.printing import console_text
from terrarium.language.render import paint

COMMON = {
    "input": "bool",
    "lock": "bool",
    "lock-timeout": "duration",
    "no-color": "bool",
    "compact-warnings": "bool",
    "parallelism": "int",
    "state": "text",
    "state-out": "text",
    "backup": "text",
    "json": "bool",
    "var": "many",
    "var-file": "many",
    "target": "many",
    "refresh": "bool",
}
PLAN = {
    **COMMON,
    "destroy": "bool",
    "refresh-only": "bool",
    "replace": "many",
    "detailed-exitcode": "bool",
    "out": "text",
    "generate-config-out": "text",
}
APPLY = {**COMMON, "destroy": "bool", "refresh-only": "bool", "replace": "many", "auto-approve": "bool"}


class Interrupted(KeyboardInterrupt):
    """The second Ctrl-C: like the first one outside of operations, it ends the command, and no handler of errors in
    between keeps it."""


@dataclass(slots=True)
class Stopper:
    """Counts Ctrl-C: the first asks to stop, the second ends at once."""

    world: World
    count: int = 0

    def __call__(self, number: int, frame: object) -> None:
        self.count += 1
        if self.count == 1:
            self.say(
                "\nInterrupt received.\nPlease wait for Terraform to exit or data loss may occur.\nGracefully shutting down...\n"
            )
            threading.Thread(target=self.world.plugins.stop, daemon=True).start()
            return
        self.say("\nTwo interrupts received. Exiting immediately. Note that data loss may have occurred.\n")
        raise Interrupted

    def say(self, text: str) -> None:
        """Prints, unless the signal came in the middle of printing, where Python allows no second print."""
        with suppress(RuntimeError):
            self.world.out(text)


@contextmanager
def interruptible(world: World) -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM stop gently while inside; gives what tells whether that was asked for."""
    stopper = Stopper(world)
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, stopper) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopper.count > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- preparing ---------------------------------------------------------------------------------------------------------


def begin(world: World, flags: Parsed) -> None:
    if flags.flag("no-color"):
        world.colour = False
    world.compact_warnings = flags.flag("compact-warnings")
    if flags.text("state"):
        world.early.append(
            warning(
                "Deprecated flag: -state",
                'Use the "path" attribute within the "local" backend to specify a file for state storage',
            )
        )


def targets(flags: Parsed, world: World) -> tuple[tuple[Target, ...], tuple[Instance, ...], list[Diagnostic]]:
    """The addresses of `-target` and `-replace`."""
    diagnostics: list[Diagnostic] = []
    found: list[Target] = []
    replace: list[Instance] = []
    for text in flags.all("target"):
        try:
            found.append(parse_target(text))
        except AddressError as problem:
            diagnostics.append(error(f'Invalid target "{text}"', problem.detail))
    for text in flags.all("replace"):
        try:
            address = parse_instance(text)
        except AddressError as problem:
            diagnostics.append(error(f'Invalid force-replace address "{text}"', problem.detail))
            continue
        if address.mode != "managed":
            diagnostics.append(
                error(
                    f'Invalid force-replace address "{text}"',
                    "Only managed resources can be used with the -replace=... option.",
                )
            )
            continue
        replace.append(address)
    return tuple(found), tuple(replace), diagnostics


def backend_problem(world: World, root: ModuleNode) -> Diagnostic | None:
    """Whether the backend in the configuration is the one that was initialised."""
    from terrarium.cli.tf_backend import needs_init

    return needs_init(world, root)


def gathered_variables(world: World, root: ModuleNode, flags: Parsed) -> variables.Gathered:
    given = [(name, value) for name, value in flags.many if name in ("var", "var-file")]
    gathered = variables.gather(Path(), world.environment, given, root.module.variables)
    world.sources.update(gathered.sources)
    return gathered


def prompt_for(world: World, root: ModuleNode, gathered: variables.Gathered, flags: Parsed) -> list[Diagnostic]:
    """Asks for variables without a value, where asking is allowed."""
    if not flags.flag("input", True) or not world.input_allowed or flags.flag("json"):
        return []
    diagnostics: list[Diagnostic] = []
    for name in variables.missing(root.module, gathered):
        variable = root.module.variables[name]
        text = paint(f"[bold]var.{name}[reset]\n", world.colour)
        if variable.description:
            text += "".join(f"  {line}\n" for line in variable.description.rstrip("\n").split("\n")) + "\n"
        text += paint("  [bold]Enter a value:[reset] ", world.colour)
        world.streams.print(text)
        line = sys.stdin.readline()
        if not line:
            world.out("")
            diagnostics.append(
                error(
                    "No value for required variable",
                    f'The root module input variable "{name}" is not set, and has no default value. Use a -var or -var-file command line argument to provide a value for this variable.',
                    variable.range,
                )
            )
            gathered.given.setdefault(name, variables.Given("prompt", name, "", text=""))
            return diagnostics
        world.out("")
        gathered.given[name] = variables.Given("prompt", name, "", text=line.rstrip("\r\n"))
    return diagnostics


@dataclass(slots=True)
class Prepared:
    """All that planning needs. `store` is locked when `locked`."""

    root: ModuleNode
    store: LocalStore
    session: Session
    state: State
    options: Options
    lines: Lines


def no_configuration(what: str) -> Diagnostic:
    return error(
        "No configuration files",
        f"{what} requires configuration to be present. "
        + (
            "Planning without a configuration would mark everything for destruction, which is normally not what is desired. If you "
            "would like to destroy everything, run plan with the -destroy option. Otherwise, create a Terraform configuration file "
            "(.tf file) and try again."
            if what == "Plan"
            else "Applying without a configuration would mark everything for destruction, which is normally not what is desired. If "
            "you would like to destroy everything, run 'terraform destroy' instead."
        ),
    )


def checked_configuration(world: World, mode: Mode, what: str) -> tuple[ModuleNode | None, list[Diagnostic]]:
    """The configuration, statically checked; None when it can't be used."""
    if mode is not Mode.DESTROY and not world.has_configuration():
        return None, [no_configuration(what)]
    root, diagnostics = world.configuration()
    if has_errors(diagnostics):
        return None, diagnostics
    problem = backend_problem(world, root)
    if problem is not None:
        return None, [*diagnostics, problem]
    from terrarium.engine.dependencies import unavailable

    missing = unavailable(root, world.plugins, world.data_folder)
    if missing is not None:
        return None, [*diagnostics, missing]
    return root, diagnostics


def locked_problem(failure: StateLocked) -> Diagnostic:
    info = failure.info
    lines = "".join(
        f"\n  {key + ':':<10} {info.get(name, '')}"
        for key, name in (
            ("ID", "ID"),
            ("Path", "Path"),
            ("Operation", "Operation"),
            ("Who", "Who"),
            ("Version", "Version"),
            ("Created", "Created"),
            ("Info", "Info"),
        )
    )
    return error(
        "Error acquiring the state lock",
        f"Error message: resource temporarily unavailable\nLock Info:{lines}\n\n\nTerraform acquires a state lock to protect "
        "the state from being written\nby multiple users at the same time. Please resolve the issue above and try\nagain. For "
        'most commands, you can disable locking with the "-lock=false"\nflag, but this is not recommended.',
    )


def functions_session(
    world: World,
    root: ModuleNode,
    values: Mapping[str, object],
    flags: Parsed,
    lines: Progress,
    predictable: bool,
    stopped: Callable[[], bool],
    timestamp: str = "",
) -> Session:
    return Session(
        root,
        world.plugins,
        values,  # type: ignore[arg-type]
        world.workspace,
        world.original_folder,
        flags.number("parallelism", 10),
        lines,
        world.functions(predictable, timestamp=timestamp),
        stopped,
    )


# --- plan --------------------------------------------------------------------------------------------------------------


def mode_of(flags: Parsed, forced: Mode | None = None) -> tuple[Mode, list[Diagnostic]]:
    if forced is not None:
        return forced, []
    destroy, refresh_only = flags.flag("destroy"), flags.flag("refresh-only")
    if destroy and refresh_only:
        return Mode.NORMAL, [
            error("Incompatible plan mode options", "The -destroy and -refresh-only options are mutually-exclusive.")
        ]
    if refresh_only and not flags.flag("refresh", True):
        return Mode.NORMAL, [
            error(
                "Incompatible refresh options",
                "It doesn't make sense to use -refresh-only at the same time as -refresh=false, because Terraform would have nothing to do.",
            )
        ]
    return (Mode.DESTROY if destroy else Mode.REFRESH_ONLY if refresh_only else Mode.NORMAL), []


def make(
    world: World, flags: Parsed, mode: Mode, what: str, stopped: Callable[[], bool], events: Progress | None = None
) -> tuple[Plan | None, ModuleNode | None, LocalStore | None, list[Diagnostic]]:
    """A plan of the current configuration. The store comes back locked; a plan that is None has diagnostics."""
    wanted, replace, diagnostics = targets(flags, world)
    if diagnostics:
        return None, None, None, diagnostics
    root, diagnostics = checked_configuration(world, mode, what)
    if root is None:
        return None, None, None, diagnostics
    store = world.store(flags.text("state"), flags.text("state-out"), flags.text("backup"))
    if flags.flag("lock", True):
        try:
            store.lock(f"OperationType{'Plan' if what == 'Plan' else 'Apply'}")
        except StateLocked as failure:
            return None, root, None, [*diagnostics, locked_problem(failure)]
    gathered = gathered_variables(world, root, flags)
    diagnostics += prompt_for(world, root, gathered, flags)
    if has_errors(diagnostics):
        return None, root, store, diagnostics
    values, more = variables.settle(
        root.module, gathered, need_all=mode is not Mode.DESTROY or bool(root.module.variables)
    )
    diagnostics += more
    if has_errors(diagnostics):
        failed = [d for d in diagnostics if d.severity.value == "error"]
        if all(d.summary in ("Invalid value for input variable", "Required variable not set") for d in failed):
            # Terraform finds these out while planning.
            return Plan(mode, errored=True), root, store, diagnostics
        return None, root, store, diagnostics
    try:
        state = store.load()
    except BadState as failure:
        return None, root, store, [*diagnostics, error("Failed to load state", str(failure))]
    from terrarium.engine.validation import validate

    lines = events or Lines(world.streams.print, world.colour)
    session = functions_session(world, root, values, flags, lines, True, stopped)
    diagnostics += validate(session)
    if has_errors(diagnostics):
        return None, root, store, diagnostics
    options = Options(mode, flags.flag("refresh", True), wanted, replace)
    plan, more = make_plan(session, state, options, world.clock)
    plan.given = variables.raw(root.module, gathered, values)
    lines.close()
    return plan, root, store, unique([*world.early, *diagnostics, *more])


def unique(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Without warnings that validation and planning both found; providers are asked twice, and heard twice."""
    found: list[Diagnostic] = []
    seen: set[object] = set()
    for d in diagnostics:
        key = (d.severity, d.summary, d.detail, d.subject)
        if d.severity.value == "error" or d.extra == FROM_PROVIDER or key not in seen:
            seen.add(key)
            found.append(d)
    return found


def renderer(world: World) -> PlanText:
    return PlanText(world.plugins, world.colour, world.width, world.automation)


def plan(world: World, args: Sequence[str]) -> int:
    flags = parse(args, PLAN)
    begin(world, flags)
    if flags.rest:
        return world.fail(
            error(
                "Too many command line arguments",
                "To specify a working directory for the plan, use the global -chdir flag.",
            )
        )
    mode, problems = mode_of(flags)
    if problems:
        return world.fail(problems)
    if flags.flag("json"):
        from terrarium.cli.tf_json_ui import plan_json

        return plan_json(world, flags, mode)
    with interruptible(world) as stopped:
        found, root, store, diagnostics = make(world, flags, mode, "Plan", stopped)
    try:
        if found is None or root is None or store is None:
            return world.fail(diagnostics)
        text = renderer(world)
        if not found.aborted:
            world.streams.print(text.render(found))
        world.say([d for d in diagnostics if d.severity.value == "warning"])
        path = flags.text("out")
        if path:
            save_plan(world, found, root, store, Path(path))
        if found.errored:
            world.say([d for d in diagnostics if d.severity.value == "error"])
            return 1
        if found.applyable:
            world.streams.print(footer(world, path, text))
    finally:
        if store is not None:
            store.unlock()
    return 2 if flags.flag("detailed-exitcode") and found.applyable else 0


def footer(world: World, path: str, text: PlanText) -> str:
    """What comes after a plan: where it was saved, or that it was not."""
    rule = "\n" + text.rule() + "\n"
    if world.automation:
        return ""
    if not path:
        from terrarium.language.render import wrap

        note = (
            "Note: You didn't use the -out option to save this plan, so Terraform can't guarantee to take exactly these actions "
            'if you run "terraform apply" now.'
        )
        return rule + wrap(note, world.width - 1) + "\n"
    return (
        f"{rule}Saved the plan to: {path}\n\nTo perform exactly these actions, run the following command to apply:\n"
        f'    terraform apply "{path}"\n'
    )


def save_plan(world: World, found: Plan, root: ModuleNode, store: LocalStore, path: Path) -> None:
    from terrarium.engine.plan_file import Saved, save

    files = {name: source.text for node in root.walk() for name, source in node.module.sources.items()}
    state = store.current
    save(
        path,
        Saved(
            found,
            files,
            world.manifest(),
            world.workspace,
            state.lineage,
            state.serial,
            {"path": str(store.path)},
            frozenset(n for n, v in root.module.variables.items() if v.ephemeral),
        ),
    )


# --- apply -------------------------------------------------------------------------------------------------------------


def apply(world: World, args: Sequence[str], destroy: bool = False) -> int:
    flags = parse(args, APPLY)
    flags.flags["command"] = "destroy" if destroy else "apply"
    begin(world, flags)
    if len(flags.rest) > 1:
        return world.fail(error("Too many command line arguments", "Expected at most one positional argument."))
    mode, problems = mode_of(flags, Mode.DESTROY if destroy else None)
    if problems:
        return world.fail(problems)
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
    trivial = not found.applyable
    if not trivial or not flags.flag("auto-approve") or trivial:
        world.streams.print(renderer(world).render(found))
    world.say(diagnostics)
    if not trivial and not flags.flag("auto-approve"):
        if not world.input_allowed or not flags.flag("input", True):
            return world.fail(
                error(
                    "Cannot apply without approval",
                    "The command line is not interactive: use -auto-approve, or apply a saved plan.",
                )
            )
        if not confirmed(world, found):
            world.out("\nDestroy cancelled." if found.mode is Mode.DESTROY else "\nApply cancelled.")
            return 1
    return execute(world, flags, found, root, store, stopped)


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
) -> int:
    """Applies a plan and says how it went."""
    from terrarium.engine.applying import apply_plan

    lines = Lines(world.streams.print, world.colour)
    session = functions_session(world, root, found.variables, flags, lines, False, stopped, found.timestamp)
    destroying = flags.text("command") == "destroy"
    state, counts, diagnostics = apply_plan(session, found, store, world.ids)
    lines.close()
    store.finish(state)
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
        from terrarium.language.render import wrap

        note = (
            "The state of your infrastructure has been saved to the path below. This state is required to modify and destroy your "
            "infrastructure, so keep it safe. To inspect the complete state use the `terraform show` command."
        )
        world.streams.print("\n" + wrap(note, world.width - 1) + f"\n\nState path: {flags.text('state-out')}\n")
    if found.mode is not Mode.DESTROY and state.outputs:
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


def load_saved(
    world: World, flags: Parsed, path: Path
) -> tuple[Plan | None, ModuleNode | None, LocalStore | None, list[Diagnostic]]:
    """A plan file, its configuration, and the store of the state it was made for, locked and unchanged since."""
    from terrarium.engine.module_tree import Snapshot, load_tree
    from terrarium.engine.plan_file import BadPlan, load

    def refuse(summary: str, detail: str) -> tuple[None, None, None, list[Diagnostic]]:
        return None, None, None, [error(summary, detail)]

    unusable = f'Failed to load "{path}" as a plan file'
    if not path.exists():
        return refuse(unusable, f"Error: stat {path}: no such file or directory")
    if path.is_dir():
        return refuse(unusable, f"Error: {path} is a directory")
    try:
        saved = load(path)
    except BadPlan as failure:
        return refuse(unusable, f"Error: {failure}")
    if flags.flag("destroy") or flags.flag("refresh-only") or flags.all("target") or flags.all("replace"):
        return refuse(
            "Can't set planning options for a saved plan",
            "The options of a saved plan can't be changed when it is applied.",
        )
    found = saved.plan
    root, diagnostics = load_tree(Snapshot(saved.files), saved.manifest)
    world.sources.update(root.sources())
    if has_errors(diagnostics):
        return None, None, None, diagnostics
    ephemeral = [n for n, v in root.module.variables.items() if v.ephemeral]
    if ephemeral or any(n in ("var", "var-file") for n, _ in flags.many):
        problem = changed_variables(world, root, flags, found)
        if problem:
            return None, None, None, problem
    if found.errored:
        return refuse(
            "Cannot apply incomplete plan",
            "Terraform encountered an error when generating this plan, so it cannot be applied.",
        )
    store = world.store(flags.text("state"), flags.text("state-out"), flags.text("backup"))
    try:
        if flags.flag("lock", True):
            store.lock("OperationTypeApply")
        state = store.load()
    except StateLocked as failure:
        return None, None, None, [locked_problem(failure)]
    if saved.lineage and state.lineage != saved.lineage:
        store.unlock()
        return refuse(
            "Saved plan does not match the given state",
            "The given plan file can not be applied because it was created from a different state lineage.",
        )
    if state.serial != saved.serial:
        store.unlock()
        return refuse(
            "Saved plan is stale",
            "The given plan file can no longer be applied because the state was changed by another operation after the plan was created.",
        )
    return found, root, store, []


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


def changed_variables(world: World, root: ModuleNode, flags: Parsed, found: Plan) -> list[Diagnostic]:
    """Variables given beside a plan file must have the values which are in it."""
    gathered = gathered_variables(world, root, flags)
    diagnostics: list[Diagnostic] = list(gathered.diagnostics)
    only = {n: g for n, g in gathered.given.items() if g.kind in ("flag", "file")}
    values, more = variables.settle(root.module, variables.Gathered(only, [], {}), need_all=False)
    diagnostics += [d for d in more if d.severity.value == "error"]
    for name, variable in root.module.variables.items():
        if variable.ephemeral and name not in only:
            if variable.required and name not in gathered.given:
                diagnostics.append(
                    error(
                        "No value for required variable",
                        f'The root module input variable "{name}" is not set, and has no default value. Use a -var or -var-file command line argument to provide a value for this variable.',
                        variable.range,
                    )
                )
            elif variable.default is not None:
                found.variables = {**found.variables, name: variable.default}
    for name in only:
        declared = root.module.variables.get(name)
        if declared is None or declared.ephemeral:
            if declared is not None:
                found.variables = {**found.variables, name: values[name]}
            continue
        if values[name] != found.variables.get(name):
            diagnostics.append(
                error(
                    "Can't change variable when applying a saved plan",
                    f"The variable {name} cannot be set using the -var and -var-file options when applying a saved plan file, because a saved plan includes the variable values that were set when it was created. The saved plan specifies {console_text(found.variables[name])} as the value whereas during apply the value {console_text(values[name])} was set by the environment. To declare an ephemeral variable which is not saved in the plan file, use ephemeral = true.",
                )
            )
    return diagnostics


def destroy(world: World, args: Sequence[str]) -> int:
    return apply(world, args, destroy=True)


def refresh(world: World, args: Sequence[str]) -> int:
    """Applies a refresh-only plan without asking."""
    flags = parse(args, COMMON)
    begin(world, flags)
    if flags.rest:
        return world.fail(error("Too many command line arguments", "Expected at most one positional argument."))
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


__all__ = ["Action", "apply", "destroy", "plan", "refresh"]
