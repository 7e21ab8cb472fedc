"""Which pods answer for a Service: EndpointSlices, and the older Endpoints.

Pure parts first: the endpoints of a Service grouped by their ports, and how they are laid into slices of at most 100 so
that as few slices as possible change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ENDPOINT_SLICES, NODES, PODS, SERVICES, ApiError, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

ENDPOINTS = Resource("", "v1", "endpoints")
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
OLD_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MOST_IN_SLICE = 100
MOST_ADDRESSES = 1000
ZONE = "topology.kubernetes.io/zone"

Endpoint = dict[str, Any]
Ports = tuple[tuple[tuple[str, Any], ...], ...]
"""Ports as a value that can be a key: sorted items of each."""


def answers(pod: Obj, terminating_too: bool) -> bool:
    status = o.status(pod)
    if not (status.get("podIPs") or status.get("podIP")) or (o.deleting(pod) and not terminating_too):
        return False
    return status.get("phase") not in ("Succeeded", "Failed")


def target_port(pod: Obj, port: Mapping[str, Any]) -> int | None:
    """The number of a Service's port in a pod; None when the pod has no port of that name."""
    wanted = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted or int(port["port"])
    containers = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*(pod["spec"].get("containers") or ()), *containers]:
        for offered in container.get("ports") or ():
            if offered.get("name") == wanted and offered.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(offered["containerPort"])
    return None


def pod_ports(service: Obj, pod: Obj) -> Ports:
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(pod, port)
        if number is not None:
            entry = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
            if port.get("appProtocol"):
                entry["appProtocol"] = port["appProtocol"]
            found.append(tuple(sorted(entry.items())))
    return tuple(found)


def families(service: Obj) -> list[str]:
    return list(service["spec"].get("ipFamilies") or ["IPv4"])


def addresses(pod: Obj, family: str) -> list[str]:
    status = o.status(pod)
    ips = [entry["ip"] for entry in status.get("podIPs") or ()] or [status["podIP"]]
    return [ip for ip in ips if (":" in ip) == (family == "IPv6")]


def pod_reference(pod: Obj) -> dict[str, str]:
    return {"kind": "Pod", "namespace": o.namespace(pod), "name": o.name(pod), "uid": o.uid(pod)}


def host_name(service: Obj, pod: Obj) -> str:
    spec = pod["spec"]
    return str(spec["hostname"]) if spec.get("hostname") and spec.get("subdomain") == o.name(service) else ""


