"""Progress lines of plan and apply, as Terraform prints them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from terrarium.base.clock import real_monotonic
from terrarium.base.diagnostics import Diagnostic
from terrarium.engine.addresses import Instance
from terrarium.engine.events import Progress
from terrarium.engine.plan import Action
from terrarium.language.render import paint

_DOING = {Action.CREATE: "Creating", Action.UPDATE: "Modifying", Action.DELETE: "Destroying", Action.READ: "Reading"}
_DONE = {
    Action.CREATE: "Creation complete",
    Action.UPDATE: "Modifications complete",
    Action.DELETE: "Destruction complete",
    Action.READ: "Read complete",
}
_EPHEMERAL = {
    "open": ("Opening", "Opening"),
    "renew": ("Renewing", "Renewal"),
    "close": ("Closing", "Closing"),
}
_STILL_EVERY = 10.0


class Lines(Progress):
    """Prints a line for each event. `put` must be safe to call from several threads."""

    def __init__(self, put: Callable[[str], None], colour: bool) -> None:
        self._put = put
        self._colour = colour
        self._began: dict[tuple[str, str], tuple[float, str, str]] = {}
        self._lock = threading.Lock()
        self._ticking = threading.Event()
        self._ticker: threading.Thread | None = None

    def _line(self, address: str, text: str) -> None:
        self._put(paint(f"[reset][bold]{address}: {text}[reset]", self._colour) + "\n")

    def _start(self, address: str, what: str, id: str) -> None:
        with self._lock:
            self._began[(address, what)] = (real_monotonic(), what, id)
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="still", daemon=True)
                self._ticker.start()

    def _end(self, address: str, what: str) -> int:
        with self._lock:
            began = self._began.pop((address, what), None)
        return int(real_monotonic() - began[0]) if began else 0

    def _tick(self) -> None:
        told: dict[tuple[str, str], int] = {}
        while not self._ticking.wait(1.0):
            now = real_monotonic()
            with self._lock:
                running = dict(self._began)
            for key, (began, what, id) in running.items():
                count = int((now - began) // _STILL_EVERY)
                if count > told.get(key, 0):
                    told[key] = count
                    suffix = f"id={id}, " if id else ""
                    self._line(key[0], f"Still {what.lower()}... [{suffix}{_elapsed(count * 10)} elapsed]")
            told = {k: v for k, v in told.items() if k in running}

    def close(self) -> None:
        self._ticking.set()

    # --- events ------------------------------------------------------------------------------------------------

    def refresh_start(self, address: Instance, id: str, deposed: str = "") -> None:
        suffix = f" [id={id}]" if id else ""
        self._line(_named(address, deposed), f"Refreshing state...{suffix}")

    def read_start(self, address: Instance) -> None:
        self._start(str(address), "Reading", "")
        self._line(str(address), "Reading...")

    def read_done(self, address: Instance, id: str) -> None:
        seconds = self._end(str(address), "Reading")
        suffix = f" [id={id}]" if id else ""
        self._line(str(address), f"Read complete after {_elapsed(seconds)}{suffix}")

    def read_failed(self, address: Instance) -> None:
        self._end(str(address), "Reading")

    def import_start(self, address: Instance, id: str) -> None:
        self._line(str(address), f"Preparing import... [id={id}]")

    def import_apply(self, address: Instance, id: str) -> None:
        self._line(str(address), f"Importing... [id={id}]")
        self._line(str(address), f"Import complete [id={id}]")

    def apply_start(self, address: Instance, action: Action, id: str, deposed: str = "") -> None:
        name = _named(address, deposed)
        self._start(name, _DOING[action], id)
        suffix = f" [id={id}]" if id else ""
        self._line(name, f"{_DOING[action]}...{suffix}")

    def apply_done(self, address: Instance, action: Action, id: str, deposed: str = "") -> None:
        name = _named(address, deposed)
        seconds = self._end(name, _DOING[action])
        suffix = f" [id={id}]" if id and action is not Action.DELETE else ""
        self._line(str(address), f"{_DONE[action]} after {_elapsed(seconds)}{suffix}")

    def apply_failed(self, address: Instance, action: Action, deposed: str = "") -> None:
        self._end(_named(address, deposed), _DOING[action])

    def ephemeral_start(self, address: Instance, what: str) -> None:
        self._start(str(address), _EPHEMERAL[what][0], "")
        self._line(str(address), f"{_EPHEMERAL[what][0]}...")

    def ephemeral_done(self, address: Instance, what: str) -> None:
        doing, done = _EPHEMERAL[what]
        seconds = self._end(str(address), doing)
        self._line(str(address), f"{done} complete after {_elapsed(seconds)}")

    def ephemeral_failed(self, address: Instance, what: str) -> None:
        self._end(str(address), _EPHEMERAL[what][0])

    def provision_start(self, address: Instance, type: str) -> None:
        self._line(str(address), f"Provisioning with '{type}'...")

    def provision_output(self, address: Instance, type: str, line: str) -> None:
        head = paint(f"[reset][bold]{address} ({type}):[reset] ", self._colour)
        for part in line.replace("\r", "\n").split("\n"):
            if part.rstrip():
                self._put(head + part.rstrip() + "\n")

    def warn(self, diagnostic: Diagnostic) -> None: ...


def _named(address: Instance, deposed: str) -> str:
    return f"{address} (deposed object {deposed})" if deposed else str(address)


def _elapsed(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
