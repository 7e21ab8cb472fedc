"""Layout as `terraform fmt` writes it, on recorded and on generated files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.base.source import Source
from terrarium.language import nodes
from terrarium.language.format import format_source, format_text, quote
from terrarium.language.parser import parse, parse_template
from terrarium.language.render import render_all

DATA = Path(__file__).parents[1] / "data" / "language"
CASES = [json.loads(line) for line in (DATA / "fmt.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in CASES])
def test_recorded_files(case: dict[str, Any]) -> None:
    source = Source("<stdin>", case["input"])
    text, diagnostics = format_source(source)
    if "stderr" in case:
        assert text == case["input"]
        assert render_all(diagnostics, {"<stdin>": source}, colour=False) == case["stderr"]
        return
    assert not diagnostics
    # The command's output always ends with a newline.
    assert (text if text.endswith("\n") else text + "\n") == case["output"]
    assert (format_text(text) == text) is case["idempotent"]


NAMES = st.sampled_from(["a", "bb", "long_name", "é", "for_each", "x-y", "日本"])
SPACE = st.sampled_from(["", " ", "  ", "\t"])
END = st.sampled_from(["\n", " # c\n", "\n\n", "\r\n", " /* x */\n", "\n  // own\n"])


def joined(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(p) if isinstance(p, str) else p for p in parts)).map("".join)


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "1", "2.5", '"s"', "b.c", "a[0]", "a.*.b", "a[*].c", "true", "-1", '"%{if a}x%{endif}"']),
    lambda e: st.one_of(
        joined(e, SPACE, st.sampled_from(["+", "-", "==", "&&", "%"]), SPACE, e),
        joined(e, " ?", SPACE, e, SPACE, ":", SPACE, e),
        joined("(", SPACE, e, SPACE, ")"),
        joined("[", e, SPACE, ",", SPACE, e, "]"),
        joined("[\n", e, ",", END, e, ",\n]"),
        joined("{", NAMES, SPACE, "=", SPACE, e, SPACE, "}"),
        joined("{\n", NAMES, SPACE, "=", SPACE, e, END, NAMES, "=", e, END, "}"),
        joined("f(", e, SPACE, ",", e, ")"),
        joined("[for x in ", e, SPACE, ":", SPACE, e, " if ", e, "]"),
        joined('"p${', SPACE, e, '}q"'),
    ),
    max_leaves=8,
)
BODIES = st.recursive(
    st.lists(joined(SPACE, NAMES, SPACE, "=", SPACE, EXPRESSIONS, END), max_size=3, unique_by=lambda t: t.split("=")[0].strip()).map("".join),
    lambda body: joined("block ", st.sampled_from(["", '"l" ', "m "]), "{", END, body, SPACE, "}", END),
    max_leaves=4,
)  # fmt: skip


def shape(node: Any) -> Any:
    """A tree without places, and without the spellings which the formatter modernises."""
    if isinstance(node, tuple | list):
        return [shape(n) for n in node]
    if isinstance(node, dict):
        return {k: shape(v) for k, v in node.items()}
    if isinstance(node, nodes.Label):
        return node.text
    if isinstance(node, nodes.TemplateWrap | nodes.Parenthesised):
        return shape(node.wrapped if isinstance(node, nodes.TemplateWrap) else node.inner)
    if isinstance(node, nodes.Attr):
        return node.name
    if isinstance(node, nodes.Index):
        return node.key
    if isinstance(node, nodes.Node):
        places = ("source", "start", "end", "name_start", "name_end", "type_end", "header_end", "root_end", "bracket")
        names = [n for c in type(node).__mro__ for n in getattr(c, "__slots__", ()) if n not in places]
        return [type(node).__name__, *(shape(getattr(node, n)) for n in sorted(set(names)))]
    return node


@settings(max_examples=120, deadline=None)
@given(BODIES)
def test_layout_changes_no_meaning(text: str) -> None:
    before, wrong = parse(text, "x.tf")
    after, still_wrong = parse(format_text(text), "x.tf")
    assert not still_wrong or wrong
    if not wrong:
        assert shape(after.body) == shape(before.body)


@settings(max_examples=80, deadline=None)
@given(st.text())
def test_quoted_text_means_itself(text: str) -> None:
    file, wrong = parse(f'a = "{quote(text)}"\n', "x.tf")
    expression = file.body.attributes["a"].expression
    assert not wrong
    assert isinstance(expression, nodes.Template)
    assert "".join(p.value.data for p in expression.parts) == nodes_nfc(text)  # type: ignore[attr-defined]


def nodes_nfc(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", text)


PIECES = st.sampled_from(
    ["a", "=", '"', "${", "%{", "}", "{", "[", "]", "(", ")", "\n", "<<E\n", "E\n", "#", "/*", "*/", "\\", "~}", ".*", "?", ":", "::", "�", "f(", "...", "for", "in", "if", "endif", "$", "%", "0", "1e", "\x00", "\r", "é", "�", "[*]", ",", "-"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.characters(), max_size=40).map("".join))
def test_any_text_gives_diagnostics_at_worst(text: str) -> None:
    source = Source("x.tf", text)
    formatted, diagnostics = format_source(source)
    assert isinstance(formatted, str)
    render_all(diagnostics, {"x.tf": source}, colour=True)
    _, template_diagnostics = parse_template(text, "x.tf")
    render_all(template_diagnostics, {"x.tf": source}, colour=False)
