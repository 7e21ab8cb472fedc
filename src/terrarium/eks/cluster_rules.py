"""CreateCluster and UpdateClusterConfig as decisions: what is refused, what is filled in. Pure functions over values."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.cloud.hooks import AwsError, Subnet
from terrarium.cloud.trust import trusts_service
from terrarium.eks.ground import invalid
from terrarium.eks.versions import DEFAULT_VERSION, VERSIONS

MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
"""In the only order in which a cluster may change its mode."""
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
NODE_POOLS = ("general-purpose", "system")
_PRIVATE = tuple(ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_SERVICE_CIDRS = ("10.100.0.0/16", "172.20.0.0/16")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the account a decision depends on."""

    subnets: Sequence[Subnet | None]
    """In the order asked for; None: there is no such subnet."""
    vpc_cidrs: Sequence[str]
    role: Mapping[str, Any] | None
    node_role: Mapping[str, Any] | None = None


def check_version(version: str | None) -> str:
    chosen = version or DEFAULT_VERSION
    if chosen not in VERSIONS:
        raise invalid(f"unsupported Kubernetes version {chosen}")
    return chosen


def check_role(arn: str, role: Mapping[str, Any] | None, service: str = "eks.amazonaws.com") -> None:
    if role is None:
        raise invalid(
            f"Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        )
    if not trusts_service(role["AssumeRolePolicyDocument"], service):
        raise invalid(
            f"Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        )


def check_subnets(ids: Sequence[str], subnets: Sequence[Subnet | None]) -> str:
    """The VPC of a cluster's subnets."""
    for id, subnet in zip(ids, subnets, strict=True):
        if subnet is None:
            raise invalid(f"The subnet ID '{id}' does not exist")
    found = [s for s in subnets if s is not None]
    vpcs = {s.vpc for s in found}
    if len(vpcs) > 1:
        raise invalid("Subnets specified must belong to the same VPC")
    if len({s.zone for s in found}) < 2:
        raise invalid("Subnets specified must be in at least two different AZs")
    return vpcs.pop()


def service_network(asked: Mapping[str, Any], vpc_cidrs: Sequence[str]) -> dict[str, Any]:
    """`kubernetesNetworkConfig` completed."""
    family = asked.get("ipFamily", "ipv4")
    if family not in ("ipv4", "ipv6"):
        raise invalid(f"{family} is not a valid IP family")
    elastic = {"enabled": bool(asked.get("elasticLoadBalancing", {}).get("enabled", False))}
    if family == "ipv6":
        if asked.get("serviceIpv4Cidr"):
            raise invalid("serviceIpv4Cidr can't be given for a cluster of IP family ipv6")
        return {"serviceIpv6Cidr": "fd00:ec2::/108", "ipFamily": "ipv6", "elasticLoadBalancing": elastic}
    cidr = asked.get("serviceIpv4Cidr")
    if cidr is None:
        cidr = next((c for c in _SERVICE_CIDRS if not _overlaps(c, vpc_cidrs)), _SERVICE_CIDRS[0])
    else:
        _check_service_cidr(cidr, vpc_cidrs)
    return {"serviceIpv4Cidr": cidr, "ipFamily": "ipv4", "elasticLoadBalancing": elastic}


def _overlaps(cidr: str, others: Sequence[str]) -> bool:
    network = ipaddress.ip_network(cidr)
    return any(network.overlaps(ipaddress.ip_network(other)) for other in others)


def _check_service_cidr(cidr: str, vpc_cidrs: Sequence[str]) -> None:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        raise invalid(f"serviceIpv4Cidr {cidr} is not a valid CIDR block") from None
    if not any(network.subnet_of(private) for private in _PRIVATE if isinstance(private, ipaddress.IPv4Network)):
        raise invalid(f"serviceIpv4Cidr {cidr} must be within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    if not 12 <= network.prefixlen <= 24:
        raise invalid(f"serviceIpv4Cidr {cidr} must be between /24 and /12")
    if _overlaps(cidr, vpc_cidrs):
        raise invalid(f"serviceIpv4Cidr {cidr} overlaps with a CIDR block of the cluster's VPC")


def auto_mode(parameters: Mapping[str, Any]) -> bool | None:
    """Whether Auto Mode is switched on or off; None when the call doesn't speak of it. All three switches agree."""
    switches = (
        parameters.get("computeConfig", {}).get("enabled"),
        parameters.get("kubernetesNetworkConfig", {}).get("elasticLoadBalancing", {}).get("enabled"),
        parameters.get("storageConfig", {}).get("blockStorage", {}).get("enabled"),
    )
    if switches == (None, None, None):
        return None
    if len({bool(s) for s in switches}) != 1:
        raise invalid(
            "For EKS Auto Mode, please ensure that all required configs, including computeConfig, "
            "kubernetesNetworkConfig, and blockStorage are all either fully enabled or fully disabled."
        )
    return bool(switches[0])


def compute_config(asked: Mapping[str, Any], enabled: bool, node_role: Mapping[str, Any] | None) -> dict[str, Any]:
    if not enabled:
        return {"enabled": False, "nodePools": []}
    pools = list(asked.get("nodePools", []))
    for pool in pools:
        if pool not in NODE_POOLS:
            raise invalid(f"The node pool {pool} is not supported; valid values are {', '.join(NODE_POOLS)}")
    arn = asked.get("nodeRoleArn")
    if pools and not arn:
        raise invalid("When Compute Config nodeRoleArn is not provided, nodePools must be empty")
    if arn and not pools:
        raise invalid("When Compute Config nodePools is empty, nodeRoleArn must not be provided")
    if arn and node_role is None:
        raise invalid(
            f"Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        )
    return {"enabled": True, "nodePools": pools} | ({"nodeRoleArn": arn} if arn else {})


def access_config(asked: Mapping[str, Any]) -> dict[str, Any]:
    mode = asked.get("authenticationMode", "CONFIG_MAP")
    if mode not in MODES:
        raise invalid(f"{mode} is not a valid authentication mode")
    return {"authenticationMode": mode}


def next_mode(now: str, wanted: str) -> str:
    if wanted not in MODES:
        raise invalid(f"{wanted} is not a valid authentication mode")
    if MODES.index(wanted) < MODES.index(now):
        raise invalid(f"Unsupported authentication mode update from {now} to {wanted}")
    return wanted


def logging(asked: Mapping[str, Any] | None, now: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`logging` completed: the types which are on and those which are off, each once."""
    on = {t for entry in (now or {}).get("clusterLogging", []) if entry["enabled"] for t in entry["types"]}
    for entry in (asked or {}).get("clusterLogging", []):
        types = entry.get("types", [])
        for name in types:
            if name not in LOG_TYPES:
                raise invalid(f"The log type {name} is not valid")
        on = on | set(types) if entry.get("enabled") else on - set(types)
    groups = [([t for t in LOG_TYPES if t in on], True), ([t for t in LOG_TYPES if t not in on], False)]
    return {"clusterLogging": [{"types": types, "enabled": enabled} for types, enabled in groups if types]}


def vpc_access(asked: Mapping[str, Any], now: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The endpoint part of `resourcesVpcConfig`."""
    before = now or {"endpointPublicAccess": True, "endpointPrivateAccess": False, "publicAccessCidrs": ["0.0.0.0/0"]}
    public = asked.get("endpointPublicAccess", before["endpointPublicAccess"])
    private = asked.get("endpointPrivateAccess", before["endpointPrivateAccess"])
    cidrs = asked.get("publicAccessCidrs") or before["publicAccessCidrs"]
    if not public and not private:
        raise invalid("Private and public endpoint access cannot be false")
    if not public and asked.get("publicAccessCidrs"):
        raise invalid("publicAccessCidrs can't be set when endpointPublicAccess is false")
    for cidr in cidrs:
        try:
            ipaddress.ip_network(cidr)
        except ValueError:
            raise invalid(f"The CIDR {cidr} in publicAccessCidrs is not valid") from None
    return {
        "endpointPublicAccess": bool(public),
        "endpointPrivateAccess": bool(private),
        "publicAccessCidrs": list(cidrs) if public else [],
    }


def new_cluster(parameters: Mapping[str, Any], around: Surroundings) -> dict[str, Any]:
    """The members of a new cluster which follow from the call. `AwsError` when it is refused."""
    version = check_version(parameters.get("version"))
    vpc = parameters.get("resourcesVpcConfig") or {}
    ids = list(vpc.get("subnetIds") or [])
    if not ids:
        raise invalid("Subnets specified must be in at least two different AZs")
    check_role(parameters["roleArn"], around.role)
    vpc_id = check_subnets(ids, around.subnets)
    auto = auto_mode(parameters)
    if auto and parameters.get("bootstrapSelfManagedAddons") is not False:
        raise invalid(
            "When EKS Auto Mode is enabled, bootstrapSelfManagedAddons must be set to false: Auto Mode brings its own"
        )
    access = access_config(parameters.get("accessConfig") or {})
    if auto and access["authenticationMode"] == "CONFIG_MAP":
        raise invalid("EKS Auto Mode needs the authentication mode API or API_AND_CONFIG_MAP")
    support = (parameters.get("upgradePolicy") or {}).get("supportType", "EXTENDED")
    cluster = {
        "version": version,
        "platformVersion": VERSIONS[version].platform,
        "roleArn": parameters["roleArn"],
        "resourcesVpcConfig": {
            "subnetIds": ids,
            "securityGroupIds": list(vpc.get("securityGroupIds") or []),
            "vpcId": vpc_id,
            **vpc_access(vpc),
        },
        "kubernetesNetworkConfig": service_network(parameters.get("kubernetesNetworkConfig") or {}, around.vpc_cidrs),
        "logging": logging(parameters.get("logging")),
        "accessConfig": access,
        "upgradePolicy": {"supportType": support},
        "deletionProtection": bool(parameters.get("deletionProtection", False)),
        "controlPlaneScalingConfig": parameters.get("controlPlaneScalingConfig") or {"tier": "standard"},
    }
    if auto is not None:
        cluster["computeConfig"] = compute_config(parameters.get("computeConfig") or {}, auto, around.node_role)
        cluster["storageConfig"] = {"blockStorage": {"enabled": auto}}
    for name in ("encryptionConfig", "zonalShiftConfig", "remoteNetworkConfig"):
        if parameters.get(name):
            cluster[name] = parameters[name]
    return cluster


def next_version(now: str, wanted: str) -> str:
    """The version of UpdateClusterVersion; one minor at a time, never back."""
    if wanted not in VERSIONS:
        raise invalid(f"unsupported Kubernetes version {wanted}")
    step = VERSIONS[wanted].minor - VERSIONS[now].minor
    if step == 0:
        raise invalid(f"Cluster is already at Kubernetes version {now}")
    if step != 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {now} to {wanted}")
    return wanted


def busy(status: str, name: str) -> AwsError | None:
    """Why a cluster can't be updated now."""
    if status == "ACTIVE":
        return None
    if status == "UPDATING":
        return AwsError(
            "ResourceInUseException", f"Cannot update because cluster {name} currently has an update in progress", 409,
            clusterName=name,
        )  # fmt: skip
    return AwsError(
        "InvalidRequestException", f"Cluster is not in ACTIVE status, but in {status}", 400, clusterName=name
    )
