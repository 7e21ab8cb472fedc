"""Which sandbox belongs to which pod, on disk, so that a new process finds what an old one started."""

from __future__ import annotations

import json
from pathlib import Path


class Journal:
    """An append-only file of lines, folded when it is opened. A line cut by a kill is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[str, str]] = {}

    def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                try:
                    uid, sandbox, ip = json.loads(line)
                except ValueError:
                    continue
                if sandbox:
                    self._known[uid] = (sandbox, ip)
                else:
                    self._known.pop(uid, None)
        self._path.write_text("".join(json.dumps([u, *v]) + "\n" for u, v in self._known.items()))

    def get(self, uid: str) -> tuple[str, str] | None:
        return self._known.get(uid)

    def items(self) -> list[tuple[str, str, str]]:
        """(uid, sandbox, address)."""
        return [(uid, *entry) for uid, entry in self._known.items()]

    def put(self, uid: str, sandbox: str, ip: str) -> None:
        self._known[uid] = (sandbox, ip)
        self._append([uid, sandbox, ip])

    def drop(self, uid: str) -> None:
        if self._known.pop(uid, None) is not None:
            self._append([uid, "", ""])

    def _append(self, line: list[str]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
