"""CronJob: a Job at each time of a schedule.

Pure heart: `due` gives the time whose Job is to run now, if any, and when to look again. Of times that were missed only
the last counts, and only within `startingDeadlineSeconds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from terrarium.base.clock import parse_rfc3339, rfc3339
from terrarium.kube.api import cron
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import CRON_JOBS, JOBS, ApiError, Resource
from terrarium.kube.client.recorder import reference
from terrarium.kube.controllers import jobrules as j
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.pods import OWNER, terminating
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
TOO_MANY = 100


@dataclass(frozen=True, slots=True)
class Due:
    """`time` is the scheduled time to run now, `missed` how many were passed over, `next` the next one after now."""

    time: datetime | None
    missed: int
    next: datetime | None


def due(owner: Obj, now: datetime) -> Due:
    """Raises `cron.CronError` for a schedule that can't be read."""
    spec = owner["spec"]
    schedule = cron.parse(spec["schedule"])
    zone = ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else UTC
    last = o.status(owner).get("lastScheduleTime")
    since = parse_rfc3339(last) if last else o.created(owner)
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = datetime.fromtimestamp(now.timestamp() - int(deadline), UTC)
        since = max(since, earliest)
    found: datetime | None = None
    count = 0
    moment = schedule.next(since.astimezone(zone))
    while moment is not None and moment <= now:
        found, count = moment, count + 1
        if count > TOO_MANY:
            # Only the last one counts; jump close to it.
            found = _last_before(schedule, now.astimezone(zone), found)
            moment = schedule.next(found)
            break
        moment = schedule.next(moment)
    return Due(found, max(0, count - 1), moment)


def _last_before(schedule: cron.Schedule, now: datetime, known: datetime) -> datetime:
    """The last scheduled time up to now, searched backwards in doubling steps."""
    back = 60.0
    while back < 10 * 366 * 86_400:
        start = datetime.fromtimestamp(now.timestamp() - back, now.tzinfo)
        if start <= known:
            break
        moment, found = schedule.next(start), None
        while moment is not None and moment <= now:
            found, moment = moment, schedule.next(moment)
        if found is not None:
            return found
        back *= 2
    return known


