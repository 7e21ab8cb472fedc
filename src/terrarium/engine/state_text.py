"""A state as people read it (`show`, `state show`)."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.engine.addresses import Instance, parse_provider_config, sorted_instances
from terrarium.engine.diff_text import Style, finish, show
from terrarium.engine.diff_tree import Change, compare_block, compare_type
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.plugins import Plugins
from terrarium.engine.state import State, StateObject
from terrarium.engine.value_trees import known, sensitives

_STYLE = Style(show_unchanged=True, hide_symbols=True)


@dataclass(slots=True)
class StateText:
    plugins: Plugins
    colour: bool = False

    def instance(self, state: State, address: Instance, deposed: str = "") -> str:
        """One object: a comment with its address, and its block."""
        resource = state.resources[address.resource]
        instance = resource.instances[address.key]
        held = instance.deposed[deposed] if deposed else instance.current
        assert held is not None
        note = f" (deposed object {deposed})" if deposed else " (tainted)" if held.tainted else ""
        head = "data" if address.mode == "data" else "resource"
        body = self._block(resource.provider, address, held)
        return f'# {address}:{note}\n{head} "{address.type}" "{address.name}" {body}'

    def _block(self, provider: str, address: Instance, held: StateObject) -> str:
        source = parse_provider_config(provider).source
        if source not in self.plugins:
            return "{\n    # (the provider that knows this type is not available)\n}"
        schema = self.plugins.resource_schema(source, address.mode, address.type)
        assert schema is not None
        value = schema_marks(schema.block, held.value(self.plugins.decoder.type(schema.block)))
        tree, hidden = known(value), sensitives(value)
        change = Change(tree, tree, before_sensitive=hidden, after_sensitive=hidden)
        return finish(show(compare_block(change, schema.block), 0, _STYLE), self.colour)

    def whole(self, state: State) -> str:
        """All objects and outputs."""
        parts: list[str] = []
        for address in sorted_instances(a for a, _, _ in state.instances()):
            instance = state.get(address)
            assert instance is not None
            if instance.current is not None:
                parts.append(self.instance(state, address) + "\n")
            parts += [self.instance(state, address, key) + "\n" for key in sorted(instance.deposed)]
        text = "\n".join(parts)
        if state.outputs:
            text += "\n\nOutputs:\n\n"
            for name in sorted(state.outputs):
                output = state.outputs[name]
                tree = known(output.value)
                change = Change(
                    tree, tree, before_sensitive=output.sensitive, after_sensitive=output.sensitive, modern=True
                )
                node = compare_type(change, output.value.type)
                text += f"{name} = {finish(show(node, 0, _STYLE), self.colour)}\n"
        return text
