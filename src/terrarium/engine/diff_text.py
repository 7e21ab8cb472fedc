"""A tree of differences as text, in Terraform's layout: aligned names, symbols before each line, unchanged parts hidden.

One function for each kind of node, in the table `_SHOW`. Colours are written as Terraform's markup and resolved at the
end (`paint`), so that widths are those of the plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from terrarium.engine.diff_tree import (
    CREATE,
    DELETE,
    NOOP,
    UPDATE,
    BlockNode,
    Blocks,
    Change,
    Elements,
    Members,
    Node,
    Scalar,
    SensitiveNode,
    TypeChange,
    UnknownNode,
    WriteOnly,
    compare_any,
    pairs,
)
from terrarium.engine.plan import Action
from terrarium.language.json_values import Exact, JsonError, loads
from terrarium.language.render import paint
from terrarium.language.text import quote

SYMBOLS: dict[Action, str] = {
    Action.REPLACE: "[red]-[reset]/[green]+[reset]",
    Action.CREATE_REPLACE: "[green]+[reset]/[red]-[reset]",
    Action.CREATE: "  [green]+[reset]",
    Action.DELETE: "  [red]-[reset]",
    Action.FORGET: " [red].[reset]",
    Action.READ: " [cyan]<=[reset]",
    Action.UPDATE: "  [yellow]~[reset]",
    Action.NOOP: "   ",
}
IMPORTANT = ("id", "name", "tags")
_NAME = re.compile(r"[^\W\d][\w-]*\Z")


class Style(NamedTuple):
    """How the surroundings want a node shown."""

    no_null_suffix: bool = False
    force_replacement: bool = False
    forbid_replacement: bool = False
    show_unchanged: bool = False
    hide_symbols: bool = False

    def inner(self) -> Style:
        return self._replace(force_replacement=False, forbid_replacement=False)


def attribute_name(name: str) -> str:
    return name if _NAME.match(name) else quote(name)


def _symbol(action: Action, style: Style) -> str:
    return "" if style.hide_symbols else f"{SYMBOLS[action]} "


def _indent(depth: int) -> str:
    return "    " * depth


def _null_suffix(action: Action, style: Style) -> str:
    return " [dark_gray]-> null[reset]" if action is DELETE and not style.no_null_suffix else ""


def _forces(forces: bool, style: Style) -> str:
    return (
        " [red]# forces replacement[reset]"
        if (forces or style.force_replacement) and not style.forbid_replacement
        else ""
    )


def _hidden(what: str, count: int) -> str:
    return f"[dark_gray]# ({count} unchanged {what}{'' if count == 1 else 's'} hidden)[reset]"


def _escape(text: str) -> str:
    """Text that must not be read as colour markup."""
    return text.replace("[", "\x00")


PLAIN = Style()


def show(node: Node, depth: int = 0, style: Style = PLAIN) -> str:
    """The node as markup, without the symbol before it. `finish` makes text of it."""
    return _SHOW[node.__class__](node, depth, style)


def finish(markup: str, colour: bool) -> str:
    """Markup to text, with colours off at its end."""
    return (paint(markup, colour) if colour or "[" in markup else markup).replace("\x00", "[")


def pieces(markup: str, colour: bool) -> str:
    """Markup to text where each piece that ends in `[reset]` was painted for itself, as Terraform's differences are."""
    if not colour:
        return finish(markup, False)
    return finish(markup.replace("[reset]", "[reset][reset]"), True).removesuffix("\x1b[0m")


def warnings(node: Node, depth: int) -> list[str]:
    """What is to be said above a node: that its sensitivity changes."""
    if not isinstance(node, SensitiveNode) or node.before == node.after or node.inner is None:
        return []
    if node.inner.action in (CREATE, DELETE):
        return []
    what = "block" if node.block else "attribute value"
    if node.before:
        text = f"  # [yellow]Warning[reset]: this {what} will no longer be marked as sensitive\n{_indent(depth)}  # after applying this change."
    else:
        text = f"  # [yellow]Warning[reset]: this {what} will be marked as sensitive and will not\n{_indent(depth)}  # display in UI output after applying this change."
    if node.inner.action is NOOP and not node.block:
        text += " The value is unchanged."
    return [text]


