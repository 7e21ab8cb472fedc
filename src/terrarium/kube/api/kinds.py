"""The registry of kinds: a kind is one row, and discovery, OpenAPI, tables, RBAC, storage and defaults all read it.

Built-in kinds are the rows that modules under `kube/api/kinds_*` (or `kube/api/<group>/`) offer; a CRD adds rows at
run time. Nobody asks `if kind == …`: what differs between kinds is a field here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Obj = dict[str, Any]
"""A decoded API object. Treated as frozen once it has been stored or handed to anybody: copy what you change."""


@dataclass(frozen=True, slots=True, order=True)
class GroupVersion:
    """`group` is "" for the core group."""

    group: str
    version: str

    def __str__(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def parse(cls, text: str) -> GroupVersion:
        group, _, version = text.rpartition("/")
        return cls(group, version)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One cause of an Invalid answer (apimachinery `field.Error`); `str()` is the text kube-apiserver prints."""

    reason: str
    """FieldValueInvalid, FieldValueRequired, FieldValueDuplicate, FieldValueForbidden, FieldValueNotSupported, …"""
    field: str
    message: str
    """The text behind the path, e.g. `Invalid value: 70000: must be between 1 and 65535, inclusive`."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Context:
    """What defaulting, validation and columns may ask besides the object: never the world itself."""

    now: datetime
    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """With `user`, `uid` and `groups`: who asks (certificate requests keep it)."""
    old: Obj | None = None
    """The stored object on update; None on create."""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get` (metav1.TableColumnDefinition). `value` gives the cell of an object."""

    name: str
    type: str
    value: Callable[[Obj, datetime], Any]
    format: str = ""
    description: str = ""
    priority: int = 0
    unnamed: bool = False
    """A cell that no column definition tells of: kube-apiserver prints one for IPAddress."""


def nothing(obj: Obj, context: Context) -> None:
    """The default of rules: changes nothing."""


def no_errors(obj: Obj, context: Context) -> Sequence[FieldError]:
    """The default of validation: finds nothing."""
    return ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """What happens to an object of a kind on its way into the store. Functions change the (fresh) object they get.

    `prepare_create` drops what a client may not set (status); `prepare_update` keeps what it may not change.
    Status and other subresources have strategies of their own under `Kind.subresources`.
    """

    default: Callable[[Obj, Context], None] = nothing
    prepare_create: Callable[[Obj, Context], None] = nothing
    prepare_update: Callable[[Obj, Context], None] = nothing
    validate: Callable[[Obj, Context], Sequence[FieldError]] = no_errors
    validate_update: Callable[[Obj, Context], Sequence[FieldError]] = no_errors
    warnings: Callable[[Obj, Context], Sequence[str]] = no_errors  # type: ignore[assignment]
    allow_create_on_update: bool = False
    unconditional_update: bool = True
    graceful: Callable[[Obj, int | None], int] | None = None
    """For kinds that are deleted gracefully (pods): the grace period in seconds for an object and a wish; 0 is at once."""
    generation: bool = False
    """Whether `metadata.generation` counts changes of what is outside metadata and status."""
    settles: bool = False
    """Whether the real server writes an object anew at its first update even if nothing changes: some fields are only
    filled in when it is read back."""


@dataclass(frozen=True, slots=True)
class Subresource:
    """`verbs` as discovery lists them. `kind`/`version` where its objects are of another kind (Scale, Eviction)."""

    name: str
    verbs: tuple[str, ...]
    kind: str | None = None
    group_version: GroupVersion | None = None
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: a resource of one group and version."""

    group_version: GroupVersion
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    storage: str = ""
    """The key prefix in storage, the same for all versions of a resource: `pods`, `deployments.apps`."""
    storage_version: str = ""
    """The version stored objects are in ("" when this one); `convert` changes between it and this row's."""
    convert: Callable[[Obj, str], Obj] | None = None
    schema: str = ""
    """Name of the definition in the OpenAPI document: `io.k8s.api.core.v1.Pod`."""
    strategy: Strategy = Strategy()
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    selectable: Mapping[str, Callable[[Obj], str]] = field(default_factory=dict)
    """Field selectors beyond metadata.name and metadata.namespace."""
    list_kind: str = ""
    """The kind of lists; "" for the usual one."""
    read: Callable[[Obj], Obj] | None = None
    """What becomes of stored objects when they are read, where that is not nothing (defaults that came later)."""

    @property
    def listing(self) -> str:
        """`PodList`."""
        return self.list_kind or f"{self.kind}List"

    @property
    def resource(self) -> str:
        """`pods`, `deployments.apps`: how RBAC and messages name it."""
        group = self.group_version.group
        return f"{self.plural}.{group}" if group else self.plural


class Registry:
    """All kinds a server knows now. Lookups are by group, version and plural, and by group, version and kind."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._by_resource: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self.generation = 0
        """Grows with every change: whoever caches something made from the registry compares it."""
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        gv = kind.group_version
        self._by_resource[(gv.group, gv.version, kind.plural)] = kind
        self._by_kind[(gv.group, gv.version, kind.kind)] = kind
        self.generation += 1

    def remove(self, kind: Kind) -> None:
        gv = kind.group_version
        self._by_resource.pop((gv.group, gv.version, kind.plural), None)
        self._by_kind.pop((gv.group, gv.version, kind.kind), None)
        self.generation += 1

    def resource(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_resource.get((group, version, plural))

    def kind(self, group: str, version: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, version, kind))

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._by_resource.values()))
