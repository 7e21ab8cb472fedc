"""What planning, applying and validating have in common: a walk over the configuration's graph that gives every
variable, local, output, module call and provider its value. What happens to resources is the subclasses' affair.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.base.source import Range
from terrarium.engine.addresses import (
    Instance,
    ModuleInstance,
    ProviderConfig,
    key_text,
    module_text,
    path_of,
    path_text,
)
from terrarium.engine.checks import FAIL, PASS, Checks, evaluate_in, evaluate_rule, originating
from terrarium.engine.config_graph import Node, provider_block_names
from terrarium.engine.configuration import CheckRule, ModuleNode, Output, Resource, Variable
from terrarium.engine.ephemeral import Ephemerals
from terrarium.engine.evaluation import SINGLE, Evaluator, Keys, Repetition, Values
from terrarium.engine.events import Events
from terrarium.engine.expansion import UNKNOWN_KEYS, expand
from terrarium.engine.objchange import all_null
from terrarium.engine.plugins import MissingProvider, Plugins
from terrarium.engine.provider import Provider
from terrarium.engine.references import Reference
from terrarium.engine.validate_references import Place, ReferenceRules
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert, format_path
from terrarium.language.scope import Scope
from terrarium.language.types import DYNAMIC
from terrarium.language.values import DYNAMIC_UNKNOWN, EPHEMERAL, NULL, SENSITIVE, Value, null, object_of, unknown

Diagnostics = list[Diagnostic]
FROM_PROVIDER = "provider"
"""What `extra` of a diagnostic says that a provider gave."""


@dataclass(slots=True)
class Session:
    """The inputs of an operation. `variables` are the final values of the root module's variables."""

    root: ModuleNode
    plugins: Plugins
    variables: Mapping[str, Value] = field(default_factory=dict)
    workspace: str = "default"
    working_folder: Path = field(default_factory=Path.cwd)
    parallelism: int = 10
    events: Events = field(default_factory=Events)
    functions: Mapping[str, Any] = field(default_factory=dict)
    stopped: Callable[[], bool] = lambda: False
    misfits: Mapping[str, Diagnostics] = field(default_factory=dict)
    """What is wrong with the values that were given for root variables."""
    values: Values | None = None
    """Where the walk puts what it finds out, for whoever wants to look at it afterwards."""
    mock: Callable[[ProviderConfig], Provider | None] = lambda config: None
    """What stands in the place of a configured provider, if anything (tests)."""
    stand_in: Callable[[Instance, Provider], Provider] = lambda address, provider: provider
    """The provider that one object is really asked of (overrides of tests)."""
    known: Callable[[Reference], Value | None] = lambda reference: None
    """Objects that only this operation knows (`run` in tests)."""


_SENSITIVE_OUTPUT = (
    "To reduce the risk of accidentally exporting sensitive data that was intended to be only internal, Terraform "
    "requires that any root module output containing sensitive data be explicitly marked as sensitive, to confirm your "
    "intent.\n\nIf you do intend to export this data, annotate the output value as sensitive by adding the following "
    "argument:\n    sensitive = true"
)


