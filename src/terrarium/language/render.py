"""Diagnostics as text: Terraform's layout, with and without colour, and its JSON form.

Theory of operation. A diagnostic is first worked out as a value in the shape of Terraform's `-json` output
(`Renderer.to_json`): the place, the lines around it, what to highlight in them, the values which explain it. The text
forms are made from that value, so the two can't disagree. As in Terraform, colour and the frame of box drawing go
together: `-no-color` prints neither.

Offsets into snippets count bytes of UTF-8, so the work on lines is done on bytes.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.base.source import Pos, Range, Source, utf8, utf8_length
from terrarium.language.functions.spec import FunctionError, Parameter
from terrarium.language.tokens import SPACE
from terrarium.language.types import DYNAMIC, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import unknown

if TYPE_CHECKING:
    from terrarium.language.json_reading import Item

DEFAULT_WIDTH: Final = 78
"""How wide Terraform takes what is no terminal to be."""

MAX_SNIPPET: Final = 1 << 14
"""Bytes of source code in a message."""

_CODES: Final = {
    "bold": "1",
    "red": "31",
    "yellow": "33",
    "green": "32",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "black": "30",
    "white": "37",
    "light_gray": "37",
    "dark_gray": "90",
    "light_red": "91",
    "light_green": "92",
    "light_yellow": "93",
    "light_blue": "94",
    "light_magenta": "95",
    "light_cyan": "96",
    "default": "39",
    "dim": "2",
    "underline": "4",
    "blink_slow": "5",
    "blink_fast": "6",
    "invert": "7",
    "hidden": "8",
    "reset": "0",
}
_MARKUP = re.compile(r"(?i)\[(" + "|".join(_CODES) + r")\]")


def paint(text: str, colour: bool) -> str:
    """Terraform's markup (`[bold]`, `[reset]`) as escape codes with a reset at the end, or taken out."""
    if not colour:
        return _MARKUP.sub("", text) if "[" in text else text
    return _MARKUP.sub(lambda m: f"\x1b[{_CODES[m[1].lower()]}m", text) + "\x1b[0m"


_WORD = re.compile("[" + SPACE.replace("\n", "").replace("\xa0", "") + "]+|\n|[^" + SPACE.replace("\xa0", "") + "]+")


def wrap(text: str, limit: int) -> str:
    """Breaks lines at spaces to at most `limit` characters, but for words which are longer."""
    out: list[str] = []
    current = 0
    space = ""
    for piece in _WORD.findall(text):
        if piece == "\n":
            if space and current + len(space) <= limit:
                out.append(space)
            out.append("\n")
            current, space = 0, ""
        elif piece[0] in SPACE and piece[0] != "\xa0":
            space = piece
        else:
            if current + len(space) + min(len(piece), limit - 1) > limit:
                out.append("\n")
                current = 0
            else:
                out.append(space)
                current += len(space)
            out.append(piece)
            current += len(piece)
            space = ""
    if space and current + len(space) <= limit:
        out.append(space)
    return "".join(out)


@dataclass(slots=True)
class _Text:
    """A source prepared for snippets: its bytes, and where its lines start and end (without the newline)."""

    data: bytes
    starts: list[int]
    ends: list[int]


