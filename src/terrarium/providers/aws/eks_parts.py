"""What belongs to an EKS cluster: Fargate profiles, add-ons, access entries, pod identities, node groups."""

from __future__ import annotations

from typing import Any

from terrarium.providers.aws.eks_cluster import (
    GONE,
    first,
    found,
    retag,
    role_not_seen,
    settled_state,
    updated,
    wanted_tags,
)
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.policies import same_json
from terrarium.providers.aws.rows import Plain, Resource, limit
from terrarium.providers.aws.session import WHOLE, ApiError, AwsFailure, Cloud, prefix_of
from terrarium.providers.gotime import go_string


def _pair(id: str, what: str) -> tuple[str, str]:
    """The two parts of an id such as `cluster:profile`."""
    cluster, _, name = id.partition(":")
    if not cluster or not name:
        raise ValueError(f"unexpected format for ID ({id}), expected {what}")
    return cluster, name


def _waiting(doing: str, act: Any) -> None:
    try:
        act()
    except AwsFailure as failure:
        raise AwsFailure(f"{doing}: {failure}", WHOLE) from None


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
        _waiting(
            f"waiting for EKS Fargate Profile ({id}) create",
            lambda: settled_state(
                cloud, lambda: _profile(cloud, cluster, name), "ACTIVE", ("CREATING",), limit(new, "create", 600)
            ),
        )


def _profile(cloud: Cloud, cluster: str, name: str) -> dict[str, Any] | None:
    return found(cloud, "describe_fargate_profile", "fargateProfile", clusterName=cluster, fargateProfileName=name)


