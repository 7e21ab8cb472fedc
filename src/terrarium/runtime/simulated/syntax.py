"""The grammar of the small shell: text to a tree. A subset of POSIX sh, enough for the scripts of manifests.

Lists (`;`, newline, `&&`, `||`, `&`), pipelines, `!`, groups, `if`, `while`, `until`, `for`; words with quotes, parameters,
command substitution and arithmetic; redirections. What is outside raises `ShellSyntaxError` with the shell's words.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RESERVED = frozenset({"if", "then", "else", "elif", "fi", "while", "until", "for", "in", "do", "done", "{", "}", "!"})
_OPERATORS = (
    "&&",
    "||",
    ";;",
    ">>",
    "2>&1",
    "2>>",
    "2>",
    "&>",
    ">&2",
    "1>&2",
    ">&",
    "|",
    "&",
    ";",
    "(",
    ")",
    "<",
    ">",
    "\n",
)


class ShellSyntaxError(ValueError):
    """`unexpected` is the token the shell would name."""

    def __init__(self, unexpected: str) -> None:
        super().__init__(f'syntax error: unexpected "{unexpected}"')


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word: literal text, or something that expands. `kind`: text, param, command, arith."""

    kind: str
    text: str
    quoted: bool = False


Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    operator: str
    target: Word = ()


