"""What a world remembers of itself: `world.json` in its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from terrarium.base.clock import Pace
from terrarium.base.diagnostics import Failure
from terrarium.base.files import write_atomic

FORMAT = 1
AWS_PORT = 4566
CONSOLE_PORT = 8600


class BrokenWorld(Failure):
    """The folder holds something, but no world that this version can read."""


@dataclass(slots=True)
class Settings:
    """Ports are those the world listens on, the same at each start. `ahead` is the clock's offset in seconds."""

    account: str
    region: str
    aws_port: int
    console_port: int
    pace: str = Pace.INSTANT.value
    ahead: float = 0.0
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        write_atomic(folder / "world.json", json.dumps(asdict(self), indent=2).encode() + b"\n")


def load(folder: Path) -> Settings | None:
    """The settings of the world in a folder; None when there is no world yet. `BrokenWorld` says what is wrong."""
    path = folder / "world.json"
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        strangers = [p.name for p in folder.iterdir() if p.name not in ("lock", "daemon.log", "control.sock")]
        if strangers:
            raise BrokenWorld(
                f"{folder} holds files ({', '.join(sorted(strangers)[:3])}) but no world.json",
                "Choose an empty folder with --dir, or restore world.json.",
            ) from None
        return None
    except (ValueError, UnicodeDecodeError):
        raise BrokenWorld(
            f"{path} is not readable as JSON", "Restore it, or start anew with: terrarium reset"
        ) from None
    known = {f.name: f.type for f in fields(Settings)}
    types: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BrokenWorld(f"{path} is of a format which this version of Terrarium does not know")
    bad = [n for n, t in known.items() if not isinstance(data.get(n), types[str(t)])]
    if bad or data["pace"] not in {p.value for p in Pace}:
        raise BrokenWorld(f"{path}: {bad[0] if bad else 'pace'} is missing or wrong", "Restore it, or: terrarium reset")
    return Settings(**{n: data[n] for n in known})
