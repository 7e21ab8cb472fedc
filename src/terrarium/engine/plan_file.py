"""Plan files: a zip with the plan, both states, and a copy of the configuration it was made from.

Values are written by their own structure (unknowns and marks included), never as code. A digest over everything makes a
damaged or altered file show; the version and the state's serial are checked by who applies it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Failure
from terrarium.base.files import write_atomic
from terrarium.engine import state_file
from terrarium.engine.addresses import parse_instance, parse_target
from terrarium.engine.module_tree import Installed
from terrarium.engine.plan import Action, Mode, OutputChange, Plan, RelevantAttribute, ResourceChange
from terrarium.engine.state import TERRAFORM_VERSION, CheckResult
from terrarium.language import type_expressions
from terrarium.language.numbers import parse, to_text
from terrarium.language.types import BOOL, NUMBER, STRING, List, Map, Set
from terrarium.language.values import NULL, Unknown, Value, object_of, tuple_of
from terrarium.language.values import Path as ValuePath


class BadPlan(Failure):
    """A plan file that can't be used; says why."""


@dataclass(slots=True)
class Saved:
    """What a plan file holds. `backend` describes where the state is, `workspace` which one."""

    plan: Plan
    files: Mapping[str, str]
    manifest: Mapping[str, Installed]
    workspace: str
    lineage: str
    serial: int
    backend: Mapping[str, Any]
    ephemeral: frozenset[str] = frozenset()


FORMAT = 1


# --- values ----------------------------------------------------------------------------------------------------------


def encode(value: Value) -> Any:
    """A value as JSON, with nothing lost."""
    if value.marks:
        return {"k": sorted(value.marks), "v": encode(value.unmarked())}
    data, type = value.data, value.type
    if data is NULL:
        return {"n": type_expressions.to_json(type)}
    if isinstance(data, Unknown):
        return {"u": type_expressions.to_json(type), "r": _refinement(data)}
    if isinstance(data, bool | str):
        return data
    if isinstance(data, dict):
        members = {k: encode(v) for k, v in data.items()}
        if isinstance(type, Map):
            return {"m": members, "t": type_expressions.to_json(type.element)}
        return {"o": members}
    if isinstance(data, tuple):
        items = [encode(v) for v in data]
        if isinstance(type, List | Set):
            return {"l" if isinstance(type, List) else "s": items, "t": type_expressions.to_json(type.element)}
        return items
    return {"#": to_text(data)}


def _refinement(known: Unknown) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if known.not_null:
        found["x"] = True
    if known.prefix:
        found["p"] = known.prefix
    if known.min_length:
        found["a"] = known.min_length
    if known.max_length is not None:
        found["z"] = known.max_length
    return found


def decode(data: Any) -> Value:
    """The value that `encode` wrote."""
    if isinstance(data, bool):
        return Value(BOOL, data)
    if isinstance(data, str):
        return Value(STRING, data)
    if isinstance(data, list):
        return tuple_of(decode(v) for v in data)
    if "k" in data:
        return decode(data["v"]).with_marks(frozenset(data["k"]))
    if "n" in data:
        return Value(type_expressions.from_json(data["n"]), NULL)
    if "u" in data:
        r = data["r"]
        known = Unknown(r.get("x", False), r.get("p", ""), None, None, r.get("a", 0), r.get("z"))
        return Value(type_expressions.from_json(data["u"]), known)
    if "#" in data:
        return Value(NUMBER, parse(data["#"]))
    if "o" in data:
        return object_of({k: decode(v) for k, v in data["o"].items()})
    element = type_expressions.from_json(data["t"])
    if "m" in data:
        return Value(Map(element), {k: decode(v) for k, v in data["m"].items()})
    if "l" in data:
        return Value(List(element), tuple(decode(v) for v in data["l"]))
    return Value(Set(element), tuple(decode(v) for v in data["s"]))


def _path(path: ValuePath) -> list[Any]:
    return [{"v": encode(s)} if isinstance(s, Value) else s for s in path]


def _unpath(path: list[Any]) -> ValuePath:
    return tuple(decode(s["v"]) if isinstance(s, dict) else s for s in path)


# --- plans -----------------------------------------------------------------------------------------------------------


def _change(c: ResourceChange) -> dict[str, Any]:
    return {
        "address": str(c.address),
        "provider": c.provider,
        "source": c.source,
        "action": c.action.name,
        "before": encode(c.before),
        "before_type": type_expressions.to_json(c.before.type),
        "after": encode(c.after),
        "previous": str(c.previous) if c.previous is not None else None,
        "deposed": c.deposed,
        "reason": c.reason,
        "replace": [_path(p) for p in c.replace],
        "private": base64.b64encode(c.private).decode(),
        "schema_version": c.schema_version,
        "importing": c.importing,
        "generated": c.generated,
        "hidden": [_path(p) for p in c.hidden],
    }


def _typed(value: Value, type: Any) -> Value:
    """Restores the object type of a schema, whose `any` parts a value's own structure can't tell."""
    return Value(type, value.data, value.marks) if not value.is_null else Value(type, NULL, value.marks)


