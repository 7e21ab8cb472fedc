"""The string formats that kube-apiserver checks in custom objects; others are ignored."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from urllib.parse import urlsplit

from terrarium.kube.api import names


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _tried(run: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            run(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme or text.startswith("/")) and not re.search(r"[\x00-\x20\x7f]", text)


def _moment(text: str) -> None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, re.ASCII):
        raise ValueError(text)
    datetime.fromisoformat(re.sub(r"\.\d+", "", text).upper().replace("Z", "+00:00"))


def _day(text: str) -> None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    date.fromisoformat(text)


def _cidr(text: str) -> None:
    if not text.rpartition("/")[2].isdigit() or "/" not in text:
        raise ValueError(text)
    ipaddress.ip_interface(text)


def _luhn(text: str) -> bool:
    digits = [int(d) for d in re.sub(r"[ -]", "", text) if d.isdigit()]
    total = sum(d if i % 2 == 0 else d * 2 - 9 * (d > 4) for i, d in enumerate(reversed(digits)))
    return 12 < len(digits) < 20 and total % 10 == 0


_ISBN10, _ISBN13 = _matches(r"(?:\d[ -]?){9}[\dX]"), _matches(r"(?:\d[ -]?){13}")
_UNIT = r"(?:ns|us|µs|ms|s|m|h|d|w|nano|micro|milli|nanos?|micros?|millis?|secs?|seconds?|mins?|minutes?|hours?|hrs?|days?|weeks?|wks?)"
_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?"

FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _tried(_moment),
    "datetime": _tried(_moment),
    "date": _tried(_day),
    "duration": _matches(rf"(?i)[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)\s*{_UNIT}\s*)+)"),
    "uuid": _matches(rf"(?i){_UUID}[0-9a-f]{{4}}-?[0-9a-f]{{4}}-?[0-9a-f]{{12}}"),
    "uuid3": _matches(rf"(?i){_UUID}3[0-9a-f]{{3}}-?[0-9a-f]{{4}}-?[0-9a-f]{{12}}"),
    "uuid4": _matches(rf"(?i){_UUID}4[0-9a-f]{{3}}-?[89ab][0-9a-f]{{3}}-?[0-9a-f]{{12}}"),
    "uuid5": _matches(rf"(?i){_UUID}5[0-9a-f]{{3}}-?[89ab][0-9a-f]{{3}}-?[0-9a-f]{{12}}"),
    "ipv4": _tried(ipaddress.IPv4Address),
    "ipv6": lambda text: ":" in text and _tried(ipaddress.IPv6Address)(text),
    "cidr": _tried(_cidr),
    "mac": _matches(r"(?i)(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4,6}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2,3}[0-9a-f]{4}"),
    "email": _matches(r"[^@\s<>]+@[^@\s<>]+"),
    "hostname": _matches(
        r"(?:[a-zA-Z0-9\u00a1-\uffff](?:[a-zA-Z0-9\-_\u00a1-\uffff]{0,61}[a-zA-Z0-9\u00a1-\uffff])?\.?)+"
    ),
    "uri": _uri,
    "byte": _tried(lambda text: base64.b64decode(text, validate=True)),
    "bsonobjectid": _matches(r"(?i)[0-9a-f]{24}"),
    "hexcolor": _matches(r"(?i)#?(?:[0-9a-f]{3}|[0-9a-f]{6})"),
    "rgbcolor": _matches(
        r"rgb\(\s*(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])\s*(?:,\s*(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])\s*){2}\)"
    ),
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "creditcard": _luhn,
    "isbn10": _ISBN10,
    "isbn13": _ISBN13,
    "isbn": lambda text: _ISBN10(text) or _ISBN13(text),
    "k8s-short-name": lambda text: not names.dns_label(text),
    "k8s-long-name": lambda text: not names.dns_subdomain(text),
}
