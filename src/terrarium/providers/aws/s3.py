"""S3 buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.policies import equivalent, normalised
from terrarium.providers.aws.rows import Plain, Resource
from terrarium.providers.aws.session import WHOLE, ApiError, AwsFailure, Cloud, prefix_of

# Hosted zones of the website endpoints, as AWS publishes them.
_ZONES = {
    "af-south-1": "Z83WF9RJE8B12",
    "ap-east-1": "ZNB98KWMFR0R6",
    "ap-northeast-1": "Z2M4EHUR26P7ZW",
    "ap-northeast-2": "Z3W03O7B5YMIYP",
    "ap-northeast-3": "Z2YQB5RD63NC85",
    "ap-south-1": "Z11RGJOFQNVJUP",
    "ap-southeast-1": "Z3O0J2DXBE1FTB",
    "ap-southeast-2": "Z1WCIGYICN2BYD",
    "ca-central-1": "Z1QDHH18159H29",
    "eu-central-1": "Z21DNDUVLTQW6Q",
    "eu-north-1": "Z3BAZG2TWCNX0D",
    "eu-south-1": "Z30OZKI7KPW7MI",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "eu-west-2": "Z3GKZC51ZF0DB4",
    "eu-west-3": "Z3R1K369G5AVDG",
    "me-south-1": "Z1MPMWCPA7YB62",
    "sa-east-1": "Z7KQH4QJS55SO",
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
}

# Arguments which have become types of their own; a bucket shows them but is not changed by them here.
_ELSEWHERE = (
    "acceleration_status",
    "acl",
    "cors_rule",
    "grant",
    "lifecycle_rule",
    "logging",
    "object_lock_configuration",
    "replication_configuration",
    "request_payer",
    "server_side_encryption_configuration",
    "versioning",
    "website",
)

_GONE = ("NoSuchBucket", "404", "NotFound")


def create(cloud: Cloud, new: Plain) -> None:
    for name in _ELSEWHERE:
        if new.get(name):
            raise AwsFailure(
                f'Terrarium\'s aws provider does not serve the argument "{name}" of aws_s3_bucket yet; the real provider '
                "has deprecated it in favour of a resource type of its own.",
                WHOLE,
            )
    bucket = new.get("bucket") or cloud.unique_name(new.get("bucket_prefix") or "terraform-")
    request: dict[str, Any] = {"Bucket": bucket}
    if cloud.region != "us-east-1":
        request["CreateBucketConfiguration"] = {"LocationConstraint": cloud.region}
    if new.get("object_lock_enabled"):
        request["ObjectLockEnabledForBucket"] = True
    cloud.call("s3", "create_bucket", **request)
    new["id"] = bucket
    wanted = tags.wanted(new, cloud.settings)
    if wanted:
        _put_tags(cloud, bucket, wanted)
    if new.get("policy"):
        cloud.call("s3", "put_bucket_policy", Bucket=bucket, Policy=new["policy"])


def _put_tags(cloud: Cloud, bucket: str, wanted: Mapping[str, str]) -> None:
    cloud.call("s3", "put_bucket_tagging", Bucket=bucket, Tagging={"TagSet": tags.pairs(wanted)})


def _ask(cloud: Cloud, operation: str, bucket: str) -> dict[str, Any]:
    """One aspect of a bucket, empty where it has none."""
    try:
        return cloud.call("s3", operation, Bucket=bucket)
    except ApiError as failure:
        if failure.means("NoSuchBucket", "AccessDenied"):
            raise
        return {}


def read(cloud: Cloud, old: Plain) -> Plain | None:
    bucket = old["id"]
    try:
        cloud.call("s3", "head_bucket", Bucket=bucket)
    except ApiError as failure:
        if failure.means(*_GONE):
            return None
        raise
    policy = _ask(cloud, "get_bucket_policy", bucket).get("Policy", "")
    kept = old.get("policy")
    grants: dict[tuple[str, str, str], list[str]] = {}
    for grant in _ask(cloud, "get_bucket_acl", bucket).get("Grants") or ():
        who = grant.get("Grantee") or {}
        key = (who.get("ID", ""), who.get("Type", ""), who.get("URI", ""))
        grants.setdefault(key, []).append(grant["Permission"])
    versioning = _ask(cloud, "get_bucket_versioning", bucket)
    encryption = _ask(cloud, "get_bucket_encryption", bucket).get("ServerSideEncryptionConfiguration") or {}
    lock = _ask(cloud, "get_object_lock_configuration", bucket).get("ObjectLockConfiguration") or {}
    return {
        "id": bucket,
        "acceleration_status": _ask(cloud, "get_bucket_accelerate_configuration", bucket).get("Status", ""),
        "arn": f"arn:{cloud.partition}:s3:::{bucket}",
        "bucket": bucket,
        "bucket_domain_name": f"{bucket}.s3.{cloud.dns_suffix}",
        "bucket_prefix": prefix_of(bucket),
        "bucket_regional_domain_name": f"{bucket}.s3.{cloud.region}.{cloud.dns_suffix}",
        "cors_rule": [],
        "grant": [
            {"id": id, "permissions": permissions, "type": kind, "uri": uri}
            for (id, kind, uri), permissions in grants.items()
        ],
        "hosted_zone_id": _ZONES.get(cloud.region, ""),
        "lifecycle_rule": [],
        "logging": [],
        "object_lock_configuration": [],
        "object_lock_enabled": lock.get("ObjectLockEnabled") == "Enabled",
        "policy": kept if kept and policy and equivalent(kept, policy) else normalised(policy) if policy else "",
        "region": cloud.region,
        "replication_configuration": [],
        "request_payer": _ask(cloud, "get_bucket_request_payment", bucket).get("Payer", ""),
        "server_side_encryption_configuration": [
            {
                "rule": [
                    {
                        "apply_server_side_encryption_by_default": [
                            {
                                "kms_master_key_id": d.get("KMSMasterKeyID", ""),
                                "sse_algorithm": d.get("SSEAlgorithm", ""),
                            }
                            for d in [rule.get("ApplyServerSideEncryptionByDefault")]
                            if d
                        ],
                        "bucket_key_enabled": bool(rule.get("BucketKeyEnabled")),
                    }
                    for rule in encryption["Rules"]
                ]
            }
        ]
        if encryption.get("Rules")
        else [],
        "tags": tags.mapping(_ask(cloud, "get_bucket_tagging", bucket).get("TagSet")),
        "versioning": [
            {"enabled": versioning.get("Status") == "Enabled", "mfa_delete": versioning.get("MFADelete") == "Enabled"}
        ],
        "website": [],
    }


def retag(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    if new:
        _put_tags(cloud, obj["id"], new)
    else:
        cloud.call("s3", "delete_bucket_tagging", Bucket=obj["id"])


def update(cloud: Cloud, old: Plain, new: Plain) -> None:
    if (old.get("policy") or "") != (new.get("policy") or ""):
        if new.get("policy"):
            cloud.call("s3", "put_bucket_policy", Bucket=new["id"], Policy=new["policy"])
        else:
            cloud.call("s3", "delete_bucket_policy", Bucket=new["id"])


def delete(cloud: Cloud, old: Plain) -> None:
    bucket = old["id"]
    try:
        cloud.call("s3", "delete_bucket", Bucket=bucket)
    except ApiError as failure:
        if failure.means(*_GONE):
            return
        if not (failure.means("BucketNotEmpty") and old.get("force_destroy")):
            raise
        _empty(cloud, bucket)
        cloud.call("s3", "delete_bucket", Bucket=bucket)


def _empty(cloud: Cloud, bucket: str) -> None:
    """Deletes all versions of all objects, as `force_destroy` asks."""
    while True:
        listed = cloud.call("s3", "list_object_versions", Bucket=bucket)
        found = [*(listed.get("Versions") or ()), *(listed.get("DeleteMarkers") or ())]
        if not found:
            return
        objects = [{"Key": o["Key"], "VersionId": o["VersionId"]} for o in found]
        cloud.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


BUCKET = Resource(
    "S3 Bucket",
    create,
    read,
    delete,
    update,
    retag,
    rules=Rules(
        computed=frozenset(n for n in _ELSEWHERE if n not in ("acceleration_status", "acl", "request_payer")),
        normal={"policy": normalised},
        same={"policy": equivalent},
    ),
    named="bucket",
    imports=lambda id: {"id": id, "bucket": id},
)
