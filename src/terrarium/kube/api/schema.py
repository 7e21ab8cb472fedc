"""The shapes of the built-in kinds: fields, their Go and wire types, merge keys and list types, per minor version.

One packaged table (`data/types.json.gz`) says for every structure of the served API groups, in declared order: JSON
name, type, whether empty values are left out, protobuf number, patch strategy, list type and keys, and the minor
versions that have it. Decoding, protobuf, strategic merge, server-side apply, defaulting and template hashes all read
it. Structures are named as in the OpenAPI document: `io.k8s.api.core.v1.Pod`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

Shape = Literal["scalar", "list", "map", "struct", "special"]

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
SPECIAL = frozenset(
    (
        "time",
        "microtime",
        "duration",
        "quantity",
        "intstr",
        "raw",
        "fields",
        "json",
        "schema|list",
        "schema|bool",
        "schema|strings",
    )
)
_UNIONS = {
    "JSONSchemaPropsOrArray": "schema|list",
    "JSONSchemaPropsOrBool": "schema|bool",
    "JSONSchemaPropsOrStringArray": "schema|strings",
}


@dataclass(frozen=True, slots=True)
class Type:
    """A type as a field or an element has it. `name`: of a scalar (`int32`), a special (`quantity`) or a structure."""

    shape: Shape
    name: str = ""
    element: Type | None = None
    pointer: bool = False
    go: str = ""
    """As Go prints it: `v1.PullPolicy`, `map[string]string`, `*int64`."""


@dataclass(frozen=True, slots=True)
class Field:
    json: str
    type: Type
    omitempty: bool
    number: int
    """Protobuf field number; 0 when it has none."""
    go: str
    inline: bool = False
    patch_strategy: str = ""
    merge_key: str = ""
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    atomic: bool = False
    """A map or structure that server-side apply treats as one value."""
    default: Any = None


@dataclass(frozen=True, slots=True)
class Struct:
    """A structure. `fields` has inlined structures flattened, by JSON name; `declared` has them as written."""

    name: str
    declared: tuple[Field, ...]
    atomic: bool = False
    fields: dict[str, Field] = field(default_factory=dict)

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]


class Schema:
    """All structures of one minor version. `struct(name)` is None for what is not built in."""

    def __init__(self, minor: int) -> None:
        self.minor = minor
        self._raw = _table()
        self._structs: dict[str, Struct] = {}

    def struct(self, name: str) -> Struct | None:
        found = self._structs.get(name)
        if found is None and name in self._raw:
            found = self._structs[name] = self._build(name, self._raw[name])
        return found

    def __getitem__(self, name: str) -> Struct:
        found = self.struct(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name, raw in self._raw.items() if self._has(raw))

    def field(self, name: str, path: Sequence[str]) -> Field | None:
        """The field at a path of JSON names below structure `name`; lists and maps are stepped into without a name.

        `field("io.k8s.api.core.v1.Pod", ("spec", "containers", "ports"))` is that of `ContainerPort` lists.
        """
        found: Field | None = None
        struct = self.struct(name)
        for step in path:
            if struct is None:
                return None
            found = struct.fields.get(step)
            if found is None:
                return None
            inner = innermost(found.type)
            struct = self.struct(inner.name) if inner.shape == "struct" else None
        return found

    def _has(self, raw: dict[str, Any]) -> bool:
        low, high = raw.get("v", (0, 999))
        return bool(low <= self.minor <= high)

    def _build(self, name: str, raw: dict[str, Any]) -> Struct:
        declared = tuple(_field(f) for f in raw["f"] if self._has(f))
        struct = Struct(name, declared, bool(raw.get("atomic")))
        for item in declared:
            if item.inline and not item.json and item.type.shape == "struct":
                struct.fields.update(self[item.type.name].fields)
            elif item.json:
                struct.fields[item.json] = item
        return struct


def innermost(type: Type) -> Type:
    """The type inside lists and maps."""
    while type.element is not None:
        type = type.element
    return type


def _type(text: str, go: str) -> Type:
    pointer = text.startswith("*")
    text = text.removeprefix("*")
    inner = go.removeprefix("*")
    if text.startswith("[]"):
        element = inner[2:] if inner.startswith("[]") else ""
        return Type("list", "", _type(text[2:], element), pointer, go)
    if text.startswith("{}"):
        element = inner.partition("]")[2] if inner.startswith("map[") else ""
        return Type("map", "", _type(text[2:], element), pointer, go)
    union = _UNIONS.get(text.rpartition(".")[2])
    if union or text in SPECIAL:
        return Type("special", union or text, None, pointer, go)
    if "." in text:
        return Type("struct", text, None, pointer, go)
    return Type("scalar", text, None, pointer, go)


def _field(raw: dict[str, Any]) -> Field:
    return Field(
        raw["j"],
        _type(raw["t"], raw["x"]),
        bool(raw.get("o")),
        raw.get("n", 0),
        raw["g"],
        bool(raw.get("i")),
        raw.get("ps", ""),
        raw.get("pk", ""),
        raw.get("lt", ""),
        tuple(raw.get("lk", ())),
        raw.get("mt") == "atomic",
        raw.get("df"),
    )


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, Any]]:
    data = resources.files("terrarium.kube.api").joinpath("data/types.json.gz").read_bytes()
    table: dict[str, dict[str, Any]] = json.loads(gzip.decompress(data))
    return table


@lru_cache(maxsize=8)
def schema(minor: int = 33) -> Schema:
    """The shapes of Kubernetes 1.`minor`; the same object every time, filled as it is asked."""
    return Schema(minor)
