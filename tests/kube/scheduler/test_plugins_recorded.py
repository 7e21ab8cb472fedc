"""Clusters recorded with the real scheduler: the same nodes, reasons, scores, texts and victims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.kube.scheduler.recordings import bare, cases

from terrarium.kube.scheduler.replay import DOORS, FAST_DOORS, Answer

FIELDS = (
    "ignored",
    "preEnqueue",
    "rejected",
    "feasible",
    "best",
    "message",
    "preBind",
    "filters",
    "preFilter",
)


def _scores(entry: dict[str, Any]) -> dict[str, list[int]]:
    """Normalised scores of the plugins which gave any."""
    found = {name: s.get("norm") or s["raw"] for name, s in (entry.get("scores") or {}).items()}
    return {name: norm for name, norm in found.items() if any(norm)}


def _preemption(entry: dict[str, Any]) -> tuple[Any, Any]:
    said = entry.get("preemption") or {}
    candidates = said.get("candidates") or {}
    return sorted(said.get("chosen") or ()), {n: c.get("victims") for n, c in candidates.items()}


@pytest.mark.parametrize("doors", [pytest.param(DOORS, id="plain"), pytest.param(FAST_DOORS, id="fast")])
@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in cases("plugins")])
def test_as_recorded(case: dict[str, Any], doors: Mapping[str, Callable[[], Answer]]) -> None:
    asked = {k: v for k, v in case.items() if k != "expect"}
    asked["follow"] = [e.get("placed") for e in case["expect"]]
    answer = doors["plugins"]()(asked)
    assert answer is not None
    for recorded, entry in zip(case["expect"], answer["expect"], strict=True):
        if "sampling" in recorded or case["family"] == "sampling":
            wanted = recorded.get("sampling") or recorded
            keys = [k for k in ("evaluated", "feasibleCount", "feasibleOrder", "message") if k in wanted]
            assert {k: entry[k] for k in keys} == {k: wanted[k] for k in keys}
            continue
        if not case["cluster"].get("nodes"):
            # Without nodes the real scheduler does not even begin.
            assert entry.get("message") == recorded.get("message")
            continue
        assert bare({k: entry.get(k) for k in FIELDS}) == bare({k: recorded.get(k) for k in FIELDS})
        assert bool(entry.get("error")) == bool(recorded.get("error"))
        assert _scores(entry) == _scores(recorded)
        assert _preemption(entry) == _preemption(recorded)
