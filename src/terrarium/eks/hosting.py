"""The contract between EKS's records and the Kubernetes clusters behind them.

EKS owns the records (what `DescribeCluster` shows); a `ClusterHost` runs the real thing: an API server on a loopback
port with its own CA, both kept in the cluster's folder, so that a restart gives the same endpoint and certificates.
The composition root implements it; `NoHost` stands in where no cluster is to be run (tests of the API alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, order=True)
class ClusterId:
    """A cluster's name is unique in its region."""

    region: str
    name: str

    def __str__(self) -> str:
        return f"{self.region}/{self.name}"


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """What a host must know of a cluster."""

    id: ClusterId
    arn: str
    version: str
    """Kubernetes minor: `1.30`."""
    platform_version: str
    service_cidr: str
    vpc: str
    subnets: tuple[str, ...]
    security_group: str
    oidc_issuer: str
    authentication_mode: str
    """CONFIG_MAP, API_AND_CONFIG_MAP or API."""
    auto_mode: bool
    node_pools: tuple[str, ...] = ()
    created_at: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    endpoint: str
    """`https://127.0.0.1:PORT`"""
    ca_pem: bytes


@dataclass(frozen=True, slots=True)
class Selector:
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FargateProfile:
    """A profile in force (ACTIVE)."""

    name: str
    arn: str
    role_arn: str
    subnets: tuple[str, ...]
    selectors: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Addon:
    """An add-on that should run. `configuration` is `configurationValues`, parsed."""

    name: str
    version: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = "kube-system"
    role_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Nodegroup:
    name: str
    arn: str
    version: str
    release_version: str
    role_arn: str
    subnets: tuple[str, ...]
    instance_types: tuple[str, ...]
    ami_type: str
    capacity_type: str
    desired: int
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()
    """(key, value, effect), the effect as Kubernetes spells it."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong with an add-on or a node group, in the API's codes."""

    code: str
    message: str
    resource_ids: tuple[str, ...] = ()


class ClusterHost(Protocol):
    """Runs clusters. Every method may be called again with the same values: it brings about, it does not count."""

    async def start(self, record: ClusterRecord) -> ClusterAddress:
        """Starts a new cluster, or one from its folder after a restart; returns when its API answers `/readyz`."""
        ...

    async def stop(self, cluster: ClusterId) -> None:
        """Stops serving and keeps the folder."""
        ...

    async def delete(self, cluster: ClusterId) -> None:
        """Stops, and removes the folder with everything in it."""
        ...

    async def version_changed(self, record: ClusterRecord) -> None: ...

    async def profiles_changed(self, cluster: ClusterId, profiles: Sequence[FargateProfile]) -> None:
        """The profiles in force, all of them; pods of one that is gone are deleted by the host."""
        ...

    async def addons_changed(self, cluster: ClusterId, addons: Sequence[Addon]) -> None: ...

    async def addon_issues(self, cluster: ClusterId, addon: str) -> Sequence[Issue]:
        """What keeps an add-on from working right now; empty when all its workloads are available."""
        ...

    async def access_changed(self, cluster: ClusterId) -> None:
        """Access entries or the authentication mode changed; `EksTokens` and `AccessPolicies` see that by themselves."""
        ...

    async def nodegroups_changed(
        self, cluster: ClusterId, groups: Sequence[Nodegroup]
    ) -> Mapping[str, Sequence[Issue]]:
        """The node groups that should exist. Answers what keeps each (by name) from having its nodes."""
        ...


class NoHost:
    """A host that runs nothing: addresses lead nowhere, and nothing is ever wrong, except that nodes can't be had."""

    async def start(self, record: ClusterRecord) -> ClusterAddress:
        return ClusterAddress("https://127.0.0.1:1", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")

    async def stop(self, cluster: ClusterId) -> None:
        pass

    async def delete(self, cluster: ClusterId) -> None:
        pass

    async def version_changed(self, record: ClusterRecord) -> None:
        pass

    async def profiles_changed(self, cluster: ClusterId, profiles: Sequence[FargateProfile]) -> None:
        pass

    async def addons_changed(self, cluster: ClusterId, addons: Sequence[Addon]) -> None:
        pass

    async def addon_issues(self, cluster: ClusterId, addon: str) -> Sequence[Issue]:
        return ()

    async def access_changed(self, cluster: ClusterId) -> None:
        pass

    async def nodegroups_changed(
        self, cluster: ClusterId, groups: Sequence[Nodegroup]
    ) -> Mapping[str, Sequence[Issue]]:
        issue = Issue("NodeCreationFailure", "This cloud starts no instances for node groups.")
        return {group.name: (issue,) for group in groups}
