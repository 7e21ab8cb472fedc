"""The contract between the engine and every provider, and the schemas it is written in.

It mirrors Terraform's plugin protocol (tfplugin5/6), so that an external binary is one more implementation. Calls are
synchronous and may come from several threads at once. `providers/` import nothing else of the engine.

Values given and returned have exactly the implied type of the schema (`Block.type`); unknown values stand for what is
known only after apply. Marks never cross this border.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from terrarium.base.diagnostics import Diagnostic
from terrarium.language.types import List, Map, Object, Set, Type
from terrarium.language.values import Path, Value


class Nesting(enum.Enum):
    SINGLE = "single"
    GROUP = "group"
    LIST = "list"
    SET = "set"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class NestedObject:
    """The type of an attribute that is an object with a schema of its own (protocol 6)."""

    attributes: Mapping[str, Attribute]
    nesting: Nesting

    @property
    def type(self) -> Type:
        element = Object({name: a.type for name, a in self.attributes.items()})
        match self.nesting:
            case Nesting.LIST:
                return List(element)
            case Nesting.SET:
                return Set(element)
            case Nesting.MAP:
                return Map(element)
            case _:
                return element


@dataclass(frozen=True, slots=True)
class Attribute:
    """An argument or computed attribute. Exactly one of `plain` and `nested` is set."""

    plain: Type | None = None
    nested: NestedObject | None = None
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    write_only: bool = False
    deprecated: bool = False
    description: str = ""
    markdown: bool = False
    """Whether the description is Markdown, not plain text."""

    @property
    def type(self) -> Type:
        if self.plain is not None:
            return self.plain
        assert self.nested is not None
        return self.nested.type


@dataclass(frozen=True, slots=True)
class NestedBlock:
    """A block inside a block. `max_items` 0 means no limit."""

    block: Block
    nesting: Nesting
    min_items: int = 0
    max_items: int = 0

    @property
    def type(self) -> Type:
        element = self.block.type
        match self.nesting:
            case Nesting.LIST:
                return List(element)
            case Nesting.SET:
                return Set(element)
            case Nesting.MAP:
                return Map(element)
            case _:
                return element


@dataclass(frozen=True, slots=True)
class Block:
    """The schema of a body (Terraform's `configschema.Block`)."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    blocks: Mapping[str, NestedBlock] = field(default_factory=dict)
    deprecated: bool = False
    description: str = ""

    @property
    def type(self) -> Object:
        """The implied type of a value of this block."""
        members: dict[str, Type] = {name: a.type for name, a in self.attributes.items()}
        members.update({name: b.type for name, b in self.blocks.items()})
        return Object(members)


@dataclass(frozen=True, slots=True)
class Schema:
    """A block and the version of the state that is written with it."""

    block: Block
    version: int = 0


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: Type
    allow_null: bool = False
    allow_unknown: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """A provider function."""

    parameters: tuple[Parameter, ...]
    returns: Type
    variadic: Parameter | None = None
    summary: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ProviderSchema:
    provider: Schema
    resources: Mapping[str, Schema] = field(default_factory=dict)
    data_sources: Mapping[str, Schema] = field(default_factory=dict)
    ephemeral: Mapping[str, Schema] = field(default_factory=dict)
    functions: Mapping[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanResult:
    """`replace` holds the paths whose change can't be made in place. `private` goes to apply and into the state.

    `legacy` is the protocol's `legacy_type_system`: the provider knows no difference of null and zero, so the engine
    does not hold it to the exact plan.
    """

    planned: Value
    replace: tuple[Path, ...] = ()
    private: bytes = b""
    diagnostics: tuple[Diagnostic, ...] = ()
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class StateResult:
    """An object after create, update or read; `value` is null when it is gone. Given even beside errors, so that what
    was half made is remembered. `legacy` as in `PlanResult`."""

    value: Value
    private: bytes = b""
    diagnostics: tuple[Diagnostic, ...] = ()
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class ImportedObject:
    type: str
    value: Value
    private: bytes = b""


@dataclass(frozen=True, slots=True)
class ImportResult:
    objects: tuple[ImportedObject, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueResult:
    value: Value
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenResult:
    """An ephemeral resource that is open. `private` goes to its closing."""

    value: Value
    private: bytes = b""
    diagnostics: tuple[Diagnostic, ...] = ()


class Provider(Protocol):
    """One configured (or not yet configured) provider. Diagnostics name places by `attribute` paths."""

    def schema(self) -> ProviderSchema: ...

    def validate_provider(self, config: Value) -> Sequence[Diagnostic]: ...

    def configure(self, config: Value) -> Sequence[Diagnostic]:
        """Once per instance, before anything below. `config` may have unknowns while planning."""
        ...

    def validate_resource(self, type: str, config: Value) -> Sequence[Diagnostic]: ...

    def validate_data(self, type: str, config: Value) -> Sequence[Diagnostic]: ...

    def upgrade(self, type: str, version: int, state: Mapping[str, object]) -> ValueResult:
        """Brings a state's JSON attributes of an older (or the same) schema version to a value of today's."""
        ...

    def read(self, type: str, prior: Value, private: bytes) -> StateResult: ...

    def plan(self, type: str, prior: Value, proposed: Value, config: Value, private: bytes) -> PlanResult:
        """`prior` null: create; `proposed` null: destroy. `proposed` is config joined with prior by `objchange` rules."""
        ...

    def apply(self, type: str, prior: Value, planned: Value, config: Value, private: bytes) -> StateResult: ...

    def import_(self, type: str, id: str) -> ImportResult: ...

    def read_data(self, type: str, config: Value) -> ValueResult: ...

    def call(self, function: str, arguments: Sequence[Value]) -> ValueResult: ...

    def stop(self) -> None:
        """Asks running calls to end soon (first Ctrl-C). May be called from any thread."""
        ...

    def close(self) -> None:
        """Ends whatever the provider holds open."""
        ...


@runtime_checkable
class EphemeralProvider(Provider, Protocol):
    """A provider with ephemeral resources. Only those whose schema has some need to be one."""

    def validate_ephemeral(self, type: str, config: Value) -> Sequence[Diagnostic]: ...

    def open(self, type: str, config: Value) -> OpenResult: ...

    def close_ephemeral(self, type: str, private: bytes) -> Sequence[Diagnostic]: ...


def is_quick(provider: object) -> bool:
    """Whether a provider's calls about managed resources only compute, so that they need no thread of their own: it says
    so by an attribute `quick`."""
    return bool(getattr(provider, "quick", False))


class ProviderFactory(Protocol):
    """Makes instances of one provider; one for each provider configuration."""

    @property
    def source(self) -> str:
        """Full source address: `registry.terraform.io/hashicorp/aws`."""
        ...

    @property
    def version(self) -> str: ...

    def create(self) -> Provider: ...
