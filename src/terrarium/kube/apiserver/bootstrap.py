"""What a fresh cluster holds before anybody writes: namespaces, roles and bindings, priority classes, flow control, the
`kubernetes` Service. Written by the server itself, without admission; what is there already stays.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources as files
from typing import Any

from terrarium.base.clock import rfc3339
from terrarium.kube.api import typed
from terrarium.kube.api.kinds import Context, Kind, Obj
from terrarium.kube.apiserver.records import encode, fresh
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.storage.contract import Conflict

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


@lru_cache(maxsize=1)
def _documents() -> list[Obj]:
    """The packaged objects, each with kind, apiVersion and metadata."""
    data = files.files("terrarium.kube.apiserver").joinpath("data/bootstrap.json").read_bytes()
    found: list[Obj] = json.loads(data)
    return found


def documents() -> Iterator[Obj]:
    """Every object of a fresh cluster, namespaces first."""
    for name in NAMESPACES:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    for document in _documents():
        yield fresh(document)


async def run(resources: Resources) -> None:
    """Writes what is missing: in order, but without waiting for the disk after each, so that they share its commits."""
    served = {str(kind.group_version) for kind in resources.registry}
    writes = []
    for document in documents():
        group, _, version = document["apiVersion"].rpartition("/")
        kind = resources.registry.kind(group, version, document["kind"])
        if kind is None or (kind.kind == "APIService" and _service(document) not in served):
            continue
        writes.append(ensure(resources, kind, document))
    await asyncio.gather(*writes)


def _service(document: Obj) -> str:
    """The group and version that an APIService announces."""
    spec = document["spec"]
    return f"{spec['group']}/{spec['version']}" if spec.get("group") else str(spec["version"])


async def ensure(resources: Resources, kind: Kind, obj: Obj) -> Obj:
    """Makes an object unless there is one of its name; gives what is there."""
    meta: dict[str, Any] = obj["metadata"]
    key = resources.key(kind, meta.get("namespace", ""), meta["name"])
    if (entry := await resources.storage.get(key)) is not None:
        return resources.records.of(entry).obj(kind)
    now = resources.clock.now()
    context = Context(now=now)
    obj = typed.decode(obj, kind.schema, resources.minor).obj if kind.schema else obj
    kind.strategy.default(obj, context)
    obj["metadata"]["uid"] = resources.ids.uuid()
    obj["metadata"]["creationTimestamp"] = rfc3339(now)
    status = obj.get("status")
    kind.strategy.prepare_create(obj, context)
    if status:
        obj["status"] = status
        for condition in status.get("conditions", ()):
            if not condition.get("lastTransitionTime"):
                condition["lastTransitionTime"] = rfc3339(now)
    if kind.strategy.generation:
        obj["metadata"]["generation"] = 1
    value = encode(typed.encode(obj, kind.schema, resources.minor) if kind.schema else obj)
    try:
        entry = await resources.storage.put(key, value, expect=0)
    except Conflict as conflict:
        assert conflict.current is not None
        entry = conflict.current
    return resources.records.of(entry).obj(kind)
