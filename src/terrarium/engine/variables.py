"""Values for the root module's variables: where they may come from, in the order in which they win.

`TF_VAR_…`, terraform.tfvars (.json), *.auto.tfvars (.json) by name, then `-var` and `-var-file` as given. A value given
as text is read by the variable's type: as it is for strings, as an expression for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors, warning
from terrarium.base.source import Range, Source
from terrarium.base.suggest import nearest
from terrarium.engine import static
from terrarium.engine.configuration import Module, Variable
from terrarium.engine.loading import parse_text
from terrarium.engine.walking import typed_variable
from terrarium.language import nodes
from terrarium.language.bodies import just_attributes
from terrarium.language.convert import ConversionError, format_path
from terrarium.language.evaluate import evaluate
from terrarium.language.scope import NOTHING_ALLOWED
from terrarium.language.text import nfc
from terrarium.language.types import DYNAMIC, Primitive
from terrarium.language.values import NULL, Value, null, string, unknown


@dataclass(frozen=True, slots=True)
class Given:
    """One value. `kind`: environment, file, auto, flag, prompt, plan. Either `text` or `expression` or `value` is set."""

    kind: str
    name: str
    origin: str
    text: str | None = None
    expression: nodes.Expression | None = None
    value: Value | None = None
    range: Range | None = None


@dataclass(slots=True)
class Gathered:
    given: dict[str, Given]
    diagnostics: list[Diagnostic]
    sources: dict[str, Source]


def gather(
    folder: Path, environment: Mapping[str, str], flags: Sequence[tuple[str, str]], declared: Mapping[str, Variable]
) -> Gathered:
    """All values that were given. `flags` are ("var", "name=value") and ("var-file", path) as written."""
    found = Gathered({}, [], {})
    for key in sorted(environment):
        if key.startswith("TF_VAR_"):
            name = key.removeprefix("TF_VAR_")
            found.given[name] = Given("environment", name, key, text=environment[key])
    for name in ("terraform.tfvars", "terraform.tfvars.json"):
        if (folder / name).is_file():
            _file(found, folder / name, name, "auto")
    autos = sorted(
        p.name for p in folder.iterdir() if p.name.endswith((".auto.tfvars", ".auto.tfvars.json")) and p.is_file()
    )
    for name in autos:
        _file(found, folder / name, name, "auto")
    for kind, text in flags:
        if kind == "var-file":
            _file(found, folder / text, text, "file")
            continue
        name, equals, value = text.partition("=")
        if not equals:
            found.diagnostics.append(
                error(
                    "Invalid -var option",
                    f'The given -var option "{text}" is not correctly specified. Must be a variable name and value separated '
                    'by an equals sign, like -var="key=value".',
                )
            )
            continue
        if name.endswith(" "):
            found.diagnostics.append(
                error(
                    "Invalid -var option",
                    f'Variable name "{name}" is invalid due to trailing space. Did you mean -var="{name.rstrip()}={value.lstrip()}"?',
                )
            )
            continue
        found.given[name] = Given("flag", name, text, text=value)
    return found


def _file(found: Gathered, path: Path, shown: str, kind: str) -> None:
    try:
        data = path.read_bytes()
    except OSError as problem:
        if isinstance(problem, FileNotFoundError):
            found.diagnostics.append(
                error("Failed to read variables file", f"Given variables file {shown} does not exist.")
            )
        else:
            found.diagnostics.append(
                error("Failed to read variables file", f"Error while reading {shown}: {problem.strerror}.")
            )
        return
    file, diagnostics = parse_text(data, shown)
    found.sources[shown] = file.source
    found.diagnostics += diagnostics
    if has_errors(diagnostics):
        return
    attributes, problems = just_attributes(file.body)
    for block in file.body.blocks:
        if block.type == "variable" and block.labels:
            name = block.labels[0].text
            found.diagnostics.append(
                error(
                    "Variable declaration in .tfvars file",
                    f'A .tfvars file is used to assign values to variables that have already been declared in .tf files, not to declare new variables. To declare variable "{name}", place this block in one of your .tf files, such as variables.tf.\n\nTo set a value for this variable in {shown}, use the definition syntax instead:\n    {name} = <value>',
                    block.type_range,
                )
            )
            return
    found.diagnostics += problems
    for name, attribute in attributes.items():
        found.given[name] = Given(kind, name, shown, expression=attribute.expression, range=attribute.range)


def settle(module: Module, gathered: Gathered, need_all: bool = True) -> tuple[dict[str, Value], list[Diagnostic]]:
    """The final values. With `need_all` false, missing ones are unknown (validate, destroy of nothing …)."""
    diagnostics = list(gathered.diagnostics)
    if has_errors(diagnostics):
        # What could not be read may well have held what is missing.
        return {
            name: unknown(v.type) if v.default is None else v.default for name, v in module.variables.items()
        }, diagnostics
    values: dict[str, Value] = {}
    undeclared: list[Given] = []
    for name, given in gathered.given.items():
        variable = module.variables.get(name)
        if variable is None:
            undeclared.append(given)
            continue
        value, problems = value_of(variable, given)
        diagnostics += problems
        values[name] = value if value is not None else unknown(variable.type)
        if value is None and given.expression is not None and variable.required and not _misfit(problems):
            diagnostics.append(not_set(variable))
    diagnostics += _undeclared(undeclared, module.variables)
    for name, variable in module.variables.items():
        if name in values:
            continue
        if variable.default is not None:
            values[name] = variable.default
        elif need_all:
            diagnostics.append(not_set(variable))
            values[name] = unknown(variable.type)
        else:
            values[name] = unknown(variable.type)
    return values, diagnostics


def _misfit(problems: Sequence[Diagnostic]) -> bool:
    return any(d.summary in ("Invalid value for input variable", "Required variable not set") for d in problems)


def not_set(variable: Variable) -> Diagnostic:
    return error(
        "No value for required variable",
        f'The root module input variable "{variable.name}" is not set, and has no default value. Use a -var or -var-file '
        "command line argument to provide a value for this variable.",
        variable.range,
    )


def raw(module: Module, gathered: Gathered, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values as they were given, before they were made to fit their types (plan JSON shows these)."""
    found = dict(values)
    for name, given in gathered.given.items():
        variable = module.variables.get(name)
        if variable is None:
            continue
        value = given.value
        if given.text is not None:
            value = string(nfc(given.text)) if _literal(variable) else _parsed(variable, given)[0]
        elif given.expression is not None:
            value = evaluate(given.expression, NOTHING_ALLOWED)[0]
        if value is not None:
            found[name] = value
    return found


