"""What simulated programs say, and how they fail."""

from __future__ import annotations

import re

from terrarium.runtime.simulated.process import Process

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", "b": "\b", "0": "\0", '"': '"', "e": "\x1b"}


def out(process: Process, text: str) -> int:
    process.output(1, text)
    return 0


def fail(process: Process, text: str, code: int = 1) -> int:
    process.output(2, text + "\n")
    return code


def unescape(text: str) -> str:
    return re.sub(r"\\([ntr\\ab0\"e])", lambda m: _ESCAPES[m[1]], text)
