"""VPCs, subnets, and single tags."""

from __future__ import annotations

from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, custom, filters, one, quietly, retag
from terrarium.providers.aws.rows import Amend, DataSource, Plain, Resource, limit
from terrarium.providers.aws.session import AwsFailure, Cloud

# --- VPC


def create_vpc(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "ec2",
        "create_vpc",
        CidrBlock=new.get("cidr_block"),
        InstanceTenancy=new.get("instance_tenancy"),
        AmazonProvidedIpv6CidrBlock=bool(new.get("assign_generated_ipv6_cidr_block")),
        Ipv4IpamPoolId=new.get("ipv4_ipam_pool_id"),
        Ipv4NetmaskLength=new.get("ipv4_netmask_length"),
        Ipv6CidrBlock=new.get("ipv6_cidr_block"),
        Ipv6CidrBlockNetworkBorderGroup=new.get("ipv6_cidr_block_network_border_group"),
        Ipv6IpamPoolId=new.get("ipv6_ipam_pool_id"),
        Ipv6NetmaskLength=new.get("ipv6_netmask_length"),
        TagSpecifications=created_tags(cloud, new, "vpc"),
    )["Vpc"]
    new["id"] = made["VpcId"]
    cloud.wait(lambda: (_vpc(cloud, new["id"]) or {}).get("State", "pending"), ["available"], ["pending"], 600)
    for name, attribute, fresh in _VPC_ATTRIBUTES:
        if new.get(name) is not None and bool(new[name]) is not fresh:
            _set_vpc_attribute(cloud, new["id"], attribute, bool(new[name]))


# argument, API attribute, its value in a new VPC
_VPC_ATTRIBUTES = (
    ("enable_dns_hostnames", "EnableDnsHostnames", False),
    ("enable_dns_support", "EnableDnsSupport", True),
    ("enable_network_address_usage_metrics", "EnableNetworkAddressUsageMetrics", False),
)


def _set_vpc_attribute(cloud: Cloud, id: str, attribute: str, value: bool) -> None:
    cloud.call("ec2", "modify_vpc_attribute", VpcId=id, **{attribute: {"Value": value}})


def _vpc(cloud: Cloud, id: str) -> dict[str, Any] | None:
    return one(cloud, "describe_vpcs", "Vpcs", "InvalidVpcID.NotFound", VpcIds=[id])


def _vpc_attribute(cloud: Cloud, id: str, attribute: str) -> bool:
    answer = cloud.call("ec2", "describe_vpc_attribute", VpcId=id, Attribute=attribute[0].lower() + attribute[1:])
    return bool(answer.get(attribute, {}).get("Value", False))


def _main_table(cloud: Cloud, vpc: str) -> str:
    table = one(
        cloud,
        "describe_route_tables",
        "RouteTables",
        Filters=filters({"association.main": "true", "vpc-id": vpc}),
    )
    return table["RouteTableId"] if table else ""


def read_vpc(cloud: Cloud, old: Plain) -> Plain | None:
    vpc = _vpc(cloud, old["id"])
    if vpc is None:
        return None
    id = vpc["VpcId"]
    acl = one(cloud, "describe_network_acls", "NetworkAcls", Filters=filters({"default": "true", "vpc-id": id}))
    group = one(
        cloud, "describe_security_groups", "SecurityGroups", Filters=filters({"group-name": "default", "vpc-id": id})
    )
    main = _main_table(cloud, id)
    v6: dict[str, Any] = next(
        (
            a
            for a in vpc.get("Ipv6CidrBlockAssociationSet") or ()
            if a.get("Ipv6CidrBlockState", {}).get("State") == "associated"
        ),
        {},
    )
    return {
        "id": id,
        "arn": cloud.arn("ec2", f"vpc/{id}"),
        "assign_generated_ipv6_cidr_block": bool(v6) and v6.get("Ipv6Pool") == "Amazon",
        "cidr_block": vpc["CidrBlock"],
        "default_network_acl_id": acl["NetworkAclId"] if acl else "",
        "default_route_table_id": main,
        "default_security_group_id": group["GroupId"] if group else "",
        "dhcp_options_id": vpc.get("DhcpOptionsId", ""),
        **{name: _vpc_attribute(cloud, id, attribute) for name, attribute, _ in _VPC_ATTRIBUTES},
        "instance_tenancy": vpc.get("InstanceTenancy", "default"),
        "ipv6_association_id": v6.get("AssociationId", ""),
        "ipv6_cidr_block": v6.get("Ipv6CidrBlock", ""),
        "ipv6_cidr_block_network_border_group": v6.get("NetworkBorderGroup", ""),
        "ipv6_ipam_pool_id": "",
        "ipv6_netmask_length": 0,
        "main_route_table_id": main,
        "owner_id": vpc.get("OwnerId", cloud.account_id),
        "tags": tags.mapping(vpc.get("Tags")),
    }


