"""Rows of autoscaling/v2 and autoscaling/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V2 = Group("autoscaling/v2")
V1 = Group("autoscaling/v1")

KINDS = (
    V2.row(
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short=("hpa",),
        categories=("all",),
        subresources=(STATUS,),
    ),
    V1.row(
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short=("hpa",),
        categories=("all",),
        subresources=(STATUS,),
    ),
)
