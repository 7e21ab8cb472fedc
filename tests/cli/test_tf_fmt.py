"""`terrarium tf fmt`: which files, what is printed, and the exit codes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from terrarium.cli.tf_fmt import fmt

BAD = "a=1\nbbb = 2\n"
GOOD = "a   = 1\nbbb = 2\n"
DIFF = "--- old/main.tf\n+++ new/main.tf\n@@ -1,2 +1,2 @@\n-a=1\n+a   = 1\n bbb = 2\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("main.tf", "x.tfvars", "sub/a.tf", ".hidden/b.tf", "c.tf~", "d.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(BAD)
    return tmp_path


@pytest.mark.parametrize(
    "args, code, out, changed",
    [
        ([], 0, "main.tf\nx.tfvars\n", {"main.tf", "x.tfvars"}),
        (["-recursive"], 0, "main.tf\nsub/a.tf\nx.tfvars\n", {"main.tf", "x.tfvars", "sub/a.tf"}),
        (["-list=false", "main.tf"], 0, "", {"main.tf"}),
        (["-write=false", "-diff", "main.tf"], 0, "main.tf\n" + DIFF, set()),
        (["-check", "main.tf"], 3, "main.tf\n", set()),
        (["-check", "-list=false"], 3, "", set()),
        (["-check", "sub/../d.json"], 2, "", set()),
        (["nowhere"], 2, "", set()),
        (["-nope"], 1, "", set()),
        (["-list=maybe"], 1, "", set()),
    ],
)
def test_files(
    folder: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, out: str, changed: set[str]
) -> None:
    assert fmt([*args, "-no-color"] if "-no-color" not in args else args) == code
    assert capsys.readouterr().out == out
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.tf*") if p.read_text() == GOOD} == changed


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert fmt(["-"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a = \n")))
    assert fmt(["-"]) == 2
    assert "\x1b[31m│\x1b[0m \x1b[0m\x1b[0m  on <stdin> line 1:\n" in capsys.readouterr().err
