"""Functions that providers bring, called from configurations."""

import io
import json
from pathlib import Path

import pytest

from terrarium.cli.tf import main

REQUIRED = """
terraform {
  required_providers {
    clock = {
      source = "hashicorp/time"
    }
    local = {
      source = "hashicorp/local"
    }
  }
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return tmp_path


@pytest.mark.parametrize(
    "expression, value",
    [
        ('provider::clock::rfc3339_parse("2024-02-29T12:30:45+09:00").unix', 1709177445),
        ('provider::clock::duration_parse("1h30m5s200ms").hours', 1.5014444444444446),
        ("provider::clock::unix_timestamp_parse(1700000000).month_name", "November"),
        ('provider::local::direxists(".")', True),
        ('provider::local::direxists("nosuch")', False),
        ('[for t in ["1m", "2m"] : provider::clock::duration_parse(t).seconds]', [60, 120]),
    ],
)
def test_values(expression: str, value: object, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "main.tf").write_text(REQUIRED + f'output "o" {{\n  value = {expression}\n}}\n')
    assert main(["init", "-no-color"]) == 0
    assert main(["apply", "-auto-approve", "-no-color"]) == 0
    capsys.readouterr()
    assert main(["output", "-json"]) == 0
    assert json.loads(capsys.readouterr().out)["o"]["value"] == value


@pytest.mark.parametrize(
    "expression, text",
    [
        ('provider::clock::rfc3339_parse("bad")', 'Error parsing RFC3339 timestamp: "bad" is not a valid RFC3339'),
        ('provider::time::rfc3339_parse("x")', "Unknown provider function"),
        ("provider::clock::nosuch()", "Unknown provider function"),
        ("provider::clock::duration_parse()", 'Missing value for "duration"'),
    ],
)
def test_mistakes(expression: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "main.tf").write_text(REQUIRED + f'output "o" {{\n  value = {expression}\n}}\n')
    assert main(["init", "-no-color"]) == 0
    assert main(["plan", "-no-color"]) == 1
    assert text in " ".join(capsys.readouterr().err.split())
