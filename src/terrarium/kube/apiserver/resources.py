"""The resource operations: what get, list, create, update and delete mean, for every kind alike.

Theory of operation. An operation takes decoded objects and gives records; it knows no HTTP. A write goes through fixed
steps: defaults, field ownership, mutating admission, the kind's strategy, validation, validating admission, the store.
An update is a function of the present object, tried again when somebody else wrote meanwhile, unless the caller said
which version it means. What differs between kinds is in their rows; what a few resources do beyond (addresses of
services, the end of a namespace) is a `Behaviour`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from terrarium.base.clock import Clock, parse_rfc3339, rfc3339
from terrarium.base.ids import Ids
from terrarium.kube.api import typed
from terrarium.kube.api.hooks import Admission, AdmissionRequest, Denied, User
from terrarium.kube.api.kinds import Context, FieldError, GroupVersion, Kind, Obj, Registry, Strategy
from terrarium.kube.api.shapes import Shape
from terrarium.kube.apiserver import errors, ownership
from terrarium.kube.apiserver.records import Record, Records, encode, fresh
from terrarium.kube.client.contract import ApiError, Resource
from terrarium.kube.storage.contract import Conflict, Storage

RETURNS_DELETED = frozenset(
    [
        "pods",
        "services",
        "serviceaccounts",
        "persistentvolumes",
        "persistentvolumeclaims",
        "storageclasses.storage.k8s.io",
        "resourcequotas",
        "podtemplates",
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "namespaces",
        "customresourcedefinitions.apiextensions.k8s.io",
    ]
)
"""Resources whose deletion is answered with the object rather than with a Status."""
ORPHANS_BY_DEFAULT = frozenset({"jobs.batch", "replicationcontrollers"})
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_CONTENT_SUBRESOURCES = frozenset({"ephemeralcontainers", "resize", "scale"})
"""Subresources whose writes count in `generation`."""
_GENERATED_BASE = 58
_TRIES = 8

Transform = Callable[[Obj], Obj | Awaitable[Obj]]


@dataclass(slots=True)
class Call:
    """Who writes, and how. `warnings` collects what the answer must warn of."""

    user: User
    manager: str = ""
    """The field manager: the query parameter, or what the User-Agent begins with."""
    dry_run: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)
    options: Obj = field(default_factory=dict)
    """The options of the write as an object, but for dryRun."""

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    grace: int | None = None
    propagation: str = ""
    orphan: bool | None = None
    uid: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Deleted:
    """`gone` tells whether it was removed; else it waits for a grace period or for finalizers. `whole`: the kind's
    deletions are answered with the object."""

    record: Record
    gone: bool
    whole: bool = False


class Behaviour:
    """What a resource does beyond its row. The default does nothing."""

    async def before_create(self, obj: Obj, call: Call) -> None:
        """May change the object or refuse; runs behind the strategy and in front of validation."""

    async def before_update(self, obj: Obj, old: Obj, call: Call) -> None: ...

    async def checked(self, obj: Obj, old: Obj | None, call: Call) -> None:
        """Behind validation, before the write: reservations that a refused write must not make."""

    async def written(self, obj: Obj, old: Obj | None) -> None:
        """After the write."""

    async def removed(self, obj: Obj) -> None: ...

    async def start(self) -> None:
        """Once, when the store has been opened."""

    def finished(self, obj: Obj) -> bool:
        """Whether an object that is being deleted and has no finalizers may go."""
        return True

    async def delete(self, obj: Obj, call: Call) -> Callable[[Obj], None] | None:
        """A change that takes the place of the deletion, for now."""
        return None


_PLAIN = Behaviour()


class Resources:
    """All operations on stored resources of one server."""

    def __init__(
        self, storage: Storage, registry: Registry, clock: Clock, ids: Ids, admission: Sequence[Admission], minor: int
    ) -> None:
        self.storage = storage
        self.registry = registry
        self.clock = clock
        self.ids = ids
        self.admission = list(admission)
        self.minor = minor
        self.records = Records()
        self.behaviours: dict[str, Behaviour] = {}
        self.custom: dict[tuple[GroupVersion, str], Any] = {}
        """What CRDs say beyond their rows, by version and plural (`custom.Custom`)."""

    def custom_schemas(self) -> dict[str, Mapping[str, Any]]:
        """The structural schemas of all custom resources, by the name of their definition."""
        from terrarium.kube.api.openapi_definitions import custom_name

        return {
            custom_name(kind): custom.schema
            for (gv, plural), custom in self.custom.items()
            if (kind := self.registry.resource(gv.group, gv.version, plural)) is not None
        }

    # Reading

    @staticmethod
    def prefix(kind: Kind, namespace: str = "") -> str:
        return f"/registry/{kind.storage}/{namespace}/" if namespace else f"/registry/{kind.storage}/"

    @classmethod
    def key(cls, kind: Kind, namespace: str, name: str) -> str:
        return cls.prefix(kind, namespace if kind.namespaced else "") + name

    async def find(self, kind: Kind, namespace: str, name: str) -> Record | None:
        entry = await self.storage.get(self.key(kind, namespace, name))
        if entry is None:
            return None
        record = self.records.of(entry)
        await self.ready(kind, [record])
        return record

    async def get(self, kind: Kind, namespace: str, name: str) -> Record:
        record = await self.find(kind, namespace, name)
        if record is None:
            raise errors.not_found(kind, name)
        return record

    async def all(self, kind: Kind, namespace: str = "") -> list[Obj]:
        """Every object of a kind now, as the kind shows it."""
        page = await self.storage.list(self.prefix(kind, namespace))
        records = [self.records.of(entry) for entry in page.entries]
        await self.ready(kind, records)
        return [record.obj(kind) for record in records]

    # Writing

    def _behaviour(self, kind: Kind) -> Behaviour:
        return self.behaviours.get(kind.resource, _PLAIN)

    def _context(self, call: Call, old: Obj | None, subresource: str) -> Context:
        user = call.user
        return Context(
            now=self.clock.now(),
            user=user.name,
            uid=user.uid,
            groups=user.groups,
            extra=user.extra,
            old=old,
            subresource=subresource,
        )

    def _strategy(self, kind: Kind, subresource: str) -> Strategy:
        sub = kind.subresources.get(subresource) if subresource else None
        return sub.strategy if sub is not None and sub.strategy is not None else kind.strategy

    def _stored_form(self, kind: Kind, obj: Obj) -> Obj:
        if kind.convert is not None and kind.storage_version and kind.storage_version != obj["apiVersion"]:
            return kind.convert(fresh(obj), kind.storage_version)
        return obj

    def converts(self, kind: Kind) -> bool:
        """Whether a webhook converts objects of a kind."""
        custom = self.custom.get((kind.group_version, kind.plural)) if self.custom else None
        return custom is not None and custom.webhook is not None

    async def ready(self, kind: Kind, records: Sequence[Record]) -> None:
        """Has what a definition's webhook must convert converted, so that all records can be shown as `kind`."""
        if not self.converts(kind):
            return
        custom = self.custom[(kind.group_version, kind.plural)]
        lacking = [record for record in records if not record.has(kind)]
        made = await custom.webhook.convert([record.stored for record in lacking], str(kind.group_version))
        for record, obj in zip(lacking, made, strict=True):
            record.keep(kind, obj)

    async def _encode(self, kind: Kind, obj: Obj, printed: bool = False) -> bytes:
        """The bytes to store. `printed`: the object is already as its structure prints it."""
        if self.converts(kind) and kind.storage_version != obj["apiVersion"]:
            custom = self.custom[(kind.group_version, kind.plural)]
            stored = (await custom.webhook.convert([fresh(obj)], kind.storage_version))[0]
        else:
            stored = self._stored_form(kind, obj)
        if printed and stored is obj:
            return encode(stored)
        row = self.registry.kind(*_group_version(stored["apiVersion"]), stored["kind"]) or kind
        return encode(typed.encode(stored, row.schema, self.minor) if row.schema else stored)

    def shape(self, kind: Kind) -> Shape | None:
        """The shape of a custom resource for managed fields; None for built-in kinds, which have theirs by name."""
        custom = self.custom.get((kind.group_version, kind.plural))
        found: Shape | None = custom.shape if custom is not None else None
        return found

    async def create(self, kind: Kind, namespace: str, obj: Obj, call: Call, *, track: bool = True) -> Record:
        """Stores `obj`, which is fresh and decoded. Its namespace is that of the request when it has none."""
        meta = obj.setdefault("metadata", {})
        _check_namespace(kind, namespace, meta)
        if meta.get("resourceVersion"):
            raise errors.bare_500("resourceVersion should not be set on objects to be created")
        behaviour = self._behaviour(kind)
        context = self._context(call, None, "")
        kind.strategy.default(obj, context)
        generated = bool(meta.get("generateName")) and not meta.get("name")
        for attempt in range(_TRIES):
            if generated:
                meta["name"] = meta["generateName"][:_GENERATED_BASE] + self.ids.suffix()
            try:
                return await self._create(kind, fresh(obj) if generated else obj, call, context, behaviour, track)
            except ApiError as error:
                if error.reason != "AlreadyExists" or not generated or attempt == _TRIES - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    async def _create(
        self, kind: Kind, obj: Obj, call: Call, context: Context, behaviour: Behaviour, track: bool
    ) -> Record:
        meta = obj["metadata"]
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
            meta.pop(name, None)
        if track:
            ownership.track(obj, None, kind, call.manager, context.now, "", self.minor, self.shape(kind))
        request = self._request(kind, "CREATE", obj, None, call)
        await self._admit(request, call)
        meta["uid"] = self.ids.uuid()
        meta["creationTimestamp"] = rfc3339(context.now)
        kind.strategy.prepare_create(obj, context)
        if kind.strategy.generation:
            meta["generation"] = 1
        name = meta.get("name", "")
        await behaviour.before_create(obj, call)
        if found := kind.strategy.validate(obj, context):
            raise errors.invalid(kind, name, found)
        for text in kind.strategy.warnings(obj, context):
            call.warn(text)
        await self._validate(request, call)
        key = self.key(kind, meta.get("namespace", ""), name)
        value = await self._encode(kind, obj)
        if call.dry_run:
            if await self.storage.get(key) is not None:
                raise errors.already_exists(kind, name)
            return Record.unsaved(obj)
        await behaviour.checked(obj, None, call)
        try:
            entry = await self.storage.put(key, value, expect=0)
        except Conflict as conflict:
            await behaviour.removed(obj)
            current = self.records.of(conflict.current).stored if conflict.current else {"metadata": {}}
            deleting = bool(current["metadata"].get("deletionTimestamp"))
            raise errors.already_exists(kind, name, deleting=deleting) from None
        record = self.records.of(entry)
        await self.ready(kind, [record])
        await behaviour.written(record.obj(kind), None)
        return record

    async def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        transform: Transform,
        call: Call,
        *,
        subresource: str = "",
        admit: bool = True,
        track: bool = True,
        system: bool = False,
        printed: bool = False,
    ) -> Record:
        """Replaces the object by what `transform` makes of a fresh copy of it.

        `system` skips strategy, validation and admission: the server's own changes. `printed`: what such a change makes
        is as the kind's structure prints it. `track` False leaves managed
        fields as the transformation made them (server-side apply).
        """
        key = self.key(kind, namespace, name)
        while True:
            entry = await self.storage.get(key)
            if entry is None:
                raise errors.not_found(kind, name)
            current = self.records.of(entry)
            await self.ready(kind, [current])
            old = fresh(current.obj(kind))
            made = transform(fresh(old))
            obj: Obj = await made if inspect.isawaitable(made) else made
            try:
                return await self._update(
                    kind, name, current, old, obj, call, subresource, admit, track, system, printed
                )
            except Conflict:
                continue

    async def _update(
        self,
        kind: Kind,
        name: str,
        current: Record,
        old: Obj,
        obj: Obj,
        call: Call,
        subresource: str,
        admit: bool,
        track: bool,
        system: bool,
        printed: bool,
    ) -> Record:
        meta, was = obj["metadata"], old["metadata"]
        strategy = self._strategy(kind, subresource)
        behaviour = self._behaviour(kind)
        context = self._context(call, old, subresource)
        if meta.get("uid") and meta["uid"] != was.get("uid"):
            why = errors.uid_precondition(meta["uid"], was.get("uid", ""))
            raise errors.conflict(kind, name, errors.storage_error(kind, meta.get("namespace", ""), name, why))
        self._check_version(kind, name, strategy, meta, current)
        for field_name in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            _keep(meta, was, field_name)
        meta.pop("selfLink", None)
        meta["resourceVersion"] = was["resourceVersion"]
        request = self._request(kind, "UPDATE", obj, old, call, subresource)
        if not system:
            strategy.default(obj, context)
            if track:
                ownership.track(obj, old, kind, call.manager, context.now, subresource, self.minor, self.shape(kind))
            if admit:
                await self._admit(request, call)
            strategy.prepare_update(obj, context)
            meta = obj["metadata"]
            counts = strategy.generation or ("generation" in was and subresource in _CONTENT_SUBRESOURCES)
            if counts and _content(obj) != _content(old):
                meta["generation"] = was.get("generation", 0) + 1
            await behaviour.before_update(obj, old, call)
            if found := strategy.validate_update(obj, context):
                raise errors.invalid(kind, name, found)
            for text in strategy.warnings(obj, context):
                call.warn(text)
            if admit:
                await self._validate(request, call)
        row_schema = kind.schema
        if row_schema and not printed:
            obj = typed.encode(obj, row_schema, self.minor)
        if obj == old and not (kind.strategy.settles and current.entry.revision == current.entry.created):
            return current
        if _ends(obj, old) and behaviour.finished(obj):
            if call.dry_run:
                return Record.unsaved(obj)
            await self.storage.delete(current.entry.key, expect=current.entry.revision)
            await behaviour.removed(obj)
            return Record.unsaved(obj)
        if call.dry_run:
            return Record.unsaved(obj)
        await behaviour.checked(obj, old, call)
        value = await self._encode(kind, obj, printed=bool(row_schema))
        entry = await self.storage.put(current.entry.key, value, expect=current.entry.revision)
        record = self.records.of(entry)
        await self.ready(kind, [record])
        await behaviour.written(record.obj(kind), old)
        return record

    def _check_version(self, kind: Kind, name: str, strategy: Strategy, meta: Obj, current: Record) -> None:
        asked = meta.get("resourceVersion", "")
        if asked in ("", "0"):
            if not strategy.unconditional_update:
                why = FieldError(
                    "FieldValueInvalid",
                    "metadata.resourceVersion",
                    "Invalid value: 0x0: must be specified for an update",
                )
                raise errors.invalid_named(kind.group_version.group, kind.plural, name, [why])
            return
        if not asked.isdigit() or not asked.isascii():
            raise errors.bare_500(f'strconv.ParseUint: parsing "{asked}": invalid syntax')
        if int(asked) != current.entry.revision:
            raise errors.conflict(kind, name, errors.MODIFIED)

    # Deleting

    async def delete(
        self, kind: Kind, namespace: str, name: str, options: DeleteOptions, call: Call, *, admit: bool = True
    ) -> Deleted:
        """The rules of apimachinery's generic store: grace periods, finalizers, and then the removal."""
        key = self.key(kind, namespace, name)
        while True:
            entry = await self.storage.get(key)
            if entry is None:
                raise errors.not_found(kind, name)
            current = self.records.of(entry)
            await self.ready(kind, [current])
            try:
                return await self._delete(kind, name, current, options, call, admit)
            except Conflict:
                continue

    async def _delete(
        self, kind: Kind, name: str, current: Record, options: DeleteOptions, call: Call, admit: bool
    ) -> Deleted:
        old = current.obj(kind)
        check_preconditions(kind, name, old, options)
        behaviour = self._behaviour(kind)
        if admit:
            request = self._request(kind, "DELETE", None, old, call)
            await self._admit(request, call)
            await self._validate(request, call)
        obj: Obj = fresh(old)
        meta = obj["metadata"]
        if change := await behaviour.delete(obj, call):
            change(obj)
            if obj == old:
                return Deleted(current, gone=False)
            return Deleted(await self._store_deleting(kind, current, obj, call), gone=False)
        now = self.clock.now()
        graceful, pending = self._begin_grace(kind, obj, options, now)
        if pending:
            return Deleted(current, gone=False)
        wanted = _finalizers(meta.get("finalizers", []), options, kind.resource in ORPHANS_BY_DEFAULT)
        if wanted:
            meta["finalizers"] = wanted
        else:
            meta.pop("finalizers", None)
        if wanted and not graceful:
            if not meta.get("deletionTimestamp"):
                if meta.get("generation"):
                    meta["generation"] += 1
                meta["deletionTimestamp"] = rfc3339(now)
            meta["deletionGracePeriodSeconds"] = 0
        if graceful or wanted:
            changed = obj != old
            record = await self._store_deleting(kind, current, obj, call) if changed else current
            if wanted or meta["deletionGracePeriodSeconds"] > 0:
                return Deleted(record, gone=False)
            current = record
        if not call.dry_run:
            last = await self.storage.delete(current.entry.key, expect=current.entry.revision)
            await behaviour.removed(obj)
            final = self.records.of(last).obj(kind)
            return Deleted(Record.unsaved(final), True, kind.resource in RETURNS_DELETED)
        return Deleted(Record.unsaved(obj), True, kind.resource in RETURNS_DELETED)

    async def _store_deleting(self, kind: Kind, current: Record, obj: Obj, call: Call) -> Record:
        if call.dry_run:
            return Record.unsaved(obj)
        entry = await self.storage.put(current.entry.key, await self._encode(kind, obj), expect=current.entry.revision)
        record = self.records.of(entry)
        await self.ready(kind, [record])
        await self._behaviour(kind).written(record.obj(kind), current.obj(kind))
        return record

    def _begin_grace(self, kind: Kind, obj: Obj, options: DeleteOptions, now: Any) -> tuple[bool, bool]:
        """Sets the deletion fields of a kind that is deleted gracefully. (graceful, already under way)."""
        graceful = kind.strategy.graceful
        if graceful is None:
            return False, False
        meta = obj["metadata"]
        if meta.get("deletionTimestamp"):
            left = meta.get("deletionGracePeriodSeconds") or 0
            if left == 0:
                return False, False
            if options.grace is None or options.grace >= left:
                return False, True
            moment = parse_rfc3339(meta["deletionTimestamp"]) + timedelta(seconds=options.grace - left)
            meta["deletionTimestamp"] = rfc3339(moment)
            meta["deletionGracePeriodSeconds"] = max(0, options.grace)
            return True, False
        period = graceful(obj, options.grace)
        meta["deletionTimestamp"] = rfc3339(now + timedelta(seconds=period))
        meta["deletionGracePeriodSeconds"] = period
        if meta.get("generation"):
            meta["generation"] += 1
        return True, False

    # Admission

    def _request(
        self, kind: Kind, operation: Any, obj: Obj | None, old: Obj | None, call: Call, subresource: str = ""
    ) -> AdmissionRequest:
        meta = (obj or old or {}).get("metadata", {})
        gv = kind.group_version
        return AdmissionRequest(
            operation,
            Resource(gv.group, gv.version, kind.plural),
            kind.kind,
            meta.get("namespace", ""),
            meta.get("name", ""),
            obj,
            old,
            call.user,
            subresource,
            call.dry_run,
            options=_options(operation, call),
        )

    async def admit(self, request: AdmissionRequest) -> None:
        """Both phases of admission, for what is no write (a CONNECT)."""
        for plugin in self.admission:
            try:
                await plugin.admit(request)
                await plugin.validate(request)
            except Denied as denied:
                raise self.denied(request, denied) from None

    async def _admit(self, request: AdmissionRequest, call: Call) -> None:
        for plugin in self.admission:
            try:
                await plugin.admit(request)
            except Denied as denied:
                raise self.denied(request, denied) from None
        for text in request.warnings:
            call.warn(text)

    async def _validate(self, request: AdmissionRequest, call: Call) -> None:
        for plugin in self.admission:
            try:
                await plugin.validate(request)
            except Denied as denied:
                raise self.denied(request, denied) from None
        for text in request.warnings:
            call.warn(text)

    def denied(self, request: AdmissionRequest, denied: Denied) -> ApiError:
        """A refusal of admission as a Status. A plain text gets the usual front; a whole sentence stays."""
        resource = request.resource
        details: dict[str, Any] = {"kind": resource.plural}
        if request.name:
            details = {"name": request.name, **details}
        if resource.group:
            details["group"] = resource.group
        if denied.status is not None:
            return ApiError(denied.status)
        if denied.reason == "Forbidden" and denied.code == 403:
            message = f'{resource} "{request.name}" is forbidden: {denied.message}'
            return errors.status(403, "Forbidden", message, details)
        return errors.status(denied.code, denied.reason, denied.message, denied.details)


