"""The pure rules of Fargate: sizes, profiles, refusals, logging."""

from __future__ import annotations

from typing import Any

import pytest

from terrarium.eks.fargate.logging import judge
from terrarium.eks.fargate.machines import node_name
from terrarium.eks.fargate.profiles import profile_of
from terrarium.eks.fargate.refusals import message, refusals
from terrarium.eks.fargate.sizing import size_of
from terrarium.eks.hosting import FargateProfile, Selector


def pod(requests: dict[str, str] | None = None, init: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "nginx", "resources": {"requests": requests or {}}}
    body: dict[str, Any] = {"containers": [container], **spec}
    if init:
        body["initContainers"] = [{"name": "init", "image": "nginx", "resources": {"requests": init}}]
    return {"metadata": {"name": "p", "namespace": "demo"}, "spec": body}


@pytest.mark.parametrize(
    "requests, init, text",
    [
        pytest.param({}, None, "0.25vCPU 0.5GB", id="nothing asked for"),
        pytest.param({"cpu": "150m", "memory": "150Mi"}, None, "0.25vCPU 0.5GB", id="fits with the overhead"),
        pytest.param({"cpu": "500m", "memory": "500Mi"}, None, "0.5vCPU 1GB", id="netshoot"),
        pytest.param({"cpu": "500m", "memory": "750M"}, None, "0.5vCPU 1GB", id="decimal megabytes"),
        pytest.param({"cpu": "1", "memory": "2.5G"}, None, "1vCPU 3GB", id="decimal gigabytes"),
        pytest.param({"cpu": "1", "memory": "4Gi"}, {"cpu": "250m", "memory": "128Mi"}, "1vCPU 5GB", id="small init"),
        pytest.param({"cpu": "100m"}, {"cpu": "2"}, "2vCPU 4GB", id="large init"),
        pytest.param({"cpu": "1", "memory": "8Gi"}, None, "2vCPU 9GB", id="memory makes the CPU grow"),
        pytest.param({"cpu": "250m", "memory": "512Mi"}, None, "0.25vCPU 1GB", id="the overhead tips it over"),
        pytest.param({"cpu": "16", "memory": "119.75Gi"}, None, "16vCPU 120GB", id="the largest"),
        pytest.param({"cpu": "16", "memory": "120Gi"}, None, "None", id="too large"),
    ],
)
def test_size(requests: dict[str, str], init: dict[str, str] | None, text: str) -> None:
    assert str(size_of(pod(requests, init))) == text


def profile(name: str, namespace: str, **labels: str) -> FargateProfile:
    return FargateProfile(name, "arn", "role", ("subnet-a",), (Selector(namespace, labels),))


PROFILES = [profile("b", "study-*"), profile("a", "study-aews", tier="web?"), profile("c", "prod")]


@pytest.mark.parametrize(
    "namespace, meta, found",
    [
        pytest.param("study-x", {}, "b", id="wildcard"),
        pytest.param("study-aews", {"labels": {"tier": "web1"}}, "a", id="first by name"),
        pytest.param("study-aews", {"labels": {"tier": "web"}}, "b", id="question mark is exactly one"),
        pytest.param("default", {}, None, id="no profile"),
        pytest.param("study-x", {"annotations": {"eks.amazonaws.com/compute-type": "ec2"}}, None, id="opted out"),
        pytest.param(
            "study-aews",
            {"labels": {"tier": "web1", "eks.amazonaws.com/fargate-profile": "b"}},
            "b",
            id="chosen by label",
        ),
        pytest.param("study-x", {"labels": {"eks.amazonaws.com/fargate-profile": "c"}}, None, id="chosen, no match"),
        pytest.param(
            "study-x", {"ownerReferences": [{"kind": "DaemonSet", "controller": True}]}, None, id="daemon pod"
        ),
    ],
)
def test_profile(namespace: str, meta: dict[str, Any], found: str | None) -> None:
    chosen = profile_of({"metadata": meta, "spec": {}}, namespace, PROFILES)
    assert (chosen.name if chosen else None) == found


def contexts(*found: dict[str, Any]) -> dict[str, Any]:
    return {"containers": [{"name": f"c{i}", "image": "x", "securityContext": c} for i, c in enumerate(found)]}


