"""CloudWatch log groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.rows import Plain, Resource
from terrarium.providers.aws.session import ApiError, Cloud, prefix_of

_GONE = "ResourceNotFoundException"


def create(cloud: Cloud, new: Plain) -> None:
    name = new.get("name") or cloud.unique_name(new.get("name_prefix") or "terraform-")
    cloud.call(
        "logs",
        "create_log_group",
        logGroupName=name,
        kmsKeyId=new.get("kms_key_id") or None,
        logGroupClass=new.get("log_group_class") or None,
        tags=tags.wanted(new, cloud.settings) or None,
    )
    new["id"] = name
    if new.get("retention_in_days"):
        cloud.call("logs", "put_retention_policy", logGroupName=name, retentionInDays=new["retention_in_days"])


def _group(cloud: Cloud, name: str) -> dict[str, Any] | None:
    listed = cloud.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
    return next((g for g in listed if g["logGroupName"] == name), None)


def _arn(group: dict[str, Any]) -> str:
    return str(group["arn"]).removesuffix(":*")


def read(cloud: Cloud, old: Plain) -> Plain | None:
    group = _group(cloud, old["id"])
    if group is None:
        return None
    arn = _arn(group)
    return {
        "id": group["logGroupName"],
        "arn": arn,
        "kms_key_id": group.get("kmsKeyId", ""),
        "log_group_class": group.get("logGroupClass", ""),
        "name": group["logGroupName"],
        "name_prefix": prefix_of(group["logGroupName"]),
        "retention_in_days": group.get("retentionInDays", 0),
        "tags": cloud.call("logs", "list_tags_for_resource", resourceArn=arn).get("tags") or {},
    }


def retag(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    gone, changed = tags.removed(old, new), tags.changed(old, new)
    if gone:
        cloud.call("logs", "untag_resource", resourceArn=obj["arn"], tagKeys=list(gone))
    if changed:
        cloud.call("logs", "tag_resource", resourceArn=obj["arn"], tags=changed)


def update(cloud: Cloud, old: Plain, new: Plain) -> None:
    name = new["id"]
    if old.get("retention_in_days") != new.get("retention_in_days"):
        if new.get("retention_in_days"):
            cloud.call("logs", "put_retention_policy", logGroupName=name, retentionInDays=new["retention_in_days"])
        else:
            cloud.call("logs", "delete_retention_policy", logGroupName=name)
    if (old.get("kms_key_id") or "") != (new.get("kms_key_id") or ""):
        if new.get("kms_key_id"):
            cloud.call("logs", "associate_kms_key", logGroupName=name, kmsKeyId=new["kms_key_id"])
        else:
            cloud.call("logs", "disassociate_kms_key", logGroupName=name)


def delete(cloud: Cloud, old: Plain) -> None:
    if old.get("skip_destroy"):
        return
    try:
        cloud.call("logs", "delete_log_group", logGroupName=old["id"])
    except ApiError as failure:
        if not failure.means(_GONE):
            raise


GROUP = Resource("CloudWatch Logs Log Group", create, read, delete, update, retag, named="name")
