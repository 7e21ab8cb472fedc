"""Reads .tftest.hcl and .tftest.json files, and the .tfmock.hcl files that they name."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, warning
from terrarium.base.source import Source
from terrarium.engine import static
from terrarium.engine.addresses import DATA, MANAGED
from terrarium.engine.configuration import Module, ModuleCall, ModuleNode, ProviderBlock
from terrarium.engine.loading import parse_text
from terrarium.engine.loading_reader import Reader, attributes, blocks, read_check_rule, read_provider_ref
from terrarium.engine.module_tree import Disk, Files
from terrarium.engine.plan import Mode
from terrarium.engine.references import MoveEnd, module_and_resource
from terrarium.engine.testing.model import (
    MockedType,
    MockProvider,
    ModuleUnderTest,
    Override,
    PlanOptions,
    Run,
    TestFile,
)
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema
from terrarium.language.types import Map, Object
from terrarium.language.values import NULL, Value

SUFFIXES = (".tftest.hcl", ".tftest.json")
_MOCK_SUFFIXES = (".tfmock.hcl", ".tfmock.json")

_FILE = BodySchema(
    blocks=blocks(
        "variables",
        "override_resource",
        "override_data",
        "override_module",
        run=("name",),
        provider=("name",),
        mock_provider=("name",),
    )
)
_RUN = BodySchema(
    attributes=attributes("command", "providers", "expect_failures", "state_key"),
    blocks=blocks(
        "plan_options", "assert", "variables", "module", "override_resource", "override_data", "override_module"
    ),
)
_PLAN_OPTIONS = BodySchema(attributes=attributes("mode", "refresh", "replace", "target"))
_MODULE = BodySchema(attributes=attributes("source", "version"))
_PROVIDER = BodySchema(attributes=attributes("alias", "version"))
_MOCK_FILE = BodySchema(
    blocks=blocks("override_resource", "override_data", "override_module", mock_resource=("type",), mock_data=("type",))
)
_MOCK_PROVIDER = BodySchema(attributes=attributes("alias", "source", "override_during"), blocks=_MOCK_FILE.blocks)
_MOCK = BodySchema(attributes=attributes("defaults", "override_during"))
_OVERRIDES: Mapping[str, tuple[str, str, Callable[[MoveEnd], bool]]] = {
    "override_resource": ("values", "resources", lambda t: t.mode == MANAGED and not t.is_module),
    "override_data": ("values", "data sources", lambda t: t.mode == DATA and not t.is_module),
    "override_module": ("outputs", "modules", lambda t: t.is_module),
}
"""Block: (the attribute with its values, what it may target, whether a target is of that kind)."""


class TestReader(Reader):
    """Builds one test file."""

    __test__ = False

    def __init__(self, path: str, source: Source, mock_files: Callable[[str], list[str]], files: Files) -> None:
        super().__init__()
        self.file = TestFile(path, source)
        self.sources: dict[str, Source] = {path: source}
        self._mock_files = mock_files
        self._files = files

    def read(self, body: nodes.Body) -> None:
        found = self.content(body, _FILE)
        names: dict[str, nodes.Block] = {}
        file_variables = False
        for block in found.blocks:
            match block.type:
                case "run":
                    run = self.run(block)
                    known = names.get(run.name)
                    if known is not None:
                        self.say(
                            error(
                                'Duplicate "run" block names',
                                f"This test file already has a run named {run.name} block defined at {known.header_range}.",
                                block.header_range,
                            )
                        )
                        continue
                    names[run.name] = block
                    self.file.runs.append(run)
                case "variables":
                    if file_variables:
                        self.say(
                            error(
                                'Multiple "variables" blocks',
                                "This test file already has a variables block defined.",
                                block.header_range,
                            )
                        )
                        continue
                    file_variables = True
                    self.file.variables = self.just_attributes(block.body)
                case "provider":
                    self.provider(block)
                case "mock_provider":
                    self.mock_provider(block)
                case _:
                    self.override(block, self.file.overrides)

    # --- runs --------------------------------------------------------------------------------------------------

    def run(self, block: nodes.Block) -> Run:
        run = Run(block.labels[0].text, block.header_range)
        if not static.valid_name(run.name):
            self.say(
                error(
                    "Invalid run block name",
                    "A name must start with a letter or underscore and may contain only letters, digits, underscores, and "
                    "dashes.",
                    block.label_range(0),
                )
            )
        found = self.content(block.body, _RUN)
        at = found.attributes
        if "command" in at:
            run.planning = self.word(at["command"], "command", ("apply", "plan"), "apply or plan.") == "plan"
        if "state_key" in at:
            run.state_key = self.text(at["state_key"].expression) or ""
        seen: dict[str, nodes.Block] = {}
        for inner in found.blocks:
            if inner.type in ("plan_options", "variables", "module"):
                if inner.type in seen:
                    self.say(
                        error(
                            f'Multiple "{inner.type}" blocks',
                            f"This run block already has a {inner.type} block defined at {seen[inner.type].header_range}.",
                            inner.header_range,
                        )
                    )
                    continue
                seen[inner.type] = inner
            match inner.type:
                case "assert":
                    rule = read_check_rule(self, inner, "assert", False)
                    if rule is not None and rule.error_message is not None:
                        run.asserts.append(rule)
                case "plan_options":
                    run.options = self.plan_options(inner)
                case "variables":
                    run.variables = self.just_attributes(inner.body)
                case "module":
                    run.module = self.module(inner)
                case _:
                    self.override(inner, run.overrides)
        if "providers" in at:
            run.providers = self.passed(at["providers"].expression)
        if "expect_failures" in at:
            run.expected = self.references(at["expect_failures"].expression)
        return run

    def word(self, attribute: nodes.Attribute, name: str, allowed: Sequence[str], hint: str) -> str:
        word, diagnostics = static.keyword(attribute.expression)
        self.extend(diagnostics)
        if word in allowed:
            return word
        self.say(
            error(
                f'Invalid "{name}" keyword',
                f'The "{name}" argument requires one of the following keywords without quotes: {hint}',
                attribute.expression.range,
            )
        )
        return ""

    def plan_options(self, block: nodes.Block) -> PlanOptions:
        options = PlanOptions()
        at = self.content(block.body, _PLAN_OPTIONS).attributes
        if "mode" in at:
            word = self.word(at["mode"], "mode", ("normal", "refresh-only"), "normal or refresh-only")
            options.mode = Mode.REFRESH_ONLY if word == "refresh-only" else Mode.NORMAL
        if "refresh" in at:
            options.refresh = self.boolean(at["refresh"].expression) is not False
        if "replace" in at:
            options.replace = self.references(at["replace"].expression)
        if "target" in at:
            options.target = self.references(at["target"].expression)
        if options.mode is Mode.REFRESH_ONLY and not options.refresh:
            self.say(
                error(
                    "Incompatible plan options",
                    'The "refresh" option cannot be set to false when running a test in "refresh-only" mode.',
                    at["refresh"].range,
                )
            )
        return options

    def module(self, block: nodes.Block) -> ModuleUnderTest | None:
        at = self.content(block.body, _MODULE).attributes
        if "source" not in at:
            self.say(
                error(
                    'Missing "source" attribute for module block',
                    "You must specify a source attribute when executing alternate modules during test executions.",
                    block.header_range,
                )
            )
            return None
        source = self.text(at["source"].expression)
        version = self.text(at["version"].expression) if "version" in at else None
        return None if source is None else ModuleUnderTest(source, block.header_range, version)

    def passed(self, expression: nodes.Expression):  # type: ignore[no-untyped-def]
        """`providers = { name in the module = name here }`."""
        if not isinstance(expression, nodes.ObjectExpression):
            self.say(error("Invalid expression", "A static map expression is required.", expression.range))
            return []
        found = []
        for key, value in expression.items:
            child = read_provider_ref(self, key, "providers")
            parent = read_provider_ref(self, value, "providers")
            if child is not None and parent is not None:
                found.append((child, parent))
        return found

    # --- providers, mocks, overrides ---------------------------------------------------------------------------

    def provider(self, block: nodes.Block) -> None:
        found = self.content(block.body, _PROVIDER, partial=True)
        alias = self.text(found.attributes["alias"].expression) or "" if "alias" in found.attributes else ""
        made = ProviderBlock(block.labels[0].text, alias, found.remain, block.label_range(0))
        if self.unique_provider(made.name, alias, block):
            self.file.providers[(made.name, alias)] = made

    def unique_provider(self, name: str, alias: str, block: nodes.Block) -> bool:
        known = self.file.providers.get((name, alias)) or self.file.mocks.get((name, alias))
        if known is None:
            return True
        shown = f"{name}.{alias}" if alias else name
        self.say(
            error(
                "Duplicate provider block",
                f"A provider for {shown} is already defined at {known.range}.",
                block.header_range,
            )
        )
        return False

    def mock_provider(self, block: nodes.Block) -> None:
        found = self.content(block.body, _MOCK_PROVIDER)
        at = found.attributes
        alias = self.text(at["alias"].expression) or "" if "alias" in at else ""
        mock = MockProvider(block.labels[0].text, alias, block.label_range(0))
        planning = "override_during" in at and self.during(at["override_during"])
        if "source" in at:
            mock.source = self.text(at["source"].expression)
        own: dict[tuple[str, str], MockedType] = {}
        overrides: list[Override] = []
        self.mocked(found.blocks, own, overrides, planning)
        if mock.source is not None:
            self.mock_source(mock, planning)
        # What stands in the test file wins over what the files bring.
        mock.types.update(own)
        mock.overrides = [*overrides, *(o for o in mock.overrides if o.target not in {x.target for x in overrides})]
        if self.unique_provider(mock.name, alias, block):
            self.file.mocks[(mock.name, alias)] = mock

    def mock_source(self, mock: MockProvider, planning: bool) -> None:
        assert mock.source is not None
        for path in self._mock_files(mock.source):
            file, diagnostics = parse_text(self._files.read(path), path)
            self.extend(diagnostics)
            self.sources[path] = file.source
            found = self.content(file.body, _MOCK_FILE)
            self.mocked(found.blocks, mock.types, mock.overrides, planning)

    def mocked(
        self,
        found: Sequence[nodes.Block],
        types: dict[tuple[str, str], MockedType],
        overrides: list[Override],
        planning: bool,
    ) -> None:
        for block in found:
            if block.type not in ("mock_resource", "mock_data"):
                self.override(block, overrides, planning)
                continue
            mode, type = MANAGED if block.type == "mock_resource" else DATA, block.labels[0].text
            at = self.content(block.body, _MOCK).attributes
            defaults = self.object(at["defaults"].expression, block.type, "defaults") if "defaults" in at else None
            during = self.during(at["override_during"]) if "override_during" in at else planning
            known = types.get((mode, type))
            if known is not None:
                self.say(
                    error(
                        f"Duplicate {block.type} block",
                        f"A {block.type} block for {type} has already been defined at {known.range}.",
                        block.header_range,
                    )
                )
                continue
            types[(mode, type)] = MockedType(mode, type, defaults, block.header_range, during)

    def during(self, attribute: nodes.Attribute) -> bool:
        word, diagnostics = static.keyword(attribute.expression)
        self.extend(diagnostics)
        if word not in ("plan", "apply"):
            self.say(
                error(
                    "Invalid override_during value",
                    "The override_during attribute must be a value of plan or apply.",
                    attribute.range,
                )
            )
        return word == "plan"

    def object(self, expression: nodes.Expression, block: str, attribute: str) -> Value | None:
        value, diagnostics = static.constant(expression)
        self.extend(diagnostics)
        if value is None:
            return None
        if value.data is NULL or not isinstance(value.type, Object | Map):
            self.say(
                error(
                    f"Invalid {attribute} attribute",
                    f"{block} blocks must specify a{'n' if attribute[0] in 'aeiou' else ''} {attribute} attribute that is an "
                    "object.",
                    expression.range,
                )
            )
            return None
        return value

    def override(self, block: nodes.Block, into: list[Override], planning: bool = False) -> None:
        name, noun, fits = _OVERRIDES[block.type]
        schema = BodySchema(attributes=attributes("target", "override_during", name))
        at = self.content(block.body, schema).attributes
        values = self.object(at[name].expression, block.type, name) if name in at else None
        during = self.during(at["override_during"]) if "override_during" in at else planning
        if "target" not in at:
            self.say(
                error(
                    "Missing target attribute",
                    f"{block.type} blocks must specify a target address.",
                    block.header_range,
                )
            )
            return
        expression = at["target"].expression
        traversal, diagnostics = static.traversal(expression)
        self.extend(diagnostics)
        if traversal is None:
            return
        target = module_and_resource(traversal)
        if isinstance(target, Diagnostic):
            self.say(target)
            return
        if not fits(target):
            self.say(
                error(
                    "Invalid override target",
                    f"You can only target {noun} from {block.type} blocks, not {target}.",
                    expression.range,
                )
            )
            return
        known = next((o for o in into if o.target == target), None)
        if known is not None:
            self.say(
                error(
                    f"Duplicate {block.type} block",
                    f"An {block.type} block targeting {target} has already been defined at {known.range}.",
                    block.header_range,
                )
            )
            # What is wrong inside has been said; the first one counts.
            return
        into.append(Override(block.type, target, block.header_range, expression.range, values, during))


def test_names(folder: Path) -> list[str]:
    """The names of a folder's test files."""
    try:
        return sorted(p.name for p in folder.iterdir() if p.name.endswith(SUFFIXES) and p.is_file())
    except OSError:
        return []


