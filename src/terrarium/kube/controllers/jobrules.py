"""The rules of Jobs as values: index sets, failure and success policies, back-off. All pure.

A completion index is written on the pod (annotation and label). Sets of indexes are printed as ranges, "0-2,5", which
is how they stand in the status and in success policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.controllers import objects as o

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0


def parse_indexes(text: str, below: int) -> set[int]:
    """`0-2,5` as a set; whatever is not below the number of completions is left out."""
    found: set[int] = set()
    for part in filter(None, (text or "").split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), min(int(last or first), below - 1) + 1))
    return found


def print_indexes(indexes: Iterable[int]) -> str:
    """Ranges of three or more are joined by a hyphen, as are two neighbours (the form of `completedIndexes`)."""
    parts: list[list[int]] = []
    for index in sorted(indexes):
        if parts and parts[-1][-1] == index - 1:
            parts[-1].append(index)
        else:
            parts.append([index])

    def text(run: list[int]) -> str:
        if len(run) > 2:
            return f"{run[0]}-{run[-1]}"
        return ",".join(map(str, run))

    return ",".join(map(text, parts))


def indexed(job: Obj) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Obj) -> int | None:
    text = o.notes(pod).get(INDEX, "")
    return int(text) if text.isdigit() else None


def suspended(job: Obj) -> bool:
    return bool(job["spec"].get("suspend"))


def finished(job: Obj) -> bool:
    return any(
        c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in o.status(job).get("conditions") or ()
    )


def tracked(pod: Obj) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def phase(pod: Obj) -> str:
    return str(o.status(pod).get("phase", ""))


def terminating(pod: Obj) -> bool:
    return o.deleting(pod) and phase(pod) not in ("Succeeded", "Failed")


def only_replaces_failed(job: Obj) -> bool:
    policy = job["spec"].get("podReplacementPolicy")
    return policy == "Failed" or (policy is None and job["spec"].get("podFailurePolicy") is not None)


def failed(pod: Obj, job: Obj) -> bool:
    """A deleted pod counts as failed before it has ended, unless only ended ones are replaced."""
    if phase(pod) == "Failed":
        return True
    return not only_replaces_failed(job) and o.deleting(pod) and phase(pod) != "Succeeded"


def end_of(pod: Obj) -> float:
    """When the pod finished: its last container's end, else its last turn to not ready, else its deletion."""
    ends: list[float] = []
    for container in o.status(pod).get("containerStatuses") or ():
        ended = ((container.get("state") or {}).get("terminated") or {}).get("finishedAt")
        if ended is None:
            ends = []
            break
        ends.append(o.moment(ended) or 0.0)
    if ends:
        return max(ends)
    ready = o.condition(o.status(pod), "Ready") or {}
    if ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return o.moment(ready["lastTransitionTime"]) or 0.0
    meta = pod["metadata"]
    if meta.get("deletionTimestamp"):
        return (o.moment(meta["deletionTimestamp"]) or 0.0) - float(meta.get("deletionGracePeriodSeconds") or 0)
    return o.moment(meta["creationTimestamp"]) or 0.0


# -- failure policy -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the failure policy says of a failed pod. `counts`: towards the back-off limit."""

    action: str = ""
    counts: bool = True
    message: str = ""


def judge(job: Obj, pod: Obj) -> Verdict:
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        action = rule["action"]
        if action == "FailIndex" and job["spec"].get("backoffLimitPerIndex") is None:
            continue
        matched = _matches_exit(rule, pod, number) or _matches_condition(rule, pod, number)
        if matched:
            return Verdict(action, action != "Ignore", matched if action == "FailJob" else "")
    return Verdict()


def _matches_exit(rule: Mapping[str, Any], pod: Obj, number: int) -> str:
    wanted = rule.get("onExitCodes")
    if not wanted:
        return ""
    statuses = [*(o.status(pod).get("initContainerStatuses") or ()), *(o.status(pod).get("containerStatuses") or ())]
    for container in statuses:
        if wanted.get("containerName") not in (None, container["name"]):
            continue
        ended = (container.get("state") or {}).get("terminated")
        code = ended.get("exitCode", 0) if ended else 0
        if code and (code in wanted["values"]) == (wanted["operator"] == "In"):
            where = f"{o.namespace(pod)}/{o.name(pod)}"
            return (
                f"Container {container['name']} for pod {where} failed with exit code {code} "
                f"matching {rule['action']} rule at index {number}"
            )
    return ""


def _matches_condition(rule: Mapping[str, Any], pod: Obj, number: int) -> str:
    for wanted in rule.get("onPodConditions") or ():
        found = o.condition(o.status(pod), wanted["type"])
        if found is not None and found["status"] == wanted.get("status", "True"):
            where = f"{o.namespace(pod)}/{o.name(pod)}"
            return f"Pod {where} has condition {wanted['type']} matching {rule['action']} rule at index {number}"
    return ""


def job_failure(job: Obj, pods: Iterable[Obj]) -> str:
    """The message with which the failure policy ends the whole Job, "" when it doesn't."""
    if not job["spec"].get("podFailurePolicy"):
        return ""
    return next((v.message for v in (judge(job, p) for p in pods if failed(p, job)) if v.action == "FailJob"), "")


# -- success policy -------------------------------------------------------------------------------------------------


