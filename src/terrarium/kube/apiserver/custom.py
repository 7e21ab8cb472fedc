"""The rows that a definition of custom resources adds to the registry: one for each served version.

Pure but for the webhook that a row may carry: schema, columns, selectable fields and strategies come from the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terrarium.kube.api import jsonpath, names, structural
from terrarium.kube.api.columns.make import AGE, NAME
from terrarium.kube.api.kinds import Column, Context, GroupVersion, Kind, Obj, Strategy, Subresource
from terrarium.kube.api.shapes import Shape, of_json_schema
from terrarium.kube.api.times import TimeError, age, parse_time
from terrarium.kube.api.validation.meta import create_check, update_check
from terrarium.kube.apiserver import metadata
from terrarium.kube.apiserver.conversion import Webhook, renamed
from terrarium.kube.apiserver.discovery import priority
from terrarium.kube.apiserver.records import fresh


@dataclass(frozen=True, slots=True)
class Custom:
    """What the server knows of one served version beside its row."""

    schema: Mapping[str, Any]
    shape: Shape
    replicas: Mapping[str, str]
    """Of the scale subresource: specReplicasPath and its kin; empty without one."""
    warning: str = ""
    """What every answer says of a deprecated version."""
    webhook: Webhook | None = None

    def read(self, obj: Obj, minor: int) -> tuple[Obj, Sequence[str]]:
        """A client's object pruned, and the paths of what was unknown. `DecodeError` for bad metadata."""
        unknown = metadata.read(obj, self.schema, minor)
        if not self.schema.get("x-kubernetes-preserve-unknown-fields"):
            unknown += structural.prune(obj, self.schema)
        return obj, sorted(unknown)


def rows_of(definition: Obj, webhook: Webhook | None = None) -> Iterable[tuple[Kind, Custom]]:
    """The rows of a definition's served versions."""
    spec = definition["spec"]
    words = (definition.get("status") or {}).get("acceptedNames") or spec["names"]
    stored = next((v["name"] for v in spec["versions"] if v.get("storage")), spec["versions"][0]["name"])
    schemas = {v["name"]: (v.get("schema") or {}).get("openAPIV3Schema") or {} for v in spec["versions"]}
    # What is stored may be older than the schema, or come from a version with another: it is read by the stored one's.
    changed = definition["metadata"].get("generation", 1) > 1 or any(s != schemas[stored] for s in schemas.values())
    reader = _reader(schemas[stored]) if changed else None
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        gv = GroupVersion(spec["group"], version["name"])
        schema: Mapping[str, Any] = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        subs = version.get("subresources") or {}
        subresources: dict[str, Subresource] = {}
        strategy = _strategy(schema, status="status" in subs)
        if "status" in subs:
            subresources["status"] = Subresource(
                "status", ("get", "patch", "update"), strategy=_status_strategy(schema)
            )
        if "scale" in subs:
            subresources["scale"] = Subresource(
                "scale", ("get", "patch", "update"), "Scale", GroupVersion("autoscaling", "v1")
            )
        kind = Kind(
            gv,
            words["kind"],
            words["plural"],
            words.get("singular") or words["kind"].lower(),
            spec.get("scope") == "Namespaced",
            tuple(words.get("shortNames") or ()),
            tuple(words.get("categories") or ()),
            ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"),
            definition["metadata"]["name"],
            f"{spec['group']}/{stored}",
            renamed,
            "",
            strategy,
            subresources,
            _columns(version),
            {p: _field(p) for p in (f["jsonPath"].lstrip(".") for f in version.get("selectableFields") or ())},
            list_kind=words.get("listKind") or f"{words['kind']}List",
            read=reader if webhook is None or version["name"] == stored else None,
        )
        yield (
            kind,
            Custom(schema, of_json_schema(schema), subs.get("scale") or {}, _deprecation(gv, spec, version), webhook),
        )


def _deprecation(gv: GroupVersion, spec: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    """What is said of a deprecated version: its own words, or that a newer one is there."""
    if not version.get("deprecated"):
        return ""
    if said := version.get("deprecationWarning"):
        return str(said)
    kind = spec["names"]["kind"]
    newer = [
        other
        for name in (v["name"] for v in spec["versions"] if v.get("served") and not v.get("deprecated"))
        if priority(other := GroupVersion(gv.group, name)) < priority(gv)
    ]
    hint = f"; use {min(newer, key=priority)} {kind}" if newer else ""
    return f"{gv} {kind} is deprecated{hint}"


def _reader(schema: Mapping[str, Any]) -> Callable[[Obj], Obj]:
    """Takes away what the stored version's schema does not know, and fills in its defaults."""
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields"))

    def read(obj: Obj) -> Obj:
        made: Obj = fresh(obj)
        if not keeps:
            structural.prune(made, schema)
        structural.default(made, schema)
        return made

    return read


def _field(path: str) -> Callable[[Obj], str]:
    parsed = jsonpath.parse("." + path)

    def value(obj: Obj) -> str:
        found = parsed.first(obj)
        return "" if found is None else jsonpath.printed(found)

    return value


def _cell(type: str, value: Any, now: datetime) -> Any:
    """What a column shows of the value at its path; None of one that does not fit its type."""
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match type:
        case "string":
            return jsonpath.printed(value)
        case "integer":
            return int(value) if number else None
        case "number":
            return float(value) if number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date" if isinstance(value, str):
            try:
                return age((now - parse_time(value)).total_seconds())
            except TimeError:
                return "<invalid>"
    return None


def _columns(version: Mapping[str, Any]) -> tuple[Column, ...]:
    def cell(path: str, type: str) -> Callable[[Obj, datetime], Any]:
        parsed = jsonpath.parse(path)
        return lambda obj, now: _cell(type, parsed.first(obj), now)

    given = version.get("additionalPrinterColumns")
    if not given:
        return (NAME, Column("Age", "date", AGE.value, "", AGE.description))
    return (
        NAME,
        *(
            Column(
                column["name"],
                column["type"],
                cell(column["jsonPath"], column["type"]),
                column.get("format", ""),
                column.get("description", "")
                or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
                column.get("priority", 0),
            )
            for column in given
        ),
    )


def _strategy(schema: Mapping[str, Any], *, status: bool) -> Strategy:
    structure = structural.Structure(schema)

    def check(errors: Any, obj: Obj, context: Context) -> None:
        errors.extend(structure.check(obj, context.old))

    def create(obj: Obj, context: Context) -> None:
        if status:
            obj.pop("status", None)

    def update(obj: Obj, context: Context) -> None:
        if not status or context.old is None:
            return
        if "status" in context.old:
            obj["status"] = fresh(context.old["status"])
        else:
            obj.pop("status", None)

    def default(obj: Obj, context: Context) -> None:
        structural.default(obj, schema)

    return Strategy(
        default,
        create,
        update,
        create_check(names.dns_subdomain, check, core=False),
        update_check(names.dns_subdomain, check, core=False),
        unconditional_update=False,
        generation=True,
    )


def _status_strategy(schema: Mapping[str, Any]) -> Strategy:
    whole = _strategy(schema, status=False)

    def update(obj: Obj, context: Context) -> None:
        """Only the status changes, and of metadata only managed fields."""
        assert context.old is not None
        held = obj["metadata"].get("managedFields")
        status = obj.get("status")
        obj.clear()
        obj.update(fresh(context.old))
        obj.pop("status", None)
        if status is not None:
            obj["status"] = status
        if held:
            obj["metadata"]["managedFields"] = held

    return Strategy(whole.default, whole.prepare_create, update, whole.validate, whole.validate_update)
