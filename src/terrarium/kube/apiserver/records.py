"""Objects between the store's bytes and what is answered: decoded, numbered and encoded at most once.

Theory of operation. The store keeps JSON whose first fields are kind, apiVersion and metadata, with
`"resourceVersion":""` where the revision belongs, for it is not known before the write. Reading splices it in; nothing
is decoded for a GET or LIST of whole objects. A `Record` remembers its decoded form and its encoded watch events, and
`Records` remembers records by key and revision, so that all watchers of an event share them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import orjson

from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.storage.contract import Entry

_HOLE = b'"resourceVersion":""'
_META = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
"""Fields of ObjectMeta in the order in which kube-apiserver writes them."""
_META_SET = frozenset(_META)


def fresh(obj: Any) -> Any:
    """A deep copy that may be changed."""
    return orjson.loads(orjson.dumps(obj))


def encode(obj: Obj) -> bytes:
    """The stored form of an object."""
    meta = obj["metadata"]
    ordered = {field: meta[field] for field in _META if field in meta and field != "resourceVersion"}
    body: dict[str, Any] = {"kind": obj["kind"], "apiVersion": obj["apiVersion"]}
    body["metadata"] = {"name": ordered.pop("name")}
    for field in ("generateName", "namespace", "selfLink", "uid"):
        if field in ordered:
            body["metadata"][field] = ordered.pop(field)
    body["metadata"]["resourceVersion"] = ""
    body["metadata"].update(ordered)
    for field in meta:
        if field not in _META_SET:
            body["metadata"][field] = meta[field]
    for field, value in obj.items():
        if field not in body:
            body[field] = value
    return orjson.dumps(body)


def splice(entry: Entry) -> bytes:
    """The stored bytes with their revision."""
    return entry.value.replace(_HOLE, b'"resourceVersion":"%d"' % entry.revision, 1)


class Record:
    """A stored object at a revision. What it returns is shared: nobody changes it."""

    __slots__ = ("_cache", "entry")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._cache: dict[Any, Any] = {}

    @property
    def stored(self) -> Obj:
        """The object as stored (in the storage version), with its resourceVersion."""
        found: Obj | None = self._cache.get("obj")
        if found is None:
            found = orjson.loads(self.entry.value)
            found["metadata"]["resourceVersion"] = str(self.entry.revision)
            self._cache["obj"] = found
        return found

    def obj(self, kind: Kind) -> Obj:
        """The object as `kind` shows it."""
        stored = self.stored
        version = str(kind.group_version)
        if stored["apiVersion"] == version and kind.read is None:
            return stored
        # By the row too: a definition that changes makes new rows, and old objects read otherwise.
        key = ("obj", kind.group_version, kind.read)
        found: Obj | None = self._cache.get(key)
        if found is None:
            found = stored
            if stored["apiVersion"] != version:
                found = kind.convert(fresh(stored), version) if kind.convert else {**stored, "apiVersion": version}
            if kind.read is not None:
                found = kind.read(found)
            self._cache[key] = found
        return found

    def keep(self, kind: Kind, obj: Obj) -> None:
        """Remembers what a conversion that `kind` can't do by itself has given."""
        self._cache[("obj", kind.group_version, kind.read)] = kind.read(obj) if kind.read is not None else obj

    def has(self, kind: Kind) -> bool:
        """Whether the object can be shown as `kind` without asking anybody."""
        own = bool(self.stored["apiVersion"] == str(kind.group_version))
        return own or ("obj", kind.group_version, kind.read) in self._cache

    def json(self, kind: Kind) -> bytes:
        """The object as `kind` shows it, in JSON."""
        key = ("json", kind.group_version, kind.read)
        found: bytes | None = self._cache.get(key)
        if found is None:
            head = f'{{"kind":"{kind.kind}","apiVersion":"{kind.group_version}"'.encode()
            whole = self.entry.revision > 0 and kind.read is None and self.entry.value.startswith(head)
            found = splice(self.entry) if whole else orjson.dumps(self.obj(kind))
            self._cache[key] = found
        return found

    @classmethod
    def unsaved(cls, obj: Obj) -> Record:
        """An object that is answered but was not stored: that of a dry run, or one that was just removed."""
        record = cls(Entry("", b"", 0, 0))
        record._cache["obj"] = obj
        return record

    def cached(self, key: Any, make: Any) -> Any:
        """What `make(self)` gave the first time: encodings of watch events."""
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = make(self)
        return found


class Records:
    """Records by key and revision; the oldest are forgotten, which costs only time."""

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._records: OrderedDict[tuple[str, int], Record] = OrderedDict()

    def of(self, entry: Entry) -> Record:
        key = (entry.key, entry.revision)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = Record(entry)
            if len(self._records) > self._limit:
                self._records.popitem(last=False)
        return record
