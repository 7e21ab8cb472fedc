"""`terrarium`: the table of commands, and the one place where failures become messages and exit codes.

A command's module is imported only when the command is called: `terrarium --help` must not pay for all of them.
"""

from __future__ import annotations

import os
import sys

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
    "provider": ("provider", "Terrarium's providers as plugins for the real terraform."),
    "kubectl": ("clients", "kubectl on a cluster of the world."),
    "kubeconfig": ("clients", "An administrator's kubeconfig of a cluster."),
    "aws": ("clients", "The aws command on this world."),
    "kube": ("kube", "The Kubernetes API server alone, without AWS."),
    "scheduler": ("scheduler", "The scheduler alone: against any cluster, or to ask what it would do."),
    "explain": ("explain", "Say why: a Pending pod, a planned change."),
}


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
        # `terrarium tf` keeps Terraform's own rules for flags (-chdir=…), which click must not read; it starts sooner
        # without click, too.
        if len(sys.argv) > 1 and sys.argv[1] == "tf":
            from terrarium.cli.tf import main as tf_main

            sys.exit(tf_main(sys.argv[2:]))
        from terrarium.cli.group import run

        sys.exit(run())
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except Failure as failure:
        report(failure)
        sys.exit(failure.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Standard output is closed for good, so that the exit is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
