"""`test`: says that it can't yet, rather than doing half of it."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.base.diagnostics import error
from terrarium.cli.tf_world import World


def test(world: World, args: Sequence[str]) -> int:
    return world.fail(
        error(
            "Command not supported yet: test",
            "Running .tftest.hcl files is not supported yet. Use plan and apply, or the real terraform, for these.",
        )
    )
