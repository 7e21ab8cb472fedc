"""Deployment: rollouts by ReplicaSets.

Theory of operation. One round takes the Deployment and its ReplicaSets and does the first thing that is to be done:
record a pause, follow a changed size in proportion, make or scale the new ReplicaSet, scale the old ones down, clean the
history; then it writes a status. What a round writes changes ReplicaSets, whose change brings the next round. The pure
questions (how many more, how many fewer, is it complete, has it timed out) are in `rollout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from terrarium.base.clock import rfc3339
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.pod_template_hash import pod_template_hash
from terrarium.kube.client.contract import DEPLOYMENTS, PODS, REPLICA_SETS, ApiError, Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers import rollout as r
from terrarium.kube.controllers.pods import OWNER, carry_out, claim, terminating
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of


class Deployments(Controller):
    name: ClassVar[str] = "deployment-controller"
    inputs: ClassVar[Sequence[Resource]] = (DEPLOYMENTS, REPLICA_SETS, PODS)

    def indexes(self) -> None:
        self.caches.of(REPLICA_SETS).add_index(OWNER, o.owner_uids)
        self.caches.of(PODS).add_index(OWNER, o.owner_uids)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == DEPLOYMENTS:
            yield key_of(new or old)  # type: ignore[arg-type]
        elif resource == REPLICA_SETS:
            for replica_set in (old, new):
                if replica_set is not None:
                    yield from self._deployments_of(replica_set)
        elif old is not None and new is None:
            # A pod that is gone matters only to a Deployment that waits for its last old pod.
            ref = o.controller_of(old)
            owner = self.caches.of(REPLICA_SETS).get(o.namespace(old), ref["name"]) if ref else None
            if owner is not None:
                yield from self._deployments_of(owner)

    def _deployments_of(self, replica_set: Obj) -> Iterable[Key]:
        ref = o.controller_of(replica_set)
        if ref is not None:
            if ref["kind"] == "Deployment":
                yield o.namespace(replica_set), ref["name"]
            return
        for deployment in self.caches.of(DEPLOYMENTS).items(o.namespace(replica_set)):
            if o.selects(deployment["spec"]["selector"], o.labels(replica_set)):
                yield key_of(deployment)

    async def sync(self, key: Key, write: Writer) -> float | None:
        deployment = self.caches.of(DEPLOYMENTS).get(*key)
        if deployment is None:
            return None
        selector = deployment["spec"].get("selector")
        if selector == {}:
            text = "This deployment is selecting all pods. A non-empty selector is required."
            self.events.event(deployment, "Warning", "SelectingAll", text)
            generation = deployment["metadata"].get("generation", 0)
            if o.status(deployment).get("observedGeneration", 0) < generation:
                status = {**o.status(deployment), "observedGeneration": generation}
                await write.status(DEPLOYMENTS, deployment, status)
            return None
        cache = self.caches.of(REPLICA_SETS)
        mine = [s for s in cache.indexed(OWNER, o.uid(deployment)) if o.namespace(s) == key[0]]
        orphans = cache.indexed(OWNER, f"orphan/{key[0]}")
        found = claim(deployment, [*mine, *orphans], lambda s: o.selects(selector, o.labels(s)))
        reference = o.controller_reference(deployment, "Deployment", "apps/v1")
        sets = await carry_out(found, write, REPLICA_SETS, reference)
        return await Round(self, write, deployment, sets).run()

    def pods_run(self, sets: Sequence[Obj]) -> bool:
        """Whether pods of these ReplicaSets have not ended yet."""
        pods = self.caches.of(PODS)
        return any(
            o.status(pod).get("phase") not in ("Succeeded", "Failed")
            for replica_set in sets
            for pod in pods.indexed(OWNER, o.uid(replica_set))
        )


class Round:
    """One round over one Deployment: values as they were read, replaced by what each write answered."""

    def __init__(self, controller: Deployments, write: Writer, deployment: Obj, sets: Sequence[Obj]) -> None:
        self.controller = controller
        self.write = write
        self.deployment = deployment
        self.sets = list(sets)
        self.new = r.find_new(deployment, self.sets)
        self.now = controller.clock.now()

    @property
    def old(self) -> list[Obj]:
        return [s for s in self.sets if self.new is None or o.uid(s) != o.uid(self.new)]

    @property
    def all(self) -> list[Obj]:
        """Old ones first, the new one last."""
        return [*self.old, *([self.new] if self.new is not None else [])]

    async def run(self) -> float | None:
        if o.deleting(self.deployment):
            await self._report_counts()
            return None
        await self._note_pause()
        if self.deployment["spec"].get("paused"):
            await self._follow_size()
            return None
        if r.ROLLBACK in o.notes(self.deployment):
            await self._roll_back()
            return None
        if await self._size_changed():
            await self._follow_size()
            return None
        if r.strategy(self.deployment) == "Recreate":
            return await self._recreate()
        return await self._roll()

    # -- the ways a round can go ------------------------------------------------------------------------------------

    async def _roll(self) -> float | None:
        await self._sync_new(create=True)
        assert self.new is not None
        size = r.new_size(self.deployment, self.all, self.new)
        if size != r.replicas(self.new):
            await self._scale(self.new, size)
            return await self._report()
        if await self._shrink_old():
            return await self._report()
        if r.complete(self.deployment, o.status(self.deployment)):
            await self._clean_up()
        return await self._report()

    async def _recreate(self) -> float | None:
        await self._sync_new(create=False)
        running = [s for s in self.old if r.replicas(s)]
        for replica_set in running:
            await self._scale(replica_set, 0)
        if running or any(o.status(s).get("replicas") for s in self.old) or self.controller.pods_run(self.old):
            return await self._report()
        if self.new is None:
            await self._sync_new(create=True)
            assert self.new is not None
        await self._scale(self.new, r.replicas(self.deployment))
        if r.complete(self.deployment, o.status(self.deployment)):
            await self._clean_up()
        return await self._report()

    async def _roll_back(self) -> None:
        """The old way to roll back: an annotation names a revision (0: the one before)."""
        wanted = r.number(self.deployment, r.ROLLBACK) or r.revision_before(self.sets)
        target = next((s for s in self.sets if r.revision(s) == wanted), None)
        notes = {k: v for k, v in o.notes(self.deployment).items() if k != r.ROLLBACK}
        fresh = {**self.deployment, "metadata": {**self.deployment["metadata"], "annotations": notes}}
        tell = self.controller.events.event
        if target is None:
            tell(self.deployment, "Warning", "DeploymentRollbackRevisionNotFound", "Unable to find last revision.")
        elif r.same_template(target["spec"]["template"], self.deployment["spec"]["template"]):
            name = o.name(self.deployment)
            text = f'The rollback revision contains the same template as current deployment "{name}"'
            tell(self.deployment, "Warning", "DeploymentRollbackTemplateUnchanged", text)
        else:
            fresh = {**fresh, "spec": {**fresh["spec"], "template": r.without_hash(target["spec"]["template"])}}
            text = f'Rolled back deployment "{o.name(self.deployment)}" to revision {wanted}'
            tell(self.deployment, "Normal", "DeploymentRollback", text)
        self.deployment = await self.write.update(DEPLOYMENTS, fresh)

    async def _size_changed(self) -> bool:
        await self._sync_new(create=False)
        wanted = r.replicas(self.deployment)
        return any(r.number(s, r.DESIRED) not in (None, wanted) for s in self.all if r.replicas(s) > 0)

    async def _follow_size(self) -> None:
        await self._sync_new(create=False)
        for name, size in r.proportional(self.deployment, self.new, self.old).items():
            replica_set = next(s for s in self.all if o.name(s) == name)
            await self._scale(replica_set, size)
        if self.deployment["spec"].get("paused"):
            await self._clean_up()
        await self._report_counts()

    async def _shrink_old(self) -> bool:
        """Scales old ReplicaSets down as far as availability allows: broken pods first."""
        plan = r.shrink(self.deployment, self.new, [s for s in self.old if r.replicas(s) > 0])
        done = False
        for stage in plan:
            for name, size in stage.items():
                target = next(s for s in self.all if o.name(s) == name)
                done = await self._scale(target, size) or done
        return done

    # -- writes -----------------------------------------------------------------------------------------------------

    async def _note_pause(self) -> None:
        spec, status = self.deployment["spec"], o.status(self.deployment)
        standing = o.condition(status, "Progressing") or {}
        if not r.has_deadline(self.deployment) or standing.get("reason") == r.TIMED_OUT:
            return
        was = standing.get("reason") == r.PAUSED
        if bool(spec.get("paused")) == was:
            return
        reason, text = (r.RESUMED, "Deployment is resumed") if was else (r.PAUSED, "Deployment is paused")
        await self._set_status(self._with_progress(status, "Unknown", reason, text))

    async def _sync_new(self, create: bool) -> None:
        """Keeps the new ReplicaSet's annotations and the Deployment's revision true, or makes the ReplicaSet."""
        revision = 1 + max((r.revision(s) for s in self.old), default=0)
        if self.new is not None:
            meta = r.annotated(self.deployment, self.new, revision, exists=True)
            seconds = self.deployment["spec"].get("minReadySeconds") or 0
            spec = self.new["spec"]
            if meta != dict(o.notes(self.new)) or (spec.get("minReadySeconds") or 0) != seconds:
                spec = {k: v for k, v in spec.items() if k != "minReadySeconds"} | (
                    {"minReadySeconds": seconds} if seconds else {}
                )
                await self._update(
                    {**self.new, "metadata": {**self.new["metadata"], "annotations": meta}, "spec": spec}
                )
                return
            status = o.status(self.deployment)
            if r.has_deadline(self.deployment) and o.condition(status, "Progressing") is None:
                text = f'Found new replica set "{o.name(self.new)}"'
                status = self._with_progress(status, "True", "FoundNewReplicaSet", text)
            await self._set_status(status, o.notes(self.new).get(r.REVISION, ""))
        elif create:
            await self._create_new(revision)

    async def _create_new(self, revision: int) -> None:
        deployment = self.deployment
        template = deployment["spec"]["template"]
        digest = pod_template_hash(template, o.status(deployment).get("collisionCount"))
        fresh = r.new_replica_set(deployment, digest)
        size = r.new_size(deployment, self.all, fresh)
        fresh["spec"]["replicas"] = size
        fresh["metadata"]["annotations"] = r.annotated(deployment, fresh, revision, exists=False)
        name, existed = fresh["metadata"]["name"], False
        try:
            made = await self.write.create(REPLICA_SETS, fresh, o.namespace(deployment))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                await self._tell_failure(name, error)
                raise
            made = await self.write.client.get(REPLICA_SETS, name, o.namespace(deployment))
            if not (o.owned_by(made, o.uid(deployment)) and r.same_template(made["spec"]["template"], template)):
                count = (o.status(deployment).get("collisionCount") or 0) + 1
                await self._set_status({**o.status(deployment), "collisionCount": count})
                raise
            existed = True
        if not existed:
            self.sets.append(made)
            if size > 0:
                self._tell_scaled(name, 0, size)
        self.new = made
        status = o.status(deployment)
        if not existed and r.has_deadline(deployment):
            text = f'Created new replica set "{name}"'
            status = self._with_progress(status, "True", "NewReplicaSetCreated", text)
        await self._set_status(status, str(revision))

    async def _tell_failure(self, name: str, error: ApiError) -> None:
        if terminating(error):
            return
        text = f'Failed to create new replica set "{name}": {error}'
        if r.has_deadline(self.deployment):
            status = self._with_progress(o.status(self.deployment), "False", "ReplicaSetCreateError", text)
            await self._set_status(status)
        self.controller.events.event(self.deployment, "Warning", "ReplicaSetCreateError", text)

    async def _scale(self, replica_set: Obj, size: int) -> bool:
        """Also when only the annotations lag behind. True when the size changed."""
        before = r.replicas(replica_set)
        notes = r.sized(self.deployment, o.notes(replica_set))
        if size == before and notes == dict(o.notes(replica_set)):
            return False
        meta = {**replica_set["metadata"], "annotations": notes}
        await self._update({**replica_set, "metadata": meta, "spec": {**replica_set["spec"], "replicas": size}})
        if size != before:
            self._tell_scaled(o.name(replica_set), before, size)
        return size != before

    async def _update(self, replica_set: Obj) -> None:
        made = await self.write.update(REPLICA_SETS, replica_set)
        self.sets = [made if o.uid(s) == o.uid(made) else s for s in self.sets]
        if self.new is not None and o.uid(self.new) == o.uid(made):
            self.new = made

    def _tell_scaled(self, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        text = f"Scaled {way} replica set {name} from {before} to {after}"
        self.controller.events.event(self.deployment, "Normal", "ScalingReplicaSet", text)

    async def _clean_up(self) -> None:
        for replica_set in r.history_to_drop(self.deployment, self.old):
            try:
                await self.write.delete(REPLICA_SETS, replica_set)
            except ApiError as error:
                if error.code != 404:
                    raise

    # -- status -----------------------------------------------------------------------------------------------------

    def _with_progress(self, status: dict[str, Any], value: str, reason: str, text: str) -> dict[str, Any]:
        new = r.new_condition("Progressing", value, reason, text, rfc3339(self.now))
        return {**status, "conditions": o.with_condition(status.get("conditions") or (), new)}

    async def _set_status(self, status: dict[str, Any], revision: str = "") -> None:
        """Writes status and, through it, the revision annotation, when one of them changes."""
        meta = self.deployment["metadata"]
        if revision and (meta.get("annotations") or {}).get(r.REVISION) != revision:
            meta = {**meta, "annotations": {**(meta.get("annotations") or {}), r.REVISION: revision}}
        if meta is self.deployment["metadata"] and status == o.status(self.deployment):
            return
        self.deployment = await self.write.update(
            DEPLOYMENTS, {**self.deployment, "metadata": meta, "status": status}, "status"
        )

    async def _report_counts(self) -> None:
        status = r.counts(self.deployment, self.all, self.new, rfc3339(self.now))
        await self._set_status(status)

    async def _report(self) -> float | None:
        """The status of a rollout; asks to look again when its deadline comes."""
        status = r.rollout_status(self.deployment, self.all, self.new, self.now)
        await self._set_status(status)
        return r.seconds_to_deadline(self.deployment, status, self.now)
