"""The expression language: values, types and their errors, optionals, Kubernetes' functions, costs."""

from __future__ import annotations

from typing import Any

import pytest

from terrarium.kube.api import cel
from terrarium.kube.api.cel import cost, schemas
from terrarium.kube.api.cel.types import DYN, INT, STRING, Type, list_of, map_of, object_of, optional_of

SELF = object_of("object", {"a": INT, "s": STRING, "l": list_of(STRING), "m": map_of(STRING, INT), "o": DYN})
TYPES: dict[str, Type] = {"self": SELF, "object": DYN, "old": optional_of(STRING)}
VALUES: dict[str, Any] = {
    "self": {"a": 3, "s": "abc", "l": ["k8s-a", "k8s-b"], "m": {"x": 1, "y": 2}, "o": {"n": None}},
    "object": {"a": 1, "data": {}},
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("2 > 1.5 && 1u < 2", True),
        ("'a' + 'b' == \"ab\"", True),
        (r"r'\n'.size()", 2),
        (r"'\u00e9\n'.size()", 2),
        ("b'\\xff'.size()", 1),
        ("self.a > 2 ? 'big' : 'small'", "big"),
        ("has(self.s) && !has(self.o.q)", True),
        ("self.l.all(x, x.startsWith('k8s-'))", True),
        ("self.l.exists_one(x, x == 'k8s-a')", True),
        ("self.l.map(x, x.size())", [5, 5]),
        ("self.l.filter(x, x.endsWith('b'))", ["k8s-b"]),
        ("self.m.all(k, self.m[k] > 0)", True),
        ("self.m.transformList(k, v, v * 2)", [2, 4]),
        ("self.m.transformMap(k, v, v > 1, v)", {"y": 2}),
        ("[1, 2].exists(i, v, i + 1 == v)", True),
        ("'k8s-a' in self.l && 'x' in self.m", True),
        ("self.?s.orValue('none')", "abc"),
        ("object.?data.?nope.orValue('none')", "none"),
        ("object[?'data'].hasValue()", True),
        ("optional.of(3).optMap(x, x + 1).value()", 4),
        ("object.a == 1.0", True),
        ("type(self.a) == int", True),
        ("string(1.5) + string(true) + string(3u)", "1.5true3"),
        ("int('42') + int(2.9)", 44),
        ("duration('1h30m').getMinutes()", 90),
        ("timestamp('2024-02-29T12:00:00Z').getDayOfYear()", 59),
        ("timestamp('2024-01-01T00:00:00Z') + duration('36h') == timestamp('2024-01-02T12:00:00Z')", True),
        ("false && 1 / 0 > 0", False),
        ("1 / 0 > 0 || true", True),
        ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
        ("['a', 'b'].join('-').upperAscii()", "A-B"),
        ("'hello'.substring(1, 3) + 'x'.replace('x', 'y')", "ely"),
        ("[3, 1, 2].max() + [3, 1].min() + [1, 2].sum()", 7),
        ("[1, 2].isSorted() && [1, 2, 1].lastIndexOf(1) == 2", True),
        ("'abc 123'.find('[0-9]+')", "123"),
        ("'a1b2'.findAll('[0-9]', 1)", ["1"]),
        ("'abc'.matches('^[[:alpha:]]+$')", True),
        ("sets.contains([1, 2], [2]) && !sets.intersects([1], [2])", True),
        ("url('https://a.example.com:80/p?q=1').getHostname()", "a.example.com"),
        ("isURL('nope')", False),
        ("quantity('1Gi').isGreaterThan(quantity('1000M'))", True),
        ("quantity('1.5').add(1).compareTo(quantity('2500m'))", 0),
        ("ip('10.0.0.1').family() == 4 && !isIP('10.0.0.256')", True),
        ("cidr('10.0.0.0/8').containsIP('10.2.3.4')", True),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", True),
        ("semver('1.10.0').isGreaterThan(semver('1.9.9')) && !isSemver('1.0')", True),
        ("semver('v1.0', true).minor()", 0),
        ("format.dns1123Label().validate('a').hasValue()", False),
        ("format.named('nope').hasValue()", False),
    ],
)
def test_value(expression: str, value: Any) -> None:
    found, _ = cel.compile(expression, TYPES).run(VALUES)
    assert found == value


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("object.data.nope == '1'", "no such key: nope"),
        ("self.l[5]", "index out of bounds: 5"),
        ("1 / (self.a - 3)", "division by zero"),
        ("9223372036854775807 + self.a", "integer overflow"),
        ("object.a.startsWith('x')", "no such overload"),
        ("old.value()", "no such attribute(s): old"),
        ("optional.none().value()", "optional.none() dereference"),
        (
            "quantity('x')",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("timestamp(self.s)", 'parsing time "abc" as "2006-01-02T15:04:05Z07:00": cannot parse "abc" as "2006"'),
    ],
)
def test_failure(expression: str, error: str) -> None:
    with pytest.raises(cel.EvalError) as failed:
        cel.compile(expression, TYPES).run(VALUES)
    assert str(failed.value) == error


START = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


@pytest.mark.parametrize(
    ("expression", "at", "error"),
    [
        ("'a' + 1 == 2", 5, "found no matching overload for '_+_' applied to '(string, int)'"),
        ("foo.bar", 1, "undeclared reference to 'foo' (in container '')"),
        ("self.nope > 5", 5, "undefined field 'nope'"),
        ("self.a >", 9, f"Syntax error: mismatched input '<EOF>' expecting {START}"),
        ("object.", 8, "Syntax error: no viable alternative at input '.'"),
        ("size(self.s", 12, "Syntax error: missing ')' at '<EOF>'"),
        ("self.a self", 8, "Syntax error: extraneous input 'self' expecting <EOF>"),
        ("1 == 1.0", 3, "found no matching overload for '_==_' applied to '(int, double)'"),
        ("[1, 'a']", 5, "expected type 'int' but found 'string'"),
        ("self.s.nope()", 12, "undeclared reference to 'nope' (in container '')"),
        ("self.a.startsWith('x')", 18, "found no matching overload for 'startsWith' applied to 'int.(string)'"),
        (
            "self.a.all(x, x)",
            5,
            "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("self.l.all(x, x)", 11, "found no matching overload for '_&&_' applied to '(bool, string)'"),
        ("has(self)", 5, "invalid argument to has() macro"),
        ("self.s.matches('(')", 16, "invalid matches argument"),
        ("while", 1, "reserved identifier: while"),
    ],
)
def test_refused(expression: str, at: int, error: str) -> None:
    with pytest.raises(cel.CompileError) as refused:
        cel.compile(expression, TYPES)
    first = refused.value.problems[0]
    assert (first.at + 1, first.message) == (at, error)
    shown = f"ERROR: <input>:1:{at}: {error}\n | {expression}\n | {'.' * (at - 1)}^"
    assert str(refused.value).startswith(shown)


def test_all_mistakes_are_told() -> None:
    with pytest.raises(cel.CompileError) as refused:
        cel.compile("nope1 ||\nnope2", TYPES)
    assert str(refused.value) == (
        "ERROR: <input>:1:1: undeclared reference to 'nope1' (in container '')\n | nope1 ||\n | ^\n"
        "ERROR: <input>:2:1: undeclared reference to 'nope2' (in container '')\n | nope2\n | ^"
    )


def test_costs_are_limited() -> None:
    program = cel.compile("self.l.all(x, self.l.all(y, self.l.all(z, x != y || y != z || true)))", TYPES)
    with pytest.raises(cel.CostError, match="actual cost limit exceeded"):
        program.run({"self": {"l": ["a"] * 200}})


@pytest.mark.parametrize(
    ("schema", "rule", "dear"),
    [
        pytest.param({"type": "string", "maxLength": 10}, "self == 'x'", False, id="a short text"),
        pytest.param(
            {"type": "array", "items": {"type": "string"}}, "self.all(x, self.all(y, x == y))", True, id="squared"
        ),
        pytest.param(
            {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 5}},
            "self.all(x, self.all(y, x == y))",
            False,
            id="squared but few",
        ),
        pytest.param({"type": "integer"}, "string(self) + 'x' != ''", True, id="a size nobody knows"),
    ],
)
def test_costs_are_foreseen(schema: dict[str, Any], rule: str, dear: bool) -> None:
    program = cel.compile(rule, {"self": schemas.type_of(schema)})
    sizes = cost.sizes_of(schema, schemas.largest, schemas.escaped)
    assert (cost.estimate(program.node, program.types, sizes) > 10_000_000) is dear


def test_values_of_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a-b": {"type": "string"},
            "namespace": {"type": "string"},
            "when": {"type": "string", "format": "date-time"},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "port": {"x-kubernetes-int-or-string": True},
        },
    }
    value = {"a-b": "1", "namespace": "n", "when": "2024-01-01T00:00:00Z", "set": ["x", "y"], "port": 80, "gone": 1}
    own = {"self": schemas.type_of(schema)}
    rule = "self.a__dash__b == '1' && self.__namespace__ == 'n' && self.when.getFullYear() == 2024"
    rule += " && self.set == ['y', 'x'] && self.port == 80"
    assert cel.compile(rule, own).run({"self": schemas.value_of(value, schema)})[0] is True
