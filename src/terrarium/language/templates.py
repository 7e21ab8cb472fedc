"""From the parts of a template to its tree: escapes, trimming, flush heredocs, and the pairing of directives.

The parser reads a template into a flat list of parts (literals, interpolations, directives). The functions here are
pure work on that list, in the order of HCL's rules: escapes are resolved and `~` trims while the parts are read, then
a flush heredoc (`<<-`) loses its indentation, then neighbouring literals fall together, and last the directives
are paired into `TemplateIf` and `TemplateFor`. The pairing keeps its own stack, so no depth of nesting can exhaust Python's.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Source, columns
from terrarium.language.nodes import Expression, Literal, Template, TemplateFor, TemplateIf
from terrarium.language.tokens import MAX_COMPLAINTS, SPACE
from terrarium.language.values import DYNAMIC_UNKNOWN, string

_ESCAPE = re.compile(
    r"\\(?:u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8}|[^uU])?|\$\$\{|%%\{",
    re.DOTALL,
)
_TEMPLATE_ESCAPE = re.compile(r"\$\$\{|%%\{")
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def unescape(source: Source, start: int, end: int, quoted: bool) -> tuple[str, list[Diagnostic]]:
    """The text which a literal token means. Backslashes mean something in quoted templates only."""
    raw = source.text[start:end]
    if not quoted:
        return (_TEMPLATE_ESCAPE.sub(lambda m: m[0][1:], raw) if "{" in raw else raw), []
    if "\\" not in raw and "{" not in raw:
        return raw, []
    diagnostics: list[Diagnostic] = []

    def one(match: re.Match[str]) -> str:
        text = match[0]
        if text[0] != "\\":
            return text[1:]
        selector = text[1:2]
        simple = _SIMPLE.get(selector)
        if simple is not None:
            return simple
        result = ""
        if not selector:
            detail = "Backslash must be followed by an escape sequence selector character."
        elif selector == "u" and len(text) != 6:
            detail = "The \\u escape sequence must be followed by four hexadecimal digits."
            result = text
        elif selector == "U" and len(text) != 10:
            detail = "The \\U escape sequence must be followed by eight hexadecimal digits."
            result = text
        elif selector in "uU":
            number = int(text[2:], 16)
            if number < 0xD800 or 0xE000 <= number <= 0x10FFFF:
                return chr(number)
            detail = f"Cannot encode character U+{number:04x} in UTF-8."
            result = text
        else:
            detail = f'The symbol "{selector}" is not a valid escape sequence selector.'
            result = selector
        if len(diagnostics) < MAX_COMPLAINTS:
            place = source.range(start + match.start(), start + match.end())
            diagnostics.append(error("Invalid escape sequence", detail, place))
        return result

    return _ESCAPE.sub(one, raw), diagnostics


def normal(text: str) -> str:
    """Strings of the language are NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@dataclass(slots=True)
class Text:
    """Plain text of a template. `value` still changes while the neighbours are read."""

    value: str
    start: int
    end: int


@dataclass(slots=True)
class Interpolation:
    expression: Expression
    start: int
    end: int


@dataclass(slots=True)
class If:
    condition: Expression
    start: int
    end: int


@dataclass(slots=True)
class For:
    key_name: str | None
    value_name: str
    collection: Expression
    start: int
    end: int


@dataclass(slots=True)
class Marker:
    """`else`, `endif` or `endfor`."""

    name: str
    start: int
    end: int


Part = Text | Interpolation | If | For | Marker


def flush(parts: list[Part]) -> None:
    """Takes the common indentation from the lines of a `<<-` heredoc. Only text as it was written counts."""
    least: int | None = None
    adjust: list[Text] = []
    newline = True
    for part in parts:
        if newline:
            newline = False
            spaces: int | None = 0
            if isinstance(part, Text):
                rest = part.value.lstrip(SPACE)
                if not rest and part.value.endswith("\n"):
                    spaces = None  # blank lines don't count, and keep what they have
                else:
                    spaces = columns(part.value[: len(part.value) - len(rest)])
                    adjust.append(part)
            if spaces is not None and (least is None or spaces < least):
                least = spaces
        if isinstance(part, Text) and part.value.endswith("\n"):
            newline = True
    for text in adjust:
        count = least or 0
        text.value = text.value[count:]
        text.start += count


