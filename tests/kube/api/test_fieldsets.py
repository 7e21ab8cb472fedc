"""Outlines of objects against the comparison they stand for: the same fields, whatever is left out or changed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from terrarium.kube.api import fieldsets
from terrarium.kube.api.builtin import registry
from terrarium.kube.api.shapes import of_struct

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "a",
        "labels": {"app": "x", "tier": ""},
        "finalizers": ["a/b", "c/d"],
        "creationTimestamp": None,
    },
    "spec": {
        "containers": [
            {
                "name": "one",
                "image": "i",
                "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "UDP"}],
                "env": [{"name": "A", "value": ""}, {"name": "B"}],
                "resources": {"requests": {"cpu": "1"}},
            },
            {"name": "two", "command": ["x", "y"], "resources": {}},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "projected": {"sources": [{"downwardAPI": {}}]}}],
        "nodeSelector": {},
        "tolerations": [{"key": "a"}],
        "securityContext": {},
    },
    "status": {},
}


def thinned(dice: random.Random, value: Any, whole: bool = False) -> Any:
    """The value with something left out, emptied or changed here and there; `whole`: it stays what it is."""
    if not whole and dice.random() < 0.06:
        return dice.choice((None, {}, [], "", "other"))
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if dice.random() < 0.85 or k in ("name", "containerPort", "protocol")}
        return {k: v if k in ("name", "containerPort", "protocol") else thinned(dice, v) for k, v in kept.items()}
    if isinstance(value, list):
        return [thinned(dice, v, True) if isinstance(v, dict) else v for v in value if dice.random() < 0.85]
    return value


@pytest.mark.parametrize("seed", range(20))
def test_outline_is_what_compare_finds(seed: int) -> None:
    kind = registry().kind("", "v1", "Pod")
    assert kind is not None
    shape, dice = of_struct(kind.schema, 33), random.Random(seed)
    for _ in range(30):
        old, new = thinned(dice, POD, True), thinned(dice, POD, True)
        outline = fieldsets.skeleton(old, new, shape)
        difference = fieldsets.compare(old, new, shape)
        assert outline is not None
        assert fieldsets.outlined(outline) == difference.added | difference.modified


def test_an_item_given_twice_has_no_outline() -> None:
    kind = registry().kind("", "v1", "Pod")
    assert kind is not None
    shape = of_struct(kind.schema, 33)
    assert fieldsets.skeleton({}, {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}, shape) is None
