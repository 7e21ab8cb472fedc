"""What the small providers have in common: schemas from a table, planning, and the road from the contract to a type.

The real ones are written with Terraform's plugin framework, whose rules these are: defaults fill what is not given; when
anything differs from the state, computed attributes become unknown, except those that keep their state; attributes say
for themselves whether their change replaces the object. `small.json.gz` has, for each provider, the schema as
`terraform providers schema -json` prints it, and by type and attribute `requires_replace`, `default` and
`keeps_state_when_unknown`.

A type is a subclass of `Resource` or `DataSource` with plain data in and out; what it refuses it raises as `Refused`.
"""

from __future__ import annotations

import functools
import gzip
import importlib.resources
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import orjson

from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.engine.provider import (
    Attribute,
    Block,
    ImportedObject,
    ImportResult,
    NestedBlock,
    NestedObject,
    Nesting,
    OpenResult,
    Parameter,
    PlanResult,
    ProviderSchema,
    Schema,
    Signature,
    StateResult,
    ValueResult,
)
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import Path, Value, null, unknown
from terrarium.providers.values import UNKNOWN, block_value, plain, value_of

Plain = dict[str, Any]

_PRIMITIVES: Mapping[str, Type] = {"string": STRING, "number": NUMBER, "bool": BOOL, "dynamic": DYNAMIC}


class Refused(Exception):
    """A type's complaint. `attribute` is where."""

    def __init__(self, summary: str, detail: str = "", attribute: Path = ()) -> None:
        super().__init__(summary)
        self.diagnostics: tuple[Diagnostic, ...] = (complaint(summary, detail, attribute),)


def complaint(summary: str, detail: str = "", attribute: Path = (), severity: Severity = Severity.ERROR) -> Diagnostic:
    return Diagnostic(severity, summary, detail, attribute=attribute or None)


class Resource:
    """A managed type. Methods get plain data; `None` is null and `UNKNOWN` is what isn't known yet."""

    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return ()

    def amend(self, plan: Drawing) -> None:
        """The type's own plan rules."""

    def create(self, new: Plain) -> Plain:
        """The whole object after creation."""
        return new

    def read(self, old: Plain) -> Plain | None:
        """The object as it is now, None when it is gone."""
        return old

    def update(self, old: Plain, new: Plain) -> Plain:
        return new

    def delete(self, old: Plain) -> None:
        return

    def imported(self, id: str) -> Plain:
        """The object that an import id names."""
        raise Refused(
            "Resource Import Not Implemented",
            "This resource does not support import. Please contact the provider developer for additional information.",
        )

    def upgrade(self, version: int, state: Plain) -> Plain:
        return state


class DataSource:
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return ()

    def read(self, config: Plain) -> Plain:
        return config

    def remarks(self, seen: Plain) -> Iterable[Diagnostic]:
        """Warnings about what was read."""
        return ()


class Ephemeral:
    """An ephemeral type: its result lives as long as one operation, and needs no closing."""

    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return ()

    def open(self, config: Plain) -> Plain:
        return config


@dataclass(slots=True)
class Drawing:
    """A plan while it is drawn: `members` may be changed, paths added to `replace`."""

    members: dict[str, Value]
    prior: Mapping[str, Value] | None
    config: Mapping[str, Value]
    replace: list[Path]
    diagnostics: list[Diagnostic]

    def changed(self, name: str) -> bool:
        return self.prior is None or self.members[name] != self.prior[name]

    def set(self, name: str, data: Any) -> None:
        self.members[name] = value_of(self.members[name].type, data)

    def forget(self, *names: str) -> None:
        for name in names:
            self.members[name] = unknown(self.members[name].type)


Function = Callable[[Sequence[Value]], Value]


