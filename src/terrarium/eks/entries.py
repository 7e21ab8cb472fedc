"""Access entries: which IAM principal is whom in a cluster, and which access policies it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from terrarium.cloud.hooks import Call, Caller, Operation
from terrarium.cloud.records import Document
from terrarium.eks.ground import ENTRY, Ground, in_use, invalid, not_found, page, refused, required
from terrarium.eks.hosting import ClusterId
from terrarium.eks.policies import ARN_PREFIX, CLUSTER_ONLY, POLICIES

_PRINCIPAL = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):(user|role)/((?:[\w+=,.@-]+/)*)([\w+=,.@-]+)")
_RESERVED_USERS = ("system:", "eks:", "aws:", "amazon:", "iam:")
_NODE_USER = "system:node:{{EC2PrivateDNSName}}"
_SESSION_USER = "system:node:{{SessionName}}"

# type -> (user name, groups); STANDARD is worked out from the principal.
TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "STANDARD": ("", ()),
    "EC2_LINUX": (_NODE_USER, ("system:nodes",)),
    "EC2_WINDOWS": (_NODE_USER, ("system:nodes", "eks:kube-proxy-windows")),
    "FARGATE_LINUX": (_SESSION_USER, ("system:nodes",)),
    "HYBRID_LINUX": (_SESSION_USER, ("system:nodes",)),
    "HYPERPOD_LINUX": (_SESSION_USER, ("system:nodes",)),
    "EC2": (_NODE_USER, ("system:nodes",)),
}
_WITH_POLICIES = ("STANDARD", "EC2")


def _missing() -> Any:
    return not_found(
        "The specified principalArn could not be found. You can view your available access entries with "
        "'list-access-entries'."
    )


class Entries:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {
            "CreateAccessEntry": self.create,
            "DescribeAccessEntry": self.describe,
            "ListAccessEntries": self.list,
            "UpdateAccessEntry": self.update,
            "DeleteAccessEntry": self.delete,
            "AssociateAccessPolicy": self.associate,
            "DisassociateAccessPolicy": self.disassociate,
            "ListAssociatedAccessPolicies": self.list_associated,
            "ListAccessPolicies": self.list_policies,
        }

    # For the rest of the service

    async def bootstrap(self, cluster: ClusterId, caller: Caller) -> None:
        """The creator's entry. In mode CONFIG_MAP the API shows no entries, but the creator is admitted all the same."""
        principal = principal_of(caller.arn)
        entry = self._entry(cluster, principal, "STANDARD", default_username(principal), (), {})
        policy = self._association("AmazonEKSClusterAdminPolicy", {"type": "cluster", "namespaces": []})
        entry["_policies"] = {policy["policyArn"]: policy}
        await self._save(cluster, entry)

    async def ensure(self, cluster: ClusterId, principal: str, type: str) -> None:
        """The entry EKS itself makes for the role of a Fargate profile or of a node group."""
        if self._get(cluster, principal) is None:
            user, groups = TYPES[type]
            await self._save(cluster, self._entry(cluster, principal, type, user, groups, {}))

    def _get(self, cluster: ClusterId, principal: str) -> Document | None:
        return self._ground.records.get(ENTRY, f"{cluster}/{principal}")

    def _entry(
        self, cluster: ClusterId, principal: str, type: str, user: str, groups: Any, tags: Mapping[str, str]
    ) -> Document:
        found = _PRINCIPAL.fullmatch(principal)
        account, kind, _, name = found.groups() if found else (self._ground.account, "user", "", "root")
        now = self._ground.now()
        return {
            "clusterName": cluster.name,
            "principalArn": principal,
            "kubernetesGroups": list(groups),
            "accessEntryArn": self._ground.arn(
                cluster.region, f"access-entry/{cluster.name}/{kind}/{account}/{name}/{self._ground.ids.uuid()}"
            ),
            "createdAt": now,
            "modifiedAt": now,
            "tags": dict(tags),
            "username": user,
            "type": type,
            "_policies": {},
        }

    async def _save(self, cluster: ClusterId, entry: Document) -> None:
        await self._ground.records.put(ENTRY, f"{cluster}/{entry['principalArn']}", entry)

    # Operations

    def _cluster(self, call: Call) -> ClusterId:
        id, cluster = self._ground.cluster(call)
        mode = cluster["accessConfig"]["authenticationMode"]
        if mode == "CONFIG_MAP":
            raise refused(
                "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
                clusterName=id.name,
            )
        return id

    def _found(self, call: Call) -> tuple[ClusterId, Document]:
        id = self._cluster(call)
        entry = self._get(id, str(call.parameters.get("principalArn", "")))
        if entry is None:
            raise _missing()
        return id, entry

    async def create(self, call: Call) -> Mapping[str, Any]:
        required(call, "principalArn")
        id, parameters = self._cluster(call), call.parameters
        principal = str(parameters["principalArn"])
        type = parameters.get("type") or "STANDARD"
        await self._check_principal(principal)
        if type not in TYPES:
            raise invalid(f"The specified type {type} is not valid. Valid types are {', '.join(TYPES)}")
        if type != "STANDARD" and (parameters.get("kubernetesGroups") or parameters.get("username")):
            raise invalid(f"The type {type} does not allow kubernetesGroups or username to be set")
        if type != "STANDARD" and ":role/" not in principal:
            raise invalid(f"The type {type} needs the ARN of an IAM role")
        if self._get(id, principal) is not None:
            raise in_use("The specified access entry resource is already in use on this cluster.")
        groups = _check_groups(parameters.get("kubernetesGroups") or TYPES[type][1], type)
        user = parameters.get("username") or TYPES[type][0] or default_username(principal)
        if type == "STANDARD":
            _check_username(user, bool(parameters.get("username")))
        entry = self._entry(id, principal, type, user, groups, parameters.get("tags") or {})
        await self._save(id, entry)
        await self._ground.host.access_changed(id)
        return {"accessEntry": entry}

    async def _check_principal(self, principal: str) -> None:
        found = _PRINCIPAL.fullmatch(principal)
        if found is None:
            raise invalid("The specified principalArn is invalid: invalid principal.")
        if "aws-service-role/" in found.group(3):
            raise invalid(
                "The caller is not allowed to modify access entries with a principalArn value of a Service Linked Role."
            )
        view = self._ground.view
        if found.group(1) != self._ground.account:
            return
        exists = (
            await view.role(principal) is not None if found.group(2) == "role" else await view.user_exists(principal)
        )
        if not exists:
            raise invalid("The specified principalArn is invalid: invalid principal.")

    async def describe(self, call: Call) -> Mapping[str, Any]:
        return {"accessEntry": self._found(call)[1]}

    async def list(self, call: Call) -> Mapping[str, Any]:
        id = self._cluster(call)
        policy = call.parameters.get("associatedPolicyArn")
        arns = [e["principalArn"] for e in self._ground.of_cluster(ENTRY, id) if not policy or policy in e["_policies"]]
        return page(call, sorted(arns), "accessEntries")

    async def update(self, call: Call) -> Mapping[str, Any]:
        id, entry = self._found(call)
        if entry["type"] != "STANDARD":
            raise invalid(f"An access entry of type {entry['type']} can't be updated")
        changed = {**entry, "modifiedAt": self._ground.now()}
        if call.parameters.get("kubernetesGroups") is not None:
            changed["kubernetesGroups"] = list(_check_groups(call.parameters["kubernetesGroups"], "STANDARD"))
        if call.parameters.get("username"):
            _check_username(call.parameters["username"], True)
            changed["username"] = call.parameters["username"]
        await self._save(id, changed)
        await self._ground.host.access_changed(id)
        return {"accessEntry": changed}

    async def delete(self, call: Call) -> Mapping[str, Any]:
        id, entry = self._found(call)
        await self._ground.records.delete(ENTRY, f"{id}/{entry['principalArn']}")
        await self._ground.host.access_changed(id)
        return {}

    # Policies

    def _association(self, name: str, scope: Mapping[str, Any]) -> Document:
        now = self._ground.now()
        return {"policyArn": ARN_PREFIX + name, "accessScope": dict(scope), "associatedAt": now, "modifiedAt": now}

    async def associate(self, call: Call) -> Mapping[str, Any]:
        required(call, "policyArn", "accessScope")
        id, entry = self._found(call)
        arn = str(call.parameters["policyArn"])
        name = arn.removeprefix(ARN_PREFIX)
        if not arn.startswith(ARN_PREFIX) or name not in POLICIES:
            raise not_found("The policyArn parameter format is not valid" if "policy" not in arn else
                            "The specified policyArn does not exist.")  # fmt: skip
        if entry["type"] not in _WITH_POLICIES:
            raise refused(f"You can't associate an access policy with an access entry of type {entry['type']}.")
        scope = _check_scope(call.parameters["accessScope"], name)
        association = self._association(name, scope)
        before = entry["_policies"].get(arn)
        if before is not None:
            association["associatedAt"] = before["associatedAt"]
        changed = {**entry, "_policies": {**entry["_policies"], arn: association}}
        await self._save(id, changed)
        await self._ground.host.access_changed(id)
        answer = {"clusterName": id.name, "principalArn": entry["principalArn"]}
        return {**answer, "associatedAccessPolicy": association}

    async def disassociate(self, call: Call) -> Mapping[str, Any]:
        id, entry = self._found(call)
        arn = str(call.parameters.get("policyArn", ""))
        if arn not in entry["_policies"]:
            raise not_found("The specified policyArn is not associated with the access entry.")
        await self._save(id, {**entry, "_policies": {k: v for k, v in entry["_policies"].items() if k != arn}})
        await self._ground.host.access_changed(id)
        return {}

    async def list_associated(self, call: Call) -> Mapping[str, Any]:
        id, entry = self._found(call)
        answer = page(call, list(entry["_policies"].values()), "associatedAccessPolicies")
        return {**answer, "clusterName": id.name, "principalArn": entry["principalArn"]}

    async def list_policies(self, call: Call) -> Mapping[str, Any]:
        return page(call, [{"name": name, "arn": ARN_PREFIX + name} for name in POLICIES], "accessPolicies")


