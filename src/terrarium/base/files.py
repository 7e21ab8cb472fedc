"""Files that are whole or not there, and locks which die with their process."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from terrarium.base.diagnostics import Failure


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replaces `path` by `data` so that a reader, or a kill at any moment, sees the old or the new file, never a part.

    Temporary file in the same folder, fsync, rename, fsync of the folder. OSError when the disk says no; the old file
    is then untouched.
    """
    folder = path.parent
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes a rename or a new name in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Locked(Failure):
    """Another process holds the lock. `holder` is what it wrote about itself."""

    def __init__(self, message: str, holder: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.holder = holder


class FileLock:
    """An exclusive lock on a file, gone when its holder ends, however it ends (flock(2)). The file holds who has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, holder: str) -> Self:
        """Takes the lock at once or raises `Locked`."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            other = os.read(descriptor, 4096).decode("utf-8", "replace").strip()
            os.close(descriptor)
            if failure.errno in (errno.EAGAIN, errno.EACCES):
                raise Locked(f"{self.path} is locked by {other or 'another process'}", other) from None
            raise
        os.ftruncate(descriptor, 0)
        os.write(descriptor, holder.encode())
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
