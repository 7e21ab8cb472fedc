"""`terrarium`: the table of commands, and the one place where failures become messages and exit codes.

A command's module is imported only when the command is called: `terrarium --help` must not pay for all of them.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from terrarium import __version__
from terrarium.base.diagnostics import DiagnosedFailure, Failure

# name: (module under terrarium.cli, what `terrarium --help` says). The order is that of the help.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("world", "Start a world: an AWS endpoint, clusters, the console."),
    "down": ("world", "Stop the world; everything in it is kept."),
    "status": ("world", "Say what runs, where, and since when."),
    "env": ("world", "Print the exports with which aws, kubectl, terraform and SDKs find the world."),
    "shell": ("world", "Open a shell in which aws, kubectl and terraform mean this world."),
    "logs": ("world", "Show what the world's process wrote."),
    "reset": ("world", "Throw the world away."),
    "doctor": ("doctor", "Say what this machine can do, and what is missing for the rest."),
    "lab": ("lab", "Play the workshop, or one chapter of it."),
    "clock": ("clock", "Show or advance the world's clock."),
    "tf": ("tf", "The Terraform engine: the same commands as terraform."),
    "kubectl": ("clients", "kubectl on a cluster of the world."),
    "kubeconfig": ("clients", "An administrator's kubeconfig of a cluster."),
    "aws": ("clients", "The aws command on this world."),
    "kube": ("kube", "The Kubernetes API server alone, without AWS."),
    "scheduler": ("scheduler", "The scheduler alone: against any cluster, or to ask what it would do."),
    "explain": ("explain", "Say why: a Pending pod, a planned change."),
}


class Commands(click.Group):
    """A group whose commands are loaded when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"terrarium.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from terrarium.base.suggest import nearest

            near = nearest(args[0], COMMANDS)
            raise click.UsageError(f"no command {args[0]!r}." + (f" Did you mean {near!r}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog='Start with `terrarium up -d`, then `eval "$(terrarium env)"`; or see it all at work with `terrarium lab`.',
)
@click.version_option(__version__, prog_name="terrarium")
def cli() -> None:
    """Terrarium: a whole AWS EKS under glass, from Terraform to running pods, on one Linux machine."""


def report(failure: Failure) -> None:
    """Prints a failure of the environment to standard error."""
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    red, dim, plain = ("\033[31m", "\033[2m", "\033[0m") if colour else ("", "", "")
    if isinstance(failure, DiagnosedFailure):
        for d in failure.diagnostics:
            place = f"{d.subject}: " if d.subject else ""
            print(
                f"{red}{d.severity.value}:{plain} {place}{d.summary}" + (f"\n  {d.detail}" if d.detail else ""),
                file=sys.stderr,
            )
        return
    print(f"{red}error:{plain} {failure}", file=sys.stderr)
    if failure.hint:
        print(f"{dim}{failure.hint}{plain}", file=sys.stderr)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        if "COMP_LINE" in os.environ and sys.argv[1:2] == ["terraform"]:
            # A shell asks how a line that begins with "terraform" may go on (`tf -install-autocomplete`).
            from terrarium.cli.tf_autocomplete import completions

            print("\n".join(completions(os.environ["COMP_LINE"], os.environ)))
            return
        # `terrarium tf` keeps Terraform's own rules for flags (-chdir=…), which click must not read.
        if len(sys.argv) > 1 and sys.argv[1] == "tf":
            from terrarium.cli.tf import main as tf_main

            sys.exit(tf_main(sys.argv[2:]))
        sys.exit(cli.main(prog_name="terrarium", standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except Failure as failure:
        report(failure)
        sys.exit(failure.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Standard output is closed for good, so that the exit is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
