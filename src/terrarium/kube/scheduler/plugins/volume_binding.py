"""VolumeBinding: a pod goes where its bound volumes can be reached, and where its other claims can get one.

A claim that waits for its first consumer gets the smallest volume that fits, or its class makes one on the chosen
node. What is then to be written (PV `claimRef`, the claim's selected node) is the answer of `pre_bind`; nothing is
written here (kubernetes/pkg/scheduler/framework/plugins/volumebinding).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import Change, Code, Cycle, PreFilterAnswer, Rejection, Skip, Unnormalised
from terrarium.kube.scheduler.plugins.volumes import (
    BOUND_BY_CONTROLLER,
    CLASSES,
    PVCS,
    PVS,
    SELECTED_NODE,
    claimed,
    class_of,
    fully_bound,
    meant_for,
    missing,
    not_owned,
    notes_of,
    reachable,
    volume_of,
    waits_for_consumer,
)
from terrarium.kube.scheduler.snapshot import NodeInfo, Objects
from terrarium.kube.scheduler.views import Pod, amount, label_selector

NOT_SUPPORTED = "kubernetes.io/no-provisioner"

PV_GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
NO_SPACE = "node(s) did not have enough free storage"


@dataclass(slots=True)
class _Claims:
    """A pod's claims by what is left to do for them."""

    bound: list[Obj] = field(default_factory=list)
    waiting: list[Obj] = field(default_factory=list)
    immediate: list[Obj] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """What a node would mean for a pod's claims: `reasons` why not, volumes to bind, claims to provision."""

    reasons: list[str] = field(default_factory=list)
    bindings: list[tuple[Obj, Obj]] = field(default_factory=list)
    provisions: list[Obj] = field(default_factory=list)


def _request(claim: Obj) -> str | int:
    found: str | int = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage", 0)
    return found


def sort_claims(pod: Pod, objects: Objects) -> _Claims | str:
    """A pod's claims, or why they can't be used."""
    claims = _Claims()
    for wanted in claimed(pod):
        claim = objects.get(PVCS, wanted.name, pod.namespace)
        if claim is None:
            if wanted.ephemeral:
                return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{wanted.name}"'
            return missing("persistentvolumeclaim", wanted.name)
        if (claim.get("status") or {}).get("phase") == "Lost":
            return f'persistentvolumeclaim "{wanted.name}" bound to non-existent persistentvolume "{volume_of(claim)}"'
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{wanted.name}" is being deleted'
        if wanted.ephemeral and (problem := not_owned(pod, claim)):
            return problem
        if fully_bound(claim):
            claims.bound.append(claim)
        elif waits_for_consumer(claim, objects) and not volume_of(claim):
            claims.waiting.append(claim)
        else:
            claims.immediate.append(claim)
    return claims


def plan(claims: _Claims, node: NodeInfo, objects: Objects) -> Plan:
    """What putting the pod on this node means for its claims."""
    found = Plan()
    for claim in claims.bound:
        volume = objects.get(PVS, volume_of(claim))
        if volume is None:
            found.reasons.append(PV_GONE)
            break
        if not reachable(volume, node.node.labels):
            found.reasons.append(NODE_CONFLICT)
            break
    to_match: list[Obj] = []
    to_provision: list[Obj] = []
    for claim in claims.waiting:
        selected = notes_of(claim).get(SELECTED_NODE)
        if selected is None:
            to_match.append(claim)
        elif selected == node.name:
            to_provision.append(claim)
        else:
            found.reasons.append(NO_VOLUME)
            return found
    taken: set[str] = set()
    for claim in sorted(to_match, key=lambda c: amount(_request(c))):
        match = smallest(claim, node, objects, taken)
        if match is None:
            to_provision.append(claim)
        else:
            taken.add(match["metadata"]["name"])
            found.bindings.append((match, claim))
    for claim in to_provision:
        problem = _cannot_provision(claim, node, objects)
        if problem:
            found.reasons.append(problem)
            return found
    found.provisions = to_provision
    return found


def smallest(claim: Obj, node: NodeInfo, objects: Objects, taken: set[str]) -> Obj | None:
    """The smallest free volume that suits a claim and can be reached from the node, or the one meant for it."""
    spec = claim.get("spec") or {}
    asked, mode = amount(_request(claim)), spec.get("volumeMode") or "Filesystem"
    selector = label_selector(spec["selector"]) if spec.get("selector") is not None else None
    best: Obj | None = None
    for volume in objects.all(PVS):
        has = volume.get("spec") or {}
        meant = meant_for(volume, claim)
        if (
            class_of(volume) != class_of(claim)
            or volume["metadata"]["name"] in taken
            or (has.get("claimRef") and not meant)
            or amount((has.get("capacity") or {}).get("storage", 0)) < asked
            or (has.get("volumeMode") or "Filesystem") != mode
            or volume["metadata"].get("deletionTimestamp")
        ):
            continue
        fits = reachable(volume, node.node.labels)
        if meant:
            return volume if fits else None
        if (
            not fits
            or (volume.get("status") or {}).get("phase") != "Available"
            or (selector is not None and not selector(volume["metadata"].get("labels") or {}))
            or not set(spec.get("accessModes") or ()) <= set(has.get("accessModes") or ())
        ):
            continue
        if best is None or _capacity(volume) < _capacity(best):
            best = volume
    return best


