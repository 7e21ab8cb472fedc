"""Runs the commands of chapters in a world of their own, prints what a person should see, and keeps the account.

Everything happens in one folder: the world, copies of the labs' files, HOME (so that no kubeconfig or AWS profile of
the user's is touched) and, where a client is missing, stand-ins that call our own door to the same thing.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from terrarium.base.clock import real_sleep, stopwatch
from terrarium.base.diagnostics import Failure
from terrarium.workshop.checks import Check, Finding, Seen, exits

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
STEP_SECONDS = 180.0
"""The longest a single command of a chapter may take."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command that was played, and what was found in its answer."""

    command: str
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return all(f.ok for f in self.findings)


GOOD = ("played", "left out")


@dataclass(slots=True)
class Account:
    """What became of a chapter: `played`, `failed`, `skipped` as another failed, or `left out` for want of a client."""

    name: str
    outcome: str = "played"
    note: str = ""
    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def checks(self) -> int:
        return sum(len(s.findings) for s in self.steps)

    @property
    def held(self) -> int:
        return sum(f.ok for s in self.steps for f in s.findings)


class Stopped(Exception):
    """A command failed whose outcome the rest of the chapter builds on."""


@dataclass(frozen=True, slots=True)
class Clients:
    """Which real clients are on this machine, as paths; None: missing."""

    kubectl: str | None
    aws: str | None
    terraform: str | None
    provider_mirror: Path | None
    """A folder with an unpacked hashicorp/aws provider, as Terraform's `filesystem_mirror` reads it."""

    def lacks(self, name: str) -> bool:
        return getattr(self, name) is None

    @classmethod
    def find(cls) -> Clients:
        return cls(shutil.which("kubectl"), shutil.which("aws"), shutil.which("terraform"), _provider_mirror())

    def words(self) -> dict[str, str]:
        real = {"kubectl": self.kubectl, "aws": self.aws, "terraform": self.terraform}
        found = {name: "real" if path else "missing: own door" for name, path in real.items()}
        if self.terraform and not self.provider_mirror:
            found["terraform"] = "real, but no aws provider mirror: not used with AWS"
        elif not self.terraform:
            found["terraform"] = "missing: own engine only"
        return found


def _provider_mirror() -> Path | None:
    """Where Terraform itself would look, and /opt, where images put plugins."""
    home = Path.home()
    roots = [
        *(Path(p) for p in os.environ.get("TERRARIUM_PROVIDER_MIRROR", "").split(":") if p),
        home / ".terraform.d/plugins",
        Path(os.environ.get("XDG_DATA_HOME", home / ".local/share")) / "terraform/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
        *sorted(Path("/opt").glob("*")),
    ]
    for root in roots:
        if any(root.glob("registry.terraform.io/hashicorp/aws/*/linux_*")):
            return root
    return None


