"""Expressions: precedence climbing for operators, and recursive descent for what nests in brackets."""

from __future__ import annotations

from typing import Final

from terrarium.base.diagnostics import error
from terrarium.language import templates
from terrarium.language.nodes import (
    Binary,
    Call,
    Conditional,
    Expression,
    ForExpression,
    Literal,
    ObjectExpression,
    Parenthesised,
    Template,
    Traversal,
    TupleExpression,
    Unary,
)
from terrarium.language.step_parsing import StepParser
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
    STAR,
)
from terrarium.language.values import (
    DYNAMIC_NULL,
    FALSE,
    TRUE,
    string,
)

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


class ExpressionParser(StepParser):
    """Adds expressions."""

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
            if following in (O_PAREN, DOUBLE_COLON):
                term = self.call(at)
            else:
                self.height = 1
                constant = _CONSTANTS.get(name)
                if constant is not None:
                    term = Literal(self.source, start, end, constant)
                elif following in (DOT, O_BRACK):
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
        elif kind in (MINUS, BANG):
            self.at = at + 1
            self.descend()
            inner = self.operand()
            self.depth -= 1
            term = Unary(self.source, self.starts[at], inner.end, self.word(at), inner)
            self.rise(self.height + 1, term.start)
        else:
            term = self.no_expression(at)
        following = kinds[self.at]
        if following in (DOT, O_BRACK, NEWLINE):
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
            if kind in (NEWLINE, COMMA):
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
        if kind in (NEWLINE, COMMA):
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