def meld(parts: list[Part]) -> list[Part]:
    """Joins literals which stand side by side."""
    result: list[Part] = []
    run: list[str] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, Text) and isinstance(last, Text):
            if not run:
                run.append(last.value)
            run.append(part.value)
            last.end = part.end
            continue
        if run and isinstance(last, Text):
            last.value = "".join(run)
            run = []
        result.append(part)
    if run and isinstance(result[-1], Text):
        result[-1].value = "".join(run)
    return result


@dataclass(slots=True)
class _Open:
    """A directive which waits for its end."""

    directive: If | For
    items: list[Expression]
    otherwise: list[Expression] | None = None

    @property
    def current(self) -> list[Expression]:
        return self.items if self.otherwise is None else self.otherwise


def too_deep_at(parts: list[Part], limit: int) -> int | None:
    """Where directives are nested deeper than `limit`, or None."""
    depth = 0
    for part in parts:
        if isinstance(part, If | For):
            depth += 1
            if depth > limit:
                return part.start
        elif isinstance(part, Marker) and part.name != "else":
            depth -= depth > 0
    return None


def build(source: Source, parts: list[Part], end: int) -> tuple[list[Expression], list[Diagnostic], int]:
    """Pairs the directives. Returns the template's parts, messages, and how deep the directives were nested.

    `end` is the offset of the template's end marker.
    """
    diagnostics: list[Diagnostic] = []
    root: list[Expression] = []
    stack: list[_Open] = []
    deepest = 0
    for part in parts:
        into = stack[-1].current if stack else root
        if isinstance(part, Text):
            into.append(Literal(source, part.start, part.end, string(normal(part.value))))
        elif isinstance(part, Interpolation):
            into.append(part.expression)
        elif isinstance(part, If | For):
            stack.append(_Open(part, []))
            deepest = max(deepest, len(stack))
        else:
            place = source.range(part.start, part.end)
            if not stack:
                diagnostics.append(
                    error(
                        f"Unexpected {part.name} directive",
                        "The control directives within this template are unbalanced.",
                        place,
                    )
                )
                root.append(_placeholder(source, part.start, part.end))
                continue
            opened = stack[-1]
            begun = source.range(opened.directive.start, opened.directive.end)
            if part.name == "else" and isinstance(opened.directive, If) and opened.otherwise is None:
                opened.otherwise = []
                continue
            stack.pop()
            into = stack[-1].current if stack else root
            if isinstance(opened.directive, If):
                if part.name == "endif":
                    into.append(_finish(source, opened, part))
                    continue
                if part.name == "else":
                    detail = f"Already in the else clause for the if started at {begun}."
                else:
                    detail = f"Expecting an endif directive for the if started at {begun}."
            elif part.name == "endfor":
                into.append(_finish(source, opened, part))
                continue
            elif part.name == "else":
                detail = "An else clause is not expected for a for directive."
            else:
                detail = f"Expecting an endfor directive corresponding to the for directive at {begun}."
            diagnostics.append(error(f"Unexpected {part.name} directive", detail, place))
            into.append(_placeholder(source, part.start, part.end))
    for opened in reversed(stack):
        begun = source.range(opened.directive.start, opened.directive.end)
        name = "if" if isinstance(opened.directive, If) else "for"
        diagnostics.append(
            error(
                "Unexpected end of template",
                f"The {name} directive at {begun} is missing its corresponding end{name} directive.",
                source.range(*_end_marker(source, end)),
            )
        )
        root.append(_placeholder(source, end, end))
    return root, diagnostics, deepest


def _end_marker(source: Source, end: int) -> tuple[int, int]:
    """The stretch of a template's end: its closing quote, its heredoc marker, or nothing at the end of the text."""
    text = source.text
    if text.startswith('"', end):
        return end, end + 1
    line = text.find("\n", end)
    return end, line if line >= 0 else len(text)


def _placeholder(source: Source, start: int, end: int) -> Expression:
    return Literal(source, start, end, DYNAMIC_UNKNOWN)


def _template(source: Source, items: list[Expression], empty_at: int) -> Template:
    if not items:
        items = [Literal(source, empty_at, empty_at, string(""))]
    return Template(source, items[0].start, items[-1].end, tuple(items))


def _finish(source: Source, opened: _Open, end: Marker) -> Expression:
    directive = opened.directive
    body = _template(source, opened.items, directive.end)
    if isinstance(directive, For):
        return TemplateFor(
            source,
            directive.start,
            end.end,
            directive.key_name,
            directive.value_name,
            directive.collection,
            body,
        )
    otherwise = None if opened.otherwise is None else _template(source, opened.otherwise, end.start)
    return TemplateIf(source, directive.start, end.end, directive.condition, body, otherwise)
