"""Both clients, in process and over HTTP, against one server: they must not differ."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from terrarium.base.clock import Clock
from terrarium.base.tasks import Tasks
from terrarium.kube.apiserver.server import ApiServer
from terrarium.kube.client.contract import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    ApiError,
    Client,
    Resource,
)
from terrarium.kube.client.http import HttpClient, Transport
from terrarium.kube.client.informer import Informer
from terrarium.kube.client.kubeconfig import parse

_SPEC = importlib.util.spec_from_file_location(
    "kube_test_cluster", Path(__file__).parent.parent / "apiserver" / "cluster.py"
)
assert _SPEC is not None and _SPEC.loader is not None
_CLUSTER = importlib.util.module_from_spec(_SPEC)
sys.modules["kube_test_cluster"] = _CLUSTER
_SPEC.loader.exec_module(_CLUSTER)
cluster = _CLUSTER.cluster

Case = Callable[[Client, ApiServer], Awaitable[None]]


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": name[0]}}, "data": data}


async def objects_are_made_changed_and_removed(client: Client, server: ApiServer) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a", x="1"), "default")
    assert made["metadata"]["uid"] and made["kind"] == "ConfigMap"
    changed = await client.update(CONFIG_MAPS, {**made, "data": {"x": "2"}})
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    with pytest.raises(ApiError) as stale:
        await client.update(CONFIG_MAPS, {**made, "data": {"x": "3"}})
    assert (stale.value.code, stale.value.reason) == (409, "Conflict")
    patched = await client.patch(CONFIG_MAPS, "a", {"data": {"y": "1"}}, "default")
    assert patched["data"] == {"x": "2", "y": "1"}
    with pytest.raises(ApiError) as other:
        await client.delete(CONFIG_MAPS, "a", "default", uid="00000000-0000-0000-0000-000000000000")
    assert other.value.reason == "Conflict"
    await client.delete(CONFIG_MAPS, "a", "default")
    with pytest.raises(ApiError) as gone:
        await client.get(CONFIG_MAPS, "a", "default")
    assert (gone.value.code, str(gone.value)) == (404, 'configmaps "a" not found')


async def lists_select_and_page(client: Client, server: ApiServer) -> None:
    for name in ("a1", "a2", "a3", "b1"):
        await client.create(CONFIG_MAPS, config_map(name), "default")
    chosen = await client.list(CONFIG_MAPS, "default", labels="app=a")
    assert [o["metadata"]["name"] for o in chosen.items] == ["a1", "a2", "a3"]
    assert {o["kind"] for o in chosen.items} == {"ConfigMap"}
    first = await client.list(CONFIG_MAPS, "default", limit=3)
    rest = await client.list(CONFIG_MAPS, "default", limit=3, next=first.next)
    assert len(first.items) == 3 and first.next and not rest.next
    assert [o["metadata"]["name"] for o in rest.items] == ["b1"]
    one = await client.list(CONFIG_MAPS, fields="metadata.name=b1")
    assert len(one.items) == 1


async def watches_give_what_follows(client: Client, server: ApiServer) -> None:
    start = (await client.list(CONFIG_MAPS, "default")).revision
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"app": "z"}}}, "default")
    await client.delete(CONFIG_MAPS, "a", "default")
    seen: list[str] = []
    async for event in client.watch(CONFIG_MAPS, "default", revision=start, labels="app=a"):
        seen.append(event.type)
        if event.type == "DELETED":
            break
    assert seen == ["ADDED", "DELETED"]


async def an_old_revision_has_expired(client: Client, server: ApiServer) -> None:
    await client.create(CONFIG_MAPS, config_map("a"), "default")
    await server.resources.storage.compact(server.resources.storage.revision)
    with pytest.raises(ApiError) as expired:
        async for _ in client.watch(CONFIG_MAPS, revision="1"):
            pass
    assert (expired.value.code, expired.value.reason) == (410, "Expired")


async def others_may_only_what_roles_allow(client: Client, server: ApiServer) -> None:
    other = client.acting_as("alice", ("dev",))
    with pytest.raises(ApiError) as refused:
        await other.list(SECRETS, "default")
    assert str(refused.value) == (
        'secrets is forbidden: User "alice" cannot list resource "secrets" in API group "" in the namespace "default"'
    )
    group = "rbac.authorization.k8s.io"
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]}
    await client.create(Resource(group, "v1", "roles"), role, "default")
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "dev"}],
    }
    await client.create(Resource(group, "v1", "rolebindings"), binding, "default")
    assert (await other.list(SECRETS, "default")).items == []


async def pods_are_bound_scaled_and_deleted_gracefully(client: Client, server: ApiServer) -> None:
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, "default")
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    made = await client.create(PODS, pod, "default")
    assert made["spec"]["serviceAccountName"] == "default" and made["spec"]["priority"] == 0
    target = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    await client.create(PODS, target, "default", name="p", subresource="binding")
    bound = await client.get(PODS, "p", "default")
    assert bound["spec"]["nodeName"] == "n1"
    assert [c["type"] for c in bound["status"]["conditions"]] == ["PodScheduled"]
    waiting = await client.delete(PODS, "p", "default")
    assert waiting["metadata"]["deletionGracePeriodSeconds"] == 30
    await client.delete(PODS, "p", "default", grace=0)
    assert (await client.list(PODS, "default")).items == []
    deployment = {
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": pod["spec"]},
        },
    }
    await client.create(DEPLOYMENTS, deployment, "default")
    scale = await client.patch(DEPLOYMENTS, "d", {"spec": {"replicas": 4}}, "default", subresource="scale")
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 4, "app=d")
    assert (await client.get(DEPLOYMENTS, "d", "default"))["spec"]["replicas"] == 4


async def apply_remembers_its_owners(client: Client, server: ApiServer) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    await client.patch(CONFIG_MAPS, "a", mine, "default", type="apply", manager="one")
    with pytest.raises(ApiError) as conflict:
        await client.patch(CONFIG_MAPS, "a", {**mine, "data": {"x": "2"}}, "default", type="apply", manager="two")
    assert conflict.value.status["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    forced = await client.patch(
        CONFIG_MAPS, "a", {**mine, "data": {"x": "2"}}, "default", type="apply", manager="two", force=True
    )
    assert forced["data"] == {"x": "2"}


async def an_informer_follows_and_recovers(client: Client, server: ApiServer) -> None:
    tasks, clock = Tasks("test"), Clock()
    await client.create(CONFIG_MAPS, config_map("a", x="1"), "default")
    informer = Informer(client, CONFIG_MAPS, clock, "default")
    told: list[tuple[str, str]] = []
    done = asyncio.Event()
    informer.on_change(lambda old, new: done.set() if new is None else None)
    informer.on_change(
        lambda old, new: told.append(
            ((old or {}).get("data", {}).get("x", "-"), (new or {}).get("data", {}).get("x", "-"))
        )
    )
    informer.add_index("app", lambda obj: [obj["metadata"]["labels"]["app"]])
    informer.start(tasks)
    try:
        async with asyncio.timeout(20):
            await informer.synced()
            await client.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, "default")
            await client.create(CONFIG_MAPS, config_map("b", x="9"), "default")
            await client.delete(CONFIG_MAPS, "a", "default")
            await done.wait()
        assert told == [("-", "1"), ("1", "2"), ("-", "9"), ("2", "-")]
        assert [o["metadata"]["name"] for o in informer.indexed("app", "b")] == ["b"]
        assert list(informer.indexed("app", "a")) == []
    finally:
        await tasks.close()


CASES: list[Case] = [
    objects_are_made_changed_and_removed,
    lists_select_and_page,
    watches_give_what_follows,
    an_old_revision_has_expired,
    others_may_only_what_roles_allow,
    pods_are_bound_scaled_and_deleted_gracefully,
    apply_remembers_its_owners,
    an_informer_follows_and_recovers,
]


@pytest.mark.parametrize("how", ["local", "http"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_client(case: Case, how: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with cluster(tmp_path, port=0 if how == "http" else None) as server:
            if how == "local":
                await case(server.client(), server)
                return
            transport = Transport(parse(json.loads(server.admin_kubeconfig()), tmp_path / "config"))
            try:
                await case(HttpClient(transport), server)
            finally:
                await transport.close()

    asyncio.run(run())
