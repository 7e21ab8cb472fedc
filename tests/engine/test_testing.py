"""`terraform test`, held to recorded runs of Terraform 1.11.4: reports for people and as events, exit codes, JUnit."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from terrarium.cli.tf import main

DATA = Path(__file__).parent.parent / "data" / "tf_test" / "cases.jsonl"
CASES = [json.loads(line) for line in DATA.read_text().splitlines()]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def lines(text: str) -> list[Any]:
    """Lines without what differs from run to run; events as data."""
    text = re.sub(r'time="[^"]*" timestamp="[^"]*"', "time", UUID.sub("<id>", text))
    found: list[Any] = []
    for line in text.splitlines():
        if line.startswith('{"@'):
            event = json.loads(line)
            event.pop("@timestamp")
            event.get("test_run", {}).pop("elapsed", None)
            found.append(event)
        elif line.strip():
            found.append(line)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return tmp_path


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_recorded(case: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(folder, case["files"])
    main(["init", "-no-color", "-input=false"])
    capsys.readouterr()
    for step in case["steps"]:
        code = main(step["args"])
        out, err = capsys.readouterr()
        assert lines(out) == lines(step["stdout"]), step["args"]
        assert lines(err) == lines(step["stderr"]), step["args"]
        assert code == step["rc"], step["args"]
    for name, text in case.get("junit", {}).items():
        assert lines((folder / name).read_text()) == lines(text)


RANDOM = """
resource "random_password" "p" {
  length = 12
}
output "id" {
  value = random_password.p.id
}
output "secret" {
  value     = random_password.p.result
  sensitive = true
}
"""


@pytest.mark.parametrize(
    "tests, passes",
    [
        pytest.param(
            'mock_provider "random" {}\nrun "a" {\n assert {\n condition = length(output.id) == 8\n'
            ' error_message = "made up"\n }\n}\n',
            True,
            id="made-up",
        ),
        pytest.param(
            'mock_provider "random" {\n mock_resource "random_password" {\n defaults = {\n result = "known"\n }\n }\n}\n'
            'run "a" {\n assert {\n condition = nonsensitive(output.secret) == "known"\n error_message = "given"\n }\n}\n',
            True,
            id="given",
        ),
        pytest.param(
            'mock_provider "random" {\n override_during = plan\n mock_resource "random_password" {\n defaults = {\n'
            ' id = "early"\n }\n }\n}\nrun "a" {\n command = plan\n assert {\n condition = output.id == "early"\n'
            ' error_message = "while planning"\n }\n}\n',
            True,
            id="while-planning",
        ),
        pytest.param(
            'mock_provider "random" {\n alias = "fake"\n}\nrun "a" {\n providers = {\n random = random.fake\n }\n assert {\n'
            ' condition = output.id != "none"\n error_message = "mapped"\n }\n}\n',
            True,
            id="mapped",
        ),
        pytest.param(
            'mock_provider "random" {\n mock_resource "random_password" {\n defaults = {\n id = ["x"]\n }\n }\n}\n'
            'run "a" {\n}\n',
            False,
            id="of-wrong-type",
        ),
        pytest.param(
            'run "a" {\n assert {\n condition = output.id == "none"\n error_message = "real"\n }\n}\n', True, id="real"
        ),
        pytest.param(
            'run "a" {\n override_resource {\n target = random_password.p\n values = {\n id = "over"\n }\n }\n assert {\n'
            ' condition = output.id == "none"\n error_message = "overridden"\n }\n}\n',
            False,
            id="overridden",
        ),
    ],
)
def test_mocks(tests: str, passes: bool, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(folder, {"main.tf": RANDOM, "main.tftest.hcl": tests})
    assert main(["init", "-no-color"]) == 0
    code = main(["test", "-no-color"])
    assert code == (0 if passes else 1), capsys.readouterr()
