"""Services, Endpoints and EndpointSlices."""

from __future__ import annotations

import ipaddress
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare.services import needs_health_port
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.pods import BAD_IP, is_ip

PROTOCOLS = ("SCTP", "TCP", "UDP")
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
FAMILIES = ("IPv4", "IPv6")


def _port_text(port: Obj) -> str:
    target = port.get("targetPort")
    if isinstance(target, str):
        shown = f'intstr.IntOrString{{Type:1, IntVal:0, StrVal:"{target}"}}'
    else:
        shown = f'intstr.IntOrString{{Type:0, IntVal:{target or 0}, StrVal:""}}'
    app = "(*string)(nil)" if port.get("appProtocol") is None else "(*string)(0xc000000000)"
    return (
        f"core.ServicePort{{Name:{gotext.quote(port.get('name') or '')}, Protocol:{gotext.quote(port.get('protocol') or '')}, "
        f"AppProtocol:{app}, Port:{port.get('port') or 0}, TargetPort:{shown}, NodePort:{port.get('nodePort') or 0}}}"
    )


def _ports(errors: Errors, spec: Obj) -> None:
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and spec.get("type") != "ExternalName":
        errors.required("spec.ports")
    seen: set[str] = set()
    for where, port in items(ports, "spec.ports"):
        name = port.get("name") or ""
        if len(ports) > 1 and not name:
            errors.required(f"{where}.name")
        elif name:
            errors.invalids(f"{where}.name", name, names.dns_label(name))
            if name in seen:
                errors.duplicate(f"{where}.name", name)
            seen.add(name)
        number = port.get("port") or 0
        errors.invalids(f"{where}.port", number, names.port_number(number))
        if not port.get("protocol"):
            errors.required(f"{where}.protocol")
        else:
            errors.one_of(f"{where}.protocol", port["protocol"], PROTOCOLS)
        target = port.get("targetPort")
        if isinstance(target, str):
            errors.invalids(f"{where}.targetPort", target, names.port_name(target))
        else:
            errors.invalids(f"{where}.targetPort", target or 0, names.port_number(target or 0))
        if port.get("appProtocol") is not None:
            errors.invalids(f"{where}.appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))


def _types(errors: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    kind = spec.get("type")
    if kind == "LoadBalancer":
        for where, port in items(spec.get("ports"), "spec.ports"):
            if port.get("port") == 10250:
                errors.invalid(
                    f"{where}.port", 10250, "may not expose port 10250 externally since it is used by kubelet"
                )
        if spec.get("clusterIP") == "None":
            errors.invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services")
    elif kind == "NodePort":
        if spec.get("clusterIP") == "None":
            errors.invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for NodePort services")
    elif kind == "ExternalName":
        for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(name):
                errors.forbidden(f"spec.{name}", "may not be set for ExternalName services")
        name = (spec.get("externalName") or "").removesuffix(".")
        if name:
            errors.invalids("spec.externalName", name, names.dns_subdomain(name))
        else:
            errors.required("spec.externalName")


def _affinity(errors: Errors, spec: Obj) -> None:
    affinity = spec.get("sessionAffinity")
    if not affinity:
        errors.required("spec.sessionAffinity")
        return
    errors.one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    path = "spec.sessionAffinityConfig"
    if affinity == "ClientIP":
        seconds = at(config, "clientIP", "timeoutSeconds")
        if config is None:
            errors.required(path, "when session affinity type is ClientIP")
        elif seconds is None:
            errors.required(f"{path}.clientIP.timeoutSeconds", "when session affinity type is ClientIP")
        elif not 0 < seconds <= 86400:
            errors.invalid(f"{path}.clientIP.timeoutSeconds", seconds, "must be greater than 0 and less than 86400")
    elif affinity == "None" and config is not None:
        errors.forbidden(path, "must not be set when session affinity is None")


def _addresses(errors: Errors, spec: Obj, context: Context) -> None:
    """`ValidateServiceClusterIPsRelatedFields`."""
    given = spec.get("clusterIPs") or []
    policy, families = spec.get("ipFamilyPolicy"), spec.get("ipFamilies") or []
    if spec.get("type") == "ExternalName":
        return
    if policy is not None:
        errors.one_of("spec.ipFamilyPolicy", policy, POLICIES)
    seen: set[str] = set()
    for index, family in enumerate(families):
        if family not in FAMILIES:
            errors.unsupported(f"spec.ipFamilies[{index}]", family, FAMILIES)
        if family in seen:
            errors.duplicate(f"spec.ipFamilies[{index}]", family)
        seen.add(family)
    single = spec.get("clusterIP") or ""
    if single and not given:
        errors.required("spec.clusterIPs")
    elif given and given[0] != single:
        errors.invalid("spec.clusterIPs[0]", Raw(gotext.strings(given)), "first value must match `clusterIP`")
    for index, text in enumerate(given):
        where = f"spec.clusterIPs[{index}]"
        if index == 0 and text == "None":
            if len(given) > 1:
                errors.invalid(where, text, "'None' must be the first and only value")
            continue
        if not is_ip(text):
            errors.invalid(where, text, BAD_IP)
            continue
        if families and index < len(families) and families[index] in FAMILIES:
            family = "IPv6" if ":" in text else "IPv4"
            if family != families[index]:
                errors.invalid(
                    where, text, f"expected an {families[index]} value as indicated by `ipFamilies[{index}]`"
                )
    if len(given) > 2:
        errors.invalid("spec.clusterIPs", Raw(gotext.strings(given)), "may only hold up to 2 values")
    elif len(given) == 2 and all(is_ip(t) for t in given) and (":" in given[0]) == (":" in given[1]):
        errors.invalid(
            "spec.clusterIPs", Raw(gotext.strings(given)), "may specify no more than one IP for each IP family"
        )


def _external(spec: Obj) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer") or (
        spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def _traffic(errors: Errors, spec: Obj) -> None:
    policy = spec.get("externalTrafficPolicy") or ""
    if _external(spec):
        errors.required_one_of("spec.externalTrafficPolicy", policy, ("Cluster", "Local"), "")
    elif policy:
        errors.invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services")
    port = spec.get("healthCheckNodePort") or 0
    if spec.get("type") == "LoadBalancer" and policy == "Local":
        if port < 0:
            errors.invalid("spec.healthCheckNodePort", port, "must be between 1 and 65535, inclusive")
    elif port:
        errors.invalid(
            "spec.healthCheckNodePort",
            port,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        )
    internal = spec.get("internalTrafficPolicy")
    if internal is None:
        if spec.get("type") != "ExternalName":
            errors.required("spec.internalTrafficPolicy")
    else:
        errors.one_of("spec.internalTrafficPolicy", internal, ("Cluster", "Local"))


def _load_balancer(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    balanced = spec.get("type") == "LoadBalancer"
    ranges = spec.get("loadBalancerSourceRanges") or []
    if ranges:
        if not balanced:
            errors.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
        for index, text in enumerate(ranges):
            try:
                ipaddress.ip_network(text.strip(), strict=False)
                ok = "/" in text
            except ValueError:
                ok = False
            if not ok:
                errors.invalid(
                    f"spec.LoadBalancerSourceRanges[{index}]",
                    text,
                    "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                )
    allocate = spec.get("allocateLoadBalancerNodePorts")
    if balanced:
        if allocate is None:
            errors.required("spec.allocateLoadBalancerNodePorts")
    elif allocate is not None:
        errors.forbidden("spec.allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'")
    name = spec.get("loadBalancerClass")
    old = (context.old or {}).get("spec") or {}
    if old.get("type") == "LoadBalancer" and balanced and name != old.get("loadBalancerClass"):
        errors.invalid("spec.loadBalancerClass", name, "may not change once set")
        return
    if name is not None:
        errors.invalids("spec.loadBalancerClass", name, names.qualified_name(name))
        if not balanced:
            errors.forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")


def service(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    _ports(errors, spec)
    _types(errors, obj)
    meta.labels(errors, spec.get("selector"), "spec.selector")
    _affinity(errors, spec)
    _addresses(errors, spec, context)
    for index, text in enumerate(spec.get("externalIPs") or ()):
        _special_ip(errors, text, f"spec.externalIPs[{index}]")
    kind = spec.get("type")
    if not kind:
        errors.required("spec.type")
    else:
        errors.one_of("spec.type", kind, TYPES)
    if kind in ("ClusterIP", "ExternalName"):
        for where, port in items(spec.get("ports"), "spec.ports"):
            if port.get("nodePort"):
                errors.forbidden(f"{where}.nodePort", f"may not be used when `type` is '{kind}'")
    _duplicate_ports(errors, spec)
    _load_balancer(errors, obj, context)
    _traffic(errors, spec)
    if context.old is None and not errors:
        _single_stack(errors, spec)
    distribution = spec.get("trafficDistribution")
    if distribution is not None:
        errors.one_of("spec.trafficDistribution", distribution, ("PreferClose",))


def _single_stack(errors: Errors, spec: Obj) -> None:
    """The cluster has IPv4 service addresses only."""
    given = spec.get("clusterIPs") or []
    if spec.get("type") == "ExternalName" or (spec.get("clusterIP") == "None" and not spec.get("selector")):
        return
    for index, text in enumerate(given):
        if ":" in text:
            errors.invalid(
                f"spec.clusterIPs[{index}]", Raw(gotext.strings(given)), "IPv6 is not configured on this cluster"
            )
            return
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family == "IPv6":
            errors.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
            return
    if spec.get("ipFamilyPolicy") == "RequireDualStack":
        errors.invalid(
            "spec.ipFamilyPolicy", "RequireDualStack", "this cluster is not configured for dual-stack services"
        )


def _duplicate_ports(errors: Errors, spec: Obj) -> None:
    ports = spec.get("ports") or []
    seen: set[tuple[Any, Any]] = set()
    for where, port in items(ports, "spec.ports"):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            bare = {"protocol": port.get("protocol"), "port": port.get("port")}
            errors.duplicate(where, Raw(_port_text(bare)))
        seen.add(key)


def service_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    fresh, held = spec.get("clusterIPs") or [], old.get("clusterIPs") or []
    if "ExternalName" not in (spec.get("type"), old.get("type")):
        for index in range(min(len(held), 2)):
            if index >= len(fresh):
                if index == 0:
                    errors.invalid(
                        "spec.clusterIPs[0]", Raw(gotext.strings(fresh or None)), "primary clusterIP can not be unset"
                    )
            elif fresh[index] != held[index]:
                errors.invalid(f"spec.clusterIPs[{index}]", Raw(gotext.strings(fresh)), "may not change once set")
    if needs_health_port(old) and needs_health_port(spec):
        port = old.get("healthCheckNodePort") or 0
        if port and (spec.get("healthCheckNodePort") or 0) != port:
            errors.forbidden("spec.healthCheckNodePort", "field is immutable")
    service(errors, obj, context)


def service_status(errors: Errors, obj: Obj, context: Context) -> None:
    ingress = at(obj, "status", "loadBalancer", "ingress") or []
    if ingress and at(obj, "spec", "type") != "LoadBalancer":
        errors.forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'")
        return
    balancer_ingress(errors, ingress, "status.loadBalancer.ingress", modes=True)


def balancer_ingress(errors: Errors, held: Any, path: str, *, modes: bool = False) -> None:
    for where, entry in items(held, path):
        if entry.get("ip") and not is_ip(entry["ip"]):
            errors.invalid(f"{where}.ip", entry["ip"], BAD_IP if not modes else "must be a valid IP address")
        if modes and entry.get("ip") and entry.get("ipMode") is None:
            errors.required(f"{where}.ipMode", "must be specified when `ip` is set")
        if entry.get("ipMode") is not None:
            if not entry.get("ip"):
                errors.forbidden(f"{where}.ipMode", "may not be specified when `ip` is not set")
            errors.one_of(f"{where}.ipMode", entry["ipMode"], ("Proxy", "VIP"))
        name = entry.get("hostname") or ""
        if name:
            errors.invalids(f"{where}.hostname", name, names.dns_subdomain(name))
            if is_ip(name):
                errors.invalid(f"{where}.hostname", name, "must be a DNS name, not an IP address")


def _special_ip(errors: Errors, text: str, path: str) -> None:
    if not is_ip(text):
        errors.invalid(path, text, BAD_IP)
        return
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        errors.invalid(path, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        errors.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        errors.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if address.is_multicast and text.startswith(("224.0.0.", "ff02:")):
        errors.invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def endpoints(errors: Errors, obj: Obj, context: Context) -> None:
    for where, subset in items(obj.get("subsets"), "subsets"):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.required(where, "must specify `addresses` or `notReadyAddresses`")
        for name in ("addresses", "notReadyAddresses"):
            for inner, address in items(subset.get(name), f"{where}.{name}"):
                _special_ip(errors, address.get("ip") or "", f"{inner}.ip")
                if address.get("hostname"):
                    errors.invalids(f"{inner}.hostname", address["hostname"], names.dns_label(address["hostname"]))
        ports = subset.get("ports") or []
        for inner, port in items(ports, f"{where}.ports"):
            name = port.get("name") or ""
            if len(ports) > 1 and not name:
                errors.required(f"{inner}.name")
            elif name:
                errors.invalids(f"{inner}.name", name, names.dns_label(name))
            number = port.get("port") or 0
            errors.invalids(f"{inner}.port", number, names.port_number(number))
            errors.required_one_of(f"{inner}.protocol", port.get("protocol"), PROTOCOLS)


ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


def endpoint_slice(errors: Errors, obj: Obj, context: Context) -> None:
    kind = obj.get("addressType") or ""
    if not kind:
        errors.required("addressType")
    else:
        errors.one_of("addressType", kind, ADDRESS_TYPES)
    _slice_endpoints(errors, obj, kind)
    ports = obj.get("ports") or []
    if len(ports) > 20000:
        errors.too_many("ports", len(ports), 20000)
    seen: set[str] = set()
    for where, port in items(ports, "ports"):
        name = port.get("name") or ""
        if name:
            errors.invalids(f"{where}.name", name, names.dns_label(name))
        if name in seen:
            errors.duplicate(f"{where}.name", name)
        seen.add(name)
        errors.required_one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS)
        if port.get("appProtocol") is not None:
            errors.invalids(f"{where}.appProtocol", port["appProtocol"], names.qualified_name(port["appProtocol"]))


def _slice_endpoints(errors: Errors, obj: Obj, kind: str) -> None:
    held = obj.get("endpoints") or []
    if len(held) > 1000:
        errors.too_many("endpoints", len(held), 1000)
        return
    for where, endpoint in items(held, "endpoints"):
        addresses = endpoint.get("addresses") or []
        if not addresses:
            errors.required(f"{where}.addresses", "must contain at least 1 address")
        elif len(addresses) > 100:
            errors.too_many(f"{where}.addresses", len(addresses), 100)
        for index, address in enumerate(addresses):
            path = f"{where}.addresses[{index}]"
            if kind == "FQDN":
                errors.invalids(path, address, names.fully_qualified_name(address))
                continue
            if not is_ip(address) or (":" in address) != (kind == "IPv6"):
                if kind in ("IPv4", "IPv6"):
                    errors.invalid(f"{where}.addresses", address, f"must be an {kind} address")
                continue
            _special_ip(errors, address, path)
        if endpoint.get("hostname") is not None:
            errors.invalids(f"{where}.hostname", endpoint["hostname"], names.dns_label(endpoint["hostname"]))
        if endpoint.get("nodeName") is not None:
            errors.invalids(f"{where}.nodeName", endpoint["nodeName"], names.dns_subdomain(endpoint["nodeName"]))
        topology = endpoint.get("deprecatedTopology") or {}
        meta.labels(errors, topology, f"{where}.deprecatedTopology")
        if len(topology) > 16:
            errors.too_many(f"{where}.deprecatedTopology", len(topology), 16)
        if endpoint.get("hints") is not None:
            zones = endpoint["hints"].get("forZones") or []
            if len(zones) > 8:
                errors.too_many(f"{where}.hints.forZones", len(zones), 8)
            seen: set[str] = set()
            for inner, zone in items(zones, f"{where}.hints.forZones"):
                name = zone.get("name") or ""
                errors.invalids(f"{inner}.name", name, names.label_value(name))
                if name in seen:
                    errors.duplicate(f"{inner}.name", name)
                seen.add(name)


def endpoint_slice_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    endpoint_slice(errors, obj, context)
    errors.immutable("addressType", obj.get("addressType"), context.old.get("addressType"))
