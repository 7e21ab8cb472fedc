"""What must hold for any text and any value: layout changes no meaning, and what is written is read again."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import HealthCheck, given, settings
from tests.language.strategies import EXPRESSIONS, FILES, VALUES

from terrarium.base.source import Source
from terrarium.language import edit, functions, json_values, printing
from terrarium.language.evaluate import evaluate
from terrarium.language.format import format_text
from terrarium.language.functions import yaml_codec
from terrarium.language.nodes import File, Node
from terrarium.language.parser import parse, parse_expression
from terrarium.language.scope import Scope
from terrarium.language.tokens import EOF, tokenize
from terrarium.language.values import Value

CHECKS = settings(
    max_examples=120, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
_PLACES = (
    "source",
    "start",
    "end",
    "root_end",
    "name_start",
    "name_end",
    "name_end",
    "type_end",
    "header_end",
    "bracket",
)


def meaning(part: Any) -> Any:
    """A tree without the places where its parts stand."""
    if isinstance(part, Node | File) or (dataclasses.is_dataclass(part) and not isinstance(part, Value)):
        fields = [f.name for f in dataclasses.fields(part) if f.name not in _PLACES]  # type: ignore[arg-type]
        return (type(part).__name__, *((name, meaning(getattr(part, name))) for name in fields))
    if isinstance(part, tuple | list):
        return [meaning(x) for x in part]
    if isinstance(part, dict):
        return {key: meaning(x) for key, x in part.items()}
    return part


@CHECKS
@given(FILES)
def test_layout_changes_no_meaning(text: str) -> None:
    before, wrong = parse(text, "")
    after, still_wrong = parse(format_text(text), "")
    assert [d.summary for d in wrong] == [d.summary for d in still_wrong]
    assert meaning(before.body) == meaning(after.body)


@CHECKS
@given(FILES)
def test_layout_is_stable(text: str) -> None:
    once = format_text(text)
    assert format_text(once) == once


@CHECKS
@given(FILES)
def test_tokens_cover_the_text(text: str) -> None:
    tokens = tokenize(Source("", text))
    at = 0
    for start, end in zip(tokens.starts, tokens.ends, strict=True):
        assert start >= at and not text[at:start].strip(" \t")
        at = end
    assert tokens.kinds[-1] == EOF and at == len(text)


@CHECKS
@given(EXPRESSIONS)
def test_nodes_know_their_own_text(text: str) -> None:
    expression, wrong = parse_expression(text, "")
    again, wrong_again = parse_expression(expression.text, "")
    assert not wrong and not wrong_again
    assert meaning(again) == meaning(expression)


@CHECKS
@given(FILES, EXPRESSIONS)
def test_a_change_leaves_the_rest(text: str, expression: str) -> None:
    document = edit.parse(text)
    changed = document.set(None, "fresh", expression)
    assert changed.text.startswith(text)
    attribute = changed.attribute(None, "fresh")
    assert attribute is not None and attribute.expression.text == expression.strip()
    assert changed.remove(attribute).text in (text, text + "\n")


@CHECKS
@given(VALUES)
def test_values_survive_json(value: Value) -> None:
    assert json_values.decode(json_values.encode(value)) == value


@CHECKS
@given(VALUES)
def test_values_survive_yaml(value: Value) -> None:
    assert yaml_codec.decode(yaml_codec.encode(value)) == value


@CHECKS
@given(VALUES)
def test_values_survive_the_console(value: Value) -> None:
    expression, wrong = parse_expression(printing.console_text(value), "")
    assert not wrong
    again, wrong = evaluate(expression, Scope({}, functions.table()))
    assert not wrong and again == value
