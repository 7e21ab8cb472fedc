"""Security groups with their rules, in the three ways they can be written: inside the group, as
`aws_security_group_rule`, and as `aws_vpc_security_group_{ingress,egress}_rule`; and the default group, which is adopted.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, custom, filters, one, quietly, retag, retag_id
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.rows import DataSource, Plain, Resource, limit, nothing
from terrarium.providers.aws.session import ApiError, AwsFailure, Cloud, prefix_of
from terrarium.providers.aws.vpc import deleted, shown, single

_ABSENT = ("InvalidGroup.NotFound", "InvalidGroupId.Malformed", "InvalidSecurityGroupID.NotFound")
_NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}


def _protocol(text: Any) -> str:
    low = str(text).lower()
    return _NUMBERS.get(low, low)


def _permission(rule: Plain, own_group: str) -> dict[str, Any]:
    """A rule of ours as an IpPermission."""
    protocol = _protocol(rule["protocol"])
    made: dict[str, Any] = {"IpProtocol": protocol}
    if protocol != "-1" or rule.get("from_port") or rule.get("to_port"):
        made["FromPort"], made["ToPort"] = int(rule.get("from_port") or 0), int(rule.get("to_port") or 0)
    described = {"Description": rule["description"]} if rule.get("description") else {}
    groups = list(rule.get("security_groups") or ())
    if rule.get("source_security_group_id"):
        groups.append(rule["source_security_group_id"])
    if rule.get("self"):
        groups.append(own_group)
    pairs = []
    for group in groups:
        owner, _, id = group.rpartition("/")
        pairs.append({"GroupId": id, **({"UserId": owner} if owner else {}), **described})
    made["UserIdGroupPairs"] = pairs
    made["IpRanges"] = [{"CidrIp": c, **described} for c in rule.get("cidr_blocks") or ()]
    made["Ipv6Ranges"] = [{"CidrIpv6": c, **described} for c in rule.get("ipv6_cidr_blocks") or ()]
    made["PrefixListIds"] = [{"PrefixListId": p, **described} for p in rule.get("prefix_list_ids") or ()]
    return {key: value for key, value in made.items() if value != []}


def _without_descriptions(permission: dict[str, Any]) -> dict[str, Any]:
    bare: dict[str, Any] = {}
    for key, value in permission.items():
        if isinstance(value, list):
            bare[key] = [{k: v for k, v in part.items() if k != "Description"} for part in value]
        else:
            bare[key] = value
    return bare


def _parts(rules: list[Plain], group: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rules taken apart into single grants: AWS keeps them so."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rule in rules:
        permission = _permission(rule, group)
        base: dict[str, Any] = {k: permission[k] for k in ("IpProtocol", "FromPort", "ToPort") if k in permission}
        for key in ("UserIdGroupPairs", "IpRanges", "Ipv6Ranges", "PrefixListIds"):
            for part in permission.get(key, ()):
                found[(*base.items(), key, *sorted(part.items()))] = {**base, key: [part]}
    return found


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Single grants put together by protocol and ports, for one request."""
    by_base: dict[tuple[Any, ...], dict[str, Any]] = {}
    for part in parts:
        base = {k: v for k, v in part.items() if not isinstance(v, list)}
        whole = by_base.setdefault(tuple(base.items()), dict(base))
        for key, value in part.items():
            if isinstance(value, list):
                whole.setdefault(key, []).extend(value)
    return list(by_base.values())


def _shown_rules(permissions: list[dict[str, Any]], group: str, owner: str) -> list[Plain]:
    """What AWS shows, grouped by description: one rule of ours for each protocol, port range and description."""
    found: dict[tuple[Any, ...], Plain] = {}

    def rule(permission: dict[str, Any], part: dict[str, Any]) -> Plain:
        protocol = _protocol(permission["IpProtocol"])
        ports = (permission.get("FromPort", 0), permission.get("ToPort", 0))
        if protocol == "-1":
            ports = (0, 0)
        description = part.get("Description") or ""
        return found.setdefault(
            (protocol, *ports, description),
            {
                "protocol": protocol,
                "from_port": ports[0],
                "to_port": ports[1],
                "description": description,
                "cidr_blocks": [],
                "ipv6_cidr_blocks": [],
                "prefix_list_ids": [],
                "security_groups": [],
                "self": False,
            },
        )

    for permission in permissions:
        for part in permission.get("IpRanges") or ():
            rule(permission, part)["cidr_blocks"].append(part["CidrIp"])
        for part in permission.get("Ipv6Ranges") or ():
            rule(permission, part)["ipv6_cidr_blocks"].append(part["CidrIpv6"])
        for part in permission.get("PrefixListIds") or ():
            rule(permission, part)["prefix_list_ids"].append(part["PrefixListId"])
        for part in permission.get("UserIdGroupPairs") or ():
            into = rule(permission, part)
            if part.get("GroupId") == group:
                into["self"] = True
            else:
                foreign = part.get("UserId") and part["UserId"] != owner
                into["security_groups"].append(f"{part['UserId']}/{part['GroupId']}" if foreign else part["GroupId"])
    return list(found.values())


