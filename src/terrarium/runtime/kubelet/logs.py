"""Reads CRI logs as `kubectl logs` asks: tail, since, timestamps, limits, and following a log that grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from terrarium.base.clock import parse_rfc3339
from terrarium.kube.api.hooks import LogOptions


def _split(line: bytes) -> tuple[bytes, bytes]:
    """(time, text with its newline) of a stored line; a partial line has no newline of its own."""
    stamp, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    return stamp, text + (b"" if tag.startswith(b"P") else b"\n")


def _recent(stamp: bytes, since: float) -> bool:
    try:
        return parse_rfc3339(stamp.decode()[:26].rstrip("Z") + "Z").timestamp() >= since
    except ValueError:
        return True


def since_of(options: LogOptions, now: float) -> float | None:
    if options.since_seconds is not None:
        return now - options.since_seconds
    if options.since_time:
        return parse_rfc3339(options.since_time).timestamp()
    return None


def select(lines: Iterable[bytes], options: LogOptions, now: float, tail: bool = True) -> Iterator[bytes]:
    """The wanted lines of a log, as they are to be sent. `tail` False for lines that came while following."""
    since = since_of(options, now)
    found = [_split(line) for line in lines if line]
    if tail and options.tail_lines is not None:
        found = found[-options.tail_lines :] if options.tail_lines else []
    for stamp, text in found:
        if since is None or _recent(stamp, since):
            yield stamp + b" " + text if options.timestamps else text


class Reader:
    """A log file that grows and may be replaced by a fresh one (rotation)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def new_lines(self) -> list[bytes]:
        """Whole lines that were written since the last call."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return []
        if size < self._at:
            self._at, self._rest = 0, b""
        if size == self._at:
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = self._rest + file.read()
            self._at = file.tell()
        *lines, self._rest = data.split(b"\n")
        return lines
