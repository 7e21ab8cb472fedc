"""`terrarium tf`: Terraform's command line. A table of commands, the global options, and where failures become messages.

Each command is `(world, arguments) -> exit code` in a module of its own, imported when it is called.
"""

from __future__ import annotations

import gc
import importlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from terrarium.base.diagnostics import Diagnostic
    from terrarium.cli.tf_options import BadOptions
    from terrarium.cli.tf_world import World

VERSION = "1.11.4"

# name: (module under terrarium.cli, function, main command, what the help says)
COMMANDS: dict[str, tuple[str, str, bool, str]] = {
    "init": ("tf_init", "init", True, "Prepare your working directory for other commands"),
    "validate": ("tf_validate", "validate", True, "Check whether the configuration is valid"),
    "plan": ("tf_run", "plan", True, "Show changes required by the current configuration"),
    "apply": ("tf_run", "apply", True, "Create or update infrastructure"),
    "destroy": ("tf_run", "destroy", True, "Destroy previously-created infrastructure"),
    "console": ("tf_tools", "console", False, "Try Terraform expressions at an interactive command prompt"),
    "fmt": ("tf_tools", "fmt", False, "Reformat your configuration in the standard style"),
    "force-unlock": ("tf_tools", "force_unlock", False, "Release a stuck lock on the current workspace"),
    "get": ("tf_init", "get", False, "Install or upgrade remote Terraform modules"),
    "graph": ("tf_graph", "graph", False, "Generate a Graphviz graph of the steps in an operation"),
    "import": ("tf_import", "import_", False, "Associate existing infrastructure with a Terraform resource"),
    "login": ("tf_login", "login", False, "Obtain and save credentials for a remote host"),
    "logout": ("tf_login", "logout", False, "Remove locally-stored credentials for a remote host"),
    "metadata": ("tf_tools", "metadata", False, "Metadata related commands"),
    "modules": ("tf_tools", "modules", False, "Show all declared modules in a working directory"),
    "output": ("tf_output", "output", False, "Show output values from your root module"),
    "providers": ("tf_providers", "providers", False, "Show the providers required for this configuration"),
    "refresh": ("tf_run", "refresh", False, "Update the state to match remote systems"),
    "show": ("tf_show", "show", False, "Show the current state or a saved plan"),
    "state": ("tf_state", "state", False, "Advanced state management"),
    "taint": ("tf_state", "taint", False, "Mark a resource instance as not fully functional"),
    "test": ("tf_test", "test", False, "Execute integration tests for Terraform modules"),
    "untaint": ("tf_state", "untaint", False, "Remove the 'tainted' state from a resource instance"),
    "version": ("tf_tools", "version", False, "Show the current Terraform version"),
    "workspace": ("tf_workspace", "workspace", False, "Workspace management"),
}
# The commands which set their messages apart as Terraform's newer ones do.
VIEWS = frozenset({"apply", "destroy", "init", "modules", "output", "plan", "refresh", "show", "test", "validate"})
HIDDEN: dict[str, tuple[str, str]] = {"env": ("tf_workspace", "workspace"), "push": ("tf_tools", "push")}


def usage() -> str:
    """The text of `-help`."""
    rows = [
        "Usage: terraform [global options] <subcommand> [args]",
        "",
        "The available commands for execution are listed below.",
        "The primary workflow commands are given first, followed by",
        "less common or more advanced commands.",
        "",
        "Main commands:",
    ]
    rows += [f"  {name:<13} {text}" for name, (_, _, main, text) in COMMANDS.items() if main]
    rows += ["", "All other commands:"]
    rows += [f"  {name:<13} {text}" for name, (_, _, main, text) in COMMANDS.items() if not main]
    rows += [
        "",
        "Global options (use these before the subcommand, if any):",
        "  -chdir=DIR    Switch to a different working directory before executing the",
        "                given subcommand.",
        "  -help         Show this help output, or the help for a specified subcommand.",
        '  -version      An alias for the "version" subcommand.',
    ]
    return "\n".join(rows)


def _with_environment(name: str, args: list[str], environment: Mapping[str, str]) -> list[str]:
    """Arguments with those of TF_CLI_ARGS and TF_CLI_ARGS_name put before them."""
    for variable in (f"TF_CLI_ARGS_{name.replace('-', '_')}", "TF_CLI_ARGS"):
        text = environment.get(variable)
        if text:
            try:
                args = [*shlex.split(text), *args]
            except ValueError:
                raise BadArguments(
                    f"Error parsing extra CLI args from {variable}: invalid command line string"
                ) from None
    return args


class BadArguments(Exception):
    """Arguments from the environment that can't be split into words."""


