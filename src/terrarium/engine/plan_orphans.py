"""Planning what is to go: objects that the configuration no longer has, deposed ones, and everything while destroying."""

from __future__ import annotations

from terrarium.base.diagnostics import error, has_errors
from terrarium.engine.addresses import (
    MANAGED,
    AbsResource,
    Instance,
    is_within,
    parse_provider_config,
    path_of,
)
from terrarium.engine.config_graph import provider_node
from terrarium.engine.moves import removed_for
from terrarium.engine.plan import Action, Mode, ResourceChange
from terrarium.engine.plan_base import PlanBase
from terrarium.engine.plan_messages import destroy_prevented, provider_gone
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.state import StateObject
from terrarium.engine.task import Task
from terrarium.engine.walking import Diagnostics, located, missing_provider
from terrarium.language.values import Value, null


class OrphanPlanning(PlanBase):
    """The part of the walk for what the state holds and the configuration does not have."""

    def orphan_task(self, address: Instance) -> tuple[Task | None, Diagnostics]:
        resource = self.prior.resources[address.resource]
        config = parse_provider_config(resource.provider)
        provider = self.providers.get(config)
        if provider is None:
            if config.source not in self.plugins:
                return None, [missing_provider(config.source)]
            module = self.root.find(config.path)
            declared = module is not None and any(
                a == config.alias and module.module.provider_source(n) == config.source
                for n, a in module.module.providers
            )
            if (config.alias or config.path) and not declared:
                return None, [provider_gone(address, config)]
            said = self.visit_provider(provider_node(config))
            if has_errors(said):
                return None, said
            provider = self.providers[config]
        schema = self.plugins.resource_schema(config.source, address.mode, address.type)
        if schema is None:
            return None, [
                error(
                    "No schema available for resource type"
                    if address.mode == MANAGED
                    else "No schema available for data source",
                    f"The provider {config.source} no longer has the type {address.type}, which the state has for {address}.",
                )
            ]
        asked = self.session.stand_in(address, provider)
        return Task(address, address.config, None, config, asked, schema, None), []

    def plan_orphan(self, address: Instance, reason: str) -> Diagnostics:
        if not self._is_targeted(address):
            return []
        held = self.prior.current(address)
        if held is None:
            return []
        if address.mode != MANAGED:
            self.refreshed.put(address, "", None)
            return []
        task, diagnostics = self.orphan_task(address)
        if task is None:
            return diagnostics
        held, value, more = self.upgraded(task, held)
        diagnostics += more
        if value is None:
            return diagnostics
        fresh: StateObject | None = held
        forgetting = bool(reason) and self.removed_without_destroy(address)
        if self.options.refresh and self.refreshes(address) and not forgetting:
            fresh, value, more = self.refresh(task, held, value)
            diagnostics += more
            if has_errors(more):
                return diagnostics
            if fresh is not held:
                self.refreshed.put(address, str(task.config), fresh)
        if fresh is None or self.options.mode is Mode.REFRESH_ONLY:
            return diagnostics
        return diagnostics + self.plan_delete(task, fresh, schema_marks(task.schema.block, value), reason)

    def plan_delete(self, task: Task, held: StateObject, value: Value, reason: str, deposed: str = "") -> Diagnostics:
        address = task.address
        type = self.plugins.decoder.type(task.schema.block)
        if task.resource is not None and task.resource.prevent_destroy and not deposed:
            # Each object is destroyed for itself: this one and the others are planned all the same.
            self.say([destroy_prevented(address, task.resource)])
        action = Action.DELETE
        moved_from = self.previous_addresses.get(address)
        if self.options.mode is Mode.DESTROY:
            reason, moved_from = "", None  # everything goes, whatever it was called
        elif not deposed and reason and self.removed_without_destroy(address):
            action, reason = Action.FORGET, "delete_because_no_resource_config"
        private = held.private
        if action is Action.DELETE:
            plain = value.unmarked_deep()
            result = task.provider.plan(address.type, plain, null(type), null(type), held.private)
            said = [located(d, None, str(address)) for d in result.diagnostics]
            if has_errors(said):
                return said
            private = result.private
        self.pending.setdefault(task.config_resource, set()).add(task.address.module)
        self.changes[(address, deposed)] = ResourceChange(
            address,
            str(task.config),
            task.config.source,
            action,
            value,
            value if action is Action.FORGET else null(type),
            moved_from,
            deposed,
            reason,
            private=private,
            schema_version=task.schema.version,
        )
        return []

    def removed_without_destroy(self, address: Instance) -> bool:
        """Whether a `removed` block says that the object is only to be forgotten."""
        removed = removed_for(self.root, address)
        return removed is not None and not removed.destroy

    def plan_deposed(self, address: Instance, key: str) -> Diagnostics:
        instance = self.prior.get(address)
        held = instance.deposed.get(key) if instance else None
        if held is None:
            return []
        task, diagnostics = self.orphan_task(address)
        if task is None:
            return diagnostics
        held, value, more = self.upgraded(task, held)
        diagnostics += more
        if value is None:
            return diagnostics
        fresh: StateObject | None = held
        if self.options.refresh:
            fresh, value, more = self.refresh(task, held, value, key)
            diagnostics += more
            if has_errors(more):
                return diagnostics
            if fresh is not held:
                self.refreshed.put_deposed(address, str(task.config), key, fresh)
        if fresh is None or self.options.mode is Mode.REFRESH_ONLY:
            return diagnostics
        return diagnostics + self.plan_delete(task, fresh, schema_marks(task.schema.block, value), "", key)

    def plan_leftovers(self) -> Diagnostics:
        """Whatever the walk did not come by: removed blocks, and modules that are no more."""
        diagnostics: Diagnostics = []
        for address, resource in list(self.prior.resources.items()):
            if address in self.seen or not self._is_gone(address):
                continue
            reason = self._leftover_reason(address)
            for key in list(resource.instances):
                diagnostics += self.plan_orphan(address.instance(key), reason)
                for deposed in resource.instances[key].deposed:
                    diagnostics += self.plan_deposed(address.instance(key), deposed)
        return diagnostics

    def _is_gone(self, address: AbsResource) -> bool:
        """Whether the configuration really has no such resource. Where it has the block, the visit of that tells which
        module instances there are; without one (after errors, outside of targets) nothing is known of them."""
        config = address.config
        return self.options.mode is Mode.DESTROY or self.root.resource(config) is None or config in self.visited

    def _is_targeted(self, address: Instance) -> bool:
        """Whether targets, if there are any, mean an object; those of a module instance that is no more belong to the
        block that was visited."""
        if not self.options.targets or any(is_within(address, t) for t in self.wanted):
            return True
        return (
            self.options.mode is not Mode.DESTROY
            and address.config in self.visited
            and address.resource not in self.seen
        )

    def _leftover_reason(self, address: AbsResource) -> str:
        if self.options.mode is Mode.DESTROY:
            return ""
        module = self.root.find(path_of(address.module))
        if module is None:
            return "delete_because_no_module"
        if address.module and address.module not in self.values.instances_of(path_of(address.module)):
            return "delete_because_no_module"
        return "delete_because_no_resource_config"
