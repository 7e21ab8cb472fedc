"""Key pairs."""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, one, quietly, retag_id
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.rows import Plain, Resource
from terrarium.providers.aws.session import Cloud, prefix_of


def create_key(cloud: Cloud, new: Plain) -> None:
    name = new.get("key_name") or cloud.unique_name(new.get("key_name_prefix") or "terraform-")
    cloud.call(
        "ec2",
        "import_key_pair",
        KeyName=name,
        PublicKeyMaterial=new["public_key"].encode(),
        TagSpecifications=created_tags(cloud, new, "key-pair"),
    )
    new["id"] = name


def read_key(cloud: Cloud, old: Plain) -> Plain | None:
    key = one(cloud, "describe_key_pairs", "KeyPairs", "InvalidKeyPair.NotFound", KeyNames=[old["id"]])
    if key is None:
        return None
    return {
        "id": key["KeyName"],
        "arn": cloud.arn("ec2", f"key-pair/{key['KeyName']}"),
        "fingerprint": key.get("KeyFingerprint", ""),
        "key_name": key["KeyName"],
        "key_name_prefix": prefix_of(key["KeyName"]),
        "key_pair_id": key.get("KeyPairId", ""),
        "key_type": key.get("KeyType", ""),
        "tags": tags.mapping(key.get("Tags")),
    }


def retag_key(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    retag_id(cloud, obj["key_pair_id"], old, new)


def delete_key(cloud: Cloud, old: Plain) -> None:
    quietly(cloud, "delete_key_pair", "InvalidKeyPair.NotFound", KeyName=old["id"])


KEY_PAIR = Resource(
    "EC2 Key Pair",
    create_key,
    read_key,
    delete_key,
    retag=retag_key,
    rules=Rules(normal={"public_key": str.strip}),
)
