"""Addresses of Services: ClusterIPs from the service range and node ports, each given once; and the Service `kubernetes`.

What is in use is known from the stored Services; a write reserves before it is stored, and gives back when it is refused.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import FieldError, Kind, Obj
from terrarium.kube.apiserver import bootstrap, errors
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.resources import Behaviour, Call, Resources

if TYPE_CHECKING:
    from terrarium.kube.apiserver.server import ServerConfig

NEEDS_PORTS = ("NodePort", "LoadBalancer")


class Allocator:
    """Who has which address and port. A key is `namespace/name` of a Service."""

    def __init__(self, resources: Resources, service_range: str, node_ports: tuple[int, int]) -> None:
        self._resources = resources
        self.network = ipaddress.ip_network(service_range)
        self._low, self._high = node_ports
        self._addresses: dict[str, str] = {}
        self._ports: dict[tuple[str, int], str] = {}

    @property
    def first_address(self) -> str:
        """That of the Service `kubernetes`."""
        return str(self.network[1])

    async def start(self) -> None:
        """Learns what the stored Services use."""
        kind = self._resources.registry.resource("", "v1", "services")
        if kind is None:
            return
        for service in await self._resources.all(kind):
            self.take(service)

    def take(self, service: Obj) -> None:
        key = _key(service)
        for address in addresses(service):
            self._addresses[address] = key
        for protocol, port in node_ports(service):
            self._ports[(protocol, port)] = key

    def release(self, service: Obj, *, keep: Obj | None = None) -> None:
        """Gives back what `service` has, except what `keep` still has."""
        key = _key(service)
        kept_addresses = set(addresses(keep)) if keep else set()
        kept_ports = set(node_ports(keep)) if keep else set()
        for address in addresses(service):
            if address not in kept_addresses and self._addresses.get(address) == key:
                del self._addresses[address]
        for port in node_ports(service):
            if port not in kept_ports and self._ports.get(port) == key:
                del self._ports[port]

    def new_address(self, key: str) -> str:
        """A free address, at random from the upper part of the range (the lower is left to those who ask for one)."""
        ids = self._resources.ids
        size = self.network.num_addresses
        band = min(max(16, size // 16), 256)
        for _ in range(64):
            address = str(self.network[band + ids.below(max(1, size - band - 1))])
            if address not in self._addresses:
                return address
        for host in range(2, size - 1):
            address = str(self.network[host])
            if address not in self._addresses:
                return address
        raise errors.internal("failed to allocate a serviceIP: range is full")

    def check_address(self, address: str, key: str) -> str:
        """Why `key` can't have this address; "" when it can."""
        held = ipaddress.ip_address(address)
        if held not in self.network or held in (self.network.network_address, self.network.broadcast_address):
            return f"failed to allocate IP {address}: the provided network does not match the current range"
        if self._addresses.get(address, key) != key:
            return f"failed to allocate IP {address}: provided IP is already allocated"
        return ""

    def new_port(self, key: str, protocol: str, taken: set[tuple[str, int]]) -> int:
        ids = self._resources.ids
        size = self._high - self._low + 1
        start = ids.below(size)
        for step in range(size):
            port = self._low + (start + step) % size
            if (protocol, port) not in self._ports and (protocol, port) not in taken:
                return port
        raise errors.internal("failed to allocate a nodePort: range is full")

    def check_port(self, protocol: str, port: int, key: str) -> str:
        if not self._low <= port <= self._high:
            return f"provided port is not in the valid range. The range of valid ports is {self._low}-{self._high}"
        if self._ports.get((protocol, port), key) != key:
            return "provided port is already allocated"
        return ""


def _key(service: Obj) -> str:
    return f"{service['metadata'].get('namespace', '')}/{service['metadata'].get('name', '')}"


def addresses(service: Obj) -> list[str]:
    spec = service.get("spec", {})
    return [a for a in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if a and a != "None"]


