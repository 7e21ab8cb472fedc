"""The http provider: the answer of a web server."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import ClassVar

from terrarium.base.clock import real_sleep
from terrarium.base.diagnostics import Diagnostic
from terrarium.providers.framework import DataSource, Plain, Refused, SmallProvider, complaint
from terrarium.providers.values import UNKNOWN


class Request(DataSource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        method = config.get("method")
        if method not in (None, UNKNOWN, "GET", "HEAD", "POST"):
            yield complaint(
                "Invalid Attribute Value Match",
                f'Attribute method value must be one of: ["GET" "POST" "HEAD"], got: "{method}"',
                ("method",),
            )

    def read(self, config: Plain) -> Plain:
        attempts, wait = 1, 1.0
        for retry in (config.get("retry") and [config["retry"]]) or []:
            if isinstance(retry, dict):
                attempts += int(retry.get("attempts") or 0)
                wait = float(retry.get("min_delay_ms") or 1000) / 1000
        method, url = config.get("method") or "GET", config["url"]
        for attempt in range(1, attempts + 1):
            try:
                status, headers, body = self._ask(config, method, url)
            except TimeoutError:
                if attempt == attempts:
                    limit = config.get("request_timeout_ms")
                    raise Refused(
                        "Error making request",
                        f"The request exceeded the specified timeout: {limit} ms",
                    ) from None
            except (OSError, http.client.HTTPException, ValueError) as wrong:
                if attempt == attempts:
                    raise Refused(
                        "Error making request", f"Error making request: {_failed(method, url, wrong)}"
                    ) from None
            else:
                # As with the real one, an answer of the server's failure is asked for again, then an error.
                if status < 500 or status == 501:
                    return self._shown(config, status, headers, body)
                if attempt == attempts:
                    raise Refused(
                        "Error making request",
                        f"Error making request: {method} {url} giving up after {attempts} attempt(s)",
                    )
            real_sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, config: Plain, method: str, url: str, hops: int = 10) -> tuple[int, list[tuple[str, str]], bytes]:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f'unsupported protocol scheme "{parts.scheme}"')
        limit = config.get("request_timeout_ms")
        timeout = limit / 1000 if limit else None
        host, port = parts.hostname or "", parts.port
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=_context(config))
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {key: value or "" for key, value in (config.get("request_headers") or {}).items()}
        headers.setdefault("User-Agent", "Go-http-client/1.1")
        body = config.get("request_body")
        try:
            connection.request(method, target, body=None if body is None else body.encode(), headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        place = answer.getheader("Location")
        if answer.status in (301, 302, 303, 307, 308) and place and hops:
            follow = method if answer.status in (307, 308) or method == "HEAD" else "GET"
            return self._ask(config, follow, urllib.parse.urljoin(url, place), hops - 1)
        return answer.status, answer.getheaders(), content

    def _shown(self, config: Plain, status: int, headers: list[tuple[str, str]], body: bytes) -> Plain:
        joined: dict[str, str] = {}
        for name, value in headers:
            key = "-".join(word.capitalize() for word in name.split("-"))
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        text = body.decode("utf-8", "replace")
        return {
            **config,
            "id": config["url"],
            "status_code": status,
            "response_headers": joined,
            "response_body": text,
            "body": text,
            "response_body_base64": base64.b64encode(body).decode(),
        }


def _context(config: Plain) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=config.get("ca_cert_pem") or None)
    if config.get("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _failed(method: str, url: str, wrong: Exception) -> str:
    parts = urllib.parse.urlsplit(url)
    verb = method.capitalize()
    if isinstance(wrong, ConnectionRefusedError):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        reason = f'{verb} "{url}": dial tcp {parts.hostname}:{port}: connect: connection refused'
    else:
        reason = f'{verb} "{url}": {wrong}'
    return f"{method} {url} giving up after 1 attempt(s): {reason}"


class HttpProvider(SmallProvider):
    name = "http"
    data_sources: ClassVar[Mapping[str, DataSource]] = {"http": Request()}


def create() -> HttpProvider:
    return HttpProvider()
