"""Network ACLs, their single rules, and the default ACL of a VPC, which is adopted."""

from __future__ import annotations

import zlib
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, filters, one, quietly, retag, retag_id
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.rows import Plain, Resource, nothing
from terrarium.providers.aws.session import AwsFailure, Cloud

_LAST = (32767, 32768)
"""The rules at the end which nobody can take away."""

_PROTOCOLS = {"all": "-1", "icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58", "ipv6-icmp": "58"}


def _number(protocol: Any) -> str:
    return _PROTOCOLS.get(str(protocol).lower(), str(protocol))


def _acl(cloud: Cloud, id: str) -> dict[str, Any] | None:
    # moto answers with the code of route tables.
    absent = ("InvalidNetworkAclID.NotFound", "InvalidRouteTableID.NotFound")
    return one(cloud, "describe_network_acls", "NetworkAcls", *absent, NetworkAclIds=[id])


def _entry(rule: Plain, egress: bool) -> dict[str, Any]:
    protocol = _number(rule["protocol"])
    made: dict[str, Any] = {
        "Egress": egress,
        "RuleNumber": rule["rule_no"],
        "Protocol": protocol,
        "RuleAction": str(rule["action"]).lower(),
    }
    if rule.get("cidr_block"):
        made["CidrBlock"] = rule["cidr_block"]
    if rule.get("ipv6_cidr_block"):
        made["Ipv6CidrBlock"] = rule["ipv6_cidr_block"]
    if protocol in ("1", "58"):
        made["IcmpTypeCode"] = {"Type": rule.get("icmp_type") or 0, "Code": rule.get("icmp_code") or 0}
    if protocol != "-1":
        made["PortRange"] = {"From": rule.get("from_port") or 0, "To": rule.get("to_port") or 0}
    return made


def _shown(acl: dict[str, Any], egress: bool, configured: list[Plain] | None) -> list[Plain]:
    words = {(r.get("rule_no")): str(r.get("protocol")) for r in configured or () if isinstance(r, dict)}
    found = []
    for entry in acl.get("Entries") or ():
        number = entry["RuleNumber"]
        if bool(entry["Egress"]) is not egress or number in _LAST:
            continue
        ports, icmp = entry.get("PortRange") or {}, entry.get("IcmpTypeCode") or {}
        protocol = entry["Protocol"]
        kept = words.get(number)
        found.append(
            {
                "action": entry["RuleAction"],
                "cidr_block": entry.get("CidrBlock", ""),
                "from_port": ports.get("From", 0),
                "icmp_code": icmp.get("Code", 0),
                "icmp_type": icmp.get("Type", 0),
                "ipv6_cidr_block": entry.get("Ipv6CidrBlock", ""),
                "protocol": kept if kept and _number(kept) == protocol else protocol,
                "rule_no": number,
                "to_port": ports.get("To", 0),
            }
        )
    return found


def _change(cloud: Cloud, id: str, egress: bool, old: list[Plain], new: list[Plain]) -> None:
    before = {r["rule_no"]: _entry(r, egress) for r in old}
    after = {r["rule_no"]: _entry(r, egress) for r in new}
    for number, entry in before.items():
        if after.get(number) != entry:
            quietly(
                cloud,
                "delete_network_acl_entry",
                "InvalidNetworkAclEntry.NotFound",
                NetworkAclId=id,
                Egress=egress,
                RuleNumber=number,
            )
    for number, entry in after.items():
        if before.get(number) != entry:
            cloud.call("ec2", "create_network_acl_entry", NetworkAclId=id, **entry)


def _associate(cloud: Cloud, id: str, subnets: list[str]) -> None:
    for subnet in subnets:
        wanted = filters({"association.subnet-id": subnet})
        current = one(cloud, "describe_network_acls", "NetworkAcls", Filters=wanted)
        for association in (current or {}).get("Associations") or ():
            if association["SubnetId"] == subnet and association["NetworkAclId"] != id:
                cloud.call(
                    "ec2",
                    "replace_network_acl_association",
                    AssociationId=association["NetworkAclAssociationId"],
                    NetworkAclId=id,
                )


def _release(cloud: Cloud, vpc: str, subnets: list[str]) -> None:
    """Gives subnets back to the default ACL."""
    wanted = filters({"default": "true", "vpc-id": vpc})
    default = one(cloud, "describe_network_acls", "NetworkAcls", Filters=wanted)
    if default is not None and subnets:
        _associate(cloud, default["NetworkAclId"], subnets)


def create(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "ec2",
        "create_network_acl",
        VpcId=new["vpc_id"],
        TagSpecifications=created_tags(cloud, new, "network-acl"),
    )["NetworkAcl"]
    new["id"] = made["NetworkAclId"]
    _change(cloud, new["id"], True, [], new.get("egress") or [])
    _change(cloud, new["id"], False, [], new.get("ingress") or [])
    _associate(cloud, new["id"], new.get("subnet_ids") or [])