class Walk(ABC):
    """One pass over the graph. Diagnostics gather in `diagnostics`; a visit that made errors returns false."""

    allow_unknown_keys = False
    applying = False
    lenient = False
    """Whether conditions that don't hold are only warned of."""
    checking = True
    """Whether outputs' conditions and `check` blocks are looked at at all."""

    def __init__(self, session: Session, values: Values | None = None) -> None:
        self.session = session
        self.root = session.root
        self.plugins = session.plugins
        self.values = values or session.values or Values()
        self.evaluator = Evaluator(
            session.root,
            self.values,
            session.functions,
            session.workspace,
            session.working_folder,
            self.applying,
            session.plugins,
            session.known,
        )
        self.checks = Checks()
        self.ephemerals = Ephemerals(self)
        self.diagnostics: Diagnostics = []
        self.providers: dict[ProviderConfig, Provider] = {}
        self._lock = threading.Lock()
        self._body_references: dict[int, tuple[nodes.Body, list[Reference]]] = {}
        self._visits: dict[str, Callable[[Node], Diagnostics]] = {
            "var": self.visit_variable,
            "local": self.visit_local,
            "output": self.visit_output,
            "call": self.visit_call,
            "close": lambda node: [],
            "provider": self.visit_provider,
            "resource": self.visit_resource,
            "check": self.visit_check,
        }

    # --- the walk ----------------------------------------------------------------------------------------------

    def visit(self, node: Node) -> bool:
        return self.say(self._visits[node.kind](node))

    def say(self, diagnostics: Sequence[Diagnostic]) -> bool:
        """Keeps diagnostics; true when there is no error among them."""
        if not diagnostics:
            return True
        with self._lock:
            self.diagnostics.extend(diagnostics)
        return not has_errors(diagnostics)

    def module(self, node: Node) -> ModuleNode:
        module = self.root.find(node.path)
        assert module is not None
        return module

    # --- named values ------------------------------------------------------------------------------------------

    def visit_variable(self, node: Node) -> Diagnostics:
        module = self.module(node)
        variable = module.module.variables[node.name]
        diagnostics: Diagnostics = []
        wrong = self.session.misfits.get(node.name) if not node.path else None
        if wrong:
            self.values.variables.setdefault((), {})[node.name] = unknown(variable.type)
            return list(wrong)
        for instance in self.values.instances_of(node.path):
            diagnostics += self.one_variable(module, variable, instance)
        return diagnostics

    def one_variable(self, module: ModuleNode, variable: Variable, instance: ModuleInstance) -> Diagnostics:
        diagnostics: Diagnostics = []
        written: nodes.Expression | None = None
        if module.call is None:
            value = self.session.variables.get(variable.name, DYNAMIC_UNKNOWN)
        else:
            attribute = self.call_attributes(module).get(variable.name)
            if attribute is not None:
                written = attribute.expression
                parent = instance[:-1]
                repetition = self.call_repetition(instance)
                diagnostics = self.outside_repetition(module, written, repetition)
                if has_errors(diagnostics):
                    value = unknown(variable.type)
                else:
                    value, diagnostics = self.evaluator.evaluate(written, parent, repetition)
                if not has_errors(diagnostics):
                    name = f"{module_text(instance)}.var.{variable.name}"
                    value, more = converted_variable(variable, value, name, written)
                    diagnostics += more
            else:
                value = variable.default if variable.default is not None else unknown(variable.type)
        value = marked_variable(variable, value)
        self.values.variables.setdefault(instance, {})[variable.name] = value
        if not has_errors(diagnostics):
            diagnostics += self.validations(variable, instance, written)
        return diagnostics

    def outside_repetition(
        self, module: ModuleNode, written: nodes.Expression, repetition: Repetition | None
    ) -> Diagnostics:
        """What is wrong with `count` and `each` in an argument of a call that doesn't have them."""
        place = Place(
            repetition is not None and repetition.count is not None,
            repetition is not None and repetition.each_key is not None,
        )
        rules = ReferenceRules(self.plugins)
        found = (
            rules.lookup(module, r, place) for r in self.evaluator.references(written) if r.kind in ("count", "each")
        )
        return [problem for problem in found if problem is not None]

    def call_attributes(self, module: ModuleNode) -> Mapping[str, nodes.Attribute]:
        assert module.call is not None
        from terrarium.language.bodies import just_attributes

        return just_attributes(module.call.body)[0]

    def call_repetition(self, instance: ModuleInstance) -> Repetition | None:
        name, key = instance[-1]
        return self.values.calls.get(instance[:-1], {}).get(name, SINGLE).repetition(key)

    def validations(
        self, variable: Variable, instance: ModuleInstance, written: nodes.Expression | None
    ) -> Diagnostics:
        diagnostics: Diagnostics = []
        address = (module_text(instance) + "." if instance else "") + f"var.{variable.name}"
        path = path_text(path_of(instance))
        config = (f"{path}." if path else "") + f"var.{variable.name}"
        for index, rule in enumerate(variable.validations):
            found = list(self.evaluator.references(rule.condition))
            if rule.error_message is not None:
                found += self.evaluator.references(rule.error_message)
            scope = self.evaluator.scope(instance, found)
            status, message, more = evaluate_in(scope, rule, "validation")
            self.checks.report("var", config, address, ("validation", index), status, message)
            subject = written.range if written is not None else variable.range
            more = [self.validation_failed(d, subject, rule) if d.extra == "check" else d for d in more]
            diagnostics += originating(more, "var", config, address)
        return diagnostics

    def validation_failed(self, diagnostic: Diagnostic, subject: Range, rule: CheckRule) -> Diagnostic:
        detail = f"{diagnostic.detail}\n\nThis was checked by the validation rule at {rule.range}."
        return replace(diagnostic, subject=subject, detail=detail)

    def visit_local(self, node: Node) -> Diagnostics:
        local = self.module(node).module.locals[node.name]
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            value, more = self.evaluator.evaluate(local.expression, instance)
            diagnostics += more
            self.values.locals.setdefault(instance, {})[node.name] = value
        return diagnostics

    def visit_call(self, node: Node) -> Diagnostics:
        call = self.module(node).module.calls[node.name]
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            keys, more = expand(self.evaluator, instance, call, self.allow_unknown_keys)
            diagnostics += more
            if has_errors(more) and self.allow_unknown_keys:
                keys = UNKNOWN_KEYS
            self.values.calls.setdefault(instance, {})[node.name] = keys
        return diagnostics

    def visit_output(self, node: Node) -> Diagnostics:
        output = self.module(node).module.outputs[node.name]
        diagnostics: Diagnostics = []
        for instance in self.values.instances_of(node.path):
            diagnostics += self.one_output(output, instance)
        return diagnostics

    def one_output(self, output: Output, instance: ModuleInstance) -> Diagnostics:
        prefix = module_text(instance)
        address = (f"{prefix}." if prefix else "") + f"output.{output.name}"
        path = path_text(path_of(instance))
        config = (f"{path}." if path else "") + f"output.{output.name}"
        diagnostics: Diagnostics = []
        for index, rule in enumerate(output.preconditions if self.checking else ()):
            severity = Severity.WARNING if self.lenient else Severity.ERROR
            status, message, more = evaluate_rule(
                self.evaluator, instance, rule, "output precondition", severity=severity
            )
            self.checks.report("output_value", config, address, ("precondition", index), status, message)
            diagnostics += originating(more, "output_value", config, address)
        if has_errors(diagnostics):
            return diagnostics
        if output.expression is None:
            return diagnostics
        value, more = self.evaluator.evaluate(output.expression, instance)
        diagnostics += more
        if not has_errors(more):
            deep = value.marks_deep
            if not instance and SENSITIVE in deep and not output.sensitive:
                diagnostics.append(error("Output refers to sensitive values", _SENSITIVE_OUTPUT, output.range))
            elif EPHEMERAL in deep and not (output.ephemeral and instance):
                diagnostics.append(
                    error(
                        "Ephemeral value not allowed",
                        "This output value is not declared as returning an ephemeral value, so it cannot be set to a "
                        "result derived from an ephemeral value.",
                        output.expression.range,
                    )
                )
            if output.sensitive:
                value = value.marked(SENSITIVE)
            if output.ephemeral and instance:
                value = value.marked(EPHEMERAL)
        if has_errors(diagnostics):
            return diagnostics
        self.values.outputs.setdefault(instance, {})[output.name] = value
        return diagnostics

    # --- providers ---------------------------------------------------------------------------------------------

    def visit_provider(self, node: Node) -> Diagnostics:
        config = ProviderConfig(node.path, node.type, node.name)
        if config in self.providers:
            return []
        try:
            provider, diagnostics = self.configured(config)
        except MissingProvider as missing:
            return [missing_provider(missing.source)]
        self.providers[config] = provider
        return diagnostics

    def provider_value(self, config: ProviderConfig) -> tuple[Value, nodes.Body | None, Diagnostics]:
        """The value of a provider's block (all null when there is none), and the body it came from."""
        schema = self.plugins.schema(config.source).provider.block
        module = self.root.find(config.path)
        names = list(provider_block_names(module, config.source, config.alias)) if module is not None else []
        if module is None or not names:
            return all_null(schema), None, []
        body = module.module.providers[names[0]].body
        instances = self.values.instances_of(config.path)
        instance = instances[0] if instances else ()
        value, diagnostics = self.decode(schema, body, instance)
        return value, body, diagnostics

    def configured(self, config: ProviderConfig) -> tuple[Provider, Diagnostics]:
        mocked = self.session.mock(config)
        if mocked is not None:
            return mocked, []
        value, body, diagnostics = self.provider_value(config)
        provider = self.plugins.create(config.source)
        if has_errors(diagnostics):
            return provider, diagnostics
        plain = value.unmarked_deep()
        said = list(provider.validate_provider(plain))
        if not has_errors(said):
            said += provider.configure(plain)
        return provider, diagnostics + [located(d, body, str(config)) for d in said]

    def decode(
        self,
        schema: Any,
        body: nodes.Body,
        instance: ModuleInstance,
        repetition: Repetition | None = None,
        self_value: Value | None = None,
    ) -> tuple[Value, Diagnostics]:
        """A body's value by a schema, in a module instance."""
        scope = self.body_scope(schema, body, instance, repetition, self_value)
        return self.plugins.decoder.decode(schema, body, scope)

    def body_scope(
        self,
        schema: Any,
        body: nodes.Body,
        instance: ModuleInstance,
        repetition: Repetition | None = None,
        self_value: Value | None = None,
    ) -> Scope:
        references = self.body_references(schema, body)
        return self.evaluator.scope(instance, references, repetition, self_value)

    def body_references(self, schema: Any, body: nodes.Body) -> list[Any]:
        from terrarium.engine.decode import schema_references
        from terrarium.engine.loading_resource import body_references
        from terrarium.engine.references import parse

        known = self._body_references.get(id(body))
        if known is not None:
            return known[1]
        if body.source.filename.endswith(".json"):
            found = schema_references(schema, body, self.plugins.decoder)
        else:
            found = body_references(body)
        parsed = [r for r in map(parse, found) if isinstance(r, Reference)]
        self._body_references[id(body)] = body, parsed
        return parsed

    # --- resources and checks ----------------------------------------------------------------------------------

    @abstractmethod
    def visit_resource(self, node: Node) -> Diagnostics:
        """Plans, validates or applies a resource: what the walks differ in."""

    def visit_check(self, node: Node) -> Diagnostics:
        check = self.module(node).module.checks[node.name]
        diagnostics: Diagnostics = []
        if not self.checking:
            return diagnostics
        for instance in self.values.instances_of(node.path):
            prefix = module_text(instance)
            address = (f"{prefix}." if prefix else "") + f"check.{check.name}"
            path = path_text(node.path)
            config = (f"{path}." if path else "") + f"check.{check.name}"
            self.checks.expect_object("check", config, address)
            if self.checks.failed("check", config, address):
                continue  # its data source could not be read: the assertions would only repeat that
            for index, rule in enumerate(check.asserts):
                status, message, more = evaluate_rule(
                    self.evaluator, instance, rule, "assert", severity=Severity.WARNING
                )
                self.checks.report("check", config, address, ("assert", index), status, message)
                diagnostics += originating(more, "check", config, address)
        return diagnostics

    def report_nested(self, resource: Resource, address: Instance, failed: bool, said: Sequence[Diagnostic]) -> None:
        """Notes how reading the data source of a `check` block went."""
        prefix, path = module_text(address.module), path_text(path_of(address.module))
        check = f"check.{resource.check}"
        message = ": ".join(t for t in (said[0].summary, said[0].detail) if t) if said else ""
        self.checks.report(
            "check",
            f"{path}.{check}" if path else check,
            f"{prefix}.{check}" if prefix else check,
            ("data", 0),
            FAIL if failed else PASS,
            message,
        )


