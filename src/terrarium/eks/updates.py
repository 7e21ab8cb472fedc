"""Update objects: every change of a cluster, node group or add-on is one, and clients wait for it by its id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from terrarium.cloud.hooks import AwsError, Call, Operation
from terrarium.cloud.records import Document
from terrarium.eks.ground import UPDATE, Ground, not_found, page
from terrarium.eks.hosting import ClusterId

Finish = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""Does the work of an update; answers its errors, none when it went well."""


class Updates:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {"DescribeUpdate": self.describe, "ListUpdates": self.list}

    async def begin(
        self, cluster: ClusterId, type: str, params: Mapping[str, Any], *, nodegroup: str = "", addon: str = ""
    ) -> Document:
        """A new update, InProgress and durable."""
        ground = self._ground
        update: Document = {
            "id": ground.ids.uuid(),
            "status": "InProgress",
            "type": type,
            "params": [{"type": name, "value": _text(value)} for name, value in params.items()],
            "createdAt": ground.now(),
            "errors": [],
            "_nodegroup": nodegroup,
            "_addon": addon,
        }
        await ground.records.put(UPDATE, f"{cluster}/{update['id']}", update)
        return update

    async def end(self, cluster: ClusterId, id: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        status = "Failed" if errors else "Successful"
        await self._ground.change(UPDATE, f"{cluster}/{id}", status=status, errors=list(errors))

    async def resume(self) -> None:
        """After a restart: what was in progress is done, as its effect was written together with it."""
        for key, update in self._ground.records.scan(UPDATE):
            if update["status"] == "InProgress":
                await self._ground.change(UPDATE, key, status="Successful")

    async def forget(self, cluster: ClusterId) -> None:
        for key, _ in self._ground.records.scan(UPDATE, f"{cluster}/"):
            await self._ground.records.delete(UPDATE, key)

    async def describe(self, call: Call) -> Mapping[str, Any]:
        cluster, _ = self._ground.cluster(call, "name")
        id = str(call.parameters.get("updateId", ""))
        found = self._ground.records.get(UPDATE, f"{cluster}/{id}")
        if found is None or not _belongs(found, call):
            raise not_found(f"No update found for ID: {id}", clusterName=cluster.name)
        return {"update": found}

    async def list(self, call: Call) -> Mapping[str, Any]:
        cluster, _ = self._ground.cluster(call, "name")
        updates = [u for u in self._ground.of_cluster(UPDATE, cluster) if _belongs(u, call)]
        updates.sort(key=lambda u: u["createdAt"], reverse=True)
        return page(call, [u["id"] for u in updates], "updateIds")


def _belongs(update: Document, call: Call) -> bool:
    group, addon = call.parameters.get("nodegroupName") or "", call.parameters.get("addonName") or ""
    return bool(update["_nodegroup"] == group and update["_addon"] == addon)


def _text(value: Any) -> str:
    """Values of update parameters are text, structures as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def only_one(updates: Mapping[str, Any]) -> None:
    """UpdateClusterConfig takes one kind of change at a time."""
    if len(updates) > 1:
        raise AwsError(
            "InvalidParameterException", f"Only one type of update can be allowed: {', '.join(updates)} given", 400
        )
