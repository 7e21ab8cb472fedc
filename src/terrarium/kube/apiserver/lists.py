"""LIST: selections, resourceVersion rules, pages over one snapshot, and the tokens that continue them."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import FieldError, Kind
from terrarium.kube.api.selectors import FieldSelector, LabelSelector, SelectorError, parse_fields, parse_labels
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.records import Record
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.storage.contract import Compacted, Future, Page

_TOKEN_VERSION = "meta.k8s.io/v1"
_INCONSISTENT = -1
"""In a token: go on from whatever is there now."""
EXPIRED_LIST = "The resourceVersion for the provided list is too old."
EXPIRED_TOKEN = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource somebody wants."""

    labels: LabelSelector
    fields: FieldSelector

    def __bool__(self) -> bool:
        return bool(self.labels) or bool(self.fields)

    def fits(self, record: Record, kind: Kind) -> bool:
        obj = record.obj(kind)
        return self.labels.matches(obj["metadata"].get("labels")) and self.fields.matches(obj)


@dataclass(frozen=True, slots=True)
class ListOptions:
    labels: str = ""
    fields: str = ""
    limit: int = 0
    next: str = ""
    revision: str = ""
    match: str = ""
    initial_events: bool | None = None
    """sendInitialEvents of a watch; None where it is not given."""


@dataclass(frozen=True, slots=True)
class Listing:
    records: Sequence[Record]
    revision: int
    next: str = ""
    remaining: int = 0
    """0 when it is not told: at the end, or with a selector."""


def select(kind: Kind, labels: str, fields: str) -> Selection:
    """Parses both selectors; 400 with the parser's words."""
    try:
        return Selection(parse_labels(labels), parse_fields(fields, kind))
    except SelectorError as wrong:
        raise errors.bad_request(str(wrong)) from None


