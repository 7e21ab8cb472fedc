"""A whole custom object: its schema, embedded resources, lists of type set and map, and last the rules in CEL."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from terrarium.kube.api import gotext
from terrarium.kube.api.kinds import FieldError, Obj
from terrarium.kube.api.structural.pruning import EMBEDDED
from terrarium.kube.api.structural.rules import Rules, compile_rules, run_rules
from terrarium.kube.api.structural.values import ABSENT, validate

Schema = Mapping[str, Any]
_BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
_UNCHECKED = FieldError(
    "FieldValueInvalid",
    "<nil>",
    'Invalid value: "null": some validation rules were not checked because the object was invalid; '
    "correct the existing errors to complete validation",
)


class Structure:
    """A version's schema, ready to check objects."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    @cached_property
    def rules(self) -> Rules | None:
        return compile_rules(self.schema)

    def check(self, obj: Obj, old: Obj | None = None) -> list[FieldError]:
        """All that is wrong with an object, in kube-apiserver's order."""
        before = ABSENT if old is None else old
        errors = validate(obj, self.schema, old=before)
        errors += _embedded(obj, self.schema, "", root=True)
        if old is None or not _lists(old, self.schema, ""):
            errors += _lists(obj, self.schema, "")
        if self.rules is None:
            return errors
        if any(error.reason in _BLOCKING for error in errors):
            return [*errors, _UNCHECKED]
        return errors + run_rules(self.rules, obj, before)


def _embedded(value: Any, schema: Schema, path: str, *, root: bool = False) -> list[FieldError]:
    """Embedded resources have an apiVersion and a kind."""
    found: list[FieldError] = []
    if isinstance(value, dict):
        if schema.get(EMBEDDED) and not root:
            for name in ("apiVersion", "kind"):
                if not value.get(name):
                    found.append(
                        FieldError("FieldValueRequired", f"{path}.{name}", "Required value: must not be empty")
                    )
        for key, inner, where in _children(value, schema, path):
            found += _embedded(value[key], inner, where)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(value):
            found += _embedded(item, schema["items"], f"{path}[{index}]")
    return found


def _children(value: Mapping[str, Any], schema: Schema, path: str) -> list[tuple[str, Schema, str]]:
    properties: Schema = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    found = []
    for key in value:
        if key in properties:
            found.append((key, properties[key], f"{path}.{key}" if path else key))
        elif isinstance(extra, Mapping):
            found.append((key, extra, f"{path}[{key}]"))
    return found


def _lists(value: Any, schema: Schema, path: str) -> list[FieldError]:
    """Items of sets differ, and so do the keys of items of keyed lists."""
    found: list[FieldError] = []
    if isinstance(value, dict):
        for key, inner, where in _children(value, schema, path):
            found += _lists(value[key], inner, where)
    elif isinstance(value, list):
        form = schema.get("x-kubernetes-list-type")
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if form == "map" else ()
        seen: list[Any] = []
        for index, item in enumerate(value if form in ("set", "map") else ()):
            mark = {k: item[k] for k in keys if k in item} if keys and isinstance(item, dict) else item
            if mark in seen:
                text = f"Duplicate value: {gotext.value(mark)}"
                found.append(FieldError("FieldValueDuplicate", f"{path}[{index}]", text))
            seen.append(mark)
        if isinstance(items := schema.get("items"), Mapping):
            for index, item in enumerate(value):
                found += _lists(item, items, f"{path}[{index}]")
    return found
