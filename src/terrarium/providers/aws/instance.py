"""EC2 instances."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from terrarium.language.types import STRING
from terrarium.language.values import unknown
from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, filters, one, quietly, retag_id
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.rows import Amend, Plain, Resource, limit
from terrarium.providers.aws.session import WHOLE, ApiError, AwsFailure, Cloud

_GONE = "InvalidInstanceID.NotFound"


def _decoded(text: str) -> bytes:
    """What base64 text encodes; other text as it is."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def data_hash(text: str) -> str:
    """User data in the state is its SHA-1; of base64 text that of what it encodes."""
    return hashlib.sha1(_decoded(text)).hexdigest()


def _raw_user_data(new: Plain) -> bytes | None:
    """User data as bytes: botocore encodes them for the request."""
    text = new.get("user_data_base64") or new.get("user_data")
    return _decoded(text) if text else None


def _first(blocks: Any) -> Plain:
    return blocks[0] if blocks and isinstance(blocks[0], dict) else {}


def _given(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value not in (None, "", [])}


# --- creation


def _disk(block: Plain) -> dict[str, Any]:
    return _given(
        DeleteOnTermination=block.get("delete_on_termination"),
        Encrypted=block.get("encrypted") or None,
        Iops=block.get("iops") or None,
        KmsKeyId=block.get("kms_key_id"),
        SnapshotId=block.get("snapshot_id"),
        Throughput=block.get("throughput") or None,
        VolumeSize=block.get("volume_size") or None,
        VolumeType=block.get("volume_type"),
    )


def _root_device(cloud: Cloud, image: str) -> str:
    found = one(cloud, "describe_images", "Images", "InvalidAMIID.NotFound", ImageIds=[image])
    if found is None:
        raise AwsFailure("collecting instance settings: couldn't find resource", WHOLE)
    return str(found.get("RootDeviceName") or "")


def _disks(cloud: Cloud, new: Plain) -> list[dict[str, Any]]:
    made = [
        {"DeviceName": b["device_name"], "Ebs": _disk(b)}
        for b in new.get("ebs_block_device") or ()
        if isinstance(b, dict)
    ]
    for block in new.get("ephemeral_block_device") or ():
        made.append(
            _given(
                DeviceName=block["device_name"],
                VirtualName=block.get("virtual_name"),
                NoDevice="" if block.get("no_device") else None,
            )
        )
    root = _first(new.get("root_block_device"))
    if root:
        made.append({"DeviceName": _root_device(cloud, new["ami"]), "Ebs": _disk(root)})
    return made


def _metadata(new: Plain) -> dict[str, Any] | None:
    block = _first(new.get("metadata_options"))
    if not block:
        return None
    return _given(
        HttpEndpoint=block.get("http_endpoint"),
        HttpProtocolIpv6=block.get("http_protocol_ipv6"),
        HttpPutResponseHopLimit=block.get("http_put_response_hop_limit") or None,
        HttpTokens=block.get("http_tokens"),
        InstanceMetadataTags=block.get("instance_metadata_tags"),
    )


def _network(new: Plain) -> dict[str, Any]:
    """Where the instance goes: interfaces of its own when something needs them, else subnet and groups."""
    attached = new.get("network_interface") or []
    if attached:
        return {
            "NetworkInterfaces": [
                {
                    "DeviceIndex": n["device_index"],
                    "NetworkInterfaceId": n["network_interface_id"],
                    "NetworkCardIndex": n.get("network_card_index") or 0,
                    "DeleteOnTermination": bool(n.get("delete_on_termination")),
                }
                for n in attached
            ]
        }
    groups = new.get("vpc_security_group_ids") or []
    if new.get("associate_public_ip_address") is not None and new.get("subnet_id"):
        interface = _given(
            DeviceIndex=0,
            AssociatePublicIpAddress=new["associate_public_ip_address"],
            SubnetId=new["subnet_id"],
            Groups=groups,
            PrivateIpAddress=new.get("private_ip"),
            Ipv6AddressCount=new.get("ipv6_address_count") or None,
            Ipv6Addresses=[{"Ipv6Address": a} for a in new.get("ipv6_addresses") or ()],
        )
        return {"NetworkInterfaces": [interface]}
    return _given(
        SubnetId=new.get("subnet_id"),
        SecurityGroupIds=groups,
        SecurityGroups=new.get("security_groups") or [],
        PrivateIpAddress=new.get("private_ip"),
        Ipv6AddressCount=new.get("ipv6_address_count") or None,
        Ipv6Addresses=[{"Ipv6Address": a} for a in new.get("ipv6_addresses") or ()],
    )


