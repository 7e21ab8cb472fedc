"""ControllerRevisions: the history of templates of StatefulSets and DaemonSets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.pod_template_hash import revision_data
from terrarium.kube.client.contract import Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.pods import Claim, claim

REVISIONS = Resource("apps", "v1", "controllerrevisions")
POD_HASH = "controller-revision-hash"
SET_HASH = "controller.kubernetes.io/hash"


def in_order(revisions: Iterable[Obj]) -> list[Obj]:
    return sorted(revisions, key=lambda r: (r.get("revision", 0), o.created(r), o.name(r)))


def same_data(revision: Obj, template: Mapping[str, Any]) -> bool:
    return bool(revision.get("data") == json.loads(json.dumps(revision_data(template))))


def fresh(owner: Obj, reference: Mapping[str, Any], name: str, label: tuple[str, str], number: int) -> Obj:
    """A new revision of the owner's present template."""
    template = owner["spec"]["template"]
    labels = {**((template.get("metadata") or {}).get("labels") or {}), label[0]: label[1]}
    return {
        "kind": "ControllerRevision",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": name,
            "namespace": o.namespace(owner),
            "labels": labels,
            "ownerReferences": [dict(reference)],
        }
        | ({"annotations": dict(o.notes(owner))} if o.notes(owner) else {}),
        "data": revision_data(template),
        "revision": number,
    }


def claimed(owner: Obj, revisions: Iterable[Obj]) -> Claim:
    return claim(owner, revisions, lambda r: o.selects(owner["spec"].get("selector"), o.labels(r)))


def to_drop(revisions: Sequence[Obj], live: set[str], limit: int) -> list[Obj]:
    """The oldest revisions that nothing uses, beyond the limit."""
    dead = [r for r in in_order(revisions) if o.name(r) not in live and o.labels(r).get(POD_HASH) not in live]
    return dead[: max(0, len(dead) - limit)]
