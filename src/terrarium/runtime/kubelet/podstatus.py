"""What the status of a pod says, from its spec and the states of its containers. All pure (kubelet_pods.go, status/generate.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrarium.kube.api.kinds import Obj

Status = dict[str, Any]


@dataclass(slots=True)
class Container:
    """A container as the kubelet knows it. `state` and `last` in the API's form."""

    name: str
    image: str
    init: bool = False
    sidecar: bool = False
    image_id: str = ""
    id: str = ""
    restarts: int = 0
    ready: bool = False
    started: bool = False
    state: dict[str, Any] = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def ended(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.state.get("terminated")
        return found

    def report(self) -> Status:
        found: Status = {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.started,
            "state": self.state,
            "lastState": self.last,
        }
        return found | ({"containerID": self.id} if self.id else {})


def phase(policy: str, containers: Sequence[Container], inits: Sequence[Container], deleted: bool) -> str:
    """Of the whole pod. `deleted`: nothing will be started again."""
    for init in inits:
        if init.sidecar:
            continue
        if init.ended and init.ended["exitCode"] != 0 and (policy == "Never" or deleted):
            return "Failed"
        if not (init.ended and init.ended["exitCode"] == 0) and not deleted:
            return "Pending"
    if any(c.running for c in containers):
        return "Running"
    stopped = [c.ended or c.last.get("terminated") for c in containers]
    if any(s is None for s in stopped):
        return "Failed" if deleted else "Pending"
    good = all(s["exitCode"] == 0 for s in stopped if s is not None)
    if deleted or policy == "Never":
        return "Succeeded" if good else "Failed"
    if policy == "Always" or not good:
        return "Running"
    return "Succeeded"


def _condition(type: str, holds: bool, reason: str = "", message: str = "") -> Status:
    found: Status = {"type": type, "status": "True" if holds else "False", "lastProbeTime": None}
    return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def _ready(type: str, containers: Sequence[Container], pod_phase: str) -> Status:
    if pod_phase == "Succeeded":
        return _condition(type, False, "PodCompleted")
    if pod_phase == "Failed":
        return _condition(type, False, "PodFailed")
    unready = [c.name for c in containers if not c.ready]
    if unready:
        text = f"containers with unready status: [{' '.join(unready)}]"
        return _condition(type, False, "ContainersNotReady", text)
    return _condition(type, True)


def _gates(pod: Obj) -> str:
    """What the readiness gates still miss."""
    found = {c["type"]: c["status"] for c in (pod.get("status") or {}).get("conditions") or ()}
    texts = []
    for gate in pod["spec"].get("readinessGates") or ():
        type = gate["conditionType"]
        if type not in found:
            texts.append(f'corresponding condition of pod readiness gate "{type}" does not exist.')
        elif found[type] != "True":
            texts.append(f'the status of pod readiness gate "{type}" is not "True", but {found[type]}')
    return ", ".join(texts)


def conditions(
    pod: Obj,
    containers: Sequence[Container],
    inits: Sequence[Container],
    pod_phase: str,
    has_sandbox: bool,
    now: str,
) -> list[Status]:
    """The kubelet's five conditions; those that hold their status keep their time."""
    waiting = [c.name for c in inits if not ((c.sidecar and c.started) or (c.ended and c.ended["exitCode"] == 0))]
    if pod_phase == "Succeeded":
        initialized = _condition("Initialized", True, "PodCompleted")
    elif waiting and pod_phase == "Pending":
        text = f"containers with incomplete status: [{' '.join(waiting)}]"
        initialized = _condition("Initialized", False, "ContainersNotInitialized", text)
    else:
        initialized = _condition("Initialized", True)
    everything = [*(c for c in inits if c.sidecar), *containers]
    inner = _ready("ContainersReady", everything, pod_phase)
    outer = _ready("Ready", everything, pod_phase)
    gates = _gates(pod)
    if outer["status"] == "True" and gates:
        outer = _condition("Ready", False, "ReadinessGatesNotReady", gates)
    found = [
        _condition("PodReadyToStartContainers", has_sandbox and pod_phase not in ("Succeeded", "Failed")),
        initialized,
        outer,
        inner,
        _condition("PodScheduled", True),
    ]
    before = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or ()}
    for condition in found:
        old = before.get(condition["type"])
        same = old is not None and old["status"] == condition["status"]
        condition["lastTransitionTime"] = old["lastTransitionTime"] if same and old is not None else now
    return found


def qos(pod: Obj) -> str:
    """Guaranteed, Burstable or BestEffort."""
    everything = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    resources = [c.get("resources") or {} for c in everything]

    def part(found: Mapping[str, Any], key: str) -> dict[str, str]:
        return {k: str(v) for k, v in (found.get(key) or {}).items() if k in ("cpu", "memory") and str(v) != "0"}

    if not any(part(r, "requests") or part(r, "limits") for r in resources):
        return "BestEffort"
    guaranteed = all(
        set(part(r, "limits")) == {"cpu", "memory"} and part(r, "requests") | {} in ({}, part(r, "limits"))
        for r in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def restarts(policy: str, exit_code: int) -> bool:
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)
