"""Tokens to a tree: recursive descent by the CEL grammar, with the texts that cel-go's parser has for common mistakes."""

from __future__ import annotations

from collections.abc import Callable

from terrarium.kube.api.cel.lexer import RESERVED, Token, tokens
from terrarium.kube.api.cel.syntax import (
    Bind,
    Call,
    CompileError,
    Fold,
    Ident,
    ListNode,
    Literal,
    MapNode,
    Node,
    Problem,
    Select,
)

_START = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_STARTS = frozenset(
    [
        "[",
        "{",
        "(",
        ".",
        "-",
        "!",
        "true",
        "false",
        "null",
        "float",
        "int",
        "uint",
        "string",
        "bytes",
        "ident",
        "escaped",
    ]
)
_CLOSING = frozenset({"end", ")", "]", "}", ",", ":"})
_RELATIONS = {"<": "_<_", "<=": "_<=_", ">": "_>_", ">=": "_>=_", "==": "_==_", "!=": "_!=_", "in": "@in"}
_SUMS = {"+": "_+_", "-": "_-_"}
_PRODUCTS = {"*": "_*_", "/": "_/_", "%": "_%_"}
_CONSTANTS = {"true": True, "false": False, "null": None}
_DEPTH = 200


class _Stop(Exception):
    """A syntax error was noted; there is no going on."""


