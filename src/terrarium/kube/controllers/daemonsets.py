"""DaemonSet: one pod on every node that it fits.

Pure heart: which nodes should have a pod (`fits`), which pods are too many or broken, and which old ones may go in a
rolling update. Pods are bound to their node by a node affinity on its name; the scheduler places them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.pod_template_hash import pod_template_hash
from terrarium.kube.client.contract import DAEMON_SETS, NODES, PODS, ApiError, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers import revisions as rev
from terrarium.kube.controllers.pods import OWNER, PodControl, carry_out, claim, slow_start, terminating
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

GENERATION = "deprecated.daemonset.template.generation"
BURST = 250
TOLERATIONS: Sequence[tuple[str, str, bool]] = (
    ("node.kubernetes.io/not-ready", "NoExecute", False),
    ("node.kubernetes.io/unreachable", "NoExecute", False),
    ("node.kubernetes.io/disk-pressure", "NoSchedule", False),
    ("node.kubernetes.io/memory-pressure", "NoSchedule", False),
    ("node.kubernetes.io/pid-pressure", "NoSchedule", False),
    ("node.kubernetes.io/unschedulable", "NoSchedule", False),
    ("node.kubernetes.io/network-unavailable", "NoSchedule", True),
)
"""(key, effect, only with hostNetwork): what every daemon pod tolerates."""


def tolerations(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [dict(t) for t in spec.get("tolerations") or ()]
    for key, effect, host_only in TOLERATIONS:
        if host_only and not spec.get("hostNetwork"):
            continue
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in found:
            found.append(toleration)
    return found


def tolerates(found: Iterable[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    for toleration in found:
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if toleration.get("key") and toleration["key"] != taint["key"]:
            continue
        if toleration.get("operator", "Equal") == "Exists" or toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _term_holds(term: Mapping[str, Any], node: Obj) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels, names = dict(o.labels(node)), {"metadata.name": o.name(node)}
    return all(_expression_holds(e, labels) for e in expressions) and all(_expression_holds(f, names) for f in fields)


def _expression_holds(expression: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    if expression["operator"] in ("Gt", "Lt"):
        try:
            have, want = int(found[expression["key"]]), int(expression["values"][0])
        except (KeyError, ValueError):
            return False
        return have > want if expression["operator"] == "Gt" else have < want
    return o.match_expression(expression, found)


def fits(owner: Obj, node: Obj) -> tuple[bool, bool]:
    """(should run, may go on running) of the daemon's pod on a node."""
    spec = owner["spec"]["template"]["spec"]
    if spec.get("nodeName") not in (None, "", o.name(node)):
        return False, False
    labels = o.labels(node)
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False, False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity is not None and not any(_term_holds(t, node) for t in affinity.get("nodeSelectorTerms") or ()):
        return False, False
    found = tolerations(spec)
    taints = [t for t in node["spec"].get("taints") or () if t["effect"] in ("NoSchedule", "NoExecute")]
    bad = [t for t in taints if not tolerates(found, t)]
    if bad:
        return False, all(t["effect"] != "NoExecute" for t in bad)
    return True, True


