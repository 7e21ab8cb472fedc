"""The verbs of the API for one caller: allowed or not, then done. HTTP and the in-process client both end here.

Nothing of HTTP is known here: objects come decoded and fresh, answers are records or plain objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from terrarium.kube.api import gotext, patches, typed
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import AdmissionRequest, Attributes, User
from terrarium.kube.api.kinds import FieldError, GroupVersion, Kind, Obj
from terrarium.kube.apiserver import errors, lists, ownership
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.computed import Source
from terrarium.kube.apiserver.records import Record, fresh
from terrarium.kube.apiserver.resources import Call, Deleted, DeleteOptions, Resources
from terrarium.kube.apiserver.watches import Watching
from terrarium.kube.client.contract import ApiError, PatchType, Resource


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> Resource:
        gv = self.kind.group_version
        return Resource(gv.group, gv.version, self.kind.plural)


class Sub(Protocol):
    """A subresource that is not simply another way to write the object."""

    async def get(self, target: Target, call: Call) -> Obj: ...
    async def present(self, target: Target, call: Call) -> Obj:
        """What a patch is applied to."""
        ...

    async def create(self, target: Target, obj: Obj, call: Call) -> tuple[int, Obj]: ...
    async def update(self, target: Target, obj: Obj, call: Call) -> Obj: ...
    async def apply(self, target: Target, patch: Patch, call: Call) -> Obj | None:
        """Server-side apply; None where that is the object's own."""
        ...


class Creator(Protocol):
    """A resource that is only asked (reviews): nothing is stored."""

    async def __call__(self, target: Target, obj: Obj, call: Call) -> Obj: ...


@dataclass(frozen=True, slots=True)
class Patch:
    """`body` decoded; for server-side apply the configuration."""

    type: PatchType
    body: Any
    force: bool = False
    duplicates: tuple[str, ...] = ()
    """What the body says twice, as warnings word it."""


