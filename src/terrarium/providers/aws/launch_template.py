"""Launch templates: a wide structure that the API has almost name for name, so it is translated by the schema."""

from __future__ import annotations

from typing import Any

from terrarium.language.types import NUMBER
from terrarium.language.values import unknown
from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, one, quietly, retag
from terrarium.providers.aws.rows import Amend, Plain, Resource
from terrarium.providers.aws.schemas import Schemas, Spec
from terrarium.providers.aws.session import Cloud, prefix_of

_TYPE = "aws_launch_template"

# argument -> member of the API where it isn't the same name in camel case
_NAMES = {
    "vpc_security_group_ids": "SecurityGroupIds",
    "security_group_names": "SecurityGroups",
    "elastic_inference_accelerator": "ElasticInferenceAccelerators",
    "network_interfaces.security_groups": "Groups",
    "network_interfaces.ipv4_addresses": "PrivateIpAddresses",
    "network_interfaces.ipv4_address_count": "SecondaryPrivateIpAddressCount",
    "instance_requirements.memory_mib": "MemoryMiB",
    "instance_requirements.vcpu_count": "VCpuCount",
    "instance_requirements.memory_gib_per_vcpu": "MemoryGiBPerVCpu",
    "instance_requirements.accelerator_total_memory_mib": "AcceleratorTotalMemoryMiB",
    "instance_requirements.local_storage_types": "LocalStorageTypes",
}
# Lists of an API structure {key: value} behind a plain list of texts.
_WRAPPED = {
    "network_interfaces.ipv4_addresses": "PrivateIpAddress",
    "network_interfaces.ipv6_addresses": "Ipv6Address",
    "network_interfaces.ipv4_prefixes": "Ipv4Prefix",
    "network_interfaces.ipv6_prefixes": "Ipv6Prefix",
}
_OWN = {
    "arn",
    "default_version",
    "description",
    "id",
    "latest_version",
    "name",
    "name_prefix",
    "tags",
    "tags_all",
    "update_default_version",
}


def _member(at: str) -> str:
    found = _NAMES.get(at)
    if found is not None:
        return found
    last = at.rsplit(".", 1)[-1]
    return "".join(word.capitalize() for word in last.split("_"))


def outward(spec: Spec, given: Plain, at: str = "") -> dict[str, Any]:
    """The API's structure for what is configured."""
    made: dict[str, Any] = {}
    for name, flags in spec.get("attributes", {}).items():
        value, path = given.get(name), f"{at}.{name}" if at else name
        if (not at and name in _OWN) or value in (None, "", []):
            continue
        if flags.get("computed") and value == 0:
            continue
        if path in _WRAPPED:
            value = [{_WRAPPED[path]: v} for v in value]
        elif flags.get("nullable"):
            value = value == "true"
        elif path.endswith(".tags"):
            value = tags.pairs(value)
        made[_member(path)] = value
    for name, flags in spec.get("block_types", {}).items():
        path = f"{at}.{name}" if at else name
        blocks = [outward(flags["block"], b or {}, path) for b in given.get(name) or ()]
        if blocks:
            single = flags.get("max_items") == 1 and name != "elastic_inference_accelerator"
            made[_member(path)] = blocks[0] if single else blocks
    return made


def inward(spec: Spec, seen: dict[str, Any], at: str = "") -> Plain:
    """What the API shows, by our names; texts and numbers it leaves out are empty."""
    made: Plain = {}
    for name, flags in spec.get("attributes", {}).items():
        if not at and name in _OWN:
            continue
        path = f"{at}.{name}" if at else name
        value = seen.get(_member(path))
        if path in _WRAPPED:
            value = [v[_WRAPPED[path]] for v in value or ()]
        elif path.endswith(".tags"):
            value = tags.mapping(value)
        elif flags.get("nullable"):
            value = "" if value is None else value
        elif value is None:
            value = {"string": "", "number": 0, "bool": False}.get(str(flags["type"]), [])
        made[name] = value
    for name, flags in spec.get("block_types", {}).items():
        if name == "timeouts":
            continue
        path = f"{at}.{name}" if at else name
        value = seen.get(_member(path))
        listed = value if isinstance(value, list) else [value] if value else []
        made[name] = [inward(flags["block"], v, path) for v in listed]
    return made


def _data(new: Plain) -> dict[str, Any]:
    return outward(Schemas("resources").spec(_TYPE), new)


def create(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "ec2",
        "create_launch_template",
        LaunchTemplateName=new.get("name") or cloud.unique_name(new.get("name_prefix") or "terraform-"),
        LaunchTemplateData=_data(new),
        VersionDescription=new.get("description") or None,
        TagSpecifications=created_tags(cloud, new, "launch-template"),
    )["LaunchTemplate"]
    new["id"] = made["LaunchTemplateId"]


def read(cloud: Cloud, old: Plain) -> Plain | None:
    template = one(
        cloud,
        "describe_launch_templates",
        "LaunchTemplates",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.NotFoundException",
        "InvalidLaunchTemplateName.NotFoundException",
        LaunchTemplateIds=[old["id"]],
    )
    if template is None:
        return None
    version = one(
        cloud,
        "describe_launch_template_versions",
        "LaunchTemplateVersions",
        LaunchTemplateId=old["id"],
        Versions=[str(template["LatestVersionNumber"])],
    )
    shown = inward(Schemas("resources").spec(_TYPE), (version or {}).get("LaunchTemplateData") or {})
    return {
        **shown,
        "id": template["LaunchTemplateId"],
        "arn": cloud.arn("ec2", f"launch-template/{template['LaunchTemplateId']}"),
        "default_version": template.get("DefaultVersionNumber", 0),
        "description": (version or {}).get("VersionDescription", ""),
        "latest_version": template.get("LatestVersionNumber", 0),
        "name": template["LaunchTemplateName"],
        "name_prefix": prefix_of(template["LaunchTemplateName"]),
        "tags": tags.mapping(template.get("Tags")),
    }


def update(cloud: Cloud, old: Plain, new: Plain) -> None:
    latest = None
    if _data(old) != _data(new) or (old.get("description") or "") != (new.get("description") or ""):
        made = cloud.call(
            "ec2",
            "create_launch_template_version",
            LaunchTemplateId=new["id"],
            LaunchTemplateData=_data(new),
            VersionDescription=new.get("description") or None,
        )["LaunchTemplateVersion"]
        latest = made["VersionNumber"]
    default = latest if new.get("update_default_version") else None
    if not new.get("update_default_version") and new.get("default_version") != old.get("default_version"):
        default = new.get("default_version")
    if default:
        cloud.call("ec2", "modify_launch_template", LaunchTemplateId=new["id"], DefaultVersion=str(default))


def delete(cloud: Cloud, old: Plain) -> None:
    quietly(
        cloud,
        "delete_launch_template",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.NotFoundException",
        LaunchTemplateId=old["id"],
    )


def amend(amend: Amend) -> None:
    """Every change but of tags is a new version."""
    drawn = amend.drawn
    if amend.prior is None or not drawn.changed - {"tags", "default_version", "update_default_version"}:
        return
    drawn.members["latest_version"] = unknown(NUMBER)
    if amend.config.data["update_default_version"].data is True:
        drawn.members["default_version"] = unknown(NUMBER)


TEMPLATE = Resource("EC2 Launch Template", create, read, delete, update, retag, amend=amend, named="name")
