"""Reads `variable`, `locals` and `output` blocks."""

from __future__ import annotations

from terrarium.base.diagnostics import error
from terrarium.engine import static
from terrarium.engine.configuration import CheckRule, Local, Output, Variable
from terrarium.engine.loading_reader import NAME_DETAIL, Loader, attributes, blocks, read_check_rule
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema
from terrarium.language.types import DYNAMIC, List, Map
from terrarium.language.values import NULL, Value

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


_RESERVED = frozenset({"source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"})


def read_variable(loader: Loader, block: nodes.Block) -> None:
    name = loader.name_of(block, "variable")
    variable = Variable(name, block.header_range)
    found = loader.content(block.body, _VARIABLE)
    at = found.attributes
    if name in _RESERVED:
        loader.say(
            error(
                "Invalid variable name",
                f'The variable name "{name}" is reserved due to its special meaning inside module blocks.',
                block.label_range(0),
            )
        )
    if "type" in at:
        _read_type(loader, variable, at["type"].expression)
    if "description" in at:
        variable.description = loader.text(at["description"].expression)
    for flag in ("sensitive", "ephemeral", "nullable"):
        if flag in at:
            setattr(variable, flag, loader.boolean(at[flag].expression))
    if "default" in at:
        _read_default(loader, variable, at["default"].expression)
    for inner in found.blocks:
        rule = read_check_rule(loader, inner, "validation", loader.override)
        if rule is not None:
            _check_validation(loader, name, rule)
            variable.validations.append(rule)
    known = loader.module.variables.get(name)
    if loader.override:
        if known is None:
            loader.missing_base("variable declaration", "variable", name, block.header_range)
        else:
            _override(loader, known, variable)
    elif known is not None:
        loader.duplicate(
            "variable declaration",
            f'A variable named "{name}" was already declared at {{}}. Variable names must be unique within a module.',
            known.range,
            block.header_range,
        )
    else:
        loader.module.variables[name] = variable


def _read_type(loader: Loader, variable: Variable, expression: nodes.Expression) -> None:
    from terrarium.language.type_expressions import parse_type

    variable.type_expression = expression
    quoted = None if static.is_json(expression) else static.constant_string(expression)
    if quoted in _OLD_TYPES:
        loader.say(
            error(
                "Invalid quoted type constraints",
                "Terraform 0.11 and earlier required type constraints to be given in quotes, but that form is now deprecated "
                f'and will be removed in a future version of Terraform. Remove the quotes around "{quoted}"'
                f"{_OLD_TYPES[quoted]}.",
                expression.range,
            )
        )
    elif quoted is not None:
        loader.say(
            error(
                "Invalid legacy variable type hint",
                "To provide a full type expression, remove the surrounding quotes and give the type expression directly.",
                expression.range,
            )
        )
    elif isinstance(expression, nodes.Traversal) and not expression.steps and expression.root in ("list", "map"):
        # The bare words of old configurations.
        variable.type = List(DYNAMIC) if expression.root == "list" else Map(DYNAMIC)
    else:
        variable.type, variable.defaults, diagnostics = parse_type(static.unquoted_json(expression))
        loader.extend(diagnostics)


def _read_default(loader: Loader, variable: Variable, expression: nodes.Expression) -> None:
    variable.default_expression = expression
    value, diagnostics = static.constant(expression)
    loader.extend(diagnostics)
    if value is None:
        return
    variable.default = value
    if variable.type_expression is None and loader.override:
        return  # the type is that of the variable which is overridden
    if value.data is NULL and not variable.is_nullable:
        loader.say(error(_BAD_DEFAULT, _NULL_DEFAULT, expression.range))
        return
    variable.default, problem = _fitted(variable, value)
    if problem:
        detail = f"This default value is not compatible with the variable's type constraint: {problem}."
        loader.say(error(_BAD_DEFAULT, detail, expression.range))


_BAD_DEFAULT = "Invalid default value for variable"
_NULL_DEFAULT = "A null default value is not valid when nullable=false."


def _fitted(variable: Variable, value: Value) -> tuple[Value, str]:
    """A default value in the variable's type, or what keeps it from that."""
    from terrarium.language.convert import ConversionError, convert, format_path
    from terrarium.language.type_expressions import apply_defaults

    try:
        if variable.defaults is not None and value.data is not NULL:
            value = apply_defaults(value, variable.defaults)
        return convert(value, variable.type), ""
    except ConversionError as problem:
        where = format_path(problem.path)
        return value, f"{where}: {problem.message}" if where else problem.message


def _override(loader: Loader, base: Variable, over: Variable) -> None:
    """Lays the variable of an override file over its base."""
    typed = over.type_expression is not None
    if typed:
        base.type, base.defaults, base.type_expression = over.type, over.defaults, over.type_expression
    for member in ("description", "sensitive", "ephemeral", "nullable"):
        if getattr(over, member) is not None:
            setattr(base, member, getattr(over, member))
    if over.default is not None:
        base.default, base.default_expression = over.default, over.default_expression
    if base.default is None:
        return
    if base.default.data is NULL and not base.is_nullable:
        loader.say(error(_BAD_DEFAULT, _NULL_DEFAULT, over.range))
        return
    base.default, problem = _fitted(base, base.default)
    if not problem:
        return
    if typed and over.default is None:
        detail = f"Overriding this variable's type constraint has made its default value invalid: {problem}."
    elif typed:
        detail = f"This variable's default value is not compatible with its type constraint: {problem}."
    else:
        detail = f"The overridden default value for this variable is not compatible with the variable's type constraint: {problem}."
    loader.say(error(_BAD_DEFAULT, detail, over.range))


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
        loader.keep_dependencies(output.depends_on)
