"""Plan files: written by `plan -out`, and taken up again by `apply`."""

from __future__ import annotations

from pathlib import Path

from terrarium.base.diagnostics import DiagnosedFailure, Diagnostic, error, has_errors
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_prepare import gathered_variables, locked_problem
from terrarium.cli.tf_world import World
from terrarium.engine import variables
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.generating import parsed
from terrarium.engine.module_tree import Snapshot, load_tree
from terrarium.engine.plan import Plan
from terrarium.engine.plan_file import BadPlan, Saved, load, save
from terrarium.engine.state_store import LocalStore, StateLocked
from terrarium.language.printing import console_text


def save_plan(world: World, found: Plan, root: ModuleNode, store: LocalStore, path: Path) -> None:
    """Writes a plan file. DiagnosedFailure when that can't be done."""
    files = {name: source.text for node in root.walk() for name, source in node.module.sources.items()}
    state = store.current
    saved = Saved(
        found,
        files,
        world.manifest(),
        world.workspace,
        state.lineage,
        state.serial,
        {"path": str(store.path)},
        frozenset(n for n, v in root.module.variables.items() if v.ephemeral),
    )
    try:
        save(path, saved)
    except OSError as problem:
        reason = (problem.strerror or str(problem)).lower()
        raise DiagnosedFailure(
            [error("Failed to write plan file", f"The plan file could not be written: open {path}: {reason}.")]
        ) from None


def load_saved(
    world: World, flags: Parsed, path: Path
) -> tuple[Plan | None, ModuleNode | None, LocalStore | None, list[Diagnostic]]:
    """A plan file, its configuration, and the store of the state it was made for, locked and unchanged since."""

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
    for change in found.changes:
        if change.generated:
            address = change.address
            root.module.resources[(address.mode, address.type, address.name)] = parsed(address, change.generated)
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


def changed_variables(world: World, root: ModuleNode, flags: Parsed, found: Plan) -> list[Diagnostic]:
    """Variables given beside a plan file must have the values which are in it."""
    gathered = gathered_variables(world, root, flags)
    diagnostics: list[Diagnostic] = list(gathered.diagnostics)
    only = {
        n: g
        for n, g in gathered.given.items()
        if g.kind in ("flag", "file") or (n in root.module.variables and root.module.variables[n].ephemeral)
    }
    values, more = variables.settle(root.module, variables.Gathered(only, [], {}), need_all=False)
    diagnostics += [d for d in more if d.severity.value == "error"]
    for name, variable in root.module.variables.items():
        if variable.ephemeral and name not in only:
            if name in found.apply_time and name not in gathered.given:
                diagnostics.append(
                    error(
                        "No value for required variable",
                        f'The ephemeral input variable "{name}" was set during the plan phase, and so must also be set during the '
                        "apply phase.",
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
