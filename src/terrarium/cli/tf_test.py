"""`test`: runs .tftest.hcl files and reports, for people, as a stream of JSON, and as JUnit XML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_json_ui import emit, header
from terrarium.cli.tf_world import World
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.plan import Plan
from terrarium.engine.state import State
from terrarium.engine.testing.assertions import Status
from terrarium.engine.testing.model import Run, TestFile
from terrarium.engine.testing.suite import FileReport, Listener, RunReport, counts, overall
from terrarium.engine.variables import Given
from terrarium.language.render import Renderer, in_order, paint

_FLAGS = {
    "cloud-run": "text",
    "filter": "many",
    "json": "bool",
    "junit-xml": "text",
    "no-color": "bool",
    "parallelism": "int",
    "operation-parallelism": "int",
    "test-directory": "text",
    "var": "many",
    "var-file": "many",
    "verbose": "bool",
}


def test(world: World, args: Sequence[str]) -> int:
    from terrarium.cli.tf_interrupt import Interrupted, interruptible
    from terrarium.engine.testing.runs import Bench
    from terrarium.engine.testing.suite import Suite

    flags = parse(args, _FLAGS)
    if flags.flag("no-color"):
        world.colour = False
    if flags.text("cloud-run"):
        return world.fail(
            error("Remote test runs are not supported", "Tests run on this machine only: leave out -cloud-run.")
        )
    verbose = flags.flag("verbose")
    view: _View = JsonView(world, verbose) if flags.flag("json") else HumanView(world, verbose)
    view.start()
    directory = flags.text("test-directory") or "tests"
    root, files, diagnostics = _configuration(world, directory)
    if not has_errors(diagnostics):
        from terrarium.engine.dependencies import unavailable

        missing = unavailable(root, world.plugins, world.data_folder)
        diagnostics += [missing] if missing is not None else []
    modules: dict[tuple[str, str], ModuleNode] = {}
    if not has_errors(diagnostics):
        diagnostics += _run_modules(world, files, modules)
    given, in_directory, problems = _given(world, flags.many, directory)
    diagnostics += problems
    view.diagnostics(diagnostics)
    if has_errors(diagnostics):
        return 1
    wanted = flags.all("filter")
    chosen = [f for f in files if not wanted or f.path in wanted]
    with interruptible(world) as stopped:
        bench = Bench(
            world.plugins,
            lambda planning, timestamp: world.functions(planning, timestamp=timestamp),
            world.clock,
            world.ids,
            world.workspace,
            world.original_folder,
            flags.number("operation-parallelism", flags.number("parallelism", 10)),
            stopped,
        )
        suite = Suite(
            bench,
            chosen,
            lambda file, run: modules.get((file.path, run.name), root),
            lambda file: {**given, **in_directory} if file.path.rpartition("/")[0] == directory else given,
            view,
        )
        try:
            reports = suite.play()
        except Interrupted:
            view.cut_short(suite)
            return 1
    path = flags.text("junit-xml")
    if path:
        _write_junit(world, path, reports)
    return 0 if overall(reports) is Status.PASS else 1


def _configuration(world: World, directory: str) -> tuple[ModuleNode, list[TestFile], list[Diagnostic]]:
    from terrarium.engine.module_tree import Disk
    from terrarium.engine.testing.reading import read_tests

    root, diagnostics = world.configuration()
    files, sources, more = read_tests(Disk(), Path(), directory)
    world.sources.update(sources)
    return root, files, [*diagnostics, *more]


def _run_modules(world: World, files: Sequence[TestFile], into: dict[tuple[str, str], ModuleNode]) -> list[Diagnostic]:
    """Loads the modules that runs name, from where `init` has put them."""
    from terrarium.engine.module_tree import Disk, load_tree, not_installed
    from terrarium.engine.testing.reading import module_key

    manifest = world.manifest()
    diagnostics: list[Diagnostic] = []
    for file in files:
        for run in file.runs:
            if run.module is None:
                continue
            key = module_key(file, run)
            installed = manifest.get(key)
            if installed is None or not (installed.folder and Path(installed.folder).is_dir()):
                folder = installed.folder if installed is not None else ""
                detail = (
                    f'This module\'s local cache directory {folder} could not be read. Run "terraform init" to install all '
                    "modules required by this configuration."
                )
                if installed is None:
                    detail = (
                        'This module is not yet installed. Run "terraform init" to install all modules required by this '
                        "configuration."
                    )
                diagnostics.append(not_installed(detail, run.module.range))
                continue
            inner = {
                name.removeprefix(f"{key}."): entry for name, entry in manifest.items() if name.startswith(f"{key}.")
            }
            node, more = load_tree(Disk(), inner, installed.folder)
            world.sources.update(node.sources())
            diagnostics += more
            into[(file.path, run.name)] = node
    return diagnostics


def _given(
    world: World, many: Sequence[tuple[str, str]], directory: str
) -> tuple[Mapping[str, Given], Mapping[str, Given], list[Diagnostic]]:
    """Variables from outside, those of the folder with the tests apart."""
    from terrarium.engine import variables

    flags = [(name, value) for name, value in many if name in ("var", "var-file")]
    found = variables.gather(Path(), world.environment, flags, {})
    world.sources.update(found.sources)
    folder = Path(directory)
    if not folder.is_dir():
        return found.given, {}, found.diagnostics
    inner = variables.gather(folder, {}, (), {})
    world.sources.update({f"{directory}/{name}": source for name, source in inner.sources.items()})
    return found.given, inner.given, [*found.diagnostics, *inner.diagnostics]


def _write_junit(world: World, path: str, reports: Sequence[FileReport]) -> None:
    from terrarium.engine.testing.junit import document

    renderer = Renderer(world.sources)

    def render(found: Sequence[Diagnostic]) -> str:
        return "".join(renderer.render(d, colour=False, width=80) for d in found)

    try:
        Path(path).write_text(document(reports, render))
    except OSError as problem:
        world.say([error("Failed to write JUnit report", f"{path}: {problem.strerror}.")])


# --- reports -----------------------------------------------------------------------------------------------------------


class _View(Listener):
    """What both forms of report share."""

    def __init__(self, world: World, verbose: bool) -> None:
        self.world = world
        self.verbose = verbose

    def start(self) -> None: ...

    def diagnostics(self, found: Sequence[Diagnostic]) -> None: ...

    def cut_short(self, suite: Any) -> None:
        """The second Ctrl-C."""


def _shown(status: Status) -> str:
    return "fail" if status is Status.ERROR else status.value


def _conclusion(reports: Sequence[FileReport]) -> str:
    tally = counts(reports)
    failed = tally[Status.FAIL] + tally[Status.ERROR]
    word = "Success" if overall(reports) is Status.PASS else "Failure"
    skipped = f", {tally[Status.SKIP]} skipped" if tally[Status.SKIP] else ""
    return f"{word}! {tally[Status.PASS]} passed, {failed} failed{skipped}."


class HumanView(_View):
    """Lines for people."""

    def _coloured(self, status: Status) -> str:
        colour = {"pass": "green", "fail": "red"}.get(_shown(status), "light_gray")
        return paint(f"[{colour}]{_shown(status)}[reset]", self.world.colour)

    def diagnostics(self, found: Sequence[Diagnostic]) -> None:
        self.world.say(found)

    def begin(self, files: Sequence[TestFile]) -> None: ...

    def file_begins(self, file: TestFile) -> None:
        self.world.out(paint(f"{file.path}... [light_gray]in progress[reset]", self.world.colour))

    def run_begins(self, file: TestFile, run: Run) -> None: ...

    def run_ends(self, file: TestFile, report: RunReport) -> None:
        self.world.out(f'  run "{report.run.name}"... {self._coloured(report.status)}')
        if self.verbose:
            self._verbose(report.outcome.shown)
        self.world.say(report.diagnostics)
        if any(d.severity is Severity.WARNING for d in report.diagnostics):
            self.world.out("")

    def _verbose(self, shown: Plan | State | None) -> None:
        world = self.world
        if isinstance(shown, Plan):
            from terrarium.cli.tf_run import renderer

            world.streams.print(renderer(world).render(shown) + "\n")
        elif shown is not None:
            from terrarium.engine.state_text import StateText

            text = StateText(world.plugins, world.colour).whole(shown)
            world.out("\n" + (text or "The state file is empty. No resources are represented.\n"))

    def teardown_begins(self, file: TestFile) -> None:
        self.world.out(paint(f"{file.path}... [light_gray]tearing down[reset]", self.world.colour))

    def destroys(self, file: TestFile, run: Run) -> None: ...

    def destroyed(self, file: TestFile, run: Run, left: Sequence[str], diagnostics: Sequence[Diagnostic]) -> None:
        err = self.world.streams.err
        self.world.streams.out.flush()
        where = f"{file.path}/{run.name}"
        if has_errors(diagnostics):
            err.write(_wrapped(f"Terraform encountered an error destroying resources created while executing {where}."))
        self.world.say(diagnostics)
        if left:
            err.write(
                "\n"
                + _wrapped(
                    f"Terraform left the following resources in state after executing {where}, and they need to be cleaned "
                    "up manually:"
                )
                + "".join(f"  - {name}\n" for name in left)
            )
        err.flush()

    def file_ends(self, report: FileReport) -> None:
        self.world.out(f"{report.file.path}... {self._coloured(report.status)}")
        self.world.say(report.diagnostics)

    def end(self, reports: Sequence[FileReport]) -> None:
        colour = "green" if overall(reports) is Status.PASS else "red"
        word, _, rest = _conclusion(reports).partition("!")
        self.world.out("\n" + paint(f"[{colour}]{word}![reset]", self.world.colour) + rest)

    def cut_short(self, suite: Any) -> None:
        from terrarium.engine.testing.runs import left_behind

        if suite.playing is None:
            return
        text = "\n" + _wrapped(
            f"Terraform was interrupted while executing {suite.playing.path}, and may not have performed the expected "
            "cleanup operations."
        )
        for key, held in suite.held.items():
            left = left_behind(held.state)
            if left:
                source = f'"{key}"' if key else "the module under test"
                text += "\n" + _wrapped(f"Terraform has already created the following resources from {source}:")
                text += "".join(f"  - {name}\n" for name in left)
        self.world.streams.err.write(text)
        self.world.streams.err.flush()


def _wrapped(text: str) -> str:
    from terrarium.language.render import wrap

    return wrap(text, 78) + "\n"


class JsonView(_View):
    """An event a line."""

    def _emit(
        self,
        text: str,
        kind: str,
        file: TestFile | None = None,
        run: Run | None = None,
        level: str = "info",
        **fields: Any,
    ) -> None:
        where: dict[str, Any] = {"@testfile": file.path} if file is not None else {}
        if run is not None:
            where["@testrun"] = run.name
        emit(self.world, text, kind, level, **where, **fields)

    def start(self) -> None:
        header(self.world)

    def diagnostics(self, found: Sequence[Diagnostic]) -> None:
        self._diagnostics(found)

    def _diagnostics(self, found: Sequence[Diagnostic], file: TestFile | None = None, run: Run | None = None) -> None:
        renderer = Renderer(self.world.sources)
        for diagnostic in in_order(found):
            is_error = diagnostic.severity is Severity.ERROR
            word, level = ("Error", "error") if is_error else ("Warning", "warn")
            text = f"{word}: {diagnostic.summary}"
            self._emit(text, "diagnostic", file, run, level, diagnostic=renderer.to_json(diagnostic))

    def begin(self, files: Sequence[TestFile]) -> None:
        runs = sum(len(f.runs) for f in files)
        text = f"Found {len(files)} file{'' if len(files) == 1 else 's'} and {runs} run block{'' if runs == 1 else 's'}"
        self._emit(text, "test_abstract", test_abstract={f.path: [r.name for r in f.runs] for f in files})

    def file_begins(self, file: TestFile) -> None:
        row = {"path": file.path, "progress": "starting"}
        self._emit(f"{file.path}... in progress", "test_file", file, test_file=row)

    def run_begins(self, file: TestFile, run: Run) -> None:
        row = {"path": file.path, "run": run.name, "progress": "starting", "elapsed": 0}
        self._emit(f'  "{run.name}"... in progress', "test_run", file, run, test_run=row)

    def run_ends(self, file: TestFile, report: RunReport) -> None:
        run = report.run
        row = {"path": file.path, "run": run.name, "progress": "complete", "status": report.status.value}
        self._emit(f'  "{run.name}"... {_shown(report.status)}', "test_run", file, run, test_run=row)
        if self.verbose:
            self._verbose(file, report)
        self._diagnostics(report.diagnostics, file, run)

    def _verbose(self, file: TestFile, report: RunReport) -> None:
        shown, root, plugins = report.outcome.shown, report.outcome.root, self.world.plugins
        if shown is None or root is None:
            return
        schemas = {"provider_format_version": "1.0", "provider_schemas": _provider_schemas(root, self.world)}
        if isinstance(shown, Plan):
            from terrarium.engine.plan_json import plan_document

            document = plan_document(shown, root, plugins)
            names = ("output_changes", "resource_changes", "resource_drift", "relevant_attributes")
            row = {"plan_format_version": "1.2"} | {n: document[n] for n in names if n in document} | schemas
            text = "-verbose flag enabled, printing plan"
            self._emit(text, "test_plan", file, report.run, test_plan=row)
            return
        from terrarium.engine.state_json import state_values

        row = {"state_format_version": "1.0"} | state_values(shown, plugins) | schemas
        self._emit("-verbose flag enabled, printing state", "test_state", file, report.run, test_state=row)

    def teardown_begins(self, file: TestFile) -> None:
        row = {"path": file.path, "progress": "teardown"}
        self._emit(f"{file.path}... tearing down", "test_file", file, test_file=row)

    def destroys(self, file: TestFile, run: Run) -> None:
        row = {"path": file.path, "run": run.name, "progress": "teardown", "elapsed": 0}
        self._emit(f'  "{run.name}"... tearing down', "test_run", file, run, test_run=row)

    def destroyed(self, file: TestFile, run: Run, left: Sequence[str], diagnostics: Sequence[Diagnostic]) -> None:
        if left:
            text = (
                f"Terraform left some resources in state after executing {file.path}/{run.name}, they need to be cleaned up "
                "manually."
            )
            row = {"failed_resources": [{"instance": name} for name in left]}
            self._emit(text, "test_cleanup", file, run, "error", test_cleanup=row)
        self._diagnostics(diagnostics, file, run)

    def file_ends(self, report: FileReport) -> None:
        row = {"path": report.file.path, "progress": "complete", "status": report.status.value}
        self._emit(f"{report.file.path}... {_shown(report.status)}", "test_file", report.file, test_file=row)
        self._diagnostics(report.diagnostics, report.file)

    def end(self, reports: Sequence[FileReport]) -> None:
        tally = counts(reports)
        row = {
            "status": overall(reports).value,
            "passed": tally[Status.PASS],
            "failed": tally[Status.FAIL],
            "errored": tally[Status.ERROR],
            "skipped": tally[Status.SKIP],
        }
        self._emit(_conclusion(reports), "test_summary", test_summary=row)


def _provider_schemas(root: ModuleNode, world: World) -> dict[str, Any]:
    """The schemas of the providers that a configuration uses."""
    from terrarium.engine.config_graph import Builder
    from terrarium.engine.schema_json import provider_json

    builder = Builder(root, world.plugins)
    builder.build()
    sources = sorted({c.source for c in builder.providers.values()})
    return {s: provider_json(world.plugins.schema(s)) for s in sources if s in world.plugins}
