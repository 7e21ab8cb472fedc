"""`templatefile` and `templatestring`: a text rendered as a template, with variables and functions of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from terrarium.base.diagnostics import Diagnostic, Severity, has_errors
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.functions.files import Disk
from terrarium.language.functions.spec import ArgumentError, Closure, Diagnosed, Function, FunctionError, Parameter
from terrarium.language.text import quote
from terrarium.language.types import DYNAMIC, STRING, Map, Object, Type
from terrarium.language.values import NULL, UNREFINED, Unknown, Value

TEMPLATE_FUNCTIONS = frozenset({"templatefile", "templatestring"})
FILE_FUNCTIONS = frozenset({
    "file", "fileexists", "fileset", "filebase64", "filebase64sha256", "filebase64sha512", "filemd5", "filesha1",
    "filesha256", "filesha512", "templatefile",
})  # fmt: skip

Table = Callable[[], Mapping[str, Function]]


def sentence(diagnostics: Sequence[Diagnostic]) -> str:
    """The first mistake on one line: `t.tftpl:1,3-7: Summary; Detail`."""
    errors = [d for d in diagnostics if d.severity is Severity.ERROR]
    first = errors[0]
    text = f"{first.subject}: {first.summary}; {first.detail}" if first.subject else f"{first.summary}; {first.detail}"
    return text if len(errors) == 1 else f"{text}, and {len(errors) - 1} other diagnostic(s)"


def _forbidden(function: Function, message: str) -> Function:
    def returns(values: Sequence[Value]) -> Type:
        raise FunctionError(message)

    parameters = tuple(replace(p, allow_null=True, allow_dynamic=True) for p in function.parameters)

    def lazy(closures: Sequence[Closure]) -> Value:
        raise FunctionError(message)

    return replace(function, parameters=parameters, returns=returns, lazy=lazy if function.lazy else None)


class Inside(Mapping[str, Function]):
    """The functions a template may call: no template functions, and of files only when `files`."""

    __slots__ = ("_files", "_functions")

    def __init__(self, functions: Mapping[str, Function], files: bool) -> None:
        self._functions = functions
        self._files = files

    def __getitem__(self, name: str) -> Function:
        function = self._functions[name]
        plain_name = name.removeprefix("core::")
        if plain_name in TEMPLATE_FUNCTIONS:
            return _forbidden(function, f"cannot recursively call {plain_name} from inside another template function")
        if not self._files and plain_name in FILE_FUNCTIONS:
            return _forbidden(
                function,
                f"cannot use filesystem access functions like {plain_name} in templatestring templates; consider passing "
                "the function result as a template variable instead",
            )
        return function

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


def render(template: nodes.Expression, variables: Value, functions: Mapping[str, Function]) -> Value:
    """The template's value. `variables` is a known map or object."""
    from terrarium.language.evaluate import evaluate, references
    from terrarium.language.scope import Scope
    from terrarium.language.tokens import is_name

    if not isinstance(variables.type, Map | Object):
        raise ArgumentError(1, "invalid vars value: must be a map")
    for name in variables.data:
        if not is_name(name):
            message = (
                f"invalid template variable name {quote(name)}: must start with a letter, followed by zero or more letters, "
                "digits, and underscores"
            )
            raise ArgumentError(1, message)
    for traversal in references(template):
        if traversal.root not in variables.data:
            place = traversal.source.range(traversal.start, traversal.root_end)
            message = f"vars map does not contain key {quote(traversal.root)}, referenced at {place}"
            raise ArgumentError(1, message)
    value, diagnostics = evaluate(template, Scope(variables.data, functions))
    if has_errors(diagnostics):
        raise FunctionError(sentence(diagnostics))
    if value.data is NULL:
        message = "The result of the template is null, which is not a valid result for a templatestring call."
        raise FunctionError(f"{template.range}: Template result is null; {message}")
    return value


