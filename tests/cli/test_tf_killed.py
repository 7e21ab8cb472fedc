"""Applies that are killed: whatever was reported is in the state, and the next apply makes up for the rest."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from terrarium.cli.tf import main
from terrarium.engine.state_store import LocalStore

COUNT = 40
PROGRAM = [sys.executable, "-c", "from terrarium.cli.main import main; main()", "tf"]


def ids(folder: Path) -> dict[str, str]:
    state = LocalStore(folder / "terraform.tfstate").load()
    return {str(a): i.current.json()["id"] for a, _, i in state.instances() if i.current is not None}


@pytest.mark.parametrize("lines", [0, 1, 7, 2 * COUNT - 2], ids=lambda n: f"after {n + 1} lines of progress")
def test_nothing_is_lost(lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.tf").write_text(
        f'resource "terraform_data" "r" {{\n  count = {COUNT}\n  input = count.index\n}}\n'
    )
    reported: dict[str, str] = {}
    seen = 0
    with subprocess.Popen(
        [*PROGRAM, "apply", "-auto-approve", "-no-color"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if ": Creation complete after " in line and line.endswith("]\n"):
                reported[line.partition(": ")[0]] = line.rpartition("[id=")[2].rstrip("]\n")
            seen += ": Creat" in line
            if seen == lines + 1:
                process.send_signal(signal.SIGKILL)
    held = ids(tmp_path)
    assert reported.items() <= held.items()
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert main(["apply", "-auto-approve"]) == 0
    after = ids(tmp_path)
    assert len(after) == COUNT
    assert held.items() <= after.items()
    assert json.loads((tmp_path / "terraform.tfstate").read_bytes())["version"] == 4
    assert not list(tmp_path.glob(".*.journal"))
