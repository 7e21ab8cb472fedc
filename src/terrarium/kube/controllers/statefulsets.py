"""StatefulSet: pods with a name and a volume of their own, made, replaced and removed one after the other.

Pure heart: `next_steps` takes the set, its pods and the two revisions and says what to do now. With OrderedReady at most
one pod is in motion: the next one is made when all before it are running and ready, and removal begins at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.pod_template_hash import controller_revision
from terrarium.kube.client.contract import PODS, STATEFUL_SETS, ApiError, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers import revisions as rev
from terrarium.kube.controllers.pods import OWNER, carry_out, claim
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

CLAIMS = Resource("", "v1", "persistentvolumeclaims")
POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


def ordinal_of(owner: Obj, pod: Obj) -> int | None:
    parent, _, number = o.name(pod).rpartition("-")
    return int(number) if parent == o.name(owner) and number.isdigit() else None


def replicas(owner: Obj) -> int:
    found = owner["spec"].get("replicas")
    return 1 if found is None else int(found)


def first_ordinal(owner: Obj) -> int:
    return int((owner["spec"].get("ordinals") or {}).get("start") or 0)


def partition(owner: Obj) -> int:
    rolling = (owner["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return int(rolling.get("partition") or 0)


def revision_of(pod: Obj) -> str:
    return str(o.labels(pod).get(rev.POD_HASH, ""))


def created(pod: Obj | None) -> bool:
    return pod is not None and bool(o.status(pod).get("phase"))


def running_and_ready(pod: Obj) -> bool:
    return o.status(pod).get("phase") == "Running" and o.ready(pod)


def healthy(pod: Obj) -> bool:
    return running_and_ready(pod) and not o.deleting(pod)


@dataclass(slots=True)
class Steps:
    """Ordinals to create (with the revision each gets), pods to delete, pods whose identity is to be repaired."""

    create: list[tuple[int, str]] = field(default_factory=list)
    delete: list[Obj] = field(default_factory=list)
    repair: list[Obj] = field(default_factory=list)


def revision_for(owner: Obj, ordinal: int, current: str, update: str) -> str:
    """A pod below the partition, or not yet reached by a rollout, is made from the current revision."""
    start = first_ordinal(owner)
    if (owner["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
        return update
    kept = int(o.status(owner).get("currentReplicas") or 0)
    if (owner["spec"].get("updateStrategy") or {}).get("rollingUpdate") is None and ordinal < start + kept:
        return current
    return current if ordinal < start + partition(owner) else update


def next_steps(owner: Obj, pods: Sequence[Obj], current: str, update: str, now: datetime) -> Steps:
    steps = Steps()
    if o.deleting(owner):
        return steps
    start, wanted = first_ordinal(owner), replicas(owner)
    ordered = owner["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    seconds = int(owner["spec"].get("minReadySeconds") or 0)
    by_ordinal = {n: p for p in pods if (n := ordinal_of(owner, p)) is not None}
    kept = {n: by_ordinal.get(n) for n in range(start, start + wanted)}
    condemned = [by_ordinal[n] for n in sorted(by_ordinal, reverse=True) if n not in kept]
    for number, pod in kept.items():
        stop = False
        if pod is not None and o.status(pod).get("phase") in ("Failed", "Succeeded"):
            if not o.deleting(pod):
                steps.delete.append(pod)
            stop = ordered
            if ordered:
                return steps
            continue
        if pod is None:
            steps.create.append((number, revision_for(owner, number, current, update)))
            stop = ordered
        elif o.deleting(pod) and ordered:
            return steps
        elif not running_and_ready(pod) and ordered:
            if _broken_identity(owner, pod):
                steps.repair.append(pod)
            return steps
        elif not o.available(pod, seconds, now) and ordered:
            return steps
        elif _broken_identity(owner, pod):
            steps.repair.append(pod)
        if stop:
            return steps
    return _remove(owner, steps, kept, condemned, ordered) or _update(owner, steps, kept, update, now, seconds)


def _remove(
    owner: Obj, steps: Steps, kept: Mapping[int, Obj | None], condemned: Sequence[Obj], ordered: bool
) -> Steps | None:
    """Takes pods beyond the size away, the last first. None when there are none."""
    unhealthy = [p for p in [*kept.values(), *reversed(condemned)] if p is not None and not healthy(p)]
    first_unhealthy = unhealthy[0] if unhealthy else None
    for pod in condemned:
        if o.deleting(pod):
            if ordered:
                return steps
            continue
        if ordered and not running_and_ready(pod) and first_unhealthy is not pod:
            return steps
        steps.delete.append(pod)
        if ordered:
            return steps
    return steps if condemned and ordered else None


def _update(
    owner: Obj, steps: Steps, kept: Mapping[int, Obj | None], update: str, now: datetime, seconds: int
) -> Steps:
    """Replaces the last pod that is not of the update revision, if all after it are healthy."""
    if (owner["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
        return steps
    lowest = first_ordinal(owner) + partition(owner)
    for number in sorted(kept, reverse=True):
        pod = kept[number]
        if number < lowest:
            return steps
        if pod is None:
            return steps
        if revision_of(pod) != update and not o.deleting(pod):
            steps.delete.append(pod)
            return steps
        if not (healthy(pod) and o.available(pod, seconds, now)):
            return steps
    return steps


def _broken_identity(owner: Obj, pod: Obj) -> bool:
    return o.labels(pod).get(POD_NAME) != o.name(pod)


def counts(
    owner: Obj, pods: Sequence[Obj], current: str, update: str, collisions: int, now: datetime
) -> dict[str, Any]:
    """The status, with the zeros that Go leaves out left out."""
    seconds = int(owner["spec"].get("minReadySeconds") or 0)
    there = [p for p in pods if created(p) and ordinal_of(owner, p) is not None]
    running = [p for p in there if running_and_ready(p)]
    live = [p for p in there if not o.deleting(p)]
    found = {
        "observedGeneration": owner["metadata"].get("generation", 0),
        "replicas": len(there),
        "readyReplicas": len(running),
        "currentReplicas": sum(revision_of(p) == current for p in live),
        "updatedReplicas": sum(revision_of(p) == update for p in live),
        "availableReplicas": sum(o.available(p, seconds, now) for p in running),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
    }
    always = ("replicas", "collisionCount", "availableReplicas")
    return {k: v for k, v in found.items() if v or k in always}


def new_pod(owner: Obj, template: Mapping[str, Any], ordinal: int, revision: str) -> Obj:
    reference = o.controller_reference(owner, "StatefulSet", "apps/v1")
    pod = o.pod_from_template(template, owner, reference)
    name = f"{o.name(owner)}-{ordinal}"
    pod["metadata"]["name"] = name
    labels = {**(pod["metadata"].get("labels") or {}), POD_NAME: name, POD_INDEX: str(ordinal)}
    pod["metadata"]["labels"] = {**labels, rev.POD_HASH: revision}
    spec = {**pod["spec"], "hostname": name, "subdomain": owner["spec"].get("serviceName", "")}
    if not spec["subdomain"]:
        del spec["subdomain"]
    claims = [c["metadata"]["name"] for c in owner["spec"].get("volumeClaimTemplates") or ()]
    others = [v for v in spec.get("volumes") or () if v["name"] not in claims]
    own = [{"name": c, "persistentVolumeClaim": {"claimName": f"{c}-{name}"}} for c in claims]
    if own or others:
        spec["volumes"] = [*own, *others]
    return {**pod, "spec": spec}


def new_claims(owner: Obj, ordinal: int) -> list[Obj]:
    found = []
    for template in owner["spec"].get("volumeClaimTemplates") or ():
        meta = template["metadata"]
        labels = {**(meta.get("labels") or {}), **((owner["spec"].get("selector") or {}).get("matchLabels") or {})}
        name = f"{meta['name']}-{o.name(owner)}-{ordinal}"
        body = {"name": name, "namespace": o.namespace(owner), "labels": labels}
        if meta.get("annotations"):
            body["annotations"] = meta["annotations"]
        claim_obj = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": body, "spec": template["spec"]}
        found.append(claim_obj)
    return found


def claim_owner(owner: Obj, pod: Obj | None, ordinal: int) -> tuple[dict[str, Any] | None, str]:
    """Who shall own a claim by the retention policy: (reference, uid), or nobody."""
    policy = owner["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    condemned = not first_ordinal(owner) <= ordinal < first_ordinal(owner) + replicas(owner)
    if condemned and policy.get("whenScaled") == "Delete" and not o.deleting(owner):
        if pod is None:
            return None, ""
        reference = {"apiVersion": "v1", "kind": "Pod", "name": o.name(pod), "uid": o.uid(pod)}
        return reference | {"controller": True, "blockOwnerDeletion": True}, o.uid(pod)
    if policy.get("whenDeleted") == "Delete":
        return o.controller_reference(owner, "StatefulSet", "apps/v1"), o.uid(owner)
    return None, ""


class StatefulSets(Controller):
    name: ClassVar[str] = "statefulset-controller"
    inputs: ClassVar[Sequence[Resource]] = (STATEFUL_SETS, PODS, rev.REVISIONS, CLAIMS)

    def indexes(self) -> None:
        self.caches.of(PODS).add_index(OWNER, o.owner_uids)
        self.caches.of(rev.REVISIONS).add_index(OWNER, o.owner_uids)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == STATEFUL_SETS:
            yield key_of(new or old)  # type: ignore[arg-type]
        elif resource == PODS:
            for pod in (old, new):
                if pod is None:
                    continue
                ref = o.controller_of(pod)
                if ref is not None:
                    if ref["kind"] == "StatefulSet":
                        yield o.namespace(pod), ref["name"]
                else:
                    for owner in self.caches.of(STATEFUL_SETS).items(o.namespace(pod)):
                        if o.selects(owner["spec"].get("selector"), o.labels(pod)):
                            yield key_of(owner)

    async def sync(self, key: Key, write: Writer) -> float | None:
        owner = self.caches.of(STATEFUL_SETS).get(*key)
        return None if owner is None else await self._sync(key, owner, write)

    async def _sync(self, key: Key, owner: Obj, write: Writer) -> float | None:
        reference = o.controller_reference(owner, "StatefulSet", "apps/v1")

        def mine(resource: Resource) -> list[Obj]:
            cache = self.caches.of(resource)
            own = [x for x in cache.indexed(OWNER, o.uid(owner)) if o.namespace(x) == key[0]]
            return [*own, *cache.indexed(OWNER, f"orphan/{key[0]}")]

        revisions = await carry_out(rev.claimed(owner, mine(rev.REVISIONS)), write, rev.REVISIONS, reference)
        selector = owner["spec"].get("selector")
        found = claim(
            owner,
            mine(PODS),
            lambda p: o.selects(selector, o.labels(p)) and ordinal_of(owner, p) is not None,
        )
        pods = await carry_out(found, write, PODS, reference)
        current, update, revisions, collisions = await self._revisions(owner, reference, revisions, write)
        now = self.clock.now()
        names = (o.name(current), o.name(update))
        failure: ApiError | None = None
        if not o.deleting(owner):
            await self._fix_claims(owner, pods, write)
            steps = next_steps(owner, pods, *names, now)
            failure = await self._carry_out(owner, steps, {o.name(r): r for r in revisions}, write)
        status = counts(owner, pods, *names, collisions, now)
        status = complete_rolling_update(owner, status)
        if status != o.status(owner):
            await write.status(STATEFUL_SETS, owner, status)
        await self._drop_history(owner, pods, revisions, status, write)
        if failure is not None:
            raise failure
        seconds = owner["spec"].get("minReadySeconds") or 0
        waits = status.get("readyReplicas", 0) != status.get("availableReplicas", 0)
        return float(seconds) if seconds and waits else None

    async def _revisions(
        self, owner: Obj, reference: Mapping[str, Any], known: Sequence[Obj], write: Writer
    ) -> tuple[Obj, Obj, list[Obj], int]:
        """(current, update, all, collision count); makes or renumbers the update revision."""
        revisions = rev.in_order(known)
        collisions = int(o.status(owner).get("collisionCount") or 0)
        template = owner["spec"]["template"]
        equal = [r for r in revisions if rev.same_data(r, template)]
        number = max((r.get("revision", 0) for r in revisions), default=0) + 1
        if equal and equal[-1] is revisions[-1]:
            update = equal[-1]
        elif equal:
            update = await write.update(rev.REVISIONS, {**equal[-1], "revision": number})
            revisions = [update if o.uid(r) == o.uid(update) else r for r in revisions]
        else:
            digest = controller_revision(template, collisions)
            fresh = rev.fresh(owner, reference, f"{o.name(owner)}-{digest}", (rev.SET_HASH, digest), number)
            update = await write.create(rev.REVISIONS, fresh, o.namespace(owner))
            revisions.append(update)
        wanted = o.status(owner).get("currentRevision")
        current = next((r for r in revisions if o.name(r) == wanted), update)
        return current, update, revisions, collisions

    async def _carry_out(
        self, owner: Obj, steps: Steps, revisions: Mapping[str, Obj], write: Writer
    ) -> ApiError | None:
        failure: ApiError | None = None
        for ordinal, revision in steps.create:
            try:
                await self._create(owner, ordinal, revision, revisions, write)
            except ApiError as error:
                failure = failure or error
                break
        for pod in steps.delete:
            try:
                await write.delete(PODS, pod)
                self._tell(owner, "Normal", "SuccessfulDelete", "delete", o.name(pod), "successful")
            except ApiError as error:
                if error.code != 404:
                    self._tell(owner, "Warning", "FailedDelete", "delete", o.name(pod), f"failed error: {error}")
                    failure = failure or error
        for pod in steps.repair:
            labels = {**o.labels(pod), POD_NAME: o.name(pod), POD_INDEX: str(ordinal_of(owner, pod))}
            await write.update(PODS, {**pod, "metadata": {**pod["metadata"], "labels": labels}})
            self._tell(owner, "Normal", "SuccessfulUpdate", "update", o.name(pod), "successful")
        return failure

    async def _create(
        self, owner: Obj, ordinal: int, revision: str, revisions: Mapping[str, Obj], write: Writer
    ) -> None:
        name = f"{o.name(owner)}-{ordinal}"
        for wanted in new_claims(owner, ordinal):
            claim_name = o.name(wanted)
            if self.caches.of(CLAIMS).get(o.namespace(owner), claim_name) is not None:
                continue
            reference, _ = claim_owner(owner, None, ordinal)
            if reference is not None:
                wanted["metadata"]["ownerReferences"] = [reference]
            try:
                await write.create(CLAIMS, wanted, o.namespace(owner))
                text = f"create Claim {claim_name} Pod {name} in StatefulSet {o.name(owner)} success"
                self.events.event(owner, "Normal", "SuccessfulCreate", text)
            except ApiError as error:
                if error.reason == "AlreadyExists":
                    continue
                text = f"create Claim {claim_name} for Pod {name} in StatefulSet {o.name(owner)} failed error: {error}"
                self.events.event(owner, "Warning", "FailedCreate", text)
                raise
        template = _template_of(owner, revisions.get(revision))
        try:
            await write.create(PODS, new_pod(owner, template, ordinal, revision), o.namespace(owner))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self._tell(owner, "Warning", "FailedCreate", "create", name, f"failed error: {error}")
            raise
        self._tell(owner, "Normal", "SuccessfulCreate", "create", name, "successful")

    def _tell(self, owner: Obj, kind: str, reason: str, verb: str, pod: str, end: str) -> None:
        self.events.event(owner, kind, reason, f"{verb} Pod {pod} in StatefulSet {o.name(owner)} {end}")

    async def _fix_claims(self, owner: Obj, pods: Sequence[Obj], write: Writer) -> None:
        """Owner references of claims follow the retention policy."""
        if not owner["spec"].get("volumeClaimTemplates"):
            return
        uids = {o.uid(owner), *map(o.uid, pods)}
        for pod in pods:
            ordinal = ordinal_of(owner, pod)
            assert ordinal is not None
            wanted, _ = claim_owner(owner, pod, ordinal)
            for template in new_claims(owner, ordinal):
                found = self.caches.of(CLAIMS).get(o.namespace(owner), o.name(template))
                if found is None:
                    continue
                refs = found["metadata"].get("ownerReferences") or []
                others = [r for r in refs if r["uid"] not in uids]
                now = [*others, *([wanted] if wanted is not None else [])]
                if now != refs:
                    meta = {k: v for k, v in found["metadata"].items() if k != "ownerReferences"}
                    await write.update(CLAIMS, {**found, "metadata": meta | ({"ownerReferences": now} if now else {})})

    async def _drop_history(
        self, owner: Obj, pods: Sequence[Obj], revisions: Sequence[Obj], status: Mapping[str, Any], write: Writer
    ) -> None:
        live = {revision_of(p) for p in pods} | {status.get("currentRevision", ""), status.get("updateRevision", "")}
        limit = owner["spec"].get("revisionHistoryLimit")
        for revision in rev.to_drop(revisions, live, 10 if limit is None else int(limit)):
            try:
                await write.delete(rev.REVISIONS, revision)
            except ApiError as error:
                if error.code != 404:
                    raise


def _template_of(owner: Obj, revision: Obj | None) -> Mapping[str, Any]:
    """The pod template of a revision; the owner's own for its present one."""
    if revision is None or rev.same_data(revision, owner["spec"]["template"]):
        found: Mapping[str, Any] = owner["spec"]["template"]
        return found
    template = {k: v for k, v in revision["data"]["spec"]["template"].items() if k != "$patch"}
    meta = {k: v for k, v in (template.get("metadata") or {}).items() if v is not None}
    return {**template, "metadata": meta}


def complete_rolling_update(owner: Obj, status: dict[str, Any]) -> dict[str, Any]:
    """When every pod is of the update revision and ready, it becomes the current one."""
    rolling = (owner["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    everything = status.get("updatedReplicas", 0) == status["replicas"] == replicas(owner)
    if rolling and everything and status.get("readyReplicas", 0) == status["replicas"]:
        found = {**status, "currentRevision": status["updateRevision"]}
        if status.get("updatedReplicas"):
            found["currentReplicas"] = status["updatedReplicas"]
        return found
    return status
