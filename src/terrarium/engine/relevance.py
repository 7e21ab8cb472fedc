"""Which resource attributes the changes of a plan depend on: the only ones whose drift is worth telling.

From each expression behind a change the references are followed: through variables to what calls pass in, through
locals and outputs to their expressions, through a resource's attribute to the expression that sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from terrarium.engine.addresses import AbsResource, ModuleInstance, key_text, path_of
from terrarium.engine.configuration import ModuleNode, Resource
from terrarium.engine.loading_resource import body_references
from terrarium.engine.plan import Action, Plan, RelevantAttribute
from terrarium.engine.references import Reference, parse, plain_key
from terrarium.language import nodes
from terrarium.language.bodies import just_attributes
from terrarium.language.references import references
from terrarium.language.values import Path

_Found = tuple[ModuleInstance, Reference, Resource | None]


def _in(
    module: ModuleInstance, traversals: Iterable[nodes.Traversal], inside: Resource | None = None
) -> Iterator[_Found]:
    for traversal in traversals:
        reference = parse(traversal)
        if isinstance(reference, Reference):
            yield module, reference, inside


def _path(reference: Reference) -> Path:
    return tuple(s.name if isinstance(s, nodes.Attr) else plain_key(s.key) for s in reference.rest)


def relevant_attributes(
    root: ModuleNode, plan: Plan, module_outputs: Iterable[tuple[ModuleInstance, str]]
) -> tuple[RelevantAttribute, ...]:
    """The attributes behind all changes. `module_outputs` are the outputs of child modules that have a value."""
    pending: list[_Found] = []
    for change in plan.changes:
        if change.action is Action.NOOP:
            continue
        resource = root.resource(change.address.config)
        if resource is not None:
            pending += _in(change.address.module, _all_references(resource), resource)
    for output in plan.outputs:
        if output.action is not Action.NOOP and output.name in root.module.outputs:
            pending += _output((), root, output.name)
    for module, name in module_outputs:
        node = root.find(path_of(module))
        if node is not None:
            pending += _output(module, node, name)
    found: dict[tuple[str, Path], RelevantAttribute] = {}
    seen: set[tuple[object, ...]] = set()
    while pending:
        module, reference, inside = pending.pop()
        node = root.find(path_of(module))
        if node is None:
            continue
        key = (module, reference.subject, _path(reference), inside.local if inside is not None else "")
        if key in seen:
            continue
        seen.add(key)
        if reference.kind == "resource":
            address = AbsResource(module, reference.mode, reference.type, reference.name)
            text = str(address) + (key_text(reference.key) if reference.has_key else "")
            path = _path(reference)
            found[(text, path)] = RelevantAttribute(text, path)
        pending += _behind(root, node, module, reference, inside)
    return tuple(found[key] for key in sorted(found, key=repr))


def _all_references(resource: Resource) -> list[nodes.Traversal]:
    found = body_references(resource.body)
    for expression in (resource.count, resource.for_each):
        if expression is not None:
            found += references(expression)
    return found


def _output(module: ModuleInstance, node: ModuleNode, name: str) -> Iterator[_Found]:
    output = node.module.outputs.get(name)
    if output is not None and output.expression is not None:
        yield from _in(module, references(output.expression))


def _behind(
    root: ModuleNode, node: ModuleNode, module: ModuleInstance, reference: Reference, inside: Resource | None
) -> Iterator[_Found]:
    match reference.kind:
        case "var":
            if node.call is not None:
                attribute = just_attributes(node.call.body)[0].get(reference.name)
                if attribute is not None:
                    yield from _in(module[:-1], references(attribute.expression))
        case "local":
            local = node.module.locals.get(reference.name)
            if local is not None:
                yield from _in(module, references(local.expression))
        case "module":
            child = node.children.get(reference.name)
            if child is not None:
                inner = (*module, (reference.name, reference.key))
                for name in [reference.output] if reference.output else child.module.outputs:
                    yield from _output(inner, child, name)
        case "resource":
            resource = node.module.resources.get((reference.mode, reference.type, reference.name))
            if resource is not None:
                yield from _in(module, _narrowed(resource, reference), resource)
        case "each" | "count" if inside is not None:
            expression = inside.for_each if reference.kind == "each" else inside.count
            if expression is not None:
                yield from _in(module, references(expression))


def _narrowed(resource: Resource, reference: Reference) -> list[nodes.Traversal]:
    """The references of just that part of a resource's body which a reference is about."""
    if not reference.rest:
        return _all_references(resource)
    first = reference.rest[0]
    if not isinstance(first, nodes.Attr):
        return []
    attribute = resource.body.attributes.get(first.name)
    if attribute is not None:
        return list(references(attribute.expression))
    found: list[nodes.Traversal] = []
    for block in resource.body.blocks:
        if block.type == first.name or (
            block.type == "dynamic" and block.labels and block.labels[0].text == first.name
        ):
            found += body_references(block.body)
    return found
