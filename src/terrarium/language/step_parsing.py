"""Terms of one token, and the steps after a term: `.name`, `.0`, `.*`, `[*]`, `[key]`."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from terrarium.language.nodes import (
    Attr,
    Expression,
    Index,
    IndexExpression,
    Literal,
    RelativeTraversal,
    Splat,
    SplatItem,
    Step,
    Template,
    Traversal,
)
from terrarium.language.template_parsing import TemplateParser
from terrarium.language.tokens import (
    C_BRACK,
    DOT,
    IDENT,
    NEWLINE,
    NUMBER,
    O_BRACK,
    STAR,
)
from terrarium.language.values import (
    DYNAMIC_UNKNOWN,
    Value,
    number,
)

_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
_MAX_EXPONENT: Final = 4000
"""A number literal beyond 10^±4000 is refused; Terraform's own end is far out but no value anybody writes."""


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


class StepParser(TemplateParser):
    """Adds numbers and steps."""

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
        kinds, starts, ends, text = self.kinds, self.starts, self.ends, self.text
        while True:
            kind = kinds[self.at]
            if kind == NEWLINE:
                kind = self.peek()
            if kind == DOT:
                dot = self.at
                self.at = index = dot + 1
                kind = kinds[index]
                if kind == NEWLINE:
                    kind = self.peek()
                    index = self.at
                if kind == IDENT:
                    self.at = index + 1
                    pending.append(Attr(text[starts[index] : ends[index]], starts[dot], ends[index]))
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


def _constant(key: Expression) -> Value | None:
    """The key when it is plain enough for a traversal's step."""
    if isinstance(key, Literal):
        return key.value
    if isinstance(key, Template) and len(key.parts) == 1:
        part = key.parts[0]
        if isinstance(part, Literal):
            return part.value
    return None
