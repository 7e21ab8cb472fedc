"""What a module call's `source` may be: a local folder, a registry address, or a package somewhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass


class SourceError(ValueError):
    def __init__(self, summary: str, detail: str) -> None:
        super().__init__(detail)
        self.summary = summary
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """`kind`: local, registry or remote. `address` is normalised; `subfolder` is what follows `//`."""

    kind: str
    address: str
    subfolder: str = ""


_REGISTRY = re.compile(
    r"(?:(?P<host>[\w-]+(?:\.[\w-]+)+(?::\d+)?)/)?(?P<namespace>[0-9A-Za-z][\w-]*)/(?P<name>[0-9A-Za-z][\w-]*)/(?P<system>[0-9a-z]+)"
)
_REMOTE = re.compile(
    r"(?:[a-z0-9]+::)?(?:git|https?|ssh|s3|gcs|hg|file)(?:::|://)|git@|github\.com/|bitbucket\.org/|[\w.]*s3[\w.-]*\.amazonaws\.com/|/"
)


def is_local(text: str) -> bool:
    return text.startswith(("./", "../", ".\\", "..\\")) or text in (".", "..")


def parse_module_source(text: str, has_version: bool = False) -> ModuleSource:
    """The kind of a source. SourceError in Terraform's words."""
    if has_version and is_local(text):
        raise SourceError(
            "Invalid registry module source address",
            f'Failed to parse module registry address: can\'t use local directory "{text}" as a module registry address.'
            "\n\nTerraform assumed that you intended a module registry source address because you also set the argument "
            '"version", which applies only to registry modules.',
        )
    if is_local(text):
        return ModuleSource("local", text)
    if not text.strip():
        raise SourceError(
            "Invalid module source address", "Failed to parse module source address: invalid source address: ."
        )
    package, _, subfolder = _split(text)
    if _REGISTRY.fullmatch(package) and not package.startswith(("github.com/", "bitbucket.org/")):
        return ModuleSource("registry", package, subfolder)
    if _REMOTE.match(text):
        return ModuleSource("remote", package, subfolder)
    raise SourceError(
        "Invalid module source address",
        f'Terraform failed to determine your intended installation method for remote module package "{text}".\n\nIf you '
        f'intended this as a path relative to the current module, use "./{text}" instead. The "./" prefix indicates that the '
        "address is a relative filesystem path.",
    )


def _split(text: str) -> tuple[str, str, str]:
    """Package, separator and subfolder; `//` after a scheme is no separator."""
    start = text.find("://")
    at = text.find("//", start + 3 if start >= 0 else 0)
    if at < 0:
        return text, "", ""
    package, rest = text[:at], text[at + 2 :]
    query = ""
    if "?" in rest:
        rest, _, query = rest.partition("?")
    return package + (f"?{query}" if query else ""), "//", rest
