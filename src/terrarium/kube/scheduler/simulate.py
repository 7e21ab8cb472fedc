"""What-if: where a pod would go among given objects, and how many of its kind fit. A pure function of its input.

The objects are those of `kubectl get -o yaml`: nodes and pods at least; services, volumes and the like where plugins look
at them. Each copy that finds a node stands there for the next one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Failure
from terrarium.base.ids import Ids
from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.cycle import Decision, decide
from terrarium.kube.scheduler.explain import explain, heat_map
from terrarium.kube.scheduler.fast import FastPath
from terrarium.kube.scheduler.framework import Cycle
from terrarium.kube.scheduler.history import History
from terrarium.kube.scheduler.profiles import frameworks
from terrarium.kube.scheduler.resources import CONTEXT
from terrarium.kube.scheduler.snapshot import Objects, Snapshot
from terrarium.kube.scheduler.views import Node, Pod, read_node, read_pod

MOST_COPIES = 1_000_000
"""Where a pod that asks for nothing would fit for ever."""
_TEMPLATES: Mapping[str, Sequence[str]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
_CLUSTER_WIDE = frozenset(
    ("namespaces", "persistentvolumes", "storageclasses", "csinodes", "csidrivers", "volumeattachments")
)
_AWAY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


# --- reading -----------------------------------------------------------------------------------------------------------


def read_objects(path: Path) -> list[Obj]:
    """All objects of a file, or of the YAML and JSON files below a folder; lists are taken apart."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml", ".json") and p.is_file())
        if not files:
            raise Failure(f"{path} has no YAML or JSON files", "Write one: kubectl get nodes,pods -A -o yaml > FILE")
    else:
        files = [path]
    return [obj for file in files for obj in _read(file)]


def _read(path: Path) -> Iterable[Obj]:
    import yaml

    try:
        text = path.read_text()
        # JSON is YAML too, but is read a hundred times faster as what it is.
        documents = [json.loads(text)] if path.suffix == ".json" else list(yaml.load_all(text, _loader()))
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} can't be read: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise Failure(f"{path} is neither YAML nor JSON: {error}") from error
    for document in documents:
        if document is not None:
            yield from _flat(document, path)


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _flat(document: Any, path: Path) -> Iterable[Obj]:
    if isinstance(document, list):
        for entry in document:
            yield from _flat(entry, path)
        return
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise Failure(f"{path} holds something that is no Kubernetes object (it has no kind)")
    if "items" in document and document["kind"].endswith("List"):
        kind = document["kind"].removesuffix("List")
        for item in document["items"] or ():
            yield from _flat({**({"kind": kind} if kind else {}), **item} if isinstance(item, dict) else item, path)
        return
    if not isinstance(document.get("metadata"), dict):
        raise Failure(f"{path}: an object of kind {document['kind']} has no metadata")
    yield document


def read_pod_file(path: Path) -> Obj:
    """The pod of a file; of a workload, the pod that its template makes."""
    found = [obj for obj in _read(path) if obj["kind"] in _TEMPLATES]
    if not found:
        raise Failure(f"{path} has neither a pod nor a workload with a pod template")
    return pod_of(found[0])


