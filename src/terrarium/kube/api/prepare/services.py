"""Services on their way in: what a type does not have goes, what was allocated stays, families are worked out.

The addresses and ports themselves are the API server's to allocate: it asks `cluster_ips_wanted` and `node_ports_wanted`.
"""

from __future__ import annotations

from typing import Any

from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare.common import keep, spec_of

NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


def create(obj: Obj, context: Context) -> None:
    obj.pop("status", None)
    _drop_disabled(spec_of(obj), None)
    families(obj)


def update(obj: Obj, context: Context) -> None:
    assert context.old is not None
    keep(obj, context.old, "status")
    spec, old = spec_of(obj), context.old.get("spec") or {}
    _drop_disabled(spec, old)
    _keep_allocated(spec, old)
    _drop_by_type(spec, old)
    _unpair(spec, old)
    families(obj)
    if old.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        obj["status"] = {**(obj.get("status") or {}), "loadBalancer": {}}


def _drop_disabled(spec: Obj, old: Any) -> None:
    for name in ("ipFamilies", "clusterIPs"):
        if spec.get(name) == []:
            spec.pop(name)


def needs_cluster_ip(spec: Obj) -> bool:
    return spec.get("type") in ("ClusterIP", "NodePort", "LoadBalancer")


def _keep_allocated(spec: Obj, old: Obj) -> None:
    """What the client left out of what had been allocated, it keeps."""
    if needs_cluster_ip(old) and needs_cluster_ip(spec):
        if not spec.get("clusterIP"):
            spec["clusterIP"] = old.get("clusterIP", "")
        if not spec.get("clusterIPs") and spec.get("clusterIP") == old.get("clusterIP"):
            spec["clusterIPs"] = list(old.get("clusterIPs") or ())
    if _has_node_ports(old) and _has_node_ports(spec):
        taken = {p.get("nodePort") for p in spec.get("ports") or () if p.get("nodePort")}
        held = {
            (p.get("protocol"), p.get("port")): p.get("nodePort") for p in old.get("ports") or () if p.get("nodePort")
        }
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                kept = held.get((port.get("protocol"), port.get("port")))
                if kept and kept not in taken:
                    port["nodePort"] = kept
                    taken.add(kept)
    if needs_health_port(old) and needs_health_port(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old.get("healthCheckNodePort", 0)


def _has_node_ports(spec: Obj) -> bool:
    if spec.get("type") == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return spec.get("type") == "NodePort"


def needs_health_port(spec: Obj) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _same(name: str, spec: Obj, old: Obj) -> bool:
    return bool(spec.get(name)) and spec.get(name) == old.get(name)


def _drop_by_type(spec: Obj, old: Obj) -> None:
    """A field that the new type doesn't have goes, when the client only left it as it was."""
    if needs_cluster_ip(old) and not needs_cluster_ip(spec):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if _same(name, spec, old):
                spec.pop(name)
    if old.get("type") in NODE_PORT_TYPES and spec.get("type") not in NODE_PORT_TYPES:
        held = {p.get("nodePort") for p in old.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in held:
                port.pop("nodePort", None)
    if old.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") == old.get("allocateLoadBalancerNodePorts"):
            spec.pop("allocateLoadBalancerNodePorts", None)
        if _same("loadBalancerClass", spec, old):
            spec.pop("loadBalancerClass")
    if needs_health_port(old) and not needs_health_port(spec) and _same("healthCheckNodePort", spec, old):
        spec.pop("healthCheckNodePort")
    external = ("NodePort", "LoadBalancer")
    if (
        old.get("type") in external
        and spec.get("type") not in external
        and not spec.get("externalIPs")
        and _same("externalTrafficPolicy", spec, old)
    ):
        spec.pop("externalTrafficPolicy")
    if (
        old.get("type") != "ExternalName"
        and spec.get("type") == "ExternalName"
        and _same("internalTrafficPolicy", spec, old)
    ):
        spec.pop("internalTrafficPolicy")
    if old.get("type") == "ExternalName" and spec.get("type") != "ExternalName" and _same("externalName", spec, old):
        spec.pop("externalName")


def _unpair(spec: Obj, old: Obj) -> None:
    """`clusterIP` leads, `clusterIPs` follows, when a client changed only one of them."""
    first = spec.get("clusterIP") or ""
    if first != (old.get("clusterIP") or "") and spec.get("clusterIPs") == old.get("clusterIPs"):
        if not first:
            spec.pop("clusterIPs", None)
        elif len(old.get("clusterIPs") or ()) <= 1:
            spec["clusterIPs"] = [first]


def families(obj: Obj) -> None:
    """`clusterIPs` from `clusterIP`, and address families for a cluster of IPv4 addresses."""
    spec = spec_of(obj)
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    if not needs_cluster_ip(spec):
        return
    headless = spec.get("clusterIP") == "None"
    if headless and not spec.get("selector"):
        if not spec.get("ipFamilyPolicy"):
            spec["ipFamilyPolicy"] = "RequireDualStack"
            if not spec.get("ipFamilies"):
                spec["ipFamilies"] = ["IPv4", "IPv6"]
        elif not spec.get("ipFamilies"):
            spec["ipFamilies"] = ["IPv4"] if spec["ipFamilyPolicy"] == "SingleStack" else ["IPv4", "IPv6"]
            return
    if not spec.get("ipFamilyPolicy"):
        many = len(spec.get("clusterIPs") or ()) > 1 or len(spec.get("ipFamilies") or ()) > 1
        spec["ipFamilyPolicy"] = "RequireDualStack" if many else "SingleStack"
    if not spec.get("ipFamilies"):
        found = ["IPv6" if ":" in ip else "IPv4" for ip in spec.get("clusterIPs") or () if ip != "None"]
        spec["ipFamilies"] = list(dict.fromkeys(found)) or ["IPv4"]


def cluster_ips_wanted(obj: Obj) -> int:
    """How many addresses the server must allocate: none for headless ones, ExternalNames and given addresses."""
    spec = spec_of(obj)
    return 0 if not needs_cluster_ip(spec) or spec.get("clusterIP") else 1


def node_ports_wanted(obj: Obj) -> list[Obj]:
    """The ports, entries of `spec.ports`, that need a node port."""
    spec = spec_of(obj)
    if spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        return []
    if spec.get("type") not in NODE_PORT_TYPES:
        return []
    return [port for port in spec.get("ports") or () if not port.get("nodePort")]