def missing_provider(source: str) -> Diagnostic:
    return error(
        "Missing required provider",
        f"This configuration requires provider {source}, but that provider isn't available. You may be able to install it "
        "automatically by running:\n  terraform init",
    )


def marked_variable(variable: Variable, value: Value) -> Value:
    if variable.sensitive:
        value = value.marked(SENSITIVE)
    if variable.ephemeral:
        value = value.marked(EPHEMERAL)
    return value


def typed_variable(variable: Variable, value: Value) -> Value:
    """The value in the variable's type, with its default when it is null and may not be. ConversionError."""
    from terrarium.language.type_expressions import apply_defaults

    if value.data is NULL and not variable.is_nullable and variable.default is not None:
        return variable.default.with_marks(value.marks)
    if variable.defaults is not None and value.data is not NULL:
        value = apply_defaults(value, variable.defaults)
    return convert(value, variable.type)


def converted_variable(
    variable: Variable, value: Value, name: str, written: nodes.Expression
) -> tuple[Value, Diagnostics]:
    """What a module call passes, as the variable wants it."""
    try:
        value = typed_variable(variable, value)
    except ConversionError as problem:
        where = format_path(problem.path)
        text = f"{where}: {problem.message}" if where else problem.message
        return unknown(variable.type), [
            error(
                "Invalid value for input variable",
                f"The given value is not suitable for {name} declared at {variable.range}: {text}.",
                written.range,
            )
        ]
    if value.data is NULL and not variable.is_nullable:
        return unknown(variable.type), [
            error(
                "Required variable not set",
                f"The given value is not suitable for {name} defined at {variable.range}: required variable may not be "
                "set to null.",
                written.range,
            )
        ]
    return value, []


