"""The last decisions, as values, within a bounded memory: what `explain` and the console show.

The whole last decision of a pod is kept as long as all kept ones together have at most `VERDICTS` verdicts on nodes;
older ones keep their message and how many nodes each plugin refused. Of each pod the last `ATTEMPTS` tries are kept
as a line each.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from terrarium.kube.scheduler.cycle import Decision

PODS = 5000
ATTEMPTS = 10
VERDICTS = 250_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: when (seconds since 1970), which one it was, and what came of it."""

    at: float
    number: int
    result: str
    """scheduled, unschedulable, error, bind failed, preempting."""
    node: str
    message: str
    refused: Mapping[str, int]
    """How many nodes each plugin refused."""


@dataclass(slots=True)
class Record:
    """What is known about one pod."""

    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=ATTEMPTS))
    decision: Decision | None = None
    at: float = 0.0

    @property
    def verdicts(self) -> int:
        return 0 if self.decision is None else _verdicts(self.decision)


def _verdicts(decision: Decision) -> int:
    # Lists of a large cluster are made when somebody looks at them, so they are not counted one by one.
    return decision.evaluated + 4 * decision.fitting


class History:
    """By pod uid, the latest looked at last."""

    def __init__(self, pods: int = PODS, verdicts: int = VERDICTS) -> None:
        self._pods = pods
        self._verdicts = verdicts
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._whole: OrderedDict[str, int] = OrderedDict()
        self._held = 0

    def __len__(self) -> int:
        return len(self._records)

    def get(self, uid: str) -> Record | None:
        return self._records.get(uid)

    def latest(self) -> Iterable[tuple[str, Record]]:
        """(uid, record), the newest first."""
        return [(uid, self._records[uid]) for uid in reversed(self._records)]

    def decided(self, uid: str, decision: Decision, number: int, now: float) -> None:
        """Notes a decision."""
        record = self._records.get(uid)
        if record is None:
            record = self._records[uid] = Record()
        self._records.move_to_end(uid)
        self._release(uid)
        record.decision, record.at = decision, now
        self._whole[uid] = size = _verdicts(decision)
        self._held += size
        if decision.node:
            result, refused = "scheduled", dict[str, int]()
        else:
            preempting = decision.preemption is not None and decision.preemption.chosen
            result = "error" if decision.error else "preempting" if preempting else "unschedulable"
            refused = dict(Counter(r.plugin for r in decision.rejected.values()))
        record.attempts.append(Attempt(now, number, result, decision.node, decision.message, refused))
        while self._held > self._verdicts and len(self._whole) > 1:
            oldest = next(iter(self._whole))
            self._release(oldest)
            self._records[oldest].decision = None
        while len(self._records) > self._pods:
            oldest, _ = self._records.popitem(last=False)
            self._release(oldest)

    def failed(self, uid: str, number: int, now: float, message: str) -> None:
        """Notes that a decision could not be carried out."""
        record = self._records.get(uid)
        if record is not None:
            record.attempts.append(Attempt(now, number, "bind failed", "", message, {}))

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        if self._records.pop(uid, None) is not None:
            self._release(uid)

    def _release(self, uid: str) -> None:
        self._held -= self._whole.pop(uid, 0)
