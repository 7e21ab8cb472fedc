"""The cloudinit provider: user data of several parts as a MIME message."""

from __future__ import annotations

import base64
import string
import zlib
from collections.abc import Iterable, Mapping
from typing import ClassVar

from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.language.goflate import gzipped
from terrarium.language.values import Path
from terrarium.providers.framework import DataSource, Plain, Refused, Resource, SmallProvider, complaint
from terrarium.providers.values import UNKNOWN


def rendered(config: Plain) -> Plain:
    """The configuration with defaults, the message, and its CRC-32 as id."""
    full = {
        **config,
        "gzip": config.get("gzip") is not False,
        "base64_encode": config.get("base64_encode") is not False,
        "boundary": config.get("boundary") or "MIMEBOUNDARY",
        "part": [{**p, "content_type": p.get("content_type") or "text/plain"} for p in config.get("part") or ()],
    }
    wrong = _bad_boundary(full["boundary"])
    if wrong:
        raise Refused(
            "Unable to render cloudinit config", f"error writing part block to MIME multi-part file: mime: {wrong}"
        )
    raw = _message(full["part"], full["boundary"])
    if full["gzip"]:
        raw = gzipped(raw)
    text = base64.b64encode(raw).decode() if full["base64_encode"] else raw.decode("utf-8", "replace")
    return {**full, "rendered": text, "id": str(zlib.crc32(text.encode()))}


_BOUNDARY = frozenset(string.ascii_letters + string.digits + "'()+_,-./:=?")


def _bad_boundary(boundary: str) -> str:
    """What Go's `mime/multipart` has against a boundary (RFC 2046, 5.1.1)."""
    if not 1 <= len(boundary.encode()) <= 70:
        return "invalid boundary length"
    last = len(boundary) - 1
    fine = all(c in _BOUNDARY or (c == " " and i != last) for i, c in enumerate(boundary))
    return "" if fine else "invalid boundary character"


def _message(parts: list[Plain], boundary: str) -> bytes:
    lines = [f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\r\n\r\n']
    for index, part in enumerate(parts):
        headers = {
            "Content-Transfer-Encoding": "7bit",
            "Content-Type": part["content_type"],
            "Mime-Version": "1.0",
        }
        if part.get("filename"):
            headers["Content-Disposition"] = f'attachment; filename="{part["filename"]}"'
        if part.get("merge_type"):
            headers["X-Merge-Type"] = part["merge_type"]
        lines.append(f"{'' if index == 0 else chr(13) + chr(10)}--{boundary}\r\n")
        lines.extend(f"{name}: {headers[name]}\r\n" for name in sorted(headers))
        lines.append(f"\r\n{part['content']}")
    lines.append(f"\r\n--{boundary}--\r\n")
    return "".join(lines).encode()


def _checked(config: Plain) -> Iterable[Diagnostic]:
    if config.get("gzip") in (True, None) and config.get("base64_encode") is False:
        yield complaint(
            "Invalid Attribute Configuration",
            "Expected base64_encode to be set to true when gzip is true.",
            ("base64_encode",),
        )
    parts = config.get("part")
    if not parts:
        text = "Block part must have a configuration value as the provider has marked it as required"
        yield complaint("Invalid Block", text, ("part",))
    empty: list[Path] = [("boundary",)] if config.get("boundary") == "" else []
    if isinstance(parts, list):
        empty += [("part", i, "content") for i, p in enumerate(parts) if p is not UNKNOWN and p.get("content") == ""]
    for path in empty:
        name = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".")
        text = f"Attribute {name} string length must be at least 1, got: 0"
        yield complaint("Invalid Attribute Value Length", text, path)


class Config(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        yield from _checked(config)
        note = "This resource is deprecated, please use the cloudinit_config data source instead."
        yield complaint("Deprecated", note, severity=Severity.WARNING)

    def create(self, new: Plain) -> Plain:
        return rendered(new)


class ConfigData(DataSource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return _checked(config)

    def read(self, config: Plain) -> Plain:
        return rendered(config)


class CloudinitProvider(SmallProvider):
    name = "cloudinit"
    resources: ClassVar[Mapping[str, Resource]] = {"cloudinit_config": Config()}
    data_sources: ClassVar[Mapping[str, DataSource]] = {"cloudinit_config": ConfigData()}


def create() -> CloudinitProvider:
    return CloudinitProvider()
