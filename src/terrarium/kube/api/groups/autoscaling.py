"""Rows of autoscaling/v2 and autoscaling/v1."""

from __future__ import annotations

from terrarium.kube.api import conversions
from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import status, with_status
from terrarium.kube.api.validation import autoscaling as checks

V2 = Group("autoscaling/v2")
V1 = Group("autoscaling/v1")

KINDS = (
    V2.row(
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short=("hpa",),
        categories=("all",),
        subresources=(status("io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", check=[checks.autoscaler_status]),),
        strategy=with_status("io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", check=[checks.autoscaler]),
    ),
    V1.row(
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short=("hpa",),
        categories=("all",),
        storage_version="autoscaling/v2",
        convert=conversions.autoscaler,
        subresources=(status("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", check=[checks.autoscaler_status]),),
        strategy=with_status("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", check=[checks.autoscaler]),
    ),
)
