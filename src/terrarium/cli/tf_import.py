"""`import`: takes an existing object into the state."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.base.diagnostics import error, has_errors
from terrarium.base.source import Source
from terrarium.cli.tf_flags import WrongUse, parse
from terrarium.cli.tf_options import COMMON
from terrarium.cli.tf_run import begin, checked_configuration, functions_session, gathered_variables
from terrarium.cli.tf_view import Lines
from terrarium.cli.tf_world import World
from terrarium.engine import variables
from terrarium.engine.addresses import AddressError, Instance, parse_instance, resource_text
from terrarium.engine.importing import import_object
from terrarium.engine.plan import Mode
from terrarium.language.render import paint


class ImportLines(Lines):
    def import_start(self, address: Instance, id: str) -> None:
        self._line(str(address), f'Importing from ID "{id}"...')

    def import_done(self, address: Instance, id: str) -> None:
        self._put(
            paint(
                f"[reset][bold][green]{address}: Import prepared![reset]\n[reset][green]  Prepared {address.type} for import[reset]\n",
                self._colour,
            )
        )


def import_(world: World, args: Sequence[str]) -> int:
    flags = parse(args, COMMON | {"config": "text", "allow-missing-config": "bool", "ignore-remote-version": "bool"})
    begin(world, flags)
    if len(flags.rest) != 2:
        raise WrongUse("The import command expects two arguments.", quiet=True)
    text, id = flags.rest
    try:
        address = parse_instance(text)
    except AddressError as problem:
        source = Source("<import-address>", text)
        world.sources["<import-address>"] = source
        world.say([error(problem.summary, problem.detail, source.range(problem.at, problem.at))])
        world.out(
            "For information on valid syntax, see:\nhttps://developer.hashicorp.com/terraform/cli/state/resource-addressing"
        )
        return 1
    if address.mode != "managed":
        return world.fail(
            error(
                "Invalid address",
                "A managed resource address is required. Importing into a data resource is not allowed.",
            )
        )
    root, diagnostics = checked_configuration(world, Mode.NORMAL, "Import")
    if root is None:
        return world.fail(diagnostics)
    if root.resource(address.config) is None:
        where = (
            "the root module"
            if not address.module
            else "module "
            + str(address.config).partition("." + resource_text(address.mode, address.type, address.name))[0]
        )
        world.streams.err.write(
            f'Error: resource address "{address}" does not exist in the configuration.\n\nBefore importing this resource, please create its configuration in '
            f'{where}. For example:\n\nresource "{address.type}" "{address.name}" {{\n  # (resource arguments)\n}}\n\n'
        )
        return 1
    gathered = gathered_variables(world, root, flags)
    values, more = variables.settle(root.module, gathered)
    diagnostics += more
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    store = world.store(flags.text("state"), flags.text("state-out"), flags.text("backup"))
    with store.locked("import", flags.flag("lock", True)):
        state = store.load()
        lines = ImportLines(world.streams.print, world.colour)
        session = functions_session(world, root, values, flags, lines, True, lambda: False)
        diagnostics += import_object(session, state, address, id)
        lines.close()
        if has_errors(diagnostics):
            return world.fail(diagnostics)
        store.finish(state)
    world.streams.print(
        paint(
            "[reset][green]\nImport successful!\n\nThe resources that were imported are shown above. These resources are now in\nyour Terraform state and will henceforth be managed by Terraform.\n\n",
            world.colour,
        )
    )
    world.say(diagnostics)
    return 0
