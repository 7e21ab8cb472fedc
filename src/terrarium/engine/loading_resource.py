"""Reads `resource`, `data` and `ephemeral` blocks: the arguments which every resource has, lifecycle, provisioners."""

from __future__ import annotations

from collections.abc import Iterator

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine import static
from terrarium.engine.configuration import CheckRule, Provisioner, Resource
from terrarium.engine.loading_reader import NAME_DETAIL, Reader, attributes, read_check_rule, read_provider_ref
from terrarium.engine.references import Reference, parse
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


# What messages call the type and the name of each mode, and the block as a whole.
_WORDS = {
    "managed": ("resource type name", "resource name", "resource"),
    "data": ("data source name", "data resource name", "data"),
    "ephemeral": ("ephemeral resource type", "ephemeral resource name", "ephemeral"),
}


def read_resource(reader: Reader, block: nodes.Block, mode: str, override: bool) -> Resource | None:
    if len(block.labels) < 2:
        return None
    type, name = block.labels[0].text, block.labels[1].text
    *labels, kind = _WORDS[mode]
    for index, label in enumerate((type, name)):
        if not static.valid_name(label):
            reader.say(error(f"Invalid {labels[index]}", NAME_DETAIL, block.label_range(index)))
    found = reader.content(block.body, _MANAGED if mode == "managed" else _DATA, partial=True)
    at = found.attributes
    body = reader.escaped(found, "resource-type-specific", kind)
    resource = Resource(mode, type, name, body, block.header_range, block.label_range(0))
    reader.repetition(at, resource)
    if "provider" in at:
        resource.provider = read_provider_ref(reader, at["provider"].expression, "provider")
    if "depends_on" in at:
        resource.depends_on = reader.references(at["depends_on"].expression)
    lifecycle = reader.only(found.blocks_of("lifecycle"), "lifecycle", "This resource")
    if lifecycle is not None:
        _lifecycle(reader, resource, lifecycle, override)
    resource.connection = reader.only(found.blocks_of("connection"), "connection", "This resource")
    for inner in found.blocks_of("provisioner"):
        provisioner = read_provisioner(reader, inner)
        if provisioner is not None:
            resource.provisioners.append(provisioner)
    reader.reserved(found.blocks_of("locals"), kind)
    return resource


def _lifecycle(reader: Reader, resource: Resource, block: nodes.Block, override: bool) -> None:
    found = reader.content(block.body, _LIFECYCLE)
    at = found.attributes
    if resource.mode != "managed":
        what = "data" if resource.mode == "data" else "ephemeral"
        for name in ("create_before_destroy", "prevent_destroy", "ignore_changes", "replace_triggered_by"):
            if name in at:
                reader.say(
                    error(
                        f"Invalid {what} resource lifecycle argument",
                        f'The lifecycle argument "{name}" is defined only for managed resources ("resource" blocks), and is not valid for {what} resources.',
                        at[name].name_range,
                    )
                )
    for name in ("create_before_destroy", "prevent_destroy"):
        if name in at:
            setattr(resource, name, reader.boolean(at[name].expression))
    if "ignore_changes" in at:
        expression = at["ignore_changes"].expression
        if static.bare_keyword(expression) == "all":
            resource.ignore_all = True
        else:
            resource.ignore_changes = _ignored(reader, resource, expression)
    if "replace_triggered_by" in at:
        members, diagnostics = static.items(at["replace_triggered_by"].expression)
        reader.extend(diagnostics)
        resource.replace_triggered_by = [static.unquoted_json(member) for member in members]
        for member in resource.replace_triggered_by:
            if problems := _trigger_problems(member):
                reader.extend(problems)
                break
    for inner in found.blocks:
        rule = read_check_rule(reader, inner, inner.type, override)
        if rule is None:
            continue
        reader.extend(_self_references(resource, rule, inner.type))
        (resource.preconditions if inner.type == "precondition" else resource.postconditions).append(rule)


def _self_references(resource: Resource, rule: CheckRule, what: str) -> Iterator[Diagnostic]:
    """A condition may not name its own resource; `self` is for that."""
    for expression in (rule.condition, rule.error_message):
        if expression is None:
            continue
        found = [parse(traversal) for traversal in references(expression)]
        if any(isinstance(r, Reference) and r.kind == "resource" and r.key_free == resource.local for r in found):
            detail = f"Configuration for {resource.local} may not refer to itself."
            yield error(f"Invalid reference in {what}", detail, expression.range)


