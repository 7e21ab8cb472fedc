"""Recorded runs of Terraform, replayed in process: exit codes, plans as text and as JSON, states.

Each file of the data folder has `files`, and `steps` with `args` and `rc`, and where they were recorded (and always the
same) `stdout`, `plan_json` and `state`. Ids and times are normalised on both sides.
"""

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from terrarium.cli.tf import main

DATA = Path(__file__).parent.parent / "data" / "tf"
CASES = sorted(DATA.glob("*.json"))
PROGRESS = re.compile(r".*: (?:Refresh|Read|Creat|Modif|Destr|Provision|Import|Prepar)")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|<id:[^>]*>|<uuid:\d+>|<lineage>")


def plain(text: str) -> list[str]:
    """The lines that don't depend on ids, times and the order of concurrent work."""
    text = UUID.sub("<id>", text)
    text = re.sub(r"after (?:<n>|\d+)s", "after <n>s", text)
    lines = [line for line in text.splitlines() if line.strip()]
    return [line for line in lines if not PROGRESS.match(line)] + sorted(line for line in lines if PROGRESS.match(line))


def document(value: Any) -> Any:
    """A document without ids, times and serials, and without orders that mean nothing."""
    if isinstance(value, dict):
        found = {k: document(v) for k, v in value.items() if k not in ("serial", "timestamp", "lineage")}
        if isinstance(found.get("relevant_attributes"), list):
            found["relevant_attributes"].sort(key=json.dumps)
        return found
    if isinstance(value, list):
        return [document(v) for v in value]
    return UUID.sub("<id>", value) if isinstance(value, str) else value


def run(args: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(args)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("path", CASES, ids=[p.stem for p in CASES])
def test_recorded_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = json.loads(path.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.setenv("TF_INPUT", "0")
    for name, text in case["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for step in case["steps"]:
        for name, text in step.get("write", {}).items():
            if text is None:
                os.unlink(tmp_path / name)  # noqa: PTH108
            else:
                (tmp_path / name).write_text(text)
        code, out, _ = run(step["args"], capsys)
        assert code == step["rc"], step["args"]
        if step["args"][0] != "init" and "stdout" in step:
            if out.startswith("{"):
                assert document(json.loads(out)) == document(json.loads(step["stdout"])), step["args"]
            else:
                assert plain(out) == plain(step["stdout"]), step["args"]
        if "plan_json" in step:
            _, shown, _ = run(["show", "-json", "tfplan"], capsys)
            assert document(json.loads(shown)) == document(step["plan_json"]), step["args"]
        if step.get("state"):
            state = json.loads((tmp_path / "terraform.tfstate").read_text())
            assert document(state) == document(step["state"]), step["args"]
