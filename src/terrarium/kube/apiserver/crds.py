"""CustomResourceDefinitions at work: each adds rows to the registry, served from the moment its write returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terrarium.base.clock import rfc3339
from terrarium.kube.api import names, typed
from terrarium.kube.api.hooks import User
from terrarium.kube.api.kinds import Column, Context, FieldError, GroupVersion, Kind, Obj, Strategy, Subresource
from terrarium.kube.api.schema import OBJECT_META
from terrarium.kube.api.shapes import Shape, of_json_schema
from terrarium.kube.api.validation.meta import create_check, update_check
from terrarium.kube.apiserver import structural
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.resources import Behaviour, Call, Resources

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_STATUS_FIELDS = frozenset({"metadata", "apiVersion", "kind", "status"})


@dataclass(frozen=True, slots=True)
class Custom:
    """What the server knows of one served version beside its row."""

    schema: Mapping[str, Any]
    shape: Shape
    replicas: Mapping[str, str]
    """Of the scale subresource: specReplicasPath and its kin; empty without one."""

    def read(self, obj: Obj, minor: int) -> tuple[Obj, Sequence[str]]:
        """A client's object pruned, and the paths of what was unknown. `DecodeError` for bad metadata."""
        unknown: list[str] = []
        meta = obj.get("metadata")
        if isinstance(meta, dict):
            obj["metadata"] = {k: v for k, v in typed.encode_part(meta, OBJECT_META, minor).items() if v is not None}
        if not self.schema.get("x-kubernetes-preserve-unknown-fields"):
            unknown = structural.prune(obj, self.schema)
        return obj, unknown


class Definitions(Behaviour):
    """The behaviour of customresourcedefinitions; also the list of what they define."""

    def __init__(self, resources: Resources, kind: Kind) -> None:
        self._resources = resources
        self._kind = kind
        self._rows: dict[str, list[Kind]] = {}

    async def start(self) -> None:
        """Registers what is stored."""
        for definition in await self._resources.all(self._kind):
            if _established(definition):
                self._register(definition)

    async def written(self, obj: Obj, old: Obj | None) -> None:
        if obj["metadata"].get("deletionTimestamp"):
            await self._clean(obj)
        elif not _established(obj):
            await self._establish(obj)
        elif old is None or obj.get("spec") != old.get("spec"):
            self._register(obj)

    async def removed(self, obj: Obj) -> None:
        self._unregister(obj["metadata"]["name"])

    async def delete(self, obj: Obj, call: Call) -> Callable[[Obj], None] | None:
        now = rfc3339(self._resources.clock.now())
        if obj["metadata"].get("deletionTimestamp"):
            return None

        def end(obj: Obj) -> None:
            meta = obj["metadata"]
            meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"] = now, 0
            meta["generation"] = meta.get("generation", 0) + 1
            meta["finalizers"] = [*(f for f in meta.get("finalizers") or () if f != CLEANUP), CLEANUP]
            _condition(
                obj, "Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress", now
            )

        return end

    async def _establish(self, obj: Obj) -> None:
        now = rfc3339(self._resources.clock.now())

        def change(definition: Obj) -> Obj:
            accepted = {k: v for k, v in definition["spec"]["names"].items() if v}
            accepted.setdefault("singular", definition["spec"]["names"]["kind"].lower())
            accepted.setdefault("listKind", definition["spec"]["names"]["kind"] + "List")
            definition.setdefault("status", {})["acceptedNames"] = accepted
            _condition(definition, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
            _condition(
                definition, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now
            )
            return definition

        call = Call(User("system:apiserver"))
        record = await self._resources.update(self._kind, "", obj["metadata"]["name"], change, call, system=True)
        self._register(record.obj(self._kind))

    async def _clean(self, obj: Obj) -> None:
        """Removes all objects of an ending definition, then lets it go."""
        name = obj["metadata"]["name"]
        if CLEANUP not in (obj["metadata"].get("finalizers") or ()):
            return
        storage = self._resources.storage
        for entry in (await storage.list(f"/registry/{name}/")).entries:
            await storage.delete(entry.key, expect=entry.revision)
        self._unregister(name)

        def release(definition: Obj) -> Obj:
            definition["metadata"]["finalizers"] = [f for f in definition["metadata"]["finalizers"] if f != CLEANUP]
            return definition

        await self._resources.update(self._kind, "", name, release, Call(User("system:apiserver")), system=True)

    def _register(self, definition: Obj) -> None:
        name = definition["metadata"]["name"]
        self._unregister(name)
        rows = list(rows_of(definition))
        for kind, custom in rows:
            self._resources.registry.add(kind)
            self._resources.custom[(kind.group_version, kind.plural)] = custom
        self._rows[name] = [kind for kind, _ in rows]

    def _unregister(self, name: str) -> None:
        for kind in self._rows.pop(name, ()):
            self._resources.registry.remove(kind)
            self._resources.custom.pop((kind.group_version, kind.plural), None)


def _established(definition: Obj) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)


def _condition(obj: Obj, type: str, status: str, reason: str, message: str, now: str) -> None:
    held = obj.setdefault("status", {}).get("conditions") or []
    made = {"type": type, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}
    obj["status"]["conditions"] = [*(c for c in held if c.get("type") != type), made]


def rows_of(definition: Obj) -> Iterable[tuple[Kind, Custom]]:
    """The rows of a definition's served versions."""
    spec = definition["spec"]
    words = spec["names"]
    stored = next((v["name"] for v in spec["versions"] if v.get("storage")), spec["versions"][0]["name"])
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
            _renamed,
            "",
            strategy,
            subresources,
            _columns(version),
            {p: _field(p) for p in (f["jsonPath"].lstrip(".") for f in version.get("selectableFields") or ())},
        )
        yield kind, Custom(schema, of_json_schema(schema), subs.get("scale") or {})


def _renamed(obj: Obj, version: str) -> Obj:
    """Conversion `None`: the version's name is all that differs."""
    return {**obj, "apiVersion": version}


def _field(path: str) -> Callable[[Obj], str]:
    def value(obj: Obj) -> str:
        found = structural.at(obj, "." + path)
        return "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)

    return value


def _columns(version: Mapping[str, Any]) -> tuple[Column, ...]:
    def cell(path: str) -> Callable[[Obj, datetime], Any]:
        return lambda obj, now: structural.at(obj, path)

    name = Column("Name", "string", lambda obj, now: obj["metadata"]["name"], "name")
    given = version.get("additionalPrinterColumns")
    if not given:
        return ()
    return (
        name,
        *(
            Column(
                column["name"],
                column["type"],
                cell(column["jsonPath"]),
                column.get("format", ""),
                column.get("description", "")
                or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
                column.get("priority", 0),
            )
            for column in given
        ),
    )


def _strategy(schema: Mapping[str, Any], *, status: bool) -> Strategy:
    def check(errors: Any, obj: Obj, context: Context) -> None:
        found: Sequence[FieldError] = structural.validate(obj, schema)
        errors.extend(found)

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