@dataclass(frozen=True, slots=True)
class Simple:
    assignments: tuple[tuple[str, Word], ...] = ()
    words: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    commands: tuple[Command, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class AndOr:
    """`first`, then (operator, pipeline) pairs."""

    first: Pipeline
    rest: tuple[tuple[str, Pipeline], ...] = ()
    background: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    items: tuple[AndOr, ...] = ()


@dataclass(frozen=True, slots=True)
class If:
    branches: tuple[tuple[Script, Script], ...]
    otherwise: Script | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    condition: Script
    body: Script
    until: bool = False
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[Word, ...]
    body: Script


@dataclass(frozen=True, slots=True)
class Group:
    body: Script
    redirects: tuple[Redirect, ...] = ()


Command = Simple | If | Loop | For | Group


@dataclass(slots=True)
class _Token:
    kind: str
    """op, word or end."""
    text: str = ""
    word: Word = ()


@dataclass(slots=True)
class _Scanner:
    text: str
    at: int = 0
    tokens: list[_Token] = field(default_factory=list)

    def run(self) -> list[_Token]:
        while self.at < len(self.text):
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text[self.at] in " \t\r":
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                self._token()
        self.tokens.append(_Token("end", "end of file"))
        return self.tokens

    def _token(self) -> None:
        for operator in _OPERATORS:
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                self.tokens.append(_Token("op", operator))
                return
        start = self.at
        word = self._word()
        raw = self.text[start : self.at]
        self.tokens.append(_Token("word", raw, word))

    def _word(self) -> Word:
        parts: list[Part] = []
        plain = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n;&|()<>":
                break
            if char == "\\":
                parts, plain = self._flush(parts, plain)
                if self.at + 1 < len(self.text) and self.text[self.at + 1] != "\n":
                    parts.append(Part("text", self.text[self.at + 1], True))
                self.at += 2
            elif char == "'":
                parts, plain = self._flush(parts, plain)
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise ShellSyntaxError("end of file")
                parts.append(Part("text", self.text[self.at + 1 : end], True))
                self.at = end + 1
            elif char == '"':
                parts, plain = self._flush(parts, plain)
                self.at += 1
                parts += self._double()
            elif char in "$`":
                parts, plain = self._flush(parts, plain)
                parts.append(self._dollar(False))
            else:
                plain += char
                self.at += 1
        parts, _ = self._flush(parts, plain)
        return tuple(parts)

    @staticmethod
    def _flush(parts: list[Part], plain: str) -> tuple[list[Part], str]:
        return ([*parts, Part("text", plain)] if plain else parts), ""

    def _double(self) -> list[Part]:
        parts: list[Part] = []
        plain = ""
        while True:
            if self.at >= len(self.text):
                raise ShellSyntaxError("end of file")
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return [*parts, Part("text", plain, True)]
            if char == "\\" and self.at + 1 < len(self.text) and self.text[self.at + 1] in '$`"\\\n':
                plain += self.text[self.at + 1].replace("\n", "")
                self.at += 2
            elif char in "$`":
                parts.append(Part("text", plain, True))
                plain = ""
                parts.append(self._dollar(True))
            else:
                plain += char
                self.at += 1

    def _dollar(self, quoted: bool) -> Part:
        if self.text[self.at] == "`":
            end = self.text.find("`", self.at + 1)
            if end < 0:
                raise ShellSyntaxError("end of file")
            body, self.at = self.text[self.at + 1 : end], end + 1
            return Part("command", body, quoted)
        rest = self.text[self.at + 1 :]
        if rest.startswith("(("):
            end = rest.find("))")
            if end < 0:
                raise ShellSyntaxError("end of file")
            self.at += 1 + end + 2
            return Part("arith", rest[2:end], quoted)
        if rest.startswith("("):
            body = self._balanced("(", ")")
            return Part("command", body, quoted)
        if rest.startswith("{"):
            body = self._balanced("{", "}")
            return Part("param", body, quoted)
        name = ""
        for char in rest:
            if char.isalnum() or char == "_":
                if name == "" and char.isdigit():
                    name = char
                    break
                name += char
            else:
                if name == "" and char in "?$!#@*":
                    name = char
                break
        self.at += 1 + len(name)
        return Part("param", name, quoted) if name else Part("text", "$", True)

    def _balanced(self, opening: str, closing: str) -> str:
        depth, start, at = 0, self.at + 2, self.at + 1
        quote = ""
        while at < len(self.text):
            char = self.text[at]
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if depth == 0:
                    self.at = at + 1
                    return self.text[start:at]
            at += 1
        raise ShellSyntaxError("end of file")


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.at = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.now
        self.at += 1
        return token

    def is_op(self, *texts: str) -> bool:
        return self.now.kind == "op" and self.now.text in texts

    def is_word(self, *texts: str) -> bool:
        return self.now.kind == "word" and self.now.text in texts

    def expect(self, text: str) -> None:
        if self.now.kind == "end" or self.now.text != text:
            raise ShellSyntaxError(self.now.text)
        self.take()

    def newlines(self) -> None:
        while self.is_op("\n"):
            self.take()

    def script(self, *ends: str) -> Script:
        items: list[AndOr] = []
        while True:
            while self.is_op(";", "\n"):
                self.take()
            if self.now.kind == "end" or self.is_word(*ends) or (self.is_op(")") and ")" in ends):
                return Script(tuple(items))
            items.append(self.and_or())
            if self.is_op("&"):
                self.take()
                last = items.pop()
                items.append(AndOr(last.first, last.rest, True))
            elif not (self.is_op(";", "\n", ")") or self.now.kind == "end" or self.is_word(*ends)):
                raise ShellSyntaxError(self.now.text)

    def and_or(self) -> AndOr:
        first = self.pipeline()
        rest = []
        while self.is_op("&&", "||"):
            operator = self.take().text
            self.newlines()
            rest.append((operator, self.pipeline()))
        return AndOr(first, tuple(rest))

    def pipeline(self) -> Pipeline:
        negated = False
        if self.is_word("!"):
            self.take()
            negated = True
        commands = [self.command()]
        while self.is_op("|"):
            self.take()
            self.newlines()
            commands.append(self.command())
        return Pipeline(tuple(commands), negated)

    def command(self) -> Command:
        if self.is_word("if"):
            return self._if()
        if self.is_word("while", "until"):
            until = self.take().text == "until"
            condition = self.script("do")
            self.expect("do")
            body = self.script("done")
            self.expect("done")
            return Loop(condition, body, until, tuple(self.redirects()))
        if self.is_word("for"):
            return self._for()
        if self.is_word("{"):
            self.take()
            body = self.script("}")
            self.expect("}")
            return Group(body, tuple(self.redirects()))
        if self.is_op("("):
            self.take()
            body = self.script(")")
            self.expect(")")
            return Group(body, tuple(self.redirects()))
        return self.simple()

    def _if(self) -> If:
        self.take()
        branches, otherwise = [], None
        condition = self.script("then")
        self.expect("then")
        branches.append((condition, self.script("elif", "else", "fi")))
        while self.is_word("elif"):
            self.take()
            condition = self.script("then")
            self.expect("then")
            branches.append((condition, self.script("elif", "else", "fi")))
        if self.is_word("else"):
            self.take()
            otherwise = self.script("fi")
        self.expect("fi")
        return If(tuple(branches), otherwise)

    def _for(self) -> For:
        self.take()
        name = self.take().text
        words: list[Word] = []
        self.newlines()
        if self.is_word("in"):
            self.take()
            while self.now.kind == "word":
                words.append(self.take().word)
        while self.is_op(";", "\n"):
            self.take()
        self.expect("do")
        body = self.script("done")
        self.expect("done")
        return For(name, tuple(words), body)

    def redirects(self) -> list[Redirect]:
        found = []
        while self.is_op(">", ">>", "<", "2>", "2>>", "2>&1", "&>", ">&2", "1>&2", ">&"):
            operator = self.take().text
            if operator in ("2>&1", ">&2", "1>&2"):
                found.append(Redirect(operator))
            elif self.now.kind != "word":
                raise ShellSyntaxError(self.now.text)
            else:
                found.append(Redirect(operator, self.take().word))
        return found

    def simple(self) -> Simple:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            found = self.redirects()
            redirects += found
            if self.now.kind != "word":
                break
            token = self.now
            if not words and token.text in RESERVED:
                if not assignments and not redirects:
                    raise ShellSyntaxError(token.text)
                break
            self.take()
            name, equals, _ = token.text.partition("=")
            if not words and equals and name.isidentifier():
                assignments.append((name, _value_of(token.word, len(name) + 1)))
            else:
                words.append(token.word)
        if not (assignments or words or redirects):
            raise ShellSyntaxError(self.now.text)
        return Simple(tuple(assignments), tuple(words), tuple(redirects))


def _value_of(word: Word, skip: int) -> Word:
    """The word without its first `skip` characters, which are plain text."""
    first = word[0]
    rest = Part(first.kind, first.text[skip:], first.quoted)
    return ((rest,) if rest.text else ()) + word[1:]


def parse(text: str) -> Script:
    parser = _Parser(_Scanner(text).run())
    script = parser.script()
    if parser.now.kind != "end":
        raise ShellSyntaxError(parser.now.text)
    return script
