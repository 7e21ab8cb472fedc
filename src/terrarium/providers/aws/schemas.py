"""The schema table of hashicorp/aws 5.100.0.

`schema.json.gz` holds the types that are served, `known.json.gz` all others of the real provider, so that any
configuration of it can be checked; both have the form of `terraform providers schema -json`, shortened (`type`,
`required`, `optional`, `computed`, `sensitive`, `block_types` with `nesting_mode`, `min_items`, `max_items`). The served
types carry besides what that command does not show: `force_new`, `default`, `conflicts_with`, `exactly_one_of`,
`at_least_one_of`, `required_with`, `timeouts`. To make them anew: take the output of that command for the wanted version, drop
descriptions, and join the flags by name from the provider's source.
"""

from __future__ import annotations

import functools
import gzip
import importlib.resources
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from terrarium.engine.provider import Attribute, Block, NestedBlock, Nesting, Parameter, Schema, Signature
from terrarium.providers.framework import type_of

Spec = Mapping[str, Any]
"""A block of the table as it was read."""


def block_of(spec: Spec) -> Block:
    return Block(
        attributes={
            name: Attribute(
                plain=type_of(a["type"]),
                required=a.get("required", False),
                optional=a.get("optional", False),
                computed=a.get("computed", False),
                sensitive=a.get("sensitive", False),
                write_only=a.get("write_only", False),
                deprecated=bool(a.get("deprecated", False)),
                description=a.get("description", ""),
            )
            for name, a in spec.get("attributes", {}).items()
        },
        blocks={
            name: NestedBlock(
                block_of(b.get("block", {})),
                Nesting(b["nesting_mode"]),
                b.get("min_items", 0),
                b.get("max_items", 0),
            )
            for name, b in spec.get("block_types", {}).items()
        },
    )


class Schemas(Mapping[str, Schema]):
    """Schemas by type, built when asked for; types that are not served are read from the second file only then."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._built: dict[str, Schema] = {}

    def spec(self, type: str) -> Spec:
        found = _served()[self._kind].get(type)
        spec: Spec = found if found is not None else _known()[self._kind][type]
        return spec

    def __getitem__(self, type: str) -> Schema:
        built = self._built.get(type)
        if built is None:
            if type not in self:
                raise KeyError(type)
            spec = self.spec(type)
            built = self._built[type] = Schema(block_of(spec), spec.get("version", 0))
        return built

    def __contains__(self, type: object) -> bool:
        return type in _names(self._kind)

    def __iter__(self) -> Iterator[str]:
        return iter(_served()["names"][self._kind])

    def __len__(self) -> int:
        return len(_served()["names"][self._kind])


def provider_block() -> Block:
    return block_of(_served()["provider"])


def functions() -> Mapping[str, Signature]:
    """The provider's functions (`arn_parse` …)."""
    return {name: _signature(f) for name, f in _served()["functions"].items()}


def known_names() -> frozenset[str]:
    """All resource types and data sources of the real provider."""
    return _names("resources") | _names("data_sources")


def _signature(spec: Spec) -> Signature:
    return Signature(
        parameters=tuple(
            Parameter(p["name"], type_of(p["type"]), description=p.get("description", ""))
            for p in spec.get("parameters", ())
        ),
        returns=type_of(spec["return_type"]),
        summary=spec.get("summary", ""),
        description=spec.get("description", ""),
    )


@functools.cache
def _names(kind: str) -> frozenset[str]:
    return frozenset(_served()["names"][kind])


@functools.cache
def _served() -> Mapping[str, Any]:
    return _load("schema.json.gz")


@functools.cache
def _known() -> Mapping[str, Any]:
    return _load("known.json.gz")


def _load(name: str) -> Mapping[str, Any]:
    packed = importlib.resources.files(__package__).joinpath(name).read_bytes()
    table: Mapping[str, Any] = orjson.loads(gzip.decompress(packed))
    return table
