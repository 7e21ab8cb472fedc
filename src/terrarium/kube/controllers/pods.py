"""What the workload controllers do with pods alike: claim, create in growing batches, delete, and tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import PODS, ApiError, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.runner import Controller, Writer

OWNER = "owner"
"""The index of pods (and ReplicaSets) by controller, see `objects.owner_uids`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Which objects an owner has, which it should take and which it should let go."""

    owned: Sequence[Obj] = ()
    adopt: Sequence[Obj] = ()
    release: Sequence[Obj] = ()


def claim(owner: Obj, candidates: Iterable[Obj], matches: Callable[[Obj], bool]) -> Claim:
    """Sorts candidates by ownership and selector (PodControllerRefManager). A deleting owner takes and releases nothing."""
    owned, adopt, release = [], [], []
    for obj in candidates:
        ref = o.controller_of(obj)
        if ref is not None:
            if ref["uid"] != o.uid(owner):
                continue
            if matches(obj):
                owned.append(obj)
            elif not o.deleting(owner):
                release.append(obj)
        elif matches(obj) and not o.deleting(obj) and not o.deleting(owner):
            adopt.append(obj)
    return Claim(owned, adopt, release)


async def carry_out(
    found: Claim,
    write: Writer,
    resource: Resource,
    reference: Mapping[str, Any],
    finalizers: Sequence[str] = (),
    drop_finalizer: str = "",
) -> list[Obj]:
    """Adopts and releases; gives all that is owned afterwards. Objects that vanished meanwhile are left out."""
    owned = list(found.owned)
    for obj in found.adopt:
        meta: dict[str, Any] = {"ownerReferences": [dict(reference)], "uid": o.uid(obj)}
        if finalizers:
            meta["finalizers"] = list(finalizers)
        try:
            owned.append(await write.patch(resource, obj, {"metadata": meta}))
        except ApiError as error:
            if error.code not in (404, 409, 422):
                raise
    for obj in found.release:
        meta = {"ownerReferences": [{"$patch": "delete", "uid": reference["uid"]}], "uid": o.uid(obj)}
        if drop_finalizer:
            meta["$deleteFromPrimitiveList/finalizers"] = [drop_finalizer]
        try:
            await write.patch(resource, obj, {"metadata": meta})
        except ApiError as error:
            if error.code not in (404, 409, 422):
                raise
    return owned


def terminating(error: ApiError) -> bool:
    """The namespace is going: nothing new may begin there, and nobody needs to hear of it."""
    causes = (error.status.get("details") or {}).get("causes") or ()
    return any(c.get("reason") == "NamespaceTerminating" for c in causes)


@dataclass(slots=True)
class Batch:
    """How a batch of pod writes went. `failure` is the first refusal."""

    done: int = 0
    failure: ApiError | None = None
    pods: list[Obj] = field(default_factory=list)


async def slow_start(count: int, once: Callable[[int], Awaitable[Obj | None]]) -> Batch:
    """Calls `once(index)` in batches of 1, 2, 4, …; a batch with a refusal is the last."""
    result, size, begun = Batch(), 1, 0
    while begun < count:
        size = min(size, count - begun)
        answers = await asyncio.gather(*(once(begun + i) for i in range(size)), return_exceptions=True)
        begun += size
        for answer in answers:
            if isinstance(answer, ApiError):
                result.failure = result.failure or answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                result.done += 1
                if answer is not None:
                    result.pods.append(answer)
        if result.failure is not None:
            break
        size *= 2
    return result


class PodControl:
    """Creates and deletes the pods of an owner and tells of it in events on the owner."""

    def __init__(self, controller: Controller, write: Writer, owner: Obj, kind: str) -> None:
        self._events = controller.events
        self._write = write
        self._owner = owner
        self._about = {"kind": kind, "apiVersion": owner["apiVersion"], "metadata": owner["metadata"]}

    async def create(self, pod: Obj) -> Obj:
        try:
            made = await self._write.create(PODS, pod, o.namespace(self._owner))
        except ApiError as error:
            if not terminating(error):
                self._events.event(self._about, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._events.event(self._about, "Normal", "SuccessfulCreate", f"Created pod: {o.name(made)}")
        return made

    async def delete(self, pod: Obj) -> None:
        try:
            await self._write.delete(PODS, pod)
        except ApiError as error:
            if error.code == 404:
                return
            self._events.event(self._about, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self._events.event(self._about, "Normal", "SuccessfulDelete", f"Deleted pod: {o.name(pod)}")

    async def delete_all(self, pods: Sequence[Obj]) -> ApiError | None:
        """Deletes together; gives the first refusal."""
        answers = await asyncio.gather(*(self.delete(pod) for pod in pods), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ApiError):
                raise answer
        return next((a for a in answers if isinstance(a, ApiError)), None)
