"""Replay of clusters: pods to place, each with what every plugin says of every node."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.cycle import Decision, Sampling, decide, survey
from terrarium.kube.scheduler.fast import FEWEST_NODES, FastPath
from terrarium.kube.scheduler.framework import Change, Code, Cycle, Framework, OnlyNodes, PreFilterAnswer, Rejection
from terrarium.kube.scheduler.preemption import Preemption, preempt
from terrarium.kube.scheduler.profiles import frameworks
from terrarium.kube.scheduler.snapshot import Objects, Snapshot
from terrarium.kube.scheduler.views import Pod, read_node, read_pod

_CODES = {Code.UNSCHEDULABLE: "U", Code.UNRESOLVABLE: "UU", Code.ERROR: "E"}
CLUSTER_WIDE = frozenset(
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
            if plural in CLUSTER_WIDE
            else f"{o['metadata'].get('namespace') or home}/{o['metadata']['name']}": o
            for o in objects
        }
    return found


def place(case: Obj, fewest_nodes: int = FEWEST_NODES) -> Obj:
    """Answers a case of family `plugins`: each pod of `schedule` in turn, those that fit standing where `follow` says."""
    cluster = case["cluster"]
    pods: dict[str, Pod] = {}
    for obj in cluster.get("pods") or ():
        pod = read_pod(obj)
        pods[pod.key] = pod
    nodes = [read_node(obj) for obj in cluster.get("nodes") or ()]
    objects = Objects(tables({k: v for k, v in cluster.items() if k not in ("nodes", "pods")}))
    snapshot = Snapshot.of(nodes, pods.values(), objects)
    profiles = frameworks(case.get("config"))
    fast = FastPath(fewest_nodes)
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
        decision = decide(framework, pod, snapshot, lambda best: best[0], sampling, fast)
        if sampling:
            answers.append(_sampled(key, decision))
        else:
            answers.append(_answer(key, decision, framework.weights) | _more(framework, pod, snapshot, decision))
        target = (case.get("follow") or [None] * len(case["schedule"]))[index]
        if target:
            _write_volumes(framework.pre_bind(Cycle(pod, snapshot), snapshot.by_name[target]), answers[-1], objects)
            placed = copy.deepcopy(pod.obj)
            placed.setdefault("spec", {})["nodeName"] = target
            placed.setdefault("status", {})["startTime"] = f"2026-02-01T00:{index // 60:02}:{index % 60:02}Z"
            snapshot.by_name[target].add(read_pod(placed))
            for waiting in snapshot.nominated.values():
                if pod in waiting:
                    waiting.remove(pod)  # type: ignore[attr-defined]
    return {"id": case["id"], "expect": answers}


def _write_volumes(changes: Iterable[Change], answer: Obj, objects: Objects) -> None:
    """What would be written before binding: noted in the answer, and true for the pods that follow."""
    for change in changes:
        metadata = change.obj["metadata"]
        known = {"bind-completed", "bound-by-controller", "selected-node"}
        noted: Obj = {
            "update": "PersistentVolume" if change.plural == "persistentvolumes" else "PersistentVolumeClaim",
            "annotations": {
                k: v for k, v in (metadata.get("annotations") or {}).items() if k.rpartition("/")[2] in known
            },
        }
        if change.plural == "persistentvolumes":
            reference = change.obj["spec"]["claimRef"]
            noted |= {"name": metadata["name"], "claimRef": f"{reference['namespace']}/{reference['name']}"}
            objects.put(change.plural, change.obj)
        else:
            namespace = metadata.get("namespace") or "default"
            noted["name"] = f"{namespace}/{metadata['name']}"
            objects.put(change.plural, {**change.obj, "metadata": {**metadata, "namespace": namespace}})
        answer.setdefault("preBind", []).append(noted)


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
    if decision.feasible and not decision.error:
        answer["evaluated"] = decision.evaluated
    answer["message"] = decision.message if not decision.error else ""
    if decision.error:
        answer["error"] = decision.error
    elif not decision.node:
        answer["unschedulablePlugins"] = sorted(decision.plugins)
    if decision.preemption is not None:
        answer["preemption"] = _preemption(decision.preemption)
    return answer


def _more(framework: Framework, pod: Pod, snapshot: Snapshot, decision: Decision) -> Obj:
    """What the decision left out because it was settled without: each plugin asked by itself."""
    more: Obj = {"preFilter": {}, "filters": {}, "preScore": {}}
    if not snapshot.nodes:
        return more
    for plugin in framework.pre_filters:
        more["preFilter"][plugin.name] = _said(plugin.pre_filter(Cycle(pod, snapshot)))
    cycle = Cycle(pod, snapshot)
    only = framework.pre_filter(cycle)
    if isinstance(only, Rejection):
        return more
    if isinstance(only, OnlyNodes):
        more["preFilterNodes"] = sorted(only.names)
    for judge in framework.filters:
        if judge.name not in cycle.skip_filter:
            said = {node.name: judge.filter(cycle, node) for node in snapshot.nodes}
            more["filters"][judge.name] = {name: _status(no) for name, no in said.items() if no is not None}
    if not decision.node and not decision.error and decision.preemption is None:
        # Without the plugin there is no answer of PostFilter, only what it would have found.
        found = _preemption(preempt(framework, cycle, decision.rejected))
        more["preemption"] = {k: v for k, v in found.items() if k not in ("code", "message", "nominate")}
    if decision.node and decision.node == pod.nominated:
        all_of_them = survey(framework, cycle, only)
        fitting = sorted(n.name for n in all_of_them.feasible)
        if fitting != [decision.node]:
            more["feasibleIfNotNominated"] = fitting
        more["rejected"] = {node: [r.plugin, *_status(r)] for node, r in all_of_them.rejected.items()}
    if len(decision.feasible) > 1 and not decision.error:
        feasible = [snapshot.by_name[name] for name in decision.feasible]
        skips = {p.name: p.pre_score(Cycle(pod, snapshot), feasible) for p in framework.pre_scores}
        more["preScore"] = {name: "Success" if skip is None else "Skip" for name, skip in skips.items()}
    return more


def _said(answer: PreFilterAnswer) -> object:
    if answer is None:
        return "Success"
    if isinstance(answer, Rejection):
        return _status(answer)
    return {"nodes": sorted(answer.names)} if isinstance(answer, OnlyNodes) else "Skip"


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