def _market(new: Plain) -> dict[str, Any] | None:
    block = _first(new.get("instance_market_options"))
    if not block:
        return None
    spot = _first(block.get("spot_options"))
    options = _given(
        InstanceInterruptionBehavior=spot.get("instance_interruption_behavior"),
        MaxPrice=spot.get("max_price"),
        SpotInstanceType=spot.get("spot_instance_type"),
        ValidUntil=spot.get("valid_until"),
    )
    return _given(MarketType=block.get("market_type"), SpotOptions=options or None)


def _request(cloud: Cloud, new: Plain) -> dict[str, Any]:
    template = _first(new.get("launch_template"))
    credits = _first(new.get("credit_specification"))
    cpu = _first(new.get("cpu_options"))
    enclave = _first(new.get("enclave_options"))
    names = _first(new.get("private_dns_name_options"))
    maintenance = _first(new.get("maintenance_options"))
    profile = new.get("iam_instance_profile")
    placement = _given(
        AvailabilityZone=new.get("availability_zone"),
        GroupName=new.get("placement_group"),
        PartitionNumber=new.get("placement_partition_number") or None,
        Tenancy=new.get("tenancy"),
        HostId=new.get("host_id"),
        HostResourceGroupArn=new.get("host_resource_group_arn"),
    )
    data = _raw_user_data(new)
    return _given(
        ImageId=new.get("ami"),
        InstanceType=new.get("instance_type"),
        LaunchTemplate=_given(
            LaunchTemplateId=template.get("id"),
            LaunchTemplateName=None if template.get("id") else template.get("name"),
            Version=template.get("version"),
        )
        or None,
        BlockDeviceMappings=_disks(cloud, new),
        CreditSpecification={"CpuCredits": credits["cpu_credits"]} if credits.get("cpu_credits") else None,
        CpuOptions=_given(
            CoreCount=cpu.get("core_count") or new.get("cpu_core_count") or None,
            ThreadsPerCore=cpu.get("threads_per_core") or new.get("cpu_threads_per_core") or None,
            AmdSevSnp=cpu.get("amd_sev_snp"),
        )
        or None,
        DisableApiStop=new.get("disable_api_stop"),
        DisableApiTermination=new.get("disable_api_termination"),
        EbsOptimized=new.get("ebs_optimized"),
        EnablePrimaryIpv6=new.get("enable_primary_ipv6"),
        EnclaveOptions={"Enabled": bool(enclave.get("enabled"))} if enclave else None,
        HibernationOptions={"Configured": True} if new.get("hibernation") else None,
        IamInstanceProfile=({"Arn": profile} if str(profile).startswith("arn:") else {"Name": profile})
        if profile
        else None,
        InstanceInitiatedShutdownBehavior=new.get("instance_initiated_shutdown_behavior"),
        InstanceMarketOptions=_market(new),
        KeyName=new.get("key_name"),
        MaintenanceOptions={"AutoRecovery": maintenance["auto_recovery"]} if maintenance.get("auto_recovery") else None,
        MetadataOptions=_metadata(new),
        Monitoring={"Enabled": True} if new.get("monitoring") else None,
        Placement=placement or None,
        PrivateDnsNameOptions=_given(
            HostnameType=names.get("hostname_type"),
            EnableResourceNameDnsARecord=names.get("enable_resource_name_dns_a_record"),
            EnableResourceNameDnsAAAARecord=names.get("enable_resource_name_dns_aaaa_record"),
        )
        or None,
        UserData=data,
        **_network(new),
    )


