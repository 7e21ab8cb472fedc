"""Native syntax: tokens to syntax tree (hclsyntax/spec.md), with Terraform's words when something is wrong.

Theory of operation. Recursive descent for what nests in brackets, precedence climbing for operators. Newlines count in
bodies and object constructors and nowhere else, so the reader has one flag for whether to see them. Comments never
reach the parser; one which ends its line stands for the newline.

Recovery. The first mistake sets `recovery` for the rest of the file: from then on only mistakes which can't come from
having lost the thread are reported. Each bracketed construct skips to its own end, each argument or block to its line's
end. So one run names several mistakes, and not their echoes.

Bounds. Nesting is counted while descending and the height of the tree while coming back, against `MAX_DEPTH` and
`MAX_HEIGHT`: whoever walks a tree may recurse. A file which exceeds them gets one diagnostic and is not read further.
"""

from __future__ import annotations

from typing import Final

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Pos, Source
from terrarium.language import templates
from terrarium.language.expression_parsing import ExpressionParser
from terrarium.language.nodes import (
    Attr,
    Attribute,
    Block,
    Body,
    Expression,
    File,
    Index,
    Label,
    Literal,
    Step,
    Traversal,
)
from terrarium.language.reading import Enough, TooDeep, collector_paused, too_deep
from terrarium.language.tokens import (
    C_BRACE,
    C_BRACK,
    COMMA,
    DOT,
    EOF,
    EQUAL,
    IDENT,
    MAX_COMPLAINTS,
    NEWLINE,
    NUMBER,
    O_BRACE,
    O_BRACK,
    O_QUOTE,
    STAR,
    Tokens,
    complaints,
    tokenize,
    tokenize_template,
)
from terrarium.language.values import (
    DYNAMIC_UNKNOWN,
    string,
)

START: Final = Pos()
"""Where a text begins which is no part of a greater one."""


