"""Node objects as a kubelet registers and reports them. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrarium.kube.api.kinds import Obj

CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
DEFAULT_CAPACITY: Mapping[str, str] = {
    "cpu": "2",
    "memory": "3919528Ki",
    "ephemeral-storage": "20893676Ki",
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
    "pods": "110",
}

AddressSource = Callable[[Obj], Awaitable[str]]
"""Gives a pod its address."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node to be. `address` is its InternalIP; without `allocatable` all capacity is."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, Any]] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_CAPACITY))
    allocatable: Mapping[str, str] | None = None
    address: str = ""
    addresses: Sequence[Mapping[str, str]] = ()
    """All of status.addresses; made of `address` and the name when empty."""
    provider_id: str = ""
    info: Mapping[str, str] = field(default_factory=dict)
    """Overrides of status.nodeInfo."""
    shares_address: bool = False
    """Pods have the node's own address (Fargate)."""
    pod_address: AddressSource | None = None
    """Where addresses of pods come from; a range of the kubelet's own when None."""
    runtime: str = ""
    """Name of the runtime; "" for the first."""
    version: str = "v1.33.0"


def node_info(spec: NodeSpec, runtime: str, uid: str) -> dict[str, str]:
    return {
        "machineID": uid.replace("-", ""),
        "systemUUID": uid,
        "bootID": uid,
        "kernelVersion": "6.1.0",
        "osImage": "Terrarium simulated node",
        "containerRuntimeVersion": f"{runtime}://1.0",
        "kubeletVersion": spec.version,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": "amd64",
        **spec.info,
    }


def registered(spec: NodeSpec) -> Obj:
    """The object with which a kubelet introduces its node."""
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        **spec.labels,
    }
    notes = {"volumes.kubernetes.io/controller-managed-attach-detach": "true", **spec.annotations}
    body: dict[str, Any] = {}
    if spec.provider_id:
        body["providerID"] = spec.provider_id
    if spec.taints:
        body["taints"] = [dict(t) for t in spec.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name, "labels": labels, "annotations": notes},
        "spec": body,
    }


def status(spec: NodeSpec, runtime: str, uid: str, images: Sequence[Mapping[str, Any]], now: str) -> dict[str, Any]:
    addresses = [dict(a) for a in spec.addresses] or [
        *([{"type": "InternalIP", "address": spec.address}] if spec.address else []),
        {"type": "Hostname", "address": spec.name},
    ]
    allocatable = spec.allocatable if spec.allocatable is not None else spec.capacity
    return {
        "addresses": addresses,
        "capacity": dict(spec.capacity),
        "allocatable": dict(allocatable),
        "conditions": [
            {
                "type": type,
                "status": value,
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
                "reason": reason,
                "message": message,
            }
            for type, value, reason, message in CONDITIONS
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": node_info(spec, runtime, uid),
        "images": [dict(i) for i in images],
    }


def lease(spec: NodeSpec, node: Obj, now: str) -> Obj:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": spec.name,
            "namespace": "kube-node-lease",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": spec.name, "uid": node["metadata"]["uid"]}
            ],
        },
        "spec": {"holderIdentity": spec.name, "leaseDurationSeconds": 40, "renewTime": now},
    }