def read_profile(cloud: Cloud, old: Plain) -> Plain | None:
    cluster, name = _pair(old["id"], "cluster-name:fargate-profile-name")
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
    cluster, name = _pair(old["id"], "cluster-name:fargate-profile-name")
    with cloud.serial(f"{cluster}-fargate-profiles"):
        found(cloud, "delete_fargate_profile", None, clusterName=cluster, fargateProfileName=name)
        _waiting(
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
    cluster, name = _pair(old["id"], "cluster-name:addon-name")
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
    cluster, name = _pair(new["id"], "cluster-name:addon-name")
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
    cluster, name = _pair(old["id"], "cluster-name:addon-name")
    found(cloud, "delete_addon", None, clusterName=cluster, addonName=name, preserve=bool(old.get("preserve")) or None)
    _waiting(
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
    cluster, principal = _pair(old["id"], "cluster-name:principal-arn")
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
    cluster, principal = _pair(old["id"], "cluster-name:principal-arn")
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

# --- node groups


def create_nodes(cloud: Cloud, new: Plain) -> None:
    cluster = new["cluster_name"]
    name = new.get("node_group_name") or cloud.unique_name(new.get("node_group_name_prefix") or "terraform-")
    id = f"{cluster}:{name}"
    remote = first(new.get("remote_access"))
    cloud.retry(
        lambda: cloud.call(
            "eks",
            "create_nodegroup",
            clusterName=cluster,
            nodegroupName=name,
            nodeRole=new["node_role_arn"],
            subnets=new["subnet_ids"],
            amiType=new.get("ami_type") or None,
            capacityType=new.get("capacity_type") or None,
            diskSize=new.get("disk_size") or None,
            instanceTypes=new.get("instance_types") or None,
            labels=new.get("labels") or None,
            launchTemplate=_template(new),
            nodeRepairConfig={"enabled": bool(first(new["node_repair_config"]).get("enabled"))}
            if new.get("node_repair_config")
            else None,
            releaseVersion=new.get("release_version") or None,
            remoteAccess={
                "ec2SshKey": remote.get("ec2_ssh_key"),
                **(
                    {"sourceSecurityGroups": remote["source_security_group_ids"]}
                    if remote.get("source_security_group_ids")
                    else {}
                ),
            }
            if remote
            else None,
            scalingConfig=_scaling(new),
            taints=[_taint(t) for t in new.get("taint") or ()] or None,
            updateConfig=_update_config(new),
            version=new.get("version") or None,
            tags=wanted_tags(cloud, new),
        ),
        role_not_seen,
    )
    new["id"] = id
    _waiting(
        f"waiting for EKS Node Group ({id}) create",
        lambda: settled_state(
            cloud, lambda: _nodes(cloud, cluster, name), "ACTIVE", ("CREATING",), limit(new, "create", 3600)
        ),
    )


def _template(new: Plain) -> dict[str, str] | None:
    block = first(new.get("launch_template"))
    if not block:
        return None
    which = {"id": block["id"]} if block.get("id") else {"name": block.get("name")}
    return {**which, "version": block["version"]}


def _scaling(new: Plain) -> dict[str, int]:
    block = first(new["scaling_config"])
    return {"desiredSize": block["desired_size"], "maxSize": block["max_size"], "minSize": block["min_size"]}


def _update_config(new: Plain) -> dict[str, int] | None:
    block = first(new.get("update_config"))
    found: dict[str, int] = {}
    if block.get("max_unavailable"):
        found["maxUnavailable"] = block["max_unavailable"]
    if block.get("max_unavailable_percentage"):
        found["maxUnavailablePercentage"] = block["max_unavailable_percentage"]
    return found or None


def _taint(taint: Plain) -> dict[str, str]:
    return {"key": taint["key"], "effect": taint["effect"], **({"value": taint["value"]} if taint.get("value") else {})}


def _nodes(cloud: Cloud, cluster: str, name: str) -> dict[str, Any] | None:
    return found(cloud, "describe_nodegroup", "nodegroup", clusterName=cluster, nodegroupName=name)


def read_nodes(cloud: Cloud, old: Plain) -> Plain | None:
    cluster, name = _pair(old["id"], "cluster-name:node-group-name")
    group = _nodes(cloud, cluster, name)
    if group is None:
        return None
    template, remote = group.get("launchTemplate"), group.get("remoteAccess")
    scaling, held, update = group.get("scalingConfig"), group.get("resources"), group.get("updateConfig")
    repair = group.get("nodeRepairConfig")
    return {
        "id": old["id"],
        "ami_type": group.get("amiType", ""),
        "arn": group["nodegroupArn"],
        "capacity_type": group.get("capacityType", ""),
        "cluster_name": group["clusterName"],
        "disk_size": group.get("diskSize", 0),
        "instance_types": group.get("instanceTypes") or [],
        "labels": group.get("labels") or {},
        "launch_template": [
            {"id": template.get("id", ""), "name": template.get("name", ""), "version": template.get("version", "")}
        ]
        if template
        else [],
        "node_group_name": group["nodegroupName"],
        "node_group_name_prefix": prefix_of(group["nodegroupName"]),
        "node_repair_config": [{"enabled": bool(repair.get("enabled"))}] if repair else [],
        "node_role_arn": group.get("nodeRole", ""),
        "release_version": group.get("releaseVersion", ""),
        "remote_access": [
            {
                "ec2_ssh_key": remote.get("ec2SshKey", ""),
                "source_security_group_ids": remote.get("sourceSecurityGroups") or [],
            }
        ]
        if remote
        else [],
        "resources": [
            {
                "autoscaling_groups": [{"name": g["name"]} for g in held.get("autoScalingGroups") or ()],
                "remote_access_security_group_id": held.get("remoteAccessSecurityGroup", ""),
            }
        ]
        if held
        else [],
        "scaling_config": [
            {"desired_size": scaling["desiredSize"], "max_size": scaling["maxSize"], "min_size": scaling["minSize"]}
        ]
        if scaling
        else [],
        "status": group.get("status", ""),
        "subnet_ids": group.get("subnets") or [],
        "taint": [
            {"key": t.get("key", ""), "value": t.get("value", ""), "effect": t.get("effect", "")}
            for t in group.get("taints") or ()
        ],
        "update_config": [
            {
                "max_unavailable": update.get("maxUnavailable", 0),
                "max_unavailable_percentage": update.get("maxUnavailablePercentage", 0),
            }
        ]
        if update
        else [],
        "version": group.get("version", ""),
        "tags": group.get("tags") or {},
    }


def update_nodes(cloud: Cloud, old: Plain, new: Plain) -> None:
    cluster, name = _pair(new["id"], "cluster-name:node-group-name")
    where, seconds = {"name": cluster, "nodegroupName": name}, limit(new, "update", 3600)
    moved = ("release_version", "version", "launch_template")
    if any((old.get(n) or None) != (new.get(n) or None) for n in moved):
        answer = cloud.call(
            "eks",
            "update_nodegroup_version",
            clusterName=cluster,
            nodegroupName=name,
            force=bool(new.get("force_update_version")) or None,
            launchTemplate=_template(new) if old.get("launch_template") != new.get("launch_template") else None,
            releaseVersion=new.get("release_version")
            if old.get("release_version") != new.get("release_version")
            else None,
            version=new.get("version") if old.get("version") != new.get("version") else None,
        )
        updated(cloud, answer, seconds, **where)
    if all(
        old.get(n) == new.get(n) for n in ("labels", "scaling_config", "taint", "update_config", "node_repair_config")
    ):
        return
    before, after = old.get("labels") or {}, new.get("labels") or {}
    labels = {
        "addOrUpdateLabels": {k: v for k, v in after.items() if before.get(k) != v},
        "removeLabels": [k for k in before if k not in after],
    }
    had = {(t["key"], t["effect"]): t for t in old.get("taint") or ()}
    wants = {(t["key"], t["effect"]): t for t in new.get("taint") or ()}
    taints = {
        "addOrUpdateTaints": [_taint(t) for k, t in wants.items() if had.get(k) != t],
        "removeTaints": [_taint(t) for k, t in had.items() if k not in wants],
    }
    answer = cloud.call(
        "eks",
        "update_nodegroup_config",
        clusterName=cluster,
        nodegroupName=name,
        labels={k: v for k, v in labels.items() if v} or None,
        taints={k: v for k, v in taints.items() if v} or None,
        scalingConfig=_scaling(new) if old.get("scaling_config") != new.get("scaling_config") else None,
        updateConfig=_update_config(new) if old.get("update_config") != new.get("update_config") else None,
        nodeRepairConfig={"enabled": bool(first(new.get("node_repair_config")).get("enabled"))}
        if old.get("node_repair_config") != new.get("node_repair_config")
        else None,
    )
    updated(cloud, answer, seconds, **where)


def delete_nodes(cloud: Cloud, old: Plain) -> None:
    cluster, name = _pair(old["id"], "cluster-name:node-group-name")
    found(cloud, "delete_nodegroup", None, clusterName=cluster, nodegroupName=name)
    _waiting(
        f"waiting for EKS Node Group ({old['id']}) delete",
        lambda: settled_state(
            cloud, lambda: _nodes(cloud, cluster, name), "", ("ACTIVE", "DELETING"), limit(old, "delete", 3600)
        ),
    )


NODE_GROUP = Resource(
    "EKS Node Group",
    create_nodes,
    read_nodes,
    delete_nodes,
    update_nodes,
    retag,
    rules=Rules(computed=frozenset({"node_repair_config", "update_config"})),
)
