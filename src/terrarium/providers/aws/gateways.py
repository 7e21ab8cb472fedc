"""Ways out of a VPC: internet gateways, elastic IPs, NAT gateways."""

from __future__ import annotations

from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, one, quietly, retag
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.rows import Plain, Resource, limit
from terrarium.providers.aws.session import ApiError, AwsFailure, Cloud
from terrarium.providers.aws.vpc import deleted

# --- internet gateways


def create_gateway(cloud: Cloud, new: Plain) -> None:
    made = cloud.call("ec2", "create_internet_gateway", TagSpecifications=created_tags(cloud, new, "internet-gateway"))[
        "InternetGateway"
    ]
    new["id"] = made["InternetGatewayId"]
    if new.get("vpc_id"):
        cloud.call("ec2", "attach_internet_gateway", InternetGatewayId=new["id"], VpcId=new["vpc_id"])


def read_gateway(cloud: Cloud, old: Plain) -> Plain | None:
    gateway = one(
        cloud,
        "describe_internet_gateways",
        "InternetGateways",
        "InvalidInternetGatewayID.NotFound",
        InternetGatewayIds=[old["id"]],
    )
    if gateway is None:
        return None
    attached = gateway.get("Attachments") or []
    return {
        "id": gateway["InternetGatewayId"],
        "arn": cloud.arn("ec2", f"internet-gateway/{gateway['InternetGatewayId']}"),
        "owner_id": gateway.get("OwnerId", ""),
        "vpc_id": attached[0]["VpcId"] if attached else "",
        "tags": tags.mapping(gateway.get("Tags")),
    }


def _detach(cloud: Cloud, id: str, vpc: str) -> None:
    cloud.retry(
        lambda: quietly(
            cloud,
            "detach_internet_gateway",
            "Gateway.NotAttached",
            "InvalidInternetGatewayID.NotFound",
            InternetGatewayId=id,
            VpcId=vpc,
        ),
        lambda failure: failure.means("DependencyViolation"),
        1200,
    )


def update_gateway(cloud: Cloud, old: Plain, new: Plain) -> None:
    if old.get("vpc_id") == new.get("vpc_id"):
        return
    if old.get("vpc_id"):
        _detach(cloud, new["id"], old["vpc_id"])
    if new.get("vpc_id"):
        cloud.call("ec2", "attach_internet_gateway", InternetGatewayId=new["id"], VpcId=new["vpc_id"])


def delete_gateway(cloud: Cloud, old: Plain) -> None:
    if old.get("vpc_id"):
        _detach(cloud, old["id"], old["vpc_id"])
    deleted(
        cloud,
        "delete_internet_gateway",
        "InvalidInternetGatewayID.NotFound",
        limit(old, "delete", 1200),
        InternetGatewayId=old["id"],
    )


GATEWAY = Resource("EC2 Internet Gateway", create_gateway, read_gateway, delete_gateway, update_gateway, retag)

# --- elastic IPs


def create_address(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "ec2",
        "allocate_address",
        Domain="vpc",
        Address=new.get("address"),
        PublicIpv4Pool=new.get("public_ipv4_pool") or None,
        NetworkBorderGroup=new.get("network_border_group") or None,
        CustomerOwnedIpv4Pool=new.get("customer_owned_ipv4_pool") or None,
        TagSpecifications=created_tags(cloud, new, "elastic-ip"),
    )
    new["id"] = made["AllocationId"]
    _associate(cloud, new)


def _associate(cloud: Cloud, new: Plain) -> None:
    if new.get("instance") or new.get("network_interface"):
        cloud.call(
            "ec2",
            "associate_address",
            AllocationId=new["id"],
            InstanceId=new.get("instance") or None,
            NetworkInterfaceId=new.get("network_interface") or None,
            PrivateIpAddress=new.get("associate_with_private_ip") or None,
        )


def read_address(cloud: Cloud, old: Plain) -> Plain | None:
    address = one(
        cloud,
        "describe_addresses",
        "Addresses",
        "InvalidAllocationID.NotFound",
        "InvalidAddress.NotFound",
        AllocationIds=[old["id"]],
    )
    if address is None:
        return None
    id, ip = address["AllocationId"], address.get("PublicIp", "")
    zone = "compute-1" if cloud.region == "us-east-1" else f"{cloud.region}.compute"
    private = address.get("PrivateIpAddress") or ""
    internal = "ec2.internal" if cloud.region == "us-east-1" else f"{cloud.region}.compute.internal"
    seen: Plain = {
        "id": id,
        "allocation_id": id,
        "arn": cloud.arn("ec2", f"elastic-ip/{id}"),
        "association_id": address.get("AssociationId", ""),
        "carrier_ip": address.get("CarrierIp", ""),
        "customer_owned_ip": address.get("CustomerOwnedIp", ""),
        "customer_owned_ipv4_pool": address.get("CustomerOwnedIpv4Pool", ""),
        "domain": address.get("Domain", ""),
        "instance": address.get("InstanceId", ""),
        "network_border_group": address.get("NetworkBorderGroup", ""),
        "network_interface": address.get("NetworkInterfaceId", ""),
        "private_ip": private,
        "ptr_record": _pointer(cloud, id),
        "public_dns": f"ec2-{ip.replace('.', '-')}.{zone}.{cloud.dns_suffix}",
        "public_ip": ip,
        "public_ipv4_pool": address.get("PublicIpv4Pool", ""),
        "vpc": address.get("Domain") == "vpc",
        "tags": tags.mapping(address.get("Tags")),
    }
    if private:
        seen["private_dns"] = f"ip-{private.replace('.', '-')}.{internal}"
    return seen