test_names.__test__ = False  # type: ignore[attr-defined]


def read_tests(files: Files, base: Path, directory: str) -> tuple[list[TestFile], dict[str, Source], list[Diagnostic]]:
    """All test files: those in `base` and those in its folder `directory`, in the order of their paths; and the texts
    of all files that were read."""
    diagnostics: list[Diagnostic] = []
    sources: dict[str, Source] = {}
    if posixpath.isabs(directory) or posixpath.normpath(directory).startswith(".."):
        return [], {}, [
            error(
                "Invalid testing directory",
                "The testing directory must be a relative path pointing to a directory local to the configuration directory.",
            )
        ]  # fmt: skip
    directory = posixpath.normpath(directory)
    if directory != "tests" and not (base / directory).is_dir():
        detail = f"Requested test directory {directory} does not exist."
        diagnostics.append(warning("Test directory does not exist", detail))
    paths = test_names(base)
    if directory != ".":
        paths += [f"{directory}/{name}" for name in test_names(base / directory)]

    def mock_files(source: str) -> list[str]:
        folder = base / source
        if not folder.is_dir():
            return []
        found = sorted(p.name for p in folder.iterdir() if p.name.endswith(_MOCK_SUFFIXES))
        return [posixpath.normpath(posixpath.join(source, name)) for name in found]

    found: list[TestFile] = []
    for path in sorted(paths):
        file, problems = parse_text(files.read(path), path)
        sources[path] = file.source
        reader = TestReader(path, file.source, mock_files, files)
        reader.extend(problems)
        reader.read(file.body)
        sources.update(reader.sources)
        found.append(reader.file)
        diagnostics += reader.diagnostics
    return found, sources, diagnostics


