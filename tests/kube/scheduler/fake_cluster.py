"""An honest small API server for the scheduler alone: objects, revisions, watches, bindings, and faults on demand.

It keeps what the real one promises and the scheduler relies on: a pod is bound at most once, a precondition that does
not hold is a conflict, a watch tells everything after its revision or says that it can't (410).
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError, Client, ObjectList, Resource, WatchEvent

LOG = 2000


def failure(code: int, reason: str, message: str = "") -> ApiError:
    return ApiError(
        {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message or reason}
    )


@dataclass(slots=True)
class Faults:
    """How often (0…1) something goes wrong. `lost`: a write is done and its answer is not heard of."""

    error: float = 0.0
    lost: float = 0.0
    gone: float = 0.0
    broken_watch: float = 0.0


@dataclass(slots=True)
class Bound:
    """A binding that was accepted."""

    uid: str
    node: str


@dataclass(slots=True)
class FakeCluster:
    """Implements `contract.Client`, for what the scheduler calls."""

    random: random.Random
    faults: Faults = field(default_factory=Faults)
    revision: int = 0
    tables: dict[str, dict[tuple[str, str], Obj]] = field(default_factory=dict)
    log: list[tuple[int, str, WatchEvent]] = field(default_factory=list)
    bindings: list[Bound] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def acting_as(self, user: str, groups: Sequence[str] = ()) -> Client:
        return self

    # --- what a test does ------------------------------------------------------------------------------------------

    def objects(self, plural: str) -> list[Obj]:
        return list(self.tables.get(plural, {}).values())

    def put(self, plural: str, obj: Obj) -> Obj:
        """Creates or replaces without any check."""
        meta = obj.setdefault("metadata", {})
        key = meta.get("namespace", ""), meta["name"]
        table = self.tables.setdefault(plural, {})
        old = table.get(key)
        self.revision += 1
        meta["resourceVersion"] = str(self.revision)
        meta.setdefault("uid", f"uid-{self.revision}" if old is None else old["metadata"]["uid"])
        table[key] = obj
        self._tell(plural, WatchEvent("ADDED" if old is None else "MODIFIED", obj))
        return obj

    def drop(self, plural: str, namespace: str, name: str) -> None:
        obj = self.tables.get(plural, {}).pop((namespace, name), None)
        if obj is not None:
            self.revision += 1
            last = copy.deepcopy(obj)
            last["metadata"]["resourceVersion"] = str(self.revision)
            self._tell(plural, WatchEvent("DELETED", last))

    def _tell(self, plural: str, event: WatchEvent) -> None:
        self.log.append((self.revision, plural, event))
        del self.log[:-LOG]
        self.changed.set()
        self.changed = asyncio.Event()

    # --- contract.Client ---------------------------------------------------------------------------------------------

    async def _door(self, write: bool = False) -> bool:
        """Each call's way in; true when the answer will be lost."""
        await asyncio.sleep(0)
        if self.random.random() < self.faults.error:
            raise (
                failure(500, "InternalError", "out of order")
                if self.random.random() < 0.5
                else ConnectionError("reset")
            )
        return write and self.random.random() < self.faults.lost

    def _find(self, resource: Resource, namespace: str, name: str) -> Obj:
        found = self.tables.get(resource.plural, {}).get((namespace, name))
        if found is None:
            raise failure(404, "NotFound", f'{resource} "{name}" not found')
        return found

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Obj:
        await self._door()
        return self._find(resource, namespace, name)

    async def list(self, resource: Resource, namespace: str = "", **more: Any) -> ObjectList:
        await self._door()
        return ObjectList(self.objects(resource.plural), str(self.revision))

    async def watch(self, resource: Resource, namespace: str = "", **more: Any) -> AsyncIterator[WatchEvent]:
        seen = int(more.get("revision") or 0)
        while True:
            if self.random.random() < self.faults.gone:
                raise failure(410, "Expired", "too old resource version")
            if self.random.random() < self.faults.broken_watch:
                raise ConnectionError("the watch broke")
            if self.log and self.log[0][0] > seen + 1 and self.revision - seen > LOG:
                raise failure(410, "Expired", "too old resource version")
            waiting = self.changed
            for revision, plural, event in [e for e in self.log if e[0] > seen]:
                seen = revision
                if plural == resource.plural:
                    yield event
            seen = max(seen, self.revision)
            if waiting is self.changed:
                await waiting.wait()

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        lost = await self._door(write=True)
        if subresource == "binding":
            self._bind(resource, obj, namespace, name)
        elif resource.plural != "events":
            self.put(resource.plural, obj)
        if lost:
            raise ConnectionError("the answer was lost")
        return obj

    def _bind(self, resource: Resource, binding: Obj, namespace: str, name: str) -> None:
        pod = self._find(resource, namespace, name)
        uid = pod["metadata"]["uid"]
        if binding["metadata"].get("uid") not in ("", uid):
            raise failure(409, "Conflict", "the uid in the precondition does not match")
        if pod["spec"].get("nodeName"):
            raise failure(409, "Conflict", f"pod {name} is already assigned to node {pod['spec']['nodeName']}")
        if pod["metadata"].get("deletionTimestamp"):
            raise failure(409, "Conflict", f"pod {name} is being deleted, cannot be assigned to a host")
        node = binding["target"]["name"]
        self.bindings.append(Bound(uid, node))
        self.put(resource.plural, {**pod, "metadata": dict(pod["metadata"]), "spec": {**pod["spec"], "nodeName": node}})

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        lost = await self._door(write=True)
        meta = obj["metadata"]
        found = self._find(resource, meta.get("namespace", ""), meta["name"])
        if meta.get("resourceVersion") not in (None, found["metadata"]["resourceVersion"]):
            raise failure(409, "Conflict", "the object has been modified")
        written = self.put(resource.plural, copy.deepcopy(obj))
        if lost:
            raise ConnectionError("the answer was lost")
        return written

    async def patch(self, resource: Resource, name: str, patch: Any, namespace: str = "", **more: Any) -> Obj:
        lost = await self._door(write=True)
        if resource.plural == "events":
            return {}
        found = self._find(resource, namespace, name)
        uid = (patch.get("metadata") or {}).get("uid")
        if uid not in (None, found["metadata"]["uid"]):
            raise failure(409, "Conflict", "the uid in the precondition does not match")
        status = dict(found.get("status") or {})
        for key, value in patch["status"].items():
            if key == "conditions":
                known = {c["type"]: c for c in status.get("conditions") or ()}
                status["conditions"] = list({**known, **{c["type"]: c for c in value}}.values())
            elif not key.startswith("$"):
                status[key] = value
        written = self.put(resource.plural, {**found, "metadata": dict(found["metadata"]), "status": status})
        if lost:
            raise ConnectionError("the answer was lost")
        return written

    async def delete(self, resource: Resource, name: str, namespace: str = "", **more: Any) -> Obj:
        await self._door(write=True)
        found = self._find(resource, namespace, name)
        if more.get("uid") not in (None, "", found["metadata"]["uid"]):
            raise failure(409, "Conflict", "the uid in the precondition does not match")
        self.drop(resource.plural, namespace, name)
        return found
