"""A real etcd for tests, on ports of its own, gone with the test session."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrarium.base.clock import real_sleep


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its `host:port`. Skips, by name, where there is no etcd."""
    program = shutil.which("etcd")
    if program is None:
        pytest.skip("there is no etcd on this machine")
    folder: Path = tmp_path_factory.mktemp("etcd")
    client, peer = free_port(), free_port()
    urls = ["--listen-client-urls", "--advertise-client-urls"]
    peers = ["--listen-peer-urls", "--initial-advertise-peer-urls"]
    words = [word for flag in urls for word in (flag, f"http://127.0.0.1:{client}")]
    words += [word for flag in peers for word in (flag, f"http://127.0.0.1:{peer}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                "--data-dir",
                str(folder / "data"),
                *words,
                "--initial-cluster",
                f"default=http://127.0.0.1:{peer}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", client)) == 0:
                    break
            real_sleep(0.05)
        yield f"127.0.0.1:{client}"
    finally:
        process.terminate()
        process.wait(timeout=20)