def test_problems(base: Path, directory: str) -> tuple[list[Diagnostic], dict[str, Source]]:
    """What is wrong with test files before any is run, and their texts."""
    from terrarium.engine.testing.expectations import expected_of

    files, sources, diagnostics = read_tests(Disk(base), base, directory)
    for file in files:
        for run in file.runs:
            diagnostics += expected_of(run.expected)[1]
    return diagnostics, sources


def module_key(file: TestFile, run: Run) -> str:
    """The key of a run's module in the manifest that `init` writes."""
    name = file.path
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return ".".join(("test", *name.split("/"), run.name))


def module_calls(files: Sequence[TestFile]) -> list[ModuleNode]:
    """What `init` installs for tests: for each file with such runs a node that calls their modules."""
    found: list[ModuleNode] = []
    for file in files:
        module = Module(Path())
        for run in file.runs:
            if run.module is not None:
                empty = nodes.Body(file.source, 0, 0, {}, ())
                call = ModuleCall(run.name, empty, run.module.range, run.module.source, run.module.range)
                call.version = run.module.version
                module.calls[run.name] = call
                path = tuple(module_key(file, run).split(".")[:-1])
        if module.calls:
            found.append(ModuleNode(path, module))
    return found


__all__ = ["SUFFIXES", "TestReader", "module_calls", "module_key", "read_tests", "test_problems"]
