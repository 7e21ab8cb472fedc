"""Defaults of Services and endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.kube.api.defaults import Default, Rule
from terrarium.kube.api.kinds import Obj

AFFINITY_SECONDS = 10800


def _affinity(spec: Obj) -> None:
    if spec.get("sessionAffinity") == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec.get("sessionAffinity") == "ClientIP":
        config = spec.get("sessionAffinityConfig")
        if not config or not config.get("clientIP") or config["clientIP"].get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}


def _target_port(port: Obj) -> None:
    if not port.get("targetPort"):
        port["targetPort"] = port.get("port", 0)


def _traffic(spec: Obj) -> None:
    kind = spec.get("type")
    if kind in ("NodePort", "LoadBalancer") and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if kind in ("NodePort", "LoadBalancer", "ClusterIP") and spec.get("internalTrafficPolicy") is None:
        spec["internalTrafficPolicy"] = "Cluster"
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True
    if (
        kind == "LoadBalancer"
        and (spec.get("externalTrafficPolicy") or "Cluster") != "Cluster"
        and not spec.get("loadBalancerSourceRanges")
    ):
        spec.pop("loadBalancerSourceRanges", None)


def _ip_mode(service: Obj) -> None:
    if (service.get("spec") or {}).get("type") == "LoadBalancer":
        for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if entry.get("ip") and entry.get("ipMode") is None:
                entry["ipMode"] = "VIP"


def _external_ips(spec: Obj) -> None:
    if spec.get("type") == "ClusterIP" and spec.get("externalIPs") and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"


RULES: Mapping[str, Sequence[Rule]] = {
    "core.v1.ServiceSpec": (
        Default("sessionAffinity", "None"),
        _affinity,
        Default("type", "ClusterIP"),
        _traffic,
        _external_ips,
    ),
    "core.v1.Service": (_ip_mode,),
    "core.v1.ServicePort": (Default("protocol", "TCP"), _target_port),
    "core.v1.EndpointPort": (Default("protocol", "TCP"),),
    "discovery.v1.EndpointPort": (Default("name", ""), Default("protocol", "TCP")),
}
