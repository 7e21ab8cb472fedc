"""Unknown values, marks, diagnostics with their places and explanations, and inputs that want too much."""

from __future__ import annotations

import pytest

from terrarium.base.diagnostics import Diagnostic
from terrarium.language import functions, parser
from terrarium.language.evaluate import evaluate, references, static_name
from terrarium.language.scope import Scope
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Object, Set, Tuple, Type
from terrarium.language.values import (
    DYNAMIC_UNKNOWN,
    EPHEMERAL,
    SENSITIVE,
    Unknown,
    Value,
    number,
    object_of,
    string,
    tuple_of,
)

NAMES = {
    "u": DYNAMIC_UNKNOWN,
    "s": Value(STRING, Unknown(not_null=True, prefix="ab-")),
    "n": Value(NUMBER, Unknown(not_null=True, lower=(1, True), upper=(5, True))),
    "maybe": Value(STRING, Unknown()),
    "l": Value(List(STRING), Unknown(not_null=True, min_length=2, max_length=3)),
    "o": Value(Object({"a": NUMBER}), Unknown()),
    "secret": string("x").marked(SENSITIVE),
    "brief": number(1).marked(EPHEMERAL),
    "secrets": tuple_of([number(1), number(2).marked(SENSITIVE)]),
    "var": object_of({"n": number(3), "secret": string("x").marked(SENSITIVE), "later": Value(STRING, Unknown())}),
}
SCOPE = Scope(NAMES, functions.table())


def run(text: str, scope: Scope = SCOPE) -> tuple[Value, list[Diagnostic]]:
    expression, wrong = parser.parse_expression(text, "t")
    assert not wrong
    return evaluate(expression, scope)


@pytest.mark.parametrize(
    "text, type, known",
    [
        ("u", DYNAMIC, Unknown()),
        ("u.x[0]", DYNAMIC, Unknown()),
        ("u + 1", NUMBER, Unknown(not_null=True)),
        ("u == 1", BOOL, Unknown(not_null=True)),
        ("[for x in u : x]", DYNAMIC, Unknown()),
        ('"pre-${maybe}"', STRING, Unknown(not_null=True, prefix="pre-")),
        ('"${s}x"', STRING, Unknown(not_null=True, prefix="ab-")),
        ("l[0]", STRING, Unknown()),
        ("l[*]", List(STRING), Unknown(not_null=True, min_length=2, max_length=3)),
        ("length(l)", NUMBER, Unknown(not_null=True, lower=(2, True), upper=(3, True))),
        ("toset(l)", Set(DYNAMIC), Unknown()),
        ("o.a", NUMBER, Unknown()),
        ("[o][*].a", Tuple((NUMBER,)), None),
        ("maybe == s", BOOL, Unknown(not_null=True)),
        ("u ? 1 : 2", NUMBER, Unknown(not_null=True, lower=(1, True), upper=(2, True))),
        ('u ? "a" : null', STRING, Unknown()),
        ("upper(maybe)", STRING, Unknown(not_null=True)),
        ("jsonencode([maybe])", STRING, Unknown(not_null=True, prefix="[")),
        ('format("a-%s", maybe)', STRING, Unknown(not_null=True, prefix="a-")),
        ("try(maybe, 1)", DYNAMIC, Unknown()),
        ("keys(u)", DYNAMIC, Unknown()),
    ],
)
def test_unknown(text: str, type: Type, known: Unknown | None) -> None:
    value, wrong = run(text)
    assert not wrong
    assert value.type == type
    if known is not None:
        assert value.data == known


@pytest.mark.parametrize(
    "text, answer",
    [
        ("s == null", False),
        ('s == "zz"', False),
        ("n < 10", True),
        ("n > 10", False),
        ("n == 7", False),
        ("l == tolist([])", False),
        ('startswith(s, "a")', True),
        ('startswith(s, "x")', False),
    ],
)
def test_what_is_certain_of_the_unknown(text: str, answer: bool) -> None:
    value, wrong = run(text)
    assert (value.data, wrong) == (answer, [])


