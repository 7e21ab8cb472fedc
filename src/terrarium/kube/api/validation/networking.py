"""Ingresses, IngressClasses and NetworkPolicies."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.pods import is_ip
from terrarium.kube.api.validation.services import balancer_ingress

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
CLASS = "kubernetes.io/ingress.class"
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")


def ingress_spec(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        errors.invalid(
            "spec", Raw("[]networking.IngressRule(nil)"), "either `defaultBackend` or `rules` must be specified"
        )
    if spec.get("defaultBackend") is not None:
        _backend(errors, spec["defaultBackend"], "spec.defaultBackend")
    for where, rule in items(spec.get("rules"), "spec.rules"):
        host = rule.get("host") or ""
        if host:
            if is_ip(host):
                errors.invalid(f"{where}.host", host, "must be a DNS name, not an IP address")
            rule_of = names.wildcard_subdomain if "*" in host else names.dns_subdomain
            errors.invalids(f"{where}.host", host, rule_of(host))
        if rule.get("http") is not None:
            _paths(errors, rule["http"], f"{where}.http.paths")
    for where, tls in items(spec.get("tls"), "spec.tls"):
        for index, host in enumerate(tls.get("hosts") or ()):
            rule_of = names.wildcard_subdomain if "*" in host else names.dns_subdomain
            errors.invalids(f"{where}.hosts[{index}]", host, rule_of(host))
        if tls.get("secretName"):
            errors.invalids(f"{where}.secretName", tls["secretName"], names.dns_subdomain(tls["secretName"]))
    if spec.get("ingressClassName") is not None:
        errors.invalids(
            "spec.ingressClassName", spec["ingressClassName"], names.dns_subdomain(spec["ingressClassName"])
        )


def ingress_warnings(obj: Obj, context: Context) -> list[str]:
    if context.old is None and at(obj, "metadata", "annotations", CLASS) is not None:
        return [f"annotation {gotext.quote(CLASS)} is deprecated, please use 'spec.ingressClassName' instead"]
    return []


def ingress_create(errors: Errors, obj: Obj, context: Context) -> None:
    annotation = at(obj, "metadata", "annotations", CLASS)
    name = at(obj, "spec", "ingressClassName")
    if annotation is not None and name is not None and annotation != name:
        errors.invalid(f"annotations.{CLASS}", annotation, "must match `ingressClassName` when both are specified")
    ingress_spec(errors, obj, context)


def _paths(errors: Errors, http: Obj, path: str) -> None:
    if not http.get("paths"):
        errors.required(path)
    for where, entry in items(http.get("paths"), path):
        kind, text = entry.get("pathType"), entry.get("path") or ""
        if kind is None:
            errors.required(f"{where}.pathType", "pathType must be specified")
        elif kind in ("Exact", "Prefix"):
            if not text.startswith("/"):
                errors.invalid(f"{where}.path", text, "must be an absolute path")
            if text:
                for bad in _BAD_SEQUENCES:
                    if bad in text:
                        errors.invalid(f"{where}.path", text, f"must not contain '{bad}'")
                for bad in _BAD_SUFFIXES:
                    if text.endswith(bad):
                        errors.invalid(f"{where}.path", text, f"cannot end with '{bad}'")
        elif kind == "ImplementationSpecific":
            if text and not text.startswith("/"):
                errors.invalid(f"{where}.path", text, "must be an absolute path")
        else:
            errors.unsupported(f"{where}.pathType", kind, PATH_TYPES)
        _backend(errors, entry.get("backend") or {}, f"{where}.backend")


def _backend(errors: Errors, backend: Obj, path: str) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        errors.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        if resource.get("apiGroup") is not None:
            group = resource["apiGroup"]
            errors.invalids(f"{path}.resource.apiGroup", group, names.dns_subdomain(group))
        for name in ("kind", "name"):
            if not resource.get(name):
                errors.required(f"{path}.resource.{name}")
            else:
                errors.invalids(f"{path}.resource.{name}", resource[name], names.path_segment(resource[name]))
    elif service is None:
        errors.invalid(path, "", "resource or service backend is required")
    else:
        name = service.get("name") or ""
        if not name:
            errors.required(f"{path}.service.name")
        else:
            errors.invalids(f"{path}.service.name", name, names.dns_label_1035(name))
        port = service.get("port") or {}
        if port.get("name") and port.get("number"):
            errors.invalid(path, "", "cannot set both port name & port number")
        elif port.get("name"):
            errors.invalids(f"{path}.service.port.name", port["name"], names.port_name(port["name"]))
        elif port.get("number"):
            errors.invalids(f"{path}.service.port.number", port["number"], names.port_number(port["number"]))
        else:
            errors.required(path, "port name or number is required")


def ingress_status(errors: Errors, obj: Obj, context: Context) -> None:
    balancer_ingress(errors, at(obj, "status", "loadBalancer", "ingress"), "status.loadBalancer.ingress")


def ingress_class(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    controller = spec.get("controller") or ""
    if len(controller) > 250:
        errors.too_long("spec.controller", 250)
    if not controller:
        errors.required("spec.controller")
    else:
        domain_path(errors, controller, "spec.controller")
    _parameters(errors, spec.get("parameters"), "spec.parameters")


def domain_path(errors: Errors, text: str, path: str) -> None:
    domain, slash, rest = text.partition("/")
    if not slash or not domain or not rest:
        errors.invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    for fault in names.dns_subdomain(domain):
        errors.invalid(path, domain, fault)
    if not re.fullmatch(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", rest):
        errors.invalid(
            path,
            rest,
            names.regex_error("Invalid path", r"^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$"),
        )


def _parameters(errors: Errors, held: Any, path: str) -> None:
    if held is None:
        return
    for name in ("kind", "name"):
        if not held.get(name):
            errors.required(f"{path}.{name}")
        else:
            errors.invalids(f"{path}.{name}", held[name], names.path_segment(held[name]))
    if held.get("apiGroup"):
        errors.invalids(f"{path}.apiGroup", held["apiGroup"], names.dns_subdomain(held["apiGroup"]))
    scope, namespace = held.get("scope"), held.get("namespace")
    if scope is None:
        errors.required(f"{path}.scope")
        return
    errors.one_of(f"{path}.scope", scope, ("Cluster", "Namespace"))
    if scope == "Namespace":
        if not namespace:
            errors.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            errors.invalids(f"{path}.namespace", namespace, names.dns_label(namespace))
    elif scope == "Cluster" and namespace is not None:
        errors.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


def ingress_class_update(errors: Errors, obj: Obj, context: Context) -> None:
    errors.immutable("spec.controller", at(obj, "spec", "controller"), at(context.old, "spec", "controller"))


def _policy_port(errors: Errors, port: Obj, path: str) -> None:
    if port.get("protocol") is not None and port["protocol"] not in ("TCP", "UDP", "SCTP"):
        errors.unsupported(f"{path}.protocol", port["protocol"], ("TCP", "UDP", "SCTP"))
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, str):
        if end is not None:
            errors.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
        errors.invalids(f"{path}.port", number, names.port_name(number))
    elif number is not None:
        errors.invalids(f"{path}.port", number, names.port_number(number))
        if end is not None:
            if end < number:
                errors.invalid(f"{path}.endPort", number, "must be greater than or equal to `port`")
            errors.invalids(f"{path}.endPort", end, names.port_number(end))
    elif end is not None:
        errors.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")


def _peer(errors: Errors, peer: Obj, path: str) -> None:
    count = 0
    for name in ("podSelector", "namespaceSelector"):
        if peer.get(name) is not None:
            count += 1
            meta.label_selector(errors, peer[name], f"{path}.{name}")
    if peer.get("ipBlock") is not None:
        count += 1
        _block(errors, peer["ipBlock"], f"{path}.ipBlock")
    if count == 0:
        errors.required(path, "must specify a peer")
    elif count > 1 and peer.get("ipBlock") is not None:
        errors.forbidden(path, "may not specify both ipBlock and another peer")


def _block(errors: Errors, block: Obj, path: str) -> None:
    text = block.get("cidr") or ""
    if not text:
        errors.required(f"{path}.cidr")
        return
    bad = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

    def network(value: str) -> Any:
        try:
            return ipaddress.ip_network(value, strict=False) if "/" in value else None
        except ValueError:
            return None

    whole = network(text)
    if whole is None:
        errors.invalid(f"{path}.cidr", text, bad)
        return
    for index, part in enumerate(block.get("except") or ()):
        inner = network(part)
        if inner is None:
            errors.invalid(f"{path}.except[{index}]", part, bad)
        elif inner.version != whole.version or not inner.subnet_of(whole) or inner == whole:
            errors.invalid(f"{path}.except[{index}]", part, "must be a strict subset of `cidr`")


def network_policy(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    meta.label_selector(errors, spec.get("podSelector") or {}, "spec.podSelector")
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for where, rule in items(spec.get(side), f"spec.{side}"):
            for inner, port in items(rule.get("ports"), f"{where}.ports"):
                _policy_port(errors, port, inner)
            for inner, peer in items(rule.get(peers), f"{where}.{peers}"):
                _peer(errors, peer, inner)
    kinds = spec.get("policyTypes") or []
    if len(kinds) > 2:
        printed = gotext.strings(kinds).replace("[]string", "[]networking.PolicyType")
        errors.invalid("spec.policyTypes", Raw(printed), "may not specify more than two policyTypes")
        return
    for index, kind in enumerate(kinds):
        if kind not in ("Ingress", "Egress"):
            errors.unsupported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress"))
