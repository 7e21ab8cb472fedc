"""The small shell: scripts and what they print, on a clock that is turned by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from terrarium.base.clock import Clock
from terrarium.runtime.contract import Unreachable
from terrarium.runtime.simulated.process import Exited, Machine, Process
from terrarium.runtime.simulated.shell import run_command


class Page:
    """A network with one host."""

    async def fetch(self, namespace: str, host: str, port: int, path: str) -> tuple[int, bytes]:
        if host != "web":
            raise Unreachable("host")
        if port != 80:
            raise Unreachable("refused")
        return 200, b"<title>hello</title>\n"

    async def resolve(self, namespace: str, host: str) -> str | None:
        return "10.100.0.1" if host == "web" else None


async def play(script: str, folder: Path, advance: float) -> tuple[int, str, str]:
    clock = Clock(frozen=True, read=lambda: 1_700_000_000.0)
    (folder / "key").write_text("value\n")
    machine = Machine(clock, Page(), "demo", "pod-1", "10.0.0.5", "busybox", {"/etc/config": folder})
    pieces: dict[int, list[str]] = {1: [], 2: []}
    process = Process(machine, {"NAME": "world"}, lambda s, t: pieces[s].append(t), clock.time())

    async def run() -> int:
        try:
            return await run_command(process, ["sh", "-c", script])
        except Exited as exited:
            return exited.code

    task = asyncio.ensure_future(run())
    for _ in range(5):
        await asyncio.sleep(0)
    if advance:
        await clock.advance(advance)
    for _ in range(50 + int(advance)):
        await asyncio.sleep(0)
    code = task.result() if task.done() else -1
    task.cancel()
    return code, "".join(pieces[1]), "".join(pieces[2])


@pytest.mark.parametrize(
    "script, code, out",
    [
        pytest.param("echo hello $NAME", 0, "hello world\n", id="variable"),
        pytest.param("echo 'a  b' \"$NAME  x\" c\\ d", 0, "a  b world  x c d\n", id="quotes"),
        pytest.param("exit 3", 3, "", id="exit"),
        pytest.param("false || echo no; true && echo yes", 0, "no\nyes\n", id="and, or"),
        pytest.param("for i in 1 2 3; do echo $i; done", 0, "1\n2\n3\n", id="for"),
        pytest.param("i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done", 0, "1\n2\n3\n", id="while"),
        pytest.param("if [ -f /etc/config/key ]; then cat /etc/config/key; else echo none; fi", 0, "value\n", id="if"),
        pytest.param("seq 1 5 | grep -v 3 | wc -l", 0, "4\n", id="pipe"),
        pytest.param("echo ${MISSING:-default} ${NAME%d} ${#NAME}", 0, "default worl 5\n", id="parameters"),
        pytest.param("x=$(hostname); echo on $x", 0, "on pod-1\n", id="substitution"),
        pytest.param("echo a > /tmp/f; echo b >> /tmp/f; cat /tmp/f", 0, "a\nb\n", id="redirection"),
        pytest.param("set -e; false; echo never", 1, "", id="exit on error"),
        pytest.param("printf '%s-%03d\\n' a 7", 0, "a-007\n", id="printf"),
        pytest.param("date -u +%Y-%m-%dT%H:%M:%S", 0, "2023-11-14T22:13:20\n", id="date"),
        pytest.param("curl -s http://web | grep -o hello", 0, "hello\n", id="curl"),
        pytest.param("wget -qO- web", 0, "<title>hello</title>\n", id="wget"),
        pytest.param("echo done; exit $(( 2 * 3 ))", 6, "done\n", id="arithmetic"),
        pytest.param("for i in 1 2 3; do if [ $i = 2 ]; then continue; fi; echo $i; done", 0, "1\n3\n", id="continue"),
    ],
)
def test_script(script: str, code: int, out: str, tmp_path: Path) -> None:
    assert asyncio.run(play(script, tmp_path, 0))[:2] == (code, out)


@pytest.mark.parametrize(
    "script, code, text",
    [
        pytest.param("nosuchthing --flag", 127, "sh: nosuchthing: not found\n", id="unknown command"),
        pytest.param("if true; then echo", 2, 'sh: syntax error: unexpected "end of file"\n', id="syntax"),
        pytest.param("cat /nowhere", 1, "cat: can't open '/nowhere': No such file or directory\n", id="no file"),
        pytest.param("curl http://gone", 6, "curl: (6) Could not resolve host: gone\n", id="no host"),
    ],
)
def test_complaint(script: str, code: int, text: str, tmp_path: Path) -> None:
    assert asyncio.run(play(script, tmp_path, 0))[::2] == (code, text)


def test_sleep_is_on_the_world_clock(tmp_path: Path) -> None:
    script = "while true; do date +%S; sleep 10; done"
    code, out, _ = asyncio.run(play(script, tmp_path, 35))
    assert (code, out.split()) == (-1, ["20", "30", "40", "50"])


def test_a_long_jump_is_caught_up(tmp_path: Path) -> None:
    code, out, _ = asyncio.run(play("while true; do echo x; sleep 1; done", tmp_path, 7200))
    assert (code, out.count("x")) == (-1, 7201)
