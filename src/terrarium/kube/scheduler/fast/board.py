"""The classes of a scheduler on their columns, and a decision by them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import orjson

from terrarium.kube.scheduler.cycle import Decision
from terrarium.kube.scheduler.fast.classes import PodClass
from terrarium.kube.scheduler.fast.columns import Columns, by_namespace, group_key
from terrarium.kube.scheduler.fast.coverage import covers_pod, covers_profile
from terrarium.kube.scheduler.fast.detail import Detail, Later, LaterMapping, Names
from terrarium.kube.scheduler.framework import Framework
from terrarium.kube.scheduler.plugins.volumes import volumes
from terrarium.kube.scheduler.snapshot import Snapshot
from terrarium.kube.scheduler.views import Pod

_CELLS = 1_000_000
"""Rows of all classes together."""
_FEWEST_CLASSES = 16


def _written(value: object) -> object:
    """Something hashable that is the same for the same value."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value)


def class_key(framework: Framework, pod: Pod) -> tuple[object, ...]:
    """The same for pods that get the same answer from every plugin; volumes apart."""
    spec, metadata = pod.obj.get("spec") or {}, pod.obj["metadata"]
    wishes = (
        (spec.get("affinity") or {}).get("nodeAffinity"),
        spec.get("nodeSelector"),
        spec.get("tolerations"),
        spec.get("topologySpreadConstraints"),
        metadata.get("ownerReferences"),
    )
    return (
        id(framework),
        group_key(pod),
        tuple(pod.requests.items()),
        pod.assumed_cpu,
        pod.assumed_memory,
        pod.images,
        pod.host_ports,
        pod.node_name,
        _written(wishes) if any(wishes) else None,
        bool(volumes(pod)) and tuple(tuple(v) for v in volumes(pod)),
    )


class Board:
    """Decides as the plain plugins do, for what `coverage` lists."""

    def __init__(self) -> None:
        self._columns = Columns()
        self._profiles: dict[int, tuple[Framework, str]] = {}
        """Each profile, and why it goes the plain way, by its identity."""
        self._classes: OrderedDict[tuple[object, ...], PodClass | None] = OrderedDict()
        """None: such pods go the plain way."""
        self._namespaces: dict[str, Mapping[str, str]] = {}
        """Labels of the namespaces that terms were compared with."""

    def follow(self, snapshot: Snapshot) -> None:
        self._columns.follow(snapshot)

    def decide(
        self, framework: Framework, pod: Pod, snapshot: Snapshot, choose: Callable[[Sequence[str]], str]
    ) -> Decision | None:
        """None when the plain plugins are to be asked. When nothing fits the decision has no node yet, and why."""
        columns = self._columns
        columns.follow(snapshot)
        if columns.odd or self._awaited(pod, snapshot) or self._why_plain(framework):
            return None
        found = self._class_of(framework, pod, snapshot)
        if found is None:
            return None
        found.catch_up()
        no, total, parts, fitting = found.verdict()
        if fitting == 0:
            return Decision(pod, rejected=found.rejections(no), evaluated=len(columns.infos))
        nodes = len(columns.infos)
        if fitting == 1:
            # Nobody scores where there is no choice.
            detail = Detail(columns.names, no, None, (), found.rejection)
            best = np.flatnonzero(no == 0)
        else:
            detail = Detail(columns.names, no, total, parts, found.rejection)
            best = np.flatnonzero(total == total.max())
        return Decision(
            pod,
            choose(Names(columns.names, best)) if fitting > 1 else columns.names[best[0]],
            Later(detail.feasible),
            LaterMapping(detail.rejected),
            scores=LaterMapping(detail.scores),
            totals=Later(detail.totals),
            best=Later(detail.best),
            evaluated=nodes,
            fitting=fitting,
            equals=len(best),
        )

    def _why_plain(self, framework: Framework) -> str:
        known = self._profiles.get(id(framework))
        if known is None:
            known = self._profiles[id(framework)] = (framework, covers_profile(framework))
        return known[1]

    @staticmethod
    def _awaited(pod: Pod, snapshot: Snapshot) -> bool:
        """Whether room that preemption has made is at stake: for this pod, or against it."""
        if pod.nominated in snapshot.by_name:
            return True
        return any(
            other.priority >= pod.priority and other.uid != pod.uid
            for waiting in snapshot.nominated.values()
            for other in waiting
        )

    def _class_of(self, framework: Framework, pod: Pod, snapshot: Snapshot) -> PodClass | None:
        columns, classes = self._columns, self._classes
        if columns.sensitive:
            labels = snapshot.objects.namespace_labels
            if any(labels(name) != known for name, known in self._namespaces.items()):
                self._namespaces.clear()
                columns.renew()
        key = class_key(framework, pod)
        found = classes.get(key)
        if found is not None:
            fresh = (columns.version, snapshot.objects.owners_version(pod.namespace))
            if (found.version, found.owners_version) == fresh:
                classes.move_to_end(key)
                return found
        elif key in classes:
            return None
        if covers_pod(pod):
            classes[key] = None
            return None
        if by_namespace(pod):
            columns.sensitive = True

        def labels_of(namespace: str) -> Mapping[str, str]:
            known = self._namespaces[namespace] = snapshot.objects.namespace_labels(namespace)
            return known

        found = classes[key] = PodClass(framework, columns, snapshot, pod, labels_of)
        classes.move_to_end(key)
        while len(classes) > max(_FEWEST_CLASSES, _CELLS // max(1, len(columns.infos))):
            classes.popitem(last=False)
        return found
