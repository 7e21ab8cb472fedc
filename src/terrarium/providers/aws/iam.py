"""IAM: roles, policies, attachments, instance profiles, OIDC providers."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.policies import equivalent, normalised, version_first
from terrarium.providers.aws.rows import DataSource, Plain, Resource, Retag
from terrarium.providers.aws.session import WHOLE, ApiError, AwsFailure, Cloud, prefix_of
from terrarium.providers.aws.vpc import single

_ABSENT = "NoSuchEntity"


def _found(cloud: Cloud, operation: str, **parameters: Any) -> dict[str, Any] | None:
    """The answer of a call, None when the entity doesn't exist."""
    try:
        return cloud.call("iam", operation, **parameters)
    except ApiError as failure:
        if failure.means(_ABSENT):
            return None
        raise


def _name(cloud: Cloud, new: Plain) -> str:
    """The configured name, or one made from the prefix."""
    given: str | None = new.get("name")
    return given or cloud.unique_name(new.get("name_prefix") or "terraform-")


def _tagger(kind: str, key: str) -> Retag:
    """Tag<Kind> and Untag<Kind>, which name the entity by the parameter `key`."""

    def retag(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        who = {key: obj["arn"] if key.lower().endswith("arn") else obj["id"]}
        gone, changed = tags.removed(old, new), tags.changed(old, new)
        if gone:
            cloud.call("iam", f"untag_{kind}", TagKeys=list(gone), **who)
        if changed:
            cloud.call("iam", f"tag_{kind}", Tags=tags.pairs(changed), **who)

    return retag


def _wanted_tags(cloud: Cloud, new: Plain) -> list[dict[str, str]] | None:
    return tags.pairs(tags.wanted(new, cloud.settings)) or None


def _propagating(failure: ApiError) -> bool:
    return failure.means("MalformedPolicyDocument") and "Invalid principal in policy" in failure.text


def decoded(document: str) -> str:
    """A policy document of an answer: IAM encodes them as in URLs."""
    return urllib.parse.unquote(document)


# --- roles


def create_role(cloud: Cloud, new: Plain) -> None:
    name = _name(cloud, new)
    cloud.retry(
        lambda: cloud.call(
            "iam",
            "create_role",
            RoleName=name,
            Path=new.get("path"),
            AssumeRolePolicyDocument=new["assume_role_policy"],
            Description=new.get("description") or None,
            MaxSessionDuration=new.get("max_session_duration"),
            PermissionsBoundary=new.get("permissions_boundary") or None,
            Tags=_wanted_tags(cloud, new),
        ),
        _propagating,
    )
    new["id"] = name
    for inline in new.get("inline_policy") or ():
        if inline.get("name"):
            cloud.call(
                "iam", "put_role_policy", RoleName=name, PolicyName=inline["name"], PolicyDocument=inline["policy"]
            )
    for arn in new.get("managed_policy_arns") or ():
        cloud.call("iam", "attach_role_policy", RoleName=name, PolicyArn=arn)


def _role_policies(cloud: Cloud, name: str) -> list[Plain]:
    found = []
    for policy in cloud.pages("iam", "list_role_policies", "PolicyNames", RoleName=name):
        answer = _found(cloud, "get_role_policy", RoleName=name, PolicyName=policy)
        if answer is not None:
            found.append({"name": policy, "policy": decoded(answer["PolicyDocument"])})
    return found


def _attached(cloud: Cloud, name: str) -> list[str]:
    listed = cloud.pages("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name)
    return [p["PolicyArn"] for p in listed]


def read_role(cloud: Cloud, old: Plain) -> Plain | None:
    answer = _found(cloud, "get_role", RoleName=old["id"])
    if answer is None:
        return None
    role = answer["Role"]
    name = role["RoleName"]
    document = decoded(role["AssumeRolePolicyDocument"])
    kept = old.get("assume_role_policy")
    return {
        "id": name,
        "arn": role["Arn"],
        "assume_role_policy": kept if kept and equivalent(kept, document) else normalised(document),
        "create_date": role["CreateDate"],
        "description": role.get("Description", ""),
        "inline_policy": _role_policies(cloud, name),
        "managed_policy_arns": _attached(cloud, name),
        "max_session_duration": role.get("MaxSessionDuration", 3600),
        "name": name,
        "name_prefix": prefix_of(name),
        "path": role.get("Path", "/"),
        "permissions_boundary": (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn", ""),
        "unique_id": role["RoleId"],
        "tags": tags.mapping(role.get("Tags")),
        # Kept as it is configured: no API knows it.
        "force_detach_policies": bool(old.get("force_detach_policies")),
    }


def update_role(cloud: Cloud, old: Plain, new: Plain) -> None:
    name = new["id"]
    if old.get("assume_role_policy") != new.get("assume_role_policy"):
        cloud.retry(
            lambda: cloud.call(
                "iam", "update_assume_role_policy", RoleName=name, PolicyDocument=new["assume_role_policy"]
            ),
            _propagating,
        )
    if (old.get("description") or "") != (new.get("description") or ""):
        cloud.call("iam", "update_role_description", RoleName=name, Description=new.get("description") or "")
    if old.get("max_session_duration") != new.get("max_session_duration"):
        cloud.call("iam", "update_role", RoleName=name, MaxSessionDuration=new["max_session_duration"])
    if (old.get("permissions_boundary") or "") != (new.get("permissions_boundary") or ""):
        if new.get("permissions_boundary"):
            cloud.call(
                "iam", "put_role_permissions_boundary", RoleName=name, PermissionsBoundary=new["permissions_boundary"]
            )
        else:
            cloud.call("iam", "delete_role_permissions_boundary", RoleName=name)
    before = {p["name"]: p["policy"] for p in old.get("inline_policy") or () if p.get("name")}
    after = {p["name"]: p["policy"] for p in new.get("inline_policy") or () if p.get("name")}
    for policy in before:
        if policy not in after:
            _found(cloud, "delete_role_policy", RoleName=name, PolicyName=policy)
    for policy, document in after.items():
        if before.get(policy) != document:
            cloud.call("iam", "put_role_policy", RoleName=name, PolicyName=policy, PolicyDocument=document)
    had, wants = set(old.get("managed_policy_arns") or ()), set(new.get("managed_policy_arns") or ())
    for arn in sorted(had - wants):
        _found(cloud, "detach_role_policy", RoleName=name, PolicyArn=arn)
    for arn in sorted(wants - had):
        cloud.call("iam", "attach_role_policy", RoleName=name, PolicyArn=arn)


def delete_role(cloud: Cloud, old: Plain) -> None:
    name = old["id"]
    profiles = _found(cloud, "list_instance_profiles_for_role", RoleName=name)
    for profile in (profiles or {}).get("InstanceProfiles") or ():
        _found(
            cloud,
            "remove_role_from_instance_profile",
            RoleName=name,
            InstanceProfileName=profile["InstanceProfileName"],
        )
    forced = bool(old.get("force_detach_policies"))
    if forced or old.get("managed_policy_arns"):
        for arn in _attached(cloud, name) if forced else old["managed_policy_arns"]:
            _found(cloud, "detach_role_policy", RoleName=name, PolicyArn=arn)
    if forced or old.get("inline_policy"):
        inline = [p["name"] for p in (_role_policies(cloud, name) if forced else old["inline_policy"])]
        for policy in inline:
            _found(cloud, "delete_role_policy", RoleName=name, PolicyName=policy)
    cloud.retry(
        lambda: _found(cloud, "delete_role", RoleName=name), lambda failure: failure.means("DeleteConflict"), 10
    )


ROLE = Resource(
    "IAM Role",
    create_role,
    read_role,
    delete_role,
    update_role,
    _tagger("role", "RoleName"),
    rules=Rules(
        computed=frozenset({"inline_policy"}),
        normal={"assume_role_policy": normalised, "inline_policy.policy": normalised},
        same={"assume_role_policy": equivalent, "inline_policy.policy": equivalent},
    ),
    named="name",
)


def read_role_data(cloud: Cloud, given: Plain) -> Plain:
    role = cloud.call("iam", "get_role", RoleName=given["name"])["Role"]
    used = role.get("RoleLastUsed")
    return {
        "id": role["RoleName"],
        "arn": role["Arn"],
        "assume_role_policy": decoded(role["AssumeRolePolicyDocument"]),
        "create_date": role["CreateDate"],
        "description": role.get("Description", ""),
        "max_session_duration": role.get("MaxSessionDuration", 3600),
        "path": role.get("Path", "/"),
        "permissions_boundary": (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn", ""),
        "role_last_used": []
        if used is None
        else [{"last_used_date": used.get("LastUsedDate") or "", "region": used.get("Region") or ""}],
        "tags": tags.mapping(role.get("Tags")),
        "unique_id": role["RoleId"],
    }


ROLE_DATA = DataSource("reading IAM Role", read_role_data)

# --- managed policies


def create_policy(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "iam",
        "create_policy",
        PolicyName=_name(cloud, new),
        Path=new.get("path"),
        PolicyDocument=new["policy"],
        Description=new.get("description") or None,
        Tags=_wanted_tags(cloud, new),
    )["Policy"]
    new["id"] = new["arn"] = made["Arn"]


def read_policy(cloud: Cloud, old: Plain) -> Plain | None:
    answer = _found(cloud, "get_policy", PolicyArn=old["id"])
    if answer is None:
        return None
    policy = answer["Policy"]
    version = _found(cloud, "get_policy_version", PolicyArn=old["id"], VersionId=policy["DefaultVersionId"])
    document = decoded(version["PolicyVersion"]["Document"]) if version else ""
    kept = old.get("policy")
    return {
        "id": policy["Arn"],
        "arn": policy["Arn"],
        "attachment_count": policy.get("AttachmentCount", 0),
        "description": policy.get("Description", ""),
        "name": policy["PolicyName"],
        "name_prefix": prefix_of(policy["PolicyName"]),
        "path": policy.get("Path", "/"),
        "policy": kept if kept and equivalent(kept, document) else normalised(document),
        "policy_id": policy["PolicyId"],
        "tags": tags.mapping(policy.get("Tags")),
    }


def update_policy(cloud: Cloud, old: Plain, new: Plain) -> None:
    if old.get("policy") == new.get("policy"):
        return
    versions = cloud.call("iam", "list_policy_versions", PolicyArn=new["id"])["Versions"]
    if len(versions) >= 5:
        oldest = min((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"])
        cloud.call("iam", "delete_policy_version", PolicyArn=new["id"], VersionId=oldest["VersionId"])
    cloud.call("iam", "create_policy_version", PolicyArn=new["id"], PolicyDocument=new["policy"], SetAsDefault=True)


def delete_policy(cloud: Cloud, old: Plain) -> None:
    listed = _found(cloud, "list_policy_versions", PolicyArn=old["id"])
    for version in (listed or {}).get("Versions") or ():
        if not version["IsDefaultVersion"]:
            _found(cloud, "delete_policy_version", PolicyArn=old["id"], VersionId=version["VersionId"])
    _found(cloud, "delete_policy", PolicyArn=old["id"])


POLICY = Resource(
    "IAM Policy",
    create_policy,
    read_policy,
    delete_policy,
    update_policy,
    _tagger("policy", "PolicyArn"),
    rules=Rules(normal={"policy": normalised}, same={"policy": equivalent}),
    named="name",
)


def read_policy_data(cloud: Cloud, given: Plain) -> Plain:
    arn = given.get("arn")
    if not arn:
        prefix, name = given.get("path_prefix"), given.get("name")
        listed = cloud.pages("iam", "list_policies", "Policies", PathPrefix=prefix or None)
        arn = single([p for p in listed if not name or p["PolicyName"] == name], "IAM Policy")["Arn"]
    seen = read_policy(cloud, {"id": arn})
    if seen is None:
        raise AwsFailure("couldn't find resource")
    version = cloud.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = cloud.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    del seen["name_prefix"]
    return {**seen, "policy": decoded(document)}


POLICY_DATA = DataSource("reading IAM Policy", read_policy_data)

# --- policies inside a role


def put_role_policy(cloud: Cloud, new: Plain) -> None:
    name = _name(cloud, new)
    cloud.call("iam", "put_role_policy", RoleName=new["role"], PolicyName=name, PolicyDocument=new["policy"])
    new["id"] = f"{new['role']}:{name}"


def read_role_policy(cloud: Cloud, old: Plain) -> Plain | None:
    role, _, name = old["id"].partition(":")
    answer = _found(cloud, "get_role_policy", RoleName=role, PolicyName=name)
    if answer is None:
        return None
    document = decoded(answer["PolicyDocument"])
    kept = old.get("policy")
    return {
        "id": old["id"],
        "name": name,
        "name_prefix": prefix_of(name),
        "policy": kept if kept and equivalent(kept, document) else version_first(document),
        "role": role,
    }


def update_role_policy(cloud: Cloud, old: Plain, new: Plain) -> None:
    if old.get("policy") != new.get("policy"):
        cloud.call("iam", "put_role_policy", RoleName=new["role"], PolicyName=new["name"], PolicyDocument=new["policy"])


def delete_role_policy(cloud: Cloud, old: Plain) -> None:
    role, _, name = old["id"].partition(":")
    _found(cloud, "delete_role_policy", RoleName=role, PolicyName=name)


ROLE_POLICY = Resource(
    "IAM Role Policy",
    put_role_policy,
    read_role_policy,
    delete_role_policy,
    update_role_policy,
    rules=Rules(normal={"policy": version_first}, same={"policy": equivalent}),
)

# --- attachments


def attach(cloud: Cloud, new: Plain) -> None:
    try:
        cloud.call("iam", "attach_role_policy", RoleName=new["role"], PolicyArn=new["policy_arn"])
    except ApiError as failure:
        raise AwsFailure(
            f"attaching IAM Policy ({new['policy_arn']}) to IAM Role ({new['role']}): {failure}", WHOLE
        ) from None
    new["id"] = cloud.unique_name(f"{new['role']}-")


def read_attachment(cloud: Cloud, old: Plain) -> Plain | None:
    try:
        attached = _attached(cloud, old["role"])
    except ApiError as failure:
        if failure.means(_ABSENT):
            return None
        raise
    if old["policy_arn"] not in attached:
        return None
    return {"id": old["id"], "role": old["role"], "policy_arn": old["policy_arn"]}


def detach(cloud: Cloud, old: Plain) -> None:
    _found(cloud, "detach_role_policy", RoleName=old["role"], PolicyArn=old["policy_arn"])


def _import_attachment(id: str) -> Plain:
    role, _, arn = id.partition("/")
    if not role or not arn:
        raise ValueError(f"unexpected format of ID ({id!r}), expected <role-name>/<policy_arn>")
    return {"id": f"{role}-{arn}", "role": role, "policy_arn": arn}


ATTACHMENT = Resource("IAM Role Policy Attachment", attach, read_attachment, detach, imports=_import_attachment)

# --- instance profiles


def create_profile(cloud: Cloud, new: Plain) -> None:
    name = _name(cloud, new)
    cloud.call(
        "iam", "create_instance_profile", InstanceProfileName=name, Path=new.get("path"), Tags=_wanted_tags(cloud, new)
    )
    new["id"] = name
    if new.get("role"):
        cloud.call("iam", "add_role_to_instance_profile", InstanceProfileName=name, RoleName=new["role"])


def read_profile(cloud: Cloud, old: Plain) -> Plain | None:
    answer = _found(cloud, "get_instance_profile", InstanceProfileName=old["id"])
    if answer is None:
        return None
    profile = answer["InstanceProfile"]
    roles = profile.get("Roles") or []
    seen: Plain = {
        "id": profile["InstanceProfileName"],
        "arn": profile["Arn"],
        "create_date": profile["CreateDate"],
        "name": profile["InstanceProfileName"],
        "name_prefix": prefix_of(profile["InstanceProfileName"]),
        "path": profile.get("Path", "/"),
        "unique_id": profile["InstanceProfileId"],
        "tags": tags.mapping(profile.get("Tags")),
    }
    if roles or old.get("role"):
        seen["role"] = roles[0]["RoleName"] if roles else ""
    return seen


def update_profile(cloud: Cloud, old: Plain, new: Plain) -> None:
    if (old.get("role") or "") == (new.get("role") or ""):
        return
    if old.get("role"):
        _found(cloud, "remove_role_from_instance_profile", InstanceProfileName=new["id"], RoleName=old["role"])
    if new.get("role"):
        cloud.call("iam", "add_role_to_instance_profile", InstanceProfileName=new["id"], RoleName=new["role"])


def delete_profile(cloud: Cloud, old: Plain) -> None:
    if old.get("role"):
        _found(cloud, "remove_role_from_instance_profile", InstanceProfileName=old["id"], RoleName=old["role"])
    _found(cloud, "delete_instance_profile", InstanceProfileName=old["id"])


PROFILE = Resource(
    "IAM Instance Profile",
    create_profile,
    read_profile,
    delete_profile,
    update_profile,
    _tagger("instance_profile", "InstanceProfileName"),
    named="name",
)

# --- OIDC providers


def create_oidc(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "iam",
        "create_open_id_connect_provider",
        Url=new["url"],
        ClientIDList=new.get("client_id_list") or [],
        ThumbprintList=new.get("thumbprint_list") or [],
        Tags=_wanted_tags(cloud, new),
    )
    new["id"] = new["arn"] = made["OpenIDConnectProviderArn"]


def read_oidc(cloud: Cloud, old: Plain) -> Plain | None:
    found = _found(cloud, "get_open_id_connect_provider", OpenIDConnectProviderArn=old["id"])
    if found is None:
        return None
    return {
        "id": old["id"],
        "arn": old["id"],
        "client_id_list": found.get("ClientIDList") or [],
        "thumbprint_list": found.get("ThumbprintList") or [],
        "url": found["Url"].removeprefix("https://"),
        "tags": tags.mapping(found.get("Tags")),
    }


def update_oidc(cloud: Cloud, old: Plain, new: Plain) -> None:
    who = {"OpenIDConnectProviderArn": new["id"]}
    if old.get("thumbprint_list") != new.get("thumbprint_list"):
        cloud.call(
            "iam", "update_open_id_connect_provider_thumbprint", ThumbprintList=new.get("thumbprint_list") or [], **who
        )
    before, after = set(old.get("client_id_list") or ()), set(new.get("client_id_list") or ())
    for client in sorted(after - before):
        cloud.call("iam", "add_client_id_to_open_id_connect_provider", ClientID=client, **who)
    for client in sorted(before - after):
        cloud.call("iam", "remove_client_id_from_open_id_connect_provider", ClientID=client, **who)


def delete_oidc(cloud: Cloud, old: Plain) -> None:
    _found(cloud, "delete_open_id_connect_provider", OpenIDConnectProviderArn=old["id"])


def _same_url(a: str, b: str) -> bool:
    return a.removeprefix("https://") == b.removeprefix("https://")


OIDC = Resource(
    "IAM OIDC Provider",
    create_oidc,
    read_oidc,
    delete_oidc,
    update_oidc,
    _tagger("open_id_connect_provider", "OpenIDConnectProviderArn"),
    rules=Rules(same={"url": _same_url}),
)


def read_session_context(cloud: Cloud, given: Plain) -> Plain:
    arn: str = given["arn"]
    match = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/(.+)", arn)
    if match is None:
        return {"id": arn, "issuer_arn": arn, "issuer_id": "", "issuer_name": "", "session_name": ""}
    role = cloud.call("iam", "get_role", RoleName=match[3])["Role"]
    return {
        "id": arn,
        "issuer_arn": role["Arn"],
        "issuer_id": role["RoleId"],
        "issuer_name": match[3],
        "session_name": match[4],
    }


SESSION_CONTEXT = DataSource("reading IAM Session Context", read_session_context)
