"""Environment and files of containers: variables with their references, volumes as folders.

The lookups of ConfigMaps, Secrets and Services come in as functions, so that this is decided without a server.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity


class Missing(Exception):
    """Something a pod needs is not there (yet); the text is what its event says."""


class Source:
    """Where referenced objects come from. `configmap` and `secret` give their data as bytes by key, None when there is no
    such object."""

    async def data(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes] | None:
        raise AssertionError("abstract")

    def services(self, namespace: str) -> Iterable[Obj]:
        raise AssertionError("abstract")

    async def token(self, pod: Obj, audience: str, seconds: int) -> str:
        """A service account token for the pod."""
        raise AssertionError("abstract")


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a pod may learn of itself."""

    pod: Obj
    ip: str
    host_ip: str
    node: str
    allocatable: Mapping[str, str]


def data_of(obj: Obj) -> dict[str, bytes]:
    """The payload of a ConfigMap or a Secret."""
    if obj.get("kind") == "Secret":
        return {k: base64.b64decode(v) for k, v in (obj.get("data") or {}).items()}
    found = {k: str(v).encode() for k, v in (obj.get("data") or {}).items()}
    return found | {k: base64.b64decode(v) for k, v in (obj.get("binaryData") or {}).items()}


def field_value(facts: PodFacts, path: str) -> str:
    """A downward API field."""
    pod = facts.pod
    meta, spec = pod["metadata"], pod["spec"]
    match = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if match:
        return str((meta.get(match[1]) or {}).get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        return "\n".join(f'{k}="{v}"' for k, v in sorted((meta.get(path[9:]) or {}).items()))
    return str(
        {
            "metadata.name": meta.get("name"),
            "metadata.namespace": meta.get("namespace"),
            "metadata.uid": meta.get("uid"),
            "spec.nodeName": facts.node,
            "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
            "status.podIP": facts.ip,
            "status.podIPs": facts.ip,
            "status.hostIP": facts.host_ip,
            "status.hostIPs": facts.host_ip,
        }.get(path, "")
    )


def resource_value(facts: PodFacts, container: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """`limits.cpu` and the like, rounded up in units of the divisor; a missing limit is the node's allocatable."""
    kind, _, name = str(reference["resource"]).partition(".")
    resources = container.get("resources") or {}
    text = (resources.get(kind) or {}).get(name)
    if text is None and kind == "limits":
        text = facts.allocatable.get(name)
    value = Quantity.parse(str(text or "0")).nanos
    divisor = Quantity.parse(str(reference.get("divisor") or "1")).nanos or 1_000_000_000
    return str(-(-value // divisor))


def service_variables(services: Iterable[Obj], namespace: str, links: bool) -> dict[str, str]:
    """`NAME_SERVICE_HOST` and its kin: of the pod's namespace with `links`, of `kubernetes` always."""
    found: dict[str, str] = {}
    for service in sorted(services, key=lambda s: str(s["metadata"]["name"])):
        meta, spec = service["metadata"], service["spec"]
        master = meta["name"] == "kubernetes" and meta["namespace"] == "default"
        if not master and not (links and meta["namespace"] == namespace):
            continue
        address, ports = spec.get("clusterIP"), spec.get("ports") or ()
        if address in (None, "", "None") or not ports:
            continue
        prefix = str(meta["name"]).upper().replace("-", "_")
        found[f"{prefix}_SERVICE_HOST"] = address
        found[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                found[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
        for number, port in enumerate(ports):
            protocol = str(port.get("protocol", "TCP"))
            url = f"{protocol.lower()}://{address}:{port['port']}"
            base = f"{prefix}_PORT_{port['port']}_{protocol}"
            if number == 0:
                found[f"{prefix}_PORT"] = url
            found |= {base: url, f"{base}_PROTO": protocol.lower(), f"{base}_PORT": str(port["port"])}
            found[f"{base}_ADDR"] = address
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` references; `$$(NAME)` stays as `$(NAME)`, an unknown one stays as it is."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)


async def environment(facts: PodFacts, container: Mapping[str, Any], source: Source) -> dict[str, str]:
    """All variables of a container. `Missing` names what is not there."""
    namespace = facts.pod["metadata"]["namespace"]
    links = facts.pod["spec"].get("enableServiceLinks", True)
    services = service_variables(source.services(namespace), namespace, links)
    found: dict[str, str] = {}
    for bulk in container.get("envFrom") or ():
        for key, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
            reference = bulk.get(key)
            if reference:
                data = await _data(source, kind, namespace, reference)
                found |= {f"{bulk.get('prefix', '')}{k}": v.decode(errors="replace") for k, v in data.items()}
    for variable in container.get("env") or ():
        value = variable.get("value")
        origin = variable.get("valueFrom")
        if origin is None:
            found[variable["name"]] = expand(value or "", {**services, **found})
            continue
        text = await _from(facts, container, origin, source)
        if text is not None:
            found[variable["name"]] = text
    return {**services, **found}


async def _data(source: Source, kind: str, namespace: str, reference: Mapping[str, Any]) -> Mapping[str, bytes]:
    data = await source.data(kind, namespace, reference["name"])
    if data is None:
        if reference.get("optional"):
            return {}
        raise Missing(f'{kind} "{reference["name"]}" not found')
    return data


async def _from(facts: PodFacts, container: Mapping[str, Any], origin: Mapping[str, Any], source: Source) -> str | None:
    if "fieldRef" in origin:
        return field_value(facts, origin["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in origin:
        return resource_value(facts, container, origin["resourceFieldRef"])
    namespace = facts.pod["metadata"]["namespace"]
    for key, kind, name in (("configMapKeyRef", "configmap", "ConfigMap"), ("secretKeyRef", "secret", "Secret")):
        reference = origin.get(key)
        if reference:
            data = await _data(source, kind, namespace, reference)
            if reference["key"] in data:
                return data[reference["key"]].decode(errors="replace")
            if reference.get("optional"):
                return None
            raise Missing(f"couldn't find key {reference['key']} in {name} {namespace}/{reference['name']}")
    return None


# -- volumes --------------------------------------------------------------------------------------------------------

Files = dict[str, bytes]


def _items(data: Mapping[str, bytes], items: Iterable[Mapping[str, Any]] | None, optional: bool, what: str) -> Files:
    if not items:
        return dict(data)
    found: Files = {}
    for item in items:
        if item["key"] in data:
            found[item["path"]] = data[item["key"]]
        elif not optional:
            raise Missing(f"{what} references non-existent config key: {item['key']}")
    return found


async def _config(facts: PodFacts, volume: Mapping[str, Any], source: Source, kind: str, name: str) -> Files:
    namespace = facts.pod["metadata"]["namespace"]
    data = await source.data(kind, namespace, name)
    optional = bool(volume.get("optional"))
    if data is None:
        if optional:
            return {}
        raise Missing(f'{kind} "{name}" not found')
    return _items(data, volume.get("items"), optional, kind)


def _downward(facts: PodFacts, volume: Mapping[str, Any]) -> Files:
    found: Files = {}
    containers = {c["name"]: c for c in facts.pod["spec"]["containers"]}
    for item in volume.get("items") or ():
        if "fieldRef" in item:
            text = field_value(facts, item["fieldRef"]["fieldPath"])
        else:
            reference = item["resourceFieldRef"]
            text = resource_value(facts, containers.get(reference.get("containerName", ""), {}), reference)
        found[item["path"]] = text.encode()
    return found


async def _projected(facts: PodFacts, volume: Mapping[str, Any], source: Source) -> Files:
    found: Files = {}
    for part in volume.get("sources") or ():
        if "configMap" in part:
            found |= await _config(facts, part["configMap"], source, "configmap", part["configMap"]["name"])
        if "secret" in part:
            found |= await _config(facts, part["secret"], source, "secret", part["secret"]["name"])
        if "downwardAPI" in part:
            found |= _downward(facts, part["downwardAPI"])
        if "serviceAccountToken" in part:
            wanted = part["serviceAccountToken"]
            seconds = int(wanted.get("expirationSeconds") or 3600)
            token = await source.token(facts.pod, wanted.get("audience", ""), seconds)
            found[wanted["path"]] = token.encode()
    return found


Provider = Callable[[PodFacts, Mapping[str, Any], Source], Awaitable[Files]]


async def _config_map(facts: PodFacts, volume: Mapping[str, Any], source: Source) -> Files:
    return await _config(facts, volume, source, "configmap", volume["name"])


async def _secret(facts: PodFacts, volume: Mapping[str, Any], source: Source) -> Files:
    return await _config(facts, volume, source, "secret", volume["secretName"])


async def _downward_volume(facts: PodFacts, volume: Mapping[str, Any], source: Source) -> Files:
    return _downward(facts, volume)


PROVIDERS: Mapping[str, Provider] = {
    "configMap": _config_map,
    "secret": _secret,
    "downwardAPI": _downward_volume,
    "projected": _projected,
}
"""Kinds of volumes whose files come from the API. All others are folders of the pod's own."""


async def set_up(facts: PodFacts, folder: Path, source: Source) -> dict[str, Path]:
    """Makes the pod's volumes under `folder`; gives the folder of each. `Missing` is worded as the FailedMount event."""
    made: dict[str, Path] = {}
    for volume in facts.pod["spec"].get("volumes") or ():
        name = volume["name"]
        kind = next((k for k in volume if k != "name"), "emptyDir")
        path = folder / name
        if kind == "hostPath":
            made[name] = folder.parent.parent / "host" / str(volume["hostPath"]["path"]).strip("/")
            continue
        made[name] = path
        if kind in PROVIDERS:
            try:
                files = await PROVIDERS[kind](facts, volume[kind], source)
            except Missing as missing:
                raise Missing(f'MountVolume.SetUp failed for volume "{name}" : {missing}') from None
            write(path, files)
        else:
            path.mkdir(parents=True, exist_ok=True)
    return made


def write(folder: Path, files: Files) -> None:
    """Makes the folder hold exactly these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for known in sorted(folder.rglob("*"), reverse=True):
        if known.is_file() and str(known.relative_to(folder)) not in files:
            known.unlink()
    for name, data in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