class SmallProvider:
    """`engine.provider.Provider` for a provider of the table. Subclasses name it and list its types."""

    name: ClassVar[str]
    resources: ClassVar[Mapping[str, Resource]] = {}
    data_sources: ClassVar[Mapping[str, DataSource]] = {}
    functions: ClassVar[Mapping[str, Function]] = {}
    ephemerals: ClassVar[Mapping[str, Ephemeral]] = {}

    def schema(self) -> ProviderSchema:
        return schema_of(self.name)

    def validate_provider(self, config: Value) -> Sequence[Diagnostic]:
        return ()

    def configure(self, config: Value) -> Sequence[Diagnostic]:
        return ()

    def validate_resource(self, type: str, config: Value) -> Sequence[Diagnostic]:
        return list(self.resources[type].validate(plain(config)))

    def validate_data(self, type: str, config: Value) -> Sequence[Diagnostic]:
        return list(self.data_sources[type].validate(plain(config)))

    def upgrade(self, type: str, version: int, state: Mapping[str, object]) -> ValueResult:
        schema = self.schema().resources[type]
        data = dict(state)
        if version < schema.version:
            data = self.resources[type].upgrade(version, data)
        return ValueResult(block_value(schema.block, data))

    def read(self, type: str, prior: Value, private: bytes) -> StateResult:
        try:
            seen = self.resources[type].read(plain(prior))
        except Refused as refused:
            return StateResult(prior, private, refused.diagnostics)
        if seen is None:
            return StateResult(null(prior.type))
        return StateResult(block_value(self.schema().resources[type].block, seen), private)

    def plan(self, type: str, prior: Value, proposed: Value, config: Value, private: bytes) -> PlanResult:
        if proposed.is_null:
            return PlanResult(proposed)
        drawing = draw(_rules(self.name, type), self.schema().resources[type].block, prior, proposed, config)
        self.resources[type].amend(drawing)
        planned = Value(proposed.type, {name: drawing.members[name] for name in sorted(drawing.members)})
        replaced = () if prior.is_null else tuple(dict.fromkeys(drawing.replace))
        return PlanResult(planned, replaced, private, tuple(drawing.diagnostics))

    def apply(self, type: str, prior: Value, planned: Value, config: Value, private: bytes) -> StateResult:
        row = self.resources[type]
        block = self.schema().resources[type].block
        try:
            if planned.is_null:
                row.delete(plain(prior))
                return StateResult(null(prior.type))
            new = known(plain(planned))
            result = row.create(new) if prior.is_null else row.update(plain(prior), new)
        except Refused as refused:
            return StateResult(prior, private, refused.diagnostics)
        return StateResult(block_value(block, result), private)

    def import_(self, type: str, id: str) -> ImportResult:
        try:
            found = self.resources[type].imported(id)
        except Refused as refused:
            return ImportResult(diagnostics=refused.diagnostics)
        return ImportResult((ImportedObject(type, block_value(self.schema().resources[type].block, found)),))

    def read_data(self, type: str, config: Value) -> ValueResult:
        try:
            seen = self.data_sources[type].read(plain(config))
        except Refused as refused:
            return ValueResult(config, refused.diagnostics)
        said = tuple(self.data_sources[type].remarks(seen))
        return ValueResult(block_value(self.schema().data_sources[type].block, seen), said)

    def validate_ephemeral(self, type: str, config: Value) -> Sequence[Diagnostic]:
        return list(self.ephemerals[type].validate(plain(config)))

    def open(self, type: str, config: Value) -> OpenResult:
        try:
            seen = self.ephemerals[type].open(plain(config))
        except Refused as refused:
            return OpenResult(config, b"", refused.diagnostics)
        return OpenResult(block_value(self.schema().ephemeral[type].block, seen))

    def close_ephemeral(self, type: str, private: bytes) -> Sequence[Diagnostic]:
        return ()

    def call(self, function: str, arguments: Sequence[Value]) -> ValueResult:
        try:
            return ValueResult(self.functions[function](arguments))
        except Refused as refused:
            return ValueResult(null(self.schema().functions[function].returns), refused.diagnostics)

    def stop(self) -> None:
        return

    def close(self) -> None:
        return


def known(data: Any) -> Any:
    """With null for what is unknown: a type computes it now."""
    if data is UNKNOWN:
        return None
    if isinstance(data, dict):
        return {key: known(part) for key, part in data.items()}
    if isinstance(data, list):
        return [known(part) for part in data]
    return data


# --- planning


def draw(rules: Mapping[str, Any], block: Block, prior: Value, proposed: Value, config: Value) -> Drawing:
    """The framework's plan: defaults, unknown computed attributes, paths that replace."""
    before = None if prior.is_null else prior.data
    members: dict[str, Value] = dict(proposed.data)
    for name in block.attributes:
        rule = rules.get(name, {})
        if config.data[name].is_null and "default" in rule:
            members[name] = value_of(config.data[name].type, rule["default"])
    for name, nested in block.blocks.items():
        members[name] = _with_defaults(rules, nested, members[name])
    if before is None or any(members[n] != before[n] for n in members):
        for name, attribute in block.attributes.items():
            rule = rules.get(name, {})
            if not attribute.computed or not config.data[name].is_null or "default" in rule:
                continue
            if before is not None and rule.get("keeps_state_when_unknown") and not before[name].is_null:
                members[name] = before[name]
            else:
                members[name] = unknown(attribute.type)
    replaced: list[Path] = []
    if before is not None:
        for name in (*block.attributes, *block.blocks):
            rule = rules.get(name, {})
            kind = rule.get("requires_replace")
            if name in block.blocks:
                replaced.extend(_nested_replace(rules, name, before[name], members[name]))
            if (kind is True and members[name] != before[name]) or (
                kind == "RequiresReplaceIfValuesNotNull" and _values_differ(before[name], config.data[name])
            ):
                replaced.append((name,))
    return Drawing(members, before, config.data, replaced, [])


def _with_defaults(rules: Mapping[str, Any], nested: NestedBlock, value: Value) -> Value:
    if not value.is_known or value.is_null or not isinstance(value.data, tuple):
        return value
    items = []
    for item in value.data:
        if not isinstance(item.data, dict):
            items.append(item)
            continue
        data = dict(item.data)
        for name, part in data.items():
            rule = rules.get(f"(nested) {name}", {})
            if part.is_null and "default" in rule:
                data[name] = value_of(part.type, rule["default"])
        items.append(Value(item.type, data))
    if isinstance(value.type, Set):
        return value_of(value.type, items)
    return Value(value.type, tuple(items))