def job_of(owner: Obj, moment: datetime) -> Obj:
    template = owner["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    stamp = moment if owner["spec"].get("timeZone") else moment.astimezone(UTC)
    notes = {**(meta.get("annotations") or {}), SCHEDULED: stamp.isoformat().replace("+00:00", "Z")}
    body: dict[str, Any] = {
        "name": f"{o.name(owner)}-{int(moment.timestamp()) // 60}",
        "namespace": o.namespace(owner),
        "annotations": notes,
        "ownerReferences": [o.controller_reference(owner, "CronJob", "batch/v1")],
    }
    if meta.get("labels"):
        body["labels"] = meta["labels"]
    return {"kind": "Job", "apiVersion": "batch/v1", "metadata": body, "spec": template["spec"]}


def ended(job: Obj) -> str:
    """Complete, Failed or ""."""
    return next(
        (
            str(c["type"])
            for c in o.status(job).get("conditions") or ()
            if c["type"] in ("Complete", "Failed") and c["status"] == "True"
        ),
        "",
    )


class CronJobs(Controller):
    name: ClassVar[str] = "cronjob-controller"
    inputs: ClassVar[Sequence[Resource]] = (CRON_JOBS, JOBS)

    def indexes(self) -> None:
        self.caches.of(JOBS).add_index(OWNER, o.owner_uids)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == CRON_JOBS:
            yield key_of(new or old)  # type: ignore[arg-type]
            return
        for job in (old, new):
            ref = o.controller_of(job) if job is not None else None
            if job is not None and ref is not None and ref["kind"] == "CronJob":
                yield o.namespace(job), ref["name"]

    async def sync(self, key: Key, write: Writer) -> float | None:
        owner = self.caches.of(CRON_JOBS).get(*key)
        if owner is None:
            return None
        jobs = [job for job in self.caches.of(JOBS).indexed(OWNER, o.uid(owner)) if o.namespace(job) == key[0]]
        status = dict(o.status(owner))
        await self._clean_history(owner, jobs, write)
        self._note_ends(owner, status, jobs)
        again: float | None = None
        failure: ApiError | None = None
        if not o.deleting(owner) and not owner["spec"].get("suspend"):
            try:
                again = await self._run(owner, status, jobs, write)
            except cron.CronError as error:
                schedule = owner["spec"]["schedule"]
                text = f'unparseable schedule: "{schedule}" : {error}'
                self.events.event(owner, "Warning", "UnparseableSchedule", text)
            except ApiError as error:
                failure = error
        if not status.get("active"):
            status.pop("active", None)
        if status != o.status(owner):
            await write.status(CRON_JOBS, owner, status)
        if failure is not None and not terminating(failure):
            raise failure
        return again

    def _note_ends(self, owner: Obj, status: dict[str, Any], jobs: Sequence[Obj]) -> None:
        """The list of active Jobs follows what became of them."""
        active = list(status.get("active") or ())
        known = {a["uid"] for a in active}
        for job in jobs:
            end = ended(job)
            if not end and o.uid(job) not in known:
                refreshed = status.get("lastScheduleTime")
                text = f"Saw a job that the controller did not create or forgot: {o.name(job)}"
                self.events.event(owner, "Warning", "UnexpectedJob", text)
                status["lastScheduleTime"] = refreshed
                if refreshed is None:
                    del status["lastScheduleTime"]
            elif end and o.uid(job) in known:
                active = [a for a in active if a["uid"] != o.uid(job)]
                text = f"Saw completed job: {o.name(job)}, condition: {end}"
                self.events.event(owner, "Normal", "SawCompletedJob", text)
            if end == "Complete":
                finished = o.status(job).get("completionTime")
                if finished and (status.get("lastSuccessfulTime") or "") < finished:
                    status["lastSuccessfulTime"] = finished
        alive = {o.uid(job) for job in jobs}
        for gone in [a for a in active if a["uid"] not in alive]:
            self.events.event(owner, "Normal", "MissingJob", f"Active job went missing: {gone['name']}")
            active.remove(gone)
        status["active"] = active

    async def _clean_history(self, owner: Obj, jobs: Sequence[Obj], write: Writer) -> None:
        limits = {
            "Complete": owner["spec"].get("successfulJobsHistoryLimit", 3),
            "Failed": owner["spec"].get("failedJobsHistoryLimit", 1),
        }
        for end, limit in limits.items():
            if limit is None:
                continue
            done = sorted(
                (job for job in jobs if ended(job) == end),
                key=lambda job: (o.moment(o.status(job).get("startTime")) or 0.0, o.name(job)),
            )
            for job in done[: max(0, len(done) - int(limit))]:
                await self._delete(owner, job, write)

    async def _delete(self, owner: Obj, job: Obj, write: Writer) -> None:
        try:
            await write.delete(JOBS, job, propagation="Background")
        except ApiError as error:
            if error.code != 404:
                self.events.event(owner, "Warning", "FailedDelete", f"Deleted job: {error}")
            return
        self.events.event(owner, "Normal", "SuccessfulDelete", f"Deleted job {o.name(job)}")

    async def _run(self, owner: Obj, status: dict[str, Any], jobs: Sequence[Obj], write: Writer) -> float | None:
        now = self.clock.now()
        found = due(owner, now)
        again = (found.next - now).total_seconds() + 0.1 if found.next is not None else None
        if found.time is None:
            return again
        if found.missed >= TOO_MANY:
            text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self.events.event(owner, "Warning", "TooManyMissedTimes", text)
        wanted = job_of(owner, found.time)
        if any(a["name"] == o.name(wanted) for a in status["active"]) or self._was_run(status, found.time):
            return again
        policy = owner["spec"].get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and status["active"]:
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.events.event(owner, "Normal", "JobAlreadyActive", text)
            return again
        if policy == "Replace":
            for job in jobs:
                if any(a["uid"] == o.uid(job) for a in status["active"]):
                    await self._delete(owner, job, write)
                    status["active"] = [a for a in status["active"] if a["uid"] != o.uid(job)]
        try:
            made = await write.create(JOBS, wanted, o.namespace(owner))
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return await self._taken(owner, wanted, status, found.time, again, write)
            if not terminating(error):
                self.events.event(owner, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        self.events.event(owner, "Normal", "SuccessfulCreate", f"Created job {o.name(made)}")
        status["active"] = [*status["active"], reference({"kind": "Job", "apiVersion": "batch/v1", **made})]
        status["lastScheduleTime"] = rfc3339(found.time)
        return again

    @staticmethod
    def _was_run(status: dict[str, Any], moment: datetime) -> bool:
        last = status.get("lastScheduleTime")
        return last is not None and parse_rfc3339(last) >= moment

    async def _taken(
        self,
        owner: Obj,
        wanted: Obj,
        status: dict[str, Any],
        moment: datetime,
        again: float | None,
        write: Writer,
    ) -> float | None:
        """A Job of that name stands: our own from before, or somebody else's."""
        job = await write.client.get(JOBS, o.name(wanted), o.namespace(owner))
        if o.owned_by(job, o.uid(owner)) and not j.finished(job):
            status["active"] = [*status["active"], reference({"kind": "Job", "apiVersion": "batch/v1", **job})]
            status["lastScheduleTime"] = rfc3339(moment)
        return again
