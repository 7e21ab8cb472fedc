"""State files: version 4 read and written as Terraform does, version 3 (before 0.12) read and upgraded.

Texts are sorted and indented like Terraform's own, so that both programs may take turns on one file.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from terrarium.base.diagnostics import Diagnostic, Failure, error
from terrarium.engine.addresses import (
    AbsResource,
    AddressError,
    default_source,
    key_order,
    module_text,
    parse_module,
)
from terrarium.engine.state import (
    NO_DEPENDENCIES,
    TERRAFORM_VERSION,
    CheckResult,
    Dependencies,
    InstanceState,
    OutputState,
    ResourceState,
    State,
    StateObject,
)
from terrarium.language.json_values import from_json, to_json
from terrarium.language.type_expressions import from_json as type_from_json
from terrarium.language.type_expressions import to_json as type_to_json
from terrarium.language.types import NUMBER, STRING
from terrarium.language.values import Path, Value


class BadState(Failure):
    """A state file that can't be used. `problems` are (summary, detail) of what is wrong with it."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        rows = [f"{summary}: {detail}" for summary, detail in problems]
        many = f"{len(rows)} problems:\n\n" + "\n".join(f"- {row}" for row in rows)
        super().__init__(rows[0] if len(rows) == 1 else many)
        self.problems = problems

    def diagnostics(self) -> list[Diagnostic]:
        return [error(summary, detail) for summary, detail in self.problems]


_FORMAT = "Unsupported state file format"
_VERSIONLESS = (
    _FORMAT,
    'The state file does not have a "version" attribute, which is required to identify the format version.',
)


def _syntax(text: str, at: int) -> tuple[str, str]:
    """What is said of a text that is no JSON; `at` is where what can't be read begins."""
    for word in ("null", "true", "false"):
        if text[at : at + 1] == word[0]:
            at += next((i for i, c in enumerate(word) if text[at + i : at + i + 1] != c), len(word))
            break
    return _FORMAT, f"The state file could not be parsed as JSON: syntax error at byte offset {at + 1}."


def read(data: bytes) -> State:
    """The state in a file's bytes; an empty file is an empty state. BadState."""
    if not data.strip():
        return State()
    try:
        document = json.loads(data)
    except json.JSONDecodeError as problem:
        raise BadState(_syntax(problem.doc, problem.pos), _VERSIONLESS) from None
    except ValueError:
        raise BadState(_syntax("", 0), _VERSIONLESS) from None
    version = document.get("version") if isinstance(document, dict) else None
    if version is None:
        raise BadState(_VERSIONLESS)
    reader = _READERS.get(version)
    if reader is None:
        raise BadState(
            (
                _FORMAT,
                f"The state file uses format version {version}, which is not supported by Terraform {TERRAFORM_VERSION}. This "
                "state file may have been created by a newer version of Terraform.",
            )
        )
    try:
        return reader(document)
    except (KeyError, TypeError, ValueError, AttributeError, AddressError) as problem:
        raise BadState((_FORMAT, f"The state file could not be decoded: {problem!r}.")) from None


def _read_4(document: Mapping[str, Any]) -> State:
    state = State(document.get("lineage", ""), document.get("serial", 0), document.get("terraform_version", ""))
    for name, output in (document.get("outputs") or {}).items():
        value = from_json(output["value"], type_from_json(output["type"]))
        state.outputs[name] = OutputState(value, bool(output.get("sensitive")))
    for item in document.get("resources") or ():
        address = AbsResource(parse_module(item.get("module", "")), item["mode"], item["type"], item["name"])
        resource = state.resources.setdefault(address, ResourceState(item["provider"]))
        for entry in item["instances"]:
            instance = resource.instances.setdefault(entry.get("index_key"), InstanceState())
            held = _object(entry)
            if entry.get("deposed"):
                instance.deposed[entry["deposed"]] = held
            else:
                instance.current = held
    results = document.get("check_results")
    if results is not None:
        state.checks = tuple(
            CheckResult(
                "output_value" if r["object_kind"] == "output" else r["object_kind"],
                r["config_addr"],
                r["status"],
                tuple(
                    (o["object_addr"], o["status"], tuple(o.get("failure_messages") or ()))
                    for o in r.get("objects") or ()
                ),
            )
            for r in results
        )
    return state


def _object(entry: Mapping[str, Any]) -> StateObject:
    attributes = entry.get("attributes")
    if attributes is None and entry.get("attributes_flat") is not None:
        attributes = unflattened(entry["attributes_flat"])
    return StateObject(
        schema_version=entry.get("schema_version", 0),
        attributes=attributes,
        sensitive=tuple(_path(p) for p in entry.get("sensitive_attributes") or ()),
        raw_sensitive=tuple(entry.get("sensitive_attributes") or ()),
        private=base64.b64decode(entry.get("private") or ""),
        tainted=entry.get("status") == "tainted",
        dependencies=_dependencies(entry.get("dependencies")),
        create_before_destroy=bool(entry.get("create_before_destroy")),
    )