def _nested_replace(rules: Mapping[str, Any], name: str, before: Value, after: Value) -> list[Path]:
    """Paths inside a block whose attributes replace; another number of blocks replaces as a whole."""
    inner = {key.removeprefix("(nested) "): rule for key, rule in rules.items() if key.startswith("(nested) ")}
    if not inner or before == after:
        return []
    if not isinstance(before.data, tuple) or not isinstance(after.data, tuple) or isinstance(before.type, Set):
        return [(name,)]
    paths: list[Path] = []
    for index in range(max(len(before.data), len(after.data))):
        old = before.data[index] if index < len(before.data) else None
        new = after.data[index] if index < len(after.data) else None
        if old is None or new is None:
            paths.append((name,))
            continue
        for key, rule in inner.items():
            if rule.get("requires_replace") and key in new.data and old.data[key] != new.data[key]:
                paths.append((name, index, key))
    return paths


def _values_differ(before: Value, config: Value) -> bool:
    """Whether a map changed in more than null values, which older versions didn't keep."""
    if before == config:
        return False
    if not config.is_known:
        return True
    new = {} if config.is_null else config.data
    if before.is_null:
        return any(not v.is_null for v in new.values())
    old = before.data
    for key, value in new.items():
        if key not in old and value.is_null:
            continue
        if old.get(key) != value:
            return True
    return any(key not in new for key in old)


# --- the table


@functools.cache
def _table() -> Mapping[str, Any]:
    packed = importlib.resources.files(__package__).joinpath("small.json.gz").read_bytes()
    table: Mapping[str, Any] = orjson.loads(gzip.decompress(packed))
    return table


def _rules(provider: str, type: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _table()[provider]["rules"].get(type, {})
    return found


@functools.cache
def schema_of(provider: str) -> ProviderSchema:
    given = _table()[provider]["schema"]

    def every(kind: str) -> dict[str, Schema]:
        return {n: Schema(block_of(s.get("block", {})), s.get("version", 0)) for n, s in given.get(kind, {}).items()}

    return ProviderSchema(
        provider=Schema(block_of(given.get("provider", {}).get("block", {}))),
        resources=every("resource_schemas"),
        data_sources=every("data_source_schemas"),
        ephemeral=every("ephemeral_resource_schemas"),
        functions={name: _signature(f) for name, f in given.get("functions", {}).items()},
    )


def type_of(spec: Any) -> Type:
    """A type in Terraform's JSON notation."""
    if isinstance(spec, str):
        return _PRIMITIVES[spec]
    kind, inner = spec[0], spec[1]
    match kind:
        case "list":
            return List(type_of(inner))
        case "set":
            return Set(type_of(inner))
        case "map":
            return Map(type_of(inner))
        case "tuple":
            return Tuple(tuple(type_of(t) for t in inner))
        case "object":
            return Object({name: type_of(t) for name, t in inner.items()})
    raise ValueError(f"no type: {spec!r}")


def block_of(spec: Mapping[str, Any]) -> Block:
    return Block(
        attributes={name: _attribute(a) for name, a in spec.get("attributes", {}).items()},
        blocks={
            name: NestedBlock(
                block_of(b.get("block", {})), Nesting(b["nesting_mode"]), b.get("min_items", 0), b.get("max_items", 0)
            )
            for name, b in spec.get("block_types", {}).items()
        },
        deprecated=spec.get("deprecated", False),
        description=spec.get("description", ""),
    )


def _attribute(spec: Mapping[str, Any]) -> Attribute:
    nested = spec.get("nested_type")
    made = Attribute(
        plain=type_of(spec["type"]) if nested is None else None,
        nested=None
        if nested is None
        else NestedObject({n: _attribute(a) for n, a in nested["attributes"].items()}, Nesting(nested["nesting_mode"])),
    )
    return replace(
        made,
        required=spec.get("required", False),
        optional=spec.get("optional", False),
        computed=spec.get("computed", False),
        sensitive=spec.get("sensitive", False),
        write_only=spec.get("write_only", False),
        deprecated=spec.get("deprecated", False),
        description=spec.get("description", ""),
    )


def _signature(spec: Mapping[str, Any]) -> Signature:
    return Signature(
        parameters=tuple(_parameter(p) for p in spec.get("parameters", ())),
        returns=type_of(spec["return_type"]),
        variadic=_parameter(spec["variadic_parameter"]) if "variadic_parameter" in spec else None,
        summary=spec.get("summary", ""),
        description=spec.get("description", ""),
    )


def _parameter(spec: Mapping[str, Any]) -> Parameter:
    return Parameter(
        spec["name"], type_of(spec["type"]), spec.get("is_nullable", False), False, spec.get("description", "")
    )
