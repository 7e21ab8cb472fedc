"""All test files: each played from its first run to its last, then torn down.

A run that ends in an error ends its file: the runs after it are skipped. Whatever the runs left in their states is
destroyed at the end of the file, the last used state first, each with the configuration of the run that used it last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from terrarium.base.clock import real_monotonic
from terrarium.base.diagnostics import Diagnostic, has_errors
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.state import State
from terrarium.engine.testing.assertions import Status
from terrarium.engine.testing.model import Run, TestFile
from terrarium.engine.testing.runs import Bench, Execution, Outcome, left_behind
from terrarium.engine.testing.setup import exists, unknown_target
from terrarium.engine.variables import Given
from terrarium.language.values import Value


@dataclass(slots=True)
class RunReport:
    """`seconds` is None for a run that was skipped; `began` is seconds since the epoch."""

    run: Run
    status: Status = Status.PENDING
    diagnostics: list[Diagnostic] = field(default_factory=list)
    seconds: float | None = None
    began: float = 0.0
    outcome: Outcome = field(default_factory=Outcome)


@dataclass(slots=True)
class FileReport:
    file: TestFile
    status: Status = Status.PENDING
    runs: list[RunReport] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


class Listener(Protocol):
    """Hears how tests go, in order."""

    def begin(self, files: Sequence[TestFile]) -> None: ...

    def file_begins(self, file: TestFile) -> None: ...

    def run_begins(self, file: TestFile, run: Run) -> None: ...

    def run_ends(self, file: TestFile, report: RunReport) -> None: ...

    def teardown_begins(self, file: TestFile) -> None: ...

    def destroys(self, file: TestFile, run: Run) -> None: ...

    def destroyed(self, file: TestFile, run: Run, left: Sequence[str], diagnostics: Sequence[Diagnostic]) -> None: ...

    def file_ends(self, report: FileReport) -> None: ...

    def end(self, reports: Sequence[FileReport]) -> None: ...


@dataclass(slots=True)
class _Held:
    """A state, and the last run that changed it."""

    state: State = field(default_factory=State)
    run: Run | None = None
    root: ModuleNode | None = None


@dataclass(slots=True)
class Suite:
    """`modules` finds the configuration of a run; `given` the variables from outside, by file."""

    bench: Bench
    files: Sequence[TestFile]
    modules: Callable[[TestFile, Run], ModuleNode]
    given: Callable[[TestFile], Mapping[str, Given]]
    listener: Listener
    held: dict[str, _Held] = field(default_factory=dict)
    playing: TestFile | None = None

    def play(self) -> list[FileReport]:
        self.listener.begin(self.files)
        reports = [self.play_file(file) for file in self.files]
        self.listener.end(reports)
        return reports

    def play_file(self, file: TestFile) -> FileReport:
        report = FileReport(file)
        self.listener.file_begins(file)
        self.held, self.playing = {}, file
        outputs: dict[str, Value] = {}
        for run in file.runs:
            report.runs.append(self.play_run(file, run, report, outputs))
            report.status = report.status.merged(report.runs[-1].status)
        self.listener.teardown_begins(file)
        if not self.tear_down(file, outputs):
            report.status = Status.ERROR
        if report.status is Status.PENDING:
            report.status = Status.PASS
        report.diagnostics = self.lost_overrides(file)
        self.listener.file_ends(report)
        self.playing = None
        return report

    def play_run(self, file: TestFile, run: Run, so_far: FileReport, outputs: dict[str, Value]) -> RunReport:
        report = RunReport(run)
        if so_far.status is Status.ERROR or self.bench.stopped():
            report.status = Status.SKIP
            self.listener.run_ends(file, report)
            return report
        self.listener.run_begins(file, run)
        began = real_monotonic()
        report.began = self.bench.clock.time()
        held = self.held.setdefault(run.key, _Held())
        root = self.modules(file, run)
        execution = Execution(self.bench, root, file, run, held.state, self.given(file), dict(outputs))
        outcome = report.outcome = execution.execute()
        report.status, report.diagnostics = outcome.status, outcome.diagnostics
        if outcome.state is not None:
            held.state, held.run, held.root = outcome.state, run, root
        if outcome.outputs is not None:
            outputs[run.name] = outcome.outputs
        report.seconds = real_monotonic() - began
        self.listener.run_ends(file, report)
        return report

    def tear_down(self, file: TestFile, outputs: Mapping[str, Value]) -> bool:
        """Destroys what is left; false when something could not be."""
        order = {id(run): index for index, run in enumerate(file.runs)}
        fine = True
        bench = replace(self.bench, stopped=lambda: False)
        for held in sorted(
            (h for h in self.held.values() if h.run is not None), key=lambda h: order[id(h.run)], reverse=True
        ):
            if held.state.empty or not any(True for _ in held.state.instances()):
                continue
            assert held.run is not None and held.root is not None
            self.listener.destroys(file, held.run)
            execution = Execution(bench, held.root, file, held.run, held.state, self.given(file), outputs)
            held.state, diagnostics = execution.destroy()
            left = left_behind(held.state)
            self.listener.destroyed(file, held.run, left, diagnostics)
            fine = fine and not left and not has_errors(diagnostics)
        return fine

    def lost_overrides(self, file: TestFile) -> list[Diagnostic]:
        """Overrides of the file which are for nothing that its runs have."""
        roots = [self.modules(file, run) for run in file.runs]
        return [unknown_target(o) for o in file.overrides if not any(exists(root, o) for root in roots)]


def counts(reports: Sequence[FileReport]) -> dict[Status, int]:
    """Runs by how they came out."""
    found = dict.fromkeys(Status, 0)
    for report in reports:
        for run in report.runs:
            found[run.status] += 1
    return found


def overall(reports: Sequence[FileReport]) -> Status:
    """The worst of all files."""
    status = Status.PENDING
    for report in reports:
        status = status.merged(report.status)
    return Status.PASS if status is Status.PENDING else status
