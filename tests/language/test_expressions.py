"""Expressions with what Terraform 1.11.4 answered to them: value, type and JSON, or the summaries of its errors."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from terrarium.base.diagnostics import has_errors
from terrarium.cli.tf_console import answer
from terrarium.language import functions, parser
from terrarium.language import type_expressions as types
from terrarium.language.convert import convert
from terrarium.language.evaluate import evaluate
from terrarium.language.scope import Scope
from terrarium.language.values import EPHEMERAL, SENSITIVE, Value, number, object_of, string

DATA = Path(__file__).parent.parent / "data" / "language"
CASES = [json.loads(line) for line in (DATA / "expressions.jsonl").read_text().splitlines()]


def value_of(text: str, scope: Scope) -> Value:
    expression, wrong = parser.parse_expression(text, "test")
    assert not wrong
    value, wrong = evaluate(expression, scope)
    assert not wrong
    return value


@pytest.fixture(scope="module")
def scope(tmp_path_factory: pytest.TempPathFactory) -> Scope:
    """The names of the recorded module, whose files are in a folder of their own."""
    folder = tmp_path_factory.mktemp("module")
    fixture = json.loads((DATA / "fixture.json").read_text())
    for name, content in fixture.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content["base64"]) if isinstance(content, dict) else content.encode())
    table = functions.table(folder, now=lambda: datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), console=True)
    empty = Scope({}, table)
    constraint, _ = parser.parse_expression(
        "object({ a = string, b = optional(number, 5), c = optional(string) })", "t"
    )
    wanted, defaults, _ = types.parse_type(constraint)
    variables = {
        "sens": string("s3cr3t").marked(SENSITIVE),
        "eph": string("e").marked(EPHEMERAL),
        "obj": convert(types.apply_defaults(value_of('{ a = "x" }', empty), defaults), wanted),
        "strs": value_of('tolist(["x", "y"])', empty),
        "num": number(42),
    }
    file, _ = parser.parse(fixture["main.tf"], "main.tf")
    (block,) = file.body.blocks_of("locals")
    values = {name: evaluate(attribute.expression, empty)[0] for name, attribute in block.body.attributes.items()}
    names = {
        "var": object_of(variables),
        "local": object_of(values),
        "terraform": value_of('{ workspace = "default" }', empty),
        "path": value_of('{ module = ".", root = "." }', empty),
    }
    return Scope(names, table)


def with_file(text: str, scope: Scope) -> tuple[Scope, list[str]]:
    """The scope with `local.v` out of a file that defines it, or the summaries of what is wrong."""
    file, wrong = parser.parse(text, "v.tf")
    if has_errors(wrong):
        return scope, [d.summary for d in wrong]
    value, wrong = evaluate(file.body.blocks[0].body.attributes["v"].expression, scope)
    if has_errors(wrong):
        return scope, [d.summary for d in wrong]
    local = scope.find("local")
    assert local is not None
    return scope.child({"local": object_of({**local.data, "v": value})}), []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_expression(case: dict[str, str], scope: Scope) -> None:
    text, summaries = case.get("expr", "local.v"), []
    if "file" in case:
        scope, summaries = with_file(case["file"], scope)
    shown, found = answer(text, lambda _: (scope, []))
    summaries = summaries or [d.summary for d in found]
    if "summaries" in case:
        assert sorted(summaries) == case["summaries"]
        return
    assert (shown, summaries) == (case["console"], [])
    assert (answer(f"type({text})", lambda _: (scope, []))[0] or None) == case["type"]
    encoded, _ = answer(f"jsonencode({text})", lambda _: (scope, []))
    assert unquoted(encoded) == case["json"]


def unquoted(text: str) -> str | None:
    """The string behind a quoted form; None for what shows no string."""
    if not text.startswith('"'):
        return None
    decoded: str = json.loads(re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", text))
    return decoded
