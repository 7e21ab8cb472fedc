"""Rows of v1."""

from __future__ import annotations

from terrarium.kube.api import names
from terrarium.kube.api.groups.rows import CREATE, PROXY, SCALE, Group, sub
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare import common
from terrarium.kube.api.prepare import platform as prepare
from terrarium.kube.api.prepare import pods as pod_prepare
from terrarium.kube.api.prepare import services as service_prepare
from terrarium.kube.api.prepare import workloads as workload_prepare
from terrarium.kube.api.prepare.pods import drop_disabled
from terrarium.kube.api.strategies.make import status, strategy
from terrarium.kube.api.validation import (
    persistent,
    platform,
    pod_updates,
    pod_warnings,
    pods,
    quotas,
    services,
    storage,
    workloads,
)

V1 = Group("v1")


def prepare_template(obj: Obj, context: Context) -> None:
    """PodTemplates: fields of gates that are off go."""
    held = (obj.get("template") or {}).get("spec")
    if held:
        drop_disabled(held, ((context.old or {}).get("template") or {}).get("spec"))


_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


def account_warnings(obj: Obj, context: Context) -> list[str]:
    """Of an annotation that is newly set."""
    held, before = (((o or {}).get("metadata") or {}).get("annotations") or {} for o in (obj, context.old))
    if _MOUNTABLE not in held or _MOUNTABLE in before:
        return []
    text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    return [f"metadata.annotations[{_MOUNTABLE}]: {text}"]


def endpoints_warnings(obj: Obj, context: Context) -> list[str]:
    return ["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"]


