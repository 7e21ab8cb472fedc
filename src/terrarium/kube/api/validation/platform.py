"""Configuration, nodes, events, leases, priority and runtime classes, revisions, namespaces."""

from __future__ import annotations

import base64
import ipaddress
import json
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation import containers, meta, scheduling
from terrarium.kube.api.validation.fields import Errors, Raw, at, items

LARGEST = 1024 * 1024


# -- configuration ----------------------------------------------------------------------------------------------------


def config_map(errors: Errors, obj: Obj, context: Context) -> None:
    total = 0
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in sorted(data):
        errors.invalids(f"data[{key}]", key, names.config_map_key(key))
        if key in binary:
            errors.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        total += len(data[key].encode())
    for key in sorted(binary):
        errors.invalids(f"binaryData[{key}]", key, names.config_map_key(key))
        total += len(base64.b64decode(binary[key] or ""))
    if total > LARGEST:
        errors.too_long("", LARGEST)


def _frozen(errors: Errors, obj: Obj, old: Obj, *fields: str) -> None:
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        errors.forbidden("immutable", "field is immutable when `immutable` is set")
    for name in fields:
        if (obj.get(name) or {}) != (old.get(name) or {}):
            errors.forbidden(name, "field is immutable when `immutable` is set")


def config_map_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    _frozen(errors, obj, context.old, "data", "binaryData")
    config_map(errors, obj, context)


_NEEDS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def secret(errors: Errors, obj: Obj, context: Context) -> None:
    data = obj.get("data") or {}
    total = 0
    for key in sorted(data):
        errors.invalids(f"data[{key}]", key, names.config_map_key(key))
        total += len(base64.b64decode(data[key] or ""))
    if total > LARGEST:
        errors.too_long("data", LARGEST)
    kind = obj.get("type") or ""
    if kind == "kubernetes.io/service-account-token":
        if not at(obj, "metadata", "annotations", "kubernetes.io/service-account.name"):
            errors.required("metadata.annotations[kubernetes.io/service-account.name]")
    elif kind == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
        errors.required("data[username]")
        errors.required("data[password]")
    for key in _NEEDS.get(kind, ()):
        if key not in data:
            errors.required(f"data[{key}]")
        elif kind.startswith("kubernetes.io/docker"):
            try:
                json.loads(base64.b64decode(data[key] or ""))
            except ValueError:
                errors.invalid(f"data[{key}]", "<secret contents redacted>", "invalid character")
        elif kind == "kubernetes.io/ssh-auth" and not data[key]:
            errors.required(f"data[{key}]")


def secret_warnings(obj: Obj, context: Context) -> list[str]:
    """A TLS secret whose pair can't be read is kept, with a warning."""
    if obj.get("type") != "kubernetes.io/tls":
        return []
    data = obj.get("data") or {}
    if b"-----BEGIN" not in base64.b64decode(data.get("tls.crt") or ""):
        return ["tls: failed to find any PEM data in certificate input"]
    if b"-----BEGIN" not in base64.b64decode(data.get("tls.key") or ""):
        return ["tls: failed to find any PEM data in key input"]
    return []


def secret_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    errors.immutable("type", obj.get("type"), context.old.get("type"))
    _frozen(errors, obj, context.old, "data")
    secret(errors, obj, context)


# -- nodes ------------------------------------------------------------------------------------------------------------


