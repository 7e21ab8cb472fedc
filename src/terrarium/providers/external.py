"""The external provider: a program that answers JSON with JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import ClassVar

from terrarium.base.diagnostics import Diagnostic
from terrarium.providers.framework import DataSource, Plain, Refused, SmallProvider, complaint
from terrarium.providers.gojson import decode_texts

_AT = ("program",)


class Program(DataSource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        if config.get("program") == []:
            yield complaint(
                "Invalid Attribute Value", "Attribute program list must contain at least 1 elements, got: 0", _AT
            )

    def read(self, config: Plain) -> Plain:
        program = [part for part in config["program"] if part]
        if not program:
            raise Refused(
                "External Program Missing",
                "The data source was configured without a program to execute. Verify the configuration contains at "
                "least one non-empty value.",
                _AT,
            )
        found = shutil.which(program[0])
        if found is None:
            raise _lookup_failed(program[0])
        query = {key: value or "" for key, value in (config.get("query") or {}).items()}
        try:
            ended = subprocess.run(
                program,
                executable=found,
                input=json.dumps(query, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
                capture_output=True,
                cwd=config.get("working_dir") or None,
                check=False,
            )
        except OSError as wrong:
            state = f"chdir {config['working_dir']}: {(wrong.strerror or '').lower()}"
            raise _execution_failed(found, "", state) from None
        if ended.returncode:
            raise _execution_failed(found, ended.stderr.decode("utf-8", "replace"), f"exit status {ended.returncode}")
        try:
            result = decode_texts(ended.stdout.decode("utf-8", "replace"))
        except ValueError as wrong:
            raise Refused(
                "Unexpected External Program Results",
                "The data source received unexpected results after executing the program.\n\n"
                "Program output must be a JSON encoded map of string keys and string values.\n\n"
                "If the error is unclear, the output can be viewed by enabling Terraform's logging at TRACE level. "
                "Terraform documentation on logging: https://www.terraform.io/internals/debugging\n\n"
                f"Program: {found}\nResult Error: {wrong}",
                _AT,
            ) from None
        return {**config, "id": "-", "result": result}


def _execution_failed(program: str, errors: str, state: str) -> Refused:
    if errors:
        told = f"\n\nProgram: {program}\nError Message: {errors}\nState: {state}"
    else:
        told = (
            "\n\nThe program was executed, however it returned no additional error messaging."
            f"\n\nProgram: {program}\nState: {state}"
        )
    return Refused(
        "External Program Execution Failed",
        f"The data source received an unexpected error while attempting to execute the program.{told}",
        _AT,
    )


def _lookup_failed(program: str) -> Refused:
    reason = (
        f'exec: "{program}": executable file not found in $PATH'
        if "/" not in program
        else f'exec: "{program}": stat {program}: no such file or directory'
    )
    return Refused(
        "External Program Lookup Failed",
        "The data source received an unexpected error while attempting to parse the query. "
        "The data source received an unexpected error while attempting to find the program.\n\n"
        "The program must be accessible according to the platform where Terraform is running.\n\n"
        "If the expected program should be automatically found on the platform where Terraform is running, ensure that "
        "the program is in an expected directory. On Unix-based platforms, these directories are typically searched "
        "based on the '$PATH' environment variable. On Windows-based platforms, these directories are typically searched "
        "based on the '%PATH%' environment variable.\n\n"
        "If the expected program is relative to the Terraform configuration, it is recommended that the program name "
        "includes the interpolated value of 'path.module' before the program name to ensure that it is compatible with "
        'varying module usage. For example: "${path.module}/my-program"\n\n'
        "The program must also be executable according to the platform where Terraform is running. On Unix-based "
        "platforms, the file on the filesystem must have the executable bit set. On Windows-based platforms, no action "
        "is typically necessary.\n\n"
        f'Platform: linux\nProgram: "{program}"\nError: {reason}',
        _AT,
    )


class ExternalProvider(SmallProvider):
    name = "external"
    data_sources: ClassVar[Mapping[str, DataSource]] = {"external": Program()}


def create() -> ExternalProvider:
    return ExternalProvider()
