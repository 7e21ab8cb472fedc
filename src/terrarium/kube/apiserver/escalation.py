"""Nobody may grant what they don't hold: the check on writes of roles and bindings, and its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import Attributes, User
from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.authorization import MASTERS, Union
from terrarium.kube.apiserver.rbac import GROUP, Rbac, Rule
from terrarium.kube.apiserver.resources import Behaviour, Call
from terrarium.kube.client.contract import Resource


def broken_down(rule: Rule) -> Iterable[Rule]:
    """A rule as rules with one verb, group, resource and name each."""
    for verb in rule.verbs:
        for url in rule.urls:
            yield Rule((verb,), urls=(url,))
        for group in rule.groups:
            for resource in rule.resources:
                for name in rule.names or ("",):
                    yield Rule((verb,), (group,), (resource,), (name,) if name else ())


def covers(held: Rule, wanted: Rule) -> bool:
    """Whether one rule holds all of a broken down one."""
    if "*" not in held.verbs and wanted.verbs[0] not in held.verbs:
        return False
    if wanted.urls:
        url = wanted.urls[0]
        return any(u == "*" or u == url or (u.endswith("*") and url.rstrip("*").startswith(u[:-1])) for u in held.urls)
    if "*" not in held.groups and wanted.groups[0] not in held.groups:
        return False
    resource = wanted.resources[0]
    sub = resource.partition("/")[2]
    if "*" not in held.resources and resource not in held.resources and not (sub and f"*/{sub}" in held.resources):
        return False
    return not held.names or (bool(wanted.names) and wanted.names[0] in held.names)


def missing(held: Sequence[Rule], wanted: Sequence[Rule]) -> list[Rule]:
    """What of `wanted` is not held, broken down."""
    return [part for rule in wanted for part in broken_down(rule) if not any(covers(mine, part) for mine in held)]


def compact(rules: Iterable[Rule]) -> list[str]:
    """Broken down rules put together again as far as verbs go, as the refusal lists them."""
    verbs: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for rule in rules:
        key = (rule.groups, rule.resources, rule.names, rule.urls)
        found = verbs.setdefault(key, [])
        if rule.verbs[0] not in found:
            found.append(rule.verbs[0])
    texts: list[str] = []
    for (groups, resources, names, urls), all_verbs in verbs.items():
        parts = []
        for title, values in (
            ("APIGroups", groups),
            ("Resources", resources),
            ("ResourceNames", names),
            ("NonResourceURLs", urls),
            ("Verbs", all_verbs),
        ):
            if values:
                parts.append(f"{title}:[{' '.join(quote(v) for v in values)}]")
        texts.append("{" + ", ".join(parts) + "}")
    return sorted(texts)


class Escalation(Behaviour):
    """Roles and bindings: checked against what the writer holds, then the authoriser's picture is renewed."""

    def __init__(self, kind: Kind, rbac: Rbac, authorizer: Union) -> None:
        self._kind = kind
        self._rbac = rbac
        self._authorizer = authorizer

    async def before_create(self, obj: Obj, call: Call) -> None:
        await self._check(obj, call)

    async def before_update(self, obj: Obj, old: Obj, call: Call) -> None:
        same = obj.get("roleRef") == old.get("roleRef") and obj.get("subjects") == old.get("subjects")
        if obj.get("rules") == old.get("rules") and obj.get("aggregationRule") == old.get("aggregationRule") and same:
            return
        await self._check(obj, call)

    async def written(self, obj: Obj, old: Obj | None) -> None:
        self._rbac.changed()

    async def removed(self, obj: Obj) -> None:
        self._rbac.changed()

    async def _check(self, obj: Obj, call: Call) -> None:
        if MASTERS in call.user.groups or call.user.name == "system:apiserver":
            return
        namespace = obj["metadata"].get("namespace", "")
        if "roleRef" in obj:
            ref = obj["roleRef"]
            scope = "" if ref.get("kind") == "ClusterRole" else namespace
            plural = "clusterroles" if ref.get("kind") == "ClusterRole" else "roles"
            if await self._may(call.user, "bind", plural, namespace, ref.get("name", "")):
                return
            rules = await self._rbac.role_rules(scope, ref.get("name", ""))
            if rules is None:
                raise errors.not_found(self._kind, ref.get("name", ""))
        else:
            if await self._may(call.user, "escalate", self._kind.plural, namespace, obj["metadata"].get("name", "")):
                return
            rules = tuple(Rule.of(rule) for rule in obj.get("rules") or ())
            if obj.get("aggregationRule"):
                rules = (*rules, Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",)))
        lacking = missing(await self._rbac.rules(call.user, namespace), rules)
        if lacking:
            groups = " ".join(quote(g) for g in call.user.groups)
            text = (
                f"user {quote(call.user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n"
                + "\n".join(compact(lacking))
            )
            raise errors.forbidden(self._kind, obj["metadata"].get("name", ""), text)

    def _resource_of(self, plural: str) -> Resource:
        return Resource(GROUP, "v1", plural)

    async def _may(self, user: User, verb: str, plural: str, namespace: str, name: str) -> bool:
        attributes = Attributes(user, verb, self._resource_of(plural), "", namespace, name)
        return (await self._authorizer.authorize(attributes)).verdict == "allow"
