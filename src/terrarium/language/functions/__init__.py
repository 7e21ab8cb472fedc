"""All functions of Terraform 1.11. One module for each kind; each has a table `FUNCTIONS`; `table` joins them.

To add a function: write its lines in the module of its kind and a row in that module's table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from terrarium.base.ids import Ids
from terrarium.language.functions import (
    conversions,
    encoding,
    files,
    formatting,
    hashing,
    mappings,
    network,
    numeric,
    regular,
    sequences,
    sets,
    strings,
    times,
    yaml_codec,
)
from terrarium.language.functions.spec import Function
from terrarium.language.functions.templates import template_functions
from terrarium.language.values import Unknown, Value

PURE: tuple[Mapping[str, Function], ...] = (
    conversions.FUNCTIONS,
    encoding.FUNCTIONS,
    files.FUNCTIONS,
    formatting.FUNCTIONS,
    hashing.FUNCTIONS,
    mappings.FUNCTIONS,
    network.FUNCTIONS,
    numeric.FUNCTIONS,
    regular.FUNCTIONS,
    sequences.FUNCTIONS,
    sets.FUNCTIONS,
    strings.FUNCTIONS,
    times.FUNCTIONS,
    yaml_codec.FUNCTIONS,
)
UNPREDICTABLE = ("bcrypt", "timestamp", "uuid")


def table(
    base_dir: Path = Path(),
    *,
    now: Callable[[], datetime] = lambda: datetime.fromtimestamp(0, UTC),
    ids: Ids | None = None,
    plan_time: datetime | None = None,
    predictable: bool = False,
    console: bool = False,
    extra: Mapping[str, Function] | None = None,
) -> Mapping[str, Function]:
    """Functions by name, each also as `core::name`.

    `base_dir` is the module's folder, for functions of files. `now` and `ids` are where `timestamp`, `uuid` and
    `bcrypt` get time and randomness from; with `predictable` these three give unknown values, as they do in a plan.
    `console` adds `type` and takes `plantimestamp` away. `extra` are functions of providers, under their whole names.
    """
    random = ids or Ids()
    found: dict[str, Function] = {}
    for part in PURE:
        found.update(part)
    found.update(times.clock_functions(now, plan_time))
    found.update(hashing.random_functions(random.uuid, lambda: bytes.fromhex(random.hex(32))))
    found.update(files.disk_functions(base_dir))
    result: dict[str, Function] = {}
    found.update(template_functions(files.Disk(base_dir), lambda: result))
    if predictable:
        for name in UNPREDICTABLE:
            found[name] = replace(found[name], body=lambda values, type: Value(type, Unknown()))
    if console:
        found.update(conversions.CONSOLE_FUNCTIONS)
        del found["plantimestamp"]
    for name in sorted(found):
        result[name] = found[name]
        result[f"core::{name}"] = found[name]
    result.update(extra or {})
    return result


def names(functions: Iterable[str]) -> list[str]:
    """The names a person would type: without the `core::` doubles."""
    return [name for name in functions if not name.startswith("core::")]
