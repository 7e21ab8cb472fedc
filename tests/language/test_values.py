"""Conversion, unification, printing and JSON, on made-up values; and the numbers of cty beside exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from terrarium.language import json_values, numbers, parser, printing
from terrarium.language import type_expressions as types
from terrarium.language.convert import ConversionError, conversion, convert, format_path, unify
from terrarium.language.evaluate import equals, evaluate
from terrarium.language.functions import MODULES, table
from terrarium.language.scope import Scope
from terrarium.language.text import nfc
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import (
    Value,
    boolean,
    list_of,
    map_of,
    null,
    number,
    object_of,
    set_of,
    string,
    tuple_of,
)

names = st.text("abcxyz_é", min_size=1, max_size=3).map(nfc)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(nfc)
primitives = st.one_of(
    texts.map(string),
    st.integers(-(10**20), 10**20).map(number),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, max_value=10**6, min_value=-(10**6)).map(
        lambda d: Value(NUMBER, numbers.parse(str(d)))
    ),
    st.booleans().map(boolean),
    st.sampled_from([null(STRING), null(NUMBER), null()]),
)
values = st.recursive(
    primitives,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple_of),
        st.dictionaries(names, inner, max_size=3).map(object_of),
        st.lists(texts.map(string), max_size=3).map(lambda v: list_of(STRING, v)),
        st.lists(texts.map(string), max_size=3).map(lambda v: set_of(STRING, v)),
        st.dictionaries(names, texts.map(string), max_size=3).map(lambda v: map_of(STRING, v)),
    ),
    max_leaves=8,
)
some_types = st.recursive(
    st.sampled_from([STRING, NUMBER, BOOL, DYNAMIC]),
    lambda inner: st.one_of(
        inner.map(List),
        inner.map(Set),
        inner.map(Map),
        st.lists(inner, max_size=3).map(lambda t: Tuple(tuple(t))),
        st.dictionaries(names, inner, max_size=3).map(Object),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(values, some_types)
def test_conversion_gives_the_type_and_is_idempotent(value: Value, wanted: Type) -> None:
    try:
        made = convert(value, wanted)
    except ConversionError as wrong:
        assert wrong.message
        return
    if not wanted.has_dynamic():
        assert made.type == wanted
    again = convert(made, wanted)
    assert again.type == made.type
    assert again == made


@settings(max_examples=150, deadline=None)
@given(st.lists(some_types, min_size=1, max_size=4))
def test_unification_converts_all_and_minds_no_order(given_types: list[Type]) -> None:
    found = unify(given_types)
    if found is None:
        return
    common, changes = found
    assert len(changes) == len(given_types)
    assert all(t == common or DYNAMIC in (t, common) or conversion(t, common) is not None for t in given_types)


@settings(max_examples=150, deadline=None)
@given(values)
def test_what_is_printed_can_be_read(value: Value) -> None:
    expression, wrong = parser.parse_expression(printing.hcl(value), "t")
    assert not wrong
    read, wrong = evaluate(expression, Scope({}))
    assert not wrong
    assert json_values.encode(read) == json_values.encode(value)


@settings(max_examples=150, deadline=None)
@given(values)
def test_json_round_trip(value: Value) -> None:
    data = json_values.loads(json_values.dumps(json_values.to_json(value, value.type)))
    assert json_values.from_json(data, value.type) == value
    wrapped = json_values.to_json(value, DYNAMIC)
    if value.type != DYNAMIC:
        assert json_values.from_json(wrapped, DYNAMIC) == value


@settings(max_examples=100, deadline=None)
@given(some_types)
def test_types_as_json_and_as_text(type: Type) -> None:
    assert types.from_json(types.to_json(type)) == type
    expression, wrong = parser.parse_expression(types.to_text(type), "t")
    if not wrong:
        assert types.parse_type(expression)[::2] == (type, [])


@settings(max_examples=100, deadline=None)
@given(values)
def test_equal_to_itself(value: Value) -> None:
    assert equals(value, value).data is True


def _is_power_of_two(size: Fraction) -> bool:
    """There Go's big.Float takes the lower neighbour for as far away as the upper one, and prints a digit too few."""
    return size != 0 and size.numerator & (size.numerator - 1) == 0 and size.denominator & (size.denominator - 1) == 0


