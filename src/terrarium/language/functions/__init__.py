"""All functions of Terraform 1.11. One module for each kind, with a table `FUNCTIONS`; `table` joins them.

To add a function: write its lines in the module of its kind, a row in that module's table, and its name in `MODULES`.
A module is imported when one of its functions is first called for: a command that calls few pays for few.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from terrarium.language.functions.spec import Function

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from terrarium.base.ids import Ids

MODULES: Final[Mapping[str, str]] = {
    "conversions": (
        "can ephemeralasnull issensitive list map nonsensitive sensitive tobool tolist tomap tonumber toset "
        "tostring try"
    ),
    "encoding": (
        "base64decode base64encode base64gzip csvdecode jsondecode jsonencode textdecodebase64 "
        "textencodebase64 urlencode"
    ),
    "files": ("abspath basename dirname pathexpand"),
    "formatting": ("format formatlist"),
    "hashing": ("base64sha256 base64sha512 md5 rsadecrypt sha1 sha256 sha512 uuidv5"),
    "mappings": ("keys lookup merge transpose values zipmap"),
    "network": ("cidrhost cidrnetmask cidrsubnet cidrsubnets"),
    "numeric": ("abs ceil floor log max min parseint pow range signum"),
    "regular": ("regex regexall"),
    "sequences": (
        "alltrue anytrue chunklist coalesce coalescelist compact concat contains distinct element flatten "
        "index length matchkeys one reverse setproduct slice sum"
    ),
    "sets": ("setintersection setsubtract setunion"),
    "strings": (
        "chomp endswith indent join lower replace sort split startswith strcontains strrev substr title trim "
        "trimprefix trimspace trimsuffix upper"
    ),
    "times": ("formatdate timeadd timecmp"),
    "yaml_codec": ("yamldecode yamlencode"),
}
"""Module: the names of its functions."""
CLOCK: Final = ("plantimestamp", "timestamp")
RANDOM: Final = ("bcrypt", "uuid")
DISK: Final = (
    "file",
    "filebase64",
    "filebase64sha256",
    "filebase64sha512",
    "fileexists",
    "filemd5",
    "fileset",
    "filesha1",
    "filesha256",
    "filesha512",
)
TEMPLATES: Final = ("templatefile", "templatestring")
UNPREDICTABLE: Final = ("bcrypt", "timestamp", "uuid")

Load = Callable[[], Mapping[str, Function]]


class Table(Mapping[str, Function]):
    """Functions by name, each made when it is first asked for."""

    __slots__ = ("_loads", "_made")

    def __init__(self, loads: Mapping[str, Load], made: Mapping[str, Function]) -> None:
        self._loads = loads
        self._made = dict(made)

    def __getitem__(self, name: str) -> Function:
        found = self._made.get(name)
        if found is None:
            bare = name.removeprefix("core::")
            found = self._made[name] = self._loads[name]()[bare]
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._made or name in self._loads

    def __iter__(self) -> Iterator[str]:
        return iter({**self._loads, **self._made})

    def __len__(self) -> int:
        return len(self._loads.keys() | self._made.keys())


def _module(name: str) -> Load:
    def load() -> Mapping[str, Function]:
        found: Mapping[str, Function] = importlib.import_module(f"{__name__}.{name}").FUNCTIONS
        return found

    return load


_LOADS: Final[Mapping[str, Load]] = {
    name: load for module, names in MODULES.items() for load in (_module(module),) for name in names.split()
}


def table(
    base_dir: Path | str = ".",
    *,
    now: Callable[[], datetime] | None = None,
    ids: Ids | None = None,
    plan_time: datetime | None = None,
    predictable: bool = False,
    console: bool = False,
    extra: Mapping[str, Function] | None = None,
) -> Mapping[str, Function]:
    """Functions by name, each also as `core::name`.

    `base_dir` is the module's folder, for functions of files. `now` and `ids` are where `timestamp`, `uuid` and
    `bcrypt` get time and randomness from (without `now`, a call of `timestamp` fails); with `predictable` these three give unknown values, as they do in a plan.
    `console` adds `type` and takes `plantimestamp` away. `extra` are functions of providers, under their whole names.
    """

    def clock() -> Mapping[str, Function]:
        from terrarium.language.functions import times

        return _unknown(times.clock_functions(now or times.no_clock, plan_time), predictable)

    def randomness() -> Mapping[str, Function]:
        from terrarium.base.ids import Ids
        from terrarium.language.functions import hashing

        random = ids or Ids()
        made = hashing.random_functions(lambda: bytes.fromhex(random.hex(32)))
        return _unknown(made, predictable)

    def disk() -> Mapping[str, Function]:
        from terrarium.language.functions import files

        return files.disk_functions(base_dir)

    def templates() -> Mapping[str, Function]:
        from terrarium.language.functions import files
        from terrarium.language.functions.templates import template_functions

        return template_functions(files.Disk(base_dir), lambda: result)

    def console_only() -> Mapping[str, Function]:
        from terrarium.language.functions.conversions import CONSOLE_FUNCTIONS

        return CONSOLE_FUNCTIONS

    loads = dict(_LOADS)
    for names, load in ((CLOCK, clock), (RANDOM, randomness), (DISK, disk), (TEMPLATES, templates)):
        loads.update(dict.fromkeys(names, load))
    if console:
        loads["type"] = console_only
        del loads["plantimestamp"]
    loads.update({f"core::{name}": load for name, load in loads.items()})
    result = Table(dict(sorted(loads.items())), extra or {})
    return result


def _unknown(made: Mapping[str, Function], predictable: bool) -> Mapping[str, Function]:
    """With `predictable`, those whose results differ from call to call give unknown values."""
    if not predictable:
        return made
    from terrarium.language.values import Unknown, Value

    return {
        name: replace(function, body=lambda values, type: Value(type, Unknown())) if name in UNPREDICTABLE else function
        for name, function in made.items()
    }


def names(functions: Iterable[str]) -> list[str]:
    """The names a person would type: without the `core::` doubles."""
    return [name for name in functions if not name.startswith("core::")]