class _Parser:
    def __init__(self, source: str) -> None:
        self.tokens, self.problems = tokens(source)
        self.index = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.index]

    def next(self) -> Token:
        token = self.tokens[self.index]
        self.index += 1
        return token

    def fail(self, at: int, message: str) -> _Stop:
        self.problems.append(Problem(at, message))
        return _Stop()

    def accept(self, kind: str) -> Token | None:
        return self.next() if self.now.kind == kind else None

    def close(self, kind: str) -> None:
        if self.accept(kind):
            return
        token = self.now
        if token.kind in _CLOSING:
            raise self.fail(token.at, f"Syntax error: missing '{kind}' at '{token.text}'")
        after = self.tokens[self.index + 1].kind if token.kind != "end" else ""
        word = "extraneous" if after == kind else "mismatched"
        raise self.fail(token.at, f"Syntax error: {word} input '{token.text}' expecting '{kind}'")

    def whole(self) -> Node:
        node = self.expression()
        if self.now.kind != "end":
            alone = self.tokens[self.index + 1].kind == "end"
            word = "extraneous" if alone else "mismatched"
            raise self.fail(self.now.at, f"Syntax error: {word} input '{self.now.text}' expecting <EOF>")
        return node

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.fail(self.now.at, f"expression recursion limit exceeded: {_DEPTH}")
        node = self.either()
        if question := self.accept("?"):
            first = self.either()
            self.close(":")
            node = Call(question.at, "_?_:_", None, (node, first, self.expression()))
        self.depth -= 1
        return node

    def _left(self, table: dict[str, str], operand: Callable[[], Node]) -> Node:
        node = operand()
        while (name := table.get(self.now.kind)) is not None:
            operator = self.next()
            node = Call(operator.at, name, None, (node, operand()))
        return node

    def either(self) -> Node:
        return self._left({"||": "_||_"}, self.both)

    def both(self) -> Node:
        return self._left({"&&": "_&&_"}, self.relation)

    def relation(self) -> Node:
        return self._left(_RELATIONS, self.sum)

    def sum(self) -> Node:
        return self._left(_SUMS, self.product)

    def product(self) -> Node:
        return self._left(_PRODUCTS, self.unary)

    def unary(self) -> Node:
        for mark, name in (("!", "!_"), ("-", "-_")):
            if self.now.kind != mark:
                continue
            first = self.now
            if mark == "-" and self.tokens[self.index + 1].kind in ("int", "float"):
                return self.member()
            count = 0
            while self.accept(mark):
                count += 1
            node = self.member()
            return Call(first.at, name, None, (node,)) if count % 2 else node
        return self.member()

    def member(self) -> Node:
        node = self.primary()
        while True:
            if dot := self.accept("."):
                optional = self.accept("?") is not None
                name = self.now
                if name.kind not in ("ident", "escaped", "in"):
                    text = "." + ("" if name.kind == "end" else name.text)
                    raise self.fail(name.at, f"Syntax error: no viable alternative at input '{text}'")
                self.next()
                if self.now.kind == "(" and not optional and name.kind == "ident":
                    opened = self.next()
                    node = self.method(opened.at, node, name.text, self.arguments(")"))
                else:
                    node = Select(dot.at, node, name.text, optional=optional)
            elif bracket := self.accept("["):
                optional = self.accept("?") is not None
                key = self.expression()
                self.close("]")
                node = Call(bracket.at, "_[?_]" if optional else "_[_]", None, (node, key))
            else:
                return node

    def arguments(self, closing: str) -> tuple[Node, ...]:
        found: list[Node] = []
        if not self.accept(closing):
            found.append(self.expression())
            while self.accept(","):
                found.append(self.expression())
            self.close(closing)
        return tuple(found)

    def primary(self) -> Node:
        token = self.now
        if token.kind not in _STARTS:
            after = self.tokens[self.index + 1].kind if token.kind != "end" else "end"
            word = "extraneous" if after in _STARTS and after != "." else "mismatched"
            raise self.fail(token.at, f"Syntax error: {word} input '{token.text}' expecting {_START}")
        self.next()
        match token.kind:
            case "(":
                node = self.expression()
                self.close(")")
                return node
            case "[":
                return self.list(token)
            case "{":
                return self.map(token)
            case "-":
                number = self.next()
                return Literal(token.at, -number.value)
            case "true" | "false" | "null":
                return Literal(token.at, _CONSTANTS[token.kind])
            case "ident" | "." | "escaped":
                return self.name(token)
        if token.kind == "int" and token.value == 1 << 63:
            self.problems.append(Problem(token.at, "invalid int literal"))
        return Literal(token.at, token.value)

    def name(self, token: Token) -> Node:
        if token.kind == ".":
            token = self.now
            if token.kind != "ident":
                raise self.fail(token.at, f"Syntax error: no viable alternative at input '.{token.text}'")
            self.next()
        if token.kind == "ident" and token.text in RESERVED:
            self.problems.append(Problem(token.at, f"reserved identifier: {token.text}"))
        if opened := self.accept("("):
            args = self.arguments(")")
            if token.text == "has":
                return self.has(opened.at, args)
            return Call(opened.at, token.text, None, args)
        return Ident(token.at, token.text)

    def list(self, opened: Token) -> Node:
        items: list[Node] = []
        optional: set[int] = set()
        while not self.accept("]"):
            if self.accept("?"):
                optional.add(len(items))
            items.append(self.expression())
            if not self.accept(","):
                self.close("]")
                break
        return ListNode(opened.at, tuple(items), frozenset(optional))

    def map(self, opened: Token) -> Node:
        entries: list[tuple[Node, Node, bool]] = []
        while not self.accept("}"):
            optional = self.accept("?") is not None
            key = self.expression()
            self.close(":")
            entries.append((key, self.expression(), optional))
            if not self.accept(","):
                self.close("}")
                break
        return MapNode(opened.at, tuple(entries))

    # Macros

    def has(self, at: int, args: tuple[Node, ...]) -> Node:
        if len(args) != 1:
            return Call(at, "has", None, args)
        if isinstance(args[0], Select) and not args[0].optional:
            return Select(at, args[0].operand, args[0].field, test=True)
        raise self.fail(args[0].at, "invalid argument to has() macro")

    def variable(self, node: Node, text: str = "argument must be a simple name") -> str:
        if not isinstance(node, Ident):
            raise self.fail(node.at, text)
        return node.name

    def method(self, at: int, target: Node, name: str, args: tuple[Node, ...]) -> Node:
        count = len(args)
        match name, count:
            case (("all" | "exists" | "exists_one" | "existsOne" | "filter"), 2):
                kind = "exists_one" if name == "existsOne" else name
                return Fold(at, kind, target, self.variable(args[0]), "", args[1], None)
            case "map", 2 | 3:
                condition = args[1] if count == 3 else None
                return Fold(
                    at, "map", target, self.variable(args[0], "argument is not an identifier"), "", condition, args[-1]
                )
            case (("all" | "exists" | "existsOne"), 3):
                kind = "exists_one" if name == "existsOne" else name
                return Fold(at, kind, target, self.variable(args[0]), self.variable(args[1]), args[2], None)
            case (("transformList" | "transformMap" | "transformMapEntry"), 3 | 4):
                condition = args[2] if count == 4 else None
                return Fold(at, name, target, self.variable(args[0]), self.variable(args[1]), condition, args[-1])
            case (("optMap" | "optFlatMap"), 2):
                return Bind(
                    at,
                    name,
                    target,
                    self.variable(args[0], f"{name}() variable name must be a simple identifier"),
                    args[1],
                )
        return Call(at, name, target, args)


def parse(source: str) -> Node:
    """The tree of an expression; `CompileError` with cel-go's text for one that does not parse."""
    parser = _Parser(source)
    try:
        node = parser.whole()
    except _Stop:
        raise CompileError(source, parser.problems) from None
    if parser.problems:
        raise CompileError(source, parser.problems)
    return node