def node_ports(service: Obj) -> list[tuple[str, int]]:
    spec = service.get("spec", {})
    found = [(p.get("protocol", "TCP"), p["nodePort"]) for p in spec.get("ports") or () if p.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        found.append(("TCP", spec["healthCheckNodePort"]))
    return found


class Services(Behaviour):
    """Gives Services their addresses and ports."""

    def __init__(self, allocator: Allocator, kind: Kind) -> None:
        self._allocator = allocator
        self._kind = kind

    async def before_create(self, obj: Obj, call: Call) -> None:
        self._fill(obj, None)

    async def before_update(self, obj: Obj, old: Obj, call: Call) -> None:
        self._fill(obj, old)

    def _fill(self, obj: Obj, old: Obj | None) -> None:
        spec: dict[str, Any] = obj.get("spec") or {}
        key = _key(obj)
        if spec.get("type") == "ExternalName":
            if old is not None and old["spec"].get("type") != "ExternalName":
                for name in ("clusterIP", "clusterIPs"):
                    if spec.get(name) == old["spec"].get(name):
                        spec.pop(name, None)
            return
        self._fill_address(obj, spec, key)
        self._fill_ports(obj, spec, old, key)

    def _fill_address(self, obj: Obj, spec: dict[str, Any], key: str) -> None:
        wanted = spec.get("clusterIP", "")
        if wanted == "None":
            spec.setdefault("clusterIPs", ["None"])
        elif "IPv6" in (spec.get("ipFamilies") or ())[:1] or ":" in wanted:
            # Validation refuses it: there are no such addresses here.
            spec.setdefault("clusterIPs", [wanted] if wanted else [])
        elif wanted:
            spec.setdefault("clusterIPs", [wanted])
            try:
                why = self._allocator.check_address(wanted, key)
            except ValueError:
                return
            if why:
                self._refuse(obj, "spec.clusterIPs", _list(spec["clusterIPs"]), why)
        elif not spec.get("clusterIPs"):
            spec["clusterIP"] = self._allocator.new_address(key)
            spec["clusterIPs"] = [spec["clusterIP"]]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")

    def _fill_ports(self, obj: Obj, spec: dict[str, Any], old: Obj | None, key: str) -> None:
        type = spec.get("type")
        if type not in NEEDS_PORTS or (type == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False):
            if old is not None and type not in NEEDS_PORTS and old["spec"].get("type") in NEEDS_PORTS:
                had = {p.get("nodePort") for p in old["spec"].get("ports") or ()}
                for port in spec.get("ports") or ():
                    if port.get("nodePort") in had:
                        port.pop("nodePort", None)
            if type not in NEEDS_PORTS:
                return
        taken: set[tuple[str, int]] = set()
        before = {
            (p.get("port"), p.get("protocol", "TCP")): p.get("nodePort")
            for p in (old or {}).get("spec", {}).get("ports") or ()
        }
        for index, port in enumerate(spec.get("ports") or ()):
            protocol = port.get("protocol", "TCP")
            if port.get("nodePort"):
                why = self._allocator.check_port(protocol, port["nodePort"], key)
                if (protocol, port["nodePort"]) in taken:
                    why = "provided port is already allocated"
                if why:
                    self._refuse(obj, f"spec.ports[{index}].nodePort", str(port["nodePort"]), why)
            elif type == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True):
                kept = before.get((port.get("port"), protocol))
                same = next(
                    (number for other, number in taken if other != protocol and number and _twin(spec, port, number)), 0
                )
                port["nodePort"] = kept or same or self._allocator.new_port(key, protocol, taken)
            if port.get("nodePort"):
                taken.add((protocol, port["nodePort"]))
        if type == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            if not spec.get("healthCheckNodePort"):
                kept = (old or {}).get("spec", {}).get("healthCheckNodePort")
                spec["healthCheckNodePort"] = kept or self._allocator.new_port(key, "TCP", taken)
            else:
                why = self._allocator.check_port("TCP", spec["healthCheckNodePort"], key)
                if why:
                    self._refuse(obj, "spec.healthCheckNodePort", str(spec["healthCheckNodePort"]), why)

    def _refuse(self, obj: Obj, path: str, value: str, why: str) -> None:
        error = FieldError("FieldValueInvalid", path, f"Invalid value: {value}: {why}")
        raise errors.invalid(self._kind, obj["metadata"].get("name", ""), [error])

    async def checked(self, obj: Obj, old: Obj | None, call: Call) -> None:
        self._allocator.take(obj)

    async def written(self, obj: Obj, old: Obj | None) -> None:
        if old is not None:
            self._allocator.release(old, keep=obj)

    async def removed(self, obj: Obj) -> None:
        self._allocator.release(obj)


