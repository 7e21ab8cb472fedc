"""`terrarium up, down, status, env, shell, logs, reset`: a world's life."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from terrarium.base.clock import Pace, real_sleep, stopwatch
from terrarium.base.diagnostics import Failure, UsageFailure
from terrarium.cli.control import NoWorld, ask, directory_option, world_directory

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(
    epilog='Examples:\n\n  terrarium up -d && eval "$(terrarium env)"\n\n  terrarium up --pace aws --aws-port 4566'
)
@directory_option
@click.option("-d", "--detach", is_flag=True, help="Run in the background; come back when it answers.")
@click.option("--ephemeral", is_flag=True, help="Throw the world away when it stops.")
@click.option(
    "--runtime", type=click.Choice(["auto", "simulated"]), default="auto", help="How pods run (auto: simulated)."
)
@click.option(
    "--pace",
    type=click.Choice([p.value for p in Pace]),
    default=None,
    help="How long AWS's transitions take: none, or as in life.",
)
@click.option(
    "--aws-port", type=click.IntRange(0, 65535), default=None, help="Port of the AWS endpoint (default 4566; 0: any)."
)
@click.option(
    "--console-port", type=click.IntRange(0, 65535), default=None, help="Port of the console (default 8600; 0: any)."
)
@click.option("--ready-fd", type=int, default=None, hidden=True)
@json_option
def up(
    directory: Path | None,
    detach: bool,
    ephemeral: bool,
    runtime: str,
    pace: str | None,
    aws_port: int | None,
    console_port: int | None,
    ready_fd: int | None,
    as_json: bool,
) -> None:
    """Start a world: an AWS endpoint, clusters, the console.

    What was in the folder is there again: the same endpoints, certificates, keys and objects.
    """
    folder = world_directory(directory)
    if detach:
        arguments = [*_flag("--pace", pace), *_flag("--aws-port", aws_port), *_flag("--console-port", console_port)]
        arguments += ["--runtime", runtime, *(["--ephemeral"] if ephemeral else [])]
        _print_status(_detach(folder, arguments), as_json)
        return
    from terrarium.stack import WorldOptions, serve

    def ready(status: dict[str, Any]) -> None:
        if ready_fd is not None:
            with os.fdopen(ready_fd, "w") as pipe:
                pipe.write(json.dumps(status) + "\n")
        else:
            _print_status(status, as_json)
            if not as_json:
                print("Press Ctrl-C to stop.", flush=True)

    options = WorldOptions(
        folder,
        pace=Pace(pace) if pace else None,
        aws_port=aws_port,
        console_port=console_port,
        ephemeral=ephemeral,
    )
    try:
        serve(options, ready)
    except Failure as failure:
        if ready_fd is None:
            raise
        with contextlib.suppress(OSError), os.fdopen(ready_fd, "w") as pipe:
            pipe.write(json.dumps({"error": str(failure), "hint": failure.hint}) + "\n")
        sys.exit(failure.exit_code)


def _flag(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


def _detach(folder: Path, arguments: list[str]) -> dict[str, Any]:
    """Starts the world's process and waits for its word that it answers."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = (folder / "daemon.log").open("ab")
    except OSError as failure:
        raise Failure(f"can't write into {folder}: {failure.strerror}", "Choose another folder with --dir.") from None
    reader, writer = os.pipe()
    with log:
        process = subprocess.Popen(
            [sys.executable, "-m", "terrarium", "up", "--dir", str(folder), "--ready-fd", str(writer), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writer],
            start_new_session=True,
        )
    os.close(writer)
    with os.fdopen(reader) as pipe:
        line = pipe.readline()
    if not line:
        process.wait()
        raise Failure(f"the world did not start (exit status {process.returncode})", f"See {folder / 'daemon.log'}")
    status: dict[str, Any] = json.loads(line)
    if "error" in status:
        raise Failure(status["error"], status.get("hint", ""))
    return status


def _print_status(status: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(status, indent=2), flush=True)
        return
    print(f"A world is up in {status['directory']} (process {status['pid']}, pace {status['pace']}).")
    print(f"  AWS endpoint  {status['aws']}")
    print(f"  Console       {status['console']}")
    print(f"  Clock         {status['clock']}")
    for cluster in status["clusters"]:
        print(
            f"  Cluster       {cluster['name']}  {cluster['version']}  {cluster['status']}  {cluster['endpoint'] or '-'}"
        )
    print('Use it with: eval "$(terrarium env)"', flush=True)