_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


def _options(operation: str, call: Call) -> Obj:
    """The options as admission sees them."""
    own = {"kind": _OPTIONS.get(operation, ""), "apiVersion": "meta.k8s.io/v1"}
    return {**own, **call.options, **({"dryRun": ["All"]} if call.dry_run else {})}


def _group_version(api_version: str) -> tuple[str, str]:
    group, _, version = api_version.rpartition("/")
    return group, version


def _keep(meta: Obj, was: Obj, name: str) -> None:
    if name in was:
        meta[name] = was[name]
    else:
        meta.pop(name, None)


def _content(obj: Mapping[str, Any]) -> dict[str, Any]:
    """What `generation` counts changes of."""
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _check_namespace(kind: Kind, namespace: str, meta: Obj) -> None:
    if not kind.namespaced:
        meta.pop("namespace", None)
        return
    given = meta.get("namespace", "")
    if given and given != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    meta["namespace"] = namespace


def _ends(obj: Obj, old: Obj) -> bool:
    """Whether this update removes the last finalizer of an object whose grace is over."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    return not old["metadata"].get("deletionGracePeriodSeconds")


def check_preconditions(kind: Kind, name: str, old: Obj, options: DeleteOptions) -> None:
    meta = old["metadata"]
    if options.uid and options.uid != meta.get("uid"):
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta.get('uid', '')}). "
            "The object might have been deleted and then recreated"
        )
    elif options.revision and options.revision != meta.get("resourceVersion"):
        why = (
            f"the ResourceVersion in the precondition ({options.revision}) does not match the ResourceVersion in record "
            f"({meta.get('resourceVersion', '')}). The object might have been modified"
        )
    else:
        return
    raise errors.record_conflict(kind, name, why)


def _finalizers(present: Sequence[str], options: DeleteOptions, orphans: bool) -> list[str]:
    """The finalizers behind a deletion: garbage collection's two follow the wish, or the kind's default."""
    if options.orphan is not None:
        orphan, foreground = options.orphan, False
    elif options.propagation:
        orphan, foreground = options.propagation == "Orphan", options.propagation == "Foreground"
    else:
        # An object may carry a wish of its own from an earlier deletion.
        if ORPHAN in present or FOREGROUND in present:
            return list(present)
        orphan, foreground = orphans, False
    kept = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    return kept + [ORPHAN] * orphan + [FOREGROUND] * foreground
