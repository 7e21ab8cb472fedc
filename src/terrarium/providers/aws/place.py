"""Data sources about the place itself: zones, region, partition, account, default tags."""

from __future__ import annotations

from terrarium.providers.aws.ec2 import filters
from terrarium.providers.aws.rows import DataSource, Plain
from terrarium.providers.aws.session import AwsFailure, Cloud, partition_of

_SUFFIXES = {
    "aws": ("amazonaws.com", "com.amazonaws"),
    "aws-cn": ("amazonaws.com.cn", "cn.com.amazonaws"),
    "aws-us-gov": ("amazonaws.com", "com.amazonaws"),
    "aws-iso": ("c2s.ic.gov", "gov.ic.c2s"),
    "aws-iso-b": ("sc2s.sgov.gov", "gov.sgov.sc2s"),
    "aws-iso-e": ("cloud.adc-e.uk", "uk.adc-e.cloud"),
    "aws-iso-f": ("csp.hci.ic.gov", "gov.ic.hci.csp"),
}


def read_zones(cloud: Cloud, given: Plain) -> Plain:
    found = filters([("state", given.get("state"))])
    found.extend({"Name": f["name"], "Values": list(f["values"] or ())} for f in given.get("filter") or ())
    answer = cloud.call(
        "ec2",
        "describe_availability_zones",
        AllAvailabilityZones=given.get("all_availability_zones"),
        Filters=found or None,
    )
    zones = sorted(answer["AvailabilityZones"], key=lambda z: str(z["ZoneName"]))
    names, ids = set(given.get("exclude_names") or ()), set(given.get("exclude_zone_ids") or ())
    kept = [z for z in zones if z["ZoneName"] not in names and z.get("ZoneId") not in ids]
    groups = {z.get("GroupName", "") for z in kept}
    return {
        "id": cloud.region,
        "group_names": sorted(groups),
        "names": [z["ZoneName"] for z in kept],
        "zone_ids": [z.get("ZoneId", "") for z in kept],
    }


def read_region(cloud: Cloud, given: Plain) -> Plain:
    name = given.get("name")
    endpoint = given.get("endpoint")
    if not name and endpoint:
        parts = endpoint.split(".")
        if len(parts) < 4 or parts[0] != "ec2":
            raise AwsFailure(f"region not found for endpoint {endpoint!r}")
        name = parts[1]
    name = name or cloud.region
    suffix = _SUFFIXES[partition_of(name)][0]
    return {
        "id": name,
        "name": name,
        "endpoint": f"ec2.{name}.{suffix}",
        "description": _description(cloud, name),
    }


def _description(cloud: Cloud, name: str) -> str:
    data = cloud.session().get_component("data_loader").load_data("endpoints")
    for partition in data["partitions"]:
        if name in partition["regions"]:
            return str(partition["regions"][name].get("description", ""))
    return ""


def read_partition(cloud: Cloud, given: Plain) -> Plain:
    suffix, reverse = _SUFFIXES[cloud.partition]
    return {"id": cloud.partition, "partition": cloud.partition, "dns_suffix": suffix, "reverse_dns_prefix": reverse}


def read_caller(cloud: Cloud, given: Plain) -> Plain:
    who = cloud.call("sts", "get_caller_identity")
    return {"id": who["Account"], "account_id": who["Account"], "arn": who["Arn"], "user_id": who["UserId"]}


def read_default_tags(cloud: Cloud, given: Plain) -> Plain:
    return {"id": cloud.partition, "tags": dict(cloud.settings.default_tags)}


ZONES = DataSource("fetching Availability Zones", read_zones)
REGION = DataSource("reading Region", read_region)
PARTITION = DataSource("reading Partition", read_partition)
CALLER = DataSource("reading STS Caller Identity", read_caller)
DEFAULT_TAGS = DataSource("reading default tags", read_default_tags)
