"""What would make a pod fit: for each node the changes that every plugin's no asks for, and the smallest sets of them.

Theory of operation. Every Filter plugin is asked on its own, so that a node tells all that is wrong and not only what is
found first. Each no becomes steps (`remove nodeSelector disk=ssd`, `ask for 200m less cpu`); nodes that need the same
steps form an option. The options with the fewest steps are tried out on a pod changed accordingly, since plugins that
look at the whole cluster (spreading, affinity) may say another no; only what holds is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from terrarium.kube.scheduler.framework import Cycle, Framework, OnlyNodes, Rejection, Skip
from terrarium.kube.scheduler.snapshot import NodeInfo, Snapshot
from terrarium.kube.scheduler.views import Pod, Toleration

MOST_NODES = 2000
"""Larger clusters are judged by as many of their nodes."""
MOST_OPTIONS = 5
_TRIED = 12


@dataclass(frozen=True, slots=True)
class Step:
    """One change. Steps are the same when `kind` and `subject` are; `lack` is how much of a resource is missing."""

    kind: str
    subject: str
    lack: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.subject

    @property
    def text(self) -> str:
        return _TEXTS[self.kind](self)


def shown(resource: str, value: int) -> str:
    """An amount in a form that people read: `200m`, `1.5Gi`."""
    if resource == "cpu":
        return f"{value}m" if value % 1000 else str(value // 1000)
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for suffix, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
            if abs(value) >= size:
                return f"{value / size:.4g}{suffix}"
    return str(value)


_TEXTS: Mapping[str, Callable[[Step], str]] = {
    "nodeSelector": lambda s: f"remove nodeSelector {s.subject}",
    "nodeAffinity": lambda s: "remove or widen the required node affinity",
    "addedAffinity": lambda s: "use a scheduler profile without its added node affinity",
    "taint": lambda s: f"tolerate taint {s.subject}",
    "uncordon": lambda s: "uncordon the node",
    "hostPort": lambda s: f"give up host port {s.subject}",
    "resource": lambda s: f"needs {shown(s.subject, s.lack)} more {s.subject}",
    "pods": lambda s: "needs one pod less on the node",
    "spread": lambda s: f"relax the topology spread constraint on {s.subject}",
    "podAffinity": lambda s: f"remove the required pod affinity on {s.subject}",
    "podAntiAffinity": lambda s: f"remove the required pod anti-affinity on {s.subject}",
    "existingAntiAffinity": lambda s: "move the pods away whose anti-affinity keeps it off",
    "other": lambda s: s.subject,
}


def _tolerate(step: Step) -> Toleration:
    key, _, rest = step.subject.partition("=")
    value, _, effect = rest.rpartition(":")
    return Toleration(key, "Equal", value, effect)


def _less(pod: Pod, step: Step) -> Pod:
    return replace(
        pod, requests={**pod.requests, step.subject: max(0, pod.requests.get(step.subject, 0) - step.lack)}, group=None
    )


_APPLY: Mapping[str, Callable[[Pod, Step], Pod]] = {
    "nodeSelector": lambda p, s: replace(
        p, node_selector={k: v for k, v in p.node_selector.items() if f"{k}={v}" != s.subject}
    ),
    "nodeAffinity": lambda p, s: replace(p, required_nodes=None),
    "taint": lambda p, s: replace(p, tolerations=(*p.tolerations, _tolerate(s))),
    "hostPort": lambda p, s: replace(
        p, host_ports=tuple(h for h in p.host_ports if f"{h[2]}/{h[1]}" != s.subject), group=None
    ),
    "resource": _less,
    "spread": lambda p, s: replace(p, spreads=tuple(c for c in p.spreads if not (c.hard and c.key == s.subject))),
    "podAffinity": lambda p, s: replace(p, affinity=tuple(t for t in p.affinity if t.topology_key != s.subject)),
    "podAntiAffinity": lambda p, s: replace(
        p, anti_affinity=tuple(t for t in p.anti_affinity if t.topology_key != s.subject), group=None
    ),
}
"""Changes to the pod; the others are changes to the cluster and can't be tried out."""