def create_instance(cloud: Cloud, new: Plain) -> None:
    request = _request(cloud, new)
    marks = created_tags(cloud, new, "instance") or []
    volumes = {**(new.get("volume_tags") or {})} or (_first(new.get("root_block_device")).get("tags") or {})
    if not new.get("volume_tags"):
        volumes = {**cloud.settings.default_tags, **volumes}
    marks.extend(tags.specifications("volume", volumes) or [])

    def profile_not_seen(failure: ApiError) -> bool:
        return failure.means("InvalidParameterValue") and (
            "Invalid IAM Instance Profile" in failure.text or "no permissions" in failure.text
        )

    made = cloud.retry(
        lambda: cloud.call("ec2", "run_instances", MinCount=1, MaxCount=1, TagSpecifications=marks or None, **request),
        profile_not_seen,
    )["Instances"]
    new["id"] = made[0]["InstanceId"]

    def look() -> str:
        found = _describe(cloud, new["id"])
        return "pending" if found is None else str(found["State"]["Name"])

    try:
        cloud.wait(look, ["running"], ["pending"], limit(new, "create", 600))
    except AwsFailure as failure:
        why = (_describe(cloud, new["id"]) or {}).get("StateReason") or {}
        because = f"{why.get('Code')}: {why.get('Message')}" if why.get("Code") else "%!s(<nil>)"
        text = str(failure).replace("%!s(<nil>)", because)
        raise AwsFailure(f"waiting for EC2 Instance ({new['id']}) create: {text}", WHOLE) from None
    if new.get("source_dest_check") is False:
        cloud.call("ec2", "modify_instance_attribute", InstanceId=new["id"], SourceDestCheck={"Value": False})


def _describe(cloud: Cloud, id: str) -> dict[str, Any] | None:
    found = one(cloud, "describe_instances", "Reservations", _GONE, InstanceIds=[id])
    instances: list[dict[str, Any]] = (found or {}).get("Instances") or []
    return instances[0] if instances else None


# --- what is seen


