"""Reads `resource`, `data` and `ephemeral` blocks: the arguments which every resource has, lifecycle, provisioners."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine import static
from terrarium.engine.configuration import Provisioner, Resource
from terrarium.engine.loading_reader import NAME_DETAIL, Reader, attributes, read_check_rule, read_provider_ref
from terrarium.language import nodes
from terrarium.language.bodies import BlockSchema, BodySchema
from terrarium.language.references import references

_META_BLOCKS = (
    BlockSchema("locals", labels=()),
    BlockSchema("lifecycle", labels=()),
    BlockSchema("connection", labels=()),
    BlockSchema("provisioner", labels=("type",)),
    BlockSchema("_", labels=()),
)
_MANAGED = BodySchema(attributes=attributes("count", "for_each", "provider", "depends_on"), blocks=_META_BLOCKS)
_DATA = BodySchema(
    attributes=attributes("count", "for_each", "provider", "depends_on"),
    blocks=(BlockSchema("lifecycle", labels=()), BlockSchema("locals", labels=()), BlockSchema("_", labels=())),
)
_LIFECYCLE = BodySchema(
    attributes=attributes("create_before_destroy", "prevent_destroy", "ignore_changes", "replace_triggered_by"),
    blocks=(BlockSchema("precondition", labels=()), BlockSchema("postcondition", labels=())),
)
_PROVISIONER = BodySchema(
    attributes=attributes("when", "on_failure"),
    blocks=(BlockSchema("connection", labels=()), BlockSchema("lifecycle", labels=()), BlockSchema("_", labels=())),
)


def read_resource(reader: Reader, block: nodes.Block, mode: str, override: bool) -> Resource | None:
    if len(block.labels) < 2:
        return None
    type, name = block.labels[0].text, block.labels[1].text
    what = {"managed": "resource", "data": "data resource", "ephemeral": "ephemeral resource"}[mode]
    for index, label, kind in ((0, type, "type"), (1, name, "name")):
        if not static.valid_name(label):
            shown = "resource" if mode == "managed" else "data source" if kind == "type" else what
            reader.say(
                error(
                    f"Invalid {shown} {kind}" if kind == "type" else f"Invalid {what} name",
                    NAME_DETAIL,
                    block.label_range(index),
                )
            )
    found = reader.content(block.body, _MANAGED if mode == "managed" else _DATA, partial=True)
    at = found.attributes
    resource = Resource(mode, type, name, reader.escaped(found), block.header_range, block.label_range(0))
    reader.repetition(at, resource)
    if "provider" in at:
        resource.provider = read_provider_ref(reader, at["provider"].expression, "provider")
    if "depends_on" in at:
        resource.depends_on = reader.references(at["depends_on"].expression)
    seen_lifecycle: nodes.Block | None = None
    for inner in found.blocks:
        match inner.type:
            case "lifecycle":
                if seen_lifecycle is not None:
                    reader.say(
                        error(
                            "Duplicate lifecycle block",
                            f"This resource already has a lifecycle block at {seen_lifecycle.header_range}.",
                            inner.header_range,
                        )
                    )
                    continue
                seen_lifecycle = inner
                _lifecycle(reader, resource, inner, override)
            case "connection":
                if resource.connection is not None:
                    reader.say(
                        error(
                            "Duplicate connection block",
                            f"This resource already has a connection block at {resource.connection.header_range}.",
                            inner.header_range,
                        )
                    )
                    continue
                resource.connection = inner
            case "provisioner":
                provisioner = read_provisioner(reader, inner)
                if provisioner is not None:
                    resource.provisioners.append(provisioner)
            case "locals":
                reader.say(
                    error(
                        "Reserved block type name in resource block",
                        f'The block type name "{inner.type}" is reserved for use by Terraform in a future version.',
                        inner.type_range,
                    )
                )
    return resource


def _lifecycle(reader: Reader, resource: Resource, block: nodes.Block, override: bool) -> None:
    found = reader.content(block.body, _LIFECYCLE)
    at = found.attributes
    if resource.mode != "managed":
        for name in ("create_before_destroy", "prevent_destroy", "ignore_changes", "replace_triggered_by"):
            if name in at:
                reader.say(
                    error(
                        "Invalid data resource lifecycle argument",
                        f'The lifecycle argument "{name}" is defined only for managed resources ("resource" blocks), and is not valid for data resources.',
                        at[name].name_range,
                    )
                )
    for name in ("create_before_destroy", "prevent_destroy"):
        if name in at:
            setattr(resource, name, reader.boolean(at[name].expression))
    if "ignore_changes" in at:
        expression = at["ignore_changes"].expression
        word, _ = static.keyword(expression)
        if word == "all":
            resource.ignore_all = True
        else:
            resource.ignore_changes = _ignored(reader, resource, expression)
    if "replace_triggered_by" in at:
        members, diagnostics = static.items(at["replace_triggered_by"].expression)
        reader.extend(diagnostics)
        resource.replace_triggered_by = list(members)
        for member in members:
            reader.extend(_trigger_problems(member))
    for inner in found.blocks:
        rule = read_check_rule(reader, inner, inner.type, override)
        if rule is None:
            continue
        if inner.type == "precondition":
            for reference in references(rule.condition):
                if reference.root == "self":
                    reader.say(
                        error(
                            "Invalid reference in precondition",
                            'The "self" object is not available in preconditions.',
                            reference.range,
                        )
                    )
            resource.preconditions.append(rule)
        else:
            resource.postconditions.append(rule)


def _trigger_problems(expression: nodes.Expression) -> list[Diagnostic]:
    """What is wrong with an element of `replace_triggered_by`."""
    from terrarium.engine.references import Reference, parse

    found: list[Diagnostic] = []
    resources = 0
    for traversal in references(expression):
        reference = parse(traversal)
        if isinstance(reference, Diagnostic):
            found.append(reference)
        elif isinstance(reference, Reference) and reference.kind == "resource":
            resources += 1
        elif not (reference.kind == "count" or (reference.kind == "each" and reference.name == "key")):
            found.append(
                error(
                    "Invalid reference in replace_triggered_by expression",
                    "Only resources, count.index, and each.key may be used in replace_triggered_by.",
                    expression.range,
                )
            )
    if resources == 0:
        found.append(
            error(
                "Invalid replace_triggered_by expression",
                "Missing resource reference in replace_triggered_by expression.",
                expression.range,
            )
        )
    elif resources > 1:
        found.append(
            error(
                "Invalid replace_triggered_by expression",
                "Multiple resource references in replace_triggered_by expression.",
                expression.range,
            )
        )
    return [*found, *found]  # Terraform reads these twice, and says so twice


def _ignored(reader: Reader, resource: Resource, expression: nodes.Expression) -> list[nodes.Traversal]:
    members, diagnostics = static.items(expression)
    reader.extend(diagnostics)
    found: list[nodes.Traversal] = []
    for member in members:
        if static.constant_string(member) == "*":
            reader.say(
                error(
                    "Invalid ignore_changes wildcard",
                    'The ["*"] form of ignore_changes wildcard is was deprecated and is now invalid. Use "ignore_changes = all" to ignore changes to all attributes.',
                    member.range,
                )
            )
            resource.ignore_all = True
            continue
        reference, more = static.traversal(member)
        reader.extend(more)
        if reference is not None:
            found.append(reference)
    return found


def read_provisioner(reader: Reader, block: nodes.Block) -> Provisioner | None:
    found = reader.content(block.body, _PROVISIONER, partial=True)
    provisioner = Provisioner(block.labels[0].text, reader.escaped(found), block.header_range)
    if provisioner.type in ("chef", "habitat", "puppet", "salt-masterless"):
        reader.say(
            error(
                f'The "{provisioner.type}" provisioner has been removed',
                f'The "{provisioner.type}" provisioner was deprecated in Terraform 0.13.4 has been removed from Terraform. Visit https://learn.hashicorp.com/collections/terraform/provision for alternatives to using provisioners that are a better fit for the Terraform workflow.',
                block.type_range,
            )
        )
        return None
    at = found.attributes
    if "when" in at:
        word, diagnostics = static.keyword(at["when"].expression)
        reader.extend(diagnostics)
        if word not in ("create", "destroy"):
            reader.say(
                error(
                    'Invalid "when" keyword',
                    'The "when" argument requires one of the following keywords: create or destroy.',
                    at["when"].expression.range,
                )
            )
        provisioner.when_destroy = word == "destroy"
    if "on_failure" in at:
        word, diagnostics = static.keyword(at["on_failure"].expression)
        reader.extend(diagnostics)
        if word not in ("continue", "fail"):
            reader.say(
                error(
                    'Invalid "on_failure" keyword',
                    'The "on_failure" argument requires one of the following keywords: continue or fail.',
                    at["on_failure"].range,
                )
            )
        provisioner.continue_on_failure = word == "continue"
    for inner in found.blocks:
        if inner.type == "connection":
            provisioner.connection = inner
    if provisioner.when_destroy:
        bodies = [provisioner.body, *([provisioner.connection.body] if provisioner.connection else [])]
        for body in bodies:
            for attribute in body.attributes.values():
                if any(not _allowed_in_destroy(r) for r in references(attribute.expression)):
                    reader.say(
                        error(
                            "Invalid reference from destroy provisioner",
                            "Destroy-time provisioners and their connection configurations may only reference attributes "
                            "of the related resource, via 'self', 'count.index', or 'each.key'.\n\nReferences to other "
                            "resources during the destroy phase can cause dependency cycles and interact poorly with "
                            "create_before_destroy.",
                            attribute.expression.range,
                        )
                    )
    return provisioner


def _allowed_in_destroy(reference: nodes.Traversal) -> bool:
    first = reference.steps[0].name if reference.steps and isinstance(reference.steps[0], nodes.Attr) else ""
    return (
        reference.root in ("self", "path", "terraform")
        or (reference.root == "count" and first == "index")
        or (reference.root == "each" and first == "key")
    )


def body_references(body: nodes.Body) -> list[nodes.Traversal]:
    """Every reference in a body, without regard to schemas; names that `dynamic` blocks define are left out."""
    found: list[nodes.Traversal] = []
    for attribute in body.attributes.values():
        found.extend(references(attribute.expression))
    for block in body.blocks:
        inner = body_references(block.body)
        if block.type == "dynamic" and block.labels:
            iterator = block.body.attributes.get("iterator")
            name = iterator.expression.text if iterator is not None else block.labels[0].text
            inner = [r for r in inner if r.root != name]
        found.extend(inner)
    return found
