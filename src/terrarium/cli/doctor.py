"""`terrarium doctor`: what this machine can do, and what is missing for the rest."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass

import click


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that was looked for. `state` is ok, missing (something is done without it) or bad (Terrarium can't run)."""

    what: str
    state: str
    found: str
    hint: str = ""


def _client(name: str, arguments: tuple[str, ...], hint: str) -> Report:
    path = shutil.which(name)
    if path is None:
        return Report(name, "missing", "not on PATH", hint)
    try:
        answer = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as failure:
        return Report(name, "missing", f"{path} does not run: {failure}", hint)
    lines = (answer.stdout or answer.stderr).strip().splitlines()
    return Report(name, "ok", f"{lines[0] if lines else 'no version'} ({path})")


def _package(what: str, module: str, hint: str) -> Report:
    found = importlib.util.find_spec(module) is not None
    return Report(what, "ok" if found else "missing", "installed" if found else "not installed", "" if found else hint)


def examine() -> list[Report]:
    """Looks at everything; takes about a second, most of it the aws command's start."""
    reports = [
        Report(
            "Python", "ok" if sys.version_info >= (3, 11) else "bad", sys.version.split()[0], "3.11 or newer is needed"
        ),
        Report("Linux", "ok" if sys.platform == "linux" else "bad", sys.platform, "Terrarium runs on Linux"),
        _package("AWS endpoint", "moto", "pip install 'terrarium[aws]'"),
        _package("Kubernetes schemas", "kubernetes_validate", "pip install 'terrarium[schemas]'"),
        _package("Terraform extras", "re2", "pip install 'terrarium[terraform]'"),
        _client("kubectl", ("version", "--client"), "apt-get install kubernetes-client; until then: terrarium kubectl"),
        _client("aws", ("--version",), "pip install 'terrarium[clients]'"),
        _client("terraform", ("version",), "not needed: terrarium tf is an engine of its own"),
    ]
    reports += [
        Report(what, "missing", "not supported yet", "pods are simulated")
        for what in ("container pods", "microVM pods")
    ]
    return reports


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine can do, and what is missing for the rest.

    Exit status 1 when Terrarium can't run here at all.
    """
    reports = examine()
    if as_json:
        print(json.dumps([asdict(r) for r in reports], indent=2))
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        marks = {"ok": ("✓", "32"), "missing": ("-", "33"), "bad": ("✗", "31")}
        for r in reports:
            mark, code = marks[r.state]
            mark = f"\033[{code}m{mark}\033[0m" if colour else mark
            print(f"{mark} {r.what:<20}{r.found}")
            if r.state != "ok" and r.hint:
                print(f"  {'':<20}{r.hint}")
    if any(r.state == "bad" for r in reports):
        sys.exit(1)