class Printer:
    """Lines for a person, or nothing when the answer is to be JSON."""

    def __init__(self, out: IO[str], quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self.colour = out.isatty() and "NO_COLOR" not in os.environ
        self.width = min(shutil.get_terminal_size((100, 24)).columns, 110)

    def aside(self) -> Printer:
        """A printer of the same looks which keeps what it is told, for `tell`."""
        kept = Printer(io.StringIO(), self._quiet)
        kept.colour, kept.width = self.colour, self.width
        return kept

    def tell(self, kept: Printer) -> None:
        """Prints what another printer has kept, once."""
        assert isinstance(kept._out, io.StringIO)
        self._out.write(kept._out.getvalue())
        self._out.flush()
        kept._out.truncate(0)

    def paint(self, text: str, *codes: int) -> str:
        return f"\033[{';'.join(map(str, codes))}m{text}\033[0m" if self.colour else text

    def line(self, text: str = "") -> None:
        if not self._quiet:
            print(text, file=self._out, flush=True)

    def title(self, name: str, text: str) -> None:
        rule = "─" * max(3, self.width - len(name) - len(text) - 8)
        self.line()
        self.line(f"── {self.paint(name, 1, 36)} ─ {text} {rule}")

    def command(self, text: str) -> None:
        self.line()
        self.line(f"{self.paint('$', 2)} {self.paint(text, 1)}")

    def answer(self, seen: Seen, show: int | str) -> None:
        for text in interesting(seen, show):
            clipped = text if len(text) <= self.width - 2 else text[: self.width - 3] + "…"
            self.line(f"  {clipped}")

    def findings(self, step: Step) -> None:
        last = len(step.findings) - 1
        for index, finding in enumerate(step.findings):
            mark = self.paint("✓", 32) if finding.ok else self.paint("✗", 31, 1)
            time = self.paint(f"{step.seconds:5.1f} s", 2) if index == last else ""
            self.line(f"  {mark} {finding.what:<{max(10, self.width - 14)}}{time}".rstrip())
            if not finding.ok:
                self._versus("expected", finding.expected)
                self._versus("seen", finding.seen)

    def _versus(self, label: str, text: str) -> None:
        for index, line in enumerate(text.splitlines() or [""]):
            self.line(f"      {label + ':' if index == 0 else '':<10}{line}")


def interesting(seen: Seen, show: int | str) -> list[str]:
    """The lines worth showing: the first `show` ones, or those that match a pattern."""
    lines = [line.rstrip() for line in (seen.stdout or seen.stderr).splitlines()]
    if isinstance(show, str):
        wanted = re.compile(show)
        return [line for line in lines if wanted.search(line)][:24]
    lines = [line for line in lines if line.strip()]
    if len(lines) <= show:
        return lines
    return [*lines[:show], f"… {len(lines) - show} more lines"] if show else []


class Lab:
    """What a chapter has in hand. `here` is the folder in which its commands run."""

    def __init__(
        self,
        root: Path,
        labs: Path,
        clients: Clients,
        printer: Printer,
        pause: Callable[[], None] | None = None,
    ) -> None:
        self.root = root
        self.labs = labs
        self.clients = clients
        self.printer = printer
        self.here = root
        self._results: dict[str, Future[Any]] = {}
        self.applied: set[str] = set()
        """Folders whose resources exist."""
        self.account = Account("setup")
        self._pause = pause
        self._environment = self._base_environment()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    # --- the world -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the world, from here on under test like everything else."""
        (self.root / "home").mkdir()
        self.run("terrarium up -d", exits(0), show=4)
        answer = self._execute("terrarium env --json", 30.0)
        if answer.code != 0:
            raise Failure(f"the world did not start: {answer.text.strip()}")
        self._environment.update(answer.json)
        # Every chapter begins like somebody who has just opened a shell: nothing knows any cluster yet.
        self._environment["KUBECONFIG"] = str(self.root / "home/.kube/config")

    def stop(self) -> None:
        self._execute("terrarium down", 60.0)

    @property
    def patient(self) -> bool:
        """Whether somebody goes through it step by step: then everything has to come in order."""
        return self._pause is not None

    def beside(self) -> Lab:
        """A second person at a second terminal of the same world."""
        other = copy(self)
        other.printer = self.printer.aside()
        other._running = None
        other._environment = dict(self._environment)
        return other

    def _base_environment(self) -> dict[str, str]:
        keep = ("PATH", "LANG", "TERM", "SSL_CERT_FILE")
        environment = {k: os.environ[k] for k in keep if k in os.environ}
        shims = self.root / "bin"
        shims.mkdir(parents=True, exist_ok=True)
        own = Path(sys.executable).parent
        if self.clients.kubectl is None:
            shim = shims / "kubectl"
            shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m terrarium.cli.kubectl "$@"\n')
            shim.chmod(0o755)
        environment["PATH"] = f"{own}:{environment.get('PATH', '/usr/bin:/bin')}:{shims}"
        environment.setdefault("LANG", "C.UTF-8")
        environment |= {
            "HOME": str(self.root / "home"),
            "TERRARIUM_DIR": str(self.root / "world"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_PAGER": "",
            "AWS_REGION": "ap-northeast-2",
            "NO_COLOR": "1",
        }
        if self.clients.provider_mirror is not None:
            rc = self.root / "terraformrc"
            rc.write_text(
                f'provider_installation {{\n  filesystem_mirror {{\n    path = "{self.clients.provider_mirror}"\n  }}\n}}\n'
            )
            environment["TF_CLI_CONFIG_FILE"] = str(rc)
        return environment

    def interrupt(self) -> None:
        """Ends the command that runs, and lets no other begin."""
        self._stopped = True
        process = self._running
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)

    # --- commands --------------------------------------------------------------------------------------------------

    def enter(self, lab: str, name: str = "") -> Path:
        """Copies a lab's folder (once), under another name if one is given, and works there from now on."""
        target = self.root / (name or lab)
        if not target.exists():
            shutil.copytree(self.labs / lab, target)
        self.here = target
        return target

    def run(
        self,
        command: str,
        *checks: Check,
        show: int | str = 8,
        within: float = 0.0,
        needed: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Seen:
        """Types a command and checks its answer.

        `within` asks again until every check holds, for at most so many real seconds. A step whose command fails, or
        whose check does, ends the chapter when it is `needed`.
        """
        if self._stopped:
            raise Stopped(command)
        if self._pause is not None:
            self._pause()
        printer = self.printer
        printer.command(command)
        elapsed = stopwatch()
        pause = 0.1
        while True:
            seen = self._execute(command, STEP_SECONDS, env)
            findings = tuple(check(seen) for check in (checks or (exits(0),)))
            if all(f.ok for f in findings) or elapsed() >= within:
                break
            real_sleep(pause)
            pause = min(pause * 1.5, 1.0)
        step = Step(command, findings, elapsed())
        self.account.steps.append(step)
        printer.answer(seen, show)
        printer.findings(step)
        if needed and not step.ok:
            raise Stopped(command)
        return seen

    def result(self, chapter: str) -> Future[Any]:
        """What came out of a chapter, for one that is played beside it."""
        return self._results.setdefault(chapter, Future())

    def use(self, **variables: str) -> None:
        """Exports variables for the commands that follow."""
        for name, value in variables.items():
            self.printer.command(f"export {name}={value}")
            self._environment[name] = value

    def ask(self, command: str, env: Mapping[str, str] | None = None) -> Seen:
        """Runs a command without showing it: to compare two programs' answers."""
        return self._execute(command, STEP_SECONDS, env)

    def note(self, text: str) -> None:
        self.printer.line()
        self.printer.line(self.printer.paint(f"  {text}", 2))

    def _execute(self, command: str, limit: float, env: Mapping[str, str] | None = None) -> Seen:
        elapsed = stopwatch()
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.here,
            env={**self._environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._running = process
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\nstopped after {limit:.0f} s".encode()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        # Some programs colour whatever they write to; checks look at the words.
        plain = [_ESCAPES.sub("", text.decode("utf-8", "replace")) for text in (out, err)]
        return Seen(command, process.returncode, plain[0], plain[1], elapsed())


@dataclass(frozen=True, slots=True)
class Chapter:
    """`needs` are chapters that must have been played before in the same world."""

    name: str
    about: str
    play: Callable[[Lab], None]
    needs: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    """Real clients without which it can't be played."""
    beside: bool = False
    """Whether it is played at a second terminal, beside the chapter before it and those after it: it mostly waits."""


def order(chapters: Mapping[str, Chapter], wanted: Sequence[str]) -> list[Chapter]:
    """The chapters to play, in the workshop's order: the wanted ones, their variants (`ec2-real` of `ec2`), and those
    which these need."""
    asked: set[str] = set()
    pending = [name for name in chapters if not wanted or any(f"{name}-".startswith(f"{w}-") for w in wanted)]
    while pending:
        name = pending.pop()
        if name not in asked:
            asked.add(name)
            pending.extend(chapters[name].needs)
    return [c for name, c in chapters.items() if name in asked]


def play(lab: Lab, chapters: Sequence[Chapter]) -> list[Account]:
    """Plays chapters one after the other; a failed one does not stop those which do not need it."""
    accounts = {chapter.name: Account(chapter.name) for chapter in chapters}
    beside: dict[str, tuple[Lab, threading.Thread]] = {}
    try:
        for chapter, following in zip(chapters, [*chapters[1:], None], strict=True):
            if chapter.name in beside:
                continue
            account = accounts[chapter.name]
            if not _may_play(chapter, account, accounts, lab.clients):
                continue
            if (
                following is not None
                and following.beside
                and not lab.patient
                and _may_play(following, accounts[following.name], accounts, lab.clients)
            ):
                beside[following.name] = _begin(lab, following, accounts[following.name])
            _play_one(lab, chapter, account)
    except BaseException:
        for other, _ in beside.values():
            other.interrupt()
        raise
    finally:
        _join(lab, beside)
    return list(accounts.values())


def _may_play(chapter: Chapter, account: Account, accounts: Mapping[str, Account], clients: Clients) -> bool:
    absent = [c for c in chapter.clients if clients.lacks(c)]
    missing = [n for n in chapter.needs if accounts[n].outcome not in GOOD]
    if absent:
        # Nobody's fault: it is named in the summary.
        names = ", ".join(c.replace("_", " ") for c in absent)
        account.outcome, account.note = "left out", f"there is no {names} on this machine"
    elif missing:
        account.outcome, account.note = "skipped", f"needs {', '.join(missing)}"
    return not absent and not missing


def _begin(lab: Lab, chapter: Chapter, account: Account) -> tuple[Lab, threading.Thread]:
    other = lab.beside()
    thread = threading.Thread(target=_play_one, args=(other, chapter, account), name=chapter.name)
    lab.note(f"Chapter {chapter.name} begins at a second terminal; what it shows is printed when it is over.")
    thread.start()
    return other, thread


def _join(lab: Lab, beside: Mapping[str, tuple[Lab, threading.Thread]]) -> None:
    for other, thread in beside.values():
        thread.join()
        lab.printer.tell(other.printer)


def _play_one(lab: Lab, chapter: Chapter, account: Account) -> None:
    lab.account = account
    lab.printer.title(chapter.name, chapter.about)
    # Until it is over it counts as failed, whatever may end it.
    account.outcome = "failed"
    elapsed = stopwatch()
    try:
        chapter.play(lab)
        account.outcome = "played"
    except Stopped as stop:
        account.note = f"stopped at: {stop}"
    finally:
        account.seconds = elapsed()
    if account.held < account.checks or account.note:
        account.outcome = "failed"


def as_json(accounts: Sequence[Account], clients: Clients, seconds: float) -> str:
    """The whole account as a JSON document."""
    return json.dumps(
        {
            "ok": all(a.outcome in GOOD for a in accounts),
            "seconds": round(seconds, 2),
            "clients": clients.words(),
            "chapters": [
                {
                    "name": a.name,
                    "outcome": a.outcome,
                    "note": a.note,
                    "seconds": round(a.seconds, 2),
                    "steps": [
                        {
                            "command": s.command,
                            "seconds": round(s.seconds, 2),
                            "checks": [
                                {"ok": f.ok, "what": f.what}
                                | ({} if f.ok else {"expected": f.expected, "seen": f.seen})
                                for f in s.findings
                            ],
                        }
                        for s in a.steps
                    ],
                }
                for a in accounts
            ],
        },
        indent=2,
    )


def summary(accounts: Sequence[Account], clients: Clients, seconds: float, printer: Printer) -> None:
    """The table at the end."""
    printer.title("summary", f"{len(accounts)} chapters in {seconds:.1f} s")
    printer.line()
    printer.line(f"  {'chapter':<12}{'steps':>7}{'checks':>10}{'time':>10}   outcome")
    for a in accounts:
        good = a.outcome in GOOD
        mark = printer.paint("✓", 32) if good else printer.paint("✗", 31, 1)
        checks = f"{a.held}/{a.checks}"
        word = "all held" if a.outcome == "played" else f"{a.outcome}: {a.note or 'a check did not hold'}"
        printer.line(f"  {a.name:<12}{len(a.steps):>7}{checks:>10}{a.seconds:>8.1f} s   {mark} {word}")
    printer.line()
    printer.line("  clients: " + "; ".join(f"{name} {word}" for name, word in clients.words().items()))
