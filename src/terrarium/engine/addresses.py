"""Names of things in a configuration and in a state, as values which parse and print themselves.

A *path* is a module in the configuration (`("net", "sub")`, printed `module.net.module.sub`); a *module instance* has
an instance key for each step. Keys are None, an int (`count`) or a str (`for_each`). All are plain tuples underneath:
they hash and compare at C speed, which the graph of ten thousand objects needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

Key = None | int | str
ModulePath = tuple[str, ...]
ModuleInstance = tuple[tuple[str, Key], ...]

MANAGED = "managed"
DATA = "data"
EPHEMERAL = "ephemeral"
ROOT: ModuleInstance = ()

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_PLAIN = re.compile(r"[A-Za-z0-9 _./:@=+,;*()<>!?|~^&#'\[\]{}-]*")


def quoted(text: str) -> str:
    """A string as the language writes it, in double quotes."""
    if "${" not in text and "%{" not in text and _PLAIN.fullmatch(text):
        return f'"{text}"'
    out: list[str] = []
    for i, char in enumerate(text):
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif char in "$%" and text[i + 1 : i + 2] == "{":
            out.append(char * 2)
        elif not char.isprintable():
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def key_text(key: Key) -> str:
    """`[0]`, `["a"]` or nothing."""
    if key is None:
        return ""
    return f"[{key}]" if isinstance(key, int) else f"[{quoted(key)}]"


def key_order(key: Key) -> tuple[int, int, str]:
    """Sort key: no key, then numbers, then strings."""
    if key is None:
        return (0, 0, "")
    return (1, key, "") if isinstance(key, int) else (2, 0, key)


def module_text(module: ModuleInstance) -> str:
    """`module.a["k"].module.b`; "" for the root."""
    return ".".join(f"module.{name}{key_text(key)}" for name, key in module)


def path_text(path: ModulePath) -> str:
    return ".".join(f"module.{name}" for name in path)


def path_of(module: ModuleInstance) -> ModulePath:
    return tuple(name for name, _ in module)


def _prefixed(prefix: str, text: str) -> str:
    return f"{prefix}.{text}" if prefix else text


def resource_text(mode: str, type: str, name: str) -> str:
    return f"{type}.{name}" if mode == MANAGED else f"{mode}.{type}.{name}"


def module_order(module: ModuleInstance) -> tuple[object, ...]:
    return (len(module), tuple((name, key_order(key)) for name, key in module))


class ConfigResource(NamedTuple):
    """A `resource` or `data` block."""

    path: ModulePath
    mode: str
    type: str
    name: str

    def __str__(self) -> str:
        return _prefixed(path_text(self.path), resource_text(self.mode, self.type, self.name))


class AbsResource(NamedTuple):
    """A resource block in one instance of its module: all its instances together."""

    module: ModuleInstance
    mode: str
    type: str
    name: str

    def __str__(self) -> str:
        return _prefixed(module_text(self.module), resource_text(self.mode, self.type, self.name))

    @property
    def config(self) -> ConfigResource:
        return ConfigResource(path_of(self.module), self.mode, self.type, self.name)

    def instance(self, key: Key) -> Instance:
        return Instance(self.module, self.mode, self.type, self.name, key)


class Instance(NamedTuple):
    """One object: a resource block, in one instance of its module, with one key."""

    module: ModuleInstance
    mode: str
    type: str
    name: str
    key: Key

    def __str__(self) -> str:
        text = resource_text(self.mode, self.type, self.name) + key_text(self.key)
        return _prefixed(module_text(self.module), text)

    @property
    def local(self) -> str:
        """The address inside its module."""
        return resource_text(self.mode, self.type, self.name) + key_text(self.key)

    @property
    def resource(self) -> AbsResource:
        return AbsResource(self.module, self.mode, self.type, self.name)

    @property
    def config(self) -> ConfigResource:
        return ConfigResource(path_of(self.module), self.mode, self.type, self.name)

    @property
    def order(self) -> tuple[object, ...]:
        """Terraform's order of addresses: outer modules first, data before managed."""
        return (module_order(self.module), self.mode != DATA, self.type, self.name, key_order(self.key))


class ProviderConfig(NamedTuple):
    """A provider configuration: where it is written, whose it is, its alias ("" when it has none)."""

    path: ModulePath
    source: str
    alias: str

    def __str__(self) -> str:
        text = f'provider["{self.source}"]' + (f".{self.alias}" if self.alias else "")
        return _prefixed(path_text(self.path), text)


