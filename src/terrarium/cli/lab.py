"""`terrarium lab`: plays the workshop."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import click

from terrarium.base.diagnostics import Failure, UsageFailure


@click.command(
    epilog="Examples:\n\n  terrarium lab\n\n  terrarium lab netshoot --keep\n\n  terrarium lab --step fargate"
)
@click.argument("names", nargs=-1, metavar="[CHAPTER]...")
@click.option("--list", "listing", is_flag=True, help="List the chapters.")
@click.option("--keep", is_flag=True, help="Leave the world running afterwards, and say how to go on in it.")
@click.option("--step", is_flag=True, help="Wait for Enter before each command, for a class.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole account as JSON, nothing else.")
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Play in this (empty) folder.")
def lab(names: tuple[str, ...], listing: bool, keep: bool, step: bool, as_json: bool, directory: Path | None) -> None:
    """Play the workshop: Terraform to EKS to pods, with real clients where this machine has them.

    Without a CHAPTER all are played, in order. A chapter brings those which it needs. Exit status 0 only when every
    check held.
    """
    from terrarium.workshop.chapters import CHAPTERS

    if listing:
        if as_json:
            print(
                json.dumps([{"name": c.name, "about": c.about, "needs": c.needs} for c in CHAPTERS.values()], indent=2)
            )
        else:
            for chapter in CHAPTERS.values():
                needs = f"  (needs {', '.join(chapter.needs)})" if chapter.needs else ""
                print(f"{chapter.name:<12}{chapter.about}{needs}")
        return
    unknown = [n for n in names if n not in CHAPTERS]
    if unknown:
        raise UsageFailure(f"no chapter {unknown[0]!r}", "terrarium lab --list names them.")
    if step and not sys.stdin.isatty():
        raise UsageFailure("--step waits for Enter, and standard input is no terminal")
    sys.exit(_play(names, keep, step, as_json, directory))


def _play(names: tuple[str, ...], keep: bool, step: bool, as_json: bool, directory: Path | None) -> int:
    from terrarium.base.clock import stopwatch
    from terrarium.workshop.chapters import CHAPTERS
    from terrarium.workshop.player import GOOD, Account, Clients, Lab, Printer, order, play, summary
    from terrarium.workshop.player import as_json as render_json

    if directory is not None:
        directory = directory.absolute()
        if directory.exists() and any(directory.iterdir()):
            raise UsageFailure(f"{directory} is not empty")
        directory.mkdir(parents=True, exist_ok=True)
    root = directory or Path(tempfile.mkdtemp(prefix="terrarium-lab-"))
    printer = Printer(sys.stdout, quiet=as_json)
    clients = Clients.find()
    lab = Lab(root, _labs(), clients, printer, _wait_for_enter if step else None)
    elapsed = stopwatch()
    accounts: list[Account] = []
    failed = True
    try:
        printer.title("world", "a cloud under glass, in a folder of its own")
        lab.start()
        accounts = play(lab, order(CHAPTERS, names))
        failed = any(a.outcome not in GOOD for a in accounts)
    finally:
        # Ctrl-C comes this way too: no process and no folder stay behind, unless they were asked for.
        if keep:
            printer.line(f"\nThe world goes on in {root / 'world'}:")
            printer.line(f'  export TERRARIUM_DIR={root / "world"}; eval "$(terrarium env)"; terrarium down when done')
        else:
            lab.stop()
            if directory is None and not (failed and accounts):
                shutil.rmtree(root, ignore_errors=True)
    if as_json:
        print(render_json(accounts, clients, elapsed()))
    else:
        summary(accounts, clients, elapsed(), printer)
        if failed and not keep:
            printer.line(f"\n  What it left is in {root}; the world's log is {root / 'world/daemon.log'}.")
    return 1 if failed else 0


def _wait_for_enter() -> None:
    input("  ⏎ ")


def _labs() -> Path:
    """The labs' files: beside the source in a checkout, inside the package when installed."""
    here = Path(__file__).resolve()
    for candidate in (here.parents[3] / "labs", here.parents[1] / "labs"):
        if (candidate / "ec2/main.tf").exists():
            return candidate
    raise Failure("the labs' files are not where they should be", "Install Terrarium again.")
