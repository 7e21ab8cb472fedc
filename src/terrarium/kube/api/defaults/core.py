"""Defaults of the core group but Services (`pkg/apis/core/v1/defaults.go`)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from terrarium.kube.api.defaults import Default, Rule
from terrarium.kube.api.images import tag_of
from terrarium.kube.api.kinds import Obj

FILE_MODE = 0o644


def _pull_policy(container: Obj) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = "Always" if tag_of(container.get("image", "")) == "latest" else "IfNotPresent"


_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def _probe(probe: Obj) -> None:
    probe.update({name: value for name, value in _PROBE.items() if not probe.get(name)})


def _secret(secret: Obj) -> None:
    given = secret.pop("stringData", None)
    if given:
        encoded = {key: base64.b64encode((value or "").encode()).decode() for key, value in given.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _volume(volume: Obj) -> None:
    if all(value is None for name, value in volume.items() if name != "name"):
        volume["emptyDir"] = {}


def containers(spec: Obj) -> Iterator[Obj]:
    yield from spec.get("containers") or ()
    yield from spec.get("initContainers") or ()


def _service_account(spec: Obj) -> None:
    """The old and the new name of the field say the same."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _addresses(status: Obj) -> None:
    """The first of several addresses and the single one are the same."""
    if status.get("podIPs"):
        status["podIP"] = status["podIPs"][0].get("ip", "")
    elif status.get("podIP"):
        status["podIPs"] = [{"ip": status["podIP"]}]


def _requests_from_limits(pod: Obj) -> None:
    for container in containers(pod.get("spec") or {}):
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        if limits:
            requests = resources.setdefault("requests", None) or {}
            resources["requests"] = {**limits, **requests} if requests else dict(limits)


def _host_ports(pod: Obj) -> None:
    spec = pod.get("spec") or {}
    if spec.get("hostNetwork"):
        for container in containers(spec):
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)


def _labels_from_template(obj: Obj) -> None:
    labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        obj["spec"]["selector"] = obj["spec"].get("selector") or dict(labels)
        meta = obj.setdefault("metadata", {})
        meta["labels"] = meta.get("labels") or dict(labels)


def _namespace(obj: Obj) -> None:
    meta = obj.setdefault("metadata", {})
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}


def _allocatable(status: Obj) -> None:
    if status.get("allocatable") is None and status.get("capacity") is not None:
        status["allocatable"] = dict(status["capacity"])


def _limit_range(item: Obj) -> None:
    if item.get("type") != "Container":
        return

    def take(into: str, source: str) -> None:
        held: Mapping[str, Any] = item.get(source) or {}
        if held or item.get(into):
            item[into] = {**held, **(item.get(into) or {})}

    take("default", "max")
    take("defaultRequest", "default")
    take("defaultRequest", "min")


RULES: Mapping[str, Sequence[Rule]] = {
    "core.v1.Container": (
        _pull_policy,
        Default("terminationMessagePath", "/dev/termination-log"),
        Default("terminationMessagePolicy", "File"),
    ),
    "core.v1.EphemeralContainer": (
        _pull_policy,
        Default("terminationMessagePath", "/dev/termination-log"),
        Default("terminationMessagePolicy", "File"),
    ),
    "core.v1.ContainerPort": (Default("protocol", "TCP"),),
    "core.v1.Volume": (_volume,),
    "core.v1.Pod": (_requests_from_limits, Default("spec.enableServiceLinks", True), _host_ports),
    "core.v1.PodSpec": (
        _service_account,
        Default("dnsPolicy", "ClusterFirst"),
        Default("restartPolicy", "Always"),
        Default("securityContext", {}),
        Default("terminationGracePeriodSeconds", 30),
        Default("schedulerName", "default-scheduler"),
    ),
    "core.v1.PodStatus": (_addresses,),
    "core.v1.Probe": (_probe,),
    "core.v1.HTTPGetAction": (Default("path", "/"), Default("scheme", "HTTP")),
    "core.v1.GRPCAction": (Default("service", ""),),
    "core.v1.SecretVolumeSource": (Default("defaultMode", FILE_MODE),),
    "core.v1.ConfigMapVolumeSource": (Default("defaultMode", FILE_MODE),),
    "core.v1.DownwardAPIVolumeSource": (Default("defaultMode", FILE_MODE),),
    "core.v1.ProjectedVolumeSource": (Default("defaultMode", FILE_MODE),),
    "core.v1.ServiceAccountTokenProjection": (Default("expirationSeconds", 3600),),
    "core.v1.HostPathVolumeSource": (Default("type", ""),),
    "core.v1.ISCSIVolumeSource": (Default("iscsiInterface", "default"),),
    "core.v1.AzureDiskVolumeSource": (
        Default("cachingMode", "ReadWrite"),
        Default("kind", "Shared"),
        Default("fsType", "ext4"),
        Default("readOnly", False),
    ),
    "core.v1.ObjectFieldSelector": (Default("apiVersion", "v1"),),
    "core.v1.PersistentVolume": (Default("status.phase", "Pending"),),
    "core.v1.PersistentVolumeSpec": (
        Default("persistentVolumeReclaimPolicy", "Retain"),
        Default("volumeMode", "Filesystem"),
    ),
    "core.v1.PersistentVolumeClaim": (Default("status.phase", "Pending"),),
    "core.v1.PersistentVolumeClaimSpec": (Default("volumeMode", "Filesystem"),),
    "core.v1.ReplicationController": (_labels_from_template, Default("spec.replicas", 1)),
    "core.v1.Namespace": (_namespace,),
    "core.v1.NamespaceStatus": (Default("phase", "Active"),),
    "core.v1.NodeStatus": (_allocatable,),
    "core.v1.Secret": (_secret, Default("type", "Opaque")),
    "core.v1.LimitRangeItem": (_limit_range,),
}
