"""Who may do what in an EKS cluster: access entries, their policies, and the identities of pods."""

from __future__ import annotations

from terrarium.providers.aws.eks_cluster import (
    GONE,
    first,
    found,
    pair,
    retag,
    wanted_tags,
)
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.rows import Plain, Resource
from terrarium.providers.aws.session import ApiError, Cloud
from terrarium.providers.gotime import go_string

# --- access entries


def create_entry(cloud: Cloud, new: Plain) -> None:
    id = f"{new['cluster_name']}:{new['principal_arn']}"

    def again(failure: ApiError) -> bool:
        return failure.means(
            "InvalidParameterException"
        ) and "The specified principalArn is invalid: invalid principal" in (failure.text)

    cloud.retry(
        lambda: cloud.call(
            "eks",
            "create_access_entry",
            clusterName=new["cluster_name"],
            principalArn=new["principal_arn"],
            kubernetesGroups=new.get("kubernetes_groups") or None,
            username=new.get("user_name") or None,
            type=new.get("type") or None,
            tags=wanted_tags(cloud, new),
        ),
        again,
    )
    new["id"] = id


def read_entry(cloud: Cloud, old: Plain) -> Plain | None:
    cluster, principal = pair(old["id"], "cluster-name:principal-arn")
    entry = found(cloud, "describe_access_entry", "accessEntry", clusterName=cluster, principalArn=principal)
    if entry is None:
        return None
    return {
        "id": old["id"],
        "access_entry_arn": entry["accessEntryArn"],
        "cluster_name": entry["clusterName"],
        "created_at": entry.get("createdAt"),
        "kubernetes_groups": entry.get("kubernetesGroups") or [],
        "modified_at": entry.get("modifiedAt"),
        "principal_arn": entry["principalArn"],
        "type": entry.get("type", ""),
        "user_name": entry.get("username", ""),
        "tags": entry.get("tags") or {},
    }


def update_entry(cloud: Cloud, old: Plain, new: Plain) -> None:
    if all(old.get(n) == new.get(n) for n in ("kubernetes_groups", "user_name")):
        return
    cloud.call(
        "eks",
        "update_access_entry",
        clusterName=new["cluster_name"],
        principalArn=new["principal_arn"],
        kubernetesGroups=new.get("kubernetes_groups") or [],
        username=new.get("user_name") or None,
    )


def delete_entry(cloud: Cloud, old: Plain) -> None:
    cluster, principal = pair(old["id"], "cluster-name:principal-arn")
    found(cloud, "delete_access_entry", None, clusterName=cluster, principalArn=principal)


ACCESS_ENTRY = Resource("EKS Access Entry", create_entry, read_entry, delete_entry, update_entry, retag)

# --- access policies on an entry


def create_association(cloud: Cloud, new: Plain) -> None:
    scope = first(new["access_scope"])
    cloud.retry(
        lambda: cloud.call(
            "eks",
            "associate_access_policy",
            clusterName=new["cluster_name"],
            principalArn=new["principal_arn"],
            policyArn=new["policy_arn"],
            accessScope={
                "type": scope["type"],
                **({"namespaces": scope["namespaces"]} if scope.get("namespaces") else {}),
            },
        ),
        lambda failure: failure.means(*GONE) and "principalArn" in failure.text,
    )
    new["id"] = f"{new['cluster_name']}#{new['principal_arn']}#{new['policy_arn']}"


def read_association(cloud: Cloud, old: Plain) -> Plain | None:
    cluster, principal, policy = old["id"].split("#")
    try:
        listed = cloud.pages(
            "eks",
            "list_associated_access_policies",
            "associatedAccessPolicies",
            clusterName=cluster,
            principalArn=principal,
        )
    except ApiError as failure:
        if failure.means(*GONE):
            return None
        raise
    for association in listed:
        if association["policyArn"] == policy:
            scope = association.get("accessScope") or {}
            return {
                "id": old["id"],
                "access_scope": [{"type": scope.get("type", ""), "namespaces": scope.get("namespaces") or []}],
                "associated_at": go_string(association["associatedAt"]),
                "cluster_name": cluster,
                "modified_at": go_string(association["modifiedAt"]),
                "policy_arn": policy,
                "principal_arn": principal,
            }
    return None


def delete_association(cloud: Cloud, old: Plain) -> None:
    cluster, principal, policy = old["id"].split("#")
    found(cloud, "disassociate_access_policy", None, clusterName=cluster, principalArn=principal, policyArn=policy)


ACCESS_POLICY = Resource("EKS Access Policy Association", create_association, read_association, delete_association)

# --- pod identities


def create_identity(cloud: Cloud, new: Plain) -> None:
    made = cloud.retry(
        lambda: cloud.call(
            "eks",
            "create_pod_identity_association",
            clusterName=new["cluster_name"],
            namespace=new["namespace"],
            serviceAccount=new["service_account"],
            roleArn=new["role_arn"],
            tags=wanted_tags(cloud, new),
        ),
        lambda failure: (
            failure.means("InvalidParameterException") and "Role provided in the request does not exist" in failure.text
        ),
    )["association"]
    new["id"] = new["association_id"] = made["associationId"]


def read_identity(cloud: Cloud, old: Plain) -> Plain | None:
    association = found(
        cloud,
        "describe_pod_identity_association",
        "association",
        clusterName=old["cluster_name"],
        associationId=old["id"],
    )
    if association is None:
        return None
    return {
        "id": association["associationId"],
        "association_arn": association["associationArn"],
        "association_id": association["associationId"],
        "cluster_name": association["clusterName"],
        "namespace": association["namespace"],
        "role_arn": association["roleArn"],
        "service_account": association["serviceAccount"],
        "tags": association.get("tags") or {},
    }


def update_identity(cloud: Cloud, old: Plain, new: Plain) -> None:
    if old["role_arn"] != new["role_arn"]:
        cloud.call(
            "eks",
            "update_pod_identity_association",
            clusterName=new["cluster_name"],
            associationId=new["id"],
            roleArn=new["role_arn"],
        )


def delete_identity(cloud: Cloud, old: Plain) -> None:
    found(
        cloud,
        "delete_pod_identity_association",
        None,
        clusterName=old["cluster_name"],
        associationId=old["id"],
    )


def _import_identity(id: str) -> Plain:
    cluster, _, association = id.partition(",")
    if not association:
        raise ValueError(f"unexpected format for ID ({id}), expected cluster_name,association_id")
    return {"id": association, "cluster_name": cluster, "association_id": association}


POD_IDENTITY = Resource(
    "EKS Pod Identity Association",
    create_identity,
    read_identity,
    delete_identity,
    update_identity,
    retag,
    rules=Rules(modern=True, stable=frozenset({"id", "association_arn", "association_id"})),
    imports=_import_identity,
)