def read_instance(cloud: Cloud, old: Plain) -> Plain | None:
    instance = _describe(cloud, old["id"])
    if instance is None or instance["State"]["Name"] == "terminated":
        return None
    id = instance["InstanceId"]
    placement = instance.get("Placement") or {}
    interfaces = instance.get("NetworkInterfaces") or []
    primary: dict[str, Any] = next(
        (n for n in interfaces if (n.get("Attachment") or {}).get("DeviceIndex", 0) == 0), {}
    )
    addresses = [a["Ipv6Address"] for a in primary.get("Ipv6Addresses") or ()]
    in_vpc = bool(instance.get("VpcId"))
    groups = primary.get("Groups") or instance.get("SecurityGroups") or []
    groups = instance.get("SecurityGroups") or groups if in_vpc else groups
    profile = (instance.get("IamInstanceProfile") or {}).get("Arn", "")
    seen: Plain = {
        "id": id,
        "ami": instance.get("ImageId", ""),
        "arn": cloud.arn("ec2", f"instance/{id}"),
        "availability_zone": placement.get("AvailabilityZone", ""),
        "disable_api_stop": _attribute(cloud, id, "disableApiStop", "DisableApiStop", False),
        "disable_api_termination": _attribute(cloud, id, "disableApiTermination", "DisableApiTermination", False),
        "ebs_optimized": bool(instance.get("EbsOptimized", False)),
        "hibernation": bool((instance.get("HibernationOptions") or {}).get("Configured", False)),
        "host_id": placement.get("HostId", ""),
        "iam_instance_profile": profile.rsplit("/", 1)[-1],
        "instance_initiated_shutdown_behavior": _attribute(
            cloud, id, "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior", "stop"
        ),
        "instance_lifecycle": instance.get("InstanceLifecycle", ""),
        "instance_state": instance["State"]["Name"],
        "instance_type": instance.get("InstanceType", ""),
        "ipv6_address_count": len(addresses),
        "ipv6_addresses": addresses,
        "key_name": instance.get("KeyName", ""),
        "monitoring": (instance.get("Monitoring") or {}).get("State") in ("enabled", "pending"),
        "outpost_arn": instance.get("OutpostArn", ""),
        "password_data": "",
        "placement_group": placement.get("GroupName", ""),
        "placement_partition_number": placement.get("PartitionNumber", 0),
        "primary_network_interface_id": primary.get("NetworkInterfaceId", ""),
        "private_dns": instance.get("PrivateDnsName", ""),
        "private_ip": instance.get("PrivateIpAddress", ""),
        "public_dns": instance.get("PublicDnsName", ""),
        "public_ip": instance.get("PublicIpAddress", ""),
        "secondary_private_ips": [
            a["PrivateIpAddress"] for a in primary.get("PrivateIpAddresses") or () if not a.get("Primary", True)
        ],
        "security_groups": _group_names(cloud, instance),
        "source_dest_check": bool(instance.get("SourceDestCheck", primary.get("SourceDestCheck", True))),
        "spot_instance_request_id": instance.get("SpotInstanceRequestId", ""),
        "subnet_id": instance.get("SubnetId", ""),
        "tenancy": placement.get("Tenancy", ""),
        "vpc_security_group_ids": [g["GroupId"] for g in instance.get("SecurityGroups") or ()] if in_vpc else [],
        "tags": tags.mapping(instance.get("Tags")),
        **_options(cloud, instance),
        **_devices(cloud, instance, old),
        **_user_data(cloud, id, old),
    }
    if not old.get("network_interface"):
        public = (primary.get("Association") or {}).get("PublicIp") or instance.get("PublicIpAddress")
        seen["associate_public_ip_address"] = bool(public)
        seen["network_interface"] = []
    if placement.get("HostResourceGroupArn"):
        seen["host_resource_group_arn"] = placement["HostResourceGroupArn"]
    cpu = instance.get("CpuOptions")
    if cpu:
        seen["cpu_core_count"], seen["cpu_threads_per_core"] = cpu.get("CoreCount"), cpu.get("ThreadsPerCore")
    return seen


def _group_names(cloud: Cloud, instance: dict[str, Any]) -> list[str]:
    """Names of groups, which count only in the default VPC."""
    if instance.get("VpcId"):
        vpc = one(cloud, "describe_vpcs", "Vpcs", "InvalidVpcID.NotFound", VpcIds=[instance["VpcId"]])
        if not (vpc or {}).get("IsDefault"):
            return []
    return [g["GroupName"] for g in instance.get("SecurityGroups") or ()]


def _attribute(cloud: Cloud, id: str, attribute: str, key: str, otherwise: Any) -> Any:
    try:
        answer = cloud.call("ec2", "describe_instance_attribute", InstanceId=id, Attribute=attribute)
    except ApiError:
        return otherwise
    return (answer.get(key) or {}).get("Value", otherwise)


def _user_data(cloud: Cloud, id: str, old: Plain) -> Plain:
    value = _attribute(cloud, id, "userData", "UserData", "")
    if not value:
        return {}
    if old.get("user_data_base64"):
        return {"user_data_base64": value}
    return {"user_data": data_hash(value), "user_data_base64": None}


