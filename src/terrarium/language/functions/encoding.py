"""Base64, JSON, CSV, URLs and character sets."""

from __future__ import annotations

import base64
import codecs
import re
import struct
import zlib
from collections.abc import Mapping, Sequence

from terrarium.language import json_values
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters, plain
from terrarium.language.text import nfc, quote
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import SENSITIVE, Unknown, Value, object_of

# --- base64 ----------------------------------------------------------------------------------------------------------

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)


def bytes_of(text: str) -> bytes | None:
    """The bytes of strict base64 (line breaks are let pass, as in Go); None when it is none."""
    compact = text.replace("\n", "").replace("\r", "")
    return base64.b64decode(compact) if _BASE64.fullmatch(compact) else None


def bad_offset(text: str) -> int:
    """Where Go's decoder stops in bad base64."""
    good = re.match(r"(?:[\r\n]*[A-Za-z0-9+/])*[\r\n]*", text)
    assert good is not None
    return len(text[: good.end()].encode())


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


def gzip(data: bytes) -> bytes:
    """A gzip file in the shape Go's writer gives after a flush: the data, an empty stored block, an empty last block."""
    compress = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = compress.compress(data) + compress.flush(zlib.Z_SYNC_FLUSH)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + body + b"\x01\x00\x00\xff\xff" + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


# --- character sets --------------------------------------------------------------------------------------------------

# IANA names that Python knows by another name, or not at all in this spelling.
_CHARSETS = {
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "iso-8859-6-e": "iso-8859-6",
    "ibm00858": "cp858",
    "macintosh": "mac_roman",
    "gb18030": "gb18030",
    "gbk": "gbk",
    "big5": "big5",
    "euc-jp": "euc_jp",
    "euc-kr": "euc_kr",
    "shift_jis": "shift_jis",
    "iso-2022-jp": "iso2022_jp",
    "utf-16": "utf-16-be",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "utf-8": "utf-8",
    "us-ascii": "ascii",
    "hz-gb-2312": "hz",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
}
_FAMILIES = re.compile(
    r"iso-8859-(?:[1-9]|1[0-6])|windows-125[0-8]|ibm(?:037|437|85[0257-8]|86[0235-6]|01047|1047|01140)"
)


def _codec(name: str) -> tuple[str, str]:
    """Python's codec and the IANA name of a character set."""
    low = name.lower()
    try:
        official = low if low in _CHARSETS or _FAMILIES.fullmatch(low) else _iana(low)
        return codecs.lookup(_CHARSETS.get(official, official)).name, official
    except LookupError:
        message = f"{quote(name)} is not a supported IANA encoding name or alias in this Terraform version"
        raise ArgumentError(1, message) from None


def _iana(name: str) -> str:
    found = _ALIASES.get(name)
    if found is None:
        raise LookupError(name)
    return found


_ALIASES = {
    "latin1": "iso-8859-1", "l1": "iso-8859-1", "iso_8859-1": "iso-8859-1", "cp819": "iso-8859-1", "ibm819": "iso-8859-1",
    "latin2": "iso-8859-2", "l2": "iso-8859-2", "iso_8859-2": "iso-8859-2", "latin3": "iso-8859-3",
    "latin4": "iso-8859-4", "latin5": "iso-8859-9", "latin6": "iso-8859-10", "latin-9": "iso-8859-15",
    "cyrillic": "iso-8859-5", "arabic": "iso-8859-6", "greek": "iso-8859-7", "hebrew": "iso-8859-8",
    "ascii": "us-ascii", "us": "us-ascii", "ansi_x3.4-1968": "us-ascii", "iso646-us": "us-ascii", "cp367": "us-ascii",
    "ibm367": "us-ascii", "csascii": "us-ascii", "csutf8": "utf-8", "csutf16": "utf-16", "csutf16be": "utf-16be",
    "csutf16le": "utf-16le", "ms_kanji": "shift_jis", "csshiftjis": "shift_jis", "cseucpkdfmtjapanese": "euc-jp",
    "extended_unix_code_packed_format_for_japanese": "euc-jp", "csbig5": "big5", "cseuckr": "euc-kr", "cp936": "gbk",
    "ms936": "gbk", "windows-936": "gbk", "csgbk": "gbk", "csgb18030": "gb18030", "cskoi8r": "koi8-r", "mac": "macintosh",
    "csmacintosh": "macintosh", "csiso2022jp": "iso-2022-jp", "cp437": "ibm437", "437": "ibm437", "cp850": "ibm850",
    "850": "ibm850", "cp852": "ibm852", "cp855": "ibm855", "cp858": "ibm00858", "cp860": "ibm860", "cp862": "ibm862",
    "cp863": "ibm863", "cp865": "ibm865", "cp866": "ibm866", "866": "ibm866", "cp037": "ibm037",
}  # fmt: skip
_NAMES = {
    **{
        f"iso-8859-{n}": f"ISO_8859-{n}:{1988 if n in (3, 4, 5, 8) else 1989 if n == 9 else 1987}" for n in range(1, 10)
    },
    "shift_jis": "Shift_JIS",
    "macintosh": "macintosh",
    "big5": "Big5",
    "ibm00858": "IBM00858",
}


