"""Why a plan does what it does: attributes, expressions, chains back to the cause."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from terrarium.cli.explain import explain
from terrarium.cli.tf import main

FILES = {
    "main.tf": """variable "size" {
  default = 8
}
locals {
  prefix = "x-${random_string.s.result}"
}
resource "random_string" "s" {
  length  = var.size
  special = false
}
module "m" {
  source = "./m"
  name   = local.prefix
}
resource "null_resource" "n" {
  triggers = {
    v = module.m.out
    t = timestamp()
  }
}
""",
    "m/main.tf": """variable "name" {}
resource "terraform_data" "d" {
  input = upper(var.name)
}
output "out" { value = terraform_data.d.output }
""",
}


@pytest.fixture
def applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert main(["init", "-no-color"]) == 0
    assert main(["apply", "-no-color", "-auto-approve"]) == 0
    capsys.readouterr()
    return tmp_path


def explained(*args: str) -> dict[str, Any]:
    result = CliRunner().invoke(explain, ["plan", *args, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def chain(attribute: dict[str, Any]) -> list[str]:
    """The first cause of each step, as far as it goes."""
    found, causes = [], attribute["because"]
    while causes:
        found.append(f"{causes[0]['text']} @ {causes[0]['place']}")
        causes = causes[0]["because"]
    return found


def test_the_chain_goes_back_to_the_variable(applied: Path) -> None:
    found = explained("null_resource.n", "--var", "size=9")
    assert found["action"].startswith("must be replaced")
    assert found["place"] == "main.tf:15"
    forcing = found["attributes"][0]
    assert (forcing["attribute"], forcing["kind"], forcing["place"]) == ("triggers", "replaces", "main.tf:16")
    assert [line.split(" @ ")[1] for line in chain(forcing)] == [
        "m/main.tf:5", "m/main.tf:2", "m/main.tf:3", "main.tf:13", "main.tf:5", "main.tf:7", "main.tf:8", "main.tf:1",
    ]  # fmt: skip
    assert chain(forcing)[-1].startswith('var.size is "9" (given)')
    assert forcing["because"][1]["text"] == "timestamp() is evaluated only during apply"


def test_known_changes_name_their_variable(applied: Path) -> None:
    found = explained("random_string.s", "--var", "size=9")
    assert [(a["attribute"], a["kind"], a["before"], a["after"]) for a in found["attributes"][:1]] == [
        ("length", "replaces", "8", "9")
    ]
    assert {a["attribute"]: a["because"][0]["text"] for a in found["attributes"][1:]} == dict.fromkeys(
        ("id", "result"), "the provider decides it when the object is replaced"
    )


def test_reasons_that_are_no_attributes(applied: Path) -> None:
    main(["taint", "random_string.s"])
    assert explained("random_string.s")["reasons"] == ["It is tainted: an earlier apply did not finish making it."]
    (applied / "main.tf").write_text(FILES["main.tf"].split('resource "null_resource"')[0])
    found = explained("null_resource.n")
    assert found["action"] == "will be destroyed"
    assert found["reasons"] == ["Its resource block is not in the configuration any more."]


def test_a_plan_file_is_explained(applied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-no-color", "-var=size=10", "-out=tfplan"]) == 0
    result = CliRunner().invoke(explain, ["plan", "--plan", "tfplan", "random_string.s"])
    assert "length forces the replacement: 8 -> 10" in result.stdout
    assert "    main.tf:8: var.size\n" in result.stdout


def test_nothing_planned(applied: Path) -> None:
    result = CliRunner().invoke(explain, ["plan", "null_resource.x"])
    assert result.exit_code == 1
    assert "Is it one of these? null_resource.n" in result.stderr