def located(diagnostic: Diagnostic, body: nodes.Body | None, address: str, default: Range | None = None) -> Diagnostic:
    """A provider's diagnostic with the place in the configuration that its attribute path means."""
    diagnostic = replace(diagnostic, address=diagnostic.address or address, extra=diagnostic.extra or FROM_PROVIDER)
    if diagnostic.subject is not None or body is None:
        return diagnostic
    subject = default or body.missing_item_range
    if diagnostic.attribute:
        subject = _place(body, diagnostic.attribute) or subject
    return diagnostic.at(subject)


def _place(body: nodes.Body, path: Sequence[object]) -> Range | None:
    name, *rest = path
    if not isinstance(name, str):
        return None
    attribute = body.attributes.get(name)
    if attribute is not None:
        expression = attribute.expression
        for step in rest:
            inner = _inside(expression, step)
            if inner is None:
                break
            expression = inner
        return expression.range
    found = [b for b in body.blocks if b.type == name]
    if not found:
        return None
    index = rest[0] if rest and isinstance(rest[0], int) else 0
    rest = rest[1:] if rest and not isinstance(rest[0], str) else rest
    block = found[index] if index < len(found) else found[0]
    if rest and (place := _place(block.body, rest)) is not None:
        return place
    return block.body.missing_item_range


def _inside(expression: nodes.Expression, step: object) -> nodes.Expression | None:
    if isinstance(expression, nodes.ObjectExpression) and isinstance(step, str):
        return next((v for k, v in expression.items if k.text.strip('"') == step), None)
    if isinstance(expression, nodes.TupleExpression) and isinstance(step, int) and step < len(expression.items):
        return expression.items[step]
    return None


def object_id(value: Value) -> str:
    """The `id` of an object as progress lines show it, "" when it has none or may not be shown."""
    if value.is_null or not value.is_known or not isinstance(value.data, dict):
        return ""
    id = value.data.get("id")
    if id is None or not isinstance(id.data, str) or SENSITIVE in id.marks:
        return ""
    return id.data


__all__ = ["DYNAMIC", "Instance", "Keys", "Session", "Walk", "key_text", "located", "null", "object_id", "object_of"]
