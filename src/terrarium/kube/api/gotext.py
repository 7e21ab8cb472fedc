"""Values as Go's `fmt` prints them: messages of the API server hold such texts (`map[a:b]`, `[]string{"x"}`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def v(value: Any) -> str:
    """As `%v` prints a decoded JSON value."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "map[" + " ".join(f"{k}:{v(value[k])}" for k in sorted(value)) + "]"
        case str():
            return value
        case Sequence():
            return "[" + " ".join(v(item) for item in value) + "]"
    return str(value)


def quote(text: str) -> str:
    """As `%q` prints a string."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\n\t\r":
            out.append({"\n": "\\n", "\t": "\\t", "\r": "\\r"}[char])
        elif char in "\a\b\f\v":
            out.append({"\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}[char])
        elif code < 32 or code == 127:
            out.append(f"\\x{code:02x}")
        elif not char.isprintable():
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
        else:
            out.append(char)
    out.append('"')
    return "".join(out)


def strings(values: Sequence[str] | None) -> str:
    """A slice of strings as `%#v` prints it."""
    if values is None:
        return "[]string(nil)"
    return "[]string{" + ", ".join(quote(item) for item in values) + "}"


def string_map(values: Mapping[str, str] | None) -> str:
    """A map of strings as `%#v` prints it."""
    if values is None:
        return "map[string]string(nil)"
    return "map[string]string{" + ", ".join(f"{quote(k)}:{quote(values[k])}" for k in sorted(values)) + "}"


def value(held: Any) -> str:
    """A decoded JSON value as `%#v` prints it."""
    match held:
        case None:
            return "interface {}(nil)"
        case bool():
            return "true" if held else "false"
        case str():
            return quote(held)
        case Mapping():
            inner = ", ".join(f"{quote(k)}:{value(held[k])}" for k in sorted(held))
            return f"map[string]interface {{}}{{{inner}}}"
        case Sequence():
            return f"[]interface {{}}{{{', '.join(value(item) for item in held)}}}"
    return str(held)


def label_selector(selector: Mapping[str, Any]) -> str:
    """A `metav1.LabelSelector` as `%#v` prints it."""
    expressions = selector.get("matchExpressions")
    if expressions is None:
        printed = "[]v1.LabelSelectorRequirement(nil)"
    else:
        inner = ", ".join(
            f"v1.LabelSelectorRequirement{{Key:{quote(e.get('key', ''))}, Operator:{quote(e.get('operator', ''))}, "
            f"Values:{strings(e.get('values'))}}}"
            for e in expressions
        )
        printed = f"[]v1.LabelSelectorRequirement{{{inner}}}"
    return f"v1.LabelSelector{{MatchLabels:{string_map(selector.get('matchLabels'))}, MatchExpressions:{printed}}}"


def compact_json(value: Any) -> str:
    """As Go's encoder writes a value it holds as a plain map: keys sorted, HTML characters escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
