"""Node groups of an EKS cluster."""

from __future__ import annotations

from typing import Any

from terrarium.providers.aws.eks_cluster import (
    first,
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
from terrarium.providers.aws.rows import Plain, Resource, limit
from terrarium.providers.aws.session import Cloud, prefix_of


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
    waiting(
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
    cluster, name = pair(old["id"], "cluster-name:node-group-name")
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
    cluster, name = pair(new["id"], "cluster-name:node-group-name")
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
    cluster, name = pair(old["id"], "cluster-name:node-group-name")
    found(cloud, "delete_nodegroup", None, clusterName=cluster, nodegroupName=name)
    waiting(
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
