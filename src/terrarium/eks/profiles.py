"""Fargate profiles: immutable, in private subnets, and one at a time in transition (user guide, "Fargate profile")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.cloud.hooks import AwsError, Call, Operation, Subnet
from terrarium.cloud.records import Document
from terrarium.cloud.trust import trusts_service
from terrarium.eks.entries import Entries
from terrarium.eks.ground import PROFILE, Ground, check_name, in_use, invalid, not_found, page, required
from terrarium.eks.hosting import ClusterId, FargateProfile, Selector

CREATING_SECONDS = 90.0
DELETING_SECONDS = 120.0
MOST_PROFILES = 10
MOST_SELECTORS = 5
MOST_LABELS = 5
_TRANSITIONS = ("CREATING", "DELETING")


class Profiles:
    def __init__(self, ground: Ground, entries: Entries) -> None:
        self._ground = ground
        self._entries = entries

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateFargateProfile": self.create,
            "DescribeFargateProfile": self.describe,
            "ListFargateProfiles": self.list,
            "DeleteFargateProfile": self.delete,
        }

    async def resume(self) -> None:
        for key, profile in self._ground.records.scan(PROFILE):
            cluster = ClusterId(*key.split("/")[:2])
            work = {"CREATING": self._create, "DELETING": self._delete}.get(profile["status"])
            if work is not None:
                self._ground.tasks.start(f"profile {key}", work(cluster, profile["fargateProfileName"]))

    def in_force(self, cluster: ClusterId) -> list[FargateProfile]:
        """The ACTIVE profiles, by name."""
        return [
            FargateProfile(
                name=p["fargateProfileName"],
                arn=p["fargateProfileArn"],
                role_arn=p["podExecutionRoleArn"],
                subnets=tuple(p["subnets"]),
                selectors=tuple(Selector(s["namespace"], s.get("labels") or {}) for s in p["selectors"]),
            )
            for p in self._ground.of_cluster(PROFILE, cluster)
            if p["status"] == "ACTIVE"
        ]

    async def create(self, call: Call) -> Mapping[str, Any]:
        required(call, "fargateProfileName", "podExecutionRoleArn")
        ground, parameters = self._ground, call.parameters
        id, cluster = ground.active_cluster(call)
        name = check_name("Fargate Profile", parameters["fargateProfileName"])
        token = parameters.get("clientRequestToken")
        if (
            (existing := ground.records.get(PROFILE, f"{id}/{name}")) is not None
            and token == existing["_token"]
            and token
        ):
            return {"fargateProfile": existing}
        selectors = check_selectors(parameters.get("selectors") or [])
        await self._check_role(parameters["podExecutionRoleArn"])
        vpc = cluster["resourcesVpcConfig"]
        subnets = await self._subnets(call, parameters.get("subnets") or [], vpc)
        others = ground.of_cluster(PROFILE, id)
        if any(p["fargateProfileName"] == name for p in others):
            raise in_use(f"Fargate Profile already exists with name {name} in cluster {id.name}", clusterName=id.name)
        self._check_idle("create", id, name, others)
        if len(others) >= MOST_PROFILES:
            raise AwsError("ResourceLimitExceededException", f"Fargate Profile limit exceeded: {MOST_PROFILES}", 400)
        profile: Document = {
            "fargateProfileName": name,
            "fargateProfileArn": ground.arn(id.region, f"fargateprofile/{id.name}/{name}/{ground.ids.uuid()}"),
            "clusterName": id.name,
            "createdAt": ground.now(),
            "podExecutionRoleArn": parameters["podExecutionRoleArn"],
            "subnets": subnets,
            "selectors": selectors,
            "status": "CREATING",
            "health": {"issues": []},
            "tags": dict(parameters.get("tags") or {}),
            "_token": token,
        }
        await ground.records.put(PROFILE, f"{id}/{name}", profile)
        ground.tasks.start(f"profile {id}/{name}", self._create(id, name))
        return {"fargateProfile": profile}

    def _check_idle(self, verb: str, id: ClusterId, name: str, others: Sequence[Document]) -> None:
        for other in others:
            if other["status"] in _TRANSITIONS:
                raise in_use(
                    f"Cannot {verb} Fargate Profile {name} because cluster {id.name} currently has Fargate profile "
                    f"{other['fargateProfileName']} in status {other['status']}",
                    clusterName=id.name,
                )

    async def _check_role(self, arn: str) -> None:
        role = await self._ground.view.role(arn)
        if role is None:
            raise invalid(f"Role with arn: {arn}, does not exist")
        if not trusts_service(role["AssumeRolePolicyDocument"], "eks-fargate-pods.amazonaws.com"):
            raise invalid(
                "Misconfigured PodExecutionRole Trust Policy; Please add the eks-fargate-pods.amazonaws.com Service Principal"
            )

    async def _subnets(self, call: Call, asked: Sequence[str], vpc: Mapping[str, Any]) -> list[str]:
        view = self._ground.view
        if not asked:
            found = [await view.subnet(call.region, s) for s in vpc["subnetIds"]]
            private = [s.id for s in found if s is not None and not s.public]
            if not private:
                raise invalid("No private subnets are given, and the cluster has none")
            return private
        for id in asked:
            check_subnet(id, await view.subnet(call.region, id), vpc["vpcId"])
        return list(asked)

    async def _create(self, cluster: ClusterId, name: str) -> None:
        ground = self._ground
        await ground.clock.transition(CREATING_SECONDS)
        profile = ground.records.get(PROFILE, f"{cluster}/{name}")
        assert profile is not None
        await self._entries.ensure(cluster, profile["podExecutionRoleArn"], "FARGATE_LINUX")
        await ground.change(PROFILE, f"{cluster}/{name}", status="ACTIVE")
        await ground.host.profiles_changed(cluster, self.in_force(cluster))

    def _found(self, call: Call) -> tuple[ClusterId, Document]:
        id, _ = self._ground.cluster(call)
        name = str(call.parameters.get("fargateProfileName", ""))
        found = self._ground.records.get(PROFILE, f"{id}/{name}")
        if found is None:
            raise not_found(
                f"No Fargate Profile found with name: {name}.", clusterName=id.name, fargateProfileName=name
            )
        return id, found

    async def describe(self, call: Call) -> Mapping[str, Any]:
        return {"fargateProfile": self._found(call)[1]}

    async def list(self, call: Call) -> Mapping[str, Any]:
        id, _ = self._ground.cluster(call)
        names = [p["fargateProfileName"] for p in self._ground.of_cluster(PROFILE, id)]
        return page(call, names, "fargateProfileNames")

    async def delete(self, call: Call) -> Mapping[str, Any]:
        ground = self._ground
        id, profile = self._found(call)
        name = profile["fargateProfileName"]
        self._check_idle("delete", id, name, ground.of_cluster(PROFILE, id))
        deleting = await ground.change(PROFILE, f"{id}/{name}", status="DELETING")
        ground.tasks.start(f"profile {id}/{name}", self._delete(id, name))
        return {"fargateProfile": deleting}

    async def _delete(self, cluster: ClusterId, name: str) -> None:
        await self._ground.host.profiles_changed(cluster, self.in_force(cluster))
        await self._ground.clock.transition(DELETING_SECONDS)
        await self._ground.records.delete(PROFILE, f"{cluster}/{name}")


def check_selectors(selectors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not selectors:
        raise invalid("Fargate Profile must have at least one selector")
    if len(selectors) > MOST_SELECTORS:
        raise invalid(f"Fargate Profile can have at most {MOST_SELECTORS} selectors, {len(selectors)} given")
    checked = []
    for selector in selectors:
        labels = selector.get("labels") or {}
        if not selector.get("namespace"):
            raise invalid("Each selector of a Fargate Profile must have a namespace")
        if len(labels) > MOST_LABELS:
            raise invalid(f"A Fargate Profile selector can have at most {MOST_LABELS} labels, {len(labels)} given")
        checked.append({"namespace": selector["namespace"], "labels": dict(labels)})
    return checked


def check_subnet(id: str, subnet: Subnet | None, vpc: str) -> None:
    if subnet is None:
        raise invalid(f"The subnet ID '{id}' does not exist")
    if subnet.vpc != vpc:
        raise invalid(f"Subnet {id} provided in Fargate Profile does not belong to the VPC of the cluster")
    if subnet.public:
        raise invalid(f"Subnet {id} provided in Fargate Profile is not a private subnet")