def _as_configured(remote: list[Plain], local: list[Plain] | None, group: str) -> list[Plain]:
    """Regroups AWS's rules in the way the configuration writes them, as far as AWS has all their grants."""
    if not local:
        return remote
    there = _parts(remote, group)
    kept: list[Plain] = []
    for rule in local:
        grants = _parts([rule], group)
        if grants and all(key in there for key in grants):
            kept.append(
                {
                    **rule,
                    "protocol": _protocol(rule["protocol"]),
                    **{
                        k: rule.get(k) or []
                        for k in ("cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids", "security_groups")
                    },
                }
            )
            for key in grants:
                there.pop(key, None)
    return [*kept, *_shown_rules(_joined(list(there.values())), group, "")]


_DIRECTIONS = (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress"))


def _group(cloud: Cloud, id: str) -> dict[str, Any] | None:
    return one(cloud, "describe_security_groups", "SecurityGroups", *_ABSENT, GroupIds=[id])


def _change_rules(cloud: Cloud, group: str, direction: str, old: list[Plain], new: list[Plain]) -> None:
    before, after = _parts(old, group), _parts(new, group)
    gone = [part for key, part in before.items() if key not in after]
    added = [part for key, part in after.items() if key not in before]
    if gone:
        cloud.call(
            "ec2",
            f"revoke_security_group_{direction}",
            GroupId=group,
            IpPermissions=_joined(gone),
        )
    if added:
        cloud.call("ec2", f"authorize_security_group_{direction}", GroupId=group, IpPermissions=_joined(added))


def _revoke_all(cloud: Cloud, group: dict[str, Any], *directions: str) -> None:
    for direction, key in _DIRECTIONS:
        permissions = group.get(key) or []
        if direction in directions and permissions:
            quietly(
                cloud,
                f"revoke_security_group_{direction}",
                "InvalidPermission.NotFound",
                GroupId=group["GroupId"],
                IpPermissions=[_sendable(p) for p in permissions],
            )


def _sendable(permission: dict[str, Any]) -> dict[str, Any]:
    pairs = permission.get("UserIdGroupPairs")
    kept = {k: v for k, v in permission.items() if v not in ([], None)}
    if pairs:
        kept["UserIdGroupPairs"] = [{k: p[k] for k in ("GroupId", "UserId", "Description") if p.get(k)} for p in pairs]
    return kept


def create_group(cloud: Cloud, new: Plain) -> None:
    name = new.get("name") or cloud.unique_name(new.get("name_prefix") or "terraform-")
    made = cloud.call(
        "ec2",
        "create_security_group",
        GroupName=name,
        Description=new.get("description") or "Managed by Terraform",
        VpcId=new.get("vpc_id"),
        TagSpecifications=created_tags(cloud, new, "security-group"),
    )
    new["id"] = made["GroupId"]
    group = _group(cloud, new["id"])
    if group is not None:
        # AWS lets everything out of a new group; Terraform starts with nothing.
        _revoke_all(cloud, group, "egress")
    for direction, _ in _DIRECTIONS:
        _change_rules(cloud, new["id"], direction, [], new.get(direction) or [])


def read_group(cloud: Cloud, old: Plain) -> Plain | None:
    group = _group(cloud, old["id"])
    if group is None:
        return None
    id, owner = group["GroupId"], group.get("OwnerId") or cloud.account_id
    seen: Plain = {
        "id": id,
        "arn": f"arn:{cloud.partition}:ec2:{cloud.region}:{owner}:security-group/{id}",
        "description": group.get("Description", ""),
        "name": group["GroupName"],
        "name_prefix": prefix_of(group["GroupName"]),
        "owner_id": owner,
        "vpc_id": group.get("VpcId", ""),
        "tags": tags.mapping(group.get("Tags")),
    }
    for direction, key in _DIRECTIONS:
        remote = _shown_rules(group.get(key) or [], id, owner)
        seen[direction] = _as_configured(remote, old.get(direction), id)
    return seen


def update_group(cloud: Cloud, old: Plain, new: Plain) -> None:
    for direction, _ in _DIRECTIONS:
        _change_rules(cloud, new["id"], direction, old.get(direction) or [], new.get(direction) or [])


def delete_group(cloud: Cloud, old: Plain) -> None:
    if old.get("revoke_rules_on_delete"):
        group = _group(cloud, old["id"])
        if group is not None:
            _revoke_all(cloud, group, "ingress", "egress")
    try:
        deleted(cloud, "delete_security_group", _ABSENT[0], limit(old, "delete", 900), GroupId=old["id"])
    except ApiError as failure:
        if not failure.means(*_ABSENT):
            raise


GROUP = Resource("Security Group", create_group, read_group, delete_group, update_group, retag, named="name")


def create_default_group(cloud: Cloud, new: Plain) -> None:
    wanted = filters({"group-name": "default", "vpc-id": new.get("vpc_id")})
    group = one(cloud, "describe_security_groups", "SecurityGroups", Filters=wanted)
    if group is None:
        raise AwsFailure(f"reading Default Security Group ({new.get('vpc_id')}): couldn't find resource")
    new["id"] = group["GroupId"]
    _revoke_all(cloud, group, "ingress", "egress")
    for direction, _ in _DIRECTIONS:
        _change_rules(cloud, new["id"], direction, [], new.get(direction) or [])
    retag_id(cloud, new["id"], tags.mapping(group.get("Tags")), tags.wanted(new, cloud.settings))


DEFAULT_GROUP = Resource("Default Security Group", create_default_group, read_group, nothing, update_group, retag)

# --- aws_security_group_rule


def _rule_id(new: Plain) -> str:
    """The id is a hash of the arguments, since older APIs gave rules none."""
    permission = _permission(new, new["security_group_id"])
    text = f"{new['security_group_id']}-"
    for key in ("FromPort", "ToPort"):
        if permission.get(key, 0) > 0:
            text += f"{permission[key]}-"
    text += f"{permission['IpProtocol']}-{new['type']}-"
    for key, name in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId")):
        text += "".join(f"{part}-" for part in sorted(p[name] for p in permission.get(key, ())))
    for pair in sorted(permission.get("UserIdGroupPairs", ()), key=lambda p: str(p["GroupId"])):
        text += f"{pair['GroupId']}--"
    return f"sgrule-{zlib.crc32(text.encode())}"


def create_rule(cloud: Cloud, new: Plain) -> None:
    group = new["security_group_id"]
    with cloud.serial(group):
        try:
            cloud.call(
                "ec2",
                f"authorize_security_group_{new['type']}",
                GroupId=group,
                IpPermissions=[_permission(new, group)],
            )
        except ApiError as failure:
            if failure.means("InvalidPermission.Duplicate"):
                raise AwsFailure(
                    "[WARN] A duplicate Security Group rule was found on (" + group + "). This may be\n"
                    "a side effect of a now-fixed Terraform issue causing two security groups with\n"
                    "identical attributes but different source_security_group_ids to overwrite each\n"
                    "other in the state. See https://github.com/hashicorp/terraform/pull/2376 for more\n"
                    f"information and instructions for recovery. Error: {failure}"
                ) from None
            raise
    new["id"] = _rule_id(new)


def read_rule(cloud: Cloud, old: Plain) -> Plain | None:
    id = old["security_group_id"]
    group = _group(cloud, id)
    if group is None:
        return None
    key = dict(_DIRECTIONS)[old["type"]]
    remote = _parts(_shown_rules(group.get(key) or [], id, group.get("OwnerId") or cloud.account_id), id)
    grants = _parts([old], id)
    bare = {_identity(part): part for part in remote.values()}
    if not grants or not all(_identity(part) in bare for part in grants.values()):
        return None
    seen: Plain = {"id": old["id"], "protocol": _protocol(old["protocol"])}
    described = next((_description(bare[_identity(part)]) for part in grants.values()), "")
    if described or old.get("description"):
        seen["description"] = described
    if old.get("source_security_group_id") is None and (old.get("self") or not grants):
        seen["source_security_group_id"] = None
    if len(grants) == 1:
        seen["security_group_rule_id"] = _aws_rule_id(cloud, id, old["type"], next(iter(grants.values())))
    else:
        seen["security_group_rule_id"] = ""
    return seen


def _description(part: dict[str, Any]) -> str:
    lists = (value for value in part.values() if isinstance(value, list))
    return next((str(item.get("Description") or "") for value in lists for item in value), "")


def _identity(part: dict[str, Any]) -> str:
    return repr(sorted(_without_descriptions(part).items()))


def _aws_rule_id(cloud: Cloud, group: str, direction: str, part: dict[str, Any]) -> str:
    listed = cloud.pages(
        "ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=filters({"group-id": group})
    )
    wanted_ports = (part.get("FromPort"), part.get("ToPort"))
    for rule in listed:
        if (
            bool(rule.get("IsEgress")) is not (direction == "egress")
            or _protocol(rule["IpProtocol"]) != part["IpProtocol"]
        ):
            continue
        if part["IpProtocol"] != "-1" and (rule.get("FromPort"), rule.get("ToPort")) != wanted_ports:
            continue
        reference = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
        held = {rule.get("CidrIpv4"), rule.get("CidrIpv6"), rule.get("PrefixListId"), reference}
        for key, name in (
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("PrefixListIds", "PrefixListId"),
            ("UserIdGroupPairs", "GroupId"),
        ):
            if key in part and part[key][0][name] in held:
                return str(rule["SecurityGroupRuleId"])
    return ""


def update_rule(cloud: Cloud, old: Plain, new: Plain) -> None:
    if (old.get("description") or "") != (new.get("description") or ""):
        permission = _permission(new, new["security_group_id"])
        cloud.call(
            "ec2",
            f"update_security_group_rule_descriptions_{new['type']}",
            GroupId=new["security_group_id"],
            IpPermissions=[permission],
        )


def delete_rule(cloud: Cloud, old: Plain) -> None:
    group = old["security_group_id"]
    with cloud.serial(group):
        quietly(
            cloud,
            f"revoke_security_group_{old['type']}",
            "InvalidPermission.NotFound",
            *_ABSENT,
            GroupId=group,
            IpPermissions=[_permission(old, group)],
        )


def _import_rule(id: str) -> Plain:
    """`sg-1_ingress_tcp_80_80_10.0.0.0/8_…`"""
    parts = id.split("_")
    if len(parts) < 6:
        raise ValueError(
            f"unexpected format of ID ({id}), expected SECURITYGROUPID_TYPE_PROTOCOL_FROMPORT_TOPORT_SOURCE[_SOURCE]*"
        )
    group, kind, protocol, low, high = parts[:5]
    rule: Plain = {
        "security_group_id": group,
        "type": kind,
        "protocol": protocol,
        "from_port": int(low),
        "to_port": int(high),
    }
    for source in parts[5:]:
        if source == "self":
            rule["self"] = True
        elif source.startswith("sg-") or "/sg-" in source:
            rule["source_security_group_id"] = source
        elif source.startswith("pl-"):
            rule.setdefault("prefix_list_ids", []).append(source)
        elif ":" in source:
            rule.setdefault("ipv6_cidr_blocks", []).append(source)
        else:
            rule.setdefault("cidr_blocks", []).append(source)
    return {"id": _rule_id(rule), **rule}


RULE = Resource(
    "Security Group Rule",
    create_rule,
    read_rule,
    delete_rule,
    update_rule,
    rules=Rules(normal={"protocol": _protocol}),
    imports=_import_rule,
)

# --- one rule, one object (the newer types)


def _single_permission(new: Plain) -> dict[str, Any]:
    described = {"Description": new["description"]} if new.get("description") else {}
    made: dict[str, Any] = {"IpProtocol": _protocol(new["ip_protocol"])}
    if new.get("from_port") is not None:
        made["FromPort"] = int(new["from_port"])
    if new.get("to_port") is not None:
        made["ToPort"] = int(new["to_port"])
    for name, key, part in (
        ("cidr_ipv4", "IpRanges", "CidrIp"),
        ("cidr_ipv6", "Ipv6Ranges", "CidrIpv6"),
        ("prefix_list_id", "PrefixListIds", "PrefixListId"),
    ):
        if new.get(name):
            made[key] = [{part: new[name], **described}]
    if new.get("referenced_security_group_id"):
        owner, _, id = new["referenced_security_group_id"].rpartition("/")
        made["UserIdGroupPairs"] = [{"GroupId": id, **({"UserId": owner} if owner else {}), **described}]
    return made


def _single(direction: str) -> Resource:
    def create(cloud: Cloud, new: Plain) -> None:
        answer = cloud.call(
            "ec2",
            f"authorize_security_group_{direction}",
            GroupId=new["security_group_id"],
            IpPermissions=[_single_permission(new)],
            TagSpecifications=created_tags(cloud, new, "security-group-rule"),
        )
        new["id"] = answer["SecurityGroupRules"][-1]["SecurityGroupRuleId"]

    def delete(cloud: Cloud, old: Plain) -> None:
        quietly(
            cloud,
            f"revoke_security_group_{direction}",
            "InvalidSecurityGroupRuleId.NotFound",
            "InvalidPermission.NotFound",
            *_ABSENT,
            GroupId=old["security_group_id"],
            SecurityGroupRuleIds=[old["id"]],
        )

    return Resource(
        f"VPC Security Group {direction.capitalize()} Rule",
        create,
        _read_single(direction),
        delete,
        _update_single,
        retag,
        rules=Rules(
            modern=True, stable=frozenset({"id", "security_group_rule_id", "arn"}), same={"ip_protocol": _same_protocol}
        ),
    )


def _same_protocol(a: str, b: str) -> bool:
    return _protocol(a) == _protocol(b)


def _read_single(direction: str) -> Callable[[Cloud, Plain], Plain | None]:
    def read(cloud: Cloud, old: Plain) -> Plain | None:
        rule = one(
            cloud,
            "describe_security_group_rules",
            "SecurityGroupRules",
            "InvalidSecurityGroupRuleId.NotFound",
            SecurityGroupRuleIds=[old["id"]],
        )
        if rule is None or bool(rule.get("IsEgress")) is not (direction == "egress"):
            return None
        protocol = str(rule["IpProtocol"])
        everything = protocol == "-1"
        ports = (old.get("from_port"), old.get("to_port")) if everything else (rule.get("FromPort"), rule.get("ToPort"))
        configured = old.get("ip_protocol")
        return {
            "id": rule["SecurityGroupRuleId"],
            "arn": cloud.arn("ec2", f"security-group-rule/{rule['SecurityGroupRuleId']}"),
            "cidr_ipv4": rule.get("CidrIpv4") or None,
            "cidr_ipv6": rule.get("CidrIpv6") or None,
            "description": rule.get("Description") or None,
            "from_port": ports[0],
            "to_port": ports[1],
            "ip_protocol": configured if configured and _protocol(configured) == _protocol(protocol) else protocol,
            "prefix_list_id": rule.get("PrefixListId") or None,
            "referenced_security_group_id": (rule.get("ReferencedGroupInfo") or {}).get("GroupId") or None,
            "security_group_id": rule["GroupId"],
            "security_group_rule_id": rule["SecurityGroupRuleId"],
            "tags": tags.mapping(rule.get("Tags")),
        }

    return read


def _update_single(cloud: Cloud, old: Plain, new: Plain) -> None:
    names = ("cidr_ipv4", "cidr_ipv6", "description", "from_port", "to_port", "ip_protocol", "prefix_list_id")
    if all(old.get(n) == new.get(n) for n in (*names, "referenced_security_group_id")):
        return
    request: dict[str, Any] = {"IpProtocol": _protocol(new["ip_protocol"])}
    for name, key in (
        ("cidr_ipv4", "CidrIpv4"),
        ("cidr_ipv6", "CidrIpv6"),
        ("description", "Description"),
        ("from_port", "FromPort"),
        ("to_port", "ToPort"),
        ("prefix_list_id", "PrefixListId"),
        ("referenced_security_group_id", "ReferencedGroupId"),
    ):
        if new.get(name) is not None:
            request[key] = int(new[name]) if name.endswith("_port") else new[name]
    cloud.call(
        "ec2",
        "modify_security_group_rules",
        GroupId=new["security_group_id"],
        SecurityGroupRules=[{"SecurityGroupRuleId": new["id"], "SecurityGroupRule": request}],
    )


INGRESS_RULE = _single("ingress")
EGRESS_RULE = _single("egress")


def read_group_data(cloud: Cloud, given: Plain) -> Plain:
    wanted = [*filters([("group-name", given.get("name")), ("vpc-id", given.get("vpc_id"))]), *custom(given)]
    group = single(
        cloud.call(
            "ec2",
            "describe_security_groups",
            GroupIds=[given["id"]] if given.get("id") else None,
            Filters=wanted or None,
        )["SecurityGroups"],
        "EC2 Security Group",
    )
    owner = group.get("OwnerId") or cloud.account_id
    return {
        "id": group["GroupId"],
        "arn": f"arn:{cloud.partition}:ec2:{cloud.region}:{owner}:security-group/{group['GroupId']}",
        "description": group.get("Description", ""),
        "name": group["GroupName"],
        "vpc_id": group.get("VpcId", ""),
        "tags": shown(group),
    }


GROUP_DATA = DataSource("reading EC2 Security Group", read_group_data)