def _unchange(c: Mapping[str, Any]) -> ResourceChange:
    type = type_expressions.from_json(c["before_type"])
    return ResourceChange(
        parse_instance(c["address"]),
        c["provider"],
        c["source"],
        Action[c["action"]],
        _typed(decode(c["before"]), type),
        _typed(decode(c["after"]), type),
        parse_instance(c["previous"]) if c["previous"] else None,
        c["deposed"],
        c["reason"],
        tuple(_unpath(p) for p in c["replace"]),
        base64.b64decode(c["private"]),
        c["schema_version"],
        c["importing"],
        c["generated"],
        tuple(_unpath(p) for p in c["hidden"]),
    )


def save(path: Path, saved: Saved) -> None:
    """Writes a plan file. OSError."""
    plan = saved.plan
    document = {
        "format": FORMAT,
        "terraform_version": TERRAFORM_VERSION,
        "workspace": saved.workspace,
        "lineage": saved.lineage,
        "serial": saved.serial,
        "backend": saved.backend,
        "mode": plan.mode.name,
        "changes": [_change(c) for c in plan.changes],
        "drift": [_change(c) for c in plan.drift],
        "outputs": [
            {
                "name": o.name,
                "action": o.action.name,
                "before": encode(o.before) if o.before is not None else None,
                "after": encode(o.after) if o.after is not None else None,
                "sensitive_before": o.sensitive_before,
                "sensitive_after": o.sensitive_after,
            }
            for o in plan.outputs
        ],
        "variables": {k: encode(v) for k, v in plan.variables.items() if k not in saved.ephemeral},
        "given": {k: encode(v) for k, v in plan.given.items() if k not in saved.ephemeral},
        "apply_time": sorted(plan.apply_time),
        "targets": [_target_text(t) for t in plan.targets],
        "replace": [str(r) for r in plan.replace],
        "checks": [[c.kind, c.address, c.status, [list(o) for o in c.objects]] for c in plan.checks],
        "relevant": [[r.resource, _path(r.path)] for r in plan.relevant],
        "timestamp": plan.timestamp,
        "errored": plan.errored,
        "manifest": [[m.key, m.source, m.folder, m.version] for m in saved.manifest.values()],
        "files": dict(saved.files),
    }
    parts = {
        "plan.json": json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(),
        "tfstate": state_file.write(plan.prior),
        "tfstate-prev": state_file.write(plan.previous),
    }
    digest = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(parts.items()))).hexdigest()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), data)
        archive.writestr(zipfile.ZipInfo("digest", (2000, 1, 1, 0, 0, 0)), digest)
    write_atomic(path, buffer.getvalue(), 0o644)


def _target_text(target: Any) -> str:
    from terrarium.engine.addresses import AbsResource, Instance, module_text

    return str(target) if isinstance(target, AbsResource | Instance) else module_text(target)


def is_plan_file(path: Path) -> bool:
    """Whether a file looks like a plan (a zip)."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def load(path: Path) -> Saved:
    """Reads a plan file. BadPlan, OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in ("plan.json", "tfstate", "tfstate-prev")}
            digest = archive.read("digest").decode()
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError):
        raise BadPlan(f'"{path}" is not a plan file that this program has written.') from None
    found = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(parts.items()))).hexdigest()
    if found != digest:
        raise BadPlan("The plan file has been changed since it was written, so it can't be trusted.")
    document = json.loads(parts["plan.json"])
    if document["format"] != FORMAT or document["terraform_version"] != TERRAFORM_VERSION:
        raise BadPlan(
            f"plan file was created by Terraform {document['terraform_version']}, but this is {TERRAFORM_VERSION}; plan "
            "files cannot be transferred between different Terraform versions"
        )
    plan = Plan(Mode[document["mode"]])
    plan.changes = [_unchange(c) for c in document["changes"]]
    plan.drift = [_unchange(c) for c in document["drift"]]
    plan.outputs = [
        OutputChange(
            o["name"],
            Action[o["action"]],
            decode(o["before"]) if o["before"] is not None else None,
            decode(o["after"]) if o["after"] is not None else None,
            o["sensitive_before"],
            o["sensitive_after"],
        )
        for o in document["outputs"]
    ]
    plan.variables = {k: decode(v) for k, v in document["variables"].items()}
    plan.given = {k: decode(v) for k, v in document["given"].items()}
    plan.apply_time = frozenset(document["apply_time"])
    plan.targets = tuple(parse_target(t) for t in document["targets"])
    plan.replace = tuple(parse_instance(r) for r in document["replace"])
    plan.checks = tuple(
        CheckResult(kind, address, status, tuple((a, s, tuple(m)) for a, s, m in objects))
        for kind, address, status, objects in document["checks"]
    )
    plan.relevant = tuple(RelevantAttribute(r, _unpath(p)) for r, p in document["relevant"])
    plan.timestamp, plan.errored = document["timestamp"], document["errored"]
    plan.prior, plan.previous = state_file.read(parts["tfstate"]), state_file.read(parts["tfstate-prev"])
    manifest = {key: Installed(key, source, folder, version) for key, source, folder, version in document["manifest"]}
    return Saved(
        plan,
        document["files"],
        manifest,
        document["workspace"],
        document["lineage"],
        document["serial"],
        document["backend"],
    )
