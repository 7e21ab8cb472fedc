"""`init`: backend, modules, providers, and the records of them in the working folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.cli.tf_flags import Parsed, parse
from terrarium.cli.tf_init_backend import initialize_backend
from terrarium.cli.tf_init_providers import install_providers
from terrarium.cli.tf_init_says import Says, fail
from terrarium.cli.tf_modules import get, install_modules
from terrarium.cli.tf_world import World
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.loading import load_module
from terrarium.engine.module_tree import Disk, core_version_problems, load_tree

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


def init(world: World, args: Sequence[str]) -> int:
    flags = parse(args, FLAGS)
    if flags.flag("no-color"):
        world.colour = False
    say = Says(world, flags.flag("json"))
    problems = _flag_problems(flags)
    if problems:
        return fail(world, flags, problems)
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
        if flags.flag("backend", True):
            say("[reset][bold]Initializing the backend...", "initializing_backend_message")
        return fail(world, flags, [*early, *version_problems])
    if has_errors(early):
        return _invalid(world, flags, root, early, say)
    if flags.flag("backend", True):
        code = initialize_backend(world, flags, root, say)
        if code:
            return code
    from terrarium.engine.testing.reading import module_calls, read_tests

    tests, sources, problems = read_tests(disk, Path(), flags.text("test-directory") or "tests")
    world.sources.update(sources)
    if has_errors(problems):
        return fail(world, flags, [_unusable(), *problems])
    manifest = world.manifest()
    if flags.flag("get", True):
        manifest, _, diagnostics = install_modules(world, root, flags.flag("upgrade"), say, module_calls(tests))
        if has_errors(diagnostics):
            return fail(world, flags, diagnostics)
    root, diagnostics = load_tree(disk, manifest)
    world.sources.update(root.sources())
    if has_errors(diagnostics):
        return fail(world, flags, diagnostics if flags.flag("get", True) else [_unusable(), *diagnostics])
    code, more = install_providers(world, flags, root, say)
    diagnostics += more
    if code:
        return fail(world, flags, diagnostics, code)
    diagnostics = [*world.early, *diagnostics]
    if flags.flag("json"):
        from terrarium.cli.tf_json_ui import diagnostics_json

        diagnostics_json(world, diagnostics)
    else:
        world.say(diagnostics)
    _success(say, world)
    return 0


def _from_module(world: World, flags: Parsed, source: str, say: Says) -> int:
    """Copies a local module into the working folder, which must have no configuration yet."""
    import shutil

    say(f'[reset][bold]Copying configuration[reset] from "{source}"...', "copying_configuration_message")
    if any(name not in (".terraform", ".terraform.lock.hcl") for name in os.listdir()):  # noqa: PTH208
        return fail(
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
        return fail(
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
    again: list[Diagnostic] = []
    if flags.flag("backend", True):
        say("[reset][bold]Initializing the backend...", "initializing_backend_message")
        # Files are parsed once, but what they say is read twice.
        again = [d for d in early if d not in root.module.unreadable]
    if root.module.calls and flags.flag("get", True):
        install_modules(world, root, flags.flag("upgrade"), say)
        return fail(world, flags, early)
    return fail(world, flags, [*early, *again, _unusable()])


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


__all__ = ["get", "init", "install_modules"]