# --- what each no asks for -------------------------------------------------------------------------------------------


def _affinity_steps(pod: Pod, node: NodeInfo, no: Rejection) -> Iterable[Step]:
    if any("scheduler-enforced" in reason for reason in no.reasons):
        yield Step("addedAffinity", "")
    for key, value in pod.node_selector.items():
        if node.node.labels.get(key) != value:
            yield Step("nodeSelector", f"{key}={value}")
    if pod.required_nodes is not None and not any(t.matches(node.node) for t in pod.required_nodes):
        yield Step("nodeAffinity", "")


def _taint_steps(pod: Pod, node: NodeInfo, no: Rejection) -> Iterable[Step]:
    for taint in node.node.taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not pod.tolerates(taint):
            yield Step("taint", f"{taint.key}={taint.value}:{taint.effect}")


def _port_steps(pod: Pod, node: NodeInfo, no: Rejection) -> Iterable[Step]:
    for port in pod.host_ports:
        if not node.free_of((port,)):
            yield Step("hostPort", f"{port[2]}/{port[1]}")


def _resource_steps(pod: Pod, node: NodeInfo, no: Rejection) -> Iterable[Step]:
    facts = dict(no.facts)
    for reason in no.reasons:
        fact = facts.get(reason)
        if reason == "Too many pods":
            yield Step("pods", "")
        elif isinstance(fact, tuple):
            asked, free = fact
            yield Step("resource", reason.removeprefix("Insufficient "), asked - free)


def _spread_steps(pod: Pod, node: NodeInfo, no: Rejection) -> Iterable[Step]:
    facts = dict(no.facts)
    yield Step("spread", str(facts.get("topologyKey") or facts.get("label") or ""))


def _pod_affinity_steps(pod: Pod, node: NodeInfo, no: Rejection) -> Iterable[Step]:
    for reason in no.reasons:
        key = str(dict(no.facts).get("topologyKey") or "")
        if "existing pods" in reason:
            yield Step("existingAntiAffinity", "")
        elif "anti-affinity" in reason:
            keys = {t.topology_key for t in pod.anti_affinity}
            yield from (Step("podAntiAffinity", k) for k in ([key] if key in keys else sorted(keys)))
        else:
            keys = {t.topology_key for t in pod.affinity}
            yield from (Step("podAffinity", k) for k in ([key] if key in keys else sorted(keys)))


_STEPS: Mapping[str, Callable[[Pod, NodeInfo, Rejection], Iterable[Step]]] = {
    "NodeAffinity": _affinity_steps,
    "TaintToleration": _taint_steps,
    "NodeUnschedulable": lambda pod, node, no: (Step("uncordon", ""),),
    "NodePorts": _port_steps,
    "NodeResourcesFit": _resource_steps,
    "PodTopologySpread": _spread_steps,
    "InterPodAffinity": _pod_affinity_steps,
}


def steps_of(pod: Pod, node: NodeInfo, no: Rejection) -> list[Step]:
    """What a plugin's no on a node asks for."""
    found = list(_STEPS[no.plugin](pod, node, no)) if no.plugin in _STEPS else []
    return found or [Step("other", f"{no.plugin}: {no.message}")]


# --- every plugin by itself ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """What every plugin says of some nodes: by node name, each no; `everywhere` are those of PreFilter."""

    cycle: Cycle
    everywhere: tuple[Rejection, ...]
    noes: Mapping[str, tuple[Rejection, ...]]