# --- scalars ---------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> str:
    if value is None:
        return "[dark_gray]null[reset]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Exact):
        return value.text
    return str(value)


def _scalar(node: Scalar, depth: int, style: Style) -> str:
    if node.text:
        return _text(node, depth, style)
    before, after = _plain(node.before), _plain(node.after)
    forces = _forces(node.replace, style)
    if node.action is CREATE:
        return after + forces
    if node.action is DELETE:
        return before + _null_suffix(DELETE, style) + forces
    if node.action is NOOP:
        return before + forces
    return f"{before} [yellow]->[reset] {after}{forces}"


def _as_json(value: Any) -> Any:
    """The document in a string that looks like JSON; the string itself when it is none."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return loads(value)
        except (JsonError, ValueError, RecursionError):
            return value
    return value


def _simple(value: Any) -> str:
    return "[dark_gray]null[reset]" if value is None else _escape(quote_go(value))


def quote_go(text: str) -> str:
    """A string as Go's %q writes it, which plans use for values."""
    if text.isascii() and text.isprintable():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    named = {
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
        '"': '\\"',
        "\\": "\\\\",
    }
    out = ""
    for char in text:
        if char in named:
            out += named[char]
        elif char.isprintable():
            out += char
        else:
            code = ord(char)
            out += f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return f'"{out}"'


def _lines(text: str, depth: int, style: Style) -> list[str]:
    lead = _indent(depth + 1) + _symbol(NOOP, style)
    return [lead + _escape(line) for line in text.strip().split("\n")]


def _text(node: Scalar, depth: int, style: Style) -> str:
    forces = _forces(node.replace, style)
    if node.action in (CREATE, NOOP, DELETE):
        value = node.before if node.action is DELETE else node.after
        if value is None:
            return _simple(None) + forces
        document = _as_json(value)
        if not isinstance(document, str):
            before = None if node.action is CREATE else document
            after = None if node.action is DELETE else document
            return _json_text(node, depth, style, before, after)
        if "\n" not in value:
            suffix = _null_suffix(node.action, style) if node.action is DELETE else ""
            return _simple(value) + suffix + forces
        lines = _lines(value, depth, style)
    else:
        before, after = _as_json(node.before), _as_json(node.after)
        structured = [isinstance(d, dict | list) for d in (before, after)]
        if all(structured):
            return _json_text(node, depth, style, before, after)
        if any(structured):
            change = TypeChange(
                node.action,
                node.replace,
                Scalar(DELETE, False, node.before, None, True),
                Scalar(CREATE, False, None, node.after, True),
            )
            return show(change, depth, style)
        multiline = any(isinstance(v, str) and "\n" in v for v in (before, after))
        if not multiline:
            return f"{_simple(before)} [yellow]->[reset] {_simple(after)}{forces}"
        lines = _line_diff(before, after, depth, style)
    end = _indent(depth) + _symbol(NOOP, style) + "EOT" + _null_suffix(node.action, style)
    return f"<<-EOT{forces}\n" + "\n".join(lines) + f"\n{end}"


def _line_diff(before: Any, after: Any, depth: int, style: Style) -> list[str]:
    def split(value: Any) -> list[str]:
        if value is None:
            return ["\x01null"]
        text = str(value)
        return (text.strip() if "\n" in text else text).split("\n")

    old, new = split(before), split(after)
    lines: list[str] = []

    def put(action: Action, line: str) -> None:
        shown = "[dark_gray]null[reset]" if line == "\x01null" else _escape(line)
        lines.append(_indent(depth + 1) + _symbol(action, style) + shown)

    for i, j in pairs(old, new, lambda line: False):
        if i < len(old) and j < len(new) and old[i] == new[j]:
            put(NOOP, old[i])
            continue
        if i < len(old):
            put(DELETE, old[i])
        if j < len(new):
            put(CREATE, new[j])
    return lines


