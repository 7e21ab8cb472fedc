"""Requests no SDK sends: each is answered with an AWS error document, and nothing breaks."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CASES = [
    pytest.param("eks", "POST", "/clusters", b"{", {}, 400, b"SerializationException", id="broken JSON"),
    pytest.param("eks", "POST", "/clusters", b"[]", {}, 400, b"SerializationException", id="a list for an object"),
    pytest.param("eks", "POST", "/clusters", b'{"name": 1}', {}, 400, b"SerializationException", id="wrong type"),
    pytest.param("eks", "POST", "/clusters", b"{}", {}, 400, b"InvalidParameterException", id="nothing given"),
    pytest.param("eks", "GET", "/clusters?maxResults=x", b"", {}, 400, b"SerializationException", id="no number"),
    pytest.param("eks", "GET", "/clusters?nextToken=x", b"", {}, 400, b"InvalidParameterException", id="bad token"),
    pytest.param("eks", "GET", "/nothing/here", b"", {}, 404, b"UnknownOperationException", id="no such path"),
    pytest.param("sts", "POST", "/", b"Action=Nope&Version=1", {"Content-Type": "application/x-www-form-urlencoded"},
                 400, b"InvalidAction", id="no such action"),
    pytest.param("ec2", "POST", "/", b"Action=RunInstances&MinCount=x&Version=2016-11-15",
                 {"Content-Type": "application/x-www-form-urlencoded"}, None, b"<Errors>", id="a count that is none"),
    pytest.param("logs", "POST", "/", b"\xff\xfe", {"X-Amz-Target": "Logs_20140328.CreateLogGroup",
                 "Content-Type": "application/x-amz-json-1.1"}, None, b"__type", id="no UTF-8"),
    pytest.param("nowhere", "GET", "/", b"", {}, 501, b"NotImplemented", id="no such service"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "method", "path", "body", "headers", "status", "text"), CASES)
def test_malformed(
    running: Any,
    service: str,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    status: int | None,
    text: bytes,
) -> None:
    admin = running.endpoint.admin
    request = AWSRequest(method=method, url=running.endpoint.url + path, data=body, headers=headers)
    SigV4Auth(Credentials(admin.access_key, admin.secret), service, "ap-northeast-2").add_auth(request)
    found, answer = send(running, method, path, body, dict(request.headers.items()))
    assert text in answer
    assert status in (None, found)
    assert found >= 400
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 403, id="nothing"),
        pytest.param({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, 400, id="nonsense"),
        pytest.param({"Authorization": "Basic eDp5"}, 400, id="another scheme"),
    ],
)
def test_not_signed(running: Any, headers: dict[str, str], status: int) -> None:
    assert send(running, "GET", "/", b"", headers)[0] == status


def test_too_large(running: Any) -> None:
    status, answer = send(running, "POST", "/", b"x" * (17 * 1024 * 1024), {"X-Amz-Target": "A.B"})
    assert (status, b"RequestEntityTooLarge" in answer) == (413, True)


def test_a_region_that_is_none(running: Any) -> None:
    admin = running.endpoint.admin
    request = AWSRequest(method="GET", url=running.endpoint.url + "/clusters")
    SigV4Auth(Credentials(admin.access_key, admin.secret), "eks", "moon-east-1").add_auth(request)
    status, answer = send(running, "GET", "/clusters", b"", dict(request.headers.items()))
    assert (status, b"valid region" in answer) == (403, True)


def send(running: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(running.endpoint.url.partition("://")[2], timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
