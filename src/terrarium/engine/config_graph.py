"""The graph of a configuration: a node for each block that has a value, edges for what refers to what.

Nodes stand for blocks, not instances: a resource with `count` is one node, which expands when it is visited. Modules do
not bound the graph: an output depends on what its expression names, a variable on what its call passes in.

| kind | node |
| --- | --- |
| var, local, output, check | the named object of the module at `path` |
| call | a module call in the module at `path`: visiting it expands the instances |
| close | the module at `path` as a whole: everything in it |
| resource | a `resource`, `data` or `ephemeral` block |
| provider | a provider configuration (`type` is the source, `name` the alias) |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from terrarium.engine.addresses import ConfigResource, ModulePath, ProviderConfig, path_text
from terrarium.engine.configuration import CheckRule, ModuleNode, ProviderRef, Resource
from terrarium.engine.decode import schema_references
from terrarium.engine.graph import Graph
from terrarium.engine.imports import static_target
from terrarium.engine.loading_resource import body_references
from terrarium.engine.plugins import MissingProvider, Plugins
from terrarium.engine.references import Reference, parse
from terrarium.language import nodes
from terrarium.language.references import references


class Node(NamedTuple):
    kind: str
    path: ModulePath
    name: str
    mode: str = ""
    type: str = ""

    def __str__(self) -> str:
        prefix = f"{path_text(self.path)}." if self.path else ""
        match self.kind:
            case "resource":
                return str(self.resource)
            case "provider":
                return str(ProviderConfig(self.path, self.type, self.name))
            case "call":
                return f"{prefix}module.{self.name} (expand)"
            case "close":
                return f"{path_text(self.path)} (close)"
            case "local" | "var" | "output":
                return f"{prefix}{self.kind}.{self.name} (expand)"
            case _:
                return f"{prefix}{self.kind}.{self.name}"

    @property
    def resource(self) -> ConfigResource:
        return ConfigResource(self.path, self.mode, self.type, self.name)


def resource_node(path: ModulePath, mode: str, type: str, name: str) -> Node:
    return Node("resource", path, name, mode, type)


def provider_node(config: ProviderConfig) -> Node:
    return Node("provider", config.path, config.alias, "", config.source)


def provider_for(node: ModuleNode, ref: ProviderRef) -> ProviderConfig:
    """The provider configuration that a name in a module means: its own, one passed in, or one inherited."""
    source = node.module.provider_source(ref.name)
    while True:
        name = node.module.local_name(source) if ref.name not in node.module.required else ref.name
        own = node.module.providers.get((ref.name, ref.alias)) or node.module.providers.get((name, ref.alias))
        parent = node.parent
        if parent is None or node.call is None:
            return ProviderConfig((), source, ref.alias)
        passed = next(
            (p.parent for p in node.call.providers if p.child.name == ref.name and p.child.alias == ref.alias), None
        )
        if passed is not None:
            node, ref = parent, passed
            source = node.module.provider_source(ref.name)
            continue
        if own is not None:
            return ProviderConfig(node.path, source, ref.alias)
        if ref.alias:
            return ProviderConfig(node.path, source, ref.alias)
        node = parent
        ref = ProviderRef(node.module.local_name(source))


def provider_block_names(module: ModuleNode, source: str, alias: str) -> Iterable[tuple[str, str]]:
    """The keys under which a module may configure a provider."""
    return [
        (name, a) for name, a in module.module.providers if a == alias and module.module.provider_source(name) == source
    ]


class Builder:
    """Builds the graph; `resource_providers` tells the provider of each resource afterwards."""

    def __init__(self, root: ModuleNode, plugins: Plugins) -> None:
        self.root = root
        self.plugins = plugins
        self.graph: Graph[Node] = Graph()
        self.providers: dict[ConfigResource, ProviderConfig] = {}

    def build(self) -> Graph[Node]:
        for module in self.root.walk():
            self._module(module)
        for config in set(self.providers.values()):
            self._provider(config)
        self._imports()
        self.graph.remove_missing()
        return self.graph

    def _module(self, module: ModuleNode) -> None:
        path, content = module.path, module.module
        # What stands inside a module waits for the call to be expanded.
        base = {Node("call", path[:-1], path[-1])} if path else set()
        close = Node("close", path, "")
        members: set[Node] = set()

        def add(node: Node, after: Iterable[Node]) -> None:
            self.graph.add(node, base.union(after) - {node})
            members.add(node)

        for name, variable in content.variables.items():
            after = set()
            if module.call is not None and module.parent is not None:
                passed = module.call.body.attributes.get(name)
                if passed is not None:
                    after = waits_for(module.parent, references(passed.expression))
            for rule in variable.validations:
                after |= waits_for(module, self._rule(rule)) - {Node("var", path, name)}
            add(Node("var", path, name), after)
        for name, local in content.locals.items():
            add(Node("local", path, name), waits_for(module, references(local.expression)))
        for name, output in content.outputs.items():
            found = list(output.depends_on)
            if output.expression is not None:
                found += references(output.expression)
            for rule in output.preconditions:
                found += self._rule(rule)
            add(Node("output", path, name), waits_for(module, found))
        for resource in content.resources.values():
            self._resource(module, resource, add)
        for name, check in content.checks.items():
            found = [r for rule in check.asserts for r in self._rule(rule)]
            after = waits_for(module, found)
            if check.data is not None:
                after.add(resource_node(path, "data", check.data.type, check.data.name))
            add(Node("check", path, name), after)
        for name, call in content.calls.items():
            found = list(call.depends_on)
            for expression in (call.count, call.for_each):
                if expression is not None:
                    found += references(expression)
            add(Node("call", path, name), waits_for(module, found))
            members.add(Node("close", (*path, name), ""))
        self.graph.add(close, base | members)

    def _resource(self, module: ModuleNode, resource: Resource, add) -> None:  # type: ignore[no-untyped-def]
        node = resource_node(module.path, resource.mode, resource.type, resource.name)
        provider = provider_for(module, module.module.resource_provider(resource))
        self.providers[node.resource] = provider
        after = waits_for(module, self.resource_references(resource, provider.source))
        after.discard(node)
        after.add(provider_node(provider))
        add(node, after)

    def resource_references(self, resource: Resource, source: str) -> list[nodes.Traversal]:
        """Everything that a resource block refers to."""
        found: list[nodes.Traversal] = []
        if resource.range.filename.endswith(".json"):
            try:
                schema = self.plugins.resource_schema(source, resource.mode, resource.type)
            except MissingProvider:
                schema = None
            if schema is not None:
                found += schema_references(schema.block, resource.body, self.plugins.decoder)
        else:
            found += body_references(resource.body)
        for expression in (resource.count, resource.for_each, *resource.replace_triggered_by):
            if expression is not None:
                found += references(expression)
        found += resource.depends_on
        for rule in (*resource.preconditions, *resource.postconditions):
            found += self._rule(rule)
        for provisioner in resource.provisioners:
            if not provisioner.when_destroy:
                found += body_references(provisioner.body)
                if provisioner.connection is not None:
                    found += body_references(provisioner.connection.body)
        if resource.connection is not None:
            found += body_references(resource.connection.body)
        return found

    def _imports(self) -> None:
        for block in self.root.module.imports:
            target = static_target(block.to)
            if target is not None and target in self.providers:
                found = references(block.id)
                if block.for_each is not None:
                    found = [*found, *references(block.for_each)]
                node = resource_node(*target)
                self.graph.add(node, waits_for(self.root, found) - {node})

    def _rule(self, rule: CheckRule) -> list[nodes.Traversal]:
        found = list(references(rule.condition))
        if rule.error_message is not None:
            found += references(rule.error_message)
        return found

    def _provider(self, config: ProviderConfig) -> None:
        module = self.root.find(config.path)
        after: set[Node] = set()
        if module is not None:
            for key in provider_block_names(module, config.source, config.alias):
                after |= waits_for(module, body_references(module.module.providers[key].body))
        if config.path:
            after.add(Node("call", config.path[:-1], config.path[-1]))
        self.graph.add(provider_node(config), after)


def waits_for(module: ModuleNode, found: Iterable[nodes.Traversal]) -> set[Node]:
    """The nodes that references in a module wait for."""
    before: set[Node] = set()
    for traversal in found:
        reference = parse(traversal)
        if isinstance(reference, Reference):
            node = node_of(module.path, reference)
            if node is not None:
                before.add(node)
    return before


def node_of(path: ModulePath, reference: Reference) -> Node | None:
    """The node that a reference in the module at `path` waits for."""
    match reference.kind:
        case "var" | "local":
            return Node(reference.kind, path, reference.name)
        case "resource":
            return resource_node(path, reference.mode, reference.type, reference.name)
        case "module":
            inner = (*path, reference.name)
            return Node("output", inner, reference.output) if reference.output else Node("close", inner, "")
        case _:
            return None
