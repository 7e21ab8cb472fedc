"""What runs in an EKS cluster: Fargate profiles and add-ons."""

from __future__ import annotations

from typing import Any

from terrarium.providers.aws.eks_cluster import (
    found,
    pair,
    retag,
    role_not_seen,
    settled_state,
    updated,
    waiting,
    wanted_tags,
)
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.policies import same_json
from terrarium.providers.aws.rows import Plain, Resource, limit
from terrarium.providers.aws.session import WHOLE, ApiError, AwsFailure, Cloud

# --- Fargate profiles


def create_profile(cloud: Cloud, new: Plain) -> None:
    cluster, name = new["cluster_name"], new["fargate_profile_name"]
    id = f"{cluster}:{name}"

    def busy(failure: ApiError) -> bool:
        role = (
            failure.means("InvalidParameterException") and "Misconfigured PodExecutionRole Trust Policy" in failure.text
        )
        return role or role_not_seen(failure)

    # EKS makes and deletes the profiles of a cluster one at a time.
    with cloud.serial(f"{cluster}-fargate-profiles"):
        cloud.retry(
            lambda: cloud.call(
                "eks",
                "create_fargate_profile",
                clusterName=cluster,
                fargateProfileName=name,
                podExecutionRoleArn=new["pod_execution_role_arn"],
                subnets=new.get("subnet_ids") or [],
                selectors=[
                    {"namespace": s["namespace"], **({"labels": s["labels"]} if s.get("labels") else {})}
                    for s in new["selector"]
                ],
                tags=wanted_tags(cloud, new),
            ),
            busy,
        )
        new["id"] = id
        waiting(
            f"waiting for EKS Fargate Profile ({id}) create",
            lambda: settled_state(
                cloud, lambda: _profile(cloud, cluster, name), "ACTIVE", ("CREATING",), limit(new, "create", 600)
            ),
        )


def _profile(cloud: Cloud, cluster: str, name: str) -> dict[str, Any] | None:
    return found(cloud, "describe_fargate_profile", "fargateProfile", clusterName=cluster, fargateProfileName=name)


def read_profile(cloud: Cloud, old: Plain) -> Plain | None:
    cluster, name = pair(old["id"], "cluster-name:fargate-profile-name")
    profile = _profile(cloud, cluster, name)
    if profile is None:
        return None
    return {
        "id": old["id"],
        "arn": profile["fargateProfileArn"],
        "cluster_name": profile["clusterName"],
        "fargate_profile_name": profile["fargateProfileName"],
        "pod_execution_role_arn": profile["podExecutionRoleArn"],
        "selector": [
            {"namespace": s["namespace"], "labels": s.get("labels") or {}} for s in profile.get("selectors") or ()
        ],
        "status": profile.get("status", ""),
        "subnet_ids": profile.get("subnets") or [],
        "tags": profile.get("tags") or {},
    }


def delete_profile(cloud: Cloud, old: Plain) -> None:
    cluster, name = pair(old["id"], "cluster-name:fargate-profile-name")
    with cloud.serial(f"{cluster}-fargate-profiles"):
        found(cloud, "delete_fargate_profile", None, clusterName=cluster, fargateProfileName=name)
        waiting(
            f"waiting for EKS Fargate Profile ({old['id']}) delete",
            lambda: settled_state(
                cloud, lambda: _profile(cloud, cluster, name), "", ("ACTIVE", "DELETING"), limit(old, "delete", 600)
            ),
        )


FARGATE_PROFILE = Resource("EKS Fargate Profile", create_profile, read_profile, delete_profile, retag=retag)

# --- add-ons


