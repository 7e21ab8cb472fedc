"""Lists and sets of objects written as attributes, as blocks, and by `dynamic` blocks."""

import json
from pathlib import Path
from typing import Any

import pytest

from terrarium.cli.tf import main

HEAD = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region     = "us-east-1"
  access_key = "a"
  secret_key = "b"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}
variable "ports" { default = [80, 443] }
"""

RULE = 'protocol = "tcp"\n cidr_blocks = ["10.0.0.0/8"]\n'


def group(body: str) -> str:
    return f'resource "aws_security_group" "a" {{\n vpc_id = "vpc-1"\n{body}\n}}\n'


CASES = {
    "blocks": (
        group(f"ingress {{\n from_port = 22\n to_port = 22\n {RULE}}}"),
        "aws_security_group.a",
        "ingress",
        [{"from_port": 22, "to_port": 22, "cidr_blocks": ["10.0.0.0/8"], "self": False}],
    ),
    "block and dynamic": (
        group(
            f"ingress {{\n from_port = 22\n to_port = 22\n {RULE}}}\n"
            f'dynamic "ingress" {{\n for_each = var.ports\n content {{\n from_port = ingress.value\n to_port = ingress.value\n {RULE}}}\n}}'
        ),
        "aws_security_group.a",
        "ingress",
        [{"from_port": 22}, {"from_port": 80}, {"from_port": 443}],
    ),
    "dynamic of nothing is as if not written": (
        group('dynamic "ingress" {\n for_each = []\n content {\n from_port = 1\n to_port = 1\n protocol = "tcp"\n}\n}'),
        "aws_security_group.a",
        "ingress",
        None,
    ),
    "route of a route table": (
        'resource "aws_route_table" "r" {\n vpc_id = "vpc-1"\n'
        ' route {\n cidr_block = "0.0.0.0/0"\n gateway_id = "igw-1"\n}\n}',
        "aws_route_table.r",
        "route",
        [{"cidr_block": "0.0.0.0/0", "gateway_id": "igw-1"}],
    ),
}


def planned(text: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    Path("main.tf").write_text(text)
    assert main(["init"]) == 0
    assert main(["plan", "-refresh=false", "-out=p"]) == 0, capsys.readouterr()
    capsys.readouterr()
    assert main(["show", "-json", "p"]) == 0
    return {c["address"]: c["change"] for c in json.loads(capsys.readouterr().out)["resource_changes"]}


@pytest.mark.parametrize("body, address, name, wanted", CASES.values(), ids=CASES)
def test_planned_value(
    body: str,
    address: str,
    name: str,
    wanted: list[dict[str, Any]] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    change = planned(HEAD + body, capsys)[address]
    if wanted is None:
        assert name not in change["after"] and change["after_unknown"][name] is True
        return
    found = sorted(change["after"][name], key=lambda r: r.get("from_port", 0))
    assert [{k: row[k] for k in want} for row, want in zip(found, wanted, strict=True)] == wanted


def test_unknown_argument_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("main.tf").write_text(HEAD + group("ingress {\n bogus = 1\n}"))
    assert main(["init"]) == 0
    assert main(["validate"]) == 1
    out, err = capsys.readouterr()
    assert "Unsupported argument" in out + err


def reading(extra: str) -> str:
    return (
        'resource "terraform_data" "a" {\n input = "x.tfstate"\n}\n'
        f'data "terraform_remote_state" "d" {{\n backend = "local"\n{extra}\n}}\n'
    )


DEFERRED = {
    "a managed resource with changes is referred to, though the value is known": (
        reading("config = { path = terraform_data.a.input }"),
        "read_because_dependency_pending",
    ),
    "the configuration is not known": (
        reading("config = { path = terraform_data.a.output }"),
        "read_because_config_unknown",
    ),
    "depends_on": (
        reading('config = { path = "x.tfstate" }\n depends_on = [terraform_data.a]'),
        "read_because_dependency_pending",
    ),
    "a condition, with a change behind it": (
        reading(
            'config = { path = local.p }\n lifecycle {\n postcondition {\n condition = local.q == "x.tfstate"\n error_message = "No."\n}\n}'
        )
        + 'locals {\n p = "x.tfstate"\n q = terraform_data.a.input\n}\n',
        "read_because_dependency_pending",
    ),
    "a reference through a local value is none": (
        reading("config = { path = local.p }") + "locals {\n p = terraform_data.a.input\n}\n",
        None,
    ),
}


@pytest.mark.parametrize("text, reason", DEFERRED.values(), ids=DEFERRED)
def test_when_data_is_read(
    text: str, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Terraform 1.11.4 decides."""
    monkeypatch.chdir(tmp_path)
    Path("x.tfstate").write_text('{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":"x","outputs":{}}')
    Path("main.tf").write_text(text)
    assert main(["init"]) == 0
    assert main(["plan", "-out=p"]) == 0
    capsys.readouterr()
    assert main(["show", "-json", "p"]) == 0
    changes = json.loads(capsys.readouterr().out)["resource_changes"]
    assert [c.get("action_reason") for c in changes if c["mode"] == "data"] == ([reason] if reason else [])
    assert main(["plan", "-refresh-only"]) == 0
    assert "will be read" not in capsys.readouterr().out
