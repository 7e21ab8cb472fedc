"""`terrarium scheduler`: the scheduler alone."""

from __future__ import annotations

import sys

import click


@click.group()
def scheduler() -> None:
    """The scheduler alone: to ask what it would do."""


@scheduler.command(hidden=True)
@click.argument("door", type=click.Choice(["plugins", "hints", "conversations"]))
def replay(door: str) -> None:
    """Answer recorded cases: a line of JSON in, a line out."""
    from terrarium.kube.scheduler.replay import serve

    serve(door, sys.stdin, sys.stdout)
