"""Static validation: what is wrong with a configuration, found without state and without asking remote objects.

The graph is walked with unknown values in the place of all that only exists after an apply. Each expression is first
checked for what it refers to (`validate_references`), then evaluated, so that types, arguments and providers' own rules
are checked. What depends on something wrong is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors, warning
from terrarium.base.source import utf8
from terrarium.engine.addresses import (
    BUILTIN,
    DATA,
    MANAGED,
    ConfigResource,
    ModuleInstance,
    ProviderConfig,
    display_source,
)
from terrarium.engine.checks import evaluate_in
from terrarium.engine.config_graph import Builder, Node, provider_block_names, waits_for
from terrarium.engine.configuration import CheckRule, ModuleNode, Output, Resource, Variable
from terrarium.engine.decode import schema_references
from terrarium.engine.ephemeral import misused
from terrarium.engine.evaluation import SINGLE, Repetition
from terrarium.engine.expansion import expand
from terrarium.engine.graph import Graph
from terrarium.engine.plugins import Plugins
from terrarium.engine.provider import Block, EphemeralProvider
from terrarium.engine.provisioning import CONNECTION, SCHEMAS
from terrarium.engine.references import parse
from terrarium.engine.validate_imports import import_problems
from terrarium.engine.validate_providers import missing_passed
from terrarium.engine.validate_provisioners import RULES, missing_provisioners
from terrarium.engine.validate_references import ReferenceRules, block_steps, suggestion
from terrarium.engine.validate_values import CheckedEvaluator, ValidateValues
from terrarium.engine.walking import Diagnostics, Session, Walk, located, marked_variable, missing_provider
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.evaluate import evaluate
from terrarium.language.explain import explain
from terrarium.language.references import references
from terrarium.language.scope import Scope
from terrarium.language.types import NUMBER, STRING
from terrarium.language.values import DYNAMIC_UNKNOWN, EPHEMERAL, NULL, Value, unknown


class ValidateWalk(Walk):
    """Walks with unknowns: variables have only their types, resources nothing. Each module is one instance."""

    evaluator: CheckedEvaluator
    resource_configs: Mapping[ConfigResource, ProviderConfig]

    def __init__(self, session: Session) -> None:
        super().__init__(session, ValidateValues(session.root))
        self.evaluator = CheckedEvaluator(
            session.root,
            self.values,
            session.functions,
            session.workspace,
            session.working_folder,
            plugins=session.plugins,
        )
        self.evaluator.rules = ReferenceRules(session.plugins)

    # --- named values ------------------------------------------------------------------------------------------

    def one_variable(self, module: ModuleNode, variable: Variable, instance: ModuleInstance) -> Diagnostics:
        stand_in = marked_variable(variable, unknown(variable.type))
        self.values.variables.setdefault(instance, {})[variable.name] = stand_in
        if module.call is None:
            return self.validations(variable, instance, None)
        attribute = self.call_attributes(module).get(variable.name)
        diagnostics = super().one_variable(module, variable, instance)
        if attribute is not None and not variable.ephemeral:
            given = self.values.variables[instance][variable.name]
            if EPHEMERAL in given.marks_deep:
                diagnostics.append(
                    error(
                        "Ephemeral value not allowed",
                        "This input variable is not declared as accepting a ephemeral values, so it cannot be set to a result "
                        "derived from an ephemeral value.",
                        attribute.expression.range,
                    )
                )
        self.values.variables[instance][variable.name] = stand_in
        return diagnostics

    def validations(
        self, variable: Variable, instance: ModuleInstance, written: nodes.Expression | None
    ) -> Diagnostics:
        diagnostics: Diagnostics = []
        for rule in variable.validations:
            scope, more = self.evaluator.checked(_rule_references(rule), instance)
            diagnostics += more
            if has_errors(more):
                continue
            value, said = evaluate(rule.condition, scope)
            if has_errors(said) or not value.is_known:
                diagnostics += said
                if rule.error_message is not None:
                    diagnostics += evaluate(rule.error_message, scope)[1]
                continue
            subject = written.range if written is not None else variable.range
            said = evaluate_in(scope, rule, "validation")[2]
            diagnostics += [self.validation_failed(d, subject, rule) if d.extra == "check" else d for d in said]
        return diagnostics

    def visit_local(self, node: Node) -> Diagnostics:
        local = self.module(node).module.locals[node.name]
        own = [
            error(
                "Self-referencing local value",
                f"Local value local.{node.name} cannot use its own result as part of its expression.",
                reference.range,
            )
            for reference in self.evaluator.references(local.expression)
            if reference.kind == "local" and reference.name == node.name
        ]
        return own or super().visit_local(node)

    def call_repetition(self, instance: ModuleInstance) -> Repetition | None:
        return Repetition(unknown(NUMBER), unknown(STRING), DYNAMIC_UNKNOWN)

    def visit_call(self, node: Node) -> Diagnostics:
        call = self.module(node).module.calls[node.name]
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            diagnostics += expand(self.evaluator, instance, call, allow_unknown=True)[1]
            diagnostics += self.depends(call.depends_on, instance)
            self.values.calls.setdefault(instance, {})[node.name] = SINGLE
        return diagnostics

    def one_output(self, output: Output, instance: ModuleInstance) -> Diagnostics:
        diagnostics: Diagnostics = []
        for rule in output.preconditions:
            scope, more = self.evaluator.checked(_rule_references(rule), instance)
            more += _message_problems(rule, scope)
            if has_errors(more):
                more += evaluate(rule.condition, scope)[1]
            else:
                more += evaluate_in(scope, rule, "output precondition")[2]
            diagnostics += more
        if has_errors(diagnostics):
            return diagnostics
        if output.ephemeral and not instance:
            diagnostics.append(
                error(
                    "Ephemeral output not allowed",
                    "Ephemeral outputs are not allowed in context of a root module",
                    output.range,
                )
            )
            return diagnostics
        diagnostics += super().one_output(replace(output, preconditions=[]), instance)
        return diagnostics + self.depends(output.depends_on, instance)

    def visit_check(self, node: Node) -> Diagnostics:
        check = self.module(node).module.checks[node.name]
        diagnostics: Diagnostics = []
        self.evaluator.check = check.name
        for instance in self.values.instances_of(node.path):
            for rule in check.asserts:
                scope, more = self.evaluator.checked(_rule_references(rule), instance)
                diagnostics += [*more, *_message_problems(rule, scope)]
        self.evaluator.check = ""
        return diagnostics

    def depends(self, found: Iterable[nodes.Traversal], instance: ModuleInstance) -> Diagnostics:
        """What is wrong in `depends_on`."""
        diagnostics: Diagnostics = []
        for traversal in found:
            reference = parse(traversal)
            if isinstance(reference, Diagnostic):
                diagnostics.append(reference)
            elif reference.rest:
                diagnostics.append(
                    error(
                        "Invalid depends_on reference",
                        "References in depends_on must be to a whole object (resource, etc), not to an attribute of an object.",
                        reference.rest_range,
                    )
                )
            if not has_errors(diagnostics):
                diagnostics += self.evaluator.checked([traversal], instance)[1]
        return diagnostics

    # --- providers and resources -------------------------------------------------------------------------------

    def visit_provider(self, node: Node) -> Diagnostics:
        config = ProviderConfig(node.path, node.type, node.name)
        if config.source not in self.plugins:
            return [missing_provider(config.source)]
        if self.session.mock(config) is not None:
            return []
        body = self.provider_body(config)
        if body is None or not (body.attributes or body.blocks):
            # What a provider without arguments needs may come from its environment: nothing to say.
            return []
        value, body, diagnostics = self.provider_value(config)
        if body is not None and not has_errors(diagnostics):
            provider = self.plugins.unconfigured(config.source)
            said = provider.validate_provider(value.unmarked_deep())
            diagnostics += [located(d, body, str(config)) for d in said]
        return diagnostics

    def provider_body(self, config: ProviderConfig) -> nodes.Body | None:
        module = self.root.find(config.path)
        if module is None:
            return None
        names = list(provider_block_names(module, config.source, config.alias))
        return module.module.providers[names[0]].body if names else None

    def decode(
        self,
        schema: Block,
        body: nodes.Body,
        instance: ModuleInstance,
        repetition: Repetition | None = None,
        self_value: Value | None = None,
        self_of: Resource | None = None,
    ) -> tuple[Value, Diagnostics]:
        found = schema_references(schema, body, self.plugins.decoder)
        scope, diagnostics = self.evaluator.checked(found, instance, repetition, self_of)
        if has_errors(diagnostics):
            return unknown(self.plugins.decoder.type(schema)), diagnostics
        value, said = self.plugins.decoder.decode(schema, body, scope)
        return value, [*diagnostics, *said]

    def visit_resource(self, node: Node) -> Diagnostics:
        module = self.module(node)
        resource = module.module.resources[(node.mode, node.type, node.name)]
        config = self.resource_configs[node.resource]
        if config.source not in self.plugins:
            return []
        repetition = _any_repetition(resource)
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            diagnostics += expand(self.evaluator, instance, resource, allow_unknown=True)[1]
            diagnostics += self.depends(resource.depends_on, instance)
            diagnostics += self.configuration(resource, config, instance, repetition)
            for rule in resource.preconditions:
                diagnostics += self.rule(rule, instance, repetition, None)
            for rule in resource.postconditions:
                diagnostics += self.rule(rule, instance, repetition, resource)
            diagnostics += self.provisioners(resource, instance, repetition)
        return diagnostics

    def configuration(
        self, resource: Resource, config: ProviderConfig, instance: ModuleInstance, repetition: Repetition | None
    ) -> Diagnostics:
        """What schema and provider say of a resource's own arguments."""
        schema = self.plugins.resource_schema(config.source, resource.mode, resource.type)
        if schema is None:
            return [unknown_type(self.plugins, resource, config.source)]
        value, diagnostics = self.decode(schema.block, resource.body, instance, repetition)
        if has_errors(diagnostics):
            return diagnostics
        ignored = self.ignored(resource, schema.block)
        provider = self.plugins.unconfigured(config.source)
        if resource.mode == "ephemeral":
            check = provider.validate_ephemeral if isinstance(provider, EphemeralProvider) else provider.validate_data
        else:
            check = provider.validate_resource if resource.mode == MANAGED else provider.validate_data
            diagnostics += [located(d, resource.body, resource.local) for d in misused(schema.block, value)]
            if has_errors(diagnostics):
                return diagnostics
        said = check(resource.type, value.unmarked_deep())
        return [*diagnostics, *ignored, *(_placed(d, resource, config.source) for d in said)]

    def rule(
        self, rule: CheckRule, instance: ModuleInstance, repetition: Repetition | None, self_of: Resource | None
    ) -> Diagnostics:
        """Evaluates a condition and its message only for the mistakes in them."""
        diagnostics: Diagnostics = []
        for expression in (rule.condition, rule.error_message):
            if expression is not None:
                scope, said = self.evaluator.checked(references(expression), instance, repetition, self_of)
                diagnostics += [*said, *evaluate(expression, scope)[1]]
        return diagnostics

    def provisioners(self, resource: Resource, instance: ModuleInstance, repetition: Repetition | None) -> Diagnostics:
        diagnostics: Diagnostics = []
        for provisioner in resource.provisioners:
            schema = SCHEMAS[provisioner.type]
            value, more = self.decode(schema, provisioner.body, instance, repetition, self_of=resource)
            diagnostics += more
            if not has_errors(more):
                diagnostics += RULES[provisioner.type](value)
            for connection in (provisioner.connection, resource.connection):
                if connection is not None:
                    diagnostics += self.decode(CONNECTION, connection.body, instance, repetition, self_of=resource)[1]
                    break
            if has_errors(diagnostics):
                return diagnostics
        return diagnostics

    def ignored(self, resource: Resource, block: Block) -> Diagnostics:
        """Names in `ignore_changes` must be there, and be arguments."""
        diagnostics: Diagnostics = []
        for written in resource.ignore_changes:
            first = nodes.Attr(written.root, written.start, written.root_end)
            diagnostics += block_steps(block, written, (first, *written.steps))
            attribute = block.attributes.get(written.root)
            if has_errors(diagnostics) or attribute is None or attribute.optional or not attribute.computed:
                continue
            diagnostics.append(
                warning(
                    "Redundant ignore_changes element",
                    "Adding an attribute name to ignore_changes tells Terraform to ignore future changes to the argument in configuration "
                    "after the object has been created, retaining the value originally configured.\n\nThe attribute "
                    f"{written.root} is decided by the provider alone and therefore there can be no configured value to compare with. Including "
                    "this attribute in ignore_changes has no effect. Remove the attribute from ignore_changes to quiet this warning.",
                    resource.type_range,
                )
            )
        return diagnostics


