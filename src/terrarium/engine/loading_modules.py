"""Reads `module` blocks: what is called, and the providers passed to it."""

from __future__ import annotations

from terrarium.base.diagnostics import error
from terrarium.base.source import Range
from terrarium.engine.configuration import ModuleCall, PassedProvider
from terrarium.engine.loading_reader import Loader, attributes, blocks, merged, read_provider_ref
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema
from terrarium.language.places import between, start_range

_MODULE = BodySchema(
    attributes=attributes("version", "count", "for_each", "depends_on", "providers", required=("source",)),
    blocks=blocks("_", "lifecycle", "locals", provider=("type",)),
)

_MODULE_OVERRIDE = BodySchema(
    attributes=attributes("source", "version", "count", "for_each", "depends_on", "providers"),
    blocks=blocks("_", "lifecycle", "locals", provider=("type",)),
)


def read_module_call(loader: Loader, block: nodes.Block) -> None:
    name = loader.name_of(block, "module instance")
    found = loader.content(block.body, _MODULE_OVERRIDE if loader.override else _MODULE, partial=True)
    at = found.attributes
    call = ModuleCall(name, loader.escaped(found, "module input variables", "module"), block.header_range)
    if "source" in at:
        call.source_range = at["source"].expression.range
        source = loader.text(at["source"].expression)
        call.source = source or ""
    if "version" in at:
        call.version = loader.version_constraint(at["version"]) or ""
    if "source" in at and source is not None:
        _check_source(loader, call)
    loader.repetition(at, call)
    if "depends_on" in at:
        call.depends_on = loader.references(at["depends_on"].expression)
    if "providers" in at:
        call.providers = _passed_providers(loader, at["providers"].expression)
    loader.reserved([b for b in found.blocks if b.type != "_"], "module")
    known = loader.module.calls.get(name)
    if not loader.override:
        if known is not None:
            loader.duplicate(
                "module call",
                f'A module call named "{name}" was already defined at {{}}. Module calls must have unique names within a module.',
                known.range,
                block.header_range,
            )
            return
        loader.module.calls[name] = call
        return
    if known is None:
        loader.say(
            error(
                "Missing module call to override",
                f'There is no module call named "{name}". An override file can only override a module call that was defined in a primary configuration file.',
                block.header_range,
            )
        )
        return
    if call.source:
        known.source, known.source_range = call.source, call.source_range
    for member in ("version", "count", "for_each"):
        if getattr(call, member) is not None:
            setattr(known, member, getattr(call, member))
    known.providers = call.providers or known.providers
    known.body = merged(known.body, call.body)
    loader.keep_dependencies(call.depends_on)


def _check_source(loader: Loader, call: ModuleCall) -> None:
    from terrarium.engine.module_sources import SourceError, parse_module_source

    try:
        parse_module_source(call.source, call.version is not None)
    except SourceError as problem:
        loader.say(error(problem.summary, problem.detail, call.source_range))


def _passed_providers(loader: Loader, expression: nodes.Expression) -> list[PassedProvider]:
    if not isinstance(expression, nodes.ObjectExpression):
        loader.say(error("Invalid expression", "A static map expression is required.", start_range(expression)))
        return []
    passed: list[PassedProvider] = []
    seen: dict[str, Range] = {}
    for key, value in expression.items:
        child = read_provider_ref(loader, key, "providers")
        parent = read_provider_ref(loader, value, "providers")
        if child is None or parent is None:
            continue
        known = seen.setdefault(str(child), here := between(key, value))
        if known is not here:
            loader.say(
                error(
                    "Duplicate provider address",
                    f"A provider configuration was already passed to {child} at {known}. Each child provider configuration "
                    "can be assigned only once.",
                    value.range,
                )
            )
            continue
        passed.append(PassedProvider(child, parent))
    return passed