class Api:
    """`subs` by resource and subresource ("" for every resource that has it); `creators` and `sources` (of what is not
    stored) by resource."""

    def __init__(
        self,
        resources: Resources,
        authorizer: Union,
        subs: Mapping[tuple[str, str], Sub],
        creators: Mapping[str, Creator],
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        self.resources = resources
        self.authorizer = authorizer
        self._subs = dict(subs)
        self._creators = dict(creators)
        self._sources = dict(sources or {})

    async def allow(self, user: User, verb: str, target: Target, path: str = "") -> None:
        """403 unless `user` may."""
        await self.authorizer.check(
            Attributes(user, verb, target.resource, target.subresource, target.namespace, target.name, path)
        )

    def sub(self, target: Target) -> Sub | None:
        """The handler of a subresource; None where it is an ordinary view of the object (status)."""
        name = target.subresource
        return self._subs.get((target.kind.resource, name)) or self._subs.get(("", name)) if name else None

    def creator(self, target: Target) -> Creator | None:
        return self._creators.get(target.kind.resource) if not target.subresource else None

    def check_verb(self, target: Target, verb: str) -> None:
        """404 for an unknown subresource, 405 for a verb that the resource has not."""
        if target.subresource:
            sub = target.kind.subresources.get(target.subresource)
            if sub is None:
                raise errors.unknown_path() if target.kind.schema else errors.not_found(target.kind, target.name)
            if verb not in sub.verbs:
                raise errors.method_not_allowed()
        elif verb not in target.kind.verbs:
            raise errors.method_not_allowed()

    # Reading

    async def get(self, target: Target, call: Call) -> Record:
        if (sub := self.sub(target)) is not None:
            return Record.unsaved(await sub.get(target, call))
        if (source := self._sources.get(target.kind.resource)) is not None:
            for obj in await source.objects(target.namespace):
                if obj["metadata"]["name"] == target.name:
                    return Record.unsaved(obj)
            raise errors.not_there(target.kind, source.missing, "/".join(filter(None, (target.namespace, target.name))))
        return await self.resources.get(target.kind, target.namespace, target.name)

    async def list(self, target: Target, options: lists.ListOptions) -> lists.Listing:
        if (source := self._sources.get(target.kind.resource)) is not None:
            selection = lists.select(target.kind, options.labels, options.fields)
            records = [Record.unsaved(obj) for obj in await source.objects(target.namespace)]
            return lists.Listing([record for record in records if selection.fits(record, target.kind)], 0)
        return await lists.run(self.resources, target.kind, target.namespace, options)

    def watch(self, target: Target, labels: str, fields: str, revision: str, initial: bool | None = None) -> Watching:
        """`initial`: whether to begin with what there is; None leaves it to the revision."""
        selection = lists.select(target.kind, labels, fields)
        return Watching(self.resources, target.kind, target.namespace, selection, revision, initial)

    # Writing

    async def create(self, target: Target, obj: Obj, call: Call) -> tuple[int, Record]:
        """`obj` is fresh and decoded. The status code and what is answered."""
        if (sub := self.sub(target)) is not None:
            code, made = await sub.create(target, obj, call)
            return code, Record.unsaved(made)
        if (creator := self.creator(target)) is not None:
            return 201, Record.unsaved(await creator(target, obj, call))
        return 201, await self.resources.create(target.kind, target.namespace, obj, call)

    async def update(self, target: Target, obj: Obj, call: Call) -> tuple[int, Record]:
        """PUT. 201 where a missing object of such a kind is made."""
        _check_put(target, obj)
        if (sub := self.sub(target)) is not None:
            return 200, Record.unsaved(await sub.update(target, obj, call))
        kind, namespace, name = target.kind, target.namespace, target.name
        obj.setdefault("metadata", {})
        if kind.namespaced:
            obj["metadata"]["namespace"] = namespace
        makes = kind.strategy.allow_create_on_update and not target.subresource
        if makes and await self.resources.find(kind, namespace, name) is None:
            if uid := obj["metadata"].get("uid"):
                raise errors.conflict(
                    kind, name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
                )
            await self.allow(call.user, "create", target)
            obj["metadata"].pop("resourceVersion", None)
            return 201, await self.resources.create(kind, namespace, obj, call)
        uid = obj["metadata"].get("uid")
        if uid and await self.resources.find(kind, namespace, name) is None:
            why = errors.uid_precondition(uid, "")
            raise errors.conflict(kind, name, errors.storage_error(kind, namespace, name, why))
        return 200, await self.resources.update(
            kind, namespace, name, lambda old: fresh(obj), call, subresource=target.subresource
        )

    async def patch(self, target: Target, patch: Patch, call: Call) -> tuple[int, Record]:
        kind, namespace, name = target.kind, target.namespace, target.name
        sub = self.sub(target)
        if patch.type == "apply":
            applied = await sub.apply(target, patch, call) if sub is not None else None
            if applied is not None:
                return 200, Record.unsaved(applied)
            return await ownership.apply(self, target, patch, call)
        if sub is not None:
            old = await sub.present(target, call)
            made = self._patched(old, patch, target, call)
            return 200, Record.unsaved(await sub.update(target, made, call))
        record = await self.resources.update(
            kind,
            namespace,
            name,
            lambda old: self._patched(old, patch, target, call),
            call,
            subresource=target.subresource,
        )
        return 200, record

    def _patched(self, old: Obj, patch: Patch, target: Target, call: Call) -> Obj:
        """What a patch makes of an object, read as a client's body would be."""
        if isinstance(patch.body, dict) and patch.body.get("$patch") == "delete":
            raise _nameless(target.name)
        try:
            match patch.type:
                case "json":
                    made = patches.json_patch(old, patch.body)
                case "merge":
                    made = patches.merge(old, patch.body)
                case _:
                    made = patches.strategic(old, patch.body, self.schema_of(target), self.resources.minor)
        except patches.PatchError as wrong:
            raise errors.status(wrong.code, wrong.reason, wrong.message, wrong.details) from None
        made = fresh(made)
        check_same(target, old, made)
        for field in ("kind", "apiVersion"):
            if made.setdefault(field, old[field]) != old[field]:
                raise self._other_kind(target, made, field)
        if made["metadata"].get("uid", old["metadata"].get("uid")) != old["metadata"].get("uid"):
            value = quote(str(made["metadata"]["uid"]))
            wrong_uid = FieldError("FieldValueInvalid", "metadata.uid", f"Invalid value: {value}: field is immutable")
            raise errors.invalid(target.kind, target.name, [wrong_uid, wrong_uid])
        if patch.duplicates and call.validation == "Strict":
            raise strict(target, list(patch.duplicates), made)
        for text in patch.duplicates if call.validation == "Warn" else ():
            call.warn(text)
        try:
            return self.read(target, made, call, patch=True)
        except ApiError:
            if patch.type != "strategic":
                raise
            raise self._strategic_misfit(target, made, patch.body) from None

    def _strategic_misfit(self, target: Target, made: Obj, body: Any) -> ApiError:
        """Unlike other patches a strategic one is not read as JSON: its faults show the patch, in Go's form."""
        try:
            found = typed.decode(made, self.schema_of(target), self.resources.minor)
        except typed.DecodeError as wrong:
            words = _RESTORES.get(str(wrong).removeprefix("json: cannot unmarshal ").split(" ")[0], str(wrong))
            return self._unfit(target, gotext.v(body), words)
        texts = ", ".join(f'unknown field "{path}"' for path in found.unknown)
        return self._unfit(target, gotext.v(body), f"strict decoding error: {texts}")

    def _other_kind(self, target: Target, made: Obj, field: str) -> ApiError:
        """A patch that makes another kind of the object: read as that kind, where there is one."""
        gv = GroupVersion.parse(str(made["apiVersion"]))
        row = self.resources.registry.kind(gv.group, gv.version, str(made["kind"]))
        if not target.kind.schema:
            wanted = target.kind.kind if field == "kind" else target.kind.group_version
            text = f"Invalid value: {quote(str(made[field]))}: must be {wanted}"
            wrong_kind = FieldError("FieldValueInvalid", field, text)
            return errors.invalid_named(gv.group, str(made["kind"]), target.name, [wrong_kind])
        if row is not None and row.schema:
            try:
                typed.decode(made, row.schema, self.resources.minor)
            except typed.DecodeError as wrong:
                return self._unfit(target, made, str(wrong))
        return self._unfit(target, made, f'no kind "{made["kind"]}" is registered for version "{made["apiVersion"]}"')

    def _unfit(self, target: Target, made: Any, why: str) -> ApiError:
        """A patch whose result can't be read; `made` is the result, or the text that stands for it."""
        message = f"Invalid value: {quote(made if isinstance(made, str) else _short(made))}: {why}"
        details = {
            "causes": [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}],
        }
        return errors.status(422, "Invalid", f' "" is invalid: patch: {message}', details)

    def schema_of(self, target: Target) -> str:
        """The structure of what is read and written at a target."""
        sub = target.kind.subresources.get(target.subresource)
        if sub is None or sub.kind is None:
            return target.kind.schema
        row = sub.group_version and self.resources.registry.kind(
            sub.group_version.group, sub.group_version.version, sub.kind
        )
        return row.schema if row else _SCHEMAS.get(sub.kind, "")

    def read(self, target: Target, obj: Obj, call: Call, *, patch: bool = False) -> Obj:
        """Reads an object as its structure, with warnings or refusals for unknown fields."""
        schema = self.schema_of(target)
        custom = self.resources.custom.get((target.kind.group_version, target.kind.plural))
        try:
            if schema:
                decoded = typed.decode(obj, schema, self.resources.minor)
            elif custom is not None:
                decoded = typed.Decoded(*custom.read(obj, self.resources.minor))
            else:
                return obj
        except typed.DecodeError as wrong:
            kind, version = obj.get("kind", ""), obj.get("apiVersion", "").rpartition("/")[2]
            if patch:
                raise self._unfit(target, obj, str(wrong)) from None
            raise errors.bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {wrong}') from None
        if decoded.unknown and call.validation != "Ignore":
            texts = [f'unknown field "{path}"' for path in decoded.unknown]
            if call.validation == "Strict":
                raise strict(target, texts, obj if patch else None)
            for text in texts:
                call.warn(text)
        return decoded.obj

    # Deleting

    async def delete(self, target: Target, options: DeleteOptions, call: Call) -> Deleted:
        return await self.resources.delete(target.kind, target.namespace, target.name, options, call)

    async def delete_collection(
        self, target: Target, options: lists.ListOptions, how: DeleteOptions, call: Call
    ) -> lists.Listing:
        """Deletes what a list gives; the answer is the list of what was deleted."""
        listing = await lists.run(self.resources, target.kind, target.namespace, options)
        for record in listing.records:
            meta = record.stored["metadata"]
            try:
                await self.resources.delete(target.kind, meta.get("namespace", ""), meta["name"], how, call)
            except ApiError as error:
                if error.code != 404:
                    raise
                continue
        return listing

    async def connect(self, target: Target, call: Call, options: Obj) -> Record:
        """The pod (or node, service) behind a stream, admitted."""
        record = await self.resources.get(target.kind, target.namespace, target.name)
        request = AdmissionRequest(
            "CONNECT",
            target.resource,
            target.kind.kind,
            target.namespace,
            target.name,
            options,
            None,
            call.user,
            target.subresource,
        )
        await self.resources.admit(request)
        return record


