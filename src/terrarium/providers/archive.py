"""The archive provider: zip and tar.gz files with nothing in them that depends on the day or the machine."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from terrarium.base.diagnostics import Diagnostic
from terrarium.language.functions.files import translate
from terrarium.language.goflate import deflate, gzipped
from terrarium.providers.framework import DataSource, Plain, Refused, Resource, SmallProvider, complaint

_SOURCES = ("source", "source_content_filename", "source_file", "source_dir")
_CONFLICTS = {
    "source": ("source_file", "source_dir", "source_content", "source_content_filename"),
    "source_content": ("source_file", "source_dir"),
    "source_content_filename": ("source_file", "source_dir"),
    "source_file": ("source_dir", "source_content", "source_content_filename"),
    "source_dir": ("source_file", "source_content", "source_content_filename"),
}


def _checked(config: Plain) -> Iterable[Diagnostic]:
    def present(name: str) -> bool:
        return config.get(name) not in (None, [])

    if not any(present(name) for name in _SOURCES):
        detail = f"At least one of these attributes must be configured: [{','.join(_SOURCES)}]"
        yield complaint("Missing Attribute Configuration", detail)
    for name, others in _CONFLICTS.items():
        for other in others:
            if present(name) and present(other):
                detail = f'Attribute "{other}" cannot be specified when "{name}" is specified'
                yield complaint("Invalid Attribute Combination", detail, (name,))


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    content: bytes
    mode: int
    date: int = 0
    """As MS-DOS has it: files of a disk get Go's zero time, which overflows."""


_NO_DATE = (1 + (1 << 5) + ((1 - 1980) << 9)) & 0xFFFF


def _entries(config: Plain) -> Iterator[Entry]:
    fixed = int(config["output_file_mode"], 8) if config.get("output_file_mode") else None
    if config.get("source_dir"):
        folder = Path(config["source_dir"])
        if not folder.exists():
            raise _failed(f"error archiving directory: could not archive missing directory: {folder}")
        excluded = config.get("excludes") or []
        found = False
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            relative = path.relative_to(folder).as_posix()
            if not any(_excluded(relative, pattern) for pattern in excluded):
                found = True
                yield Entry(
                    relative, path.read_bytes(), path.stat().st_mode & 0o777 if fixed is None else fixed, _NO_DATE
                )
        if not found:
            raise _failed("error archiving directory: archive has not been created as it would be empty")
    elif config.get("source_file"):
        path = Path(config["source_file"])
        if not path.exists():
            raise _failed(f"error archiving file: could not archive missing file: {path}")
        yield Entry(path.name, path.read_bytes(), path.stat().st_mode & 0o777 if fixed is None else fixed, _NO_DATE)
    elif config.get("source_content_filename"):
        content = (config.get("source_content") or "").encode()
        yield Entry(config["source_content_filename"], content, fixed or 0)
    else:
        for part in sorted(config.get("source") or (), key=lambda p: str(p["filename"])):
            yield Entry(part["filename"], part["content"].encode(), fixed or 0)


def _excluded(name: str, pattern: str) -> bool:
    """Whether a pattern names a file, or a folder that it is in; `*` stops at slashes, `**` does not."""
    if not pattern:
        return False
    parts, wanted = name.split("/"), pattern.split("/")
    return any(_matches(parts[: i + 1], wanted) for i in range(len(parts)))


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_matches(parts[i:], wanted[1:]) for i in range(len(parts) + 1))
    return bool(parts) and bool(translate(wanted[0]).fullmatch(parts[0])) and _matches(parts[1:], wanted[1:])


def _failed(reason: str) -> Refused:
    return Refused("Archive creation error", f"error creating archive: {reason}")


_MOST_EXACT = 16 << 20
"""Beyond this size archives are packed by zlib, which is fast; their hashes are then not those of the real provider."""
_ZIP_LEVEL = 5


def deflated(content: bytes, level: int) -> bytes:
    """Compressed as Go does it, byte by byte."""
    if len(content) <= _MOST_EXACT:
        return deflate(content, level)
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
    return deflater.compress(content) + deflater.flush()