class Parser(ExpressionParser):
    """Adds bodies: one parse of one token list."""

    def body(self, closer: int) -> Body:
        """Reads up to and with `closer`. The token before is the body's start."""
        if closer == EOF:
            attributes, blocks = self.root_attributes, self.root_blocks
        else:
            attributes, blocks = {}, []
        opening = max(self.at - 1, 0)
        while True:
            kind = self.peek()
            if kind == NEWLINE:
                self.at += 1
            elif kind == IDENT:
                if len(self.diagnostics) > MAX_COMPLAINTS:
                    raise Enough
                item = self.item()
                if item.__class__ is Block:
                    blocks.append(item)
                elif item.__class__ is Attribute:
                    existing = attributes.setdefault(item.name, item)
                    if existing is not item:
                        self.diagnostics.append(
                            error(
                                "Attribute redefined",
                                f'The argument "{item.name}" was already set at {existing.name_range}. '
                                "Each argument may be set only once.",
                                item.name_range,
                            )
                        )
            elif kind == closer:
                end = self.ends[self.read()]
                break
            else:
                bad = self.read()
                if not self.recovery:
                    self.bad_item(bad, closer, opening)
                end = self.ends[bad]
                self.recover(closer)
                break
        start = self.starts[0 if closer == EOF else opening]
        return Body(self.source, start, end, attributes, tuple(blocks))

    def bad_item(self, bad: int, closer: int, opening: int) -> None:
        kind = self.kinds[bad]
        if kind == O_QUOTE:
            self.say("Invalid argument name", "Argument names must not be quoted.", bad)
        elif kind == EOF and closer == C_BRACE:
            self.unclosed_block(opening)
        else:
            self.say("Argument or block definition required", "An argument or block definition is required here.", bad)

    def unclosed_block(self, brace: int, since: int | None = None) -> None:
        self.say(
            "Unclosed configuration block",
            "There is no closing brace for this block before the end of the file. This may be caused by incorrect "
            "brace nesting elsewhere in this file.",
            brace,
            since,
        )

    def item(self) -> Attribute | Block | None:
        name = self.read()
        kind = self.peek()
        if kind == EQUAL:
            return self.attribute(name, single=False)
        if kind in (O_QUOTE, O_BRACE, IDENT):
            return self.block(name)
        self.missing_equals(name)
        return None

    def missing_equals(self, name: int) -> None:
        self.recover_item()
        self.say(
            "Argument or block definition required",
            "An argument or block definition is required here. To set an argument, use the equals sign "
            '"=" to introduce the argument value.',
            name,
        )

    def attribute(self, name: int, single: bool) -> Attribute:
        self.at += 1  # the equals sign
        before = len(self.diagnostics)
        expression = self.expression()
        end = self.ends[self.at - 1]
        if self.recovery and len(self.diagnostics) > before:
            self.recover_item()
        elif not single:
            kind = self.peek()
            if kind == NEWLINE:
                self.at += 1
            elif kind != EOF:
                if kind == COMMA:
                    summary = "Unexpected comma after argument"
                    detail = (
                        "Argument definitions must be separated by newlines, not commas. "
                        "An argument definition must end with a newline."
                    )
                else:
                    summary = "Missing newline after argument"
                    detail = "An argument definition must end with a newline."
                self.say_unless_lost(summary, detail, self.at, name)
                self.recover_item()
        start, name_end = self.starts[name], self.ends[name]
        return Attribute(self.source, start, end, self.text[start:name_end], start, name_end, expression)

    def block(self, name: int) -> Block:
        labels: list[Label] = []
        header_end = self.ends[name]
        while True:
            kind = self.peek()
            if kind == O_BRACE:
                brace = self.read()
                break
            if kind == O_QUOTE:
                labels.append(self.quoted_literal())
                header_end = labels[-1].end
            elif kind == IDENT:
                index = self.read()
                labels.append(Label(self.word(index), self.starts[index], self.ends[index]))
                header_end = self.ends[index]
            else:
                return self.bad_header(name, labels, header_end)
        self.descend()
        mark = len(self.diagnostics)
        body: Body | None
        if self.peek() in (NEWLINE, EOF, C_BRACE):
            body = self.body(C_BRACE)
        else:
            body = self.single_body()
            self.end_of_single_body(name, brace, mark)
        self.depth -= 1
        last = self.at - 1
        kind = self.peek()
        if kind == NEWLINE:
            self.at += 1
        elif kind != EOF:
            self.say_unless_lost(
                "Missing newline after block definition", "A block definition must end with a newline.", self.at, name
            )
            self.recover_item()
        elif self.kinds[last] != C_BRACE:
            last = self.at
        start, type_end = self.starts[name], self.ends[name]
        end = self.ends[last]
        if body is None:
            body = Body(self.source, self.starts[brace], end, {}, ())
        elif body.start != self.starts[brace]:
            body.start, body.end = self.starts[brace], end
        return Block(self.source, start, end, self.text[start:type_end], type_end, tuple(labels), header_end, body)

    def bad_header(self, name: int, labels: list[Label], header_end: int) -> Block:
        at = self.at
        kind = self.kinds[at]
        summary = "Invalid block definition"
        if kind == EQUAL:
            detail = 'The equals sign "=" indicates an argument definition, and must not be used when defining a block.'
            self.say(summary, detail, at, name)
        elif kind == NEWLINE:
            detail = (
                'A block definition must have block content delimited by "{" and "}", starting on the same line as '
                "the block header."
            )
            self.say(summary, detail, at, name)
        else:
            detail = 'Either a quoted string block label or an opening brace ("{") is expected here.'
            self.say_unless_lost(summary, detail, at, name)
        self.recover_item()
        start, end = self.starts[name], self.ends[name]
        body = Body(self.source, start, end, {}, ())
        return Block(self.source, start, end, self.text[start:end], end, tuple(labels), header_end, body)

    def single_body(self) -> Body | None:
        """The one argument of `type { name = value }`, without its closing brace."""
        name = self.read()
        if self.kinds[name] != IDENT:
            self.recover_item()
            self.say("Argument or block definition required", "An argument or block definition is required here.", name)
            return None
        kind = self.peek()
        if kind == EQUAL:
            attribute = self.attribute(name, single=True)
            return Body(self.source, attribute.start, attribute.end, {attribute.name: attribute}, ())
        if kind in (O_QUOTE, O_BRACE, IDENT):
            place = self.range_of(name, self.at)
            self.recover_item()
            self.diagnostics.append(
                error(
                    "Argument definition required",
                    "A single-line block definition can contain only a single argument. If you meant to define "
                    f'argument "{self.word(name)}", use an equals sign to assign it a value. To define a nested '
                    "block, place it on a line of its own within its parent block.",
                    place,
                )
            )
        else:
            self.missing_equals(name)
        return None

    def end_of_single_body(self, name: int, brace: int, mark: int) -> None:
        """Reads the closing brace, which must be next. What is wrong with it goes before the body's own mistakes."""
        kind = self.peek()
        if kind == C_BRACE:
            self.at += 1
            return
        inner = self.diagnostics[mark:]
        del self.diagnostics[mark:]
        summary = "Invalid single-argument block definition"
        if kind == COMMA:
            self.say(
                summary,
                "Single-line block syntax can include only one argument definition. To define multiple arguments, "
                "use the multi-line block syntax with one argument definition per line.",
                self.at,
            )
        elif kind == NEWLINE:
            self.say(
                summary,
                "An argument definition on the same line as its containing block creates a single-line block "
                "definition, which must also be closed on the same line. Place the block's closing brace "
                "immediately after the argument definition.",
                self.at,
            )
        elif not self.recovery:
            if kind == EOF:
                self.unclosed_block(brace, name)
            else:
                self.say(
                    summary,
                    "A single-line block definition must end with a closing brace immediately after its single "
                    "argument definition.",
                    self.at,
                )
        self.diagnostics += inner
        self.recover(C_BRACE)


# --- doors -----------------------------------------------------------------------------------------------------------


def decode(data: bytes, filename: str) -> tuple[str, list[Diagnostic]]:
    """The text of a file. Bytes which are no UTF-8 are kept (as lone surrogates); the parser reports them with their
    place, unless they stand in a comment, where Terraform allows them. So the list is empty, but should be passed on.
    """
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape"), []


