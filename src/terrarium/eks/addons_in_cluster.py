"""What add-ons put into a cluster: manifests as data (`eks/data/*.yaml`), changed by the add-on's configuration.

An add-on without a manifest here exists as a record alone. Objects are applied as the field manager `eks`, so what a
person changes outside the add-on's own fields stays.
"""

from __future__ import annotations

import asyncio
import ipaddress
import string
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from terrarium.eks.hosting import Addon, Issue
from terrarium.kube.api.builtin import registry
from terrarium.kube.api.kinds import GroupVersion, Obj
from terrarium.kube.client.contract import SERVICES, ApiError, Client, Resource

MANIFESTS = ("coredns", "kube-proxy", "vpc-cni", "eks-pod-identity-agent", "metrics-server")
REGISTRY_ACCOUNT = "602401143452"
MANAGER = "eks"
COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
UNHEALTHY = "The add-on is unhealthy because it doesn't have the desired number of replicas."


@cache
def _text(addon: str) -> str:
    return resources.files("terrarium.eks.data").joinpath(f"{addon}.yaml").read_text()


def manifests(addon: Addon, region: str, dns: str) -> list[Obj]:
    """The objects of an add-on, with its configuration; `dns` is the address of the cluster's DNS Service."""
    if addon.name not in MANIFESTS:
        return []
    values = {
        "registry": f"{REGISTRY_ACCOUNT}.dkr.ecr.{region}.amazonaws.com",
        "version": addon.version,
        "dns": dns,
    }
    found = [o for o in yaml.safe_load_all(string.Template(_text(addon.name)).safe_substitute(values)) if o]
    for obj in found:
        for key, value in addon.configuration.items():
            change = _SETTINGS.get(key)
            if change is not None:
                change(obj, value)
    return found


def _pods(obj: Obj) -> dict[str, Any] | None:
    template: dict[str, Any] | None = (obj.get("spec") or {}).get("template")
    return template if obj["kind"] in ("Deployment", "DaemonSet") else None


def _compute_type(obj: Obj, value: Any) -> None:
    """`Fargate`: the annotation that keeps the pods off Fargate goes."""
    template = _pods(obj)
    if template is not None and str(value).lower() == "fargate":
        (template["metadata"].get("annotations") or {}).pop(COMPUTE_TYPE, None)


def _replicas(obj: Obj, value: Any) -> None:
    if obj["kind"] == "Deployment":
        obj["spec"]["replicas"] = int(value)


def _pod_field(name: str) -> Callable[[Obj, Any], None]:
    def change(obj: Obj, value: Any) -> None:
        template = _pods(obj)
        if template is not None:
            template["spec"][name] = value

    return change


def _pod_meta(name: str) -> Callable[[Obj, Any], None]:
    def change(obj: Obj, value: Any) -> None:
        template = _pods(obj)
        if template is not None:
            template["metadata"][name] = {**(template["metadata"].get(name) or {}), **value}

    return change


def _resources(obj: Obj, value: Any) -> None:
    template = _pods(obj)
    if template is not None:
        template["spec"]["containers"][0]["resources"] = value


def _corefile(obj: Obj, value: Any) -> None:
    if obj["kind"] == "ConfigMap":
        obj["data"]["Corefile"] = value


def _environment(obj: Obj, value: Mapping[str, Any]) -> None:
    template = _pods(obj)
    if template is not None:
        container = template["spec"]["containers"][0]
        kept = [v for v in container.get("env") or () if v["name"] not in value]
        container["env"] = kept + [{"name": k, "value": str(v)} for k, v in value.items()]


_SETTINGS: Mapping[str, Callable[[Obj, Any], None]] = {
    "affinity": _pod_field("affinity"),
    "computeType": _compute_type,
    "corefile": _corefile,
    "env": _environment,
    "nodeSelector": _pod_field("nodeSelector"),
    "podAnnotations": _pod_meta("annotations"),
    "podLabels": _pod_meta("labels"),
    "replicaCount": _replicas,
    "replicas": _replicas,
    "resources": _resources,
    "tolerations": _pod_field("tolerations"),
    "topologySpreadConstraints": _pod_field("topologySpreadConstraints"),
}
"""What each key of an add-on's configuration changes; keys that are not here change nothing that is simulated."""


class AddonInstaller:
    """The add-ons of one cluster."""

    def __init__(self, client: Client, region: str) -> None:
        self._client = client
        self._region = region
        self._installed: dict[str, Addon] = {}
        self._one_at_a_time = asyncio.Lock()
        self._resources = {
            (str(k.group_version), k.kind): (
                Resource(k.group_version.group, k.group_version.version, k.plural),
                k.namespaced,
            )
            for k in registry()
        }

    async def apply(self, addons: Sequence[Addon]) -> None:
        """Brings the cluster in line with the add-ons that should run."""
        async with self._one_at_a_time:
            await self._apply(addons)

    async def _apply(self, addons: Sequence[Addon]) -> None:
        dns = await self._dns_address()
        for name in [n for n in self._installed if n not in {a.name for a in addons}]:
            for obj in reversed(manifests(self._installed.pop(name), self._region, dns)):
                await self._remove(obj)
        for addon in addons:
            if self._installed.get(addon.name) == addon:
                continue
            for obj in manifests(addon, self._region, dns):
                await self._put(obj)
            self._installed[addon.name] = addon

    async def issues(self, addon: str) -> Sequence[Issue]:
        """Empty when all of the add-on's workloads are available."""
        known = self._installed.get(addon)
        if known is None:
            return ()
        for obj in manifests(known, self._region, "0.0.0.0"):
            if _pods(obj) is None:
                continue
            resource, _ = self._resource(obj)
            meta = obj["metadata"]
            try:
                found = await self._client.get(resource, meta["name"], meta["namespace"])
            except ApiError as error:
                if error.code != 404:
                    raise
                return (Issue("ConfigurationConflict", f"{obj['kind']} {meta['name']} was deleted"),)
            if not available(found):
                return (Issue("InsufficientNumberOfReplicas", UNHEALTHY),)
        return ()

    def _resource(self, obj: Obj) -> tuple[Resource, bool]:
        return self._resources[(str(GroupVersion.parse(obj["apiVersion"])), obj["kind"])]

    async def _dns_address(self) -> str:
        """The tenth address of the Service range, whose first is the API server's."""
        first = await self._client.get(SERVICES, "kubernetes", "default")
        return str(ipaddress.ip_address(first["spec"]["clusterIP"]) + 9)

    async def _put(self, obj: Obj) -> None:
        resource, namespaced = self._resource(obj)
        meta = obj["metadata"]
        namespace = meta.get("namespace", "") if namespaced else ""
        await self._client.patch(resource, meta["name"], obj, namespace, type="apply", manager=MANAGER, force=True)

    async def _remove(self, obj: Obj) -> None:
        resource, namespaced = self._resource(obj)
        meta = obj["metadata"]
        try:
            await self._client.delete(
                resource, meta["name"], meta.get("namespace", "") if namespaced else "", propagation="Background"
            )
        except ApiError as error:
            if error.code != 404:
                raise


def available(workload: Obj) -> bool:
    """Whether a Deployment or DaemonSet has all pods it wants."""
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "DaemonSet":
        return bool(status.get("numberAvailable", 0) >= status.get("desiredNumberScheduled", 0))
    wanted = workload["spec"].get("replicas")
    return bool(status.get("availableReplicas", 0) >= (1 if wanted is None else wanted))
