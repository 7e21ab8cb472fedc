"""What access entries' policies allow: an authoriser beside RBAC, which leaves no objects in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from terrarium.eks.entries import principal_of
from terrarium.eks.ground import ENTRY, Ground
from terrarium.eks.hosting import ClusterId
from terrarium.eks.policies import ARN_PREFIX, POLICIES, Rule
from terrarium.kube.api.hooks import Attributes, Decision

_NO_OPINION = Decision("no opinion")
_UID = "aws-iam-authenticator:"


class AccessPolicies:
    """Implements `kube.api.hooks.Authorizer` for one cluster. Sees changes of the entries at once."""

    def __init__(self, ground: Ground, cluster: ClusterId) -> None:
        self._ground = ground
        self._cluster = cluster

    async def authorize(self, attributes: Attributes) -> Decision:
        user = attributes.user
        if not user.uid.startswith(_UID):
            return _NO_OPINION
        arns = user.extra.get("canonicalArn", ())
        for arn in arns:
            for entry in self._ground.of_cluster(ENTRY, self._cluster):
                if _same_principal(entry["principalArn"], arn):
                    for association in entry["_policies"].values():
                        if allows(association, attributes):
                            name = association["policyArn"].removeprefix(ARN_PREFIX)
                            return Decision("allow", f"EKS access policy {name} of {entry['principalArn']}")
        return _NO_OPINION


def _same_principal(entry: str, arn: str) -> bool:
    head, slash, rest = entry.partition("/")
    return entry == arn or (":role/" in entry and head + slash + rest.rpartition("/")[2] == principal_of(arn))


def allows(association: Mapping[str, Any], attributes: Attributes) -> bool:
    """Whether one associated policy allows a request, in its scope."""
    rules = POLICIES[association["policyArn"].removeprefix(ARN_PREFIX)]
    scope = association["accessScope"]
    if scope["type"] == "namespace":
        if attributes.resource is None or not attributes.namespace:
            return False
        if not any(fnmatchcase(attributes.namespace, pattern) for pattern in scope["namespaces"]):
            return False
    return any(_rule_allows(rule, attributes) for rule in rules)


def _rule_allows(rule: Rule, attributes: Attributes) -> bool:
    if attributes.resource is None:
        return rule.allows_path(attributes.verb, attributes.path)
    plural = attributes.resource.plural
    name = f"{plural}/{attributes.subresource}" if attributes.subresource else plural
    return rule.allows(attributes.verb, attributes.resource.group, name, attributes.name)
