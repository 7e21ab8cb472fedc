"""What commands answer to flags, wrong use and questions of shells."""

import io
from pathlib import Path

import pytest

from terrarium.cli.tf import COMMANDS, main
from terrarium.cli.tf_autocomplete import completions
from terrarium.cli.tf_help import COMMANDS as HELP
from terrarium.engine.state_store import LocalStore


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    (tmp_path / "main.tf").write_text('resource "terraform_data" "a" {\n  input = 1\n}\n')
    return tmp_path


@pytest.mark.parametrize("path", sorted(HELP))
def test_help(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path.split(), "-help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: terraform [global options] {path}")


def test_every_command_has_help() -> None:
    assert set(COMMANDS) <= set(HELP)


@pytest.mark.parametrize(
    "args, code, out, err",
    [
        pytest.param(["plan", "-bogus"], 1, "", "flag provided but not defined: -bogus", id="unknown flag"),
        pytest.param(["plan", "-bogus", "-x"], 1, "", "Too many command line arguments", id="what follows it"),
        pytest.param(["plan", "-json", "-bogus"], 1, '"type":"diagnostic"', "", id="told as an event"),
        pytest.param(["plan", "-lock-timeout=soon"], 1, "", 'invalid value "soon"', id="no duration"),
        pytest.param(["plan", "-parallelism=-1"], 1, "", "Invalid parallelism value", id="parallelism"),
        pytest.param(["plan", "-target=a..b"], 1, "", "Dot must be followed by attribute name.", id="target"),
        pytest.param(["plan", "-destroy", "-refresh-only"], 1, "", "Incompatible plan mode options", id="two modes"),
        pytest.param(["destroy", "-refresh-only"], 1, "", "Invalid mode option", id="destroy has its mode"),
        pytest.param(["apply", "-json"], 1, "Plan file or auto-approve required", "", id="json can't ask"),
        pytest.param(["apply"], 1, "Do you want to perform", "error asking for approval: EOF", id="nobody answers"),
        pytest.param(["plan", "-out=no/such/p"], 1, "", "Failed to write plan file", id="plan file"),
        pytest.param(["state", "mv", "a.b"], 1, "Usage:", "Exactly two arguments expected.", id="too few arguments"),
        pytest.param(["taint", "a b"], 1, "", "Invalid character", id="address"),
        pytest.param(["graph", "extra"], 1, "", "Did you mean to use -chdir?", id="older commands"),
        pytest.param(["providers", "lock"], 0, "no need for changes", "", id="nothing to lock"),
        pytest.param(["logout", "example.com"], 0, "No credentials for example.com are stored.", "", id="logout"),
        pytest.param(["login", "bad host"], 1, "", "Invalid hostname", id="login"),
        pytest.param(["workspace", "delete", "default"], 1, "", "is your active workspace", id="active workspace"),
    ],
)
def test_answers(args: list[str], code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == code
    said = capsys.readouterr()
    assert out in said.out
    assert err in said.err


@pytest.mark.parametrize(
    "line, words",
    [
        pytest.param("terraform ta", ["taint"], id="command"),
        pytest.param("terraform state r", ["replace-provider", "rm"], id="subcommand"),
        pytest.param("terraform workspace select ", ["default"], id="workspace"),
        pytest.param("terraform output -r", ["-raw"], id="flag"),
    ],
)
def test_completion(line: str, words: list[str]) -> None:
    assert sorted(completions(line, {})) == words


def test_the_serial_counts_steps(folder: Path) -> None:
    (folder / "main.tf").write_text('resource "terraform_data" "a" {\n  count = 3\n}\n')
    serials = []
    for args in (["apply", "-auto-approve"], ["apply", "-auto-approve"], ["destroy", "-auto-approve"]):
        assert main(args) == 0
        serials.append(LocalStore(folder / "terraform.tfstate").load().serial)
    assert serials == [4, 4, 8]


def test_state_moves_to_another_file(folder: Path) -> None:
    assert main(["apply", "-auto-approve"]) == 0
    assert main(["state", "mv", "-state-out=other.tfstate", "terraform_data.a", "module.m.terraform_data.b[0]"]) == 0
    assert LocalStore(folder / "terraform.tfstate").load().empty
    assert list(map(str, LocalStore(folder / "other.tfstate").load().addresses())) == ["module.m.terraform_data.b[0]"]


def test_what_depends_on_nothing_wrong_is_planned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "main.tf").write_text(
        'variable "n" {\n  type = number\n}\nresource "terraform_data" "a" {\n  count = var.n\n}\nresource "terraform_data" "b" {\n}\n'
    )
    assert main(["plan", "-no-color", "-var", "n=x"]) == 1
    said = capsys.readouterr()
    assert "terraform_data.b will be created" in said.out
    assert "terraform_data.a" not in said.out
    assert "Invalid value for input variable" in said.err
