"""Files that are whole or not there, and locks that die with their holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from terrarium.base.files import FileLock, Locked, write_atomic


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["key.pem"]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_lock_says_who_holds_it_and_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path).acquire("process 1"):
        with pytest.raises(Locked) as refused:
            FileLock(path).acquire("process 2")
        assert refused.value.holder == "process 1"
    FileLock(path).acquire("process 2").release()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys; from pathlib import Path; from terrarium.base.files import FileLock;"
        f"lock = FileLock(Path({str(path)!r})).acquire('the other'); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Locked):
            FileLock(path).acquire("we")
        other.kill()
        other.wait()
    FileLock(path).acquire("we").release()
