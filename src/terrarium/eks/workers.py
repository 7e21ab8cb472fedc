"""The nodes of managed node groups: EC2 instances in the cloud, each with a node in the cluster.

Level-triggered: `apply` compares the groups that should exist with the instances that carry their tags, starts what is
missing, ends what is too much, and sees to it that every running instance has its node, also after a restart.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from terrarium.cloud.hooks import AwsError, CloudView
from terrarium.eks.hosting import Issue, Nodegroup
from terrarium.runtime.kubelet.nodes import NodeSpec

CLUSTER_TAG = "eks:cluster-name"
GROUP_TAG = "eks:nodegroup-name"


class NodeHost(Protocol):
    """Where nodes run: the kubelets of a cluster."""

    async def add_node(self, spec: NodeSpec) -> None: ...
    async def remove_node(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Shape:
    """An instance type as a node sees it. Memory in MiB."""

    cpus: int
    memory: int
    interfaces: int
    addresses: int

    @property
    def pods(self) -> int:
        """The VPC CNI's limit: each interface keeps one address for itself, and two pods use the host's network."""
        return self.interfaces * (self.addresses - 1) + 2


def capacity(shape: Shape, disk_gib: int) -> tuple[dict[str, str], dict[str, str]]:
    """(capacity, allocatable) of a node, as EKS's AMI reserves (awslabs/amazon-eks-ami, kubeReserved).

    Of a machine's memory some 6 % never reach the system; the kubelet keeps 255 MiB, 11 MiB for each pod, and evicts
    below 100 MiB. CPU: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest.
    """
    shares = [60, 10, 5, 5] + [2.5] * max(0, shape.cpus - 4)
    reserved_cpu = math.floor(sum(shares[: shape.cpus]))
    memory = int(shape.memory * 1024 * 0.94)
    reserved_memory = (255 + 11 * shape.pods + 100) * 1024
    disk = disk_gib * 1024 * 1024 - 12 * 1024
    everywhere = {"hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": str(shape.pods)}
    return (
        {"cpu": str(shape.cpus), "memory": f"{memory}Ki", "ephemeral-storage": f"{disk}Ki", **everywhere},
        {
            "cpu": f"{shape.cpus * 1000 - reserved_cpu}m",
            "memory": f"{memory - reserved_memory}Ki",
            # 10 % for eviction and 1 GiB for the kubelet.
            "ephemeral-storage": str(int(disk * 1024 * 0.9) - 1024**3),
            **everywhere,
        },
    )


class Workers:
    """The node groups of one cluster. `kubelet_version` is the node's, such as `v1.33.5-eks-113cf36`."""

    def __init__(self, region: str, cluster: str, view: CloudView, nodes: NodeHost) -> None:
        self._region = region
        self._cluster = cluster
        self._view = view
        self._nodes = nodes
        self._known: dict[str, str] = {}
        """Node name by instance id."""
        self._shapes: dict[str, Shape] = {}

    async def apply(self, groups: Sequence[Nodegroup], versions: Mapping[str, str]) -> Mapping[str, Sequence[Issue]]:
        """Brings about the groups; `versions` are the kubelets' versions by Kubernetes minor. Issues by group."""
        running = await self._instances()
        issues: dict[str, Sequence[Issue]] = {}
        wanted = {g.name: g for g in groups}
        for name in {self._group_of(i) for i in running} - set(wanted):
            for instance in [i for i in running if self._group_of(i) == name]:
                await self._end(instance)
        for group in groups:
            try:
                await self._bring_about(group, [i for i in running if self._group_of(i) == group.name], versions)
            except AwsError as failure:
                issues[group.name] = (Issue("NodeCreationFailure", f"{failure.code}: {failure.message}"),)
        return issues

    async def _bring_about(self, group: Nodegroup, have: list[Mapping[str, Any]], versions: Mapping[str, str]) -> None:
        for surplus in have[group.desired :]:
            await self._end(surplus)
        have = have[: group.desired]
        per_subnet = {s: sum(i["SubnetId"] == s for i in have) for s in group.subnets}
        for _ in range(group.desired - len(have)):
            # As an Auto Scaling group does: where there are fewest.
            subnet = min(group.subnets, key=lambda s: per_subnet[s])
            per_subnet[subnet] += 1
            have.append(await self._begin(group, subnet))
        for instance in have:
            if instance["InstanceId"] not in self._known:
                await self._register(group, instance, versions)

    async def _instances(self) -> list[Mapping[str, Any]]:
        filters = [
            {"Name": f"tag:{CLUSTER_TAG}", "Values": [self._cluster]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        answer = await self._view.call("ec2", "DescribeInstances", {"Filters": filters}, self._region)
        found = [i for r in answer["Reservations"] for i in r["Instances"]]
        return sorted(found, key=lambda i: (i["LaunchTime"], i["InstanceId"]))

    @staticmethod
    def _group_of(instance: Mapping[str, Any]) -> str:
        return next((t["Value"] for t in instance.get("Tags") or () if t["Key"] == GROUP_TAG), "")

    async def _begin(self, group: Nodegroup, subnet: str) -> Mapping[str, Any]:
        tags = {
            CLUSTER_TAG: self._cluster,
            GROUP_TAG: group.name,
            f"kubernetes.io/cluster/{self._cluster}": "owned",
            f"k8s.io/cluster-autoscaler/{self._cluster}": "owned",
            "k8s.io/cluster-autoscaler/enabled": "true",
        }
        parameters = {
            "ImageId": await self._image(),
            "InstanceType": group.instance_types[0],
            "SubnetId": subnet,
            "MinCount": 1,
            "MaxCount": 1,
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
            ],
        }
        answer = await self._view.call("ec2", "RunInstances", parameters, self._region)
        instance: Mapping[str, Any] = answer["Instances"][0]
        return instance

    async def _image(self) -> str:
        """The newest Amazon Linux 2023 image of the region: the base of EKS's own."""
        name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
        answer = await self._view.call("ssm", "GetParameter", {"Name": name}, self._region)
        return str(answer["Parameter"]["Value"])

    async def _end(self, instance: Mapping[str, Any]) -> None:
        name = self._known.pop(instance["InstanceId"], "")
        if name:
            await self._nodes.remove_node(name)
        await self._view.call("ec2", "TerminateInstances", {"InstanceIds": [instance["InstanceId"]]}, self._region)

    async def _register(self, group: Nodegroup, instance: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        shape = await self._shape(instance["InstanceType"])
        subnet = await self._view.subnet(self._region, instance["SubnetId"])
        assert subnet is not None
        spec = node_spec(self._region, group, instance, subnet.zone, subnet.zone_id, shape, versions[group.version])
        self._known[instance["InstanceId"]] = spec.name
        await self._nodes.add_node(spec)

    async def _shape(self, type: str) -> Shape:
        if type not in self._shapes:
            answer = await self._view.call("ec2", "DescribeInstanceTypes", {"InstanceTypes": [type]}, self._region)
            info = answer["InstanceTypes"][0]
            network = info.get("NetworkInfo") or {}
            self._shapes[type] = Shape(
                info["VCpuInfo"]["DefaultVCpus"],
                info["MemoryInfo"]["SizeInMiB"],
                network.get("MaximumNetworkInterfaces", 3),
                network.get("Ipv4AddressesPerInterface", 10),
            )
        return self._shapes[type]


def private_dns(region: str, address: str) -> str:
    """The name EC2 gives an address (`ip-10-0-1-15.ec2.internal` in us-east-1, with the region elsewhere)."""
    dashed = str(ipaddress.ip_address(address)).replace(".", "-")
    return f"ip-{dashed}.ec2.internal" if region == "us-east-1" else f"ip-{dashed}.{region}.compute.internal"


def node_spec(
    region: str, group: Nodegroup, instance: Mapping[str, Any], zone: str, zone_id: str, shape: Shape, version: str
) -> NodeSpec:
    """The node of an instance, with the labels EKS and the cloud provider give it."""
    address = instance["PrivateIpAddress"]
    name = private_dns(region, address)
    total, allocatable = capacity(shape, 20)
    return NodeSpec(
        name=name,
        labels={
            "beta.kubernetes.io/instance-type": instance["InstanceType"],
            "eks.amazonaws.com/capacityType": group.capacity_type,
            "eks.amazonaws.com/nodegroup": group.name,
            "eks.amazonaws.com/nodegroup-image": instance["ImageId"],
            "failure-domain.beta.kubernetes.io/region": region,
            "failure-domain.beta.kubernetes.io/zone": zone,
            "node.kubernetes.io/instance-type": instance["InstanceType"],
            "topology.k8s.aws/zone-id": zone_id,
            "topology.kubernetes.io/region": region,
            "topology.kubernetes.io/zone": zone,
            **group.labels,
        },
        taints=[{"key": k, "value": v, "effect": e} if v else {"key": k, "effect": e} for k, v, e in group.taints],
        capacity=total,
        allocatable=allocatable,
        address=address,
        addresses=[
            {"type": "InternalIP", "address": address},
            {"type": "InternalDNS", "address": name},
            {"type": "Hostname", "address": name},
        ],
        provider_id=f"aws:///{zone}/{instance['InstanceId']}",
        info={
            "osImage": "Amazon Linux 2023.9.20251110",
            "kernelVersion": "6.1.158-178.288.amzn2023.x86_64",
            "containerRuntimeVersion": "containerd://2.1.4",
            "kubeProxyVersion": "",
        },
        version=version,
    )
