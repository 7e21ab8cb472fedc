"""Puts `resource`, `data`, `ephemeral` and `check` blocks into the module: names are unique, overrides need a base."""

from __future__ import annotations

from terrarium.base.diagnostics import error
from terrarium.engine.configuration import Check, Resource
from terrarium.engine.loading_reader import Loader, blocks, merged, read_check_rule
from terrarium.engine.loading_resource import read_resource
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema

_CHECK = BodySchema(attributes=(), blocks=blocks("assert", data=("type", "name")))


def read_resource_block(loader: Loader, block: nodes.Block) -> None:
    mode = {"resource": "managed"}.get(block.type, block.type)
    resource = read_resource(loader, block, mode, loader.override)
    if resource is None:
        return
    key = (resource.mode, resource.type, resource.name)
    known = loader.module.resources.get(key)
    if not loader.override:
        if known is not None:
            kind = {"managed": "resource", "data": "data", "ephemeral": "ephemeral"}[mode]
            loader.duplicate(
                f'{kind} "{resource.type}" configuration',
                f'A {resource.type} {"resource" if mode == "managed" else mode + " resource"} named "{resource.name}" was already declared at {{}}. Resource names must be unique per type in each module.',
                known.range,
                block.header_range,
            )
            return
        loader.module.resources[key] = resource
        return
    if known is None:
        what = "resource" if mode == "managed" else f"{mode} resource"
        kind = "resource" if mode == "managed" else mode
        loader.say(
            error(
                f"Missing {what} to override",
                f'There is no {resource.type} {what} named "{resource.name}". An override file can only override a {kind} block defined in a primary configuration file.',
                block.header_range,
            )
        )
        return
    for member in ("count", "for_each", "provider", "create_before_destroy", "prevent_destroy", "connection"):
        if getattr(resource, member) is not None:
            setattr(known, member, getattr(resource, member))
    for member in ("ignore_changes", "provisioners", "ignore_all"):
        if getattr(resource, member):
            setattr(known, member, getattr(resource, member))
    known.body = merged(known.body, resource.body)
    loader.keep_dependencies(resource.depends_on)


def read_check(loader: Loader, block: nodes.Block) -> None:
    if loader.override:
        loader.say(
            error("Can't override check blocks", "Override files cannot override check blocks.", block.header_range)
        )
        return
    name = loader.name_of(block, "check block")
    found = loader.content(block.body, _CHECK)
    check = Check(name, block.header_range)
    for inner in found.blocks:
        if inner.type == "assert":
            before = len(loader.diagnostics)
            rule = read_check_rule(loader, inner, "assert", loader.override)
            if rule is not None and len(loader.diagnostics) == before:
                check.asserts.append(rule)
        elif check.data is not None:
            loader.say(
                error(
                    "Multiple data resource blocks",
                    f"This check block already has a data resource defined at {check.data.range}.",
                    inner.header_range,
                )
            )
        else:
            check.data = _scoped_data(loader, inner, name)
    if not check.asserts:
        loader.say(error("Zero assert blocks", "Check blocks must have at least one assert block.", block.header_range))
    known = loader.module.checks.get(name)
    if known is not None:
        loader.say(
            error(
                f'Duplicate check "{name}" configuration',
                f'A check block named "{name}" was already declared at {known.range}. Check blocks must be unique within each module.',
                block.header_range,
            )
        )
        return
    loader.module.checks[name] = check
    if check.data is not None:
        key = ("data", check.data.type, check.data.name)
        other = loader.module.resources.setdefault(key, check.data)
        if other is not check.data:
            loader.duplicate(
                f'data "{check.data.type}" configuration',
                f'A {check.data.type} data resource named "{check.data.name}" was already declared at {{}}. Resource names must be unique per type in each module, including within check blocks.',
                other.range,
                check.data.range,
            )


def _scoped_data(loader: Loader, block: nodes.Block, check: str) -> Resource | None:
    """The data source inside of a check block, which is one alone."""
    data = read_resource(loader, block, "data", loader.override)
    for name in ("count", "for_each"):
        written = block.body.attributes.get(name)
        if written is not None:
            loader.say(
                error(
                    f'Invalid "{name}" attribute',
                    'The "count" and "for_each" meta-arguments are not supported within nested data blocks.',
                    written.name_range,
                )
            )
    for inner in block.body.blocks:
        if inner.type == "lifecycle":
            loader.say(
                error(
                    "Invalid lifecycle block",
                    'Nested data blocks do not support "lifecycle" blocks as the lifecycle is managed by the containing block.',
                    inner.header_range,
                )
            )
    if data is not None:
        data.check = check
    return data
