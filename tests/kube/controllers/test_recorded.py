"""Recordings of kube-controller-manager 1.33, played against our controllers: the same objects and events at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.kube.controllers.replay import play

DATA = Path(__file__).parents[2] / "data" / "controllers" / "scenarios.jsonl"
SCENARIOS = [json.loads(line) for line in DATA.read_text().splitlines()]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[s["id"] for s in SCENARIOS])
def test_ends_as_recorded(scenario: dict[str, Any], tmp_path: Path) -> None:
    assert play(tmp_path, scenario) == []