def update_vpc(cloud: Cloud, old: Plain, new: Plain) -> None:
    for name, attribute, _ in _VPC_ATTRIBUTES:
        if new.get(name) is not None and old.get(name) != new[name]:
            _set_vpc_attribute(cloud, new["id"], attribute, bool(new[name]))
    if old.get("instance_tenancy") != new.get("instance_tenancy"):
        cloud.call("ec2", "modify_vpc_tenancy", VpcId=new["id"], InstanceTenancy="default")
    if bool(old.get("assign_generated_ipv6_cidr_block")) != bool(new.get("assign_generated_ipv6_cidr_block")):
        if old.get("ipv6_association_id"):
            cloud.call("ec2", "disassociate_vpc_cidr_block", AssociationId=old["ipv6_association_id"])
        if new.get("assign_generated_ipv6_cidr_block"):
            cloud.call("ec2", "associate_vpc_cidr_block", VpcId=new["id"], AmazonProvidedIpv6CidrBlock=True)


def delete_vpc(cloud: Cloud, old: Plain) -> None:
    deleted(cloud, "delete_vpc", "InvalidVpcID.NotFound", VpcId=old["id"])


def deleted(cloud: Cloud, operation: str, absent: str, seconds: float = 300.0, **parameters: Any) -> None:
    """Deletes, trying again while something that is itself being deleted still hangs on to it."""
    cloud.retry(
        lambda: quietly(cloud, operation, absent, **parameters),
        lambda failure: failure.means("DependencyViolation"),
        seconds,
    )


def amend_vpc(amend: Amend) -> None:
    """A new IPv6 block comes with the switch for it."""
    members = amend.drawn.members
    if amend.prior is not None and "assign_generated_ipv6_cidr_block" in amend.drawn.changed:
        from terrarium.language.types import STRING
        from terrarium.language.values import unknown

        for name in ("ipv6_association_id", "ipv6_cidr_block"):
            members[name] = unknown(STRING)


VPC = Resource("EC2 VPC", create_vpc, read_vpc, delete_vpc, update_vpc, retag, amend=amend_vpc)


def read_vpc_data(cloud: Cloud, given: Plain) -> Plain:
    wanted: list[tuple[str, Any]] = [
        ("cidr", given.get("cidr_block")),
        ("dhcp-options-id", given.get("dhcp_options_id")),
        ("isDefault", "true" if given.get("default") else None),
        ("state", given.get("state")),
    ]
    found = [*filters(wanted), *custom(given)]
    vpcs = cloud.call("ec2", "describe_vpcs", VpcIds=[given["id"]] if given.get("id") else None, Filters=found or None)[
        "Vpcs"
    ]
    vpc = single(vpcs, "EC2 VPC")
    id = vpc["VpcId"]
    v6 = (vpc.get("Ipv6CidrBlockAssociationSet") or [{}])[0]
    return {
        "id": id,
        "arn": cloud.arn("ec2", f"vpc/{id}"),
        "cidr_block": vpc["CidrBlock"],
        "cidr_block_associations": [
            {
                "association_id": a["AssociationId"],
                "cidr_block": a["CidrBlock"],
                "state": a.get("CidrBlockState", {}).get("State", ""),
            }
            for a in vpc.get("CidrBlockAssociationSet") or ()
        ],
        "default": vpc.get("IsDefault", False),
        "dhcp_options_id": vpc.get("DhcpOptionsId", ""),
        **{name: _vpc_attribute(cloud, id, attribute) for name, attribute, _ in _VPC_ATTRIBUTES},
        "instance_tenancy": vpc.get("InstanceTenancy", "default"),
        "ipv6_association_id": v6.get("AssociationId", ""),
        "ipv6_cidr_block": v6.get("Ipv6CidrBlock", ""),
        "main_route_table_id": _main_table(cloud, id),
        "owner_id": vpc.get("OwnerId", cloud.account_id),
        "tags": shown(vpc),
    }


