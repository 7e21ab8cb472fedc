"""A configuration as JSON (the `configuration` of plan JSON): blocks with their expressions as constants or references."""

from __future__ import annotations

from typing import Any

from terrarium.engine.addresses import path_text
from terrarium.engine.block_attributes import with_blocks, written_as_blocks
from terrarium.engine.configuration import ModuleNode, ProviderRef, Resource, implied_provider
from terrarium.engine.imports import static_target
from terrarium.engine.plugins import MissingProvider, Plugins
from terrarium.engine.provider import Block, Nesting
from terrarium.engine.provisioning import SCHEMAS
from terrarium.engine.references import Reference, parse, step_text
from terrarium.engine.value_trees import known
from terrarium.language import nodes
from terrarium.language.bodies import AttributeSchema, BlockSchema, BodySchema, content, just_attributes
from terrarium.language.evaluate import evaluate
from terrarium.language.json_values import loads
from terrarium.language.references import references
from terrarium.language.scope import NOTHING_ALLOWED


def expression_json(expression: nodes.Expression) -> dict[str, Any]:
    """`{"constant_value": …}`, `{"references": […]}`, or nothing for what calls functions only."""
    found = [r for r in map(parse, references(expression)) if isinstance(r, Reference)]
    # In JSON syntax an expression is first of all what stands there.
    written = {"constant_value": loads(expression.text)} if expression.source.filename.endswith(".json") else {}
    if not found:
        if written:
            return written
        value, diagnostics = evaluate(expression, NOTHING_ALLOWED)
        return {} if diagnostics else {"constant_value": known(value)}
    rows: list[str] = []
    for reference in found:
        rows += _unwound(reference)
    return written | {"references": rows}


def _unwound(reference: Reference) -> list[str]:
    """A reference with its steps taken off one by one."""
    subject, rest = reference.subject, list(reference.rest)
    rows: list[str] = []
    while rest:
        rows.append(subject + step_text(rest))
        rest.pop()
    rows.append(subject)
    if reference.kind == "resource" and reference.has_key:
        rows.append(subject[: subject.rindex("[")])
    if reference.kind == "module":
        if reference.output:
            rows.append(subject[: -len(reference.output) - 1])
        if reference.has_key:
            rows.append(f"module.{reference.name}")
    return rows


def expressions_json(body: nodes.Body, block: Block) -> dict[str, Any]:
    """The expressions of a body by a schema."""
    names = written_as_blocks(block, body)
    if names:
        block = with_blocks(block, names)
    schema = BodySchema(
        attributes=tuple(AttributeSchema(n) for n in block.attributes),
        blocks=tuple(
            BlockSchema(n, labels=("key",) if b.nesting is Nesting.MAP else ()) for n, b in block.blocks.items()
        ),
    )
    found, _ = content(body, schema, partial=True)
    rows: dict[str, Any] = {name: expression_json(a.expression) for name, a in found.attributes.items()}
    for inner in found.blocks:
        nested = block.blocks[inner.type]
        value = expressions_json(inner.body, nested.block)
        match nested.nesting:
            case Nesting.SINGLE | Nesting.GROUP:
                rows[inner.type] = value
            case Nesting.MAP:
                rows.setdefault(inner.type, {})[inner.labels[0].text] = value
            case _:
                rows.setdefault(inner.type, []).append(value)
    return rows