def _options(cloud: Cloud, instance: dict[str, Any]) -> Plain:
    """The blocks which AWS fills in when they aren't given."""
    reservation = instance.get("CapacityReservationSpecification")
    cpu, enclave = instance.get("CpuOptions"), instance.get("EnclaveOptions")
    maintenance, names = instance.get("MaintenanceOptions"), instance.get("PrivateDnsNameOptions")
    metadata = instance.get("MetadataOptions")
    return {
        "capacity_reservation_specification": [
            {
                "capacity_reservation_preference": reservation.get("CapacityReservationPreference", ""),
                "capacity_reservation_target": [
                    {
                        "capacity_reservation_id": t.get("CapacityReservationId", ""),
                        "capacity_reservation_resource_group_arn": t.get("CapacityReservationResourceGroupArn", ""),
                    }
                    for t in [reservation.get("CapacityReservationTarget")]
                    if t
                ],
            }
        ]
        if reservation
        else [],
        "cpu_options": [
            {
                "amd_sev_snp": cpu.get("AmdSevSnp", ""),
                "core_count": cpu.get("CoreCount", 0),
                "threads_per_core": cpu.get("ThreadsPerCore", 0),
            }
        ]
        if cpu
        else [],
        "credit_specification": _credits(cloud, instance),
        "enclave_options": [{"enabled": bool(enclave.get("Enabled"))}] if enclave else [],
        "ephemeral_block_device": [],
        "instance_market_options": [],
        "maintenance_options": [{"auto_recovery": maintenance.get("AutoRecovery", "")}] if maintenance else [],
        "metadata_options": [
            {
                "http_endpoint": metadata.get("HttpEndpoint", ""),
                "http_protocol_ipv6": metadata.get("HttpProtocolIpv6", ""),
                "http_put_response_hop_limit": metadata.get("HttpPutResponseHopLimit", 0),
                "http_tokens": metadata.get("HttpTokens", ""),
                "instance_metadata_tags": metadata.get("InstanceMetadataTags", ""),
            }
        ]
        if metadata
        else [],
        "private_dns_name_options": [
            {
                "enable_resource_name_dns_a_record": bool(names.get("EnableResourceNameDnsARecord")),
                "enable_resource_name_dns_aaaa_record": bool(names.get("EnableResourceNameDnsAAAARecord")),
                "hostname_type": names.get("HostnameType", ""),
            }
        ]
        if names
        else [],
    }


def _credits(cloud: Cloud, instance: dict[str, Any]) -> list[Plain]:
    if not re.match(r"t[0-9]", instance.get("InstanceType", "")):
        return []
    found = one(
        cloud,
        "describe_instance_credit_specifications",
        "InstanceCreditSpecifications",
        _GONE,
        InstanceIds=[instance["InstanceId"]],
    )
    return [{"cpu_credits": found["CpuCredits"]}] if found and found.get("CpuCredits") else []


def _devices(cloud: Cloud, instance: dict[str, Any], old: Plain) -> Plain:
    mappings = {
        m["Ebs"]["VolumeId"]: m
        for m in instance.get("BlockDeviceMappings") or ()
        if (m.get("Ebs") or {}).get("VolumeId")
    }
    if not mappings:
        return {"root_block_device": [], "ebs_block_device": []}
    volumes = cloud.call("ec2", "describe_volumes", VolumeIds=list(mappings))["Volumes"]
    root: list[Plain] = []
    others: list[Plain] = []
    shown_tags = not old.get("volume_tags")
    for volume in volumes:
        mapping = mappings[volume["VolumeId"]]
        every = {k: v for k, v in tags.mapping(volume.get("Tags")).items() if not k.startswith("aws:")}
        own = {k: v for k, v in every.items() if cloud.settings.default_tags.get(k) != v}
        disk: Plain = {
            "delete_on_termination": bool(mapping["Ebs"].get("DeleteOnTermination")),
            "device_name": mapping["DeviceName"],
            "encrypted": bool(volume.get("Encrypted")),
            "iops": volume.get("Iops") or 0,
            "kms_key_id": volume.get("KmsKeyId") or "",
            "tags": own if shown_tags else {},
            "tags_all": every if shown_tags else {},
            "throughput": volume.get("Throughput") or 0,
            "volume_id": volume["VolumeId"],
            "volume_size": volume.get("Size") or 0,
            "volume_type": volume.get("VolumeType") or "",
        }
        if mapping["DeviceName"] == instance.get("RootDeviceName"):
            root.append(disk)
        else:
            others.append({**disk, "snapshot_id": volume.get("SnapshotId") or ""})
    return {"root_block_device": root, "ebs_block_device": others}


