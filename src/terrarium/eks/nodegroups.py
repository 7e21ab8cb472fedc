"""Managed node groups: the record; their nodes are the host's affair, and a group without nodes says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.cloud.hooks import Call, Operation
from terrarium.cloud.records import Document
from terrarium.cloud.trust import trusts_service
from terrarium.eks.entries import Entries
from terrarium.eks.ground import NODEGROUP, Ground, check_name, in_use, invalid, not_found, page, required
from terrarium.eks.hosting import ClusterId, Issue, Nodegroup
from terrarium.eks.updates import Updates
from terrarium.eks.versions import VERSIONS

CREATING_SECONDS = 120.0
UPDATING_SECONDS = 60.0
DELETING_SECONDS = 180.0
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
_RELEASE_DATE = "20251112"


class Nodegroups:
    def __init__(self, ground: Ground, updates: Updates, entries: Entries) -> None:
        self._ground = ground
        self._updates = updates
        self._entries = entries

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateNodegroup": self.create,
            "DescribeNodegroup": self.describe,
            "ListNodegroups": self.list,
            "UpdateNodegroupConfig": self.update_config,
            "UpdateNodegroupVersion": self.update_version,
            "DeleteNodegroup": self.delete,
        }

    async def resume(self) -> None:
        for key, group in self._ground.records.scan(NODEGROUP):
            cluster = ClusterId(*key.split("/")[:2])
            if group["status"] == "DELETING":
                self._ground.tasks.start(f"nodegroup {key}", self._delete(cluster, group["nodegroupName"]))
            elif group["status"] in ("CREATING", "UPDATING"):
                self._ground.tasks.start(f"nodegroup {key}", self._settle(cluster, group["nodegroupName"], 0.0))

    def wanted(self, cluster: ClusterId) -> list[Nodegroup]:
        return [_for_host(g) for g in self._ground.of_cluster(NODEGROUP, cluster) if g["status"] != "DELETING"]

    async def create(self, call: Call) -> Mapping[str, Any]:
        required(call, "nodegroupName", "nodeRole", "subnets")
        ground, asked = self._ground, call.parameters
        id, cluster = ground.active_cluster(call)
        name = check_name("Node group", asked["nodegroupName"])
        key = f"{id}/{name}"
        self._check_new(key, id, name)
        role = await ground.view.role(asked["nodeRole"])
        if role is None or not trusts_service(role["AssumeRolePolicyDocument"], "ec2.amazonaws.com"):
            raise invalid(f"Following required service principals [ec2.amazonaws.com] were not found in the trust "
                          f"relationships of nodeRole {asked['nodeRole']}" if role is not None else
                          f"Role with arn: {asked['nodeRole']}, does not exist")  # fmt: skip
        for subnet_id in asked["subnets"]:
            subnet = await ground.view.subnet(call.region, subnet_id)
            if subnet is None:
                raise invalid(f"The subnet ID '{subnet_id}' does not exist")
            if subnet.vpc != cluster["resourcesVpcConfig"]["vpcId"]:
                raise invalid(f"Subnet {subnet_id} does not belong to the VPC of the cluster")
        group = self._document(id, cluster, asked)
        self._check_new(key, id, name)
        await ground.records.put(NODEGROUP, key, group)
        await self._entries.ensure(id, asked["nodeRole"], "EC2_LINUX")
        ground.tasks.start(f"nodegroup {key}", self._settle(id, name, CREATING_SECONDS))
        return {"nodegroup": group}

    def _check_new(self, key: str, id: ClusterId, name: str) -> None:
        if self._ground.records.get(NODEGROUP, key) is not None:
            raise in_use(
                f"NodeGroup already exists with name {name} and cluster name {id.name}",
                clusterName=id.name,
                nodegroupName=name,
            )

    def _document(self, id: ClusterId, cluster: Document, asked: Mapping[str, Any]) -> Document:
        ground = self._ground
        version = asked.get("version") or cluster["version"]
        if version not in VERSIONS or VERSIONS[version].minor > VERSIONS[cluster["version"]].minor:
            raise invalid(
                f"Requested Nodegroup version {version} is not supported by cluster version {cluster['version']}"
            )
        scaling = check_scaling(asked.get("scalingConfig") or {"minSize": 1, "maxSize": 2, "desiredSize": 2})
        suffix = ground.ids.uuid()
        now = ground.now()
        name = asked["nodegroupName"]
        group: Document = {
            "nodegroupName": name,
            "nodegroupArn": ground.arn(id.region, f"nodegroup/{id.name}/{name}/{suffix}"),
            "clusterName": id.name,
            "version": version,
            "releaseVersion": asked.get("releaseVersion") or f"{VERSIONS[version].patch}-{_RELEASE_DATE}",
            "createdAt": now,
            "modifiedAt": now,
            "status": "CREATING",
            "capacityType": asked.get("capacityType") or "ON_DEMAND",
            "scalingConfig": scaling,
            "instanceTypes": list(asked.get("instanceTypes") or ["t3.medium"]),
            "subnets": list(asked["subnets"]),
            "amiType": asked.get("amiType") or "AL2023_x86_64_STANDARD",
            "nodeRole": asked["nodeRole"],
            "labels": dict(asked.get("labels") or {}),
            "taints": list(asked.get("taints") or []),
            "resources": {"autoScalingGroups": [{"name": f"eks-{name}-{suffix}"}]},
            "diskSize": asked.get("diskSize") or 20,
            "health": {"issues": []},
            "updateConfig": asked.get("updateConfig") or {"maxUnavailable": 1},
            "tags": dict(asked.get("tags") or {}),
        }
        for member in ("launchTemplate", "remoteAccess", "nodeRepairConfig"):
            if asked.get(member):
                group[member] = asked[member]
        if "launchTemplate" in group:
            del group["diskSize"]
        return group

    async def _settle(self, cluster: ClusterId, name: str, seconds: float, update: str = "") -> None:
        """Lets the host bring about what the record says, and writes down how that went."""
        ground = self._ground
        key = f"{cluster}/{name}"
        issues = (await ground.host.nodegroups_changed(cluster, self.wanted(cluster))).get(name, ())
        await ground.clock.transition(seconds)
        before = ground.records.get(NODEGROUP, key)
        if before is None:
            return
        failed = "CREATE_FAILED" if before["status"] == "CREATING" else "DEGRADED"
        await ground.change(NODEGROUP, key, status=failed if issues else "ACTIVE", health=_health(issues))
        if update:
            errors = [{"errorCode": "NodeCreationFailure", "errorMessage": i.message} for i in issues]
            await self._updates.end(cluster, update, errors)

    def _found(self, call: Call) -> tuple[ClusterId, Document]:
        id, _ = self._ground.cluster(call)
        name = str(call.parameters.get("nodegroupName", ""))
        found = self._ground.records.get(NODEGROUP, f"{id}/{name}")
        if found is None:
            raise not_found(f"No node group found for name: {name}.", clusterName=id.name, nodegroupName=name)
        return id, found

    async def describe(self, call: Call) -> Mapping[str, Any]:
        return {"nodegroup": self._found(call)[1]}

    async def list(self, call: Call) -> Mapping[str, Any]:
        id, _ = self._ground.cluster(call)
        return page(call, [g["nodegroupName"] for g in self._ground.of_cluster(NODEGROUP, id)], "nodegroups")

    async def update_config(self, call: Call) -> Mapping[str, Any]:
        id, group = self._found(call)
        asked = call.parameters
        members: dict[str, Any] = {}
        params: dict[str, Any] = {}
        if asked.get("scalingConfig"):
            members["scalingConfig"] = check_scaling({**group["scalingConfig"], **asked["scalingConfig"]})
            names = {"minSize": "MinSize", "maxSize": "MaxSize", "desiredSize": "DesiredSize"}
            params |= {names[k]: str(v) for k, v in asked["scalingConfig"].items()}
        if asked.get("labels"):
            change = asked["labels"]
            kept = {k: v for k, v in group["labels"].items() if k not in change.get("removeLabels", [])}
            members["labels"] = kept | change.get("addOrUpdateLabels", {})
            params["LabelsToAdd"] = change.get("addOrUpdateLabels", {})
            params["LabelsToRemove"] = change.get("removeLabels", [])
        if asked.get("taints"):
            members["taints"] = _change_taints(group["taints"], asked["taints"])
            params["TaintsToAdd"] = asked["taints"].get("addOrUpdateTaints", [])
            params["TaintsToRemove"] = asked["taints"].get("removeTaints", [])
        for member, parameter in (("updateConfig", "MaxUnavailable"), ("nodeRepairConfig", "NodeRepairConfig")):
            if asked.get(member):
                members[member] = asked[member]
                params[parameter] = asked[member]
        return await self._update(id, group, "ConfigUpdate", params, members)

    async def update_version(self, call: Call) -> Mapping[str, Any]:
        id, group = self._found(call)
        _, cluster = self._ground.cluster(call)
        version = call.parameters.get("version") or cluster["version"]
        if version not in VERSIONS or VERSIONS[version].minor > VERSIONS[cluster["version"]].minor:
            raise invalid(
                f"Requested Nodegroup version {version} is not supported by cluster version {cluster['version']}"
            )
        release = call.parameters.get("releaseVersion") or f"{VERSIONS[version].patch}-{_RELEASE_DATE}"
        members = {"version": version, "releaseVersion": release}
        if call.parameters.get("launchTemplate"):
            members["launchTemplate"] = call.parameters["launchTemplate"]
        params = {"Version": version, "ReleaseVersion": release}
        return await self._update(id, group, "VersionUpdate", params, members)

    async def _update(
        self, id: ClusterId, group: Document, type: str, params: Mapping[str, Any], members: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        name = group["nodegroupName"]
        if group["status"] not in ("ACTIVE", "DEGRADED", "CREATE_FAILED"):
            raise in_use(
                f"Nodegroup cannot be updated as it is currently in status {group['status']}", nodegroupName=name
            )
        key = f"{id}/{name}"
        await self._ground.change(NODEGROUP, key, status="UPDATING", modifiedAt=self._ground.now(), **members)
        update = await self._updates.begin(id, type, params, nodegroup=name)
        self._ground.tasks.start(f"nodegroup {key}", self._settle(id, name, UPDATING_SECONDS, update["id"]))
        return {"update": update}

    async def delete(self, call: Call) -> Mapping[str, Any]:
        id, group = self._found(call)
        key = f"{id}/{group['nodegroupName']}"
        deleting = await self._ground.change(NODEGROUP, key, status="DELETING")
        self._ground.tasks.start(f"nodegroup {key}", self._delete(id, group["nodegroupName"]))
        return {"nodegroup": deleting}

    async def _delete(self, cluster: ClusterId, name: str) -> None:
        await self._ground.host.nodegroups_changed(cluster, self.wanted(cluster))
        await self._ground.clock.transition(DELETING_SECONDS)
        await self._ground.records.delete(NODEGROUP, f"{cluster}/{name}")


def check_scaling(scaling: Mapping[str, Any]) -> dict[str, int]:
    low, high, wanted = scaling.get("minSize", 1), scaling.get("maxSize", 2), scaling.get("desiredSize", 1)
    if low > high:
        raise invalid(f"minimum capacity {low} can't be greater than maximum size {high}")
    if wanted > high:
        raise invalid(f"desired capacity {wanted} can't be greater than max size {high}")
    if wanted < low:
        raise invalid(f"Minimum capacity {low} can't be greater than desired size {wanted}")
    return {"minSize": low, "maxSize": high, "desiredSize": wanted}


def _change_taints(taints: Sequence[Mapping[str, str]], change: Mapping[str, Any]) -> list[Mapping[str, str]]:
    def key(taint: Mapping[str, str]) -> tuple[str, str]:
        return taint["key"], taint["effect"]

    added = {key(t): t for t in change.get("addOrUpdateTaints", [])}
    gone = {key(t) for t in change.get("removeTaints", [])} | set(added)
    return [t for t in taints if key(t) not in gone] + list(added.values())


def _health(issues: Sequence[Issue]) -> dict[str, Any]:
    return {"issues": [{"code": i.code, "message": i.message, "resourceIds": list(i.resource_ids)} for i in issues]}


def _for_host(group: Document) -> Nodegroup:
    return Nodegroup(
        name=group["nodegroupName"],
        arn=group["nodegroupArn"],
        version=group["version"],
        release_version=group["releaseVersion"],
        role_arn=group["nodeRole"],
        subnets=tuple(group["subnets"]),
        instance_types=tuple(group["instanceTypes"]),
        ami_type=group["amiType"],
        capacity_type=group["capacityType"],
        desired=group["scalingConfig"]["desiredSize"],
        labels=group["labels"],
        taints=tuple((t["key"], t.get("value", ""), _EFFECTS[t["effect"]]) for t in group["taints"]),
    )