KINDS = (
    V1.row("Binding", "bindings", verbs=CREATE),
    V1.row("ComponentStatus", "componentstatuses", cluster=True, short=("cs",), verbs=("get", "list")),
    V1.row(
        "ConfigMap",
        "configmaps",
        short=("cm",),
        strategy=strategy(
            "io.k8s.api.core.v1.ConfigMap",
            check=[platform.config_map],
            check_update=[platform.config_map_update],
            meta_on_update=True,
        ),
    ),
    V1.row(
        "Endpoints",
        "endpoints",
        short=("ep",),
        strategy=strategy(
            "io.k8s.api.core.v1.Endpoints",
            check=[services.endpoints],
            create_on_update=True,
            warnings=endpoints_warnings,
        ),
    ),
    V1.row(
        "Event",
        "events",
        short=("ev",),
        strategy=strategy(
            "io.k8s.api.core.v1.Event",
            check=[platform.event],
            check_update=[platform.event_update],
            meta_on_update=True,
            create_on_update=True,
        ),
    ),
    V1.row(
        "LimitRange",
        "limitranges",
        short=("limits",),
        strategy=strategy("io.k8s.api.core.v1.LimitRange", check=[quotas.limit_range], create_on_update=True),
    ),
    V1.row(
        "Namespace",
        "namespaces",
        cluster=True,
        short=("ns",),
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        subresources=(
            status(
                "io.k8s.api.core.v1.Namespace",
                name="finalize",
                verbs=("update",),
                prepare=prepare.namespace_finalize,
                check=[platform.namespace_finalize],
            ),
            status("io.k8s.api.core.v1.Namespace", check=[platform.namespace_status]),
        ),
        strategy=strategy(
            "io.k8s.api.core.v1.Namespace",
            name=names.dns_label,
            create=prepare.namespace_create,
            update=prepare.namespace_update,
            meta_on_update=True,
        ),
    ),
    V1.row(
        "Node",
        "nodes",
        cluster=True,
        short=("no",),
        subresources=(
            sub("proxy", PROXY, kind="NodeProxyOptions"),
            status("io.k8s.api.core.v1.Node", check=[platform.node_update]),
        ),
        strategy=strategy(
            "io.k8s.api.core.v1.Node",
            update=common.stored_status,
            check=[platform.node],
            check_update=[platform.node_update],
        ),
    ),
    V1.row(
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        short=("pvc",),
        subresources=(status("io.k8s.api.core.v1.PersistentVolumeClaim", check=[storage.claim_status]),),
        strategy=strategy(
            "io.k8s.api.core.v1.PersistentVolumeClaim",
            create=prepare.claim_create,
            warnings=storage.class_warnings,
            update=prepare.claim_update,
            check=[storage.claim],
            check_update=[storage.claim, storage.claim_update],
            settles=True,
        ),
    ),
    V1.row(
        "PersistentVolume",
        "persistentvolumes",
        cluster=True,
        short=("pv",),
        subresources=(status("io.k8s.api.core.v1.PersistentVolume", prepare=prepare.volume_status),),
        strategy=strategy(
            "io.k8s.api.core.v1.PersistentVolume",
            create=prepare.volume_create,
            warnings=storage.class_warnings,
            update=common.stored_status,
            check=[persistent.volume],
            check_update=[persistent.volume_update],
            meta_on_update=True,
        ),
    ),
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
            status(
                "io.k8s.api.core.v1.Pod",
                name="ephemeralcontainers",
                generation=True,
                prepare=pod_prepare.ephemeral,
                check=[pod_updates.ephemeral_update],
            ),
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
            status(
                "io.k8s.api.core.v1.Pod",
                name="resize",
                generation=True,
                prepare=pod_prepare.resize,
                check=[pod_updates.resize],
            ),
            status("io.k8s.api.core.v1.Pod", prepare=pod_prepare.status, check=[pod_updates.status_update]),
        ),
        strategy=strategy(
            "io.k8s.api.core.v1.Pod",
            create=pod_prepare.create,
            update=pod_prepare.update,
            check=[pods.pod],
            check_update=[pod_updates.pod_update],
            warnings=pod_warnings.pod_warnings,
            generation=True,
            graceful=pod_prepare.graceful,
        ),
    ),
    V1.row(
        "PodTemplate",
        "podtemplates",
        strategy=strategy(
            "io.k8s.api.core.v1.PodTemplate",
            create=prepare_template,
            update=prepare_template,
            check=[workloads.pod_template],
            generation=True,
        ),
    ),
    V1.row(
        "ReplicationController",
        "replicationcontrollers",
        short=("rc",),
        categories=("all",),
        subresources=(
            SCALE,
            status("io.k8s.api.core.v1.ReplicationController", check=[workloads.replica_set_status]),
        ),
        strategy=strategy(
            "io.k8s.api.core.v1.ReplicationController",
            create=workload_prepare.create,
            update=workload_prepare.update,
            check=[workloads.controller],
            warnings=workloads.template_warnings,
            generation=True,
        ),
    ),
    V1.row(
        "ResourceQuota",
        "resourcequotas",
        short=("quota",),
        subresources=(status("io.k8s.api.core.v1.ResourceQuota"),),
        strategy=strategy(
            "io.k8s.api.core.v1.ResourceQuota",
            create=common.no_status,
            update=common.stored_status,
            check=[quotas.quota],
            check_update=[quotas.quota_update],
            meta_on_update=True,
        ),
    ),
    V1.row(
        "Secret",
        "secrets",
        strategy=strategy(
            "io.k8s.api.core.v1.Secret",
            check=[platform.secret],
            warnings=platform.secret_warnings,
            check_update=[platform.secret_update],
            meta_on_update=True,
        ),
    ),
    V1.row(
        "ServiceAccount",
        "serviceaccounts",
        short=("sa",),
        subresources=(sub("token", CREATE, kind="TokenRequest", gv="authentication.k8s.io/v1"),),
        strategy=strategy("io.k8s.api.core.v1.ServiceAccount", warnings=account_warnings),
    ),
    V1.row(
        "Service",
        "services",
        short=("svc",),
        categories=("all",),
        subresources=(
            sub("proxy", PROXY, kind="ServiceProxyOptions"),
            status("io.k8s.api.core.v1.Service", check=[services.service_status]),
        ),
        strategy=strategy(
            "io.k8s.api.core.v1.Service",
            name=names.dns_label_1035,
            create=service_prepare.create,
            update=service_prepare.update,
            check=[services.service],
            check_update=[services.service_update],
            meta_on_update=True,
            create_on_update=True,
        ),
    ),
)
