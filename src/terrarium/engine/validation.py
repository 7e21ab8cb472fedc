"""Static validation: what is wrong with a configuration, found without state and without asking remote objects.

First names and forms (`validate_references`): every reference in every expression must mean something. Then values: the
graph is walked with unknown values in the place of all that only exists after an apply, so that types, arguments and
providers' own rules are checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine.addresses import BUILTIN, MANAGED, AbsResource, ConfigResource, ProviderConfig
from terrarium.engine.config_graph import Builder, Node
from terrarium.engine.configuration import CheckRule, Resource, Variable
from terrarium.engine.evaluation import Keys, Repetition
from terrarium.engine.expansion import expand
from terrarium.engine.planning import cycle_errors, unknown_type
from terrarium.engine.plugins import MissingProvider
from terrarium.engine.provisioning import CONNECTION, SCHEMAS
from terrarium.engine.validate_references import ReferenceCheck
from terrarium.engine.walking import Diagnostics, Session, Walk, located, missing_provider
from terrarium.language.convert import ConversionError, convert
from terrarium.language.types import BOOL, STRING
from terrarium.language.values import SENSITIVE, Value, unknown


class ValidateWalk(Walk):
    """Walks with unknowns: variables have only their types, resources only their schemas."""

    allow_unknown_keys = True
    resource_configs: Mapping[ConfigResource, ProviderConfig]

    def visit_variable(self, node: Node) -> Diagnostics:
        module = self.module(node)
        variable = module.module.variables[node.name]
        if module.call is not None and node.name in self.call_attributes(module):
            return super().visit_variable(node)
        for instance in self.values.instances_of(node.path):
            value = unknown(variable.type)
            if variable.sensitive:
                value = value.marked(SENSITIVE)
            if variable.ephemeral:
                value = value.marked("ephemeral")
            self.values.variables.setdefault(instance, {})[node.name] = value
        return []

    def one_variable(self, module, variable: Variable, instance):  # type: ignore[no-untyped-def]
        diagnostics = super().one_variable(module, variable, instance)
        known = self.values.variables[instance][variable.name]
        self.values.variables[instance][variable.name] = Value(variable.type, unknown(variable.type).data, known.marks)
        return diagnostics

    def validations(self, variable, instance, written):  # type: ignore[no-untyped-def]
        return []

    def visit_provider(self, node: Node) -> Diagnostics:
        config = ProviderConfig(node.path, node.type, node.name)
        if config.source not in self.plugins:
            return [missing_provider(config.source)]
        value, body, diagnostics = self.provider_value(config)
        if body is None:
            # Arguments of a provider without a block may come from its environment: nothing to say.
            return diagnostics
        if not has_errors(diagnostics):
            provider = self.plugins.unconfigured(config.source)
            said = provider.validate_provider(value.unmarked_deep())
            diagnostics += [located(d, body, str(config)) for d in said]
        return diagnostics

    def visit_check(self, node: Node) -> Diagnostics:
        check = self.module(node).module.checks[node.name]
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            for rule in check.asserts:
                diagnostics += self.rule(rule, instance, None, None)
        return diagnostics

    def rule(self, rule: CheckRule, instance, repetition: Repetition | None, self_value: Value | None) -> Diagnostics:  # type: ignore[no-untyped-def]
        """Evaluates a condition only for the mistakes in it."""
        value, diagnostics = self.evaluator.evaluate(rule.condition, instance, repetition, self_value)
        if not has_errors(diagnostics):
            try:
                convert(value, BOOL)
            except ConversionError as problem:
                diagnostics.append(
                    error(
                        "Invalid condition result", f"Invalid condition result value: {problem}.", rule.condition.range
                    )
                )
        if rule.error_message is not None:
            message, more = self.evaluator.evaluate(rule.error_message, instance, repetition, self_value)
            diagnostics += more
            if not has_errors(more):
                try:
                    convert(message, STRING)
                except ConversionError as problem:
                    diagnostics.append(
                        error(
                            "Invalid error message",
                            f"Unsuitable value for error message: {problem}.",
                            rule.error_message.range,
                        )
                    )
        return diagnostics

    def one_output(self, output, instance):  # type: ignore[no-untyped-def]
        diagnostics: Diagnostics = []
        for rule in output.preconditions:
            diagnostics += self.rule(rule, instance, None, None)
        plain = replace(output, preconditions=[])
        return diagnostics + super().one_output(plain, instance)

    def visit_resource(self, node: Node) -> Diagnostics:
        module = self.module(node)
        resource = module.module.resources[(node.mode, node.type, node.name)]
        config = self.resource_configs[node.resource]
        try:
            schema = self.plugins.resource_schema(config.source, node.mode, node.type)
        except MissingProvider:
            return []
        if schema is None:
            hint = self.plugins.hint(resource.mode, resource.type)
            return [unknown_type(resource, config.source, hint)]
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            keys, more = expand(self.evaluator, instance, resource, allow_unknown=True)
            diagnostics += more
            address = AbsResource(instance, node.mode, node.type, node.name)
            repetition = _any_repetition(resource, keys)
            config_value, more = self.decode(schema.block, resource.body, instance, repetition)
            diagnostics += more
            if not has_errors(more):
                provider = self.plugins.unconfigured(config.source)
                check = provider.validate_resource if node.mode == MANAGED else provider.validate_data
                said = check(node.type, config_value.unmarked_deep())
                diagnostics += [_placed(d, resource, config.source) for d in said]
            self_value = unknown(self.plugins.decoder.type(schema.block))
            for rule in resource.preconditions:
                diagnostics += self.rule(rule, instance, repetition, None)
            for rule in resource.postconditions:
                diagnostics += self.rule(rule, instance, repetition, self_value)
            diagnostics += self.provisioners(resource, instance, repetition, self_value)
            diagnostics += self.ignored(resource, schema.block)
            self._stand_in(address, resource, self_value)
        return diagnostics

    def _stand_in(self, address: AbsResource, resource: Resource, value: Value) -> None:
        """The resource as expressions see it before anything is known."""
        if resource.repeats:
            self.values.keys[address] = Keys("unknown", (None,))
            return
        self.values.keys[address] = Keys("single")
        self.values.set_object(address.instance(None), value)

    def provisioners(self, resource: Resource, instance, repetition, self_value: Value) -> Diagnostics:  # type: ignore[no-untyped-def]
        diagnostics: Diagnostics = []
        for provisioner in resource.provisioners:
            schema = SCHEMAS.get(provisioner.type)
            if schema is None:
                diagnostics.append(
                    error(
                        "Missing required provisioner plugin",
                        f"This configuration requires provisioner plugin \"{provisioner.type}\", which isn't available. If you're intending to "
                        "use an external provisioner plugin, you must install it manually into one of the plugin search directories before "
                        "running Terraform.",
                    )
                )
                continue
            diagnostics += self.decode(schema, provisioner.body, instance, repetition, self_value)[1]
            connection = provisioner.connection
            if connection is not None:
                diagnostics += self.decode(CONNECTION, connection.body, instance, repetition, self_value)[1]
        if resource.connection is not None and resource.provisioners:
            diagnostics += self.decode(CONNECTION, resource.connection.body, instance, repetition, self_value)[1]
        return diagnostics

    def ignored(self, resource: Resource, block) -> Diagnostics:  # type: ignore[no-untyped-def]
        """Names in `ignore_changes` must be there, and be arguments."""
        diagnostics: Diagnostics = []
        for reference in resource.ignore_changes:
            name = reference.root
            if name not in block.attributes and name not in block.blocks:
                from terrarium.base.suggest import nearest

                near = nearest(name, [*block.attributes, *block.blocks])
                hint = f' Did you mean "{near}"?' if near else ""
                diagnostics.append(
                    error(
                        "Unsupported attribute",
                        f'This object has no argument, nested block, or exported attribute named "{name}".{hint}',
                        reference.range,
                    )
                )
                continue
            attribute = block.attributes.get(name)
            if attribute is not None and attribute.computed and not attribute.optional:
                from terrarium.base.diagnostics import warning

                diagnostics.append(
                    warning(
                        "Redundant ignore_changes element",
                        "Adding an attribute name to ignore_changes tells Terraform to ignore future changes to the argument in configuration "
                        "after the object has been created, retaining the value originally configured.\n\nThe attribute "
                        f"{name} is decided by the provider alone and therefore there can be no configured value to compare with. Including "
                        "this attribute in ignore_changes has no effect. Remove the attribute from ignore_changes to quiet this warning.",
                        resource.range,
                    )
                )
        return diagnostics


def _any_repetition(resource: Resource, keys: Keys) -> Repetition | None:
    """`each` and `count` of no instance in particular."""
    if resource.count is not None:
        from terrarium.language.types import NUMBER

        return Repetition(count=unknown(NUMBER))
    if resource.for_each is not None:
        return Repetition(each_key=unknown(STRING), each_value=unknown())
    return None


def _placed(diagnostic: Diagnostic, resource: Resource, source: str) -> Diagnostic:
    """A provider's message; those of Terraform's own provider which name no attribute stay without a place."""
    if source == BUILTIN and diagnostic.attribute is None and diagnostic.subject is None:
        return diagnostic
    found = located(diagnostic, resource.body, resource.local)
    return replace(found, address=resource.local)


def provider_problems(session: Session, builder: Builder) -> Diagnostics:
    """Resources whose provider configuration is not there."""
    diagnostics: Diagnostics = []
    for address, config in builder.providers.items():
        if not config.alias:
            continue
        module = session.root.find(config.path)
        declared = module is not None and any(
            alias == config.alias and module.module.provider_source(name) == config.source
            for name, alias in module.module.providers
        )
        if not declared:
            diagnostics.append(
                error(
                    "Provider configuration not present",
                    f"To work with {address} its original provider configuration at {config} is required, but it has been removed. This occurs "
                    f"when a provider configuration is removed while objects created by that provider still exist in the state. Re-add the "
                    f"provider configuration to destroy {address}, after which you can remove the provider configuration again.",
                )
            )
    return diagnostics


def import_problems(walk: ValidateWalk) -> Diagnostics:
    """Mistakes in `import` blocks that need no plan."""
    from terrarium.engine.imports import import_id_problem

    diagnostics: Diagnostics = []
    for block in walk.root.module.imports:
        if block.for_each is not None:
            continue
        value, more = walk.evaluator.evaluate(block.id, ())
        diagnostics += more
        if has_errors(more) or not value.is_known:
            continue
        problem = import_id_problem(value)
        if problem:
            diagnostics.append(error("Invalid import id argument", problem, block.id.range))
    return diagnostics


def validate(session: Session) -> Diagnostics:
    """What is wrong with a configuration, found without state."""
    from terrarium.engine.validate_modules import module_problems

    missing = [missing_provider(s) for s in _sources(session) if s not in session.plugins]
    if missing:
        return missing
    diagnostics = module_problems(session)
    builder = Builder(session.root, session.plugins)
    graph = builder.build()
    diagnostics += provider_problems(session, builder)
    if has_errors(diagnostics):
        return diagnostics
    check = ReferenceCheck(session.root, session.plugins, session.functions)
    diagnostics += check.run()
    if has_errors(diagnostics):
        # With names that mean nothing values would only repeat the complaint; those of other blocks are still checked.
        bad = check.broken
    else:
        bad = set()
    cycles = cycle_errors(graph)
    if cycles:
        return [*diagnostics, *cycles]
    walk = ValidateWalk(session)
    walk.resource_configs = builder.providers
    skipped: set[Node] = set()
    for node in graph.order():
        if node in bad or graph.after[node] & skipped:
            skipped.add(node)
            continue
        if not walk.visit(node):
            skipped.add(node)
    if not has_errors(walk.diagnostics):
        walk.say(import_problems(walk))
    return [*diagnostics, *(_provider_function(d) for d in walk.diagnostics)]


_PROVIDER_CALL = re.compile(r'"provider::(\w[\w-]*)::(\w+)"')


def _provider_function(diagnostic: Diagnostic) -> Diagnostic:
    """A call to a provider's function that is not there, in Terraform's own words."""
    found = _PROVIDER_CALL.search(diagnostic.detail) if diagnostic.summary == "Call to unknown function" else None
    if found is None:
        return diagnostic
    provider, function = found[1], found[2]
    return replace(
        diagnostic,
        summary="Unknown provider function",
        detail=f'There is no function named "provider::{provider}::{function}". Ensure that provider name "{provider}" is declared in this '
        f'module\'s required_providers block, and that this provider offers a function named "{function}".',
    )


def _sources(session: Session) -> list[str]:
    from terrarium.engine.dependencies import requirements

    return list(requirements(session.root))
