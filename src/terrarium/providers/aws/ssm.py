"""SSM parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.language.types import NUMBER, STRING
from terrarium.language.values import unknown
from terrarium.providers.aws import tags
from terrarium.providers.aws.rows import Amend, DataSource, Plain, Resource
from terrarium.providers.aws.session import ApiError, Cloud


def _value(new: Plain) -> str:
    return str(new.get("value_wo") or new.get("insecure_value") or new.get("value") or "")


def _put(cloud: Cloud, new: Plain, overwrite: bool, **more: Any) -> None:
    cloud.call(
        "ssm",
        "put_parameter",
        Name=new["name"],
        Type=new["type"],
        Value=_value(new),
        AllowedPattern=new.get("allowed_pattern") or None,
        DataType=new.get("data_type") or None,
        Description=new.get("description") or None,
        KeyId=(new.get("key_id") or None) if new["type"] == "SecureString" else None,
        Overwrite=overwrite or None,
        Tier=new.get("tier") or None,
        **more,
    )


def create(cloud: Cloud, new: Plain) -> None:
    wanted = tags.wanted(new, cloud.settings)
    overwrite = bool(new.get("overwrite"))
    # Tags can't go with a call that may overwrite.
    _put(cloud, new, overwrite, Tags=None if overwrite else tags.pairs(wanted) or None)
    new["id"] = new["name"]
    if overwrite and wanted:
        retag(cloud, new, {}, wanted)


def read(cloud: Cloud, old: Plain) -> Plain | None:
    try:
        found = cloud.call("ssm", "get_parameter", Name=old["id"], WithDecryption=True)["Parameter"]
    except ApiError as failure:
        if failure.means("ParameterNotFound"):
            return None
        raise
    # The argument of this filter is "Key", not "Name" as in EC2.
    wanted = [{"Key": "Name", "Option": "Equals", "Values": [old["id"]]}]
    listed = cloud.call("ssm", "describe_parameters", ParameterFilters=wanted).get("Parameters") or [{}]
    about = listed[0]
    insecure = old.get("insecure_value") is not None and found["Type"] != "SecureString"
    hidden = old.get("value_wo_version") is not None
    marks = cloud.call("ssm", "list_tags_for_resource", ResourceType="Parameter", ResourceId=old["id"]).get("TagList")
    return {
        "id": found["Name"],
        "allowed_pattern": about.get("AllowedPattern", ""),
        "arn": found.get("ARN") or cloud.arn("ssm", f"parameter/{found['Name'].lstrip('/')}"),
        "data_type": found.get("DataType") or about.get("DataType", ""),
        "description": about.get("Description", ""),
        "has_value_wo": True if hidden else None,
        "insecure_value": found["Value"] if insecure and not hidden else None,
        "key_id": about.get("KeyId", ""),
        "name": found["Name"],
        "tier": about.get("Tier", "Standard"),
        "type": found["Type"],
        "value": "" if hidden else found["Value"],
        "version": found.get("Version", 0),
        "tags": tags.mapping(marks),
    }


def retag(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    gone, changed = tags.removed(old, new), tags.changed(old, new)
    who = {"ResourceType": "Parameter", "ResourceId": obj["id"]}
    if gone:
        cloud.call("ssm", "remove_tags_from_resource", TagKeys=list(gone), **who)
    if changed:
        cloud.call("ssm", "add_tags_to_resource", Tags=tags.pairs(changed), **who)


def update(cloud: Cloud, old: Plain, new: Plain) -> None:
    names = (
        "allowed_pattern",
        "data_type",
        "description",
        "insecure_value",
        "key_id",
        "tier",
        "type",
        "value",
        "value_wo_version",
    )
    if any((old.get(n) or None) != (new.get(n) or None) for n in names):
        _put(cloud, new, True)


def delete(cloud: Cloud, old: Plain) -> None:
    try:
        cloud.call("ssm", "delete_parameter", Name=old["id"])
    except ApiError as failure:
        if not failure.means("ParameterNotFound"):
            raise


def amend(amend: Amend) -> None:
    """A new value is a new version, and only one of the two values is set."""
    drawn = amend.drawn
    if amend.prior is None:
        return
    if drawn.changed & {"value", "insecure_value", "description", "type", "value_wo_version"}:
        drawn.members["version"] = unknown(NUMBER)
    for name, other in (("value", "insecure_value"), ("insecure_value", "value")):
        if name in drawn.changed and other not in drawn.changed:
            drawn.members[other] = unknown(STRING)


PARAMETER = Resource("SSM Parameter", create, read, delete, update, retag, amend=amend, named="name")


def read_data(cloud: Cloud, given: Plain) -> Plain:
    decrypt = given.get("with_decryption") is not False
    found = cloud.call("ssm", "get_parameter", Name=given["name"], WithDecryption=decrypt)["Parameter"]
    return {
        "id": found["Name"],
        "arn": found.get("ARN", ""),
        "insecure_value": found["Value"] if found["Type"] != "SecureString" else None,
        "name": found["Name"],
        "type": found["Type"],
        "value": found["Value"],
        "version": found.get("Version", 0),
        "with_decryption": decrypt,
    }


PARAMETER_DATA = DataSource("reading SSM Parameter", read_data)
