"""Functions that look at the disk: paths are relative to the folder of the module."""

from __future__ import annotations

import base64
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from terrarium.language.functions.hashing import HASHES
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, plain
from terrarium.language.text import nfc, quote
from terrarium.language.types import BOOL, STRING, Set, Type
from terrarium.language.values import FALSE, SENSITIVE, TRUE, Unknown, Value, set_of


def shown(path: str, value: Value) -> str:
    return "(sensitive value)" if SENSITIVE in value.marks else quote(path)


def expand(path: str) -> str:
    """`~` at the beginning is the home folder; those of other users are refused."""
    if not path.startswith("~"):
        return path
    if len(path) > 1 and path[1] != "/":
        raise FunctionError("cannot expand user-specific home dir")
    return os.environ.get("HOME", str(Path.home())) + path[1:]


def clean(path: str) -> str:
    """Go's `filepath.Clean`."""
    if not path:
        return "."
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if path.startswith("/") else cleaned


def base(path: str) -> str:
    if not path:
        return "."
    stripped = path.rstrip("/")
    return stripped.rpartition("/")[2] if stripped else "/"


def folder(path: str) -> str:
    head = path[: path.rfind("/") + 1]
    return clean(head)


class Disk:
    """What the file functions of one module see."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = str(directory)

    def locate(self, path: str) -> str:
        path = expand(path)
        return clean(path if path.startswith("/") else posixpath.join(self.directory or ".", path))

    def read(self, path: str, value: Value) -> bytes:
        """The content; ArgumentError when there is no such file."""
        try:
            return Path(self.locate(path)).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            message = (
                f"no file exists at {shown(path, value)}; this function works only with files that are distributed as part "
                "of the configuration source code, so if this file will be created by a resource in this configuration "
                "you must instead obtain this result from an attribute of that resource"
            )
            raise ArgumentError(0, message) from None
        except IsADirectoryError:
            raise ArgumentError(0, f"failed to read file: read {self.locate(path)}: is a directory") from None
        except ValueError:
            raise ArgumentError(0, f"open {self.locate(path)}: invalid argument") from None
        except OSError as wrong:
            words = (wrong.strerror or str(wrong)).lower()
            raise ArgumentError(0, f"open {self.locate(path)}: {words}") from None

    def text(self, path: str, value: Value) -> str:
        data = self.read(path, value)
        try:
            return nfc(data.decode())
        except UnicodeDecodeError:
            raise FunctionError(
                f"contents of {shown(path, value)} are not valid UTF-8; use the filebase64 function to obtain the Base64 "
                "encoded contents or the other file functions (e.g. filemd5, filesha256) to obtain file hashing results "
                "instead"
            ) from None

    # the functions

    def file(self, values: Sequence[Value], type: Type) -> Value:
        value = values[0]
        if isinstance(value.data, Unknown):
            return Value(type, Unknown(), value.marks)
        return Value(STRING, self.text(value.data, value), value.marks)

    def base64(self, values: Sequence[Value], type: Type) -> Value:
        value = values[0]
        if isinstance(value.data, Unknown):
            return Value(type, Unknown(), value.marks)
        return Value(STRING, base64.b64encode(self.read(value.data, value)).decode(), value.marks)

    def hash(self, name: str, values: Sequence[Value], _: Type) -> Value:
        path = values[0].data
        try:
            return Value(STRING, HASHES[name](self.read(path, values[0])))
        except ArgumentError as wrong:
            located = self.locate(path)
            if not Path(located).exists():
                raise FunctionError(f"open {located}: no such file or directory") from None
            raise FunctionError(str(wrong).removeprefix("failed to read file: ")) from None

    def exists(self, values: Sequence[Value], type: Type) -> Value:
        value = values[0]
        if isinstance(value.data, Unknown):
            return Value(type, Unknown(), value.marks)
        path = self.locate(value.data)
        try:
            mode = Path(path).stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return FALSE.with_marks(value.marks)
        except (OSError, ValueError):
            raise FunctionError(f"failed to stat {shown(path, value)}") from None
        if stat.S_ISREG(mode):
            return TRUE.with_marks(value.marks)
        name = shown(path, value)
        for test, words in (
            (stat.S_ISDIR, "is a directory, not a file"),
            (stat.S_ISCHR, "is a device node, not a regular file"),
            (stat.S_ISBLK, "is a device node, not a regular file"),
            (stat.S_ISFIFO, "is a named pipe, not a regular file"),
            (stat.S_ISSOCK, "is a unix domain socket, not a regular file"),
        ):
            if test(mode):
                raise ArgumentError(1, f"{name} {words}")
        raise ArgumentError(1, f"{name} is not a regular file")

    def file_set(self, values: Sequence[Value], type: Type) -> Value:
        path, pattern = values
        marks = path.marks | pattern.marks
        if isinstance(path.data, Unknown) or isinstance(pattern.data, Unknown):
            return Value(type, Unknown(), marks)
        root = path.data if path.data.startswith("/") else posixpath.join(self.directory or ".", path.data)
        whole = clean(posixpath.join(root, pattern.data.lstrip("/")) if pattern.data else root)
        root = clean(root)
        try:
            matches = list(glob(whole))
        except re.error:
            message = f"failed to glob pattern {shown(whole, pattern)}: syntax error in pattern"
            raise FunctionError(message) from None
        found = [m for m in matches if Path(m).is_file()]
        names = [Value(STRING, nfc(posixpath.relpath(match, root))) for match in found]
        return set_of(STRING, names).with_marks(marks)


# --- globs (doublestar) ----------------------------------------------------------------------------------------------


def translate(pattern: str) -> re.Pattern[str]:
    """One segment of a glob as an expression: `*`, `?`, `[a-z]`, `[^a]`, `{a,b}`, `\\` before a character."""
    result, at, depth = "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            result += ".*"
        elif char == "?":
            result += "."
        elif char == "\\" and at < len(pattern):
            result += re.escape(pattern[at])
            at += 1
        elif char == "[":
            end = at + 1 if pattern[at : at + 1] in ("^", "!") else at
            while end < len(pattern) and pattern[end] != "]":
                end += 2 if pattern[end] == "\\" else 1
            inside = pattern[at:end]
            if end >= len(pattern) or not inside.strip("^!"):
                raise re.error("bad class")
            negated = inside[0] in "^!"
            members = inside[1:] if negated else inside
            result += f"[{'^' if negated else ''}{members.replace('[', chr(92) + '[').replace('^', chr(92) + '^')}]"
            at = end + 1
        elif char == "{":
            result += "(?:"
            depth += 1
        elif char == "}" and depth:
            result += ")"
            depth -= 1
        elif char == "," and depth:
            result += "|"
        else:
            result += re.escape(char)
    if depth:
        raise re.error("unclosed brace")
    return re.compile(result, re.DOTALL)


def _segments(pattern: str) -> list[str]:
    """Cut at slashes that stand in no braces."""
    parts, depth = [""], 0
    for char in pattern:
        depth += (char == "{") - (char == "}")
        if char == "/" and depth <= 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _alternatives(pattern: str) -> Iterator[str]:
    """The patterns that remain when braces with a slash inside are written out."""
    match = re.search(r"\{([^{}]*/[^{}]*)\}", pattern)
    if match is None:
        yield pattern
        return
    for choice in match.group(1).split(","):
        yield from _alternatives(pattern[: match.start()] + choice + pattern[match.end() :])


def glob(pattern: str) -> Iterator[str]:
    """Paths that match; `**` stands for any folders, also none. re.error for a bad pattern."""
    seen: set[str] = set()
    for one in _alternatives(pattern):
        start = "/" if one.startswith("/") else ""
        segments = [s for s in _segments(one) if s]
        for segment in segments:
            if segment != "**":
                translate(segment)
        for path in _glob(start, segments):
            if path not in seen:
                seen.add(path)
                yield path


def _entries(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path or "."))  # noqa: PTH208 - names, not paths
    except OSError:
        return []


def _join(path: str, name: str) -> str:
    return name if not path else f"{path}{name}" if path.endswith("/") else f"{path}/{name}"


def _glob(path: str, segments: Sequence[str]) -> Iterator[str]:
    if not segments:
        yield path
        return
    first, rest = segments[0], segments[1:]
    if first == "**":
        yield from _glob(path, rest) if rest else ()
        for name in _entries(path):
            inner = _join(path, name)
            if Path(inner).is_dir() and not Path(inner).is_symlink():
                yield from _glob(inner, segments)
            elif not rest:
                yield inner
        return
    if not re.search(r"[*?\[\]{}\\]", first):
        inner = _join(path, first)
        if Path(inner).exists():
            yield from _glob(inner, rest)
        return
    expression = translate(first)
    for name in _entries(path):
        if expression.fullmatch(name):
            inner = _join(path, name)
            if not rest or Path(inner).is_dir():
                yield from _glob(inner, rest)


_PATH = (Parameter("path", STRING, allow_unknown=True, allow_marked=True),)

FUNCTIONS: Mapping[str, Function] = {
    "abspath": plain([("path", STRING)], STRING, lambda path: clean(posixpath.join(str(Path.cwd()), path))),
    "basename": plain([("path", STRING)], STRING, base),
    "dirname": plain([("path", STRING)], STRING, folder),
    "pathexpand": plain([("path", STRING)], STRING, expand),
}

HASHED_FILES = ("md5", "sha1", "sha256", "sha512", "base64sha256", "base64sha512")


def disk_functions(directory: Path | str) -> dict[str, Function]:
    disk = Disk(directory)
    found = {
        "file": Function(_PATH, STRING, disk.file),
        "filebase64": Function(_PATH, STRING, disk.base64),
        "fileexists": Function(_PATH, BOOL, disk.exists),
        "fileset": Function(
            (*_PATH, Parameter("pattern", STRING, allow_unknown=True, allow_marked=True)), Set(STRING), disk.file_set
        ),
    }
    for name in HASHED_FILES:
        found[f"file{name}"] = Function((Parameter("path", STRING),), STRING, partial(disk.hash, name))
    return found
