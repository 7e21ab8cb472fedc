"""The scheduler's metrics, by the names of the real one, in Prometheus' text format.

Only what somebody draws graphs from: attempts, durations, queues, preemption. Values are plain numbers which the loop
sets; nothing here reads a clock.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

DURATIONS = tuple(0.001 * 2**n for n in range(15))
"""1 ms, doubling up to 16 s: `metrics.ExponentialBuckets(0.001, 2, 15)`."""
WAITS = tuple(0.01 * 2**n for n in range(20))
ATTEMPTS = tuple(float(2**n) for n in range(5))
VICTIMS = tuple(float(2**n) for n in range(7))

Labels = tuple[str, ...]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labelled(names: Sequence[str], values: Sequence[str], more: str = "") -> str:
    parts = [f'{n}="{_escape(v)}"' for n, v in zip(names, values, strict=True)]
    parts += [more] if more else []
    return "{" + ",".join(parts) + "}" if parts else ""


@dataclass(slots=True)
class Counter:
    """A number for each combination of labels; also used for gauges (`kind`)."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: str = "counter"
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, *labels: str, by: float = 1) -> None:
        self.values[labels] = self.values.get(labels, 0) + by

    def set(self, value: float, *labels: str) -> None:
        self.values[labels] = value

    def lines(self) -> Iterable[str]:
        for labels, value in sorted(self.values.items()):
            yield f"{self.name}{_labelled(self.labels, labels)} {_number(value)}"


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound, and the sum, for each combination of labels."""

    name: str
    help: str
    bounds: tuple[float, ...]
    labels: tuple[str, ...] = ()
    kind: str = "histogram"
    values: dict[Labels, list[float]] = field(default_factory=dict)
    """By labels: how many fell under each bound (the last: above all), then the sum."""

    def observe(self, value: float, *labels: str) -> None:
        known = self.values.get(labels)
        if known is None:
            known = self.values[labels] = [0.0] * (len(self.bounds) + 2)
        known[bisect.bisect_left(self.bounds, value)] += 1
        known[-1] += value

    def lines(self) -> Iterable[str]:
        for labels, known in sorted(self.values.items()):
            total = 0.0
            for bound, count in zip((*map(_number, self.bounds), "+Inf"), known, strict=False):
                total += count
                bucket = _labelled(self.labels, labels, f'le="{bound}"')
                yield f"{self.name}_bucket{bucket} {_number(total)}"
            plain = _labelled(self.labels, labels)
            yield f"{self.name}_sum{plain} {known[-1]!r}"
            yield f"{self.name}_count{plain} {_number(total)}"


class Metrics:
    """All metrics of one scheduler."""

    def __init__(self) -> None:
        self.attempts = Counter(
            "scheduler_schedule_attempts_total",
            "Number of attempts to schedule pods, by the result.",
            ("profile", "result"),
        )
        self.attempt_seconds = Histogram(
            "scheduler_scheduling_attempt_duration_seconds",
            "Scheduling attempt latency in seconds (scheduling algorithm + binding).",
            DURATIONS,
            ("profile", "result"),
        )
        self.algorithm_seconds = Histogram(
            "scheduler_scheduling_algorithm_duration_seconds", "Scheduling algorithm latency in seconds.", DURATIONS
        )
        self.pod_seconds = Histogram(
            "scheduler_pod_scheduling_sli_duration_seconds",
            "Seconds from when a pod entered the scheduling queue until it was bound.",
            WAITS,
            ("attempts",),
        )
        self.pod_attempts = Histogram(
            "scheduler_pod_scheduling_attempts", "Attempts it took to schedule a pod.", ATTEMPTS
        )
        self.pending = Counter("scheduler_pending_pods", "Pods that wait, by queue.", ("queue",), "gauge")
        self.preemptions = Counter("scheduler_preemption_attempts_total", "Preemption attempts in the cluster.")
        self.victims = Histogram("scheduler_preemption_victims", "Victims of a preemption.", VICTIMS)
        self.unschedulable = Counter(
            "scheduler_unschedulable_pods",
            "Pods that were found unschedulable, by the plugin that rejected them.",
            ("plugin", "profile"),
            "gauge",
        )
        self.cache = Counter("scheduler_cache_size", "Nodes and pods in the scheduler's cache.", ("type",), "gauge")
        self.events = Counter(
            "scheduler_events_dropped_total", "Events which were not written because too many waited.", ()
        )
        self.leader = Counter(
            "leader_election_master_status",
            "1 while this instance is the leader, 0 while it is not.",
            ("name",),
            "gauge",
        )

    def all(self) -> Iterable[Counter | Histogram]:
        return vars(self).values()

    def text(self) -> str:
        """The exposition format, version 0.0.4."""
        lines: list[str] = []
        for metric in self.all():
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "\n".join(lines) + "\n"

    def queues(self, counts: Mapping[str, int]) -> None:
        for queue, count in counts.items():
            self.pending.set(count, queue)
