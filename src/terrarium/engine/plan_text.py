"""A plan as people read it: what changed outside, what will be done, the summary line, the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from terrarium.engine.addresses import key_text, module_text
from terrarium.engine.diff_text import SYMBOLS, Style, attribute_name, finish, pieces, show
from terrarium.engine.diff_tree import EVERYTHING, Change, Node, Paths, compare_any, compare_block
from terrarium.engine.plan import Action, Mode, OutputChange, Plan, ResourceChange
from terrarium.engine.plugins import Plugins
from terrarium.engine.value_trees import known, path_json, sensitives, unknowns
from terrarium.language.render import wrap

RULE = "─" * 77
WIDTH = 78


@dataclass(slots=True)
class PlanText:
    """Renders plans. `width` is the terminal's, 78 when there is none."""

    plugins: Plugins
    colour: bool = False
    width: int = WIDTH
    automation: bool = False
    _out: list[str] = field(default_factory=list)

    def put(self, markup: str) -> None:
        self._out.append(finish(markup, self.colour))

    def words(self, text: str) -> None:
        self._out.append(wrap(text, self.width - 1) + "\n")

    def rule(self) -> str:
        return finish(f"[dark_gray]\n{'─' * (self.width - 1)}", self.colour) + "\n"

    # --- parts -------------------------------------------------------------------------------------------------

    def tree(self, change: ResourceChange, relevant: Paths | None = None) -> Node:
        schema = self.plugins.resource_schema(change.source, change.address.mode, change.address.type)
        assert schema is not None
        return compare_block(resource_change(change, relevant), schema.block)

    def resource(self, change: ResourceChange, drift: bool, tree: Node | None = None) -> str:
        """One resource's difference, with its comment and header."""
        tree = tree or self.tree(change)
        style = Style(show_unchanged=change.importing is not None)
        header = (
            f'{"data" if change.address.mode == "data" else "resource"} "{change.address.type}" "{change.address.name}"'
        )
        symbol = SYMBOLS[change.action]
        return finish(comment(change, drift), self.colour) + pieces(
            f"{symbol} {header} {show(tree, 0, style)}", self.colour
        )

    def render(self, plan: Plan, no_changes: bool | None = None) -> str:
        """The whole plan. `no_changes` false says that applying will at least update the state."""
        self._out = []
        found_drift = self.drift(plan)
        shown = [c for c in plan.changes if _shown(c)]
        outputs = self.outputs(plan.outputs)
        if not shown and not outputs:
            self._nothing(plan, found_drift, no_changes)
            return "".join(self._out)
        if found_drift:
            self._out.append(self.rule())
        counts: dict[Action, int] = {}
        for change in shown:
            if change.action is not Action.NOOP:
                counts[change.action] = counts.get(change.action, 0) + 1
        if counts:
            self.words(
                "\nTerraform used the selected providers to generate the following execution plan. Resource actions are "
                "indicated with the following symbols:"
            )
            for action in _LEGEND:
                if counts.get(action):
                    self._out.append(finish(_LEGEND[action], self.colour) + "\n")
        if shown:
            if plan.errored:
                self._out.append("\nTerraform planned the following actions, but then encountered a problem:\n")
            else:
                self._out.append("\nTerraform will perform the following actions:\n")
            for change in shown:
                self._out.append("\n" + self.resource(change, drift=False) + "\n")
            self.put("\n[bold]Plan:[reset] " + summary_counts(shown) + "\n")
        if outputs:
            self._out.append("\nChanges to Outputs:\n" + outputs + "\n")
            if not counts:
                self.words(
                    "\nYou can apply this plan to save these new output values to the Terraform state, without changing "
                    "any real infrastructure."
                )
        return "".join(self._out)

    def _nothing(self, plan: Plan, found_drift: bool, no_changes: bool | None) -> None:
        if plan.errored:
            if found_drift:
                self._out.append(self.rule())
            self.put(
                "\n[reset][bold][red]Planning failed.[reset][bold] Terraform encountered an error while generating this "
                "plan.[reset]\n\n"
            )
            return
        if plan.mode is Mode.REFRESH_ONLY:
            if found_drift:
                return
            self.put(
                "\n[reset][bold][green]No changes.[reset][bold] Your infrastructure still matches the configuration.[reset]\n\n"
            )
            self.words(
                "Terraform has checked that the real remote objects still match the result of your most recent changes, and "
                "found no differences."
            )
            return
        if found_drift:
            self._out.append(self.rule())
        if plan.mode is Mode.DESTROY:
            self.put("\n[reset][bold][green]No changes.[reset][bold] No objects need to be destroyed.[reset]\n\n")
            self.words(
                "Either you have not created any objects yet or the existing objects were already deleted outside of "
                "Terraform."
            )
            return
        self.put(
            "\n[reset][bold][green]No changes.[reset][bold] Your infrastructure matches the configuration.[reset]\n\n"
        )
        if found_drift:
            if plan.applyable:
                self.words(
                    "Your configuration already matches the changes detected above, so applying this plan will only update "
                    "the state to include the changes detected above and won't change any real infrastructure."
                )
            else:
                suggestion = "." if self.automation else ":\n  terraform apply -refresh-only"
                self.words(
                    "Your configuration already matches the changes detected above. If you'd like to update the Terraform "
                    "state to match, create and apply a refresh-only plan" + suggestion
                )
            return
        self.words(
            "Terraform has compared your real infrastructure against your configuration and found no differences, so no "
            "changes are needed."
        )

    def drift(self, plan: Plan) -> bool:
        """What changed outside and matters here; false when there is nothing to show."""
        refresh_only = plan.mode is Mode.REFRESH_ONLY
        found: list[tuple[ResourceChange, Node]] = []
        for change in plan.drift:
            relevant: Paths | None = None
            if not refresh_only:
                paths = tuple(tuple(path_json(a.path)) for a in plan.relevant if a.resource == str(change.address))
                if not paths:
                    continue
                relevant = paths
            tree = self.tree(change, relevant)
            if refresh_only or tree.action is not Action.NOOP:
                found.append((change, tree))
        nothing_else = not any(_shown(c) for c in plan.changes) and not self.outputs(plan.outputs)
        if not found or (nothing_else and not refresh_only):
            return False
        self.put("\n[bold][cyan]Note:[reset][bold] Objects have changed outside of Terraform\n[reset]")
        self._out.append("\n")
        self._out.append(
            wrap(
                'Terraform detected the following changes made outside of Terraform since the last "terraform apply" which '
                "may have affected this plan:\n",
                self.width - 1,
            )
        )
        for change, tree in found:
            if change.action is not Action.NOOP or change.moved:
                self._out.append("\n" + self.resource(change, drift=True, tree=tree) + "\n")
        if refresh_only:
            self.words(
                "\n\nThis is a refresh-only plan, so Terraform will not take any actions to undo these. If you were expecting "
                "these changes then you can apply this plan to record the updated values in the Terraform state without "
                "changing any remote objects."
            )
        else:
            self.words(
                "\n\nUnless you have made equivalent changes to your configuration, or ignored the relevant attributes using "
                "ignore_changes, the following plan may include actions to undo or respond to these changes."
            )
        return True

    def outputs(self, outputs: Sequence[OutputChange]) -> str:
        found: list[str] = []
        width = max((len(attribute_name(o.name)) for o in outputs), default=0)
        for output in sorted(outputs, key=lambda o: o.name):
            tree = compare_any(output_change(output))
            if tree.action is Action.NOOP:
                continue
            name = attribute_name(output.name).ljust(width)
            found.append(pieces(f"{SYMBOLS[tree.action]} {name} = {show(tree)}", self.colour))
        return "\n".join(found)