def main(args: list[str]) -> int:
    """Runs one command; returns its exit code. Never raises for what a user or a machine did."""
    from terrarium.base.diagnostics import DiagnosedFailure, Failure

    # A command makes many objects, few of them cycles, and ends: looking for garbage often would be a tenth of its time.
    gc.set_threshold(50_000, 20, 100)
    if args[:1] in (["-version"], ["--version"], ["-v"]):
        print(f"Terraform v{VERSION}\non {_platform()}")
        return 0
    chdir: str | None = None
    while args and args[0].startswith("-"):
        word = args[0]
        if word.startswith("-chdir"):
            if "=" not in word:
                print(
                    "Invalid -chdir option: must include an equals sign followed by a directory path, like -chdir=example",
                    file=sys.stderr,
                )
                return 1
            chdir = word.partition("=")[2]
            args = args[1:]
            continue
        if word in ("-help", "--help", "-h"):
            print(usage())
            return 0
        if word in ("-install-autocomplete", "-uninstall-autocomplete"):
            from terrarium.cli.tf_autocomplete import autocomplete

            return autocomplete(word == "-install-autocomplete")
        break
    original = Path.cwd()
    if chdir is not None:
        try:
            os.chdir(chdir)
        except OSError as problem:
            print(
                f"Error handling -chdir option: chdir {chdir}: {os.strerror(problem.errno or 0).lower()}",
                file=sys.stderr,
            )
            return 1
    if not args:
        print(usage())
        return 127
    name, rest = args[0], list(args[1:])
    known = HIDDEN.get(name) or COMMANDS.get(name, ("", ""))[:2]
    if not known[0]:
        from terrarium.base.suggest import nearest

        near = nearest(name, COMMANDS)
        hint = f' Did you mean "{near}"?' if near else ""
        print(
            f'Terraform has no command named "{name}".{hint}\n\nTo see all of Terraform\'s top-level commands, run:\n  terraform -help\n',
            file=sys.stderr,
        )
        return 1
    from terrarium.cli.tf_flags import FlagError, HelpWanted, WrongUse
    from terrarium.cli.tf_world import World, failure_diagnostic

    try:
        rest = _with_environment(name, rest, os.environ)
    except BadArguments as problem:
        print(problem, file=sys.stderr)
        return 1
    world = World(os.environ)
    world.original_folder = original
    world.ui = name not in VIEWS
    if "-no-color" in rest:
        world.colour = False
    try:
        module = importlib.import_module(f"terrarium.cli.{known[0]}")
        with _ended_by_sigterm():
            code: int = getattr(module, known[1])(world, rest)
        return code
    except HelpWanted:
        from terrarium.cli.tf_help import command_path, help_text

        print(help_text(command_path(name, rest)))
        return 0
    except WrongUse as problem:
        from terrarium.cli.tf_help import command_path, help_text

        print(problem, file=sys.stderr)
        print(help_text(command_path(name, rest)), file=sys.stderr if problem.quiet else sys.stdout)
        return 1
    except _bad_options() as problem:
        return bad_options(world, name, problem.diagnostics, problem.as_json)
    except FlagError as problem:
        return flag_problem(world, name, rest, str(problem))
    except DiagnosedFailure as failure:
        return world.fail(failure.diagnostics)
    except Failure as failure:
        return world.fail(failure_diagnostic(failure), failure.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as problem:
        from terrarium.base.diagnostics import error

        return world.fail(
            error("Operation failed", f"{problem.filename or ''}: {problem.strerror or problem}".lstrip(": "))
        )
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 1
    finally:
        if "plugins" in world.__dict__:
            world.plugins.close()


def _bad_options() -> type[BadOptions]:
    """The exception of wrong options. Its module is heavy, and this is asked for only when something was raised."""
    from terrarium.cli.tf_options import BadOptions

    return BadOptions


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does. Operations catch both for themselves, to stop gently."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# Commands whose mistakes in flags are diagnostics; those of the others come with the help, as they always did.
_DIAGNOSED = ("plan", "apply", "destroy", "refresh", "validate", "output", "show", "init", "test", "modules")


def flag_problem(world: World, name: str, args: list[str], text: str) -> int:
    """Says what is wrong with the flags of a command."""
    from terrarium.base.diagnostics import error
    from terrarium.cli.tf_help import command_path, help_text

    if name not in _DIAGNOSED:
        path = command_path(name, args)
        if not path.startswith("state "):
            print(help_text(path), file=sys.stderr)
        print(f"Error parsing command-line flags: {text}\n", file=sys.stderr)
        return 1
    return bad_options(
        world,
        name,
        [error("Failed to parse command-line flags", text)],
        "-json" in args and name == "init",
    )


def bad_options(world: World, name: str, diagnostics: Sequence[Diagnostic], as_json: bool) -> int:
    """Says what is wrong with options, and where help is."""
    if as_json:
        from terrarium.cli.tf_json_ui import diagnostics_json, header

        header(world)
        diagnostics_json(world, diagnostics)
        return 1
    code = world.fail(diagnostics)
    print(f"\nFor more help on using this command, run:\n  terraform {name} -help", file=sys.stderr)
    return code


def _platform() -> str:
    machine = os.uname().machine
    return "linux_" + {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