def _json_text(node: Scalar, depth: int, style: Style, before: Any, after: Any) -> str:
    inner = compare_any(Change(before, after, node.action is not CREATE, node.action is not DELETE))
    inner_style = style.inner()._replace(no_null_suffix=True)
    note = forces = ""
    action = node.action
    if inner.action is NOOP and node.action is UPDATE:
        note = " # whitespace changes force replacement" if node.replace else " # whitespace changes"
        inner_style = inner_style._replace(show_unchanged=True)
        action = NOOP
    else:
        forces = _forces(node.replace, style)
    text = show(inner, depth + 1, inner_style)
    if node.action in (CREATE, DELETE):
        action = NOOP
    if "\n" in text:
        return (
            f"jsonencode({note}\n{_indent(depth + 1)}{_symbol(action, style)}{text}{forces}\n"
            f"{_indent(depth)}{_symbol(NOOP, style)}){_null_suffix(node.action, style)}"
        )
    return f"jsonencode({text}){note}{forces}"


# --- collections -----------------------------------------------------------------------------------------------------


def _elements(node: Elements, depth: int, style: Style) -> str:
    own = node.replace and not (node.is_set and node.nested)
    children_forced = node.replace and node.is_set and node.nested
    if not node.items:
        return f"\x00]{_null_suffix(node.action, style)}{_forces(own, style)}"
    inner = style.inner()._replace(no_null_suffix=True, force_replacement=children_forced)
    whole = style.inner()._replace(show_unchanged=True)
    lead = _indent(depth + 1)
    lines = [f"\x00{_forces(own, style)}"]

    def put(item: Node, how: Style) -> None:
        lines.extend(lead + w for w in warnings(item, depth + 1))
        lines.append(f"{lead}{_symbol(item.action, how)}{show(item, depth + 1, how)},")

    waiting: list[Node] = []
    show_next = False
    for item in node.items:
        if item.action is NOOP and not show_next and not style.show_unchanged:
            waiting.append(item)
            continue
        show_next = False
        how = inner
        if node.context:
            if len(waiting) > 1:
                lines.append(f"{lead}{_symbol(NOOP, style)}{_hidden('element', len(waiting) - 1)}")
            if waiting:
                put(waiting[-1], whole)
            waiting = []
            if item.action is NOOP:
                how = whole
            else:
                show_next = True
        put(item, how)
    if waiting:
        lines.append(f"{lead}{_symbol(NOOP, style)}{_hidden('element', len(waiting))}")
    lines.append(f"{_indent(depth)}{_symbol(NOOP, style)}]{_null_suffix(node.action, style)}")
    return "\n".join(lines)


def _members(node: Members, depth: int, style: Style) -> str:
    own = node.replace and not (node.is_map and node.nested)
    children_forced = node.replace and node.is_map and node.nested
    if not node.items:
        return f"{{}}{_null_suffix(node.action, style)}{_forces(own, style)}"
    no_null = node.action is DELETE or node.nested if node.is_map else not node.nested
    inner = style.inner()._replace(no_null_suffix=no_null, force_replacement=children_forced)
    names = {key: quote_go(key) if node.is_map else attribute_name(key) for key in node.items}
    width = 0 if node.is_map and node.nested else max(map(len, names.values()))
    lead = _indent(depth + 1)
    lines = [f"{{{_forces(own, style)}"]
    unchanged = 0
    for key in sorted(node.items):
        item = node.items[key]
        how = inner
        if not node.is_map and key in IMPORTANT:
            how = inner._replace(show_unchanged=True)
        elif item.action is NOOP and not style.show_unchanged:
            unchanged += 1
            continue
        lines.extend(lead + w for w in warnings(item, depth + 1))
        comma = "," if node.is_map and isinstance(item, Members) and not item.is_map else ""
        name = _escape(names[key]).ljust(width)
        lines.append(f"{lead}{_symbol(item.action, how)}{name} = {show(item, depth + 1, how)}{comma}")
    if unchanged:
        what = "element" if node.is_map else "attribute"
        lines.append(f"{lead}{_symbol(NOOP, style)}{_hidden(what, unchanged)}")
    lines.append(f"{_indent(depth)}{_symbol(NOOP, style)}}}{_null_suffix(node.action, style)}")
    return "\n".join(lines)


