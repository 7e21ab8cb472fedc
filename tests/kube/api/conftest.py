"""Recorded data of the real API server, by file name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data" / "kube" / "api"


def load(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DATA / f"{name}.json").read_text())
    return rows


def rows(name: str) -> list[Any]:
    return [pytest.param(row, id=str(row["id"])) for row in load(name)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `refused`, `stored`, … gets each row of that file."""
    for name in metafunc.fixturenames:
        if (DATA / f"{name}.json").exists():
            metafunc.parametrize(name, rows(name))


@pytest.fixture(scope="session")
def kind_of() -> Callable[[dict[str, Any]], Any]:
    from terrarium.kube.api.builtin import registry

    kinds = {(str(kind.group_version), kind.kind): kind for kind in registry()}
    return lambda obj: kinds[(obj["apiVersion"], obj["kind"])]
