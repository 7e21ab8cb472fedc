"""YAML as Terraform reads and writes it: YAML 1.2's core rules over libyaml's syntax (go-cty-yaml).

Reading takes the events of PyYAML's parser and resolves scalars by our own rules. Writing is libyaml's block style, of
which only what values need is here: plain numbers, double-quoted strings, literal strings of several lines.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from terrarium.language.convert import convert
from terrarium.language.functions.spec import Function, FunctionError, Parameter, parameters
from terrarium.language.numbers import parse, to_text
from terrarium.language.text import nfc, quote
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, Object, Type
from terrarium.language.values import (
    DYNAMIC_NULL,
    FALSE,
    NULL,
    TRUE,
    Unknown,
    Value,
    object_of,
    tuple_of,
)

# --- reading ---------------------------------------------------------------------------------------------------------

_LONG: Final = "tag:yaml.org,2002:"
_WORDS: dict[str, Value] = {}
for _value, _words in (
    (TRUE, "y Y yes Yes YES true True TRUE on On ON"),
    (FALSE, "n N no No NO false False FALSE off Off OFF"),
    (DYNAMIC_NULL, "~ null Null NULL"),
    (Value(NUMBER, float("inf")), ".inf .Inf .INF +.inf +.Inf +.INF"),
    (Value(NUMBER, float("-inf")), "-.inf -.Inf -.INF"),
):
    _WORDS.update(dict.fromkeys(_words.split(), _value))
_WORDS[""] = DYNAMIC_NULL
_SCALAR_TAGS: Final = ("str", "bool", "int", "float", "null", "timestamp", "binary")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:([Tt ])(\d\d?):(\d\d?):(\d\d?)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")
_MOST_NODES: Final = 1_000_000


class _Reader:
    """One pass over the events of a document."""

    def __init__(self, events: Iterator[Any], text: str) -> None:
        self.events = events
        self.text = text
        self.anchors: dict[str, Value] = {}
        self.pending: list[str] = []
        self.nodes = 0

    def node(self, event: Any) -> Value:
        import yaml

        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise FunctionError("document is too large")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.anchor:
            self.pending.append(event.anchor)
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self.sequence(event)
        else:
            value = self.mapping(event)
        if event.anchor:
            self.pending.remove(event.anchor)
            self.anchors[event.anchor] = value
        return value

    def alias(self, event: Any) -> Value:
        if event.anchor in self.pending:
            message = f"cannot refer to anchor {quote(event.anchor)} from inside its own definition"
            raise FunctionError(_place(event.start_mark) + message)
        if event.anchor not in self.anchors:
            raise FunctionError(f"{_place(event.start_mark)}reference to undefined anchor {quote(event.anchor)}")
        return self.anchors[event.anchor]

    def tag(self, event: Any, kind: str) -> None:
        if event.tag and event.tag != _LONG + kind:
            what = "mapping" if kind == "map" else "sequence"
            raise FunctionError(f"{_place(event.start_mark)}can't interpret {what} as {event.tag}")

    def sequence(self, event: Any) -> Value:
        import yaml

        self.tag(event, "seq")
        members: list[Value] = []
        for part in self.events:
            if isinstance(part, yaml.SequenceEndEvent):
                break
            members.append(self.node(part))
        return tuple_of(members)

    def mapping(self, event: Any) -> Value:
        import yaml

        self.tag(event, "map")
        members: dict[str, Value] = {}
        for part in self.events:
            if isinstance(part, yaml.MappingEndEvent):
                break
            if isinstance(part, yaml.ScalarEvent) and not part.tag and part.value == "<<":
                self.merge(members)
                continue
            if not isinstance(part, yaml.ScalarEvent):
                raise FunctionError(f"{_place(part.start_mark)}only strings are allowed as mapping keys")
            key = convert(self.scalar(part), STRING)
            if key.data is NULL:
                raise FunctionError(f"{_place(part.start_mark)}mapping key cannot be null")
            members[key.data] = self.node(next(self.events))
        return object_of(members)

    def merge(self, members: dict[str, Value]) -> None:
        value = self.node(next(self.events))
        if not isinstance(value.type, Object):
            raise FunctionError(f"cannot merge {value.type.friendly()} into mapping")
        members.update(value.data)

    def scalar(self, event: Any) -> Value:
        if event.style == '"':
            self.check_escapes(event)
        try:
            return self.resolved(event)
        except FunctionError as wrong:
            raise FunctionError(f"{_place(event.start_mark)}{wrong}") from None

    def check_escapes(self, event: Any) -> None:
        """libyaml has learned an escaped slash; Terraform's reader has not."""
        if "/" not in event.value:
            return
        written = self.text[event.start_mark.index : event.end_mark.index]
        found = _ESCAPED_SLASH.search(written)
        if found is not None:
            line = event.start_mark.line + written.count("\n", 0, found.end())
            place = f"on line {line + 1}, column 1: " if line else ""
            raise FunctionError(f"{place}found unknown escape character")

    def resolved(self, event: Any) -> Value:
        tag: str = event.tag or ""
        text: str = nfc(event.value)
        kind = tag.removeprefix(_LONG) if tag.startswith(_LONG) else tag
        if kind and kind not in _SCALAR_TAGS:
            raise FunctionError(f"unsupported tag {quote(tag)}")
        quoted = event.style in ("'", '"')
        if kind == "" and event.style in ("|", ">"):
            return Value(STRING, text or NULL)
        first = text[:1]
        if kind not in ("str", "binary") and (not text or first in "yYnNtTfFoO~+-.0123456789"):
            if quoted:
                return Value(STRING, text)
            if text in _WORDS:
                return _WORDS[text]
            if not kind and text in (".nan", ".NaN", ".NAN"):
                raise FunctionError("floating point NaN is not supported")
            if first == "." and (found := parse(text)) is not None:
                return Value(NUMBER, found)
            if first and first in "+-0123456789":
                if kind in ("", "timestamp") and (moment := _timestamp(text)) is not None:
                    return Value(STRING, moment)
                if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
                    kind = "int" if text.isalnum() and not text.isdecimal() and text[1] in "xo" else "float"
                    tag = tag or _LONG + kind
        return self.tagged(kind, tag, text)

    def tagged(self, kind: str, tag: str, text: str) -> Value:
        if kind == "binary":
            try:
                base64.b64decode(text.replace("\n", ""), validate=True)
            except ValueError:
                raise FunctionError(f"cannot parse {quote(text)} as {tag}: not valid base64") from None
        if kind in ("", "str", "binary"):
            return Value(STRING, text)
        if kind == "null":
            return DYNAMIC_NULL
        if kind in ("float", "int") and (number := _number(text)) is not None:
            return Value(NUMBER, number)
        raise FunctionError(f"cannot parse {quote(text)} as {tag}")


