"""The queue as recorded: which events each plugin wants to hear of and what it answers, and whole conversations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.kube.scheduler.recordings import DATA, bare, cases

from terrarium.kube.scheduler.replay import DOORS


def test_hints() -> None:
    ask = DOORS["hints"]()
    assert ask({"context": json.loads((DATA / "hints_cluster.json").read_text())}) is None
    for case in cases("hints"):
        answer = ask({k: v for k, v in case.items() if k not in ("hints", "clusterEvents")})
        assert answer is not None
        assert bare(answer["hints"]) == bare(case.get("hints") or {}), case["id"]
        assert list(answer["clusterEvents"]) == (case.get("clusterEvents") or []), case["id"]


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in cases("conversations")])
def test_conversation(case: dict[str, Any]) -> None:
    answer = DOORS["conversations"]()(case)
    assert answer is not None
    for recorded, said in zip(case["steps"], answer["steps"], strict=True):
        assert bare(said) == bare({k: v for k, v in recorded.items() if k != "step"})