def _pointer(cloud: Cloud, id: str) -> str:
    try:
        found = cloud.call("ec2", "describe_addresses_attribute", AllocationIds=[id], Attribute="domain-name")
    except ApiError:
        return ""
    return next((a.get("PtrRecord", "") for a in found.get("Addresses") or ()), "")


def update_address(cloud: Cloud, old: Plain, new: Plain) -> None:
    if any((old.get(n) or "") != (new.get(n) or "") for n in ("instance", "network_interface")):
        _dissociate(cloud, old)
        _associate(cloud, new)


def _dissociate(cloud: Cloud, old: Plain) -> None:
    if old.get("association_id"):
        quietly(cloud, "disassociate_address", "InvalidAssociationID.NotFound", AssociationId=old["association_id"])


def delete_address(cloud: Cloud, old: Plain) -> None:
    if old.get("instance") or old.get("association_id"):
        _dissociate(cloud, old)
    cloud.retry(
        lambda: quietly(cloud, "release_address", "InvalidAllocationID.NotFound", AllocationId=old["id"]),
        lambda failure: failure.means("AuthFailure", "InvalidIPAddress.InUse"),
        limit(old, "delete", 180),
    )


ADDRESS = Resource("EC2 EIP", create_address, read_address, delete_address, update_address, retag)

# --- NAT gateways


def create_nat(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "ec2",
        "create_nat_gateway",
        SubnetId=new["subnet_id"],
        AllocationId=new.get("allocation_id") or None,
        ConnectivityType=new.get("connectivity_type") or None,
        PrivateIpAddress=new.get("private_ip") or None,
        SecondaryAllocationIds=new.get("secondary_allocation_ids") or None,
        SecondaryPrivateIpAddresses=new.get("secondary_private_ip_addresses") or None,
        SecondaryPrivateIpAddressCount=new.get("secondary_private_ip_address_count") or None,
        TagSpecifications=created_tags(cloud, new, "natgateway"),
    )["NatGateway"]
    new["id"] = made["NatGatewayId"]

    def look() -> str:
        found = _nat(cloud, new["id"])
        if found is not None and found.get("State") == "failed":
            raise AwsFailure(f"{found.get('FailureCode')}: {found.get('FailureMessage')}")
        return str((found or {}).get("State", "pending"))

    try:
        cloud.wait(look, ["available"], ["pending"], limit(new, "create", 600))
    except AwsFailure as failure:
        raise AwsFailure(f"waiting for create: {failure}") from None


def _nat(cloud: Cloud, id: str) -> dict[str, Any] | None:
    found = one(cloud, "describe_nat_gateways", "NatGateways", "NatGatewayNotFound", NatGatewayIds=[id])
    return None if found is None or found.get("State") == "deleted" else found


def read_nat(cloud: Cloud, old: Plain) -> Plain | None:
    nat = _nat(cloud, old["id"])
    if nat is None:
        return None
    addresses = nat.get("NatGatewayAddresses") or []
    # Older answers don't say which address is the primary one; then it is the first.
    first = next((a for a in addresses if a.get("IsPrimary")), addresses[0] if addresses else {})
    others = [a for a in addresses if a is not first]
    return {
        "id": nat["NatGatewayId"],
        "allocation_id": first.get("AllocationId", ""),
        "association_id": first.get("AssociationId", ""),
        "connectivity_type": nat.get("ConnectivityType", "public"),
        "network_interface_id": first.get("NetworkInterfaceId", ""),
        "private_ip": first.get("PrivateIp", ""),
        "public_ip": first.get("PublicIp", ""),
        "secondary_allocation_ids": [a["AllocationId"] for a in others if a.get("AllocationId")],
        "secondary_private_ip_address_count": len(others),
        "secondary_private_ip_addresses": [a["PrivateIp"] for a in others if a.get("PrivateIp")],
        "subnet_id": nat.get("SubnetId", ""),
        "tags": tags.mapping(nat.get("Tags")),
    }


def delete_nat(cloud: Cloud, old: Plain) -> None:
    if not quietly(cloud, "delete_nat_gateway", "NatGatewayNotFound", NatGatewayId=old["id"]):
        return
    cloud.wait(
        lambda: (_nat(cloud, old["id"]) or {}).get("State", ""),
        [""],
        ["deleting", "available"],
        limit(old, "delete", 1800),
    )


NAT = Resource(
    "EC2 NAT Gateway",
    create_nat,
    read_nat,
    delete_nat,
    retag=retag,
    rules=Rules(),
)
