"""Custom objects by their schema: what is refused, what an update is forgiven, and rules; and schemas themselves."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from terrarium.kube.api.builtin import registry
from terrarium.kube.api.kinds import Context
from terrarium.kube.api.structural import Structure, default, prune

Schema = dict[str, Any]
NULL = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"


def spec(**properties: Schema) -> Schema:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def told(schema: Schema, new: Any, old: Any = None) -> list[tuple[str, str]]:
    def whole(value: Any) -> Any:
        return {"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "x"}, "spec": value}

    found = Structure(schema).check(whole(new), None if old is None else whole(old))
    return [(error.field, error.message) for error in found]


S = {"type": "string"}
I = {"type": "integer"}  # noqa: E741


@pytest.mark.parametrize(
    ("schema", "value", "errors"),
    [
        (S, 1, [("spec.f", 'Invalid value: "integer": spec.f in body must be of type string: "integer"')]),
        ({**S, "maxLength": 2}, "éèà", [("spec.f", "Too long: may not be more than 2 bytes")]),
        ({**S, "maxLength": 2}, "éè", []),
        ({**S, "minLength": 1}, "", [("spec.f", 'Invalid value: "": spec.f in body should be at least 1 chars long')]),
        (
            {**S, "pattern": "^[[:lower:]]+$"},
            "ab\n",
            [("spec.f", "Invalid value: \"ab\\n\": spec.f in body should match '^[[:lower:]]+$'")],
        ),
        ({**S, "enum": ["a", "b"]}, "c", [("spec.f", 'Unsupported value: "c": supported values: "a", "b"')]),
        (
            {**S, "format": "ipv4"},
            "1.2.3",
            [("spec.f", 'Invalid value: "1.2.3": spec.f in body must be of type ipv4: "1.2.3"')],
        ),
        ({**S, "format": "who-knows"}, "x", []),
        ({**S, "format": "duration"}, "1h30m", []),
        (I, 2.0, []),
        (I, 2.5, [("spec.f", 'Invalid value: "number": spec.f in body must be of type integer: "number"')]),
        ({**I, "multipleOf": 3}, 4, [("spec.f", "Invalid value: 4: spec.f in body should be a multiple of 3")]),
        (
            {**I, "minimum": 1, "exclusiveMinimum": True},
            1,
            [("spec.f", "Invalid value: 1: spec.f in body should be greater than 1")],
        ),
        (
            {"type": "array", "items": S, "minItems": 1},
            [],
            [("spec.f", "Invalid value: 0: spec.f in body should have at least 1 items")],
        ),
        (
            {"type": "array", "items": S, "maxItems": 1},
            ["a", "b"],
            [("spec.f", "Too many: 2: must have at most 1 items")],
        ),
        (
            {"type": "array", "items": S, "x-kubernetes-list-type": "set"},
            ["a", "b", "a"],
            [("spec.f[2]", 'Duplicate value: "a"')],
        ),
        (
            {
                "type": "array",
                "items": {"type": "object", "properties": {"k": S, "v": I}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
            },
            [{"k": "a", "v": 1}, {"k": "a", "v": 2}],
            [("spec.f[1]", 'Duplicate value: map[string]interface {}{"k":"a"}')],
        ),
        (
            {"type": "object", "required": ["a"], "additionalProperties": I},
            {"b": "x"},
            [
                ("spec.f.a", "Required value"),
                ("spec.f.b", 'Invalid value: "string": spec.f.b in body must be of type integer: "string"'),
            ],
        ),
        (
            {"type": "object", "properties": {"a": S, "b": S}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": "1", "b": "2"},
            [
                (
                    "<nil>",
                    'Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives',
                )
            ],
        ),
        (
            {"type": "object", "properties": {"a": S}, "not": {"required": ["a"]}},
            {"a": "1"},
            [("<nil>", 'Invalid value: "": "spec.f" must not validate the schema (not)')],
        ),
        ({"x-kubernetes-int-or-string": True}, "80", []),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            [("spec.f", 'Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean"')],
        ),
        ({**S, "nullable": True}, None, []),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
            {"kind": "Pod"},
            [("spec.f.apiVersion", "Required value: must not be empty")],
        ),
    ],
)
def test_values(schema: Schema, value: Any, errors: list[tuple[str, str]]) -> None:
    assert told(spec(f=schema), {"f": value}) == errors


def rule(text: str, **more: Any) -> dict[str, Any]:
    return {"rule": text, **more}


@pytest.mark.parametrize(
    ("schema", "new", "old", "errors"),
    [
        pytest.param(
            {**I, "x-kubernetes-validations": [rule("self > 3", message="small")]},
            2,
            None,
            [("spec.f", 'Invalid value: "integer": small')],
            id="message",
        ),
        pytest.param(
            {**I, "x-kubernetes-validations": [rule("self > 3", messageExpression="'got ' + string(self)")]},
            2,
            None,
            [("spec.f", 'Invalid value: "integer": got 2')],
            id="message expression",
        ),
        pytest.param(
            {**I, "x-kubernetes-validations": [rule("self > 3", reason="FieldValueForbidden")]},
            2,
            None,
            [("spec.f", "Forbidden: failed rule: self > 3")],
            id="reason",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": I},
                "x-kubernetes-validations": [rule("self.a > 3", fieldPath=".a", message="m")],
            },
            {"a": 1},
            None,
            [("spec.f.a", 'Invalid value: "object": m')],
            id="place",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": I}, "x-kubernetes-validations": [rule("self.a > 3", message="m")]},
            {},
            None,
            [("spec.f", 'Invalid value: "object": no such key: a evaluating rule: m')],
            id="can't be evaluated",
        ),
        pytest.param(
            {**S, "x-kubernetes-validations": [rule("self == oldSelf", message="fixed")]},
            "a",
            None,
            [],
            id="nothing was there",
        ),
        pytest.param(
            {**S, "x-kubernetes-validations": [rule("self == oldSelf", message="fixed")]},
            "a",
            "b",
            [("spec.f", 'Invalid value: "string": fixed')],
            id="it was something else",
        ),
        pytest.param(
            {**S, "x-kubernetes-validations": [rule("!oldSelf.hasValue()", optionalOldSelf=True, message="once")]},
            "a",
            "a",
            [("spec.f", 'Invalid value: "string": once')],
            id="it may have been something",
        ),
        pytest.param(
            {**S, "x-kubernetes-validations": [rule("self == 'x'", message="m")]},
            "a",
            "a",
            [],
            id="unchanged is forgiven",
        ),
        pytest.param({**S, "maxLength": 1}, "long", "long", [], id="an old fault is forgiven"),
        pytest.param(
            {**S, "maxLength": 1, "x-kubernetes-validations": [rule("false")]},
            "long",
            None,
            [("spec.f", "Too long: may not be more than 1 bytes"), ("<nil>", f'Invalid value: "null": {NULL}')],
            id="rules wait for the schema",
        ),
        pytest.param(
            {
                "type": "object",
                "additionalProperties": {**I, "x-kubernetes-validations": [rule("self > 0", message="m")]},
            },
            {"a": 0},
            None,
            [("spec.f[a]", 'Invalid value: "integer": m')],
            id="keys",
        ),
    ],
)
def test_rules(schema: Schema, new: Any, old: Any, errors: list[tuple[str, str]]) -> None:
    assert told(spec(f=schema), {"f": new}, None if old is None else {"f": old}) == errors


def test_pruned_and_filled_in() -> None:
    schema = spec(
        a={**S, "default": "x"},
        o={"type": "object", "default": {}, "properties": {"n": {**I, "default": 3}}},
        free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    )
    obj: dict[str, Any] = {"kind": "K", "spec": {"a": None, "b": 1, "free": {"c": 2}}, "more": 1}
    assert sorted(prune(obj, schema)) == ["more", "spec.b"]
    default(obj, schema)
    assert obj == {"kind": "K", "spec": {"a": "x", "o": {"n": 3}, "free": {"c": 2}}}


AT = "spec.validation.openAPIV3Schema.properties[spec].properties[f]"


@pytest.mark.parametrize(
    ("schema", "errors"),
    [
        ({"$ref": "#/x"}, [(f"{AT}.$ref", "Forbidden: $ref is not supported")]),
        ({}, [(f"{AT}.type", "Required value: must not be empty for specified object fields")]),
        (
            {"type": "array"},
            [(f"{AT}.items", "Required value: must be specified")],
        ),
        (
            {"anyOf": [{"type": "string"}], "type": "string"},
            [(f"{AT}.anyOf[0].type", "Forbidden: must be empty to be structural")],
        ),
        (
            {"type": "object", "anyOf": [{"properties": {"a": {"minLength": 1}}}]},
            [(f"{AT}.properties[a]", f"Required value: because it is defined in {AT}.anyOf[0].properties[a]")],
        ),
        (
            {"type": "array", "items": S, "x-kubernetes-list-type": "map"},
            [
                (
                    f"{AT}.x-kubernetes-list-map-keys",
                    "Required value: must not be empty if x-kubernetes-list-type is map",
                ),
                (
                    f"{AT}.items.type",
                    'Invalid value: "string": must be object if parent array\'s x-kubernetes-list-type is map',
                ),
            ],
        ),
        (
            {"type": "object", "default": {"a": 1}},
            [(f"{AT}.default", 'Invalid value: map[string]interface {}{"a":1}: must not have unknown fields')],
        ),
        ({**S, "enum": ["a"], "default": "b"}, [(f"{AT}.default", 'Unsupported value: "b": supported values: "a"')]),
        (
            {**I, "x-kubernetes-validations": [{"rule": " "}]},
            [(f"{AT}.x-kubernetes-validations[0].rule", "Required value: rule is not specified")],
        ),
        (
            {**I, "x-kubernetes-validations": [{"rule": "self > 0", "fieldPath": ".x"}]},
            [(f"{AT}.x-kubernetes-validations[0].fieldPath", 'Invalid value: ".x": fieldPath must be a valid path')],
        ),
        (
            {"type": "array", "maxItems": 3, "items": {**I, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}},
            [
                (
                    f"{AT}.items.x-kubernetes-validations[0].rule",
                    f'Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within {AT}',
                )
            ],
        ),
    ],
)
def test_schemas(schema: Schema, errors: list[tuple[str, str]]) -> None:
    kind = registry(33).kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert kind is not None
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "xs.g.example.com"},
        "spec": {
            "group": "g.example.com",
            "scope": "Namespaced",
            "names": {"plural": "xs", "singular": "x", "kind": "X", "listKind": "XList"},
            "conversion": {"strategy": "None"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": spec(f=copy.deepcopy(schema))},
                }
            ],
        },
    }
    found = kind.strategy.validate(definition, Context(datetime(2026, 1, 1, tzinfo=UTC)))
    assert [(error.field, error.message) for error in found] == errors
