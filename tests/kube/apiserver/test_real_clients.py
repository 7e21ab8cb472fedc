"""Clients that were written for real clusters, as their users call them. Each is skipped where it is not installed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrarium.kube.client.contract import Resource
from terrarium.kube.testing import Kube, serving

PODS = [{"name": "c", "image": "busybox"}]
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "lamps.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "lamps", "singular": "lamp", "kind": "Lamp", "shortNames": ["lp"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"watts": {"type": "integer", "minimum": 1}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}
LAMPS = Resource("example.com", "v1", "lamps")
DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    with serving(components=("controllers",)) as running:
        yield running


def _namespace(kube: Kube, name: str) -> str:
    async def make(server: Any) -> None:
        client = server.client()
        await client.create(Resource("", "v1", "namespaces"), {"metadata": {"name": name}})
        accounts = Resource("", "v1", "serviceaccounts")
        while not (await client.list(accounts, name, fields="metadata.name=default")).items:
            async for _ in client.watch(accounts, name):
                break

    kube.run(make)
    return name


# -- lightkube --------------------------------------------------------------------------------------------------------


def test_lightkube(kube: Kube) -> None:
    lightkube = pytest.importorskip("lightkube")
    space = _namespace(kube, "lightkube")
    _define(kube)
    with lightkube.Client(namespace=space, field_manager="tests") as client:
        _use_lightkube(client)


def _use_lightkube(client: Any) -> None:
    import lightkube
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.models.core_v1 import Container, PodSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
    from lightkube.types import PatchType

    assert "kube-system" in [n.metadata.name for n in client.list(Namespace)]
    made = client.create(ConfigMap(metadata=ObjectMeta(name="a"), data={"x": "1"}))
    with pytest.raises(lightkube.ApiError) as conflict:
        client.create(ConfigMap(metadata=ObjectMeta(name="a")))
    assert conflict.value.status.reason == "AlreadyExists"
    client.patch(ConfigMap, "a", {"data": {"y": "2"}}, patch_type=PatchType.MERGE)
    applied = client.apply(ConfigMap(metadata=ObjectMeta(name="a"), data={"z": "3"}))
    assert applied.data == {"x": "1", "y": "2", "z": "3"}
    start = made.metadata.resourceVersion
    with contextlib.closing(client.watch(ConfigMap, resource_version=start, fields={"metadata.name": "a"})) as events:
        for kind, obj in events:
            if (kind, len(obj.data)) == ("MODIFIED", 3):
                break
    for number in range(7):
        client.create(ConfigMap(metadata=ObjectMeta(generateName="many-", labels={"n": str(number % 2)})))
    assert len(list(client.list(ConfigMap, labels={"n": "0"}, chunk_size=2))) == 4
    pod = client.create(Pod(metadata=ObjectMeta(name="p"), spec=PodSpec([Container("c", image="busybox")])))
    assert pod.spec.serviceAccountName == "default" and pod.status.qosClass == "BestEffort"
    client.delete(Pod, "p")
    with pytest.raises(lightkube.ApiError) as gone:
        client.get(Pod, "p")
    assert gone.value.status.code == 404
    Lamp = create_namespaced_resource("example.com", "v1", "Lamp", "lamps")
    client.create(Lamp(metadata=ObjectMeta(name="l"), spec={"watts": 5}))
    client.patch(Lamp.Status, "l", {"status": {"lit": True}}, patch_type=PatchType.MERGE)
    found = client.get(Lamp, "l")
    assert (found.spec, found.status) == ({"watts": 5}, {"lit": True})


def _define(kube: Kube) -> None:
    async def make(server: Any) -> None:
        client = server.client()
        if not (await client.list(DEFINITIONS, fields="metadata.name=lamps.example.com")).items:
            await client.create(DEFINITIONS, DEFINITION)

    kube.run(make)


# -- the official client ----------------------------------------------------------------------------------------------


def test_the_official_client(kube: Kube) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    from kubernetes import dynamic, utils, watch

    space = _namespace(kube, "official")
    api = kubernetes.config.new_client_from_config(str(kube.kubeconfig))
    core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
    assert kubernetes.client.VersionApi(api).get_code().minor == "33"
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": PODS}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    utils.create_from_dict(api, deployment, namespace=space)
    seen = 0
    for event in watch.Watch().stream(core.list_namespaced_pod, space, timeout_seconds=20):
        seen += event["type"] == "ADDED"
        if seen == 2:
            break
    assert seen == 2
    scale = apps.patch_namespaced_deployment_scale("d", space, {"spec": {"replicas": 3}})
    assert scale.spec.replicas == 3
    with pytest.raises(kubernetes.client.ApiException) as wrong:
        core.create_namespaced_service(space, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 0}]}})
    assert wrong.value.status == 422
    answer = kubernetes.client.AuthorizationV1Api(api).create_self_subject_access_review(
        {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}}
    )
    assert answer.status.allowed
    _define(kube)
    lamps = dynamic.DynamicClient(api).resources.get(api_version="example.com/v1", kind="Lamp")
    lamps.create({"metadata": {"name": "o"}, "spec": {"watts": 7}}, namespace=space)
    assert lamps.get(name="o", namespace=space).spec.watts == 7
    token = core.create_namespaced_service_account_token("default", space, {"spec": {}})
    assert token.status.token.count(".") == 2
    api.close()


# -- kr8s -------------------------------------------------------------------------------------------------------------


def test_kr8s(kube: Kube) -> None:
    pytest.importorskip("kr8s")
    import kr8s
    from kr8s.objects import ConfigMap, Deployment, Pod

    space = _namespace(kube, "kr8s")
    api = kr8s.api(kubeconfig=str(kube.kubeconfig))
    assert api.version()["minor"] == "33"
    held = ConfigMap({"metadata": {"name": "a", "namespace": space}, "data": {"x": "1"}}, api=api)
    held.create()
    held.patch({"data": {"y": "2"}})
    assert held.data.to_dict() == {"x": "1", "y": "2"}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": PODS}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    deployment = Deployment({"metadata": {"name": "d", "namespace": space}, "spec": spec}, api=api)
    deployment.create()
    deployment.scale(2)
    assert deployment.replicas == 2
    pod = Pod(
        {"metadata": {"name": "p", "namespace": space, "labels": {"q": "1"}}, "spec": {"containers": PODS}}, api=api
    )
    pod.create()
    assert [p.name for p in kr8s.get("pods", namespace=space, label_selector="q=1", api=api)] == ["p"]
    pod.delete()
    held.delete()
    assert not held.exists()


# -- kopf -------------------------------------------------------------------------------------------------------------


def test_kopf(kube: Kube) -> None:
    """An operator with a custom resource: it answers in the status, holds a finalizer, and has a timer."""
    kopf = pytest.importorskip("kopf")

    space = _namespace(kube, "kopf")
    _define(kube)
    registry = kopf.OperatorRegistry()
    timed, removed = threading.Event(), threading.Event()

    @kopf.on.login(registry=registry)
    def login(**held: Any) -> Any:
        return kopf.login_with_kubeconfig(**held)

    @kopf.on.create("example.com", "v1", "lamps", registry=registry, id="lit")
    def lit(spec: Any, **_: Any) -> dict[str, Any]:
        return {"lumens": spec["watts"] * 80}

    @kopf.on.delete("example.com", "v1", "lamps", registry=registry)
    def out(**_: Any) -> None:
        removed.set()

    @kopf.timer("example.com", "v1", "lamps", registry=registry, interval=0.1)
    def tick(**_: Any) -> None:
        timed.set()

    settings = kopf.OperatorSettings()
    settings.posting.enabled = True
    settings.networking.request_timeout = 10
    stop, ready = threading.Event(), threading.Event()

    def operate() -> None:
        asyncio.run(
            kopf.operator(
                registry=registry,
                settings=settings,
                namespaces=[space],
                stop_flag=stop,
                ready_flag=ready,
                standalone=True,
            )
        )

    thread = threading.Thread(target=operate, daemon=True)
    thread.start()
    try:
        assert ready.wait(20)

        async def answered(server: Any) -> dict[str, Any]:
            client = server.client()
            await client.create(LAMPS, {"metadata": {"name": "k"}, "spec": {"watts": 5}}, space)
            async with asyncio.timeout(20):
                async for event in client.watch(LAMPS, space):
                    if (event.object.get("status") or {}).get("lit"):
                        return dict(event.object)
            raise AssertionError("the watch ended")

        lamp = kube.run(answered)
        assert lamp["status"]["lit"] == {"lumens": 400}
        assert lamp["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        assert timed.wait(20)

        async def ended(server: Any) -> None:
            client = server.client()
            start = await client.list(LAMPS, space)
            await client.delete(LAMPS, "k", space)
            async with asyncio.timeout(20):
                async for event in client.watch(LAMPS, space, revision=start.revision):
                    if event.type == "DELETED":
                        return

        kube.run(ended)
        assert removed.is_set()
    finally:
        stop.set()
        thread.join(20)


def test_the_kubeconfig_is_private(kube: Kube) -> None:
    assert Path(kube.kubeconfig).stat().st_mode & 0o077 == 0
