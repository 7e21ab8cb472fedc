"""Replay of queueing hints: a rejected pod, something that happens, and what each plugin answers."""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.events import events
from terrarium.kube.scheduler.hints import REGISTERED, answer
from terrarium.kube.scheduler.replay.plugins import tables
from terrarium.kube.scheduler.snapshot import Objects
from terrarium.kube.scheduler.views import read_pod


class Hints:
    """Answers cases among the objects which the first line brings."""

    def __init__(self) -> None:
        self._objects = Objects()

    def __call__(self, case: Obj) -> Obj | None:
        if "context" in case:
            context: Mapping[str, list[Obj]] = case["context"]
            self._objects = Objects(tables(context))
            return None
        pod = read_pod(case["pod"])
        happened = events(case["kind"], case.get("old"), case.get("new"))
        said: dict[str, str] = {}
        for event in happened:
            for plugin in REGISTERED:
                may_help = answer(plugin, pod, event, self._objects)
                if may_help is not None and said.get(plugin) != "Queue":
                    said[plugin] = "Queue" if may_help else "Skip"
        return {"id": case["id"], "clusterEvents": [e.label for e in happened], "hints": said}
