"""The batch door `terrarium scheduler replay`: recorded questions in, answers out, a line of JSON each.

The form of questions and answers is that of the recordings of the real scheduler (`tests/data/scheduler`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.replay import plugins
from terrarium.kube.scheduler.replay.conversations import converse
from terrarium.kube.scheduler.replay.hints import Hints

Answer = Callable[[Obj], Obj | None]
"""Answers one line; None where there is nothing to say to it."""

DOORS: Mapping[str, Callable[[], Answer]] = {
    "plugins": lambda: plugins.place,
    "hints": Hints,
    "conversations": lambda: converse,
}
"""Each door makes its own answering function, which may remember what a first line told it."""

FAST_DOORS: Mapping[str, Callable[[], Answer]] = {**DOORS, "plugins": lambda: partial(plugins.place, fewest_nodes=0)}
"""The same, with clusters of any size on the fast path."""


def serve(door: str, source: IO[str], sink: IO[str], fast: bool = False) -> None:
    """Answers every line of `source` on `sink`."""
    answer = (FAST_DOORS if fast else DOORS)[door]()
    for line in source:
        said = answer(json.loads(line))
        if said is not None:
            sink.write(json.dumps(said) + "\n")
            sink.flush()
