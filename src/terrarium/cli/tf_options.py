"""The options of plan, apply, destroy and refresh: which there are, and what is wrong with those given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.cli.tf_flags import FlagError, Parsed, parse
from terrarium.engine.addresses import AddressError, Instance, Target, parse_instance, parse_target
from terrarium.engine.plan import Mode


class BadOptions(Exception):
    """Options that don't make sense: what is wrong with each. `as_json`: to be told as events."""

    def __init__(self, diagnostics: Sequence[Diagnostic], as_json: bool = False) -> None:
        super().__init__()
        self.diagnostics = diagnostics
        self.as_json = as_json


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
    "watch": "bool",
}
APPLY = {**COMMON, "destroy": "bool", "refresh-only": "bool", "replace": "many", "auto-approve": "bool"}


def options(
    args: Sequence[str], kinds: Mapping[str, str], most: int, extra: str, destroying: bool = False
) -> tuple[Parsed, Mode]:
    """The flags of an operation and its mode. `most` arguments may follow the flags; `extra` tells what is wrong with
    more. BadOptions, with all that is wrong."""
    diagnostics: list[Diagnostic] = []
    try:
        flags = parse(args, kinds)
    except FlagError as problem:
        flags = problem.parsed
        flags.rest = [a for a in flags.rest if a not in ("-no-color", "-compact-warnings")]
        diagnostics.append(error("Failed to parse command-line flags", str(problem)))
    if len(flags.rest) > most:
        diagnostics.append(error("Too many command line arguments", extra))
    diagnostics += targets(flags)[2]
    mode, problems = mode_of(flags, destroying)
    diagnostics += problems
    as_json = "json" in kinds and flags.flag("json")
    if as_json and "auto-approve" in kinds and not flags.rest and not flags.flag("auto-approve"):
        diagnostics.append(
            error(
                "Plan file or auto-approve required",
                "Terraform cannot ask for interactive approval when -json is set. You can either apply a saved plan file, "
                "or enable the -auto-approve option.",
            )
        )
    if diagnostics:
        raise BadOptions(diagnostics, as_json)
    return flags, mode


def targets(flags: Parsed) -> tuple[tuple[Target, ...], tuple[Instance, ...], list[Diagnostic]]:
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


def mode_of(flags: Parsed, destroying: bool = False) -> tuple[Mode, list[Diagnostic]]:
    """What kind of plan is wanted. `destroying`: the command is `destroy`."""
    if destroying:
        wrong = [n for n in ("destroy", "refresh-only") if flags.flag(n)]
        if not wrong:
            return Mode.DESTROY, []
        return Mode.DESTROY, [
            error(
                "Invalid mode option",
                'The -destroy and -refresh-only options are not valid for "terraform destroy", because this command always '
                "runs in destroy mode.",
            )
        ]
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