def _rule_references(rule: CheckRule) -> list[nodes.Traversal]:
    found = list(references(rule.condition))
    return found + list(references(rule.error_message)) if rule.error_message is not None else found


def _message_problems(rule: CheckRule, scope: Scope) -> Diagnostics:
    """What is wrong with an error message which may not be needed at all."""
    written = rule.error_message
    if written is None:
        return []
    value, diagnostics = evaluate(written, scope)
    if has_errors(diagnostics):
        return list(diagnostics)

    def refuse(detail: str, summary: str = "Invalid error message", severity: Severity = Severity.ERROR) -> Diagnostics:
        return [*diagnostics, Diagnostic(severity, summary, detail, written.range, values=explain(written, scope))]

    try:
        value = convert(value, STRING)
    except ConversionError as problem:
        return refuse(f"Unsuitable value for error message: {problem}.")
    if value.is_known and value.data is NULL:
        return refuse("Unsuitable value for error message: must not be null.")
    return list(diagnostics)


def _any_repetition(resource: Resource) -> Repetition | None:
    """`each` and `count` of no instance in particular."""
    if resource.count is not None:
        return Repetition(count=unknown(NUMBER))
    if resource.for_each is not None:
        return Repetition(each_key=unknown(STRING), each_value=DYNAMIC_UNKNOWN)
    return None


