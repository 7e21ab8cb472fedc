"""Whether each module has the providers it needs: what it requires, what it configures, and what its caller passes.

Names here are `aws` or `aws.west`, as a module knows them. The rules are read off the configuration alone, before any
provider is asked for anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, error, warning
from terrarium.base.source import Range
from terrarium.engine.addresses import REGISTRY, ProviderConfig, default_source, display_source, path_text
from terrarium.engine.configuration import ModuleCall, ModuleNode, PassedProvider, implied_provider
from terrarium.engine.provider_names import default_provider, part_problem
from terrarium.language.bodies import BodySchema, content

_EMPTY = BodySchema()


def provider_problems(node: ModuleNode, closed: Range | None = None) -> Iterator[Diagnostic]:
    """What is wrong in a module and those it calls. `closed` is the argument which forbids provider blocks in it."""
    for name, child in node.children.items():
        yield from provider_problems(child, _closing(node.module.calls[name]) or closed)
    yield from _duplicate_requirements(node)
    yield from _implied_names(node)
    own = _Own.of(node)
    yield from _passed_on(node, own)
    if node.call is not None and node.parent is not None:
        yield from _as_child(node, node.call, node.parent, own, closed)


def undefined_configurations(root: ModuleNode) -> list[Diagnostic]:
    """The configurations which the root module wants passed in, though nobody calls it. Only a plan asks for them."""
    return [
        error(
            "Undefined provider configuration",
            f"The root module declares that it requires the caller to pass a configuration for provider "
            f'{display_source(required.source)} with alias "{alias.alias}".',
        )
        for required in root.module.required.values()
        for alias in required.aliases
        if (required.name, alias.alias) not in root.module.providers
    ]


def missing_passed(root: ModuleNode) -> list[Diagnostic]:
    """The first provider configuration that a call passes on, but its module doesn't have."""
    there: set[ProviderConfig] = set()
    for node in root.walk():
        module, path = node.module, node.path
        if not path:
            there |= {ProviderConfig((), r.source, "") for r in module.required.values()}
        there |= {ProviderConfig(path, module.provider_source(name), alias) for name, alias in module.providers}
        if node.call is None:
            continue
        for passed in node.call.providers:
            source = module.provider_source(passed.child.name)
            wanted = ProviderConfig(path[:-1], source, passed.parent.alias)
            if wanted not in there:
                return [error(f"missing provider {wanted}")]
            there.add(ProviderConfig(path, source, passed.child.alias))
    return []


def _closing(call: ModuleCall) -> Range | None:
    for expression in (call.count, call.for_each):
        if expression is not None:
            return expression.range
    return call.depends_on[0].range if call.depends_on else None


@dataclass(frozen=True, slots=True)
class _Own:
    """A module's own providers by name: configured ones, empty blocks, aliases it wants passed, what it was passed."""

    configured: dict[str, Range]
    empty: dict[str, Range]
    aliases: dict[str, str]
    passed: dict[str, PassedProvider]

    @classmethod
    def of(cls, node: ModuleNode) -> _Own:
        configured: dict[str, Range] = {}
        empty: dict[str, Range] = {}
        for (name, alias), block in node.module.providers.items():
            filled = block.version is not None or content(block.body, _EMPTY)[1]
            (configured if filled else empty)[f"{name}.{alias}" if alias else name] = block.range
        return cls(
            configured,
            empty,
            {str(alias): r.source for r in node.module.required.values() for alias in r.aliases},
            {str(p.child): p for p in node.call.providers} if node.call is not None else {},
        )


def _duplicate_requirements(node: ModuleNode) -> Iterator[Diagnostic]:
    known: dict[str, str] = {}
    module = node.module
    for name, required in module.required.items():
        shown = display_source(required.source)
        if required.source in known:
            yield warning(
                "Duplicate required provider",
                f'Provider {shown} with the local name "{name}" was previously required as "{known[required.source]}". A '
                "provider can only be required once within required_providers.",
                required.range,
            )
        elif required.source.startswith(f"{REGISTRY}/hashicorp/"):
            implied = required.source.rpartition("/")[2]
            if name != implied and any(p == implied for p, _ in module.providers):
                yield warning(
                    "Duplicate required provider",
                    f'Provider {shown} with the local name "{name}" was implicitly required via a configuration block as '
                    f'"{implied}". The provider configuration block name must match the name used in required_providers.',
                    required.range,
                )
        known[required.source] = name


def _implied_names(node: ModuleNode) -> Iterator[Diagnostic]:
    required = node.module.required
    names = {r.source: name for name, r in required.items()}
    for resource in node.module.resources.values():
        if resource.provider is not None or resource.mode == "ephemeral":
            continue
        local = implied_provider(resource.type)
        if problem := part_problem(local):
            yield error(
                "Invalid provider local name",
                f'"{local}" is an invalid implied provider local name: {problem}',
                resource.range,
            )
            continue
        source = default_source(local)
        if local not in required and source in names:
            other = names[source]
            yield warning(
                "Duplicate required provider",
                f'Provider "{source}" was implicitly required via resource "{resource.local}", but listed in '
                f'required_providers as "{other}". Either the local name in required_providers must match the resource name, '
                f'or the "{other}" provider must be assigned within the resource block.',
                resource.range,
            )


def _text(node: ModuleNode | None) -> str:
    return path_text(node.path) if node is not None and node.path else "the root module"


