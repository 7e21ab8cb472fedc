"""Label and field selectors: text to a matcher, with the refusals of apimachinery's parsers.

`parse_labels("app in (a, b),!old")` and `parse_fields("spec.nodeName=n1", kind)` give values that say whether an object
fits; both raise `SelectorError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from terrarium.kube.api import names
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import Kind, Obj

Labels = Mapping[str, str]


class SelectorError(ValueError):
    """A text that is no selector; `str()` is the message of the 400 that follows."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """`operator`: one of =, ==, !=, in, notin, exists, !, gt, lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        has = self.key in labels
        match self.operator:
            case "in" | "=" | "==":
                return has and labels[self.key] in self.values
            case "notin" | "!=":
                return not has or labels[self.key] not in self.values
            case "exists":
                return has
            case "!":
                return not has
        if not has:
            return False
        try:
            ours, theirs = int(labels[self.key]), int(self.values[0])
        except ValueError:
            return False
        return ours > theirs if self.operator == "gt" else ours < theirs

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case "gt":
                return f"{self.key}>{self.values[0]}"
            case "lt":
                return f"{self.key}<{self.values[0]}"
        return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements together; without any it fits everything, `nothing` fits nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Labels | None) -> bool:
        if self.nothing:
            return False
        held = labels or {}
        return all(r.matches(held) for r in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements) or self.nothing

    def __str__(self) -> str:
        return ",".join(str(r) for r in self.requirements)


EVERYTHING = LabelSelector()
NOTHING = LabelSelector((), True)

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def from_label_selector(selector: Mapping[str, object] | None) -> LabelSelector:
    """Of a `metav1.LabelSelector` in an object: None fits nothing, an empty one everything."""
    if selector is None:
        return NOTHING
    found = []
    labels = selector.get("matchLabels") or {}
    assert isinstance(labels, Mapping)
    for key in sorted(labels):
        found.append(Requirement(key, "in", (labels[key],)))
    expressions = selector.get("matchExpressions") or ()
    assert isinstance(expressions, Sequence)
    for expression in expressions:
        values = tuple(expression.get("values") or ())
        found.append(
            Requirement(expression.get("key", ""), _OPERATORS.get(expression.get("operator", ""), "in"), values)
        )
    return LabelSelector(tuple(found))


def from_labels(labels: Labels | None) -> LabelSelector:
    """Of a plain map (a Service's selector)."""
    return LabelSelector(tuple(Requirement(k, "=", (v,)) for k, v in sorted((labels or {}).items())))


_SYMBOLS = "()=!,<>"
_TOKENS = ("==", "!=", "=", "!", ",", "(", ")", ">", "<")


class _Lexer:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            char = text[at]
            if char in " \t\r\n":
                at += 1
                continue
            if char in _SYMBOLS:
                token = next((t for t in _TOKENS if text.startswith(t, at)), char)
                self.tokens.append((token, token))
                at += len(token)
                continue
            end = at
            while end < len(text) and text[end] not in _SYMBOLS and text[end] not in " \t\r\n":
                end += 1
            word = text[at:end]
            self.tokens.append((word if word in ("in", "notin") else "identifier", word))
            at = end
        self.tokens.append(("end", ""))
        self.at = 0

    def look(self, words: bool = False) -> tuple[str, str]:
        token, text = self.tokens[self.at]
        return ("identifier", text) if words and token in ("in", "notin") else (token, text)

    def take(self, words: bool = False) -> tuple[str, str]:
        found = self.look(words)
        if self.at < len(self.tokens) - 1:
            self.at += 1
        return found


def parse_labels(text: str) -> LabelSelector:
    """Raises `SelectorError` with `unable to parse requirement: …`."""
    if not text:
        return EVERYTHING
    return LabelSelector(tuple(sorted(_requirements(_Lexer(text)), key=lambda r: r.key)))


def _requirements(lexer: _Lexer) -> list[Requirement]:
    found: list[Requirement] = []
    while True:
        token, text = lexer.look(words=True)
        if token in ("identifier", "!"):
            found.append(_requirement(lexer))
            token, text = lexer.take()
            if token == "end":
                return found
            if token != ",":
                raise SelectorError(f"found '{text}', expected: ',' or 'end of string'")
            token, text = lexer.look(words=True)
            if token not in ("identifier", "!"):
                raise SelectorError(f"found '{text}', expected: identifier after ','")
        elif token == "end":
            return found
        else:
            raise SelectorError(f"found '{text}', expected: !, identifier, or 'end of string'")


def _requirement(lexer: _Lexer) -> Requirement:
    token, key = lexer.take(words=True)
    operator = ""
    if token == "!":
        operator = "!"
        token, key = lexer.take(words=True)
    if token != "identifier":
        raise SelectorError(f"unable to parse requirement: found '{key}', expected: identifier")
    faults = names.qualified_name(key)
    if faults:
        raise SelectorError(f"unable to parse requirement: <nil>: Invalid value: {quote(key)}: {'; '.join(faults)}")
    if operator or lexer.look()[0] in ("end", ","):
        return Requirement(key, operator or "exists")
    token, text = lexer.take()
    names_of = {"=": "=", "==": "==", "!=": "!=", "in": "in", "notin": "notin", ">": "gt", "<": "lt"}
    if token not in names_of:
        raise SelectorError(f"unable to parse requirement: found '{text}', expected: in, notin, =, ==, !=, gt, lt")
    operator = names_of[token]
    values = _values(lexer) if operator in ("in", "notin") else (_value(lexer),)
    return _checked(key, operator, values)


