"""Reads the blocks that tell how addresses and objects change hands: `moved`, `removed`, `import`."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine import static
from terrarium.engine.addresses import DATA, EPHEMERAL, MANAGED
from terrarium.engine.configuration import Import, Moved, Removed
from terrarium.engine.loading_reader import Loader, attributes, blocks, read_provider_ref
from terrarium.engine.loading_resource import read_provisioner
from terrarium.engine.references import MoveEnd, module_and_resource
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema

_MOVED = BodySchema(attributes=attributes(required=("from", "to")), blocks=())

_IMPORT = BodySchema(attributes=attributes("provider", "for_each", required=("id", "to")), blocks=())

_REMOVED = BodySchema(
    attributes=attributes(required=("from",)), blocks=blocks("lifecycle", "connection", provisioner=("type",))
)

_REMOVED_LIFECYCLE = BodySchema(attributes=attributes("destroy"), blocks=())


def read_moved(loader: Loader, block: nodes.Block) -> None:
    found = loader.content(block.body, _MOVED)
    if _only_primary(loader, block, "moved", "Records of moved objects"):
        return
    ends: list[tuple[nodes.Traversal, MoveEnd]] = []
    for name in ("from", "to"):
        if name in found.attributes:
            reference, end = _address(loader, found.attributes[name].expression)
            if reference is not None and end is not None:
                ends.append((reference, end))
    if len(ends) < 2:
        return
    (from_, source), (to, target) = ends
    if source.is_module is not target.is_module:
        detail = 'The "from" and "to" addresses must either both refer to resources or both refer to modules.'
        loader.say(error('Invalid "moved" addresses', detail, block.header_range))
        return
    loader.module.moved.append(Moved(from_, to, block.header_range))


def _only_primary(loader: Loader, block: nodes.Block, type: str, what: str) -> bool:
    """Whether a block stands in an override file, where it may not."""
    if loader.override:
        detail = f"{what} can appear only in normal files, not in override files."
        loader.say(error(f"Cannot override '{type}' blocks", detail, block.header_range))
    return loader.override


def _address(
    loader: Loader, expression: nodes.Expression, keys: bool = True
) -> tuple[nodes.Traversal | None, MoveEnd | None]:
    """The module or resource that an argument names; None after mistakes."""
    reference, diagnostics = static.traversal(expression, quoted=False)
    loader.extend(diagnostics)
    if reference is None:
        return None, None
    end = module_and_resource(reference, keys)
    if isinstance(end, Diagnostic):
        loader.say(end)
        return reference, None
    return reference, end


_NEVER_DESTROYED = {
    DATA: (
        "Data source address not allowed",
        "Data sources are never destroyed, so they are not valid targets of removed blocks. To remove the data source from "
        "state, remove the data source block from configuration.",
    ),
    EPHEMERAL: (
        "Ephemeral resource address not allowed",
        "Ephemeral resources are never destroyed, so they are not valid targets of removed blocks. To remove the ephemeral "
        "resource from state, remove the ephemeral resource block from configuration.",
    ),
}


def read_removed(loader: Loader, block: nodes.Block) -> None:
    found = loader.content(block.body, _REMOVED)
    if "from" not in found.attributes:
        return
    reference, end = _address(loader, found.attributes["from"].expression, keys=False)
    if reference is None:
        return
    removed = Removed(reference, block.header_range)
    for inner in found.blocks_of("lifecycle"):
        life = loader.content(inner.body, _REMOVED_LIFECYCLE)
        if "destroy" in life.attributes:
            destroy = loader.boolean(life.attributes["destroy"].expression)
            removed.destroy = True if destroy is None else destroy
    loader.only(found.blocks_of("connection"), "connection", 'This "removed" block')
    for inner in found.blocks_of("provisioner"):
        provisioner = read_provisioner(loader, inner)
        if provisioner is None:
            continue
        if not provisioner.when_destroy:
            loader.say(
                error(
                    "Invalid provisioner block",
                    'Only destroy-time provisioners are valid in "removed" blocks. To declare a destroy-time provisioner, use:\n    when = destroy',
                    inner.header_range,
                )
            )
        removed.provisioners.append(provisioner)
    if end is not None and end.mode in _NEVER_DESTROYED:
        loader.say(error(*_NEVER_DESTROYED[end.mode], reference.range))
    elif end is not None:
        loader.module.removed.append(removed)


def read_import(loader: Loader, block: nodes.Block) -> None:
    before = len(loader.diagnostics)
    found = loader.content(block.body, _IMPORT)
    incomplete = has_errors(loader.diagnostics[before:])
    if _only_primary(loader, block, "import", "Import blocks"):
        return
    at = found.attributes
    provider = read_provider_ref(loader, at["provider"].expression, "provider") if "provider" in at else None
    if "to" not in at or (incomplete and static.is_json(at["to"].expression)):
        return
    to, end = _import_target(loader, at["to"].expression)
    if end is None or end.mode != MANAGED:
        loader.say(error("Invalid import address", "Only managed resources can be imported.", at["to"].range))
        return
    if "id" not in at:
        return
    taken = Import(to, at["id"].expression, block.header_range, None, provider)
    if "for_each" in at:
        taken.for_each = at["for_each"].expression
    if "provider" in at:
        taken.provider_range = at["provider"].range
    for known in loader.module.imports:
        if isinstance(to, nodes.Traversal) and isinstance(known.to, nodes.Traversal) and _same(to, known.to):
            loader.say(
                error(
                    f'Duplicate import configuration for "{end}"',
                    f'An import block for the resource "{end}" was already declared at {known.range}. A resource can have only one import block.',
                    to.range,
                )
            )
            break
    loader.module.imports.append(taken)


def _same(one: nodes.Traversal, other: nodes.Traversal) -> bool:
    return module_and_resource(one) == module_and_resource(other)


def _import_target(loader: Loader, to: nodes.Expression) -> tuple[nodes.Expression, MoveEnd | None]:
    """What `to` names, without regard to keys that are computed."""
    if not isinstance(to, nodes.Traversal | nodes.IndexExpression | nodes.RelativeTraversal):
        reference, diagnostics = static.traversal(to, quoted=False)
        loader.extend(diagnostics)
        if reference is None:
            return to, None
        to = reference
    root: nodes.Expression = to
    while isinstance(root, nodes.IndexExpression | nodes.RelativeTraversal):
        root = root.collection if isinstance(root, nodes.IndexExpression) else root.of
    if not isinstance(root, nodes.Traversal):
        loader.extend(static.traversal(root, quoted=False)[1])
        return to, None
    end = module_and_resource(root)
    if isinstance(end, Diagnostic):
        loader.say(end)
        return to, None
    if end.is_module:
        loader.say(error("Invalid address", NEEDS_RESOURCE, root.range))
        return to, None
    return to, end


NEEDS_RESOURCE = "A resource instance address is required here. The module path must be followed by a resource instance specification."