def _number(text: str) -> Any:
    plain = text.replace("_", "")
    found = parse(plain)
    if found is None:
        try:
            found = int(plain, 0)
        except ValueError:
            return None
        if found.bit_length() > 64:
            return None
    return found


def _timestamp(text: str) -> str | None:
    """An RFC 3339 time when the text is a date or a time with one."""
    from datetime import datetime

    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, mark, hour, minute, second, _, zone = match.groups()
    if mark and (mark == " ") != (zone is None):
        return None
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (zone if zone and zone != "Z" else "Z")


def _place(mark: Any) -> str:
    """go-cty-yaml counts lines from 0 (from 1 where the scanner fails), and names no place in the first."""
    return f"on line {mark.line}, column {mark.column + 1}: " if mark.line else ""


def _marked(wrong: Any) -> FunctionError:
    mark = getattr(wrong, "problem_mark", None) or getattr(wrong, "context_mark", None)
    what = getattr(wrong, "problem", None) or getattr(wrong, "reason", None) or str(wrong)
    if mark is None:
        return FunctionError(what)
    if type(wrong).__name__ == "ScannerError" and mark.line:
        return FunctionError(f"on line {mark.line + 1}, column 1: {what}")
    return FunctionError(f"{_place(mark)}{what}")


def decode(text: str) -> Value:
    """The value of a YAML document. FunctionError when it is none, or more than one."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # The loader must see its input first: characters that YAML forbids are found then.
        events = yaml.parse(text, Loader=loader)
        reader = _Reader(iter(events), text)
        next(reader.events)  # the stream's start
        event = next(reader.events)
        if isinstance(event, yaml.StreamEndEvent):
            raise FunctionError("on line 1, column 1: missing start of document")
        if event.version not in (None, (1, 1)):
            raise FunctionError("found incompatible YAML document")
        try:
            value = reader.node(next(reader.events))
        except RecursionError:
            raise FunctionError("exceeded maximum nesting depth") from None
        next(reader.events)  # the document's end
        event = next(reader.events)
        if isinstance(event, yaml.DocumentStartEvent):
            mark = event.start_mark
            raise FunctionError(f"{_place(mark)}unexpected extra content after value")
        return value
    except yaml.YAMLError as wrong:
        raise _marked(wrong) from None


# --- writing ---------------------------------------------------------------------------------------------------------

_WIDTH: Final = 80
_LONGEST_KEY: Final = 128
_BREAKS: Final = "\n\r\x85\u2028\u2029"
_ESCAPES: Final = {
    0x00: "0", 0x07: "a", 0x08: "b", 0x09: "t", 0x0A: "n", 0x0B: "v", 0x0C: "f", 0x0D: "r", 0x1B: "e", 0x22: '"',
    0x5C: "\\", 0x85: "N", 0xA0: "_", 0x2028: "L", 0x2029: "P",
}  # fmt: skip


def _printable(char: str) -> bool:
    code = ord(char)
    return (
        code == 0x0A or 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xD7FF or (0xE000 <= code <= 0xFFFD and code != 0xFEFF)
    )


class _Writer:
    """libyaml's emitter: a column, the indent, and what the line holds so far."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.column = 0
        self.indent = -1
        self.blank = True  # the last thing written was white space
        self.only_indicators = True  # nothing else stands on the line
        self.open_ended = False

    def put(self, text: str) -> None:
        self.parts.append(text)
        self.column += len(text)

    def line_break(self) -> None:
        self.parts.append("\n")
        self.column = 0

    def indicator(self, text: str, *, space: bool = False, indicates: bool = False) -> None:
        if space and not self.blank:
            self.put(" ")
        self.put(text)
        self.blank = False
        self.only_indicators = self.only_indicators and indicates

    def to_indent(self) -> None:
        indent = max(self.indent, 0)
        if not self.only_indicators or self.column > indent or (self.column == indent and not self.blank):
            self.line_break()
        self.put(" " * (indent - self.column))
        self.blank = True
        self.only_indicators = True

    def node(self, value: Value, in_mapping: bool = False, as_key: bool = False) -> None:
        data, type = value.data, value.type
        if data is NULL or type.is_primitive:
            outer = self.indent
            self.indent = 2 if outer < 0 else outer + 2
            self.scalar(value, as_key, root=outer < 0)
            self.indent = outer
        elif not data:
            self.indicator("{" if isinstance(data, dict) else "[", space=True)
            self.indicator("}" if isinstance(data, dict) else "]")
        elif isinstance(data, dict):
            self.mapping(data)
        else:
            self.sequence(data, in_mapping)

    def sequence(self, members: Sequence[Value], in_mapping: bool) -> None:
        outer = self.indent
        if outer < 0:
            self.indent = 0
        elif not (in_mapping and not self.only_indicators):
            self.indent = outer + 2
        for member in members:
            self.to_indent()
            self.indicator("-", space=True, indicates=True)
            self.node(member)
        self.indent = outer

    def mapping(self, members: Mapping[str, Value]) -> None:
        outer = self.indent
        self.indent = 0 if outer < 0 else outer + 2
        for key, member in members.items():
            self.to_indent()
            if "\n" in key or any(c in _BREAKS for c in key) or len(key.encode()) > _LONGEST_KEY:
                self.indicator("?", space=True, indicates=True)
                self.node(Value(STRING, key), in_mapping=True)
                self.to_indent()
                self.indicator(":", space=True, indicates=True)
            else:
                self.node(Value(STRING, key), in_mapping=True, as_key=True)
                self.indicator(":")
            self.node(member, in_mapping=True)
        self.indent = outer

    def scalar(self, value: Value, as_key: bool, root: bool) -> None:
        data = value.data
        if data is not NULL and value.type == STRING:
            if "\n" in data and not as_key and _may_be_literal(data):
                self.literal(data)
            else:
                self.double_quoted(data, may_break=not as_key)
            return
        text = "null" if data is NULL else ("true" if data else "false") if value.type == BOOL else to_text(data)
        if not self.blank:
            self.put(" ")
        self.put(text)
        self.blank = self.only_indicators = False
        self.open_ended = root

    def double_quoted(self, text: str, may_break: bool) -> None:
        self.indicator('"', space=True)
        after_space = False
        for i, char in enumerate(text):
            if char == " ":
                if may_break and not after_space and self.column > _WIDTH and 0 < i < len(text) - 1:
                    self.to_indent()
                    if text[i + 1] == " ":
                        self.put("\\")
                else:
                    self.put(char)
                after_space = True
                continue
            after_space = False
            if not _printable(char) or char in _BREAKS or char in '"\\':
                self.put("\\" + _escape(ord(char)))
            else:
                self.put(char)
            self.only_indicators = False
        self.indicator('"')

    def literal(self, text: str) -> None:
        self.indicator("|", space=True)
        if text[0] == " " or text[0] in _BREAKS:
            self.indicator("2")
        if text[-1] not in _BREAKS:
            self.indicator("-")
        elif len(text) == 1 or text[-2] in _BREAKS:
            self.indicator("+")
        self.line_break()
        self.only_indicators = self.blank = True
        at_start = True
        for char in text:
            if char in _BREAKS:
                self.parts.append(char)
                self.column = 0
                self.only_indicators = at_start = True
                continue
            if at_start:
                self.to_indent()
            self.put(char)
            self.only_indicators = at_start = False


