"""WATCH over HTTP: the stream of one watch, its bookmarks, and events encoded once for all who asked for the same form."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import orjson

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.apiserver import errors, lists, negotiate, options
from terrarium.kube.apiserver.answers import Answers, check_include, partial
from terrarium.kube.apiserver.api import Api, Target
from terrarium.kube.apiserver.messages import Reply, Request
from terrarium.kube.apiserver.negotiate import PROTOBUF, Form
from terrarium.kube.apiserver.records import Record
from terrarium.kube.apiserver.requests import flag
from terrarium.kube.apiserver.watches import Change, Watching
from terrarium.kube.client.contract import ApiError

_WATCH_SECONDS = 1800
_BOOKMARK_SECONDS = 60


class Streaming:
    """Answers watches. `watch_list`: whether a watch may ask to begin with what there is."""

    def __init__(self, api: Api, answers: Answers, watch_list: bool) -> None:
        self._api = api
        self._answers = answers
        self._watch_list = watch_list

    async def answer(self, request: Request, target: Target, form: Form) -> Reply:
        asked = options.of_list(request)
        lists.check_watch(asked, watch_list=self._watch_list)
        if form.media == negotiate.YAML or (form.shape == "Table" and asked.initial_events):
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
            watching = self._api.watch(target, asked.labels, asked.fields, asked.revision, asked.initial_events)
        except ValueError as wrong:
            raise errors.bare_500(str(wrong)) from None
        if form.shape == "Table":
            check_include(info.first("includeObject"))
        bookmarks = flag(info.query, "allowWatchBookmarks")
        encoder = Events(self._answers, self._api.resources.minor, request, target.kind, form)
        marked = bookmarks and bool(asked.initial_events)
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


class Events:
    """Encodes events of one watch; events of the same form are encoded once for all watches."""

    def __init__(self, answers: Answers, minor: int, request: Request, kind: Kind, form: Form) -> None:
        self._answers = answers
        self._minor = minor
        self._request = request
        self._kind = kind
        self._form = form
        self._columns = True
        """Whether the next table is the first, which alone tells the columns."""

    def change(self, change: Change) -> bytes:
        if self._form.shape == "Table":
            return self._frame(change.type, self._table(change.record))
        key = (change.type, self._kind.group_version, self._kind.read, self._form)
        made: bytes = change.record.cached(key, lambda record: self._encode(change.type, record))
        return made

    def _encode(self, type: str, record: Record) -> bytes:
        form = self._form
        if form.shape:
            return self._frame(type, partial(record.obj(self._kind), form))
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
        table = self._answers.table(self._kind, [record], self._form, self._request, None)
        if not self._columns:
            table = {**table, "columnDefinitions": None}
        self._columns = False
        return table

    def bookmark(self, revision: int, *, ends_list: bool = False) -> bytes:
        meta: Obj = {"resourceVersion": str(revision), "creationTimestamp": None}
        if ends_list:
            gv = self._kind.group_version
            blueprint = f'{{"kind":"{self._kind.listing}","apiVersion":"{gv}","metadata":{{}},"items":null}}\n'
            meta["annotations"] = {
                "k8s.io/initial-events-end": "true",
                "kubernetes.io/initial-events-list-blueprint": base64.b64encode(blueprint.encode()).decode(),
            }
        obj: Obj = {"kind": self._kind.kind, "apiVersion": str(self._kind.group_version), "metadata": meta}
        schema = self._kind.schema
        if schema:
            from terrarium.kube.api import typed

            obj = typed.encode(obj, schema, self._minor)
        if self._form.shape == "Table":
            return self._frame("BOOKMARK", self._table(Record.unsaved(obj)))
        if self._form.shape:
            obj = partial(obj, self._form)
        return self._frame("BOOKMARK", obj)

    def error(self, error: ApiError) -> bytes:
        return self._frame("ERROR", error.status)
