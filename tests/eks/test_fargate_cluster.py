"""Fargate end to end, in process: from a Deployment to pods on nodes of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.eks.cluster import World, eventually, world

from terrarium.eks.hosting import FargateProfile, Selector
from terrarium.kube.api.hooks import LogOptions
from terrarium.kube.client.contract import DEPLOYMENTS, EVENTS, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS

PROFILE = FargateProfile(
    "study_wildcard", "arn", "role", ("subnet-a", "subnet-b"), (Selector("study-*"), Selector("kube-system"))
)


def deployment(replicas: int = 2, **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "500m", "memory": "500Mi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], **spec}},
        },
    }


async def running(cluster: World, count: int) -> list[Any]:
    async def look() -> Any:
        pods = (await cluster.client.list(PODS, "study-aews")).items
        return pods if len(pods) == count and all(p["status"].get("phase") == "Running" for p in pods) else None

    return list(await eventually(look) or ())


async def play(folder: Path) -> None:
    async with world(folder) as cluster:
        await cluster.fargate.profiles_changed([PROFILE])
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "study-aews"}}
        await cluster.client.create(NAMESPACES, namespace)
        await cluster.client.create(DEPLOYMENTS, deployment(), "study-aews")
        pods = await running(cluster, 2)
        assert len(pods) == 2
        pod = pods[0]
        assert pod["metadata"]["annotations"] == {
            "CapacityProvisioned": "0.5vCPU 1GB",
            "Logging": "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND",
        }
        assert pod["metadata"]["labels"]["eks.amazonaws.com/fargate-profile"] == "study_wildcard"
        assert (pod["spec"]["schedulerName"], pod["spec"]["priority"]) == ("fargate-scheduler", 2000001000)
        assert pod["status"]["podIP"] == pod["status"]["hostIP"]
        assert "nominatedNodeName" not in pod["status"]
        template = (await cluster.client.get(DEPLOYMENTS, "web", "study-aews"))["spec"]["template"]
        assert template["spec"]["schedulerName"] == "default-scheduler"
        nodes = {n["metadata"]["name"]: n for n in (await cluster.client.list(NODES)).items}
        assert set(nodes) == {p["spec"]["nodeName"] for p in pods}
        address = pod["status"]["podIP"].replace(".", "-")
        node = nodes[f"fargate-ip-{address}.ap-northeast-2.compute.internal"]
        assert node["status"]["capacity"]["pods"] == "1"
        assert node["spec"]["taints"][0]["key"] == "eks.amazonaws.com/compute-type"
        assert {n["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in nodes.values()} == {
            "ap-northeast-2a",
            "ap-northeast-2b",
        }

        async def told() -> Any:
            events = (await cluster.client.list(EVENTS, "study-aews")).items
            mine = [e for e in events if e["involvedObject"]["name"] == pod["metadata"]["name"]]
            reasons = [e["reason"] for e in mine]
            return {e["reason"]: e["source"]["component"] for e in mine} if "Started" in reasons else None

        sources = await eventually(told)
        assert (sources["LoggingDisabled"], sources["Scheduled"]) == ("fargate-scheduler", "fargate-scheduler")
        await cluster.kubelets.http_get(pod["status"]["podIP"], 80, "/")
        text = b"".join([piece async for piece in cluster.kubelets.logs(pod, LogOptions())])
        assert b'"GET / HTTP/1.1" 200' in text
        scale = {"spec": {"replicas": 0}}
        await cluster.client.patch(DEPLOYMENTS, "web", scale, "study-aews", type="merge")

        async def empty() -> Any:
            return not (await cluster.client.list(NODES)).items and not cluster.cloud.given

        assert await eventually(empty)


def test_a_deployment_on_fargate(tmp_path: Path) -> None:
    asyncio.run(play(tmp_path))


async def delete_the_cluster(folder: Path) -> None:
    async with world(folder) as cluster:
        await cluster.fargate.profiles_changed([PROFILE])
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "study-aews"}}
        await cluster.client.create(NAMESPACES, namespace)
        await cluster.client.create(DEPLOYMENTS, deployment(), "study-aews")
        await running(cluster, 2)
        cluster.cloud.given["eni-other"], cluster.cloud.about["eni-other"] = "10.10.10.99", "somebody else's"
        # More pods are on their way when the cluster goes.
        scale = {"spec": {"replicas": 6}}
        await cluster.client.patch(DEPLOYMENTS, "web", scale, "study-aews", type="merge")
        await cluster.fargate.clear()
        assert set(cluster.cloud.given) == {"eni-other"}


def test_a_deleted_cluster_leaves_no_interface(tmp_path: Path) -> None:
    asyncio.run(delete_the_cluster(tmp_path))


async def refuse(folder: Path) -> None:
    async with world(folder) as cluster:
        await cluster.fargate.profiles_changed([PROFILE])
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "study-aews"}}
        await cluster.client.create(NAMESPACES, namespace)
        container = {"name": "app", "image": "busybox", "securityContext": {"privileged": True}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "root"},
            "spec": {
                "hostNetwork": True,
                "hostPID": True,
                "hostIPC": True,
                "containers": [container],
                "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
            },
        }

        async def account() -> Any:
            return (await cluster.client.list(SERVICE_ACCOUNTS, "study-aews")).items

        await eventually(account)
        await cluster.client.create(PODS, pod, "study-aews")

        async def told() -> Any:
            events = (await cluster.client.list(EVENTS, "study-aews")).items
            return [e["message"] for e in events if e["reason"] == "FailedScheduling"]

        assert await eventually(told) == [
            "Pod not supported on Fargate: fields not supported: HostNetwork, HostPID, HostIPC, "
            "invalid SecurityContext fields: Privileged, volumes not supported: host is of an unsupported volume Type"
        ]
        assert (await cluster.client.get(PODS, "root", "study-aews"))["status"]["phase"] == "Pending"
        assert not (await cluster.client.list(NODES)).items
        answer = cluster.fargate.explain("study-aews", "root")
        assert answer is not None
        assert "fields not supported: HostNetwork, HostPID, HostIPC" in answer["details"]


def test_a_takeover_is_refused(tmp_path: Path) -> None:
    asyncio.run(refuse(tmp_path))
