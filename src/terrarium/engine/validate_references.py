"""Whether every reference means something: variables, locals, modules, resources and their attributes, in Terraform's
words and with the nearest name that there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Pos, Range
from terrarium.base.suggest import nearest
from terrarium.engine.addresses import DATA, MANAGED, path_text
from terrarium.engine.config_graph import Node, resource_node
from terrarium.engine.configuration import CheckRule, ModuleNode, Resource
from terrarium.engine.loading_resource import body_references
from terrarium.engine.plugins import MissingProvider, Plugins
from terrarium.engine.provider import Block, Nesting
from terrarium.engine.references import Reference, parse
from terrarium.language import nodes
from terrarium.language.bodies import just_attributes
from terrarium.language.references import references

_EACH = (
    'The "each" object does not have an attribute named "{}". The supported attributes are each.key and each.value, the '
    'current key and value pair of the "for_each" attribute set.'
)
_COUNT = (
    'The "count" object does not have an attribute named "{}". The only supported attribute is count.index, which is the '
    'index of each instance of a resource block that has the "count" argument set.'
)
_TERRAFORM = (
    'The "terraform" object does not have an attribute named "{}". The only supported attributes are terraform.workspace, '
    "the name of the currently-selected workspace, and terraform.applying, a boolean which is true only during apply."
)
_ENV = (
    'The terraform.env attribute was deprecated in v0.10 and removed in v0.12. The "state environment" concept was renamed '
    'to "workspace" in v0.12, and so the workspace name can now be accessed using the terraform.workspace attribute.'
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an expression stands: what is allowed there."""

    node: Node
    count: bool = False
    each: bool = False
    self_ok: bool = False
    check: str = ""


