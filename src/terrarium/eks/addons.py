"""Add-ons: what is installed in a cluster, in which version, and whether it works.

Whether it works is asked of the cluster's host each time somebody looks, so an add-on whose pods can't run is DEGRADED
for as long as that is so, and ACTIVE as soon as they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from terrarium.cloud.hooks import AwsError, Call, Operation
from terrarium.cloud.records import Document
from terrarium.eks import addon_catalogue as catalogue
from terrarium.eks.associations import Associations
from terrarium.eks.ground import ADDON, Ground, in_use, invalid, not_found, page, required
from terrarium.eks.hosting import Addon, ClusterId, Issue
from terrarium.eks.updates import Updates

CREATING_SECONDS = 30.0
UPDATING_SECONDS = 30.0
DELETING_SECONDS = 15.0
_CONFLICTS = ("NONE", "OVERWRITE", "PRESERVE")


class Addons:
    def __init__(self, ground: Ground, updates: Updates, associations: Associations) -> None:
        self._ground = ground
        self._updates = updates
        self._associations = associations

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateAddon": self.create,
            "DescribeAddon": self.describe,
            "ListAddons": self.list,
            "UpdateAddon": self.update,
            "DeleteAddon": self.delete,
            "DescribeAddonVersions": self.describe_versions,
            "DescribeAddonConfiguration": self.describe_configuration,
        }

    async def resume(self) -> None:
        for key, addon in self._ground.records.scan(ADDON):
            cluster = ClusterId(*key.split("/")[:2])
            if addon["status"] == "DELETING":
                self._ground.tasks.start(f"addon {key}", self._delete(cluster, addon["addonName"]))
            elif addon["status"] in ("CREATING", "UPDATING"):
                self._ground.tasks.start(f"addon {key}", self._install(cluster, addon["addonName"], 0.0))

    def installed(self, cluster: ClusterId) -> list[Addon]:
        """What the host should run."""
        return [
            Addon(
                name=a["addonName"],
                version=a["addonVersion"],
                configuration=a["_configuration"],
                namespace=a["namespaceConfig"]["namespace"],
                role_arn=a.get("serviceAccountRoleArn"),
            )
            for a in self._ground.of_cluster(ADDON, cluster)
            if a["status"] != "DELETING"
        ]

    async def create(self, call: Call) -> Mapping[str, Any]:
        required(call, "addonName")
        ground, parameters = self._ground, call.parameters
        id, cluster = ground.active_cluster(call)
        entry = catalogue.find(str(parameters["addonName"]))
        key = f"{id}/{entry.name}"
        token = parameters.get("clientRequestToken")
        existing = ground.records.get(ADDON, key)
        if existing is not None and token and token == existing["_token"]:
            return {"addon": existing}
        if existing is not None:
            raise in_use("Addon already exists.", clusterName=id.name, addonName=entry.name)
        version = catalogue.choose(entry, cluster["version"], parameters.get("addonVersion"))
        _check_conflicts(parameters.get("resolveConflicts"))
        configuration = catalogue.read_configuration(entry, parameters.get("configurationValues"))
        await self._check_role(parameters.get("serviceAccountRoleArn"))
        now = ground.now()
        addon: Document = {
            "addonName": entry.name,
            "clusterName": id.name,
            "status": "CREATING",
            "addonVersion": version,
            "health": {"issues": []},
            "addonArn": ground.arn(id.region, f"addon/{id.name}/{entry.name}/{ground.ids.uuid()}"),
            "createdAt": now,
            "modifiedAt": now,
            "tags": dict(parameters.get("tags") or {}),
            "namespaceConfig": parameters.get("namespaceConfig") or {"namespace": entry.namespace},
            "_configuration": configuration,
            "_token": token,
        }
        for name in ("serviceAccountRoleArn", "configurationValues"):
            if parameters.get(name):
                addon[name] = parameters[name]
        if ground.records.get(ADDON, key) is not None:
            raise in_use("Addon already exists.", clusterName=id.name, addonName=entry.name)
        await ground.records.put(ADDON, key, addon)
        links = parameters.get("podIdentityAssociations")
        if links:
            arns = await self._associations.of_addon(call, id, addon, links)
            addon = await ground.change(ADDON, key, podIdentityAssociations=arns) or addon
        ground.tasks.start(f"addon {key}", self._install(id, entry.name, CREATING_SECONDS))
        return {"addon": addon}

    async def _check_role(self, arn: str | None) -> None:
        if arn and await self._ground.view.role(arn) is None:
            raise invalid(f"Role with arn: {arn}, does not exist")

    async def _install(self, cluster: ClusterId, name: str, seconds: float, update: str = "") -> None:
        ground = self._ground
        await ground.host.addons_changed(cluster, self.installed(cluster))
        await ground.clock.transition(seconds)
        await ground.change(ADDON, f"{cluster}/{name}", status="ACTIVE")
        if update:
            await self._updates.end(cluster, update)

    def _found(self, call: Call) -> tuple[ClusterId, Document]:
        id, _ = self._ground.cluster(call)
        name = str(call.parameters.get("addonName", ""))
        found = self._ground.records.get(ADDON, f"{id}/{name}")
        if found is None:
            raise not_found(f"No addon: {name} found in cluster: {id.name}", clusterName=id.name, addonName=name)
        return id, found

    async def describe(self, call: Call) -> Mapping[str, Any]:
        id, addon = self._found(call)
        if addon["status"] != "ACTIVE":
            return {"addon": addon}
        issues = await self._ground.host.addon_issues(id, addon["addonName"])
        return {"addon": {**addon, **health(issues)}}

    async def list(self, call: Call) -> Mapping[str, Any]:
        id, _ = self._ground.cluster(call)
        return page(call, [a["addonName"] for a in self._ground.of_cluster(ADDON, id)], "addons")

    async def update(self, call: Call) -> Mapping[str, Any]:
        ground, parameters = self._ground, call.parameters
        id, addon = self._found(call)
        _, cluster = ground.active_cluster(call)
        if addon["status"] not in ("ACTIVE", "DEGRADED"):
            raise in_use(f"Addon {addon['addonName']} is in status {addon['status']}", addonName=addon["addonName"])
        entry = catalogue.find(addon["addonName"])
        _check_conflicts(parameters.get("resolveConflicts"))
        changed: dict[str, Any] = {}
        params: dict[str, Any] = {}
        if parameters.get("addonVersion"):
            changed["addonVersion"] = catalogue.choose(entry, cluster["version"], parameters["addonVersion"])
            params["AddonVersion"] = changed["addonVersion"]
        if parameters.get("configurationValues") is not None:
            changed["configurationValues"] = parameters["configurationValues"]
            changed["_configuration"] = catalogue.read_configuration(entry, parameters["configurationValues"])
            params["ConfigurationValues"] = parameters["configurationValues"]
        if parameters.get("serviceAccountRoleArn"):
            await self._check_role(parameters["serviceAccountRoleArn"])
            changed["serviceAccountRoleArn"] = parameters["serviceAccountRoleArn"]
            params["ServiceAccountRoleArn"] = parameters["serviceAccountRoleArn"]
        if parameters.get("podIdentityAssociations") is not None:
            links = parameters["podIdentityAssociations"]
            changed["podIdentityAssociations"] = await self._associations.of_addon(call, id, addon, links)
            params["PodIdentityAssociations"] = links
        if parameters.get("resolveConflicts"):
            params["ResolveConflicts"] = parameters["resolveConflicts"]
        key = f"{id}/{entry.name}"
        await ground.change(ADDON, key, status="UPDATING", modifiedAt=ground.now(), **changed)
        update = await self._updates.begin(id, "AddonUpdate", params, addon=entry.name)
        ground.tasks.start(f"addon {key}", self._install(id, entry.name, UPDATING_SECONDS, update["id"]))
        return {"update": update}

    async def delete(self, call: Call) -> Mapping[str, Any]:
        id, addon = self._found(call)
        key = f"{id}/{addon['addonName']}"
        preserve = bool(call.parameters.get("preserve"))
        deleting = await self._ground.change(ADDON, key, status="DELETING", _preserve=preserve)
        self._ground.tasks.start(f"addon {key}", self._delete(id, addon["addonName"]))
        return {"addon": deleting}

    async def _delete(self, cluster: ClusterId, name: str) -> None:
        addon = self._ground.records.get(ADDON, f"{cluster}/{name}")
        assert addon is not None
        if not addon.get("_preserve"):
            await self._ground.host.addons_changed(cluster, self.installed(cluster))
        await self._ground.clock.transition(DELETING_SECONDS)
        await self._associations.forget_owner(cluster, addon["addonArn"])
        await self._ground.records.delete(ADDON, f"{cluster}/{name}")

    # Catalogue

    async def describe_versions(self, call: Call) -> Mapping[str, Any]:
        asked = call.parameters
        name = asked.get("addonName")
        if name is not None:
            catalogue.find(name)
        described = [
            catalogue.describe(entry, asked.get("kubernetesVersion"))
            for entry in catalogue.CATALOGUE.values()
            if name in (None, entry.name)
            and (not asked.get("types") or entry.type in asked["types"])
            and (not asked.get("publishers") or entry.publisher in asked["publishers"])
            and (not asked.get("owners") or entry.owner in asked["owners"])
        ]
        return page(call, [d for d in described if d["addonVersions"]], "addons")

    async def describe_configuration(self, call: Call) -> Mapping[str, Any]:
        entry = catalogue.find(str(call.parameters.get("addonName", "")))
        version = str(call.parameters.get("addonVersion", ""))
        if not any(version in names for names in entry.versions.values()):
            raise invalid("Addon version specified is not supported", addonName=entry.name)
        return {
            "addonName": entry.name,
            "addonVersion": version,
            "configurationSchema": orjson.dumps(entry.schema).decode(),
            "podIdentityConfiguration": [],
        }


def health(issues: Sequence[Issue]) -> dict[str, Any]:
    """Status and health of an installed add-on."""
    listed = [{"code": i.code, "message": i.message, "resourceIds": list(i.resource_ids)} for i in issues]
    return {"status": "DEGRADED" if listed else "ACTIVE", "health": {"issues": listed}}


def _check_conflicts(value: str | None) -> None:
    if value is not None and value not in _CONFLICTS:
        raise AwsError("InvalidParameterException", f"{value} is not a valid value of resolveConflicts", 400)
