"""The module under test as a run wants it: with the test file's providers, and without modules that are overridden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from terrarium.base.diagnostics import Diagnostic, error, warning
from terrarium.base.ids import Ids
from terrarium.engine.addresses import Instance, ModulePath, ProviderConfig, path_of
from terrarium.engine.configuration import ModuleNode, ProviderBlock
from terrarium.engine.plugins import Plugins
from terrarium.engine.provider import Provider
from terrarium.engine.testing.mocking import MockedProvider, OverriddenProvider
from terrarium.engine.testing.model import MockProvider, Override, Run, TestFile
from terrarium.language import nodes
from terrarium.language.values import Value, null


@dataclass(slots=True)
class Setup:
    """A configuration to run, with what stands in for its providers and objects."""

    root: ModuleNode
    plugins: Plugins
    ids: Ids
    mocks: dict[tuple[str, str], MockProvider] = field(default_factory=dict)
    """By source and alias, in the root module."""
    overrides: Sequence[Override] = ()
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _made: dict[tuple[str, str], MockedProvider] = field(default_factory=dict)

    def mock(self, config: ProviderConfig) -> Provider | None:
        """`Session.mock`."""
        mock = self.mocks.get((config.source, config.alias)) if not config.path else None
        if mock is None:
            return None
        made = self._made.get((config.source, config.alias))
        if made is None:
            real = self.plugins.unconfigured(config.source)
            made = self._made[(config.source, config.alias)] = MockedProvider(real, mock.types, self.ids)
            made.overrides = mock.overrides
        return made

    def stand_in(self, address: Instance, provider: Provider) -> Provider:
        """`Session.stand_in`."""
        own: Sequence[Override] = provider.overrides if isinstance(provider, MockedProvider) else ()
        for override in (*self.overrides, *own):
            if override.kind != "override_module" and means(override, address):
                return OverriddenProvider(provider, override, self.ids)
        return provider


def means(override: Override, address: Instance) -> bool:
    """Whether an override is for an instance. A resource without a key means all its instances; a module just the one."""
    target = override.target
    return (
        (target.mode, target.type, target.name) == (address.mode, address.type, address.name)
        and (not target.has_key or target.key == address.key)
        and target.module == address.module
    )


def prepare(root: ModuleNode, file: TestFile, run: Run, plugins: Plugins, ids: Ids) -> Setup:
    """The configuration of a run."""
    overrides = [*run.overrides, *(o for o in file.overrides if o.target not in {x.target for x in run.overrides})]
    # The most particular ones first: those for one instance.
    overrides.sort(key=lambda o: not o.target.has_key)
    setup = Setup(root, plugins, ids, overrides=overrides)
    gone = {path_of(o.target.module): o for o in reversed(overrides) if o.kind == "override_module"}
    setup.root = _rebuilt(root, None, gone)
    _provide(setup, file, run)
    setup.diagnostics += [unknown_target(o) for o in run.overrides if not exists(root, o)]
    return setup


def exists(root: ModuleNode, override: Override) -> bool:
    """Whether the configuration has what an override is for."""
    module = root.find(path_of(override.target.module))
    target = override.target
    return module is not None and (
        target.is_module or (target.mode, target.type, target.name) in module.module.resources
    )


def unknown_target(override: Override) -> Diagnostic:
    return warning(
        "Invalid override target",
        f"The override target {override.target} does not exist within the configuration under test. This could indicate a "
        "typo in the target address or an unnecessary override.",
        override.target_range,
    )


def _rebuilt(node: ModuleNode, parent: ModuleNode | None, gone: dict[ModulePath, Override]) -> ModuleNode:
    """The tree anew, with overridden modules reduced to their outputs."""
    override = gone.get(node.path) if node.path else None
    if override is not None:
        return ModuleNode(node.path, _reduced(node, override), node.call, parent, version=node.version)
    module = replace(node.module, providers=dict(node.module.providers)) if parent is None else node.module
    new = ModuleNode(node.path, module, node.call, parent, version=node.version)
    new.children = {name: _rebuilt(child, new, gone) for name, child in node.children.items()}
    return new


def _reduced(node: ModuleNode, override: Override):  # type: ignore[no-untyped-def]
    from terrarium.engine.configuration import Module

    old = node.module
    new = Module(old.folder, variables=old.variables, required=old.required, sources=old.sources)
    given = override.values.data if override.values is not None and isinstance(override.values.data, dict) else {}
    for name, output in old.outputs.items():
        value = given.get(name, null())
        new.outputs[name] = replace(
            output, expression=_literal(output.expression, value), depends_on=[], preconditions=[]
        )
    return new


def _literal(at: nodes.Expression | None, value: Value) -> nodes.Expression | None:
    return nodes.Literal(at.source, at.start, at.end, value) if at is not None else None


def _provide(setup: Setup, file: TestFile, run: Run) -> None:
    """Puts the test file's providers into the root module: those that the run asks for, or all."""
    wanted: Iterable[tuple[tuple[str, str], tuple[str, str]]]
    if run.providers:
        wanted = [((c.name, c.alias), (p.name, p.alias)) for c, p in run.providers]
        for _, parent in run.providers:
            if (parent.name, parent.alias) not in file.providers and (parent.name, parent.alias) not in file.mocks:
                setup.diagnostics.append(
                    error(
                        f"Missing provider definition for {parent}",
                        "This provider block references a provider definition that does not exist.",
                        parent.range,
                    )
                )
    else:
        wanted = [(key, key) for key in (*file.providers, *file.mocks)]
    module = setup.root.module
    for (name, alias), key in wanted:
        block, mock = file.providers.get(key), file.mocks.get(key)
        if block is not None:
            module.providers[(name, alias)] = ProviderBlock(name, alias, block.body, block.range)
        elif mock is not None:
            empty = nodes.Body(file.source, 0, 0, {}, ())
            module.providers[(name, alias)] = ProviderBlock(name, alias, empty, mock.range)
            setup.mocks[(module.provider_source(name), alias)] = mock
