"""Regular expressions with RE2's rules and Go's messages."""

from __future__ import annotations

import re as python_re
from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, parameters
from terrarium.language.types import DYNAMIC, STRING, List, Object, Tuple, Type
from terrarium.language.values import NULL, Unknown, Value

# What RE2 says of a bad pattern, in the words of Go's regexp/syntax.
_WORDS: Sequence[tuple[str, str]] = (
    ("invalid perl operator", "invalid or unsupported Perl syntax"),
    ("invalid named capture group", "invalid named capture"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
    ("bad repetition operator", "invalid nested repetition operator"),
    ("invalid repetition size", "invalid repeat count"),
    ("missing ]", "missing closing ]"),
    ("missing )", "missing closing )"),
    ("unexpected )", "unexpected )"),
    ("trailing \\", "trailing backslash at end of expression"),
    ("invalid escape sequence", "invalid escape sequence"),
    ("invalid character class range", "invalid character class range"),
    ("invalid character class", "invalid character class"),
    ("invalid UTF-8", "invalid UTF-8"),
    ("invalid group name", "invalid named capture"),
    ("duplicate capture group name", "duplicate capture group name"),
)


class BadPattern(Exception):
    """`code` is Go's name of the mistake, `part` the piece of the pattern it is in."""

    def __init__(self, code: str, part: str) -> None:
        super().__init__(f"error parsing regexp: {code}: `{part}`")
        self.code = code
        self.part = part


def compiled(pattern: str) -> Any:
    """The compiled pattern; BadPattern when it is none."""
    import re2

    if "\\C" in pattern or "(?<" in pattern:
        pattern = _as_re2(pattern)
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as wrong:
        text = wrong.args[0] if wrong.args else ""
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        head, _, part = text.partition(": ")
        if head.startswith("trailing"):
            part = pattern = ""
        if "repetition size" in head and part.endswith("}?"):
            part = part[:-1]
        for start, words in _WORDS:
            if head.startswith(start):
                return _raise(words, part if part else pattern)
        return _raise(head, part or pattern)


def _raise(code: str, part: str) -> Any:
    raise BadPattern(code, part) from None


def _as_re2(pattern: str) -> str:
    """The pattern in RE2's own spelling. Go takes `(?<name>…)` for `(?P<name>…)`, and has no `\\C`."""
    result, at, in_class = [], 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            if pattern.startswith("\\C", at) and not in_class:
                _raise("invalid escape sequence", "\\C")
            result.append(pattern[at : at + 2])
            at += 2
            continue
        if in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif pattern.startswith("(?<", at) and len(pattern) - at > 4:
            name, closing, _ = pattern[at + 3 :].partition(">")
            if not closing or not python_re.fullmatch(r"\w+", name):
                _raise("invalid named capture", f"(?<{name}{closing}")
            result.append("(?P<")
            at += 3
            continue
        result.append(char)
        at += 1
    return "".join(result)


def _names(regex: Any) -> list[str]:
    """The names of all groups in order, "" for those without."""
    by_index = {index: name for name, index in regex.groupindex.items()}
    return [by_index.get(i, "") for i in range(1, regex.groups + 1)]


def _result_type(pattern: str) -> Type:
    try:
        names = _names(compiled(pattern))
    except BadPattern as wrong:
        raise ArgumentError(0, f"invalid regexp pattern: {wrong.code} in {wrong.part}") from None
    named = [name for name in names if name]
    if not names:
        return STRING
    if named and len(named) < len(names):
        raise ArgumentError(0, "invalid regexp pattern: cannot mix both named and unnamed capture groups")
    return Object(dict.fromkeys(named, STRING)) if named else Tuple((STRING,) * len(names))


def _match(regex: Any, match: Any, type: Type) -> Value:
    def group(index: int) -> Value:
        text = match.group(index)
        return Value(STRING, NULL if text is None else text)

    if type == STRING:
        return group(0)
    if isinstance(type, Tuple):
        return Value(type, tuple(group(i) for i in range(1, regex.groups + 1)))
    return Value(type, {name: group(index) for name, index in sorted(regex.groupindex.items())})


def _regex_type(values: Sequence[Value]) -> Type:
    return DYNAMIC if isinstance(values[0].data, Unknown) else _result_type(values[0].data)


def _regex(values: Sequence[Value], type: Type) -> Value:
    regex = compiled(values[0].data)
    match = regex.search(values[1].data)
    if match is None:
        raise FunctionError("pattern did not match any part of the given string")
    return _match(regex, match, type)


def _regex_all_type(values: Sequence[Value]) -> Type:
    return List(_regex_type(values))


def _regex_all(values: Sequence[Value], type: Type) -> Value:
    assert isinstance(type, List)
    regex = compiled(values[0].data)
    return Value(type, tuple(_match(regex, m, type.element) for m in matches(regex, values[1].data)))


def matches(regex: Any, text: str) -> list[Any]:
    """All matches by Go's rule: no empty one right behind another."""
    found: list[Any] = []
    last = -1
    for match in regex.finditer(text):
        start, end = match.span()
        if start != end or start != last:
            found.append(match)
        last = end
    return found


_REFERENCE = python_re.compile(r"\$(?:(\$)|([0-9A-Za-z_]+|[^\W]+)|\{([^{}]*)\})")


def replace_all(pattern: str, text: str, new: str) -> str:
    """Go's `ReplaceAllString`: `$1`, `${1}` and `${name}` stand for groups."""
    try:
        regex = compiled(pattern)
    except BadPattern as wrong:
        raise FunctionError(str(wrong)) from None
    parts: list[str] = []
    at = 0
    for match in matches(regex, text):
        parts.append(text[at : match.start()])
        parts.append(_expand(new, match, regex))
        at = match.end()
    return "".join(parts) + text[at:]


def _expand(template: str, match: Any, regex: Any) -> str:
    def fill(reference: python_re.Match[str]) -> str:
        if reference.group(1):
            return "$"
        name = reference.group(2) if reference.group(2) is not None else reference.group(3)
        if not name or not python_re.fullmatch(r"\w+", name):
            return reference.group(0)
        if name.isascii() and name.isdigit() and not (len(name) > 1 and name[0] == "0"):
            return (match.group(int(name)) or "") if len(name) < 9 and int(name) <= regex.groups else ""
        index = regex.groupindex.get(name)
        return (match.group(index) or "") if index is not None else ""

    return _REFERENCE.sub(fill, template)


_PARAMETERS = parameters(("pattern", STRING), ("string", STRING))

FUNCTIONS: Mapping[str, Function] = {
    "regex": Function(_PARAMETERS, _regex_type, _regex),
    "regexall": Function(_PARAMETERS, _regex_all_type, _regex_all),
}
