"""`output`: the root module's outputs out of the state."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.base.diagnostics import Diagnostic, error, warning
from terrarium.cli.tf_flags import parse
from terrarium.cli.tf_run import outputs_text
from terrarium.cli.tf_world import World, indented
from terrarium.engine.state_file import BadState
from terrarium.language.convert import ConversionError, convert
from terrarium.language.json_values import dumps, to_json
from terrarium.language.printing import console_text
from terrarium.language.type_expressions import to_json as type_to_json
from terrarium.language.types import STRING
from terrarium.language.values import NULL

FLAGS = {"no-color": "bool", "json": "bool", "raw": "bool", "state": "text", "var": "many", "var-file": "many"}


def output(world: World, args: Sequence[str]) -> int:
    flags = parse(args, FLAGS, permute=False)
    if flags.flag("no-color"):
        world.colour = False
    as_json, raw = flags.flag("json"), flags.flag("raw")
    problems = []
    if len(flags.rest) > 1:
        problems.append(
            error(
                "Unexpected argument",
                "The output command expects exactly one argument with the name of an output variable or no arguments to show all outputs.",
            )
        )
    if as_json and raw:
        problems.append(error("Invalid output format", "The -raw and -json options are mutually-exclusive."))
    if raw and not flags.rest:
        problems.append(
            error("Output name required", "You must give the name of a single output value when using the -raw option.")
        )
    if problems:
        code = world.fail(problems)
        world.streams.err.write("\nFor more help on using this command, run:\n  terraform output -help\n")
        return code
    try:
        state = world.store(flags.text("state")).load()
    except BadState as failure:
        return world.fail(failure.diagnostics())
    outputs = state.outputs
    if not flags.rest:
        if as_json:
            document = {
                name: {
                    "sensitive": o.sensitive,
                    "type": type_to_json(o.value.type),
                    "value": to_json(o.value.unmarked_deep(), o.value.type),
                }
                for name, o in sorted(outputs.items())
            }
            world.out(indented(document))
            return 0
        if not outputs:
            world.say([_no_outputs()])
            return 0
        world.out(outputs_text(state))
        return 0
    name = flags.rest[0]
    found = outputs.get(name)
    if found is None:
        if not outputs:
            if as_json or raw:
                return world.fail(_missing(name))
            world.say([_no_outputs()])
            return 0
        return world.fail(_missing(name))
    value = found.value.unmarked_deep()
    if as_json:
        world.out(dumps(to_json(value, value.type)))
        return 0
    if raw:
        if value.data is NULL:
            return world.fail(
                error(
                    "Unsupported value for raw output",
                    f'The value for output value "{name}" is null, so -raw mode cannot print it.',
                )
            )
        try:
            text = convert(value, STRING)
        except ConversionError:
            return world.fail(
                error(
                    "Unsupported value for raw output",
                    f'The -raw option only supports strings, numbers, and boolean values, but output value "{name}" is {value.type.friendly()}.\n\nUse the -json option for machine-readable representations of output values that have complex types.',
                )
            )
        world.out(text.data, end="")
        return 0
    world.out(console_text(value))
    return 0


def _no_outputs() -> Diagnostic:
    return warning(
        "No outputs found",
        "The state file either has no outputs defined, or all the defined outputs are empty. Please define an output in your "
        "configuration with the `output` keyword and run `terraform refresh` for it to become available. If you are using "
        "interpolation, please verify the interpolated value is not empty. You can use the `terraform console` command to assist.",
    )


def _missing(name: str) -> Diagnostic:
    return error(
        f'Output "{name}" not found',
        "The output variable requested could not be found in the state file. If you recently added this to your configuration, be sure "
        "to run `terraform apply`, since the state won't be updated with new output variables until that command is run.",
    )