class Renderer:
    """Renders diagnostics of one set of sources; what it finds out about a file serves all of them."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources
        self._texts: dict[str, _Text] = {}
        self._blocks: dict[str, list[tuple[int, int, str]]] = {}
        self._roots: dict[str, Item] = {}

    # --- the value -------------------------------------------------------------------------------------------------

    def to_json(self, diagnostic: Diagnostic) -> dict[str, Any]:
        """The diagnostic as Terraform's `-json` output has it."""
        value = self._value(diagnostic)
        if "snippet" in value:
            # Offsets count the bytes of the file; what was no UTF-8 there can't be said in JSON.
            value["snippet"]["code"] = utf8(value["snippet"]["code"]).decode("utf-8", "replace")
        return value

    def _value(self, diagnostic: Diagnostic) -> dict[str, Any]:
        result: dict[str, Any] = {
            "severity": diagnostic.severity.value,
            "summary": diagnostic.summary,
            "detail": diagnostic.detail,
        }
        if diagnostic.address:
            result["address"] = diagnostic.address
        subject = diagnostic.subject
        if subject is None:
            return result
        context = diagnostic.context or subject
        snippet_start = min(context.start, subject.start, key=_byte)
        snippet_end = max(context.end, subject.end, key=_byte)
        if snippet_start.byte == snippet_end.byte:
            snippet_end = _next(snippet_end)
        end = subject.end
        if end.byte == subject.start.byte:
            end = _next(end)
        result["range"] = {
            "filename": subject.filename,
            "start": _position(subject.start),
            "end": _position(end),
        }
        if subject.filename in self.sources:
            highlight = Range(subject.filename, subject.start, end)
            result["snippet"] = self._snippet(highlight, snippet_start, snippet_end)
            result["snippet"]["values"] = [
                {"traversal": name, "statement": statement} for name, statement in sorted(diagnostic.values)
            ]
            call = _function_call(diagnostic.extra)
            if call is not None:
                result["snippet"]["function_call"] = call
        return result

    def _text(self, filename: str) -> _Text:
        text = self._texts.get(filename)
        if text is None:
            data = utf8(self.sources[filename].text)
            starts, ends = [], []
            at = 0
            while at < len(data):
                newline = data.find(b"\n", at)
                end = newline if newline >= 0 else len(data)
                starts.append(at)
                ends.append(end - 1 if newline >= 0 and data[end - 1 : end] == b"\r" else end)
                at = end + 1
            text = self._texts[filename] = _Text(data, starts, ends)
        return text

    def _snippet(self, highlight: Range, start: Pos, end: Pos) -> dict[str, Any]:
        text = self._text(highlight.filename)
        # A line with anything on it belongs to the snippet when the two share a byte or touch.
        first = max(bisect.bisect_right(text.starts, start.byte) - 1, 0)
        lines: list[bytes] = []
        begin = 0
        for index in range(first, len(text.starts)):
            line_start, line_end = text.starts[index], text.ends[index]
            if line_start > end.byte:
                break
            if line_start < line_end and line_end >= start.byte:
                if not lines:
                    begin = line_start
                lines.append(text.data[line_start:line_end])
        code = b"\n".join(lines)
        offset = highlight.start.byte - begin
        until = offset + highlight.end.byte - highlight.start.byte
        if len(code) > MAX_SNIPPET:
            # A line of a megabyte is no snippet: show what is around the place.
            cut = min(max(offset - MAX_SNIPPET // 2, 0), len(code) - MAX_SNIPPET)
            code = code[cut : cut + MAX_SNIPPET]
            offset, until = offset - cut, until - cut
        return {
            "context": self.context(highlight.filename, highlight.start.byte - 1) or None,
            "code": code.decode("utf-8", "surrogateescape"),
            "start_line": start.line,
            "highlight_start_offset": min(max(offset, 0), len(code)),
            "highlight_end_offset": min(max(until, 0), len(code)),
        }

    def context(self, filename: str, byte: int) -> str:
        """The top-level block which holds a byte of a file, as its header is written; "" outside of blocks."""
        if filename.endswith(".json"):
            return self._json_path(filename, byte)
        blocks = self._blocks.get(filename)
        if blocks is None:
            blocks = self._blocks[filename] = _block_stretches(self.sources[filename])
        index = bisect.bisect_right(blocks, (byte, 1 << 62, "")) - 1
        if index >= 0 and blocks[index][0] <= byte < blocks[index][1]:
            return blocks[index][2]
        return ""

    def _json_path(self, filename: str, byte: int) -> str:
        from terrarium.language.json_reading import path_at, read

        root = self._roots.get(filename)
        if root is None:
            root = self._roots[filename] = read(self.sources[filename])[0]
        before = self._text(filename).data[: max(byte, 0)]
        return path_at(root, len(before.decode("utf-8", "surrogateescape"))) if byte >= 0 else ""

    # --- text --------------------------------------------------------------------------------------------------------

    def render(self, diagnostic: Diagnostic, *, colour: bool, width: int = DEFAULT_WIDTH) -> str:
        """One message. With `colour`, in a frame, as on a terminal; without, as with `-no-color`."""
        value = self._value(diagnostic)
        if colour:
            return _framed(value, width)
        severity = "Error" if diagnostic.severity is Severity.ERROR else "Warning"
        head = f"\n{severity}: {value['summary']}\n\n"
        return head + _place(value, False) + _paragraphs(value["detail"], width - 1)

    def render_all(
        self, diagnostics: Iterable[Diagnostic], *, colour: bool, width: int = DEFAULT_WIDTH, ui: bool = True
    ) -> str:
        """All messages as a command prints them: in order, warnings of a kind gathered.

        With `ui` as the older commands of Terraform do (`fmt`, `console`, `state` …): in the colour of the severity, a
        newline after each. Without, as the newer ones do (`validate`, `plan`, `apply` …).
        """
        out: list[str] = []
        for diagnostic in consolidated(in_order(diagnostics)):
            text = self.render(diagnostic, colour=colour, width=width)
            if not ui:
                out.append(text if colour else paint(text, False))
                continue
            if colour:
                text = f"[{'red' if diagnostic.severity is Severity.ERROR else 'yellow'}]{text}[reset]"
            # Terraform looks for its markup in all that it prints, also in what the user wrote.
            text = paint(text, colour)
            out.append(text + "\n")
        return "".join(out)


def render(diagnostic: Diagnostic, sources: Mapping[str, Source], *, colour: bool, width: int = DEFAULT_WIDTH) -> str:
    """One message as Terraform prints it; `sources` by file name. For several, keep a `Renderer`."""
    return Renderer(sources).render(diagnostic, colour=colour, width=width)


def to_json(diagnostic: Diagnostic, sources: Mapping[str, Source]) -> dict[str, Any]:
    """One message as in Terraform's `-json` output, with its range and snippet."""
    return Renderer(sources).to_json(diagnostic)


def render_all(
    diagnostics: Iterable[Diagnostic], sources: Mapping[str, Source], *, colour: bool, width: int = DEFAULT_WIDTH
) -> str:
    """All messages of a command, ready for standard error."""
    return Renderer(sources).render_all(diagnostics, colour=colour, width=width)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Terraform's order: warnings, then errors; those without a place first, then by file (the shallow ones first) and place."""

    def key(diagnostic: Diagnostic) -> tuple[bool, bool, int, str, int, int]:
        is_error = diagnostic.severity is Severity.ERROR
        subject = diagnostic.subject
        if subject is None:
            return is_error, False, 0, "", 0, 0
        name = subject.filename
        return is_error, True, name.count("/"), name, subject.start.byte, subject.end.byte

    return sorted(diagnostics, key=key)


def consolidated(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Warnings with the same summary become the first of them, which says how many there are more."""
    result: list[Diagnostic] = []
    first: dict[str, int] = {}
    more: dict[str, int] = {}
    for diagnostic in diagnostics:
        summary = diagnostic.summary
        if diagnostic.severity is not Severity.WARNING or diagnostic.subject is None:
            result.append(diagnostic)
        elif summary in first:
            more[summary] = more.get(summary, 0) + 1
        else:
            first[summary] = len(result)
            result.append(diagnostic)
    for summary, count in more.items():
        kept = result[first[summary]]
        note = "(and one more similar warning elsewhere)"
        if count > 1:
            note = f"(and {count} more similar warnings elsewhere)"
        detail = f"{kept.detail}\n\n{note}" if kept.detail else note
        result[first[summary]] = replace(kept, detail=detail)
    return result


# --- pieces ----------------------------------------------------------------------------------------------------------


def _byte(pos: Pos) -> int:
    return pos.byte


def _next(pos: Pos) -> Pos:
    return Pos(pos.line, pos.column + 1, pos.byte + 1)


def _position(pos: Pos) -> dict[str, int]:
    return {"line": pos.line, "column": pos.column, "byte": pos.byte}


def _block_stretches(source: Source) -> list[tuple[int, int, str]]:
    """The top-level blocks of a native file: first byte, past the last byte, header."""
    from terrarium.language.parser import parse

    file, _ = parse(source.text, source.filename)
    result: list[tuple[int, int, str]] = []
    last_offset = last_byte = 0
    text = source.text
    for block in file.body.blocks:
        places: list[int] = []
        for offset in (block.start, block.end):
            last_byte += utf8_length(text[last_offset:offset])
            last_offset = offset
            places.append(last_byte)
        header = " ".join([block.type, *(quoted(label.text) for label in block.labels)])
        result.append((places[0], places[1], header))
    return result


_ESCAPED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quoted(text: str) -> str:
    """The text in double quotes, as Go's `%q` writes it."""
    if text.isprintable() and not ('"' in text or "\\" in text):
        return f'"{text}"'
    pieces: list[str] = []
    for char in text:
        if char in _ESCAPED:
            pieces.append(_ESCAPED[char])
        elif char.isprintable():
            pieces.append(char)
        elif ord(char) < 0x80:
            pieces.append(f"\\x{ord(char):02x}")
        else:
            pieces.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return '"' + "".join(pieces) + '"'


def _function_call(extra: object) -> dict[str, Any] | None:
    """The function whose call failed, when the diagnostic carries it."""
    if extra is None:
        return None
    from terrarium.language.explain import CalledFunction

    if not isinstance(extra, CalledFunction):
        return None
    function = extra.function
    signature: dict[str, Any] = {"name": extra.name.rpartition("::")[2]}
    if function.description and not extra.name.startswith("provider::"):
        signature["description"] = function.description
    signature["params"] = [_parameter(p) for p in function.parameters]
    if function.variadic is not None:
        signature["variadic_param"] = _parameter(function.variadic)
    returns = function.returns
    given = [*function.parameters, *([function.variadic] if function.variadic is not None else [])]
    if any(p.type == DYNAMIC and not p.allow_dynamic for p in given):
        returns = DYNAMIC  # with an argument of any type, nothing is said of the result
    elif not isinstance(returns, Type):
        try:
            returns = returns([unknown(p.type) for p in given])
        except FunctionError:
            returns = DYNAMIC
    signature["return_type"] = type_json(returns)
    return {"called_as": extra.name, "signature": signature}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {"name": parameter.name}
    if parameter.description:
        described["description"] = parameter.description
    return described | {"type": type_json(parameter.type)}


def type_json(type: Type) -> Any:
    """A type as cty writes it in JSON: `"string"`, `["list", "string"]`, `["object", {"a": "bool"}]`."""
    if isinstance(type, List | Set | Map):
        return [type.__class__.__name__.lower(), type_json(type.element)]
    if isinstance(type, Tuple):
        return ["tuple", [type_json(t) for t in type.elements]]
    if isinstance(type, Object):
        return ["object", {name: type_json(t) for name, t in sorted(type.attributes.items())}]
    return type.friendly()


def _place(value: dict[str, Any], colour: bool) -> str:
    """Where it is: the object, the file, the lines with the highlight, and the values."""
    out: list[str] = []
    if value.get("address"):
        out.append(f"  with {value['address']},\n")
    place = value.get("range")
    if place is None:
        return "".join(out)
    snippet = value.get("snippet")
    head = f"  on {place['filename']} line {place['start']['line']}"
    if snippet is None:
        return "".join(out) + f"{head}:\n  (source code not available)\n\n"
    out.append(head + (f", in {snippet['context']}" if snippet["context"] else "") + ":\n")
    code = utf8(snippet["code"])
    start, end = snippet["highlight_start_offset"], snippet["highlight_end_offset"]
    if end < start:
        end = min(start + 1, len(code))
    before, marked, after = (part.decode("utf-8", "replace") for part in (code[:start], code[start:end], code[end:]))
    # The code itself is no markup, so it is put in after the codes.
    frame = paint("\0[underline]\1[reset]\2", colour)
    shown = (
        frame.replace("\0", before, 1).replace("\1", marked, 1).replace("\2", after, 1)
        if colour
        else (before + marked + after)
    )
    for index, line in enumerate(shown.split("\n")):
        out.append(f"{snippet['start_line'] + index:4d}: {line}\n")
    out.append(_explanations(snippet, colour))
    out.append("\n")
    return "".join(out)


def _explanations(snippet: dict[str, Any], colour: bool) -> str:
    signature = snippet.get("function_call", {}).get("signature")
    if not snippet["values"] and signature is None:
        return ""
    out = [paint("    [dark_gray]├────────────────[reset]\n", colour)]
    bar = "    [dark_gray]│[reset]"
    if signature is not None:
        names = [p["name"] for p in signature["params"]]
        if "variadic_param" in signature:
            names.append(signature["variadic_param"]["name"] + "...")
        called = snippet["function_call"]["called_as"]
        out.append(paint(f"{bar} while calling [bold]\0[reset](", colour).replace("\0", called))
        out.append(", ".join(names) + ")\n")
    for item in snippet["values"]:
        first, *rest = item["statement"].split("\n")
        line = paint(f"{bar} [bold]\0[reset] \1\n", colour)
        out.append(line.replace("\0", item["traversal"]).replace("\1", first))
        for more in rest:
            out.append(paint(f"{bar}   \0\n", colour).replace("\0", more))
    return "".join(out)


def _paragraphs(detail: str, width: int) -> str:
    if not detail:
        return ""
    if width <= 0:
        return detail + "\n"
    lines = (line if line.startswith(" ") else wrap(line, width) for line in detail.split("\n"))
    return "".join(f"{line}\n" for line in lines)


def _framed(value: dict[str, Any], width: int) -> str:
    is_error = value["severity"] == "error"
    tone = "red" if is_error else "yellow"
    rule = paint(f"[{tone}]│[reset] ", True)
    body = paint(f"[bold][{tone}]{'Error' if is_error else 'Warning'}: [reset]", True)
    body += paint("[bold]\0[reset]\n\n", True).replace("\0", value["summary"])
    body += _place(value, True) + _paragraphs(value["detail"], width - 3)
    lines = body.split("\n")
    if lines[-1] == "":
        lines.pop()
    framed = "".join((rule.strip() if line == "" else rule) + line.removesuffix("\r") + "\n" for line in lines)
    return paint(f"[{tone}]╷[reset]", True) + "\n" + framed + paint(f"[{tone}]╵[reset]", True) + "\n"