def unknown_type(plugins: Plugins, resource: Resource, source: str) -> Diagnostic:
    """A type that the provider doesn't have, with the nearest one that it has."""
    schema = plugins.schema(source)
    shown = display_source(source)
    hint = plugins.hint(resource.mode, resource.type)
    kind, summary, suggested = "resource type", "Invalid resource type", ""
    if resource.mode == MANAGED:
        suggested = suggestion(resource.type, schema.resources)
        if resource.type in schema.data_sources:
            suggested = (
                f'\n\nDid you intend to use the data source "{resource.type}"? If so, declare this using a "data" block '
                'instead of a "resource" block.'
            )
    elif resource.mode == DATA:
        kind, summary = "data source", "Invalid data source"
        suggested = suggestion(resource.type, schema.data_sources)
        if resource.type in schema.resources:
            suggested = (
                f'\n\nDid you intend to use the managed resource type "{resource.type}"? If so, declare this using a '
                '"resource" block instead of a "data" block.'
            )
    else:
        kind, summary = "ephemeral resource", "Invalid ephemeral resource"
    detail = f'The provider {shown} does not support {kind} "{resource.type}".{suggested}'
    return error(summary, f"{detail} {hint}" if hint else detail, resource.type_range)


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


def validate(session: Session) -> Diagnostics:
    """What is wrong with a configuration, found without state."""
    from terrarium.engine.validate_modules import module_problems

    missing = [missing_provider(s) for s in _sources(session) if s not in session.plugins]
    if missing:
        return missing
    diagnostics = module_problems(session)
    diagnostics += missing_passed(session.root) if not has_errors(diagnostics) else []
    if has_errors(diagnostics):
        return diagnostics
    builder = Builder(session.root, session.plugins)
    graph = builder.build()
    diagnostics += provider_problems(session, builder)
    if has_errors(diagnostics):
        return diagnostics
    if missing := missing_provisioners(session.root):
        return [*diagnostics, *missing]
    cycles = cycle_problems(session.root, graph)
    if cycles:
        return [*diagnostics, *cycles]
    walk = ValidateWalk(session)
    walk.resource_configs = builder.providers
    skipped: set[Node] = set()
    for node in graph.order():
        if graph.after[node] & skipped or not walk.visit(node):
            skipped.add(node)
    if not has_errors(walk.diagnostics):
        walk.say(import_problems(walk.root, walk.evaluator))
    return [*diagnostics, *(_unknown_function(d, session.root) for d in walk.diagnostics)]