def zipped(entries: Iterable[Entry]) -> bytes:
    """A zip file as Go's `archive/zip` lays it out: sizes after the data, in a descriptor."""
    out, directory = io.BytesIO(), io.BytesIO()
    count = 0
    for entry in entries:
        name, offset = entry.name.encode(), out.tell()
        flags = 0x8 | (0x800 if any(b > 127 for b in name) else 0)
        packed = deflated(entry.content, _ZIP_LEVEL)
        crc = zlib.crc32(entry.content)
        out.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, flags, 8, 0, entry.date, 0, 0, 0, len(name), 0))
        out.write(name + packed)
        out.write(struct.pack("<IIII", 0x08074B50, crc, len(packed), len(entry.content)))
        system, mode = 0x314 if entry.mode else 0x14, ((0o100000 | entry.mode) << 16) if entry.mode else 0
        directory.write(
            struct.pack(
                "<IHHHHHHIIIHHHHHII",
                0x02014B50, system, 20, flags, 8, 0, entry.date, crc, len(packed), len(entry.content),
                len(name), 0, 0, 0, 0, mode, offset,
            )
        )  # fmt: skip
        directory.write(name)
        count += 1
    start = out.tell()
    listed = directory.getvalue()
    out.write(listed)
    out.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(listed), start, 0))
    return out.getvalue()


def tarred(entries: Iterable[Entry]) -> bytes:
    out = io.BytesIO()
    for entry in entries:
        out.write(_tar_header(entry) + entry.content + b"\0" * (-len(entry.content) % 512))
    raw = out.getvalue() + b"\0" * 1024
    return gzipped(raw) if len(raw) <= _MOST_EXACT else gzip.compress(raw, mtime=0)


def _tar_header(entry: Entry) -> bytes:
    """A ustar header with every number written, as Go's `archive/tar` does; files have no owner and are of 1970."""
    prefix, name = b"", entry.name.encode()
    if len(name) > 100:
        cut = name.index(b"/", len(name) - 101)
        prefix, name = name[:cut], name[cut + 1 :]
    header = struct.pack(
        "100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x",
        name, b"%07o" % entry.mode, b"0000000", b"0000000", b"%011o" % len(entry.content), b"00000000000", b" " * 8,
        b"0", b"", b"ustar", b"00", b"", b"", b"0000000", b"0000000", prefix,
    )  # fmt: skip
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


_KINDS = {"zip": zipped, "tar.gz": tarred}


def archived(config: Plain) -> Plain:
    """Writes the archive; the configuration with its checksums."""
    make = _KINDS.get(config["type"])
    if make is None:
        raise _failed(f"archive type not supported: {config['type']}")
    raw = make(_entries(config))
    path = Path(config["output_path"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    except OSError as wrong:
        raise _failed(f"open {path}: {(wrong.strerror or '').lower()}") from None
    sha256, sha512 = hashlib.sha256(raw).digest(), hashlib.sha512(raw).digest()
    sha1 = hashlib.sha1(raw).hexdigest()
    return {
        **config,
        "id": sha1,
        "output_sha": sha1,
        "output_md5": hashlib.md5(raw).hexdigest(),
        "output_sha256": sha256.hex(),
        "output_base64sha256": base64.b64encode(sha256).decode(),
        "output_sha512": sha512.hex(),
        "output_base64sha512": base64.b64encode(sha512).decode(),
        "output_size": len(raw),
    }


class ArchiveFile(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return _checked(config)

    def create(self, new: Plain) -> Plain:
        return archived(new)

    def update(self, old: Plain, new: Plain) -> Plain:
        return archived(new)

    def delete(self, old: Plain) -> None:
        Path(old["output_path"]).unlink(missing_ok=True)


class ArchiveData(DataSource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return _checked(config)

    def read(self, config: Plain) -> Plain:
        return archived(config)


class ArchiveProvider(SmallProvider):
    name = "archive"
    resources: ClassVar[Mapping[str, Resource]] = {"archive_file": ArchiveFile()}
    data_sources: ClassVar[Mapping[str, DataSource]] = {"archive_file": ArchiveData()}


def create() -> ArchiveProvider:
    return ArchiveProvider()
