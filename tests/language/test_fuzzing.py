"""The first few hundred inputs of the fuzz target (`fuzzing.py` tells how to run many more)."""

from __future__ import annotations

import pytest
from tests.language.fuzzing import check, inputs


@pytest.mark.parametrize("part", range(4))
def test_only_diagnostics(part: int) -> None:
    for text in inputs(150, seed=part):
        check(text)
