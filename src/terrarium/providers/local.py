"""The local provider: files of the machine, and commands that tell something about it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.language.values import Value, boolean
from terrarium.providers.framework import (
    DataSource,
    Ephemeral,
    Function,
    Plain,
    Refused,
    Resource,
    SmallProvider,
    complaint,
)


def hashes(raw: bytes) -> Plain:
    """The checksums that files of this provider carry."""
    sha256, sha512 = hashlib.sha256(raw), hashlib.sha512(raw)
    return {
        "content_md5": hashlib.md5(raw).hexdigest(),
        "content_sha1": hashlib.sha1(raw).hexdigest(),
        "content_sha256": sha256.hexdigest(),
        "content_base64sha256": base64.b64encode(sha256.digest()).decode(),
        "content_sha512": sha512.hexdigest(),
        "content_base64sha512": base64.b64encode(sha512.digest()).decode(),
    }


def go_error(wrong: OSError) -> str:
    """The failure of a file operation in Go's words."""
    return f"open {wrong.filename}: {(wrong.strerror or str(wrong)).lower()}"


_MODE = re.compile(r"[0-7]+")


def _bad_mode(config: Plain, name: str, kind: str) -> list[Diagnostic]:
    text = config.get(name)
    if not isinstance(text, str):
        return []
    if len(text) not in (3, 4):
        detail = f"bad mode permission: string length should be 3 or 4 digits: {text}"
    elif not _MODE.fullmatch(text):
        detail = f"bad mode permission: string must be expressed in octal numeric notation: {text}"
    else:
        return []
    return [complaint(f"Invalid {kind} Permission String Value", detail, (name,))]


class LocalFile(Resource):
    """`local_file`, and with other `sources` `local_sensitive_file`."""

    def __init__(self, sources: Mapping[str, tuple[str, ...]], noun: str) -> None:
        self.sources = sources
        self.noun = noun

    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        found: list[Diagnostic] = []
        for name, others in self.sources.items():
            count = sum(config.get(n) is not None for n in (name, *others))
            if count != 1:
                many = f"{count} attributes" if count else "No attribute"
                detail = f"{many} specified when one (and only one) of [{','.join(others)}] is required"
                found.append(complaint("Invalid Attribute Combination", detail, (name,)))
        found.extend(_bad_mode(config, "file_permission", "File"))
        found.extend(_bad_mode(config, "directory_permission", "Directory"))
        if config.get("sensitive_content") is not None:
            note = "Use the `local_sensitive_file` resource instead"
            found.append(complaint("Attribute Deprecated", note, ("sensitive_content",), Severity.WARNING))
        return found

    def create(self, new: Plain) -> Plain:
        summary = f"Create {self.noun} error"
        try:
            raw = self._content(new)
        except OSError as wrong:
            reason = go_error(wrong)
            raise self._refused(summary, "parsing local file content", reason) from None
        except binascii.Error:
            at = next((i for i, c in enumerate(new["content_base64"]) if not re.match(r"[A-Za-z0-9+/=\r\n]", c)), 0)
            reason = f"illegal base64 data at input byte {at}"
            raise self._refused(summary, "parsing local file content", reason) from None
        path = Path(new["filename"])
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True, mode=int(new["directory_permission"], 8))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, int(new["file_permission"], 8))
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
        except OSError as wrong:
            raise self._refused(summary, "writing the file", go_error(wrong)) from None
        except ValueError:
            raise self._refused(summary, "writing the file", f"open {path}: invalid argument") from None
        return {**new, **hashes(raw), "id": hashlib.sha1(raw).hexdigest()}

    def _refused(self, summary: str, doing: str, reason: str) -> Refused:
        return Refused(summary, f"An unexpected error occurred while {doing}\n\n+Original Error: {reason}")

    def _content(self, new: Plain) -> bytes:
        if new.get("source") is not None:
            return Path(new["source"]).read_bytes()
        if new.get("content_base64") is not None:
            return base64.b64decode(new["content_base64"], validate=True)
        text = new.get("sensitive_content") if new.get("sensitive_content") is not None else new.get("content")
        return (text or "").encode()

    def read(self, old: Plain) -> Plain | None:
        """Gone when the file is, or when it holds something else: then it is made anew."""
        try:
            raw = Path(old["filename"]).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as wrong:
            raise Refused(
                f"Read {self.noun} error",
                f"An unexpected error occurred while reading the file\n\n+Original Error: {go_error(wrong)}",
            ) from None
        return old if hashlib.sha1(raw).hexdigest() == old["id"] else None

    def delete(self, old: Plain) -> None:
        Path(old["filename"]).unlink(missing_ok=True)


