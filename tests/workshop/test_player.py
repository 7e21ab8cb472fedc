"""The workshop's player: checks, the order of chapters, and the account it gives, over commands of the shell."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from terrarium.workshop.chapters import CHAPTERS
from terrarium.workshop.checks import (
    Check,
    Seen,
    dig,
    exits,
    has,
    holds,
    is_true,
    matches,
    prints_nothing,
    says,
    silent_on,
)
from terrarium.workshop.player import (
    Chapter,
    Clients,
    Lab,
    Printer,
    Stopped,
    as_json,
    interesting,
    order,
    play,
    summary,
)

NO_CLIENTS = Clients(None, None, None, None)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lab(tmp_path: Path, out: io.StringIO) -> Lab:
    files = tmp_path / "labs/one"
    files.mkdir(parents=True)
    (files / "hello.txt").write_text("hello\n")
    root = tmp_path / "root"
    root.mkdir()
    return Lab(root, tmp_path / "labs", NO_CLIENTS, Printer(out, quiet=False))


# --- checks ---------------------------------------------------------------------------------------------------------

PODS = '{"items": [{"name": "a", "labels": {"x.io/y": 1}}, {"name": "b", "labels": {}}]}'


@pytest.mark.parametrize(
    ("check", "stdout", "ok"),
    [
        pytest.param(exits(0), "", True, id="exits"),
        pytest.param(exits(3), "", False, id="exits-otherwise"),
        pytest.param(says("lo wo"), "hello world", True, id="says"),
        pytest.param(says("World"), "hello world", False, id="says-minds-case"),
        pytest.param(silent_on("bye"), "hello", True, id="silent"),
        pytest.param(silent_on("hell"), "hello", False, id="silent-on-what-is-there"),
        pytest.param(matches(r"^b\d$"), "a\nb1\nc", True, id="matches-a-line"),
        pytest.param(matches(r"^1"), "b1", False, id="matches-no-line"),
        pytest.param(has("items.1.name", "b"), PODS, True, id="has"),
        pytest.param(has("items.2.name", None), PODS, True, id="has-nothing-past-the-end"),
        pytest.param(has("items.0.name", "b"), PODS, False, id="has-another"),
        pytest.param(has("name", "b"), "no JSON", False, id="has-in-no-json"),
        pytest.param(holds("items.*.name", lambda n: n == ["a", "b"], "both"), PODS, True, id="holds"),
        pytest.param(holds("none", lambda n: len(n) == 2, "two"), PODS, False, id="a-rule-that-cannot-be-asked"),
        pytest.param(prints_nothing("silence"), " \n", True, id="nothing"),
        pytest.param(prints_nothing("silence"), "x", False, id="something"),
        pytest.param(is_true(True, "same", 1, 1), "", True, id="compared"),
        pytest.param(is_true(False, "same", 1, 2), "", False, id="compared-otherwise"),
    ],
)
def test_checks(check: Check, stdout: str, ok: bool) -> None:
    finding = check(Seen("command", 0, stdout, "", 0.0))
    assert finding.ok is ok
    assert finding.what


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", json.loads(PODS)),
        ("items.0.name", "a"),
        ("items.*.name", ["a", "b"]),
        ("items.0.labels.x\\.io/y", 1),
        ("items.*.labels.x\\.io/y", [1, None]),
        ("items.x", None),
        ("items.0.name.more", None),
    ],
)
def test_paths_into_json(path: str, expected: object) -> None:
    assert dig(json.loads(PODS), path) == expected


@pytest.mark.parametrize(
    ("show", "lines"),
    [
        pytest.param(2, ["one", "two", "… 1 more lines"], id="the-first"),
        pytest.param(3, ["one", "two", "three"], id="all"),
        pytest.param(0, [], id="none"),
        pytest.param("^t", ["two", "three"], id="a-pattern"),
    ],
)
def test_lines_worth_showing(show: int | str, lines: list[str]) -> None:
    assert interesting(Seen("c", 0, "one\n\ntwo\nthree\n", "", 0.0), show) == lines


# --- one command ----------------------------------------------------------------------------------------------------


def test_a_command_runs_in_the_copy_of_its_lab(lab: Lab) -> None:
    here = lab.enter("one")
    assert lab.run("cat hello.txt && pwd", says("hello")).stdout == f"hello\n{here}\n"
    lab.run("echo changed > hello.txt")
    lab.enter("one")
    assert lab.run("cat hello.txt").stdout == "changed\n", "entered again, the copy is as it was left"
    lab.enter("one", "another")
    assert lab.run("cat hello.txt").stdout == "hello\n"


def test_commands_see_the_workshops_own_settings_only(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("KUBECONFIG", "/mine")
    lab = Lab(lab.root, lab.labs, NO_CLIENTS, lab.printer)
    answer = lab.ask('echo "[$AWS_PROFILE][$KUBECONFIG][$HOME][$TERRARIUM_DIR]"')
    assert answer.stdout == f"[][][{lab.root}/home][{lab.root}/world]\n"


def test_a_failing_part_of_a_pipe_fails_the_command(lab: Lab) -> None:
    assert lab.ask("false | cat").code == 1


def test_colours_are_taken_away(lab: Lab) -> None:
    assert lab.run(r"printf '\033[31mred\033[0m'", matches("^red$")).stdout == "red"


def test_a_missing_kubectl_has_a_stand_in(lab: Lab) -> None:
    lab.here = lab.root
    assert "Client Version" in lab.ask("kubectl version --client").stdout


def test_a_failed_check_shows_expected_and_seen(lab: Lab, out: io.StringIO) -> None:
    with pytest.raises(Stopped):
        lab.run("echo good morning", says("good evening", "it greets"), says("good"))
    text = out.getvalue()
    assert "$ echo good morning\n  good morning\n" in text
    assert "  ✗ it greets\n      expected: good evening\n      seen:     good morning\n  ✓ says “good”" in text


def test_a_check_may_hold_later(lab: Lab) -> None:
    seen = lab.run("echo x >> lines; wc -l < lines", says("3"), within=30.0)
    assert seen.stdout.strip() == "3"
    assert [f.ok for f in lab.account.steps[-1].findings] == [True], "the account has the last look alone"


# --- chapters -------------------------------------------------------------------------------------------------------


def nothing(lab: Lab) -> None:
    lab.run("echo played", says("played"))


def stops(lab: Lab) -> None:
    lab.run("echo seen", says("wanted"))
    lab.run("echo never")


def goes_on(lab: Lab) -> None:
    lab.run("echo seen", says("wanted"), needed=False)
    lab.run("echo after")


def book(*rows: tuple[str, Callable[[Lab], None], tuple[str, ...]]) -> dict[str, Chapter]:
    return {name: Chapter(name, f"about {name}", act, needs) for name, act, needs in rows}


BOOK = book(("a", nothing, ()), ("b", nothing, ("a",)), ("c", nothing, ("b",)), ("d", nothing, ()))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param([], "abcd", id="all"),
        pytest.param(["d"], "d", id="one"),
        pytest.param(["c"], "abc", id="with-what-it-needs"),
        pytest.param(["d", "b"], "abd", id="in-the-order-of-the-book"),
        pytest.param(["a", "a"], "a", id="once"),
    ],
)
def test_the_order_of_chapters(wanted: list[str], expected: str) -> None:
    assert [c.name for c in order(BOOK, wanted)] == list(expected)


def test_chapters_need_only_what_comes_before_them() -> None:
    names = list(CHAPTERS)
    wrong = [(c.name, n) for c in CHAPTERS.values() for n in c.needs if names.index(n) >= names.index(c.name)]
    assert wrong == []
    assert [name for name, c in CHAPTERS.items() if c.name != name or not c.about] == []


STORY = book(("stops", stops, ()), ("needs-it", nothing, ("stops",)), ("goes-on", goes_on, ()), ("fine", nothing, ()))


def test_a_failed_chapter_stops_only_those_that_need_it(lab: Lab) -> None:
    accounts = play(lab, list(STORY.values()))
    assert [(a.name, a.outcome, a.note, len(a.steps), f"{a.held}/{a.checks}") for a in accounts] == [
        ("stops", "failed", "stopped at: echo seen", 1, "0/1"),
        ("needs-it", "skipped", "needs stops", 0, "0/0"),
        ("goes-on", "failed", "", 2, "1/2"),
        ("fine", "played", "", 1, "1/1"),
    ]


def first(lab: Lab) -> None:
    lab.run("echo first", says("first"))
    lab.run("while [ ! -e ../beside ]; do sleep 0.02; done", says(""))  # only ends when the other goes on meanwhile
    lab.result("first").set_result("what came out")


def second(lab: Lab) -> None:
    lab.enter("one")
    lab.run("touch ../beside", exits(0))
    assert lab.result("first").result() == "what came out"
    lab.run("echo second", says("second"))


def test_a_chapter_is_played_beside_others_and_printed_whole(lab: Lab, out: io.StringIO) -> None:
    lab.enter("one", "elsewhere")
    chapters = [
        Chapter("first", "", first),
        Chapter("first-real", "", second, needs=("first",), beside=True),
        Chapter("between", "", nothing),
        Chapter("end", "", nothing),
        Chapter("lacking", "", nothing, clients=("kubectl",)),
    ]
    accounts = play(lab, chapters)
    assert [(a.name, a.outcome, a.held) for a in accounts] == [
        ("first", "played", 2),
        ("first-real", "played", 2),
        ("between", "played", 1),
        ("end", "played", 1),
        ("lacking", "left out", 0),
    ]
    titles = [line.split()[1] for line in out.getvalue().splitlines() if line.startswith("── ")]
    assert titles == ["first", "between", "end", "first-real"]
    assert out.getvalue().count("echo second") == 1


def test_the_account_as_json(lab: Lab) -> None:
    answer = json.loads(as_json(play(lab, list(STORY.values())), NO_CLIENTS, 1.234))
    assert (answer["ok"], answer["seconds"]) == (False, 1.23)
    assert [c["outcome"] for c in answer["chapters"]] == ["failed", "skipped", "failed", "played"]
    assert answer["chapters"][0]["steps"][0]["checks"] == [
        {"ok": False, "what": "says “wanted”", "expected": "wanted", "seen": "seen"}
    ]
    assert answer["chapters"][3]["steps"][0]["checks"] == [{"ok": True, "what": "says “played”"}]
    assert json.loads(as_json(play(lab, [BOOK["a"]]), NO_CLIENTS, 0.0))["ok"] is True


def test_the_summary(lab: Lab, out: io.StringIO) -> None:
    accounts = play(lab, list(STORY.values()))
    out.truncate(out.seek(0))
    summary(accounts, NO_CLIENTS, 2.0, lab.printer)
    text = out.getvalue()
    assert "4 chapters in 2.0 s" in text
    rows = [line.split() for line in text.splitlines() if "✓" in line or "✗" in line]
    assert [(row[0], row[1], row[2], " ".join(row[5:])) for row in rows] == [
        ("stops", "1", "0/1", "✗ failed: stopped at: echo seen"),
        ("needs-it", "0", "0/0", "✗ skipped: needs stops"),
        ("goes-on", "2", "1/2", "✗ failed: a check did not hold"),
        ("fine", "1", "1/1", "✓ all held"),
    ]


def test_an_account_for_programs_prints_no_lines(lab: Lab, out: io.StringIO) -> None:
    lab.printer = Printer(out, quiet=True)
    play(lab, [BOOK["a"]])
    assert out.getvalue() == ""
