"""Roles and bindings."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, at, items

GROUP = "rbac.authorization.k8s.io"


def _rules(errors: Errors, rules: Any, *, namespaced: bool) -> None:
    for where, rule in items(rules, "rules"):
        urls = rule.get("nonResourceURLs") or []
        if not rule.get("verbs"):
            errors.required(f"{where}.verbs", "verbs must contain at least one value")
        if urls:
            printed = Raw(gotext.strings(urls))
            if namespaced:
                errors.invalid(
                    f"{where}.nonResourceURLs", printed, "namespaced rules cannot apply to non-resource URLs"
                )
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                errors.invalid(
                    f"{where}.nonResourceURLs",
                    printed,
                    "rules cannot apply to both regular resources and non-resource URLs",
                )
            continue
        if not rule.get("apiGroups"):
            errors.required(f"{where}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            errors.required(f"{where}.resources", "resource rules must supply at least one resource")


def role(errors: Errors, obj: Obj, context: Context) -> None:
    _rules(errors, obj.get("rules"), namespaced=True)


def cluster_role(errors: Errors, obj: Obj, context: Context) -> None:
    _rules(errors, obj.get("rules"), namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    if not aggregation.get("clusterRoleSelectors"):
        errors.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for where, selector in items(aggregation.get("clusterRoleSelectors"), path):
        meta.label_selector(errors, selector, where)
        if not meta.converts(selector):
            errors.invalid(where, None, "invalid label selector.")


def binding(errors: Errors, obj: Obj, context: Context) -> None:
    namespaced = obj.get("kind") == "RoleBinding"
    ref = obj.get("roleRef") or {}
    if ref.get("apiGroup") != GROUP:
        errors.unsupported("roleRef.apiGroup", ref.get("apiGroup") or "", (GROUP,))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    errors.one_of("roleRef.kind", ref.get("kind") or "", kinds)
    if not ref.get("name"):
        errors.required("roleRef.name")
    else:
        errors.invalids("roleRef.name", ref["name"], names.path_segment(ref["name"]))
    for where, subject in items(obj.get("subjects"), "subjects"):
        _subject(errors, subject, where, namespaced=namespaced)


def _subject(errors: Errors, subject: Obj, path: str, *, namespaced: bool) -> None:
    name, kind, group = subject.get("name") or "", subject.get("kind") or "", subject.get("apiGroup") or ""
    if not name:
        errors.required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            errors.invalids(f"{path}.name", name, names.dns_subdomain(name))
        if group:
            errors.unsupported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            errors.required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != GROUP:
            errors.unsupported(f"{path}.apiGroup", group, (GROUP,))
    else:
        errors.unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


def binding_update(errors: Errors, obj: Obj, context: Context) -> None:
    binding(errors, obj, context)
    fresh, held = obj.get("roleRef") or {}, at(context.old, "roleRef") or {}
    if fresh != held:
        printed = f'rbac.RoleRef{{APIGroup:"{fresh.get("apiGroup", "")}", Kind:"{fresh.get("kind", "")}", Name:"{fresh.get("name", "")}"}}'
        errors.invalid("roleRef", Raw(printed), "cannot change roleRef")
