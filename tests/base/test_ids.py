"""Ids are repeatable by seed, and names near to what was written are found."""

from __future__ import annotations

import re

import pytest

from terrarium.base.ids import Ids
from terrarium.base.suggest import distance, nearest


def test_the_same_seed_gives_the_same_ids() -> None:
    def some(ids: Ids) -> tuple[object, ...]:
        return ids.hex(17), ids.uuid(), ids.suffix(), ids.below(10), ids.text(4, "ab")

    assert some(Ids(7)) == some(Ids(7)) != some(Ids(8))


def test_forms() -> None:
    ids = Ids(1)
    assert re.fullmatch(r"[0-9a-f]{17}", ids.hex(17))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ids.uuid())
    assert re.fullmatch(r"[bcdfghjklmnpqrstvwxz2456789]{5}", ids.suffix())


@pytest.mark.parametrize(
    ("given", "found"),
    [("instnce_type", "instance_type"), ("ami", "ami"), ("amy", "ami"), ("nothing_like_it", "")],
)
def test_nearest(given: str, found: str) -> None:
    assert nearest(given, ["ami", "instance_type", "tags"]) == found


@pytest.mark.parametrize(("a", "b", "edits"), [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)])
def test_distance(a: str, b: str, edits: int) -> None:
    assert distance(a, b) == distance(b, a) == edits
