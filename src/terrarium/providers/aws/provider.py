"""The aws provider as the engine sees it: the table, the plan logic and the rows joined to `engine.provider.Provider`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.provider import (
    ImportedObject,
    ImportResult,
    PlanResult,
    ProviderSchema,
    Schema,
    StateResult,
    ValueResult,
)
from terrarium.language.types import Object
from terrarium.language.values import Value, null
from terrarium.providers.aws import functions, planning, tags
from terrarium.providers.aws.configuration import configured
from terrarium.providers.aws.rows import LIMITS, Amend, DataSource, Plain, Resource
from terrarium.providers.aws.schemas import Schemas, Spec, provider_block
from terrarium.providers.aws.schemas import functions as function_schemas
from terrarium.providers.aws.session import WHOLE, AwsFailure, Cloud, Settings, go_duration
from terrarium.providers.aws.table import DATA_SOURCES, RESOURCES
from terrarium.providers.values import block_value, plain

# The key under which the older plugin library keeps time limits in an object's private data.
_TIMEOUTS_KEY = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"


def create() -> AwsProvider:
    return AwsProvider()


class AwsProvider:
    """One provider configuration. Until `configure` there is no cloud, only the table."""

    def __init__(self) -> None:
        self._resources = Schemas("resources")
        self._data = Schemas("data_sources")
        self._cloud = Cloud(Settings(region=""))

    # --- the table

    def schema(self) -> ProviderSchema:
        return ProviderSchema(
            provider=Schema(provider_block()),
            resources=self._resources,
            data_sources=self._data,
            functions=function_schemas(),
        )

    def validate_provider(self, config: Value) -> Sequence[Diagnostic]:
        return ()

    def configure(self, config: Value) -> Sequence[Diagnostic]:
        cloud, diagnostics = configured(plain(config))
        if cloud is not None:
            self._cloud = cloud
        return diagnostics

    def validate_resource(self, type: str, config: Value) -> Sequence[Diagnostic]:
        if type not in RESOURCES:
            return (_unserved(type),)
        return _checked(self._resources.spec(type), config)

    def validate_data(self, type: str, config: Value) -> Sequence[Diagnostic]:
        if type not in DATA_SOURCES:
            return (_unserved(type),)
        return _checked(self._data.spec(type), config)

    def upgrade(self, type: str, version: int, state: Mapping[str, object]) -> ValueResult:
        """The types served have only gained attributes since their older versions: what is missing is null."""
        return ValueResult(block_value(self._resources[type].block, state))

    # --- managed objects

    def plan(self, type: str, prior: Value, proposed: Value, config: Value, private: bytes) -> PlanResult:
        if proposed.is_null:
            return PlanResult(proposed)
        row = RESOURCES[type]
        spec = self._resources.spec(type)
        before = None if prior.is_null else prior
        drawn = planning.draw(spec, row.rules, before, config)
        if row.amend is not None:
            row.amend(Amend(drawn, before, config, self._cloud))
        if "tags_all" in drawn.members:
            tags.plan(drawn, before, config, self._cloud.settings, row.rules.modern)
        planned = drawn.value(prior.type)
        if before is not None and not row.rules.modern and planned == before:
            return PlanResult(before, private=private, legacy=True)
        replaced = tuple(drawn.replace) if before is not None else ()
        return PlanResult(planned, replaced, self._private(type, planned), legacy=not row.rules.modern)

    def read(self, type: str, prior: Value, private: bytes) -> StateResult:
        row = RESOURCES[type]
        old = plain(prior)
        try:
            seen = row.read(self._cloud, old)
        except AwsFailure as failure:
            return StateResult(prior, private, (_failed(f"reading {row.noun} ({old.get('id')})", failure),))
        if seen is None:
            return StateResult(null(prior.type))
        return StateResult(self._settled(type, row, prior, seen, refreshing=True), private)

    def apply(self, type: str, prior: Value, planned: Value, config: Value, private: bytes) -> StateResult:
        row = RESOURCES[type]
        if planned.is_null:
            return self._delete(row, prior, private)
        # Write-only arguments, and those kept as a hash, are in the configuration alone.
        new = plain(planned)
        given = plain(config)
        for name, flags in self._resources.spec(type).get("attributes", {}).items():
            if flags.get("write_only") or (name in row.rules.hashed and given.get(name) is not None):
                new[name] = given.get(name)
        new = _without_unknowns(new)
        new[LIMITS] = self._limits(type, new)
        if prior.is_null:
            return self._create(type, row, planned, new)
        return self._update(type, row, prior, planned, new)

    def import_(self, type: str, id: str) -> ImportResult:
        row = RESOURCES.get(type)
        if row is None:
            return ImportResult(diagnostics=(_unserved(type),))
        if row.imports is None:
            return ImportResult(
                diagnostics=(error(f"resource {type} doesn't support import"),),
            )
        try:
            start = row.imports(id)
        except ValueError as wrong:
            return ImportResult(diagnostics=(error(str(wrong)),))
        value = block_value(self._resources[type].block, start)
        return ImportResult((ImportedObject(type, value, self._private(type, value)),))

    # --- data sources and functions

    def read_data(self, type: str, config: Value) -> ValueResult:
        row: DataSource = DATA_SOURCES[type]
        given = plain(config)
        spec = self._data.spec(type)
        try:
            seen = row.read(self._cloud, dict(given))
        except AwsFailure as failure:
            return ValueResult(config, (_failed(row.noun, failure),))
        assert isinstance(config.type, Object)
        members: Plain = {}
        for name in config.type.attributes:
            members[name] = seen[name] if name in seen else given.get(name)
        value = block_value(self._data[type].block, members)
        # The older library leaves blocks out of a data source's state when there are none.
        absent = {
            name: null(value.data[name].type)
            for name in spec.get("block_types", {})
            if not given.get(name) and name not in seen
        }
        return ValueResult(Value(value.type, {**value.data, **absent}))

    def call(self, function: str, arguments: Sequence[Value]) -> ValueResult:
        return functions.call(function, arguments)

    def stop(self) -> None:
        self._cloud.stop()

    def close(self) -> None:
        self._cloud.close()

    # --- the steps of apply

    def _create(self, type: str, row: Resource, planned: Value, new: Plain) -> StateResult:
        failed: Diagnostic | None = None
        named = f" ({new[row.named]})" if row.named and new.get(row.named) else ""
        try:
            row.create(self._cloud, new)
        except AwsFailure as failure:
            failed = _failed(f"creating {row.noun}{named}", failure)
            if not new.get("id"):
                return StateResult(null(planned.type), b"", (failed,))
        try:
            seen = self._seen(row, new)
        except AwsFailure as failure:
            seen = None
            failed = failed or _failed(f"reading {row.noun} ({new['id']})", failure)
        diagnostics = () if failed is None else (failed,)
        if seen is None:
            if failed is None:
                diagnostics = (error(f"reading {row.noun} ({new['id']}): couldn't find resource"),)
            seen = {"id": new["id"]}
        value = self._settled(type, row, planned, seen)
        return StateResult(value, self._private(type, value), diagnostics, legacy=not row.rules.modern)

    def _seen(self, row: Resource, new: Plain) -> Plain | None:
        """Reads what was just made; a service may need a moment to know it."""
        for delay in (0.02, 0.1, 0.5, 1.0, 2.0, 4.0):
            seen = row.read(self._cloud, new)
            if seen is not None:
                return seen
            self._cloud.pause(delay)
        return row.read(self._cloud, new)

    def _update(self, type: str, row: Resource, prior: Value, planned: Value, new: Plain) -> StateResult:
        old = plain(prior)
        failed: Diagnostic | None = None
        try:
            if row.retag is not None and "tags_all" in new:
                was, wanted = old.get("tags_all") or {}, tags.wanted(new, self._cloud.settings)
                if was != wanted:
                    row.retag(self._cloud, new, was, wanted)
            if row.update is not None:
                row.update(self._cloud, old, new)
        except AwsFailure as failure:
            failed = _failed(f"updating {row.noun} ({old.get('id')})", failure)
        try:
            seen = row.read(self._cloud, new)
        except AwsFailure as failure:
            seen = None
            failed = failed or _failed(f"reading {row.noun} ({old.get('id')})", failure)
        private = self._private(type, planned)
        if seen is None:
            if failed is None:
                return StateResult(
                    null(planned.type), b"", (error(f"reading {row.noun} ({old.get('id')}): couldn't find resource"),)
                )
            return StateResult(prior, private, (failed,))
        base = prior if failed is not None else planned
        diagnostics = () if failed is None else (failed,)
        return StateResult(self._settled(type, row, base, seen), private, diagnostics, legacy=not row.rules.modern)

    def _delete(self, row: Resource, prior: Value, private: bytes) -> StateResult:
        old = plain(prior)
        old[LIMITS] = _stored_limits(private)
        try:
            row.delete(self._cloud, old)
        except AwsFailure as failure:
            return StateResult(prior, private, (_failed(f"deleting {row.noun} ({old.get('id')})", failure),))
        return StateResult(null(prior.type))

    def _settled(self, type: str, row: Resource, base: Value, seen: Plain, refreshing: bool = False) -> Value:
        spec = self._resources.spec(type)
        if "tags_all" in spec["attributes"] and "tags" in seen:
            tags.settle(seen, base, self._cloud.settings, row.rules.modern)
        kind = self._resources[type].block.type
        if refreshing:
            return planning.observed(spec, base, seen, kind)
        return planning.settled(spec, row.rules, base, seen, kind)

    # --- time limits

    def _limits(self, type: str, new: Mapping[str, Any]) -> dict[str, float]:
        limits: dict[str, float] = {}
        given = new.get("timeouts")
        for action, text in self._resources.spec(type).get("timeouts", {}).items():
            limits[action] = go_duration(text) or 120.0
        for action, text in (given if isinstance(given, dict) else {}).items():
            if isinstance(text, str):
                limits[action] = go_duration(text) or limits.get(action, 1200.0)
        return limits

    def _private(self, type: str, value: Value) -> bytes:
        """What the older library stores beside an object, so that states go both ways."""
        if RESOURCES[type].rules.modern:
            return b""
        stored: dict[str, object] = {}
        limits = self._limits(type, plain(value))
        if limits:
            stored[_TIMEOUTS_KEY] = {action: int(seconds * 1e9) for action, seconds in sorted(limits.items())}
        version = self._resources[type].version
        if version:
            stored["schema_version"] = str(version)
        return json.dumps(stored or None, separators=(",", ":")).encode()


def _stored_limits(private: bytes) -> dict[str, float]:
    try:
        stored = json.loads(private or b"null") or {}
        return {action: nanos / 1e9 for action, nanos in stored.get(_TIMEOUTS_KEY, {}).items()}
    except (ValueError, AttributeError):
        return {}


def _checked(spec: Spec, config: Value) -> tuple[Diagnostic, ...]:
    return tuple(
        replace(error(summary, detail), attribute=(name,))
        for name, summary, detail in planning.conflicts(spec, config.data)
    )


def _failed(doing: str, failure: AwsFailure) -> Diagnostic:
    if failure.detail == WHOLE:
        return error(str(failure))
    if failure.detail:
        return error(str(failure), failure.detail)
    return error(f"{doing}: {failure}")


def _unserved(type: str) -> Diagnostic:
    return error(
        "Unsupported resource type",
        f'Terrarium\'s aws provider does not serve "{type}" yet. The real provider can be used for it by installing '
        "it in a plugin mirror.",
    )


def _without_unknowns(data: Any) -> Any:
    from terrarium.providers.values import UNKNOWN

    if data is UNKNOWN:
        return None
    if isinstance(data, dict):
        return {key: _without_unknowns(part) for key, part in data.items()}
    if isinstance(data, list):
        return [_without_unknowns(part) for part in data]
    return data
