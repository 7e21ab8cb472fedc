"""Configuration written for imported objects, and values written as expressions."""

import pytest

from terrarium.engine.addresses import Instance
from terrarium.engine.builtin_functions import call
from terrarium.engine.generating import file_text, parsed, resource_text
from terrarium.engine.provider import Attribute, Block, NestedBlock, Nesting
from terrarium.language.types import BOOL, NUMBER, STRING, List
from terrarium.language.values import Value, boolean, list_of, number, object_of, string, tuple_of

ADDRESS = Instance((), "managed", "test_thing", "x", None)
INNER = Block(attributes={"on": Attribute(BOOL, optional=True)})
SCHEMA = Block(
    attributes={
        "id": Attribute(STRING, optional=True, computed=True),
        "arn": Attribute(STRING, computed=True),
        "name": Attribute(STRING, required=True),
        "note": Attribute(STRING, optional=True),
        "old": Attribute(STRING, optional=True, deprecated=True),
        "policy": Attribute(STRING, optional=True),
        "secret": Attribute(STRING, optional=True, sensitive=True),
        "sizes": Attribute(List(NUMBER), optional=True),
    },
    blocks={"rule": NestedBlock(INNER, Nesting.LIST)},
)
OBJECT = object_of(
    {
        "id": string("i-1"),
        "arn": string("arn"),
        "name": string("a ${b}"),
        "note": string(""),
        "old": string("x"),
        "policy": string('{"b":[1,true],"a":"x"}'),
        "secret": string("s"),
        "sizes": list_of(NUMBER, [number(1), number(2)]),
        "rule": tuple_of([object_of({"on": boolean(True)}), object_of({"on": boolean(False)})]),
    }
)
TEXT = """resource "test_thing" "x" {
  name = "a $${b}"
  note = null
  policy = jsonencode({
    a = "x"
    b = [1, true]
  })
  secret = null # sensitive
  sizes  = [1, 2]
  rule {
    on = true
  }
  rule {
    on = false
  }
}"""


def test_resource() -> None:
    assert resource_text(ADDRESS, SCHEMA, OBJECT) == TEXT


def test_it_can_be_read_back() -> None:
    assert set(parsed(ADDRESS, TEXT).body.attributes) == {"name", "note", "policy", "secret", "sizes"}


def test_file() -> None:
    assert file_text([(TEXT, "i-1")]).endswith(f'\n# __generated__ by Terraform from "i-1"\n{TEXT}\n')


@pytest.mark.parametrize(
    "function, argument, result",
    [
        pytest.param("encode_expr", tuple_of([string('a"b'), number(1)]), string('["a\\"b", 1]'), id="expression"),
        pytest.param("encode_tfvars", object_of({"a": number(1), "bc": boolean(True)}), string("a  = 1\nbc = true\n"), id="encode"),
        pytest.param("decode_tfvars", string("a = 1\nb = [true]\n"), object_of({"a": number(1), "b": tuple_of([boolean(True)])}), id="decode"),
    ],
)  # fmt: skip
def test_functions(function: str, argument: Value, result: Value) -> None:
    assert call(function, [argument]).value == result


@pytest.mark.parametrize(
    "function, argument, words",
    [
        pytest.param("decode_tfvars", string("a = "), "invalid tfvars syntax", id="syntax"),
        pytest.param("encode_tfvars", string("a"), "must be an object", id="no object"),
        pytest.param("encode_tfvars", object_of({"a b": number(1)}), "invalid variable name", id="no name"),
    ],
)
def test_refusals(function: str, argument: Value, words: str) -> None:
    (problem,) = call(function, [argument]).diagnostics
    assert words in problem.detail
