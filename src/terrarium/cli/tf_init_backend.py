"""`init` and the backend: what is configured against what was initialised before, and state that moves between them."""

from __future__ import annotations

from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.base.files import write_atomic
from terrarium.cli.tf_backend import configured, record, record_path, recorded
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_init_says import Says, fail
from terrarium.cli.tf_world import World
from terrarium.engine.backends import state_path
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.state_store import LocalStore
from terrarium.language.render import paint


def _overrides(flags: Parsed) -> tuple[dict[str, str], list[Diagnostic]]:
    """The settings of `-backend-config`: `name=value`, or files of them."""
    from terrarium.engine import static
    from terrarium.engine.loading import parse_text
    from terrarium.language.bodies import just_attributes

    found: dict[str, str] = {}
    diagnostics: list[Diagnostic] = []
    for text in flags.all("backend-config"):
        name, equals, value = text.partition("=")
        if equals:
            found[name.strip()] = value
            continue
        try:
            file, problems = parse_text(Path(text).read_bytes(), text)
        except OSError:
            diagnostics.append(error("Failed to read file", f'The file "{text}" could not be read.'))
            continue
        diagnostics += problems
        for key, attribute in just_attributes(file.body)[0].items():
            written, more = static.constant_text(attribute.expression)
            diagnostics += more
            if written is not None:
                found[key] = written
    return found, diagnostics


def initialize_backend(world: World, flags: Parsed, root: ModuleNode, say: Says) -> int:
    say("[reset][bold]Initializing the backend...", "initializing_backend_message")
    overrides, diagnostics = _overrides(flags)
    settings, more = configured(root, overrides)
    diagnostics += more
    if has_errors(diagnostics):
        return fail(world, flags, diagnostics)
    known = recorded(world)
    backend = root.module.backend
    if settings is None or backend is None:
        if overrides:
            world.early.append(_missing_backend(overrides))
        if known is not None:
            return _unset(world, flags, known, say)
        return 0
    before = known.get("config") if known else None
    if known is not None and before == settings and not flags.flag("reconfigure"):
        return 0
    if known is not None and not flags.flag("reconfigure"):
        code = _migrate(world, flags, before or {}, settings)
        if code:
            return code
    elif known is None:
        code = _adopt_local(world, flags, settings)
        if code:
            return code
    record(world, backend, settings, configured(root, {})[0] or {})
    world.out_painted(
        f'[reset][green]\nSuccessfully configured the backend "{backend.type}"! Terraform will automatically\nuse this backend unless '
        "the backend configuration changes.[reset]"
    )
    return 0


def _missing_backend(overrides: object) -> Diagnostic:
    from terrarium.base.diagnostics import warning

    return warning(
        "Missing backend configuration",
        '-backend-config was used without a "backend" block in the configuration.\n\nIf you intended to override the default local '
        "backend configuration,\nno action is required, but you may add an explicit backend block to your\nconfiguration to clear this "
        'warning:\n\nterraform {\n  backend "local" {}\n}\n\nHowever, if you intended to override a defined backend, please verify '
        "that\nthe backend configuration is present and valid.",
    )


def _changed() -> Diagnostic:
    return error(
        "Backend configuration changed",
        "A change in the backend configuration has been detected, which may require migrating existing state.\n\nIf you wish to attempt "
        'automatic migration of the state, use "terraform init -migrate-state".\nIf you wish to store the current configuration with no '
        'changes to the state, use "terraform init -reconfigure".',
    )


def _copy_state(world: World, source: Path, target: Path) -> None:
    old = LocalStore(source).load()
    if old.empty and not old.lineage:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    write_atomic(target, data, 0o644)
    # What was moved away stays as a backup beside an empty file.
    write_atomic(source.with_name(source.name + ".backup"), data, 0o644)
    write_atomic(source, b"", 0o644)


def _ask_copy(world: World, flags: Parsed, question: str, text: str) -> bool | None:
    """Yes, no, or None when nobody can be asked."""
    import sys

    if flags.flag("force-copy"):
        return True
    if not flags.flag("input", True) or not world.input_allowed:
        return None
    world.streams.print(paint(f"[bold]{question}[reset]\n{text}\n\n  [bold]Enter a value:[reset] ", world.colour))
    line = sys.stdin.readline()
    world.streams.print("\n")
    if not line:
        return None
    return line.strip() == "yes"


def _migrate(world: World, flags: Parsed, before: dict[str, object], settings: dict[str, object]) -> int:
    if not flags.flag("migrate-state") and not flags.flag("force-copy"):
        return fail(world, flags, [_changed()])
    world.streams.print(
        "Backend configuration changed!\n\nTerraform has detected that the configuration specified for the backend\nhas changed. Terraform will now check for existing state in the backends.\n\n\n"
    )
    return _copy(world, flags, state_path(before, "default"), state_path(settings, "default"))


def _copy(world: World, flags: Parsed, source: Path, target: Path) -> int:
    if source == target or not source.exists() or LocalStore(source).load().empty:
        return 0
    if target.exists() and target.read_bytes().strip():
        question = "Do you want to copy existing state to the new backend?"
    else:
        question = "Do you want to copy existing state to the new backend?"
    text = (
        '  Pre-existing state was found while migrating the previous "local" backend to the\n  newly configured "local" backend. No '
        'existing state was found in the newly\n  configured "local" backend. Do you want to copy this state to the new "local"\n  '
        'backend? Enter "yes" to copy and "no" to start with an empty state.'
    )
    answer = _ask_copy(world, flags, question, text)
    if answer is None:
        return fail(
            world,
            flags,
            [
                error(
                    "Error asking for state migration action: input is disabled",
                    "Use -force-copy to copy the state without a question, or -reconfigure to leave it where it is.",
                )
            ],
        )
    if answer:
        _copy_state(world, source, target)
    return 0


def _adopt_local(world: World, flags: Parsed, settings: dict[str, object]) -> int:
    """A backend is configured for the first time: an existing terraform.tfstate may move into it."""
    if flags.flag("reconfigure"):
        return 0
    return _copy(world, flags, state_path({}, "default"), state_path(settings, "default"))


def _unset(world: World, flags: Parsed, known: dict[str, object], say: Says) -> int:
    if not flags.flag("migrate-state") and not flags.flag("reconfigure") and not flags.flag("force-copy"):
        return fail(world, flags, [_changed()])
    config = known.get("config")
    settings = config if isinstance(config, dict) else {}
    if not flags.flag("reconfigure"):
        say(
            f'Terraform has detected you\'re unconfiguring your previously set "{known["type"]}" backend.',
            "backend_unset",
        )
        code = _copy(world, flags, state_path(settings, "default"), state_path({}, "default"))
        if code:
            return code
    record_path(world).unlink(missing_ok=True)
    say(f'\n\nSuccessfully unset the backend "{known["type"]}". Terraform will now operate locally.', "backend_unset")
    return 0
