"""The state on disk: read, locked, written so that nothing is ever lost.

Theory of operation. The file itself is only ever replaced whole (`base.files.write_atomic`). While an apply runs, each
object that changes is appended as one line to a journal beside the file, before anybody hears of it; the cost per
object is that line, however large the state is. At the end the state is written and the journal removed. Whoever finds
a journal (its writer was killed) folds it into the state first. From time to time the whole state is written during an
apply too, when that costs little against the time passed, so that other programs see a fresh file.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock, stopwatch
from terrarium.base.diagnostics import Failure
from terrarium.base.files import write_atomic
from terrarium.engine.addresses import MANAGED, Instance, parse_instance
from terrarium.engine.state import TERRAFORM_VERSION, InstanceState, ResourceState, State
from terrarium.engine.state_file import dumps, entry_json, object_from_entry, read, write


class StateLocked(Failure):
    """Another process holds the state's lock. `info` is what it wrote about itself."""

    def __init__(self, info: dict[str, Any], path: Path) -> None:
        super().__init__("Error acquiring the state lock")
        self.info = info
        self.path = path


class LocalStore:
    """One state file: `path` is read and written, `backup` gets what was there before ("-" for none)."""

    def __init__(
        self, path: Path, backup: Path | None = None, read_path: Path | None = None, clock: Clock | None = None
    ) -> None:
        self.path = path
        self.read_path = read_path or path
        self.backup = backup
        self.clock = clock or Clock()
        self.journal = path.with_name(f".{path.name}.journal")
        self._lock_file: int | None = None
        self._read_bytes: bytes | None = None
        self._backed_up = False
        self._log: Any = None
        self._elapsed = stopwatch()
        self._last = 0.0
        self._cost = 0.0
        self._serial = 0
        self._steps = 0
        self._state: State | None = None

    # --- reading -----------------------------------------------------------------------------------------------

    def load(self) -> State:
        """The state as it is; an empty one when there is no file. BadState, OSError."""
        try:
            self._read_bytes = self.read_path.read_bytes()
        except FileNotFoundError:
            self._read_bytes = None
        state = read(self._read_bytes or b"")
        if self.read_path == self.path:
            self._fold(state)
        self._serial = state.serial
        self._state = state
        return state

    def _fold(self, state: State) -> None:
        """Puts what a killed process left in the journal into the state."""
        try:
            lines = self.journal.read_bytes().split(b"\n")
        except OSError:
            return
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the last line may be cut short; what it was about had not been reported yet
            if "lineage" in entry:
                state.lineage = state.lineage or entry["lineage"]
                state.serial = max(state.serial, entry["serial"])
                continue
            address = parse_instance(entry["address"])
            resource = state.resources.setdefault(address.resource, ResourceState(entry["provider"]))
            resource.provider = entry["provider"] or resource.provider
            instance = InstanceState()
            for held in entry["objects"]:
                if held.get("deposed"):
                    instance.deposed[held["deposed"]] = object_from_entry(held)
                else:
                    instance.current = object_from_entry(held)
            resource.instances[address.key] = instance
            if not entry["objects"]:
                del resource.instances[address.key]
                if not resource.instances:
                    del state.resources[address.resource]

    @property
    def current(self) -> State:
        """The state as last loaded."""
        return self._state if self._state is not None else State()

    # --- writing -----------------------------------------------------------------------------------------------

    def record(self, state: State, address: Instance, counted: bool = True) -> None:
        """Remembers what an instance has become. Called under the walk's lock."""
        self._steps += counted and address.mode == MANAGED
        if self._log is None:
            if not state.lineage:
                state.lineage = str(uuid.uuid4())
            self._log = self.journal.open("ab", buffering=0)
            self._log.write(dumps({"lineage": state.lineage, "serial": state.serial}) + b"\n")
        instance = state.get(address)
        objects = []
        provider = state.resources[address.resource].provider if address.resource in state.resources else ""
        if instance is not None:
            if instance.current is not None:
                objects.append(entry_json(address.key, "", instance.current))
            objects += [entry_json(address.key, k, held) for k, held in instance.deposed.items()]
        self._log.write(dumps({"address": str(address), "provider": provider, "objects": objects}) + b"\n")
        passed = self._elapsed() - self._last
        if passed > 1.0 and passed > 30 * self._cost:
            self._snapshot(state)

    def _snapshot(self, state: State) -> None:
        """Writes the state as it is now and begins the journal anew."""
        begun = self._elapsed()
        self.write(state)
        self._log.truncate(0)
        self._log.write(dumps({"lineage": state.lineage, "serial": state.serial}) + b"\n")
        self._last = self._elapsed()
        self._cost = self._last - begun

    def write(self, state: State) -> bool:
        """Writes the state when it differs from what is there; true when it did. Its serial grows."""
        if not state.lineage:
            state.lineage = str(uuid.uuid4())
        if self._read_bytes is not None and self.read_path == self.path:
            before = self._read_bytes
            state.serial = self._serial
            if write(state) == before:
                return False
        # Terraform writes the file after each step, and counts them.
        state.serial = self._serial + 1 + self._steps
        self._steps = 0
        data = write(state)
        self._keep_backup()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, data, 0o644)
        self._serial = state.serial
        self._read_bytes = data if self.read_path == self.path else self._read_bytes
        return True

    def replace(self, data: bytes) -> None:
        """Puts given bytes in place of the file (state push)."""
        self._keep_backup()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, data, 0o644)

    def _keep_backup(self) -> None:
        if self._backed_up or self.backup is None:
            return
        self._backed_up = True
        # What is kept is what the file held that is written to, which need not be the one that was read.
        try:
            before = self._read_bytes if self.read_path == self.path else self.path.read_bytes()
        except FileNotFoundError:
            return
        if before and before.strip():
            write_atomic(self.backup, before, 0o644)

    def finish(self, state: State) -> bool:
        """The last write of an operation; afterwards the journal is gone."""
        changed = self.write(state)
        self.close_journal()
        return changed

    def close_journal(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        self.journal.unlink(missing_ok=True)

    # --- the lock ----------------------------------------------------------------------------------------------

    @property
    def lock_info(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock.info")

    def lock(self, operation: str) -> dict[str, Any]:
        """Takes the lock as Terraform does: the info file beside the state, and a record lock on the state itself.
        StateLocked."""
        info = {
            "ID": str(uuid.uuid4()),
            "Operation": operation,
            "Info": "",
            "Who": f"{_user()}@{socket.gethostname()}",
            "Version": TERRAFORM_VERSION,
            "Created": self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "Path": str(self.path),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        existed = self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StateLocked(self.read_lock_info(), self.path) from None
        self._created_empty = not existed
        self._lock_file = descriptor
        self.lock_info.write_bytes(dumps(info))
        return info

    def read_lock_info(self) -> dict[str, Any]:
        try:
            found = json.loads(self.lock_info.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def unlock(self) -> None:
        if self._lock_file is None:
            return
        self.lock_info.unlink(missing_ok=True)
        os.close(self._lock_file)
        self._lock_file = None
        if self._created_empty:
            try:
                if self.path.stat().st_size == 0:
                    self.path.unlink()
            except OSError:
                pass

    _created_empty = False

    @contextmanager
    def locked(self, operation: str, wanted: bool = True) -> Iterator[None]:
        """Holds the lock, unless it is not `wanted`."""
        if wanted:
            self.lock(operation)
        try:
            yield
        finally:
            self.unlock()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
