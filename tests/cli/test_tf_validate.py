"""`tf validate` on small configurations, most of them wrong, against what Terraform 1.11.4 was recorded to say of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from terrarium.cli.tf import main

RECORDINGS = Path(__file__).parent.parent / "data" / "validate" / "cases.jsonl"
CASES: dict[str, dict[str, Any]] = {
    case["id"]: case for case in map(json.loads, RECORDINGS.read_text(encoding="utf-8").splitlines())
}


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files of the case, as far initialised as they allow."""
    for name, text in CASES[request.param]["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    main(["init", "-no-color", "-input=false", "-backend=false"])
    return tmp_path


def comparable(diagnostics: list[dict[str, Any]]) -> list[str]:
    """Diagnostics without an order; the members of a cycle have none either."""
    texts = []
    for found in diagnostics:
        summary = found["summary"]
        if summary.startswith("Cycle: "):
            summary = "Cycle: " + ", ".join(sorted(re.split(", ", summary.removeprefix("Cycle: "))))
        texts.append(json.dumps({**found, "summary": summary}, sort_keys=True))
    return sorted(texts)


@pytest.mark.parametrize(("folder", "name"), [(name, name) for name in CASES], indirect=["folder"], ids=list(CASES))
def test_diagnostics(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    code = main(["validate", "-json"])
    document = json.loads(capsys.readouterr().out)
    wanted = CASES[name]["diagnostics"]
    assert comparable(document["diagnostics"]) == comparable(wanted)
    errors = sum(d["severity"] == "error" for d in wanted)
    assert (code, document["valid"], document["error_count"]) == (int(errors > 0), errors == 0, errors)


PRINTED = [name for name, case in CASES.items() if "text" in case]


@pytest.mark.parametrize(("folder", "name"), [(name, name) for name in PRINTED], indirect=["folder"], ids=PRINTED)
def test_text(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["validate", "-no-color"])
    printed = capsys.readouterr()
    assert [printed.out, printed.err] == CASES[name]["text"]
