"""The in-process door: `kube.client.local.Operations` over the API, for users of the same process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from terrarium.kube.api.hooks import User
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver import errors, lists
from terrarium.kube.apiserver.api import Api, Patch, Target
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.resources import Call, DeleteOptions
from terrarium.kube.client.contract import ObjectList, PatchType, Resource, WatchEvent


class Door:
    """Checks what HTTP checks: authorisation, shape of objects, admission. Answers share the server's objects."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def _target(
        self, user: User, verb: str, resource: Resource, namespace: str, name: str = "", subresource: str = ""
    ) -> Target:
        kind = self._api.resources.registry.resource(resource.group, resource.version, resource.plural)
        if kind is None:
            raise errors.unknown_path()
        target = Target(kind, namespace if kind.namespaced else "", name, subresource)
        await self._api.allow(user, verb, target)
        self._api.check_verb(target, verb)
        return target

    def _own(self, target: Target, obj: Obj) -> Obj:
        """A copy that may be changed. Reading a structure copies anyway, so only the outermost level need be ours."""
        return dict(obj) if self._api.schema_of(target) else fresh(obj)

    async def get(self, user: User, resource: Resource, namespace: str, name: str, subresource: str) -> Obj:
        target = await self._target(user, "get", resource, namespace, name, subresource)
        record = await self._api.get(target, Call(user))
        return record.obj(target.kind) if record.entry.revision else record.stored

    async def list(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        labels: str,
        fields: str,
        limit: int,
        next: str,
        revision: str,
    ) -> ObjectList:
        target = await self._target(user, "list", resource, namespace)
        listing = await self._api.list(target, lists.ListOptions(labels, fields, limit, next, revision))
        items = [record.obj(target.kind) for record in listing.records]
        return ObjectList(items, str(listing.revision), listing.next)

    async def watch(
        self, user: User, resource: Resource, namespace: str, labels: str, fields: str, revision: str
    ) -> AsyncIterator[WatchEvent]:
        target = await self._target(user, "watch", resource, namespace)
        watching = self._api.watch(target, labels, fields, revision)
        try:
            for change in await watching.first():
                yield WatchEvent(change.type, change.record.obj(target.kind))
            async for changes in watching:
                for change in changes:
                    yield WatchEvent(change.type, change.record.obj(target.kind))
        finally:
            watching.close()

    async def create(
        self, user: User, agent: str, resource: Resource, namespace: str, name: str, subresource: str, obj: Obj
    ) -> Obj:
        target = await self._target(user, "create", resource, namespace, name, subresource)
        call = Call(user, agent)
        made = self._api.read(target, _named(self._own(target, obj), target), call)
        _, record = await self._api.create(target, made, call)
        return record.obj(target.kind) if record.entry.revision else record.stored

    async def update(self, user: User, agent: str, resource: Resource, subresource: str, obj: Obj) -> Obj:
        meta = obj["metadata"]
        target = await self._target(user, "update", resource, meta.get("namespace", ""), meta["name"], subresource)
        call = Call(user, agent)
        made = self._api.read(target, _named(self._own(target, obj), target), call)
        _, record = await self._api.update(target, made, call)
        return record.obj(target.kind) if record.entry.revision else record.stored

    async def patch(
        self,
        user: User,
        agent: str,
        resource: Resource,
        namespace: str,
        name: str,
        subresource: str,
        type: PatchType,
        patch: Any,
        force: bool,
    ) -> Obj:
        target = await self._target(user, "patch", resource, namespace, name, subresource)
        _, record = await self._api.patch(target, Patch(type, fresh(patch), force), Call(user, agent))
        return record.obj(target.kind) if record.entry.revision else record.stored

    async def delete(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        name: str,
        grace: int | None,
        propagation: str,
        uid: str,
        revision: str,
    ) -> Obj:
        target = await self._target(user, "delete", resource, namespace, name)
        options = DeleteOptions(grace, propagation, None, uid, revision)
        deleted = await self._api.delete(target, options, Call(user))
        return deleted.record.obj(target.kind) if deleted.record.entry.revision else deleted.record.stored


def _named(obj: Obj, target: Target) -> Obj:
    """Kind and version may be left out in process."""
    sub = target.kind.subresources.get(target.subresource)
    gv = sub.group_version if sub is not None and sub.group_version is not None else target.kind.group_version
    obj.setdefault("kind", sub.kind if sub is not None and sub.kind else target.kind.kind)
    obj.setdefault("apiVersion", str(gv))
    return obj
