"""ValidatingAdmissionPolicies at work: policies and their bindings are read for each request, compiled once, and run.

A binding says where a policy counts, with which parameters, and what follows from a failure: Deny, Warn or Audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from terrarium.kube.api import policies
from terrarium.kube.api.cel import schemas
from terrarium.kube.api.cel.extensions import Check, Decision
from terrarium.kube.api.hooks import AdmissionRequest, Attributes, Denied, User
from terrarium.kube.api.kinds import GroupVersion, Kind, Obj
from terrarium.kube.api.selectors import from_label_selector
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.plugins import Plugin
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.apiserver.webhooks_match import Invocation, Matcher
from terrarium.kube.client.contract import Resource

_GROUP = "admissionregistration.k8s.io"
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}
T = TypeVar("T")


def variables_of(invocation: Invocation, namespace: Obj | None) -> dict[str, Any]:
    """What expressions read of a request, but for parameters, variables and the authoriser."""
    request = invocation.request
    own, user = request.resource, request.user
    return {
        "object": invocation.obj,
        "oldObject": invocation.old,
        "namespaceObject": schemas.value_of(namespace, policies.NAMESPACE_SCHEMA) if namespace is not None else None,
        "request": {
            "kind": invocation.of_kind,
            "resource": invocation.resource,
            "subResource": request.subresource,
            "requestKind": {"group": own.group, "version": own.version, "kind": request.kind},
            "requestResource": {"group": own.group, "version": own.version, "resource": own.plural},
            "requestSubResource": request.subresource,
            "name": request.name,
            "namespace": request.namespace,
            "operation": request.operation,
            "userInfo": {
                "username": user.name,
                "uid": user.uid,
                "groups": list(user.groups),
                "extra": {key: list(values) for key, values in user.extra.items()},
            },
            "dryRun": request.dry_run,
            "options": dict(request.options),
        },
    }


class Asker:
    """Runs programs which may ask the authoriser: as often as they have a new question."""

    def __init__(self, authorizer: Union) -> None:
        self._authorizer = authorizer

    async def run(
        self, request: AdmissionRequest, variables: Mapping[str, Any], program: Callable[[Mapping[str, Any]], T]
    ) -> T:
        decisions = policies.Decisions()
        resource = request.resource
        base = Check(decisions.ask)
        own = Check(
            decisions.ask,
            group=resource.group,
            resource=resource.plural,
            subresource=request.subresource,
            namespace=request.namespace,
            name=request.name,
        )
        given = {**variables, "authorizer": base, policies.REQUEST_RESOURCE: own}
        while True:
            try:
                return program(given)
            except policies.Undecided as wanted:
                decisions.known[decisions.key(wanted.question)] = await self._decide(request, wanted.question)

    async def _decide(self, request: AdmissionRequest, question: Check) -> Decision:
        user = request.user
        if question.account:
            namespace = question.account.split(":")[2]
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
            user = User(question.account, groups=groups)
        resource = Resource(question.group, "*", question.resource) if question.resource else None
        answer = await self._authorizer.authorize(
            Attributes(
                user,
                question.verb,
                resource,
                question.subresource,
                question.namespace,
                question.name,
                question.path,
                question.field_selector,
            )
        )
        return Decision(answer.verdict == "allow", answer.reason)


class ValidatingPolicies(Plugin):
    name = "ValidatingAdmissionPolicy"

    def __init__(self, resources: Resources, authorizer: Union) -> None:
        super().__init__(resources)
        self._asker = Asker(authorizer)
        self._compiled: dict[tuple[str, int], policies.Policy] = {}

    async def validate(self, request: AdmissionRequest) -> None:
        bindings = await self.every(_GROUP, "v1", "validatingadmissionpolicybindings")
        matcher = Matcher(self._resources, request)
        if not bindings or matcher.exempt:
            return
        bindings.sort(key=lambda binding: str(binding["metadata"]["name"]))
        denied: Denied | None = None
        for policy in await self.every(_GROUP, "v1", "validatingadmissionpolicies"):
            own = [b for b in bindings if b["spec"].get("policyName") == policy["metadata"]["name"]]
            invocation = (
                await matcher.match(policy["spec"].get("matchConstraints") or {}, "resourceRules") if own else None
            )
            if invocation is None:
                continue
            for binding in own:
                held = binding["spec"].get("matchResources")
                if held and await self._bound(matcher, held) is None:
                    continue
                for refusal in await self._refusals(policy, binding, matcher, invocation):
                    found = self._follow(request, policy, binding, refusal)
                    denied = denied or found
        if denied is not None:
            raise denied

    async def _bound(self, matcher: Matcher, held: Mapping[str, Any]) -> Invocation | None:
        """A binding without rules of its own takes all of its policy's."""
        if held.get("resourceRules"):
            return await matcher.match(held, "resourceRules")
        every = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*", "*/*"]}
        return await matcher.match({**held, "resourceRules": [every]}, "resourceRules")

    def _follow(self, request: AdmissionRequest, policy: Obj, binding: Obj, refusal: policies.Refusal) -> Denied | None:
        """What a failed validation leads to; the first denial is the one that is told."""
        names = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
        actions = binding["spec"].get("validationActions") or ()
        if "Warn" in actions:
            request.warnings.append(f"Validation failed for {names}: {refusal.message}")
        return (
            _denial(request, f"{names} denied request: {refusal.message}", refusal.reason)
            if "Deny" in actions
            else None
        )

    async def _refusals(
        self, policy: Obj, binding: Obj, matcher: Matcher, invocation: Invocation
    ) -> list[policies.Refusal]:
        spec = policy["spec"]
        ignore = spec.get("failurePolicy") == "Ignore"
        try:
            params = await self._params(spec, binding["spec"], matcher.request)
        except _NoParams as error:
            return [] if ignore else [policies.Refusal(str(error))]
        compiled = self._program(policy)
        variables = variables_of(invocation, await matcher.namespace())
        found: list[policies.Refusal] = []
        for param in params:
            found += await self._asker.run(
                matcher.request,
                {**variables, "params": param},
                lambda given: _evaluated(compiled, given, ignore=ignore),
            )
        return found

    def _program(self, policy: Obj) -> policies.Policy:
        key = (policy["metadata"].get("uid", ""), policy["metadata"].get("generation", 0))
        found = self._compiled.get(key)
        if found is None:
            # Older generations of the same policy are not asked for again.
            self._compiled = {k: v for k, v in self._compiled.items() if k[0] != key[0]}
            found = self._compiled[key] = policies.compile_policy(policy["spec"])
        return found

    async def _params(self, spec: Obj, bound: Obj, request: AdmissionRequest) -> list[Obj | None]:
        """The parameters to run with; [None] when the policy takes none. `_NoParams` when they must be there."""
        wanted, ref = spec.get("paramKind"), bound.get("paramRef")
        if wanted is None:
            return [None]
        gv = GroupVersion.parse(wanted["apiVersion"])
        kind = self._resources.registry.kind(gv.group, gv.version, wanted["kind"])
        if kind is None:
            shown = f"{gv}, Kind={wanted['kind']}"
            raise _NoParams(f"failed to configure policy: failed to find resource referenced by paramKind: '{shown}'")
        if ref is None:
            return [None]
        found = await self._referenced(kind, ref, request)
        if not found and ref.get("parameterNotFoundAction") == "Deny":
            text = "no params found for policy binding with `Deny` parameterNotFoundAction"
            raise _NoParams(f"failed to configure binding: {text}")
        return list(found)

    async def _referenced(self, kind: Kind, ref: Obj, request: AdmissionRequest) -> list[Obj]:
        gv = kind.group_version
        namespace = ""
        if kind.namespaced:
            namespace = ref.get("namespace") or request.namespace
            if not namespace:
                text = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                raise _NoParams(f"failed to configure binding: {text}")
        elif ref.get("namespace"):
            raise _NoParams(
                "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
            )
        if ref.get("name"):
            one = await self.one(gv.group, gv.version, kind.plural, namespace, ref["name"])
            return [one] if one is not None else []
        selector = from_label_selector(ref.get("selector"))
        every = await self.every(gv.group, gv.version, kind.plural, namespace)
        return [obj for obj in every if selector.matches(obj["metadata"].get("labels"))]


class _NoParams(Exception):
    """The parameters of a policy can't be had."""


def _evaluated(policy: policies.Policy, given: Mapping[str, Any], *, ignore: bool) -> list[policies.Refusal]:
    variables = dict(given)
    variables["variables"] = policies.Lazy(policy.variables, given)
    holds, wrong = policies.matched(policy.conditions, variables)
    if wrong:
        return [] if ignore else [policies.Refusal(wrong, failed=True)]
    if not holds:
        return []
    return [refusal for refusal in policies.validate(policy, variables) if not (refusal.failed and ignore)]


def _denial(request: AdmissionRequest, message: str, reason: str) -> Denied:
    resource = request.resource
    details: Obj = {"name": request.name, "group": resource.group, "kind": resource.plural}
    details = {key: value for key, value in details.items() if value}
    reason = reason or "Invalid"
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'{resource} "{request.name}" is forbidden: {message}',
        "reason": reason,
        "details": {**details, "causes": [{"message": message}]},
        "code": _CODES.get(reason, 422),
    }
    return Denied(message, _CODES.get(reason, 422), reason, status=status)
