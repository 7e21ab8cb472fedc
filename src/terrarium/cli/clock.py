"""`terrarium clock`: the world's time, and jumps of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from terrarium.base.clock import parse_duration
from terrarium.base.diagnostics import UsageFailure
from terrarium.cli.control import ask, directory_option, world_directory


@click.group(invoke_without_command=True)
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def clock(ctx: click.Context, directory: Path | None, as_json: bool) -> None:
    """Show or advance the world's clock.

    Examples: terrarium clock; terrarium clock advance 60s; terrarium clock advance 21d
    """
    ctx.obj = (world_directory(directory), as_json)
    if ctx.invoked_subcommand is None:
        answer = ask(ctx.obj[0], {"do": "status"})
        shown = {"clock": answer["clock"], "ahead": answer["ahead"], "pace": answer["pace"]}
        if as_json:
            print(json.dumps(shown, indent=2))
        else:
            print(f"{shown['clock']}  ({shown['ahead']:.0f} s ahead of real time, pace {shown['pace']})")


@clock.command()
@click.argument("duration")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def advance(obj: tuple[Path, bool], duration: str, as_json: bool) -> None:
    """Jump ahead by DURATION (90s, 1h30m, 21d); every timer that falls due on the way fires, in order."""
    try:
        by = parse_duration(duration)
    except ValueError as wrong:
        raise UsageFailure(str(wrong)) from None
    answer = ask(obj[0], {"do": "advance", "seconds": by.total_seconds()}, timeout=600.0)
    if as_json or obj[1]:
        print(json.dumps(answer, indent=2))
    else:
        print(f"It is now {answer['clock']}.")
