"""The node behind a Fargate pod, as the cluster sees it. Pure."""

from __future__ import annotations

from terrarium.cloud.hooks import Subnet
from terrarium.eks.fargate.profiles import COMPUTE_TYPE
from terrarium.runtime.kubelet.nodes import NodeSpec

CAPACITY = {
    "cpu": "2",
    "memory": "4037540Ki",
    "ephemeral-storage": "30832548Ki",
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
    "pods": "1",
}
LARGER = (
    # Milli-vCPUs of the pod up to which the host has these CPUs and this memory.
    (2000, "2", 16_384_000),
    (4000, "4", 32_768_000),
    (8000, "8", 65_536_000),
    (16000, "16", 131_072_000),
)


def domain(region: str) -> str:
    """The suffix of private names: us-east-1 has its own."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def host_name(address: str, region: str) -> str:
    return f"ip-{address.replace('.', '-')}.{domain(region)}"


def node_name(address: str, region: str) -> str:
    return f"fargate-{host_name(address, region)}"


def capacity(cpu_millis: int, memory_gib: float) -> tuple[dict[str, str], dict[str, str]]:
    """(capacity, allocatable): a host that is often larger than the pod, and never tells the pod's size."""
    found = dict(CAPACITY)
    if cpu_millis > 1000 or memory_gib > 3:
        cpus, kib = next((c, m) for limit, c, m in LARGER if cpu_millis <= limit)
        found |= {"cpu": cpus, "memory": f"{max(kib, int(memory_gib * 1024 * 1024))}Ki"}
    memory = int(found["memory"].removesuffix("Ki")) - 100 * 1024
    storage = int(found["ephemeral-storage"].removesuffix("Ki")) * 1024 * 9 // 10
    return found, {**found, "memory": f"{memory}Ki", "ephemeral-storage": str(storage)}


def node_spec(
    address: str, subnet: Subnet, region: str, task: str, cpu_millis: int, memory_gib: float, version: str
) -> NodeSpec:
    """`task` is the id that was the pod's nominated node name; `version` the kubelet's."""
    host = host_name(address, region)
    name = node_name(address, region)
    have, usable = capacity(cpu_millis, memory_gib)
    return NodeSpec(
        name=name,
        labels={
            COMPUTE_TYPE: "fargate",
            "failure-domain.beta.kubernetes.io/region": region,
            "failure-domain.beta.kubernetes.io/zone": subnet.zone,
            "kubernetes.io/hostname": host,
            "topology.kubernetes.io/region": region,
            "topology.kubernetes.io/zone": subnet.zone,
        },
        taints=({"key": COMPUTE_TYPE, "value": "fargate", "effect": "NoSchedule"},),
        annotations={"node.alpha.kubernetes.io/ttl": "0"},
        capacity=have,
        allocatable=usable,
        address=address,
        addresses=(
            {"type": "InternalIP", "address": address},
            {"type": "InternalDNS", "address": host},
            {"type": "Hostname", "address": host},
        ),
        provider_id=f"aws:///{subnet.zone}/{task}/{name}",
        info={
            "kernelVersion": "5.10.234-225.910.amzn2.x86_64",
            "osImage": "Amazon Linux 2",
            "containerRuntimeVersion": "containerd://1.7.25",
            "kubeletVersion": version,
            "kubeProxyVersion": version,
        },
        shares_address=True,
        version=version,
    )
