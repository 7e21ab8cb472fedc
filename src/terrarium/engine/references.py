"""References: which object of a module a traversal means (`aws_vpc.main.id`, `module.net.out`, `var.x`, `each.key`).

`parse` reads one; what is wrong with its form comes back as a diagnostic in Terraform's words. Whether the object
exists is another question (`validation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Range
from terrarium.engine.addresses import DATA, EPHEMERAL, MANAGED, Key, ModuleInstance, key_text, resource_text
from terrarium.language import nodes
from terrarium.language.values import Value


@dataclass(frozen=True, slots=True)
class Reference:
    """What a traversal refers to in its module. `kind`: var, local, module, resource, count, each, path, terraform,
    self, run, check, output. For modules `name` is the call and `output` the output, if one is named. `key` is an
    instance key when the reference gives a constant one (`has_key`). `rest` are the steps after the object."""

    kind: str
    name: str
    traversal: nodes.Traversal
    mode: str = ""
    type: str = ""
    key: Key = None
    has_key: bool = False
    output: str = ""
    rest: tuple[nodes.Step, ...] = ()
    end: int = 0

    @property
    def range(self) -> Range:
        """The stretch that names the object, without the steps into it."""
        return self.traversal.source.range(self.traversal.start, max(self.end, self.traversal.root_end))

    @property
    def key_free(self) -> str:
        """A resource as text, without an instance key."""
        return resource_text(self.mode, self.type, self.name)

    @property
    def rest_range(self) -> Range | None:
        """The stretch of the steps into the object, if there are any."""
        return self.traversal.source.range(self.rest[0].start, self.rest[-1].end) if self.rest else None

    @property
    def subject(self) -> str:
        """The object as text: `aws_vpc.main[0]`, `var.x`, `module.m.out`."""
        match self.kind:
            case "resource":
                return resource_text(self.mode, self.type, self.name) + (key_text(self.key) if self.has_key else "")
            case "module":
                text = f"module.{self.name}" + (key_text(self.key) if self.has_key else "")
                return f"{text}.{self.output}" if self.output else text
            case "self":
                return "self"
            case _:
                return f"{self.kind}.{self.name}"


def step_text(steps: Sequence[nodes.Step]) -> str:
    """Steps as they are written: `.name[0]["k"]`."""
    out = ""
    for step in steps:
        out += f".{step.name}" if isinstance(step, nodes.Attr) else key_text(plain_key(step.key))
    return out


def plain_key(value: Value) -> Key:
    """A constant index as an instance key."""
    data = value.data
    if isinstance(data, str):
        return data
    return int(data) if isinstance(data, int) else None


_SINGLE = {
    "var": "var",
    "local": "local",
    "count": "count",
    "each": "each",
    "path": "path",
    "terraform": "terraform",
    "run": "run",
}
_TRAVERSAL_NEEDS = 'The "{}" object cannot be accessed directly. Instead, access one of its attributes.'
_NO_INDEX = 'The "{}" object does not support this operation.'


def parse(traversal: nodes.Traversal) -> Reference | Diagnostic:
    """The object that a traversal refers to, or what is wrong with it."""
    root, steps = traversal.root, traversal.steps
    source = traversal.source
    if root == "self":
        return Reference("self", "", traversal, rest=steps, end=traversal.root_end)
    if root in ("template", "lazy", "arg"):
        return error(
            "Reserved symbol name",
            f'The symbol name "{root}" is reserved for use in a future Terraform version. If you are using a provider that already uses this as a resource type name, add the prefix "resource." to force interpretation as a resource type name.',
            source.range(traversal.start, traversal.root_end),
        )
    if root in _SINGLE or root == "module":
        if not steps:
            return error("Invalid reference", _TRAVERSAL_NEEDS.format(root), traversal.range)
        first = steps[0]
        if not isinstance(first, nodes.Attr):
            return error("Invalid reference", _NO_INDEX.format(root), source.range(first.start, first.end))
        if root != "module":
            return Reference(_SINGLE[root], first.name, traversal, rest=steps[1:], end=first.end)
        rest = steps[1:]
        key, has_key, end = None, False, first.end
        if rest and isinstance(rest[0], nodes.Index):
            key, has_key, end = plain_key(rest[0].key), True, rest[0].end
            rest = rest[1:]
        if rest and isinstance(rest[0], nodes.Attr):
            return Reference(
                "module",
                first.name,
                traversal,
                key=key,
                has_key=has_key,
                output=rest[0].name,
                rest=rest[1:],
                end=rest[0].end,
            )
        return Reference("module", first.name, traversal, key=key, has_key=has_key, rest=rest, end=end)
    return parse_resource(traversal)


_TYPE_WORDS = {DATA: "data source", EPHEMERAL: "ephemeral resource", "resource": "resource"}
_NO_NAME = (
    "A reference to a resource type must be followed by at least one attribute access, specifying the resource name."
)


def parse_resource(traversal: nodes.Traversal) -> Reference | Diagnostic:
    """A traversal read as a reference to a resource, whatever its first word is."""
    root, rest, source = traversal.root, traversal.steps, traversal.source
    mode, type = MANAGED, root
    if root in _TYPE_WORDS:
        mode = MANAGED if root == "resource" else root
        if len(rest) < 2:
            return error(
                "Invalid reference",
                f'The "{root}" object must be followed by two attribute names: the {_TYPE_WORDS[root]} type and the '
                "resource name.",
                traversal.range,
            )
        if not isinstance(rest[0], nodes.Attr):
            return error("Invalid reference", _NO_INDEX.format(root), source.range(rest[0].start, rest[0].end))
        type, rest = rest[0].name, rest[1:]
    if not rest:
        return error("Invalid reference", _NO_NAME, traversal.range)
    first = rest[0]
    if not isinstance(first, nodes.Attr):
        return error("Invalid reference", _NO_NAME, source.range(first.start, first.end))
    rest = rest[1:]
    key, has_key, end = None, False, first.end
    if rest and isinstance(rest[0], nodes.Index):
        key, has_key, end = plain_key(rest[0].key), True, rest[0].end
        rest = rest[1:]
    return Reference("resource", first.name, traversal, mode, type, key, has_key, rest=rest, end=end)


@dataclass(frozen=True, slots=True)
class MoveEnd:
    """One end of a `moved` block or the subject of a `removed` one: a module, or a resource, with or without key.
    `module` may have steps without keys that stand for all instances."""

    module: ModuleInstance
    mode: str = ""
    type: str = ""
    name: str = ""
    key: Key = None
    has_key: bool = False

    @property
    def is_module(self) -> bool:
        return not self.type

    def __str__(self) -> str:
        from terrarium.engine.addresses import module_text

        module = module_text(self.module)
        if self.is_module:
            return module
        local = resource_text(self.mode, self.type, self.name) + (key_text(self.key) if self.has_key else "")
        return f"{module}.{local}" if module else local


def module_and_resource(traversal: nodes.Traversal, keys: bool = True) -> MoveEnd | Diagnostic:
    """The address that a `moved`, `removed` or `import` block gives. With `keys` false instance keys are refused."""
    parts: list[str | nodes.Index] = [traversal.root]
    parts += [s.name if isinstance(s, nodes.Attr) else s for s in traversal.steps]
    module: list[tuple[str, Key]] = []
    at = 0
    while at < len(parts) and parts[at] == "module":
        name = parts[at + 1] if at + 1 < len(parts) else None
        if not isinstance(name, str):
            return error(
                "Invalid address operator", 'Prefix "module." must be followed by a module name.', traversal.range
            )
        at += 2
        key: Key = None
        if at < len(parts) and isinstance(index := parts[at], nodes.Index):
            key = plain_key(index.key)
            if not keys:
                return _no_keys(
                    traversal,
                    index,
                    "Module instance keys not allowed",
                    'Module address must be a module (e.g. "module.foo"), not a module instance (e.g. "module.foo[1]").',
                )
            at += 1
        module.append((name, key))
    if at == len(parts):
        return MoveEnd(tuple(module))
    mode = MANAGED
    if parts[at] in (DATA, EPHEMERAL):
        mode = str(parts[at])
        at += 1
    type = parts[at] if at < len(parts) else None
    name = parts[at + 1] if at + 1 < len(parts) else None
    if not isinstance(type, str) or not isinstance(name, str):
        return error(
            "Invalid address", "Resource specification must include a resource type and name.", traversal.range
        )
    rest = parts[at + 2 :]
    if not rest:
        return MoveEnd(tuple(module), mode, type, name)
    if len(rest) > 1 or not isinstance(rest[0], nodes.Index):
        return error("Invalid address", "Unexpected extra operators after address.", traversal.range)
    if not keys:
        return _no_keys(
            traversal,
            rest[0],
            "Resource instance keys not allowed",
            'Resource address must be a resource (e.g. "test_instance.foo"), not a resource instance (e.g. "test_instance.foo[1]").',
        )
    return MoveEnd(tuple(module), mode, type, name, plain_key(rest[0].key), True)


def _no_keys(traversal: nodes.Traversal, index: nodes.Index, summary: str, detail: str) -> Diagnostic:
    return error(summary, detail, traversal.source.range(index.start, index.end))
