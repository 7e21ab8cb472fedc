"""How objects and tables are printed: columns, wide, YAML, JSON, names, JSON paths, custom columns; and descriptions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from terrarium.base.diagnostics import Failure
from terrarium.kube.api import jsonpath
from terrarium.kube.api.kinds import Obj

FORMATS = ("wide", "json", "yaml", "name", "jsonpath=…", "custom-columns=…")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with each column but the last as wide as its widest cell and three spaces between, as kubectl sets them."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    widths[-1] = 0
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def cells(
    table: Obj, *, wide: bool, namespaces: bool, labels: Sequence[str] = (), show_labels: bool = False
) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a `Table`."""
    shown = [i for i, c in enumerate(table["columnDefinitions"]) if wide or not c.get("priority")]
    header = [table["columnDefinitions"][i]["name"].upper() for i in shown]
    header = [*(["NAMESPACE"] if namespaces else []), *header, *(name.rpartition("/")[2].upper() for name in labels)]
    if show_labels:
        header.append("LABELS")
    rows = []
    for row in table.get("rows") or ():
        meta = (row.get("object") or {}).get("metadata") or {}
        held = meta.get("labels") or {}
        line = [meta.get("namespace", "")] if namespaces else []
        line += [_cell(row["cells"][i]) for i in shown] + [held.get(name, "") for name in labels]
        if show_labels:
            line.append(",".join(f"{k}={v}" for k, v in sorted(held.items())) or "<none>")
        rows.append(line)
    return header, rows


def _cell(value: Any) -> str:
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


