"""Test files as values: runs, mocks, overrides. Nothing is evaluated here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from terrarium.base.source import Range, Source
from terrarium.engine.configuration import CheckRule, ProviderBlock, ProviderRef
from terrarium.engine.plan import Mode
from terrarium.engine.references import MoveEnd
from terrarium.language import nodes
from terrarium.language.values import Value


@dataclass(frozen=True, slots=True)
class Override:
    """What stands in for an object. `kind` is the block's type; `values` is an object, None when none was given (what
    is computed is then made up). `while_planning`: the values count in plans already."""

    kind: str
    target: MoveEnd
    range: Range
    target_range: Range
    values: Value | None = None
    while_planning: bool = False


@dataclass(frozen=True, slots=True)
class MockedType:
    """`mock_resource` or `mock_data`: the values of what the provider would compute."""

    mode: str
    type: str
    defaults: Value | None
    range: Range
    while_planning: bool = False


@dataclass(slots=True, eq=False)
class MockProvider:
    """`mock_provider`. `types` by mode and type; `source` is a folder of .tfmock.hcl files."""

    name: str
    alias: str
    range: Range
    types: dict[tuple[str, str], MockedType] = field(default_factory=dict)
    overrides: list[Override] = field(default_factory=list)
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ModuleUnderTest:
    """The `module` block of a run: another module than the one in the working folder."""

    source: str
    range: Range
    version: str | None = None


@dataclass(slots=True, eq=False)
class PlanOptions:
    mode: Mode = Mode.NORMAL
    refresh: bool = True
    replace: list[nodes.Traversal] = field(default_factory=list)
    target: list[nodes.Traversal] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Run:
    """A `run` block."""

    name: str
    range: Range
    planning: bool = False
    """`command = plan`."""
    options: PlanOptions = field(default_factory=PlanOptions)
    variables: Mapping[str, nodes.Attribute] = field(default_factory=dict)
    providers: list[tuple[ProviderRef, ProviderRef]] = field(default_factory=list)
    """(name in the module under test, name in the test file)."""
    asserts: list[CheckRule] = field(default_factory=list)
    expected: list[nodes.Traversal] = field(default_factory=list)
    module: ModuleUnderTest | None = None
    overrides: list[Override] = field(default_factory=list)
    state_key: str = ""

    @property
    def key(self) -> str:
        """Which state the run works on: runs of the same module share one."""
        return self.state_key or (self.module.source if self.module is not None else "")


@dataclass(slots=True, eq=False)
class TestFile:
    """`path` is as shown: relative to the working folder."""

    __test__ = False  # no test class, whatever its name begins with

    path: str
    source: Source
    runs: list[Run] = field(default_factory=list)
    variables: Mapping[str, nodes.Attribute] = field(default_factory=dict)
    providers: dict[tuple[str, str], ProviderBlock] = field(default_factory=dict)
    mocks: dict[tuple[str, str], MockProvider] = field(default_factory=dict)
    overrides: list[Override] = field(default_factory=list)