_LEGEND = {
    Action.CREATE: "  [green]+[reset] create",
    Action.UPDATE: "  [yellow]~[reset] update in-place",
    Action.DELETE: "  [red]-[reset] destroy",
    Action.REPLACE: "[red]-[reset]/[green]+[reset] destroy and then create replacement",
    Action.CREATE_REPLACE: "[green]+[reset]/[red]-[reset] create replacement and then destroy",
    Action.READ: " [cyan]<=[reset] read (data resources)",
}


def _shown(change: ResourceChange) -> bool:
    if change.action is Action.NOOP and not change.moved and change.importing is None:
        return False
    return not (change.action is Action.DELETE and change.address.mode != "managed")


def summary_counts(changes: Sequence[ResourceChange]) -> str:
    """`1 to add, 0 to change, 2 to destroy.`"""
    counts = {a: sum(1 for c in changes if c.action is a) for a in Action}
    replaced = counts[Action.REPLACE] + counts[Action.CREATE_REPLACE]
    imported = sum(1 for c in changes if c.importing is not None)
    first = f"{imported} to import, " if imported else ""
    return (
        f"{first}{counts[Action.CREATE] + replaced} to add, {counts[Action.UPDATE]} to change, "
        f"{counts[Action.DELETE] + replaced} to destroy."
    )


def resource_change(change: ResourceChange, relevant: Paths | None = None) -> Change:
    """A resource's change as the trees that are compared."""
    before_null, after_null = change.before.is_null, change.after.is_null
    return Change(
        before=known(change.before),
        after=known(change.after),
        has_before=not before_null,
        has_after=not after_null,
        unknown=False if after_null else unknowns(change.after),
        before_sensitive=False if before_null else sensitives(change.before),
        after_sensitive=False if after_null else sensitives(change.after),
        replace=tuple(tuple(path_json(p)) for p in change.replace),
        relevant=EVERYTHING if relevant is None else relevant,
    )