def read(cloud: Cloud, old: Plain) -> Plain | None:
    acl = _acl(cloud, old["id"])
    if acl is None:
        return None
    owner = acl.get("OwnerId") or cloud.account_id
    return {
        "id": acl["NetworkAclId"],
        "arn": f"arn:{cloud.partition}:ec2:{cloud.region}:{owner}:network-acl/{acl['NetworkAclId']}",
        "egress": _shown(acl, True, old.get("egress")),
        "ingress": _shown(acl, False, old.get("ingress")),
        "owner_id": owner,
        "subnet_ids": [a["SubnetId"] for a in acl.get("Associations") or ()],
        "vpc_id": acl["VpcId"],
        "tags": tags.mapping(acl.get("Tags")),
    }


def update(cloud: Cloud, old: Plain, new: Plain) -> None:
    for direction, egress in (("ingress", False), ("egress", True)):
        if old.get(direction) != new.get(direction):
            _change(cloud, new["id"], egress, old.get(direction) or [], new.get(direction) or [])
    before, after = set(old.get("subnet_ids") or ()), set(new.get("subnet_ids") or ())
    if before - after and not old.get("default_network_acl_id"):
        _release(cloud, old["vpc_id"], sorted(before - after))
    _associate(cloud, new["id"], sorted(after - before))


def delete(cloud: Cloud, old: Plain) -> None:
    acl = _acl(cloud, old["id"])
    if acl is None:
        return
    _release(cloud, acl["VpcId"], [a["SubnetId"] for a in acl.get("Associations") or ()])
    quietly(cloud, "delete_network_acl", "InvalidNetworkAclID.NotFound", NetworkAclId=old["id"])


ACL = Resource("EC2 Network ACL", create, read, delete, update, retag)


def create_default(cloud: Cloud, new: Plain) -> None:
    id = new["default_network_acl_id"]
    acl = _acl(cloud, id)
    if acl is None:
        raise AwsFailure(f"reading EC2 Default Network ACL ({id}): couldn't find resource")
    new["id"] = id
    for egress in (True, False):
        for rule in _shown(acl, egress, None):
            quietly(
                cloud,
                "delete_network_acl_entry",
                "InvalidNetworkAclEntry.NotFound",
                NetworkAclId=id,
                Egress=egress,
                RuleNumber=rule["rule_no"],
            )
    _change(cloud, id, True, [], new.get("egress") or [])
    _change(cloud, id, False, [], new.get("ingress") or [])
    _associate(cloud, id, new.get("subnet_ids") or [])
    retag_id(cloud, id, tags.mapping(acl.get("Tags")), tags.wanted(new, cloud.settings))


def read_default(cloud: Cloud, old: Plain) -> Plain | None:
    seen = read(cloud, old)
    return None if seen is None else {**seen, "default_network_acl_id": seen["id"]}


DEFAULT_ACL = Resource(
    "EC2 Default Network ACL",
    create_default,
    read_default,
    nothing,
    update,
    retag,
    rules=Rules(),
    imports=lambda id: {"id": id, "default_network_acl_id": id},
)

# --- single rules


def _rule(new: Plain) -> Plain:
    return {**new, "rule_no": new["rule_number"], "action": new["rule_action"]}


def create_rule(cloud: Cloud, new: Plain) -> None:
    entry = _entry(_rule(new), bool(new.get("egress")))
    cloud.call("ec2", "create_network_acl_entry", NetworkAclId=new["network_acl_id"], **entry)
    text = f"{new['network_acl_id']}-{new['rule_number']}-{str(bool(new.get('egress'))).lower()}-{entry['Protocol']}-"
    new["id"] = f"nacl-{zlib.crc32(text.encode())}"


def read_rule(cloud: Cloud, old: Plain) -> Plain | None:
    acl = _acl(cloud, old["network_acl_id"])
    egress = bool(old.get("egress"))
    configured = [{"rule_no": old["rule_number"], "protocol": old.get("protocol")}]
    for rule in _shown(acl or {}, egress, configured):
        if rule["rule_no"] == old["rule_number"]:
            return {
                "id": old["id"],
                "cidr_block": rule["cidr_block"],
                "egress": egress,
                "from_port": rule["from_port"],
                "icmp_code": rule["icmp_code"] or old.get("icmp_code"),
                "icmp_type": rule["icmp_type"] or old.get("icmp_type"),
                "ipv6_cidr_block": rule["ipv6_cidr_block"],
                "protocol": rule["protocol"],
                "rule_action": rule["action"],
                "to_port": rule["to_port"],
            }
    return None


def delete_rule(cloud: Cloud, old: Plain) -> None:
    quietly(
        cloud,
        "delete_network_acl_entry",
        "InvalidNetworkAclEntry.NotFound",
        "InvalidNetworkAclID.NotFound",
        NetworkAclId=old["network_acl_id"],
        Egress=bool(old.get("egress")),
        RuleNumber=old["rule_number"],
    )


RULE = Resource("EC2 Network ACL Rule", create_rule, read_rule, delete_rule, imports=None)
