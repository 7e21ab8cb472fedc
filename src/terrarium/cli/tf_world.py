"""What every command of `terrarium tf` shares: streams, folders, providers, configuration, state, and saying things."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Diagnostic, Failure, Severity, error, has_errors
from terrarium.base.ids import Ids

if TYPE_CHECKING:
    from terrarium.base.source import Source
    from terrarium.cli.tf_config import CliConfig
    from terrarium.engine.configuration import ModuleNode
    from terrarium.engine.module_tree import Installed
    from terrarium.engine.plugins import Plugins
    from terrarium.engine.provider import ProviderFactory
    from terrarium.engine.state import State
    from terrarium.engine.state_store import LocalStore
    from terrarium.language.render import Renderer

WIDTH = 78


def columns(stream: TextIO) -> int:
    """How wide a stream is: the terminal's columns, or what Terraform takes for anything else."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else WIDTH
    except (OSError, ValueError):
        return WIDTH


@dataclass(slots=True)
class Streams:
    """Where to read and print. Colour is decided per command."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    def print(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


class World:
    """One invocation. `colour` and `json` are set by the command's flags before anything is printed."""

    def __init__(self, environment: Mapping[str, str], streams: Streams | None = None) -> None:
        self.environment = environment
        self.streams = streams or Streams()
        # As Terraform does it: only -no-color turns colours off, whatever the output goes to.
        self.colour = True
        self.compact_warnings = False
        self.clock = Clock()
        self.ids = Ids()
        self.sources: dict[str, Source] = {}
        self.width = columns(self.streams.out) or WIDTH
        self.message_width = columns(self.streams.err)
        self.ui = False
        """Whether messages are set apart as Terraform's older commands do it (see `render_all`)."""
        self.early: list[Diagnostic] = []
        """Warnings about flags, told together with those of the operation."""
        self.original_folder = Path.cwd()

    # --- folders -----------------------------------------------------------------------------------------------

    @property
    def data_folder(self) -> Path:
        return Path(self.environment.get("TF_DATA_DIR") or ".terraform")

    @property
    def workspace(self) -> str:
        chosen = self.environment.get("TF_WORKSPACE")
        if chosen:
            return chosen
        try:
            return (self.data_folder / "environment").read_text().strip() or "default"
        except OSError:
            return "default"

    @property
    def automation(self) -> bool:
        return bool(self.environment.get("TF_IN_AUTOMATION"))

    @property
    def input_allowed(self) -> bool:
        return self.environment.get("TF_INPUT", "1") not in ("0", "false")

    # --- saying things -----------------------------------------------------------------------------------------

    def out(self, text: str, end: str = "\n") -> None:
        self.streams.print(text + end)

    def out_painted(self, text: str) -> None:
        """Prints text with marks for colours."""
        from terrarium.language.render import paint

        self.out(paint(text, self.colour))

    def say(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Prints diagnostics: errors to standard error, warnings to standard output."""
        if not diagnostics:
            return
        from terrarium.language.render import Renderer, consolidated, in_order

        found = in_order(diagnostics)
        warnings = [d for d in found if d.severity is Severity.WARNING]
        errors = [d for d in found if d.severity is Severity.ERROR]
        if self.compact_warnings and warnings and not errors:
            lines = "".join(f"- {d.summary}\n" for d in consolidated(warnings))
            self.out(
                f"\nWarnings:\n\n{lines}\nTo see the full warning notes, run Terraform without -compact-warnings.\n",
                end="",
            )
            return
        renderer = Renderer(self.sources)
        if warnings:
            # Failed checks are each worth a message of their own.
            checks = [d for d in warnings if d.extra == "check"]
            others = consolidated([d for d in warnings if d.extra != "check"])
            for one in in_order([*checks, *others]):
                self.streams.print(self.rendered(renderer, [one]))
        if errors:
            self.streams.out.flush()
            self.streams.err.write(self.rendered(renderer, errors))
            self.streams.err.flush()

    def rendered(self, renderer: Renderer, diagnostics: Sequence[Diagnostic]) -> str:
        return renderer.render_all(diagnostics, colour=self.colour, width=self.message_width, ui=self.ui)

    def fail(self, diagnostics: Sequence[Diagnostic] | Diagnostic, code: int = 1) -> int:
        self.say([diagnostics] if isinstance(diagnostics, Diagnostic) else diagnostics)
        return code

    # --- providers ---------------------------------------------------------------------------------------------

    @cached_property
    def plugins(self) -> Plugins:
        from terrarium.engine.builtin import BuiltinFactory
        from terrarium.engine.plugins import Plugins
        from terrarium.providers import supported_hint

        factories = dict(self.own_providers) | self.programs(self.own_providers)
        own = BuiltinFactory(self.ids, self.read_remote_state)
        factories[own.source] = own
        return Plugins(factories, supported_hint)

    @cached_property
    def own_providers(self) -> Mapping[str, ProviderFactory]:
        from terrarium.providers import builtin

        return builtin()

    @cached_property
    def cli_config(self) -> CliConfig:
        from terrarium.cli.tf_config import read

        return read(self.environment)

    @property
    def external(self) -> bool:
        """Whether provider programs are wanted also where Terrarium has a provider of its own."""
        return self.environment.get("TERRARIUM_PROVIDERS") == "external"

    def programs(self, own: Mapping[str, ProviderFactory]) -> dict[str, ProviderFactory]:
        """Installed provider programs that are to be used: overridden ones, those that Terrarium does not have itself,
        and those whose locked version is another than Terrarium's."""
        from terrarium.engine.lock_file import read_locks

        folder = self.data_folder / "providers"
        overrides = self.cli_config.overrides
        if not overrides and not folder.is_dir():
            return {}
        from terrarium.providers.plugin.installed import Plugin, installed, program_in

        found: dict[str, ProviderFactory] = {}
        locks = read_locks(Path(".terraform.lock.hcl"))
        for plugin in installed(folder):
            lock, ours = locks.get(plugin.source), own.get(plugin.source)
            if lock is None or lock.version != plugin.version:
                continue
            if ours is None or ours.version != plugin.version or self.external:
                found[plugin.source] = plugin
        for source, path in overrides.items():
            program = program_in(path, source)
            if program is not None:
                found[source] = Plugin(source, "0.0.0", program)
        return found

    def read_remote_state(self, backend: str, settings: Mapping[str, Any], workspace: str) -> State | None:
        """Another configuration's state, for `terraform_remote_state`."""
        from terrarium.engine.backends import read_remote

        return read_remote(backend, settings, workspace)

    # --- configuration -----------------------------------------------------------------------------------------

    def manifest(self) -> dict[str, Installed]:
        from terrarium.engine.module_tree import read_manifest

        try:
            return read_manifest((self.data_folder / "modules" / "modules.json").read_text())
        except OSError:
            return {}

    def configuration(self, absolute: bool = False) -> tuple[ModuleNode, list[Diagnostic]]:
        """The configuration of the working folder. With `absolute`, its files are known by their whole paths."""
        from terrarium.engine.module_tree import Disk, load_tree

        root, diagnostics = load_tree(Disk(), self.manifest(), Path.cwd().as_posix() if absolute else ".")
        self.sources.update(root.sources())
        return root, diagnostics

    def has_configuration(self) -> bool:
        from terrarium.engine.loading import config_names

        return bool(config_names(p.name for p in Path().iterdir() if not p.is_dir()))

    def functions(self, predictable: bool, console: bool = False, timestamp: str = "") -> Mapping[str, Any]:
        from terrarium.base.clock import parse_rfc3339
        from terrarium.language.functions import table

        plan_time = parse_rfc3339(timestamp) if timestamp else self.clock.now()
        return table(
            Path(), now=self.clock.now, ids=self.ids, plan_time=plan_time, predictable=predictable, console=console
        )

    # --- state -------------------------------------------------------------------------------------------------

    def store(self, state: str = "", state_out: str = "", backup: str = "") -> LocalStore:
        """The state's store, by the initialised backend and the flags of the local one."""
        from terrarium.engine.backends import open_store

        return open_store(self.data_folder, self.workspace, state, state_out, backup, self.clock)

    def answer(self, question: str) -> str:
        """Asks and reads one line; "" at the end of input."""
        self.streams.print(question)
        line = sys.stdin.readline()
        self.streams.print("\n")
        return line.rstrip("\r\n")


def too_many_arguments(world: World) -> int:
    """The refusal of the older commands."""
    world.streams.err.write("Too many command line arguments. Did you mean to use -chdir?\n")
    return 1


def indented(document: object) -> str:
    """JSON with an indent of two, as Go writes it."""
    from terrarium.engine.state_file import dumps as bytes_of

    return bytes_of(document, indent=True).decode()


def failure_diagnostic(failure: Failure) -> Diagnostic:
    return error(str(failure), failure.hint)


__all__ = ["World", "has_errors", "json", "os"]
