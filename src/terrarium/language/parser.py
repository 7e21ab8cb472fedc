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

import re
from fractions import Fraction
from typing import Final

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Pos, Range, Source
from terrarium.base.suggest import nearest
from terrarium.language import templates
from terrarium.language.nodes import (
    Attr,
    Attribute,
    Binary,
    Block,
    Body,
    Call,
    Conditional,
    Expression,
    File,
    ForExpression,
    Index,
    IndexExpression,
    Label,
    Literal,
    ObjectExpression,
    Parenthesised,
    RelativeTraversal,
    Splat,
    SplatItem,
    Step,
    Template,
    TemplateWrap,
    Traversal,
    TupleExpression,
    Unary,
)
from terrarium.language.tokens import (
    AND,
    BANG,
    C_BRACE,
    C_BRACK,
    C_HEREDOC,
    C_PAREN,
    C_QUOTE,
    COLON,
    COMMA,
    COMMENT,
    DOT,
    DOUBLE_COLON,
    ELLIPSIS,
    EOF,
    EQUAL,
    EQUAL_OP,
    FAT_ARROW,
    GREATER,
    GREATER_EQ,
    IDENT,
    LESS,
    LESS_EQ,
    MAX_COMPLAINTS,
    MINUS,
    NEWLINE,
    NOT_EQUAL,
    NUMBER,
    O_BRACE,
    O_BRACK,
    O_HEREDOC,
    O_PAREN,
    O_QUOTE,
    OR,
    PERCENT,
    PLUS,
    QUESTION,
    QUOTED_LIT,
    SLASH,
    SPACE,
    STAR,
    STRING_LIT,
    T_CONTROL,
    T_END,
    T_INTERP,
    Tokens,
    complaints,
    tokenize,
    tokenize_template,
)
from terrarium.language.values import (
    DYNAMIC_NULL,
    DYNAMIC_UNKNOWN,
    FALSE,
    TRUE,
    Value,
    number,
    string,
)

MAX_DEPTH: Final = 150
"""How deep brackets, blocks and templates may be nested in one another."""

MAX_HEIGHT: Final = 200
"""How high an expression's tree may be; also the longest chain of operators or index steps."""

# token: (how tight it binds, the operator as it is written)
_OPERATORS: Final[dict[int, tuple[int, str]]] = {
    OR: (1, "||"),
    AND: (2, "&&"),
    EQUAL_OP: (3, "=="),
    NOT_EQUAL: (3, "!="),
    LESS: (4, "<"),
    LESS_EQ: (4, "<="),
    GREATER: (4, ">"),
    GREATER_EQ: (4, ">="),
    PLUS: (5, "+"),
    MINUS: (5, "-"),
    STAR: (6, "*"),
    SLASH: (6, "/"),
    PERCENT: (6, "%"),
}

_CONSTANTS: Final = {"true": TRUE, "false": FALSE, "null": DYNAMIC_NULL}

_OPENER: Final = {
    C_BRACE: O_BRACE,
    C_BRACK: O_BRACK,
    C_PAREN: O_PAREN,
    C_QUOTE: O_QUOTE,
    C_HEREDOC: O_HEREDOC,
    T_END: T_INTERP,
}
_OPENERS: Final = frozenset((*_OPENER.values(), T_CONTROL))

_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
_MAX_EXPONENT: Final = 4000
"""A number literal beyond 10^±4000 is refused; Terraform's own end is far out but no value anybody writes."""


class _TooDeep(Exception):
    """Internal: stops parsing at a bound; carries the offset."""

    def __init__(self, at: int) -> None:
        self.at = at


class _Enough(Exception):
    """Internal: stops parsing a file with more mistakes than anybody will read."""


def number_value(text: str) -> Value | None:
    """The value of a decimal number as it is written, or None when it is none."""
    if text.isdecimal() and len(text) <= 154:
        return number(int(text))
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    whole, part, exponent = match[1], match[2] or "", match[3] or "0"
    if len(exponent) > 6 or abs(int(exponent)) > _MAX_EXPONENT or len(whole) + len(part) > 2 * _MAX_EXPONENT:
        return None
    power = int(exponent) - len(part)
    digits = int((whole + part) or "0")
    value: int | Fraction = digits * 10**power if power >= 0 else Fraction(digits, 10**-power)
    if power >= 0 and digits.bit_length() + power * 4 < 512:
        return number(value)
    from terrarium.language.convert import rounded

    return number(rounded(value))


