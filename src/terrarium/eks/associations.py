"""Pod identity associations: which IAM role a service account's pods may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.cloud.hooks import Call, Operation
from terrarium.cloud.records import Document
from terrarium.cloud.trust import trusts_service
from terrarium.eks.ground import ASSOCIATION, Ground, in_use, invalid, not_found, page, required
from terrarium.eks.hosting import ClusterId

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Associations:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreatePodIdentityAssociation": self.create,
            "DescribePodIdentityAssociation": self.describe,
            "ListPodIdentityAssociations": self.list,
            "UpdatePodIdentityAssociation": self.update,
            "DeletePodIdentityAssociation": self.delete,
        }

    async def create(self, call: Call) -> Mapping[str, Any]:
        required(call, "namespace", "serviceAccount", "roleArn")
        id, _ = self._ground.active_cluster(call)
        return {"association": await self._create(call, id, call.parameters, None)}

    async def _create(self, call: Call, id: ClusterId, asked: Mapping[str, Any], owner: str | None) -> Document:
        ground = self._ground
        await self._check_role(asked["roleArn"])
        for other in ground.of_cluster(ASSOCIATION, id):
            if (other["namespace"], other["serviceAccount"]) == (asked["namespace"], asked["serviceAccount"]):
                raise in_use(f"Association already exists: {other['associationId']}", clusterName=id.name)
        name = "a-" + ground.ids.text(17, _ALPHABET)
        now = ground.now()
        association: Document = {
            "clusterName": id.name,
            "namespace": asked["namespace"],
            "serviceAccount": asked["serviceAccount"],
            "roleArn": asked["roleArn"],
            "associationArn": ground.arn(id.region, f"podidentityassociation/{id.name}/{name}"),
            "associationId": name,
            "tags": dict(asked.get("tags") or {}),
            "createdAt": now,
            "modifiedAt": now,
            "disableSessionTags": bool(asked.get("disableSessionTags", False)),
        }
        if owner:
            association["ownerArn"] = owner
        if asked.get("targetRoleArn"):
            association["targetRoleArn"] = asked["targetRoleArn"]
            association["externalId"] = ground.ids.uuid()
        if asked.get("policy"):
            association["policy"] = asked["policy"]
        await ground.records.put(ASSOCIATION, f"{id}/{name}", association)
        return association

    async def _check_role(self, arn: str) -> None:
        role = await self._ground.view.role(arn)
        if role is None:
            raise invalid(f"Role provided in the request does not exist: {arn}")
        if not trusts_service(role["AssumeRolePolicyDocument"], "pods.eks.amazonaws.com"):
            raise invalid("Trust policy of role is invalid: it must let pods.eks.amazonaws.com use sts:AssumeRole and sts:TagSession")  # fmt: skip

    async def of_addon(
        self, call: Call, id: ClusterId, addon: Document, wanted: Sequence[Mapping[str, Any]]
    ) -> list[str]:
        """Replaces the associations an add-on owns; answers their ARNs."""
        await self.forget_owner(id, addon["addonArn"])
        namespace = addon["namespaceConfig"]["namespace"]
        made = [await self._create(call, id, {**w, "namespace": namespace}, addon["addonArn"]) for w in wanted]
        return [association["associationArn"] for association in made]

    async def forget_owner(self, id: ClusterId, owner: str) -> None:
        for association in self._ground.of_cluster(ASSOCIATION, id):
            if association.get("ownerArn") == owner:
                await self._ground.records.delete(ASSOCIATION, f"{id}/{association['associationId']}")

    def _found(self, call: Call) -> tuple[ClusterId, Document]:
        id, _ = self._ground.cluster(call)
        name = str(call.parameters.get("associationId", ""))
        found = self._ground.records.get(ASSOCIATION, f"{id}/{name}")
        if found is None:
            raise not_found(f"No association found with id: {name}", clusterName=id.name)
        return id, found

    async def describe(self, call: Call) -> Mapping[str, Any]:
        return {"association": self._found(call)[1]}

    async def list(self, call: Call) -> Mapping[str, Any]:
        id, _ = self._ground.cluster(call)
        asked = call.parameters
        kept = [
            a
            for a in self._ground.of_cluster(ASSOCIATION, id)
            if asked.get("namespace") in (None, a["namespace"])
            and asked.get("serviceAccount") in (None, a["serviceAccount"])
        ]
        return page(call, kept, "associations")

    async def update(self, call: Call) -> Mapping[str, Any]:
        id, association = self._found(call)
        changes: dict[str, Any] = {"modifiedAt": self._ground.now()}
        for name in ("roleArn", "disableSessionTags", "targetRoleArn", "policy"):
            if call.parameters.get(name) is not None:
                changes[name] = call.parameters[name]
        if "roleArn" in changes:
            await self._check_role(changes["roleArn"])
        changed = await self._ground.change(ASSOCIATION, f"{id}/{association['associationId']}", **changes)
        return {"association": changed}

    async def delete(self, call: Call) -> Mapping[str, Any]:
        id, association = self._found(call)
        await self._ground.records.delete(ASSOCIATION, f"{id}/{association['associationId']}")
        return {"association": association}
