"""Values as text: as `terraform console` and `terraform output` show them, and as configuration."""

from __future__ import annotations

from terrarium.language.numbers import to_text
from terrarium.language.text import quote
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import EPHEMERAL, NULL, SENSITIVE, Unknown, Value


def console_text(value: Value, indent: int = 0) -> str:
    """The value in a form near the language, from which its exact type can be told."""
    data, type = value.data, value.type
    if isinstance(data, Unknown):
        return "(known after apply)"
    if SENSITIVE in value.marks:
        return "(sensitive value)"
    if EPHEMERAL in value.marks:
        return "(ephemeral value)"
    if data is NULL:
        return _null(type)
    if type == STRING:
        return _heredoc(data, indent) if "\n" in data else quote(data)
    if type == NUMBER:
        return to_text(data)
    if type == BOOL:
        return "true" if data else "false"
    match type:
        case Object():
            return _mapping(value, indent)
        case Map():
            return f"tomap({_mapping(value, indent)})"
        case List():
            return f"tolist({_sequence(value, indent)})"
        case Set():
            return f"toset({_sequence(value, indent)})"
        case _:
            return _sequence(value, indent)


def _null(type: Type) -> str:
    match type:
        case List(element):
            return f"tolist(null) /* of {element.friendly()} */"
        case Set(element):
            return f"toset(null) /* of {element.friendly()} */"
        case Map(element):
            return f"tomap(null) /* of {element.friendly()} */"
    if type == DYNAMIC:
        return "null"
    if type.is_primitive:
        return f"to{type.friendly()}(null)"
    return f"null /* {type.friendly()} */"


def _heredoc(text: str, indent: int) -> str:
    lines = text.split("\n")
    stripped = {line.strip() for line in lines}
    delimiter = "EOT"
    while delimiter in stripped:
        delimiter += "_"
    pad = " " * indent
    body = "".join(f"\n{pad}{line}" for line in lines)
    return f"{'<<-' if indent else '<<'}{delimiter}{body}\n{pad}{delimiter}"


def _mapping(value: Value, indent: int) -> str:
    if not value.data:
        return "{}"
    pad = " " * (indent + 2)
    rows = [
        f"{pad}{console_text(Value(STRING, key), indent + 2)} = {console_text(member, indent + 2)}\n"
        for key, member in value.data.items()
    ]
    return "{\n" + "".join(rows) + " " * indent + "}"


def _sequence(value: Value, indent: int) -> str:
    if not value.data:
        return "[]"
    pad = " " * (indent + 2)
    rows = [f"{pad}{console_text(member, indent + 2)},\n" for member in value.data]
    return "[\n" + "".join(rows) + " " * indent + "]"


def type_text(type: Type, depth: int = 0) -> str:
    """What the console's `type` function prints."""
    pad, inner = "    " * depth, "    " * (depth + 1)
    match type:
        case Object(attributes):
            if not attributes:
                return "object({})"
            rows = [f"{inner}{name}: {type_text(attributes[name], depth + 1)},\n" for name in sorted(attributes)]
            return "object({\n" + "".join(rows) + pad + "})"
        case Tuple(elements):
            if not elements:
                return "tuple([])"
            rows = [f"{inner}{type_text(t, depth + 1)},\n" for t in elements]
            return "tuple([\n" + "".join(rows) + pad + "])"
        case List(element) | Set(element) | Map(element):
            name = "list" if isinstance(type, List) else "set" if isinstance(type, Set) else "map"
            if isinstance(element, Object | Tuple):
                return f"{name}(\n{inner}{type_text(element, depth + 1)},\n{pad})"
            return f"{name}({type_text(element, depth)})"
        case _:
            return type.friendly()


_ESCAPES = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"})


def hcl_string(text: str) -> str:
    """A quoted template that means just this text."""
    escaped = text.translate(_ESCAPES).replace("${", "$${").replace("%{", "%%{")
    return '"' + "".join(c if c.isprintable() else _unicode(c) for c in escaped) + '"'


def _unicode(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def hcl(value: Value, indent: int = 0) -> str:
    """The value as an expression of the native syntax. It must be wholly known; marks are not shown."""
    data, type = value.data, value.type
    assert not isinstance(data, Unknown), "an unknown value has no text"
    if data is NULL:
        return "null"
    if type == STRING:
        return hcl_string(data)
    if isinstance(data, dict):
        if not data:
            return "{}"
        keys = [key if _is_name(key) else hcl_string(key) for key in data]
        width = max(len(key) for key in keys)
        pad = " " * (indent + 2)
        rows = [
            f"{pad}{key:<{width}} = {hcl(member, indent + 2)}\n"
            for key, member in zip(keys, data.values(), strict=True)
        ]
        return "{\n" + "".join(rows) + " " * indent + "}"
    if isinstance(data, tuple):
        return "[" + ", ".join(hcl(member, indent) for member in data) + "]"
    return console_text(value.unmarked())


def _is_name(text: str) -> bool:
    return bool(text) and text.replace("-", "_").isidentifier() and text not in ("true", "false", "null", "for")