def _dependencies(texts: list[str] | None) -> Dependencies:
    if not texts:
        return NO_DEPENDENCIES
    # The same few addresses stand in many lists.
    return Dependencies(tuple(map(sys.intern, texts if texts == sorted(texts) else sorted(texts))))


def _path(steps: list[Mapping[str, Any]]) -> Path:
    found: list[Any] = []
    for step in steps:
        value = step["value"]
        if step["type"] == "index":
            value = value["value"]
            if isinstance(value, float):
                value = int(value)
        found.append(value)
    return tuple(found)


def _path_json(path: Path, value: Value | None) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for depth, step in enumerate(path):
        if isinstance(step, str) and depth == 0:
            steps.append({"type": "get_attr", "value": step})
        elif isinstance(step, int):
            steps.append({"type": "index", "value": {"value": step, "type": "number"}})
        elif isinstance(step, Value):
            steps.append(
                {"type": "index", "value": {"value": to_json(step, step.type), "type": type_to_json(step.type)}}
            )
        else:
            steps.append(
                {
                    "type": "get_attr" if _is_attribute(value, path[:depth]) else "index",
                    "value": step if _is_attribute(value, path[:depth]) else {"value": step, "type": "string"},
                }
            )
    return steps


def _is_attribute(value: Any, path: Path) -> bool:
    """Whether the thing at `path` is an object (attributes) and not a map (indices)."""
    from terrarium.language.types import Object

    part = value
    for step in path:
        if not isinstance(part, Value) or not isinstance(part.data, dict | tuple):
            return True
        try:
            part = part.data[step]
        except (KeyError, IndexError, TypeError):
            return True
    return not isinstance(part, Value) or isinstance(part.type, Object)


def document(state: State) -> dict[str, Any]:
    """The state as the JSON document of version 4."""
    outputs: dict[str, Any] = {}
    for name in sorted(state.outputs):
        output = state.outputs[name]
        value = output.value.unmarked_deep()
        outputs[name] = {"value": to_json(value, value.type), "type": type_to_json(value.type)}
        if output.sensitive:
            outputs[name]["sensitive"] = True
    resources = []
    for address in sorted(state.resources, key=lambda a: (module_text(a.module), a.mode, a.type, a.name)):
        resource = state.resources[address]
        entry: dict[str, Any] = {"module": module_text(address.module)} if address.module else {}
        entry |= {"mode": address.mode, "type": address.type, "name": address.name, "provider": resource.provider}
        instances: list[dict[str, Any]] = []
        for key in sorted(resource.instances, key=key_order):
            instance = resource.instances[key]
            if instance.current is not None:
                instances.append(_entry(key, "", instance.current))
            for deposed in sorted(instance.deposed):
                instances.append(_entry(key, deposed, instance.deposed[deposed]))
        entry["instances"] = instances
        resources.append(entry)
    checks = None
    if state.checks is not None:
        checks = [
            {
                "object_kind": "output" if c.kind == "output_value" else c.kind,
                "config_addr": c.address,
                "status": c.status,
                "objects": [
                    {"object_addr": address, "status": status}
                    | ({"failure_messages": list(messages)} if messages else {})
                    for address, status, messages in c.objects
                ]
                or None,
            }
            for c in state.checks
        ]
    return {
        "version": 4,
        "terraform_version": TERRAFORM_VERSION,
        "serial": state.serial,
        "lineage": state.lineage,
        "outputs": outputs,
        "resources": resources,
        "check_results": checks,
    }


def _entry(key: object, deposed: str, held: StateObject) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if key is not None:
        entry["index_key"] = key
    if held.tainted:
        entry["status"] = "tainted"
    if deposed:
        entry["deposed"] = deposed
    entry["schema_version"] = held.schema_version
    entry["attributes"] = held.json()
    raw = held.raw_sensitive
    entry["sensitive_attributes"] = (
        list(raw) if raw is not None else [_path_json(p, held._value) for p in held.sensitive]
    )
    if held.private:
        entry["private"] = base64.b64encode(held.private).decode()
    if held.dependencies:
        entry["dependencies"] = held.dependencies.texts
    if held.create_before_destroy:
        entry["create_before_destroy"] = True
    return entry


def entry_json(key: object, deposed: str, held: StateObject) -> dict[str, Any]:
    """One object as it stands in a state file (also used for the journal)."""
    return _entry(key, deposed, held)


def object_from_entry(entry: Mapping[str, Any]) -> StateObject:
    return _object(entry)