def pod_of(obj: Obj) -> Obj:
    """A pod of an object which is one or has a template for one."""
    template: Any = obj
    for step in _TEMPLATES[obj["kind"]]:
        template = (template or {}).get(step)
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        raise Failure(f"{obj['kind']} {obj['metadata'].get('name', '')} has no pod spec")
    metadata = {**(template.get("metadata") or {})}
    if obj["kind"] != "Pod":
        metadata["namespace"] = obj["metadata"].get("namespace", "default")
        metadata["name"] = f"{obj['metadata'].get('name', 'pod')}-simulated"
    metadata.setdefault("name", metadata.get("generateName", "pod-") + "simulated")
    metadata.setdefault("namespace", "default")
    spec = {k: v for k, v in template["spec"].items() if k != "nodeName"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def _admitted(pod: Obj, objects: Sequence[Obj]) -> Obj:
    """As an API server would store it: defaults, priority, tolerations for nodes that are away for a moment."""
    from terrarium.kube.api.defaults import fill

    pod = json.loads(json.dumps(pod))
    fill(pod, "io.k8s.api.core.v1.Pod")
    spec = pod["spec"]
    if spec.get("priority") is None:
        classes = {o["metadata"]["name"]: o for o in objects if o["kind"] == "PriorityClass"}
        wanted = classes.get(spec.get("priorityClassName") or "")
        default = next((c for c in classes.values() if c.get("globalDefault")), None)
        chosen = wanted or (default if not spec.get("priorityClassName") else None)
        system = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
        spec["priority"] = (chosen or {}).get("value", system.get(spec.get("priorityClassName") or "", 0))
        if chosen is not None and chosen.get("preemptionPolicy"):
            spec.setdefault("preemptionPolicy", chosen["preemptionPolicy"])
    tolerations = list(spec.get("tolerations") or ())
    for key in _AWAY:
        if not any(t.get("key") == key for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    spec["tolerations"] = tolerations
    return pod


def _snapshot(objects: Sequence[Obj]) -> Snapshot:
    from terrarium.kube.scheduler.replay.conversations import plural

    tables: dict[str, dict[str, Obj]] = {}
    nodes: list[Node] = []
    pods: list[Pod] = []
    for obj in objects:
        name = plural(obj["kind"])
        try:
            if name == "nodes":
                nodes.append(read_node(obj))
            elif name == "pods":
                pods.append(read_pod(obj))
            elif name in CONTEXT:
                metadata = obj["metadata"]
                key = metadata["name"]
                if name not in _CLUSTER_WIDE:
                    key = f"{metadata.get('namespace') or 'default'}/{key}"
                tables.setdefault(name, {})[key] = obj
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            shown = f"{obj['kind']} {obj['metadata'].get('name', 'without a name')}"
            raise Failure(f"{shown} of the snapshot is not well formed: {error!r}") from error
    return Snapshot.of(nodes, pods, Objects(tables))


# --- deciding ----------------------------------------------------------------------------------------------------------


def simulate(
    objects: Sequence[Obj], pod: Obj, configuration: Obj | None = None, repeat: int = 1, seed: str = "0"
) -> dict[str, Any]:
    """Places `repeat` copies of a pod (0: as many as fit) one after the other.

    `{fits, placed, asked, node, perNode, first, failed, heatMap}`: `first` explains the first copy, `failed` the one that
    found no node, if there was one. `placed` is at most `MOST_COPIES`.
    """
    snapshot = _snapshot(objects)
    ids, fast = Ids(seed), FastPath()
    try:
        wanted = read_pod(_admitted(pod, objects))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Failure(f"the pod is not well formed: {error!r}") from error
    profiles = frameworks(configuration)
    framework = profiles.get(wanted.scheduler_name)
    if framework is None:
        raise Failure(
            f"no profile is called {wanted.scheduler_name}", f"There are {', '.join(profiles)}; see spec.schedulerName."
        )
    gate = framework.pre_enqueue(wanted)
    if gate is not None:
        raise Failure(f"it would not be scheduled at all: {gate.message}", "Remove spec.schedulingGates.")

    def one(copy: Pod) -> Decision:
        return decide(framework, copy, snapshot, lambda best: best[ids.below(len(best))], None, fast)

    places: Counter[str] = Counter()
    first: dict[str, Any] | None = None
    failed: dict[str, Any] | None = None
    # As things are before any copy stands.
    heat = heat_map(wanted, framework, snapshot)
    limit = repeat or MOST_COPIES
    number = 0
    while number < limit:
        copy = replace(wanted, uid=f"simulated-{number}", name=f"{wanted.name}-{number}" if number else wanted.name)
        decision = one(copy)
        if first is None or not decision.node:
            history = History()
            history.decided(copy.uid, decision, 1, 0.0)
            said = explain(copy, history.get(copy.uid), None, framework, snapshot)
            for attempt in said["attempts"]:
                attempt.pop("at")
            said.pop("queue")
            first = first or said
            failed = None if decision.node else said
        if not decision.node:
            break
        number += 1
        node = snapshot.by_name[decision.node]
        if framework.pre_bind(Cycle(copy, snapshot), node) and limit > 1:
            # A second copy would want the same claim, which is bound to the first.
            places[decision.node] += 1
            break
        node.add(replace(copy, node_name=decision.node))
        places[decision.node] += 1
    placed = number
    return {
        "fits": placed > 0 if repeat == 0 else placed == repeat,
        "asked": repeat,
        "placed": placed,
        "node": next(iter(places), ""),
        "perNode": dict(sorted(places.items())),
        "first": first,
        "failed": failed,
        "heatMap": heat,
    }


def explain_pod(objects: Sequence[Obj], namespace: str, name: str) -> dict[str, Any]:
    """Why a pod of the given objects is where it is, or is not, as far as the objects tell. `Failure` without it."""
    found = next(
        (
            o
            for o in objects
            if o["kind"] == "Pod"
            and o["metadata"]["name"] == name
            and (o["metadata"].get("namespace") or "default") == namespace
        ),
        None,
    )
    if found is None:
        raise Failure(f'no pod "{name}" in namespace "{namespace}"', "See: kubectl get pods -A")
    pod = read_pod(found)
    snapshot = _snapshot(objects)
    framework = frameworks().get(pod.scheduler_name)
    history = History()
    if framework is not None and not pod.node_name and framework.pre_enqueue(pod) is None:
        history.decided(pod.uid, decide(framework, pod, snapshot, lambda best: best[0]), 1, 0.0)
    answer = explain(pod, history.get(pod.uid), None, framework, snapshot)
    answer["attempts"] = []
    answer["summary"] = answer["summary"].replace("It runs on", "It would run on")
    return answer
