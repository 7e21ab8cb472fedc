"""The API in process: `client.contract.Client` with the same checks and answers as over HTTP, without a socket.

Authorisation, the shape of objects and admission are checked as there. Answers share the server's objects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from terrarium.kube.api.hooks import User
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver import errors, lists
from terrarium.kube.apiserver.api import Api, Patch, Target
from terrarium.kube.apiserver.authentication import AUTHENTICATED, service_account_groups
from terrarium.kube.apiserver.records import Record, fresh
from terrarium.kube.apiserver.resources import Call, DeleteOptions
from terrarium.kube.client.contract import ObjectList, PatchType, Resource, WatchEvent


class LocalClient:
    """`contract.Client` as one user."""

    def __init__(self, api: Api, user: User) -> None:
        self._api = api
        if AUTHENTICATED not in user.groups:
            user = User(user.name, user.uid, (*user.groups, AUTHENTICATED), user.extra)
        self._user = user
        # kube-controller-manager's controllers show up in managed fields by their program's name.
        self._agent = user.name.rpartition(":")[2]

    def acting_as(self, user: str, groups: Sequence[str] = ()) -> LocalClient:
        return LocalClient(self._api, User(user, groups=tuple(groups) or _groups(user)))

    async def _target(
        self, verb: str, resource: Resource, namespace: str, name: str = "", subresource: str = ""
    ) -> Target:
        kind = self._api.resources.registry.resource(resource.group, resource.version, resource.plural)
        if kind is None:
            raise errors.unknown_path()
        target = Target(kind, namespace if kind.namespaced else "", name, subresource)
        await self._api.allow(self._user, verb, target)
        self._api.check_verb(target, verb)
        return target

    def _read(self, obj: Obj, target: Target, call: Call) -> Obj:
        """An object as a body would be read; kind and version may be left out. Reading a structure copies anyway, so that
        only the outermost level need be ours."""
        made: Obj = dict(obj) if self._api.schema_of(target) else fresh(obj)
        sub = target.kind.subresources.get(target.subresource)
        gv = sub.group_version if sub is not None and sub.group_version is not None else target.kind.group_version
        made.setdefault("kind", sub.kind if sub is not None and sub.kind else target.kind.kind)
        made.setdefault("apiVersion", str(gv))
        return self._api.read(target, made, call)

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Obj:
        target = await self._target("get", resource, namespace, name, subresource)
        return _shown(await self._api.get(target, Call(self._user)), target)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        next: str = "",
        revision: str = "",
    ) -> ObjectList:
        target = await self._target("list", resource, namespace)
        listing = await self._api.list(target, lists.ListOptions(labels, fields, limit, next, revision))
        items = [_shown(record, target) for record in listing.records]
        return ObjectList(items, str(listing.revision), listing.next)

    async def watch(
        self, resource: Resource, namespace: str = "", *, revision: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        target = await self._target("watch", resource, namespace)
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
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        space = namespace or (obj.get("metadata") or {}).get("namespace", "")
        target = await self._target("create", resource, space, name, subresource)
        call = Call(self._user, self._agent)
        _, record = await self._api.create(target, self._read(obj, target, call), call)
        return _shown(record, target)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        meta = obj["metadata"]
        target = await self._target("update", resource, meta.get("namespace", ""), meta["name"], subresource)
        call = Call(self._user, self._agent)
        _, record = await self._api.update(target, self._read(obj, target, call), call)
        return _shown(record, target)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        manager: str = "",
        force: bool = False,
    ) -> Obj:
        target = await self._target("patch", resource, namespace, name, subresource)
        call = Call(self._user, manager or self._agent)
        _, record = await self._api.patch(target, Patch(type, fresh(patch), force), call)
        return _shown(record, target)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        propagation: Literal["", "Background", "Foreground", "Orphan"] = "",
        uid: str = "",
        revision: str = "",
    ) -> Obj:
        target = await self._target("delete", resource, namespace, name)
        options = DeleteOptions(grace, propagation, None, uid, revision)
        deleted = await self._api.delete(target, options, Call(self._user))
        return _shown(deleted.record, target)


def _groups(user: str) -> tuple[str, ...]:
    return service_account_groups(user) if user.startswith("system:serviceaccount:") else ()


def _shown(record: Record, target: Target) -> Obj:
    """What was stored as the target's version shows it; what was not, as it is."""
    return record.obj(target.kind) if record.entry.revision else record.stored
