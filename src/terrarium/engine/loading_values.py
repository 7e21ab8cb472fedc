"""Reads `variable`, `locals` and `output` blocks."""

from __future__ import annotations

from terrarium.base.diagnostics import error
from terrarium.engine import static
from terrarium.engine.configuration import CheckRule, Local, Output, Variable
from terrarium.engine.loading_reader import NAME_DETAIL, Loader, attributes, blocks, read_check_rule
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema
from terrarium.language.types import DYNAMIC, List, Map
from terrarium.language.values import NULL

_OLD_TYPES = {
    "string": "",
    "list": " and write list(string) instead to explicitly indicate that the list elements are strings",
    "map": " and write map(string) instead to explicitly indicate that the map elements are strings",
}
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


def read_variable(loader: Loader, block: nodes.Block) -> None:
    from terrarium.language.type_expressions import apply_defaults, parse_type

    name = loader.name_of(block, "variable")
    variable = Variable(name, block.header_range)
    found = loader.content(block.body, _VARIABLE)
    at = found.attributes
    if name in ("source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"):
        loader.say(
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
            loader.say(
                error(
                    "Invalid quoted type constraints",
                    "Terraform 0.11 and earlier required type constraints to be given in quotes, but that form is now deprecated and will be "
                    f'removed in a future version of Terraform. Remove the quotes around "{quoted}"{_OLD_TYPES[quoted]}.',
                    at["type"].expression.range,
                )
            )
        elif quoted is not None and not static.is_json(at["type"].expression):
            loader.say(
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
            loader.extend(diagnostics)
    if "description" in at:
        variable.description = loader.text(at["description"].expression)
    for flag in ("sensitive", "ephemeral", "nullable"):
        if flag in at:
            setattr(variable, flag, loader.boolean(at[flag].expression))
    if "default" in at:
        expression = at["default"].expression
        variable.default_expression = expression
        value, diagnostics = static.constant(expression)
        loader.extend(diagnostics)
        if value is not None:
            variable.default = value
            if typed or not loader.override:
                variable.default = _default_value(loader, variable, value, expression, apply_defaults)
    for inner in found.blocks:
        rule = read_check_rule(loader, inner, "validation", loader.override)
        if rule is not None:
            _check_validation(loader, name, rule)
            variable.validations.append(rule)
    if not loader.override:
        if name in loader.module.variables:
            loader.duplicate(
                "variable declaration",
                f'A variable named "{name}" was already declared at {{}}. Variable names must be unique within a module.',
                loader.module.variables[name].range,
                block.header_range,
            )
            return
        loader.module.variables[name] = variable
        return
    base = loader.module.variables.get(name)
    if base is None:
        loader.missing_base("variable declaration", "variable", name, block.header_range)
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
        base.default = _default_value(loader, base, base.default, base.default_expression, apply_defaults)


def _default_value(loader: Loader, variable: Variable, value, expression: nodes.Expression, apply_defaults):  # type: ignore[no-untyped-def]
    from terrarium.language.convert import ConversionError, convert, format_path

    if value.data is NULL and not variable.is_nullable:
        loader.say(
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
        where = format_path(problem.path)
        text = f"{where}: {problem.message}" if where else problem.message
        loader.say(
            error(
                "Invalid default value for variable",
                f"This default value is not compatible with the variable's type constraint: {text}.",
                expression.range,
            )
        )
        return value


def _check_validation(loader: Loader, name: str, rule: CheckRule) -> None:
    from terrarium.language.references import references

    found = references(rule.condition)
    if not any(r.root == "var" and r.steps and getattr(r.steps[0], "name", "") == name for r in found):
        loader.say(
            error(
                "Invalid variable validation condition",
                f'The condition for variable "{name}" must refer to var.{name} in order to test incoming values.',
                rule.condition.range,
            )
        )


def read_locals(loader: Loader, block: nodes.Block) -> None:
    if block.labels:
        return
    for name, attribute in loader.just_attributes(block.body).items():
        if not static.valid_name(name):
            loader.say(error("Invalid local value name", NAME_DETAIL, attribute.name_range))
        local = Local(name, attribute.expression, attribute.range)
        known = loader.module.locals.get(name)
        if loader.override:
            if known is None:
                loader.say(
                    error(
                        "Missing base local value definition to override",
                        f'There is no local value named "{name}". An override file can only override a local value that was already defined in a primary configuration file.',
                        attribute.range,
                    )
                )
            loader.module.locals[name] = local
        elif known is not None:
            loader.duplicate(
                "local value definition",
                f'A local value named "{name}" was already defined at {{}}. Local value names must be unique within a module.',
                known.range,
                attribute.range,
            )
        else:
            loader.module.locals[name] = local


def read_output(loader: Loader, block: nodes.Block) -> None:
    name = loader.name_of(block, "output")
    output = Output(name, block.header_range)
    found = loader.content(block.body, _OUTPUT_OVERRIDE if loader.override else _OUTPUT)
    at = found.attributes
    if "value" in at:
        output.expression = at["value"].expression
    if "description" in at:
        output.description = loader.text(at["description"].expression)
    for flag in ("sensitive", "ephemeral"):
        if flag in at:
            setattr(output, flag, loader.boolean(at[flag].expression))
    if "depends_on" in at:
        output.depends_on = loader.references(at["depends_on"].expression)
    for inner in found.blocks:
        if inner.type == "postcondition":
            loader.say(
                error(
                    "Postconditions are not allowed",
                    "Output values can only have preconditions, not postconditions.",
                    inner.type_range,
                )
            )
            continue
        rule = read_check_rule(loader, inner, "precondition", loader.override)
        if rule is not None:
            output.preconditions.append(rule)
    known = loader.module.outputs.get(name)
    if not loader.override:
        if known is not None:
            loader.duplicate(
                "output definition",
                f'An output named "{name}" was already defined at {{}}. Output names must be unique within a module.',
                known.range,
                block.header_range,
            )
            return
        loader.module.outputs[name] = output
    elif known is None:
        loader.missing_base("output definition", "output", name, block.header_range)
    else:
        for member in ("expression", "description", "sensitive", "ephemeral"):
            if getattr(output, member) is not None:
                setattr(known, member, getattr(output, member))
        if output.depends_on:
            loader.say(
                error("Unsupported override", 'The "depends_on" argument may not be overridden.', block.header_range)
            )
