"""The cloudinit provider: user data of several parts as a MIME message."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import ClassVar

from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.providers.framework import DataSource, Plain, Resource, SmallProvider, complaint


def rendered(config: Plain) -> Plain:
    """The configuration with defaults, the message, and its CRC-32 as id."""
    full = {
        **config,
        "gzip": config.get("gzip") is not False,
        "base64_encode": config.get("base64_encode") is not False,
        "boundary": config.get("boundary") or "MIMEBOUNDARY",
        "part": [{**p, "content_type": p.get("content_type") or "text/plain"} for p in config.get("part") or ()],
    }
    raw = _message(full["part"], full["boundary"])
    if full["gzip"]:
        raw = gzip.compress(raw, mtime=0)
    text = base64.b64encode(raw).decode() if full["base64_encode"] else raw.decode("utf-8", "replace")
    return {**full, "rendered": text, "id": str(zlib.crc32(text.encode()))}


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
            "Expected base64_encode to be set to true when gzip is true",
            ("base64_encode",),
        )


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
