"""What references may say: whether the object they name is declared, and whether its schema has what they ask of it.

Theory of operation. Terraform checks the references of one expression (or one whole body) together, just before it is
evaluated, in three steps: the form of each reference; what can be said of resources, modules and `self` from the
configuration alone; and then the lookup of each name. An error in one of the first two steps ends the matter for the
expression, so that a mistake is told once. `ReferenceRules` holds the steps as functions over values; `check` runs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from terrarium.base.diagnostics import Diagnostic, error, has_errors, warning
from terrarium.base.source import Pos, Range
from terrarium.base.suggest import nearest
from terrarium.engine.addresses import DATA, EPHEMERAL, MANAGED, path_text
from terrarium.engine.configuration import ModuleNode, Resource
from terrarium.engine.plugins import MissingProvider, Plugins
from terrarium.engine.provider import Block, NestedBlock, Nesting
from terrarium.engine.references import Reference, parse, parse_resource
from terrarium.engine.static import valid_name
from terrarium.language import nodes
from terrarium.language.values import Value, unknown

_EACH = (
    'The "each" object does not have an attribute named "{}". The supported attributes are each.key and each.value, the '
    'current key and value pair of the "for_each" attribute set.'
)
_NO_EACH = (
    'The "each" object can be used only in "module" or "resource" blocks, and only when the "for_each" argument is set.'
)
_NO_EACH_VALUE = (
    'A reference to "each.value" has been used in a context in which it is unavailable, such as when the configuration no '
    'longer contains the value in its "for_each" expression. Remove this reference to each.value in your configuration to '
    "work around this error."
)
_COUNT = (
    'The "count" object does not have an attribute named "{}". The only supported attribute is count.index, which is the '
    'index of each instance of a resource block that has the "count" argument set.'
)
_NO_COUNT = (
    'The "count" object can only be used in "module", "resource", and "data" blocks, and only when the "count" argument '
    "is set."
)
_TERRAFORM = (
    'The "terraform" object does not have an attribute named "{}". The only supported attributes are terraform.workspace, '
    "the name of the currently-selected workspace, and terraform.applying, a boolean which is true only during apply."
)
_ENV = (
    'The terraform.env attribute was deprecated in v0.10 and removed in v0.12. The "state environment" concept was renamed '
    'to "workspace" in v0.12, and so the workspace name can now be accessed using the terraform.workspace attribute.'
)
_SELF = (
    'The "self" object is not available in this context. This object can be used only in resource provisioner, '
    "connection, and postcondition blocks."
)
NOWHERE = Range("", Pos(0, 0, 0), Pos(0, 0, 0))
_NAMED = ("var", "local", "count", "each", "path", "terraform")
_PATHS = ("cwd", "module", "root")
_ARTICLES = {MANAGED: "A managed", DATA: "A data", EPHEMERAL: "An ephemeral"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: what it may refer to there. `self_of` is the resource that `self` means, `check` the
    check block around the expression."""

    count: bool = False
    each: bool = False
    each_value: bool = True
    self_of: Resource | None = None
    check: str = ""


