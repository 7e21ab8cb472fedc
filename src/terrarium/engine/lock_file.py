"""`.terraform.lock.hcl`: which version of each provider was chosen, and the hashes of its packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from terrarium.base.files import write_atomic

_HEAD = '# This file is maintained automatically by "terraform init".\n# Manual edits may be lost in future updates.\n'


@dataclass(frozen=True, slots=True)
class Lock:
    source: str
    version: str
    constraints: str = ""
    hashes: tuple[str, ...] = ()


def read_locks(path: Path) -> dict[str, Lock]:
    """The locks by provider; none when there is no file."""
    try:
        text = path.read_text()
    except OSError:
        return {}
    from terrarium.engine.static import constant_string, items
    from terrarium.language import parser

    file, _ = parser.parse(text, path.name)
    found: dict[str, Lock] = {}
    for block in file.body.blocks:
        if block.type != "provider" or not block.labels:
            continue
        source = block.labels[0].text
        at = block.body.attributes
        version = constant_string(at["version"].expression) if "version" in at else ""
        constraints = constant_string(at["constraints"].expression) if "constraints" in at else ""
        hashes: list[str] = []
        if "hashes" in at:
            hashes = [h for h in map(constant_string, items(at["hashes"].expression)[0]) if h]
        found[source] = Lock(source, version or "", constraints or "", tuple(hashes))
    return found


def lock_text(locks: Mapping[str, Lock]) -> str:
    """The file's text."""
    parts = [_HEAD]
    for source in sorted(locks):
        lock = locks[source]
        rows = [f'  version     = "{lock.version}"' if lock.constraints else f'  version = "{lock.version}"']
        if lock.constraints:
            rows.append(f'  constraints = "{lock.constraints}"')
        if lock.hashes:
            rows.append("  hashes = [")
            rows += [f'    "{h}",' for h in sorted(lock.hashes)]
            rows.append("  ]")
        parts.append(f'\nprovider "{source}" {{\n' + "\n".join(rows) + "\n}\n")
    return "".join(parts)


def write_locks(path: Path, locks: Mapping[str, Lock]) -> None:
    write_atomic(path, lock_text(locks).encode(), 0o644)