def missing(module: Module, gathered: Gathered) -> list[str]:
    """The variables that have no value yet, in the order of their names."""
    return sorted(n for n, v in module.variables.items() if v.default is None and n not in gathered.given)


def _undeclared(given: Sequence[Given], variables: Mapping[str, Variable]) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    files = [g for g in given if g.kind in ("file", "auto")]
    for index, item in enumerate(files):
        if index == 2:
            diagnostics.append(
                warning(
                    "Values for undeclared variables",
                    "In addition to the other similar warnings shown, "
                    f"{len(files) - 2} other variable(s) defined without being declared.",
                )
            )
            break
        diagnostics.append(
            warning(
                "Value for undeclared variable",
                f'The root module does not declare a variable named "{item.name}" but a value was found in file "{item.origin}". '
                'If you meant to use this value, add a "variable" block to the configuration.\n\nTo silence these warnings, '
                'use TF_VAR_... environment variables to provide certain "global" settings to all configurations in your '
                "organization. To reduce the verbosity of these warnings, use the -compact-warnings option.",
            )
        )
    for item in given:
        if item.kind == "flag":
            near = nearest(item.name, variables)
            hint = f' Did you mean "{near}"?' if near else ""
            del hint
            diagnostics.append(
                error(
                    "Value for undeclared variable",
                    f'A variable named "{item.name}" was assigned on the command line, but the root module does not declare a '
                    'variable of that name. To use this value, add a "variable" block to the configuration.',
                )
            )
    return diagnostics


def _literal(variable: Variable) -> bool:
    """Whether text for the variable is taken as it is."""
    if variable.type_expression is None:
        return True
    return isinstance(variable.type, Primitive)


def value_of(variable: Variable, given: Given) -> tuple[Value | None, list[Diagnostic]]:
    """What was given, as the variable wants it; None when it does not fit."""
    diagnostics: list[Diagnostic] = []
    value = given.value
    subject = variable.range if given.expression is None else given.expression.range
    if given.text is not None:
        if _literal(variable):
            value = string(nfc(given.text))
        else:
            value, diagnostics = _parsed(variable, given)
    elif given.expression is not None:
        value, diagnostics = evaluate(given.expression, NOTHING_ALLOWED)
    if value is None or has_errors(diagnostics):
        return None, list(diagnostics)
    if value.data is NULL and given.text is None and not variable.is_nullable and variable.default is not None:
        return variable.default, list(diagnostics)
    try:
        value = typed_variable(variable, value)
    except ConversionError as problem:
        where = format_path(problem.path)
        text = f"{where}: {problem.message}" if where else problem.message
        return None, [
            *diagnostics,
            error("Invalid value for input variable", _unsuitable(variable, given, text), subject),
        ]
    if value.data is NULL and not variable.is_nullable:
        detail = _required(variable, given)
        return None, [*diagnostics, error("Required variable not set", detail, subject)]
    return value, list(diagnostics)


def _unsuitable(variable: Variable, given: Given, text: str) -> str:
    match given.kind:
        case "environment":
            return f'The environment variable TF_VAR_{variable.name} does not contain a suitable value for variable "{variable.name}" declared at {variable.range}: {text}.'
        case "flag":
            return f'Unsuitable value for var.{variable.name} set using -var="{variable.name}=...": {text}.'
        case "prompt":
            return f"Unsuitable value for var.{variable.name} set using an interactive prompt: {text}."
        case _:
            return f"The given value is not suitable for var.{variable.name} declared at {variable.range}: {text}."


def _required(variable: Variable, given: Given) -> str:
    match given.kind:
        case "flag":
            return f'Unsuitable value for var.{variable.name} set using -var="{variable.name}=...": required variable may not be set to null.'
        case _:
            return f"The given value is not suitable for var.{variable.name} defined at {variable.range}: required variable may not be set to null."


def _parsed(variable: Variable, given: Given) -> tuple[Value | None, list[Diagnostic]]:
    from terrarium.language import parser

    assert given.text is not None
    name = {
        "environment": f'<value for var.{variable.name} from environment variable "TF_VAR_{variable.name}">',
        "prompt": f"<value for var.{variable.name}>",
    }.get(given.kind, f"<value for var.{variable.name}>")
    expression, diagnostics = parser.parse_expression(given.text, name)
    if has_errors(diagnostics):
        return None, list(diagnostics)
    value, more = evaluate(expression, NOTHING_ALLOWED)
    return (None if has_errors(more) else value), [*diagnostics, *more]


__all__ = ["DYNAMIC", "Gathered", "Given", "Severity", "gather", "missing", "null", "settle", "static"]