def endpoint(service: Obj, pod: Obj, family: str, zone: str) -> Endpoint:
    serving, terminating = o.ready(pod), o.deleting(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    found: Endpoint = {
        "addresses": addresses(pod, family),
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": pod_reference(pod),
    }
    if pod["spec"].get("nodeName"):
        found["nodeName"] = pod["spec"]["nodeName"]
    if zone:
        found["zone"] = zone
        if service["spec"].get("trafficDistribution") in ("PreferClose", "PreferSameZone"):
            found["hints"] = {"forZones": [{"name": zone}]}
    if host_name(service, pod):
        found["hostname"] = host_name(service, pod)
    return found


def _identity(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return (entry.get("targetRef") or {}).get("uid"), tuple(sorted(entry["addresses"])), entry.get("hostname")


@dataclass(slots=True)
class Layout:
    """What becomes of slices: contents for new ones, changed contents by name, and names to delete."""

    create: list[tuple[str, Ports, list[Endpoint]]] = field(default_factory=list)
    """(address type, ports, endpoints)."""
    change: dict[str, tuple[Ports, list[Endpoint]]] = field(default_factory=dict)
    delete: list[str] = field(default_factory=list)


def ports_of(slice: Obj) -> Ports:
    return tuple(tuple(sorted(p.items())) for p in slice.get("ports") or ())


def lay_out(family: str, desired: Mapping[Ports, Sequence[Endpoint]], existing: Sequence[Obj]) -> Layout:
    """Keeps every endpoint where it is, fills slices that change anyway, then the fullest one that has room for the
    rest, then makes new ones."""
    layout = Layout()
    for slice in existing:
        if ports_of(slice) not in desired:
            layout.delete.append(o.name(slice))
    for ports, entries in desired.items():
        wanted = {_identity(e): e for e in entries}
        kept: dict[str, list[Endpoint]] = {}
        changed: dict[str, None] = {}
        for slice in existing:
            if ports_of(slice) != ports:
                continue
            old = slice.get("endpoints") or []
            new = [wanted.pop(_identity(e)) for e in old if _identity(e) in wanted]
            kept[o.name(slice)] = new
            if new != old:
                changed[o.name(slice)] = None
        rest = list(wanted.values())
        for name in changed:
            while rest and len(kept[name]) < MOST_IN_SLICE:
                kept[name].append(rest.pop(0))
        if 0 < len(rest) < MOST_IN_SLICE:
            roomy = [n for n, e in kept.items() if n not in changed and len(e) + len(rest) <= MOST_IN_SLICE]
            if roomy:
                fullest = max(roomy, key=lambda n: len(kept[n]))
                kept[fullest] += rest
                changed[fullest] = None
                rest = []
        while rest:
            layout.create.append((family, ports, rest[:MOST_IN_SLICE]))
            rest = rest[MOST_IN_SLICE:]
        for name in changed:
            if kept[name]:
                layout.change[name] = (ports, kept[name])
            else:
                layout.delete.append(name)
    while layout.create and layout.delete:
        # A slice that would go takes up what a new one would hold.
        _, ports, entries = layout.create.pop(0)
        layout.change[layout.delete.pop(0)] = (ports, entries)
    left = len(existing) - len(layout.delete) + len(layout.create)
    if left == 0:
        # A Service without endpoints keeps one empty slice.
        if layout.delete:
            name = layout.delete.pop(0)
            slice = next(s for s in existing if o.name(s) == name)
            if slice.get("endpoints") or slice.get("ports"):
                layout.change[name] = ((), [])
        else:
            layout.create.append((family, (), []))
    return layout


class Triggers:
    """When the change happened that an update of endpoints answers (`last-change-trigger-time`)."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[str, dict[str, str]]] = {}

    def changed(self, service: Obj, pods: Sequence[Obj]) -> str:
        """The earliest moment among what changed since the last call; "" when nothing with a moment did."""
        key = key_of(service)
        times = {o.name(p): _ready_since(p) for p in pods}
        made = service["metadata"].get("creationTimestamp", "")
        before = self._known.get(key)
        self._known[key] = (made, times)
        if before is None:
            return min([str(made), *filter(None, times.values())])
        found = [t for n, t in times.items() if t and before[1].get(n) != t]
        if before[0] != made:
            found.append(made)
        return min(found, default="")

    def forget(self, key: Key) -> None:
        self._known.pop(key, None)


def _ready_since(pod: Obj) -> str:
    found = o.condition(o.status(pod), "Ready")
    return str((found or {}).get("lastTransitionTime") or "")


class _OfServices(Controller):
    """What both controllers share: a change of a pod concerns the Services that select it, before or after."""

    inputs: ClassVar[Sequence[Resource]] = (SERVICES, PODS, NODES)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.triggers = Triggers()

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == SERVICES:
            if new is None and old is not None:
                self.triggers.forget(key_of(old))
            yield key_of(new or old)  # type: ignore[arg-type]
        elif resource == PODS:
            yield from self._services_of(old, new)

    def _services_of(self, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if old is not None and new is not None and _same_for_services(old, new):
            return
        pod = new or old
        assert pod is not None
        for service in self.caches.of(SERVICES).items(o.namespace(pod)):
            selector = service["spec"].get("selector")
            if selector and any(
                all(o.labels(p).get(k) == v for k, v in selector.items()) for p in (old, new) if p is not None
            ):
                yield key_of(service)

    def pods_of(self, service: Obj) -> list[Obj]:
        selector = service["spec"].get("selector") or {}
        return [
            pod
            for pod in self.caches.of(PODS).items(o.namespace(service))
            if all(o.labels(pod).get(k) == v for k, v in selector.items())
        ]


def _same_for_services(old: Obj, new: Obj) -> bool:
    def view(pod: Obj) -> tuple[Any, ...]:
        status = o.status(pod)
        return (
            o.labels(pod),
            o.deleting(pod),
            status.get("phase"),
            status.get("podIPs"),
            status.get("podIP"),
            o.ready(pod),
            _ready_since(pod),
            pod["spec"].get("nodeName"),
        )

    return view(old) == view(new)


class EndpointSlices(_OfServices):
    name: ClassVar[str] = "endpointslice-controller"
    inputs: ClassVar[Sequence[Resource]] = (SERVICES, PODS, NODES, ENDPOINT_SLICES)

    def indexes(self) -> None:
        self.caches.of(ENDPOINT_SLICES).add_index("service", _service_of_slice)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == ENDPOINT_SLICES:
            for slice in (old, new):
                if slice is not None and o.labels(slice).get(MANAGED_BY) == MANAGER:
                    yield o.namespace(slice), o.labels(slice).get(SERVICE_NAME, "")
        else:
            yield from super().keys(resource, old, new)

    async def sync(self, key: Key, write: Writer) -> float | None:
        service = self.caches.of(SERVICES).get(*key)
        if service is None or o.deleting(service):
            return None
        spec = service["spec"]
        if spec.get("type") == "ExternalName" or not spec.get("selector"):
            return None
        pods = [p for p in self.pods_of(service) if answers(p, True)]
        trigger = self.triggers.changed(service, pods)
        mine = [
            s
            for s in self.caches.of(ENDPOINT_SLICES).indexed("service", "/".join(key))
            if o.labels(s).get(MANAGED_BY) == MANAGER and not o.deleting(s)
        ]
        served = families(service)
        for slice in mine:
            if slice["addressType"] not in served:
                await write.delete(ENDPOINT_SLICES, slice)
        for family in served:
            desired: dict[Ports, list[Endpoint]] = {}
            for pod in pods:
                if addresses(pod, family):
                    entry = endpoint(service, pod, family, self._zone(pod))
                    desired.setdefault(pod_ports(service, pod), []).append(entry)
            existing = [s for s in mine if s["addressType"] == family]
            await self._apply(service, lay_out(family, desired, existing), existing, trigger, write)
        return None

    def _zone(self, pod: Obj) -> str:
        node = self.caches.of(NODES).get("", pod["spec"].get("nodeName", ""))
        return o.labels(node).get(ZONE, "") if node is not None else ""

    async def _apply(self, service: Obj, layout: Layout, existing: Sequence[Obj], trigger: str, write: Writer) -> None:
        labels = slice_labels(service)
        notes = {TRIGGER: trigger} if trigger else {}
        for name in layout.delete:
            await self._gone(write.delete(ENDPOINT_SLICES, next(s for s in existing if o.name(s) == name)))
        for slice in existing:
            name = o.name(slice)
            if name in layout.delete:
                continue
            if name in layout.change:
                ports, entries = layout.change[name]
                body = {"endpoints": entries or None, "ports": [dict(p) for p in ports] or None}
            elif dict(o.labels(slice)) != labels:
                body = {}
            else:
                continue
            kept = {k: v for k, v in o.notes(slice).items() if k != TRIGGER}
            meta = {**slice["metadata"], "labels": labels, "annotations": {**kept, **notes}}
            await write.update(ENDPOINT_SLICES, {**slice, "metadata": meta, **body})
        for family, ports, entries in layout.create:
            fresh = {
                "kind": "EndpointSlice",
                "apiVersion": "discovery.k8s.io/v1",
                "metadata": {
                    "generateName": f"{o.name(service)}-",
                    "namespace": o.namespace(service),
                    "labels": labels,
                    "ownerReferences": [o.controller_reference(service, "Service", "v1")],
                }
                | ({"annotations": notes} if notes else {}),
                "addressType": family,
                "endpoints": entries or None,
                "ports": [dict(p) for p in ports] or None,
            }
            await write.create(ENDPOINT_SLICES, fresh, o.namespace(service))

    async def _gone(self, deletion: Any) -> None:
        try:
            await deletion
        except ApiError as error:
            if error.code != 404:
                raise


def _service_of_slice(slice: Obj) -> Iterable[str]:
    yield f"{o.namespace(slice)}/{o.labels(slice).get(SERVICE_NAME, '')}"


def slice_labels(service: Obj) -> dict[str, str]:
    labels = {k: v for k, v in o.labels(service).items() if k not in (HEADLESS, MANAGED_BY, SERVICE_NAME)}
    labels |= {MANAGED_BY: MANAGER, SERVICE_NAME: o.name(service)}
    return labels | ({HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {})


# -- Endpoints ------------------------------------------------------------------------------------------------------


def subsets(service: Obj, pods: Iterable[Obj]) -> list[dict[str, Any]]:
    """Addresses grouped by their ports; ready ones and others apart (RepackSubsets)."""
    everything = bool(service["spec"].get("publishNotReadyAddresses"))
    family = families(service)[0]
    groups: dict[Ports, dict[str, list[dict[str, Any]]]] = {}
    for pod in pods:
        found = addresses(pod, family)
        if not found:
            continue
        address: dict[str, Any] = {"ip": found[0]}
        if host_name(service, pod):
            address["hostname"] = host_name(service, pod)
        if pod["spec"].get("nodeName"):
            address["nodeName"] = pod["spec"]["nodeName"]
        address["targetRef"] = pod_reference(pod)
        ports = pod_ports(service, pod)
        if not ports and service["spec"].get("clusterIP") != "None":
            continue
        kind = "addresses" if everything or o.ready(pod) else "notReadyAddresses"
        groups.setdefault(ports, {}).setdefault(kind, []).append(address)
    result = []
    for ports in sorted(groups):
        subset: dict[str, Any] = {
            kind: sorted(groups[ports][kind], key=lambda a: (a["ip"], a["targetRef"]["uid"]))
            for kind in ("addresses", "notReadyAddresses")
            if groups[ports].get(kind)
        }
        if ports:
            named = sorted((dict(p) for p in ports), key=lambda p: (p["port"], p["protocol"], p["name"]))
            subset["ports"] = [{k: v for k, v in p.items() if v != ""} for p in named]
        result.append(subset)
    return result


class Endpoints(_OfServices):
    name: ClassVar[str] = "endpoint-controller"
    inputs: ClassVar[Sequence[Resource]] = (SERVICES, PODS, ENDPOINTS)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == ENDPOINTS:
            yield key_of(new or old)  # type: ignore[arg-type]
        else:
            yield from super().keys(resource, old, new)

    async def sync(self, key: Key, write: Writer) -> float | None:
        service = self.caches.of(SERVICES).get(*key)
        standing = self.caches.of(ENDPOINTS).get(*key)
        if service is None:
            # Only what this controller made goes with the Service; a hand-written Endpoints may stand alone.
            if standing is not None and OLD_MANAGED_BY in o.labels(standing):
                await self._delete(standing, write)
            return None
        spec = service["spec"]
        if spec.get("type") == "ExternalName" or not spec.get("selector"):
            return None
        pods = [p for p in self.pods_of(service) if answers(p, bool(spec.get("publishNotReadyAddresses")))]
        trigger = self.triggers.changed(service, pods)
        found = subsets(service, pods)
        labels = {**o.labels(service), OLD_MANAGED_BY: "endpoint-controller"}
        labels.pop(HEADLESS, None)
        if spec.get("clusterIP") == "None":
            labels[HEADLESS] = ""
        if standing is not None and (standing.get("subsets") or []) == found and dict(o.labels(standing)) == labels:
            return None
        meta: dict[str, Any] = dict(standing["metadata"]) if standing is not None else {}
        notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != TRIGGER}
        if trigger:
            notes[TRIGGER] = trigger
        meta |= {"name": key[1], "namespace": key[0], "labels": labels}
        meta["annotations"] = notes
        fresh = {"kind": "Endpoints", "apiVersion": "v1", "metadata": meta, "subsets": found}
        if standing is not None:
            await write.update(ENDPOINTS, fresh)
        else:
            await write.create(ENDPOINTS, fresh, key[0])
        return None

    async def _delete(self, standing: Obj, write: Writer) -> None:
        try:
            await write.delete(ENDPOINTS, standing)
        except ApiError as error:
            if error.code != 404:
                raise
