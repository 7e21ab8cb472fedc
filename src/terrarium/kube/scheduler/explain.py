"""Why a pod is where it is, or is not: decisions as data and sentences, and the heat map of nodes by plugins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from terrarium.kube.scheduler.cycle import Decision
from terrarium.kube.scheduler.framework import CycleError, Framework, Rejection
from terrarium.kube.scheduler.history import Record
from terrarium.kube.scheduler.queue import Queued
from terrarium.kube.scheduler.snapshot import NodeInfo, Snapshot
from terrarium.kube.scheduler.views import Pod
from terrarium.kube.scheduler.whatif import MOST_NODES, judge, options, shown

_QUEUES = {
    "active": "It is about to be tried.",
    "backoff": "It backs off after its last try.",
    "unschedulable": "It waits for something to change in the cluster.",
    "gated": "It is held back before the queue.",
    "": "It is being tried or bound.",
}


def explain(
    pod: Pod,
    record: Record | None,
    queued: Queued | None,
    framework: Framework | None,
    snapshot: Snapshot,
    backoff_until: Callable[[Queued], float] = lambda queued: 0.0,
) -> dict[str, Any]:
    """`{namespace, name, phase, node, summary, details, nodes, changes, gates, attempts, queue}`.

    `nodes` has a verdict for each node with what is asked and free; `changes` what would make the pod fit, smallest
    first; `attempts` the last tries. `framework` is None when no profile is the pod's.
    """
    spec, status = pod.obj.get("spec") or {}, pod.obj.get("status") or {}
    decision = record.decision if record is not None else None
    answer: dict[str, Any] = {
        "namespace": pod.namespace,
        "name": pod.name,
        "phase": status.get("phase", "Pending"),
        "node": pod.node_name,
        "schedulerName": pod.scheduler_name,
        "priority": pod.priority,
        "nominatedNode": pod.nominated,
        "details": [],
        "nodes": [],
        "changes": [],
        "gates": list(pod.gates),
        "asks": {name: shown(name, value) for name, value in pod.requests.items() if value},
        "attempts": [asdict(a) for a in record.attempts] if record is not None else [],
        "queue": _queue(queued, backoff_until),
    }
    if pod.gates and not pod.node_name:
        answer["summary"] = "It waits for its scheduling gates; the scheduler does not look at it."
        answer["details"] = [
            f"gate {gate} still stands: whoever set it removes it from spec.schedulingGates" for gate in pod.gates
        ]
    elif decision is not None and decision.node:
        answer["summary"] = _chosen(decision, len(snapshot.nodes))
        answer["nodes"] = _verdicts(pod, decision, snapshot)
    elif pod.node_name:
        answer["summary"] = (
            f"It was put on {pod.node_name} without this scheduler (spec.nodeName), or before it started."
        )
    elif framework is None:
        name = spec.get("schedulerName")
        answer["summary"] = f"No profile of this scheduler is called {name}; that scheduler has to place it."
    elif decision is None and record is None:
        answer["summary"] = "This scheduler has not looked at it yet."
    else:
        answer["summary"] = decision.message if decision is not None else record.attempts[-1].message  # type: ignore[union-attr]
        answer |= _now(pod, framework, snapshot)
        if decision is not None and decision.preemption is not None:
            answer["details"] += _preemption(decision)
    return answer


def _queue(queued: Queued | None, backoff_until: Callable[[Queued], float]) -> dict[str, Any]:
    if queued is None:
        return {}
    found: dict[str, Any] = {
        "where": queued.where,
        "attempts": queued.attempts,
        "since": queued.since,
        "plugins": sorted(queued.plugins),
        "text": _QUEUES[queued.where],
    }
    if queued.where == "backoff":
        found["until"] = backoff_until(queued)
    return found


def _now(pod: Pod, framework: Framework, snapshot: Snapshot) -> dict[str, Any]:
    """The verdicts of all plugins as the cluster is now, and what would change them."""
    nodes = snapshot.nodes[:MOST_NODES]
    judged = judge(framework, pod, snapshot, nodes)
    found = options(framework, pod, snapshot, judged)
    details = [f"for all nodes, {no.plugin}: {no.message}" for no in judged.everywhere]
    if len(snapshot.nodes) > len(nodes):
        details.append(f"only {len(nodes)} of {len(snapshot.nodes)} nodes were looked at for this")
    if not snapshot.nodes:
        details.append("there are no nodes: add one")
    verdicts = []
    for node in nodes:
        noes = (*judged.everywhere, *judged.noes[node.name])
        verdicts.append(
            {
                "node": node.name,
                "fits": not noes,
                "plugin": noes[0].plugin if noes else "",
                "reasons": [reason for no in noes for reason in no.reasons],
                "refusals": [
                    {"plugin": n.plugin, "code": n.code.value, "reasons": list(n.reasons), "facts": dict(n.facts)}
                    for n in noes
                ],
                **_room(pod, node),
                "verdict": "; ".join(f"{no.plugin}: {_worded(no)}" for no in noes) or "fits now",
            }
        )
    return {"details": details, "nodes": verdicts, "changes": [o.as_json() for o in found]}


def _room(pod: Pod, node: NodeInfo) -> dict[str, Any]:
    """What the pod asks for and what the node has free, as people write it."""
    allocatable = node.node.allocatable
    names = [n for n in ("cpu", "memory") if n in allocatable or pod.requests.get(n)]
    names += [n for n, value in pod.requests.items() if value and n not in names]
    free = {n: shown(n, allocatable.get(n, 0) - node.requested.get(n, 0)) for n in names}
    free["pods"] = str(allocatable.get("pods", 0) - len(node.pods))
    return {"asked": {n: shown(n, pod.requests.get(n, 0)) for n in names} | {"pods": "1"}, "free": free}


def _chosen(decision: Decision, nodes: int) -> str:
    count = len(decision.feasible)
    if count == 1:
        return f"It runs on {decision.node}, the only one of {nodes} nodes that fits."
    equal = len(decision.best)
    tie = f", by lot among {equal} equally good ones" if equal > 1 else ""
    return f"It runs on {decision.node}: {count} of {nodes} nodes fit, and this one has the highest score{tie}."


def _verdicts(pod: Pod, decision: Decision, snapshot: Snapshot) -> list[dict[str, Any]]:
    """The verdicts of a decision that found a node, as they were then."""
    verdicts: list[dict[str, Any]] = []
    for index, name in enumerate(decision.feasible):
        parts = {plugin: normalised[index] for plugin, (_, normalised) in decision.scores.items()}
        raw = {plugin: raw[index] for plugin, (raw, _) in decision.scores.items()}
        text = "fits"
        verdict: dict[str, Any] = {"node": name, "fits": True, "scores": parts, "raw": raw}
        if decision.totals:
            verdict["total"] = decision.totals[index]
            listed = ", ".join(f"{p} {s}" for p, s in parts.items() if s)
            text = f"fits, score {decision.totals[index]}" + (f" ({listed})" if listed else "")
        if name == decision.node:
            text += "  ← chosen"
        verdicts.append(verdict | {"verdict": text})
    verdicts.sort(key=lambda v: -v.get("total", 0))
    for name, rejection in decision.rejected.items():
        verdicts.append(
            {
                "node": name,
                "fits": False,
                "plugin": rejection.plugin,
                "reasons": list(rejection.reasons),
                "facts": dict(rejection.facts),
                "verdict": f"{rejection.plugin}: {_worded(rejection)}",
            }
        )
    return verdicts


def _worded(rejection: Rejection) -> str:
    """The reasons, with the numbers behind them where there are."""
    facts = dict(rejection.facts)
    words = []
    for reason in rejection.reasons:
        fact = facts.get(reason)
        if isinstance(fact, tuple):
            resource = reason.removeprefix("Insufficient ")
            words.append(f"{reason} (asks {shown(resource, fact[0])}, free {shown(resource, fact[1])})")
        elif "skew" in facts:
            words.append(
                f"{reason} ({facts['topologyKey']}={facts['domain']}: skew {facts['skew']} of {facts['maxSkew']})"
            )
        else:
            words.append(reason)
    return ", ".join(words)


def _preemption(decision: Decision) -> list[str]:
    found = decision.preemption
    assert found is not None
    if not found.eligible:
        return [f"preemption: {found.why}"]
    if found.chosen:
        candidate = found.candidates[found.chosen[0]]
        victims = ", ".join(v.key for v in candidate.victims)
        return [
            f"room is being made on {candidate.node} by evicting {victims}" if victims else f"room on {candidate.node}"
        ]
    return []


# --- nodes by plugins --------------------------------------------------------------------------------------------------


def heat_map(pod: Pod, framework: Framework, snapshot: Snapshot, most: int = 500) -> dict[str, Any]:
    """What each plugin says of each node for the pod, as things stand (without the pod itself, where it runs).

    `{namespace, name, filters, scores, nodes: [{node, fits, noes: {plugin: reasons}, scores: {plugin: 0…100},
    total, share}], shown, of}`; `share` is the total as a part of the highest, 0…1.
    """
    home = snapshot.by_name.get(pod.node_name)
    itself = next((p for p in home.pods if p.uid == pod.uid), None) if home is not None else None
    if home is not None and itself is not None:
        home.remove(itself)
    try:
        return _heat_map(pod, framework, snapshot, snapshot.nodes[:most])
    finally:
        if home is not None and itself is not None:
            home.add(itself)


def _heat_map(pod: Pod, framework: Framework, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> dict[str, Any]:
    # Where it runs already is no demand of the pod's.
    judged = judge(framework, pod, snapshot, nodes)
    noes = {
        node.name: [no for no in (*judged.everywhere, *judged.noes[node.name]) if no.plugin != "NodeName"]
        for node in nodes
    }
    fitting = [node for node in nodes if not noes[node.name]]
    scores: dict[str, tuple[list[int], list[int]]] = {}
    problem = ""
    if fitting:
        try:
            framework.pre_score(judged.cycle, fitting)
            scores = framework.score(judged.cycle, fitting)
        except CycleError as failure:
            problem = str(failure)
    totals = [
        sum(framework.weights[plugin] * normal[at] for plugin, (_, normal) in scores.items())
        for at in range(len(fitting))
    ]
    highest = max(totals, default=0)
    at_of = {node.name: at for at, node in enumerate(fitting)}
    rows = []
    for node in nodes:
        at = at_of.get(node.name)
        row: dict[str, Any] = {
            "node": node.name,
            "fits": at is not None,
            "runsHere": node.name == pod.node_name,
            "noes": {no.plugin: _worded(no) for no in noes[node.name]},
        }
        if at is not None:
            row["scores"] = {plugin: normal[at] for plugin, (_, normal) in scores.items()}
            row["total"] = totals[at]
            row["share"] = round(totals[at] / highest, 3) if highest else 1.0
        rows.append(row)
    rows.sort(key=lambda r: (not r["fits"], -r.get("total", 0), r["node"]))
    return {
        "namespace": pod.namespace,
        "name": pod.name,
        "profile": framework.profile,
        "filters": [p.name for p in framework.filters if p.name != "NodeName"],
        "scores": {p.name: framework.weights[p.name] for p in framework.scores},
        "nodes": rows,
        "shown": len(rows),
        "of": len(snapshot.nodes),
        "problem": problem,
    }
