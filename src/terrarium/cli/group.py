"""The commands as click sees them: a group which loads each when it is asked for."""

from __future__ import annotations

import importlib

import click

from terrarium import __version__
from terrarium.cli.main import COMMANDS


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


def run() -> int:
    """Runs the command line; its exit code. KeyboardInterrupt when the user ends it."""
    try:
        return int(cli.main(prog_name="terrarium", standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
