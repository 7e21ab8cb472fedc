"""The API in process: the same operations, checks and answers as over HTTP, without a socket. Objects are shared.

`Operations` is what an API server offers for it; this module knows no API server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from terrarium.kube.api.hooks import User
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ObjectList, PatchType, Resource, WatchEvent


class Operations(Protocol):
    """The verbs for a user; `agent` stands for the User-Agent, the default field manager. All raise `ApiError`."""

    async def get(self, user: User, resource: Resource, namespace: str, name: str, subresource: str) -> Obj: ...

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
    ) -> ObjectList: ...

    def watch(
        self, user: User, resource: Resource, namespace: str, labels: str, fields: str, revision: str
    ) -> AsyncIterator[WatchEvent]: ...

    async def create(
        self, user: User, agent: str, resource: Resource, namespace: str, name: str, subresource: str, obj: Obj
    ) -> Obj: ...

    async def update(self, user: User, agent: str, resource: Resource, subresource: str, obj: Obj) -> Obj: ...

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
    ) -> Obj: ...

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
    ) -> Obj: ...


AUTHENTICATED = "system:authenticated"


class LocalClient:
    """`contract.Client` over `Operations`, as one user."""

    def __init__(self, operations: Operations, user: User) -> None:
        self._operations = operations
        if AUTHENTICATED not in user.groups:
            user = User(user.name, user.uid, (*user.groups, AUTHENTICATED), user.extra)
        self._user = user
        # kube-controller-manager's controllers show up in managed fields by their program's name.
        self._agent = user.name.rpartition(":")[2]

    def acting_as(self, user: str, groups: Sequence[str] = ()) -> LocalClient:
        found = tuple(groups)
        parts = user.split(":")
        if not found and user.startswith("system:serviceaccount:") and len(parts) == 4:
            found = ("system:serviceaccounts", f"system:serviceaccounts:{parts[2]}")
        return LocalClient(self._operations, User(user, groups=found))

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Obj:
        return await self._operations.get(self._user, resource, namespace, name, subresource)

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
        return await self._operations.list(self._user, resource, namespace, labels, fields, limit, next, revision)

    def watch(
        self, resource: Resource, namespace: str = "", *, revision: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        return self._operations.watch(self._user, resource, namespace, labels, fields, revision)

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        space = namespace or obj.get("metadata", {}).get("namespace", "")
        return await self._operations.create(self._user, self._agent, resource, space, name, subresource, obj)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        return await self._operations.update(self._user, self._agent, resource, subresource, obj)

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
        return await self._operations.patch(
            self._user, manager or self._agent, resource, namespace, name, subresource, type, patch, force
        )

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
        return await self._operations.delete(self._user, resource, namespace, name, grace, propagation, uid, revision)