def _capacity(volume: Obj) -> Fraction:
    return amount(volume["spec"]["capacity"]["storage"])


def _cannot_provision(claim: Obj, node: NodeInfo, objects: Objects) -> str:
    storage_class = objects.get(CLASSES, class_of(claim))
    provisioner = (storage_class or {}).get("provisioner") or NOT_SUPPORTED
    if storage_class is None or provisioner == NOT_SUPPORTED:
        return NO_VOLUME
    terms = storage_class.get("allowedTopologies") or ()
    labels = node.node.labels

    def matches(term: Obj) -> bool:
        expressions = term.get("matchLabelExpressions") or ()
        return bool(expressions) and all(labels.get(e["key"]) in (e.get("values") or ()) for e in expressions)

    if terms and not any(matches(t) for t in terms):
        return NO_VOLUME
    driver = objects.get("csidrivers", provisioner)
    if driver is None or not (driver.get("spec") or {}).get("storageCapacity") or not _request(claim):
        return ""
    asked = amount(_request(claim))
    for capacity in objects.all("csistoragecapacities"):
        limit = capacity.get("maximumVolumeSize", capacity.get("capacity"))
        topology = capacity.get("nodeTopology")
        if (
            capacity.get("storageClassName") == storage_class["metadata"]["name"]
            and limit is not None
            and amount(limit) >= asked
            and topology is not None
            and label_selector(topology)(labels)
        ):
            return ""
    return NO_SPACE


class VolumeBinding(Unnormalised):
    name = "VolumeBinding"

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        if next(claimed(cycle.pod), None) is None:
            return Skip.SKIP
        claims = sort_claims(cycle.pod, cycle.snapshot.objects)
        if isinstance(claims, str):
            return Rejection(Code.UNRESOLVABLE, (claims,))
        if claims.immediate:
            return Rejection(Code.UNRESOLVABLE, ("pod has unbound immediate PersistentVolumeClaims",))
        # A tuple, so that what-if copies share it.
        cycle.notes[self.name] = (claims,)
        return None

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        (claims,) = cycle.notes[self.name]
        reasons = plan(claims, node, cycle.snapshot.objects).reasons
        return Rejection(Code.UNRESOLVABLE, tuple(reasons)) if reasons else None

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> Skip | None:
        # Scoring by capacity is behind a feature gate which is off in 1.33.
        return Skip.SKIP

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        return 0

    def reserve(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        """Whether the claims can still be had."""
        claims = sort_claims(cycle.pod, cycle.snapshot.objects)
        if isinstance(claims, str):
            return Rejection(Code.UNRESOLVABLE, (claims,))
        reasons = plan(claims, node, cycle.snapshot.objects).reasons
        return Rejection(Code.UNRESOLVABLE, tuple(reasons)) if reasons else None

    def pre_bind(self, cycle: Cycle, node: NodeInfo) -> Sequence[Change]:
        """The volumes to be bound to claims, then the claims to be provisioned for the node."""
        claims = sort_claims(cycle.pod, cycle.snapshot.objects)
        if isinstance(claims, str):
            return ()
        chosen = plan(claims, node, cycle.snapshot.objects)
        bound = [Change(PVS, _bound(volume, claim), claim) for volume, claim in chosen.bindings]
        return [*bound, *(Change(PVCS, _selected(claim, node.name), claim) for claim in chosen.provisions)]


def _bound(volume: Obj, claim: Obj) -> Obj:
    new = copy.deepcopy(volume)
    if not meant_for(volume, claim):
        new["metadata"].setdefault("annotations", {})[BOUND_BY_CONTROLLER] = "yes"
    metadata = claim["metadata"]
    new["spec"]["claimRef"] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": metadata.get("namespace") or "default",
        "name": metadata["name"],
        **{k: metadata[k] for k in ("uid", "resourceVersion") if metadata.get(k)},
    }
    return new


def _selected(claim: Obj, node: str) -> Obj:
    new = copy.deepcopy(claim)
    new["metadata"]["annotations"] = {**notes_of(claim), SELECTED_NODE: node}
    return new