class Templates:
    """The two functions of one module; `table` gives all functions, among them these."""

    def __init__(self, disk: Disk, table: Table) -> None:
        self.disk = disk
        self.table = table

    def load(self, path: Value) -> nodes.Expression:
        from terrarium.language.parser import parse_template

        text = self.disk.text(path.data, path)
        template, diagnostics = parse_template(text, path.data)
        if has_errors(diagnostics):
            raise FunctionError(sentence(diagnostics))
        return template

    def rendered(self, values: Sequence[Value]) -> Value:
        path, variables = values
        return render(self.load(path), variables.unmarked_deep(), Inside(self.table(), files=True))

    def file(self, values: Sequence[Value], type: Type) -> Value:
        path, variables = values
        marks = path.marks | variables.marks_deep
        if isinstance(path.data, Unknown) or isinstance(variables.data, Unknown):
            return Value(type, UNREFINED, marks)
        return self.rendered(values).with_marks(marks)

    def string(self, closures: Sequence[Closure]) -> Value:
        closure, variables_closure = closures
        variables, found = variables_closure.evaluate()
        if has_errors(found):
            raise Diagnosed(found)
        if variables.data is NULL:
            raise ArgumentError(1, "argument must not be null")
        if variables.type == DYNAMIC:
            return Value(DYNAMIC, UNREFINED, variables.marks)
        _check_source(closure.node)
        template, diagnostics = closure.evaluate()
        if has_errors(diagnostics):
            raise ArgumentError(0, f"invalid template expression: {sentence(diagnostics)}")
        marks = template.marks | variables.marks_deep
        if isinstance(template.data, Unknown) or isinstance(variables.data, Unknown):
            return Value(STRING, Unknown(not_null=True), marks)
        if template.type != STRING or template.data is NULL:
            raise ArgumentError(0, "invalid template value: a string is required")
        return self.text(template.data, variables.unmarked_deep()).with_marks(marks)

    def text(self, template: str, variables: Value) -> Value:
        from terrarium.language.parser import parse_template

        expression, diagnostics = parse_template(template, "<templatestring argument>")
        if has_errors(diagnostics):
            raise ArgumentError(0, f"invalid template: {sentence(diagnostics)}")
        value = render(expression, variables, Inside(self.table(), files=False))
        try:
            return convert(value, STRING)
        except ConversionError as wrong:
            raise FunctionError(f"invalid template result: {wrong.message}") from None


_DYNAMICALLY = (
    "invalid template expression: templatestring is only for rendering templates retrieved dynamically from elsewhere"
)


def _check_source(node: nodes.Expression | None) -> None:
    """Only a reference to a template that comes from elsewhere makes sense."""
    if isinstance(node, nodes.TemplateWrap):
        raise ArgumentError(
            0,
            f"{_DYNAMICALLY}; to treat the inner expression as template syntax, write the reference expression directly "
            "without any template interpolation syntax",
        )
    if isinstance(node, nodes.Template):
        if len(node.parts) == 1 and isinstance(node.parts[0], nodes.Literal):
            raise ArgumentError(
                0,
                f"{_DYNAMICALLY}, and so does not support providing a literal template; consider using a template string "
                "expression instead",
            )
        raise ArgumentError(
            0, f"{_DYNAMICALLY}; to render an inline template, consider using a plain template string expression"
        )
    while not isinstance(node, nodes.Traversal):
        if isinstance(node, nodes.RelativeTraversal | nodes.Splat):
            node = node.of
        elif isinstance(node, nodes.IndexExpression):
            node = node.collection
        else:
            raise ArgumentError(
                0,
                "invalid template expression: must be a direct reference to a single string from elsewhere, containing valid "
                "Terraform template syntax",
            )


def template_functions(disk: Disk, table: Table) -> dict[str, Function]:
    templates = Templates(disk, table)
    return {
        "templatefile": Function(
            (
                Parameter("path", STRING, allow_unknown=True, allow_marked=True),
                Parameter("vars", DYNAMIC, allow_unknown=True, allow_marked=True),
            ),
            DYNAMIC,  # rendering finds the type
            templates.file,
            not_null=False,
        ),
        "templatestring": Function(
            (Parameter("template", STRING), Parameter("vars", DYNAMIC)),
            STRING,
            templates.file,
            lazy=templates.string,
        ),
    }
