"""Provisioners, held to recorded applies and destroys of Terraform 1.11.4."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from terrarium.cli.tf import main
from terrarium.engine.provisioning import SCHEMAS, local_exec
from terrarium.language.values import Value, null, string

DATA = Path(__file__).parent.parent / "data" / "tf_test" / "provisioners.jsonl"
CASES = [json.loads(line) for line in DATA.read_text().splitlines()]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def lines(text: str) -> list[Any]:
    """Lines without what differs from run to run; events as data."""
    found: list[Any] = []
    for line in re.sub(r"after \d+s", "after <n>s", UUID.sub("<id>", text)).splitlines():
        if line.startswith('{"@'):
            event = json.loads(line)
            event.pop("@timestamp")
            event.get("hook", {}).pop("elapsed_seconds", None)
            found.append(event)
        elif line.strip():
            found.append(line)
    return found


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_recorded(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    for name, text in case["files"].items():
        (tmp_path / name).write_text(text)
    main(["init", "-no-color", "-input=false"])
    capsys.readouterr()
    for step in case["steps"]:
        code = main(step["args"])
        out, err = capsys.readouterr()
        assert lines(out) == lines(step["stdout"]), step["args"]
        assert lines(err) == lines(step["stderr"]), step["args"]
        assert code == step["rc"], step["args"]


def test_a_stop_kills_the_command_and_its_children() -> None:
    began: list[str] = []
    block = SCHEMAS["local-exec"]
    members = {name: null(a.type) for name, a in block.attributes.items()}
    config = Value(block.type, {**members, "command": string("echo begun; sleep 60; echo never")})
    problem = local_exec(config, began.append, lambda: "begun" in began)
    assert problem is not None
    assert problem.detail.startswith("Error running command 'echo begun; sleep 60; echo never': signal: killed.")
    assert began[1:] == ["begun"]
