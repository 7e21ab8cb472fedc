"""Completion in shells: putting its line into their profiles and taking it out, and answering when a shell asks.

A shell asks by running the program with `COMP_LINE` (what was typed so far) in its environment; each line of the answer
is a word that may stand there.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

# shell: its profile files, of which the first that exists is used, and the line that goes there.
_BASH = ((".bashrc", ".bash_profile", ".bash_login", ".profile"), "complete -C {} terraform")
_ZSH = ((".zshrc",), "complete -o nospace -C {} terraform")
_ZSH_FIRST = "autoload -U +X bashcompinit && bashcompinit"


_FISH = """function __complete_terraform
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct); and set COMP_LINE "$COMP_LINE "
    {} terraform
end
complete -f -c terraform -a "(__complete_terraform)"
"""


def _fish(home: Path) -> Path | None:
    """The file of fish's completion, where fish is in use."""
    folder = home / ".config" / "fish"
    return folder / "completions" / "terraform.fish" if folder.is_dir() else None


def _program() -> str:
    """The path of this program as shells should run it."""
    return shutil.which(sys.argv[0]) or sys.argv[0]


def _profiles(home: Path) -> list[tuple[Path, list[str]]]:
    """The profile of each shell that is in use, and the lines that belong into it."""
    found: list[tuple[Path, list[str]]] = []
    for (names, line), before in ((_BASH, []), (_ZSH, [_ZSH_FIRST])):
        path = next((home / n for n in names if (home / n).is_file()), None)
        if path is not None:
            found.append((path, [*before, line.format(_program())]))
    return found


def autocomplete(install: bool) -> int:
    """`-install-autocomplete` and `-uninstall-autocomplete`. The home folder is the password database's."""
    word = "install" if install else "uninstall"
    profiles = _profiles(Path(pwd.getpwuid(os.getuid()).pw_dir))
    fish = _fish(Path(pwd.getpwuid(os.getuid()).pw_dir))
    if not profiles and fish is None:
        print(f"Error executing CLI: Did not find any shells to {word}", file=sys.stderr)
        return 1
    problems: list[str] = []
    for path, lines in profiles:
        there = path.read_text().split("\n")
        mark = lines[-1]
        if install == (mark in there):
            problems.append(f"{'already' if install else 'does not'} installed in {path}")
        elif install:
            # Lines which are there for other programs are not written twice.
            more = [line for line in lines if line not in there]
            path.write_text(path.read_text() + "".join(f"\n{line}" for line in more) + "\n")
        else:
            path.write_text("\n".join(_without(there, mark)))
    if fish is not None:
        if install == fish.exists():
            problems.append(f"{'already' if install else 'does not'} installed in {fish}")
        elif install:
            fish.parent.mkdir(exist_ok=True)
            fish.write_text(_FISH.format(_program()))
        else:
            fish.unlink()
    if problems:
        noun = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        rows = "".join(f"\n\t* {p}" for p in problems)
        print(f"Error executing CLI: {noun} occurred:{rows}\n\n", file=sys.stderr)
        return 1
    return 0


def _without(lines: list[str], mark: str) -> list[str]:
    index = lines.index(mark)
    return lines[:index] + lines[index + 1 :]


def completions(line: str, environment: Mapping[str, str]) -> list[str]:
    """The words that may stand where a command line, typed so far, ends."""
    from terrarium.cli.tf import COMMANDS
    from terrarium.cli.tf_help import option_names, subcommands

    words = line.split()
    last = "" if line.endswith((" ", "\t")) or not words else words.pop()
    words = [w for w in words[1:] if not w.startswith("-")]
    if not words:
        offered = list(COMMANDS) if not last.startswith("-") else ["-chdir=", "-help", "-version"]
    else:
        below = subcommands(words[0])
        path = " ".join(words[:2]) if len(words) > 1 and words[1] in below else words[0]
        if last.startswith("-"):
            offered = option_names(path)
        elif path in ("workspace select", "workspace delete"):
            from terrarium.cli.tf_workspace import names
            from terrarium.cli.tf_world import World

            offered = names(World(environment))
        else:
            offered = below if path == words[0] else []
    return [word for word in offered if word.startswith(last)]