def _block(node: BlockNode, depth: int, style: Style) -> str:
    if not node.attributes and not node.blocks:
        return f"{{}}{_forces(node.replace, style)}"
    names = {key: attribute_name(key) for key in node.attributes}
    width = max(map(len, names.values()), default=0)
    important, plain = style.inner()._replace(show_unchanged=True), style.inner()
    lead = _indent(depth + 1)
    lines = [f"{{{_forces(node.replace, style)}"]
    unchanged = 0
    for key in sorted(node.attributes):
        item = node.attributes[key]
        how = plain
        if key in IMPORTANT:
            how = important
        elif item.action is NOOP and not style.show_unchanged:
            unchanged += 1
            continue
        lines.extend(lead + w for w in warnings(item, depth + 1))
        lines.append(f"{lead}{_symbol(item.action, how)}{names[key].ljust(width)} = {show(item, depth + 1, how)}")
    if unchanged:
        lines.append(f"{lead}{_symbol(NOOP, style)}{_hidden('attribute', unchanged)}")
    unchanged = 0
    for key in sorted(node.blocks):
        unchanged += _block_type(key, node.blocks[key], node, lines, depth, style)
    if unchanged:
        lines.append(f"\n{lead}{_symbol(NOOP, style)}{_hidden('block', unchanged)}")
    lines.append(f"{_indent(depth)}{_symbol(NOOP, style)}}}")
    return "\n".join(lines)


def _block_type(name: str, blocks: Blocks, parent: BlockNode, lines: list[str], depth: int, style: Style) -> int:
    """Puts the blocks of one type; returns how many were unchanged and hidden."""
    unchanged = 0
    first = True
    lead = _indent(depth + 1)
    items = list(blocks.items)
    if blocks.unknown and not (len(items) == 1 and isinstance(items[0][1], UnknownNode)):
        items.insert(0, ("", UnknownNode(parent.action)))
    for key, item in items:
        hidden = {
            CREATE: blocks.after_sensitive,
            DELETE: blocks.before_sensitive,
        }.get(item.action, blocks.before_sensitive or blocks.after_sensitive)
        if hidden:
            action = item.action
            if action is NOOP and blocks.before_sensitive != blocks.after_sensitive:
                action = UPDATE
            item = SensitiveNode(action, item.replace, item, blocks.before_sensitive, blocks.after_sensitive, True)
        if item.action is NOOP and not style.show_unchanged:
            unchanged += 1
            continue
        if first and parent.attributes:
            lines.append("")
        first = False
        how = style.inner()._replace(force_replacement=blocks.replace)
        lines.extend(lead + w for w in warnings(item, depth + 1))
        label = f" {_escape(quote_go(key))}" if key else ""
        lines.append(f"{lead}{_symbol(item.action, how)}{attribute_name(name)}{label} {show(item, depth + 1, how)}")
    return unchanged


# --- the rest --------------------------------------------------------------------------------------------------------


def _unknown(node: UnknownNode, depth: int, style: Style) -> str:
    forces = _forces(node.replace, style)
    if node.action is CREATE or node.before is None:
        return f"(known after apply){forces}"
    inner = style.inner()._replace(no_null_suffix=True, forbid_replacement=node.replace)
    return f"{show(node.before, depth, inner)} [yellow]->[reset] (known after apply){forces}"


def _sensitive(node: SensitiveNode, depth: int, style: Style) -> str:
    forces = _forces(node.replace, style)
    if not node.block:
        return f"(sensitive value){_null_suffix(node.action, style)}{forces}"
    lead = _indent(depth) + _symbol(NOOP, style)
    return (
        f"{{{forces}\n{lead}  # At least one attribute in this block is (or was) sensitive,\n"
        f"{lead}  # so its contents will not be displayed.\n{lead}}}"
    )


def _type_change(node: TypeChange, depth: int, style: Style) -> str:
    assert node.before is not None
    assert node.after is not None
    style = style._replace(no_null_suffix=True)
    return f"{show(node.before, depth, style)} [yellow]->[reset] {show(node.after, depth, style)}"


def _write_only(node: WriteOnly, depth: int, style: Style) -> str:
    words = "(sensitive, write-only attribute)" if node.sensitive else "(write-only attribute)"
    return f"{words}{_null_suffix(node.action, style)}{_forces(node.replace, style)}"


_SHOW: dict[type, Callable[[Any, int, Style], str]] = {
    Scalar: _scalar,
    Elements: _elements,
    Members: _members,
    BlockNode: _block,
    UnknownNode: _unknown,
    SensitiveNode: _sensitive,
    TypeChange: _type_change,
    WriteOnly: _write_only,
}
__all__ = ["SYMBOLS", "Style", "attribute_name", "finish", "json", "show"]
