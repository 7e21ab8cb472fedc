"""For tools: read a configuration file, find things in it, change an attribute, and leave everything else as it was.

    document = edit.parse(Path("main.tf").read_text(), "main.tf")
    vpc = document.find("resource", "aws_vpc", "this")
    document = document.set(vpc, "cidr_block", '"10.1.0.0/16"')
    print(document.format())

A `Document` is a value: each change gives a new one, made by replacing a stretch of the text and reading it again. So
comments, blank lines and odd spacing around a change stay, and nothing can be left half changed. Blocks belong to the
document they were found in; find them again after a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, has_errors
from terrarium.base.source import Source
from terrarium.language.format import format_text
from terrarium.language.nodes import Attribute, Block, Body
from terrarium.language.parser import parse_expression, parse_with_tokens
from terrarium.language.tokens import COMMENT


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as it was written, without the newline which ends it; `start` and `end` are character offsets."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A parsed file. `diagnostics` says what is wrong with it; what could be read is there all the same."""

    source: Source
    body: Body
    comments: tuple[Comment, ...]
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def text(self) -> str:
        return self.source.text

    def blocks(self, type: str | None = None) -> Iterator[Block]:
        """The blocks of the file, also those inside others, outer ones first."""
        pending: list[Block] = list(reversed(self.body.blocks))
        while pending:
            block = pending.pop()
            if type is None or block.type == type:
                yield block
            pending.extend(reversed(block.body.blocks))

    def find(self, type: str, *labels: str) -> Block | None:
        """The first top-level block of this type and these labels."""
        for block in self.body.blocks:
            if block.type == type and tuple(label.text for label in block.labels) == labels:
                return block
        return None

    def attribute(self, block: Block | None, name: str) -> Attribute | None:
        """An attribute of a block, or of the file itself (`block` None)."""
        return (self.body if block is None else block.body).attributes.get(name)

    def lead_comments(self, node: Attribute | Block) -> tuple[Comment, ...]:
        """The comments on the lines right above an attribute or block."""
        found: list[Comment] = []
        at = self.text.rfind("\n", 0, node.start) + 1
        for comment in reversed(self.comments):
            if (
                comment.end < at
                and not self.text[comment.end : at].strip(" \t\r").strip("\n")
                and (self.text[comment.end : at].count("\n") == 1)
            ):
                begin = self.text.rfind("\n", 0, comment.start) + 1
                if self.text[begin : comment.start].strip():
                    break
                found.append(comment)
                at = begin
        return tuple(reversed(found))

    def replace(self, start: int, end: int, text: str) -> Document:
        """This document with a stretch of its text replaced."""
        return parse(self.text[:start] + text + self.text[end:], self.source.filename)

    def set(self, block: Block | None, name: str, expression: str) -> Document:
        """Sets an attribute to an expression, written as in a file. A new attribute goes last, with its block's indentation.

        ValueError when `expression` is none, or would reach beyond its line.
        """
        _, wrong = parse_expression(expression, "")
        if has_errors(wrong):
            raise ValueError(f"no expression: {wrong[0].summary}: {expression!r}")
        existing = self.attribute(block, name)
        if existing is not None:
            result = self.replace(existing.expression.start, existing.expression.end, expression)
        else:
            result = self._append(block, f"{name} = {expression}")
        if has_errors(result.diagnostics) and not has_errors(self.diagnostics):
            raise ValueError(f"put this expression in parentheses: {expression!r}")
        return result

    def _append(self, block: Block | None, line: str) -> Document:
        text = self.text
        if block is None:
            before = "" if not text or text.endswith("\n") else "\n"
            return self.replace(len(text), len(text), f"{before}{line}\n")
        close = block.end - 1
        begin = text.rfind("\n", 0, close) + 1
        if begin > block.header_end and not text[begin:close].strip():
            return self.replace(begin, begin, f"{text[begin:close]}  {line}\n")
        # A block on one line is opened up.
        indent = text[text.rfind("\n", 0, block.start) + 1 : block.start]
        inner = text[block.body.start + 1 : close].strip()
        kept = f"{indent}  {inner}\n" if inner else ""
        return self.replace(block.body.start + 1, close, f"\n{kept}{indent}  {line}\n{indent}")

    def remove(self, node: Attribute | Block) -> Document:
        """Without an attribute or block, and without its line when nothing else stands there."""
        text = self.text
        begin = text.rfind("\n", 0, node.start) + 1
        end = text.find("\n", node.end)
        end = len(text) if end < 0 else end + 1
        if text[begin : node.start].strip() or text[node.end : end].strip():
            return self.replace(node.start, node.end, "")
        return self.replace(begin, end, "")

    def format(self) -> str:
        """The text in canonical layout, as `terraform fmt` writes it."""
        return format_text(self.text)


def parse(text: str, filename: str = "") -> Document:
    """Reads a native syntax file. Never fails: see `Document.diagnostics`."""
    source = Source(filename, text)
    file, diagnostics, tokens = parse_with_tokens(source)
    comments = tuple(
        Comment(text[start:end].rstrip("\r\n"), start, start + len(text[start:end].rstrip("\r\n")))
        for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True)
        if kind == COMMENT
    )
    return Document(source, file.body, comments, tuple(diagnostics))