@click.command()
@directory_option
def down(directory: Path | None) -> None:
    """Stop the world; everything in it is kept."""
    folder = world_directory(directory)
    try:
        pid = ask(folder, {"do": "status"})["pid"]
        ask(folder, {"do": "stop"})
    except NoWorld:
        print(f"No world is running in {folder}.")
        return
    elapsed = stopwatch()
    while elapsed() < 30:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            print(f"The world in {folder} has stopped.")
            return
        real_sleep(0.02)
    raise Failure(f"process {pid} does not end", f"See {folder / 'daemon.log'}, or end it with: kill {pid}")


@click.command()
@directory_option
@json_option
def status(directory: Path | None, as_json: bool) -> None:
    """Say what runs, where, and since when."""
    _print_status(ask(world_directory(directory), {"do": "status"}), as_json)


@click.command()
@directory_option
@json_option
@click.option("--unset", is_flag=True, help="Print the commands that take it all back.")
def env(directory: Path | None, as_json: bool, unset: bool) -> None:
    """Print the exports with which aws, kubectl, terraform and SDKs find the world.

    Use it with: eval "$(terrarium env)"
    """
    variables = environment(world_directory(directory))
    if as_json:
        print(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        print(f"unset {name}" if unset else f"export {name}={shlex.quote(value)}")


def environment(folder: Path) -> dict[str, str]:
    """The variables that point clients at the world in `folder`."""
    answer = ask(folder, {"do": "environment"})
    variables: dict[str, str] = answer["variables"]
    return variables


@click.command()
@directory_option
def shell(directory: Path | None) -> None:
    """Open a shell in which aws, kubectl and terraform mean this world.

    A client that is missing is stood in for: terraform by `terrarium tf`, kubectl and aws by Terrarium's own doors.
    """
    folder = world_directory(directory)
    variables = environment(folder)
    shims = folder / "bin"
    shims.mkdir(mode=0o700, exist_ok=True)
    for name, words in (("terraform", "terrarium tf"), ("kubectl", "terrarium.cli.kubectl"), ("aws", "terrarium aws")):
        shim = shims / name
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {words} "$@"\n')
        shim.chmod(0o755)
    own = Path(sys.executable).parent
    # At the end of PATH: whatever is really there comes first.
    variables["PATH"] = f"{os.environ.get('PATH', '')}:{own}:{shims}"
    variables["TERRARIUM_SHELL"] = str(folder)
    program = os.environ.get("SHELL") or "/bin/sh"
    print(f"A shell for the world in {folder}; leave it with exit.", file=sys.stderr)
    clusters = [cluster["name"] for cluster in ask(folder, {"do": "status"}).get("clusters", ())]
    if clusters:
        print(
            f"Clusters: {', '.join(clusters)}. Point kubectl at one with: aws eks update-kubeconfig --name {clusters[0]}",
            file=sys.stderr,
        )
    sys.exit(subprocess.call([program], env={**os.environ, **variables}))


@click.command()
@directory_option
@click.option("-f", "--follow", is_flag=True, help="Go on as more is written.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="How many of the last lines."
)
def logs(directory: Path | None, follow: bool, lines: int) -> None:
    """Show what the world's process wrote."""
    path = world_directory(directory) / "daemon.log"
    if not path.exists():
        raise Failure(f"there is no {path}", "It is written by: terrarium up -d")
    with path.open(errors="replace") as file:
        text = file.readlines()
        sys.stdout.writelines(text[len(text) - lines :] if lines < len(text) else text)
        while follow:
            sys.stdout.flush()
            line = file.readline()
            if line:
                sys.stdout.write(line)
            else:
                real_sleep(0.2)


@click.command()
@directory_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def reset(directory: Path | None, yes: bool) -> None:
    """Throw the world away: its clusters, its AWS resources, its keys."""
    folder = world_directory(directory)
    if not folder.exists():
        print(f"There is no world in {folder}.")
        return
    if any(folder.iterdir()) and not (folder / "world.json").exists():
        raise UsageFailure(f"{folder} does not look like a world; nothing was removed")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageFailure("not asked on a terminal", "Add --yes to throw the world away.")
        click.confirm(f"Throw away everything in {folder}?", abort=True)
    with contextlib.suppress(NoWorld):
        pid = ask(folder, {"do": "status"})["pid"]
        ask(folder, {"do": "stop"})
        elapsed = stopwatch()
        with contextlib.suppress(ProcessLookupError):
            while elapsed() < 10:
                os.kill(pid, 0)
                real_sleep(0.02)
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)
    print(f"The world in {folder} is gone.")
