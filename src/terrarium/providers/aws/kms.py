"""KMS keys and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.policies import equivalent, normalised
from terrarium.providers.aws.rows import Plain, Resource
from terrarium.providers.aws.session import ApiError, Cloud, prefix_of

_GONE = "NotFoundException"


def create_key(cloud: Cloud, new: Plain) -> None:
    wanted = tags.wanted(new, cloud.settings)
    made = cloud.retry(
        lambda: cloud.call(
            "kms",
            "create_key",
            BypassPolicyLockoutSafetyCheck=bool(new.get("bypass_policy_lockout_safety_check")),
            CustomKeyStoreId=new.get("custom_key_store_id") or None,
            KeySpec=new.get("customer_master_key_spec"),
            KeyUsage=new.get("key_usage"),
            Description=new.get("description") or None,
            MultiRegion=new.get("multi_region"),
            Origin=None,
            Policy=new.get("policy") or None,
            XksKeyId=new.get("xks_key_id") or None,
            Tags=tags.pairs(wanted, "TagKey", "TagValue") or None,
        ),
        lambda failure: failure.means("MalformedPolicyDocumentException") and "invalid principals" in failure.text,
    )["KeyMetadata"]
    new["id"] = made["KeyId"]
    if new.get("enable_key_rotation"):
        _rotate(cloud, new)
    if new.get("is_enabled") is False:
        cloud.call("kms", "disable_key", KeyId=new["id"])


def _rotate(cloud: Cloud, new: Plain) -> None:
    if new.get("enable_key_rotation"):
        days = new.get("rotation_period_in_days") or None
        cloud.call("kms", "enable_key_rotation", KeyId=new["id"], RotationPeriodInDays=days)
    else:
        cloud.call("kms", "disable_key_rotation", KeyId=new["id"])


def _key(cloud: Cloud, id: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = cloud.call("kms", "describe_key", KeyId=id)["KeyMetadata"]
    except ApiError as failure:
        if failure.means(_GONE):
            return None
        raise
    return None if found.get("KeyState") == "PendingDeletion" else found


def read_key(cloud: Cloud, old: Plain) -> Plain | None:
    key = _key(cloud, old["id"])
    if key is None:
        return None
    id = key["KeyId"]
    policy = cloud.call("kms", "get_key_policy", KeyId=id, PolicyName="default")["Policy"]
    rotation: dict[str, Any] = {}
    if key.get("Origin") in ("AWS_KMS", None) and key.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT":
        rotation = cloud.call("kms", "get_key_rotation_status", KeyId=id)
    marks = cloud.call("kms", "list_resource_tags", KeyId=id).get("Tags")
    kept = old.get("policy")
    return {
        "id": id,
        "arn": key["Arn"],
        "custom_key_store_id": key.get("CustomKeyStoreId", ""),
        "customer_master_key_spec": key.get("KeySpec") or key.get("CustomerMasterKeySpec", ""),
        "description": key.get("Description", ""),
        "enable_key_rotation": bool(rotation.get("KeyRotationEnabled")),
        "is_enabled": bool(key.get("Enabled")),
        "key_id": id,
        "key_usage": key.get("KeyUsage", ""),
        "multi_region": bool(key.get("MultiRegion")),
        "policy": kept if kept and equivalent(kept, policy) else normalised(policy),
        "rotation_period_in_days": rotation.get("RotationPeriodInDays", 0),
        "xks_key_id": (key.get("XksKeyConfiguration") or {}).get("Id", ""),
        "tags": tags.mapping(marks, "TagKey", "TagValue"),
    }


def retag_key(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    gone, changed = tags.removed(old, new), tags.changed(old, new)
    if gone:
        cloud.call("kms", "untag_resource", KeyId=obj["id"], TagKeys=list(gone))
    if changed:
        cloud.call("kms", "tag_resource", KeyId=obj["id"], Tags=tags.pairs(changed, "TagKey", "TagValue"))


def update_key(cloud: Cloud, old: Plain, new: Plain) -> None:
    id = new["id"]
    enabled = bool(new.get("is_enabled"))
    if enabled and not old.get("is_enabled"):
        cloud.call("kms", "enable_key", KeyId=id)
    if any(old.get(n) != new.get(n) for n in ("enable_key_rotation", "rotation_period_in_days")):
        _rotate(cloud, new)
    if (old.get("description") or "") != (new.get("description") or ""):
        cloud.call("kms", "update_key_description", KeyId=id, Description=new.get("description") or "")
    if old.get("policy") != new.get("policy") and new.get("policy"):
        cloud.call(
            "kms",
            "put_key_policy",
            KeyId=id,
            PolicyName="default",
            Policy=new["policy"],
            BypassPolicyLockoutSafetyCheck=bool(new.get("bypass_policy_lockout_safety_check")),
        )
    if not enabled and old.get("is_enabled"):
        cloud.call("kms", "disable_key", KeyId=id)


def delete_key(cloud: Cloud, old: Plain) -> None:
    try:
        cloud.call(
            "kms", "schedule_key_deletion", KeyId=old["id"], PendingWindowInDays=old.get("deletion_window_in_days")
        )
    except ApiError as failure:
        pending = failure.means("KMSInvalidStateException") and "is pending deletion" in failure.text
        if not failure.means(_GONE) and not pending:
            raise


KEY = Resource(
    "KMS Key",
    create_key,
    read_key,
    delete_key,
    update_key,
    retag_key,
    rules=Rules(normal={"policy": normalised}, same={"policy": equivalent}),
)

# --- aliases


def create_alias(cloud: Cloud, new: Plain) -> None:
    name = new.get("name") or cloud.unique_name(new.get("name_prefix") or "alias/")
    cloud.retry(
        lambda: cloud.call("kms", "create_alias", AliasName=name, TargetKeyId=new["target_key_id"]),
        lambda failure: failure.means(_GONE),
        10,
    )
    new["id"] = name


def read_alias(cloud: Cloud, old: Plain) -> Plain | None:
    listed = cloud.pages("kms", "list_aliases", "Aliases")
    alias = next((a for a in listed if a["AliasName"] == old["id"]), None)
    if alias is None:
        return None
    target = alias.get("TargetKeyId", "")
    arn = alias["AliasArn"].rsplit(":", 1)[0] + f":key/{target}"
    return {
        "id": alias["AliasName"],
        "arn": alias["AliasArn"],
        "name": alias["AliasName"],
        "name_prefix": prefix_of(alias["AliasName"]),
        "target_key_arn": arn,
        "target_key_id": old["target_key_id"] if _same_key(old.get("target_key_id") or "", target) else target,
    }


def update_alias(cloud: Cloud, old: Plain, new: Plain) -> None:
    if old["target_key_id"] != new["target_key_id"]:
        cloud.call("kms", "update_alias", AliasName=new["id"], TargetKeyId=new["target_key_id"])


def delete_alias(cloud: Cloud, old: Plain) -> None:
    try:
        cloud.call("kms", "delete_alias", AliasName=old["id"])
    except ApiError as failure:
        if not failure.means(_GONE):
            raise


def _same_key(a: str, b: str) -> bool:
    """A key's id and its ARN name the same key."""
    return a.rsplit("/", 1)[-1] == b.rsplit("/", 1)[-1]


ALIAS = Resource(
    "KMS Alias",
    create_alias,
    read_alias,
    delete_alias,
    update_alias,
    rules=Rules(same={"target_key_id": _same_key}),
)
