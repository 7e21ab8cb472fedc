"""`plan --watch`: which files count, and that a save makes a new plan."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from terrarium.cli.tf_watch import changed, seen
from terrarium.cli.tf_world import World


def test_what_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    for name in ("main.tf", "x.auto.tfvars", "notes.txt", "m/main.tf", "terraform.tfstate"):
        (tmp_path / name).write_text("")
    folders, world = [Path(), Path("m")], World({})
    before = seen(folders, world)
    assert sorted(before) == ["m/main.tf", "main.tf", "terraform.tfstate", "x.auto.tfvars"]
    (tmp_path / "m/main.tf").write_text("# longer")
    (tmp_path / "x.auto.tfvars").unlink()
    (tmp_path / "notes.txt").write_text("of no matter")
    assert changed(before, seen(folders, world)) == ("m/main.tf", "x.auto.tfvars")


def test_a_save_plans_again(tmp_path: Path) -> None:
    main = tmp_path / "main.tf"
    main.write_text('resource "terraform_data" "x" {\n  input = "a"\n}\n')
    command = [sys.executable, "-c", "import sys; from terrarium.cli.tf import main; sys.exit(main(sys.argv[1:]))"]
    with subprocess.Popen(
        [*command, "plan", "-no-color", "--watch"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as process:
        assert process.stdout is not None
        seen_so_far: list[str] = []

        def until(text: str) -> None:
            assert process.stdout is not None
            for line in process.stdout:
                seen_so_far.append(line)
                if text in line:
                    return
            raise AssertionError("".join(seen_so_far))

        until("Ctrl-C ends")
        assert any('+ input  = "a"' in line for line in seen_so_far)
        main.write_text('resource "terraform_data" "x" {\n  input = "another"\n}\n')
        until("Changed: main.tf")
        until('+ input  = "another"')
        until("Ctrl-C ends")
        main.write_text("what is this")
        until("Ctrl-C ends")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=20) == 0
