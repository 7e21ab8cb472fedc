"""What is remembered of the objects that exist: one `State`, as a value in memory.

An object keeps its attributes as the state file has them (JSON) or as a `Value`, whichever it was given; the other form
is made when somebody asks. Instances are held by address in insertion order; files are written sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from terrarium.engine.addresses import (
    AbsResource,
    ConfigResource,
    Instance,
    Key,
    parse_config_resource,
    sorted_instances,
)
from terrarium.language.types import Type
from terrarium.language.values import SENSITIVE, Path, Value, walk_paths

TERRAFORM_VERSION = "1.11.4"
"""The version whose behaviour and file formats the engine has."""


class Dependencies(Sequence[ConfigResource]):
    """The resources that an object depends on, in the order of their addresses. States hold these lists in full, and long
    chains make them long: the addresses stay text until somebody asks for more."""

    __slots__ = ("_resources", "texts")

    def __init__(self, texts: tuple[str, ...], resources: tuple[ConfigResource, ...] | None = None) -> None:
        self.texts = texts
        self._resources = resources

    @classmethod
    def of(cls, resources: Iterable[ConfigResource]) -> Dependencies:
        rows = sorted((str(r), r) for r in resources)
        return cls(tuple(t for t, _ in rows), tuple(r for _, r in rows))

    @property
    def resources(self) -> tuple[ConfigResource, ...]:
        if self._resources is None:
            self._resources = tuple(map(parse_config_resource, self.texts))
        return self._resources

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[ConfigResource]:
        return iter(self.resources)

    @overload
    def __getitem__(self, index: int) -> ConfigResource: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ConfigResource, ...]: ...

    def __getitem__(self, index: int | slice) -> ConfigResource | tuple[ConfigResource, ...]:
        return self.resources[index]


NO_DEPENDENCIES = Dependencies((), ())


@dataclass(slots=True, eq=False)
class StateObject:
    """One object as last seen. Not changed once made, but for its two lazily made forms."""

    schema_version: int = 0
    attributes: Mapping[str, Any] | None = None
    sensitive: tuple[Path, ...] = ()
    private: bytes = b""
    tainted: bool = False
    dependencies: Dependencies = NO_DEPENDENCIES
    create_before_destroy: bool = False
    raw_sensitive: tuple[Any, ...] | None = None
    """The sensitive paths as the file that was read has them."""
    _value: Value | None = None
    _type: Type | None = None

    @classmethod
    def of(cls, value: Value, type: Type, **rest: Any) -> StateObject:
        """An object from a value, whose sensitive marks become paths."""
        return cls(sensitive=sensitive_paths(value), _value=value.unmarked_deep(), _type=type, **rest)

    def value(self, type: Type) -> Value:
        """The attributes as a value of `type` with the sensitive parts marked. ValueError when they don't fit."""
        if self._value is None:
            from terrarium.language.json_values import from_json

            self._value, self._type = from_json(self.attributes, type), type
        return marked(self._value, self.sensitive)

    def json(self) -> Mapping[str, Any]:
        """The attributes as the state file has them."""
        if self.attributes is None:
            from terrarium.language.json_values import to_json

            assert self._value is not None
            assert self._type is not None
            self.attributes = to_json(self._value, self._type)
        return self.attributes

    def with_taint(self, tainted: bool) -> StateObject:
        return replace(self, tainted=tainted)


def sensitive_paths(value: Value) -> tuple[Path, ...]:
    """The paths of marked parts; nothing inside a marked part is listed again."""
    found: list[Path] = []
    for path, part in walk_paths(value):
        if SENSITIVE in part.marks and not any(path[: len(f)] == f for f in found):
            found.append(path)
    return tuple(found)


def marked(value: Value, paths: tuple[Path, ...]) -> Value:
    """The value with a sensitive mark at each of the paths that it has."""
    for path in paths:
        value = _mark(value, path)
    return value


