"""One run: its variables, its plan, its apply, and what it expected of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.base.ids import Ids
from terrarium.engine.addresses import AbsResource, Instance, Target
from terrarium.engine.applying import NoRecorder, apply_plan
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.evaluation import Values
from terrarium.engine.events import Events
from terrarium.engine.plan import Mode, Plan
from terrarium.engine.planning import Options, make_plan
from terrarium.engine.plugins import Plugins
from terrarium.engine.references import module_and_resource
from terrarium.engine.state import State
from terrarium.engine.testing.assertions import Assertions, Status, malformed, outputs_value
from terrarium.engine.testing.expectations import expected_of, explained, judged, without_checks
from terrarium.engine.testing.inputs import Inputs, Known, inputs_of
from terrarium.engine.testing.model import PlanOptions, Run, TestFile
from terrarium.engine.testing.setup import Setup, prepare
from terrarium.engine.validation import validate
from terrarium.engine.variables import Given
from terrarium.engine.walking import Session
from terrarium.language import nodes
from terrarium.language.values import Value


@dataclass(slots=True)
class Bench:
    """What runs are made with. `functions` gives the language's functions: (in a plan, time of the plan)."""

    plugins: Plugins
    functions: Callable[[bool, str], Mapping[str, Any]]
    clock: Clock
    ids: Ids
    workspace: str = "default"
    working_folder: Path = field(default_factory=Path)
    parallelism: int = 10
    stopped: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class Outcome:
    """How a run came out. `state` is the state after it, None when it changed nothing; `shown` is what a wordy report
    shows: a plan or a state, of `root`."""

    status: Status = Status.PASS
    diagnostics: list[Diagnostic] = field(default_factory=list)
    state: State | None = None
    shown: Plan | State | None = None
    root: ModuleNode | None = None
    outputs: Value | None = None
    failures: int = 0
    """Assertions that did not hold."""


@dataclass(slots=True)
class Execution:
    """A run that is being executed, against the state of its module."""

    bench: Bench
    root: ModuleNode
    file: TestFile
    run: Run
    state: State
    given: Mapping[str, Given]
    outputs: Mapping[str, Value]

    def execute(self) -> Outcome:
        outcome = Outcome(root=self.root)
        setup, inputs = self.prepared(outcome.diagnostics)
        expected, problems = expected_of(self.run.expected)
        outcome.diagnostics += [*problems, *malformed(self.run)]
        if has_errors(outcome.diagnostics):
            outcome.status = Status.ERROR
            return outcome
        outcome.root = setup.root
        outcome.diagnostics += [d for d in validate(self.session(setup, {}, True, None)) if d.severity.value == "error"]
        if has_errors(outcome.diagnostics):
            outcome.status = Status.ERROR
            return outcome
        outcome.diagnostics += inputs.diagnostics
        if has_errors(inputs.diagnostics):
            outcome.status = Status.ERROR
            return outcome
        session = self.session(setup, inputs.values, True, Values())
        options, problems = plan_options(self.run.options)
        outcome.diagnostics += problems
        if has_errors(problems):
            outcome.status = Status.ERROR
            return outcome
        plan, said = make_plan(session, self.state, options, self.bench.clock)
        if self.run.planning:
            outcome.shown = plan
            outcome.diagnostics += judged(said, expected)
        elif has_errors(said):
            outcome.diagnostics += explained(said, expected)
        else:
            outcome.diagnostics += without_checks(said)
            session = self.session(setup, inputs.values, False, Values(), plan.timestamp)
            state, _, said = apply_plan(session, plan, NoRecorder(), self.bench.ids)
            outcome.state = outcome.shown = state
            outcome.diagnostics += judged(said, expected)
        outcome.outputs = outputs_value(session)
        if has_errors(outcome.diagnostics):
            outcome.status, outcome.shown = Status.ERROR, None
            return outcome
        names = [r.name for r in self.file.runs]
        outcome.status, said = Assertions(session, self.outputs, names, inputs.others).check(self.run)
        outcome.failures = sum(d.extra == "assert" for d in said)
        outcome.diagnostics += said
        return outcome

    def destroy(self) -> tuple[State, list[Diagnostic]]:
        """Destroys all that the state has, with the run's configuration and variables."""
        said: list[Diagnostic] = []
        setup, inputs = self.prepared(said)
        session = self.session(setup, inputs.values, True, None)
        plan, said = make_plan(session, self.state, Options(Mode.DESTROY), self.bench.clock)
        if has_errors(said):
            return self.state, said
        session = self.session(setup, inputs.values, False, None, plan.timestamp)
        state, _, more = apply_plan(session, plan, NoRecorder(), self.bench.ids)
        return state, [d for d in (*said, *more) if d.severity is Severity.ERROR]

    def prepared(self, diagnostics: list[Diagnostic]) -> tuple[Setup, Inputs]:
        """The configuration and its variables. Providers' mistakes go to `diagnostics`."""
        bench = self.bench
        setup = prepare(self.root, self.file, self.run, bench.plugins, bench.ids)
        diagnostics += setup.diagnostics
        names = tuple(r.name for r in self.file.runs)
        known = Known(self.given, bench.functions(False, ""), self.outputs, names)
        return setup, inputs_of(self.run, self.file, setup.root.module, known)

    def session(
        self, setup: Setup, values: Mapping[str, Value], planning: bool, found: Values | None, timestamp: str = ""
    ) -> Session:
        bench = self.bench
        return Session(
            setup.root,
            bench.plugins,
            values,
            bench.workspace,
            bench.working_folder,
            bench.parallelism,
            Events(),
            bench.functions(planning, timestamp),
            bench.stopped,
            values=found,
            mock=setup.mock,
            stand_in=setup.stand_in,
            known=lambda reference: self.outputs.get(reference.name) if reference.kind == "run" else None,
        )


def plan_options(options: PlanOptions) -> tuple[Options, list[Diagnostic]]:
    """`plan_options` as the planner wants them."""
    targets: list[Target] = []
    replaced: list[Instance] = []
    diagnostics: list[Diagnostic] = []
    for traversal in options.target:
        target = _target(traversal)
        if isinstance(target, Diagnostic):
            diagnostics.append(target)
        else:
            targets.append(target)
    for traversal in options.replace:
        target = _target(traversal)
        if isinstance(target, Diagnostic):
            diagnostics.append(target)
        elif isinstance(target, Instance):
            replaced.append(target)
        elif isinstance(target, AbsResource):
            replaced.append(target.instance(None))
        else:
            diagnostics.append(
                error("Invalid force-replace address", "Only resources can be replaced.", traversal.range)
            )
    return Options(options.mode, options.refresh, tuple(targets), tuple(replaced)), diagnostics


def _target(traversal: nodes.Traversal) -> Target | Diagnostic:
    end = module_and_resource(traversal)
    if isinstance(end, Diagnostic):
        return end
    if end.is_module:
        return end.module
    resource = AbsResource(end.module, end.mode, end.type, end.name)
    return resource.instance(end.key) if end.has_key else resource


def left_behind(state: State) -> list[str]:
    """The managed objects of a state, as text."""
    from terrarium.engine.addresses import MANAGED, sorted_instances

    found: list[str] = []
    for address in sorted_instances(a for a, _, _ in state.instances() if a.mode == MANAGED):
        instance = state.get(address)
        if instance is None:
            continue
        if instance.current is not None:
            found.append(str(address))
        found += [f"{address} ({key})" for key in sorted(instance.deposed)]
    return found


__all__ = ["Bench", "Execution", "Outcome", "Sequence", "left_behind", "plan_options"]