@pytest.mark.parametrize(
    "text, own, deep",
    [
        ("secret", {SENSITIVE}, {SENSITIVE}),
        ('"a${secret}"', {SENSITIVE}, {SENSITIVE}),
        ("[secret]", set(), {SENSITIVE}),
        ("toset([secret])", {SENSITIVE}, {SENSITIVE}),
        ("secret == 1", {SENSITIVE}, {SENSITIVE}),
        ("secrets == []", {SENSITIVE}, {SENSITIVE}),
        ("brief + 1", {EPHEMERAL}, {EPHEMERAL}),
        ("true ? 1 : brief", {EPHEMERAL}, {EPHEMERAL}),
        ('secret == "x" ? brief : 2', {SENSITIVE, EPHEMERAL}, {SENSITIVE, EPHEMERAL}),
        ("{(secret) = 1}", {SENSITIVE}, {SENSITIVE}),
        ("[for x in secrets : x]", set(), {SENSITIVE}),
        ("[for x in secrets : 1 if x > 1]", {SENSITIVE}, {SENSITIVE}),
        ("[for x in sensitive([1]) : x]", {SENSITIVE}, {SENSITIVE}),
        ("length(secrets)", set(), set()),
        ("jsonencode(secrets)", {SENSITIVE}, {SENSITIVE}),
        ("upper(secret)", {SENSITIVE}, {SENSITIVE}),
        ("nonsensitive(secret)", set(), set()),
        ("ephemeralasnull([brief])", set(), set()),
        ("secrets[0]", set(), set()),
        ("sensitive(u)", {SENSITIVE}, {SENSITIVE}),
        ("!sensitive(true)", {SENSITIVE}, {SENSITIVE}),
    ],
)
def test_marks(text: str, own: set[str], deep: set[str]) -> None:
    value, wrong = run(text)
    assert not wrong
    assert (set(value.marks), set(value.marks_deep)) == (own, deep)


@pytest.mark.parametrize(
    "text, summary, subject, explained",
    [
        ('var.n + "a"', "Invalid operand", "t:1,9-12", ()),
        ("var.n.x", "Unsupported attribute", "t:1,6-8", (("var.n", "is 3"),)),
        ("upper(1, var.n)", "Too many function arguments", "t:1,10-15", (("var.n", "is 3"),)),
        ("upper()", "Not enough function arguments", "t:1,7-8", ()),
        ("nosuch(var.secret)", "Call to unknown function", "t:1,1-7", ()),
        ("tobool(var.n)", "Invalid function argument", "t:1,8-13", (("var.n", "is 3"),)),
        ("tobool(var.secret)", "Invalid function argument", "t:1,8-18", ()),
        ("var.later.x", "Unsupported attribute", "t:1,10-12", (("var.later", "is a string"),)),
        ("[for x in var.n : x]", "Iteration over non-iterable value", "t:1,11-16", (("var.n", "is 3"),)),
        ("true ? [] : {}", "Inconsistent conditional result types", "t:1,8-15", ()),
        ("{a.b = 1}", "Ambiguous attribute key", "t:1,2-5", ()),
        ("varr.n", "Unknown variable", "t:1,1-5", ()),
    ],
)
def test_mistakes(text: str, summary: str, subject: str, explained: tuple[tuple[str, str], ...]) -> None:
    value, (wrong,) = run(text)
    assert value == DYNAMIC_UNKNOWN
    assert (wrong.summary, str(wrong.subject), wrong.values) == (summary, subject, explained)


def test_both_operands_are_looked_at() -> None:
    _, wrong = run('"a" + "b"')
    assert [d.detail for d in wrong] == [
        "Unsuitable value for left operand: a number is required.",
        "Unsuitable value for right operand: a number is required.",
    ]


def test_nothing_allowed() -> None:
    assert run("a.b", Scope())[1][0].summary == "Variables not allowed"
    assert run("f(1)", Scope())[1][0].summary == "Function calls not allowed"


def test_references() -> None:
    text = '[for k, v in a.b : { c = v.x, (d) = k, e = "${f[0]}%{for g in h}${g}%{endfor}" }]'
    expression, _ = parser.parse_expression(text, "t")
    assert [t.text for t in references(expression)] == ["a.b", "d", "f[0]", "h"]


def test_static_name() -> None:
    names = [static_name(parser.parse_expression(text, "t")[0]) for text in ("all", "true", "null", "a.b", '"x"', "1")]
    assert names == ["all", "true", "null", None, None, None]


def test_long_chains_need_no_deep_stack() -> None:
    value, wrong = run(" + ".join(["1"] * 200))
    assert (value.data, wrong) == (200, [])


@pytest.mark.parametrize("text", ["(" * 200 + "1" + ")" * 200, "[" * 200 + "]" * 200])
def test_deep_nesting_ends_in_a_value_or_a_diagnostic(text: str) -> None:
    expression, wrong = parser.parse_expression(text, "t")
    value, more = evaluate(expression, SCOPE)
    assert wrong or more or value.is_known


def test_doubling_templates_end() -> None:
    value = string("x" * (1 << 20))
    template, _ = parser.parse_expression('"${a}${a}"', "t")
    for _ in range(12):
        value, wrong = evaluate(template, Scope({"a": value}))
        if wrong:
            assert wrong[0].summary == "Template result too long"
            return
    raise AssertionError("it went on and on")
