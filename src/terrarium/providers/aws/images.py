"""The search for machine images."""

from __future__ import annotations

import re
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import custom
from terrarium.providers.aws.rows import DataSource, Plain
from terrarium.providers.aws.session import WHOLE, AwsFailure, Cloud


def read_image(cloud: Cloud, given: Plain) -> Plain:
    images = cloud.pages(
        "ec2",
        "describe_images",
        "Images",
        Owners=given.get("owners") or None,
        ExecutableUsers=given.get("executable_users") or None,
        Filters=custom({"filter": given.get("filter")}) or None,
        IncludeDeprecated=bool(given.get("include_deprecated")) or None,
    )
    if given.get("name_regex"):
        pattern = re.compile(given["name_regex"])
        images = [i for i in images if pattern.search(i.get("Name", ""))]
    if given.get("uefi_data"):
        images = [i for i in images if i.get("UefiData") == given["uefi_data"]]
    if not images:
        raise AwsFailure("Your query returned no results. Please change your search criteria and try again.", WHOLE)
    if len(images) > 1 and not given.get("most_recent"):
        raise AwsFailure(
            "Your query returned more than one result. Please try a more specific search criteria, or set "
            "`most_recent` attribute to true.",
            WHOLE,
        )
    image = max(images, key=lambda i: str(i.get("CreationDate", "")))
    mappings = image.get("BlockDeviceMappings") or []
    root = image.get("RootDeviceName", "")
    reason = image.get("StateReason") or {}
    return {
        "id": image["ImageId"],
        "architecture": image.get("Architecture", ""),
        "arn": f"arn:{cloud.partition}:ec2:{cloud.region}::image/{image['ImageId']}",
        "block_device_mappings": [_image_disk(m) for m in mappings],
        "boot_mode": image.get("BootMode", ""),
        "creation_date": image.get("CreationDate", ""),
        "deprecation_time": image.get("DeprecationTime", ""),
        "description": image.get("Description", ""),
        "ena_support": bool(image.get("EnaSupport")),
        "hypervisor": image.get("Hypervisor", ""),
        "image_id": image["ImageId"],
        "image_location": image.get("ImageLocation", ""),
        "image_owner_alias": image.get("ImageOwnerAlias", ""),
        "image_type": image.get("ImageType", ""),
        "imds_support": image.get("ImdsSupport", ""),
        "include_deprecated": bool(given.get("include_deprecated")),
        "kernel_id": image.get("KernelId", ""),
        "last_launched_time": image.get("LastLaunchedTime", ""),
        "most_recent": bool(given.get("most_recent")),
        "name": image.get("Name", ""),
        "owner_id": image.get("OwnerId", ""),
        "platform": image.get("Platform", ""),
        "platform_details": image.get("PlatformDetails", ""),
        "product_codes": [
            {"product_code_id": c.get("ProductCodeId", ""), "product_code_type": c.get("ProductCodeType", "")}
            for c in image.get("ProductCodes") or ()
        ],
        "public": bool(image.get("Public")),
        "ramdisk_id": image.get("RamdiskId", ""),
        "root_device_name": root,
        "root_device_type": image.get("RootDeviceType", ""),
        "root_snapshot_id": next(
            (m["Ebs"].get("SnapshotId", "") for m in mappings if m.get("DeviceName") == root and m.get("Ebs")), ""
        ),
        "sriov_net_support": image.get("SriovNetSupport", ""),
        "state": image.get("State", ""),
        "state_reason": {"code": reason.get("Code", "UNSET"), "message": reason.get("Message", "UNSET")},
        "tags": tags.mapping(image.get("Tags")),
        "tpm_support": image.get("TpmSupport", ""),
        "usage_operation": image.get("UsageOperation", ""),
        "virtualization_type": image.get("VirtualizationType", ""),
    }


def _image_disk(mapping: dict[str, Any]) -> Plain:
    disk = mapping.get("Ebs")
    return {
        "device_name": mapping.get("DeviceName", ""),
        "no_device": mapping.get("NoDevice", ""),
        "virtual_name": mapping.get("VirtualName", ""),
        "ebs": {
            "delete_on_termination": bool(disk.get("DeleteOnTermination")),
            "encrypted": bool(disk.get("Encrypted")),
            "iops": disk.get("Iops") or 0,
            "snapshot_id": disk.get("SnapshotId") or "",
            "throughput": disk.get("Throughput") or 0,
            "volume_initialization_rate": disk.get("VolumeInitializationRate") or 0,
            "volume_size": disk.get("VolumeSize") or 0,
            "volume_type": disk.get("VolumeType") or "",
        }
        if disk
        else {},
    }


IMAGE = DataSource("reading EC2 AMIs", read_image)
