"""Defaults of apps and batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.kube.api.defaults import Default, Rule
from terrarium.kube.api.kinds import Obj

_LARGEST = 2**31 - 1


def _deployment_strategy(strategy: Obj) -> None:
    if strategy.get("type") == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy["rollingUpdate"] = {"maxUnavailable": "25%", "maxSurge": "25%", **rolling}


def _daemon_strategy(strategy: Obj) -> None:
    if strategy.get("type") == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 0, **rolling}


def _template_generation(obj: Obj) -> None:
    meta = obj.setdefault("metadata", {})
    meta["annotations"] = {"deprecated.daemonset.template.generation": "1", **(meta.get("annotations") or {})}


def _stateful_strategy(strategy: Obj) -> None:
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        if strategy.get("rollingUpdate") is None:
            strategy["rollingUpdate"] = {}
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)


def _stateful_set(spec: Obj) -> None:
    for template in spec.get("volumeClaimTemplates") or ():
        template["apiVersion"], template["kind"] = "v1", "PersistentVolumeClaim"
    policy = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    spec["persistentVolumeClaimRetentionPolicy"] = {
        "whenDeleted": policy.get("whenDeleted") or "Retain",
        "whenScaled": policy.get("whenScaled") or "Retain",
    }


def _job(job: Obj) -> None:
    labels = ((job["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    meta = job.setdefault("metadata", {})
    if labels and not meta.get("labels"):
        meta["labels"] = dict(labels)
    spec = job["spec"]
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = spec["parallelism"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    if spec.get("backoffLimit") is None:
        spec["backoffLimit"] = 6 if spec.get("backoffLimitPerIndex") is None else _LARGEST
    if spec.get("podReplacementPolicy") is None:
        spec["podReplacementPolicy"] = "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed"


RULES: Mapping[str, Sequence[Rule]] = {
    "apps.v1.DeploymentSpec": (
        Default("replicas", 1),
        Default("revisionHistoryLimit", 10),
        Default("progressDeadlineSeconds", 600),
    ),
    "apps.v1.DeploymentStrategy": (Default("type", "RollingUpdate"), _deployment_strategy),
    "apps.v1.DaemonSet": (_template_generation,),
    "apps.v1.DaemonSetSpec": (Default("revisionHistoryLimit", 10),),
    "apps.v1.DaemonSetUpdateStrategy": (Default("type", "RollingUpdate"), _daemon_strategy),
    "apps.v1.StatefulSetSpec": (
        Default("podManagementPolicy", "OrderedReady"),
        Default("replicas", 1),
        Default("revisionHistoryLimit", 10),
        _stateful_set,
    ),
    "apps.v1.StatefulSetUpdateStrategy": (_stateful_strategy,),
    "apps.v1.ReplicaSetSpec": (Default("replicas", 1),),
    "batch.v1.Job": (
        _job,
        Default("spec.completionMode", "NonIndexed"),
        Default("spec.suspend", False),
        Default("spec.manualSelector", False),
    ),
    "batch.v1.PodFailurePolicyOnPodConditionsPattern": (Default("status", "True"),),
    "batch.v1.CronJobSpec": (
        Default("concurrencyPolicy", "Allow"),
        Default("suspend", False),
        Default("successfulJobsHistoryLimit", 3),
        Default("failedJobsHistoryLimit", 1),
    ),
}
