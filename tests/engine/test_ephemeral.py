"""Ephemeral resources and write-only arguments: opened and closed, and never kept."""

import io
import json
from pathlib import Path

import pytest

from terrarium.cli.tf import main
from terrarium.engine.ephemeral import misused
from terrarium.engine.objchange import proposed_new, without_write_only
from terrarium.engine.plan_object import plan_managed
from terrarium.engine.provider import Attribute, Block, NestedBlock, Nesting, PlanResult
from terrarium.language.types import NUMBER, STRING
from terrarium.language.values import EPHEMERAL, Value, list_of, null, number, string

INNER = Block(
    {"user": Attribute(STRING, optional=True), "password_wo": Attribute(STRING, optional=True, write_only=True)}
)
BLOCK = Block(
    {"secret_wo": Attribute(STRING, optional=True, write_only=True), "version": Attribute(NUMBER, optional=True)},
    {"login": NestedBlock(INNER, Nesting.LIST)},
)


def login(user: str, password: Value) -> Value:
    return Value(INNER.type, {"password_wo": password, "user": string(user)})


def config(secret: Value, version: Value, password: Value) -> Value:
    members = {"login": list_of(INNER.type, [login("me", password)]), "secret_wo": secret, "version": version}
    return Value(BLOCK.type, members)


def test_write_only_arguments_are_not_planned() -> None:
    given = config(string("s"), number(1), string("p"))
    bare = config(null(STRING), number(1), null(STRING))
    assert without_write_only(BLOCK, given) == bare
    assert proposed_new(BLOCK, null(BLOCK.type), given) == bare


@pytest.mark.parametrize(
    "secret, version, names",
    [
        pytest.param(string("s").marked(EPHEMERAL), number(1), [], id="write-only"),
        pytest.param(string("s"), number(1).marked(EPHEMERAL), ["version"], id="kept"),
    ],
)
def test_where_ephemeral_values_may_go(secret: Value, version: Value, names: list[str]) -> None:
    found = misused(BLOCK, config(secret, version, string("p").marked(EPHEMERAL)))
    assert [d.attribute and d.attribute[0] for d in found] == names


class Merging:
    """A provider that plans whatever the configuration says, also what is only written."""

    def plan(self, type: str, prior: Value, proposed: Value, config: Value, private: bytes) -> PlanResult:
        return PlanResult(config)


def test_providers_cant_plan_what_is_only_written() -> None:
    given = config(string("s").marked(EPHEMERAL), number(1), string("p").marked(EPHEMERAL))
    nothing = null(BLOCK.type)
    decision = plan_managed(Merging(), "x", BLOCK, BLOCK.type, None, nothing, given, False, "", "x.x")  # type: ignore[arg-type]
    assert decision.planned == config(null(STRING), number(1), null(STRING))


CONFIGURATION = """
ephemeral "random_password" "p" {
  length  = 12
  special = false
  lifecycle {
    postcondition {
      condition     = length(self.result) == 12
      error_message = "too short"
    }
  }
}
ephemeral "local_command" "late" {
  command   = "echo"
  arguments = [terraform_data.x.id]
}
resource "terraform_data" "x" {
  provisioner "local-exec" {
    command = "printf %s '${ephemeral.random_password.p.result}' > kept"
  }
}
"""


def test_opened_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    (tmp_path / "main.tf").write_text(CONFIGURATION)
    assert main(["init", "-no-color"]) == 0
    assert main(["plan", "-no-color", "-out=tfplan"]) == 0
    planned, _ = capsys.readouterr()
    assert planned.count("ephemeral.random_password.p: Opening complete") == 1
    assert planned.count("ephemeral.random_password.p: Closing complete") == 1
    assert "local_command" not in planned, "its configuration is not known yet"
    assert main(["apply", "-no-color", "tfplan"]) == 0
    out, _ = capsys.readouterr()
    assert out.index("ephemeral.local_command.late: Opening complete") > out.index(
        "terraform_data.x: Creation complete"
    )
    assert out.count("Closing complete") == 2
    secret = (tmp_path / "kept").read_text()
    assert len(secret) == 12
    state = (tmp_path / "terraform.tfstate").read_text()
    assert secret not in state
    assert [r["type"] for r in json.loads(state)["resources"]] == ["terraform_data"]
    assert "dependencies" not in json.loads(state)["resources"][0]["instances"][0]


@pytest.mark.parametrize(
    "body, summary",
    [
        pytest.param("input = ephemeral.random_password.p.result", "Invalid use of ephemeral value", id="argument"),
        pytest.param(
            "input = ephemeral.random_password.nope.result", "Reference to undeclared resource", id="undeclared"
        ),
    ],
)
def test_refused(
    body: str, summary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'ephemeral "random_password" "p" {\n  length = 8\n}\nresource "terraform_data" "x" {\n  ' + body + "\n}\n"
    (tmp_path / "main.tf").write_text(text)
    assert main(["init", "-no-color"]) == 0
    assert main(["plan", "-no-color"]) == 1
    assert f"Error: {summary}" in capsys.readouterr().err