class ConfigJson:
    """Builds the document of one configuration."""

    def __init__(self, root: ModuleNode, plugins: Plugins) -> None:
        self.root = root
        self.plugins = plugins

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {}
        providers = self.providers()
        if providers:
            document["provider_config"] = providers
        document["root_module"] = self.module(self.root)
        return document

    # --- providers ---------------------------------------------------------------------------------------------

    def _names(self, node: ModuleNode) -> dict[str, str]:
        """The providers a module needs: local name to source."""
        module = node.module
        names = {n: r.source for n, r in module.required.items()}
        for resource in module.resources.values():
            name = module.resource_provider(resource).name
            names.setdefault(name, module.provider_source(name))
        for name, _ in module.providers:
            names.setdefault(name, module.provider_source(name))
        for taken in module.imports:
            target = static_target(taken.to)
            if target is not None and not target.path:
                name = taken.provider.name if taken.provider else implied_provider(target.type)
                names.setdefault(name, module.provider_source(name))
        return names

    def provider_key(self, node: ModuleNode, ref: ProviderRef) -> str:
        """The key in `provider_config` of what a name in a module means."""
        while True:
            own = (ref.name, ref.alias) in node.module.providers
            parent = node.parent
            if own or parent is None or node.call is None:
                break
            passed = next(
                (p.parent for p in node.call.providers if (p.child.name, p.child.alias) == (ref.name, ref.alias)), None
            )
            if passed is not None:
                node, ref = parent, passed
                continue
            source = node.module.provider_source(ref.name)
            above = next((n for n, s in self._names(parent).items() if s == source), None)
            if above is None or ref.alias:
                break
            node, ref = parent, ProviderRef(above)
        return _key(node, ref)

    def providers(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in self.root.walk():
            module = node.module
            for (name, alias), block in module.providers.items():
                source = module.provider_source(name)
                row: dict[str, Any] = {"name": name, "full_name": source}
                if alias:
                    row["alias"] = alias
                constraint = block.version or (module.required[name].version if name in module.required else "")
                if constraint:
                    row["version_constraint"] = constraint
                if node.path:
                    row["module_address"] = path_text(node.path)
                if source in self.plugins:
                    expressions = expressions_json(block.body, self.plugins.schema(source).provider.block)
                    if expressions:
                        row["expressions"] = expressions
                found[_key(node, ProviderRef(name, alias))] = row
            for name, source in self._names(node).items():
                key = _key(node, ProviderRef(name))
                if key in found or self.provider_key(node, ProviderRef(name)) != key:
                    continue
                row = {"name": name, "full_name": source}
                if name in module.required and module.required[name].version:
                    row["version_constraint"] = module.required[name].version
                if node.path:
                    row["module_address"] = path_text(node.path)
                found[key] = row
        return found

    # --- modules -----------------------------------------------------------------------------------------------

    def module(self, node: ModuleNode) -> dict[str, Any]:
        module = node.module
        row: dict[str, Any] = {}
        if module.outputs:
            row["outputs"] = {name: self._output(o) for name, o in sorted(module.outputs.items())}
        resources = sorted(module.resources.values(), key=lambda r: (r.mode != "managed", r.mode, r.type, r.name))
        if resources:
            row["resources"] = [self._resource(node, r) for r in resources]
        if module.calls:
            row["module_calls"] = {name: self._call(node, name) for name in sorted(module.calls)}
        if module.variables:
            row["variables"] = {name: _variable(v) for name, v in sorted(module.variables.items())}
        return row

    def _output(self, output: Any) -> dict[str, Any]:
        row: dict[str, Any] = {}
        if output.sensitive:
            row["sensitive"] = True
        if output.expression is not None:
            row["expression"] = expression_json(output.expression)
        if output.depends_on:
            row["depends_on"] = [_subject(t) for t in output.depends_on]
        if output.description:
            row["description"] = output.description
        return row

    def _resource(self, node: ModuleNode, resource: Resource) -> dict[str, Any]:
        ref = node.module.resource_provider(resource)
        source = node.module.provider_source(ref.name)
        row: dict[str, Any] = {
            "address": resource.local,
            "mode": resource.mode,
            "type": resource.type,
            "name": resource.name,
            "provider_config_key": self.provider_key(node, ref),
        }
        provisioners = [
            {"type": p.type, "expressions": expressions_json(p.body, SCHEMAS[p.type])}
            for p in resource.provisioners
            if p.type in SCHEMAS
        ]
        if provisioners:
            row["provisioners"] = provisioners
        try:
            schema = self.plugins.resource_schema(source, resource.mode, resource.type)
        except MissingProvider:
            schema = None
        if schema is not None:
            expressions = expressions_json(resource.body, schema.block)
            if expressions:
                row["expressions"] = expressions
            row["schema_version"] = schema.version
        if resource.count is not None and (found := expression_json(resource.count)):
            row["count_expression"] = found
        if resource.for_each is not None and (found := expression_json(resource.for_each)):
            row["for_each_expression"] = found
        if resource.depends_on:
            row["depends_on"] = [_subject(t) for t in resource.depends_on]
        return row

    def _call(self, node: ModuleNode, name: str) -> dict[str, Any]:
        call = node.module.calls[name]
        row: dict[str, Any] = {"source": call.source}
        attributes, _ = just_attributes(call.body)
        child = node.children.get(name)
        expressions = {
            key: expression_json(a.expression)
            for key, a in attributes.items()
            if child is None or key in child.module.variables
        }
        if expressions:
            row["expressions"] = expressions
        if call.count is not None and (found := expression_json(call.count)):
            row["count_expression"] = found
        if call.for_each is not None and (found := expression_json(call.for_each)):
            row["for_each_expression"] = found
        row["module"] = self.module(child) if child is not None else {}
        if call.version:
            row["version_constraint"] = call.version
        if call.depends_on:
            row["depends_on"] = [_subject(t) for t in call.depends_on]
        return row


def _key(node: ModuleNode, ref: ProviderRef) -> str:
    text = str(ref)
    return f"{path_text(node.path)}:{text}" if node.path else text


def _subject(traversal: nodes.Traversal) -> str:
    reference = parse(traversal)
    return reference.subject if isinstance(reference, Reference) else traversal.text


def _variable(variable: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if variable.default is not None:
        row["default"] = known(variable.default)
    if variable.description:
        row["description"] = variable.description
    if variable.sensitive:
        row["sensitive"] = True
    return row