def _escape(code: int) -> str:
    if code in _ESCAPES:
        return _ESCAPES[code]
    return f"x{code:02X}" if code <= 0xFF else f"u{code:04X}" if code <= 0xFFFF else f"U{code:08X}"


def _may_be_literal(text: str) -> bool:
    if text[-1] == " " or not all(map(_printable, text)):
        return False
    return not re.search(f" [{_BREAKS}]", text)


def encode(value: Value) -> str:
    """The document, with its last line ended; a lone number is closed with `...`."""
    writer = _Writer()
    writer.node(value)
    text = "".join(writer.parts)
    if not text.endswith("\n"):
        text += "\n"
    return text + "...\n" if writer.open_ended else text


# --- the functions ---------------------------------------------------------------------------------------------------


def _decode_type(values: Sequence[Value]) -> Type:
    return DYNAMIC if isinstance(values[0].data, Unknown) else decode(values[0].data).type


def _encode(values: Sequence[Value], type: Type) -> Value:
    value = values[0]
    return Value(STRING, encode(value)) if value.is_wholly_known else Value(type, Unknown())


FUNCTIONS: Mapping[str, Function] = {
    "yamldecode": Function(
        parameters(("src", STRING)), _decode_type, lambda values, _: decode(values[0].data), not_null=False, whole=True
    ),
    "yamlencode": Function(
        (Parameter("value", DYNAMIC, allow_null=True, allow_dynamic=True),), STRING, _encode, not_null=False
    ),
}
