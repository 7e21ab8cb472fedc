"""Objects with anything anywhere: whatever a body holds, the answer is a Status of the client's fault, or success."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from terrarium.kube.api.builtin import registry
from terrarium.kube.api.kinds import GroupVersion

DATA = Path(__file__).parents[2] / "data" / "kube" / "api" / "stored.json"
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63,
    1.5,
    "",
    "a" * 300,
    "\0",
    "..",
    "1e999",
    "9" * 30,
    "a b",
    [],
    {},
    [None],
    {"": ""},
    {"a": None},
)
MUTATIONS = 6
"""Of each object."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in children:
        found += places(inner, (*path, key))
    return found


def mutated(value: Any, chance: random.Random) -> Any:
    """One to three places changed: by something odd, by nothing, or wrapped."""
    made = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 2, 3))):
        path = chance.choice(places(made) or [()])
        if not path:
            continue
        holder = made
        for step in path[:-1]:
            holder = holder[step]
        match chance.randrange(4):
            case 0:
                del holder[path[-1]]
            case 1:
                holder[path[-1]] = chance.choice(([holder[path[-1]]], {"x": holder[path[-1]]}))
            case _:
                holder[path[-1]] = copy.deepcopy(chance.choice(ODD))
    return made


def path_of(body: dict[str, Any]) -> str:
    gv = GroupVersion.parse(body["apiVersion"])
    kind = next(k for k in registry(33) if k.group_version == gv and k.kind == body["kind"])
    root = f"/apis/{gv}" if gv.group else f"/api/{gv}"
    return f"{root}/namespaces/default/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_answer_is_our_fault(seed: int, servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    chance = random.Random(seed)
    async with servers.cluster(tmp_path) as server:
        for row in json.loads(DATA.read_text().replace("case-ns", "default")):
            where = path_of(row["body"])
            for number in range(MUTATIONS):
                body = mutated(row["body"], chance)
                media = "application/json" if number % 2 else "application/apply-patch+yaml"
                verb, path = ("POST", where) if number % 2 else ("PATCH", f"{where}/x?fieldManager=m&force=true")
                answer = await ask(server, verb, path, body, content_type=media)
                told = answer.json
                # What can't be typed at all is a 500 of the real server's when it is applied.
                meant = str(told.get("message", "")).startswith("failed to create typed patch object")
                assert answer.status < 500 or meant, (verb, path, body, told)
                assert answer.status < 400 or told["kind"] == "Status", (path, body)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"a: &a [*a]", id="contains itself"),
        pytest.param(
            b"\n".join(
                [b"a: &a [x, x, x, x, x, x, x, x, x]"]
                + [b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]" % (n, n, *[n - 1] * 8) for n in range(98, 112)]
            ),
            id="grows by its aliases",
        ),
        pytest.param(b"- " * 5000, id="deep"),
        pytest.param(b"%", id="directive"),
        pytest.param(b"hello", id="one word"),
    ],
)
async def test_yaml(text: bytes, servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as server:
        answer = await ask(
            server, "POST", "/api/v1/namespaces/default/configmaps", text, content_type="application/yaml"
        )
        assert (answer.status, answer.json["reason"]) == (400, "BadRequest")
