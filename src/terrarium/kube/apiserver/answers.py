"""Answers in the form that was asked for: the object itself, a Table, its metadata, or a Status; lists likewise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import orjson

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.apiserver import bodies, errors, lists
from terrarium.kube.apiserver.api import Target
from terrarium.kube.apiserver.messages import Reply, Request
from terrarium.kube.apiserver.negotiate import JSON, Form
from terrarium.kube.apiserver.records import Record
from terrarium.kube.apiserver.resources import Resources

_BAD_INCLUDE = (
    "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', 'None', or "
    "empty"
)


class Answers:
    """Shapes answers of one server: its clock and version are theirs."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def object(self, request: Request, target: Target, record: Record, form: Form, code: int = 200) -> Reply:
        kind = target.kind
        if form.shape == "Table":
            value = self.table(_shown_as(record, target), [record], form, request, None)
        elif form.shape == "PartialObjectMetadata":
            value = partial(record.obj(kind), form)
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

    def table(self, kind: Kind, records: Sequence[Record], form: Form, request: Request, meta: Obj | None) -> Obj:
        from terrarium.kube.api import tables

        include = request.info.first("includeObject")
        check_include(include)
        objs = [record.obj(kind) for record in records]
        if meta is None:
            source = objs[0].get("metadata", {}) if objs else {}
            meta = {"resourceVersion": source["resourceVersion"]} if "resourceVersion" in source else {}
        made: Obj = tables.table(
            kind,
            objs,
            self._resources.clock.now(),
            tables.TableOptions(include_object=include or "Metadata", version=form.version, metadata=meta),
        )
        return made

    def list(self, request: Request, kind: Kind, listing: lists.Listing, form: Form) -> Reply:
        meta: Obj = {"resourceVersion": str(listing.revision)} if listing.revision else {}
        if listing.next or (not kind.schema and not form.shape):
            meta["continue"] = listing.next
        if listing.remaining:
            meta["remainingItemCount"] = listing.remaining
        gv = str(kind.group_version)
        if form.shape == "" and form.media == JSON and not form.pretty:
            return Reply(200, list_json(kind, listing, meta))
        if form.shape == "Table":
            value = self.table(kind, listing.records, form, request, meta)
        elif form.shape == "PartialObjectMetadataList":
            value = {
                "kind": "PartialObjectMetadataList",
                "apiVersion": f"meta.k8s.io/{form.version}",
                "metadata": meta,
                "items": [partial(record.obj(kind), form) for record in listing.records],
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
            value = {"kind": kind.listing, "apiVersion": gv, "metadata": meta, "items": items}
        body, content_type = bodies.encode(value, form)
        return Reply(200, body, content_type)

    def deleted(self, request: Request, target: Target, record: Record, form: Form) -> Reply:
        """The answer to a deletion that is done."""
        meta = record.stored["metadata"]
        if form.shape == "PartialObjectMetadata":
            return self.object(request, target, record, form)
        details: Obj = {"name": meta["name"]}
        if target.kind.group_version.group:
            details["group"] = target.kind.group_version.group
        details["kind"] = target.kind.plural
        details["uid"] = meta["uid"]
        value = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        body, content_type = bodies.encode(value, Form(form.media, pretty=form.pretty))
        return Reply(200, body, content_type)


def check_include(include: str) -> None:
    """400 for a value of `includeObject` that there isn't."""
    if include not in ("", "None", "Metadata", "Object"):
        raise errors.bad_request(_BAD_INCLUDE.format(quote(include)))


def _shown_as(record: Record, target: Target) -> Kind:
    """Whose columns a table has: those of the subresource's own kind, where that is one."""
    if target.subresource == "scale":
        from terrarium.kube.api.columns.workloads import SCALE

        return dataclasses.replace(target.kind, columns=SCALE)
    return target.kind


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
        f'{{"kind":"{kind.listing}","apiVersion":"{gv}","metadata":'.encode()
        + orjson.dumps(meta)
        + b',"items":['
        + b",".join(items)
        + b"]}\n"
    )


def partial(obj: Obj, form: Form) -> Obj:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": obj.get("metadata", {}),
    }


def _go_name(kind: Kind) -> str:
    """How Go prints the internal type: `core.ConfigMap`."""
    return f"{kind.group_version.group.partition('.')[0] or 'core'}.{kind.kind}"