# --- change and end


def retag_instance(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    retag_id(cloud, obj["id"], old, new)


def update_instance(cloud: Cloud, old: Plain, new: Plain) -> None:
    id = new["id"]

    def modify(**change: Any) -> None:
        cloud.call("ec2", "modify_instance_attribute", InstanceId=id, **change)

    def differs(name: str) -> bool:
        return (old.get(name) or None) != (new.get(name) or None)

    if differs("iam_instance_profile"):
        _swap_profile(cloud, id, new.get("iam_instance_profile") or "")
    if old.get("source_dest_check") != new.get("source_dest_check"):
        modify(SourceDestCheck={"Value": bool(new["source_dest_check"])})
    if sorted(old.get("vpc_security_group_ids") or ()) != sorted(new.get("vpc_security_group_ids") or ()):
        groups = new.get("vpc_security_group_ids") or []
        if groups:
            modify(Groups=groups)
    data = data_hash(new["user_data"]) if new.get("user_data") else None
    if differs("instance_type") or (old.get("user_data") or None) != data or differs("user_data_base64"):
        _stopped_change(cloud, old, new, modify)
    if differs("disable_api_stop"):
        modify(DisableApiStop={"Value": bool(new.get("disable_api_stop"))})
    if differs("disable_api_termination"):
        modify(DisableApiTermination={"Value": bool(new.get("disable_api_termination"))})
    if differs("instance_initiated_shutdown_behavior"):
        modify(InstanceInitiatedShutdownBehavior={"Value": new["instance_initiated_shutdown_behavior"]})
    if differs("monitoring"):
        operation = "monitor_instances" if new.get("monitoring") else "unmonitor_instances"
        cloud.call("ec2", operation, InstanceIds=[id])
    if differs("credit_specification") and _first(new.get("credit_specification")).get("cpu_credits"):
        cloud.call(
            "ec2",
            "modify_instance_credit_specification",
            InstanceCreditSpecifications=[
                {"InstanceId": id, "CpuCredits": _first(new["credit_specification"])["cpu_credits"]}
            ],
        )
    if differs("metadata_options") and _metadata(new):
        cloud.call("ec2", "modify_instance_metadata_options", InstanceId=id, **(_metadata(new) or {}))
    _change_root(cloud, old, new, modify)
    if differs("volume_tags"):
        for disk in [*(old.get("root_block_device") or ()), *(old.get("ebs_block_device") or ())]:
            retag_id(cloud, disk["volume_id"], old.get("volume_tags") or {}, new.get("volume_tags") or {})


def _swap_profile(cloud: Cloud, id: str, profile: str) -> None:
    found = one(
        cloud,
        "describe_iam_instance_profile_associations",
        "IamInstanceProfileAssociations",
        Filters=filters({"instance-id": id}),
    )
    if found and not profile:
        cloud.call("ec2", "disassociate_iam_instance_profile", AssociationId=found["AssociationId"])
    elif found:
        cloud.call(
            "ec2",
            "replace_iam_instance_profile_association",
            AssociationId=found["AssociationId"],
            IamInstanceProfile={"Name": profile},
        )
    else:
        cloud.call("ec2", "associate_iam_instance_profile", InstanceId=id, IamInstanceProfile={"Name": profile})


def _stopped_change(cloud: Cloud, old: Plain, new: Plain, modify: Any) -> None:
    """Type and user data change only while the instance is stopped."""
    id = new["id"]

    def look() -> str:
        return str((_describe(cloud, id) or {"State": {"Name": "terminated"}})["State"]["Name"])

    seconds = limit(new, "update", 600)
    cloud.call("ec2", "stop_instances", InstanceIds=[id])
    cloud.wait(look, ["stopped"], ["pending", "running", "shutting-down", "stopping"], seconds)
    if old.get("instance_type") != new.get("instance_type") and new.get("instance_type"):
        modify(InstanceType={"Value": new["instance_type"]})
    if new.get("user_data") and old.get("user_data") != data_hash(new["user_data"]):
        modify(UserData={"Value": _decoded(new["user_data"])})
    if old.get("user_data_base64") != new.get("user_data_base64") and new.get("user_data_base64"):
        modify(UserData={"Value": base64.b64decode(new["user_data_base64"])})
    cloud.call("ec2", "start_instances", InstanceIds=[id])
    cloud.wait(look, ["running"], ["pending", "stopped"], seconds)


def _change_root(cloud: Cloud, old: Plain, new: Plain, modify: Any) -> None:
    before, after = _first(old.get("root_block_device")), _first(new.get("root_block_device"))
    if not before or not after:
        return
    change = {
        key: after[name]
        for name, key in (
            ("volume_size", "Size"),
            ("volume_type", "VolumeType"),
            ("iops", "Iops"),
            ("throughput", "Throughput"),
        )
        if after.get(name) and before.get(name) != after[name]
    }
    if change:
        cloud.call("ec2", "modify_volume", VolumeId=before["volume_id"], **change)
    if before.get("delete_on_termination") != after.get("delete_on_termination"):
        modify(
            BlockDeviceMappings=[
                {
                    "DeviceName": before["device_name"],
                    "Ebs": {"DeleteOnTermination": bool(after.get("delete_on_termination"))},
                }
            ]
        )
    if not new.get("volume_tags") and (before.get("tags") or {}) != (after.get("tags") or {}):
        retag_id(cloud, before["volume_id"], before.get("tags") or {}, after.get("tags") or {})


def delete_instance(cloud: Cloud, old: Plain) -> None:
    if not quietly(cloud, "terminate_instances", _GONE, InstanceIds=[old["id"]]):
        return

    def look() -> str:
        found = _describe(cloud, old["id"])
        return "terminated" if found is None else str(found["State"]["Name"])

    pending = ["pending", "running", "shutting-down", "stopping", "stopped"]
    cloud.wait(look, ["terminated"], pending, limit(old, "delete", 1200))


def amend_instance(amend: Amend) -> None:
    """User data and a new type touch other attributes."""
    drawn, prior = amend.drawn, amend.prior
    if prior is None:
        return
    replaced = amend.config.data["user_data_replace_on_change"].data is True
    for name in ("user_data", "user_data_base64"):
        if name in drawn.changed and replaced:
            drawn.replace.append((name,))
    if drawn.changed & {"instance_type", "user_data", "user_data_base64"}:
        # The instance is stopped and started, so that its public address changes.
        for name in ("public_dns", "public_ip"):
            drawn.members[name] = unknown(STRING)


INSTANCE = Resource(
    "EC2 Instance",
    create_instance,
    read_instance,
    delete_instance,
    update_instance,
    retag_instance,
    rules=Rules(
        computed=frozenset(
            {
                "capacity_reservation_specification",
                "cpu_options",
                "ebs_block_device",
                "enclave_options",
                "ephemeral_block_device",
                "instance_market_options",
                "maintenance_options",
                "metadata_options",
                "network_interface",
                "private_dns_name_options",
                "root_block_device",
            }
        ),
        normal={"user_data": data_hash},
        hashed=frozenset({"user_data"}),
        ignored=frozenset({"credit_specification"}),
    ),
    amend=amend_instance,
)
