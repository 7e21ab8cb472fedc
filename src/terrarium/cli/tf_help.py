"""Help texts of commands: what each does, and its options."""

from __future__ import annotations

from collections.abc import Sequence


def help_text(name: str, args: Sequence[str]) -> str:
    """The help of a command."""
    from terrarium.cli.tf import COMMANDS

    words = [a for a in args if not a.startswith("-")]
    full = " ".join([name, *words[:1]]) if name in ("state", "workspace", "providers", "metadata") and words else name
    text = COMMANDS[name][3] if name in COMMANDS else ""
    return f"Usage: terraform [global options] {full} [options]\n\n  {text}."