def _shown(official: str) -> str:
    return _NAMES.get(official) or (official if official.startswith("windows") else official.upper())


def _encode_text(values: Sequence[Value], _: Type) -> Value:
    codec, official = _codec(values[1].data)
    try:
        data = values[0].data.encode(codec)
    except UnicodeEncodeError:
        message = f"the given string contains characters that cannot be represented in {_shown(official)}"
        raise ArgumentError(0, message) from None
    return Value(STRING, base64.b64encode((b"\xfe\xff" if official == "utf-16" else b"") + data).decode())


def _decode_text(values: Sequence[Value], _: Type) -> Value:
    codec, official = _codec(values[1].data)
    data = bytes_of(values[0].data)
    if data is None:
        message = f"the given value is has an invalid base64 symbol at offset {bad_offset(values[0].data)}"
        raise ArgumentError(0, message)
    if official == "utf-16" and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        codec, data = ("utf-16-le" if data[:2] == b"\xff\xfe" else "utf-16-be"), data[2:]
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        text = "\ufffd"
    if "\ufffd" in text:
        raise ArgumentError(0, f"the given string contains symbols that are not defined for {_shown(official)}")
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


def read_csv(text: str) -> list[tuple[int, list[str]]]:
    """(line, fields) of each record, by the rules of Go's encoding/csv (RFC 4180, strict quotes)."""
    lines = [line[:-2] + "\n" if line.endswith("\r\n") else line for line in re.findall(r"[^\n]*\n|[^\n]+", text)]
    if lines and lines[-1].endswith("\r"):
        lines[-1] = lines[-1][:-1]
    records: list[tuple[int, list[str]]] = []
    at = 0
    while at < len(lines):
        first, line = at + 1, lines[at]
        at += 1
        if line == "\n":
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
            line, parts = line[1:], []
            while True:
                part, closing, rest = line.partition('"')
                parts.append(part)
                if closing:
                    line = rest
                    if line.startswith('"'):
                        parts.append('"')
                        line = line[1:]
                        continue
                    break
                if at >= len(lines):
                    raise BadCsv(at, 'extraneous or missing " in quoted-field')
                line = lines[at]
                at += 1
            fields.append("".join(parts))
            if line.startswith(","):
                line = line[1:]
                continue
            if line.rstrip("\n"):
                raise BadCsv(at, 'extraneous or missing " in quoted-field')
            break
        records.append((first, fields))
    return records


def _csv(values: Sequence[Value], type: Type) -> Value:
    records = read_csv(values[0].data)
    header = [nfc(name) for name in records[0][1]]
    rows: list[Value] = []
    for line, fields in records[1:]:
        if len(fields) != len(header):
            raise BadCsv(line, "wrong number of fields")
        rows.append(object_of({name: Value(STRING, nfc(f)) for name, f in zip(header, fields, strict=True)}))
    return Value(type, tuple(rows))


def _csv_type(values: Sequence[Value]) -> Type:
    if isinstance(values[0].data, Unknown):
        return DYNAMIC
    records = read_csv(values[0].data)
    if not records:
        raise FunctionError("missing header line")
    attributes: dict[str, Type] = {}
    for name in records[0][1]:
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
    "base64gzip": plain([("str", STRING)], STRING, lambda text: base64.b64encode(gzip(text.encode())).decode()),
    "csvdecode": Function(parameters(("str", STRING)), _csv_type, _csv),
    "jsondecode": Function(
        parameters(("str", STRING)), _json_type, lambda values, _: _decoded(values[0].data), not_null=False
    ),
    "jsonencode": Function(
        (Parameter("val", DYNAMIC, allow_null=True, allow_unknown=True, allow_dynamic=True),), STRING, _json_encode
    ),
    "textdecodebase64": Function(parameters(("source", STRING), ("encoding", STRING)), STRING, _decode_text),
    "textencodebase64": Function(_TEXT_AND_CHARSET, STRING, _encode_text),
    "urlencode": plain([("str", STRING)], STRING, query_escape),
}