class AddressError(ValueError):
    """An address that can't be read. `summary` and `detail` are the words for a diagnostic; `at` says where in the text."""

    def __init__(self, summary: str, detail: str, at: int = 0) -> None:
        super().__init__(detail)
        self.summary = summary
        self.detail = detail
        self.at = at


Target = ModuleInstance | AbsResource | Instance
_STEP = re.compile(r'\.?(?P<name>[^\W\d][\w-]*)|\[(?P<number>\d+)\]|\[(?P<text>"(?:[^"\\]|\\.)*")\]', re.UNICODE)
_UNESCAPE = re.compile(r"\\(n|r|t|\"|\\|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|\$\$\{|%%\{")


def unquoted(text: str) -> str:
    """The string that `quoted` printed."""

    def one(found: re.Match[str]) -> str:
        what = found[0]
        if what[0] in "$%":
            return what[1:]
        code = found[1]
        if code[0] in "uU":
            return chr(int(code[1:], 16))
        return {"n": "\n", "r": "\r", "t": "\t"}.get(code, code)

    return _UNESCAPE.sub(one, text[1:-1])


def steps(text: str) -> list[str | int | tuple[str]]:
    """The steps of an address: names as str, numeric keys as int, string keys as one-tuples. AddressError."""
    found: list[str | int | tuple[str]] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        dotted = text.startswith(".", at)
        if match is None or (at == 0 and dotted) or (at and match["name"] is not None and not dotted):
            raise _misread(text, at)
        if match["name"] is not None:
            found.append(match["name"])
        elif match["number"] is not None:
            found.append(int(match["number"]))
        else:
            found.append((unquoted(match["text"]),))
        at = match.end()
    return found


def _misread(text: str, at: int) -> AddressError:
    """What is wrong with an address at a place where no step can be read."""
    rest = text[at:]
    name, index = "Attribute name required", "Index value required"
    key = "Index brackets must contain either a literal number or a literal string."
    if at == 0:
        return AddressError("Variable name required", "Must begin with a variable name.", at)
    if rest.startswith(".*"):
        return AddressError(name, "Splat expressions (.*) may not be used here.", at + 1)
    if rest.startswith("."):
        return AddressError(name, "Dot must be followed by attribute name.", at + 1)
    if rest.startswith("[*"):
        return AddressError(name, "Splat expressions ([*]) may not be used here.", at + 1)
    if re.match(r'\["(?:[^"\\]|\\.)*$', rest):
        return AddressError(
            "Unterminated string literal", "Unable to find the closing quote mark before the end of the file.", at + 1
        )
    if found := re.match(r'\[(?:(?P<number>\d+(?P<part>\.\d+)?)|"(?:[^"\\]|\\.)*")', rest):
        if found["part"] and rest[found.end() :].startswith("]"):
            detail = (
                "Invalid resource instance key: value must be a whole number, between -9223372036854775808 and "
                "9223372036854775807 inclusive."
            )
            return AddressError("Invalid address", detail, at)
        return AddressError("Unclosed index brackets", "Index key must be followed by a closing bracket.", at)
    if rest.startswith("["):
        return AddressError(index, key, at + 1)
    return AddressError("Invalid character", "Expected an attribute access or an index operator.", at)


def _key(parts: list[str | int | tuple[str]], at: int) -> tuple[Key, int]:
    if at < len(parts):
        part = parts[at]
        if isinstance(part, int):
            return part, at + 1
        if isinstance(part, tuple):
            return part[0], at + 1
    return None, at


def _module_steps(parts: list[str | int | tuple[str]]) -> tuple[ModuleInstance, int]:
    module: list[tuple[str, Key]] = []
    at = 0
    while at < len(parts) and parts[at] == "module":
        name = parts[at + 1] if at + 1 < len(parts) else None
        if not isinstance(name, str):
            raise AddressError("Invalid address operator", 'Prefix "module." must be followed by a module name.')
        key, at = _key(parts, at + 2)
        module.append((name, key))
    return tuple(module), at


def parse_module(text: str) -> ModuleInstance:
    """`module.a["k"].module.b`, or "" for the root. AddressError."""
    if not text:
        return ()
    parts = steps(text)
    module, at = _module_steps(parts)
    if at != len(parts):
        raise AddressError("Invalid module instance address", f'"{text}" is not the address of a module instance.')
    return module


