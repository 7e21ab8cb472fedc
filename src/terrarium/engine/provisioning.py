"""Provisioners: `local-exec` runs here; `file` and `remote-exec` are refused, as there is no SSH client to run them with.

Output is passed on line by line; when a value in the configuration is sensitive, all of it is withheld.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from terrarium.base.clock import real_sleep
from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine.addresses import Instance
from terrarium.engine.configuration import Provisioner, Resource
from terrarium.engine.evaluation import Repetition
from terrarium.engine.provider import Attribute, Block
from terrarium.engine.walking import located
from terrarium.language.types import BOOL, NUMBER, STRING, List, Map
from terrarium.language.values import EPHEMERAL, SENSITIVE, Value

if TYPE_CHECKING:
    from terrarium.engine.walking import Walk

SCHEMAS: dict[str, Block] = {
    "local-exec": Block(
        attributes={
            "command": Attribute(STRING, required=True),
            "interpreter": Attribute(List(STRING), optional=True),
            "working_dir": Attribute(STRING, optional=True),
            "environment": Attribute(Map(STRING), optional=True),
            "quiet": Attribute(BOOL, optional=True),
        }
    ),
    "file": Block(
        attributes={
            "source": Attribute(STRING, optional=True),
            "content": Attribute(STRING, optional=True),
            "destination": Attribute(STRING, required=True),
        }
    ),
    "remote-exec": Block(
        attributes={
            "inline": Attribute(List(STRING), optional=True),
            "script": Attribute(STRING, optional=True),
            "scripts": Attribute(List(STRING), optional=True),
        }
    ),
}
_CONNECTION_TEXT = [
    "type",
    "user",
    "password",
    "timeout",
    "script_path",
    "target_platform",
    "private_key",
    "certificate",
    "host_key",
    "agent_identity",
    "proxy_scheme",
    "proxy_host",
    "proxy_user_name",
    "proxy_user_password",
    "bastion_host",
    "bastion_host_key",
    "bastion_user",
    "bastion_password",
    "bastion_private_key",
    "bastion_certificate",
    "cacert",
]
CONNECTION = Block(
    attributes={
        "host": Attribute(STRING, required=True),
        **{name: Attribute(STRING, optional=True) for name in _CONNECTION_TEXT},
        **{name: Attribute(BOOL, optional=True) for name in ("agent", "https", "insecure", "use_ntlm")},
        **{name: Attribute(NUMBER, optional=True) for name in ("port", "proxy_port", "bastion_port")},
    }
)


def run_provisioners(
    walk: Walk,
    address: Instance,
    resource: Resource,
    value: Value,
    repetition: Repetition | None,
    destroy: bool,
) -> list[Diagnostic]:
    """Runs those of the resource's provisioners that are for this moment, in order, until one fails."""
    diagnostics: list[Diagnostic] = []
    events = walk.session.events
    for provisioner in resource.provisioners:
        if provisioner.when_destroy != destroy:
            continue
        events.provision_start(address, provisioner.type)
        said = _run(walk, address, provisioner, value, repetition)
        if has_errors(said):
            events.provision_failed(address, provisioner.type)
            if provisioner.continue_on_failure:
                continue
            return diagnostics + said
        events.provision_done(address, provisioner.type)
        diagnostics += said
    return diagnostics


def _run(
    walk: Walk, address: Instance, provisioner: Provisioner, value: Value, repetition: Repetition | None
) -> list[Diagnostic]:
    schema = SCHEMAS.get(provisioner.type)
    if schema is None:
        return [
            error(
                "Failed to instantiate provisioner", f'There is no provisioner "{provisioner.type}".', provisioner.range
            )
        ]
    config, diagnostics = walk.decode(schema, provisioner.body, address.module, repetition, value)
    if has_errors(diagnostics):
        return diagnostics
    marks = config.marks_deep
    events = walk.session.events

    def output(line: str) -> None:
        events.provision_output(address, provisioner.type, line)

    hidden = ""
    if SENSITIVE in marks or EPHEMERAL in marks:
        hidden = (
            "(output suppressed due to sensitive value in config)"
            if SENSITIVE in marks
            else "(output suppressed due to ephemeral value in config)"
        )
    if provisioner.type != "local-exec":
        problem = error(
            f"{provisioner.type} provisioner error",
            f'The "{provisioner.type}" provisioner works over SSH or WinRM, for which Terrarium has no client. Run a client of '
            "your own with a local-exec provisioner, or apply this configuration with the real terraform.",
        )
    else:
        shown = (lambda line: output(hidden)) if hidden else output
        found = local_exec(config.unmarked_deep(), shown, walk.session.stopped)
        if found is None:
            return diagnostics
        problem = found
    return [*diagnostics, located(problem, provisioner.body, str(address))]


def local_exec(
    config: Value, output: Callable[[str], None], stopped: Callable[[], bool] = lambda: False
) -> Diagnostic | None:
    """Runs a command in a shell; None when it succeeded. Once `stopped`, it and its children are killed."""
    data = config.data
    command = data["command"].data
    if not isinstance(command, str) or not command:
        return error("Invalid local-exec provisioner command", "The command must be a non-empty string.")
    interpreter = [v.data for v in data["interpreter"]] if not data["interpreter"].is_null else ["/bin/sh", "-c"]
    environment = dict(os.environ)
    if not data["environment"].is_null:
        environment.update({k: v.data for k, v in data["environment"].data.items() if not v.is_null})
    folder = None if data["working_dir"].is_null else data["working_dir"].data
    arguments = [*interpreter, command]
    quiet = data["quiet"].data is True
    shown = (
        "local-exec: Executing: Suppressed by quiet=true"
        if quiet
        else "Executing: [" + " ".join(f'"{a}"' for a in map(_go_quoted, arguments)) + "]"
    )
    output(shown)
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as problem:
        reason = "no such file or directory" if isinstance(problem, FileNotFoundError) else problem.strerror
        where = f"chdir {folder}" if folder and not os.path.isdir(folder) else f"fork/exec {arguments[0]}"  # noqa: PTH112
        return error("local-exec provisioner error", f"Error running command '{command}': {where}: {reason}. Output: ")
    kept: list[str] = []
    threading.Thread(target=_kill_when, args=(process, stopped), name="local-exec", daemon=True).start()
    assert process.stdout is not None
    with process.stdout as stream:
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            kept.append(line)
            output(line)
    code = process.wait()
    if code == 0:
        return None
    status = f"exit status {code}" if code > 0 else f"signal: {_signal_words(-code)}"
    text = "\n".join(kept) + ("\n" if kept else "")
    return error("local-exec provisioner error", f"Error running command '{command}': {status}. Output: {text}")


def _kill_when(process: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> None:
    """Kills a command, which leads a session of its own, when the operation is to stop."""
    while process.poll() is None:
        if stopped():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return
        real_sleep(0.1)


def _signal_words(number: int) -> str:
    return (signal.strsignal(number) or str(number)).lower()


def _go_quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