def output_change(output: OutputChange) -> Change:
    """An output's change as the trees that are compared."""
    before, after = output.before, output.after
    return Change(
        before=known(before) if before is not None else None,
        after=known(after) if after is not None else None,
        has_before=False,
        has_after=False,
        unknown=unknowns(after) if after is not None else False,
        before_sensitive=output.sensitive_before and before is not None,
        after_sensitive=output.sensitive_after and after is not None,
    )


def comment(change: ResourceChange, drift: bool) -> str:
    """The lines above a resource's difference: what happens to it, and why."""
    address = str(change.address)
    if change.deposed:
        address += f" (deposed object {change.deposed})"
    action, reason = change.action, change.reason
    lines: list[str]
    told_move = told_import = False
    match action:
        case Action.CREATE:
            lines = [f"[bold]  # {address}[reset] will be created"]
        case Action.READ:
            lines = [f"[bold]  # {address}[reset] will be read during apply", *_READ_REASONS.get(reason, [])]
        case Action.UPDATE:
            lines = [f"[bold]  # {address}[reset] {'has changed' if drift else 'will be updated in-place'}"]
        case Action.REPLACE | Action.CREATE_REPLACE:
            lines = [
                _REPLACE_REASONS.get(reason, "[bold]  # {}[reset] must be [bold][red]replaced[reset]").format(address)
            ]
        case Action.FORGET:
            lines = [
                f"[bold] # {address}[reset] will no longer be managed by Terraform, but [bold][red]will not be destroyed[reset]",
                " # (destroy = false is set in the configuration)",
            ]
            if change.deposed:
                lines = [
                    f"[bold] # {address}[reset] will be removed from Terraform state, but [bold][red]will not be destroyed[reset]",
                    "[bold] # (left over from a partially-failed replacement of this instance)",
                    " # (destroy = false is set in the configuration)",
                ]
        case Action.DELETE:
            what = "has been deleted" if drift else "will be [bold][red]destroyed[reset]"
            lines = [f"[bold]  # {address}[reset] {what}"]
            why = delete_reason(change)
            if why:
                lines.append(f"  # (because {why})")
            if change.deposed:
                lines.append("  # (left over from a partially-failed replacement of this instance)")
        case _:
            if change.moved:
                lines = [f"[bold]  # {change.previous}[reset] has moved to [bold]{address}[reset]"]
                told_move = True
            else:
                lines = [f"[bold]  # {address}[reset] will be imported"]
                if change.generated:
                    lines.append("  #[reset] (config will be generated)")
                told_import = True
    if change.moved and not told_move:
        lines.append(f"  # [reset](moved from {change.previous})")
    if change.importing is not None and not told_import:
        lines.append(f'  # [reset](imported from "{change.importing}")')
        if action.replaces:
            lines.append("  # [reset][yellow]Warning: this will destroy the imported resource[reset]")
    return "\n".join(lines) + "\n"


_READ_REASONS = {
    "read_because_config_unknown": ["  # (config refers to values not yet known)"],
    "read_because_dependency_pending": ["  # (depends on a resource or a module with changes pending)"],
    "read_because_check_nested": ["  # (config will be reloaded to verify a check block)"],
}
_REPLACE_REASONS = {
    "replace_because_tainted": "[bold]  # {}[reset] is tainted, so must be [bold][red]replaced[reset]",
    "replace_by_request": "[bold]  # {}[reset] will be [bold][red]replaced[reset], as requested",
    "replace_by_triggers": "[bold]  # {}[reset] will be [bold][red]replaced[reset] due to changes in replace_triggered_by",
}


def delete_reason(change: ResourceChange) -> str:
    """Why an object is to be destroyed, in words; "" when there is nothing to say."""
    address = change.address
    match change.reason:
        case "delete_because_no_resource_config":
            return f"{address.type}.{address.name} is not in configuration"
        case "delete_because_no_move_target":
            return f"{change.previous} was moved to {address}, which is not in configuration"
        case "delete_because_no_module":
            return f"{module_text(address.module)} is not in configuration"
        case "delete_because_wrong_repetition":
            if address.key is None:
                return "resource uses count or for_each"
            return "resource does not use " + ("count" if isinstance(address.key, int) else "for_each")
        case "delete_because_count_index":
            return f"index {key_text(address.key)} is out of range for count"
        case "delete_because_each_key":
            return f"key {key_text(address.key)} is not in for_each map"
        case _:
            return ""