def success_rule(job: Obj, succeeded: set[int]) -> str:
    """The message of the first success rule that holds, "" for none."""
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        done = succeeded
        if rule.get("succeededIndexes") is not None:
            wanted = parse_indexes(rule["succeededIndexes"], job["spec"]["completions"])
            done = succeeded & wanted
            holds = len(done) >= (rule.get("succeededCount") or len(wanted))
        else:
            holds = len(done) >= rule.get("succeededCount", 0)
        if holds:
            return f"Matched rules at index {number}"
    return ""


# -- limits per index -----------------------------------------------------------------------------------------------


def _count(pod: Obj, annotation: str) -> int:
    text = o.notes(pod).get(annotation, "")
    return int(text) if text.isdigit() else 0


def index_failed(job: Obj, pod: Obj) -> bool:
    if not failed(pod, job):
        return False
    verdict = judge(job, pod)
    return verdict.action == "FailIndex" or (
        verdict.counts and _count(pod, FAILURES) >= job["spec"]["backoffLimitPerIndex"]
    )


def failure_counts(job: Obj, replaced: Obj | None) -> dict[str, str]:
    """Annotations of the next pod of an index."""
    failures = ignored = 0
    if replaced is not None:
        failures, ignored = _count(replaced, FAILURES), _count(replaced, IGNORED_FAILURES)
        if judge(job, replaced).counts:
            failures += 1
        else:
            ignored += 1
    return {FAILURES: str(failures)} | ({IGNORED_FAILURES: str(ignored)} if ignored else {})


def seconds_for_index(replaced: Obj, now: float) -> float:
    """How long the next pod of an index must wait still."""
    failures = _count(replaced, FAILURES) + _count(replaced, IGNORED_FAILURES) + 1
    return max(0.0, end_of(replaced) + min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE) - now)


def kept_for_index(job: Obj, pods: Sequence[Obj], taken: set[int]) -> dict[int, Obj]:
    """The last failed pod of each index that has no other: it keeps its finalizer until the next one remembers its
    failures."""
    kept: dict[int, Obj] = {}
    for pod in pods:
        index = index_of(pod)
        if not tracked(pod) or not failed(pod, job) or index is None or index in taken:
            continue
        if index not in kept or _count(pod, FAILURES) >= _count(kept[index], FAILURES):
            kept[index] = pod
    return kept


# -- back-off -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failures since the last success, and when the last one was."""

    failures: int = 0
    last: float = 0.0

    def after(self, succeeded: Sequence[Obj], failed: Sequence[Obj]) -> Backoff:
        """With pods that have newly finished."""
        if not succeeded and not failed:
            return self
        good = max(map(end_of, succeeded), default=None)
        ends = sorted(map(end_of, failed))
        if good is None:
            return replace(self, failures=self.failures + len(ends), last=ends[-1])
        later = [end for end in ends if end > good]
        return Backoff(len(later), later[-1] if later else 0.0)

    def remaining(self, now: float) -> float:
        if not self.failures:
            return 0.0
        pause = min(FIRST_PAUSE * 2.0 ** min(self.failures - 1, 20), LONGEST_PAUSE)
        return max(0.0, self.last + pause - now)


def restarts_exceeded(job: Obj, pods: Iterable[Obj]) -> bool:
    """With restartPolicy OnFailure the restarts of the containers are the failures."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        c.get("restartCount", 0)
        for p in pods
        if phase(p) in ("Running", "Pending")
        for key in ("initContainerStatuses", "containerStatuses")
        for c in o.status(p).get(key) or ()
    )
    limit = int(job["spec"].get("backoffLimit", 6))
    return int(restarts) >= max(limit, 1)


def surplus(job: Obj, active: Sequence[Obj], at_least: int, order: Sequence[Obj]) -> list[Obj]:
    """Pods to delete: doubles of an index and indexes out of range first, then in the order of deletion."""
    if not indexed(job):
        return list(order[:at_least])
    seen: set[int] = set()
    remove = []
    for pod in sorted(active, key=lambda p: (index_of(p) if index_of(p) is not None else -1, o.created(p))):
        index = index_of(pod)
        if index is None or index >= job["spec"]["completions"] or index in seen:
            remove.append(pod)
        else:
            seen.add(index)
    gone = {o.uid(p) for p in remove}
    remove += [p for p in order if o.uid(p) not in gone][: max(0, at_least - len(remove))]
    return remove


def pod_template(job: Obj, index: int | None, counts: Mapping[str, str]) -> dict[str, Any]:
    """The template of a pod: with the tracking finalizer, and for an index its name, label, annotation and variable."""
    template = job["spec"]["template"]
    meta, spec = dict(template.get("metadata") or {}), dict(template["spec"])
    finalizers = list(meta.get("finalizers") or ())
    meta["finalizers"] = finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]
    if index is not None:
        meta["labels"] = {**(meta.get("labels") or {}), INDEX: str(index)}
        meta["annotations"] = {**(meta.get("annotations") or {}), INDEX: str(index), **counts}
        spec["hostname"] = f"{o.name(job)}-{index}"
        for key in ("initContainers", "containers"):
            if spec.get(key):
                spec[key] = [_with_index_variable(c) for c in spec[key]]
    return {"metadata": meta, "spec": spec}


def _with_index_variable(container: Mapping[str, Any]) -> dict[str, Any]:
    variables = list(container.get("env") or ())
    if any(v["name"] == "JOB_COMPLETION_INDEX" for v in variables):
        return dict(container)
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*variables, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]}