def single(items: list[Any], noun: str) -> Any:
    """The one match of a data source, or the provider's complaint."""
    if not items:
        raise AwsFailure(f"no matching {noun} found")
    if len(items) > 1:
        raise AwsFailure(f"multiple {noun}s matched; use additional constraints to reduce matches to a single {noun}")
    return items[0]


def shown(item: dict[str, Any]) -> dict[str, str]:
    """Tags of an object in a data source, without AWS's own."""
    return {k: v for k, v in tags.mapping(item.get("Tags")).items() if not k.startswith("aws:")}


VPC_DATA = DataSource("reading EC2 VPC", read_vpc_data)

# --- subnets

_SUBNET_SWITCHES = (
    # argument, key of the description, parameter of ModifySubnetAttribute
    ("assign_ipv6_address_on_creation", "AssignIpv6AddressOnCreation", "AssignIpv6AddressOnCreation"),
    ("enable_dns64", "EnableDns64", "EnableDns64"),
    ("map_public_ip_on_launch", "MapPublicIpOnLaunch", "MapPublicIpOnLaunch"),
)
_SUBNET_NAMES = (
    (
        "enable_resource_name_dns_a_record_on_launch",
        "EnableResourceNameDnsARecord",
        "EnableResourceNameDnsARecordOnLaunch",
    ),
    (
        "enable_resource_name_dns_aaaa_record_on_launch",
        "EnableResourceNameDnsAAAARecord",
        "EnableResourceNameDnsAAAARecordOnLaunch",
    ),
)


def create_subnet(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "ec2",
        "create_subnet",
        VpcId=new["vpc_id"],
        CidrBlock=new.get("cidr_block"),
        AvailabilityZone=new.get("availability_zone"),
        AvailabilityZoneId=new.get("availability_zone_id"),
        Ipv6CidrBlock=new.get("ipv6_cidr_block"),
        Ipv6Native=new.get("ipv6_native") or None,
        OutpostArn=new.get("outpost_arn") or None,
        TagSpecifications=created_tags(cloud, new, "subnet"),
    )["Subnet"]
    new["id"] = made["SubnetId"]
    cloud.wait(
        lambda: (_subnet(cloud, new["id"]) or {}).get("State", "pending"),
        ["available"],
        ["pending"],
        limit(new, "create", 600),
    )
    _set_subnet(cloud, {}, new)


def _set_subnet(cloud: Cloud, old: Plain, new: Plain) -> None:
    for name, _, parameter in (*_SUBNET_SWITCHES, *_SUBNET_NAMES):
        if new.get(name) is not None and bool(old.get(name)) != bool(new[name]):
            cloud.call("ec2", "modify_subnet_attribute", SubnetId=new["id"], **{parameter: {"Value": bool(new[name])}})
    hostname = new.get("private_dns_hostname_type_on_launch")
    if hostname and old.get("private_dns_hostname_type_on_launch") != hostname:
        cloud.call("ec2", "modify_subnet_attribute", SubnetId=new["id"], PrivateDnsHostnameTypeOnLaunch=hostname)


def _subnet(cloud: Cloud, id: str) -> dict[str, Any] | None:
    return one(cloud, "describe_subnets", "Subnets", "InvalidSubnetID.NotFound", SubnetIds=[id])


def _subnet_values(cloud: Cloud, subnet: dict[str, Any]) -> Plain:
    names = subnet.get("PrivateDnsNameOptionsOnLaunch") or {}
    v6: dict[str, Any] = next(
        (
            a
            for a in subnet.get("Ipv6CidrBlockAssociationSet") or ()
            if a.get("Ipv6CidrBlockState", {}).get("State") == "associated"
        ),
        {},
    )
    return {
        "id": subnet["SubnetId"],
        "arn": subnet.get("SubnetArn") or cloud.arn("ec2", f"subnet/{subnet['SubnetId']}"),
        "availability_zone": subnet.get("AvailabilityZone", ""),
        "availability_zone_id": subnet.get("AvailabilityZoneId", ""),
        "cidr_block": subnet.get("CidrBlock", ""),
        "customer_owned_ipv4_pool": subnet.get("CustomerOwnedIpv4Pool", ""),
        "enable_lni_at_device_index": subnet.get("EnableLniAtDeviceIndex", 0),
        "ipv6_cidr_block": v6.get("Ipv6CidrBlock", ""),
        "ipv6_cidr_block_association_id": v6.get("AssociationId", ""),
        "ipv6_native": bool(subnet.get("Ipv6Native", False)),
        "map_customer_owned_ip_on_launch": bool(subnet.get("MapCustomerOwnedIpOnLaunch", False)),
        "outpost_arn": subnet.get("OutpostArn", ""),
        "owner_id": subnet.get("OwnerId", ""),
        "private_dns_hostname_type_on_launch": names.get("HostnameType", ""),
        "vpc_id": subnet["VpcId"],
        **{name: bool(subnet.get(key, False)) for name, key, _ in _SUBNET_SWITCHES},
        **{name: bool(names.get(key, False)) for name, key, _ in _SUBNET_NAMES},
    }


