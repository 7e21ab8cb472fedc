"""Which requests a webhook or a policy is for: rules, versions that are equivalent, namespaces and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api import typed
from terrarium.kube.api.hooks import AdmissionRequest
from terrarium.kube.api.kinds import Context, GroupVersion, Kind, Obj
from terrarium.kube.api.selectors import from_label_selector
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.resources import Resources

CONFIGURATIONS = frozenset(
    {
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    }
)
_GROUP = "admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True)
class Invocation:
    """A request as one webhook or policy sees it: in the version that its rules name. Objects are as clients see them."""

    request: AdmissionRequest
    kind: Kind
    """The row of the matched version; the request's own where that matched."""
    obj: Obj | None
    old: Obj | None

    @property
    def resource(self) -> Obj:
        gv = self.kind.group_version
        return {"group": gv.group, "version": gv.version, "resource": self.kind.plural}

    @property
    def of_kind(self) -> Obj:
        gv = self.kind.group_version
        return {"group": gv.group, "version": gv.version, "kind": self.kind.kind}


class Matcher:
    """Decides for one request; what several webhooks ask is looked up once."""

    def __init__(self, resources: Resources, request: AdmissionRequest) -> None:
        self._resources = resources
        self.request = request
        resource = request.resource
        self.kind = resources.registry.resource(resource.group, resource.version, resource.plural)
        self._namespace: Obj | None = None
        self._seen: dict[GroupVersion, Invocation] = {}

    @property
    def exempt(self) -> bool:
        """Nobody may block the configuration of admission itself."""
        resource = self.request.resource
        return self.kind is None or (resource.group == _GROUP and resource.plural in CONFIGURATIONS)

    async def namespace(self) -> Obj | None:
        """The namespace of the request; None for what is in none."""
        request = self.request
        if request.resource.group == "" and request.resource.plural == "namespaces":
            return request.obj or request.old
        if not request.namespace:
            return None
        if self._namespace is None:
            kind = self._resources.registry.resource("", "v1", "namespaces")
            record = await self._resources.find(kind, "", request.namespace) if kind is not None else None
            self._namespace = record.obj(kind) if record is not None and kind is not None else {"metadata": {}}
        return self._namespace

    def renewed(self) -> None:
        """The object has changed: what was made from it is old."""
        self._seen.clear()

    async def match(self, held: Mapping[str, Any], rules: str = "rules") -> Invocation | None:
        """The invocation of a webhook (or `matchResources`) whose rules, namespaces and labels fit."""
        if not await self._in_namespace(held.get("namespaceSelector")) or not self._labelled(
            held.get("objectSelector")
        ):
            return None
        if self._rows(held.get("excludeResourceRules") or (), held.get("matchPolicy") == "Equivalent") is not None:
            return None
        found = self._rows(held.get(rules) or (), held.get("matchPolicy") == "Equivalent")
        return self.invocation(found) if found is not None else None

    async def _in_namespace(self, selector: Mapping[str, Any] | None) -> bool:
        if not selector:
            return True
        namespace = await self.namespace()
        if namespace is None:
            return True
        return from_label_selector(selector).matches(namespace["metadata"].get("labels"))

    def _labelled(self, selector: Mapping[str, Any] | None) -> bool:
        if not selector:
            return True
        wanted = from_label_selector(selector)
        objects = [obj for obj in (self.request.obj, self.request.old) if obj is not None]
        return any(wanted.matches((obj.get("metadata") or {}).get("labels")) for obj in objects)

    def _rows(self, rules: Sequence[Mapping[str, Any]], equivalent: bool) -> Kind | None:
        """The row which some rule names: the request's own, or (by `equivalent`) another version of the same objects."""
        assert self.kind is not None
        for row in self._equivalents() if equivalent else (self.kind,):
            if any(self._rule(rule, row) for rule in rules):
                return row
        return None

    def _equivalents(self) -> Iterable[Kind]:
        own = self.kind
        assert own is not None
        yield own
        if own.convert is None:
            return
        for row in self._resources.registry:
            if row.storage == own.storage and row is not own:
                yield row

    def _rule(self, rule: Mapping[str, Any], row: Kind) -> bool:
        request = self.request
        gv = row.group_version
        scope = rule.get("scope") or "*"
        names = rule.get("resourceNames") or ()
        return (
            _in(rule.get("apiGroups"), gv.group)
            and _in(rule.get("apiVersions"), gv.version)
            and _in(rule.get("operations"), request.operation)
            and scope in ("*", "Namespaced" if row.namespaced else "Cluster")
            and any(_resource(given, row.plural, request.subresource) for given in rule.get("resources") or ())
            and (not names or request.name in names)
        )

    def invocation(self, row: Kind) -> Invocation:
        found = self._seen.get(row.group_version)
        if found is None:
            found = self._seen[row.group_version] = Invocation(
                self.request, row, self._as(row, self.request.obj), self._as(row, self.request.old)
            )
        return found

    def _as(self, row: Kind, obj: Obj | None) -> Obj | None:
        if obj is None or self.kind is None:
            return None
        if row is not self.kind and row.convert is not None:
            obj = row.convert(fresh(obj), str(row.group_version))
        if not row.schema or obj.get("kind") != row.kind:
            return obj
        made = typed.encode(obj, row.schema, self._resources.minor)
        if "creationTimestamp" not in made["metadata"]:
            made = {**made, "metadata": {**made["metadata"], "creationTimestamp": None}}
        return made

    def accept(self, invocation: Invocation, obj: Obj) -> None:
        """Puts what a webhook has made of the object in its place. `DecodeError` when it is no such object."""
        row, own = invocation.kind, self.kind
        assert own is not None and self.request.obj is not None
        if row.schema and obj.get("kind") == row.kind:
            obj = typed.decode(obj, row.schema, self._resources.minor).obj
        obj.setdefault("metadata", {})
        row.strategy.default(obj, Context(now=self._resources.clock.now()))
        if row is not own and own.convert is not None:
            obj = own.convert(fresh(obj), str(own.group_version))
        # The request's own dictionaries are held by others too: their content changes, not they.
        held = self.request.obj
        meta = held["metadata"]
        made = {name: value for name, value in (obj.get("metadata") or {}).items() if value is not None}
        meta.clear()
        meta.update(made)
        held.clear()
        held.update({**obj, "metadata": meta})
        self.renewed()


def _in(given: Sequence[str] | None, value: str) -> bool:
    return bool(given) and ("*" in given or value in given)  # type: ignore[operator]


def _resource(given: str, plural: str, subresource: str) -> bool:
    """`pods`, `pods/status`, `*`, `*/*`, `*/scale`, `pods/*`."""
    base, slash, sub = given.partition("/")
    if base not in ("*", plural):
        return False
    return sub in ("*", subresource) if slash else not subresource