def create_addon(cloud: Cloud, new: Plain) -> None:
    cluster, name = new["cluster_name"], new["addon_name"]
    id = f"{cluster}:{name}"

    def again(failure: ApiError) -> bool:
        return failure.means("InvalidParameterException") and (
            "CREATE_FAILED" in failure.text or "does not exist" in failure.text
        )

    cloud.retry(
        lambda: cloud.call(
            "eks",
            "create_addon",
            clusterName=cluster,
            addonName=name,
            addonVersion=new.get("addon_version") or None,
            configurationValues=new.get("configuration_values") or None,
            resolveConflicts=new.get("resolve_conflicts_on_create") or new.get("resolve_conflicts") or None,
            serviceAccountRoleArn=new.get("service_account_role_arn") or None,
            podIdentityAssociations=_pod_identities(new) or None,
            tags=wanted_tags(cloud, new),
        ),
        again,
    )
    new["id"] = id
    try:
        settled_state(
            cloud, lambda: _addon(cloud, cluster, name), "ACTIVE", ("CREATING", "DEGRADED"), limit(new, "create", 1200)
        )
    except AwsFailure as failure:
        raise AwsFailure(
            f"waiting for EKS Add-On ({id}) create: {failure}\n\n"
            "[WARNING] Running terraform apply again will remove the kubernetes add-on and attempt to create it again "
            "effectively purging previous add-on configuration",
            WHOLE,
        ) from None


def _pod_identities(new: Plain) -> list[dict[str, str]]:
    return [
        {"roleArn": p["role_arn"], "serviceAccount": p["service_account"]}
        for p in new.get("pod_identity_association") or ()
    ]


def _addon(cloud: Cloud, cluster: str, name: str) -> dict[str, Any] | None:
    return found(cloud, "describe_addon", "addon", clusterName=cluster, addonName=name)


def read_addon(cloud: Cloud, old: Plain) -> Plain | None:
    cluster, name = pair(old["id"], "cluster-name:addon-name")
    addon = _addon(cloud, cluster, name)
    if addon is None:
        return None
    identities = []
    for arn in addon.get("podIdentityAssociations") or ():
        association = found(
            cloud,
            "describe_pod_identity_association",
            "association",
            clusterName=cluster,
            associationId=arn.rsplit("/", 1)[1],
        )
        if association is not None:
            identities.append({"role_arn": association["roleArn"], "service_account": association["serviceAccount"]})
    return {
        "id": old["id"],
        "addon_name": addon["addonName"],
        "addon_version": addon.get("addonVersion", ""),
        "arn": addon["addonArn"],
        "cluster_name": addon["clusterName"],
        "configuration_values": addon.get("configurationValues", ""),
        "created_at": addon.get("createdAt"),
        "modified_at": addon.get("modifiedAt"),
        "pod_identity_association": identities,
        "service_account_role_arn": addon.get("serviceAccountRoleArn", ""),
        "tags": addon.get("tags") or {},
    }


def update_addon(cloud: Cloud, old: Plain, new: Plain) -> None:
    names = ("addon_version", "service_account_role_arn", "configuration_values", "pod_identity_association")
    if all((old.get(n) or None) == (new.get(n) or None) for n in names):
        return
    cluster, name = pair(new["id"], "cluster-name:addon-name")
    request: dict[str, Any] = {}
    if (old.get("addon_version") or "") != (new.get("addon_version") or ""):
        request["addonVersion"] = new.get("addon_version") or None
    if (old.get("configuration_values") or "") != (new.get("configuration_values") or ""):
        request["configurationValues"] = new.get("configuration_values") or None
    if old.get("pod_identity_association") != new.get("pod_identity_association"):
        request["podIdentityAssociations"] = _pod_identities(new)
    conflicts = new.get("resolve_conflicts_on_update") or new.get("resolve_conflicts")
    answer = cloud.call(
        "eks",
        "update_addon",
        clusterName=cluster,
        addonName=name,
        serviceAccountRoleArn=new.get("service_account_role_arn") or None,
        resolveConflicts=conflicts or None,
        **request,
    )
    updated(cloud, answer, limit(new, "update", 1200), name=cluster, addonName=name)


def delete_addon(cloud: Cloud, old: Plain) -> None:
    cluster, name = pair(old["id"], "cluster-name:addon-name")
    found(cloud, "delete_addon", None, clusterName=cluster, addonName=name, preserve=bool(old.get("preserve")) or None)
    waiting(
        f"waiting for EKS Add-On ({old['id']}) delete",
        lambda: settled_state(
            cloud, lambda: _addon(cloud, cluster, name), "", ("ACTIVE", "DELETING"), limit(old, "delete", 2400)
        ),
    )


ADDON = Resource(
    "EKS Add-On",
    create_addon,
    read_addon,
    delete_addon,
    update_addon,
    retag,
    rules=Rules(same={"configuration_values": same_json}),
)