def _twin(spec: dict[str, Any], port: dict[str, Any], number: int) -> bool:
    """Whether another protocol of the same port has `number`: both share one node port."""
    return any(p.get("nodePort") == number and p.get("port") == port.get("port") for p in spec.get("ports") or ())


def _list(values: list[str]) -> str:
    return "[]string{" + ", ".join(quote(v) for v in values) + "}"


async def ensure_kubernetes(resources: Resources, allocator: Allocator, config: ServerConfig) -> None:
    """The Service `kubernetes` in `default`, the ServiceCIDR, and (IP address objects where they are kinds)."""
    registry = resources.registry
    services = registry.resource("", "v1", "services")
    if services is not None:
        obj = await bootstrap.ensure(
            resources,
            services,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "kubernetes",
                    "namespace": "default",
                    "labels": {"component": "apiserver", "provider": "kubernetes"},
                },
                "spec": {
                    "type": "ClusterIP",
                    "clusterIP": allocator.first_address,
                    "clusterIPs": [allocator.first_address],
                    "ipFamilies": ["IPv4"],
                    "ipFamilyPolicy": "SingleStack",
                    "internalTrafficPolicy": "Cluster",
                    "sessionAffinity": "None",
                    "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": config.port or 443}],
                },
            },
        )
        allocator.take(fresh(obj))
    ranges = registry.resource("networking.k8s.io", "v1", "servicecidrs")
    if ranges is not None:
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "",
            "message": "Kubernetes default Service CIDR is ready",
        }
        await bootstrap.ensure(
            resources,
            ranges,
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "ServiceCIDR",
                "metadata": {"name": "kubernetes"},
                "spec": {"cidrs": [str(allocator.network)]},
                "status": {"conditions": [condition]},
            },
        )


async def ensure_endpoints(resources: Resources, host: str, port: int, ca: bytes) -> None:
    """Where the API server is (Endpoints and EndpointSlice `kubernetes`), and what extension servers must know of it."""
    rows: list[tuple[str, str, str, Obj]] = [
        (
            "",
            "v1",
            "endpoints",
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {
                    "name": "kubernetes",
                    "namespace": "default",
                    "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
                },
                "subsets": [
                    {
                        "addresses": [{"ip": host}],
                        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
                    }
                ],
            },
        ),
        (
            "discovery.k8s.io",
            "v1",
            "endpointslices",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "kubernetes",
                    "namespace": "default",
                    "labels": {"kubernetes.io/service-name": "kubernetes"},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            },
        ),
        (
            "",
            "v1",
            "configmaps",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
                "data": {
                    "client-ca-file": ca.decode(),
                    "requestheader-allowed-names": '["front-proxy-client"]',
                    "requestheader-client-ca-file": ca.decode(),
                    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
                    "requestheader-group-headers": '["X-Remote-Group"]',
                    "requestheader-username-headers": '["X-Remote-User"]',
                },
            },
        ),
        (
            "",
            "v1",
            "configmaps",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": "kube-apiserver-legacy-service-account-token-tracking",
                    "namespace": "kube-system",
                },
                "data": {"since": resources.clock.now().strftime("%Y-%m-%d")},
            },
        ),
    ]
    for group, version, plural, obj in rows:
        kind = resources.registry.resource(group, version, plural)
        if kind is not None:
            await bootstrap.ensure(resources, kind, obj)
