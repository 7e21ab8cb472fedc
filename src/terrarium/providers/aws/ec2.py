"""What the EC2 types have in common: tags, tolerant lookups, filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.rows import Plain
from terrarium.providers.aws.session import ApiError, Cloud


def retag(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Changes the tags of an EC2 object, which is known by its id."""
    retag_id(cloud, obj["id"], old, new)


def retag_id(cloud: Cloud, id: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    gone = tags.removed(old, new)
    if gone:
        cloud.call("ec2", "delete_tags", Resources=[id], Tags=[{"Key": key} for key in gone])
    changed = tags.changed(old, new)
    if changed:
        cloud.call("ec2", "create_tags", Resources=[id], Tags=tags.pairs(changed))


def created_tags(cloud: Cloud, new: Plain, kind: str) -> list[dict[str, Any]] | None:
    """TagSpecifications of an object that is made, defaults included."""
    return tags.specifications(kind, tags.wanted(new, cloud.settings))


def one(cloud: Cloud, operation: str, result: str, *absent: str, **parameters: Any) -> dict[str, Any] | None:
    """The only item of a describe call, None when there is none or AWS answers with one of the codes `absent`."""
    try:
        items = cloud.call("ec2", operation, **parameters).get(result) or []
    except ApiError as failure:
        if failure.means(*absent):
            return None
        raise
    return items[0] if items else None


def filters(given: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Filters of a describe call from names and values (one or several)."""
    pairs = given.items() if isinstance(given, Mapping) else given
    return [
        {"Name": name, "Values": [str(v) for v in (value if isinstance(value, list) else [value])]}
        for name, value in pairs
        if value not in (None, [], "")
    ]


def custom(given: Plain) -> list[dict[str, Any]]:
    """A data source's `filter` blocks and `tags`."""
    found = [{"Name": f["name"], "Values": list(f["values"] or ())} for f in given.get("filter") or ()]
    found.extend({"Name": f"tag:{key}", "Values": [value]} for key, value in (given.get("tags") or {}).items())
    return found


def quietly(cloud: Cloud, operation: str, *absent: str, **parameters: Any) -> bool:
    """A delete call for which "it isn't there" is success. False when it wasn't there."""
    try:
        cloud.call("ec2", operation, **parameters)
    except ApiError as failure:
        if failure.means(*absent):
            return False
        raise
    return True