_SCHEMAS = {
    "Scale": "io.k8s.api.autoscaling.v1.Scale",
    "Binding": "io.k8s.api.core.v1.Binding",
    "Eviction": "io.k8s.api.policy.v1.Eviction",
    "TokenRequest": "io.k8s.api.authentication.v1.TokenRequest",
}


_RESTORES = {"object": "cannot restore slice from map", "array": "cannot restore struct from: slice"}
"""What can't be made of a map or a list where the other, or a structure, is wanted."""


def strict(target: Target, texts: Sequence[str], patched: Obj | None = None) -> ApiError:
    """fieldValidation=Strict refuses: 400, for patches 422."""
    kind = target.kind
    joined = ", ".join(texts)
    if patched is not None:
        message = f"Invalid value: {quote(_short(patched))}: strict decoding error: {joined}"
        details = {
            "causes": [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}],
        }
        return errors.status(422, "Invalid", f' "" is invalid: patch: {message}', details)
    return errors.bad_request(
        f'{kind.kind} in version "{kind.group_version.version}" cannot be handled as a {kind.kind}: '
        f"strict decoding error: {joined}"
    )


def _short(obj: Obj) -> str:
    return json.dumps(obj, separators=(",", ":"))


def _check_put(target: Target, obj: Obj) -> None:
    """Name and namespace of a body must be those of the path."""
    meta = obj.get("metadata") or {}
    name, namespace = meta.get("name", ""), meta.get("namespace", "")
    if not name:
        if target.subresource and target.kind.subresources[target.subresource].kind:
            return
        raise _nameless(target.name)
    if name != target.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({target.name})")
    if namespace and target.kind.namespaced and namespace != target.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _nameless(name: str) -> ApiError:
    return errors.bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def check_same(target: Target, old: Obj, made: Any) -> None:
    """A patch may not turn an object into another one."""
    if not isinstance(made, dict):
        raise errors.bad_request("a patch must leave an object")
    meta = made.get("metadata")
    if not isinstance(meta, dict) or not meta.get("name"):
        raise _nameless(target.name)
    was = old["metadata"]
    if meta["name"] != was.get("name"):
        raise errors.bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({was.get('name', '')})"
        )
    if meta.get("namespace", "") not in ("", was.get("namespace", "")):
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
