"""`init` and providers: which version of each is chosen, and the lock file that records it."""

from __future__ import annotations

from pathlib import Path

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_init_says import Says
from terrarium.cli.tf_packages import find_package, install_package
from terrarium.cli.tf_world import World
from terrarium.engine.addresses import BUILTIN, display_source
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.dependencies import requirements
from terrarium.engine.lock_file import Lock, read_locks, write_locks
from terrarium.engine.state import State
from terrarium.engine.versions import Constraint, Version


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
                say(f"{'' if say.as_json else '- '}{source} is built in to Terraform", "")
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
        if source in world.cli_config.overrides:
            continue
        own = world.own_providers.get(source)
        if locked is not None and not flags.flag("upgrade"):
            say(f"- Reusing previous version of {shown} from the dependency lock file", "")
        elif text:
            say(f'- Finding {shown} versions matching "{constraint}"...', "")
        else:
            say(f"- Finding latest version of {shown}...", "")
        fits = own is not None and constraint.allows(Version.parse(own.version))
        package = None
        if not fits or world.external:
            package = find_package(world.cli_config, source, constraint, locked, upgrade=flags.flag("upgrade"))
        if package is not None:
            lock, problems = install_package(world.data_folder / "providers", package, locked, shown, say)
            diagnostics += problems
            chosen[source] = Lock(source, lock.version, str(constraint), lock.hashes)
        elif own is not None and fits:
            if locked is not None and locked.version == own.version:
                say(f"- Using previously-installed {shown} v{own.version}", "")
                chosen[source] = Lock(source, locked.version, str(constraint), locked.hashes)
            else:
                say(f"- Installing {shown} v{own.version}...", "")
                say(f"- Installed {shown} v{own.version} (built in to Terrarium)", "")
                chosen[source] = Lock(source, own.version, str(constraint))
        else:
            why = (
                "it is not one of the providers that come with this program, and no package of it is installed.\n\n"
                "To see which modules are currently depending on "
                f"{shown} and what versions are specified, run the following command:\n    terraform providers"
                if own is None
                else f"no available releases match the given constraints {constraint} (this program comes with version "
                f"{own.version})."
            )
            diagnostics.append(
                error(
                    "Failed to query available provider packages",
                    f"Could not retrieve the list of available versions for provider {shown}: {why}",
                )
            )
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
