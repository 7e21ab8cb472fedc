"""YAML as the API server reads and writes it: YAML 1.1 by the rules of Go's sigs.k8s.io/yaml.

`y`, `on` and their like are booleans, `0777` is octal, keys become strings, what looks like a time stays text, and
base-60 numbers are no numbers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

_BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_BOOL = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INTEGERS = (
    (re.compile(r"[-+]?0b[01]+\Z"), 2),
    (re.compile(r"[-+]?0x[0-9a-fA-F]+\Z"), 16),
    (re.compile(r"[-+]?0o?[0-7]+\Z"), 8),
    (re.compile(r"[-+]?[0-9]+\Z"), 10),
)


class YamlError(ValueError):
    """Text that is no YAML; `str()` is near to the sentence of the real parser (`yaml: line 2: …`)."""


def _plain(text: str) -> Any:
    """The value of an unquoted scalar."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] in "+-.0123456789":
        digits = text.replace("_", "")
        for pattern, base in _INTEGERS:
            if pattern.match(digits):
                value = int(digits.replace("0o", "0") if base == 8 else digits, base)
                return value if -(2**63) <= value < 2**64 else float(value)
        if _FLOAT.match(digits):
            return float(digits)
        if digits.lower() in (".inf", "+.inf", "-.inf", ".nan"):
            return float(digits.replace(".", ""))
    return text


class _Loader(_BASE):  # type: ignore[misc,valid-type]
    """Builds values from nodes by the rules above. Aliases may not make a document endless, or much larger than it is."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._left = len(stream) * 4 + 10_000
        self._open: set[int] = set()

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        self._left -= 1
        if self._left < 0:
            raise YamlError("yaml: document contains excessive aliasing")
        if id(node) in self._open:
            raise YamlError("yaml: anchor value contains itself")
        self._open.add(id(node))
        made = self._construct(node)
        self._open.discard(id(node))
        return made

    def _construct(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            if node.style or node.tag == "tag:yaml.org,2002:binary":
                return node.value
            return _plain(node.value)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct_object(item) for item in node.value]
        assert isinstance(node, yaml.MappingNode)
        self.flatten_mapping(node)
        made: dict[str, Any] = {}
        for key, value in node.value:
            made[_key(self.construct_object(key))] = self.construct_object(value)
        return made


def _key(value: Hashable) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case float():
            return repr(value).removesuffix(".0")
    return str(value)


def load(body: bytes) -> Any:
    """The value of the first document. Raises `YamlError`."""
    try:
        return next(iter(yaml.load_all(body, _Loader)), None)
    except yaml.MarkedYAMLError as wrong:
        line = f"line {wrong.problem_mark.line + 1}: " if wrong.problem_mark else ""
        raise YamlError(f"yaml: {line}{wrong.problem or wrong}") from None
    except YamlError:
        raise
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as wrong:
        raise YamlError(f"yaml: {wrong}") from None
    except RecursionError:
        raise YamlError("yaml: exceeded max depth of 10000") from None


def duplicates(body: bytes) -> list[str]:
    """Keys given twice: `line 7: key "a" already set in map`."""
    found: list[str] = []

    walked: set[int] = set()

    def walk(node: yaml.Node | None) -> None:
        if id(node) in walked:
            return
        walked.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                walk(item)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        found.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
                    seen.add(key.value)
                walk(value)

    try:
        walk(yaml.compose(body, _BASE))
    except yaml.YAMLError:
        return []
    return found


_WIDTH = 80
"""Where Go's YAML begins a new line inside plain texts."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value and not value[:1].isspace():
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    if not isinstance(_plain(value), str) or re.match(r"\d{4}-\d\d?-\d\d?", value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", value)


_Dumper.add_representer(str, _text)


def dump(value: Any) -> bytes:
    """Sorted keys, block style, one document."""
    text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=_WIDTH)
    return text.encode()
