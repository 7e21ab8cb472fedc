"""What a simulated pod finds when it asks for a name or an address: Services and pods of its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ENDPOINT_SLICES, SERVICES
from terrarium.kube.client.informer import Informers
from terrarium.runtime.contract import RuntimeFailure, Unreachable

if TYPE_CHECKING:
    from terrarium.runtime.kubelet.manager import Kubelets


def service_key(namespace: str, host: str) -> tuple[str, str] | None:
    """(namespace, name) that a host name may mean: `web`, `web.ns`, `web.ns.svc`, `web.ns.svc.cluster.local`."""
    parts = host.rstrip(".").removesuffix(".cluster.local").split(".")
    if len(parts) == 1:
        return namespace, parts[0]
    if len(parts) == 2 or (len(parts) == 3 and parts[2] == "svc"):
        return parts[1], parts[0]
    return None


class ClusterNetwork:
    """Answers by asking the kubelets for the pod that is meant; turns between the endpoints of a Service."""

    def __init__(self, kubelets: Kubelets, informers: Informers) -> None:
        self._kubelets = kubelets
        self._services = informers.of(SERVICES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._turn: dict[tuple[str, str, int], int] = {}

    async def resolve(self, namespace: str, host: str) -> str | None:
        service = self._service(namespace, host)
        if service is None:
            return host if host.replace(".", "").isdigit() else None
        address = service["spec"].get("clusterIP")
        if address in (None, "", "None"):
            targets = self._targets(service, 0)
            return targets[0][0] if targets else None
        return str(address)

    async def fetch(self, namespace: str, host: str, port: int, path: str) -> tuple[int, bytes]:
        service = self._service(namespace, host)
        target = (host, port)
        if service is not None:
            targets = self._targets(service, port)
            if not targets:
                raise Unreachable("refused")
            key = (service["metadata"]["namespace"], service["metadata"]["name"], port)
            turn = self._turn.get(key, 0)
            self._turn[key] = turn + 1
            target = targets[turn % len(targets)]
        elif not host.replace(".", "").isdigit():
            raise Unreachable("host")
        try:
            return await self._kubelets.http_get(*target, path)
        except RuntimeFailure:
            raise Unreachable("refused") from None

    def _service(self, namespace: str, host: str) -> Obj | None:
        if host.replace(".", "").isdigit():
            return next((s for s in self._services.items() if s["spec"].get("clusterIP") == host), None)
        key = service_key(namespace, host)
        return self._services.get(*key) if key is not None else None

    def _targets(self, service: Obj, port: int) -> list[tuple[str, int]]:
        """Ready endpoints of a Service's port; of a headless Service, the port itself."""
        spec, meta = service["spec"], service["metadata"]
        wanted: Mapping[str, Any] | None = next((p for p in spec.get("ports") or () if p["port"] == port), None)
        headless = spec.get("clusterIP") == "None"
        if wanted is None and not headless and port:
            return []
        found = []
        for slice in self._slices.items(meta["namespace"]):
            if (slice["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != meta["name"]:
                continue
            name = (wanted or {}).get("name", "")
            number = next((p["port"] for p in slice.get("ports") or () if p.get("name", "") == name), None)
            for endpoint in slice.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready", True):
                    found.append((endpoint["addresses"][0], port if headless or number is None else number))
        return sorted(found)