def write(state: State) -> bytes:
    """The bytes of a state file."""
    return dumps(document(state), indent=True) + b"\n"


def dumps(document: Any, indent: bool = False) -> bytes:
    """JSON as Go writes it: `<`, `>`, `&` and line separators escaped inside strings."""
    try:
        import orjson

        data = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0)
    except (TypeError, ValueError):
        text = json.dumps(
            document, indent=2 if indent else None, separators=None if indent else (",", ":"), ensure_ascii=False
        )
        data = text.encode()
    return escaped(data)


def escaped(data: bytes) -> bytes:
    for char, code in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        if char in data:
            data = data.replace(char, code)
    if b"\xe2\x80" in data:
        data = data.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")
    return data


# --- version 3 -------------------------------------------------------------------------------------------------------


def _read_3(document: Mapping[str, Any]) -> State:
    state = State(document.get("lineage", ""), document.get("serial", 0), document.get("terraform_version", ""))
    for module in document.get("modules") or ():
        path = tuple((name, None) for name in module["path"][1:])
        if not path:
            for name, output in (module.get("outputs") or {}).items():
                state.outputs[name] = OutputState(_old_output(output["value"]), bool(output.get("sensitive")))
        for key, item in (module.get("resources") or {}).items():
            mode, _, rest = key.partition("data.") if key.startswith("data.") else ("", "", key)
            mode = "data" if key.startswith("data.") else "managed"
            type, name, *index = rest.split(".")
            address = AbsResource(path, mode, type, name)
            provider = item.get("provider") or type.partition("_")[0]
            resource = state.resources.setdefault(address, ResourceState(_old_provider(provider)))
            number = int(index[0]) if index else None
            instance = resource.instances.setdefault(number, InstanceState())
            dependencies = Dependencies.of(_old_dependency(path, d) for d in item.get("depends_on") or ())
            if item.get("primary"):
                instance.current = _old_object(item["primary"], dependencies)
            for count, old in enumerate(item.get("deposed") or ()):
                instance.deposed[f"{count:08x}"] = _old_object(old, dependencies)
    return state


def _old_provider(text: str) -> str:
    *modules, name = (
        text.split(".")
        if "provider." not in text
        else [*text.partition("provider.")[0].split("."), text.partition("provider.")[2]]
    )
    base, _, alias = name.partition(".")
    prefix = ".".join(m for m in modules if m)
    return (f"{prefix}." if prefix else "") + f'provider["{default_source(base)}"]' + (f".{alias}" if alias else "")


def _old_dependency(path: tuple[tuple[str, Any], ...], text: str) -> Any:
    from terrarium.engine.addresses import path_of

    parts = text.split(".")
    mode = "data" if parts[0] == "data" else "managed"
    parts = parts[1:] if mode == "data" else parts
    from terrarium.engine.addresses import ConfigResource

    return ConfigResource(path_of(path), mode, parts[0], parts[1] if len(parts) > 1 else "")


def _old_object(primary: Mapping[str, Any], dependencies: Dependencies) -> StateObject:
    meta = primary.get("meta") or {}
    private = dict(meta)
    return StateObject(
        schema_version=int(private.pop("schema_version", 0)),
        attributes=unflattened(primary.get("attributes") or {}),
        private=json.dumps(private).encode() if private else b"",
        tainted=bool(primary.get("tainted")),
        dependencies=dependencies,
    )


def _old_output(value: Any) -> Value:
    from terrarium.language.values import list_of, map_of, string

    if isinstance(value, list):
        return list_of(STRING, [string(str(v)) for v in value])
    if isinstance(value, dict):
        return map_of(STRING, {k: string(str(v)) for k, v in value.items()})
    return string(str(value))


def unflattened(flat: Mapping[str, str]) -> dict[str, Any]:
    """Nested JSON out of the flat maps of old states (`tags.%`, `list.#`, `list.0`). Scalars stay text."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        at = tree
        *parents, last = key.split(".")
        for parent in parents:
            nested = at.setdefault(parent, {})
            if not isinstance(nested, dict):
                nested = at[parent] = {}
            at = nested
        at[last] = value
    found = _folded(tree)
    assert isinstance(found, dict)
    return found


def _folded(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "#" in tree:
        members = {k: v for k, v in tree.items() if k != "#"}
        ordered = sorted(members, key=lambda k: (not k.isdigit(), int(k) if k.isdigit() else 0, k))
        return [_folded(members[k]) for k in ordered]
    return {k: _folded(v) for k, v in tree.items() if k != "%"}


_READERS: dict[object, Callable[[Mapping[str, Any]], State]] = {3: _read_3, 4: _read_4}
__all__ = ["NUMBER", "BadState", "document", "dumps", "entry_json", "object_from_entry", "read", "unflattened", "write"]
