"""How `init` tells things: as text, or as JSON lines."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.base.diagnostics import Diagnostic
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_world import World
from terrarium.language.render import paint


class Says:
    """What `init` tells, as text or as JSON lines."""

    def __init__(self, world: World, as_json: bool) -> None:
        self.world = world
        self.as_json = as_json

    def __call__(self, text: str, code: str = "") -> None:
        if self.as_json:
            from terrarium.cli.tf_json_ui import message

            message(self.world, text, code)
            return
        self.world.streams.print(paint(text, self.world.colour) + "\n")


def fail(world: World, flags: Parsed, diagnostics: Sequence[Diagnostic], code: int = 1) -> int:
    if flags.flag("json"):
        from terrarium.cli.tf_json_ui import diagnostics_json

        diagnostics_json(world, diagnostics)
        return code
    return world.fail(diagnostics, code)
