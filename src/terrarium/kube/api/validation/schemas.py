"""The OpenAPI schema of a custom resource: what may be in it, that it is structural, its defaults and its CEL rules.

The order is kube-apiserver's: what the OpenAPI document says, node by node; rules in CEL when that is right; then
structure (which says nothing of a document that could not be read as a structure); then defaults, when all else holds.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from terrarium.kube.api import gotext, regexes
from terrarium.kube.api.kinds import FieldError
from terrarium.kube.api.structural.pruning import EMBEDDED, PRESERVE, default, prune
from terrarium.kube.api.structural.values import validate
from terrarium.kube.api.validation import schema_rules
from terrarium.kube.api.validation.fields import Errors, Raw, items

Schema = Mapping[str, Any]
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COMBINED = ("allOf", "oneOf", "anyOf")
_LIST_TYPE, _LIST_KEYS, _MAP_TYPE = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_UNSUPPORTED: Mapping[str, str] = {
    "id": "id is not supported",
    "additionalItems": "additionalItems is not supported",
    "patternProperties": "patternProperties is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "$ref": "$ref is not supported",
}
_IN_LOGIC: Mapping[str, str] = {
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "type": "must be empty to be structural",
    "default": "must be undefined to be structural",
    "additionalProperties": "must be undefined to be structural",
    "nullable": "must be false to be structural",
    PRESERVE: "must be false to be structural",
    EMBEDDED: "must be false to be structural",
    _INT_OR_STRING: "must be false to be structural",
    _LIST_KEYS: "must be undefined to be structural",
    _LIST_TYPE: "must be undefined to be structural",
    _MAP_TYPE: "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}
"""Words that say what a value is: not allowed where values are only restricted (anyOf and its kin)."""
_EMPTY = {
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}


def whole(errors: Errors, schema: Schema, path: str) -> None:
    """All of an `openAPIV3Schema` at `path`."""
    before = len(errors)
    if schema.get("nullable"):
        errors.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    _document(errors, schema, path, root=True)
    if len(errors) == before:
        schema_rules.check(errors, schema, path)
    if _unreadable(schema):
        return
    structure = Errors()
    _structure(structure, schema, path, "root")
    if not structure:
        _completeness(structure, schema, path)
    if not structure:
        _defaults(structure, schema, path)
    errors.extend(structure)


# The document


def _document(errors: Errors, schema: Schema, path: str, *, root: bool = False) -> None:
    for word, text in _UNSUPPORTED.items():
        if schema.get(word):
            errors.forbidden(f"{path}.{word}", text)
    kind = schema.get("type") or ""
    if kind == "null":
        errors.forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    elif kind and kind not in _TYPES:
        errors.unsupported(f"{path}.type", kind, _TYPES)
    if isinstance(schema.get("items"), list):
        errors.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if schema.get("pattern"):
        _pattern(errors, schema["pattern"], f"{path}.pattern")
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.forbidden(f"{path}.uniqueItems", text)
    extra = schema.get("additionalProperties")
    if extra is not None:
        if root:
            errors.forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if schema.get("properties") and extra is not True:
            errors.forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
        if isinstance(extra, Mapping):
            _document(errors, extra, f"{path}.additionalProperties")
    for where, inner in _below(schema, path):
        _document(errors, inner, where)
    if schema.get(PRESERVE) is False:
        errors.invalid(f"{path}.{PRESERVE}", False, "must be true or undefined")
    _map_type(errors, schema, path)
    _list_type(errors, schema, path)


def _below(schema: Schema, path: str) -> list[tuple[str, Schema]]:
    found = [(f"{path}.properties[{k}]", v) for k, v in sorted((schema.get("properties") or {}).items())]
    if isinstance(schema.get("not"), Mapping):
        found.append((f"{path}.not", schema["not"]))
    for name in _COMBINED:
        found += [(where, part) for where, part in items(schema.get(name), f"{path}.{name}")]
    if isinstance(schema.get("items"), Mapping):
        found.append((f"{path}.items", schema["items"]))
    return found


def _pattern(errors: Errors, text: str, path: str) -> None:
    try:
        regexes.compiled(text)
    except re.error as wrong:
        missing = text.count("(") > text.count(")")
        told = f"missing closing ): `{text}`" if missing else f"{wrong.msg}: `{text}`"
        errors.invalid(path, text, f"must be a valid regular expression, but isn't: error parsing regexp: {told}")


def _typed(errors: Errors, schema: Schema, path: str, wanted: str, word: str) -> bool:
    """A word that only goes with one type."""
    kind = schema.get("type") or ""
    if kind == wanted:
        return True
    text = f"must be {wanted} if {word} is specified"
    if kind:
        errors.invalid(f"{path}.type", kind, text)
    else:
        errors.required(f"{path}.type", text)
    return False


def _map_type(errors: Errors, schema: Schema, path: str) -> None:
    form = schema.get(_MAP_TYPE)
    if form is None:
        return
    _typed(errors, schema, path, "object", _MAP_TYPE)
    if form not in ("atomic", "granular"):
        errors.unsupported(f"{path}.{_MAP_TYPE}", form, ("atomic", "granular"))


def _list_type(errors: Errors, schema: Schema, path: str) -> None:
    form, keys = schema.get(_LIST_TYPE), schema.get(_LIST_KEYS) or []
    if form is not None and _typed(errors, schema, path, "array", _LIST_TYPE):
        if form not in ("atomic", "map", "set"):
            errors.unsupported(f"{path}.{_LIST_TYPE}", form, ("atomic", "map", "set"))
        elif form == "set":
            _set_items(errors, schema.get("items"), f"{path}.items")
    if keys and form is None:
        errors.required(f"{path}.{_LIST_TYPE}", "must be map if x-kubernetes-list-map-keys is non-empty")
    elif keys and form != "map":
        errors.invalid(f"{path}.{_LIST_TYPE}", form, "must be map if x-kubernetes-list-map-keys is non-empty")
    if form == "map":
        _keys(errors, schema, keys, path)


def _set_items(errors: Errors, element: Any, path: str) -> None:
    if not isinstance(element, Mapping):
        return
    if element.get("nullable"):
        text = "cannot be nullable when x-kubernetes-list-type is set"
        errors.forbidden(f"{path}.nullable", text)
    match element.get("type"):
        case "array" if element.get(_LIST_TYPE) not in (None, "atomic"):
            text = "must be atomic as item of a list with x-kubernetes-list-type=set"
            errors.invalid(f"{path}.{_LIST_TYPE}", element[_LIST_TYPE], text)
        case "object" if element.get(_MAP_TYPE) != "atomic":
            text = "must be atomic as item of a list with x-kubernetes-list-type=set"
            if element.get(_MAP_TYPE) is None:
                errors.required(f"{path}.{_MAP_TYPE}", text)
            else:
                errors.invalid(f"{path}.{_MAP_TYPE}", element[_MAP_TYPE], text)


def _keys(errors: Errors, schema: Schema, keys: list[str], path: str) -> None:
    if not keys:
        errors.required(f"{path}.{_LIST_KEYS}", "must not be empty if x-kubernetes-list-type is map")
    element = schema.get("items")
    if element is None:
        errors.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if not isinstance(element, Mapping):
        return
    where = f"{path}.items"
    if element.get("nullable"):
        errors.forbidden(f"{where}.nullable", "cannot be nullable when x-kubernetes-list-type is map")
    if element.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        errors.invalid(f"{where}.type", element.get("type") or "", text)
        return
    properties = element.get("properties") or {}
    required = element.get("required") or ()
    for key in keys:
        held = properties.get(key)
        at = f"{where}.properties[{key}]"
        if held is None:
            shown = Raw(gotext.strings(keys))
            errors.invalid(f"{path}.{_LIST_KEYS}", shown, "entries must all be names of item properties")
            continue
        if held.get("type") in ("array", "object"):
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errors.invalid(f"{at}.type", held["type"], text)
        if "default" not in held and key not in required:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            errors.required(f"{at}.default", text)
        if held.get("nullable"):
            text = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            errors.forbidden(f"{at}.nullable", text)
    if len(set(keys)) < len(keys):
        shown = Raw(gotext.strings(keys))
        errors.invalid(f"{path}.{_LIST_KEYS}", shown, "map keys must be unique")


# Structure


def _unreadable(schema: Schema) -> bool:
    """Whether a document holds what no structure can: nothing is said of its structure then."""
    if any(schema.get(word) for word in _UNSUPPORTED) or isinstance(schema.get("items"), list):
        return True
    extra = schema.get("additionalProperties")
    parts = [part for _, part in _below(schema, "")] + ([extra] if isinstance(extra, Mapping) else [])
    return any(_unreadable(part) for part in parts if isinstance(part, Mapping))


def _structure(errors: Errors, schema: Schema, path: str, level: str) -> None:
    kind = schema.get("type") or ""
    if kind == "array" and schema.get("items") is None:
        errors.required(f"{path}.items", "must be specified")
    if isinstance(schema.get("items"), Mapping):
        _structure(errors, schema["items"], f"{path}.items", "item")
    for name in sorted(schema.get("properties") or {}):
        _structure(errors, schema["properties"][name], f"{path}.properties[{name}]", "field")
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        _structure(errors, extra, f"{path}.additionalProperties", "field")
    _extensions(errors, schema, path)
    _logic(errors, schema, path, free=bool(schema.get(_INT_OR_STRING)))
    embedded = bool(schema.get(EMBEDDED))
    if embedded and kind != "object":
        text = "must be object if x-kubernetes-embedded-resource is true"
        if kind:
            errors.invalid(f"{path}.type", kind, text)
        else:
            errors.required(f"{path}.type", text)
    elif not kind and level == "root":
        errors.required(f"{path}.type", "must not be empty at the root")
    elif not kind and not schema.get(_INT_OR_STRING) and not schema.get(PRESERVE):
        errors.required(f"{path}.type", _EMPTY[level])
    if embedded and extra is not None:
        errors.forbidden(f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set")
    if level == "root" and kind and kind != "object":
        errors.invalid(f"{path}.type", kind, "must be object at the root")
    if level == "root" or embedded:
        _type_meta(errors, schema.get("properties") or {}, path)
    if embedded and not schema.get(PRESERVE) and not schema.get("properties"):
        text = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        errors.required(f"{path}.properties", text)


def _type_meta(errors: Errors, properties: Schema, path: str) -> None:
    for name in ("kind", "apiVersion"):
        held = properties.get(name)
        if held is not None and held.get("type") != "string":
            errors.invalid(f"{path}.properties[{name}].type", held.get("type") or "", "must be string")
    meta = properties.get("metadata")
    if meta is None:
        return
    where = f"{path}.properties[metadata]"
    if meta.get("type") != "object":
        errors.invalid(f"{where}.type", meta.get("type") or "", "must be object")
    if (
        any(name not in ("name", "generateName") for name in meta.get("properties") or {})
        or "additionalProperties" in meta
    ):
        text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        errors.forbidden(where, text)


def _extensions(errors: Errors, schema: Schema, path: str) -> None:
    if not schema.get(_INT_OR_STRING):
        return
    text = "must be empty if x-kubernetes-int-or-string is true"
    if schema.get("type"):
        errors.invalid(f"{path}.type", schema["type"], text)
    if schema.get(PRESERVE):
        errors.invalid(f"{path}.{PRESERVE}", True, "must be false if x-kubernetes-int-or-string is true")


def _logic(errors: Errors, schema: Schema, path: str, *, free: bool) -> None:
    """Inside anyOf, oneOf, allOf and not; `free`: an int-or-string may name its two types in anyOf."""
    for name in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(schema.get(name) or ()):
            where = f"{path}.{name}[{index}]"
            twin = free and name == "anyOf" and [p.get("type") for p in schema[name]] == ["integer", "string"]
            _nested(errors, part, where, typed=twin, free=free and name == "allOf")
    if isinstance(schema.get("not"), Mapping):
        _nested(errors, schema["not"], f"{path}.not", typed=False, free=False)


def _nested(errors: Errors, schema: Schema, path: str, *, typed: bool, free: bool) -> None:
    _logic(errors, schema, path, free=free)
    if isinstance(schema.get("items"), Mapping):
        _nested(errors, schema["items"], f"{path}.items", typed=False, free=False)
    for name in sorted(schema.get("properties") or {}):
        _nested(errors, schema["properties"][name], f"{path}.properties[{name}]", typed=False, free=False)
    for word, text in _IN_LOGIC.items():
        if schema.get(word) and not (typed and word == "type"):
            errors.forbidden(f"{path}.{word}", text)


def _completeness(errors: Errors, schema: Schema, path: str) -> None:
    """What restrictions name must be specified outside of them."""
    for name in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(schema.get(name) or ()):
            _specified(errors, part, schema, f"{path}.{name}[{index}]", path)
    if isinstance(schema.get("not"), Mapping):
        _specified(errors, schema["not"], schema, f"{path}.not", path)
    for where, inner in _below({k: v for k, v in schema.items() if k in ("properties", "items")}, path):
        _completeness(errors, inner, where)
    if isinstance(schema.get("additionalProperties"), Mapping):
        _completeness(errors, schema["additionalProperties"], f"{path}.additionalProperties")


def _specified(errors: Errors, part: Schema, schema: Schema | None, path: str, outer: str) -> None:
    if schema is None:
        errors.required(outer, f"because it is defined in {path}")
        return
    if isinstance(part.get("items"), Mapping):
        held = schema.get("items")
        _specified(
            errors, part["items"], held if isinstance(held, Mapping) else None, f"{path}.items", f"{outer}.items"
        )
    for name in sorted(part.get("properties") or {}):
        held = (schema.get("properties") or {}).get(name)
        extra = schema.get("additionalProperties")
        if held is None and isinstance(extra, Mapping):
            held = extra
        where = f"properties[{name}]"
        _specified(errors, part["properties"][name], held, f"{path}.{where}", f"{outer}.{where}")
    for word in ("allOf", "anyOf", "oneOf"):
        for index, inner in enumerate(part.get(word) or ()):
            _specified(errors, inner, schema, f"{path}.{word}[{index}]", outer)


# Defaults


def _defaults(errors: Errors, schema: Schema, path: str) -> None:
    if "default" in schema and schema["default"] is not None:
        _default(errors, schema, f"{path}.default")
    for name in sorted(schema.get("properties") or {}):
        _defaults(errors, schema["properties"][name], f"{path}.properties[{name}]")
    for word in ("additionalProperties", "items"):
        if isinstance(schema.get(word), Mapping):
            _defaults(errors, schema[word], f"{path}.{word}")


def _default(errors: Errors, schema: Schema, path: str) -> None:
    given = schema["default"]
    pruned = copy.deepcopy(given)
    if prune(pruned, schema, root=False):
        errors.invalid(path, Raw(gotext.value(given)), "must not have unknown fields")
        return
    default(pruned, schema)
    for error in validate(pruned, schema, root=False):
        below = "" if error.field in ("", "<nil>") else f".{error.field}"
        errors.append(FieldError(error.reason, f"{path}{below}", error.message))
