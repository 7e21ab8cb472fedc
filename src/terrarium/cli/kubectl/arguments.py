"""What may be written after `kubectl`: one parser for each command, made from tables of flags."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from terrarium.base.diagnostics import UsageFailure

Flag = tuple[tuple[str, ...], Mapping[str, Any]]


def _text(*names: str, default: str = "") -> Flag:
    return names, {"default": default}


def _many(*names: str) -> Flag:
    return names, {"action": "append", "default": []}


def _switch(*names: str) -> Flag:
    # `--flag`, `--flag=true` and `--flag=false` are all kubectl's.
    return names, {"nargs": "?", "const": "true", "default": "false"}


GLOBAL: tuple[Flag, ...] = (
    _text("-n", "--namespace"),
    _text("--context"),
    _text("--kubeconfig"),
    _text("--request-timeout"),
)
_SELECTION = (_text("-l", "--selector"), _text("--field-selector"), _switch("-A", "--all-namespaces"))
_OUTPUT = (_text("-o", "--output"),)
_FILES = (_many("-f", "--filename"),)
_CONTAINER = (_text("-c", "--container"),)

COMMANDS: dict[str, tuple[Flag, ...]] = {
    "get": (
        *_SELECTION,
        *_OUTPUT,
        *_FILES,
        _switch("-w", "--watch"),
        _switch("--no-headers"),
        _switch("--show-labels"),
        _many("-L", "--label-columns"),
        _text("--sort-by"),
        _switch("--ignore-not-found"),
        _text("--subresource"),
    ),
    "describe": (*_SELECTION, *_FILES),
    "create": (
        *_FILES,
        *_OUTPUT,
        _many("--from-literal"),
        _text("--image"),
        _text("--dry-run", default="none"),
        _text("--replicas", default="1"),
    ),
    "apply": (
        *_FILES,
        *_OUTPUT,
        _switch("--server-side"),
        _text("--field-manager"),
        _switch("--force-conflicts"),
        _text("--dry-run", default="none"),
    ),
    "delete": (
        *_SELECTION,
        *_FILES,
        *_OUTPUT,
        _switch("--all"),
        _switch("--now"),
        _switch("--force"),
        _switch("--ignore-not-found"),
        _text("--grace-period"),
        _text("--cascade"),
        _text("--timeout"),
        (("--wait",), {"nargs": "?", "const": "true", "default": "true"}),
    ),
    "label": (*_SELECTION, _switch("--overwrite"), _switch("--all")),
    "annotate": (*_SELECTION, _switch("--overwrite"), _switch("--all")),
    "taint": (_switch("--overwrite"), _switch("--all"), _text("-l", "--selector")),
    "patch": (_text("-p", "--patch"), _text("--type", default="strategic"), _text("--subresource"), *_OUTPUT),
    "scale": (_text("--replicas"), *_FILES),
    "run": (
        _text("--image"),
        _text("--overrides"),
        _text("--restart", default="Always"),
        _many("--env"),
        _text("-l", "--labels"),
        _text("--port"),
    ),
    "wait": (_text("--for"), _text("--timeout", default="30s"), *_SELECTION, _switch("--all")),
    "rollout": (_text("--timeout"), *_OUTPUT),
    "logs": (
        *_CONTAINER,
        _switch("-f", "--follow"),
        _switch("-p", "--previous"),
        _switch("--timestamps"),
        _switch("--all-containers"),
        _switch("--prefix"),
        _text("--tail"),
        _text("--since"),
        _text("--limit-bytes"),
        _text("-l", "--selector"),
    ),
    "exec": (*_CONTAINER, _switch("-i", "--stdin"), _switch("-t", "--tty")),
    "config": (*_OUTPUT, _switch("--current")),
    "version": (*_OUTPUT, _switch("--client")),
    "api-resources": (_text("--api-group"), _text("--namespaced"), *_OUTPUT, _switch("--no-headers")),
    "cluster-info": (),
    "events": (*_SELECTION, *_OUTPUT, _switch("-w", "--watch"), _text("--for")),
    "auth": (_switch("-A", "--all-namespaces"),),
    "top": (*_SELECTION, _switch("--no-headers")),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageFailure(
            message.replace("unrecognized arguments", "unknown flag or argument"),
            "terrarium kubectl --help names what this kubectl has.",
        )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command, its `words`, what follows `--` as `command_line`, and its flags. `UsageFailure` when it makes no sense."""
    words = list(words)
    after: list[str] = []
    if "--" in words:
        cut = words.index("--")
        words, after = words[:cut], words[cut + 1 :]
    top = _Parser(prog="kubectl", add_help=False, allow_abbrev=False)
    for names, options in GLOBAL:
        top.add_argument(*names, **options)
    before, at = [], 0
    while at < len(words) and words[at].startswith("-"):
        # Flags before the command are the global ones, each with its value in the same or the next word.
        step = 1 if "=" in words[at] else 2
        before += words[at : at + step]
        at += step
    given = top.parse_args(before)
    if at >= len(words):
        raise UsageFailure("no command given", f"One of: {', '.join(COMMANDS)}.")
    name = words[at]
    if name not in COMMANDS:
        raise UsageFailure(
            f'unknown command "{name}" for "kubectl"',
            f"This is Terrarium's own small kubectl, as the real one is not on this machine; it has: {', '.join(COMMANDS)}.",
        )
    parser = _Parser(prog=f"kubectl {name}", add_help=False, allow_abbrev=False)
    for names, options in (*GLOBAL, *COMMANDS[name]):
        parser.add_argument(*names, **options)
    parser.add_argument("words", nargs="*")
    found = parser.parse_intermixed_args(_spelled(words[at + 1 :], COMMANDS[name]))
    for key, value in vars(given).items():
        if value and not getattr(found, key):
            setattr(found, key, value)
    for key, value in vars(found).items():
        if value in ("true", "false") and key not in ("namespaced",):
            setattr(found, key, value == "true")
    found.verb, found.command_line = name, after
    return found


def _spelled(words: Sequence[str], flags: Sequence[Flag]) -> list[str]:
    """Switches written so that no following word is taken for their value: `-it` is `-i=true -t=true`."""
    switches = {name for names, options in flags for name in names if options.get("nargs") == "?"}
    letters = {name[1] for name in switches if len(name) == 2}
    made: list[str] = []
    for word in words:
        if word in switches and word.startswith("--"):
            made.append(f"{word}=true")
        elif len(word) > 1 and word[0] == "-" and word[1] != "-" and set(word[1:]) <= letters:
            made += [f"-{letter}true" for letter in word[1:]]
        elif len(word) > 3 and word[0] == "-" and word[1] != "-" and word[2] == "=":
            made.append(word[:2] + word[3:])
        else:
            made.append(word)
    return made