def node_of(pod: Obj) -> str:
    """Where the pod is, or is meant to be."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    required = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for wanted in term.get("matchFields") or ():
            if wanted["key"] == "metadata.name" and wanted["operator"] == "In" and len(wanted["values"]) == 1:
                return str(wanted["values"][0])
    return ""


def bound_to(spec: Mapping[str, Any], node: str) -> dict[str, Any]:
    """A pod spec that only this node satisfies (ReplaceDaemonSetPodNodeNameNodeAffinity)."""
    field_term = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity = dict(spec.get("affinity") or {})
    node_affinity = dict(affinity.get("nodeAffinity") or {})
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = (node_affinity.get(key) or {}).get("nodeSelectorTerms")
    if terms:
        replaced = [{**t, "matchFields": [field_term]} for t in terms]
    else:
        replaced = [{"matchFields": [field_term]}]
    node_affinity[key] = {"nodeSelectorTerms": replaced}
    return {**spec, "affinity": {**affinity, "nodeAffinity": node_affinity}}


@dataclass(slots=True)
class Steps:
    create: list[str] = field(default_factory=list)
    """Names of nodes."""
    delete: list[Obj] = field(default_factory=list)
    failed: list[Obj] = field(default_factory=list)
    """Those of `delete` that had ended: an event tells of each."""


def manage(owner: Obj, nodes: Sequence[Obj], by_node: Mapping[str, Sequence[Obj]], digest: str, now: datetime) -> Steps:
    """Missing pods, surplus pods, and pods that have ended."""
    steps = Steps()
    known = {o.name(n) for n in nodes}
    surge, _ = bounds(owner, 0)
    for node in nodes:
        should, may_go_on = fits(owner, node)
        pods = by_node.get(o.name(node), ())
        if not should and not may_go_on:
            steps.delete += [p for p in pods if not o.deleting(p)]
            continue
        if should and not pods:
            steps.create.append(o.name(node))
            continue
        running = []
        for pod in pods:
            if o.deleting(pod):
                continue
            if o.status(pod).get("phase") in ("Failed", "Succeeded"):
                steps.delete.append(pod)
                steps.failed.append(pod)
            else:
                running.append(pod)
        if not should and may_go_on:
            continue
        if len(running) > 1:
            steps.delete += _doubles(running, digest, bool(surge))
    for name, pods in by_node.items():
        if name and name not in known:
            steps.delete += [p for p in pods if not o.deleting(p) and not p["spec"].get("nodeName")]
    return steps


def _doubles(running: Sequence[Obj], digest: str, surging: bool) -> list[Obj]:
    """All but the oldest pod of a node; while surging the oldest of each revision stays."""
    by_age = sorted(running, key=lambda p: (not p["spec"].get("nodeName"), o.created(p), o.name(p)))
    if not surging:
        return by_age[1:]
    surplus: list[Obj] = []
    seen: set[bool] = set()
    for pod in by_age:
        fresh = o.labels(pod).get(rev.POD_HASH) == digest
        if fresh in seen:
            surplus.append(pod)
        seen.add(fresh)
    return surplus


def bounds(owner: Obj, wanted: int) -> tuple[int, int]:
    """(surge, unavailable)."""
    strategy = owner["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    raw = rolling.get("maxSurge", 0)
    surge = o.percent(raw, wanted or 100, True)
    unavailable = o.percent(rolling.get("maxUnavailable"), wanted, True, 1)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def roll(owner: Obj, nodes: Sequence[Obj], by_node: Mapping[str, Sequence[Obj]], digest: str, now: datetime) -> Steps:
    """What a rolling update may do now."""
    steps = Steps()
    seconds = int(owner["spec"].get("minReadySeconds") or 0)
    wanted = [n for n in nodes if fits(owner, n)[0]]
    surge, unavailable = bounds(owner, len(wanted))

    def split(node: Obj) -> tuple[Obj | None, Obj | None]:
        """(new, old) living pod of a node."""
        new = old = None
        for pod in by_node.get(o.name(node), ()):
            if o.deleting(pod):
                continue
            if o.labels(pod).get(rev.POD_HASH) == digest:
                new = pod
            else:
                old = pod
        return new, old

    if not surge:
        missing = 0
        candidates: list[Obj] = []
        allowed: list[Obj] = []
        for node in wanted:
            new, old = split(node)
            if old is None and new is None:
                missing += 1
            elif new is not None:
                missing += not o.available(new, seconds, now)
            elif old is not None and not o.available(old, seconds, now):
                allowed.append(old)
                missing += 1
            elif old is not None:
                candidates.append(old)
        steps.delete = [*allowed, *candidates[: max(0, unavailable - missing)]]
        return steps
    surging = 0
    begin: list[str] = []
    for node in wanted:
        new, old = split(node)
        if old is None:
            continue
        if new is None:
            if o.available(old, seconds, now):
                begin.append(o.name(node))
            else:
                steps.create.append(o.name(node))
                surging += 1
        else:
            surging += 1
            if o.available(new, seconds, now):
                steps.delete.append(old)
    steps.create += begin[: max(0, surge - surging)]
    return steps


def counts(
    owner: Obj, nodes: Sequence[Obj], by_node: Mapping[str, Sequence[Obj]], digest: str, now: datetime
) -> dict[str, Any]:
    seconds = int(owner["spec"].get("minReadySeconds") or 0)
    desired = current = wrong = ready = available = updated = 0
    for node in nodes:
        should, _ = fits(owner, node)
        pods = by_node.get(o.name(node), ())
        if not should:
            wrong += bool(pods)
            continue
        desired += 1
        if not pods:
            continue
        current += 1
        first = min(pods, key=lambda p: (o.created(p), o.name(p)))
        if o.ready(first):
            ready += 1
            available += o.available(first, seconds, now)
        updated += o.labels(first).get(rev.POD_HASH) == digest
    found: dict[str, Any] = {
        "currentNumberScheduled": current,
        "numberMisscheduled": wrong,
        "desiredNumberScheduled": desired,
        "numberReady": ready,
        "observedGeneration": owner["metadata"].get("generation", 0),
    }
    more = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
    }
    found |= {k: v for k, v in more.items() if v}
    if o.status(owner).get("collisionCount") is not None:
        found["collisionCount"] = o.status(owner)["collisionCount"]
    return found


class DaemonSets(Controller):
    name: ClassVar[str] = "daemon-set-controller"
    component: ClassVar[str] = "daemonset-controller"
    inputs: ClassVar[Sequence[Resource]] = (DAEMON_SETS, PODS, NODES, rev.REVISIONS)

    def indexes(self) -> None:
        self.caches.of(PODS).add_index(OWNER, o.owner_uids)
        self.caches.of(rev.REVISIONS).add_index(OWNER, o.owner_uids)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == DAEMON_SETS:
            yield key_of(new or old)  # type: ignore[arg-type]
        elif resource == NODES:
            if old is None or new is None or _node_view(old) != _node_view(new):
                for owner in self.caches.of(DAEMON_SETS).items():
                    if new is None or old is None or fits(owner, old) != fits(owner, new):
                        yield key_of(owner)
        elif resource == PODS:
            for pod in (old, new):
                ref = o.controller_of(pod) if pod is not None else None
                if pod is not None and ref is not None and ref["kind"] == "DaemonSet":
                    yield o.namespace(pod), ref["name"]
                elif pod is not None and ref is None:
                    for owner in self.caches.of(DAEMON_SETS).items(o.namespace(pod)):
                        if o.selects(owner["spec"].get("selector"), o.labels(pod)):
                            yield key_of(owner)

    async def sync(self, key: Key, write: Writer) -> float | None:
        owner = self.caches.of(DAEMON_SETS).get(*key)
        if owner is None:
            return None
        reference = o.controller_reference(owner, "DaemonSet", "apps/v1")

        def mine(resource: Resource) -> list[Obj]:
            cache = self.caches.of(resource)
            own = [x for x in cache.indexed(OWNER, o.uid(owner)) if o.namespace(x) == key[0]]
            return [*own, *cache.indexed(OWNER, f"orphan/{key[0]}")]

        if o.deleting(owner):
            return None
        revisions = await carry_out(rev.claimed(owner, mine(rev.REVISIONS)), write, rev.REVISIONS, reference)
        current, revisions = await self._revision(owner, reference, revisions, write)
        digest = str(o.labels(current).get(rev.POD_HASH, ""))
        selector = owner["spec"].get("selector")
        pods = await carry_out(
            claim(owner, mine(PODS), lambda p: o.selects(selector, o.labels(p))), write, PODS, reference
        )
        by_node: dict[str, list[Obj]] = {}
        for pod in pods:
            by_node.setdefault(node_of(pod), []).append(pod)
        nodes = sorted(self.caches.of(NODES).items(), key=o.name)
        now = self.clock.now()
        steps = manage(owner, nodes, by_node, digest, now)
        rolling = (owner["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
        if rolling and not steps.create and not steps.delete:
            steps = roll(owner, nodes, by_node, digest, now)
        failure = await self._carry_out(owner, reference, steps, digest, write)
        status = counts(owner, nodes, by_node, digest, now)
        if status != o.status(owner):
            await write.status(DAEMON_SETS, owner, status)
        limit = owner["spec"].get("revisionHistoryLimit")
        live = {o.labels(p).get(rev.POD_HASH, "") for p in pods} | {digest, o.name(current)}
        for revision in rev.to_drop(revisions, live, 10 if limit is None else int(limit)):
            await write.delete(rev.REVISIONS, revision)
        if failure is not None and not terminating(failure):
            raise failure
        seconds = owner["spec"].get("minReadySeconds") or 0
        waits = status["numberReady"] != status.get("numberAvailable", 0)
        return float(seconds) if seconds and waits else None

    async def _revision(
        self, owner: Obj, reference: Mapping[str, Any], known: Sequence[Obj], write: Writer
    ) -> tuple[Obj, list[Obj]]:
        """The revision of the present template (the highest number), and all."""
        revisions = rev.in_order(known)
        template = owner["spec"]["template"]
        highest = max((r.get("revision", 0) for r in revisions), default=0)
        equal = [r for r in revisions if rev.same_data(r, template)]
        if equal:
            current = equal[-1]
            if current.get("revision", 0) < highest:
                current = await write.update(rev.REVISIONS, {**current, "revision": highest + 1})
                revisions = [current if o.uid(r) == o.uid(current) else r for r in revisions]
            return current, revisions
        digest = pod_template_hash(template, o.status(owner).get("collisionCount"))
        fresh = rev.fresh(owner, reference, f"{o.name(owner)}-{digest}", (rev.POD_HASH, digest), highest + 1)
        current = await write.create(rev.REVISIONS, fresh, o.namespace(owner))
        return current, [*revisions, current]

    async def _carry_out(
        self, owner: Obj, reference: Mapping[str, Any], steps: Steps, digest: str, write: Writer
    ) -> ApiError | None:
        control = PodControl(self, write, owner, "DaemonSet")
        for pod in steps.failed:
            where = f"{o.namespace(pod)}/{o.name(pod)} on node {pod['spec'].get('nodeName', '')}"
            ended = "failed" if o.status(pod).get("phase") == "Failed" else "succeeded"
            kind, reason = {
                "failed": ("Warning", "FailedDaemonPod"),
                "succeeded": ("Normal", "SucceededDaemonPod"),
            }[ended]
            text = f"Found {ended} daemon pod {where}, will try to {'kill' if ended == 'failed' else 'delete'} it"
            self.events.event(owner, kind, reason, text)
        generation = o.notes(owner).get(GENERATION, "")

        async def create(number: int) -> Obj:
            pod = o.pod_from_template(owner["spec"]["template"], owner, reference)
            labels = {**(pod["metadata"].get("labels") or {}), rev.POD_HASH: digest}
            if generation:
                labels["pod-template-generation"] = generation
            spec = bound_to(pod["spec"], steps.create[number])
            spec = {**spec, "tolerations": tolerations(spec)}
            return await control.create({**pod, "metadata": {**pod["metadata"], "labels": labels}, "spec": spec})

        failure = None
        if steps.create:
            failure = (await slow_start(min(len(steps.create), BURST), create)).failure
        return failure or await control.delete_all(steps.delete)


def _node_view(node: Obj) -> tuple[Any, ...]:
    return o.labels(node), node["spec"].get("taints"), node["spec"].get("unschedulable")
