"""What a served type must offer: one row for each, made of plain functions over plain data.

A function gets the `Cloud` (clients, account, region, waiting) and the object as a `dict` of plain data. `create` sets
`new["id"]` as soon as the object exists, so that what fails half way is remembered. `read` returns what AWS shows, or
None when the object is gone; attributes it leaves out keep their configured value. Tags are taken from `tags` of what
was read, and updated by the row's `retag`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from terrarium.language.values import Value
from terrarium.providers.aws.planning import Drawn, Rules
from terrarium.providers.aws.session import Cloud

Plain = dict[str, Any]
Retag = Callable[[Cloud, Plain, Mapping[str, str], Mapping[str, str]], None]
"""Changes tags of an object from the first mapping to the second."""


@dataclass(frozen=True, slots=True)
class Amend:
    """What a type's own plan rule may look at and change (`drawn`)."""

    drawn: Drawn
    prior: Value | None
    config: Value
    cloud: Cloud


def by_id(id: str) -> Plain:
    """The usual import: the id is the object's id."""
    return {"id": id}


@dataclass(frozen=True, slots=True)
class Resource:
    """A managed type. `noun` is what messages call it ("EC2 VPC"); `named` the attribute put beside it when creating."""

    noun: str
    create: Callable[[Cloud, Plain], None]
    read: Callable[[Cloud, Plain], Plain | None]
    delete: Callable[[Cloud, Plain], None]
    update: Callable[[Cloud, Plain, Plain], None] | None = None
    retag: Retag | None = None
    rules: Rules = field(default_factory=Rules)
    amend: Callable[[Amend], None] | None = None
    named: str | None = None
    imports: Callable[[str], Plain] | None = by_id
    """What an import id says; None when objects of this type can't be imported."""


@dataclass(frozen=True, slots=True)
class DataSource:
    noun: str
    read: Callable[[Cloud, Plain], Plain]


LIMITS = "\0limits"
"""Where a function finds the time limits (seconds by action), beside the object's attributes."""


def limit(of: Plain, action: str, default: float = 300.0) -> float:
    found: float = (of.get(LIMITS) or {}).get(action, default)
    return found


def nothing(cloud: Cloud, gone: Plain) -> None:
    """The delete of objects which are only forgotten."""
