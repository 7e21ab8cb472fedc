"""Rows of batch/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("batch/v1")

KINDS = (
    V1.row("CronJob", "cronjobs", short=("cj",), categories=("all",), subresources=(STATUS,)),
    V1.row("Job", "jobs", categories=("all",), subresources=(STATUS,)),
)
