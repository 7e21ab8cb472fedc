"""The batch door `terrarium scheduler replay`: clusters in, decisions out, a line of JSON each.

The form of questions and answers is that of the recordings of the real scheduler (`tests/data/scheduler`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.cycle import Decision, Sampling, decide
from terrarium.kube.scheduler.framework import Code, Rejection
from terrarium.kube.scheduler.preemption import Preemption
from terrarium.kube.scheduler.profiles import frameworks
from terrarium.kube.scheduler.snapshot import Objects, Snapshot
from terrarium.kube.scheduler.views import Pod, read_node, read_pod

_CODES = {Code.UNSCHEDULABLE: "U", Code.UNRESOLVABLE: "UU", Code.ERROR: "E"}
_CLUSTER_WIDE = frozenset(
    ("namespaces", "persistentvolumes", "storageclasses", "csinodes", "csidrivers", "volumeattachments")
)


def tables(cluster: Mapping[str, Iterable[Obj]]) -> dict[str, dict[str, Obj]]:
    """The context objects of a recorded cluster, by plural and key."""
    found: dict[str, dict[str, Obj]] = {}
    for name, objects in cluster.items():
        plural = name.lower()
        home = "kube-system" if plural == "csistoragecapacities" else "default"
        found[plural] = {
            o["metadata"]["name"]
            if plural in _CLUSTER_WIDE
            else f"{o['metadata'].get('namespace') or home}/{o['metadata']['name']}": o
            for o in objects
        }
    return found


def place(case: Obj) -> Obj:
    """Answers a case of family `plugins`: each pod of `schedule` in turn, those that fit standing where `follow` says."""
    cluster = case["cluster"]
    pods: dict[str, Pod] = {}
    for obj in cluster.get("pods") or ():
        pod = read_pod(obj)
        pods[pod.key] = pod
    nodes = [read_node(obj) for obj in cluster.get("nodes") or ()]
    snapshot = Snapshot.of(
        nodes, pods.values(), Objects(tables({k: v for k, v in cluster.items() if k not in ("nodes", "pods")}))
    )
    profiles = frameworks(case.get("config"))
    sampling = Sampling(case["percentageOfNodesToScore"]) if "percentageOfNodesToScore" in case else None
    answers = []
    for index, key in enumerate(case["schedule"]):
        pod = pods[key]
        framework = profiles.get(pod.scheduler_name)
        if framework is None:
            answers.append({"pod": key, "ignored": True})
            continue
        gate = framework.pre_enqueue(pod)
        if gate is not None:
            said = {"plugin": gate.plugin, "code": gate.code.value, "message": gate.message}
            answers.append({"pod": key, "preEnqueue": said})
            continue
        decision = decide(framework, pod, snapshot, lambda best: best[0], sampling)
        answers.append(_sampled(key, decision) if sampling else _answer(key, decision, framework.weights))
        target = (case.get("follow") or [None] * len(case["schedule"]))[index]
        if target:
            placed = copy.deepcopy(pod.obj)
            placed.setdefault("spec", {})["nodeName"] = target
            placed.setdefault("status", {})["startTime"] = f"2026-02-01T00:{index // 60:02}:{index % 60:02}Z"
            snapshot.by_name[target].add(read_pod(placed))
            for waiting in snapshot.nominated.values():
                if pod in waiting:
                    waiting.remove(pod)  # type: ignore[attr-defined]
    return {"id": case["id"], "expect": answers}


def _status(rejection: Rejection) -> list[str]:
    return [_CODES[rejection.code], *sorted(rejection.reasons)]


def _answer(key: str, decision: Decision, weights: Mapping[str, int]) -> Obj:
    order = sorted(range(len(decision.feasible)), key=lambda i: decision.feasible[i])
    answer: Obj = {"pod": key, "feasible": [decision.feasible[i] for i in order]}
    if decision.pre_filter is not None:
        no = decision.pre_filter
        answer["preFilterStatus"] = {"plugin": no.plugin, "code": no.code.value, "message": no.message}
    answer["rejected"] = {node: [r.plugin, *_status(r)] for node, r in decision.rejected.items()}
    answer["scores"] = {
        plugin: {"raw": [raw[i] for i in order], "norm": [normalised[i] for i in order], "weight": weights[plugin]}
        for plugin, (raw, normalised) in decision.scores.items()
    }
    answer["totals"] = [decision.totals[i] for i in order] if decision.totals else []
    answer["best"] = sorted(decision.best)
    answer["evaluated"] = decision.evaluated
    answer["message"] = decision.message if not decision.error else ""
    if decision.error:
        answer["error"] = decision.error
    elif not decision.node:
        answer["unschedulablePlugins"] = sorted(decision.plugins)
    if decision.preemption is not None:
        answer["preemption"] = _preemption(decision.preemption)
    return answer


def _sampled(key: str, decision: Decision) -> Obj:
    """Which nodes were looked at, in which order."""
    answer: Obj = {"pod": key, "evaluated": decision.evaluated, "feasibleCount": len(decision.feasible)}
    return answer | {"feasibleOrder": list(decision.feasible), "message": decision.message}


def _preemption(found: Preemption) -> Obj:
    return {
        "eligible": found.eligible,
        "why": found.why,
        "potentialNodes": list(found.potential),
        "candidates": {
            node: {"victims": [v.key for v in c.victims], "pdbViolations": c.pdb_violations}
            for node, c in found.candidates.items()
        },
        "notHelpful": {node: _status(r) for node, r in found.not_helpful.items()},
        "chosen": list(found.chosen),
        "code": "Success" if found.chosen else "Unschedulable",
        "message": found.message,
        "nominate": found.nominate,
    }


def serve(door: str, source: IO[str], sink: IO[str]) -> None:
    """Answers every line of `source` on `sink`; a case that can't be answered says why in `error`."""
    doors: Mapping[str, Any] = {"plugins": place}
    for line in source:
        case = json.loads(line)
        answer = doors[door](case)
        sink.write(json.dumps(answer) + "\n")
        sink.flush()