def node(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    scheduling.taints(errors, spec.get("taints"), "metadata.taints")
    _node_capacity(errors, obj)
    _cidrs(errors, spec)
    if (spec.get("configSource") or None) is not None:
        errors.forbidden("spec.configSource", "configSource may not be set")


def _node_capacity(errors: Errors, obj: Obj) -> None:
    for side in ("capacity", "allocatable"):
        held = at(obj, "status", side) or {}
        for name in sorted(held):
            containers.resource_value(errors, name, Quantity.of(held[name]), f"status.{side}.{name}")


def _cidrs(errors: Errors, spec: Obj) -> None:
    held = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    for index, text in enumerate(held):
        try:
            ok = "/" in text and bool(ipaddress.ip_network(text, strict=False))
        except ValueError:
            ok = False
        if not ok:
            errors.invalid(
                f"spec.podCIDRs[{index}]", text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            )


def node_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    _node_capacity(errors, obj)
    addresses = at(obj, "status", "addresses") or []
    seen: list[Any] = []
    for where, address in items(addresses, "status.addresses"):
        if address in seen:
            errors.duplicate(
                where, Raw(f'core.NodeAddress{{Type:"{address.get("type")}", Address:"{address.get("address")}"}}')
            )
        seen.append(address)
    held = old.get("podCIDRs") or []
    if held and (spec.get("podCIDRs") or []) != held:
        errors.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if old.get("providerID") and spec.get("providerID") != old.get("providerID"):
        errors.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')
    scheduling.taints(errors, spec.get("taints"), "metadata.taints")


# -- events and leases ------------------------------------------------------------------------------------------------

EVENTS = "events.k8s.io/v1"


def event(errors: Errors, obj: Obj, context: Context) -> None:
    """Core events are hardly checked; those of events.k8s.io fully."""
    namespace = at(obj, "metadata", "namespace") or ""
    modern = obj.get("apiVersion") == EVENTS
    involved = (obj.get("regarding") if modern else obj.get("involvedObject")) or {}
    target = involved.get("namespace") or ""
    if target:
        if namespace != target:
            errors.invalid("involvedObject.namespace", target, "does not match event.namespace")
    elif namespace not in ("", "default", "kube-system"):
        errors.invalid("involvedObject.namespace", target, "does not match event.namespace")
    if not modern or context.old is not None:
        return
    if obj.get("eventTime") is None:
        errors.required("eventTime")
    for name, limit in (("reportingController", 128), ("reportingInstance", 128), ("action", 128), ("reason", 128)):
        text = obj.get(name) or ""
        if not text:
            errors.required(name)
        elif name == "reportingController":
            errors.invalids(name, text, names.qualified_name(text))
        elif len(text) > limit:
            errors.invalid(name, "", f"can have at most {limit} characters")
    if len(obj.get("note") or "") > 1024:
        errors.invalid("message", "", "can have at most 1024 characters")
    if obj.get("type") not in ("Normal", "Warning"):
        errors.invalid("type", "", f"has invalid value: {obj.get('type') or ''}")
    for old, told in (
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("deprecatedSource", "source"),
    ):
        if obj.get(old):
            errors.invalid(told, "", "needs to be unset")


_EVENT_FIXED = (
    "regarding",
    "reason",
    "action",
    "reportingController",
    "reportingInstance",
    "type",
    "related",
    "eventTime",
)


def event_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    event(errors, obj, context)
    if obj.get("apiVersion") == EVENTS:
        for name in _EVENT_FIXED:
            path = {"regarding": "involvedObject"}.get(name, name)
            if (obj.get(name) or None) != (context.old.get(name) or None):
                errors.invalid(path, Raw(gotext.v(obj.get(name))), "field is immutable")


def lease(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    if spec.get("leaseDurationSeconds") is not None and spec["leaseDurationSeconds"] <= 0:
        errors.invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
    if spec.get("leaseTransitions") is not None and spec["leaseTransitions"] < 0:
        errors.invalid("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0")
    if spec.get("holderIdentity") is not None and not spec["holderIdentity"]:
        errors.invalid("spec.holderIdentity", "", "must not be empty")


# -- classes and the rest ---------------------------------------------------------------------------------------------


def priority_class(errors: Errors, obj: Obj, context: Context) -> None:
    name, value = at(obj, "metadata", "name") or "", obj.get("value") or 0
    if name.startswith("system-"):
        known = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
        if name not in known:
            errors.forbidden(
                "metadata.name",
                "priority class names with 'system-' prefix are reserved for system use only. error: "
                + f"{name} is not a known system priority class",
            )
        elif value != known[name]:
            errors.forbidden(
                "metadata.name",
                f"priority class names with 'system-' prefix are reserved for system use only. error: value of {name} PriorityClass must be {known[name]}",
            )
    elif value > 1_000_000_000:
        errors.forbidden("value", f"maximum allowed value of a user defined priority is {1_000_000_000}")
    if obj.get("preemptionPolicy") is not None:
        errors.required_one_of("preemptionPolicy", obj["preemptionPolicy"], ("PreemptLowerPriority", "Never"))


def priority_class_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    if (obj.get("value") or 0) != (context.old.get("value") or 0):
        errors.forbidden("value", "may not be changed in an update.")
    errors.immutable("preemptionPolicy", obj.get("preemptionPolicy"), context.old.get("preemptionPolicy"))


def runtime_class(errors: Errors, obj: Obj, context: Context) -> None:
    handler = obj.get("handler") or ""
    errors.invalids("handler", handler, names.dns_label(handler))
    fixed = at(obj, "overhead", "podFixed")
    if fixed is not None:
        for name in sorted(fixed):
            where = f"overhead.limits[{name}]"
            containers.container_resource_name(errors, name, where)
            containers.resource_value(errors, name, Quantity.of(fixed[name]), where)
    selected = obj.get("scheduling")
    if selected is not None:
        meta.labels(errors, selected.get("nodeSelector"), "scheduling.nodeSelector")
        scheduling.tolerations(errors, selected.get("tolerations"), "scheduling.tolerations")


def runtime_class_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    errors.immutable("handler", obj.get("handler"), context.old.get("handler"))


def revision(errors: Errors, obj: Obj, context: Context) -> None:
    if obj.get("data") is None:
        errors.required("data", "data is mandatory")
    if (obj.get("revision") or 0) < 0:
        errors.invalid("revision", obj["revision"], "must be greater than or equal to 0")


def revision_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    if obj.get("data") != context.old.get("data"):
        errors.invalid("data", Raw(gotext.v(obj.get("data"))), "field is immutable")
    revision(errors, obj, context)


def namespace_finalize(errors: Errors, obj: Obj, context: Context) -> None:
    for index, name in enumerate(at(obj, "spec", "finalizers") or ()):
        errors.invalids(f"spec.finalizers[{index}]", name, names.qualified_name(name))
        if "/" not in name and name not in meta.STANDARD_FINALIZERS:
            errors.invalid(
                f"spec.finalizers[{index}]", name, "name is neither a standard finalizer name nor is it fully qualified"
            )


def namespace_status(errors: Errors, obj: Obj, context: Context) -> None:
    phase = at(obj, "status", "phase")
    if not at(obj, "metadata", "deletionTimestamp"):
        if phase != "Active":
            errors.invalid("status.Phase", phase or "", "may only be 'Active' if `deletionTimestamp` is empty")
    elif phase != "Terminating":
        errors.invalid("status.Phase", phase or "", "may only be 'Terminating' if `deletionTimestamp` is not empty")
