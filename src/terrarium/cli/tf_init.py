"""`init` and `get`: backend, modules, providers, and the records of them in the working folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.base.files import write_atomic
from terrarium.cli.tf_backend import configured, record, record_path, recorded
from terrarium.cli.tf_flags import Parsed, parse
from terrarium.cli.tf_world import World, too_many_arguments
from terrarium.engine.addresses import BUILTIN, display_source
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.dependencies import requirements
from terrarium.engine.loading import load_module
from terrarium.engine.lock_file import Lock, read_locks, write_locks
from terrarium.engine.module_sources import SourceError, parse_module_source
from terrarium.engine.module_tree import Disk, Installed, core_version_problems, joined_folder, load_tree, manifest_text
from terrarium.engine.state import State
from terrarium.engine.versions import Constraint, Version
from terrarium.language.render import paint

FLAGS = {
    "backend": "bool",
    "backend-config": "many",
    "cloud": "bool",
    "force-copy": "bool",
    "from-module": "text",
    "get": "bool",
    "input": "bool",
    "lock": "bool",
    "lock-timeout": "duration",
    "no-color": "bool",
    "json": "bool",
    "plugin-dir": "many",
    "reconfigure": "bool",
    "migrate-state": "bool",
    "upgrade": "bool",
    "lockfile": "text",
    "ignore-remote-version": "bool",
    "test-directory": "text",
    "var": "many",
    "var-file": "many",
}
_INVALID = (
    "Terraform encountered problems during initialisation, including problems\nwith the configuration, described below.\n\n"
    "The Terraform configuration must be valid before initialization so that\nTerraform can determine which modules and "
    "providers need to be installed."
)


class Says:
    """What `init` tells, as text or as JSON lines."""

    def __init__(self, world: World, as_json: bool) -> None:
        self.world = world
        self.as_json = as_json

    def __call__(self, text: str, code: str = "") -> None:
        if self.as_json:
            from terrarium.cli.tf_json_ui import message

            message(self.world, text, code)
            return
        self.world.streams.print(paint(text, self.world.colour) + "\n")


def init(world: World, args: Sequence[str]) -> int:
    flags = parse(args, FLAGS)
    if flags.flag("no-color"):
        world.colour = False
    say = Says(world, flags.flag("json"))
    problems = _flag_problems(flags)
    if problems:
        return _fail(world, flags, problems)
    if flags.flag("json"):
        from terrarium.cli.tf_json_ui import header

        header(world)
    if flags.text("from-module"):
        code = _from_module(world, flags, flags.text("from-module"), say)
        if code:
            return code
    if not world.has_configuration():
        say(
            "[reset][bold]Terraform initialized in an empty directory![reset]\n\nThe directory has no Terraform configuration "
            "files. You may begin working\nwith Terraform immediately by creating Terraform configuration files.",
            "empty_message",
        )
        return 0
    disk = Disk()
    module, early = load_module(".", disk)
    world.sources.update(module.sources)
    root = ModuleNode((), module)
    version_problems = core_version_problems(root, "")
    if version_problems:
        return _fail(world, flags, [*early, *version_problems])
    if has_errors(early):
        return _invalid(world, flags, root, early, say)
    if flags.flag("backend", True):
        code = _backend(world, flags, root, say)
        if code:
            return code
    from terrarium.engine.testing.reading import module_calls, read_tests

    tests, sources, problems = read_tests(disk, Path(), flags.text("test-directory") or "tests")
    world.sources.update(sources)
    if has_errors(problems):
        return _fail(world, flags, [_unusable(), *problems])
    manifest = world.manifest()
    if flags.flag("get", True):
        manifest, _, diagnostics = install_modules(world, root, flags.flag("upgrade"), say, module_calls(tests))
        if has_errors(diagnostics):
            return _fail(world, flags, diagnostics)
    root, diagnostics = load_tree(disk, manifest)
    world.sources.update(root.sources())
    if has_errors(diagnostics):
        return _fail(world, flags, diagnostics if flags.flag("get", True) else [_unusable(), *diagnostics])
    code, more = install_providers(world, flags, root, say)
    diagnostics += more
    if code:
        return _fail(world, flags, diagnostics, code)
    world.say(diagnostics)
    _success(say, world)
    return 0


def _from_module(world: World, flags: Parsed, source: str, say: Says) -> int:
    """Copies a local module into the working folder, which must have no configuration yet."""
    import shutil

    say(f'[reset][bold]Copying configuration[reset] from "{source}"...', "copying_configuration_message")
    if any(name not in (".terraform", ".terraform.lock.hcl") for name in os.listdir()):  # noqa: PTH208
        return _fail(
            world,
            flags,
            [
                error(
                    "Can't populate non-empty directory",
                    "The target directory . is not empty, so it cannot be initialized with the -from-module=... option.",
                )
            ],
        )
    folder = Path(source)
    if not folder.is_dir():
        return _fail(
            world,
            flags,
            [
                error(
                    "Unreadable module directory",
                    f"The directory {source} could not be read: only local folders can be copied.",
                )
            ],
        )
    for path in sorted(folder.iterdir()):
        if path.resolve() == Path.cwd().resolve():
            continue
        if path.is_dir():
            shutil.copytree(path, path.name, dirs_exist_ok=True)
        else:
            shutil.copy2(path, path.name)
    return 0


def _invalid(world: World, flags: Parsed, root: ModuleNode, early: list[Diagnostic], say: Says) -> int:
    """A root module with mistakes: what Terraform still does with it before it says so."""
    if flags.flag("backend", True):
        say("[reset][bold]Initializing the backend...", "initializing_backend_message")
        if not (root.module.calls and flags.flag("get", True)):
            # Files are parsed once, but what they say is read twice.
            early = [*early, *(d for d in early if d not in root.module.unreadable)]
    if root.module.calls and flags.flag("get", True):
        install_modules(world, root, flags.flag("upgrade"), say)
        return _fail(world, flags, early)
    return _fail(world, flags, [_unusable(), *early])


def _unusable() -> Diagnostic:
    return error(_INVALID)


def _flag_problems(flags: Parsed) -> list[Diagnostic]:
    if flags.rest:
        return [error("Too many command line arguments. Did you mean to use -chdir?")]
    if flags.flag("migrate-state") and flags.flag("json"):
        return [
            error(
                "Terraform cannot ask for permission to migrate state with -json",
                "The -migrate-state and -json options are mutually-exclusive.",
            )
        ]
    if flags.flag("migrate-state") and flags.flag("reconfigure"):
        return [error("Invalid init options", "The -migrate-state and -reconfigure options are mutually-exclusive.")]
    return []


def _fail(world: World, flags: Parsed, diagnostics: Sequence[Diagnostic], code: int = 1) -> int:
    if flags.flag("json"):
        from terrarium.cli.tf_json_ui import diagnostics_json

        diagnostics_json(world, diagnostics)
        return code
    return world.fail(diagnostics, code)


def _success(say: Says, world: World) -> None:
    say(
        "\n[reset][bold][green]Terraform has been successfully initialized![reset][green]",
        "output_init_success_message",
    )
    if not world.automation:
        say(
            '[reset][green]\nYou may now begin working with Terraform. Try running "terraform plan" to see\nany changes that are '
            "required for your infrastructure. All Terraform commands\nshould now work.\n\nIf you ever set or change modules or "
            "backend configuration for Terraform,\nrerun this command to reinitialize your working directory. If you forget, "
            "other\ncommands will detect it and remind you to do so if necessary.[reset]",
            "output_init_success_cli_message",
        )


# --- backend -----------------------------------------------------------------------------------------------------------


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


def _backend(world: World, flags: Parsed, root: ModuleNode, say: Says) -> int:
    say("[reset][bold]Initializing the backend...", "initializing_backend_message")
    overrides, diagnostics = _overrides(flags)
    settings, more = configured(root, overrides)
    diagnostics += more
    if has_errors(diagnostics):
        return _fail(world, flags, diagnostics)
    known = recorded(world)
    backend = root.module.backend
    if settings is None or backend is None:
        if overrides:
            world.say([_missing_backend(overrides)])
        if known is not None:
            return _unset(world, flags, known, say)
        return 0
    before = known.get("config") if known else None
    if known is not None and before == settings:
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
    say(
        f'[reset][green]\nSuccessfully configured the backend "{backend.type}"! Terraform will automatically\nuse this backend unless '
        "the backend configuration changes.[reset]",
        "backend_configured",
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
    from terrarium.engine.state_store import LocalStore

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
        return _fail(world, flags, [_changed()])
    from terrarium.engine.backends import state_path

    world.streams.print(
        "Backend configuration changed!\n\nTerraform has detected that the configuration specified for the backend\nhas changed. Terraform will now check for existing state in the backends.\n\n\n"
    )
    return _copy(world, flags, state_path(before, "default"), state_path(settings, "default"))


def _copy(world: World, flags: Parsed, source: Path, target: Path) -> int:
    if source == target or not source.exists() or not source.read_bytes().strip():
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
        return _fail(
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
    from terrarium.engine.backends import state_path

    if flags.flag("reconfigure"):
        return 0
    return _copy(world, flags, state_path({}, "default"), state_path(settings, "default"))


def _unset(world: World, flags: Parsed, known: dict[str, object], say: Says) -> int:
    from terrarium.engine.backends import state_path

    if not flags.flag("migrate-state") and not flags.flag("reconfigure") and not flags.flag("force-copy"):
        return _fail(world, flags, [_changed()])
    config = known.get("config")
    settings = config if isinstance(config, dict) else {}
    if not flags.flag("reconfigure"):
        code = _copy(world, flags, state_path(settings, "default"), state_path({}, "default"))
        if code:
            return code
    record_path(world).unlink(missing_ok=True)
    say(f'\n\nSuccessfully unset the backend "{known["type"]}". Terraform will now operate locally.', "backend_unset")
    return 0


# --- modules -----------------------------------------------------------------------------------------------------------


def install_modules(
    world: World,
    root: ModuleNode,
    upgrade: bool,
    say: Callable[[str, str], None],
    others: Sequence[ModuleNode] = (),
) -> tuple[dict[str, Installed], bool, list[Diagnostic]]:
    """Finds the folder of every call and writes the manifest; true when there were calls. `others` have calls of their
    own, beside those of the configuration (test files)."""
    if not root.module.calls and not others:
        path = world.data_folder / "modules" / "modules.json"
        if path.exists():
            write_atomic(path, manifest_text({"": Installed("", "", ".")}).encode(), 0o644)
        return {}, False, []
    say(
        "[reset][bold]Upgrading modules..." if upgrade else "[reset][bold]Initializing modules...",
        "initializing_modules_message",
    )
    manifest = {"": Installed("", "", ".")}
    diagnostics: list[Diagnostic] = []
    known = world.manifest()
    for node in (root, *others):
        _install(world, node, ".", manifest, {} if upgrade else known, diagnostics, say)
    folder = world.data_folder / "modules"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "modules.json", manifest_text(manifest).encode(), 0o644)
    return manifest, True, diagnostics


def _install(
    world: World,
    node: ModuleNode,
    folder: str,
    manifest: dict[str, Installed],
    known: dict[str, Installed],
    diagnostics: list[Diagnostic],
    say: Callable[[str, str], None],
) -> None:
    for name, call in sorted(node.module.calls.items()):
        path = (*node.path, name)
        key = ".".join(path)
        try:
            source = parse_module_source(call.source, call.version is not None)
        except SourceError:
            continue
        if source.kind != "local":
            diagnostics.append(
                error(
                    "Failed to download module"
                    if source.kind == "remote"
                    else "Error accessing remote module registry",
                    f'Could not install module "{name}" ({call.range.filename}:{call.range.start.line}) from {call.source}: only modules in '
                    "local folders can be installed without a network.",
                    call.source_range,
                )
            )
            continue
        where = joined_folder(folder, call.source)
        if len(path) > 60:
            diagnostics.append(
                error(
                    "Module calls itself",
                    f"The module at {where} calls itself, so there is no end to its installation.",
                    call.range,
                )
            )
            return
        if not Path(where).is_dir():
            say(f"- {key} in", "")
            diagnostics.append(
                error(
                    "Unreadable module directory",
                    f"Unable to evaluate directory symlink: lstat {_first_missing(where)}: no such file or directory",
                )
            )
            diagnostics.append(
                error(
                    "Unreadable module directory",
                    f'The directory  could not be read for module "{name}" at {call.range.filename}:{call.range.start.line}.',
                )
            )
            manifest[key] = Installed(key, call.source, "")
            continue
        before = known.get(key)
        if before is None or before.folder != where or before.source != call.source:
            say(f"- {key} in {where}", "")
        manifest[key] = Installed(key, call.source, where)
        module, found = load_module(where, Disk())
        world.sources.update(module.sources)
        diagnostics += found
        child = ModuleNode(path, module, call, node)
        node.children[name] = child
        _install(world, child, where, manifest, known, diagnostics, say)


def _first_missing(where: str) -> str:
    parts = Path(where).parts
    for count in range(1, len(parts) + 1):
        if not Path(*parts[:count]).exists():
            return parts[count - 1] if parts[0] != ".." else str(Path(*parts[:count]))
    return where


def get(world: World, args: Sequence[str]) -> int:
    flags = parse(args, {"update": "bool", "no-color": "bool", "test-directory": "text"})
    if flags.flag("no-color"):
        world.colour = False
    if flags.rest:
        return too_many_arguments(world)
    module, diagnostics = load_module(".", Disk())
    world.sources.update(module.sources)
    if has_errors(diagnostics):
        return world.fail(diagnostics)
    say = Says(world, False)

    def rows(text: str, code: str) -> None:
        if text.startswith("- "):
            say(text)

    _, _, more = install_modules(world, ModuleNode((), module), flags.flag("update"), rows)
    world.say(more)
    return 1 if has_errors(more) else 0


# --- providers ---------------------------------------------------------------------------------------------------------


def _state_of(world: World) -> State | None:
    from terrarium.engine.state_file import BadState

    try:
        return world.store().load()
    except (BadState, OSError):
        return None  # a broken state is the business of the commands that need it


def install_providers(world: World, flags: Parsed, root: ModuleNode, say: Says) -> tuple[int, list[Diagnostic]]:
    """Chooses the version of each provider and records it."""
    say("[reset][bold]Initializing provider plugins...", "initializing_provider_plugin_message")
    diagnostics: list[Diagnostic] = []
    path = Path(".terraform.lock.hcl")
    locks = read_locks(path)
    chosen: dict[str, Lock] = {}
    needed = requirements(root, _state_of(world))
    for source, requirement in needed.items():
        shown = display_source(source)
        if source == BUILTIN:
            if requirement.constraints:
                diagnostics.append(
                    error(
                        "Invalid dependency on built-in provider",
                        f"Cannot use {source}: built-in providers do not support explicit version constraints.",
                    )
                )
            else:
                say(f"- {source} is built in to Terraform", "")
            continue
        text = ", ".join(requirement.constraints)
        try:
            constraint = Constraint.parse(text)
        except ValueError:
            diagnostics.append(
                error(
                    "Invalid version constraint", f'The version constraint "{text}" for provider {shown} is not valid.'
                )
            )
            continue
        locked = locks.get(source)
        factory = world.plugins.factories.get(source)
        if locked is not None and not flags.flag("upgrade"):
            say(f"- Reusing previous version of {shown} from the dependency lock file", "")
        elif text:
            say(f'- Finding {shown} versions matching "{constraint}"...', "")
        else:
            say(f"- Finding latest version of {shown}...", "")
        if factory is None:
            diagnostics.append(
                error(
                    "Failed to query available provider packages",
                    f"Could not retrieve the list of available versions for provider {shown}: it is not one of the providers that come "
                    "with this program, and no package of it is installed.\n\nTo see which modules are currently depending on "
                    f"{shown} and what versions are specified, run the following command:\n    terraform providers",
                )
            )
            continue
        if not constraint.allows(Version.parse(factory.version)):
            diagnostics.append(
                error(
                    "Failed to query available provider packages",
                    f"Could not retrieve the list of available versions for provider {shown}: no available releases match the given "
                    f"constraints {constraint} (this program comes with version {factory.version}).",
                )
            )
            continue
        if locked is not None and locked.version == factory.version:
            say(f"- Using previously-installed {shown} v{factory.version}", "")
            chosen[source] = Lock(source, locked.version, str(constraint), locked.hashes)
        else:
            say(f"- Installing {shown} v{factory.version}...", "")
            say(f"- Installed {shown} v{factory.version} (built in to Terrarium)", "")
            chosen[source] = Lock(source, factory.version, str(constraint))
    if has_errors(diagnostics):
        return 1, diagnostics
    if chosen and chosen != locks:
        if flags.text("lockfile") == "readonly":
            return 1, [
                *diagnostics,
                error(
                    "Provider dependency changes detected",
                    'Changes to the required provider dependencies were detected, but the lock file is read-only. To use and record these requirements, run "terraform init" without the "-lockfile=readonly" flag.',
                ),
            ]
        had = bool(locks)
        write_locks(path, chosen)
        if not had:
            say(
                "\nTerraform has created a lock file [bold].terraform.lock.hcl[reset] to record the provider\nselections it made above. Include "
                "this file in your version control repository\nso that Terraform can guarantee to make the same selections by default when\n"
                'you run "terraform init" in the future.',
                "lock_info",
            )
        else:
            say(
                "\nTerraform has made some changes to the provider dependency selections recorded\nin the .terraform.lock.hcl file. Review those changes and commit them to your\nversion control system if they represent changes you intended to make.",
                "dependencies_lock_changes_info",
            )
    elif not chosen and locks and not flags.text("lockfile"):
        path.unlink()
    return 0, diagnostics


__all__ = ["get", "init", "json"]
