"""Whole objects as the real API server (1.33) took them, refused them, patched them and hashed them."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from terrarium.kube.api import managed, patches, protobuf, typed
from terrarium.kube.api.kinds import Context, Kind
from terrarium.kube.api.pod_template_hash import compact_json, controller_revision, pod_template_hash, revision_data

Row = dict[str, Any]
KindOf = Callable[[Row], Kind]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def incoming(row: Row, kind: Kind) -> tuple[Row, Context]:
    """An object as far as a create brings it before admission."""
    obj = typed.decode(copy.deepcopy(row["body"]), kind.schema).obj
    context = Context(NOW, "admin")
    kind.strategy.default(obj, context)
    kind.strategy.prepare_create(obj, context)
    return typed.encode(obj, kind.schema), context


def test_refused(refused: Row, kind_of: KindOf) -> None:
    kind = kind_of(refused["body"])
    obj, context = incoming(refused, kind)
    assert [[e.field, e.message] for e in kind.strategy.validate(obj, context)] == refused["errors"]


def test_stored(stored: Row, kind_of: KindOf) -> None:
    kind = kind_of(stored["body"])
    obj, context = incoming(stored, kind)
    named = {**obj, "metadata": {"name": "x", **obj["metadata"]}}
    assert list(kind.strategy.validate(named, context)) == []
    assert {key: value for key, value in obj.items() if key not in ("metadata", "status")} == stored["stored"]


def test_printing_again_changes_nothing(stored: Row, kind_of: KindOf) -> None:
    kind = kind_of(stored["body"])
    obj, _ = incoming(stored, kind)
    again = copy.deepcopy(obj)
    kind.strategy.default(again, Context(NOW))
    assert typed.encode(again, kind.schema) == obj


def test_protobuf_and_back(stored: Row, kind_of: KindOf) -> None:
    kind = kind_of(stored["body"])
    obj, _ = incoming(stored, kind)
    assert typed.decode(protobuf.decode(protobuf.encode(obj)), kind.schema).obj == obj


def test_patch(patches_row: Row) -> None:
    before = copy.deepcopy(patches_row["object"])
    apply = {
        "json": patches.json_patch,
        "merge": patches.merge,
        "strategic": lambda obj, patch: patches.strategic(obj, patch, patches_row["schema"]),
    }[patches_row["type"]]
    if "error" in patches_row:
        with pytest.raises(patches.PatchError) as refused:
            apply(patches_row["object"], patches_row["patch"])
        assert [refused.value.code, refused.value.message] == patches_row["error"]
    else:
        assert apply(patches_row["object"], patches_row["patch"]) == patches_row["result"]
    assert patches_row["object"] == before, "a patch changes nothing in place"


def test_kubectl_protobuf(protobuf_row: Row) -> None:
    obj = protobuf.decode(base64.b64decode(protobuf_row["body"]))
    name = protobuf.message_name(obj["apiVersion"], obj["kind"])
    assert name is not None
    assert typed.decode(obj, name).obj == protobuf_row["object"]


def test_template_hash(template_hashes: Row) -> None:
    assert pod_template_hash(template_hashes["template"], template_hashes["collisionCount"]) == template_hashes["hash"]


def test_controller_revision(revisions: Row) -> None:
    assert compact_json(revision_data(revisions["template"])) == revisions["raw"]
    assert revisions["name"].endswith(f"-{controller_revision(revisions['template'])}")


def test_owners_of_a_new_object(owners: Row, kind_of: KindOf) -> None:
    kind = kind_of(owners["body"])
    obj = typed.decode(copy.deepcopy(owners["body"]), kind.schema).obj
    kind.strategy.default(obj, Context(NOW))
    entries = managed.track_update(None, obj, kind, "someone", NOW)
    assert [entry["fieldsV1"] for entry in entries] == [owners["fields"]]


def test_apply(apply: Row, kind_of: KindOf) -> None:
    """Conversations of appliers: who owns what after each, or what each is told."""
    live = None
    for step in apply["steps"]:
        kind = kind_of(step["body"]) if "apiVersion" in step["body"] else None
        try:
            assert kind is not None
            made = managed.apply(live, step["body"], kind, step["manager"], NOW, force=step["force"])
        except (managed.ApplyConflict, managed.ApplyError) as refused:
            assert refused.message == step.get("error")
            continue
        assert "error" not in step
        live = copy.deepcopy(made.obj)
        if made.changed:
            live = typed.decode(live, kind.schema).obj
            kind.strategy.default(live, Context(NOW))
            live = typed.encode(live, kind.schema)
            live["metadata"].setdefault("uid", "u")
        entries = sorted(live["metadata"].get("managedFields", []), key=lambda e: (e["operation"], e["manager"]))
        assert [{k: v for k, v in entry.items() if k != "time"} for entry in entries] == step["owners"]