def _checked(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    if operator in ("gt", "lt"):
        try:
            int(values[0])
        except ValueError:
            raise SelectorError(
                "unable to parse requirement: values[0]: Invalid value: "
                f"{quote(values[0])}: for 'Gt', 'Lt' operators, the value must be an integer"
            ) from None
    for at, value in enumerate(sorted(values) if operator in ("in", "notin") else values):
        faults = names.label_value(value)
        if faults:
            raise SelectorError(
                f"unable to parse requirement: values[{at}][{key}]: Invalid value: {quote(value)}: {'; '.join(faults)}"
            )
    return Requirement(key, operator, values)


def _values(lexer: _Lexer) -> tuple[str, ...]:
    token, text = lexer.take()
    if token != "(":
        raise SelectorError(f"unable to parse requirement: found '{text}' expected: '('")
    token, text = lexer.look(words=True)
    if token == ")":
        lexer.take()
        return ("",)
    if token not in ("identifier", ","):
        raise SelectorError(f"unable to parse requirement: found '{text}', expected: ',', ')' or identifier")
    found: list[str] = []
    while True:
        token, text = lexer.take(words=True)
        if token == "identifier":
            found.append(text)
            after, word = lexer.look()
            if after == ",":
                continue
            if after == ")":
                break
            raise SelectorError(f"unable to parse requirement: found '{word}', expected: ',' or ')'")
        if token == ",":
            if not found:
                found.append("")
            after, word = lexer.look()
            if after == ")":
                found.append("")
                break
            if after == ",":
                lexer.take()
                found.append("")
            continue
        raise SelectorError(f"unable to parse requirement: found '{text}', expected: ',', or identifier")
    token, text = lexer.take()
    if token != ")":
        raise SelectorError(f"unable to parse requirement: found '{text}', expected: ')'")
    return tuple(dict.fromkeys(found))


def _value(lexer: _Lexer) -> str:
    token, _ = lexer.look(words=True)
    if token in ("end", ","):
        return ""
    token, text = lexer.take(words=True)
    if token != "identifier":
        raise SelectorError(f"unable to parse requirement: found '{text}', expected: identifier")
    return text


# -- fields -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldTerm:
    field: str
    equal: bool
    value: str
    read: Callable[[Obj], str]

    def matches(self, obj: Obj) -> bool:
        return (self.read(obj) == self.value) is self.equal


@dataclass(frozen=True, slots=True)
class FieldSelector:
    terms: tuple[FieldTerm, ...] = ()

    def matches(self, obj: Obj) -> bool:
        return all(term.matches(obj) for term in self.terms)

    def exact(self, field: str) -> str | None:
        """The value which `field` must have, if one is asked (`metadata.name` for watches and RBAC)."""
        return next((t.value for t in self.terms if t.field == field and t.equal), None)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return ",".join(f"{t.field}{'=' if t.equal else '!='}{t.value}" for t in self.terms)


def _name(obj: Obj) -> str:
    return str(obj.get("metadata", {}).get("name", ""))


def _namespace(obj: Obj) -> str:
    return str(obj.get("metadata", {}).get("namespace", ""))


_WORDED = {"jobs.batch": "field label {} not supported for Job"}
"""Kinds that refuse unknown fields in words of their own."""


def parse_fields(text: str, kind: Kind) -> FieldSelector:
    """Raises `SelectorError`."""
    terms: list[FieldTerm] = []
    for part in _split(text):
        if not part:
            continue
        field, operator, value = _operands(part)
        if not operator:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        value = _unescaped(value)
        read: Callable[[Obj], str]
        if field == "metadata.name":
            read = _name
        elif field == "metadata.namespace" and kind.namespaced:
            read = _namespace
        elif field in kind.selectable:
            read = kind.selectable[field]
        elif field == "metadata.namespace" and kind.schema and not kind.selectable:
            read = _namespace
        elif kind.resource in _WORDED:
            raise SelectorError(_WORDED[kind.resource].format(quote(field)))
        elif kind.selectable or not kind.schema:
            raise SelectorError(f"field label not supported: {field}")
        else:
            raise SelectorError(
                f'{quote(field)} is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
        terms.append(FieldTerm(field, operator != "!=", value, read))
    return FieldSelector(tuple(sorted(terms, key=lambda t: t.field)))


def _split(text: str) -> list[str]:
    parts: list[str] = []
    start = 0
    escaped = False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return parts


def _operands(part: str) -> tuple[str, str, str]:
    for at in range(len(part)):
        for operator in ("!=", "==", "="):
            if part.startswith(operator, at):
                return part[:at], operator, part[at + len(operator) :]
    return part, "", ""


def _unescaped(text: str) -> str:
    made: list[str] = []
    chars = iter(text)
    for char in chars:
        if char == "\\":
            following = next(chars, None)
            if following is None or following not in "\\,=":
                raise SelectorError(f'invalid field selector: invalid escape sequence: "\\{following or ""}"')
            made.append(following)
        elif char in ",=":
            raise SelectorError(f"invalid field selector: unescaped character in value: {quote(char)[1:-1]!r}")
        else:
            made.append(char)
    return "".join(made)
