"""What a module says, as values: one class for each kind of block, and the tree of modules that calls make.

Nothing is evaluated here; expressions stay syntax. `loading` builds these from files, `module_tree` joins the modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Diagnostic
from terrarium.base.source import Range, Source
from terrarium.engine.addresses import ConfigResource, ModulePath, default_source, resource_text
from terrarium.language import nodes
from terrarium.language.types import DYNAMIC, Type
from terrarium.language.values import Value


@dataclass(slots=True, eq=False)
class CheckRule:
    """A condition and what to say when it doesn't hold: preconditions, postconditions, validations, assertions."""

    condition: nodes.Expression
    error_message: nodes.Expression | None
    range: Range


@dataclass(slots=True, eq=False)
class Variable:
    name: str
    range: Range
    type: Type = DYNAMIC
    defaults: Any = None
    default: Value | None = None
    default_expression: nodes.Expression | None = None
    type_expression: nodes.Expression | None = None
    description: str | None = None
    sensitive: bool | None = None
    ephemeral: bool | None = None
    nullable: bool | None = None
    validations: list[CheckRule] = field(default_factory=list)

    @property
    def is_nullable(self) -> bool:
        return self.nullable is not False

    @property
    def required(self) -> bool:
        return self.default is None


@dataclass(slots=True, eq=False)
class Local:
    name: str
    expression: nodes.Expression
    range: Range


@dataclass(slots=True, eq=False)
class Output:
    name: str
    range: Range
    expression: nodes.Expression | None = None
    description: str | None = None
    sensitive: bool | None = None
    ephemeral: bool | None = None
    depends_on: list[nodes.Traversal] = field(default_factory=list)
    preconditions: list[CheckRule] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ProviderRef:
    """`aws` or `aws.west` as written in a module."""

    name: str
    alias: str = ""
    range: Range | None = None

    def __str__(self) -> str:
        return f"{self.name}.{self.alias}" if self.alias else self.name


@dataclass(slots=True, eq=False)
class Provisioner:
    type: str
    body: nodes.Body
    range: Range
    when_destroy: bool = False
    continue_on_failure: bool = False
    connection: nodes.Block | None = None


@dataclass(slots=True, eq=False)
class Resource:
    """A `resource`, `data` or `ephemeral` block. `body` is what the provider's schema describes."""

    mode: str
    type: str
    name: str
    body: nodes.Body
    range: Range
    type_range: Range
    count: nodes.Expression | None = None
    for_each: nodes.Expression | None = None
    provider: ProviderRef | None = None
    depends_on: list[nodes.Traversal] = field(default_factory=list)
    create_before_destroy: bool | None = None
    prevent_destroy: bool | None = None
    ignore_all: bool = False
    ignore_changes: list[nodes.Traversal] = field(default_factory=list)
    replace_triggered_by: list[nodes.Expression] = field(default_factory=list)
    preconditions: list[CheckRule] = field(default_factory=list)
    postconditions: list[CheckRule] = field(default_factory=list)
    provisioners: list[Provisioner] = field(default_factory=list)
    connection: nodes.Block | None = None
    check: str | None = None
    """The `check` block which alone sees this data source."""

    @property
    def local(self) -> str:
        return resource_text(self.mode, self.type, self.name)

    @property
    def repeats(self) -> bool:
        return self.count is not None or self.for_each is not None


@dataclass(frozen=True, slots=True)
class PassedProvider:
    """`providers = { child = parent }` of a module call."""

    child: ProviderRef
    parent: ProviderRef


@dataclass(slots=True, eq=False)
class ModuleCall:
    name: str
    body: nodes.Body
    range: Range
    source: str = ""
    source_range: Range | None = None
    version: str | None = None
    count: nodes.Expression | None = None
    for_each: nodes.Expression | None = None
    depends_on: list[nodes.Traversal] = field(default_factory=list)
    providers: list[PassedProvider] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ProviderBlock:
    name: str
    alias: str
    body: nodes.Body
    range: Range
    version: str | None = None
    version_range: Range | None = None


@dataclass(frozen=True, slots=True)
class RequiredProvider:
    name: str
    source: str
    version: str = ""
    aliases: tuple[ProviderRef, ...] = ()
    range: Range | None = None
    version_range: Range | None = None


@dataclass(slots=True, eq=False)
class Moved:
    from_: nodes.Traversal
    to: nodes.Traversal
    range: Range


@dataclass(slots=True, eq=False)
class Removed:
    from_: nodes.Traversal
    range: Range
    destroy: bool = True
    provisioners: list[Provisioner] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Import:
    to: nodes.Expression
    id: nodes.Expression
    range: Range
    for_each: nodes.Expression | None = None
    provider: ProviderRef | None = None
    provider_range: Range | None = None


@dataclass(slots=True, eq=False)
class Check:
    name: str
    range: Range
    asserts: list[CheckRule] = field(default_factory=list)
    data: Resource | None = None


@dataclass(slots=True, eq=False)
class Backend:
    """`backend "type" {…}` or `cloud {…}`."""

    type: str
    body: nodes.Body
    range: Range
    cloud: bool = False
    type_range: Range | None = None


@dataclass(frozen=True, slots=True)
class CoreVersion:
    constraint: str
    range: Range


@dataclass(slots=True, eq=False)
class Module:
    """Everything that the files of one folder declare."""

    folder: Path
    variables: dict[str, Variable] = field(default_factory=dict)
    locals: dict[str, Local] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    resources: dict[tuple[str, str, str], Resource] = field(default_factory=dict)
    calls: dict[str, ModuleCall] = field(default_factory=dict)
    providers: dict[tuple[str, str], ProviderBlock] = field(default_factory=dict)
    required: dict[str, RequiredProvider] = field(default_factory=dict)
    required_range: Range | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)
    removed: list[Removed] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    backend: Backend | None = None
    cloud: Backend | None = None
    core_versions: list[CoreVersion] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    unreadable: list[Diagnostic] = field(default_factory=list)
    """What is wrong with the syntax of the files."""

    def provider_source(self, local_name: str) -> str:
        """The provider which a local name of this module means."""
        known = self.required.get(local_name)
        return known.source if known else default_source(local_name)

    def local_name(self, source: str) -> str:
        """The name under which this module knows a provider."""
        for name, required in self.required.items():
            if required.source == source:
                return name
        return source.rpartition("/")[2]

    def resource_provider(self, resource: Resource) -> ProviderRef:
        return resource.provider or ProviderRef(implied_provider(resource.type))


def implied_provider(resource_type: str) -> str:
    """The local name that a resource type's first word means."""
    return resource_type.partition("_")[0]


@dataclass(slots=True, eq=False)
class ModuleNode:
    """A module in its place in the tree. `call` is None for the root."""

    path: ModulePath
    module: Module
    call: ModuleCall | None = None
    parent: ModuleNode | None = None
    children: dict[str, ModuleNode] = field(default_factory=dict)
    version: str = ""

    def walk(self) -> Iterator[ModuleNode]:
        yield self
        for name in sorted(self.children):
            yield from self.children[name].walk()

    def find(self, path: ModulePath) -> ModuleNode | None:
        node: ModuleNode | None = self
        for name in path:
            node = node.children.get(name) if node else None
        return node

    def resource(self, address: ConfigResource) -> Resource | None:
        node = self.find(address.path)
        return node.module.resources.get((address.mode, address.type, address.name)) if node else None

    def sources(self) -> Mapping[str, Source]:
        """All texts by file name, for the rendering of diagnostics."""
        found: dict[str, Source] = {}
        for node in self.walk():
            found.update(node.module.sources)
        return found
