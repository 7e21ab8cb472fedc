"""Reads the blocks that tell how addresses and objects change hands: `moved`, `removed`, `import`."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine import static
from terrarium.engine.configuration import Import, Moved, Removed
from terrarium.engine.loading_reader import Loader, attributes, blocks, read_provider_ref
from terrarium.engine.loading_resource import read_provisioner
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
    pair = []
    for name in ("from", "to"):
        if name in found.attributes:
            reference, diagnostics = static.traversal(found.attributes[name].expression, quoted=False)
            loader.extend(diagnostics)
            pair.append(reference)
    if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
        loader.module.moved.append(Moved(pair[0], pair[1], block.header_range))


def read_removed(loader: Loader, block: nodes.Block) -> None:
    from terrarium.engine.references import module_and_resource

    found = loader.content(block.body, _REMOVED)
    if "from" not in found.attributes:
        return
    reference, diagnostics = static.traversal(found.attributes["from"].expression, quoted=False)
    loader.extend(diagnostics)
    if reference is None:
        return
    removed = Removed(reference, block.header_range)
    for inner in found.blocks:
        match inner.type:
            case "lifecycle":
                life = loader.content(inner.body, _REMOVED_LIFECYCLE)
                if "destroy" in life.attributes:
                    destroy = loader.boolean(life.attributes["destroy"].expression)
                    removed.destroy = True if destroy is None else destroy
            case "provisioner":
                provisioner = read_provisioner(loader, inner)
                if provisioner is not None:
                    if not provisioner.when_destroy:
                        loader.say(
                            error(
                                "Invalid provisioner block",
                                'Only destroy-time provisioners are valid in "removed" blocks. To declare a destroy-time provisioner, use:\n    when = destroy',
                                inner.header_range,
                            )
                        )
                    removed.provisioners.append(provisioner)
    problem = module_and_resource(reference, keys=False)
    if isinstance(problem, Diagnostic):
        loader.say(problem)
        return
    loader.module.removed.append(removed)


def read_import(loader: Loader, block: nodes.Block) -> None:
    found = loader.content(block.body, _IMPORT)
    at = found.attributes
    provider = read_provider_ref(loader, at["provider"].expression, "provider") if "provider" in at else None
    if "to" in at:
        to = at["to"].expression
        if not isinstance(to, nodes.Traversal | nodes.IndexExpression | nodes.RelativeTraversal):
            to_reference, diagnostics = static.traversal(to, quoted=False)
            loader.extend(diagnostics)
            to = to_reference or to
        root = to
        while isinstance(root, nodes.IndexExpression | nodes.RelativeTraversal):
            root = root.collection if isinstance(root, nodes.IndexExpression) else root.of
        if not isinstance(root, nodes.Traversal) or _mode_of(root) != "managed":
            loader.say(error("Invalid import address", "Only managed resources can be imported.", at["to"].range))
        elif "id" in at:
            loader.module.imports.append(
                Import(
                    to,
                    at["id"].expression,
                    block.header_range,
                    at["for_each"].expression if "for_each" in at else None,
                    provider,
                )
            )


def _mode_of(reference: nodes.Traversal) -> str:
    names = [reference.root, *(getattr(s, "name", "") for s in reference.steps)]
    while len(names) > 1 and names[0] == "module":
        names = names[2:]
        while names and not names[0]:
            names = names[1:]
    return "data" if names and names[0] == "data" else "managed" if names else ""
