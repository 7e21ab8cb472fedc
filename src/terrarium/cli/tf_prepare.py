"""From flags to a plan: the configuration checked, the state locked and read, variables gathered (and asked for), and
the plan made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, has_errors, warning
from terrarium.cli.tf_backend import needs_init
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_options import targets
from terrarium.cli.tf_view import Lines
from terrarium.cli.tf_world import World
from terrarium.engine import variables
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.dependencies import unavailable
from terrarium.engine.events import Progress
from terrarium.engine.plan import Mode, Plan
from terrarium.engine.planning import Options, make_plan
from terrarium.engine.state_file import BadState
from terrarium.engine.state_store import LocalStore, StateLocked
from terrarium.engine.validate_providers import undefined_configurations
from terrarium.engine.validation import validate
from terrarium.engine.walking import FROM_PROVIDER, Session
from terrarium.language.render import paint


def begin(world: World, flags: Parsed) -> None:
    if flags.flag("no-color"):
        world.colour = False
    world.compact_warnings = flags.flag("compact-warnings")
    if flags.text("state"):
        old = warning(
            "Deprecated flag: -state",
            "Use `path` attribute within the `local` backend instead: "
            "https://developer.hashicorp.com/terraform/language/v1.10.x/settings/backends/local#path",
        )
        if flags.flag("json"):
            world.early.append(old)
        else:
            world.say([old])


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
    problem = needs_init(world, root)
    if problem is not None:
        return None, [*diagnostics, problem]
    missing = unavailable(root, world.plugins, world.data_folder)
    if missing is not None:
        return None, [*diagnostics, missing]
    return root, diagnostics


_LOCKS = (
    "Terraform acquires a state lock to protect the state from being written\nby multiple users at the same time. Please "
    'resolve the issue above and try\nagain. For most commands, you can disable locking with the "-lock=false"\nflag, but '
    "this is not recommended."
)


def unreadable(failure: BadState, locking: bool) -> Diagnostic:
    """A state that can't be read is found out by the lock, where there is one."""
    if locking:
        return error("Error acquiring the state lock", f"Error message: {failure}\n\n{_LOCKS}")
    return error("Failed to load state", str(failure))


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
        flags.number("parallelism", 10) or 10,
        lines,
        world.functions(predictable, timestamp=timestamp),
        stopped,
    )


def generating_problem(path: Path) -> Diagnostic | None:
    """Configuration is only ever written to a new file."""
    if not path.exists():
        return None
    return error(
        "Target generated file already exists",
        "Terraform can only write generated config into a new file. Either choose a different target location or move all "
        "existing configuration out of the target file, delete it and try again.",
    )


def generation_warning() -> Diagnostic:
    return warning(
        "Config generation is experimental",
        "Generating configuration during import is currently experimental, and the generated configuration format may "
        "change in future versions.",
    )


def make(
    world: World, flags: Parsed, mode: Mode, what: str, stopped: Callable[[], bool], events: Progress | None = None
) -> tuple[Plan | None, ModuleNode | None, LocalStore | None, list[Diagnostic]]:
    """A plan of the current configuration. The store comes back locked; a plan that is None has diagnostics."""
    wanted, replace, diagnostics = targets(flags)
    if diagnostics:
        return None, None, None, diagnostics
    if flags.number("parallelism", 10) < 0:
        return (
            None,
            None,
            None,
            [
                error(
                    "Invalid parallelism value",
                    f"The parallelism must be a positive value. Not {flags.number('parallelism', 10)}.",
                )
            ],
        )
    if replace and mode is not Mode.NORMAL:
        return (
            None,
            None,
            None,
            [
                error(
                    "Unsupported plan mode",
                    "Forcing resource instance replacement (with -replace=...) is allowed only in normal planning mode.",
                )
            ],
        )
    if flags.text("generate-config-out"):
        problem = generating_problem(Path(flags.text("generate-config-out")))
        if problem is not None:
            return None, None, None, [problem]
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
    # Terraform finds out while planning which values don't fit, and plans what does not need them.
    wrong = misfits(root, gathered, diagnostics)
    diagnostics = [d for d in diagnostics if not any(d in said for said in wrong.values())]
    if has_errors(diagnostics):
        return None, root, store, diagnostics
    try:
        state = store.load()
    except BadState as failure:
        return None, root, store, [*diagnostics, unreadable(failure, flags.flag("lock", True))]
    lines = events or Lines(world.streams.print, world.colour)
    session = functions_session(world, root, values, flags, lines, True, stopped)
    diagnostics += validate(session)
    diagnostics += undefined_configurations(root) if not has_errors(diagnostics) else []
    if has_errors(diagnostics):
        return None, root, store, diagnostics
    session.misfits = wrong
    generate = flags.text("generate-config-out")
    options = Options(mode, flags.flag("refresh", True), wanted, replace, bool(generate))
    plan, more = make_plan(session, state, options, world.clock)
    plan.given = variables.raw(root.module, gathered, values)
    declared = root.module.variables
    plan.apply_time = frozenset(n for n in gathered.given if n in declared and declared[n].ephemeral)
    lines.close()
    if generate and plan.changes and plan.changes[-1].generated:
        more = [*more, generation_warning()]
    return plan, root, store, unique([*world.early, *diagnostics, *more])


def misfits(
    root: ModuleNode, gathered: variables.Gathered, diagnostics: Sequence[Diagnostic]
) -> dict[str, list[Diagnostic]]:
    """What was said about values which don't fit their variables, by variable."""
    found: dict[str, list[Diagnostic]] = {}
    for d in diagnostics:
        if d.summary not in ("Invalid value for input variable", "Required variable not set"):
            continue
        for name, given in gathered.given.items():
            variable = root.module.variables.get(name)
            if variable is not None and d in variables.value_of(variable, given)[1]:
                found.setdefault(name, []).append(d)
                break
    return found


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
