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
    return int(data) if isinstance(data, int) and not isinstance(data, bool) else None


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


# The first words of references which can't be addresses of resources.
_RESERVED = frozenset({"arg", "count", "each", "lazy", "local", "path", "run", "self", "template", "terraform", "var"})
_RESERVED_DETAIL = (
    'The keyword "{}" is reserved and cannot be used to target a resource address. If you are targeting a resource type that '
    'uses a reserved keyword, please prefix your address with "resource.".'
)
_TYPE_NEEDED = {
    MANAGED: "A resource type name is required.",
    DATA: "A data source name is required.",
    EPHEMERAL: "An ephemeral resource type name is required.",
}


def module_and_resource(traversal: nodes.Traversal, keys: bool = True) -> MoveEnd | Diagnostic:
    """The address that a `moved`, `removed` or `import` block gives. With `keys` false instance keys are refused."""
    root = nodes.Attr(traversal.root, traversal.start, traversal.root_end)
    parts: list[nodes.Step] = [root, *traversal.steps]

    def wrong(
        detail: str, first: nodes.Step, last: nodes.Step | None = None, summary: str = "Invalid address"
    ) -> Diagnostic:
        return error(summary, detail, traversal.source.range(first.start, (last or first).end))

    module: list[tuple[str, Key]] = []
    while parts and isinstance(parts[0], nodes.Attr) and parts[0].name == "module":
        if len(parts) < 2 or not isinstance(parts[1], nodes.Attr):
            at = parts[1] if len(parts) > 1 else parts[0]
            return wrong('Prefix "module." must be followed by a module name.', at, summary="Invalid address operator")
        name, key = parts[1].name, None
        parts = parts[2:]
        if parts and isinstance(index := parts[0], nodes.Index):
            if not keys:
                detail = (
                    'Module address must be a module (e.g. "module.foo"), not a module instance (e.g. "module.foo[1]").'
                )
                return wrong(detail, index, summary="Module instance keys not allowed")
            key, parts = plain_key(index.key), parts[1:]
        module.append((name, key))
    if not parts:
        return MoveEnd(tuple(module))
    if not isinstance(parts[0], nodes.Attr):
        detail = "Module address prefix must be followed by dot and then a name."
        return wrong(detail, parts[0], summary="Invalid address operator")
    mode, word = MANAGED, parts[0].name
    if word in _RESERVED:
        return wrong(_RESERVED_DETAIL.format(word), parts[0], parts[-1])
    if word in (DATA, EPHEMERAL, "resource"):
        mode = MANAGED if word == "resource" else word
        if len(parts) > 1:
            parts = parts[1:]
    if len(parts) < 2:
        return wrong("Resource specification must include a resource type and name.", parts[0], parts[-1])
    type, named, *rest = parts
    if not isinstance(type, nodes.Attr):
        return wrong(_TYPE_NEEDED[mode], type)
    if not isinstance(named, nodes.Attr):
        return wrong("A resource name is required.", named)
    if not rest:
        return MoveEnd(tuple(module), mode, type.name, named.name)
    if not keys:
        detail = (
            'Resource address must be a resource (e.g. "test_instance.foo"), not a resource instance (e.g. '
            '"test_instance.foo[1]").'
        )
        return wrong(detail, rest[0], summary="Resource instance keys not allowed")
    if len(rest) > 1:
        return wrong("Unexpected extra operators after address.", rest[1])
    if not isinstance(rest[0], nodes.Index):
        return wrong("Resource instance key must be given in square brackets.", rest[0])
    key = plain_key(rest[0].key)
    if key is None:
        return wrong("Invalid resource instance key: either a string or an integer is required.", rest[0])
    return MoveEnd(tuple(module), mode, type.name, named.name, key, True)
