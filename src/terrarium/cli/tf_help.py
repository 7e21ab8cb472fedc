"""Help texts of commands: what each does, and its options. The texts are data; `help_text` lays them out.

A command's row has its arguments, what it does, and the names of its options. Options that several commands have are
described once, in `_OPTIONS`; a row may describe one for itself.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple


class Help(NamedTuple):
    """`arguments` is what follows the name in the usage line. `options`: names in `_OPTIONS`, or (flag, text) pairs."""

    arguments: str
    text: str
    options: tuple[str | tuple[str, str], ...] = ()


_OPTIONS: dict[str, tuple[str, str]] = {
    "allow-missing": ("-allow-missing", "Succeed (exit code 0) even when the object is not there."),
    "auto-approve": ("-auto-approve", "Don't ask before anything is changed."),
    "backend": ("-backend=false", "Leave the backend as it was initialised before."),
    "backend-config": ("-backend-config=path", "Further backend settings: name=value, or a file of them."),
    "backup": ("-backup=path", "Where the state as it was before is kept (local state only); - for nowhere."),
    "compact-warnings": ("-compact-warnings", "When there are only warnings, show their summaries alone."),
    "destroy": ("-destroy", "Plan to destroy everything that is managed here."),
    "detailed-exitcode": (
        "-detailed-exitcode",
        "Exit with 0 when nothing is to change, 1 after an error, 2 when there are changes.",
    ),
    "dry-run": ("-dry-run", "Say what would be done, and don't do it."),
    "force-copy": ("-force-copy", 'Answer "yes" to every question about copying state.'),
    "generate-config-out": (
        "-generate-config-out=path",
        "Write configuration for objects of import blocks that have none to a new file.",
    ),
    "input": ("-input=false", "Don't ask for values that are missing."),
    "json": ("-json", "Print JSON for programs in place of text for people."),
    "lock": ("-lock=false", "Don't hold the state's lock. Dangerous when others may work on the same state."),
    "lock-timeout": ("-lock-timeout=0s", "How long to wait for the state's lock."),
    "no-color": ("-no-color", "Print without colours."),
    "out": ("-out=path", "Write the plan to a file, for apply."),
    "parallelism": ("-parallelism=n", "How many operations may run at once (10)."),
    "refresh": ("-refresh=false", "Take the state's word for what exists."),
    "refresh-only": ("-refresh-only", "Plan only to bring the state up to what exists."),
    "replace": ("-replace=address", "Plan to replace an object even when nothing about it changed. May be repeated."),
    "state": ("-state=path", "The state file to read and write (local state only)."),
    "state-out": ("-state-out=path", "Write the state to another file (local state only)."),
    "target": ("-target=address", "Work on this object and what it depends on alone. May be repeated."),
    "test-directory": ("-test-directory=path", 'The folder of the tests ("tests").'),
    "var": ("-var 'name=value'", "A variable of the root module. May be repeated."),
    "var-file": ("-var-file=path", "A file of variables' values. May be repeated."),
}
_PLANNING = ("destroy", "refresh-only", "refresh", "replace", "target", "var", "var-file")
_LOCKING = ("lock", "lock-timeout")
_LOCAL = ("state", "state-out", "backup")
_RUNNING = ("compact-warnings", "input", *_LOCKING, "no-color", "parallelism")

COMMANDS: dict[str, Help] = {
    "init": Help(
        "[options]",
        "Makes a folder ready to work in: sets up the backend, installs the modules that are called and the providers "
        "that are needed, and records them. It can be run any number of times, and never destroys anything.",
        (
            "backend", "backend-config", "force-copy",
            ("-from-module=source", "Copy a module's files into this folder, which must be empty, first."),
            ("-get=false", "Don't install modules."),
            "input", *_LOCKING, "no-color", "json",
            ("-plugin-dir=path", "Look for providers in this folder alone. May be repeated."),
            ("-reconfigure", "Take the backend as configured now and leave old state where it is."),
            ("-migrate-state", "Move the state when the backend's configuration has changed."),
            ("-upgrade", "Take the newest modules and providers that the constraints allow."),
            ("-lockfile=mode", 'How the lock file is treated; "readonly" is the only mode.'),
            "test-directory",
        ),
    ),
    "validate": Help(
        "[options]",
        "Checks the configuration of a folder by itself, without looking at variables' values, state or services.",
        ("json", "no-color", ("-no-tests", "Leave the test files alone."), "test-directory"),
    ),
    "plan": Help(
        "[options]",
        "Shows what apply would do to make what exists match the configuration, without doing it. The plan can be kept "
        "in a file, and exactly that is then what apply does.",
        (*_PLANNING, "compact-warnings", "detailed-exitcode", "generate-config-out", "input", "json", *_LOCKING, "no-color",
         "out", "parallelism", "state"),
    ),
    "apply": Help(
        "[options] [PLAN]",
        "Creates, changes and destroys objects until they match the configuration; or does what a plan file says. "
        "Without a plan file the plan is shown first, and a question asked.",
        ("auto-approve", *_PLANNING, "json", *_RUNNING, *_LOCAL),
    ),
    "destroy": Help(
        "[options]",
        "Destroys every object that is managed here: the same as apply -destroy, and with its options.",
        ("auto-approve", "refresh", "target", "var", "var-file", "json", *_RUNNING, *_LOCAL),
    ),
    "console": Help(
        "[options]",
        "Reads expressions and prints their values, with the variables, locals and state of this folder. It never "
        "changes the state.",
        (("-plan", "Plan first, and use the values that objects are planned to have."), "state", "var", "var-file"),
    ),
    "fmt": Help(
        "[options] [target...]",
        'Rewrites configuration files (.tf, .tfvars, .tftest.hcl) in the standard style. A target is a folder, a file, or '
        '"-" for standard input; without one it is this folder. JSON files are left alone.',
        (
            ("-list=false", "Don't list the files that were not in the standard style."),
            ("-write=false", "Don't write to the files."),
            ("-diff", "Show what changes."),
            ("-check", "Only check: the exit code is 0 when every file is in the standard style."),
            "no-color",
            ("-recursive", "Go into folders below as well."),
        ),
    ),
    "force-unlock": Help(
        "LOCK_ID",
        "Takes away the lock on the current workspace's state. Nothing but the lock is changed. A lock on a local state "
        "file belongs to a process, and ends with it.",
        (("-force", "Don't ask first."),),
    ),
    "get": Help(
        "[options]",
        "Installs the modules that the configuration calls. init does that as well.",
        (("-update", "Look for newer versions of modules that are installed."), "no-color", "test-directory"),
    ),
    "graph": Help(
        "[options]",
        "Prints the dependencies between resources in the DOT language, for Graphviz; or, with -type, the graph that an "
        "operation walks.",
        (
            ("-plan=path", "The graph of what a plan file would do; implies -type=apply."),
            ("-draw-cycles", "Draw the edges of cycles in red. Needs -type."),
            ("-type=kind", "plan, plan-refresh-only, plan-destroy or apply."),
        ),
    ),
    "import": Help(
        "[options] ADDR ID",
        "Takes an object that exists under management: puts it into the state at the address ADDR. What ID looks like "
        "is told by the documentation of the resource type. The object itself is not changed.",
        (
            ("-config=path", "The folder of the configuration (this one)."),
            "input", *_LOCKING, "no-color", "parallelism", "var", "var-file", *_LOCAL,
        ),
    ),
    "login": Help("[hostname]", "Obtains a token for a host (app.terraform.io) and keeps it in a file in the home folder."),
    "logout": Help(
        "[hostname]",
        "Forgets the token for a host (app.terraform.io). It stays valid until it is revoked at the host.",
    ),
    "metadata": Help("<subcommand> [options] [args]", "Facts about Terraform itself."),
    "metadata functions": Help("-json", "Prints the signatures of all functions as JSON."),
    "modules": Help("[options]", "Shows the modules that the configuration calls.", ("json",)),
    "output": Help(
        "[options] [NAME]",
        "Shows the root module's outputs, or one of them, as the state has them.",
        ("state", "no-color", "json", ("-raw", "Print the bare text of one output, for use in a shell.")),
    ),
    "providers": Help(
        "[options]",
        "Shows which modules need which providers, and what the state needs.",
        ("test-directory",),
    ),
    "providers lock": Help(
        "[options] [providers...]",
        "Writes the selected providers' checksums for further platforms into the lock file.",
        (
            ("-fs-mirror=dir", "Take packages from a local mirror."),
            ("-net-mirror=url", "Take packages from a network mirror."),
            ("-platform=os_arch", "A platform to add. May be repeated."),
            ("-enable-plugin-cache", "Take packages from the plugin cache as well."),
        ),
    ),
    "providers mirror": Help(
        "[options] <target-dir>",
        "Copies the packages of all providers that the configuration needs into a folder, laid out as a mirror.",
        (("-platform=os_arch", "A platform to copy for. May be repeated."),),
    ),
    "providers schema": Help("-json", "Prints the schemas of all providers that the configuration uses as JSON."),
    "refresh": Help(
        "[options]",
        "Brings the state up to what exists, without changing anything that exists. apply -refresh-only shows first what "
        "would be recorded, and is safer.",
        ("target", "var", "var-file", "json", *_RUNNING, *_LOCAL),
    ),
    "show": Help("[options] [path]", "Shows the state, or a state or plan file.", ("no-color", "json")),
    "state": Help(
        "<subcommand> [options] [args]",
        "Looks at the state, and changes it by hand. What changes a state keeps a backup of it, with the time in its name.",
    ),
    "state list": Help(
        "[options] [address...]",
        "Lists the addresses of all objects in the state, or of those at or below the addresses given.",
        ("state", ("-id=ID", 'Only the objects whose attribute "id" is this.')),
    ),
    "state mv": Help(
        "[options] SOURCE DESTINATION",
        "Gives an object, a resource or a module another address in the state, or moves it to another state file.",
        ("dry-run", *_LOCKING, *_LOCAL),
    ),
    "state pull": Help("[options]", "Prints the current state."),
    "state push": Help(
        "[options] PATH",
        'Makes a state file ("-": standard input) the current state. Refused when it has another lineage or is older.',
        (("-force", "Write even then."), *_LOCKING),
    ),
    "state replace-provider": Help(
        "[options] FROM_PROVIDER_FQN TO_PROVIDER_FQN",
        "Puts another provider in the place of one in the state.",
        ("auto-approve", *_LOCKING, "state", "backup"),
    ),
    "state rm": Help(
        "[options] ADDRESS...",
        "Forgets objects: they leave the state, and go on to exist.",
        ("dry-run", *_LOCKING, "state", "backup"),
    ),
    "state show": Help("[options] ADDRESS", "Shows the attributes of one object in the state.", ("state",)),
    "taint": Help(
        "[options] <address>",
        "Marks an object as broken: the next plan replaces it. Nothing else happens now.",
        ("allow-missing", *_LOCKING, *_LOCAL),
    ),
    "test": Help(
        "[options]",
        "Runs the tests of the configuration: real objects are made for them, and destroyed when they end.",
        (
            ("-filter=file", "Run the tests of this file alone. May be repeated."),
            "json",
            ("-junit-xml=path", "Write a report in the JUnit XML format as well."),
            "no-color", "test-directory", "var", "var-file",
            ("-verbose", "Show the plan or state of each run."),
        ),
    ),
    "untaint": Help(
        "[options] name",
        "Takes the mark of taint away from an object.",
        ("allow-missing", *_LOCKING, *_LOCAL),
    ),
    "version": Help("[options]", "Shows the version, and those of the selected providers.", ("json",)),
    "workspace": Help("", "Several states for one configuration: each workspace has its own."),
    "workspace show": Help("", "Shows the name of the current workspace."),
    "workspace list": Help("", "Lists the workspaces; the current one has a star."),
    "workspace select": Help(
        "NAME", "Changes to another workspace.", (("-or-create=false", "Create the workspace when it is not there."),)
    ),
    "workspace new": Help(
        "[OPTIONS] NAME",
        "Creates a workspace and changes to it.",
        (*_LOCKING, ("-state=path", "A state file to begin with.")),
    ),
    "workspace delete": Help(
        "[OPTIONS] NAME",
        "Deletes a workspace.",
        (("-force", "Delete it even when there are objects in its state, which are then managed by nobody."), *_LOCKING),
    ),
}  # fmt: skip
_GROUPS = ("metadata", "state", "workspace", "providers")
_SUBCOMMANDS = {
    "metadata functions": "Show signatures of the available functions",
    "state list": "List the objects in the state",
    "state mv": "Give an object another address",
    "state pull": "Print the current state",
    "state push": "Make a file the current state",
    "state replace-provider": "Put another provider in the place of one",
    "state rm": "Forget objects",
    "state show": "Show one object",
    "workspace delete": "Delete a workspace",
    "workspace list": "List workspaces",
    "workspace new": "Create a workspace",
    "workspace select": "Change to a workspace",
    "workspace show": "Show the current workspace's name",
    "providers lock": "Write checksums into the lock file",
    "providers mirror": "Copy provider packages into a folder",
    "providers schema": "Show the schemas of the providers in use",
}


def command_path(name: str, args: list[str] | tuple[str, ...]) -> str:
    """The command that arguments mean: `state mv`, or the first word alone."""
    word = next((a for a in args if not a.startswith("-")), "")
    path = f"{name} {word}"
    return path if path in COMMANDS else name


def help_text(path: str) -> str:
    """The help of a command: usage, what it does, options."""
    row = COMMANDS.get(path)
    if row is None:
        return f"Usage: terraform [global options] {path}"
    blocks = [f"Usage: terraform [global options] {path} {row.arguments}".rstrip(), _wrapped(row.text, "  ")]
    below = [(n.partition(" ")[2], t) for n, t in _SUBCOMMANDS.items() if n.startswith(f"{path} ")]
    if below:
        width = max(len(n) for n, _ in below)
        blocks.append("\n".join(["Subcommands:", *(f"    {n:<{width}}    {t}" for n, t in below)]))
    if row.options:
        rows = [_OPTIONS[o] if isinstance(o, str) else o for o in row.options]
        width = max(len(flag) for flag, _ in rows) + 2
        blocks.append("Options:")
        blocks += [_wrapped(text, " " * (width + 2), f"  {flag:<{width}}") for flag, text in rows]
    return "\n\n".join(blocks)


def _wrapped(text: str, indent: str, first: str | None = None) -> str:
    return textwrap.fill(
        text, 78, initial_indent=indent if first is None else first, subsequent_indent=indent, break_on_hyphens=False
    )


def subcommands(path: str) -> list[str]:
    """The words that may follow a command."""
    return [n.partition(" ")[2] for n in COMMANDS if n.startswith(f"{path} ")]


def option_names(path: str) -> list[str]:
    """The flags of a command, for completion."""
    row = COMMANDS.get(path)
    rows = [_OPTIONS[o] if isinstance(o, str) else o for o in row.options] if row else []
    return [flag.partition(" ")[0].partition("=")[0] for flag, _ in rows]
