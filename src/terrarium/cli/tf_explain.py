"""`terrarium explain plan ADDRESS`: why a plan replaces, changes or does not know something."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from terrarium.base.diagnostics import Diagnostic
    from terrarium.cli.tf_world import World
    from terrarium.engine.configuration import ModuleNode
    from terrarium.engine.explain_plan import Cause, Explanation
    from terrarium.engine.plan import Plan

_KINDS = {
    "replaces": "forces the replacement",
    "changes": "changes",
    "unknown": "is not known yet",
    "drifted": "drifted",
}


@click.command("plan")
@click.argument("address", required=False)
@click.option("--plan", "file", type=click.Path(path_type=Path), help="A plan file; without it the folder is planned.")
@click.option(
    "--chdir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The configuration's folder."
)
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="A variable's value, as for tf plan.")
@click.option("--var-file", "files", multiple=True, metavar="FILE", help="A file of variables, as for tf plan.")
@click.option("--destroy", is_flag=True, help="Explain a plan to destroy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    address: str | None,
    file: Path | None,
    chdir: Path | None,
    variables: Sequence[str],
    files: Sequence[str],
    destroy: bool,
    as_json: bool,
) -> None:
    """Say why Terraform plans what it plans for the object ADDRESS.

    For every attribute that changes, that forces a replacement or that is not known yet: the expression it comes from,
    and what that depends on, back to the cause. Without ADDRESS, all objects that change are explained.

    Example: terrarium explain plan aws_instance.web
    """
    from terrarium.cli.tf_world import World

    if chdir is not None:
        os.chdir(chdir)
    world = World(os.environ)
    try:
        found, root, problems = _planned(world, file, variables, files, destroy)
        if found is None or root is None:
            raise SystemExit(world.fail(problems))
        raise SystemExit(_explain(world, found, root, address, as_json))
    finally:
        world.plugins.close()


def _planned(
    world: World, file: Path | None, variables: Sequence[str], files: Sequence[str], destroy: bool
) -> tuple[Plan | None, ModuleNode | None, list[Diagnostic]]:
    """A plan to explain: the one in the file, or one made now, without a lock and without a word."""
    from terrarium.cli.tf_flags import Parsed
    from terrarium.cli.tf_prepare import make
    from terrarium.cli.tf_saved import load_saved
    from terrarium.engine.events import Progress
    from terrarium.engine.plan import Mode

    many = [("var", text) for text in variables] + [("var-file", text) for text in files]
    flags = Parsed(flags={"lock": False, "input": False}, many=many)
    if file is not None:
        found, root, store, problems = load_saved(world, flags, file)
    else:
        mode = Mode.DESTROY if destroy else Mode.NORMAL
        found, root, store, problems = make(world, flags, mode, "Plan", lambda: False, events=Progress())
    if store is not None and file is not None:
        store.unlock()
    if found is not None and found.errored and not found.changes:
        return None, None, problems
    return found, root, problems


def _explain(world: World, found: Plan, root: ModuleNode, address: str | None, as_json: bool) -> int:
    from terrarium.base.diagnostics import error
    from terrarium.engine.addresses import AddressError, parse_instance
    from terrarium.engine.explain_plan import explain_change, near_addresses
    from terrarium.engine.plan import Action

    if address is None:
        wanted = [c.address for c in found.changes if c.action is not Action.NOOP or c.moved or c.importing is not None]
    else:
        try:
            wanted = [parse_instance(address)]
        except AddressError as problem:
            return world.fail(error(f'Invalid address "{address}"', problem.detail))
    explained: list[Explanation] = []
    for one in wanted:
        explanation = explain_change(found, root, one)
        if explanation is None:
            near = near_addresses(found, str(one))
            hint = f" Is it one of these? {', '.join(near)}" if near else ""
            return world.fail(error("Nothing planned for this address", f"The plan has no object {one}.{hint}"))
        explained.append(explanation)
    if as_json:
        documents = [e.document() for e in explained]
        print(json.dumps(documents[0] if address is not None else documents, indent=2, ensure_ascii=False))
        return 0
    if not explained:
        print("Nothing changes: the infrastructure matches the configuration.")
    print("\n\n".join(text(e) for e in explained))
    return 0


def text(explanation: Explanation) -> str:
    """An explanation for people."""
    place = f"  ({explanation.place})" if explanation.place else ""
    lines = [f"{explanation.address} {explanation.action}{place}"]
    lines += [f"  {reason}" for reason in explanation.reasons]
    for why in explanation.attributes:
        lines.append("")
        lines.append(f"  {why.attribute} {_KINDS[why.kind]}: {why.before} -> {why.after}")
        if why.expression:
            lines.append(f"    {why.place}: {why.expression}")
        for cause in why.because:
            lines += _cause(cause, 4)
    return "\n".join(lines)


def _cause(cause: Cause, depth: int) -> list[str]:
    indent = " " * depth
    place = f"  ({cause.place})" if cause.place and not cause.expression else ""
    lines = [f"{indent}because {cause.text}{place}"]
    if cause.expression:
        lines.append(f"{indent}  {cause.place}: {cause.expression}")
    for inner in cause.because:
        lines += _cause(inner, depth + 2)
    return lines


__all__ = ["plan", "text"]
