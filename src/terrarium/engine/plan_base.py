"""What planning is told, what it gathers, and how it looks at objects that exist: bringing them up to today's schema,
reading them anew, checking conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from terrarium.base.diagnostics import Severity, error, has_errors
from terrarium.engine.addresses import (
    MANAGED,
    AbsResource,
    ConfigResource,
    Instance,
    ModuleInstance,
    ProviderConfig,
    Target,
    is_within,
)
from terrarium.engine.checks import evaluate_rule, originating
from terrarium.engine.config_graph import Node
from terrarium.engine.graph import Graph
from terrarium.engine.plan import Mode, ResourceChange
from terrarium.engine.plan_object import equal, schema_marks
from terrarium.engine.provider import is_quick
from terrarium.engine.state import State, StateObject, marked
from terrarium.engine.task import Task
from terrarium.engine.walking import Diagnostics, Session, Walk, located, object_id
from terrarium.language.values import Value, null


@dataclass(frozen=True, slots=True)
class Options:
    """How to plan. `replace` are the objects of `-replace`. `generate`: write configuration for objects of import blocks
    that have none. `before_destroy`: a plan that is only made to see what exists, before everything is destroyed."""

    mode: Mode = Mode.NORMAL
    refresh: bool = True
    targets: tuple[Target, ...] = ()
    replace: tuple[Instance, ...] = ()
    generate: bool = False
    before_destroy: bool = False


class PlanBase(Walk):
    """What planning knows and does for every kind of object. `changes` are by instance and deposed key; `refreshed` is
    the prior state with what reading has brought up."""

    def __init__(self, session: Session, prior: State, options: Options) -> None:
        super().__init__(session)
        self.prior = prior
        self.options = options
        self.lenient = options.mode is not Mode.NORMAL or options.before_destroy
        self.checking = options.mode is not Mode.DESTROY
        self.changes: dict[tuple[Instance, str], ResourceChange] = {}
        self.refreshed = prior.copy()
        self.previous_addresses: Mapping[Instance, Instance] = {}
        self.resource_configs: dict[ConfigResource, ProviderConfig] = {}
        self.pending: dict[ConfigResource, set[ModuleInstance]] = {}
        self.dependencies: dict[ConfigResource, int] = {}
        self.wanted: Sequence[Target] = ()
        self.refreshable: Sequence[Target] = ()
        self.imports: dict[Instance, str] = {}
        self.forced_cbd: set[ConfigResource] = set()
        self.seen: set[AbsResource] = set()
        self.graph: Graph[Node] = Graph()
        self.visited: set[ConfigResource] = set()

    def inline(self, node: Node) -> bool:
        """Whether a visit is too short to be worth a thread."""
        if node.kind != "resource":
            return True
        config = self.resource_configs.get(node.resource)
        return node.mode == MANAGED and config is not None and is_quick(self.providers.get(config))

    def refreshes(self, address: Instance) -> bool:
        """Whether the object is to be read anew: while destroying targets, only those and what they depend on."""
        return (
            self.options.mode is not Mode.DESTROY
            or not self.refreshable
            or any(is_within(address, t) for t in self.refreshable)
        )

    def skip(self, task: Task) -> None:
        """An instance outside the targets: as it is."""
        held = self.prior.current(task.address)
        if held is not None and held.schema_version == task.schema.version:
            value = held.value(self.plugins.decoder.type(task.schema.block))
            self.values.set_object(task.address, schema_marks(task.schema.block, value))

    def upgraded(self, task: Task, held: StateObject) -> tuple[StateObject, Value | None, Diagnostics]:
        """The object's value in today's schema."""
        type = self.plugins.decoder.type(task.schema.block)
        if held._value is not None:
            return held, held.value(type), []
        if held.schema_version > task.schema.version:
            return (
                held,
                None,
                [
                    error(
                        "Resource instance managed by newer provider version",
                        f"The current state of {task.address} was created by a newer provider version than is currently "
                        "selected. Upgrade the "
                        + task.config.source.rpartition("/")[2]
                        + " provider to work with this state.",
                    )
                ],
            )
        if held.schema_version == task.schema.version:
            try:
                return held, held.value(type), []
            except ValueError:
                pass
        result = task.provider.upgrade(task.address.type, held.schema_version, held.json())
        diagnostics = [replace(d, address=str(task.address)) for d in result.diagnostics]
        if has_errors(diagnostics):
            return held, None, diagnostics
        upgraded = replace(held, schema_version=task.schema.version, attributes=None, _value=result.value, _type=type)
        return upgraded, upgraded.value(type), diagnostics

    def refresh(
        self, task: Task, held: StateObject, value: Value, deposed: str = ""
    ) -> tuple[StateObject | None, Value, Diagnostics]:
        """Reads the object anew; None when it is gone."""
        type = self.plugins.decoder.type(task.schema.block)
        plain = value.unmarked_deep()
        events, id = self.session.events, object_id(value)
        events.refresh_start(task.address, id, deposed)
        result = task.provider.read(task.address.type, plain, held.private)
        diagnostics = [
            located(d, task.resource.body if task.resource else None, str(task.address)) for d in result.diagnostics
        ]
        if has_errors(diagnostics):
            return held, value, diagnostics
        if result.value.is_null:
            events.refresh_done(task.address, id, deposed)
            return None, null(type), diagnostics
        if equal(result.value, plain):
            fresh = held if result.private == held.private else replace(held, private=result.private)
        else:
            again = marked(result.value, held.sensitive)
            fresh = StateObject.of(
                again,
                type,
                schema_version=task.schema.version,
                private=result.private,
                tainted=held.tainted,
                dependencies=held.dependencies,
                create_before_destroy=held.create_before_destroy,
            )
        events.refresh_done(task.address, id, deposed)
        return fresh, fresh.value(type), diagnostics

    def conditions(self, task: Task, what: str, self_value: Value | None) -> Diagnostics:
        resource = task.resource
        assert resource is not None
        rules = resource.preconditions if what == "precondition" else resource.postconditions
        diagnostics: Diagnostics = []
        severity = Severity.WARNING if self.lenient else Severity.ERROR
        for index, rule in enumerate(rules):
            status, message, more = evaluate_rule(
                self.evaluator, task.address.module, rule, what, task.repetition, self_value, severity
            )
            config = str(task.config_resource)
            self.checks.report("resource", config, str(task.address), (what, index), status, message)
            diagnostics += originating(more, "resource", config, str(task.address))
        return diagnostics