CSI = {"spec": {"csi": {"driver": "ebs.csi.aws.com"}}}
BOUND = {"spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}
CLAIM = [{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}]


@pytest.mark.parametrize(
    "spec, claim, volume, text",
    [
        pytest.param(
            {"hostNetwork": True, "hostPID": True, "hostIPC": True},
            None,
            None,
            "fields not supported: HostNetwork, HostPID, HostIPC",
            id="host namespaces",
        ),
        pytest.param(
            contexts({"privileged": True}, {"privileged": True}),
            None,
            None,
            "invalid SecurityContext fields: Privileged,Privileged",
            id="two containers",
        ),
        pytest.param(
            contexts({"privileged": True, "capabilities": {"add": ["SYS_ADMIN", "NET_RAW"]}}),
            None,
            None,
            "invalid SecurityContext fields: Capabilities added: SYS_ADMIN, Privileged",
            id="capabilities first",
        ),
        pytest.param(
            {
                "hostNetwork": True,
                "containers": [
                    {
                        "name": "c",
                        "image": "x",
                        "securityContext": {"privileged": True},
                        "ports": [{"containerPort": 80, "hostPort": 80}],
                    }
                ],
            },
            None,
            None,
            "fields not supported: HostNetwork, invalid SecurityContext fields: Privileged, "
            "port contains HostIP or HostPort",
            id="the order of the parts",
        ),
        pytest.param(
            {"volumes": [{"name": "h", "hostPath": {"path": "/"}}, {"name": "e", "emptyDir": {}}]},
            None,
            None,
            "volumes not supported: h is of an unsupported volume Type",
            id="host path",
        ),
        pytest.param(
            {"volumes": CLAIM},
            {},
            None,
            "volumes not supported: data not supported because: PVC claim not bound",
            id="unbound claim",
        ),
        pytest.param(
            {"volumes": CLAIM},
            BOUND,
            CSI,
            "volumes not supported: data not supported because: PVC claim bound to invalid PV pv with CSI Driver: "
            "ebs.csi.aws.com",
            id="EBS",
        ),
        pytest.param(
            {"volumes": CLAIM},
            BOUND,
            {"spec": {}},
            "volumes not supported: data not supported because: PVC claim bound to invalid PV pv with nil CSI spec",
            id="no CSI",
        ),
    ],
)
def test_refusal(spec: dict[str, Any], claim: dict[str, Any] | None, volume: dict[str, Any] | None, text: str) -> None:
    found = refusals(pod(**spec), {"claim": claim}, {"pv": volume})
    assert message(found) == f"Pod not supported on Fargate: {text}"


def test_nothing_is_refused() -> None:
    efs = {"spec": {"csi": {"driver": "efs.csi.aws.com"}}}
    assert refusals(pod(volumes=CLAIM), {"claim": BOUND}, {"pv": efs}) == []


OUTPUT = "[OUTPUT]\n    Name cloudwatch_logs\n    Match kube.*\n"


@pytest.mark.parametrize(
    "labels, data, annotation",
    [
        pytest.param({"aws-observability": "enabled"}, {"output.conf": OUTPUT}, "LoggingEnabled", id="as documented"),
        pytest.param({}, {"output.conf": OUTPUT}, "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND", id="no label"),
        pytest.param(
            {"aws-observability": "enabled"},
            {"output.conf": "[INPUT]\n    Name tail\n"},
            "LoggingDisabled: LOGGING_CONFIGMAP_INVALID",
            id="a section that is not allowed",
        ),
    ],
)
def test_logging(labels: dict[str, str], data: dict[str, str], annotation: str) -> None:
    assert judge({"metadata": {"labels": labels}}, {"data": data}).annotation == annotation


def test_no_config_map() -> None:
    verdict = judge({"metadata": {"labels": {"aws-observability": "enabled"}}}, None)
    assert verdict.message.endswith('configmap "aws-logging" not found')


@pytest.mark.parametrize(
    "region, name",
    [
        ("ap-northeast-2", "fargate-ip-10-10-24-108.ap-northeast-2.compute.internal"),
        ("us-east-1", "fargate-ip-10-10-24-108.ec2.internal"),
    ],
)
def test_node_name(region: str, name: str) -> None:
    assert node_name("10.10.24.108", region) == name
