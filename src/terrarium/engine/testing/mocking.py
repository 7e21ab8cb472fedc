"""Providers that only pretend: what a real one would compute is given by the test, or made up.

Only computed attributes that the configuration leaves open are filled: when an object is created, and when a data source
is read. While planning they stay unknown, unless the mock says that its values count then too. Made-up values are eight
random letters and digits for strings, zero, false, and empty collections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.ids import Ids
from terrarium.base.source import Range
from terrarium.engine.addresses import DATA, MANAGED
from terrarium.engine.provider import (
    Attribute,
    Block,
    ImportResult,
    NestedBlock,
    NestedObject,
    Nesting,
    PlanResult,
    Provider,
    ProviderSchema,
    StateResult,
    ValueResult,
)
from terrarium.engine.testing.model import MockedType, Override
from terrarium.language.convert import ConversionError, convert, format_path
from terrarium.language.json_values import from_json
from terrarium.language.types import BOOL, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import NULL, Value, boolean, null, number, object_of, string, tuple_of, unknown

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_CREATE, _UPDATE = b"create", b"update"


@dataclass(slots=True)
class Filler:
    """Fills what is open in an object. `given` are the test's values; `as_unknown` leaves what they don't name unknown."""

    ids: Ids
    given: Value | None
    is_open: Callable[[Value], bool]
    as_unknown: bool
    problems: list[Diagnostic]
    at: Range | None = None
    """Where the test gives its values."""

    def block(self, block: Block, value: Value, given: Value | None) -> Value:
        """A block's value, filled."""
        if value.data is NULL or not value.is_known:
            return value
        members = dict(value.data)
        for name, attribute in block.attributes.items():
            members[name] = self.attribute(name, attribute, members[name], _member(given, name))
        for name, nested in block.blocks.items():
            members[name] = self.nested_block(nested, members[name], _member(given, name))
        return Value(value.type, {k: members[k] for k in value.data}, value.marks)

    def attribute(self, name: str, attribute: Attribute, value: Value, given: Value | None) -> Value:
        if attribute.computed and self.is_open(value):
            if given is not None:
                return self.converted(name, attribute.type, given)
            if self.as_unknown:
                return unknown(attribute.type)
            return self.made_up(attribute)
        if attribute.nested is not None:
            return self.nested_object(attribute.nested, value, given)
        return value

    def converted(self, name: str, type: Type, given: Value) -> Value:
        try:
            return convert(self.padded(given, type), type)
        except ConversionError as problem:
            where = format_path(problem.path)
            text = f"{where}: {problem.message}" if where else problem.message
            self.problems.append(
                error(
                    "Failed to compute attribute",
                    f"Terraform could not compute a value for the target type {type.friendly()} with the mocked data "
                    f'defined at {self.at} with the attribute "{name}": {text}.',
                )
            )
            return unknown(type)

    def padded(self, given: Value, type: Type) -> Value:
        """A value with made-up members for what objects in its type want and it lacks."""
        data = given.data
        if isinstance(type, Object) and isinstance(data, dict):
            members = {
                n: self.padded(data[n], t) if n in data else self._of_type(t)
                for n, t in sorted(type.attributes.items())
            }
            return Value(Object({n: v.type for n, v in members.items()}), members)
        if isinstance(type, List | Set) and isinstance(data, tuple):
            return tuple_of(self.padded(v, type.element) for v in data)
        if isinstance(type, Map) and isinstance(data, dict):
            return object_of({k: self.padded(v, type.element) for k, v in data.items()})
        return given

    def nested_object(self, nested: NestedObject, value: Value, given: Value | None) -> Value:
        inner = Block(attributes=nested.attributes)
        return self._each(nested.nesting, value, given, lambda v, g: self.block(inner, v, g))

    def nested_block(self, nested: NestedBlock, value: Value, given: Value | None) -> Value:
        return self._each(nested.nesting, value, given, lambda v, g: self.block(nested.block, v, g))

    def _each(
        self, nesting: Nesting, value: Value, given: Value | None, fill: Callable[[Value, Value | None], Value]
    ) -> Value:
        """One object of values fills every element alike."""
        if value.data is NULL or not value.is_known:
            return value
        if nesting in (Nesting.SINGLE, Nesting.GROUP):
            return fill(value, given)
        given = given if given is not None and isinstance(given.data, dict) else None
        if isinstance(value.data, dict):
            return Value(value.type, {k: fill(v, given) for k, v in value.data.items()}, value.marks)
        filled = tuple(fill(v, given) for v in value.data)
        return Value(value.type, tuple(dict.fromkeys(filled)) if isinstance(value.type, Set) else filled, value.marks)

    def made_up(self, attribute: Attribute) -> Value:
        """A value nobody gave."""
        if attribute.nested is not None:
            nested = attribute.nested
            if nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
                members = {n: self.made_up(a) for n, a in sorted(nested.attributes.items())}
                return Value(attribute.type, members)
            return Value(attribute.type, {} if nested.nesting is Nesting.MAP else ())
        return self._of_type(attribute.type)

    def _of_type(self, type: Type) -> Value:
        if type == STRING:
            picked = bytes.fromhex(self.ids.hex(16))
            return string("".join(_ALPHABET[b % len(_ALPHABET)] for b in picked))
        if type == NUMBER:
            return number(0)
        if type == BOOL:
            return boolean(False)
        match type:
            case List() | Set():
                return Value(type, ())
            case Map():
                return Value(type, {})
            case Object(attributes):
                return Value(type, {n: self._of_type(t) for n, t in sorted(attributes.items())})
            case Tuple(elements):
                return Value(type, tuple(map(self._of_type, elements)))
        return null(type)


