"""Base64, JSON, CSV, URLs and character sets."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence

from terrarium.language import json_values
from terrarium.language.functions.charsets import Charset, find
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters, plain
from terrarium.language.text import nfc, quote
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import SENSITIVE, Unknown, Value, object_of

# --- base64 ----------------------------------------------------------------------------------------------------------

_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)


def bytes_of(text: str) -> bytes | None:
    """The bytes of strict base64 (line breaks are let pass, as in Go); None when it is none."""
    compact = text.replace("\n", "").replace("\r", "")
    return base64.b64decode(compact) if _BASE64.fullmatch(compact) else None


def bad_offset(text: str) -> int:
    """Where Go's decoder says that base64 goes wrong: at the bad character, at the end of short padding, or at the start
    of a group that ends too early."""
    start = count = 0
    for i, char in enumerate(text):
        if char in "\r\n":
            continue
        if char == "=" and count >= 2:
            rest = text[i + 1 :].replace("\r", "").replace("\n", "")
            if count == 2 and not rest:
                return i + 1
            return i + 1 if count == 2 and rest[0] != "=" else i + 1 + (count == 2)
        if char not in _ALPHABET:
            return len(text[:i].encode())
        if count == 4:
            count = 0
        if not count:
            start = i
        count += 1
    return start if count % 4 else len(text)


def _decode_base64(values: Sequence[Value], type: Type) -> Value:
    value = values[0]
    if isinstance(value.data, Unknown):
        return Value(type, Unknown(), value.marks)
    data = bytes_of(value.data)
    if data is None:
        shown = "(sensitive value)" if SENSITIVE in value.marks else quote(value.data)
        raise FunctionError(f"failed to decode base64 data {shown}")
    try:
        return Value(STRING, nfc(data.decode()), value.marks)
    except UnicodeDecodeError:
        raise FunctionError("the result of decoding the provided string is not valid UTF-8") from None


def gzip(text: str) -> str:
    """As Terraform packs it: flushed, then closed."""
    from terrarium.language.goflate import gzipped

    return base64.b64encode(gzipped(text.encode(), flushed=True)).decode()


# --- character sets --------------------------------------------------------------------------------------------------


def _charset(name: str) -> Charset:
    found = find(name)
    if found is None:
        message = f"{quote(name)} is not a supported IANA encoding name or alias in this Terraform version"
        raise ArgumentError(1, message)
    return found


def _encode_text(values: Sequence[Value], _: Type) -> Value:
    charset = _charset(values[1].data)
    try:
        data = charset.encode(values[0].data)
    except UnicodeEncodeError:
        message = f"the given string contains characters that cannot be represented in {charset.name}"
        raise ArgumentError(0, message) from None
    return Value(STRING, base64.b64encode(data).decode())


def _decode_text(values: Sequence[Value], _: Type) -> Value:
    charset = _charset(values[1].data)
    data = bytes_of(values[0].data)
    if data is None:
        message = f"the given value is has an invalid base64 symbol at offset {bad_offset(values[0].data)}"
        raise ArgumentError(0, message)
    try:
        text = charset.decode(data)
    except UnicodeDecodeError:
        text = "\ufffd"
    if "\ufffd" in text:
        raise ArgumentError(0, f"the given string contains symbols that are not defined for {charset.name}")
    return Value(STRING, nfc(text))


# --- URLs, JSON, CSV -------------------------------------------------------------------------------------------------


def query_escape(text: str) -> str:
    from urllib.parse import quote_plus

    return quote_plus(text, safe="-_.~")


def _json_encode(values: Sequence[Value], type: Type) -> Value:
    value = values[0]
    if not value.is_wholly_known:
        if isinstance(value.data, Unknown) and not value.data.not_null:
            return Value(type, Unknown())
        prefix = ""
        if value.type == STRING:
            prefix = '"'
        elif isinstance(value.type, Object | Map):
            prefix = "{"
        elif isinstance(value.type, Tuple | List | Set):
            prefix = "["
        return Value(type, Unknown(prefix=prefix))
    try:
        return Value(STRING, json_values.encode(value))
    except json_values.JsonError as wrong:
        raise FunctionError(str(wrong)) from None


def _decoded(text: str) -> Value:
    try:
        return json_values.decode(text)
    except json_values.JsonError as wrong:
        raise FunctionError(str(wrong)) from None
    except RecursionError:
        raise FunctionError("exceeded max depth") from None


_BY_START: Mapping[str, Type] = {'"': STRING, "t": BOOL, "f": BOOL, **dict.fromkeys("-0123456789.", NUMBER)}


def _json_type(values: Sequence[Value]) -> Type:
    data = values[0].data
    if not isinstance(data, Unknown):
        return _decoded(data).type
    start = data.prefix.strip()[:1]
    if start and start not in '{["tfn-0123456789.':
        raise ArgumentError(0, f"a JSON document cannot begin with the character '{start}'")
    return _BY_START.get(start, DYNAMIC)


class BadCsv(FunctionError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"CSV parse error on line {line}: {message}")


def read_csv(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each record, by the rules of Go's encoding/csv (RFC 4180, strict quotes). BadCsv at the first
    mistake, after the records before it."""
    lines = [line[:-2] + "\n" if line.endswith("\r\n") else line for line in re.findall(r"[^\n]*\n|[^\n]+", text)]
    if lines and lines[-1].endswith("\r"):
        lines[-1] = lines[-1][:-1]
    at = 0
    while at < len(lines):
        first, line = at + 1, lines[at]
        at += 1
        if line in ("", "\n"):
            continue
        fields: list[str] = []
        while True:
            if not line.startswith('"'):
                field, comma, line = line.partition(",")
                if not comma:
                    field = field.removesuffix("\n")
                if '"' in field:
                    raise BadCsv(at, 'bare " in non-quoted-field')
                fields.append(field)
                if not comma:
                    break
                continue
            field, line, at = _quoted_field(line[1:], lines, at)
            fields.append(field)
            if line.startswith(","):
                line = line[1:]
                continue
            if line.rstrip("\n"):
                raise BadCsv(at, 'extraneous or missing " in quoted-field')
            break
        yield first, fields