_FILE = {
    "content": ("sensitive_content", "content_base64", "source"),
    "sensitive_content": ("content", "content_base64", "source"),
    "content_base64": ("content", "sensitive_content", "source"),
    "source": ("content", "sensitive_content", "content_base64"),
}
_SENSITIVE_FILE = {
    "content": ("content_base64", "source"),
    "content_base64": ("content", "source"),
    "source": ("content", "content_base64"),
}


class ReadFile(DataSource):
    def read(self, config: Plain) -> Plain:
        try:
            raw = Path(config["filename"]).read_bytes()
        except OSError as wrong:
            raise Refused(
                "Read local file data source error",
                f"The file at given path cannot be read.\n\n+Original Error: {go_error(wrong)}",
            ) from None
        return {
            **config,
            **hashes(raw),
            "content": raw.decode("utf-8", "replace"),
            "content_base64": base64.b64encode(raw).decode(),
            "id": hashlib.sha1(raw).hexdigest(),
        }


class RunCommand(DataSource):
    def __init__(self, kind: str = "data source") -> None:
        self._kind = kind

    def read(self, config: Plain) -> Plain:
        command = [config["command"], *(a for a in config.get("arguments") or () if a is not None)]
        try:
            ended = subprocess.run(
                command,
                input=(config.get("stdin") or "").encode(),
                capture_output=True,
                cwd=config.get("working_directory") or None,
                check=False,
            )
        except OSError as wrong:
            raise Refused(
                "Command Execution Failed",
                f"The {self._kind} received an unexpected error while attempting to execute the command.\n\n"
                f"Command: {' '.join(command)}\nError: {(wrong.strerror or str(wrong)).lower()}",
                ("command",),
            ) from None
        seen = {
            **config,
            "exit_code": ended.returncode,
            "stdout": ended.stdout.decode("utf-8", "replace"),
            "stderr": ended.stderr.decode("utf-8", "replace"),
        }
        if ended.returncode and not config.get("allow_non_zero_exit_code"):
            raise Refused(
                "Command Execution Failed",
                f"The {self._kind} executed the command but received a non-zero exit code. If this was expected and you "
                "want to continue, set `allow_non_zero_exit_code` to `true`.\n\n"
                f"Command: {' '.join(command)}\nCommand Error: {seen['stderr']}\nState: exit status {ended.returncode}",
                ("command",),
            )
        return seen


class EphemeralCommand(Ephemeral):
    def open(self, config: Plain) -> Plain:
        return RunCommand("ephemeral resource").read(config)


def _direxists(arguments: Sequence[Value]) -> Value:
    path = Path(str(arguments[0].data))
    if path.exists() and not path.is_dir():
        raise Refused(
            "Error in function call", f'Invalid file mode detected: "{path}" was found, but is not a directory.', (0,)
        )
    return boolean(path.is_dir())


class LocalProvider(SmallProvider):
    name = "local"
    resources: ClassVar[Mapping[str, Resource]] = {
        "local_file": LocalFile(_FILE, "local file"),
        "local_sensitive_file": LocalFile(_SENSITIVE_FILE, "local sensitive file"),
    }
    data_sources: ClassVar[Mapping[str, DataSource]] = {
        "local_command": RunCommand(),
        "local_file": ReadFile(),
        "local_sensitive_file": ReadFile(),
    }
    functions: ClassVar[Mapping[str, Function]] = {"direxists": _direxists}
    ephemerals: ClassVar[Mapping[str, Ephemeral]] = {"local_command": EphemeralCommand()}


def create() -> LocalProvider:
    return LocalProvider()
