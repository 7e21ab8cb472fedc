"""The named structures of the OpenAPI documents: built-in ones, and those of custom resources.

Built-in definitions come from `kubernetes-validate` where it is installed (with descriptions), else from the own table
of structures. All are kept in the form of OpenAPI 3.0; `swagger` turns them into version 2.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from terrarium.kube.api.documentation import definitions
from terrarium.kube.api.kinds import Kind
from terrarium.kube.api.schema import Struct, Type, schema

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
VERSION_INFO = "io.k8s.apimachinery.pkg.version.Info"
REF = "#/components/schemas/"
_DROPPED = ("$schema", "$id")


def reference(name: str) -> dict[str, Any]:
    return {"$ref": REF + name}


@lru_cache(maxsize=1)
def known(minor: int) -> dict[str, Any]:
    """All built-in definitions in OpenAPI v3's form. Shared: nobody changes it."""
    found = {name: _converted(held) for name, held in definitions(minor).items()}
    shapes = schema(minor)
    for name in shapes:
        if name not in found:
            found[name] = _from_table(shapes[name])
    for name, held in _ALWAYS.items():
        found.setdefault(name, held)
    _add_enums(found, minor)
    _add_defaults(found, minor)
    found.update(_INT_OR_STRING)
    return found


def _add_enums(found: dict[str, Any], minor: int) -> None:
    """Says of fields with fixed values which they are: in the schema, and of single values in the description too."""
    table = json.loads(
        gzip.decompress(resources.files("terrarium.kube.api").joinpath("data/enums.json.gz").read_bytes())
    )
    for field, type in table["fields"].items():
        struct, _, name = field.rpartition(".")
        held = (found.get(struct, {}).get("properties") or {}).get(name)
        values = {
            value: text
            for value, spans in table["types"][type].items()
            for low, high, text in spans
            if low <= minor <= high
        }
        if held is None or not values:
            continue
        inner = held.get("items") or held.get("additionalProperties")
        if isinstance(inner, dict):
            inner["enum"] = sorted(values)
            continue
        held["enum"] = sorted(values)
        lines = [f' - `"{value}"` {values[value]}'.rstrip() for value in sorted(values)]
        described = "Possible enum values:\n" + "\n".join(lines)
        held["description"] = "\n\n".join(part for part in (held.get("description", ""), described) if part)


_ALWAYS: Mapping[str, Any] = {
    META + "WatchEvent": {
        "description": "One change of a watched object.",
        "type": "object",
        "required": ["type", "object"],
        "properties": {"type": {"type": "string"}, "object": {"type": "object"}},
    },
    META + "Patch": {"description": "The body of a PATCH request.", "type": "object"},
    VERSION_INFO: {
        "description": "What runs as this server.",
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("major", "minor", "gitVersion", "gitCommit", "platform")},
    },
}


def _converted(value: Any, *, properties: bool = False) -> Any:
    """From JSON schema: no null types, references to components, no one-value enums of apiVersion and kind."""
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for key, item in value.items():
        if properties:
            made[key] = _converted(item)
        elif key == "$ref" and isinstance(item, str):
            made["$ref"] = REF + item.rpartition("/")[2]
        elif key in _DROPPED:
            continue
        elif key == "type" and isinstance(item, list):
            kinds = [kind for kind in item if kind != "null"]
            if len(kinds) == 1:
                made["type"] = kinds[0]
            else:
                made["oneOf"] = [{"type": kind} for kind in kinds]
        elif key == "properties" and isinstance(item, dict):
            made["properties"] = _converted(item, properties=True)
            for name in ("apiVersion", "kind"):
                if isinstance(made["properties"].get(name), dict):
                    made["properties"][name].pop("enum", None)
        elif key in ("enum", "required", "default", "x-kubernetes-group-version-kind"):
            made[key] = [e for e in item if e is not None] if key == "enum" else item
        elif key == "oneOf" and isinstance(item, list):
            options = [o for o in item if o != {"type": "null"}]
            if len(options) == 1 and isinstance(options[0], dict):
                made.update(_converted(options[0]))
            else:
                made["oneOf"] = _converted(options)
        else:
            made[key] = _converted(item)
    if isinstance(made.get("$ref"), str) and len(made) > 1 and not properties:
        # Beside a reference nothing else counts in OpenAPI 3.0.
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


_ZERO: Mapping[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "int": 0, "float64": 0}


def _zero(type: Type) -> Any:
    """The zero of a Go type that is no pointer; None where the documents name none."""
    if type.pointer or type.shape in ("list", "map"):
        return None
    if type.shape == "struct":
        return {}
    return _ZERO.get(type.name) if type.shape == "scalar" else None


def _add_defaults(found: dict[str, Any], minor: int) -> None:
    """Says of fields, elements and values which Go always has what they are when nobody sets them."""
    shapes = schema(minor)
    for name in shapes:
        properties = found.get(name, {}).get("properties") or {}
        for item in shapes[name].fields.values():
            held = properties.get(item.json)
            if held is None:
                continue
            if item.default is not None:
                held["default"] = item.default
            elif not (item.omitempty and item.type.shape == "scalar"):
                _default(held, _zero(item.type))
            type = item.type
            while type.element is not None:
                held = held.get("items") or held.get("additionalProperties") or {}
                type = type.element
                _default(held, _zero(type))


