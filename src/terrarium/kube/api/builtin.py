"""All built-in kinds of a minor version of Kubernetes, as a fresh registry."""

from __future__ import annotations

from importlib import import_module

from terrarium.kube.api.groups.rows import Row
from terrarium.kube.api.kinds import Registry

GROUPS = (
    "core",
    "apiregistration",
    "apps",
    "events",
    "authentication",
    "authorization",
    "autoscaling",
    "batch",
    "certificates",
    "networking",
    "policy",
    "rbac",
    "storage",
    "admissionregistration",
    "apiextensions",
    "scheduling",
    "coordination",
    "node",
    "discovery",
    "flowcontrol",
)
"""Modules of rows, in the order in which discovery lists the groups."""


def registry(minor: int = 33) -> Registry:
    """A new registry with every kind that Kubernetes 1.`minor` serves by default."""
    found = Registry()
    for group in GROUPS:
        rows: tuple[Row, ...] = import_module(f"terrarium.kube.api.groups.{group}").KINDS
        for row in rows:
            if row.since <= minor <= row.until:
                found.add(row.kind)
    return found