def read_subnet(cloud: Cloud, old: Plain) -> Plain | None:
    subnet = _subnet(cloud, old["id"])
    if subnet is None:
        return None
    return {**_subnet_values(cloud, subnet), "tags": tags.mapping(subnet.get("Tags"))}


def update_subnet(cloud: Cloud, old: Plain, new: Plain) -> None:
    _set_subnet(cloud, old, new)


def delete_subnet(cloud: Cloud, old: Plain) -> None:
    deleted(cloud, "delete_subnet", "InvalidSubnetID.NotFound", limit(old, "delete", 1200), SubnetId=old["id"])


SUBNET = Resource("EC2 Subnet", create_subnet, read_subnet, delete_subnet, update_subnet, retag)


def _subnet_filters(given: Plain) -> list[dict[str, Any]]:
    wanted: list[tuple[str, Any]] = [
        ("availabilityZone", given.get("availability_zone")),
        ("availabilityZoneId", given.get("availability_zone_id")),
        ("defaultForAz", "true" if given.get("default_for_az") else None),
        ("state", given.get("state")),
        ("vpc-id", given.get("vpc_id")),
        ("cidrBlock", given.get("cidr_block")),
        ("ipv6-cidr-block-association.ipv6-cidr-block", given.get("ipv6_cidr_block")),
    ]
    return [*filters(wanted), *custom(given)]


def read_subnet_data(cloud: Cloud, given: Plain) -> Plain:
    subnets = cloud.call(
        "ec2",
        "describe_subnets",
        SubnetIds=[given["id"]] if given.get("id") else None,
        Filters=_subnet_filters(given) or None,
    )["Subnets"]
    subnet = single(subnets, "EC2 Subnet")
    return {
        **_subnet_values(cloud, subnet),
        "available_ip_address_count": subnet.get("AvailableIpAddressCount", 0),
        "default_for_az": bool(subnet.get("DefaultForAz", False)),
        "state": subnet.get("State", ""),
        "tags": shown(subnet),
    }


def read_subnets_data(cloud: Cloud, given: Plain) -> Plain:
    found = custom(given)
    subnets = cloud.pages("ec2", "describe_subnets", "Subnets", Filters=found or None)
    return {"id": cloud.region, "ids": [s["SubnetId"] for s in subnets], "tags": given.get("tags") or None}


SUBNET_DATA = DataSource("reading EC2 Subnet", read_subnet_data)
SUBNETS_DATA = DataSource("reading EC2 Subnets", read_subnets_data)

# --- single tags


def create_tag(cloud: Cloud, new: Plain) -> None:
    cloud.call("ec2", "create_tags", Resources=[new["resource_id"]], Tags=[{"Key": new["key"], "Value": new["value"]}])
    new["id"] = f"{new['resource_id']},{new['key']}"


def read_tag(cloud: Cloud, old: Plain) -> Plain | None:
    resource, key = old["id"].split(",", 1)
    tag = one(cloud, "describe_tags", "Tags", Filters=filters({"resource-id": resource, "key": key}))
    if tag is None:
        return None
    return {"id": old["id"], "resource_id": resource, "key": key, "value": tag.get("Value", "")}


def update_tag(cloud: Cloud, old: Plain, new: Plain) -> None:
    create_tag(cloud, new)


def delete_tag(cloud: Cloud, old: Plain) -> None:
    cloud.call("ec2", "delete_tags", Resources=[old["resource_id"]], Tags=[{"Key": old["key"]}])


TAG = Resource("EC2 Tag", create_tag, read_tag, delete_tag, update_tag)