def check(options: ListOptions) -> None:
    """Refuses options of a list that contradict each other (422), as `ValidateListOptions` does."""
    found: list[FieldError] = []

    def forbid(text: str) -> None:
        found.append(FieldError("FieldValueForbidden", "resourceVersionMatch", f"Forbidden: {text}"))

    if options.match:
        if not options.revision:
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided")
        if options.next:
            forbid("resourceVersionMatch is forbidden when continue is provided")
        if options.match not in ("Exact", "NotOlderThan"):
            found.append(
                FieldError(
                    "FieldValueNotSupported",
                    "resourceVersionMatch",
                    f'Unsupported value: {quote(options.match)}: supported values: "Exact", "NotOlderThan", ""',
                )
            )
        if options.match == "Exact" and options.revision == "0":
            forbid('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if options.initial_events is not None:
        found.append(
            FieldError("FieldValueForbidden", "sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list")
        )
    if found:
        raise errors.invalid_options("ListOptions", found)


def check_watch(options: ListOptions, *, watch_list: bool) -> None:
    """The same for a watch. `watch_list`: whether initial events may be asked for (on by default from 1.34)."""
    found: list[FieldError] = []

    def forbid(field: str, text: str) -> None:
        found.append(FieldError("FieldValueForbidden", field, f"Forbidden: {text}"))

    match = options.match
    if options.initial_events is not None:
        if match != "NotOlderThan":
            forbid("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        if not watch_list:
            forbid(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            )
    if match:
        if options.initial_events is None:
            forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        if match != "NotOlderThan":
            found.append(
                FieldError(
                    "FieldValueNotSupported",
                    "resourceVersionMatch",
                    f'Unsupported value: {quote(match)}: supported values: "NotOlderThan"',
                )
            )
        if options.next:
            forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
    if found:
        raise errors.invalid_options("ListOptions", found)


def parse_revision(text: str) -> int:
    """0 for none. ValueError with the text of Go's strconv."""
    if text in ("", "0"):
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(
            f"resourceVersion: Invalid value: {quote(text)}: strconv.ParseUint: parsing {quote(text)}: invalid syntax"
        )
    if int(text) >= 1 << 64:
        raise ValueError(
            f"resourceVersion: Invalid value: {quote(text)}: strconv.ParseUint: parsing {quote(text)}: value out of range"
        )
    return int(text)


def encode_token(revision: int, start: str) -> str:
    data = orjson.dumps({"v": _TOKEN_VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_token(token: str) -> tuple[int, str]:
    """Revision and the key to start from, relative to the list's prefix."""

    def wrong(why: str) -> Exception:
        return errors.bad_request(f"invalid continue token: continue key is not valid: {why}")

    try:
        if "=" in token:
            raise binascii.Error
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        at = next((i for i, c in enumerate(token) if not (c.isascii() and (c.isalnum() or c in "-_"))), len(token))
        raise wrong(f"illegal base64 data at input byte {at}") from None
    try:
        found: Any = orjson.loads(data)
        if not isinstance(found, dict):
            raise ValueError
    except ValueError:
        raise wrong(_json_fault(data)) from None
    version = found.get("v", "")
    if version != _TOKEN_VERSION:
        raise wrong(f"server does not recognize this encoded version {version}")
    revision, start = found.get("rv", 0), found.get("start", "")
    if not isinstance(revision, int) or revision == 0:
        raise wrong(f"incorrect encoded start resourceVersion (version {_TOKEN_VERSION})")
    if not isinstance(start, str) or not start:
        raise wrong(f"encoded start key empty (version {_TOKEN_VERSION})")
    key = start if start.startswith("/") else "/" + start
    if posixpath.normpath(key) != key:
        raise wrong(start)
    return revision, key[1:]


def _json_fault(data: bytes) -> str:
    if not data:
        return "unexpected end of JSON input"
    return f"invalid character {chr(data[0])!r} looking for beginning of value"


async def run(resources: Resources, kind: Kind, namespace: str, options: ListOptions) -> Listing:
    """One page. Raises `ApiError`: 400, 410, 422, 500 and 504 as the real server gives them."""
    check(options)
    selection = select(kind, options.labels, options.fields)
    prefix = resources.prefix(kind, namespace if kind.namespaced else "")
    storage = resources.storage
    start, at = "", 0
    try:
        revision = parse_revision(options.revision)
    except ValueError as wrong:
        raise errors.bad_request(f"invalid resource version: {wrong}") from None
    limit = max(0, options.limit)
    if options.next:
        if revision:
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        token_revision, relative = decode_token(options.next)
        start = prefix + relative
        at = 0 if token_revision == _INCONSISTENT else token_revision
    elif options.match == "Exact":
        at = revision
        if at > storage.revision:
            raise errors.bare_500("etcdserver: mvcc: required revision is a future revision")
    elif revision > storage.revision:
        raise errors.too_large_version(revision, storage.revision)
    if options.revision == "0" and not options.next:
        limit = 0
    try:
        page, records = await _read(resources, kind, prefix, start, at, limit, selection)
    except Compacted:
        if not options.next:
            raise errors.expired(EXPIRED_LIST) from None
        raise errors.expired(EXPIRED_TOKEN, encode_token(_INCONSISTENT, start.removeprefix(prefix))) from None
    except Future:
        raise errors.bare_500("etcdserver: mvcc: required revision is a future revision") from None
    token = ""
    if page.more:
        token = encode_token(page.revision, page.entries[-1].key.removeprefix(prefix) + "\0")
    return Listing(records, page.revision, token, 0 if selection else page.remaining)


async def _read(
    resources: Resources, kind: Kind, prefix: str, start: str, at: int, limit: int, selection: Selection
) -> tuple[Page, Sequence[Record]]:
    """A page of what fits. With a selector as many storage pages are read as it takes to fill it."""
    storage = resources.storage

    async def ready(page: Page) -> list[Record]:
        records = [resources.records.of(entry) for entry in page.entries]
        await resources.ready(kind, records)
        return records

    name = selection.fields.exact("metadata.name")
    if name and kind.namespaced and (namespace := selection.fields.exact("metadata.namespace")):
        prefix = f"{prefix}{namespace}/" if not prefix.endswith(f"/{namespace}/") else prefix
    if not selection:
        page = await storage.list(prefix, at=at, start=start, limit=limit)
        return page, await ready(page)
    if not limit:
        page = await storage.list(prefix, at=at, start=start)
        return page, [r for r in await ready(page) if selection.fits(r, kind)]
    found: list[Record] = []
    while True:
        page = await storage.list(prefix, at=at, start=start, limit=limit)
        for i, record in enumerate(await ready(page)):
            if selection.fits(record, kind):
                found.append(record)
                if len(found) == limit:
                    more = page.more or i + 1 < len(page.entries)
                    return Page(page.entries[: i + 1], page.revision, more), found
        if not page.more:
            return page, found
        at, start = page.revision, page.entries[-1].key + "\0"
