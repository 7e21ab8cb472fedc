"""The field selectors of kinds that have more than name and namespace."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from terrarium.kube.api.columns.make import at, flag
from terrarium.kube.api.kinds import Obj

Read = Callable[[Obj], str]


def _text(*path: str) -> Read:
    return lambda obj: str(at(obj, *path) or "")


def _flag(*path: str) -> Read:
    return lambda obj: flag(at(obj, *path))


def _pod_ip(pod: Obj) -> str:
    ips = at(pod, "status", "podIPs")
    return str((ips[0].get("ip") if ips else at(pod, "status", "podIP")) or "")


_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _source(event: Obj) -> str:
    return str(
        at(event, "source", "component") or event.get("reportingComponent") or event.get("reportingController") or ""
    )


_EVENTS: Mapping[str, Read] = {
    **{f"involvedObject.{name}": _text("involvedObject", name) for name in _INVOLVED},
    "reason": _text("reason"),
    "reportingComponent": lambda e: str(e.get("reportingComponent") or e.get("reportingController") or ""),
    "source": _source,
    "type": _text("type"),
}
_MODERN_EVENTS: Mapping[str, Read] = {
    **{f"regarding.{name}": _text("regarding", name) for name in _INVOLVED},
    "reason": _text("reason"),
    "reportingController": _text("reportingController"),
    "type": _text("type"),
}

SELECTABLE: Mapping[str, Mapping[str, Read]] = {
    "pods": {
        "spec.nodeName": _text("spec", "nodeName"),
        "spec.host": _text("spec", "nodeName"),
        "spec.restartPolicy": _text("spec", "restartPolicy"),
        "spec.schedulerName": _text("spec", "schedulerName"),
        "spec.serviceAccountName": _text("spec", "serviceAccountName"),
        "spec.hostNetwork": _flag("spec", "hostNetwork"),
        "status.phase": _text("status", "phase"),
        "status.podIP": _pod_ip,
        "status.podIPs": _pod_ip,
        "status.nominatedNodeName": _text("status", "nominatedNodeName"),
    },
    "nodes": {"spec.unschedulable": _flag("spec", "unschedulable")},
    "namespaces": {"status.phase": _text("status", "phase")},
    "secrets": {"type": _text("type")},
    "services": {"spec.clusterIP": _text("spec", "clusterIP"), "spec.type": _text("spec", "type")},
    "events": _EVENTS,
    "events.events.k8s.io": _MODERN_EVENTS,
    "replicationcontrollers": {"status.replicas": lambda o: str(at(o, "status", "replicas") or 0)},
    "jobs.batch": {"status.successful": lambda o: str(at(o, "status", "succeeded") or 0)},
    "certificatesigningrequests.certificates.k8s.io": {"spec.signerName": _text("spec", "signerName")},
}
