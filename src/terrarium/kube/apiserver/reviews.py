"""Resources that are only asked: access reviews, token reviews, who am I."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.base.clock import rfc3339
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import Attributes, Unauthenticated, User
from terrarium.kube.api.kinds import FieldError, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.api import Creator, Target
from terrarium.kube.apiserver.authentication import Authentication
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.node import is_node
from terrarium.kube.apiserver.rbac import Rbac
from terrarium.kube.apiserver.resources import Call, Resources
from terrarium.kube.apiserver.tokens import ServiceAccountTokens
from terrarium.kube.client.contract import ApiError, Resource


def _attributes(user: User, spec: Obj) -> Attributes:
    if (path := spec.get("nonResourceAttributes")) is not None:
        return Attributes(user, path.get("verb", ""), path=path.get("path", ""))
    found = spec.get("resourceAttributes") or {}
    resource = Resource(found.get("group", ""), found.get("version", ""), found.get("resource", ""))
    return Attributes(
        user,
        found.get("verb", ""),
        resource,
        found.get("subresource", ""),
        found.get("namespace", ""),
        found.get("name", ""),
    )


def _check(target: Target, obj: Obj, *, subject: bool) -> None:
    """Exactly one kind of attributes, and (for others) somebody who is asked about."""
    spec = obj.get("spec") or {}
    found: list[FieldError] = []
    has_resource, has_path = spec.get("resourceAttributes") is not None, spec.get("nonResourceAttributes") is not None
    path = spec.get("nonResourceAttributes") or {}
    if has_resource and has_path:
        found.append(
            FieldError(
                "FieldValueInvalid",
                "spec.nonResourceAttributes",
                f"Invalid value: authorization.NonResourceAttributes{{Path:{quote(path.get('path', ''))}, "
                f"Verb:{quote(path.get('verb', ''))}}}: cannot be specified in combination with resourceAttributes",
            )
        )
    if not has_resource and not has_path:
        found.append(
            FieldError(
                "FieldValueInvalid",
                "spec.resourceAttributes",
                'Invalid value: "null": exactly one of nonResourceAttributes or resourceAttributes must be specified',
            )
        )
    if subject and not spec.get("user") and not spec.get("groups"):
        found.append(
            FieldError(
                "FieldValueInvalid", "spec.user", 'Invalid value: "": at least one of user or group must be specified'
            )
        )
    if found:
        raise errors.invalid_named(target.kind.group_version.group, "", "", found)


class AccessReview:
    """SubjectAccessReview and its kin."""

    def __init__(self, authorizer: Union, *, oneself: bool) -> None:
        self._authorizer = authorizer
        self._oneself = oneself

    async def __call__(self, target: Target, obj: Obj, call: Call) -> Obj:
        _check(target, obj, subject=not self._oneself)
        spec = obj["spec"]
        if target.kind.namespaced and (spec.get("resourceAttributes") or {}).get("namespace", "") != target.namespace:
            held = quote((spec.get("resourceAttributes") or {}).get("namespace", ""))
            path = "spec.resourceAttributes.namespace"
            wrong = FieldError("FieldValueInvalid", path, f"Invalid value: {held}: must match metadata.namespace")
            raise errors.invalid_named(target.kind.group_version.group, "", "", [wrong])
        if self._oneself:
            user = call.user
        else:
            extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
            user = User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()), extra)
        decision = await self._authorizer.authorize(_attributes(user, spec))
        status: dict[str, Any] = {"allowed": decision.verdict == "allow"}
        if decision.verdict == "deny":
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        return {**obj, "status": status}


class RulesReview:
    """SelfSubjectRulesReview: what `auth can-i --list` shows."""

    def __init__(self, rbac: Rbac) -> None:
        self._rbac = rbac

    async def __call__(self, target: Target, obj: Obj, call: Call) -> Obj:
        namespace = (obj.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        resources: list[Obj] = []
        paths: list[Obj] = []
        for rule in await self._rbac.rules(call.user, namespace):
            raw: dict[str, Any] = rule.raw()
            if raw in resources or raw in paths:
                continue
            if rule.urls:
                paths.append({"verbs": raw["verbs"], "nonResourceURLs": raw["nonResourceURLs"]})
            else:
                resources.append(raw)
        status: dict[str, Any] = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
        if is_node(call.user):
            status.update(incomplete=True, evaluationError="node authorizer does not support user rule resolution")
        return {**obj, "spec": {}, "status": status}


class TokenReview:
    """Says whose a token is."""

    def __init__(self, authentication: Authentication, tokens: ServiceAccountTokens) -> None:
        self._authentication = authentication
        self._tokens = tokens

    async def __call__(self, target: Target, obj: Obj, call: Call) -> Obj:
        spec = obj.get("spec") or {}
        token = spec.get("token", "")
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        asked = spec.get("audiences") or list(self._tokens.audiences)
        status: dict[str, Any] = {"user": {}}
        try:
            found = await self._tokens.review(token, spec.get("audiences") or ())
            if found is None:
                user = await self._authentication.token(token)
                audiences = [a for a in asked if a in self._tokens.audiences]
            else:
                user, audiences = found
            if audiences:
                status = {"authenticated": True, "user": user_info(user), "audiences": audiences}
            else:
                status["error"] = "invalid bearer token"
        except ApiError:
            status["error"] = "invalid bearer token"
        except Unauthenticated as wrong:
            status["error"] = f"[invalid bearer token, {wrong}]"
        return {**obj, "status": status}


class SelfReview:
    """Who am I."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def __call__(self, target: Target, obj: Obj, call: Call) -> Obj:
        meta = {"creationTimestamp": rfc3339(self._resources.clock.now())}
        return {**obj, "metadata": meta, "status": {"userInfo": user_info(call.user)}}


def user_info(user: User) -> Obj:
    found: dict[str, Any] = {}
    if user.name:
        found["username"] = user.name
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return found


def creators(
    resources: Resources, authorizer: Union, rbac: Rbac, authentication: Authentication, tokens: ServiceAccountTokens
) -> Mapping[str, Creator]:
    others = AccessReview(authorizer, oneself=False)
    return {
        "selfsubjectaccessreviews.authorization.k8s.io": AccessReview(authorizer, oneself=True),
        "subjectaccessreviews.authorization.k8s.io": others,
        "localsubjectaccessreviews.authorization.k8s.io": others,
        "selfsubjectrulesreviews.authorization.k8s.io": RulesReview(rbac),
        "tokenreviews.authentication.k8s.io": TokenReview(authentication, tokens),
        "selfsubjectreviews.authentication.k8s.io": SelfReview(resources),
    }
