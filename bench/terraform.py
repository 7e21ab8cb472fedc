"""Plan, apply and destroy of generated configurations: CPU seconds, wall time and memory of `terrarium tf`, and of a real
terraform where one is on PATH, alternately in the same run.

Shapes: `independent` resources, a `chain` in which each needs the one before, `modules` (one module call with `for_each`
around a resource with `for_each`), and `changed` (independent, of which one in ten changes: the plan of that). Goals at
1,000: plan twice, apply and destroy twenty times, chain plan ten times and chain apply a hundred times as fast as
terraform 1.11; a plan of one resource within half a second. With --kill N, N applies of 100 resources are killed at
random moments: the state must hold whatever was reported, and the next apply must converge.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from terrarium.base.clock import real_sleep, stopwatch

OURS = ("terrarium", "tf")
THEIRS = ("terraform",)


class Cost(NamedTuple):
    """What one run took: seconds of CPU and of wall time, megabytes."""

    cpu: float
    wall: float
    memory: float


def independent(count: int, changed: int = 0) -> str:
    return "".join(
        f'resource "terraform_data" "r{i}" {{\n  input = "{"changed" if i < changed else "value"} {i}"\n}}\n'
        for i in range(count)
    )


def chain(count: int) -> str:
    return "".join(
        f'resource "terraform_data" "r{i}" {{\n  input = {f"terraform_data.r{i - 1}.output" if i else chr(34) + "x" + chr(34)}\n}}\n'
        for i in range(count)
    )


def modules(count: int) -> str:
    return f'module "m" {{\n  source   = "./m"\n  for_each = toset([for i in range({max(count // 100, 1)}) : tostring(i)])\n}}\n'


_INNER = """resource "terraform_data" "r" {
  for_each = toset([for i in range(100) : tostring(i)])
  input    = "value ${each.key}"
}
"""
SHAPES: dict[str, Callable[[int], str]] = {
    "independent": independent,
    "chain": chain,
    "modules": modules,
    "changed": independent,
}


def _run(program: Sequence[str], folder: Path, *args: str) -> Cost:
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1"}
    elapsed = stopwatch()
    process = subprocess.Popen(
        [*program, *args], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 2):
        raise SystemExit(f"{' '.join([*program, *args])} failed:\n{said.decode()}")
    return Cost(used.ru_utime + used.ru_stime, elapsed(), used.ru_maxrss / 1024)


def _prepare(program: Sequence[str], shape: str, count: int, base: Path) -> Path:
    folder = base / f"{program[0]}-{shape}-{count}"
    folder.mkdir()
    (folder / "main.tf").write_text(SHAPES[shape](count))
    if shape == "modules":
        (folder / "m").mkdir()
        (folder / "m" / "main.tf").write_text(_INNER)
    _run(program, folder, "init")
    return folder


def measure(shape: str, count: int, programs: Sequence[Sequence[str]], base: Path) -> list[dict[str, object]]:
    """The rows of one shape and size: an operation, and what it cost each program."""
    folders = {program: _prepare(program, shape, count, base) for program in map(tuple, programs)}
    steps: list[tuple[str, tuple[str, ...]]] = [
        ("plan", ("plan",)),
        ("apply", ("apply", "-auto-approve")),
        ("plan again", ("plan",)),
        ("destroy", ("destroy", "-auto-approve")),
    ]
    if shape == "changed":
        steps = [("apply", ("apply", "-auto-approve")), ("plan of 10 %", ("plan",))]
    rows: list[dict[str, object]] = []
    for name, args in steps:
        costs: dict[str, Cost] = {}
        for program, folder in folders.items():
            if name == "plan of 10 %":
                (folder / "main.tf").write_text(independent(count, count // 10))
            costs[program[0]] = _run(program, folder, *args)
        rows.append({"shape": shape, "count": count, "operation": name, **costs})
    return rows


def _print(rows: Sequence[dict[str, object]]) -> None:
    for row in rows:
        ours = row["terrarium"]
        theirs = row.get("terraform")
        assert isinstance(ours, Cost)
        text = f"{row['shape']:<12}{row['count']:>7} {row['operation']:<13}{ours.cpu:8.2f} s CPU{ours.wall:8.2f} s{ours.memory:7.0f} MB"
        if isinstance(theirs, Cost):
            text += f"   terraform{theirs.cpu:8.2f} s CPU{theirs.wall:8.2f} s{theirs.memory:7.0f} MB   {theirs.cpu / ours.cpu:6.1f} x"
        print(text, flush=True)


# --- kill --------------------------------------------------------------------------------------------------------------


def killed(rounds: int, count: int, base: Path, chance: random.Random) -> int:
    """Kills applies at random moments; the number of rounds in which something was lost or doubled."""
    bad = 0
    for number in range(rounds):
        folder = base / f"kill-{number}"
        reported, held = apply_and_kill(folder, count, chance.randrange(2 * count), chance.uniform(0, 0.003))
        lost = reported.items() - held.items()
        _run(OURS, folder, "apply", "-auto-approve")
        after = _state(folder)
        anew = {a for a, id in held.items() if after.get(a) != id}
        wrong = bool(lost or anew or len(after) != count)
        bad += wrong
        print(
            f"kill {number}: {len(reported)} reported, {len(held)} in the state, {len(after)} after the next apply"
            + (f"; LOST {sorted(lost)}, ANEW {sorted(anew)}" if wrong else ""),
            flush=True,
        )
        shutil.rmtree(folder)
    return bad


def apply_and_kill(folder: Path, count: int, lines: int, seconds: float) -> tuple[dict[str, str], dict[str, str]]:
    """Applies, and kills that some seconds after so many lines of progress: the ids of objects that were reported as
    created, and of those in the state."""
    folder.mkdir()
    (folder / "main.tf").write_text(independent(count))
    _run(OURS, folder, "init")
    reported: dict[str, str] = {}
    seen = 0
    with subprocess.Popen(
        [*OURS, "apply", "-auto-approve", "-no-color"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if ": Creation complete after " in line and line.endswith("]\n"):
                reported[line.partition(":")[0]] = line.rpartition("[id=")[2].rstrip("]\n")
            if ": Creat" in line:
                seen += 1
                if seen == lines + 1:
                    real_sleep(seconds)
                    process.send_signal(signal.SIGKILL)
    return reported, _state(folder)


def _state(folder: Path) -> dict[str, str]:
    """What the program says is in the state: ids by address."""
    text = subprocess.check_output([*OURS, "show", "-json"], cwd=folder)
    values = json.loads(text).get("values") or {}
    resources = (values.get("root_module") or {}).get("resources") or []
    return {r["address"]: r["values"]["id"] for r in resources}


# --- the command -------------------------------------------------------------------------------------------------------


def main(args: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench terraform", description=__doc__)
    parser.add_argument("shapes", nargs="*", choices=[*SHAPES, []], help="which shapes (all)")
    parser.add_argument("--size", type=int, action="append", help="resources; may be repeated (1 and 1000)")
    parser.add_argument("--alone", action="store_true", help="leave the real terraform out")
    parser.add_argument("--kill", type=int, metavar="N", help="kill N applies of 100 resources instead")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(args)
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as name:
        base = Path(name)
        if given.kill:
            bad = killed(given.kill, 100, base, random.Random(given.seed))
            print(f"{given.kill - bad} of {given.kill} killed applies lost nothing")
            return 1 if bad else 0
        programs = [OURS] if given.alone or shutil.which(THEIRS[0]) is None else [OURS, THEIRS]
        for size in given.size or [1, 1000]:
            for shape in given.shapes or SHAPES:
                _print(measure(shape, size, programs, base))
    return 0
