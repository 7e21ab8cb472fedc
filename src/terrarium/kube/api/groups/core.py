"""Rows of v1."""

from __future__ import annotations

from terrarium.kube.api.groups.rows import CREATE, PROXY, SCALE, STATUS, Group, sub

V1 = Group("v1")

KINDS = (
    V1.row("Binding", "bindings", verbs=CREATE),
    V1.row("ComponentStatus", "componentstatuses", cluster=True, short=("cs",), verbs=("get", "list")),
    V1.row("ConfigMap", "configmaps", short=("cm",)),
    V1.row("Endpoints", "endpoints", short=("ep",)),
    V1.row("Event", "events", short=("ev",)),
    V1.row("LimitRange", "limitranges", short=("limits",)),
    V1.row(
        "Namespace",
        "namespaces",
        cluster=True,
        short=("ns",),
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        subresources=(
            sub("finalize", ("update",)),
            STATUS,
        ),
    ),
    V1.row(
        "Node",
        "nodes",
        cluster=True,
        short=("no",),
        subresources=(
            sub("proxy", PROXY, kind="NodeProxyOptions"),
            STATUS,
        ),
    ),
    V1.row("PersistentVolumeClaim", "persistentvolumeclaims", short=("pvc",), subresources=(STATUS,)),
    V1.row("PersistentVolume", "persistentvolumes", cluster=True, short=("pv",), subresources=(STATUS,)),
    V1.row(
        "Pod",
        "pods",
        short=("po",),
        categories=("all",),
        subresources=(
            sub(
                "attach",
                (
                    "create",
                    "get",
                ),
                kind="PodAttachOptions",
            ),
            sub("binding", CREATE, kind="Binding"),
            sub("ephemeralcontainers"),
            sub("eviction", CREATE, kind="Eviction", gv="policy/v1"),
            sub(
                "exec",
                (
                    "create",
                    "get",
                ),
                kind="PodExecOptions",
            ),
            sub("log", ("get",)),
            sub(
                "portforward",
                (
                    "create",
                    "get",
                ),
                kind="PodPortForwardOptions",
            ),
            sub("proxy", PROXY, kind="PodProxyOptions"),
            sub("resize"),
            STATUS,
        ),
    ),
    V1.row("PodTemplate", "podtemplates"),
    V1.row(
        "ReplicationController",
        "replicationcontrollers",
        short=("rc",),
        categories=("all",),
        subresources=(
            SCALE,
            STATUS,
        ),
    ),
    V1.row("ResourceQuota", "resourcequotas", short=("quota",), subresources=(STATUS,)),
    V1.row("Secret", "secrets"),
    V1.row(
        "ServiceAccount",
        "serviceaccounts",
        short=("sa",),
        subresources=(sub("token", CREATE, kind="TokenRequest", gv="authentication.k8s.io/v1"),),
    ),
    V1.row(
        "Service",
        "services",
        short=("svc",),
        categories=("all",),
        subresources=(
            sub("proxy", PROXY, kind="ServiceProxyOptions"),
            STATUS,
        ),
    ),
)
