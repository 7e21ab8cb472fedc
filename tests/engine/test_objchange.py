"""What a provider is offered: configuration joined with what is there."""

import pytest

from terrarium.engine.objchange import proposed_new
from terrarium.engine.provider import Attribute, Block, NestedBlock, Nesting
from terrarium.language.json_values import from_json, to_json
from terrarium.language.types import STRING
from terrarium.language.values import null

INNER = Block(
    attributes={"key": Attribute(STRING, optional=True), "made": Attribute(STRING, optional=True, computed=True)}
)
BLOCK = Block(
    attributes={"id": Attribute(STRING, computed=True), "name": Attribute(STRING, optional=True)},
    blocks={"one": NestedBlock(INNER, Nesting.LIST), "any": NestedBlock(INNER, Nesting.SET)},
)


def row(**given: object) -> dict[str, object]:
    return {"id": None, "name": None, "one": [], "any": []} | given


CASES = {
    "computed is kept, configured is taken": (row(id="i", name="a"), row(name="b"), row(id="i", name="b")),
    "what the configuration drops is dropped": (row(id="i", name="a"), row(), row(id="i")),
    "lists are matched by index": (
        row(one=[{"key": "a", "made": "1"}, {"key": "b", "made": "2"}]),
        row(one=[{"key": "x", "made": None}]),
        row(one=[{"key": "x", "made": "1"}]),
    ),
    "sets are matched by what the configuration says": (
        row(any=[{"key": "a", "made": "1"}, {"key": "b", "made": "2"}]),
        row(any=[{"key": "b", "made": None}]),
        row(any=[{"key": "b", "made": "2"}]),
    ),
    "a new element of a set has nothing computed yet": (
        row(any=[{"key": "a", "made": "1"}]),
        row(any=[{"key": "c", "made": None}]),
        row(any=[{"key": "c", "made": None}]),
    ),
}


@pytest.mark.parametrize(("prior", "config", "expected"), CASES.values(), ids=CASES.keys())
def test_proposal(prior: object, config: object, expected: object) -> None:
    found = proposed_new(BLOCK, from_json(prior, BLOCK.type), from_json(config, BLOCK.type))
    assert to_json(found, BLOCK.type) == expected


def test_nothing_before_means_nothing_computed() -> None:
    found = proposed_new(BLOCK, null(BLOCK.type), from_json(row(name="a"), BLOCK.type))
    assert to_json(found, BLOCK.type) == row(name="a")
