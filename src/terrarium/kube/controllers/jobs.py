"""Job: pods run until enough have succeeded, or too many failed.

Theory of operation. A pod carries a finalizer until it has been counted, so no end is counted twice or lost: first the
status names the pod as uncounted (by uid, or by its index in Indexed Jobs), then the finalizer goes, then the count
rises. The end of a Job is written twice for the same reason: first the interim condition (SuccessCriteriaMet or
FailureTarget), and Complete or Failed only when every pod has been counted and none is terminating.
Changes of pods are looked at one second later, all together; a change of the Job at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from terrarium.base.clock import rfc3339
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import JOBS, PODS, ApiError, Resource
from terrarium.kube.controllers import jobrules as j
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.pods import OWNER, PodControl, carry_out, claim, slow_start, terminating
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

BATCH_SECONDS = 1.0
MOST_AT_ONCE = 500
NO_LIMIT = 2**31 - 1


class Jobs(Controller):
    name: ClassVar[str] = "job-controller"
    inputs: ClassVar[Sequence[Resource]] = (JOBS, PODS)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.backoffs: dict[str, j.Backoff] = {}
        """By uid of the Job; lives as long as this process, as in the real controller."""

    def indexes(self) -> None:
        self.caches.of(PODS).add_index(OWNER, o.owner_uids)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == JOBS:
            if new is None and old is not None:
                self.backoffs.pop(o.uid(old), None)
            yield key_of(new or old)  # type: ignore[arg-type]
            return
        for pod in (old, new):
            if pod is not None:
                for key in self._jobs_of(pod):
                    self.queue.add_after(key, BATCH_SECONDS)

    def _jobs_of(self, pod: Obj) -> Iterable[Key]:
        ref = o.controller_of(pod)
        if ref is not None:
            if ref["kind"] == "Job":
                yield o.namespace(pod), ref["name"]
        elif not o.deleting(pod):
            for job in self.caches.of(JOBS).items(o.namespace(pod)):
                if o.selects(job["spec"].get("selector"), o.labels(pod)):
                    yield key_of(job)

    async def sync(self, key: Key, write: Writer) -> float | None:
        job = self.caches.of(JOBS).get(*key)
        if job is None or j.finished(job):
            return None
        if job["spec"].get("managedBy") not in (None, "kubernetes.io/job-controller"):
            return None
        pods = self.caches.of(PODS)
        mine = [p for p in pods.indexed(OWNER, o.uid(job)) if o.namespace(p) == key[0]]
        orphans = pods.indexed(OWNER, f"orphan/{key[0]}")
        found = claim(job, [*mine, *orphans], lambda p: o.selects(job["spec"].get("selector"), o.labels(p)))
        reference = o.controller_reference(job, "Job", "batch/v1")
        owned = await carry_out(found, write, PODS, reference, (j.FINALIZER,), j.FINALIZER)
        return await Round(self, write, job, owned).run()


class Round:
    """One round over one Job."""

    def __init__(self, controller: Jobs, write: Writer, job: Obj, pods: Sequence[Obj]) -> None:
        self.controller = controller
        self.write = write
        self.job = job
        self.spec = job["spec"]
        self.pods = sorted(pods, key=lambda p: (j.index_of(p) or 0) if j.indexed(job) else 0)
        self.control = PodControl(controller, write, job, "Job")
        self.now = controller.clock.now()
        self.again: float | None = None
        self.status: dict[str, Any] = dict(o.status(job))
        uncounted = self.status.get("uncountedTerminatedPods") or {}
        self.uncounted = {k: list(uncounted.get(k) or ()) for k in ("succeeded", "failed")}
        self.active_pods = [p for p in pods if o.active(p)]
        self.active = len(self.active_pods)
        self.ready = sum(map(o.ready, self.active_pods))
        self.terminating = sum(map(j.terminating, pods))
        self.end: dict[str, Any] | None = None
        """The condition with which the Job ends, in its final form (Complete or Failed)."""
        self.interim = ""
        """The type of its interim condition."""
        self.completions: int | None = self.spec.get("completions")
        self.per_index = self.spec.get("backoffLimitPerIndex") is not None
        self.before: set[int] = set()
        self.done: set[int] = set()
        self.failed_indexes: set[int] = set()
        self.kept: dict[int, Obj] = {}

    def _later(self, seconds: float) -> None:
        self.again = seconds if self.again is None else min(self.again, seconds)

    async def run(self) -> float | None:
        job, status = self.job, self.status
        if status.get("startTime") is None and not j.suspended(job):
            status["startTime"] = rfc3339(self.now)
        new_succeeded = [
            p
            for p in self.pods
            if j.tracked(p) and j.phase(p) == "Succeeded" and o.uid(p) not in self.uncounted["succeeded"]
        ]
        new_failed = [
            p for p in self.pods if j.tracked(p) and j.failed(p, job) and o.uid(p) not in self.uncounted["failed"]
        ]
        succeeded = status.get("succeeded", 0) + len(new_succeeded) + len(self.uncounted["succeeded"])
        counted = sum(j.judge(job, p).counts for p in new_failed)
        failures = status.get("failed", 0) + counted + len(self.uncounted["failed"])
        record = self.controller.backoffs.get(o.uid(job), j.Backoff())
        backoff = record.after(new_succeeded, new_failed)
        if j.indexed(job):
            self._look_at_indexes()
            succeeded = len(self.done)
        self._decide_end(failures)
        problem: ApiError | None = None
        suspension_changed = False
        if self.end is not None:
            problem = await self._delete_active()
        else:
            managed = not o.deleting(job)
            if managed:
                problem = await self._manage(succeeded, backoff)
            if self.completions is None:
                complete = succeeded > 0 and self.active == 0
            else:
                complete = succeeded >= self.completions and self.active == 0
            if complete:
                self._end("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
            elif managed:
                suspension_changed = self._note_suspension()
        changed = suspension_changed or any(
            status.get(key) != value for key, value in (("ready", self.ready), ("terminating", self.terminating))
        )
        changed = changed or status.get("active", 0) != self.active
        status.update(ready=self.ready, terminating=self.terminating)
        _set_count(status, "active", self.active)
        await self._track(changed)
        self.controller.backoffs[o.uid(job)] = backoff
        if problem is not None and not terminating(problem):
            raise problem
        return self.again

    # -- what the Job is to become ----------------------------------------------------------------------------------

    def _look_at_indexes(self) -> None:
        assert self.completions is not None
        self.before = j.parse_indexes(self.status.get("completedIndexes", ""), self.completions)
        ended = {j.index_of(p) for p in self.pods if j.tracked(p) and j.phase(p) == "Succeeded"}
        self.done = self.before | {i for i in ended if i is not None and i < self.completions}
        if not self.per_index:
            return
        self.failed_indexes = j.parse_indexes(self.status.get("failedIndexes") or "", self.completions)
        lost = {j.index_of(p) for p in self.pods if j.tracked(p) and j.index_failed(self.job, p)}
        self.failed_indexes |= {i for i in lost if i is not None and i < self.completions and i not in self.done}
        running = {i for i in map(j.index_of, self.active_pods) if i is not None}
        self.kept = j.kept_for_index(self.job, self.pods, self.done | self.failed_indexes | running)

    def _end(self, interim: str, reason: str, message: str) -> None:
        self.interim = interim
        self.end = self._condition("Complete" if interim == "SuccessCriteriaMet" else "Failed", reason, message)

    def _condition(self, type: str, reason: str, message: str, value: str = "True") -> dict[str, Any]:
        now = rfc3339(self.now)
        return {
            "type": type,
            "status": value,
            "lastProbeTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }

    def _decide_end(self, failures: int) -> None:
        spec, job = self.spec, self.job
        for interim in ("FailureTarget", "SuccessCriteriaMet"):
            standing = o.condition(self.status, interim)
            if standing is not None and standing["status"] == "True":
                self._end(interim, standing.get("reason", ""), standing.get("message", ""))
                return
        message = j.job_failure(job, self.pods)
        started = o.moment(self.status.get("startTime"))
        deadline = spec.get("activeDeadlineSeconds")
        if message:
            self._end("FailureTarget", "PodFailurePolicy", message)
        elif failures > spec.get("backoffLimit", 6) or j.restarts_exceeded(job, self.pods):
            self._end("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif deadline is not None and started is not None and not j.suspended(job):
            left = started + deadline - self.now.timestamp()
            if left <= 0:
                self._end("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
            else:
                self._later(left)
        if self.end is None and j.indexed(job):
            self._decide_by_indexes()

    def _decide_by_indexes(self) -> None:
        assert self.completions is not None
        lost = len(self.failed_indexes)
        most = self.spec.get("maxFailedIndexes")
        if self.per_index and most is not None and lost > most:
            text = "Job has exceeded the specified maximal number of failed indexes"
            self._end("FailureTarget", "MaxFailedIndexesExceeded", text)
        elif self.per_index and lost and len(self.done) + lost >= self.completions:
            self._end("FailureTarget", "FailedIndexes", "Job has failed indexes")
        elif self.spec.get("successPolicy"):
            message = j.success_rule(self.job, self.done)
            if message:
                self._end("SuccessCriteriaMet", "SuccessPolicy", message)

    # -- pods -------------------------------------------------------------------------------------------------------

    async def _delete_active(self) -> ApiError | None:
        problem = await self.control.delete_all(self.active_pods)
        if problem is not None:
            # Not all are gone: the Job can't be called finished in this round.
            self.end = None
            return problem
        self.terminating += self.active
        self.active = self.ready = 0
        return None

    async def _remove(self, pods: Sequence[Obj]) -> ApiError | None:
        """Deletes pods that nobody shall count: the finalizer goes first."""
        for pod in pods:
            await self._untrack(pod)
        problem = await self.control.delete_all(pods)
        self.active -= len(pods)
        self.terminating += len(pods)
        self.ready -= sum(map(o.ready, pods))
        gone = {o.uid(p) for p in pods}
        self.pods = [p for p in self.pods if o.uid(p) not in gone]
        return problem

    async def _manage(self, succeeded: int, backoff: j.Backoff) -> ApiError | None:
        job, spec = self.job, self.spec
        order = o.deletion_order(self.active_pods, {}, self.now)
        if j.suspended(job):
            return await self._remove(j.surplus(job, self.active_pods, self.active, order))
        parallelism = int(spec.get("parallelism", 1))
        if self.completions is None:
            wanted = self.active if succeeded > 0 else parallelism
        else:
            wanted = max(0, min(self.completions - succeeded, parallelism))
        remove = j.surplus(job, self.active_pods, max(0, self.active - wanted), order)[:MOST_AT_ONCE]
        if remove:
            return await self._remove(remove)
        going = self.terminating if j.only_replaces_failed(job) else 0
        missing = min(wanted - going - self.active, MOST_AT_ONCE)
        if missing <= 0:
            return None
        if not self.per_index:
            pause = backoff.remaining(self.now.timestamp())
            if pause > 0:
                # The real controller forgets its active pods here; the next round puts it right.
                self._later(pause)
                self.active = 0
                return None
        return await self._create(self._free_indexes(missing) if j.indexed(job) else [None] * missing)

    def _free_indexes(self, count: int) -> list[int | None]:
        assert self.completions is not None
        taken = self.done | self.failed_indexes | {i for i in map(j.index_of, self.active_pods) if i is not None}
        if j.only_replaces_failed(self.job):
            taken |= {i for i in (j.index_of(p) for p in self.pods if j.terminating(p)) if i is not None}
        free = [i for i in range(self.completions) if i not in taken][:count]
        ready: list[int | None] = []
        for index in free:
            pause = j.seconds_for_index(self.kept[index], self.now.timestamp()) if index in self.kept else 0.0
            if pause > 0:
                self._later(pause)
            else:
                ready.append(index)
        return ready

    async def _create(self, indexes: Sequence[int | None]) -> ApiError | None:
        reference = o.controller_reference(self.job, "Job", "batch/v1")

        async def once(number: int) -> Obj:
            index = indexes[number]
            counts: dict[str, str] = {}
            if index is not None and self.per_index:
                counts = j.failure_counts(self.job, self.kept.get(index))
            pod = o.pod_from_template(j.pod_template(self.job, index, counts), self.job, reference)
            if index is not None:
                pod["metadata"]["generateName"] = f"{o.name(self.job)}-{index}-"
            return await self.control.create(pod)

        batch = await slow_start(len(indexes), once)
        self.active += batch.done
        return batch.failure

    async def _untrack(self, pod: Obj) -> None:
        if not j.tracked(pod):
            return
        meta = {"$deleteFromPrimitiveList/finalizers": [j.FINALIZER], "uid": o.uid(pod)}
        try:
            await self.write.patch(PODS, pod, {"metadata": meta})
        except ApiError as error:
            if error.code != 404:
                raise

    # -- status -----------------------------------------------------------------------------------------------------

    def _note_suspension(self) -> bool:
        standing = o.condition(self.status, "Suspended")
        if j.suspended(self.job):
            words = ("JobSuspended", "Job suspended", "True", "Suspended")
        elif standing is not None:
            words = ("JobResumed", "Job resumed", "False", "Resumed")
        else:
            return False
        reason, message, value, event = words
        if standing is not None and standing["status"] == value:
            return False
        fresh = self._condition("Suspended", reason, message, value)
        others = self.status.get("conditions") or []
        replaced = [fresh if c["type"] == "Suspended" else c for c in others]
        self.status["conditions"] = replaced if standing is not None else [*others, fresh]
        self.controller.events.event(self.job, "Normal", event, message)
        if value == "False":
            self.status["startTime"] = rfc3339(self.now)
        return True

    async def _track(self, changed: bool) -> None:
        """Names newly ended pods in the status, lets them go, and counts them."""
        status, job = self.status, self.job
        with_finalizer = {o.uid(p) for p in self.pods if j.tracked(p)}
        changed = self._count_untracked(with_finalizer) or changed
        release: list[Obj] = []
        for pod in self.pods:
            if j.tracked(pod) and self._may_go(pod):
                changed = self._name_uncounted(pod) or changed
                release.append(pod)
        if j.indexed(job):
            changed = self._write_indexes() or changed
        if self.end is not None and o.condition(status, self.interim) is None:
            interim = self._condition(self.interim, self.end["reason"], self.end["message"])
            status["conditions"] = [*(status.get("conditions") or ()), interim]
            changed = True
        status["uncountedTerminatedPods"] = {k: v for k, v in self.uncounted.items() if v}
        if changed:
            await self._flush()
        await asyncio.gather(*(self._untrack(pod) for pod in release))
        with_finalizer -= {o.uid(p) for p in release}
        changed = self._count_untracked(with_finalizer)
        self.status["uncountedTerminatedPods"] = {k: v for k, v in self.uncounted.items() if v}
        finished = self._finish()
        if changed or finished:
            await self._flush()
        if finished:
            self._tell_end()

    def _may_go(self, pod: Obj) -> bool:
        if o.deleting(self.job) or self.end is not None or j.phase(pod) == "Succeeded":
            return True
        if not j.failed(pod, self.job):
            return False
        index = j.index_of(pod)
        kept = self.kept.get(index) if index is not None else None
        return kept is None or o.uid(kept) != o.uid(pod)

    def _name_uncounted(self, pod: Obj) -> bool:
        """Whether the status must be written before the pod may go."""
        uid, index, job = o.uid(pod), j.index_of(pod), self.job
        in_range = not j.indexed(job) or (index is not None and index < (self.completions or 0))
        if j.phase(pod) == "Succeeded" and uid not in self.uncounted["failed"]:
            if j.indexed(job):
                return in_range and index not in self.before
            if uid not in self.uncounted["succeeded"]:
                self.uncounted["succeeded"].append(uid)
                return True
            return False
        failing = self.end is not None and self.interim == "FailureTarget"
        counts = (j.failed(pod, job) or failing) and uid not in self.uncounted["failed"] and in_range
        if counts and j.judge(job, pod).counts:
            self.uncounted["failed"].append(uid)
            return True
        return False

    def _count_untracked(self, with_finalizer: set[str]) -> bool:
        changed = False
        for key, uids in self.uncounted.items():
            gone = [uid for uid in uids if uid not in with_finalizer]
            if gone:
                changed = True
                _set_count(self.status, key, self.status.get(key, 0) + len(gone))
                self.uncounted[key] = [uid for uid in uids if uid in with_finalizer]
        return changed

    def _write_indexes(self) -> bool:
        before = (self.status.get("completedIndexes"), self.status.get("failedIndexes"))
        text = j.print_indexes(self.done)
        _set_count(self.status, "succeeded", len(self.done))
        if text:
            self.status["completedIndexes"] = text
        else:
            self.status.pop("completedIndexes", None)
        if self.per_index:
            self.status["failedIndexes"] = j.print_indexes(self.failed_indexes)
        return before != (self.status.get("completedIndexes"), self.status.get("failedIndexes"))

    def _finish(self) -> bool:
        if self.end is None or any(self.uncounted.values()) or self.status.get("terminating"):
            return False
        if o.condition(self.status, self.end["type"]) is not None:
            return False
        self.status["conditions"] = [*(self.status.get("conditions") or ()), self.end]
        if self.end["type"] == "Complete":
            self.status["completionTime"] = self.end["lastTransitionTime"]
        return True

    async def _flush(self) -> None:
        self.job = await self.write.status(JOBS, self.job, self.status)
        self.status = dict(o.status(self.job))

    def _tell_end(self) -> None:
        assert self.end is not None
        events = self.controller.events
        if self.end["type"] == "Failed":
            events.event(self.job, "Warning", self.end["reason"], self.end["message"])
            return
        if self.completions is not None and self.status.get("succeeded", 0) > self.completions:
            text = "Too many succeeded pods running after completion count reached"
            events.event(self.job, "Warning", "TooManySucceededPods", text)
        events.event(self.job, "Normal", "Completed", "Job completed")


def _set_count(status: dict[str, Any], key: str, value: int) -> None:
    """Go leaves a zero of these out."""
    if value:
        status[key] = value
    else:
        status.pop(key, None)


class OrphanJobPods(Controller):
    """Takes the tracking finalizer from pods whose Job is gone or finished, so that they can be deleted."""

    name: ClassVar[str] = "job-controller"
    inputs: ClassVar[Sequence[Resource]] = (PODS, JOBS)

    def indexes(self) -> None:
        self.caches.of(PODS).add_index(OWNER, o.owner_uids)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == PODS:
            if new is not None and j.tracked(new):
                yield key_of(new)
        elif old is not None and (new is None or (j.finished(new) and not j.finished(old))):
            for pod in self.caches.of(PODS).indexed(OWNER, o.uid(old)):
                yield key_of(pod)

    async def sync(self, key: Key, write: Writer) -> float | None:
        pod = self.caches.of(PODS).get(*key)
        if pod is None or not j.tracked(pod):
            return None
        ref = o.controller_of(pod)
        if ref is not None and ref["kind"] == "Job":
            job = self.caches.of(JOBS).get(key[0], ref["name"])
            if job is not None and o.uid(job) == ref["uid"] and not j.finished(job):
                return None
        try:
            meta = {"$deleteFromPrimitiveList/finalizers": [j.FINALIZER], "uid": o.uid(pod)}
            await write.patch(PODS, pod, {"metadata": meta})
        except ApiError as error:
            if error.code != 404:
                raise
        return None


class FinishedJobs(Controller):
    """TTL: deletes a finished Job, with what it owns, `ttlSecondsAfterFinished` after its end."""

    name: ClassVar[str] = "ttl-after-finished-controller"
    inputs: ClassVar[Sequence[Resource]] = (JOBS,)

    async def sync(self, key: Key, write: Writer) -> float | None:
        job = self.caches.of(JOBS).get(*key)
        if job is None or o.deleting(job):
            return None
        left = seconds_to_live(job, self.clock.time())
        if left is None or left > 0:
            return left
        fresh = await write.client.get(JOBS, key[1], key[0])
        left = seconds_to_live(fresh, self.clock.time())
        if o.uid(fresh) != o.uid(job) or left is None or left > 0:
            return left
        await write.delete(JOBS, fresh, propagation="Foreground", uid=o.uid(fresh))
        return None


def seconds_to_live(job: Obj, now: float) -> float | None:
    """Until a finished Job may be deleted; None when it has no time to live or has not finished."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    if seconds is None:
        return None
    for found in o.status(job).get("conditions") or ():
        if found["type"] in ("Complete", "Failed") and found["status"] == "True":
            return (o.moment(found["lastTransitionTime"]) or now) + float(seconds) - now
    return None