def suggestion(given: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, or nothing."""
    near = nearest(given, sorted(known))
    return f' Did you mean "{near}"?' if near else ""


class ReferenceRules:
    """Checks references of the modules of one configuration."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins

    def check(
        self, module: ModuleNode, traversals: Iterable[nodes.Traversal], place: Place
    ) -> tuple[list[Reference], list[Diagnostic], bool]:
        """The references that have a form, what is wrong with all of them, and whether anything may be looked up:
        after a mistake which the configuration alone shows, nothing is."""
        found: list[Reference] = []
        diagnostics: list[Diagnostic] = []
        for traversal in traversals:
            reference = parse(traversal)
            if isinstance(reference, Diagnostic):
                diagnostics.append(reference)
                if traversal.root in _NAMED:
                    # Terraform goes on with a reference to nothing, and so complains twice.
                    found.append(Reference(traversal.root, "", traversal))
                continue
            if reference.kind == "run":
                again = parse_resource(traversal)  # only tests know of runs
                if isinstance(again, Diagnostic):
                    diagnostics.append(again)
                    continue
                reference = again
            found.append(reference)
        said = [d for r in found for d in self.static(module, r, place)]
        diagnostics += said
        if has_errors(said):
            return found, diagnostics, False
        diagnostics += [d for r in found if (d := self.lookup(module, r, place)) is not None]
        return found, diagnostics, True

    # --- by the configuration alone ----------------------------------------------------------------------------

    def static(self, module: ModuleNode, reference: Reference, place: Place) -> list[Diagnostic]:
        """What the configuration and the schemas say against a reference."""
        match reference.kind:
            case "self":
                if place.self_of is None:
                    return [error('Invalid "self" reference', _SELF, reference.range)]
                return self._resource(module, place.self_of, reference, place)
            case "resource":
                resource = module.module.resources.get((reference.mode, reference.type, reference.name))
                if resource is None:
                    return [undeclared_resource(module, reference)]
                return [*_instance_key(resource, reference), *self._resource(module, resource, reference, place)]
            case "module":
                calls = module.module.calls
                if reference.name not in calls:
                    return [
                        error(
                            "Reference to undeclared module",
                            f'No module call named "{reference.name}" is declared in {_where(module)}.'
                            f"{suggestion(reference.name, calls)}",
                            reference.range,
                        )
                    ]
        return []

    def _resource(self, module: ModuleNode, resource: Resource, reference: Reference, place: Place) -> list[Diagnostic]:
        at = reference.range
        if resource.check and resource.check != place.check:
            return [
                error(
                    "Reference to scoped resource",
                    f'The referenced {resource.mode} resource "{resource.type}" "{resource.name}" is not available from '
                    "this context.",
                    at,
                )
            ]
        source = module.module.provider_source(module.module.resource_provider(resource).name)
        try:
            schema = self.plugins.resource_schema(source, resource.mode, resource.type)
        except MissingProvider:
            return []
        if schema is None:
            return [
                error(
                    "Invalid resource type",
                    f'{_ARTICLES[resource.mode]} resource type "{resource.type}" is not supported by provider "{source}".',
                    at,
                )
            ]
        rest = reference.rest
        if rest and isinstance(rest[0], nodes.Attr) and rest[0].name == "count":
            return [
                error(
                    "Invalid resource count attribute",
                    'The special "count" attribute is no longer supported after Terraform v0.12. Instead, use '
                    f"length({resource.local}) to count resource instances.",
                    at,
                )
            ]
        return block_steps(schema.block, reference.traversal, rest)

    # --- by name -----------------------------------------------------------------------------------------------

    def lookup(self, module: ModuleNode, reference: Reference, place: Place) -> Diagnostic | None:
        """What is wrong with the name after `var`, `local`, `each` …"""
        content, name = module.module, reference.name
        at = reference.range if name else NOWHERE
        match reference.kind:
            case "var":
                if name not in content.variables:
                    hint = suggestion(name, content.variables)
                    hint = hint or f' This variable can be declared with a variable "{name}" {{}} block.'
                    return error(
                        "Reference to undeclared input variable",
                        f'An input variable with the name "{name}" has not been declared.{hint}',
                        at,
                    )
            case "local":
                if name not in content.locals:
                    return error(
                        "Reference to undeclared local value",
                        f'A local value with the name "{name}" has not been declared.'
                        f"{suggestion(name, content.locals)}",
                        at,
                    )
            case "count":
                if name != "index":
                    return error('Invalid "count" attribute', _COUNT.format(name), at)
                if not place.count:
                    return error('Reference to "count" in non-counted context', _NO_COUNT, at)
            case "each":
                if name not in ("key", "value"):
                    return error('Invalid "each" attribute', _EACH.format(name), at)
                if name == "value" and not (place.each and place.each_value):
                    return error("each.value cannot be used in this context", _NO_EACH_VALUE, at)
                if not place.each:
                    return error('Reference to "each" in context without for_each', _NO_EACH, at)
            case "path":
                if name not in _PATHS:
                    hint = suggestion(name, _PATHS)
                    detail = f'The "path" object does not have an attribute named "{name}".{hint}'
                    return error('Invalid "path" attribute', detail, at)
            case "terraform":
                if name not in ("workspace", "applying"):
                    detail = _ENV if name == "env" else _TERRAFORM.format(name)
                    return error('Invalid "terraform" attribute', detail, at)
        return None


def undeclared_resource(module: ModuleNode, reference: Reference) -> Diagnostic:
    hint = ""
    if reference.mode == MANAGED and (DATA, reference.type, reference.name) in module.module.resources:
        hint = f"\n\nDid you mean the data resource data.{reference.type}.{reference.name}?"
    return error(
        "Reference to undeclared resource",
        f'{_ARTICLES[reference.mode]} resource "{reference.type}" "{reference.name}" has not been '
        f"declared in {_where(module)}.{hint}",
        reference.range,
    )


def _instance_key(resource: Resource, reference: Reference) -> list[Diagnostic]:
    """Whether a reference names one instance where there are several, or the other way round."""
    if reference.has_key:
        if resource.repeats:
            return []
        return [
            error(
                "Unexpected resource instance key",
                f'Because {resource.local} does not have "count" or "for_each" set, references to it must not include an '
                "index key. Remove the bracketed index to refer to the single instance of this resource.",
                reference.range,
            )
        ]
    if not reference.rest:
        return []
    return [
        error(
            "Missing resource instance key",
            f'Because {resource.local} has "{argument}" set, its attributes must be accessed on specific instances.\n\nFor '
            f"example, to correlate with indices of a referring resource, use:\n    {resource.local}[{key}]",
            reference.range,
        )
        for argument, key, given in (
            ("count", "count.index", resource.count),
            ("for_each", "each.key", resource.for_each),
        )
        if given is not None
    ]


def _where(module: ModuleNode) -> str:
    return path_text(module.path) if module.path else "the root module"


# --- steps into a resource, by its schema --------------------------------------------------------------------------


def block_steps(block: Block, traversal: nodes.Traversal, steps: Sequence[nodes.Step]) -> list[Diagnostic]:
    """What a schema says against the steps which lead into an object of it."""
    if not steps:
        return []
    step, after = steps[0], steps[1:]
    at = traversal.source.range(step.start, step.end)
    if not isinstance(step, nodes.Attr):
        key = step.key.data
        detail = "Only attribute access is allowed here, using the dot operator."
        if isinstance(key, str) and valid_name(key):
            detail = f'Only attribute access is allowed here. Did you mean to access attribute "{key}" using the dot operator?'
        return [error("Invalid index operation", detail, at)]
    attribute = block.attributes.get(step.name)
    if attribute is not None:
        found: list[Diagnostic] = []
        if attribute.deprecated:
            found.append(
                warning(
                    "Deprecated attribute",
                    f'The attribute "{step.name}" is deprecated. Refer to the provider documentation for details.',
                    at,
                )
            )
        return [*found, *_value_steps(unknown(attribute.type), traversal, after)]
    nested = block.blocks.get(step.name)
    if nested is not None:
        return _nested_steps(step.name, nested, traversal, after)
    hint = suggestion(step.name, [*block.attributes, *block.blocks])
    return [
        error(
            "Unsupported attribute",
            f'This object has no argument, nested block, or exported attribute named "{step.name}".{hint}',
            at,
        )
    ]


def _nested_steps(
    name: str, nested: NestedBlock, traversal: nodes.Traversal, steps: Sequence[nodes.Step]
) -> list[Diagnostic]:
    if nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
        return block_steps(nested.block, traversal, steps)
    if not steps:
        return []
    at = traversal.source.range(steps[0].start, steps[0].end)
    if nested.nesting is Nesting.SET:
        return [
            error(
                "Cannot index a set value",
                f'Block type "{name}" is represented by a set of objects, and set elements do not have addressable keys. To '
                'find elements matching specific criteria, use a "for" expression with an "if" clause.',
                at,
            )
        ]
    if nested.nesting is Nesting.LIST and isinstance(steps[0], nodes.Attr):
        return [
            error(
                "Invalid operation",
                f'Block type "{name}" is represented by a list of objects, so it must be indexed using a numeric key, like '
                f".{name}[0].",
                at,
            )
        ]
    return block_steps(nested.block, traversal, steps[1:])


def _value_steps(value: Value, traversal: nodes.Traversal, steps: Sequence[nodes.Step]) -> list[Diagnostic]:
    """The steps on a value of which only the type is known. In the words of the language."""
    if not steps:
        return []
    from terrarium.language.evaluate import evaluate
    from terrarium.language.scope import Scope

    rest = nodes.Traversal(
        traversal.source, traversal.start, traversal.end, traversal.root, traversal.root_end, tuple(steps)
    )
    _, diagnostics = evaluate(rest, Scope({traversal.root: value}))
    return [replace(d, values=(), context=None, extra=None) for d in diagnostics]