def judge(framework: Framework, pod: Pod, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> Judged:
    """Asks every plugin by itself about every node."""
    cycle = Cycle(pod, snapshot)
    everywhere: list[Rejection] = []
    only: dict[str, frozenset[str]] = {}
    silent: set[str] = set()
    for before in framework.pre_filters:
        answer = before.pre_filter(cycle)
        if isinstance(answer, Skip | Rejection):
            silent.add(before.name)
        if isinstance(answer, Rejection):
            everywhere.append(answer.by(before.name))
        if isinstance(answer, OnlyNodes):
            only[before.name] = answer.names
    noes: dict[str, tuple[Rejection, ...]] = {}
    for node in nodes:
        said: list[Rejection] = []
        for plugin in framework.filters:
            if plugin.name in silent:
                continue
            no = plugin.filter(cycle, node)
            if no is not None:
                said.append(no.by(plugin.name))
        noes[node.name] = tuple(said)
    return Judged(cycle, tuple(everywhere), noes)


@dataclass(frozen=True, slots=True)
class Option:
    """A set of changes, and the nodes on which the pod would then fit. `certain`: it was tried out."""

    steps: tuple[Step, ...]
    nodes: tuple[str, ...]
    certain: bool

    @property
    def text(self) -> str:
        listed = ", ".join(self.nodes[:3]) + (", …" if len(self.nodes) > 3 else "")
        changes = " and ".join(step.text for step in self.steps)
        if any(step.lack for step in self.steps):
            return f"{changes} on {listed}" if len(self.nodes) == 1 else f"{changes} on any of {listed}"
        count = f"{len(self.nodes)} node{'s' if len(self.nodes) != 1 else ''}"
        return f"{changes}: {count} {'fit' if len(self.nodes) != 1 else 'fits'} ({listed})"

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": [{"kind": s.kind, "subject": s.subject, "lack": s.lack, "text": s.text} for s in self.steps],
            "nodes": list(self.nodes),
            "certain": self.certain,
            "text": self.text,
        }


def options(framework: Framework, pod: Pod, snapshot: Snapshot, judged: Judged) -> list[Option]:
    """The smallest sets of changes that would give the pod a node, best first."""
    if any(True for no in judged.everywhere):
        together = tuple(Step("other", f"{no.plugin}: {no.message}") for no in judged.everywhere)
        fitting = tuple(name for name, noes in judged.noes.items() if not noes)
        return [Option(together, fitting, False)] if fitting else []
    groups: dict[frozenset[tuple[str, str]], list[tuple[NodeInfo, list[Step]]]] = {}
    for name, noes in judged.noes.items():
        node = snapshot.by_name[name]
        steps = list(dict.fromkeys(s for no in noes for s in steps_of(pod, node, no)))
        if steps:
            groups.setdefault(frozenset(s.key for s in steps), []).append((node, steps))
    found: list[Option] = []
    fewest_first = sorted(groups.values(), key=lambda g: (len(g[0][1]), -len(g)))
    for group in fewest_first[:_TRIED]:
        option = _try(framework, pod, snapshot, group)
        if option is not None:
            found.append(option)
    found.sort(key=lambda o: (len(o.steps), not o.certain, -len(o.nodes)))
    smallest = len(found[0].steps) if found else 0
    return [o for o in found if len(o.steps) <= smallest + 1][:MOST_OPTIONS]


def _try(
    framework: Framework, pod: Pod, snapshot: Snapshot, group: Sequence[tuple[NodeInfo, list[Step]]]
) -> Option | None:
    # The nodes that lack least; all that lack no more than the least one are told.
    ordered = sorted(group, key=lambda entry: tuple(s.lack for s in entry[1]))
    steps = ordered[0][1]
    alike = [node for node, its in ordered if all(a.lack <= b.lack for a, b in zip(its, steps, strict=True))]
    names = tuple(node.name for node in alike)
    if any(step.kind not in _APPLY for step in steps):
        return Option(tuple(steps), names, False)
    changed = pod
    for step in steps:
        changed = _APPLY[step.kind](changed, step)
    again = judge(framework, changed, snapshot, alike)
    fitting = tuple(name for name in names if not again.noes[name]) if not again.everywhere else ()
    return Option(tuple(steps), fitting, True) if fitting else None
