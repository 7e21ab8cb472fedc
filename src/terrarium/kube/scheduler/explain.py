"""Why a pod is where it is, or is not: a decision as data and sentences."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.cycle import Decision
from terrarium.kube.scheduler.framework import Rejection


def explain(pod: Obj, decision: Decision | None, nodes: int) -> dict[str, Any]:
    """`{namespace, name, phase, node, summary, details, nodes}`; `details` are sentences, `nodes` one verdict each."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    answer: dict[str, Any] = {
        "namespace": metadata.get("namespace", "default"),
        "name": metadata["name"],
        "phase": status.get("phase", "Pending"),
        "node": spec.get("nodeName", ""),
        "details": [],
        "nodes": [],
    }
    gates = [g["name"] for g in spec.get("schedulingGates") or ()]
    if gates:
        answer["summary"] = "It waits for its scheduling gates; the scheduler does not look at it."
        answer["details"] = [
            f"gate {gate} still stands: whoever set it removes it from spec.schedulingGates" for gate in gates
        ]
    elif decision is None and answer["node"]:
        answer["summary"] = f"It was put on {answer['node']} without this scheduler (spec.nodeName)."
    elif decision is None:
        answer["summary"] = f"This scheduler has not looked at it (schedulerName {spec.get('schedulerName')})."
    elif decision.node:
        answer["summary"] = _chosen(decision, nodes)
        answer["nodes"] = _verdicts(decision)
    else:
        answer["summary"] = decision.message
        answer["details"] = _hints(pod, decision)
        answer["nodes"] = _verdicts(decision)
    return answer


def _chosen(decision: Decision, nodes: int) -> str:
    count = len(decision.feasible)
    if count == 1:
        return f"It runs on {decision.node}, the only one of {nodes} nodes that fits."
    equal = len(decision.best)
    tie = f", by lot among {equal} equally good ones" if equal > 1 else ""
    return f"It runs on {decision.node}: {count} of {nodes} nodes fit, and this one has the highest score{tie}."


def _verdicts(decision: Decision) -> list[dict[str, Any]]:
    verdicts: list[dict[str, Any]] = []
    for index, name in enumerate(decision.feasible):
        parts = {plugin: normalised[index] for plugin, (_, normalised) in decision.scores.items()}
        text = "fits"
        if decision.totals:
            shown = ", ".join(f"{p} {s}" for p, s in parts.items() if s)
            text = f"fits, score {decision.totals[index]}" + (f" ({shown})" if shown else "")
        if name == decision.node:
            text += "  ← chosen"
        verdicts.append({"node": name, "fits": True, "scores": parts, "verdict": text})
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
        words.append(f"{reason} (asks {fact[0]}, free {fact[1]})" if isinstance(fact, tuple) else reason)
    return ", ".join(words)


def _hints(pod: Obj, decision: Decision) -> list[str]:
    """What would have to change, from the pod's side."""
    spec = pod.get("spec") or {}
    plugins = decision.plugins
    hints = []
    if "NodeAffinity" in plugins:
        selector = ", ".join(f"{k}={v}" for k, v in (spec.get("nodeSelector") or {}).items())
        if selector:
            hints.append(f"nodeSelector {selector}: label a node with it, or remove it")
        if (spec.get("affinity") or {}).get("nodeAffinity"):
            hints.append("its required node affinity matches too few nodes")
    taints = sorted({str(dict(r.facts)["taint"]) for r in decision.rejected.values() if "taint" in dict(r.facts)})
    hints += [f"taint {taint} is not tolerated: add a toleration, or remove the taint" for taint in taints]
    short = sorted(
        {reason for r in decision.rejected.values() if r.plugin == "NodeResourcesFit" for reason in r.reasons}
    )
    hints += [f"{reason}: ask for less, or add nodes" for reason in short]
    if "PodTopologySpread" in plugins:
        hints.append("a topology spread constraint with DoNotSchedule would be violated")
    if "InterPodAffinity" in plugins:
        hints.append("pod affinity or anti-affinity keeps it away")
    return hints
