"""`terrarium tf fmt`: rewrites configuration files to the canonical form.

Paths are listed in the order in which the directory has them, as Terraform does; `-check` exits with 3 when something
would change, mistakes in any file with 2, and a wrong flag with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.base.files import write_atomic
from terrarium.base.source import Source

EXTENSIONS: Final = (".tf", ".tfvars", ".tftest.hcl", ".tfmock.hcl")

HELP: Final = """\
Usage: terraform [global options] fmt [options] [target...]

  Rewrites all Terraform configuration files to a canonical format. All
  configuration files (.tf), variables files (.tfvars), and testing files\x20
  (.tftest.hcl) are updated. JSON files (.tf.json, .tfvars.json, or\x20
  .tftest.json) are not modified.

  By default, fmt scans the current directory for configuration files. If you
  provide a directory for the target argument, then fmt will scan that
  directory instead. If you provide a file, then fmt will process just that
  file. If you provide a single dash ("-"), then fmt will read from standard
  input (STDIN).

  The content must be in the Terraform language native syntax; JSON is not
  supported.

Options:

  -list=false    Don't list files whose formatting differs
                 (always disabled if using STDIN)

  -write=false   Don't write to source files
                 (always disabled if using STDIN or -check)

  -diff          Display diffs of formatting changes

  -check         Check if the input is formatted. Exit status will be 0 if all
                 input is properly formatted and non-zero otherwise.

  -no-color      If specified, output won't contain any color.

  -recursive     Also process files in subdirectories. By default, only the
                 given directory (or current directory) is processed."""


_BOOLEANS: Final = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)


@dataclass(slots=True)
class Options:
    listing: bool = True
    write: bool = True
    diff: bool = False
    check: bool = False
    recursive: bool = False
    colour: bool = True
    targets: list[str] = field(default_factory=list)


class WrongFlag(Exception):
    """`str()` is Go's wording."""


def parse_flags(args: list[str]) -> Options:
    """Flags as Go's `flag` package reads them: `-x`, `--x`, `-x=false`, up to the first word which is none."""
    options = Options(colour="-no-color" not in args)
    rest = [a for a in args if a != "-no-color" and not a.startswith("-compact-warnings")]
    while rest:
        given = rest[0]
        if len(given) < 2 or given[0] != "-":
            break
        rest.pop(0)
        if given == "--":
            break
        name, equals, value = given.removeprefix("-").removeprefix("-").partition("=")
        if not name or name[0] in "-=":
            raise WrongFlag(f"bad flag syntax: {given}")
        if name not in ("list", "write", "diff", "check", "recursive"):
            raise WrongFlag(f"flag provided but not defined: -{name}")
        if equals and value not in _BOOLEANS:
            raise WrongFlag(f'invalid boolean value "{value}" for -{name}: parse error')
        setattr(options, "listing" if name == "list" else name, _BOOLEANS[value] if equals else True)
    options.targets = rest
    return options


