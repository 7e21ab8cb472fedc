"""Admission webhooks: mutating ones one after another, validating ones all at once.

Theory of operation. Configurations are read from the store for each request, so a webhook works from the moment its
write returns. They go in the order of their configurations' names. After a mutating webhook has changed the object the
built-in plugins run again, and then once more those webhooks that asked for it (`reinvocationPolicy: IfNeeded`) if
somebody has changed the object after them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api import patches, policies
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import Admission, AdmissionRequest, Denied
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.typed import DecodeError
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.plugins import Plugin
from terrarium.kube.apiserver.policies import Asker, variables_of
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.apiserver.upstream import ServiceAddresses
from terrarium.kube.apiserver.webhooks_calls import Caller, CallError, internal
from terrarium.kube.apiserver.webhooks_match import Invocation, Matcher

_GROUP = "admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook of a configuration; `uid` tells it from all others."""

    uid: str
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def ignores_failure(self) -> bool:
        return self.spec.get("failurePolicy") == "Ignore"


class _Webhooks(Plugin):
    configurations = ""
    mutating = False

    def __init__(self, resources: Resources, authorizer: Union) -> None:
        super().__init__(resources)
        self._asker = Asker(authorizer)
        self._caller = Caller(ServiceAddresses(resources), resources.ids)

    async def hooks(self) -> list[Hook]:
        found = await self.every(_GROUP, "v1", self.configurations)
        found.sort(key=lambda configuration: str(configuration["metadata"]["name"]))
        return [
            Hook(f"{configuration['metadata']['name']}/{index}/{hook.get('name')}", hook)
            for configuration in found
            for index, hook in enumerate(configuration.get("webhooks") or ())
        ]

    async def wanted(self, hook: Hook, matcher: Matcher) -> Invocation | None:
        """What a webhook is to be sent; None when the request is not for it."""
        invocation = await matcher.match(hook.spec)
        if invocation is None or not hook.spec.get("matchConditions"):
            return invocation
        held = policies.conditions(hook.spec["matchConditions"], "", policies.environment())
        variables = variables_of(invocation, None)
        holds, wrong = await self._asker.run(matcher.request, variables, lambda given: policies.matched(held, given))
        if wrong and not hook.ignores_failure:
            raise Denied(wrong)
        return invocation if holds else None

    async def call(self, hook: Hook, invocation: Invocation) -> Any:
        """The patch of one webhook. A failure is forgiven where its policy says so."""
        if invocation.request.dry_run and hook.spec.get("sideEffects") not in ("None", "NoneOnDryRun"):
            text = f"admission webhook {quote(hook.name)} does not support dry run"
            raise Denied(text, 400, "BadRequest")
        try:
            return (await self._caller.call(hook.spec, invocation, mutating=self.mutating)).patch
        except CallError as error:
            if hook.ignores_failure:
                return None
            raise internal(f"failed calling webhook {quote(hook.name)}: {error}") from None


class ValidatingWebhooks(_Webhooks):
    name = "ValidatingAdmissionWebhook"
    configurations = "validatingwebhookconfigurations"

    async def validate(self, request: AdmissionRequest) -> None:
        hooks = await self.hooks()
        matcher = Matcher(self._resources, request)
        if not hooks or matcher.exempt:
            return
        wanted: list[tuple[Hook, Invocation]] = []
        for hook in hooks:
            invocation = await self.wanted(hook, matcher)
            if invocation is not None:
                wanted.append((hook, invocation))
        answers = await asyncio.gather(*(self.call(h, i) for h, i in wanted), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer


class MutatingWebhooks(_Webhooks):
    """`before` are the built-in plugins that run again when a webhook has changed the object."""

    name = "MutatingAdmissionWebhook"
    configurations = "mutatingwebhookconfigurations"
    mutating = True

    def __init__(self, resources: Resources, authorizer: Union, before: Sequence[Admission]) -> None:
        super().__init__(resources, authorizer)
        self._before = list(before)

    async def admit(self, request: AdmissionRequest) -> None:
        hooks = await self.hooks()
        matcher = Matcher(self._resources, request)
        if not hooks or matcher.exempt:
            return
        earlier: set[str] = set()
        again: set[str] = set()
        changed = False
        for hook in hooks:
            if await self._one(hook, matcher):
                changed = True
                again |= earlier
                earlier.clear()
            if hook.spec.get("reinvocationPolicy") == "IfNeeded":
                earlier.add(hook.uid)
        if not changed or request.obj is None:
            return
        held = fresh(request.obj)
        for plugin in self._before:
            await plugin.admit(request)
        if request.obj != held:
            matcher.renewed()
            again |= earlier
            earlier.clear()
        for hook in hooks:
            if hook.uid not in again:
                continue
            if await self._one(hook, matcher):
                again |= earlier
            earlier.add(hook.uid)

    async def _one(self, hook: Hook, matcher: Matcher) -> bool:
        """Calls one webhook; whether it has changed the object."""
        invocation = await self.wanted(hook, matcher)
        if invocation is None:
            return False
        patch = await self.call(hook, invocation)
        if not patch or invocation.obj is None:
            return False
        try:
            made = patches.json_patch(fresh(invocation.obj), patch)
        except patches.PatchError:
            raise internal(failed_operation(invocation.obj, patch)) from None
        if made == invocation.obj:
            return False
        try:
            matcher.accept(invocation, made)
        except DecodeError as error:
            raise internal(str(error)) from None
        return True


def failed_operation(obj: Obj, operations: Any) -> str:
    """Which operation of a patch does not apply, as the patch library of kube-apiserver says it."""
    here: Any = obj
    for operation in operations if isinstance(operations, list) else ():
        try:
            here = patches.json_patch(here, [operation])
        except patches.PatchError:
            return _why(here, operation)
    return "invalid JSON patch"


def _why(obj: Any, operation: Mapping[str, Any]) -> str:
    kind, path = str(operation.get("op")), str(operation.get("path"))
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    held: Any = obj
    for step in steps[:-1]:
        if isinstance(held, list) and step.isdigit() and int(step) < len(held):
            held = held[int(step)]
        else:
            held = held.get(step) if isinstance(held, dict) else None
    last = steps[-1] if steps else ""
    if kind not in ("add", "remove", "replace", "test", "move", "copy"):
        return f"Unexpected kind: {kind}"
    if kind == "test":
        return f"testing value {path} failed: test failed"
    if held is None:
        return f'{kind} operation does not apply: doc is missing path: "{path}": missing value'
    if kind == "remove":
        return f"error in remove for path: '{path}': Unable to remove nonexistent key: {last}: missing value"
    if kind == "replace":
        return f"replace operation does not apply: doc is missing key: {path}: Unable to access invalid index: {last}: invalid index referenced"
    return f"error in {kind} for path: '{path}': Unable to access invalid index: {last}: invalid index referenced"
