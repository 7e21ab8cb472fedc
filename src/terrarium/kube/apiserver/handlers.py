"""HTTP to API: one handler for each verb reads query and body, and shapes the answer (list, table, metadata, stream)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import FieldError, Obj
from terrarium.kube.apiserver import bodies, errors, lists, negotiate, options
from terrarium.kube.apiserver.answers import Answers
from terrarium.kube.apiserver.api import Api, Patch, Target, strict
from terrarium.kube.apiserver.messages import Reply, Request
from terrarium.kube.apiserver.negotiate import JSON, Form
from terrarium.kube.apiserver.requests import flag
from terrarium.kube.apiserver.resources import Call
from terrarium.kube.apiserver.streaming import Streaming
from terrarium.kube.client.contract import ApiError, PatchType

PATCHES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)
_ONCE = {
    "admissionregistration.k8s.io": ("v1alpha1", "v1beta1"),
    "apiextensions.k8s.io": ("v1beta1",),
    "apiregistration.k8s.io": ("v1beta1",),
    "apps": ("v1beta1", "v1beta2"),
    "authentication.k8s.io": ("v1alpha1", "v1beta1"),
    "authorization.k8s.io": ("v1beta1",),
    "autoscaling": ("v2beta1", "v2beta2"),
    "batch": ("v1beta1",),
    "certificates.k8s.io": ("v1alpha1", "v1beta1"),
    "coordination.k8s.io": ("v1beta1",),
    "discovery.k8s.io": ("v1beta1",),
    "events.k8s.io": ("v1beta1",),
    "flowcontrol.apiserver.k8s.io": ("v1beta1", "v1beta2", "v1beta3"),
    "networking.k8s.io": ("v1alpha1", "v1beta1"),
    "node.k8s.io": ("v1alpha1", "v1beta1"),
    "policy": ("v1beta1",),
    "rbac.authorization.k8s.io": ("v1alpha1", "v1beta1"),
    "scheduling.k8s.io": ("v1alpha1", "v1beta1"),
    "storage.k8s.io": ("v1alpha1", "v1beta1"),
}
"""Versions that are not served but still known: kube-apiserver reads them, and then finds that they don't belong."""
_EXTENSIONS = frozenset({"DaemonSet", "Deployment", "Ingress", "NetworkPolicy", "ReplicaSet"})
"""What extensions/v1beta1 held before it was spread over other groups."""
_WATCH_LIST_SINCE = 34
"""The minor version from which watches may begin with initial events."""
DEPRECATED = {
    ("", "endpoints"): (33, "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    ("", "componentstatuses"): (19, "v1 ComponentStatus is deprecated in v1.19+"),
}
"""What is said with every answer, from which minor version on."""
Special = Callable[[Request, Target], Awaitable[Reply]]


class Handlers:
    """`specials` answer subresources that are no objects (logs, proxies), by resource and subresource."""

    def __init__(self, api: Api, specials: dict[tuple[str, str], Special], watch_list: bool | None = None) -> None:
        """`watch_list`: whether watches may begin with initial events; None leaves it to the version."""
        if watch_list is None:
            watch_list = api.resources.minor >= _WATCH_LIST_SINCE
        self._api = api
        self._specials = specials
        self._answers = Answers(api.resources)
        self._streaming = Streaming(api, self._answers, watch_list)
        self._verbs: dict[str, Special] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def answer(self, request: Request, target: Target) -> Reply:
        info = request.info
        if info.method == "HEAD":
            raise errors.method_not_allowed()
        handler = self._verbs.get(info.verb)
        if handler is None:
            raise errors.method_not_allowed()
        if info.verb == "create" and target.name and not target.subresource:
            raise errors.method_not_allowed()
        if target.kind.namespaced and not target.namespace and info.verb not in ("list", "watch"):
            raise errors.method_not_allowed()
        if info.verb in ("update", "patch") and not target.name:
            raise errors.method_not_allowed()
        self._api.check_verb(target, info.verb)
        since, text = DEPRECATED.get((target.kind.group_version.group, target.kind.plural), (0, ""))
        if text and self._api.resources.minor >= since:
            request.warnings.append(text)
        custom = self._api.resources.custom.get((target.kind.group_version, target.kind.plural))
        if custom is not None and custom.warning:
            request.warnings.append(custom.warning)
        special = self._specials.get((target.kind.resource, target.subresource)) if target.subresource else None
        return await (special or handler)(request, target)

    def _form(self, request: Request, target: Target, *, shapes: bool = True) -> Form:
        custom = not target.kind.schema
        offered = (JSON, negotiate.YAML) if custom and not target.subresource else negotiate.MEDIA
        listed = request.info.verb in ("list", "watch", "deletecollection") and "watch" in target.kind.verbs
        return negotiate.choose(
            request.headers.get("accept"),
            request.info.query,
            request.agent,
            offered=offered,
            shapes=shapes,
            named=(*offered, *negotiate.STREAMS[: len(offered) - 1]) if listed else (),
        )

    async def _watch(self, request: Request, target: Target) -> Reply:
        return await self._streaming.answer(request, target, self._form(request, target))

    async def _object(self, request: Request, target: Target, call: Call) -> Obj:
        """The object in a body, read as the target's structure."""
        kind = target.kind
        body = await request.body()
        name = self._body_kind(target)
        value, twice = bodies.decode(body, request.headers.get("content-type", ""), name)
        gv = kind.group_version
        sub = kind.subresources.get(target.subresource)
        if sub is not None and sub.group_version is not None:
            gv = sub.group_version
        value["kind"] = value.get("kind") or name
        value["apiVersion"] = value.get("apiVersion") or str(gv)
        if value["kind"] != name or value["apiVersion"] != str(gv):
            self._wrong_kind(value, name, str(gv), body, custom=not kind.schema)
        if twice and call.validation != "Ignore":
            if call.validation == "Strict":
                raise strict(target, twice)
            for text in twice:
                call.warn(text)
        return self._api.read(target, value, call)

    def _wrong_kind(self, value: Obj, name: str, api_version: str, body: bytes, *, custom: bool) -> None:
        given, version = value["kind"], value["apiVersion"]
        if version.count("/") > 1:
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {name}): unexpected GroupVersion string: {version} "
                f"({bodies.begin(body)})"
            )
        registry = self._api.resources.registry
        group, _, plain = version.rpartition("/")
        if custom and version == api_version:
            meta = value.get("metadata")
            own = str(meta.get("name") or "") if isinstance(meta, dict) else ""
            wrong = FieldError("FieldValueInvalid", "kind", f"Invalid value: {quote(given)}: must be {name}")
            raise errors.invalid_named(group, given, own, [wrong])
        relative = custom or (given == name and self._relative(group, plain, given, api_version))
        if version != api_version and relative:
            raise errors.bad_request(
                f"the API version in the data ({version}) does not match the expected API version ({api_version})"
            )
        single = given.removesuffix("List")
        if registry.kind(group, plain, given) is None and registry.kind(group, plain, single) is None:
            raise errors.bad_request(
                f'{given} in version "{plain}" cannot be handled as a {name}: no kind "{given}" is registered for version '
                f'"{version}" in scheme "pkg/runtime/scheme.go:110"'
            )
        raise errors.bad_request(
            f"{given} in version {quote(plain)} cannot be handled as a {name}: "
            f"converting ({plain}.{given}) to ({_inner(api_version)}.{name}): unknown conversion"
        )

    def _relative(self, group: str, version: str, kind: str, expected: str) -> bool:
        """Whether the same kind of another version is meant: one that is served, or that once was."""
        if (group, version) == ("extensions", "v1beta1"):
            return kind in _EXTENSIONS
        if group != expected.rpartition("/")[0]:
            return False
        return version in _ONCE.get(group, ()) or self._api.resources.registry.kind(group, version, kind) is not None

    def _body_kind(self, target: Target) -> str:
        sub = target.kind.subresources.get(target.subresource)
        return sub.kind if sub is not None and sub.kind else target.kind.kind

    async def _get(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        call = Call(request.user)
        self._check_get(request)
        record = await self._api.get(target, call)
        return self._answers.object(request, target, record, form)

    def _check_get(self, request: Request) -> None:
        asked = request.info.first("resourceVersion")
        try:
            revision = lists.parse_revision(asked)
        except ValueError as wrong:
            raise errors.bare_500(str(wrong)) from None
        current = self._api.resources.storage.revision
        if revision > current:
            raise errors.too_large_version(revision, current)

    async def _list(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        listing = await self._api.list(target, options.of_list(request))
        return self._answers.list(request, target.kind, listing, form)

    # Writes

    async def _create(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        call = options.of_write(request, "CreateOptions")
        obj = await self._object(request, target, call)
        code, record = await self._api.create(target, obj, call)
        return self._answers.object(request, target, record, form, code)

    async def _update(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        call = options.of_write(request, "UpdateOptions")
        obj = await self._object(request, target, call)
        code, record = await self._api.update(target, obj, call)
        return self._answers.object(request, target, record, form, code)

    async def _patch(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        # Unlike those of other bodies, these names are compared as they are.
        media = request.headers.get("content-type", "").partition(";")[0].strip()
        kind = PATCHES.get(media)
        if kind is None or (kind == "strategic" and not target.kind.schema):
            raise self._bad_patch_type(media, target)
        call = options.of_write(request, "PatchOptions")
        body = await request.body()
        if bodies.too_deep(body):
            raise errors.bad_request("error decoding patch: exceeded max depth")
        if kind == "apply":
            from terrarium.kube.api import yaml_bodies

            try:
                # JSON is YAML, and much quicker read as what it is.
                decoded = orjson.loads(body)
            except ValueError:
                try:
                    decoded = yaml_bodies.load(body)
                except yaml_bodies.YamlError as wrong:
                    raise errors.bad_request(f"error decoding YAML: {wrong}") from None
            twice = yaml_bodies.duplicates(body) if b"\n" in body and call.validation != "Ignore" else []
            if twice and call.validation == "Strict":
                lines = "".join(f"\n  {text}" for text in twice)
                raise errors.bad_request(
                    f"error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:{lines}"
                )
            for text in twice:
                call.warn(text)
        else:
            try:
                decoded = orjson.loads(body)
            except ValueError:
                front = "" if kind == "strategic" else "error decoding patch: "
                raise errors.bad_request(f"{front}{bodies.json_fault(body)}") from None
        force = flag(request.info.query, "force")
        twice = bodies.duplicates(body) if kind in ("merge", "strategic") else []
        texts = tuple(f'duplicate field "{path}"' for path in twice)
        code, record = await self._api.patch(target, Patch(kind, decoded, force, texts), call)
        return self._answers.object(request, target, record, form, code)

    def _bad_patch_type(self, media: str, target: Target) -> ApiError:
        if media in PATCHES:
            accepted = [name for name in PATCHES if PATCHES[name] != "strategic"]
            return errors.status(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: "
                + ", ".join(accepted),
            )
        return errors.status(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})

    async def _delete(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        how, dry_run = await options.of_delete(request)
        call = Call(request.user, dry_run=dry_run)
        call.warnings = request.warnings
        orphans = target.kind.resource == "jobs.batch" and not how.propagation and how.orphan is None
        if orphans:
            request.warnings.append(_JOB_WARNING)
        deleted = await self._api.delete(target, how, call)
        if deleted.gone and not deleted.whole:
            return self._answers.deleted(request, target, deleted.record, form)
        return self._answers.object(request, target, deleted.record, form)

    async def _delete_collection(self, request: Request, target: Target) -> Reply:
        form = self._form(request, target)
        how, dry_run = await options.of_delete(request)
        call = Call(request.user, dry_run=dry_run)
        call.warnings = request.warnings
        listing = await self._api.delete_collection(target, options.of_list(request), how, call)
        return self._answers.list(request, target.kind, listing, form)


def _inner(api_version: str) -> str:
    """The package that kube-apiserver keeps a group's objects in."""
    return api_version.rpartition("/")[0].partition(".")[0] or "core"