def _default(held: dict[str, Any], value: Any) -> None:
    if value is None or not held:
        return
    held["default"] = value
    if "$ref" in held:
        held["allOf"] = [{"$ref": held.pop("$ref")}]


_INT_OR_STRING: Mapping[str, Any] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "description": "A number or a text: of a field that can be, say, the number of a port or its name.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    }
}
_SCALARS: Mapping[str, Mapping[str, Any]] = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "int": {"type": "integer"},
    "float64": {"type": "number", "format": "double"},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "intstr": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
}


def _from_table(struct: Struct) -> dict[str, Any]:
    properties = {}
    for item in struct.fields.values():
        held = _table_type(item.type)
        if item.patch_strategy:
            held = {**held, "x-kubernetes-patch-strategy": item.patch_strategy}
        if item.merge_key:
            held = {**held, "x-kubernetes-patch-merge-key": item.merge_key}
        if item.list_type:
            held = {**held, "x-kubernetes-list-type": item.list_type}
        if item.list_keys:
            held = {**held, "x-kubernetes-list-map-keys": list(item.list_keys)}
        if item.default is not None:
            held = {**held, "default": item.default}
        properties[item.json] = held
    return {"type": "object", "properties": properties}


def _table_type(type: Type) -> dict[str, Any]:
    match type.shape:
        case "list":
            assert type.element is not None
            return {"type": "array", "items": _table_type(type.element)}
        case "map":
            assert type.element is not None
            return {"type": "object", "additionalProperties": _table_type(type.element)}
        case "struct":
            return {"allOf": [reference(type.name)]}
    return dict(_SCALARS.get(type.name, {"type": "object"}))


def references(value: Any) -> Iterator[str]:
    """The names of all definitions that a value refers to."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix(REF)
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def collect(names: list[str], held: Mapping[str, Any], into: dict[str, Any]) -> None:
    """The definitions of `names` and all that they and those in `into` refer to."""
    todo = [*names, *(ref for value in list(into.values()) for ref in references(value))]
    while todo:
        name = todo.pop()
        if name in into or name not in held:
            continue
        into[name] = held[name]
        todo += references(held[name])


# -- custom resources -------------------------------------------------------------------------------------------------


def custom_name(kind: Kind) -> str:
    """`com.example.v1.Foo`."""
    reverse = ".".join(reversed(kind.group_version.group.split(".")))
    return f"{reverse}.{kind.group_version.version}.{kind.kind}"


def definition_name(kind: Kind) -> str:
    return kind.schema or custom_name(kind)


def gvk(kind: Kind, name: str = "") -> list[dict[str, str]]:
    gv = kind.group_version
    return [{"group": gv.group, "kind": name or kind.kind, "version": gv.version}]


_MODEL = "io.k8s.api.core.v1.ConfigMap"
"""Any object: what is said of the fields that all have."""


def _common(minor: int) -> dict[str, Any]:
    """apiVersion, kind and metadata as every object describes them."""
    held = known(minor).get(_MODEL, {}).get("properties") or {}

    def text(name: str) -> dict[str, str]:
        said = (held.get(name) or {}).get("description")
        return {"description": said} if said else {}

    return {
        "apiVersion": {**text("apiVersion"), "type": "string"},
        "kind": {**text("kind"), "type": "string"},
        "metadata": {**text("metadata"), "allOf": [reference(META + "ObjectMeta")]},
    }


def custom(kind: Kind, held: Mapping[str, Any] | None, minor: int) -> dict[str, Any]:
    """A custom resource's definition: its structural schema with what every object has."""
    common = _common(minor)
    made: dict[str, Any] = _embedded(
        {"type": "object", **(held or {"x-kubernetes-preserve-unknown-fields": True})}, common
    )
    made["properties"] = {**(made.get("properties") or {}), **common}
    made["x-kubernetes-group-version-kind"] = gvk(kind)
    return made


def _embedded(held: Any, common: Mapping[str, Any]) -> Any:
    """A structural schema with the fields that embedded resources have without saying so."""
    if isinstance(held, list):
        return [_embedded(item, common) for item in held]
    if not isinstance(held, Mapping):
        return held
    literal = ("default", "enum", "example")
    made = {key: value if key in literal else _embedded(value, common) for key, value in held.items()}
    if made.get("x-kubernetes-embedded-resource") is True:
        made["properties"] = {**(made.get("properties") or {}), **common}
    return made


def listed(kind: Kind, name: str, minor: int) -> dict[str, Any]:
    """The definition of a list of a kind that has none of its own."""
    return {
        "description": f"{kind.listing} is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_common(minor),
            "metadata": {"allOf": [reference(META + "ListMeta")]},
            "items": {
                "description": f"List of {kind.plural}.",
                "type": "array",
                "items": {"allOf": [reference(name)]},
            },
        },
        "x-kubernetes-group-version-kind": gvk(kind, kind.listing),
    }