def _trigger_problems(expression: nodes.Expression) -> list[Diagnostic]:
    """What is wrong with an element of `replace_triggered_by`."""
    parsed = [parse(traversal) for traversal in references(expression)]
    wrong = [r for r in parsed if isinstance(r, Diagnostic)]
    if wrong:
        return wrong
    found = [r for r in parsed if isinstance(r, Reference)]
    problems: list[tuple[str, str]] = []
    for reference in found:
        match reference.kind:
            case "resource":
                pass
            case "each" | "count" as kind:
                allowed = _TRIGGER_NAMES[kind]
                if reference.name != allowed:
                    problems.append((f"Invalid {kind} reference in", f"Only {kind}.{allowed} may be used in"))
            case _:
                problems.append(("Invalid reference in", "Only resources, count.index, and each.key may be used in"))
    said = [
        error(f"{summary} replace_triggered_by expression", f"{detail} replace_triggered_by.", expression.range)
        for summary, detail in problems
    ]
    count = sum(r.kind == "resource" for r in found)
    if count != 1:
        detail = f"{'Multiple' if count else 'Missing'} resource reference{'s' if count else ''} in replace_triggered_by expression."
        said.append(error("Invalid replace_triggered_by expression", detail, expression.range))
    return said


_TRIGGER_NAMES = {"each": "key", "count": "index"}


def _ignored(reader: Reader, resource: Resource, expression: nodes.Expression) -> list[nodes.Traversal]:
    members, diagnostics = static.items(expression)
    reader.extend(diagnostics)
    found: list[nodes.Traversal] = []
    star: nodes.Expression | None = None
    for member in members:
        if static.constant_string(member) == "*":
            reader.say(
                error(
                    "Invalid ignore_changes wildcard",
                    'The ["*"] form of ignore_changes wildcard is was deprecated and is now invalid. Use "ignore_changes = all" to ignore changes to all attributes.',
                    expression.range,
                )
            )
            resource.ignore_all, star = True, member
            continue
        reference, more = static.traversal(member)
        reader.extend(more)
        if reference is not None:
            found.append(reference)
    if star is not None and found:
        reader.say(
            error(
                "Invalid ignore_changes ruleset",
                'Cannot mix wildcard string "*" with non-wildcard references.',
                star.range,
                expression.range,
            )
        )
    return found


def read_provisioner(reader: Reader, block: nodes.Block) -> Provisioner | None:
    found = reader.content(block.body, _PROVISIONER, partial=True)
    body = reader.escaped(found, "provisioner-typpe-specific", "provisioner")
    provisioner = Provisioner(block.labels[0].text, body, block.header_range)
    if provisioner.type in ("chef", "habitat", "puppet", "salt-masterless"):
        reader.say(
            error(
                f'The "{provisioner.type}" provisioner has been removed',
                f'The "{provisioner.type}" provisioner was deprecated in Terraform 0.13.4 has been removed from Terraform. Visit https://learn.hashicorp.com/collections/terraform/provision for alternatives to using provisioners that are a better fit for the Terraform workflow.',
                block.label_range(0),
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
                    at["on_failure"].expression.range,
                )
            )
        provisioner.continue_on_failure = word == "continue"
    provisioner.connection = reader.only(found.blocks_of("connection"), "connection", "This provisioner")
    reader.reserved(found.blocks_of("lifecycle"), "provisioner")
    if provisioner.when_destroy:
        bodies = [provisioner.body, *([provisioner.connection.body] if provisioner.connection else [])]
        for attribute in (a for body in bodies for a in body.attributes.values()):
            for reference in references(attribute.expression):
                if not _allowed_in_destroy(reference):
                    reader.say(error(_FROM_DESTROY, _FROM_DESTROY_DETAIL, attribute.expression.range))
    return provisioner


_FROM_DESTROY = "Invalid reference from destroy provisioner"
_FROM_DESTROY_DETAIL = (
    "Destroy-time provisioners and their connection configurations may only reference attributes of the related resource, "
    "via 'self', 'count.index', or 'each.key'.\n\nReferences to other resources during the destroy phase can cause "
    "dependency cycles and interact poorly with create_before_destroy."
)


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