class Parser:
    """One parse of one token list."""

    def __init__(self, tokens: Tokens) -> None:
        self.source = tokens.source
        self.text = tokens.source.text
        if tokens.comments:
            self._without_comments(tokens)
        else:
            self.kinds, self.starts, self.ends = tokens.kinds, tokens.starts, tokens.ends
        self.at = 0
        self.newlines = True
        self.recovery = False
        self.diagnostics: list[Diagnostic] = []
        self.depth = 0
        self.height = 0
        self.root_attributes: dict[str, Attribute] = {}
        self.root_blocks: list[Block] = []

    def _without_comments(self, tokens: Tokens) -> None:
        text = self.text
        kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
        keep = [i for i, kind in enumerate(kinds) if kind != COMMENT or text[ends[i] - 1] == "\n"]
        self.kinds = [NEWLINE if kinds[i] == COMMENT else kinds[i] for i in keep]
        self.starts = [starts[i] for i in keep]
        self.ends = [ends[i] for i in keep]

    # --- reading tokens ------------------------------------------------------------------------------------------

    def peek(self) -> int:
        """The kind of the next token; `self.at` is then its index."""
        kinds = self.kinds
        at = self.at
        kind = kinds[at]
        if kind == NEWLINE and not self.newlines:
            while kind == NEWLINE:
                at += 1
                kind = kinds[at]
            self.at = at
        return kind

    def read(self) -> int:
        """Takes the next token and returns its index. The last one, EOF, is never taken."""
        kind = self.peek()
        at = self.at
        if kind != EOF:
            self.at = at + 1
        return at

    def range_of(self, first: int, last: int | None = None) -> Range:
        return self.source.range(self.starts[first], self.ends[first if last is None else last])

    def word(self, index: int) -> str:
        return self.text[self.starts[index] : self.ends[index]]

    def next_is_word(self, word: str) -> bool:
        return self.peek() == IDENT and self.word(self.at) == word

    def say(self, summary: str, detail: str, at: int, since: int | None = None) -> None:
        """Reports a mistake at token `at`, with everything since token `since` as its context."""
        context = None if since is None else self.range_of(since, at)
        self.diagnostics.append(error(summary, detail, self.range_of(at), context))

    def say_unless_lost(self, summary: str, detail: str, at: int, since: int | None = None) -> None:
        if not self.recovery:
            self.say(summary, detail, at, since)

    def failed_since(self, count: int) -> bool:
        """Whether the thread was lost since there were `count` diagnostics."""
        return self.recovery and len(self.diagnostics) > count

    # --- recovery ------------------------------------------------------------------------------------------------

    def recover(self, closer: int) -> int:
        """Skips past the next `closer` of this level; returns its index, or that of EOF."""
        self.recovery = True
        opener = _OPENER.get(closer)
        nested = 0
        while True:
            index = self.read()
            kind = self.kinds[index]
            if kind == closer:
                if nested < 1:
                    return index
                nested -= 1
            elif kind == opener or (closer == T_END and kind == T_CONTROL):
                nested += 1
            elif kind == EOF:
                return index

    def recover_over(self, opener: int, closer: int) -> None:
        """Skips to the next `opener`, and past what it opens."""
        while self.kinds[self.read()] not in (opener, EOF):
            pass
        self.recover(closer)

    def recover_item(self) -> None:
        """Skips to the end of the line, past whatever brackets open before it."""
        self.recovery = True
        opened: list[int] = []
        while True:
            kind = self.kinds[self.read()]
            if kind == EOF or (kind == NEWLINE and not opened):
                return
            if kind in _OPENERS:
                opened.append(kind)
            elif kind in _OPENER:
                wanted = (T_INTERP, T_CONTROL) if kind == T_END else (_OPENER[kind],)
                while opened and opened[-1] not in wanted:
                    opened.pop()
                if opened:
                    opened.pop()

    # --- bodies --------------------------------------------------------------------------------------------------

    def descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _TooDeep(self.starts[min(self.at, len(self.starts) - 1)])

    def rise(self, height: int, at: int) -> None:
        """Notes the height of the tree just built."""
        self.height = height
        if height > MAX_HEIGHT:
            raise _TooDeep(at)

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
                    raise _Enough
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

    def quoted_literal(self) -> Label:
        """A quoted string which may hold no template: a label, or the key of a traversal."""
        kinds, starts, ends = self.kinds, self.starts, self.ends
        at = self.at
        if kinds[at + 1] == QUOTED_LIT and kinds[at + 2] == C_QUOTE:
            text = self.text[starts[at + 1] : ends[at + 1]]
            if "\\" not in text and "{" not in text:
                self.at = at + 3
                return Label(text, starts[at], ends[at + 2])
        opening = self.read()
        parts: list[str] = []
        while True:
            index = self.read()
            kind = kinds[index]
            if kind == C_QUOTE:
                break
            if kind == QUOTED_LIT:
                text, wrong = templates.unescape(self.source, starts[index], ends[index], quoted=True)
                self.diagnostics += wrong
                parts.append(text)
            elif kind in (T_INTERP, T_CONTROL):
                sign = "$" if kind == T_INTERP else "%"
                self.say(
                    "Invalid string literal",
                    f'Template sequences are not allowed in this string. To include a literal "{sign}", double it '
                    f'(as "{sign}{sign}") to escape it.',
                    index,
                    opening,
                )
                parts.append(sign + "{ ... }")
                self.recover(T_END)
            elif kind == EOF:
                self.say(
                    "Unterminated string literal",
                    "Unable to find the closing quote mark before the end of the file.",
                    index,
                    opening,
                )
                break
            else:
                self.say("Invalid string literal", "This item is not valid in a string literal.", index, opening)
                self.recover(C_QUOTE)
                break
        return Label("".join(parts), starts[opening], ends[index])

    # --- expressions -----------------------------------------------------------------------------------------------

    def expression(self, tightness: int = 1) -> Expression:
        """An expression; with a `tightness` above 1, an operand of operators which bind at least so tight."""
        before = len(self.diagnostics)
        left = self.operand()
        if self.recovery and len(self.diagnostics) > before:
            return left
        while True:
            kind = self.kinds[self.at]
            if kind == NEWLINE:
                kind = self.peek()
            operator = _OPERATORS.get(kind)
            if operator is None or operator[0] < tightness:
                break
            self.at += 1
            height = self.height
            right = self.expression(operator[0] + 1)
            if self.recovery and len(self.diagnostics) > before:
                return left
            left = Binary(self.source, left.start, right.end, operator[1], left, right)
            self.rise(max(height, self.height) + 1, left.start)
        if kind != QUESTION or tightness > 1:
            return left
        return self.conditional(left, before)

    def conditional(self, condition: Expression, before: int) -> Expression:
        question = self.at
        self.at += 1
        height = self.height
        self.descend()
        then = self.expression()
        if self.failed_since(before):
            self.depth -= 1
            return condition
        height = max(height, self.height)
        if self.peek() != COLON:
            self.depth -= 1
            detail = "The conditional operator (...?...:...) requires a false expression, delimited by a colon."
            place = self.range_of(self.at)
            context = self.source.range(condition.start, self.ends[self.at])
            self.diagnostics.append(error("Missing false expression in conditional", detail, place, context))
            return condition
        self.at += 1
        otherwise = self.expression()
        self.depth -= 1
        if self.failed_since(before):
            return condition
        result = Conditional(self.source, condition.start, otherwise.end, condition, then, otherwise)
        self.rise(max(height, self.height) + 1, self.starts[question])
        return result

    def operand(self) -> Expression:
        """A term and the steps after it."""
        kinds = self.kinds
        kind = kinds[self.at]
        if kind == NEWLINE:
            kind = self.peek()
        at = self.at
        term: Expression
        if kind == IDENT:
            self.at = at + 1
            start, end = self.starts[at], self.ends[at]
            name = self.text[start:end]
            following = kinds[at + 1]
            if following == NEWLINE:
                following = self.peek()
            if following == O_PAREN or following == DOUBLE_COLON:
                term = self.call(at)
            else:
                self.height = 1
                constant = _CONSTANTS.get(name)
                if constant is not None:
                    term = Literal(self.source, start, end, constant)
                elif following == DOT or following == O_BRACK:
                    return self.steps(Traversal(self.source, start, end, name, end, ()))
                else:
                    return Traversal(self.source, start, end, name, end, ())
        elif kind == O_QUOTE:
            if kinds[at + 1] == QUOTED_LIT and kinds[at + 2] == C_QUOTE:
                begin, end = self.starts[at + 1], self.ends[at + 1]
                text = self.text[begin:end]
                if "\\" in text or "{" in text or not text.isascii():
                    text, wrong = templates.unescape(self.source, begin, end, quoted=True)
                    self.diagnostics += wrong
                    text = templates.normal(text)
                literal = Literal(self.source, begin, end, string(text))
                term = Template(self.source, begin - 1, end + 1, (literal,))
                self.at = at + 3
                self.height = 2
            else:
                term = self.template(C_QUOTE)
        elif kind == NUMBER:
            self.at = at + 1
            term = self.number(at)
        elif kind == O_BRACK:
            term = self.tuple_()
        elif kind == O_BRACE:
            term = self.object_()
        elif kind == O_PAREN:
            term = self.parenthesised()
        elif kind == O_HEREDOC:
            term = self.template(C_HEREDOC)
        elif kind == MINUS or kind == BANG:
            self.at = at + 1
            self.descend()
            inner = self.operand()
            self.depth -= 1
            term = Unary(self.source, self.starts[at], inner.end, self.word(at), inner)
            self.rise(self.height + 1, term.start)
        else:
            term = self.no_expression(at)
        following = kinds[self.at]
        if following == DOT or following == O_BRACK or following == NEWLINE:
            return self.steps(term)
        return term

    def no_expression(self, at: int) -> Expression:
        if self.kinds[at] == EOF:
            self.say_unless_lost(
                "Missing expression", "Expected the start of an expression, but found the end of the file.", at
            )
        else:
            self.say_unless_lost(
                "Invalid expression", "Expected the start of an expression, but found an invalid expression token.", at
            )
        self.recovery = True
        self.height = 1
        return self.placeholder(self.starts[at], self.ends[at])

    def placeholder(self, start: int, end: int) -> Expression:
        """Stands where no expression could be read."""
        self.height = max(self.height, 1)
        return Literal(self.source, start, end, DYNAMIC_UNKNOWN)

    def number(self, at: int) -> Literal:
        self.height = 1
        return Literal(self.source, self.starts[at], self.ends[at], self.number_at(at))

    def number_at(self, at: int) -> Value:
        value = number_value(self.word(at))
        if value is None:
            self.say("Invalid number literal", "Failed to recognize the value of this number literal.", at)
            return DYNAMIC_UNKNOWN
        return value

    def parenthesised(self) -> Expression:
        opening = self.read()
        saved, self.newlines = self.newlines, False
        self.descend()
        before = len(self.diagnostics)
        inner = self.expression()
        self.depth -= 1
        if len(self.diagnostics) > before:
            self.recover(C_PAREN)
            self.newlines = saved
            return inner
        if self.peek() != C_PAREN:
            self.say(
                "Unbalanced parentheses",
                "Expected a closing parenthesis to terminate the expression.",
                self.at,
                opening,
            )
            self.recovery = True
        closing = self.read()
        self.newlines = saved
        self.rise(self.height + 1, inner.start)
        return Parenthesised(self.source, self.starts[opening], self.ends[closing], inner)

    def tuple_(self) -> Expression:
        opening = self.read()
        saved, self.newlines = self.newlines, False
        self.descend()
        if self.next_is_word("for"):
            result = self.for_(opening, C_BRACK)
        else:
            items: list[Expression] = []
            height = 0
            while True:
                if self.peek() == C_BRACK:
                    closing = self.read()
                    break
                before = len(self.diagnostics)
                items.append(self.expression())
                if self.height > height:
                    height = self.height
                if self.recovery and len(self.diagnostics) > before:
                    closing = self.recover(C_BRACK)
                    break
                kind = self.peek()
                if kind == COMMA:
                    self.at += 1
                elif kind == C_BRACK:
                    closing = self.read()
                    break
                else:
                    if kind == EOF and not self.recovery:
                        self.say(
                            "Unterminated tuple constructor expression",
                            "There is no corresponding closing bracket before the end of the file. This may be caused "
                            "by incorrect bracket nesting elsewhere in this file.",
                            opening,
                        )
                    else:
                        self.say_unless_lost(
                            "Missing item separator",
                            "Expected a comma to mark the beginning of the next item.",
                            self.at,
                            opening,
                        )
                    closing = self.recover(C_BRACK)
                    break
            result = TupleExpression(self.source, self.starts[opening], self.ends[closing], tuple(items))
            self.rise(height + 1, result.start)
        self.depth -= 1
        self.newlines = saved
        return result

    def object_(self) -> Expression:
        opening = self.read()
        saved, self.newlines = self.newlines, True
        self.descend()
        # Newlines count between the items, but not before a `for`.
        ahead = self.at
        while self.kinds[ahead] == NEWLINE:
            ahead += 1
        if self.kinds[ahead] == IDENT and self.word(ahead) == "for":
            self.newlines = False
            result = self.for_(opening, C_BRACE)
        else:
            result = self.object_items(opening)
        self.depth -= 1
        self.newlines = saved
        return result

    def object_items(self, opening: int) -> Expression:
        items: list[tuple[Expression, Expression]] = []
        height = 0
        while True:
            kind = self.peek()
            if kind == NEWLINE:
                self.at += 1
                continue
            if kind == C_BRACE:
                closing = self.read()
                break
            before = len(self.diagnostics)
            key = self.expression()
            height = max(height, self.height)
            if self.recovery and len(self.diagnostics) > before:
                closing = self.recover(C_BRACE)
                break
            if key.__class__ is Literal and self.text[key.start : key.end] in _CONSTANTS:
                # As a key, `true` is a name like any other.
                key = Traversal(self.source, key.start, key.end, self.text[key.start : key.end], key.end, ())
            kind = self.peek()
            if kind != EQUAL and kind != COLON:
                if not self.recovery:
                    self.bad_key_end(kind, opening)
                closing = self.recover(C_BRACE)
                break
            self.at += 1
            value = self.expression()
            height = max(height, self.height)
            if self.recovery and len(self.diagnostics) > before:
                closing = self.recover(C_BRACE)
                break
            items.append((key, value))
            kind = self.peek()
            if kind == NEWLINE or kind == COMMA:
                self.at += 1
            elif kind == C_BRACE:
                closing = self.read()
                break
            else:
                if not self.recovery:
                    if kind == EOF:
                        self.unclosed_object(opening)
                    else:
                        self.say(
                            "Missing attribute separator",
                            "Expected a newline or comma to mark the beginning of the next attribute.",
                            self.at,
                            opening,
                        )
                closing = self.recover(C_BRACE)
                break
        self.rise(height + 1, self.starts[opening])
        return ObjectExpression(self.source, self.starts[opening], self.ends[closing], tuple(items))

    def unclosed_object(self, opening: int) -> None:
        self.say(
            "Unterminated object constructor expression",
            "There is no corresponding closing brace before the end of the file. This may be caused by incorrect "
            "brace nesting elsewhere in this file.",
            opening,
        )

    def bad_key_end(self, kind: int, opening: int) -> None:
        if kind == EOF:
            self.unclosed_object(opening)
            return
        summary = "Missing key/value separator"
        detail = 'Expected an equals sign ("=") to mark the beginning of the attribute value.'
        if kind == NEWLINE or kind == COMMA:
            summary = "Missing attribute value"
            detail = 'Expected an attribute value, introduced by an equals sign ("=").'
        elif kind == IDENT:
            detail += (
                " If you intended to given an attribute name containing periods or spaces, write the name in quotes "
                "to create a string literal."
            )
        self.say(summary, detail, self.at, opening)

    def for_(self, opening: int, closer: int) -> Expression:
        """`for …` up to its closing bracket; the next token is the `for`. Newlines are off."""
        self.read()
        summary = "Invalid 'for' expression"

        def give_up(detail: str = "") -> Expression:
            if detail:
                self.peek()
                self.say_unless_lost(summary, detail, self.at, opening)
            closing = self.recover(closer)
            return self.placeholder(self.starts[opening], self.ends[closing])

        if self.peek() != IDENT:
            return give_up("For expression requires variable name after 'for'.")
        key_name, value_name = None, self.word(self.read())
        if self.peek() == COMMA:
            self.at += 1
            if self.peek() != IDENT:
                return give_up("For expression requires value variable name after comma.")
            key_name, value_name = value_name, self.word(self.read())
        if not self.next_is_word("in"):
            return give_up("For expression requires the 'in' keyword after its name declarations.")
        self.at += 1
        before = len(self.diagnostics)
        collection = self.expression()
        height = self.height
        if self.failed_since(before):
            return give_up()
        if self.peek() != COLON:
            return give_up("For expression requires a colon after the collection expression.")
        self.at += 1
        key, value = None, self.expression()
        height = max(height, self.height)
        if self.peek() == FAT_ARROW:
            self.at += 1
            key, value = value, self.expression()
            height = max(height, self.height)
        if self.failed_since(before):
            return give_up()
        ellipsis = None
        if self.peek() == ELLIPSIS:
            ellipsis = self.read()
        condition = None
        if self.next_is_word("if"):
            self.at += 1
            condition = self.expression()
            height = max(height, self.height)
            if self.failed_since(before):
                return give_up()
        if self.peek() == closer:
            closing = self.read()
        else:
            self.say_unless_lost(summary, "Extra characters after the end of the 'for' expression.", self.at, opening)
            closing = self.recover(closer)
        start, end = self.starts[opening], self.ends[closing]
        whole = self.source.range(start, end) if key is None or ellipsis is not None or closer == C_BRACK else None
        if closer == C_BRACK:
            if key is not None:
                detail = "Key expression is not valid when building a tuple."
                self.diagnostics.append(error(summary, detail, key.range, whole))
            if ellipsis is not None:
                detail = "Grouping ellipsis (...) cannot be used when building a tuple."
                self.diagnostics.append(error(summary, detail, self.range_of(ellipsis), whole))
        elif key is None:
            detail = "Key expression is required when building an object."
            self.diagnostics.append(error(summary, detail, value.range, whole))
        self.rise(height + 1, start)
        return ForExpression(
            self.source, start, end, key_name, value_name, collection, key, value, condition, ellipsis is not None
        )

    def call(self, first: int) -> Expression:
        """A function call; its first name is read already."""
        name = self.word(first)
        last = first
        opening = self.read()
        while self.kinds[opening] == DOUBLE_COLON:
            last = self.read()
            if self.kinds[last] != IDENT:
                return self.bad_call(
                    "Missing function name",
                    "Function scope resolution symbol :: must be followed by a function name in this scope.",
                    first,
                    last,
                )
            name += "::" + self.word(last)
            opening = self.read()
        if self.kinds[opening] != O_PAREN:
            return self.bad_call(
                "Missing open parenthesis",
                "Function selector must be followed by an open parenthesis to begin the function call.",
                first,
                opening,
            )
        arguments: list[Expression] = []
        expand = False
        height = 0
        saved, self.newlines = self.newlines, False
        self.descend()
        while True:
            if self.peek() == C_PAREN:
                closing = self.read()
                break
            before = len(self.diagnostics)
            arguments.append(self.expression())
            if self.height > height:
                height = self.height
            if self.recovery and len(self.diagnostics) > before:
                closing = self.recover(C_PAREN)
                break
            separator = self.read()
            kind = self.kinds[separator]
            if kind == COMMA:
                continue
            if kind == C_PAREN:
                closing = separator
                break
            if kind == ELLIPSIS:
                expand = True
                if self.peek() == C_PAREN:
                    closing = self.read()
                    break
                self.say_unless_lost(
                    "Missing closing parenthesis",
                    "An expanded function argument (with ...) must be immediately followed by closing parentheses.",
                    separator,
                    first,
                )
            elif kind == EOF:
                detail = (
                    "There is no closing parenthesis for this function call before the end of the file. This may be "
                    "caused by incorrect parenthesis nesting elsewhere in this file."
                )
                self.diagnostics.append(error("Unterminated function call", detail, self.range_of(first, opening)))
            else:
                self.say(
                    "Missing argument separator",
                    "A comma is required to separate each function argument from the next.",
                    separator,
                    first,
                )
            closing = self.recover(C_PAREN)
            break
        self.depth -= 1
        self.newlines = saved
        start = self.starts[first]
        self.rise(height + 1, start)
        end = self.ends[closing]
        return Call(self.source, start, end, name, self.ends[last], tuple(arguments), expand)

    def bad_call(self, summary: str, detail: str, first: int, bad: int) -> Expression:
        self.say(summary, detail, bad, first)
        self.recover_over(O_PAREN, C_PAREN)
        return self.placeholder(self.starts[first], self.ends[bad])

    # --- steps: .name .0 .* [*] [key] ---------------------------------------------------------------------------------

    def with_steps(self, of: Expression, steps: list[Step]) -> Expression:
        """`of` with constant steps after it; a traversal is continued."""
        if not steps:
            return of
        end = steps[-1].end
        if isinstance(of, Traversal):
            return Traversal(self.source, of.start, end, of.root, of.root_end, of.steps + tuple(steps))
        if isinstance(of, RelativeTraversal):
            return RelativeTraversal(self.source, of.start, end, of.of, of.steps + tuple(steps))
        self.rise(self.height + 1, of.start)
        return RelativeTraversal(self.source, of.start, end, of, tuple(steps))

    def steps(self, of: Expression) -> Expression:
        pending: list[Step] = []
        while True:
            kind = self.peek()
            if kind == DOT:
                dot = self.read()
                kind = self.peek()
                index = self.at
                if kind == IDENT:
                    self.at = index + 1
                    pending.append(Attr(self.word(index), self.starts[dot], self.ends[index]))
                elif kind == NUMBER:
                    self.at = index + 1
                    pending.append(self.legacy_index(dot, index, splat=False))
                elif kind == STAR:
                    of = self.attribute_splat(self.with_steps(of, pending), dot)
                    pending = []
                else:
                    self.say("Invalid attribute name", "An attribute name is required after a dot.", index)
                    self.recovery = True
                    of = self.placeholder(of.start, self.ends[dot])
                    pending = []
            elif kind == O_BRACK:
                opening = self.read()
                if self.peek() == STAR:
                    return self.full_splat(self.with_steps(of, pending), opening)
                of, pending = self.index(of, pending, opening)
            else:
                return self.with_steps(of, pending)

    def legacy_index(self, dot: int, index: int, splat: bool) -> Index:
        """`.0`, an index as it was written before there were brackets."""
        text = self.word(index)
        first, point, second = text.partition(".")
        if point:
            proper = "the proper index syntax with a full splat expression [*]" if splat else "the proper index syntax"
            self.say(
                "Invalid legacy index syntax",
                "When using the legacy index syntax, chaining two indexes together is not permitted. "
                f"Use {proper} instead, like [{first}][{second}].",
                index,
            )
            key = DYNAMIC_UNKNOWN
        else:
            key = self.number_at(index)
        return Index(key, self.starts[dot], self.ends[index])

    def attribute_splat(self, of: Expression, dot: int) -> Expression:
        star = self.read()
        item = SplatItem(self.source, self.starts[dot], self.ends[star])
        steps: list[Step] = []
        end = self.ends[star]
        height = self.height
        while self.peek() == DOT:
            inner = self.read()
            kind = self.peek()
            index = self.at
            if kind == NUMBER:
                self.at = index + 1
                steps.append(self.legacy_index(inner, index, splat=True))
            elif kind == IDENT:
                self.at = index + 1
                steps.append(Attr(self.word(index), self.starts[inner], self.ends[index]))
            else:
                if kind == STAR:
                    self.say_unless_lost(
                        "Nested splat expression not allowed",
                        "A splat expression (*) cannot be used inside another attribute-only splat expression.",
                        index,
                    )
                else:
                    self.say_unless_lost("Invalid attribute name", "An attribute name is required after a dot.", star)
                self.recovery = True
                return of
            end = steps[-1].end
        each: Expression = item
        if steps:
            each = RelativeTraversal(self.source, item.start, end, item, tuple(steps))
        self.rise(height + 2, of.start)
        return Splat(self.source, of.start, end, of, each, item, False)

    def full_splat(self, of: Expression, opening: int) -> Expression:
        """`[*]`, and all steps after it, which belong to the items."""
        self.read()
        closing = self.read()
        if self.kinds[closing] != C_BRACK and not self.recovery:
            # hcl points at where it found the thread again.
            closing = self.recover(C_BRACK)
            self.say(
                "Missing close bracket on splat index",
                'The star for a full splat operator must be immediately followed by a closing bracket ("]").',
                closing,
            )
        height = self.height
        item = SplatItem(self.source, self.starts[opening], self.ends[closing])
        self.descend()
        self.height = 1
        each = self.steps(item)
        self.depth -= 1
        self.rise(max(height, self.height) + 1, of.start)
        return Splat(self.source, of.start, each.end, of, each, item, True)

    def index(self, of: Expression, pending: list[Step], opening: int) -> tuple[Expression, list[Step]]:
        """`[key]`. A constant key is one more pending step, any other makes an `IndexExpression`."""
        height = self.height
        saved, self.newlines = self.newlines, False
        self.descend()
        before = len(self.diagnostics)
        key = self.expression()
        if self.failed_since(before):
            closing = self.recover(C_BRACK)
        else:
            closing = self.read()
            if self.kinds[closing] != C_BRACK and not self.recovery:
                closing = self.recover(C_BRACK)
                self.say(
                    "Missing close bracket on index",
                    'The index operator must end with a closing bracket ("]").',
                    closing,
                )
        self.depth -= 1
        self.newlines = saved
        end = self.ends[closing]
        constant = _constant(key)
        if constant is not None:
            self.height = height
            pending.append(Index(constant, self.starts[opening], end))
            return of, pending
        inner = self.height
        self.height = height
        of = self.with_steps(of, pending)
        self.rise(max(inner, self.height) + 1, of.start)
        return IndexExpression(self.source, of.start, end, of, key, self.starts[opening]), []

    # --- templates ---------------------------------------------------------------------------------------------------

    def template(self, closer: int) -> Expression:
        opening = self.read()
        heredoc = closer == C_HEREDOC
        flush = heredoc and self.text.startswith("<<-", self.starts[opening])
        # Inside, newlines are for the literals to hold, and none is skipped while looking for the closer.
        saved, self.newlines = self.newlines, True
        self.descend()
        result = self.template_inner(closer, flush, opening)
        self.depth -= 1
        self.newlines = saved
        return result

    def template_inner(self, closer: int, flush: bool, opening: int | None) -> Expression:
        parts, height, closing = self.template_parts(closer)
        if flush:
            templates.flush(parts)
        parts = templates.meld(parts)
        first = self.starts[opening] if opening is not None else (parts[0].start if parts else self.starts[closing])
        last = self.ends[closing]
        if not parts:
            at = self.ends[opening] if opening is not None else first
            parts = [templates.Text("", at, at)]
        deep = templates.too_deep_at(parts, MAX_DEPTH // 2)
        if deep is not None:
            raise _TooDeep(deep)
        expressions, wrong, nested = templates.build(self.source, parts, self.starts[closing])
        self.diagnostics += wrong
        self.rise(height + 2 * nested + 1, first)
        if len(parts) == 1 and isinstance(parts[0], templates.Interpolation):
            return TemplateWrap(self.source, first, last, parts[0].expression)
        return Template(self.source, first, last, tuple(expressions), closer == C_HEREDOC)

    def template_parts(self, closer: int) -> tuple[list[templates.Part], int, int]:
        """The parts up to `closer`, the height of the highest, and the index of the closing token."""
        parts: list[templates.Part] = []
        height = 1
        begin = self.at
        trim_next = False
        can_trim = False
        while True:
            at = self.read()
            kind = self.kinds[at]
            if kind == closer:
                return parts, height, at
            trim, trim_next = trim_next, False
            trimmable, can_trim = can_trim, False
            if kind == STRING_LIT or kind == QUOTED_LIT:
                start, end = self.starts[at], self.ends[at]
                text, wrong = templates.unescape(self.source, start, end, kind == QUOTED_LIT)
                self.diagnostics += wrong
                parts.append(templates.Text(text.lstrip(SPACE) if trim else text, start, end))
                can_trim = True
            elif kind == T_INTERP or kind == T_CONTROL:
                if trimmable and self.ends[at] - self.starts[at] == 3:
                    previous = parts[-1]
                    assert isinstance(previous, templates.Text)
                    previous.value = previous.value.rstrip(SPACE)
                saved, self.newlines = self.newlines, False
                self.height = 1
                trim_next = (
                    self.interpolation(at, begin, closer, parts)
                    if kind == T_INTERP
                    else self.directive(at, begin, parts)
                )
                height = max(height, self.height)
                self.newlines = saved
            else:
                self.say_unless_lost(
                    "Unterminated template string", "No closing marker was found for the string.", at, begin
                )
                if kind != EOF:
                    at = self.recover(closer)
                return parts, height, at

    def interpolation(self, opening: int, begin: int, closer: int, parts: list[templates.Part]) -> bool:
        """`${ … }`. Returns whether it ends with `~}`."""
        expression = self.expression()
        kind = self.peek()
        closing = self.at
        trim = False
        if kind == T_END:
            self.at += 1
            trim = self.ends[closing] - self.starts[closing] == 2
        else:
            if not self.recovery:
                self.unclosed_interpolation(kind, closing, begin, closer)
            self.recover(T_END)
        parts.append(templates.Interpolation(expression, self.starts[opening], self.ends[closing]))
        return trim

    def unclosed_interpolation(self, kind: int, at: int, begin: int, closer: int) -> None:
        unclosed = "Unclosed template interpolation sequence"
        nesting = "This might be caused by incorrect nesting inside the given expression."
        if kind == EOF:
            self.say(
                unclosed,
                f"There is no closing brace for this interpolation sequence before the end of the file. {nesting}",
                begin,
            )
        elif kind in (C_QUOTE, O_QUOTE) and closer == C_QUOTE:
            detail = "There is no closing brace for this interpolation sequence before the end of the quoted template. "
            self.say(unclosed, detail + nesting, begin)
        elif kind == COLON:
            self.say(
                "Extra characters after interpolation expression",
                "Template interpolation doesn't expect a colon at this location. Did you intend this to be a literal "
                "sequence to be processed as part of another language? If so, you can escape it by starting with "
                '"$${" instead of just "${".',
                at,
                begin,
            )
        else:
            self.say(
                "Extra characters after interpolation expression",
                "Expected a closing brace to end the interpolation expression, but found extra characters.\n\nThis can "
                "happen when you include interpolation syntax for another language, such as shell scripting, but "
                "forget to escape the interpolation start token. If this is an embedded sequence for another language, "
                'escape it by starting with "$${" instead of just "${".',
                at,
                begin,
            )

    def directive(self, opening: int, begin: int, parts: list[templates.Part]) -> bool:
        """`%{ … }`. Returns whether it ends with `~}`."""
        if self.peek() != IDENT:
            self.say_unless_lost(
                "Invalid template directive",
                'A template directive keyword ("if", "for", etc) is expected at the beginning of a %{ sequence.',
                self.at,
                opening,
            )
            self.recover(T_END)
            return False
        keyword = self.read()
        word = self.word(keyword)
        start = self.starts[opening]
        if word == "if":
            condition = self.expression()
            self.peek()
            parts.append(templates.If(condition, start, self.ends[self.at]))
        elif word in ("else", "endif", "endfor"):
            self.peek()
            parts.append(templates.Marker(word, start, self.ends[self.at]))
        elif word == "for":
            opened = self.for_directive(start)
            if opened is None:
                self.recover(T_END)
                return False
            parts.append(opened)
        else:
            if not self.recovery:
                near = nearest(word, ("if", "for", "else", "endif", "endfor"))
                suggestion = f' Did you mean "{near}"?' if near else ""
                self.say(
                    "Invalid template control keyword",
                    f'"{word}" is not a valid template control keyword.{suggestion}',
                    keyword,
                    opening,
                )
            self.recover(T_END)
            return False
        closing = self.at
        if self.peek() != T_END:
            self.say_unless_lost(
                f"Extra characters in {word} marker",
                "Expected a closing brace to end the sequence, but found extra characters.",
                closing,
                begin,
            )
            self.recover(T_END)
            return False
        self.at += 1
        return self.ends[closing] - self.starts[closing] == 2

    def for_directive(self, start: int) -> templates.For | None:
        summary = "Invalid 'for' directive"
        if self.peek() != IDENT:
            self.say_unless_lost(summary, "For directive requires variable name after 'for'.", self.at)
            return None
        key_name, value_name = None, self.word(self.read())
        if self.peek() == COMMA:
            self.at += 1
            if self.peek() != IDENT:
                self.say_unless_lost(summary, "For directive requires value variable name after comma.", self.at)
                return None
            key_name, value_name = value_name, self.word(self.read())
        if not self.next_is_word("in"):
            self.say_unless_lost(summary, "For directive requires 'in' keyword after names.", self.at)
            return None
        self.at += 1
        collection = self.expression()
        self.peek()
        return templates.For(key_name, value_name, collection, start, self.ends[self.at])


def _constant(key: Expression) -> Value | None:
    """The key when it is plain enough for a traversal's step."""
    if isinstance(key, Literal):
        return key.value
    if isinstance(key, Template) and len(key.parts) == 1:
        part = key.parts[0]
        if isinstance(part, Literal):
            return part.value
    return None


# --- doors -----------------------------------------------------------------------------------------------------------


def decode(data: bytes, filename: str) -> tuple[str, list[Diagnostic]]:
    """The text of a file. Bytes which are no UTF-8 are kept (as lone surrogates); the parser reports them with their
    place, unless they stand in a comment, where Terraform allows them. So the list is empty, but callers should pass it on.
    """
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape"), []


def too_deep(source: Source, at: int) -> Diagnostic:
    return error(
        "Nesting too deep",
        f"Brackets, blocks and templates may be nested up to {MAX_DEPTH} levels deep, and an expression may chain up "
        f"to {MAX_HEIGHT} operators. Split this with a local value.",
        source.range(at, min(at + 1, len(source.text))),
    )


def parse(text: str, filename: str, base: Pos = Pos()) -> tuple[File, list[Diagnostic]]:
    """A configuration file. The body holds what could be read, also after errors."""
    source = Source(filename, text, base)
    file, diagnostics, _ = parse_with_tokens(source)
    return file, diagnostics


def parse_with_tokens(source: Source) -> tuple[File, list[Diagnostic], Tokens]:
    """`parse` for those who need the tokens too (formatting, editing)."""
    tokens = tokenize(source)
    diagnostics = complaints(tokens) if tokens.odd else []
    parser = Parser(tokens)
    try:
        body = parser.body(EOF)
    except (_TooDeep, _Enough) as stop:
        if isinstance(stop, _TooDeep):
            parser.diagnostics.append(too_deep(source, stop.at))
        body = Body(source, 0, len(source.text), parser.root_attributes, tuple(parser.root_blocks))
    return File(source, body), diagnostics + parser.diagnostics, tokens


def parse_expression(text: str, filename: str, base: Pos = Pos()) -> tuple[Expression, list[Diagnostic]]:
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
    except _TooDeep as deep:
        parser.diagnostics.append(too_deep(source, deep.at))
        expression = Literal(source, 0, len(text), DYNAMIC_UNKNOWN)
    return expression, diagnostics + parser.diagnostics


def parse_template(text: str, filename: str, base: Pos = Pos()) -> tuple[Expression, list[Diagnostic]]:
    """A template without quotes around it."""
    source = Source(filename, text, base)
    tokens = tokenize_template(source)
    diagnostics = complaints(tokens) if tokens.odd else []
    parser = Parser(tokens)
    expression: Expression
    try:
        expression = parser.template_inner(EOF, False, None)
    except _TooDeep as deep:
        parser.diagnostics.append(too_deep(source, deep.at))
        expression = Literal(source, 0, len(text), DYNAMIC_UNKNOWN)
    return expression, diagnostics + parser.diagnostics


def parse_traversal(text: str, filename: str, base: Pos = Pos()) -> tuple[Traversal | None, list[Diagnostic]]:
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