def _mark(value: Value, path: Path) -> Value:
    if not path:
        return value.marked(SENSITIVE)
    step, data = path[0], value.data
    if isinstance(data, dict) and step in data:
        return Value(value.type, {**data, step: _mark(data[step], path[1:])}, value.marks)
    if isinstance(data, tuple) and isinstance(step, int) and 0 <= step < len(data):
        return Value(value.type, (*data[:step], _mark(data[step], path[1:]), *data[step + 1 :]), value.marks)
    if isinstance(data, tuple) and isinstance(step, Value):
        return value.marked(SENSITIVE)
    return value


@dataclass(slots=True)
class InstanceState:
    current: StateObject | None = None
    deposed: dict[str, StateObject] = field(default_factory=dict)


@dataclass(slots=True)
class ResourceState:
    """`provider` is the address of a provider configuration as text."""

    provider: str
    instances: dict[Key, InstanceState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputState:
    value: Value
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of all conditions of a configuration object. `objects`: (address, status, failure messages)."""

    kind: str
    address: str
    status: str
    objects: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


@dataclass(slots=True)
class State:
    lineage: str = ""
    serial: int = 0
    terraform_version: str = TERRAFORM_VERSION
    outputs: dict[str, OutputState] = field(default_factory=dict)
    resources: dict[AbsResource, ResourceState] = field(default_factory=dict)
    checks: tuple[CheckResult, ...] | None = None

    @property
    def empty(self) -> bool:
        return not self.outputs and not any(r.instances for r in self.resources.values())

    def copy(self) -> State:
        resources = {
            address: ResourceState(
                r.provider, {key: InstanceState(i.current, dict(i.deposed)) for key, i in r.instances.items()}
            )
            for address, r in self.resources.items()
        }
        return State(self.lineage, self.serial, self.terraform_version, dict(self.outputs), resources, self.checks)

    def instances(self) -> Iterator[tuple[Instance, str, InstanceState]]:
        """Every instance with its provider's address, in the order held."""
        for address, resource in self.resources.items():
            for key, instance in resource.instances.items():
                yield address.instance(key), resource.provider, instance

    def addresses(self) -> list[Instance]:
        """All instances which have a current object, in Terraform's order."""
        return sorted_instances(a for a, _, i in self.instances() if i.current is not None)

    def get(self, address: Instance) -> InstanceState | None:
        resource = self.resources.get(address.resource)
        return resource.instances.get(address.key) if resource else None

    def current(self, address: Instance) -> StateObject | None:
        instance = self.get(address)
        return instance.current if instance else None

    def put(self, address: Instance, provider: str, object: StateObject | None) -> None:
        """Sets the current object; None forgets it, and what is then empty."""
        resource = self.resources.get(address.resource)
        if object is not None:
            if resource is None:
                resource = self.resources[address.resource] = ResourceState(provider)
            resource.provider = provider
            resource.instances.setdefault(address.key, InstanceState()).current = object
        elif resource is not None and address.key in resource.instances:
            resource.instances[address.key].current = None
            self._prune(address)

    def put_deposed(self, address: Instance, provider: str, key: str, object: StateObject | None) -> None:
        resource = self.resources.get(address.resource)
        if object is not None:
            if resource is None:
                resource = self.resources[address.resource] = ResourceState(provider)
            resource.instances.setdefault(address.key, InstanceState()).deposed[key] = object
        elif resource is not None and address.key in resource.instances:
            resource.instances[address.key].deposed.pop(key, None)
            self._prune(address)

    def _prune(self, address: Instance) -> None:
        resource = self.resources[address.resource]
        instance = resource.instances[address.key]
        if instance.current is None and not instance.deposed:
            del resource.instances[address.key]
        if not resource.instances:
            del self.resources[address.resource]

    def drop_if_empty(self, address: AbsResource) -> None:
        """Forgets a resource which has no instances."""
        resource = self.resources.get(address)
        if resource is not None and not resource.instances:
            del self.resources[address]

    def move(self, source: Instance, target: Instance) -> None:
        """Renames an instance with all its objects."""
        resource = self.resources[source.resource]
        instance = resource.instances.pop(source.key)
        self.resources.setdefault(target.resource, ResourceState(resource.provider)).instances[target.key] = instance
        if not resource.instances:
            del self.resources[source.resource]
