"""Templates: from the tokens between quotes, or of a heredoc, to the parts which `templates` makes a tree of."""

from __future__ import annotations

from terrarium.base.suggest import nearest
from terrarium.language import templates
from terrarium.language.nodes import (
    Expression,
    Template,
    TemplateWrap,
)
from terrarium.language.reading import MAX_DEPTH, Reader, TooDeep
from terrarium.language.tokens import (
    C_HEREDOC,
    C_QUOTE,
    COLON,
    COMMA,
    EOF,
    IDENT,
    O_QUOTE,
    QUOTED_LIT,
    SPACE,
    STRING_LIT,
    T_CONTROL,
    T_END,
    T_INTERP,
)


class TemplateParser(Reader):
    """Adds templates. What stands between `${` and `}` is an expression, which a subclass knows to read."""

    def expression(self, tightness: int = 1) -> Expression:
        raise AssertionError("a template needs a parser of expressions")

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
            raise TooDeep(deep)
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
            if kind in (STRING_LIT, QUOTED_LIT):
                start, end = self.starts[at], self.ends[at]
                text, wrong = templates.unescape(self.source, start, end, kind == QUOTED_LIT)
                self.diagnostics += wrong
                parts.append(templates.Text(text.lstrip(SPACE) if trim else text, start, end))
                can_trim = True
            elif kind in (T_INTERP, T_CONTROL):
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