def _unknown_function(diagnostic: Diagnostic, root: ModuleNode) -> Diagnostic:
    """A call to a function which a provider that the module requires doesn't have."""
    at = diagnostic.subject
    if diagnostic.summary != "Unknown provider function" or at is None:
        return diagnostic
    module = next((node.module for node in root.walk() if at.filename in node.module.sources), None)
    if module is None:
        return diagnostic
    _, *words = utf8(module.sources[at.filename].text)[at.start.byte : at.end.byte].decode().split("::")
    if len(words) != 2 or words[0] not in module.required:
        return diagnostic
    return replace(diagnostic, detail=f'The function "{words[1]}" is not available from the provider "{words[0]}".')


def cycle_problems(root: ModuleNode, graph: Graph[Node]) -> Diagnostics:
    """The cycles of the graph. A variable is in one by its value or by its validation; Terraform names which."""

    def shown(node: Node, group: set[Node]) -> str:
        module = root.find(node.path)
        if node.kind == "var" and module is not None and module.module.variables[node.name].validations:
            passed = module.call.body.attributes.get(node.name) if module.call is not None else None
            if (
                passed is None
                or module.parent is None
                or not group & waits_for(module.parent, references(passed.expression))
            ):
                return str(node).replace("(expand)", "(validation)")
        return str(node)

    return [
        error("Cycle: " + ", ".join(shown(node, set(group)) for node in group))
        for group in graph.cycles()
        if len(group) > 1
    ]


def _sources(session: Session) -> list[str]:
    from terrarium.engine.dependencies import requirements

    return list(requirements(session.root))
