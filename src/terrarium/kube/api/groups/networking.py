"""Rows of networking.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import STATUS, Group

V1 = Group("networking.k8s.io/v1")

KINDS = (
    V1.row("IngressClass", "ingressclasses", cluster=True),
    V1.row("Ingress", "ingresses", short=("ing",), subresources=(STATUS,)),
    V1.row("IPAddress", "ipaddresses", cluster=True, short=("ip",)),
    V1.row("NetworkPolicy", "networkpolicies", short=("netpol",)),
    V1.row("ServiceCIDR", "servicecidrs", cluster=True, subresources=(STATUS,)),
)
