"""Rows of events.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api import conversions
from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import strategy
from terrarium.kube.api.validation import platform

V1 = Group("events.k8s.io/v1")

KINDS = (
    V1.row(
        "Event",
        "events",
        short=("ev",),
        storage="events",
        storage_version="v1",
        convert=conversions.event,
        strategy=strategy(
            "io.k8s.api.events.v1.Event",
            check=[platform.event],
            check_update=[platform.event_update],
            meta_on_update=True,
            create_on_update=True,
        ),
    ),
)
