"""A plan as a value: what is there, what will be done to it, and why.

Nothing in a plan can act. `planning` makes it, `plan_text` and `plan_json` show it, `plan_file` keeps it, `applying`
executes it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from terrarium.engine.addresses import Instance, Target
from terrarium.engine.state import CheckResult, State
from terrarium.language.values import Path, Value


class Action(enum.Enum):
    """What happens to an object. The value is the list of actions in plan JSON."""

    NOOP = ("no-op",)
    CREATE = ("create",)
    READ = ("read",)
    UPDATE = ("update",)
    DELETE = ("delete",)
    REPLACE = ("delete", "create")
    CREATE_REPLACE = ("create", "delete")
    FORGET = ("forget",)
    OPEN = ("open",)

    @property
    def replaces(self) -> bool:
        return self in (Action.REPLACE, Action.CREATE_REPLACE)


class Mode(enum.Enum):
    NORMAL = "normal"
    DESTROY = "destroy"
    REFRESH_ONLY = "refresh-only"


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """What happens to one object. `before` and `after` have the type of the resource's schema, marked where sensitive;
    null stands for "not there". `replace` are the paths that force a replacement, `reason` is plan JSON's
    `action_reason`. `provider` is the provider configuration's address as text, `source` the provider."""

    address: Instance
    provider: str
    source: str
    action: Action
    before: Value
    after: Value
    previous: Instance | None = None
    deposed: str = ""
    reason: str = ""
    replace: tuple[Path, ...] = ()
    private: bytes = b""
    schema_version: int = 0
    importing: str | None = None
    generated: str = ""
    hidden: tuple[Path, ...] = ()
    """The parts of `after` which the configuration makes sensitive, not the schema."""

    @property
    def moved(self) -> bool:
        return self.previous is not None and self.previous != self.address


@dataclass(frozen=True, slots=True)
class OutputChange:
    """What happens to a root output. A `before` or `after` of None stands for an output that is not there."""

    name: str
    action: Action
    before: Value | None
    after: Value | None
    sensitive_before: bool = False
    sensitive_after: bool = False


@dataclass(frozen=True, slots=True)
class RelevantAttribute:
    """A resource attribute on which some part of the plan depends."""

    resource: str
    path: Path


@dataclass(slots=True)
class Plan:
    """`prior` is the state after refresh, `previous` the one before (for reports of drift)."""

    mode: Mode = Mode.NORMAL
    changes: list[ResourceChange] = field(default_factory=list)
    drift: list[ResourceChange] = field(default_factory=list)
    outputs: list[OutputChange] = field(default_factory=list)
    prior: State = field(default_factory=State)
    previous: State = field(default_factory=State)
    variables: Mapping[str, Value] = field(default_factory=dict)
    given: Mapping[str, Value] = field(default_factory=dict)
    """The variables as they were given, before conversion."""
    apply_time: frozenset[str] = frozenset()
    """Ephemeral variables that were given: they are not kept, and must be given again to apply the plan."""
    targets: tuple[Target, ...] = ()
    replace: tuple[Instance, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    relevant: tuple[RelevantAttribute, ...] = ()
    timestamp: str = ""
    errored: bool = False
    aborted: bool = False
    """Nothing could be planned at all: there is nothing to show."""

    @property
    def has_changes(self) -> bool:
        """Whether applying it would do anything to objects or outputs."""
        return any(c.action is not Action.NOOP or c.moved or c.importing is not None for c in self.changes) or any(
            o.action is not Action.NOOP for o in self.outputs
        )

    @property
    def applyable(self) -> bool:
        if self.errored:
            return False
        if self.mode is Mode.REFRESH_ONLY:
            return bool(self.drift)
        return self.has_changes

    def counts(self) -> tuple[int, int, int, int, int]:
        """(import, add, change, destroy, forget) as the summary line counts them."""
        imported = added = changed = destroyed = forgotten = 0
        for change in self.changes:
            if change.address.mode != "managed":
                continue
            imported += change.importing is not None
            match change.action:
                case Action.CREATE:
                    added += 1
                case Action.UPDATE:
                    changed += 1
                case Action.DELETE:
                    destroyed += 1
                case Action.REPLACE | Action.CREATE_REPLACE:
                    added += 1
                    destroyed += 1
                case Action.FORGET:
                    forgotten += 1
                case _:
                    pass
        return imported, added, changed, destroyed, forgotten
