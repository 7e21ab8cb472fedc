"""Trees of right files, and files made to exhaust the parser."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from terrarium.base.source import Pos
from terrarium.language import json_syntax, nodes
from terrarium.language.bodies import AttributeSchema, BlockSchema, BodySchema, content, just_attributes
from terrarium.language.parser import parse, parse_expression, parse_template, parse_traversal


def show(e: Any) -> Any:
    """A tree as nested tuples, short enough to compare by eye."""
    match e:
        case nodes.Literal():
            return e.value.data
        case nodes.Template():
            return ("tpl", *map(show, e.parts))
        case nodes.TemplateWrap():
            return ("wrap", show(e.wrapped))
        case nodes.TemplateIf():
            return ("if", show(e.condition), show(e.then), show(e.otherwise))
        case nodes.TemplateFor():
            return ("for", e.key_name, e.value_name, show(e.collection), show(e.body))
        case nodes.Traversal():
            return ".".join([e.root, *(s.name if isinstance(s, nodes.Attr) else f"[{s.key.data}]" for s in e.steps)])
        case nodes.RelativeTraversal():
            return ("rel", show(e.of), *(s.name if isinstance(s, nodes.Attr) else s.key.data for s in e.steps))
        case nodes.IndexExpression():
            return ("index", show(e.collection), show(e.key))
        case nodes.Splat():
            return ("splat" if e.full else "asplat", show(e.of), show(e.each))
        case nodes.SplatItem():
            return "item"
        case nodes.Call():
            return (e.name, *map(show, e.arguments), *(["..."] if e.expand_final else []))
        case nodes.Unary():
            return (e.operator, show(e.operand))
        case nodes.Binary():
            return (show(e.left), e.operator, show(e.right))
        case nodes.Conditional():
            return ("?", show(e.condition), show(e.then), show(e.otherwise))
        case nodes.Parenthesised():
            return ("paren", show(e.inner))
        case nodes.TupleExpression():
            return list(map(show, e.items))
        case nodes.ObjectExpression():
            return {str(show(k)): show(v) for k, v in e.items}
        case nodes.ForExpression():
            return ("for", e.key_name, e.value_name, *map(show, (e.collection, e.key, e.value, e.condition)), e.group)
    return e


@pytest.mark.parametrize(
    "text, tree",
    [
        ("1 + 2 * 3 - 4", ((1, "+", (2, "*", 3)), "-", 4)),
        ("a || b && c == d", ("a", "||", ("b", "&&", ("c", "==", "d")))),
        ("-a + !b", (("-", "a"), "+", ("!", "b"))),
        ("a ? b : c ? d : e", ("?", "a", "b", ("?", "c", "d", "e"))),
        ("(a\n+ b)", ("paren", ("a", "+", "b"))),
        ("1.5e1", 15),
        ("0.25", Fraction(1, 4)),
        ('a.b[0].c["k"].0', "a.b.[0].c.[k].[0]"),
        ("a[b].c", ("rel", ("index", "a", "b"), "c")),
        ("a.*.b[0]", ("rel", ("asplat", "a", ("rel", "item", "b")), 0)),
        ("a[*].b[0]", ("splat", "a", ("rel", "item", "b", 0))),
        ("f(x, y...)", ("f", "x", "y", "...")),
        ("provider::aws::arn(x).y", ("rel", ("provider::aws::arn", "x"), "y")),
        ("[for k, v in m : v if k]", ("for", "k", "v", "m", None, "v", "k", False)),
        ("{for v in m : v => v...}", ("for", None, "v", "m", "v", "v", None, True)),
        ('{a = 1, (b) = 2, "c" : 3, true = 4}', {"a": 1, "('paren', 'b')": 2, "('tpl', 'c')": 3, "true": 4}),
        ('"${a}"', ("wrap", "a")),
        ('"x $${a} %%{b} $a 5%"', ("tpl", "x ${a} %{b} $a 5%")),
        ('"a\\n\\u00e9\\"${~ b ~}  c"', ("tpl", 'a\né"', "b", "c")),
        ('"%{ if a }x%{ else }y%{ endif }"', ("tpl", ("if", "a", ("tpl", "x"), ("tpl", "y")))),
        ('"%{ for v in l ~}  ${v},%{ endfor }"', ("tpl", ("for", None, "v", "l", ("tpl", "", "v", ",")))),
    ],
)
def test_expressions(text: str, tree: Any) -> None:
    expression, diagnostics = parse_expression(text, "x")
    assert not diagnostics
    assert show(expression) == tree


@pytest.mark.parametrize(
    "text, value",
    [
        ("a = <<E\n  x\n y\nE\n", "  x\n y\n"),
        ("a = <<-E\n    x\n\n      y\n  E\n", "x\n\n  y\n"),
        ("a = <<E\r\nx\r\nE\r\n", "x\r\n"),
        ("a = <<E\nE\n", ""),
    ],
)
def test_heredocs(text: str, value: str) -> None:
    file, diagnostics = parse(text, "x")
    assert not diagnostics
    assert show(file.body.attributes["a"].expression) == ("tpl", value)


def test_places_count_characters_as_readers_do() -> None:
    file, _ = parse('é = "🇩🇪" # x\nb = 日本.x\n', "x.tf")
    assert str(file.body.attributes["é"].range) == "x.tf:1,1-8"
    assert file.body.attributes["b"].expression.range.start == Pos(2, 5, 24)


def test_templates_and_traversals_alone() -> None:
    template, diagnostics = parse_template('a "${b}"', "x")
    assert not diagnostics
    assert show(template) == ("tpl", 'a "', "b", '"')
    traversal, diagnostics = parse_traversal('aws_vpc.a["k"].id', "x")
    assert not diagnostics
    assert show(traversal) == "aws_vpc.a.[k].id"
    assert [d.summary for d in parse_traversal("a[*]", "x")[1]] == ["Attribute name required"]


HOSTILE = {
    "brackets": "a = " + "[" * 100_000,
    "parentheses": "a = " + "(" * 100_000 + "1" + ")" * 100_000,
    "blocks": "a {\n" * 100_000,
    "operators": "a = " + "x+" * 50_000 + "x",
    "conditions": "a = " + "x?y:" * 50_000 + "z",
    "signs": "a = " + "-" * 100_000 + "1",
    "indices": "a = x" + "[y]" * 50_000,
    "splats": "a = x" + "[*]" * 50_000,
    "templates": "a = " + '"${' * 50_000,
    "directives": 'a = "' + "%{if x}" * 20_000 + '"',
    "heredocs": "a = <<E\n${<<E\n" * 20_000,
    "unclosed comments": "/*" * 100_000,
    "unclosed heredoc": "a = <<E\n" + "line\n" * 100_000,
    "redefined": "a=1\n" * 20_000,
    "zeros": "\0" * 100_000,
    "exponent": "a = 1e999999999\n",
}


@pytest.mark.parametrize("text", [pytest.param(t, id=n) for n, t in HOSTILE.items()])
def test_hostile_files_end_in_diagnostics(text: str) -> None:
    _, diagnostics = parse(text, "x.tf")
    assert 1 <= len(diagnostics) <= 2100


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '"' + "\\" * 100_001])
def test_hostile_json_ends_in_diagnostics(text: str) -> None:
    assert json_syntax.parse(text, "x.tf.json")[1]


SCHEMA = BodySchema(
    (AttributeSchema("name", required=True), AttributeSchema("size")),
    (BlockSchema("rule", ("type",)), BlockSchema("plain")),
)


@pytest.mark.parametrize(
    "native, as_json, summaries",
    [
        ('name = "x"\nrule "a" {}\nplain {}', '{"name": "x", "rule": {"a": {}}, "plain": {}}', []),
        ("", "{}", ["Missing required argument"]),
        ("name = 1\nsiz = 2", '{"name": 1, "siz": 2}', ["Unsupported argument"]),
        ("name = 1\nplan {}", '{"name": 1, "plan": {}}', ["Unsupported block type"]),
        ("name = 1\nrule {}", '{"name": 1, "rule": {}}', ["Missing type for rule"]),
        ('name = 1\nplain "x" {}', None, ["Extraneous label for plain"]),
    ],
)
def test_bodies_by_schema(native: str, as_json: str | None, summaries: list[str]) -> None:
    file, _ = parse(native, "x.tf")
    found, diagnostics = content(file.body, SCHEMA)
    assert [d.summary for d in diagnostics] == summaries
    if as_json is None:
        return
    twin, _ = json_syntax.parse(as_json, "x.tf.json")
    same, wrong = content(twin.body, SCHEMA)
    translated = {
        "Unsupported argument": "Extraneous JSON object property",
        "Unsupported block type": "Extraneous JSON object property",
        "Missing type for rule": "Missing block label",
    }
    assert [d.summary for d in wrong] == [translated.get(s, s) for s in summaries]
    assert set(same.attributes) == set(found.attributes)
    assert [(b.type, [x.text for x in b.labels]) for b in same.blocks] == [
        (b.type, [x.text for x in b.labels]) for b in found.blocks
    ]


def test_what_is_left_of_a_body() -> None:
    file, _ = parse("name = 1\nother = 2\nplain {}\nmore {}", "x.tf")
    part, diagnostics = content(file.body, SCHEMA, partial=True)
    assert not diagnostics
    rest, diagnostics = content(part.remain, BodySchema((AttributeSchema("other"),), (BlockSchema("more"),)))
    assert not diagnostics
    assert list(rest.attributes) == ["other"]
    assert [d.summary for d in just_attributes(file.body)[1]] == ['Unexpected "plain" block']


def test_json_values_are_expressions() -> None:
    text = '{"a": ["${b}", "x${c}", 1.5, null, true], "o": {"k${d}": "plain"}, "//": "comment"}'
    file, diagnostics = json_syntax.parse(text, "x.tf.json")
    assert not diagnostics
    attributes, diagnostics = just_attributes(file.body)
    assert not diagnostics
    assert set(attributes) == {"a", "o"}
    tree = show(attributes["a"].expression)
    assert tree[:3] == [("wrap", "b"), ("tpl", "x", "c"), Fraction(3, 2)]
    assert show(attributes["o"].expression) == {"('tpl', 'k', 'd')": ("tpl", "plain")}
