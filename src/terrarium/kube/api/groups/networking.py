"""Rows of networking.k8s.io/v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import Group
from terrarium.kube.api.strategies.make import status, strategy, with_status
from terrarium.kube.api.validation import networking as checks

V1 = Group("networking.k8s.io/v1")

KINDS = (
    V1.row(
        "IngressClass",
        "ingressclasses",
        cluster=True,
        strategy=strategy(
            "io.k8s.api.networking.v1.IngressClass",
            check=[checks.ingress_class],
            check_update=[checks.ingress_class, checks.ingress_class_update],
            generation=True,
        ),
    ),
    V1.row(
        "Ingress",
        "ingresses",
        short=("ing",),
        subresources=(status("io.k8s.api.networking.v1.Ingress", check=[checks.ingress_status]),),
        strategy=with_status(
            "io.k8s.api.networking.v1.Ingress",
            check=[checks.ingress_create],
            warnings=checks.ingress_warnings,
            check_update=[checks.ingress_spec],
            meta_on_update=True,
            generation=True,
        ),
    ),
    V1.row(
        "IPAddress", "ipaddresses", cluster=True, short=("ip",), strategy=strategy("io.k8s.api.networking.v1.IPAddress")
    ),
    V1.row(
        "NetworkPolicy",
        "networkpolicies",
        short=("netpol",),
        strategy=strategy("io.k8s.api.networking.v1.NetworkPolicy", check=[checks.network_policy], generation=True),
    ),
    V1.row(
        "ServiceCIDR",
        "servicecidrs",
        cluster=True,
        subresources=(status("io.k8s.api.networking.v1.ServiceCIDR"),),
        strategy=with_status("io.k8s.api.networking.v1.ServiceCIDR"),
    ),
)