def test_a_power_of_two_prints_as_in_terraform() -> None:
    assert numbers.to_text(numbers.from_float(2.0**-24)) == "0.00000005960464477539062"


@settings(max_examples=200, deadline=None)
@given(st.fractions(), st.sampled_from([53, 64, 512]))
def test_rounding_and_shortest_text(value: Fraction, bits: int) -> None:
    made = numbers.rounded(value, bits)
    assert not isinstance(made, float)
    error = abs(Fraction(made) - value)
    assert error <= abs(value) / (1 << bits)
    assume(not _is_power_of_two(abs(Fraction(made))))
    again = numbers.parse(numbers.to_text(made))
    assert again is not None and not isinstance(again, float)
    assert numbers.rounded(again, bits) == made


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_print_as_briefly_as_python_does(value: float) -> None:
    assume(not _is_power_of_two(abs(Fraction(value))))
    text = numbers.to_text(numbers.from_float(value))
    assert float(text) == value
    assert len(text.strip("-0.")) <= len(format(value, ".17g").strip("-0."))


@pytest.mark.parametrize(
    "given_type, wanted, message, path",
    [
        (string("x"), NUMBER, "a number is required", ""),
        (string("True"), BOOL, 'a bool is required; to convert from string, use lowercase "true"', ""),
        (object_of({"a": string("x")}), Object({"a": NUMBER}), "a number is required", ".a"),
        (object_of({}), Object({"a": NUMBER, "b": STRING}), 'attributes "a" and "b" are required', ""),
        (tuple_of([tuple_of([])]), List(STRING), "element 0: string required", ""),
        (tuple_of([string("x")]), List(NUMBER), "a number is required", "[0]"),
        (map_of(STRING, {"k": string("x")}), Map(NUMBER), "a number is required", '["k"]'),
        (number(1), List(DYNAMIC), "list of any single type required", ""),
        (tuple_of([number(1), tuple_of([])]), List(DYNAMIC), "all list elements must have the same type", ""),
    ],
)
def test_refusals(given_type: Value, wanted: Type, message: str, path: str) -> None:
    with pytest.raises(ConversionError) as caught:
        convert(given_type, wanted)
    assert (caught.value.message, format_path(caught.value.path)) == (message, path)


@pytest.mark.parametrize(
    "text, summary",
    [
        ("strin", "Invalid type specification"),
        ("list", "Invalid type specification"),
        ("list(string, number)", "Invalid type specification"),
        ("string(1)", "Invalid type specification"),
        ("optional(string)", "Invalid type specification"),
        ("object({ a = optional() })", "Invalid type specification"),
        ("object({ a = string, a = number })", "Invalid type specification"),
        ("object([])", "Invalid type specification"),
        ("tuple({})", "Invalid type specification"),
        ('object({ a = optional(number, "x") })', "Invalid default value for optional attribute"),
        ("1", "Invalid type specification"),
    ],
)
def test_bad_types(text: str, summary: str) -> None:
    expression, _ = parser.parse_expression(text, "t")
    _, _, wrong = types.parse_type(expression)
    assert [d.summary for d in wrong] == [summary]


def test_defaults_are_filled_in_at_every_depth() -> None:
    text = 'object({ a = optional(string, "x"), l = list(object({ n = optional(number, 1) })), o = optional(bool) })'
    wanted, defaults, wrong = types.parse_type(parser.parse_expression(text, "t")[0])
    assert not wrong
    value, _ = evaluate(parser.parse_expression("{ l = [{}, { n = 2 }, { n = null }] }", "t")[0], Scope({}))
    made = convert(types.apply_defaults(value, defaults), wanted)
    assert json_values.encode(made) == '{"a":"x","l":[{"n":1},{"n":2},{"n":1}],"o":null}'


def test_every_function_is_where_the_index_says() -> None:
    known = table()
    for module, listed in MODULES.items():
        found = __import__(f"terrarium.language.functions.{module}", fromlist=["FUNCTIONS"]).FUNCTIONS
        assert sorted(found) == sorted(listed.split())
    assert all(known[name].parameters is not None for name in known)
    assert "type" in table(console=True) and "type" not in known
