"""`terrarium scheduler`: the scheduler alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.group()
def scheduler() -> None:
    """The scheduler alone: to ask what it would do."""


@scheduler.command(hidden=True)
@click.argument("door", type=click.Choice(["plugins", "hints", "conversations", "config"]))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--fast", is_flag=True, help="Decide on the fast path also in small clusters.")
def replay(door: str, file: Path | None, fast: bool) -> None:
    """Answer recorded cases: a line of JSON in, a line out; `config FILE` checks a configuration."""
    if door == "config":
        from terrarium.kube.scheduler.configuration import Invalid, load

        if file is None:
            raise click.UsageError("config needs a file")
        try:
            click.echo(json.dumps(load(file)))
        except Invalid as refusal:
            click.echo(str(refusal), err=True)
            sys.exit(1)
        return
    from terrarium.kube.scheduler.replay import serve

    serve(door, sys.stdin, sys.stdout, fast)
