"""What the API server warns of in a pod that is valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from terrarium.kube.api import names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation.fields import at, items


def spec_warnings(spec: Obj, path: str) -> list[str]:
    """The warnings of a pod spec."""
    found: list[str] = []
    for where, secret in items(spec.get("imagePullSecrets"), f"{path}.imagePullSecrets"):
        if not (secret.get("name") or "").strip():
            found.append(f'{where}.name: invalid empty name "{secret.get("name") or ""}"')
    for where, constraint in items(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints"):
        if constraint.get("labelSelector") is None:
            found.append(f"{where}.labelSelector: a null labelSelector results in matching no pod")
    for side in ("podAffinity", "podAntiAffinity"):
        held = at(spec, "affinity", side) or {}
        for name in (
            "requiredDuringSchedulingIgnoredDuringExecution",
            "preferredDuringSchedulingIgnoredDuringExecution",
        ):
            for where, term in items(held.get(name), f"{path}.affinity.{side}.{name}"):
                inner = term.get("podAffinityTerm") or term if name.startswith("preferred") else term
                if inner.get("labelSelector") is None:
                    tail = ".podAffinityTerm" if name.startswith("preferred") else ""
                    found.append(f"{where}{tail}.labelSelector: a null labelSelector results in matching no pod")
    for where, volume in items(spec.get("volumes"), f"{path}.volumes"):
        source = volume.get("projected")
        if source is not None and not any(any(part.values()) for part in source.get("sources") or () if part):
            found.append(f'volume "{volume.get("name")}" (Projected) has no sources provided')
        found += [f"{where}.{name}: {text}" for name, text in _OLD_VOLUMES.items() if volume.get(name) is not None]
    found += _grace_warnings(spec, path)
    for group in ("initContainers", "containers"):
        for where, container in items(spec.get(group), f"{path}.{group}"):
            found += _container_warnings(container, where)
    return found


_OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
}


def _fractions(container: Obj, path: str) -> list[str]:
    found = []
    for side in ("limits", "requests"):
        for name, amount in sorted((at(container, "resources", side) or {}).items()):
            if name in ("memory", "ephemeral-storage") and Quantity.of(amount).nanos % 10**9:
                found.append(
                    f'{path}.resources.{side}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'
                )
    return found


def _grace_warnings(spec: Obj, path: str) -> list[str]:
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        return [
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ]
    return []


def _container_warnings(container: Obj, path: str) -> list[str]:
    found: list[str] = _fractions(container, path)
    seen: dict[str, int] = {}
    for index, variable in enumerate(container.get("env") or ()):
        name = variable.get("name") or ""
        if name in seen:
            value = container["env"][seen[name]].get("value") or ""
            if f"$({name})" not in (variable.get("value") or "") or value == "":
                found.append(
                    f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
                )
        seen[name] = index
    ports: dict[tuple[Any, ...], int] = {}
    for index, port in enumerate(container.get("ports") or ()):
        key = (port.get("containerPort"), port.get("protocol"), port.get("hostPort") or 0, port.get("hostIP") or "")
        if port.get("hostIP") and not port.get("hostPort"):
            found.append(
                f"{path}.ports[{index}]: hostIP set without hostPort: {{Name:{port.get('name') or ''} "
                f"HostPort:{port.get('hostPort') or 0} ContainerPort:{port.get('containerPort') or 0} "
                f"Protocol:{port.get('protocol') or ''} HostIP:{port['hostIP']}}}"
            )
        if key in ports:
            found.append(f"{path}.ports[{index}]: duplicate port definition with {path}.ports[{ports[key]}]")
        else:
            ports[key] = index
    return found


def pod_warnings(obj: Obj, context: Context) -> Sequence[str]:
    found: list[str] = []
    name = (obj.get("metadata") or {}).get("name") or ""
    if context.old is None:
        faults = names.dns_label(name)
        if faults:
            found.append(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
                f"a DNS label is recommended: [{' '.join(faults)}]"
            )
    if "scheduler.alpha.kubernetes.io/critical-pod" in ((obj.get("metadata") or {}).get("annotations") or {}):
        found.append(
            "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; "
            'use the "priorityClassName" field instead'
        )
    return found + spec_warnings(obj.get("spec") or {}, "spec")
