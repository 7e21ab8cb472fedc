"""Reads the files of a folder into a `Module`: which files count, what each block may hold, how overrides merge.

One function for each kind of block, in the table `_BLOCKS`. All mistakes are gathered; a module comes back even so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.base.diagnostics import Diagnostic, error, warning
from terrarium.base.source import Range
from terrarium.engine import static
from terrarium.engine.addresses import parse_source
from terrarium.engine.configuration import (
    Backend,
    Check,
    CheckRule,
    CoreVersion,
    Import,
    Local,
    Module,
    ModuleCall,
    Moved,
    Output,
    PassedProvider,
    ProviderBlock,
    Removed,
    RequiredProvider,
    Variable,
)
from terrarium.engine.loading_resource import (
    Reader,
    read_check_rule,
    read_provider_ref,
    read_provisioner,
    read_resource,
)
from terrarium.language import nodes
from terrarium.language.bodies import AttributeSchema, BlockSchema, BodySchema
from terrarium.language.types import DYNAMIC, List, Map
from terrarium.language.values import NULL

if TYPE_CHECKING:
    from terrarium.engine.module_tree import Files

_NAME_DETAIL = (
    "A name must start with a letter or underscore and may contain only letters, digits, underscores, and dashes."
)


_OLD_TYPES = {
    "string": "",
    "list": " and write list(string) instead to explicitly indicate that the list elements are strings",
    "map": " and write map(string) instead to explicitly indicate that the map elements are strings",
}


def attributes(*names: str, required: tuple[str, ...] = ()) -> tuple[AttributeSchema, ...]:
    return tuple(AttributeSchema(n, required=n in required) for n in (*names, *required))


def blocks(*names: str, **labelled: tuple[str, ...]) -> tuple[BlockSchema, ...]:
    return (
        *(BlockSchema(n, labels=()) for n in names),
        *(BlockSchema(n, labels=names_) for n, names_ in labelled.items()),
    )


FILE = BodySchema(
    attributes=(),
    blocks=blocks(
        "terraform",
        "required_providers",
        "locals",
        "moved",
        "import",
        "removed",
        provider=("name",),
        variable=("name",),
        output=("name",),
        module=("name",),
        resource=("type", "name"),
        data=("type", "name"),
        ephemeral=("type", "name"),
        check=("name",),
    ),
)
_TERRAFORM = BodySchema(
    attributes=attributes("required_version", "experiments", "language"),
    blocks=blocks("required_providers", "cloud", backend=("type",), provider_meta=("provider",)),
)
_VARIABLE = BodySchema(
    attributes=attributes("description", "default", "type", "sensitive", "nullable", "ephemeral"),
    blocks=blocks("validation"),
)
_OUTPUT = BodySchema(
    attributes=attributes("description", "depends_on", "sensitive", "ephemeral", required=("value",)),
    blocks=blocks("precondition", "postcondition"),
)
_OUTPUT_OVERRIDE = BodySchema(
    attributes=attributes("description", "depends_on", "sensitive", "ephemeral", "value"),
    blocks=blocks("precondition", "postcondition"),
)
_MODULE = BodySchema(
    attributes=attributes("version", "count", "for_each", "depends_on", "providers", required=("source",)),
    blocks=blocks("_", "lifecycle", "locals", provider=("type",)),
)
_MODULE_OVERRIDE = BodySchema(
    attributes=attributes("source", "version", "count", "for_each", "depends_on", "providers"),
    blocks=blocks("_", "lifecycle", "locals", provider=("type",)),
)
_PROVIDER = BodySchema(
    attributes=attributes("alias", "version", "count", "depends_on", "for_each", "source"),
    blocks=blocks("_", "lifecycle", "locals"),
)
_MOVED = BodySchema(attributes=attributes(required=("from", "to")), blocks=())
_IMPORT = BodySchema(attributes=attributes("provider", "for_each", required=("id", "to")), blocks=())
_REMOVED = BodySchema(
    attributes=attributes(required=("from",)), blocks=blocks("lifecycle", "connection", provisioner=("type",))
)
_REMOVED_LIFECYCLE = BodySchema(attributes=attributes("destroy"), blocks=())
_CHECK = BodySchema(attributes=(), blocks=blocks("assert", data=("type", "name")))


class Loader(Reader):
    """Builds one module; `override` is true while override files are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.module = Module(folder)
        self.override = False
        self.seen_required: list[nodes.Block] = []

    # --- names -------------------------------------------------------------------------------------------------

    def name_of(self, block: nodes.Block, what: str, index: int = 0) -> str:
        label = block.labels[index]
        if not static.valid_name(label.text):
            self.say(error(f"Invalid {what} name", _NAME_DETAIL, block.label_range(index)))
        return label.text

    def missing_base(self, what: str, kind: str, name: str, at: Range) -> None:
        summary = f"Missing base {what} to override"
        subject = {"variable": "a variable", "output": "an output", "local value": "a local value"}.get(
            kind, f"a {kind}"
        )
        verb = "defined" if kind in ("output", "local value") else "declared"
        self.say(
            error(
                summary,
                f'There is no {kind} named "{name}". An override file can only override {subject} that was already '
                f"{verb} in a primary configuration file.",
                at,
            )
        )

    # --- blocks ------------------------------------------------------------------------------------------------

    def variable(self, block: nodes.Block) -> None:
        from terrarium.language.type_expressions import apply_defaults, parse_type

        name = self.name_of(block, "variable")
        variable = Variable(name, block.header_range)
        found = self.content(block.body, _VARIABLE)
        at = found.attributes
        if name in ("source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"):
            self.say(
                error(
                    "Invalid variable name",
                    f'The variable name "{name}" is reserved due to its special meaning inside module blocks.',
                    block.label_range(0),
                )
            )
        typed = "type" in at
        if "type" in at:
            variable.type_expression = at["type"].expression
            quoted = static.constant_string(at["type"].expression)
            if quoted in _OLD_TYPES and not static.is_json(at["type"].expression):
                self.say(
                    error(
                        "Invalid quoted type constraints",
                        "Terraform 0.11 and earlier required type constraints to be given in quotes, but that form is now deprecated and will be "
                        f'removed in a future version of Terraform. Remove the quotes around "{quoted}"{_OLD_TYPES[quoted]}.',
                        at["type"].expression.range,
                    )
                )
            elif quoted is not None and not static.is_json(at["type"].expression):
                self.say(
                    error(
                        "Invalid legacy variable type hint",
                        "To provide a full type expression, remove the surrounding quotes and give the type expression directly.",
                        at["type"].expression.range,
                    )
                )
            word = at["type"].expression
            if isinstance(word, nodes.Traversal) and not word.steps and word.root in ("list", "map"):
                # The bare words of old configurations.
                variable.type = List(DYNAMIC) if word.root == "list" else Map(DYNAMIC)
            elif quoted is None or static.is_json(at["type"].expression):
                variable.type, variable.defaults, diagnostics = parse_type(static.unquoted_json(at["type"].expression))
                self.extend(diagnostics)
        if "description" in at:
            variable.description = self.text(at["description"].expression)
        for flag in ("sensitive", "ephemeral", "nullable"):
            if flag in at:
                setattr(variable, flag, self.boolean(at[flag].expression))
        if "default" in at:
            expression = at["default"].expression
            variable.default_expression = expression
            value, diagnostics = static.constant(expression)
            self.extend(diagnostics)
            if value is not None:
                variable.default = value
                if typed or not self.override:
                    variable.default = self.default_value(variable, value, expression, apply_defaults)
        for inner in found.blocks:
            rule = read_check_rule(self, inner, "validation", self.override)
            if rule is not None:
                self.check_validation(name, rule)
                variable.validations.append(rule)
        if not self.override:
            if name in self.module.variables:
                self.duplicate(
                    "variable declaration",
                    f'A variable named "{name}" was already declared at {{}}. Variable names must be unique within a module.',
                    self.module.variables[name].range,
                    block.header_range,
                )
                return
            self.module.variables[name] = variable
            return
        base = self.module.variables.get(name)
        if base is None:
            self.missing_base("variable declaration", "variable", name, block.header_range)
            return
        if typed:
            base.type, base.defaults, base.type_expression = variable.type, variable.defaults, variable.type_expression
        for member in ("description", "sensitive", "ephemeral", "nullable"):
            if getattr(variable, member) is not None:
                setattr(base, member, getattr(variable, member))
        if variable.default is not None:
            base.default, base.default_expression = variable.default, variable.default_expression
        base.validations = variable.validations or base.validations
        if base.default is not None and base.default_expression is not None:
            base.default = self.default_value(base, base.default, base.default_expression, apply_defaults)

    def default_value(self, variable: Variable, value, expression: nodes.Expression, apply_defaults):  # type: ignore[no-untyped-def]
        from terrarium.language.convert import ConversionError, convert

        if value.data is NULL and not variable.is_nullable:
            self.say(
                error(
                    "Invalid default value for variable",
                    "A null default value is not valid when nullable=false.",
                    expression.range,
                )
            )
            return value
        try:
            if variable.defaults is not None and value.data is not NULL:
                value = apply_defaults(value, variable.defaults)
            return convert(value, variable.type)
        except ConversionError as problem:
            self.say(
                error(
                    "Invalid default value for variable",
                    f"This default value is not compatible with the variable's type constraint: {problem}.",
                    expression.range,
                )
            )
            return value

    def check_validation(self, name: str, rule: CheckRule) -> None:
        from terrarium.language.references import references

        found = references(rule.condition)
        if not any(r.root == "var" and r.steps and getattr(r.steps[0], "name", "") == name for r in found):
            self.say(
                error(
                    "Invalid variable validation condition",
                    f'The condition for variable "{name}" must refer to var.{name} in order to test incoming values.',
                    rule.condition.range,
                )
            )

    def locals(self, block: nodes.Block) -> None:
        if block.labels:
            return
        for inner in block.body.blocks:
            self.say(error(f'Unexpected "{inner.type}" block', "Blocks are not allowed here.", inner.type_range))
        for name, attribute in self.just_attributes(block.body).items():
            if not static.valid_name(name):
                self.say(error("Invalid local value name", _NAME_DETAIL, attribute.name_range))
            local = Local(name, attribute.expression, attribute.range)
            known = self.module.locals.get(name)
            if self.override:
                if known is None:
                    self.say(
                        error(
                            "Missing base local value definition to override",
                            f'There is no local value named "{name}". An override file can only override a local value that was already defined in a primary configuration file.',
                            attribute.range,
                        )
                    )
                self.module.locals[name] = local
            elif known is not None:
                self.duplicate(
                    "local value definition",
                    f'A local value named "{name}" was already defined at {{}}. Local value names must be unique within a module.',
                    known.range,
                    attribute.range,
                )
            else:
                self.module.locals[name] = local

    def output(self, block: nodes.Block) -> None:
        name = self.name_of(block, "output")
        output = Output(name, block.header_range)
        found = self.content(block.body, _OUTPUT_OVERRIDE if self.override else _OUTPUT)
        at = found.attributes
        if "value" in at:
            output.expression = at["value"].expression
        if "description" in at:
            output.description = self.text(at["description"].expression)
        for flag in ("sensitive", "ephemeral"):
            if flag in at:
                setattr(output, flag, self.boolean(at[flag].expression))
        if "depends_on" in at:
            output.depends_on = self.references(at["depends_on"].expression)
        for inner in found.blocks:
            if inner.type == "postcondition":
                self.say(
                    error(
                        "Postconditions are not allowed",
                        "Output values can only have preconditions, not postconditions.",
                        inner.type_range,
                    )
                )
                continue
            rule = read_check_rule(self, inner, "precondition", self.override)
            if rule is not None:
                output.preconditions.append(rule)
        known = self.module.outputs.get(name)
        if not self.override:
            if known is not None:
                self.duplicate(
                    "output definition",
                    f'An output named "{name}" was already defined at {{}}. Output names must be unique within a module.',
                    known.range,
                    block.header_range,
                )
                return
            self.module.outputs[name] = output
        elif known is None:
            self.missing_base("output definition", "output", name, block.header_range)
        else:
            for member in ("expression", "description", "sensitive", "ephemeral"):
                if getattr(output, member) is not None:
                    setattr(known, member, getattr(output, member))
            if output.depends_on:
                self.say(
                    error(
                        "Unsupported override", 'The "depends_on" argument may not be overridden.', block.header_range
                    )
                )

    def module_call(self, block: nodes.Block) -> None:
        name = self.name_of(block, "module instance")
        found = self.content(block.body, _MODULE_OVERRIDE if self.override else _MODULE, partial=True)
        at = found.attributes
        call = ModuleCall(name, self.escaped(found), block.header_range)
        if "source" in at:
            call.source_range = at["source"].expression.range
            call.source = self.text(at["source"].expression) or ""
        if "version" in at:
            call.version = self.text(at["version"].expression)
        if "source" in at and not static.is_json(block):
            self.check_module_source(call)
        self.repetition(at, call)
        if "depends_on" in at:
            call.depends_on = self.references(at["depends_on"].expression)
        if "providers" in at:
            call.providers = self.passed_providers(at["providers"].expression)
        for inner in found.blocks:
            if inner.type != "_":
                self.say(
                    error(
                        "Reserved block type name in module block",
                        f'The block type name "{inner.type}" is reserved for use by Terraform in a future version.',
                        inner.type_range,
                    )
                )
        known = self.module.calls.get(name)
        if not self.override:
            if known is not None:
                self.duplicate(
                    "module call",
                    f'A module call named "{name}" was already defined at {{}}. Module calls must have unique names within a module.',
                    known.range,
                    block.header_range,
                )
                return
            self.module.calls[name] = call
            return
        if known is None:
            self.say(
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

    def check_module_source(self, call: ModuleCall) -> None:
        from terrarium.engine.module_sources import SourceError, parse_module_source

        try:
            parse_module_source(call.source, call.version is not None)
        except SourceError as problem:
            self.say(error(problem.summary, problem.detail, call.source_range))

    def passed_providers(self, expression: nodes.Expression) -> list[PassedProvider]:
        if not isinstance(expression, nodes.ObjectExpression):
            self.say(error("Invalid expression", "A static map expression is required.", expression.range))
            return []
        passed: list[PassedProvider] = []
        seen: set[tuple[str, str]] = set()
        for key, value in expression.items:
            child = read_provider_ref(self, key, "providers")
            parent = read_provider_ref(self, value, "providers")
            if child is None or parent is None:
                continue
            if (child.name, child.alias) in seen:
                self.say(
                    error(
                        "Duplicate provider address",
                        "A provider configuration was already passed to "
                        + str(child)
                        + ". Each child provider configuration can be assigned only once.",
                        child.range,
                    )
                )
                continue
            seen.add((child.name, child.alias))
            passed.append(PassedProvider(child, parent))
        return passed

    def provider(self, block: nodes.Block) -> None:
        name = block.labels[0].text
        if not static.valid_name(name):
            self.say(error("Invalid provider name", _NAME_DETAIL, block.label_range(0)))
        found = self.content(block.body, _PROVIDER, partial=True)
        at = found.attributes
        provider = ProviderBlock(name, "", self.escaped(found), block.header_range)
        if "alias" in at:
            provider.alias = self.text(at["alias"].expression) or ""
            if not static.valid_name(provider.alias):
                self.say(
                    error("Invalid provider configuration alias", f"An alias must be a valid name. {_NAME_DETAIL}")
                )
        if "version" in at:
            self.say(
                warning(
                    "Version constraints inside provider configuration blocks are deprecated",
                    "Terraform 0.13 and earlier allowed provider version constraints inside the provider configuration "
                    "block, but that is now deprecated and will be removed in a future version of Terraform. To silence "
                    "this warning, move the provider version constraint into the required_providers block.",
                    at["version"].expression.range,
                )
            )
            provider.version = self.text(at["version"].expression)
            provider.version_range = at["version"].expression.range
        for reserved in ("count", "depends_on", "for_each", "source"):
            if reserved in at:
                self.say(
                    error(
                        "Reserved argument name in provider block",
                        f'The provider argument name "{reserved}" is reserved for use by Terraform in a future version.',
                        at[reserved].name_range,
                    )
                )
        for inner in found.blocks:
            if inner.type != "_":
                self.say(
                    error(
                        "Reserved block type name in provider block",
                        f'The block type name "{inner.type}" is reserved for use by Terraform in a future version.',
                        inner.type_range,
                    )
                )
        key = (name, provider.alias)
        known = self.module.providers.get(key)
        if self.override:
            if known is None:
                if provider.alias:
                    self.say(
                        error(
                            "Missing base provider configuration for override",
                            f'There is no {name} provider configuration with the alias "{provider.alias}". An override file can only override an aliased provider configuration that was already defined in a primary configuration file.',
                            block.header_range,
                        )
                    )
                else:
                    self.module.providers[key] = provider
                return
            known.version = provider.version or known.version
            known.body = merged(known.body, provider.body)
        elif known is not None:
            if provider.alias:
                detail = f'A provider configuration for "{name}" with alias "{provider.alias}" was already given at {{}}. Each configuration for the same provider must have a distinct alias.'
            else:
                detail = f'A default (non-aliased) provider configuration for "{name}" was already given at {{}}. If multiple configurations are required, set the "alias" argument for alternative configurations.'
            self.duplicate("provider configuration", detail, known.range, block.header_range)
        else:
            self.module.providers[key] = provider

    def terraform(self, block: nodes.Block) -> None:
        found = self.content(block.body, _TERRAFORM)
        at = found.attributes
        if "required_version" in at:
            constraint = self.text(at["required_version"].expression)
            if constraint is not None:
                self.module.core_versions.append(CoreVersion(constraint, at["required_version"].range))
        if "experiments" in at:
            self.say(
                error(
                    "Module uses experimental features",
                    "Experimental features are intended only for gathering early feedback on new language designs, and "
                    "so are available only in alpha releases of Terraform.",
                    at["experiments"].name_range,
                )
            )
        for inner in found.blocks:
            match inner.type:
                case "required_providers":
                    self.required_providers(inner)
                case "backend":
                    self.backend(inner)
                case "cloud":
                    self.cloud(inner)

    def backend(self, block: nodes.Block) -> None:
        backend = Backend(block.labels[0].text, block.body, block.header_range)
        if self.override:
            self.module.backend, self.module.cloud = backend, None
            return
        if self.module.backend is not None:
            self.say(
                error(
                    "Duplicate backend configuration",
                    f"A module may have only one backend configuration. The backend was previously configured at {self.module.backend.range}.",
                    block.header_range,
                )
            )
            return
        self.module.backend = backend

    def cloud(self, block: nodes.Block) -> None:
        cloud = Backend("cloud", block.body, block.header_range, cloud=True)
        if self.override:
            self.module.cloud, self.module.backend = cloud, None
            return
        if self.module.cloud is not None:
            self.say(
                error(
                    "Duplicate HCP Terraform configurations",
                    f"A module may have only one 'cloud' block configuring HCP Terraform or Terraform Enterprise. The 'cloud' block was previously configured at {self.module.cloud.range}.",
                    block.header_range,
                )
            )
            return
        self.module.cloud = cloud

    def required_providers(self, block: nodes.Block) -> None:
        if self.module.required_range is not None and not self.override:
            self.say(
                error(
                    "Duplicate required providers configuration",
                    "A module may have only one required providers configuration. The required providers were previously "
                    f"configured at {self.module.required_range}.",
                    block.header_range,
                )
            )
            return
        self.module.required_range = block.header_range
        for name, attribute in self.just_attributes(block.body).items():
            required = self.required_provider(name, attribute)
            if required is not None:
                self.module.required[name] = required

    def required_provider(self, name: str, attribute: nodes.Attribute) -> RequiredProvider | None:
        from terrarium.engine.addresses import default_source

        if name != name.lower():
            self.say(
                error(
                    "Invalid provider local name",
                    f'Provider names must be normalized. Replace "{name}" with "{name.lower()}" to fix this error.',
                    attribute.name_range,
                )
            )
            return None
        expression = attribute.expression
        text = static.constant_string(expression)
        if text is not None:
            return RequiredProvider(
                name, default_source(name), text, range=attribute.range, version_range=expression.range
            )
        if not isinstance(expression, nodes.ObjectExpression):
            self.say(
                error(
                    "Invalid required_providers object",
                    "required_providers entries must be strings or objects.",
                    expression.range,
                )
            )
            return None
        source, version, aliases, version_range = default_source(name), "", [], None
        for key, value in expression.items:
            word = static.keyword(key)[0]
            match word:
                case "version":
                    version, version_range = self.text(value) or "", value.range
                case "source":
                    given = self.text(value) or ""
                    try:
                        source = parse_source(given)
                    except ValueError:
                        self.say(
                            error(
                                "Invalid provider source string",
                                'The "source" attribute must be in the format "[hostname/][namespace/]name"',
                                value.range,
                            )
                        )
                case "configuration_aliases":
                    for item in static.items(value)[0]:
                        alias = read_provider_ref(self, item, "configuration_aliases")
                        if alias is not None:
                            aliases.append(alias)
                case _:
                    self.say(
                        error(
                            "Invalid required_providers object",
                            'required_providers objects can only contain "version", "source" and "configuration_aliases" attributes. To configure a provider, use a "provider" block.',
                            key.range,
                        )
                    )
        return RequiredProvider(name, source, version, tuple(aliases), attribute.range, version_range)

    def resource(self, block: nodes.Block) -> None:
        mode = {"resource": "managed"}.get(block.type, block.type)
        resource = read_resource(self, block, mode, self.override)
        if resource is None:
            return
        key = (resource.mode, resource.type, resource.name)
        known = self.module.resources.get(key)
        if not self.override:
            if known is not None:
                kind = {"managed": "resource", "data": "data", "ephemeral": "ephemeral"}[mode]
                self.duplicate(
                    f'{kind} "{resource.type}" configuration',
                    f'A {resource.type} {"resource" if mode == "managed" else mode + " resource"} named "{resource.name}" was already declared at {{}}. Resource names must be unique per type in each module.',
                    known.range,
                    block.header_range,
                )
                return
            self.module.resources[key] = resource
            return
        if known is None:
            what = "resource" if mode == "managed" else "data resource"
            self.say(
                error(
                    f"Missing {what} to override",
                    f'There is no {resource.type} {what} named "{resource.name}". An override file can only override a {what} block defined in a primary configuration file.',
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

    def moved(self, block: nodes.Block) -> None:
        found = self.content(block.body, _MOVED)
        pair = []
        for name in ("from", "to"):
            if name in found.attributes:
                reference, diagnostics = static.traversal(found.attributes[name].expression, quoted=False)
                self.extend(diagnostics)
                pair.append(reference)
        if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
            self.module.moved.append(Moved(pair[0], pair[1], block.header_range))

    def removed(self, block: nodes.Block) -> None:
        from terrarium.engine.references import module_and_resource

        found = self.content(block.body, _REMOVED)
        if "from" not in found.attributes:
            return
        reference, diagnostics = static.traversal(found.attributes["from"].expression, quoted=False)
        self.extend(diagnostics)
        if reference is None:
            return
        removed = Removed(reference, block.header_range)
        for inner in found.blocks:
            match inner.type:
                case "lifecycle":
                    life = self.content(inner.body, _REMOVED_LIFECYCLE)
                    if "destroy" in life.attributes:
                        destroy = self.boolean(life.attributes["destroy"].expression)
                        removed.destroy = True if destroy is None else destroy
                case "provisioner":
                    provisioner = read_provisioner(self, inner)
                    if provisioner is not None:
                        if not provisioner.when_destroy:
                            self.say(
                                error(
                                    "Invalid provisioner block",
                                    'Only destroy-time provisioners are valid in "removed" blocks. To declare a destroy-time provisioner, use:\n    when = destroy',
                                    inner.header_range,
                                )
                            )
                        removed.provisioners.append(provisioner)
        problem = module_and_resource(reference, keys=False)
        if isinstance(problem, Diagnostic):
            self.say(problem)
            return
        self.module.removed.append(removed)

    def import_(self, block: nodes.Block) -> None:
        found = self.content(block.body, _IMPORT)
        at = found.attributes
        provider = read_provider_ref(self, at["provider"].expression, "provider") if "provider" in at else None
        if "to" in at:
            to = at["to"].expression
            if not isinstance(to, nodes.Traversal | nodes.IndexExpression | nodes.RelativeTraversal):
                to_reference, diagnostics = static.traversal(to, quoted=False)
                self.extend(diagnostics)
                to = to_reference or to
            root = to
            while isinstance(root, nodes.IndexExpression | nodes.RelativeTraversal):
                root = root.collection if isinstance(root, nodes.IndexExpression) else root.of
            if not isinstance(root, nodes.Traversal) or _mode_of(root) != "managed":
                self.say(error("Invalid import address", "Only managed resources can be imported.", at["to"].range))
            elif "id" in at:
                self.module.imports.append(
                    Import(
                        to,
                        at["id"].expression,
                        block.header_range,
                        at["for_each"].expression if "for_each" in at else None,
                        provider,
                    )
                )

    def check(self, block: nodes.Block) -> None:
        name = self.name_of(block, "check block")
        found = self.content(block.body, _CHECK)
        check = Check(name, block.header_range)
        for inner in found.blocks:
            if inner.type == "data":
                if check.data is not None:
                    self.say(
                        error(
                            "Multiple data resource blocks",
                            f"This check block already has a data resource defined at {check.data.range}.",
                            inner.header_range,
                        )
                    )
                    continue
                data = read_resource(self, inner, "data", self.override)
                if data is not None:
                    data.check = name
                    check.data = data
            else:
                rule = read_check_rule(self, inner, "assert", self.override)
                if rule is not None:
                    check.asserts.append(rule)
        if not check.asserts:
            self.say(
                error("Zero assert blocks", "Check blocks must have at least one assert block.", block.header_range)
            )
        known = self.module.checks.get(name)
        if known is not None:
            self.say(
                error(
                    f'Duplicate check "{name}" configuration',
                    f'A check block named "{name}" was already declared at {known.range}. Check blocks must be unique within each module.',
                    block.header_range,
                )
            )
            return
        self.module.checks[name] = check
        if check.data is not None:
            self.module.resources.setdefault(("data", check.data.type, check.data.name), check.data)

    def duplicate(self, what: str, detail: str, first: Range, at: Range) -> None:
        self.say(error(f"Duplicate {what}", detail.format(first), at))

    def read(self, body: nodes.Body) -> None:
        for block in self.content(body, FILE).blocks:
            _BLOCKS[block.type](self, block)

    def required_providers_outside(self, block: nodes.Block) -> None:
        self.say(
            error(
                "Invalid required_providers block",
                'A "required_providers" block must be nested inside a "terraform" block.',
                block.type_range,
            )
        )


def _mode_of(reference: nodes.Traversal) -> str:
    names = [reference.root, *(getattr(s, "name", "") for s in reference.steps)]
    while len(names) > 1 and names[0] == "module":
        names = names[2:]
        while names and not names[0]:
            names = names[1:]
    return "data" if names and names[0] == "data" else "managed" if names else ""


_BLOCKS: dict[str, Callable[[Loader, nodes.Block], None]] = {
    "terraform": Loader.terraform,
    "required_providers": Loader.required_providers_outside,
    "provider": Loader.provider,
    "variable": Loader.variable,
    "locals": Loader.locals,
    "output": Loader.output,
    "module": Loader.module_call,
    "resource": Loader.resource,
    "data": Loader.resource,
    "ephemeral": Loader.resource,
    "moved": Loader.moved,
    "removed": Loader.removed,
    "import": Loader.import_,
    "check": Loader.check,
}


def merged(base: nodes.Body, over: nodes.Body) -> nodes.Body:
    """A body with another laid over it: its arguments replace, its blocks replace all of their type."""
    types = {b.type for b in over.blocks}
    types |= {b.labels[0].text for b in over.blocks if b.type == "dynamic" and b.labels}
    kept = [
        b
        for b in base.blocks
        if not (b.type in types or (b.type == "dynamic" and b.labels and b.labels[0].text in types))
    ]
    return replace(base, attributes={**base.attributes, **over.attributes}, blocks=(*kept, *over.blocks))


def is_override(name: str) -> bool:
    stem = name.removesuffix(".json").removesuffix(".tf")
    return stem == "override" or stem.endswith("_override")


def config_names(names: Iterable[str], suffixes: tuple[str, ...] = (".tf", ".tf.json")) -> list[str]:
    """Which files of a folder are configuration: primary ones first, each kind in the order of names."""
    found = sorted(n for n in names if n.endswith(suffixes) and not n.startswith((".", "#")) and not n.endswith("~"))
    return [n for n in found if not is_override(n)] + [n for n in found if is_override(n)]


def parse_text(data: bytes, shown: str) -> tuple[nodes.File, list[Diagnostic]]:
    """Reads one file's bytes, native or JSON by its name. `shown` is its name in messages."""
    from terrarium.language import json_syntax, parser

    text, problems = parser.decode(data, shown)
    file, diagnostics = (json_syntax.parse if shown.endswith(".json") else parser.parse)(text, shown)
    return file, [*problems, *diagnostics]


def shown_path(folder: str, name: str) -> str:
    return name if folder in (".", "") else f"{folder}/{name}"


def load_module(folder: str, files: Files) -> tuple[Module, list[Diagnostic]]:
    """The module in `folder` (relative to the working folder, and so shown). OSError when it can't be listed."""
    loader = Loader(Path(folder))
    parsed: list[tuple[str, nodes.File]] = []
    for name in config_names(files.names(folder)):
        shown = shown_path(folder, name)
        try:
            data = files.read(shown)
        except OSError:
            loader.say(error("Failed to read file", f'The file "{shown}" could not be read.'))
            continue
        file, diagnostics = parse_text(data, shown)
        loader.extend(diagnostics)
        loader.module.sources[shown] = file.source
        parsed.append((name, file))
    for name, file in parsed:
        loader.override = is_override(name)
        loader.read(file.body)
    finish(loader)
    return loader.module, loader.diagnostics


def finish(loader: Loader) -> None:
    """Checks which need the whole module."""
    module = loader.module
    if module.backend is not None and module.cloud is not None:
        loader.say(
            error(
                "Both a backend and cloud configuration are present",
                "A module may declare either one 'cloud' block OR one 'backend' block configuring a state backend. The "
                f"'cloud' block is configured at {module.cloud.range}; a backend is configured at {module.backend.range}. "
                "Remove the backend block to configure HCP Terraform or Terraform Enteprise.",
                module.backend.range,
            )
        )