class _Dumper(yaml.SafeDumper):
    """YAML as kubectl writes it: texts that look like something else in double quotes, several lines as a block."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:str"
    if "\n" in text:
        return dumper.represent_scalar(tag, text, style="|")
    looks = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return dumper.represent_scalar(tag, text, style=None if looks == tag and text != "=" else '"')


_Dumper.add_representer(str, _represent_text)


def as_yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=2**20)
    return text


def in_format(output: str, value: Obj, items: Iterable[Obj], qualified: Callable[[Obj], str]) -> str:
    """`-o OUTPUT` of one object or a list; `qualified` names an object's type (`deployment.apps`)."""
    kind, _, rest = output.partition("=")
    if kind == "json":
        return json.dumps(value, indent=4, ensure_ascii=False, sort_keys=True) + "\n"
    if kind == "yaml":
        return as_yaml(value)
    if kind == "name":
        return "".join(f"{qualified(o)}/{o['metadata']['name']}\n" for o in items)
    if kind == "jsonpath":
        return _template(rest, value)
    if kind == "custom-columns":
        named = [column.partition(":") for column in rest.split(",")]
        paths = [jsonpath.parse(path) for _, _, path in named]
        rows = [[name for name, _, _ in named]]
        rows += [[",".join(_text(v) for v in path.find(o)) or "<none>" for path in paths] for o in items]
        return "".join(f"{line}\n" for line in columns(rows))
    raise Failure(
        f'unable to match a printer suitable for the output format "{output}"', f"Known: {', '.join(FORMATS)}."
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_Node = str | tuple[str, list["_Node"]]
"""Of a template: literal text, an action with no body, or `range PATH` with its body."""


def _template(text: str, value: Obj) -> str:
    """A JSON path template: literal text, `{.path}`, `{"literal"}` and `{range .path}…{end}`."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        text = text[1:-1]
    pieces = re.split(r"(\{[^{}]*\})", text if "{" in text else f"{{{text}}}")
    if any("{" in piece for piece in pieces[::2]):
        raise Failure("error parsing jsonpath: unclosed action", "Each { needs its }, such as {.metadata.name}.")
    return _fill(_nodes(iter(pieces), nested=False), value)


def _nodes(pieces: Iterator[str], nested: bool) -> list[_Node]:
    nodes: list[_Node] = []
    for piece in pieces:
        action = piece[1:-1].strip() if piece.startswith("{") and piece.endswith("}") else None
        if action is None:
            nodes.append(piece)
        elif action == "end" and nested:
            return nodes
        elif action == "end":
            raise Failure("the JSON path template has an {end} without a {range}")
        elif action.startswith("range "):
            nodes.append((action.removeprefix("range "), _nodes(pieces, nested=True)))
        elif action[:1] in ("'", '"'):
            nodes.append(action[1:-1].encode().decode("unicode_escape"))
        else:
            nodes.append((action, []))
    if nested:
        raise Failure("the JSON path template has a {range} without an {end}")
    return nodes


def _fill(nodes: Sequence[_Node], value: Any) -> str:
    out = []
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        elif node[1]:
            out += [_fill(node[1], item) for item in _find(node[0], value)]
        else:
            out.append(" ".join(_text(v) for v in _find(node[0], value)))
    return "".join(out)


def _find(path: str, value: Any) -> list[Any]:
    try:
        return jsonpath.parse(path.strip().removeprefix("$").removeprefix("@") or ".").find(value)
    except jsonpath.PathError as error:
        raise Failure(f"error parsing jsonpath {path}: {error}") from None


# --- describe -------------------------------------------------------------------------------------------------------

_HEAD = ("name", "namespace", "labels", "annotations", "creationTimestamp")
_SKIPPED = {"managedFields", "resourceVersion", "uid", "generation", "selfLink", *_HEAD}


def description(obj: Obj, events: Sequence[Obj], age: Callable[[str], str]) -> str:
    """An object as `kubectl describe` would: the head, status and node of a pod, every field, then its events."""
    meta = obj["metadata"]
    lines: list[str] = []
    _field(lines, "Name", meta["name"])
    if "namespace" in meta:
        _field(lines, "Namespace", meta["namespace"])
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if obj.get("kind") == "Pod":
        priority = spec.get("priority")
        _field(lines, "Priority", "0" if priority is None else str(priority))
        _field(lines, "Node", f"{spec['nodeName']}/{status.get('hostIP', '')}" if spec.get("nodeName") else "<none>")
        _field(lines, "Status", "Terminating" if meta.get("deletionTimestamp") else status.get("phase", ""))
        _field(lines, "IP", status.get("podIP", ""))
    _pairs(lines, "Labels", meta.get("labels") or {}, "=")
    _pairs(lines, "Annotations", meta.get("annotations") or {}, ": ")
    _field(lines, "Created", meta.get("creationTimestamp") or "<unset>")
    rest = {k: v for k, v in meta.items() if k not in _SKIPPED}
    body = {
        **({"metadata": rest} if rest else {}),
        **{k: v for k, v in obj.items() if k not in ("metadata", "kind", "apiVersion")},
    }
    lines += _tree(body, 0)
    if events:
        lines.append("Events:")
        rows = [["Type", "Reason", "Age", "From", "Message"]]
        for e in events:
            source = (e.get("source") or {}).get("component") or e.get("reportingComponent", "")
            seen = e.get("lastTimestamp") or e.get("eventTime") or e["metadata"]["creationTimestamp"]
            rows.append([e.get("type", ""), e.get("reason", ""), age(seen), source, e.get("message", "").strip()])
        rows.insert(1, ["-" * len(cell) for cell in rows[0]])
        lines += [f"  {line}" for line in columns(rows)]
    else:
        _field(lines, "Events", "<none>")
    return "\n".join(lines) + "\n"


def _field(lines: list[str], name: str, value: str) -> None:
    lines.append(f"{name + ':':<18}{value}".rstrip())


def _pairs(lines: list[str], name: str, pairs: Mapping[str, str], between: str) -> None:
    texts = [f"{k}{between}{v}" for k, v in sorted(pairs.items())] or ["<none>"]
    _field(lines, name, texts[0])
    lines += [" " * 18 + text for text in texts[1:]]


def _tree(value: Any, depth: int) -> list[str]:
    pad, lines = "  " * depth, []
    for key, held in value.items():
        title = key[:1].upper() + key[1:]
        if isinstance(held, dict) and held:
            lines += [f"{pad}{title}:", *_tree(held, depth + 1)]
        elif isinstance(held, list) and held:
            lines.append(f"{pad}{title}:")
            for item in held:
                if isinstance(item, dict):
                    inner = _tree(item, depth + 2)
                    lines += [f"{pad}  - {inner[0].strip()}", *inner[1:]] if inner else [f"{pad}  - {{}}"]
                else:
                    lines.append(f"{pad}  - {item}")
        elif held not in ({}, [], None):
            lines.append(f"{pad}{title + ':':<18}{_cell(held)}")
    return lines
