"""Counters of the server in Prometheus' text form, under kube-apiserver's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from terrarium.base.clock import stopwatch
from terrarium.kube.apiserver.requests import Info

_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)


class Metrics:
    """What has been asked, how it ended and how long it took."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._buckets: Counter[tuple[tuple[str, ...], float]] = Counter()
        self._seconds: dict[tuple[str, ...], float] = {}
        self._inflight: Counter[str] = Counter()

    def begin(self, info: Info) -> Callable[[], float]:
        self._inflight[_class(info)] += 1
        return stopwatch()

    def end(self, info: Info, status: int, seconds: Callable[[], float]) -> None:
        self._inflight[_class(info)] -= 1
        scope = "namespace" if info.namespace else "resource" if info.name else "cluster"
        labels = (info.verb.upper(), info.group, info.version, info.resource, info.subresource, scope)
        self._requests[(*labels, str(status))] += 1
        took = seconds()
        self._seconds[labels] = self._seconds.get(labels, 0.0) + took
        for limit in _BUCKETS:
            if took <= limit:
                self._buckets[(labels, limit)] += 1

    def text(self) -> str:
        names = ("verb", "group", "version", "resource", "subresource", "scope")
        lines = [
            "# HELP apiserver_request_total Requests by verb, resource and status code.",
            "# TYPE apiserver_request_total counter",
        ]
        totals: Counter[tuple[str, ...]] = Counter()
        for labels, count in sorted(self._requests.items()):
            totals[labels[:-1]] += count
            lines.append(f"apiserver_request_total{{{_labels((*names, 'code'), labels)}}} {count}")
        lines += [
            "# HELP apiserver_request_duration_seconds Seconds until an answer began.",
            "# TYPE apiserver_request_duration_seconds histogram",
        ]
        for labels, total in sorted(totals.items()):
            shown = _labels(names, labels)
            for limit in _BUCKETS:
                count = self._buckets[(labels, limit)]
                lines.append(f'apiserver_request_duration_seconds_bucket{{{shown},le="{limit:g}"}} {count}')
            lines.append(f'apiserver_request_duration_seconds_bucket{{{shown},le="+Inf"}} {total}')
            lines.append(f"apiserver_request_duration_seconds_sum{{{shown}}} {self._seconds[labels]:.6f}")
            lines.append(f"apiserver_request_duration_seconds_count{{{shown}}} {total}")
        lines += [
            "# HELP apiserver_current_inflight_requests Requests under way.",
            "# TYPE apiserver_current_inflight_requests gauge",
        ]
        for kind in ("mutating", "readOnly"):
            lines.append(f'apiserver_current_inflight_requests{{request_kind="{kind}"}} {self._inflight[kind]}')
        return "\n".join(lines) + "\n"


def _class(info: Info) -> str:
    return "readOnly" if info.verb in ("get", "list", "watch") else "mutating"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True))