def parse(text: str, filename: str, base: Pos = START) -> tuple[File, list[Diagnostic]]:
    """A configuration file. The body holds what could be read, also after errors."""
    source = Source(filename, text, base)
    file, diagnostics, _ = parse_with_tokens(source)
    return file, diagnostics


def parse_with_tokens(source: Source) -> tuple[File, list[Diagnostic], Tokens]:
    """`parse` for those who need the tokens too (formatting, editing)."""
    with collector_paused():
        tokens = tokenize(source)
        diagnostics = complaints(tokens) if tokens.odd else []
        parser = Parser(tokens)
        try:
            body = parser.body(EOF)
        except (TooDeep, Enough) as stop:
            if isinstance(stop, TooDeep):
                parser.diagnostics.append(too_deep(source, stop.at))
            body = Body(source, 0, len(source.text), parser.root_attributes, tuple(parser.root_blocks))
    return File(source, body), diagnostics + parser.diagnostics, tokens


def parse_expression(text: str, filename: str, base: Pos = START) -> tuple[Expression, list[Diagnostic]]:
    """An expression alone; newlines in it mean nothing."""
    source = Source(filename, text, base)
    tokens = tokenize(source)
    diagnostics = complaints(tokens) if tokens.odd else []
    parser = Parser(tokens)
    parser.newlines = False
    try:
        expression = parser.expression()
        if parser.peek() != EOF:
            parser.say_unless_lost(
                "Extra characters after expression",
                "An expression was successfully parsed, but extra characters were found after it.",
                parser.at,
            )
    except TooDeep as deep:
        parser.diagnostics.append(too_deep(source, deep.at))
        expression = Literal(source, 0, len(text), DYNAMIC_UNKNOWN)
    return expression, diagnostics + parser.diagnostics


def parse_template(text: str, filename: str, base: Pos = START) -> tuple[Expression, list[Diagnostic]]:
    """A template without quotes around it."""
    source = Source(filename, text, base)
    tokens = tokenize_template(source)
    diagnostics = complaints(tokens) if tokens.odd else []
    parser = Parser(tokens)
    expression: Expression
    try:
        expression = parser.template_inner(EOF, False, None)
    except TooDeep as deep:
        parser.diagnostics.append(too_deep(source, deep.at))
        expression = Literal(source, 0, len(text), DYNAMIC_UNKNOWN)
    return expression, diagnostics + parser.diagnostics


def parse_traversal(text: str, filename: str, base: Pos = START) -> tuple[Traversal | None, list[Diagnostic]]:
    """An absolute traversal alone (`aws_vpc.a["x"].id`): names, and constant numbers and strings in brackets.

    None when not even the root name is there; what could be read otherwise.
    """
    source = Source(filename, text, base)
    tokens = tokenize(source)
    diagnostics = complaints(tokens) if tokens.odd else []
    parser = Parser(tokens)
    parser.newlines = False
    result = _traversal(parser)
    return result, diagnostics + parser.diagnostics


def _traversal(parser: Parser) -> Traversal | None:
    kinds, starts, ends = parser.kinds, parser.starts, parser.ends
    root = parser.read()
    if kinds[root] != IDENT:
        parser.say("Variable name required", "Must begin with a variable name.", root)
        return None
    steps: list[Step] = []

    def result() -> Traversal:
        end = steps[-1].end if steps else ends[root]
        return Traversal(parser.source, starts[root], end, parser.word(root), ends[root], tuple(steps))

    while True:
        kind = parser.peek()
        if kind == EOF:
            return result()
        first = parser.read()
        if kind == DOT:
            name = parser.read()
            if kinds[name] != IDENT:
                detail = (
                    "Splat expressions (.*) may not be used here."
                    if kinds[name] == STAR
                    else "Dot must be followed by attribute name."
                )
                parser.say("Attribute name required", detail, name, root)
                return result()
            steps.append(Attr(parser.word(name), starts[first], ends[name]))
        elif kind == O_BRACK:
            kind = parser.peek()
            before = len(parser.diagnostics)
            if kind == NUMBER:
                key = parser.number_at(parser.read())
            elif kind == O_QUOTE:
                key = string(templates.normal(parser.quoted_literal().text))
            else:
                if kind == STAR:
                    summary, detail = "Attribute name required", "Splat expressions ([*]) may not be used here."
                else:
                    summary = "Index value required"
                    detail = "Index brackets must contain either a literal number or a literal string."
                parser.say(summary, detail, parser.at, root)
                return result()
            closing = parser.read()
            if kinds[closing] != C_BRACK:
                detail = "Index key must be followed by a closing bracket."
                parser.say("Unclosed index brackets", detail, closing, first)
            steps.append(Index(key, starts[first], ends[closing]))
            if len(parser.diagnostics) > before:
                return result()
        else:
            parser.say("Invalid character", "Expected an attribute access or an index operator.", first, root)
            return result()
