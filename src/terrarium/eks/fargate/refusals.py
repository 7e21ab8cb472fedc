"""Why a pod can't run on Fargate, in AWS's words. Pure; the order of the parts is that of the real scheduler's events:
fields, security contexts, volumes, ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.eks.fargate.sizing import size_of
from terrarium.kube.api.kinds import Obj

CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
        "SYS_PTRACE",
    }
)
VOLUMES = frozenset({"emptyDir", "secret", "configMap", "projected", "downwardAPI", "nfs"})
EFS = "efs.csi.aws.com"
HOST_FIELDS = (("hostNetwork", "HostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))


def refusals(pod: Obj, claims: Mapping[str, Obj | None], volumes: Mapping[str, Obj | None]) -> list[str]:
    """The reasons, none when it may run. `claims` are the pod's PersistentVolumeClaims by name, `volumes` the
    PersistentVolumes they are bound to."""
    spec = pod["spec"]
    containers = [
        *spec["containers"],
        *(spec.get("initContainers") or ()),
        *(spec.get("ephemeralContainers") or ()),
    ]
    found: list[str] = []
    fields = [name for key, name in HOST_FIELDS if spec.get(key)]
    if fields:
        found.append(f"fields not supported: {', '.join(fields)}")
    contexts = [text for c in containers if (text := _security(c.get("securityContext") or {}))]
    if contexts:
        found.append(f"invalid SecurityContext fields: {','.join(contexts)}")
    if any(c.get("volumeDevices") for c in containers):
        found.append("volumeDevices not supported")
    bad = [text for v in spec.get("volumes") or () if (text := _volume(v, claims, volumes))]
    if bad:
        found.append(f"volumes not supported: {', '.join(bad)}")
    if any(p.get("hostPort") or p.get("hostIP") for c in containers for p in c.get("ports") or ()):
        found.append("port contains HostIP or HostPort")
    if size_of(pod) is None:
        found.append("requested resources exceed the largest supported configuration")
    return found


def message(reasons: list[str]) -> str:
    return f"Pod not supported on Fargate: {', '.join(reasons)}"


def _security(context: Mapping[str, Any]) -> str:
    parts = []
    added = [c for c in (context.get("capabilities") or {}).get("add") or () if c not in CAPABILITIES]
    if added:
        parts.append(f"Capabilities added: {','.join(added)}")
    if context.get("allowPrivilegeEscalation"):
        parts.append("AllowPrivilegeEscalation")
    if context.get("privileged"):
        parts.append("Privileged")
    return ", ".join(parts)


def _volume(volume: Mapping[str, Any], claims: Mapping[str, Obj | None], volumes: Mapping[str, Obj | None]) -> str:
    name = volume["name"]
    kind = next((k for k in volume if k != "name"), "emptyDir")
    if kind in VOLUMES:
        return ""
    if kind != "persistentVolumeClaim":
        return f"{name} is of an unsupported volume Type"
    claim_name = volume[kind]["claimName"]
    begin = f"{name} not supported because: PVC {claim_name}"
    claim = claims.get(claim_name)
    bound = ((claim or {}).get("spec") or {}).get("volumeName")
    if not bound or ((claim or {}).get("status") or {}).get("phase") != "Bound":
        return f"{begin} not bound"
    csi = ((volumes.get(bound) or {}).get("spec") or {}).get("csi")
    if csi is None:
        return f"{begin} bound to invalid PV {bound} with nil CSI spec"
    if csi.get("driver") != EFS:
        return f"{begin} bound to invalid PV {bound} with CSI Driver: {csi.get('driver')}"
    return ""