@dataclass(slots=True)
class ReferenceCheck:
    """Checks all references of a configuration; `broken` are the blocks which have wrong ones."""

    root: ModuleNode
    plugins: Plugins
    functions: Mapping[str, Any]
    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: set[Node] = field(default_factory=set)

    def run(self) -> list[Diagnostic]:
        for module in self.root.walk():
            self._module(module)
        return self.diagnostics

    def _module(self, module: ModuleNode) -> None:
        content, path = module.module, module.path
        for name, local in content.locals.items():
            node = Node("local", path, name)
            for reference in references(local.expression):
                if reference.root == "local" and reference.steps and getattr(reference.steps[0], "name", "") == name:
                    self._bad(
                        node,
                        error(
                            "Self-referencing local value",
                            f"Local value local.{name} cannot use its own result as part of its expression.",
                            reference.range,
                        ),
                    )
            self._check(module, references(local.expression), _Place(node))
        for name, output in content.outputs.items():
            place = _Place(Node("output", path, name))
            if output.expression is not None:
                self._check(module, references(output.expression), place)
            self._rules(module, output.preconditions, place)
            self._depends(module, output.depends_on, place)
        for name, variable in content.variables.items():
            self._rules(module, variable.validations, _Place(Node("var", path, name)))
        for resource in content.resources.values():
            self._resource(module, resource)
        for name, call in content.calls.items():
            node = Node("call", path, name)
            for expression in (call.count, call.for_each):
                if expression is not None:
                    self._check(module, references(expression), _Place(node))
            self._depends(module, call.depends_on, _Place(node))
            place = _Place(node, call.count is not None, call.for_each is not None)
            for argument, attribute in just_attributes(call.body)[0].items():
                inner = _Place(Node("var", (*path, name), argument), place.count, place.each)
                self._check(module, references(attribute.expression), inner)
        for (name, alias), block in content.providers.items():
            source = content.provider_source(name)
            self._check(module, body_references(block.body), _Place(Node("provider", path, alias, "", source)))
        for name, check in content.checks.items():
            self._rules(module, check.asserts, _Place(Node("check", path, name), check=name))

    def _rules(self, module: ModuleNode, rules: Iterable[CheckRule], place: _Place) -> None:
        for rule in rules:
            self._check(module, references(rule.condition), place)
            if rule.error_message is not None:
                self._check(module, references(rule.error_message), place)

    def _depends(self, module: ModuleNode, found: Iterable[nodes.Traversal], place: _Place) -> None:
        for traversal in found:
            reference = parse(traversal)
            if isinstance(reference, Reference) and reference.kind in ("resource", "module", "var", "local"):
                rest = reference.rest if reference.kind == "resource" else ()
                if rest:
                    self._bad(
                        place.node,
                        error(
                            "Invalid depends_on reference",
                            "References in depends_on must be to a whole object (resource, etc), not to an attribute of an object.",
                            traversal.range,
                        ),
                    )
                    continue
            self._check(module, [traversal], place)

    def _resource(self, module: ModuleNode, resource: Resource) -> None:
        node = resource_node(module.path, resource.mode, resource.type, resource.name)
        bare = _Place(node, check=resource.check or "")
        for expression in (resource.count, resource.for_each):
            if expression is not None:
                self._check(module, [r for r in references(expression) if not self._own(r, resource)], bare)
        self._depends(module, resource.depends_on, bare)
        place = _Place(node, resource.count is not None, resource.for_each is not None, check=resource.check or "")
        found = body_references(resource.body)
        self._check(module, [r for r in found if not self._own(r, resource)], place)
        self._rules(module, resource.preconditions, place)
        with_self = _Place(node, place.count, place.each, True, place.check)
        self._rules(module, resource.postconditions, with_self)
        for expression in resource.replace_triggered_by:
            self._check(module, references(expression), place)
        for provisioner in resource.provisioners:
            self._check(module, body_references(provisioner.body), with_self)
            if provisioner.connection is not None:
                self._check(module, body_references(provisioner.connection.body), with_self)
        if resource.connection is not None:
            self._check(module, body_references(resource.connection.body), with_self)

    def _own(self, traversal: nodes.Traversal, resource: Resource) -> bool:
        reference = parse(traversal)
        return (
            isinstance(reference, Reference)
            and reference.kind == "resource"
            and (reference.mode, reference.type, reference.name) == (resource.mode, resource.type, resource.name)
        )

    def _bad(self, node: Node, diagnostic: Diagnostic) -> None:
        self.broken.add(node)
        self.diagnostics.append(diagnostic)

    def _check(self, module: ModuleNode, found: Iterable[nodes.Traversal], place: _Place) -> None:
        for traversal in found:
            reference = parse(traversal)
            problem = reference if isinstance(reference, Diagnostic) else self._problem(module, reference, place)
            if problem is None:
                continue
            self._bad(place.node, problem)
            if isinstance(reference, Diagnostic) and traversal.root == "var" and traversal.steps:
                empty = Range("", Pos(0, 0, 0), Pos(0, 0, 0))
                self._bad(place.node, self._undeclared_variable(module, "", empty))

    def _undeclared_variable(self, module: ModuleNode, name: str, at: Range) -> Diagnostic:
        near = nearest(name, sorted(module.module.variables)) if name else ""
        hint = (
            f' Did you mean "{near}"?'
            if near
            else f' This variable can be declared with a variable "{name}" {{}} block.'
        )
        return error(
            "Reference to undeclared input variable",
            f'An input variable with the name "{name}" has not been declared.{hint}',
            at,
        )

    def _problem(self, module: ModuleNode, reference: Reference, place: _Place) -> Diagnostic | None:
        content, name, at = module.module, reference.name, reference.range
        match reference.kind:
            case "var":
                if name not in content.variables:
                    return self._undeclared_variable(module, name, at)
            case "local":
                if name not in content.locals:
                    near = nearest(name, sorted(content.locals))
                    hint = f' Did you mean "{near}"?' if near else ""
                    return error(
                        "Reference to undeclared local value",
                        f'A local value with the name "{name}" has not been declared.{hint}',
                        at,
                    )
            case "module":
                return self._module_problem(module, reference)
            case "resource":
                return self._resource_problem(module, reference, place)
            case "count":
                if name != "index":
                    return error('Invalid "count" attribute', _COUNT.format(name), at)
                if not place.count:
                    return error(
                        'Reference to "count" in non-counted context',
                        'The "count" object can only be used in "module", "resource", and "data" blocks, and only when the "count" argument is set.',
                        at,
                    )
            case "each":
                if name not in ("key", "value"):
                    return error('Invalid "each" attribute', _EACH.format(name), at)
                if not place.each:
                    return error(
                        'Reference to "each" in context without for_each',
                        'The "each" object can be used only in "module" or "resource" blocks, and only when the "for_each" argument is set.',
                        at,
                    )
            case "path":
                if name not in ("module", "root", "cwd"):
                    near = nearest(name, ("module", "root", "cwd"))
                    hint = f' Did you mean "{near}"?' if near else ""
                    return error(
                        'Invalid "path" attribute',
                        f'The "path" object does not have an attribute named "{name}".{hint}',
                        at,
                    )
            case "terraform":
                if name == "env":
                    return error('Invalid "terraform" attribute', _ENV, at)
                if name not in ("workspace", "applying"):
                    return error('Invalid "terraform" attribute', _TERRAFORM.format(name), at)
            case "self":
                if not place.self_ok:
                    return error(
                        'Invalid "self" reference',
                        'The "self" object is not available in this context. This object can be used only in resource provisioner, connection, and postcondition blocks.',
                        at,
                    )
            case _:
                return None
        return None

    def _module_problem(self, module: ModuleNode, reference: Reference) -> Diagnostic | None:
        call = module.module.calls.get(reference.name)
        if call is None:
            near = nearest(reference.name, sorted(module.module.calls))
            hint = f' Did you mean "{near}"?' if near else ""
            return error(
                "Reference to undeclared module",
                f'No module call named "{reference.name}" is declared in {_where(module)}.{hint}',
                reference.range,
            )
        child = module.children.get(reference.name)
        if child is None or not reference.output:
            return None
        source = reference.traversal.source
        step = next(s for s in reference.traversal.steps[1:] if isinstance(s, nodes.Attr))
        at = source.range(step.start, step.end)
        repeats = call.count is not None or call.for_each is not None
        if repeats and not reference.has_key:
            if call.count is not None:
                return error(
                    "Unsupported attribute",
                    f'Can\'t access attributes on a list of objects. Did you mean to access attribute "{reference.output}" for a specific element of the list, or across all elements of the list?',
                    at,
                )
            return error(
                "Unsupported attribute", f'This object does not have an attribute named "{reference.output}".', at
            )
        if reference.output not in child.module.outputs:
            near = nearest(reference.output, sorted(child.module.outputs))
            hint = f' Did you mean "{near}"?' if near else ""
            return error(
                "Unsupported attribute", f'This object does not have an attribute named "{reference.output}".{hint}', at
            )
        return None

    def _resource_problem(self, module: ModuleNode, reference: Reference, place: _Place) -> Diagnostic | None:
        content = module.module
        key = (reference.mode, reference.type, reference.name)
        resource = content.resources.get(key)
        at = reference.range
        if resource is None:
            what = "managed" if reference.mode == MANAGED else reference.mode
            hint = ""
            if reference.mode == MANAGED and (DATA, reference.type, reference.name) in content.resources:
                hint = f"\n\nDid you mean the data resource data.{reference.type}.{reference.name}?"
            article = "An" if what == "ephemeral" else "A"
            return error(
                "Reference to undeclared resource",
                f'{article} {what} resource "{reference.type}" "{reference.name}" has not been declared in {_where(module)}.{hint}',
                at,
            )
        if resource.check and resource.check != place.check:
            return error(
                "Reference to scoped resource",
                f'The referenced data resource "{reference.type}" "{reference.name}" is not available from this context.',
                at,
            )
        if (
            resource.repeats
            and not reference.has_key
            and reference.rest
            and isinstance(reference.rest[0], nodes.Attr)
            and not _is_splat(reference)
        ):
            argument, key_text = ("count", "count.index") if resource.count is not None else ("for_each", "each.key")
            return error(
                "Missing resource instance key",
                f'Because {resource.local} has "{argument}" set, its attributes must be accessed on specific instances.\n\nFor example, to correlate with indices of a referring resource, use:\n    {resource.local}[{key_text}]',
                at,
            )
        if not resource.repeats and reference.has_key:
            return error(
                "Unexpected resource instance key",
                f'Because {resource.local} does not have "count" or "for_each" set, references to it must not include an index key. Remove the bracketed index to refer to the single instance of this resource.',
                at,
            )
        return self._attribute_problem(module, resource, reference)

    def _attribute_problem(self, module: ModuleNode, resource: Resource, reference: Reference) -> Diagnostic | None:
        source = module.module.provider_source(module.module.resource_provider(resource).name)
        try:
            schema = self.plugins.resource_schema(source, resource.mode, resource.type)
        except MissingProvider:
            return None
        if schema is None or not reference.rest:
            return None
        first = reference.rest[0]
        if not isinstance(first, nodes.Attr) or _known(schema.block, first.name):
            return None
        near = nearest(first.name, [*schema.block.attributes, *schema.block.blocks])
        hint = f' Did you mean "{near}"?' if near else ""
        at = reference.traversal.source.range(first.start, first.end)
        return error(
            "Unsupported attribute",
            f'This object has no argument, nested block, or exported attribute named "{first.name}".{hint}',
            at,
        )


def _known(block: Block, name: str) -> bool:
    return name in block.attributes or name in block.blocks


def _is_splat(reference: Reference) -> bool:
    """Attribute-only splats come as traversals of the resource alone; nothing to check then."""
    return False


def _where(module: ModuleNode) -> str:
    return path_text(module.path) if module.path else "the root module"


__all__ = ["Nesting", "ReferenceCheck"]
