"""RBAC: roles and bindings to decisions, from a picture of them that is rebuilt after they change.

The picture is indexed by subject, so a decision looks only at the bindings of its user and groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from terrarium.kube.api.hooks import Attributes, Decision, User
from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.apiserver.resources import Resources

GROUP = "rbac.authorization.k8s.io"
Subject = tuple[str, str]
"""Kind (User, Group or ServiceAccount, which becomes its user name) and name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A PolicyRule. Empty tuples allow nothing."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: Mapping[str, Sequence[str]]) -> Rule:
        return cls(
            tuple(raw.get("verbs") or ()),
            tuple(raw.get("apiGroups") or ()),
            tuple(raw.get("resources") or ()),
            tuple(raw.get("resourceNames") or ()),
            tuple(raw.get("nonResourceURLs") or ()),
        )

    def raw(self) -> dict[str, list[str]]:
        """As a PolicyRule again, without empty fields."""
        fields = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.urls,
        }
        return {name: list(values) for name, values in fields.items() if values}

    def allows(self, attributes: Attributes) -> bool:
        if "*" not in self.verbs and attributes.verb not in self.verbs:
            return False
        if attributes.resource is None:
            return any(_url_fits(url, attributes.path) for url in self.urls)
        resource = attributes.resource
        if "*" not in self.groups and resource.group not in self.groups:
            return False
        if not self._has_resource(resource.plural, attributes.subresource):
            return False
        return not self.names or attributes.name in self.names

    def _has_resource(self, plural: str, subresource: str) -> bool:
        if "*" in self.resources:
            return True
        if not subresource:
            return plural in self.resources
        return f"{plural}/{subresource}" in self.resources or f"*/{subresource}" in self.resources


def _url_fits(pattern: str, path: str) -> bool:
    return pattern == "*" or pattern == path or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def subjects_of(user: User) -> Iterator[Subject]:
    yield ("User", user.name)
    for group in user.groups:
        yield ("Group", group)


def _subjects(binding: Obj) -> Iterable[Subject]:
    for subject in binding.get("subjects") or ():
        if subject.get("kind") == "ServiceAccount":
            namespace = subject.get("namespace") or binding["metadata"].get("namespace", "")
            yield ("User", f"system:serviceaccount:{namespace}:{subject.get('name', '')}")
        else:
            yield (subject.get("kind", ""), subject.get("name", ""))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a binding gives; the reason is what `auth can-i` and audit show."""

    rules: tuple[Rule, ...]
    reason: str


@dataclass(slots=True)
class Picture:
    """All grants: cluster-wide ones by subject, others by namespace and subject."""

    cluster: dict[Subject, list[Grant]] = field(default_factory=dict)
    namespaces: dict[tuple[str, Subject], list[Grant]] = field(default_factory=dict)
    roles: dict[tuple[str, str], tuple[Rule, ...]] = field(default_factory=dict)
    """By namespace ("" for cluster roles) and name."""


def picture(
    cluster_roles: Iterable[Obj], cluster_bindings: Iterable[Obj], roles: Iterable[Obj], bindings: Iterable[Obj]
) -> Picture:
    made = Picture()
    for role in (*cluster_roles, *roles):
        meta = role["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        made.roles[key] = tuple(Rule.of(rule) for rule in role.get("rules") or ())
    for binding in cluster_bindings:
        ref = binding["roleRef"]
        rules = made.roles.get(("", ref["name"]))
        if rules is None:
            continue
        for subject in _subjects(binding):
            reason = (
                f'RBAC: allowed by ClusterRoleBinding "{binding["metadata"]["name"]}" of ClusterRole "{ref["name"]}" '
                f"to {_named(subject, binding)}"
            )
            made.cluster.setdefault(subject, []).append(Grant(rules, reason))
    for binding in bindings:
        meta, ref = binding["metadata"], binding["roleRef"]
        scope = "" if ref["kind"] == "ClusterRole" else meta["namespace"]
        rules = made.roles.get((scope, ref["name"]))
        if rules is None:
            continue
        for subject in _subjects(binding):
            reason = (
                f'RBAC: allowed by RoleBinding "{meta["name"]}/{meta["namespace"]}" of {ref["kind"]} "{ref["name"]}" '
                f"to {_named(subject, binding)}"
            )
            made.namespaces.setdefault((meta["namespace"], subject), []).append(Grant(rules, reason))
    return made


def _named(subject: Subject, binding: Obj) -> str:
    kind, name = subject
    for raw in binding.get("subjects") or ():
        if raw.get("kind") == "ServiceAccount":
            namespace = raw.get("namespace") or binding["metadata"].get("namespace", "")
            if name == f"system:serviceaccount:{namespace}:{raw.get('name', '')}":
                return f'ServiceAccount "{raw["name"]}/{namespace}"'
    return f'{kind} "{name}"'


class Rbac:
    """The authoriser over the stored roles and bindings. `changed` must be called after each write to one of them."""

    KINDS = ("clusterroles", "clusterrolebindings", "roles", "rolebindings")

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._picture: Picture | None = None
        self._writes = 0

    def changed(self) -> None:
        self._picture = None
        self._writes += 1

    def _kind(self, plural: str) -> Kind:
        kind = self._resources.registry.resource(GROUP, "v1", plural)
        assert kind is not None, "the RBAC kinds are built in"
        return kind

    async def picture(self) -> Picture:
        while (found := self._picture) is None:
            writes = self._writes
            lists = [await self._resources.all(self._kind(plural)) for plural in self.KINDS]
            # What was written while reading may be missing: then it is read again.
            if writes == self._writes:
                self._picture = picture(*lists)
        return found

    async def grants(self, user: User, namespace: str) -> list[Grant]:
        """All that holds for a user in a namespace ("" for the cluster)."""
        now = await self.picture()
        found: list[Grant] = []
        for subject in subjects_of(user):
            found.extend(now.cluster.get(subject, ()))
        if namespace:
            for subject in subjects_of(user):
                found.extend(now.namespaces.get((namespace, subject), ()))
        return found

    async def rules(self, user: User, namespace: str) -> list[Rule]:
        return [rule for grant in await self.grants(user, namespace) for rule in grant.rules]

    async def role_rules(self, namespace: str, name: str) -> tuple[Rule, ...] | None:
        return (await self.picture()).roles.get((namespace, name))

    async def authorize(self, attributes: Attributes) -> Decision:
        for grant in await self.grants(attributes.user, attributes.namespace):
            for rule in grant.rules:
                if rule.allows(attributes):
                    return Decision("allow", grant.reason)
        return Decision("no opinion")