def _quoted_field(line: str, lines: Sequence[str], at: int) -> tuple[str, str, int]:
    """A field whose opening quote is read: its text, the rest of the line, and the number of the next line."""
    parts: list[str] = []
    while True:
        part, closing, rest = line.partition('"')
        parts.append(part)
        if closing:
            if not rest.startswith('"'):
                return "".join(parts), rest, at
            parts.append('"')
            line = rest[1:]
            continue
        if at >= len(lines):
            raise BadCsv(at, 'extraneous or missing " in quoted-field')
        line = lines[at]
        at += 1


def _csv(values: Sequence[Value], _: Type) -> Value:
    type = _csv_type(values)
    records = read_csv(values[0].data)
    header = [nfc(name) for name in next(records)[1]]
    rows: list[Value] = []
    for line, fields in records:
        if len(fields) != len(header):
            raise BadCsv(line, "wrong number of fields")
        rows.append(object_of({name: Value(STRING, nfc(f)) for name, f in zip(header, fields, strict=True)}))
    return Value(type, tuple(rows))


def _csv_type(values: Sequence[Value]) -> Type:
    if isinstance(values[0].data, Unknown):
        return DYNAMIC
    first = next(read_csv(values[0].data), None)
    if first is None:
        raise FunctionError("missing header line")
    attributes: dict[str, Type] = {}
    for name in first[1]:
        if name in attributes:
            raise FunctionError(f"duplicate column name {quote(name)}")
        attributes[nfc(name)] = STRING
    return List(Object(attributes))


_TEXT_AND_CHARSET = parameters(("string", STRING), ("encoding", STRING))

FUNCTIONS: Mapping[str, Function] = {
    "base64decode": Function(
        (Parameter("str", STRING, allow_unknown=True, allow_marked=True),), STRING, _decode_base64
    ),
    "base64encode": plain([("str", STRING)], STRING, lambda text: base64.b64encode(text.encode()).decode()),
    "base64gzip": plain([("str", STRING)], STRING, gzip),
    "csvdecode": Function(parameters(("str", STRING)), _csv_type, _csv, whole=True),
    "jsondecode": Function(
        parameters(("str", STRING)),
        _json_type,
        lambda values, _: _decoded(values[0].data),
        not_null=False,
        whole=True,
    ),
    "jsonencode": Function(
        (Parameter("val", DYNAMIC, allow_null=True, allow_unknown=True, allow_dynamic=True),), STRING, _json_encode
    ),
    "textdecodebase64": Function(parameters(("source", STRING), ("encoding", STRING)), STRING, _decode_text),
    "textencodebase64": Function(_TEXT_AND_CHARSET, STRING, _encode_text),
    "urlencode": plain([("str", STRING)], STRING, query_escape),
}