def _member(given: Value | None, name: str) -> Value | None:
    return given.data.get(name) if given is not None and isinstance(given.data, dict) else None


def _is_null(value: Value) -> bool:
    return value.data is NULL


def _is_unknown(value: Value) -> bool:
    return not value.is_known


@dataclass(slots=True)
class Pretender:
    """How objects come about without a provider: what both mocked providers and overridden objects do.

    Methods have the form of the contract's. `values` are the test's, None to make all up.
    """

    ids: Ids
    block: Block
    values: Value | None
    while_planning: bool
    at: Range | None = None

    def plan(self, prior: Value, proposed: Value) -> PlanResult:
        if proposed.is_null:
            return PlanResult(proposed)
        if not prior.is_null:
            return PlanResult(proposed, private=_UPDATE)
        problems: list[Diagnostic] = []
        given = self.values if self.while_planning else None
        filler = Filler(self.ids, given, _is_null, not self.while_planning, problems, self.at)
        return PlanResult(filler.block(self.block, proposed, given), (), _CREATE, tuple(problems))

    def apply(self, prior: Value, planned: Value) -> StateResult:
        if planned.is_null or not prior.is_null:
            return StateResult(planned)
        problems: list[Diagnostic] = []
        filler = Filler(self.ids, self.values, _is_unknown, False, problems, self.at)
        return StateResult(filler.block(self.block, planned, self.values), b"", tuple(problems))

    def read_data(self, config: Value) -> ValueResult:
        problems: list[Diagnostic] = []
        filler = Filler(self.ids, self.values, _is_null, False, problems, self.at)
        return ValueResult(filler.block(self.block, config, self.values), tuple(problems))


class MockedProvider:
    """`engine.provider.Provider` in the place of a real one, which is asked for its schema and for validation only."""

    def __init__(self, real: Provider, types: Mapping[tuple[str, str], MockedType], ids: Ids) -> None:
        self._real = real
        self._types = types
        self._ids = ids
        self.overrides: Sequence[Override] = ()

    def _pretender(self, mode: str, type: str) -> Pretender:
        schema = self.schema()
        block = (schema.resources if mode == MANAGED else schema.data_sources)[type].block
        mocked = self._types.get((mode, type))
        if mocked is None:
            return Pretender(self._ids, block, None, False)
        return Pretender(self._ids, block, mocked.defaults, mocked.while_planning, mocked.range)

    def schema(self) -> ProviderSchema:
        return self._real.schema()

    def validate_provider(self, config: Value) -> Sequence[Diagnostic]:
        return ()

    def configure(self, config: Value) -> Sequence[Diagnostic]:
        return ()

    def validate_resource(self, type: str, config: Value) -> Sequence[Diagnostic]:
        return self._real.validate_resource(type, config)

    def validate_data(self, type: str, config: Value) -> Sequence[Diagnostic]:
        return self._real.validate_data(type, config)

    def upgrade(self, type: str, version: int, state: Mapping[str, object]) -> ValueResult:
        block = self.schema().resources[type].block
        members = {name: from_json(state.get(name), t) for name, t in block.type.attributes.items()}
        return ValueResult(Value(block.type, members))

    def read(self, type: str, prior: Value, private: bytes) -> StateResult:
        return StateResult(prior, private)

    def plan(self, type: str, prior: Value, proposed: Value, config: Value, private: bytes) -> PlanResult:
        return self._pretender(MANAGED, type).plan(prior, proposed)

    def apply(self, type: str, prior: Value, planned: Value, config: Value, private: bytes) -> StateResult:
        return self._pretender(MANAGED, type).apply(prior, planned)

    def import_(self, type: str, id: str) -> ImportResult:
        problem = error(
            "Invalid import request",
            "Cannot import resources from mock providers. Use an `override_resource` block to targeting the specific "
            "resource being imported instead.",
        )
        return ImportResult((), (problem,))

    def read_data(self, type: str, config: Value) -> ValueResult:
        return self._pretender(DATA, type).read_data(config)

    def call(self, function: str, arguments: Sequence[Value]) -> ValueResult:
        return self._real.call(function, arguments)

    def stop(self) -> None:
        self._real.stop()

    def close(self) -> None:
        self._real.close()


class OverriddenProvider(MockedProvider):
    """The provider of one object with an `override_…` block: asked for nothing but schema and validation."""

    def __init__(self, real: Provider, override: Override, ids: Ids) -> None:
        super().__init__(real, {}, ids)
        self._override = override

    def _pretender(self, mode: str, type: str) -> Pretender:
        schema = self.schema()
        block = (schema.resources if mode == MANAGED else schema.data_sources)[type].block
        override = self._override
        return Pretender(self._ids, block, override.values, override.while_planning, override.range)

    def import_(self, type: str, id: str) -> ImportResult:
        from terrarium.engine.provider import ImportedObject

        block = self.schema().resources[type].block
        empty = Value(block.type, {n: null(t) for n, t in sorted(block.type.attributes.items())})
        return ImportResult((ImportedObject(type, self._pretender(MANAGED, type).read_data(empty).value),))
