"""Values by their schema, as server-side apply sees them: what is one value, what merges, and by which keys.

A `Shape` comes from the table of built-in structures or from a CRD's schema. Without one (`ANY`) maps merge by key and
lists are one value, as the real server deduces it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from terrarium.kube.api.schema import Field, Schema, Type, schema

Form = Literal["leaf", "map", "list", "any"]


@dataclass(slots=True)
class Shape:
    """How one value is treated. Of a map: `fields` are its named fields, `element` is what other keys hold (None: there
    are no other keys). Of a list: `element`, and `keys` or `unique` when its items are told apart."""

    form: Form
    scalar: str = ""
    """Of a leaf: string, numeric, boolean, or "" for anything."""
    fields: Mapping[str, Shape] = field(default_factory=dict)
    element: Shape | None = None
    atomic: bool = False
    keys: tuple[str, ...] = ()
    unique: bool = False
    default: Any = None

    def child(self, name: str) -> Shape | None:
        return self.fields.get(name) or self.element


ANY = Shape("any")
LEAF = Shape("leaf")
STRING = Shape("leaf", "string")

_SCALARS = {
    "string": "string",
    "bytes": "string",
    "bool": "boolean",
    "time": "string",
    "microtime": "string",
    "duration": "string",
}


class _Lazy(Mapping[str, Shape]):
    """The fields of a structure, made when they are asked: structures may contain themselves."""

    def __init__(self, makers: Mapping[str, Callable[[], Shape]]) -> None:
        self._makers = makers
        self._made: dict[str, Shape] = {}

    def __getitem__(self, name: str) -> Shape:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Any:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


class _Built:
    def __init__(self, shapes: Schema) -> None:
        self.shapes = shapes
        self.made: dict[str, Shape] = {}

    def struct(self, name: str) -> Shape:
        found = self.made.get(name)
        if found is None:
            struct = self.shapes[name]
            found = self.made[name] = Shape("map", atomic=struct.atomic)
            makers = {item.json: (lambda item=item: self.field(item)) for item in struct.fields.values()}
            found.fields = _Lazy(makers)
        return found

    def field(self, item: Field) -> Shape:
        type = item.type
        if type.shape == "list":
            assert type.element is not None
            shape = Shape("list", element=self.type(type.element), atomic=True)
            if item.list_type == "map" or (not item.list_type and item.merge_key and "merge" in item.patch_strategy):
                shape.atomic, shape.keys = False, item.list_keys or (item.merge_key,)
            elif item.list_type == "set" or (not item.list_type and "merge" in item.patch_strategy):
                shape.atomic, shape.unique = False, True
            return shape
        made = self.type(type)
        if item.atomic and not made.atomic:
            made = Shape(made.form, made.scalar, made.fields, made.element, True)
        if item.default is not None or item.json == "protocol":
            made = Shape(made.form, made.scalar, made.fields, made.element, made.atomic, default=item.default or "TCP")
        return made

    def type(self, type: Type) -> Shape:
        match type.shape:
            case "struct":
                return self.struct(type.name)
            case "list":
                assert type.element is not None
                return Shape("list", element=self.type(type.element), atomic=True)
            case "map":
                assert type.element is not None
                return Shape("map", element=self.type(type.element))
            case "special" if type.name == "raw":
                return LEAF
            case "special" if type.name == "json":
                return ANY
            case "special" if type.name.startswith("schema|"):
                return ANY
        return Shape("leaf", _SCALARS.get(type.name, "" if type.shape == "special" else "numeric"))


@lru_cache(maxsize=8)
def _built(minor: int) -> _Built:
    return _Built(schema(minor))


def of_struct(name: str, minor: int = 33) -> Shape:
    """Of a built-in structure; `ANY` when there is none of that name."""
    return _built(minor).struct(name) if schema(minor).struct(name) is not None else ANY


_JSON_TYPES = {"string": "string", "integer": "numeric", "number": "numeric", "boolean": "boolean"}


def of_json_schema(document: Mapping[str, Any]) -> Shape:
    """Of a CRD's `openAPIV3Schema`; apiVersion, kind and metadata are added at its root."""
    made = _json(document)
    meta = of_struct("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    fields = {"apiVersion": STRING, "kind": STRING, "metadata": meta}
    return Shape("map", fields={**made.fields, **fields}, element=made.element, atomic=False)


def _json(document: Mapping[str, Any]) -> Shape:
    if document.get("x-kubernetes-int-or-string"):
        return LEAF
    kind = document.get("type")
    preserve = bool(document.get("x-kubernetes-preserve-unknown-fields"))
    if kind == "array":
        held = document.get("items")
        shape = Shape("list", element=_json(held) if isinstance(held, Mapping) else ANY, atomic=True)
        match document.get("x-kubernetes-list-type"):
            case "map":
                shape.atomic, shape.keys = False, tuple(document.get("x-kubernetes-list-map-keys") or ())
            case "set":
                shape.atomic, shape.unique = False, True
        return shape
    if kind == "object" or "properties" in document or "additionalProperties" in document:
        fields = {name: _json(held) for name, held in (document.get("properties") or {}).items()}
        more = document.get("additionalProperties")
        element = _json(more) if isinstance(more, Mapping) else ANY if more or preserve else None
        if not fields and element is None:
            element = None
        return Shape("map", fields=fields, element=element, atomic=document.get("x-kubernetes-map-type") == "atomic")
    if kind in _JSON_TYPES:
        return Shape("leaf", _JSON_TYPES[kind], default=document.get("default"))
    return ANY
