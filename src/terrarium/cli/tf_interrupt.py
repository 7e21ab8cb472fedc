"""Ctrl-C and SIGTERM during an operation: the first asks to stop, the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from terrarium.cli.tf_world import World


class Interrupted(KeyboardInterrupt):
    """The second Ctrl-C: like the first one outside of operations, it ends the command, and no handler of errors in
    between keeps it."""


@dataclass(slots=True)
class Stopper:
    """Counts Ctrl-C: the first asks to stop, the second ends at once."""

    world: World
    count: int = 0

    def __call__(self, number: int, frame: object) -> None:
        self.count += 1
        if self.count == 1:
            self.say(
                "\nInterrupt received.\nPlease wait for Terraform to exit or data loss may occur.\nGracefully shutting down...\n"
            )
            threading.Thread(target=self.world.plugins.stop, daemon=True).start()
            return
        self.say("\nTwo interrupts received. Exiting immediately. Note that data loss may have occurred.\n")
        raise Interrupted

    def say(self, text: str) -> None:
        """Prints, unless the signal came in the middle of printing, where Python allows no second print."""
        with suppress(RuntimeError):
            self.world.out(text)


@contextmanager
def interruptible(world: World) -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM stop gently while inside; gives what tells whether that was asked for."""
    stopper = Stopper(world)
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, stopper) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopper.count > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