def _passed_on(node: ModuleNode, own: _Own) -> Iterator[Diagnostic]:
    """The providers which a module passes to those it calls must be there."""
    module, where = node.module, _text(node)
    # Terraform names the parent where it means the module itself; for the root and its children that is the same.
    parent = _text(node.parent)
    for call in module.calls.values():
        for passed in call.providers:
            if passed.parent.alias:
                continue  # the module which is called complains of these
            name = passed.parent.name
            shown = display_source(default_provider(name))
            if name not in own.configured and name not in module.required:
                yield warning(
                    "Reference to undefined provider",
                    f'There is no explicit declaration for local provider name "{name}" in {where}, so Terraform is assuming '
                    f'you mean to pass a configuration for provider "{shown}".\n\nTo clarify your intent and silence this '
                    f'warning, add to {where} a required_providers entry named "{name}" with source = "{shown}", or a '
                    "different source address if appropriate.",
                    passed.parent.range,
                )
            elif node.path and name not in own.configured and name not in own.passed:
                yield warning(
                    "Missing required provider configuration",
                    f"The configuration for {where} expects to inherit a configuration for provider {shown} with local name "
                    f'"{name}", but {parent} doesn\'t pass a configuration under that name.\n\nTo satisfy this requirement, '
                    f'add an entry for "{name}" to the "providers" argument in the module "{node.path[-1]}" block.',
                    node.call.range if node.call else None,
                )


def _as_child(
    node: ModuleNode, call: ModuleCall, parent: ModuleNode, own: _Own, closed: Range | None
) -> Iterator[Diagnostic]:
    where, caller = _text(node), _text(parent)
    if own.configured and closed is not None:
        yield error(
            "Module is incompatible with count, for_each, and depends_on",
            f"The module at {path_text(node.path)} is a legacy module which contains its own local provider configurations, "
            "and so calls to it may not use the count, for_each, or depends_on arguments.\n\nIf you also control the module "
            f'"{call.source}", consider updating this module to instead expect provider configurations to be passed by its '
            "caller.",
            closed,
        )
    for name in own.configured:
        if name in own.passed:
            yield error(
                "Cannot override provider configuration",
                f"The configuration of {where} has its own local configuration for {name}, and so it cannot accept an "
                f"overridden configuration provided by {caller}.",
                own.passed[name].child.range,
            )
    for name, source in own.aliases.items():
        if name not in own.configured and name not in own.passed:
            yield error(
                "Missing required provider configuration",
                f"The child module requires an additional configuration for provider {display_source(source)}, with the local "
                f'name "{name}".\n\nRefer to the module\'s documentation to understand the intended purpose of this additional '
                f'provider configuration, and then add an entry for {name} in the "providers" meta-argument in the module block '
                "to choose which provider configuration the module should use for that purpose.",
                call.range,
            )
    for name, passed in own.passed.items():
        yield from _passed_in(node, parent, own, name, passed)
    yield from _empty_blocks(node, own)


def _passed_in(
    node: ModuleNode, parent: ModuleNode, own: _Own, name: str, passed: PassedProvider
) -> Iterator[Diagnostic]:
    """One provider that a caller passes must be wanted, and be of the type that is wanted."""
    required, where, caller = node.module.required, _text(node), _text(parent)
    source = default_provider(passed.child.name)
    if name in required:
        source = required[name].source
    source = own.aliases.get(name, source)
    shown = display_source(source)
    if name not in required and name not in own.aliases and name not in own.empty:
        yield warning(
            "Reference to undefined provider",
            f'There is no explicit declaration for local provider name "{name}" in {where}, so Terraform is assuming you mean '
            f'to pass a configuration for "{shown}".\n\nIf you also control the child module, add a required_providers entry '
            f'named "{name}" with the source address "{shown}".',
            passed.child.range,
        )
    known = parent.module.required.get(name) or parent.module.required.get(passed.parent.name)
    given = known.source if known else default_provider(passed.parent.name)
    if given == source:
        return
    other = next((n for n, r in required.items() if r.source == given), "")
    detail = (
        f'The local name "{passed.parent}" in {caller} represents provider "{display_source(given)}", but "{passed.child}" in '
        f'{where} represents "{shown}".\n\n'
    )
    if other:
        detail += f'To pass this configuration to the child module, use the local name "{other}" instead.'
    else:
        detail += (
            f'Each provider has its own distinct configuration schema and provider types, so this module\'s "{passed.child}" can '
            f"be assigned only a configuration for {shown}, which is not required by {where}."
        )
    yield error("Provider type mismatch", detail, passed.parent.range)


def _empty_blocks(node: ModuleNode, own: _Own) -> Iterator[Diagnostic]:
    """Empty provider blocks in child modules, the old way of declaring a need."""
    by_provider: dict[str, dict[str, Range]] = {}
    for name, at in own.empty.items():
        by_provider.setdefault(name.partition(".")[0], {})[name] = at
    for name, blocks in by_provider.items():
        required = node.module.required.get(name)
        source = required.source if required else default_provider(name)
        aliases = ""
        if any("." in n for n in blocks):
            lines = "".join(f"        {n},\n" for n in blocks)
            aliases = f"      configuration_aliases = [\n{lines}      ]\n"
        yield warning(
            "Redundant empty provider block",
            'Earlier versions of Terraform used empty provider blocks ("proxy provider configurations") for child modules to '
            "declare their need to be passed a provider configuration by their callers. That approach was ambiguous and is now "
            "deprecated.\n\nIf you control this module, you can migrate to the new declaration syntax by removing all of the "
            f'empty provider "{name}" blocks and then adding or updating an entry like the following to the '
            f"required_providers block of {_text(node)}:\n    {name} = {{\n"
            f'      source = "{display_source(source)}"\n{aliases}    }}',
            min(blocks.values(), key=lambda r: (r.filename, r.start.byte)),
        )
