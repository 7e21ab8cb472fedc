"""Pods and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from terrarium.kube.api.columns.make import AGE, NAME, NONE, UNKNOWN, at, column, since, timed
from terrarium.kube.api.kinds import Column, Obj

POD = "@core.v1.PodStatus."
ROLE = "node-role.kubernetes.io/"


def _sidecars(pod: Obj) -> set[str]:
    return {c["name"] for c in at(pod, "spec", "initContainers") or () if c.get("restartPolicy") == "Always"}


def _ended(terminated: Mapping[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode') or 0}"


def _true(pod: Obj, kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in at(pod, "status", "conditions") or ())


class PodState:
    """What a pod's row says: ready and all containers, the status word, restarts and when the last was."""

    def __init__(self, pod: Obj) -> None:
        status = pod.get("status") or {}
        self.ready = 0
        sidecars = _sidecars(pod)
        self.total = len(at(pod, "spec", "containers") or ()) + len(sidecars)
        self.restarts = 0
        self.last = ""
        phase = status.get("phase") or ""
        self.word = status.get("reason") or phase
        for condition in status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
                self.word = "SchedulingGated"
        waiting = self._init(pod, status, sidecars)
        if not waiting or _true(pod, "Initialized"):
            self._containers(pod, status, sidecars)
        if at(pod, "metadata", "deletionTimestamp"):
            if status.get("reason") == "NodeLost":
                self.word = "Unknown"
            elif phase not in ("Succeeded", "Failed"):
                self.word = "Terminating"

    def _count(self, status: Obj) -> None:
        self.restarts += status.get("restartCount") or 0
        ended = at(status, "lastState", "terminated", "finishedAt") or ""
        self.last = max(self.last, ended)

    def _init(self, pod: Obj, status: Obj, sidecars: set[str]) -> bool:
        total = len(at(pod, "spec", "initContainers") or ())
        for index, container in enumerate(status.get("initContainerStatuses") or ()):
            self._count(container)
            ended, waiting = at(container, "state", "terminated"), at(container, "state", "waiting")
            if ended is not None and not ended.get("exitCode"):
                continue
            if container.get("name") in sidecars and container.get("started"):
                self.ready += bool(container.get("ready"))
                continue
            if ended is not None:
                self.word = f"Init:{_ended(ended)}"
            elif waiting is not None and waiting.get("reason") and waiting["reason"] != "PodInitializing":
                self.word = f"Init:{waiting['reason']}"
            else:
                self.word = f"Init:{index}/{total}"
            return True
        return False

    def _containers(self, pod: Obj, status: Obj, sidecars: set[str]) -> None:
        self.restarts, self.last = 0, ""
        for container in status.get("initContainerStatuses") or ():
            if container.get("name") in sidecars:
                self._count(container)
        running = False
        for container in reversed(status.get("containerStatuses") or ()):
            self._count(container)
            state = container.get("state") or {}
            waiting, ended = state.get("waiting"), state.get("terminated")
            if waiting is not None and waiting.get("reason"):
                self.word = waiting["reason"]
            elif ended is not None:
                self.word = _ended(ended)
            elif container.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.word == "Completed" and running:
            self.word = "Running" if _true(pod, "Ready") else "NotReady"


def _restarts(pod: Obj, now: datetime) -> str:
    state = PodState(pod)
    if state.restarts and state.last:
        return f"{state.restarts} ({since(state.last, now)} ago)"
    return str(state.restarts)


def _ready(pod: Obj) -> str:
    state = PodState(pod)
    return f"{state.ready}/{state.total}"


def _gates(pod: Obj) -> str:
    gates = at(pod, "spec", "readinessGates") or ()
    if not gates:
        return NONE
    return f"{sum(_true(pod, gate.get('conditionType', '')) for gate in gates)}/{len(gates)}"


def _ip(pod: Obj) -> str:
    ips = at(pod, "status", "podIPs")
    return str((ips[0].get("ip") if ips else at(pod, "status", "podIP")) or NONE)


def _node_status(node: Obj) -> str:
    conditions = {c.get("type"): c for c in at(node, "status", "conditions") or ()}
    ready = conditions.get("Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if at(node, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Obj) -> str:
    found = set()
    for key, value in (at(node, "metadata", "labels") or {}).items():
        if key.startswith(ROLE) and len(key) > len(ROLE):
            found.add(key.removeprefix(ROLE))
        elif key == "kubernetes.io/role" and value:
            found.add(value)
    return ",".join(sorted(found)) or NONE


def _address(kind: str) -> Any:
    def read(node: Obj) -> str:
        return next(
            (a.get("address", "") for a in at(node, "status", "addresses") or () if a.get("type") == kind), NONE
        )

    return read


def _info(name: str) -> Any:
    return lambda node: at(node, "status", "nodeInfo", name) or UNKNOWN


INFO = "@core.v1.NodeSystemInfo."

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "pods": (
        NAME,
        column("Ready", _ready, about="The aggregate readiness state of this pod for accepting traffic."),
        column("Status", lambda pod: PodState(pod).word, about="The aggregate status of the containers in this pod."),
        timed(
            "Restarts",
            _restarts,
            about="The number of times the containers in this pod have been restarted and when the last container in this "
            "pod has restarted.",
        ),
        AGE,
        column("IP", _ip, wide=True, about=POD + "podIP"),
        column("Node", lambda pod: at(pod, "spec", "nodeName") or NONE, wide=True, about="@core.v1.PodSpec.nodeName"),
        column(
            "Nominated Node",
            lambda pod: at(pod, "status", "nominatedNodeName") or NONE,
            wide=True,
            about=POD + "nominatedNodeName",
        ),
        column("Readiness Gates", _gates, wide=True, about="@core.v1.PodSpec.readinessGates"),
    ),
    "nodes": (
        NAME,
        column("Status", _node_status, about="The status of the node"),
        column("Roles", _roles, about="The roles of the node"),
        AGE,
        column(
            "Version",
            lambda node: at(node, "status", "nodeInfo", "kubeletVersion") or "",
            about=INFO + "kubeletVersion",
        ),
        column("Internal-IP", _address("InternalIP"), wide=True, about="@core.v1.NodeStatus.addresses"),
        column("External-IP", _address("ExternalIP"), wide=True, about="@core.v1.NodeStatus.addresses"),
        column("OS-Image", _info("osImage"), wide=True, about=INFO + "osImage"),
        column("Kernel-Version", _info("kernelVersion"), wide=True, about=INFO + "kernelVersion"),
        column(
            "Container-Runtime", _info("containerRuntimeVersion"), wide=True, about=INFO + "containerRuntimeVersion"
        ),
    ),
}