def parse_target(text: str) -> Target:
    """What `-target` takes: a module, a resource or one instance of it. AddressError."""
    parts = steps(text)
    if not parts:
        raise _misread(text, 0)
    module, at = _module_steps(parts)
    if at == len(parts):
        return module
    mode = MANAGED
    if parts[at] in (DATA, EPHEMERAL):
        mode = str(parts[at])
        at += 1
    elif parts[at] == "resource":
        at += 1
    elif parts[at] in _RESERVED:
        raise AddressError(
            "Invalid address",
            f'The keyword "{parts[at]}" is reserved and cannot be used to target a resource instance.',
        )
    if len(parts) - at < 2:
        raise AddressError("Invalid address", "Resource specification must include a resource type and name.")
    type, name = parts[at], parts[at + 1]
    if not isinstance(type, str):
        raise AddressError("Invalid address", "A resource type name is required.")
    if not isinstance(name, str):
        what = "A data source name is required." if mode == DATA else "A resource name is required."
        raise AddressError("Invalid address", what)
    key, end = _key(parts, at + 2)
    if end == len(parts):
        return AbsResource(module, mode, type, name) if end == at + 2 else Instance(module, mode, type, name, key)
    if end == at + 2:
        raise AddressError("Invalid address", "Resource instance key must be given in square brackets.")
    raise AddressError("Invalid address", "Unexpected extra operators after address.")


_RESERVED = ("count", "each", "local", "path", "self", "template", "terraform", "var")


def parse_instance(text: str) -> Instance:
    """The address of one object. AddressError."""
    target = parse_target(text)
    if isinstance(target, Instance):
        return target
    if isinstance(target, AbsResource):
        return target.instance(None)
    raise AddressError(
        "Invalid address",
        "A resource instance address is required here. The module path must be followed by a resource instance specification.",
    )


def parse_config_resource(text: str) -> ConfigResource:
    """`module.a.type.name`, the form in which a state lists dependencies. AddressError."""
    return parse_instance(text).config


@lru_cache(maxsize=256)
def parse_provider_config(text: str) -> ProviderConfig:
    """`module.a.provider["registry.terraform.io/hashicorp/aws"].alias`, and the legacy `provider.aws.alias`."""
    match = re.fullmatch(
        r'(?:(?P<path>(?:module\.[\w-]+\.)+))?provider\["(?P<source>[^"]+)"\](?:\.(?P<alias>[\w-]+))?', text
    )
    if match:
        path = tuple(match["path"].split(".")[1::2]) if match["path"] else ()
        return ProviderConfig(path, match["source"], match["alias"] or "")
    match = re.fullmatch(r"(?P<path>(?:module\.[\w-]+\.)*)provider\.(?P<name>[\w-]+)(?:\.(?P<alias>[\w-]+))?", text)
    if match is None:
        raise AddressError(
            "Invalid provider configuration address", f'"{text}" is not the address of a provider configuration.'
        )
    path = tuple(match["path"].split(".")[1::2]) if match["path"] else ()
    return ProviderConfig(path, default_source(match["name"]), match["alias"] or "")


BUILTIN = "terraform.io/builtin/terraform"
REGISTRY = "registry.terraform.io"


def default_source(local_name: str) -> str:
    """The provider which a local name means when nothing says otherwise."""
    return BUILTIN if local_name == "terraform" else f"{REGISTRY}/hashicorp/{local_name}"


def parse_source(text: str) -> str:
    """A full source address from `aws`, `hashicorp/aws` or `host/hashicorp/aws`. ValueError when it is none."""
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise ValueError(text)
    for part in parts[-2:]:
        if not re.fullmatch(r"[0-9A-Za-z](?:[0-9A-Za-z_-]*[0-9A-Za-z])?", part):
            raise ValueError(text)
    *host, namespace, name = parts if len(parts) > 1 else ["hashicorp", parts[0]]
    return "/".join([host[0] if host else REGISTRY, namespace.lower(), name.lower()])


def display_source(source: str) -> str:
    """A source for people: without the default registry's name."""
    return source.removeprefix(f"{REGISTRY}/")


def is_within(instance: Instance, target: Target) -> bool:
    """Whether an object belongs to a target. A module without keys covers all its instances."""
    if isinstance(target, Instance):
        return instance == target
    module = target.module if isinstance(target, AbsResource) else target
    if isinstance(target, AbsResource) and instance[1:4] != target[1:4]:
        return False
    if len(instance.module) < len(module) or (isinstance(target, AbsResource) and len(instance.module) != len(module)):
        return False
    return all(
        name == wanted and (key == wanted_key or wanted_key is None)
        for (name, key), (wanted, wanted_key) in zip(instance.module, module, strict=False)
    )


def sorted_instances(instances: Iterable[Instance]) -> list[Instance]:
    return sorted(instances, key=lambda i: i.order)
