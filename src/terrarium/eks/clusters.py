"""Clusters: from CreateCluster to the record that is gone, and the machine behind it.

A record moves CREATING → ACTIVE ⇄ UPDATING → DELETING → gone (or CREATING → FAILED). A move is a background task which
begins when the record that announces it is durable; a task that a restart cut off is begun again by `resume`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from typing import Any

from terrarium.base.diagnostics import Failure
from terrarium.cloud.hooks import AwsError, Call, Operation
from terrarium.cloud.records import Document
from terrarium.eks import cluster_rules as rules
from terrarium.eks.entries import Entries
from terrarium.eks.ground import (
    ADDON,
    ASSOCIATION,
    CLUSTER,
    CONFIG,
    ENTRY,
    NODEGROUP,
    PROFILE,
    Ground,
    check_name,
    in_use,
    invalid,
    page,
    record_of,
    refused,
    required,
)
from terrarium.eks.hosting import ClusterId
from terrarium.eks.updates import Updates, only_one
from terrarium.eks.versions import VERSIONS, describe

log = logging.getLogger(__name__)

CREATING_SECONDS = 540.0
DELETING_SECONDS = 180.0
UPDATING_SECONDS = 120.0
VERSION_SECONDS = 600.0
_GROUP_TEXT = (
    "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any "
    "managed workloads."
)


class Clusters:
    def __init__(self, ground: Ground, updates: Updates, entries: Entries) -> None:
        self._ground = ground
        self._updates = updates
        self._entries = entries

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateCluster": self.create,
            "DescribeCluster": self.describe,
            "ListClusters": self.list,
            "DeleteCluster": self.delete,
            "UpdateClusterConfig": self.update_config,
            "UpdateClusterVersion": self.update_version,
            "AssociateEncryptionConfig": self.associate_encryption,
            "DescribeClusterVersions": self.describe_versions,
        }

    async def resume(self) -> None:
        """After a restart: starts the clusters again and goes on with what was under way."""
        for id, cluster in self._ground.clusters():
            match cluster["status"]:
                case "CREATING":
                    self._ground.tasks.start(f"create {id}", self._create(id))
                case "DELETING":
                    self._ground.tasks.start(f"delete {id}", self._delete(id))
                case "ACTIVE" | "UPDATING":
                    self._ground.tasks.start(f"start {id}", self._start_again(id))

    async def stop(self) -> None:
        for id, cluster in self._ground.clusters():
            if cluster["status"] in ("ACTIVE", "UPDATING", "DELETING"):
                await self._ground.host.stop(id)

    # Create

    async def create(self, call: Call) -> Mapping[str, Any]:
        required(call, "name", "roleArn", "resourcesVpcConfig")
        ground, parameters = self._ground, call.parameters
        id = ClusterId(call.region, check_name("Cluster", parameters["name"]))
        if (same := self._same(id, parameters)) is not None:
            return {"cluster": same}
        members = rules.new_cluster(parameters, await self._around(call))
        await self._check_groups(call.region, members["resourcesVpcConfig"])
        if (same := self._same(id, parameters)) is not None:
            return {"cluster": same}
        oidc = ground.ids.hex(32).upper()
        cluster: Document = {
            "name": id.name,
            "arn": ground.arn(id.region, f"cluster/{id.name}"),
            "createdAt": ground.now(),
            "status": "CREATING",
            **members,
            "certificateAuthority": {},
            "health": {"issues": []},
            "tags": dict(parameters.get("tags") or {}),
            "_issuer": f"https://oidc.eks.{id.region}.amazonaws.com/id/{oidc}",
            "_token": parameters.get("clientRequestToken"),
            "_interfaces": [],
        }
        await ground.records.put(CLUSTER, str(id), cluster)
        bootstrap = (parameters.get("accessConfig") or {}).get("bootstrapClusterCreatorAdminPermissions", True)
        if bootstrap:
            await self._entries.bootstrap(id, call.caller)
        ground.tasks.start(f"create {id}", self._create(id))
        return {"cluster": cluster}

    def _same(self, id: ClusterId, parameters: Mapping[str, Any]) -> Document | None:
        existing = self._ground.records.get(CLUSTER, str(id))
        if existing is None:
            return None
        token = parameters.get("clientRequestToken")
        if token and token == existing["_token"]:
            return existing
        raise in_use(f"Cluster already exists with name: {id.name}", clusterName=id.name)

    async def _around(self, call: Call) -> rules.Surroundings:
        parameters, view = call.parameters, self._ground.view
        ids = (parameters.get("resourcesVpcConfig") or {}).get("subnetIds") or []
        subnets = [await view.subnet(call.region, subnet) for subnet in ids]
        vpc = next((s.vpc for s in subnets if s is not None), None)
        node_role = (parameters.get("computeConfig") or {}).get("nodeRoleArn")
        return rules.Surroundings(
            subnets=subnets,
            vpc_cidrs=await view.vpc_cidrs(call.region, vpc) if vpc else [],
            role=await view.role(parameters["roleArn"]) if "roleArn" in parameters else None,
            node_role=await view.role(node_role) if node_role else None,
        )

    async def _check_groups(self, region: str, vpc: Mapping[str, Any]) -> None:
        for group in vpc["securityGroupIds"]:
            owner = await self._ground.view.security_group_vpc(region, group)
            if owner is None:
                raise invalid(f"The security group '{group}' does not exist")
            if owner != vpc["vpcId"]:
                raise invalid(f"Security group {group} and the subnets are not in the same VPC")

    async def _create(self, id: ClusterId) -> None:
        ground = self._ground
        try:
            await self._equip(id)
            await ground.clock.transition(CREATING_SECONDS)
            cluster = ground.records.get(CLUSTER, str(id))
            assert cluster is not None
            address = await ground.host.start(record_of(id, cluster))
        except (AwsError, Failure, OSError) as failure:
            log.error("cluster %s can't be created: %s", id, failure)
            issue = {"code": "InternalFailure", "message": str(failure), "resourceIds": [id.name]}
            await ground.change(CLUSTER, str(id), status="FAILED", health={"issues": [issue]})
            return
        await ground.change(
            CLUSTER,
            str(id),
            status="ACTIVE",
            endpoint=address.endpoint,
            certificateAuthority={"data": base64.b64encode(address.ca_pem).decode()},
            identity={"oidc": {"issuer": cluster["_issuer"]}},
        )

    async def _equip(self, id: ClusterId) -> None:
        """The security group and the control plane's network interfaces, each made once."""
        ground = self._ground
        cluster = ground.records.get(CLUSTER, str(id))
        assert cluster is not None
        vpc = cluster["resourcesVpcConfig"]
        if "clusterSecurityGroupId" not in vpc:
            group = await self._make_group(id, vpc["vpcId"])
            vpc = {**vpc, "clusterSecurityGroupId": group}
            cluster = await ground.change(CLUSTER, str(id), resourcesVpcConfig=vpc) or cluster
        for subnet in vpc["subnetIds"][len(cluster["_interfaces"]) : 2]:
            interface, _ = await ground.view.allocate_address(
                id.region, subnet, f"Amazon EKS {id.name}", [vpc["clusterSecurityGroupId"], *vpc["securityGroupIds"]]
            )
            cluster = await ground.change(CLUSTER, str(id), _interfaces=[*cluster["_interfaces"], interface]) or cluster

    async def _make_group(self, id: ClusterId, vpc: str) -> str:
        number = 1_000_000_000 + self._ground.ids.below(1_000_000_000)
        name = f"eks-cluster-sg-{id.name}-{number}"
        tags = {"Name": name, f"kubernetes.io/cluster/{id.name}": "owned", "aws:eks:cluster-name": id.name}
        group = await self._ground.view.create_security_group(id.region, vpc, name, _GROUP_TEXT, tags)
        itself = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]
        rule = {"GroupId": group, "IpPermissions": itself}
        await self._ground.view.call("ec2", "AuthorizeSecurityGroupIngress", rule, id.region)
        return group

    async def _start_again(self, id: ClusterId) -> None:
        cluster = self._ground.records.get(CLUSTER, str(id))
        assert cluster is not None
        try:
            address = await self._ground.host.start(record_of(id, cluster))
        except (Failure, OSError) as failure:
            log.error("cluster %s can't be started again: %s", id, failure)
            issue = {"code": "ClusterUnreachable", "message": str(failure), "resourceIds": [id.name]}
            await self._ground.change(CLUSTER, str(id), health={"issues": [issue]})
            return
        await self._ground.change(CLUSTER, str(id), status="ACTIVE", endpoint=address.endpoint, health={"issues": []})

    # Read

    async def describe(self, call: Call) -> Mapping[str, Any]:
        _, cluster = self._ground.cluster(call, "name")
        return {"cluster": cluster}

    async def list(self, call: Call) -> Mapping[str, Any]:
        names = [id.name for id, _ in self._ground.clusters() if id.region == call.region]
        return page(call, sorted(names), "clusters")

    async def describe_versions(self, call: Call) -> Mapping[str, Any]:
        parameters = call.parameters
        versions = [describe(v, self._ground.clock.now()) for v in reversed(list(VERSIONS.values()))]
        wanted = parameters.get("clusterVersions")
        status = parameters.get("versionStatus") or (parameters.get("status") or "").upper().replace("-", "_")
        kept = [
            v
            for v in versions
            if (not wanted or v["clusterVersion"] in wanted)
            and (not status or v["versionStatus"] == status)
            and (not parameters.get("defaultOnly") or v["defaultVersion"])
        ]
        return page(call, kept, "clusterVersions")

    # Delete

    async def delete(self, call: Call) -> Mapping[str, Any]:
        ground = self._ground
        id, cluster = ground.cluster(call, "name")
        if cluster["status"] in ("CREATING", "UPDATING"):
            raise in_use(
                f"Cluster {id.name} has an operation in progress: it is {cluster['status']}", clusterName=id.name
            )
        if cluster["status"] == "DELETING":
            raise in_use(f"Cluster {id.name} has a deletion in progress", clusterName=id.name)
        if cluster.get("deletionProtection"):
            raise refused("Cannot delete cluster because deletion protection is enabled.", clusterName=id.name)
        if ground.of_cluster(NODEGROUP, id):
            raise in_use("Cluster has nodegroups attached", clusterName=id.name)
        if ground.of_cluster(PROFILE, id):
            raise in_use("Cluster has fargate profiles attached", clusterName=id.name)
        deleting = await ground.change(CLUSTER, str(id), status="DELETING")
        ground.tasks.start(f"delete {id}", self._delete(id))
        return {"cluster": deleting}

    async def _delete(self, id: ClusterId) -> None:
        ground = self._ground
        await ground.clock.transition(DELETING_SECONDS)
        await ground.host.delete(id)
        cluster = ground.records.get(CLUSTER, str(id))
        assert cluster is not None
        for interface in cluster["_interfaces"]:
            await ground.view.release_address(id.region, interface)
        group = cluster["resourcesVpcConfig"].get("clusterSecurityGroupId")
        if group:
            try:
                await ground.view.delete_security_group(id.region, group)
            except AwsError as failure:
                # Something of the user's still uses it; AWS leaves it behind, too.
                log.warning("the security group of cluster %s stays: %s", id, failure.message)
        for kind in (ADDON, ENTRY, ASSOCIATION, CONFIG):
            for key, _ in ground.records.scan(kind, f"{id}/"):
                await ground.records.delete(kind, key)
        await self._updates.forget(id)
        await ground.records.delete(CLUSTER, str(id))

    # Update

    async def update_config(self, call: Call) -> Mapping[str, Any]:
        id, cluster = self._ground.cluster(call, "name")
        if (failure := rules.busy(cluster["status"], id.name)) is not None:
            raise failure
        changes = await self._changes(call, cluster)
        only_one(changes)
        if not changes:
            raise invalid("No changes needed for the cluster config provided", clusterName=id.name)
        type, (params, members) = next(iter(changes.items()))
        return await self._change(id, cluster, type, params, members, UPDATING_SECONDS)

    async def _changes(self, call: Call, cluster: Document) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Kinds of change in a call: `{update type: (parameters of the update, members to set)}`."""
        asked = call.parameters
        found: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        if asked.get("logging") is not None:
            value = rules.logging(asked["logging"], cluster["logging"])
            found["LoggingUpdate"] = ({"ClusterLogging": asked["logging"]}, {"logging": value})
        if asked.get("accessConfig") is not None:
            before = cluster["accessConfig"]["authenticationMode"]
            mode = rules.next_mode(before, asked["accessConfig"].get("authenticationMode", before))
            found["AccessConfigUpdate"] = (
                {"AuthenticationMode": mode},
                {"accessConfig": {"authenticationMode": mode}},
            )
        if asked.get("resourcesVpcConfig") is not None:
            type, parameters, network = await self._vpc_change(call, cluster)
            found[type] = (parameters, {"resourcesVpcConfig": network})
        simple = {
            "upgradePolicy": ("UpgradePolicyUpdate", "UpgradePolicy"),
            "zonalShiftConfig": ("ZonalShiftConfigUpdate", "ZonalShiftConfig"),
            "remoteNetworkConfig": ("RemoteNetworkConfigUpdate", "RemoteNetworkConfig"),
            "deletionProtection": ("DeletionProtectionUpdate", "DeletionProtection"),
            "controlPlaneScalingConfig": ("ControlPlaneScalingConfigUpdate", "UpdatedTier"),
        }
        for member, (update, parameter) in simple.items():
            if asked.get(member) is not None:
                found[update] = ({parameter: asked[member]}, {member: asked[member]})
        auto = rules.auto_mode(asked)
        if auto is not None:
            found["AutoModeUpdate"] = await self._auto_change(asked, cluster, auto)
        return found

    async def _vpc_change(self, call: Call, cluster: Document) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
        asked, now = call.parameters["resourcesVpcConfig"], cluster["resourcesVpcConfig"]
        if "subnetIds" in asked or "securityGroupIds" in asked:
            ids = asked.get("subnetIds", now["subnetIds"])
            subnets = [await self._ground.view.subnet(call.region, subnet) for subnet in ids]
            if rules.check_subnets(ids, subnets) != now["vpcId"]:
                raise invalid("Provided subnets belong to a different VPC than the cluster's")
            value = {
                **now,
                "subnetIds": ids,
                "securityGroupIds": asked.get("securityGroupIds", now["securityGroupIds"]),
            }
            await self._check_groups(call.region, value)
            return "VpcConfigUpdate", {"Subnets": ids, "SecurityGroups": value["securityGroupIds"]}, value
        access = rules.vpc_access(asked, now)
        if all(now[name] == value for name, value in access.items()):
            raise invalid("Cluster is already at the desired configuration with endpointPrivateAccess: "
                          f"{str(access['endpointPrivateAccess']).lower()} , endpointPublicAccess: "
                          f"{str(access['endpointPublicAccess']).lower()}, and Public Endpoint Restrictions: "
                          f"[{', '.join(access['publicAccessCidrs'])}]")  # fmt: skip
        params = {
            "EndpointPublicAccess": access["endpointPublicAccess"],
            "EndpointPrivateAccess": access["endpointPrivateAccess"],
            "PublicAccessCidrs": access["publicAccessCidrs"],
        }
        return "EndpointAccessUpdate", params, {**now, **access}

    async def _auto_change(
        self, asked: Mapping[str, Any], cluster: Document, auto: bool
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        if auto and cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
            raise invalid("EKS Auto Mode needs the authentication mode API or API_AND_CONFIG_MAP")
        wanted = asked.get("computeConfig") or {}
        arn = wanted.get("nodeRoleArn")
        role = await self._ground.view.role(arn) if arn else None
        network = {**cluster["kubernetesNetworkConfig"], "elasticLoadBalancing": {"enabled": auto}}
        members = {
            "computeConfig": rules.compute_config(wanted, auto, role),
            "kubernetesNetworkConfig": network,
            "storageConfig": {"blockStorage": {"enabled": auto}},
        }
        params = {
            "ComputeConfig": members["computeConfig"],
            "KubernetesNetworkConfig": network,
            "StorageConfig": members["storageConfig"],
        }
        return params, members

    async def update_version(self, call: Call) -> Mapping[str, Any]:
        required(call, "version")
        id, cluster = self._ground.cluster(call, "name")
        if (failure := rules.busy(cluster["status"], id.name)) is not None:
            raise failure
        version = rules.next_version(cluster["version"], call.parameters["version"])
        platform = VERSIONS[version].platform
        params = {"Version": version, "PlatformVersion": platform}
        members = {"version": version, "platformVersion": platform}
        return await self._change(id, cluster, "VersionUpdate", params, members, VERSION_SECONDS)

    async def associate_encryption(self, call: Call) -> Mapping[str, Any]:
        required(call, "encryptionConfig")
        id, cluster = self._ground.cluster(call)
        if (failure := rules.busy(cluster["status"], id.name)) is not None:
            raise failure
        if cluster.get("encryptionConfig"):
            raise refused("Cluster already has an encryption configuration", clusterName=id.name)
        value = call.parameters["encryptionConfig"]
        params = {"EncryptionConfig": value}
        return await self._change(id, cluster, "AssociateEncryptionConfig", params, {"encryptionConfig": value}, UPDATING_SECONDS)  # fmt: skip

    async def _change(
        self,
        id: ClusterId,
        cluster: Document,
        type: str,
        params: Mapping[str, Any],
        members: Mapping[str, Any],
        seconds: float,
    ) -> Mapping[str, Any]:
        """Announces an update, and carries it out in the background."""
        await self._ground.change(CLUSTER, str(id), status="UPDATING")
        update = await self._updates.begin(id, type, params)
        self._ground.tasks.start(f"update {id}", self._finish(id, update["id"], members, seconds))
        return {"update": update}

    async def _finish(self, id: ClusterId, update: str, members: Mapping[str, Any], seconds: float) -> None:
        ground = self._ground
        await ground.clock.transition(seconds)
        changed = await ground.change(CLUSTER, str(id), **members)
        if changed is None:
            return
        if "version" in members or "computeConfig" in members:
            await ground.host.version_changed(record_of(id, changed))
        if "accessConfig" in members:
            await ground.host.access_changed(id)
        await ground.change(CLUSTER, str(id), status="ACTIVE")
        await self._updates.end(id, update)
