"""Services, endpoints, configuration, storage, events, namespaces."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from terrarium.kube.api.columns.make import (
    AGE,
    CREATED,
    NAME,
    NONE,
    UNKNOWN,
    at,
    column,
    labels,
    name_of,
    selector,
    since,
    string,
    timed,
)
from terrarium.kube.api.kinds import Column, Obj

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(held: Any) -> str:
    given = set(held or ())
    return ",".join(short for mode, short in _MODES.items() if mode in given)


def _balancer(service: Obj, *, wide: bool = True) -> str:
    found = sorted(
        {i.get("ip") or i.get("hostname") or "" for i in at(service, "status", "loadBalancer", "ingress") or ()} - {""}
    )
    return ",".join(found)


def _external(service: Obj) -> str:
    spec = service.get("spec") or {}
    given = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            held = [_balancer(service)] if _balancer(service) else []
            if given:
                return ",".join([*held, *given])
            return held[0] if held else "<pending>"
        case "ExternalName":
            return spec.get("externalName") or ""
    return UNKNOWN


def _service_ports(service: Obj) -> str:
    shown = []
    for port in at(service, "spec", "ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', '')}")
    return ",".join(shown) or NONE


def _endpoints(obj: Obj) -> str:
    shown: list[str] = []
    subsets = obj.get("subsets") or ()
    more = False
    for subset in subsets:
        addresses = subset.get("addresses") or ()
        ports = subset.get("ports") or ()
        if not ports:
            for address in addresses:
                if len(shown) == 3:
                    more = True
                    break
                shown.append(address.get("ip", ""))
            continue
        for port in ports:
            for address in addresses:
                if len(shown) == 3:
                    more = True
                    break
                ip = address.get("ip", "")
                shown.append(f"[{ip}]:{port.get('port')}" if ":" in ip else f"{ip}:{port.get('port')}")
    if not shown:
        return NONE
    total = sum(len(s.get("addresses") or ()) * max(len(s.get("ports") or ()), 1) for s in subsets)
    return ",".join(shown) + (f" + {total - len(shown)} more..." if more else "")


def _slice_ports(obj: Obj) -> str:
    ports = obj.get("ports") or ()
    if not ports:
        return UNSET
    shown = ["*" if p.get("port") is None else str(p["port"]) for p in ports]
    return _some(shown)


def _some(values: list[str]) -> str:
    if len(values) > 3:
        return ",".join(values[:3]) + f" + {len(values) - 3} more..."
    return ",".join(values)


UNSET = "<unset>"


def _slice_endpoints(obj: Obj) -> str:
    values = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return _some(values) if values else UNSET


def _deleting_or(obj: Obj, *path: str) -> str:
    return "Terminating" if at(obj, "metadata", "deletionTimestamp") else str(at(obj, *path) or "")


def _claim(volume: Obj) -> str:
    ref = at(volume, "spec", "claimRef")
    return f"{ref.get('namespace', '')}/{ref.get('name', '')}" if ref else ""


def _class(obj: Obj) -> str:
    beta = at(obj, "metadata", "annotations") or {}
    if "volume.beta.kubernetes.io/storage-class" in beta:
        return str(beta["volume.beta.kubernetes.io/storage-class"])
    return str(at(obj, "spec", "storageClassName") or "")


def _mode(obj: Obj) -> str:
    return str(at(obj, "spec", "volumeMode") or UNSET)


def _attributes(obj: Obj) -> str:
    return str(at(obj, "spec", "volumeAttributesClassName") or UNSET)


def _capacity(claim: Obj) -> str:
    return str(at(claim, "status", "capacity", "storage") or "0") if at(claim, "spec", "volumeName") else ""


def _claim_modes(claim: Obj) -> str:
    return _modes(at(claim, "status", "accessModes")) if at(claim, "spec", "volumeName") else ""


def _quota(side: str) -> Any:
    def read(quota: Obj) -> str:
        hard, used = at(quota, "status", "hard") or {}, at(quota, "status", "used") or {}
        names = [n for n in sorted(hard) if n.startswith("limits.") == (side == "limits")]
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)

    return read


# -- events -----------------------------------------------------------------------------------------------------------


def _event_times(event: Obj) -> tuple[str | None, str | None]:
    modern = "eventTime" in event and event.get("eventTime")
    first = (
        event.get("firstTimestamp")
        or event.get("deprecatedFirstTimestamp")
        or (event.get("eventTime") if modern else None)
    )
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or first
    series = event.get("series") or {}
    if series.get("lastObservedTime"):
        last = series["lastObservedTime"]
    return first, last


def _last_seen(event: Obj, now: datetime) -> str:
    return since(_event_times(event)[1], now)


def _first_seen(event: Obj, now: datetime) -> str:
    return since(_event_times(event)[0], now)


def _count(event: Obj) -> int:
    series = event.get("series")
    if series:
        return int(series.get("count") or 0)
    return int(event.get("count") or event.get("deprecatedCount") or 1)


def _involved(event: Obj) -> Obj:
    return event.get("involvedObject") or event.get("regarding") or {}


def _object(event: Obj) -> str:
    involved = _involved(event)
    kind = str(involved.get("kind") or "").lower()
    return f"{kind}/{involved['name']}" if involved.get("name") else kind


def _source(event: Obj) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _message(event: Obj) -> str:
    return str(event.get("message") or event.get("note") or "").strip()


_EVENTS = (
    timed("Last Seen", _last_seen, about="@core.v1.Event.lastTimestamp"),
    column("Type", string("type"), about="@core.v1.Event.type"),
    column("Reason", string("reason"), about="@core.v1.Event.reason"),
    column("Object", _object, about="@core.v1.Event.involvedObject"),
    column(
        "Subobject",
        lambda e: _involved(e).get("fieldPath") or "",
        wide=True,
        about="@core.v1.ObjectReference.fieldPath",
    ),
    column("Source", _source, wide=True, about="@core.v1.Event.source"),
    column("Message", _message, about="@core.v1.Event.message"),
    timed("First Seen", _first_seen, wide=True, about="@core.v1.Event.firstTimestamp"),
    column("Count", _count, wide=True, about="@core.v1.Event.count"),
    column("Name", name_of, format="name", wide=True, about="@meta.v1.ObjectMeta.name"),
)

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "services": (
        NAME,
        column("Type", string("spec", "type"), about="@core.v1.ServiceSpec.type"),
        column("Cluster-IP", lambda s: at(s, "spec", "clusterIP") or NONE, about="@core.v1.ServiceSpec.clusterIP"),
        column("External-IP", _external, about="@core.v1.ServiceSpec.externalIPs"),
        column("Port(s)", _service_ports, about="@core.v1.ServiceSpec.ports"),
        AGE,
        column(
            "Selector", lambda s: labels(at(s, "spec", "selector")), wide=True, about="@core.v1.ServiceSpec.selector"
        ),
    ),
    "endpoints": (NAME, column("Endpoints", _endpoints, about="@core.v1.Endpoints.subsets"), AGE),
    "endpointslices.discovery.k8s.io": (
        NAME,
        column("AddressType", string("addressType"), about="@discovery.v1beta1.EndpointSlice.addressType"),
        column("Ports", _slice_ports, about="@discovery.v1beta1.EndpointSlice.ports"),
        column("Endpoints", _slice_endpoints, about="@discovery.v1.EndpointSlice.endpoints"),
        AGE,
    ),
    "namespaces": (NAME, column("Status", string("status", "phase"), about="The status of the namespace"), AGE),
    "secrets": (
        NAME,
        column("Type", string("type"), about="@core.v1.Secret.type"),
        column("Data", lambda s: len(s.get("data") or ()), about="@core.v1.Secret.data"),
        AGE,
    ),
    "configmaps": (
        NAME,
        column(
            "Data", lambda c: len(c.get("data") or ()) + len(c.get("binaryData") or ()), about="@core.v1.ConfigMap.data"
        ),
        AGE,
    ),
    "serviceaccounts": (
        NAME,
        column("Secrets", lambda s: len(s.get("secrets") or ()), about="@core.v1.ServiceAccount.secrets"),
        AGE,
    ),
    "persistentvolumes": (
        NAME,
        column(
            "Capacity", string("spec", "capacity", "storage", empty="0"), about="@core.v1.PersistentVolumeSpec.capacity"
        ),
        column(
            "Access Modes",
            lambda v: _modes(at(v, "spec", "accessModes")),
            about="@core.v1.PersistentVolumeSpec.accessModes",
        ),
        column(
            "Reclaim Policy",
            string("spec", "persistentVolumeReclaimPolicy"),
            about="@core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy",
        ),
        column("Status", lambda v: _deleting_or(v, "status", "phase"), about="@core.v1.PersistentVolumeStatus.phase"),
        column("Claim", _claim, about="@core.v1.PersistentVolumeSpec.claimRef"),
        column("StorageClass", _class, about="StorageClass of the pv"),
        column("VolumeAttributesClass", _attributes, about="VolumeAttributesClass of the pv"),
        column("Reason", string("status", "reason"), about="@core.v1.PersistentVolumeStatus.reason"),
        AGE,
        column("VolumeMode", _mode, wide=True, about="@core.v1.PersistentVolumeSpec.volumeMode"),
    ),
    "persistentvolumeclaims": (
        NAME,
        column(
            "Status", lambda v: _deleting_or(v, "status", "phase"), about="@core.v1.PersistentVolumeClaimStatus.phase"
        ),
        column("Volume", string("spec", "volumeName"), about="@core.v1.PersistentVolumeClaimSpec.volumeName"),
        column("Capacity", _capacity, about="@core.v1.PersistentVolumeClaimStatus.capacity"),
        column("Access Modes", _claim_modes, about="@core.v1.PersistentVolumeClaimStatus.accessModes"),
        column("StorageClass", _class, about="StorageClass of the pvc"),
        column("VolumeAttributesClass", _attributes, about="VolumeAttributesClass of the pvc"),
        AGE,
        column("VolumeMode", _mode, wide=True, about="@core.v1.PersistentVolumeClaimSpec.volumeMode"),
    ),
    "resourcequotas": (
        NAME,
        column(
            "Request",
            _quota("requests"),
            about="Request represents a minimum amount of cpu/memory that a container may consume.",
        ),
        column(
            "Limit",
            _quota("limits"),
            about="Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
        AGE,
    ),
    "limitranges": (NAME, CREATED),
    "componentstatuses": (
        NAME,
        column("Status", lambda c: _component(c, "status"), about="Status of the component conditions"),
        column("Message", lambda c: _component(c, "message"), about="Message of the component conditions"),
        column("Error", lambda c: _component(c, "error"), about="Error of the component conditions"),
    ),
    "events": _EVENTS,
    "events.events.k8s.io": _EVENTS,
    "networkpolicies.networking.k8s.io": (
        NAME,
        column(
            "Pod-Selector",
            lambda p: selector(at(p, "spec", "podSelector") or {}),
            about="@extensions.v1beta1.NetworkPolicySpec.podSelector",
        ),
        AGE,
    ),
}


def _component(obj: Obj, name: str) -> str:
    for condition in obj.get("conditions") or ():
        if condition.get("type") == "Healthy":
            if name == "status":
                return "Healthy" if condition.get("status") == "True" else "Unhealthy"
            return str(condition.get(name) or "")
    return "Unknown" if name == "status" else ""
