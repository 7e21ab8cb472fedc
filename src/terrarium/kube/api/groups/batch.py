"""Rows of batch/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.prepare import workloads as prepare
from terrarium.kube.api.strategies.make import status, strategy
from terrarium.kube.api.validation import jobs, workloads

V1 = Group("batch/v1")

KINDS = (
    V1.row(
        "CronJob",
        "cronjobs",
        short=("cj",),
        categories=("all",),
        subresources=(status("io.k8s.api.batch.v1.CronJob"),),
        strategy=strategy(
            "io.k8s.api.batch.v1.CronJob",
            create=prepare.cron_create,
            update=prepare.cron_update,
            check=[jobs.cron_job_create],
            check_update=[jobs.cron_job],
            warnings=workloads.cron_warnings,
            generation=True,
        ),
    ),
    V1.row(
        "Job",
        "jobs",
        categories=("all",),
        subresources=(status("io.k8s.api.batch.v1.Job", check=[jobs.job_status]),),
        strategy=strategy(
            "io.k8s.api.batch.v1.Job",
            create=prepare.job_create,
            update=prepare.update,
            check=[jobs.job],
            check_update=[jobs.job_update],
            warnings=workloads.template_warnings,
            generation=True,
            settles=True,
        ),
    ),
)
