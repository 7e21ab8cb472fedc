"""HTTP to API: one handler for each verb reads query and body, and shapes the answer (list, table, metadata, stream)."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import orjson

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import FieldError, Kind, Obj
from terrarium.kube.apiserver import bodies, errors, lists, negotiate
from terrarium.kube.apiserver.api import Api, Patch, Target, strict
from terrarium.kube.apiserver.messages import Reply, Request
from terrarium.kube.apiserver.negotiate import JSON, PROTOBUF, Form
from terrarium.kube.apiserver.records import Record
from terrarium.kube.apiserver.requests import flag
from terrarium.kube.apiserver.resources import Call, DeleteOptions
from terrarium.kube.apiserver.watches import Change, Watching
from terrarium.kube.client.contract import ApiError, PatchType

PATCHES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_BAD_INCLUDE = (
    "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', 'None', or "
    "empty"
)
_MANAGER_LIMIT = 128
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)
_WATCH_LIST_SINCE = 34
"""The minor version from which watches may begin with initial events."""
DEPRECATED = {
    ("", "endpoints"): (33, "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    ("", "componentstatuses"): (19, "v1 ComponentStatus is deprecated in v1.19+"),
}
"""What is said with every answer, from which minor version on."""
_WATCH_SECONDS = 1800
_BOOKMARK_SECONDS = 60
Special = Callable[[Request, Target], Awaitable[Reply]]


class Handlers:
    """`specials` answer subresources that are no objects (logs, proxies), by resource and subresource."""

    def __init__(self, api: Api, specials: dict[tuple[str, str], Special]) -> None:
        self._api = api
        self._specials = specials
        self._verbs: dict[str, Special] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def answer(self, request: Request, target: Target) -> Reply:
        info = request.info
        if info.method == "HEAD":
            raise errors.method_not_allowed()
        handler = self._verbs.get(info.verb)
        if handler is None:
            raise errors.method_not_allowed()
        if info.verb == "create" and target.name and not target.subresource:
            raise errors.method_not_allowed()
        if target.kind.namespaced and not target.namespace and info.verb not in ("list", "watch"):
            raise errors.method_not_allowed()
        if info.verb in ("update", "patch") and not target.name:
            raise errors.method_not_allowed()
        self._api.check_verb(target, info.verb)
        since, text = DEPRECATED.get((target.kind.group_version.group, target.kind.plural), (0, ""))
        if text and self._api.resources.minor >= since:
            request.warnings.append(text)
        special = self._specials.get((target.kind.resource, target.subresource)) if target.subresource else None
        return await (special or handler)(request, target)

    # Options

    def _call(self, request: Request, options: str, target: Target) -> Call:
        """The write options of the query; 422 on `options` where one is wrong."""
        query = request.info.query
        manager = query.get("fieldManager", [""])[0]
        validation = query.get("fieldValidation", [""])[0]
        found: list[FieldError] = []
        dry_run = "dryRun" in query
        if dry_run and set(query["dryRun"]) != {"All"}:
            values = "{" + ", ".join(quote(v) for v in query["dryRun"]) + "}"
            found.append(
                FieldError(
                    "FieldValueNotSupported",
                    "dryRun",
                    f'Unsupported value: []string{values}: supported values: "All"',
                )
            )
        if len(manager) > _MANAGER_LIMIT:
            found.append(
                FieldError(
                    "FieldValueTooLong", "fieldManager", f"Too long: may not be more than {_MANAGER_LIMIT} bytes"
                )
            )
        for position, char in enumerate(manager):
            if not char.isprintable():
                found.append(
                    FieldError(
                        "FieldValueInvalid",
                        "fieldManager",
                        f"Invalid value: {quote(manager)}: invalid character U+{ord(char):04X} (at position {position})",
                    )
                )
        if validation not in ("", "Ignore", "Warn", "Strict"):
            found.append(
                FieldError(
                    "FieldValueNotSupported",
                    "fieldValidation",
                    f'Unsupported value: {quote(validation)}: supported values: "", "Ignore", "Strict", "Warn"',
                )
            )
        if options == "PatchOptions":
            found = self._patch_options(request, manager, found)
        if found:
            raise errors.invalid_options(options, found)
        call = Call(
            request.user, manager or request.agent.partition("/")[0][:_MANAGER_LIMIT], dry_run, validation or "Warn"
        )
        call.warnings = request.warnings
        return call

    def _patch_options(self, request: Request, manager: str, found: list[FieldError]) -> list[FieldError]:
        apply = negotiate.media_type(request.headers.get("content-type", "")) == "application/apply-patch+yaml"
        if apply and not manager:
            found.insert(
                0, FieldError("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")
            )
        if not apply and "force" in request.info.query:
            found.append(
                FieldError("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch")
            )
        return found

    def _form(self, request: Request, target: Target, *, shapes: bool = True) -> Form:
        custom = not target.kind.schema
        offered = (JSON, negotiate.YAML) if custom and not target.subresource else negotiate.MEDIA
        listed = request.info.verb in ("list", "watch", "deletecollection") and "watch" in target.kind.verbs
        return negotiate.choose(
            request.headers.get("accept"),
            request.info.query,
            request.agent,
            offered=offered,
            shapes=shapes,
            named=(*offered, *negotiate.STREAMS[: len(offered) - 1]) if listed else (),
        )

    async def _object(self, request: Request, target: Target, call: Call) -> Obj:
        """The object in a body, read as the target's structure."""
        kind = target.kind
        body = await request.body()
        name = self._body_kind(target)
        value, twice = bodies.decode(body, request.headers.get("content-type", ""), name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {name}): couldn't get version/kind; "
                f"json: cannot unmarshal {_json_name(value)} into Go value of type struct"
            )
        gv = kind.group_version
        sub = kind.subresources.get(target.subresource)
        if sub is not None and sub.group_version is not None:
            gv = sub.group_version
        value.setdefault("kind", name)
        value.setdefault("apiVersion", str(gv))
        if value["kind"] != name or value["apiVersion"] != str(gv):
            self._wrong_kind(value, name, str(gv))
        if twice and call.validation != "Ignore":
            texts = [f'duplicate field "{path}"' for path in twice]
            if call.validation == "Strict":
                raise strict(target, texts)
            for text in texts:
                call.warn(text)
        return self._api.read(target, value, call)

    def _wrong_kind(self, value: Obj, name: str, api_version: str) -> None:
        given, version = value["kind"], value["apiVersion"]
        if not isinstance(given, str) or not isinstance(version, str):
            raise errors.bad_request("couldn't get version/kind; json: kind and apiVersion must be strings")
        registry = self._api.resources.registry
        group, _, plain = version.rpartition("/")
        if registry.kind(group, plain, given) is None:
            raise errors.bad_request(
                f'{given} in version "{plain}" cannot be handled as a {name}: no kind "{given}" is registered for version '
                f'"{version}" in scheme "pkg/runtime/scheme.go:110"'
            )
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {name}): "
            if not given
            else f"{given} in version {quote(plain)} cannot be handled as a {name}: "
            f"converting ({plain}.{given}) to ({_version(api_version)}.{name}): unknown conversion"
        )

    def _body_kind(self, target: Target) -> str:
        sub = target.kind.subresources.get(target.subresource)
        return sub.kind if sub is not None and sub.kind else target.kind.kind

    # Answers

    def _reply(self, request: Request, target: Target, record: Record, form: Form, code: int = 200) -> Reply:
        kind = target.kind
        if form.shape == "Table":
            value = self._table(kind, [record], form, request, None)
        elif form.shape == "PartialObjectMetadata":
            value = _partial(record.obj(kind), form)
        elif form.shape:
            raise errors.status(
                406,
                "NotAcceptable",
                f"you requested {form.shape}, but the requested object is not a list (*{_go_name(kind)})",
            )
        elif form.media == JSON and not form.pretty and record.entry.revision:
            return Reply(code, record.json(kind) + b"\n")
        else:
            value = record.obj(kind) if record.entry.revision else record.stored
        body, content_type = bodies.encode(value, form)
        return Reply(code, body, content_type)

    def _table(self, kind: Kind, records: Sequence[Record], form: Form, request: Request, meta: Obj | None) -> Obj:
        from terrarium.kube.api import tables

        include = request.info.first("includeObject")
        if include not in ("", "None", "Metadata", "Object"):
            raise errors.bad_request(_BAD_INCLUDE.format(quote(include)))
        objs = [record.obj(kind) for record in records]
        if meta is None:
            source = objs[0].get("metadata", {}) if objs else {}
            meta = {"resourceVersion": source["resourceVersion"]} if "resourceVersion" in source else {}
        made: Obj = tables.table(
            kind,
            objs,
            self._api.resources.clock.now(),
            tables.TableOptions(include_object=include or "Metadata", version=form.version, metadata=meta),
        )
        return made

    async def _get(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        call = Call(request.user)
        self._check_get(request)
        record = await self._api.get(target, call)
        return self._reply(request, target, record, form)

    def _check_get(self, request: Request) -> None:
        asked = request.info.first("resourceVersion")
        try:
            revision = lists.parse_revision(asked)
        except ValueError as wrong:
            raise errors.bare_500(str(wrong)) from None
        current = self._api.resources.storage.revision
        if revision > current:
            raise errors.too_large_version(revision, current)

    def _list_options(self, request: Request) -> lists.ListOptions:
        info = request.info
        limit = info.first("limit")
        try:
            number = int(limit) if limit and limit.lstrip("+-").isdigit() and limit.isascii() else 0
            if limit and not limit.lstrip("+-").isdigit():
                raise ValueError("invalid syntax")
            if not -(1 << 63) <= number < 1 << 63:
                raise ValueError("value out of range")
        except ValueError as wrong:
            raise errors.bad_request(f"strconv.ParseInt: parsing {quote(limit)}: {wrong}") from None
        options = lists.ListOptions(
            info.first("labelSelector"),
            info.first("fieldSelector"),
            number,
            info.first("continue"),
            info.first("resourceVersion"),
            info.first("resourceVersionMatch"),
        )
        if info.first("sendInitialEvents"):
            options = dataclasses.replace(options, initial_events=flag(info.query, "sendInitialEvents"))
        if info.name:
            options = dataclasses.replace(options, fields=f"metadata.name={info.name}", limit=0, next="")
        return options

    async def _list(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        listing = await self._api.list(target, self._list_options(request))
        return self._listing(request, target.kind, listing, form)

    def _listing(self, request: Request, kind: Kind, listing: lists.Listing, form: Form) -> Reply:
        meta: Obj = {"resourceVersion": str(listing.revision)}
        if listing.next or not kind.schema:
            meta["continue"] = listing.next
        if listing.remaining:
            meta["remainingItemCount"] = listing.remaining
        gv = str(kind.group_version)
        if form.shape == "" and form.media == JSON and not form.pretty:
            return Reply(200, list_json(kind, listing, meta))
        if form.shape == "Table":
            value = self._table(kind, listing.records, form, request, meta)
        elif form.shape == "PartialObjectMetadataList":
            value = {
                "kind": "PartialObjectMetadataList",
                "apiVersion": f"meta.k8s.io/{form.version}",
                "metadata": meta,
                "items": [_partial(record.obj(kind), form) for record in listing.records],
            }
        elif form.shape:
            raise errors.status(
                406,
                "NotAcceptable",
                f"you requested {form.shape}, but the requested object is a list (*{_go_name(kind)}List)",
            )
        else:
            items = [
                {key: part for key, part in record.obj(kind).items() if key not in ("kind", "apiVersion")}
                if kind.schema
                else record.obj(kind)
                for record in listing.records
            ]
            value = {"kind": f"{kind.kind}List", "apiVersion": gv, "metadata": meta, "items": items}
        body, content_type = bodies.encode(value, form)
        return Reply(200, body, content_type)

    # Watch

    async def _watch(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        options = self._list_options(request)
        lists.check_watch(options, watch_list=self._api.resources.minor >= _WATCH_LIST_SINCE)
        if form.media == negotiate.YAML or (form.shape == "Table" and options.initial_events):
            types = negotiate.STREAMS if form.media == negotiate.YAML else negotiate.MEDIA
            raise errors.status(
                406, "NotAcceptable", f"only the following media types are accepted: {', '.join(types)}"
            )
        info = request.info
        timeout = info.first("timeoutSeconds")
        try:
            seconds = int(timeout) if timeout else 0
        except ValueError:
            raise errors.bad_request(f"strconv.ParseInt: parsing {quote(timeout)}: invalid syntax") from None
        try:
            watching = self._api.watch(target, options.labels, options.fields, options.revision, options.initial_events)
        except ValueError as wrong:
            raise errors.bare_500(str(wrong)) from None
        include = info.first("includeObject")
        if form.shape == "Table" and include not in ("", "None", "Metadata", "Object"):
            raise errors.bad_request(_BAD_INCLUDE.format(quote(include)))
        bookmarks = flag(info.query, "allowWatchBookmarks")
        encoder = Events(self, request, target.kind, form)
        marked = bookmarks and bool(options.initial_events)
        # Opened before the answer begins: what is written after a client has seen the answer's head is never missed.
        initial: list[Change] | ApiError
        try:
            initial = await watching.first()
        except ApiError as error:
            initial = error
        stream = self._stream(watching, initial, encoder, seconds or _WATCH_SECONDS, bookmarks, marked)
        return Reply(200, b"", negotiate.STREAM[form.media], stream=stream)

    async def _stream(
        self,
        watching: Watching,
        initial: list[Change] | ApiError,
        encoder: Events,
        seconds: float,
        bookmarks: bool,
        marked: bool,
    ) -> AsyncIterator[bytes]:
        """`marked`: a bookmark tells where the initial events end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        # Real servers send the last bookmark shortly before the end, so that a client goes on from there.
        marks = [end - 2] if seconds > 4 else [end - 0.05]
        mark = loop.time() + _BOOKMARK_SECONDS
        try:
            if isinstance(initial, ApiError):
                raise initial
            if initial:
                yield b"".join(encoder.change(change) for change in initial)
            if marked:
                yield encoder.bookmark(watching.revision, ends_list=True)
            while True:
                now = loop.time()
                if now >= end:
                    return
                due = min(end, mark, marks[0]) if bookmarks and marks else min(end, mark) if bookmarks else end
                try:
                    async with asyncio.timeout_at(due):
                        changes = await watching.__anext__()
                except TimeoutError:
                    if bookmarks and loop.time() < end:
                        mark = loop.time() + _BOOKMARK_SECONDS
                        marks = [m for m in marks if m > loop.time()]
                        revision = max(watching.revision, self._api.resources.storage.revision)
                        yield encoder.bookmark(revision)
                    continue
                except StopAsyncIteration:
                    return
                if changes:
                    yield b"".join(encoder.change(change) for change in changes)
        except ApiError as error:
            yield encoder.error(error)
        finally:
            watching.close()

    # Writes

    async def _create(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        call = self._call(request, "CreateOptions", target)
        obj = await self._object(request, target, call)
        code, record = await self._api.create(target, obj, call)
        return self._reply(request, target, record, form, code)

    async def _update(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        call = self._call(request, "UpdateOptions", target)
        obj = await self._object(request, target, call)
        code, record = await self._api.update(target, obj, call)
        return self._reply(request, target, record, form, code)

    async def _patch(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        # Unlike those of other bodies, these names are compared as they are.
        media = request.headers.get("content-type", "").partition(";")[0].strip()
        kind = PATCHES.get(media)
        if kind is None or (kind == "strategic" and not target.kind.schema):
            raise self._bad_patch_type(media, target)
        call = self._call(request, "PatchOptions", target)
        body = await request.body()
        if kind == "apply":
            from terrarium.kube.api import yaml_bodies

            try:
                # JSON is YAML, and much quicker read as what it is.
                decoded = orjson.loads(body)
            except ValueError:
                try:
                    decoded = yaml_bodies.load(body)
                except yaml_bodies.YamlError as wrong:
                    raise errors.bad_request(f"error decoding YAML: {wrong}") from None
            if call.validation == "Warn":
                for text in yaml_bodies.duplicates(body) if b"\n" in body else ():
                    call.warn(text)
        else:
            try:
                decoded = orjson.loads(body)
            except ValueError:
                raise errors.bad_request(f"error decoding patch: {bodies.json_fault(body)}") from None
        force = flag(request.info.query, "force")
        twice = bodies.duplicates(body) if kind in ("merge", "strategic") else []
        texts = tuple(f'duplicate field "{path}"' for path in twice)
        code, record = await self._api.patch(target, Patch(kind, decoded, force, texts), call)
        return self._reply(request, target, record, form, code)

    def _bad_patch_type(self, media: str, target: Target) -> ApiError:
        if media in PATCHES:
            accepted = [name for name in PATCHES if PATCHES[name] != "strategic"]
            return errors.status(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: "
                + ", ".join(accepted),
            )
        return errors.status(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})

    async def _delete_options(self, request: Request) -> tuple[DeleteOptions, bool]:
        """Options of the body, or of the query when there is no body. The second: dry run in the body."""
        body = await request.body()
        query = request.info.query
        found: Obj = {}
        if body:
            try:
                value, _ = bodies.decode(body, request.headers.get("content-type", ""), "DeleteOptions")
            except ApiError as error:
                if error.code == 415:
                    raise
                raise errors.bare_500(
                    f"couldn't get version/kind; json parse error: {bodies.json_fault(body)}"
                ) from None
            if not isinstance(value, dict) or value.get("kind", "DeleteOptions") != "DeleteOptions":
                raise errors.bare_500(
                    f'no kind "{value.get("kind")}" is registered for version "{value.get("apiVersion")}" '
                    'in scheme "pkg/runtime/scheme.go:110"'
                )
            found = value
        else:
            if "gracePeriodSeconds" in query:
                found["gracePeriodSeconds"] = _integer(query["gracePeriodSeconds"][0])
            if "propagationPolicy" in query:
                found["propagationPolicy"] = query["propagationPolicy"][0]
            if "orphanDependents" in query:
                found["orphanDependents"] = flag(query, "orphanDependents")
            if "dryRun" in query:
                found["dryRun"] = query["dryRun"]
        _check_delete(found)
        conditions = found.get("preconditions") or {}
        return (
            DeleteOptions(
                found.get("gracePeriodSeconds"),
                found.get("propagationPolicy") or "",
                found.get("orphanDependents"),
                conditions.get("uid") or "",
                conditions.get("resourceVersion") or "",
            ),
            bool(found.get("dryRun")),
        )

    async def _delete(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        options, dry_run = await self._delete_options(request)
        call = Call(request.user, dry_run=dry_run)
        call.warnings = request.warnings
        orphans = target.kind.resource == "jobs.batch" and not options.propagation and options.orphan is None
        if orphans:
            request.warnings.append(_JOB_WARNING)
        deleted = await self._api.delete(target, options, call)
        if deleted.gone and not deleted.whole:
            return self._status(request, target, deleted.record, form)
        return self._reply(request, target, deleted.record, form)

    def _status(self, request: Request, target: Target, record: Record, form: Form) -> Reply:
        """The answer to a deletion that is done."""
        meta = record.stored["metadata"]
        if form.shape == "PartialObjectMetadata":
            return self._reply(request, target, record, form)
        details: Obj = {"name": meta["name"]}
        if target.kind.group_version.group:
            details["group"] = target.kind.group_version.group
        details["kind"] = target.kind.plural
        details["uid"] = meta["uid"]
        value = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        body, content_type = bodies.encode(value, Form(form.media, pretty=form.pretty))
        return Reply(200, body, content_type)

    async def _delete_collection(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        how, dry_run = await self._delete_options(request)
        call = Call(request.user, dry_run=dry_run)
        call.warnings = request.warnings
        listing = await self._api.delete_collection(target, self._list_options(request), how, call)
        return self._listing(request, target.kind, listing, form)


class Events:
    """Encodes events of one watch; events of the same form are encoded once for all watches."""

    def __init__(self, handlers: Handlers, request: Request, kind: Kind, form: Form) -> None:
        self._handlers = handlers
        self._request = request
        self._kind = kind
        self._form = form
        self._columns = True
        """Whether the next table is the first, which alone tells the columns."""

    def change(self, change: Change) -> bytes:
        if self._form.shape == "Table":
            return self._frame(change.type, self._table(change.record))
        key = (change.type, self._kind.group_version, self._form)
        made: bytes = change.record.cached(key, lambda record: self._encode(change.type, record))
        return made

    def _encode(self, type: str, record: Record) -> bytes:
        form = self._form
        if form.shape:
            return self._frame(type, _partial(record.obj(self._kind), form))
        if form.media == PROTOBUF:
            return self._frame(type, record.obj(self._kind))
        return b'{"type":"%s","object":%s}\n' % (type.encode(), record.json(self._kind))

    def _frame(self, type: str, obj: Obj) -> bytes:
        if self._form.media == PROTOBUF:
            from terrarium.kube.api import protobuf

            return protobuf.encode_event(type, obj)
        if self._form.media == negotiate.YAML:
            from terrarium.kube.api import yaml_bodies

            return b"---\n" + yaml_bodies.dump({"type": type, "object": obj})
        return orjson.dumps({"type": type, "object": obj}) + b"\n"

    def _table(self, record: Record) -> Obj:
        table = self._handlers._table(self._kind, [record], self._form, self._request, None)
        if not self._columns:
            table = {**table, "columnDefinitions": None}
        self._columns = False
        return table

    def bookmark(self, revision: int, *, ends_list: bool = False) -> bytes:
        meta: Obj = {"resourceVersion": str(revision), "creationTimestamp": None}
        if ends_list:
            gv = self._kind.group_version
            blueprint = f'{{"kind":"{self._kind.kind}List","apiVersion":"{gv}","metadata":{{}},"items":null}}\n'
            meta["annotations"] = {
                "k8s.io/initial-events-end": "true",
                "kubernetes.io/initial-events-list-blueprint": base64.b64encode(blueprint.encode()).decode(),
            }
        obj: Obj = {"kind": self._kind.kind, "apiVersion": str(self._kind.group_version), "metadata": meta}
        schema = self._kind.schema
        if schema:
            from terrarium.kube.api import typed

            obj = typed.encode(obj, schema, self._handlers._api.resources.minor)
        if self._form.shape == "Table":
            return self._frame("BOOKMARK", self._table(Record.unsaved(obj)))
        if self._form.shape:
            obj = _partial(obj, self._form)
        return self._frame("BOOKMARK", obj)

    def error(self, error: ApiError) -> bytes:
        return self._frame("ERROR", error.status)


def list_json(kind: Kind, listing: lists.Listing, meta: Obj) -> bytes:
    """A list from stored bytes. Items of built-in kinds carry no kind and apiVersion, as in Go's typed lists."""
    gv = str(kind.group_version)
    head = f'{{"kind":"{kind.kind}","apiVersion":"{gv}",'.encode()
    cut = len(head) if kind.schema else 0
    items: list[bytes] = []
    for record in listing.records:
        body = record.json(kind)
        if cut and body.startswith(head):
            items.append(b"{" + body[cut:])
        elif cut:
            obj = record.obj(kind)
            items.append(orjson.dumps({key: obj[key] for key in obj if key not in ("kind", "apiVersion")}))
        else:
            items.append(body)
    return (
        f'{{"kind":"{kind.kind}List","apiVersion":"{gv}","metadata":'.encode()
        + orjson.dumps(meta)
        + b',"items":['
        + b",".join(items)
        + b"]}\n"
    )


def _partial(obj: Obj, form: Form) -> Obj:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": obj.get("metadata", {}),
    }


def _go_name(kind: Kind) -> str:
    """How Go prints the internal type: `core.ConfigMap`."""
    return f"{kind.group_version.group.partition('.')[0] or 'core'}.{kind.kind}"


def _version(api_version: str) -> str:
    return api_version.rpartition("/")[2]


def _json_name(value: Any) -> str:
    return {list: "array", str: "string", bool: "bool", type(None): "null"}.get(type(value), "number")


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax") from None


def _check_delete(options: Obj) -> None:
    found: list[FieldError] = []
    dry_run = options.get("dryRun")
    if dry_run and set(dry_run) != {"All"}:
        values = "{" + ", ".join(quote(v) for v in dry_run) + "}"
        found.append(
            FieldError(
                "FieldValueNotSupported", "dryRun", f'Unsupported value: []string{values}: supported values: "All"'
            )
        )
    policy = options.get("propagationPolicy")
    if policy and policy not in ("Foreground", "Background", "Orphan"):
        found.append(
            FieldError(
                "FieldValueNotSupported",
                "propagationPolicy",
                f'Unsupported value: {quote(policy)}: supported values: "Foreground", "Background", "Orphan", "nil"',
            )
        )
    if policy and options.get("orphanDependents") is not None:
        found.append(
            FieldError(
                "FieldValueInvalid",
                "propagationPolicy",
                f"Invalid value: {quote(policy)}: orphanDependents and deletionPropagation cannot be both set",
            )
        )
    if found:
        raise errors.invalid_options("DeleteOptions", found)
