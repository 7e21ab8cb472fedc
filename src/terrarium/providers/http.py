"""The http provider: the answer of a web server, asked as Go's client asks.

An answer of the server's failure (5xx but 501, and 429) is asked for again as often as `retry` allows, and then is an
error, as it is with the real one. Redirects are followed, at most ten.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import ssl
import tempfile
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from terrarium.base.clock import real_sleep
from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.providers.framework import DataSource, Plain, Refused, SmallProvider, complaint
from terrarium.providers.values import UNKNOWN

_METHODS = ("GET", "POST", "HEAD")
_LEAST = ((("request_timeout_ms",), 1), (("retry", "attempts"), 0), (("retry", "min_delay_ms"), 0), (("retry", "max_delay_ms"), 0))  # fmt: skip
_TOGETHER = (("client_cert_pem", "client_key_pem"), ("client_key_pem", "client_cert_pem"))
_MOST_HOPS = 10


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _NotAgain(Exception):
    """A failure which would be the same again."""


class Request(DataSource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        method = config.get("method")
        if method not in (None, UNKNOWN, *_METHODS):
            known = " ".join(f'"{m}"' for m in _METHODS)
            text = f'Attribute method value must be one of: [{known}], got: "{method}"'
            yield complaint("Invalid Attribute Value Match", text, ("method",))
        for path, least in _LEAST:
            value = config.get(path[0])
            if len(path) > 1:
                value = value.get(path[1]) if isinstance(value, dict) else None
            if isinstance(value, int) and value < least:
                text = f"Attribute {'.'.join(path)} value must be at least {least}, got: {value}"
                yield complaint("Invalid Attribute Value", text, path)
        for name, other in _TOGETHER:
            if config.get(name) is not None and config.get(other) is None:
                text = f'Attribute "{other}" must be specified when "{name}" is specified'
                yield complaint("Invalid Attribute Combination", text, (name,))
        if config.get("ca_cert_pem") is not None and config.get("insecure") is not None:
            text = 'Attribute "insecure" cannot be specified when "ca_cert_pem" is specified'
            yield complaint("Invalid Attribute Combination", text, ("ca_cert_pem",))

    def read(self, config: Plain) -> Plain:
        retry = config.get("retry")
        retry = retry if isinstance(retry, dict) else {}
        attempts = 1 + int(retry.get("attempts") or 0)
        least, most = (float(retry.get(n) or d) / 1000 for n, d in (("min_delay_ms", 1000), ("max_delay_ms", 30000)))
        method, url = config.get("method") or "GET", config["url"]
        context = _context(config)
        tried = 0
        reason = ""
        while tried < attempts:
            if tried:
                real_sleep(min(least * 2 ** (tried - 1), most))
            tried += 1
            try:
                answer = self._ask(config, context, method, url)
            except _NotAgain as wrong:
                reason = str(wrong)
                break
            except TimeoutError:
                reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                if tried == attempts:
                    limit = _duration(int(config["request_timeout_ms"]))
                    said = f"{_gave_up(method, url, tried)}: {_verb(method)} {_quoted(url)}: {reason}"
                    text = f"request exceeded the specified timeout: {limit}, err: {said}"
                    raise Refused("Error making request", text) from None
            except (OSError, http.client.HTTPException) as wrong:
                reason = _network(url, wrong)
            else:
                if answer.status != 429 and (answer.status < 500 or answer.status == 501):
                    return _shown(config, answer)
                reason = ""
        text = _gave_up(method, url, tried)
        if reason:
            text += f": {_verb(method)} {_quoted(url)}: {reason}"
        raise Refused("Error making request", f"Error making request: {text}")

    def _ask(self, config: Plain, context: ssl.SSLContext, method: str, url: str) -> _Answer:
        """One attempt, with its redirects."""
        headers = {_canonical(key): value or "" for key, value in (config.get("request_headers") or {}).items()}
        body = config.get("request_body")
        content = None if body is None else str(body).encode()
        for _ in range(_MOST_HOPS):
            answer = _exchange(config, context, method, url, headers, content)
            place = next((value for name, value in answer.headers if name.lower() == "location"), "")
            if answer.status not in (301, 302, 303, 307, 308) or not place:
                return answer
            if answer.status in (301, 302, 303):
                method, content = "HEAD" if method == "HEAD" else "GET", None
            following = urllib.parse.urljoin(url, place)
            if not (url.startswith("https:") and following.startswith("http:")):
                headers["Referer"] = url
            url = following
        raise _NotAgain(f"stopped after {_MOST_HOPS} redirects")

    def remarks(self, seen: Plain) -> Iterable[Diagnostic]:
        try:
            base64.b64decode(seen["response_body_base64"]).decode()
        except UnicodeDecodeError:
            yield complaint(
                "Response body is not recognized as UTF-8",
                "Terraform may not properly handle the response_body if the contents are binary.",
                severity=Severity.WARNING,
            )


def _exchange(
    config: Plain,
    context: ssl.SSLContext,
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes | None,
) -> _Answer:
    """One request, its headers in Go's order."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise _NotAgain(f'unsupported protocol scheme "{parts.scheme}"')
    limit = config.get("request_timeout_ms")
    timeout = limit / 1000 if limit else None
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    packed = "Accept-Encoding" not in headers and "Range" not in headers and method != "HEAD"
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", headers.get("Host", parts.netloc.rpartition("@")[2]))
        agent = headers.get("User-Agent", "Go-http-client/1.1")
        if agent:
            connection.putheader("User-Agent", agent)
        if content is not None or method == "POST":
            connection.putheader("Content-Length", str(len(content or b"")))
        for name in sorted(headers):
            if name not in ("Host", "User-Agent", "Content-Length"):
                connection.putheader(name, headers[name])
        if packed:
            connection.putheader("Accept-Encoding", "gzip")
        connection.endheaders(content)
        answer = connection.getresponse()
        body, shown = answer.read(), answer.getheaders()
    finally:
        connection.close()
    if packed and (answer.getheader("Content-Encoding") or "").lower() == "gzip":
        body = gzip.decompress(body)
        shown = [(n, v) for n, v in shown if n.lower() not in ("content-encoding", "content-length")]
    return _Answer(answer.status, shown, body)