def principal_of(arn: str) -> str:
    """The IAM principal behind a caller: an assumed role's session is its role."""
    found = re.fullmatch(r"arn:(aws[\w-]*):sts::(\d{12}):assumed-role/([^/]+)/.+", arn)
    return f"arn:{found.group(1)}:iam::{found.group(2)}:role/{found.group(3)}" if found else arn


def default_username(principal: str) -> str:
    found = _PRINCIPAL.fullmatch(principal)
    if found is None or found.group(2) == "user":
        return principal
    return f"arn:aws:sts::{found.group(1)}:assumed-role/{found.group(4)}/{{{{SessionName}}}}"


def _check_groups(groups: Any, type: str) -> list[str]:
    for group in groups:
        if type == "STANDARD" and str(group).startswith(_RESERVED_USERS):
            prefix = str(group).partition(":")[0]
            raise invalid(f"The kubernetes group name {group} is invalid, it cannot start with {prefix}")
    return list(groups)


def _check_username(user: str, given: bool) -> None:
    if not given:
        return
    for prefix in _RESERVED_USERS:
        if user.startswith(prefix):
            raise invalid(f'Access Entry username cannot start with "{prefix}"')
    if "{{SessionName}}" in user and ":" not in user.split("{{SessionName}}")[0]:
        raise invalid("The username must have a colon before {{SessionName}}")


def _check_scope(scope: Mapping[str, Any], policy: str) -> dict[str, Any]:
    kind, namespaces = scope.get("type"), list(scope.get("namespaces") or [])
    if kind not in ("cluster", "namespace"):
        raise invalid("The accessScope type must be cluster or namespace")
    if kind == "namespace" and not namespaces:
        raise invalid("The namespaces of a namespace scope must not be empty")
    if kind == "cluster" and namespaces:
        raise invalid("Namespaces can't be given with the scope type cluster")
    if kind == "namespace" and policy in CLUSTER_ONLY:
        raise invalid(f"The policy {policy} can only be associated with cluster scope")
    return {"type": kind, "namespaces": namespaces}