class Formatting:
    """One run of the command over its targets. `out` gathers what goes to standard output, in chunks."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.out: list[bytes] = []
        self.diagnostics: list[Diagnostic] = []
        self.sources: dict[str, Source] = {}

    def fail(self, summary: str) -> None:
        self.diagnostics.append(error(summary))

    def targets(self, paths: list[str]) -> None:
        for given in paths:
            path = os.path.relpath(given)
            if not Path(path).exists():
                self.fail(f"No file or directory at {path}")
                return
            if Path(path).is_dir():
                self.folder(path)
            elif path.endswith(EXTENSIONS):
                self.file(path)
            else:
                self.fail("Only .tf, .tfvars, and .tftest.hcl files can be processed with terraform fmt")

    def folder(self, path: str) -> None:
        pending = [path]
        while pending:
            current = pending.pop()
            if current.endswith(EXTENSIONS) and not Path(current).is_dir():
                self.file(current)
                continue
            try:
                with os.scandir(current) as entries:
                    found = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in entries)
            except OSError:
                self.fail(f"Cannot read directory {current}")
                continue
            inner = [
                os.path.normpath(os.path.join(current, name))  # noqa: PTH118
                for name, is_folder in found
                if not ignored(name) and (self.options.recursive if is_folder else name.endswith(EXTENSIONS))
            ]
            pending.extend(reversed(inner))

    def file(self, path: str) -> None:
        try:
            data = Path(path).read_bytes()
        except OSError:
            self.fail(f"Failed to read file {path}")
            return
        self.process(path, data)

    def process(self, path: str, data: bytes) -> None:
        from terrarium.language.format import format_source
        from terrarium.language.parser import decode

        text, _ = decode(data, path)
        source = self.sources[path] = Source(path, text)
        result, diagnostics = format_source(source)
        self.diagnostics += diagnostics
        if has_errors(diagnostics):
            return
        options = self.options
        fresh = result.encode("utf-8", "surrogateescape")
        if fresh != data:
            if options.listing:
                self.out.append(os.fsencode(path) + b"\n")
            if options.write:
                try:
                    target = Path(path).resolve()
                    write_atomic(target, fresh, target.stat().st_mode & 0o7777)
                except OSError:
                    self.fail(f"Failed to write {path}")
                    return
            if options.diff:
                self.out.append(unified_diff(data, fresh, path))
        if not (options.listing or options.write or options.diff):
            self.out.append(fresh)


def ignored(name: str) -> bool:
    """Hidden files, and what editors leave behind."""
    return name.startswith(".") or name.endswith("~") or (name.startswith("#") and name.endswith("#"))


def unified_diff(old: bytes, new: bytes, path: str) -> bytes:
    """What `diff -u` says of two texts, which Terraform asks too. Without that program, Python's own diff."""
    labels = [f"old/{path}", f"new/{path}"]
    program = shutil.which("diff")
    if program is None:
        import difflib

        before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
        lines = difflib.diff_bytes(difflib.unified_diff, before, after, os.fsencode(labels[0]), os.fsencode(labels[1]))
        return b"".join(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "old"), Path(folder, "new")
        first.write_bytes(old)
        second.write_bytes(new)
        command = [program, f"--label={labels[0]}", f"--label={labels[1]}", "-u", str(first), str(second)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout


def _line(chunk: bytes) -> bytes:
    """A chunk as Terraform's terminal writer passes it on: always with one newline at its end."""
    return chunk if chunk.endswith(b"\n") else chunk + b"\n"


def fmt(args: list[str]) -> int:
    """Runs the command with what stands after `fmt`; returns the exit code."""
    if any(a in ("-h", "-help", "--help") for a in args):
        print(HELP)
        return 0
    out, err = sys.stdout.buffer, sys.stderr
    colour = "-no-color" not in args
    try:
        options = parse_flags(args)
    except WrongFlag as wrong:
        for text in (HELP, f"Error parsing command-line flags: {wrong}\n"):
            err.write(f"\x1b[31m{text}\x1b[0m\x1b[0m\n" if colour else text + "\n")
        return 1
    list_wanted = options.listing
    standard_input = options.targets[:1] == ["-"]
    if standard_input:
        options.listing = options.write = list_wanted = False
    if options.check:
        options.listing, options.write = True, False
    run = Formatting(options)
    if standard_input:
        run.process("<stdin>", sys.stdin.buffer.read())
    else:
        run.targets(options.targets or ["."])
    if not options.check:
        for chunk in run.out:
            out.write(_line(chunk))
        out.flush()
    if run.diagnostics:
        from terrarium.language.render import DEFAULT_WIDTH, render_all

        width = os.get_terminal_size(err.fileno()).columns if err.isatty() else DEFAULT_WIDTH
        err.write(render_all(run.diagnostics, run.sources, colour=colour, width=width))
    if has_errors(run.diagnostics):
        return 2
    if options.check:
        if run.out and list_wanted:
            out.write(_line(b"".join(run.out)))
            out.flush()
        return 3 if run.out else 0
    return 0