def _shown(config: Plain, answer: _Answer) -> Plain:
    joined: dict[str, str] = {}
    for name, value in answer.headers:
        key = _canonical(name)
        if key != "Transfer-Encoding":
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
    text = "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in answer.body.decode("utf-8", "surrogateescape"))
    return {
        **config,
        "id": config["url"],
        "status_code": answer.status,
        "response_headers": joined,
        "response_body": text,
        "body": text,
        "response_body_base64": base64.b64encode(answer.body).decode(),
    }


def _context(config: Plain) -> ssl.SSLContext:
    """Whom to trust, and who we are."""
    try:
        context = ssl.create_default_context(cadata=config.get("ca_cert_pem") or None)
    except ssl.SSLError:
        raise Refused(
            "Error configuring TLS client",
            "Error tls: Can't add the CA certificate to certificate pool. Only PEM encoded certificates are supported.",
        ) from None
    if config.get("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = config.get("client_cert_pem"), config.get("client_key_pem")
    if certificate and key:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            path.touch(0o600)
            path.write_text(f"{certificate}\n{key}")
            try:
                context.load_cert_chain(path)
            except (ssl.SSLError, ValueError) as wrong:
                raise Refused(
                    "error creating x509 key pair",
                    f"error creating x509 key pair from provided pem blocks\n\nError: {wrong}",
                ) from None
    return context


# --- words -------------------------------------------------------------------------------------------------------------


def _canonical(name: str) -> str:
    """A header's name as Go writes it."""
    return "-".join(word.capitalize() for word in name.split("-"))


def _verb(method: str) -> str:
    return method.capitalize()


def _quoted(url: str) -> str:
    return f'"{url}"'


def _gave_up(method: str, url: str, attempts: int) -> str:
    return f"{method} {url} giving up after {attempts} attempt(s)"


def _network(url: str, wrong: Exception) -> str:
    parts = urllib.parse.urlsplit(url)
    if isinstance(wrong, ConnectionRefusedError):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"dial tcp {parts.hostname}:{port}: connect: connection refused"
    if isinstance(wrong, http.client.RemoteDisconnected):
        return "EOF"
    return str(wrong)


def _duration(milliseconds: int) -> str:
    """As Go prints a duration: 500ms, 1.5s, 1m0s."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


class HttpProvider(SmallProvider):
    name = "http"
    data_sources: ClassVar[Mapping[str, DataSource]] = {"http": Request()}


def create() -> HttpProvider:
    return HttpProvider()
